//! bot4
fn main() {}
