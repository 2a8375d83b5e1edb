//! The `nearlight` binary.
fn main() {}
