//! kube-scheduler as a binary of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    scheduler::cli::main(std::env::args_os())
}
