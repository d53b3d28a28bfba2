//! The `longhaul-agent` command: `longhaul-agent session --interface eth0` serves one session on standard input and output.

use std::process::ExitCode;

fn main() -> ExitCode {
    longhaul::cli::agent_command()
}
