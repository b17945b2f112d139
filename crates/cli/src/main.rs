//! The command line of machine-driver: flags, words and exit codes. Every rule is in the libraries below it.

mod aar;
mod app;
mod args;
mod check;
mod contract;
mod copies;
mod demo;
mod error;
mod escape;
mod generate;
mod git;
mod init;
mod log;
mod me;
mod narrate;
mod out;
mod overrides;
mod run;
mod signals;
mod snippet;
mod status;
mod style;
mod task;
mod when;

use std::process::ExitCode;

fn main() -> ExitCode {
    machine_driver::init();
    app::main()
}
