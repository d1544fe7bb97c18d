//! What runs in `atelier controller`: wiring, leader election, HTTP.
