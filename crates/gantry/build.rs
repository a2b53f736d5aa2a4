//! Compiles the pause process (a freestanding static program) so that the front door can carry its image.

use std::path::PathBuf;
use std::process::Command;

#[allow(clippy::disallowed_methods, reason = "a build script runs the compiler")]
fn main() {
    println!("cargo::rerun-if-changed=pause/pause.rs");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("pause");
    let rustc = std::env::var_os("RUSTC").expect("cargo sets RUSTC");
    let target = std::env::var("TARGET").expect("cargo sets TARGET");
    let mut command = Command::new(rustc);
    command
        .args(["pause/pause.rs", "--edition", "2024", "--crate-type", "bin", "--target", &target])
        .args(["-C", "panic=abort", "-C", "opt-level=s", "-C", "strip=symbols"])
        .args(["-C", "relocation-model=static", "-C", "target-feature=+crt-static"])
        .args(["-C", "link-arg=-nostartfiles", "-C", "link-arg=-nostdlib", "-C", "link-arg=-static"])
        .args(["-C", "link-arg=-Wl,--build-id=none"])
        .arg("-o")
        .arg(&out);
    let status = command.status().expect("rustc starts");
    assert!(status.success(), "the pause process did not compile: {command:?}");
}
