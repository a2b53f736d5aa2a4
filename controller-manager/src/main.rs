//! kube-controller-manager as a binary of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    controller_manager::cli::main(std::env::args_os())
}
