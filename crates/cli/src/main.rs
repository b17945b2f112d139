//! machine-driver command line.
fn main() {}
