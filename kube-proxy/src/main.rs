//! kube-proxy as a binary of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    kube_proxy::cli::main(std::env::args_os())
}
