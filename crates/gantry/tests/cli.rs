//! The program itself: it is six programs, and says what to do.

#![allow(clippy::disallowed_methods, reason = "runs the program under test")]

use std::process::{Command, Output};

fn gantry(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gantry")).args(args).output().expect("the program starts")
}

#[test]
fn every_program_has_help_for_people() {
    for (args, word) in [
        (&["--help"][..], "gantry up"),
        (&["up", "--help"], "--service-cidr"),
        (&["kube-apiserver", "--help"], "--service-cluster-ip-range"),
        (&["kube-scheduler", "--help"], "--leader-elect"),
        (&["kube-controller-manager", "--help"], "--cluster-cidr"),
        (&["kubelet", "--help"], "--node-labels"),
        (&["kube-proxy", "--help"], "--proxy-mode"),
    ] {
        let output = gantry(args);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains(word), "{args:?}: {text}");
    }
}

#[test]
fn a_program_is_known_by_its_link_too() {
    let dir = std::env::temp_dir().join(format!("gantry-link-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let link = dir.join("kube-proxy");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_gantry"), &link).unwrap();
    let output = Command::new(&link).arg("--help").output().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("--proxy-mode"));
}

#[test]
fn mistakes_are_refused_before_anything_starts() {
    let unknown = gantry(&["kube-scheduler", "--no-such-flag"]);
    assert_eq!(unknown.status.code(), Some(2));
    let missing = gantry(&["kube-scheduler", "--secure-port=0"]);
    assert_eq!(missing.status.code(), Some(64), "{}", String::from_utf8_lossy(&missing.stderr));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("--kubeconfig"));
}
