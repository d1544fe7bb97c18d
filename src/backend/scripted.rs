//! A backend in memory for tests: it does what it is told, and crashes and fails where it is told.
