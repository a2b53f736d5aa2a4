//! Kernel settings that the pod network needs.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// A setting under `/proc/sys`, written only when it differs.
///
/// Returns false when this kernel has no such setting (no IPv6, no br_netfilter).
pub fn set(root: &Path, name: &str, value: &str) -> Result<bool, Error> {
    let path = file(root, name);
    let error = |operation, source| Error::File { operation, path: path.clone(), source };
    match std::fs::read_to_string(&path) {
        Ok(old) if old.trim() == value => return Ok(true),
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(error("read", e)),
    }
    std::fs::write(&path, value).map_err(|e| error("write", e))?;
    Ok(true)
}

/// Settings may be named as `sysctl` does, with dots.
fn file(root: &Path, name: &str) -> PathBuf {
    root.join(name.replace('.', "/"))
}

/// Sets what routing between pods, host and outside needs.
///
/// `route_localnet` is not among them: NodePorts do not answer on 127.0.0.1 in nftables mode, as upstream. The
/// br_netfilter settings matter only where that module is loaded: then bridges of others hand their frames to the
/// rules, and upstream expects them on.
pub fn prepare_node(root: &Path, ipv6: bool) -> Result<(), Error> {
    if !set(root, "net.ipv4.ip_forward", "1")? {
        tracing::warn!("this kernel has no net.ipv4.ip_forward: pods will not reach beyond their node");
    }
    if ipv6 {
        set(root, "net.ipv6.conf.all.forwarding", "1")?;
    }
    for name in ["net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"] {
        // Best effort: read-only in some containers, and needed only for bridges that others make.
        if let Err(error) = set(root, name, "1") {
            tracing::debug!(setting = name, %error, "could not be set");
        }
    }
    Ok(())
}

/// Where the settings of the running kernel are.
pub const PROC_SYS: &str = "/proc/sys";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_written_when_they_differ_and_tolerated_when_missing() {
        let root = std::env::temp_dir().join(format!("gantry-sysctl-{}", std::process::id()));
        std::fs::create_dir_all(root.join("net/ipv4")).unwrap();
        std::fs::write(root.join("net/ipv4/ip_forward"), "0\n").unwrap();
        assert!(set(&root, "net.ipv4.ip_forward", "1").unwrap());
        assert_eq!(std::fs::read_to_string(root.join("net/ipv4/ip_forward")).unwrap(), "1");
        assert!(!set(&root, "net.bridge.bridge-nf-call-iptables", "1").unwrap());
        prepare_node(&root, true).unwrap();
        std::fs::remove_dir_all(&root).unwrap();
    }
}
