//! The JSON that two Atelier processes exchange.
