//! The `longhaul-service` command: a synthetic service whose service time is known.

use std::process::ExitCode;

fn main() -> ExitCode {
    longhaul::cli::service_command()
}
