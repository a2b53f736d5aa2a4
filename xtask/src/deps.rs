//! What the host must have, and how it comes there: Debian packages by apt, each with the reason.

use std::path::Path;

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

/// A Debian package: when it is needed, a file that shows that it is there, and what for.
struct Package {
    need: Need,
    name: &'static str,
    /// Any of these proves it (Debian's path first, then where others install it).
    proof: &'static [&'static str],
    why: &'static str,
}

const PACKAGES: &[Package] = &[
    Package {
        need: Need::Build,
        name: "protobuf-compiler",
        proof: &["/usr/bin/protoc", "/usr/local/bin/protoc"],
        why: "two dependencies generate code at build time",
    },
    Package {
        need: Need::Run,
        name: "containerd",
        proof: &["/usr/bin/containerd", "/usr/local/bin/containerd"],
        why: "runs the containers (Gantry starts one of its own)",
    },
    Package {
        need: Need::Run,
        name: "runc",
        proof: &["/usr/sbin/runc", "/usr/bin/runc", "/usr/local/sbin/runc"],
        why: "starts each container for containerd",
    },
    Package {
        need: Need::Run,
        name: "containernetworking-plugins",
        proof: &["/usr/lib/cni/host-local", "/opt/cni/bin/host-local"],
        why: "gives each pod its interface and address",
    },
    Package {
        need: Need::Run,
        name: "nftables",
        proof: &["/usr/sbin/nft"],
        why: "programs services in the kernel",
    },
    Package {
        need: Need::Run,
        name: "iptables",
        proof: &["/usr/sbin/iptables"],
        why: "the portmap plugin's host ports",
    },
    Package {
        need: Need::Run,
        name: "conntrack",
        proof: &["/usr/sbin/conntrack"],
        why: "clears stale UDP connections when a backend goes",
    },
    Package {
        need: Need::Run,
        name: "iproute2",
        proof: &["/usr/sbin/ip", "/usr/bin/ip", "/sbin/ip"],
        why: "network namespaces and interfaces",
    },
    Package {
        need: Need::Test,
        name: "busybox-static",
        proof: &["/usr/bin/busybox", "/bin/busybox"],
        why: "the content of the test images",
    },
];

/// Installs what is missing up to `need`, saying what and why.
pub(crate) fn ensure(need: Need) -> Result<()> {
    let missing: Vec<&Package> = PACKAGES
        .iter()
        .filter(|p| p.need <= need && !p.proof.iter().any(|path| Path::new(path).exists()))
        .collect();
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
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("there is no apt-get on this host; install by its own means: {}", names.join(", "));
    }
    eprintln!("Installing {} by apt-get ...", names.join(" "));
    let env = [("DEBIAN_FRONTEND", "noninteractive")];
    run_quietly("apt-get", &["update", "-q"], &env).context("apt-get update")?;
    let mut args = vec!["install", "-y", "-q", "--no-install-recommends"];
    args.extend(&names);
    run_quietly("apt-get", &args, &env).context("apt-get install")?;
    for package in missing {
        if !package.proof.iter().any(|path| Path::new(path).exists()) {
            bail!("{} was installed but none of {:?} is there", package.name, package.proof);
        }
    }
    Ok(())
}

/// Installs cargo-nextest's part of the tests: the runner that gives each test a process of its own.
pub(crate) fn nextest() -> Result<()> {
    if run_quietly("cargo", &["nextest", "--version"], &[]).is_ok() {
        return Ok(());
    }
    eprintln!("Installing cargo-nextest (runs tests in parallel, each in its own process) ...");
    run("cargo", &["install", "--locked", "cargo-nextest"], &[])
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
