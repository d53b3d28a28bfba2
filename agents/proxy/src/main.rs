//! The `longhaul-proxy` command: balances the requests of one node.

use std::process::ExitCode;

fn main() -> ExitCode {
    longhaul::cli::proxy_command()
}
