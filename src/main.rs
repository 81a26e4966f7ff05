//! The `madang` program: reads the command line, does it, and says clearly what went wrong.

mod cli;
mod demo;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cli::start_logging();
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("madang: {failure}");
            failure.exit_code()
        }
    }
}
