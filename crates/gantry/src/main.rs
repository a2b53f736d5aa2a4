//! One file, six programs: the front door, and upstream's five by their names.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Main = fn(Vec<OsString>) -> ExitCode;

const PROGRAMS: [(&str, Main); 5] = [
    ("kube-apiserver", |args| apiserver::cli::main(args)),
    ("kube-scheduler", |args| scheduler::cli::main(args)),
    ("kube-controller-manager", |args| controller_manager::cli::main(args)),
    ("kubelet", |args| kubelet::cli::main(args)),
    ("kube-proxy", |args| kube_proxy::cli::main(args)),
];

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let name = |at: usize| {
        let path = Path::new(args.get(at)?);
        path.file_name()?.to_str()
    };
    let program = |at: usize| PROGRAMS.iter().find(|(n, _)| Some(*n) == name(at)).map(|(_, main)| *main);
    if let Some(main) = program(0) {
        return main(args);
    }
    if let Some(main) = program(1) {
        return main(args[1..].to_vec());
    }
    gantry::cli::main(args.into_iter())
}
