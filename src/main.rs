//! The `hookswitch` program.

fn main() {}
