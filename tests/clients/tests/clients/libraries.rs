//! Client libraries of other languages: their programs stand in `programs` and say what they check.

use std::process::Command;

use client_tests::{shows, tool};
use e2e_tests::{Cluster, finish, images};

const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/programs");

#[test]
fn libraries_of_other_languages_work() {
    let cluster = Cluster::start();
    python(&cluster);
    javascript(&cluster);
}

fn python(cluster: &Cluster) {
    let mut command = Command::new("python3");
    command
        .env("PYTHONPATH", tool("python"))
        // No byte code beside the sources.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("KUBECONFIG", cluster.kubeconfig())
        .arg(format!("{PROGRAMS}/typed.py"))
        .args(["by-python", images::BUSYBOX, images::SERVER]);
    shows(&finish(command, b"").ok().stdout, &["all done"]);
}

fn javascript(cluster: &Cluster) {
    // Modules are looked for beside the program and above.
    let program = tool("node").join("informer.mjs");
    std::fs::copy(format!("{PROGRAMS}/informer.mjs"), &program).expect("the folder of tools is writable");
    let mut command = Command::new("node");
    command.env("KUBECONFIG", cluster.kubeconfig()).arg(program).args(["by-node", images::BUSYBOX]);
    shows(&finish(command, b"").ok().stdout, &["all done"]);
}
