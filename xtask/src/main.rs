//! Developer command.

fn main() {}
