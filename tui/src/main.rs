//! `sounding`: the operators' console as a program.

fn main() {}
