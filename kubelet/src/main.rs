//! kubelet as a binary of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    kubelet::cli::main(std::env::args_os())
}
