//! Parses, runs, turns the outcome into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(visuomotor::cli::run())
}
