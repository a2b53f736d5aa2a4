//! Writes the images of the end-to-end tests into a folder, to try things by hand: `e2e-images DIR`.

use std::path::PathBuf;

#[allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program for people")]
fn main() {
    let dir = PathBuf::from(std::env::args().nth(1).expect("usage: e2e-images DIR"));
    for (name, tar) in e2e_tests::images::all() {
        let path = dir.join(format!("{name}.tar"));
        std::fs::write(&path, tar).expect("the folder is writable");
        println!("{}", path.display());
    }
}
