//! The clients that are connected, made up.
