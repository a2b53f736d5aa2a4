//! Client libraries for the tests of `tests/clients`: fetched as their languages do, beside what is built.
//!
//! What is fetched is pinned with a checksum for each file by the lists in `tests/clients/programs`: a list that changes is
//! fetched anew. Nothing outside of the target folder changes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::up::run_quietly;
use crate::{root, tools};

/// Beside what was fetched: the list by which it was.
const FETCHED_BY: &str = "fetched-by";

/// Python's client, by pip.
pub(crate) fn python() -> Result<()> {
    let list = programs().join("requirements.txt");
    fetch("Python's client", "python", &list, |target| {
        let (target, list) = (target.display().to_string(), list.display().to_string());
        let options = ["--quiet", "--disable-pip-version-check", "--root-user-action=ignore"];
        // What is needed is listed in whole, with checksums.
        let checks = ["--no-deps", "--require-hashes", "--only-binary=:all:"];
        let mut args = vec!["-m", "pip", "install"];
        args.extend(options);
        args.extend(checks);
        args.extend(["--target", &target, "-r", &list]);
        run_quietly("python3", &args, &[]).context("pip install")
    })
}

/// JavaScript's client, by npm.
pub(crate) fn node() -> Result<()> {
    let list = programs().join("package-lock.json");
    fetch("JavaScript's client", "node", &list, |target| {
        for name in ["package.json", "package-lock.json"] {
            fs::copy(programs().join(name), target.join(name)).with_context(|| format!("copy {name}"))?;
        }
        let target = target.display().to_string();
        let args = ["--prefix", &target, "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"];
        run_quietly("npm", &args, &[]).context("npm ci")
    })
}

fn programs() -> PathBuf {
    root().join("tests/clients/programs")
}

/// Fetches into a folder of tools unless what is there was fetched by the same list.
fn fetch(what: &str, folder: &str, list: &Path, work: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let wanted = fs::read(list).with_context(|| format!("read {}", list.display()))?;
    let place = tools::dir().join(folder);
    if fs::read(place.join(FETCHED_BY)).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    eprintln!("Fetching {what} ({}) ...", list.display());
    // Another version, or what an interrupted fetch left.
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).with_context(|| format!("make {}", place.display()))?;
    work(&place)?;
    // Last: what has the mark is whole.
    fs::write(place.join(FETCHED_BY), wanted).context("mark what was fetched")
}
