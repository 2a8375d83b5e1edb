//! lightmeter.
fn main() {}
