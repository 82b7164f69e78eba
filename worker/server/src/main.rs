//! The elasticflow binary.

fn main() {}
