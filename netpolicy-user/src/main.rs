//! The `netpolicy` binary.
fn main() {}
