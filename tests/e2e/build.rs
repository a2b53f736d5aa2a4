//! Compiles the tests' application as a static program for its image.

use std::path::PathBuf;
use std::process::Command;

#[allow(clippy::disallowed_methods, reason = "a build script runs the compiler")]
fn main() {
    println!("cargo::rerun-if-changed=images/testserver.rs");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("testserver");
    let status = Command::new(std::env::var_os("RUSTC").expect("cargo sets RUSTC"))
        .args(["images/testserver.rs", "--edition", "2024", "--crate-type", "bin", "-O"])
        .args(["-C", "target-feature=+crt-static", "-C", "strip=symbols", "-o"])
        .arg(&out)
        .status()
        .expect("rustc starts");
    assert!(status.success(), "the test server did not compile");
}
