//! The configuration file of a containerd of our own: its own directories and socket, never the host's, so that several
//! nodes and the host's own containerd live side by side.

use std::fmt::Write as _;
use std::path::PathBuf;

/// What a node's containerd needs to know.
#[derive(Debug, Clone)]
pub struct ContainerdSettings {
    /// Persistent data: images, snapshots.
    pub root: PathBuf,
    /// Runtime data: shims, mounts. Short, because sockets live below it.
    pub state: PathBuf,
    pub socket: PathBuf,
    /// The image of sandboxes, already imported or pullable.
    pub sandbox_image: String,
    pub cni_bin_dirs: Vec<PathBuf>,
    pub cni_conf_dir: PathBuf,
    pub snapshotter: String,
    /// `/proc/self` cannot get a lower OOM score (CAP_SYS_RESOURCE is missing): runc would fail every sandbox.
    pub restrict_oom_score_adj: bool,
    /// cgroup v2 under systemd; otherwise runc writes cgroup files itself.
    pub systemd_cgroup: bool,
}

impl ContainerdSettings {
    /// The `config.toml`, in the version-2 layout that 1.6 to 2.x all read.
    pub fn render(&self) -> String {
        let mut out = String::new();
        let q = |p: &PathBuf| quote(&p.display().to_string());
        let _ = writeln!(out, "version = 2");
        let _ = writeln!(out, "root = {}", q(&self.root));
        let _ = writeln!(out, "state = {}", q(&self.state));
        // Never lowers its own score: on a host that allows it that is the operator's choice.
        let _ = writeln!(out, "oom_score = 0");
        // Plugins that need kernel modules or hardware, and would only add warnings and time to the start.
        let _ = writeln!(
            out,
            "disabled_plugins = [\"io.containerd.snapshotter.v1.aufs\", \"io.containerd.snapshotter.v1.btrfs\", \
             \"io.containerd.snapshotter.v1.devmapper\", \"io.containerd.snapshotter.v1.zfs\", \
             \"io.containerd.tracing.processor.v1.otlp\", \"io.containerd.internal.v1.tracing\"]"
        );
        let _ = writeln!(out, "[grpc]\n  address = {}", q(&self.socket));
        // Its default is /opt/containerd, which containerd would make on the host.
        let _ = writeln!(
            out,
            "[plugins.\"io.containerd.internal.v1.opt\"]\n  path = {}",
            q(&self.root.join("opt"))
        );
        // The socket alone: no TCP debug or metrics listeners.
        let cri = "plugins.\"io.containerd.grpc.v1.cri\"";
        let _ = writeln!(out, "[{cri}]");
        let _ = writeln!(out, "  sandbox_image = {}", quote(&self.sandbox_image));
        let _ = writeln!(out, "  restrict_oom_score_adj = {}", self.restrict_oom_score_adj);
        let _ = writeln!(
            out,
            "  disable_apparmor = {}",
            !std::path::Path::new("/sys/kernel/security/apparmor").exists()
        );
        let _ = writeln!(out, "  tolerate_missing_hugetlb_controller = true");
        let _ = writeln!(out, "  disable_hugetlb_controller = true");
        let _ = writeln!(out, "  stream_server_address = \"127.0.0.1\"\n  stream_server_port = \"0\"");
        let _ = writeln!(out, "  enable_unprivileged_ports = true\n  enable_unprivileged_icmp = true");
        let _ = writeln!(out, "  [{cri}.containerd]\n    snapshotter = {}", quote(&self.snapshotter));
        let _ = writeln!(out, "    default_runtime_name = \"runc\"");
        let _ = writeln!(
            out,
            "    [{cri}.containerd.runtimes.runc]\n      runtime_type = \"io.containerd.runc.v2\""
        );
        let _ = writeln!(
            out,
            "      [{cri}.containerd.runtimes.runc.options]\n        SystemdCgroup = {}\n        Root = {}",
            self.systemd_cgroup,
            // runc's default would be shared with the host's containerd.
            q(&self.state.join("runc"))
        );
        let bin = self.cni_bin_dirs.first().map_or_else(|| quote("/opt/cni/bin"), q);
        let _ = writeln!(out, "  [{cri}.cni]\n    bin_dir = {bin}\n    conf_dir = {}", q(&self.cni_conf_dir));
        out
    }
}

/// A TOML basic string.
fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Whether this process may lower OOM scores: bit 24 (CAP_SYS_RESOURCE) of the effective set in `/proc/self/status`.
pub fn may_lower_oom_score(proc_self_status: &str) -> bool {
    proc_self_status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .is_some_and(|caps| caps & (1 << 24) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capability_bit() {
        assert!(may_lower_oom_score("CapInh:\t0\nCapEff:\t000001ffffffffff\n"));
        assert!(!may_lower_oom_score("CapEff:\t000001fffeffffff\n"));
        assert!(!may_lower_oom_score(""));
    }

    #[test]
    fn quoting() {
        assert_eq!(quote("a\"b\\c"), "\"a\\\"b\\\\c\"");
    }
}
