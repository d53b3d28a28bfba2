//! The `longhaul-agent` command.

fn main() {}
