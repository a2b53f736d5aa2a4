//! The system-call filter of a sandbox's own process, which does nothing but wait.
//!
//! The runtime's default filter allows hundreds of calls by name, and runc compiles it anew for each sandbox: of the time
//! that its init spent on 30 pods, libseccomp took a fifth. This one names only what it refuses: the calls that the default
//! refuses outright to a process without capabilities. It allows the rest, because what a runtime calls between loading
//! the filter and starting the process differs from version to version. So it does not look at arguments, as the default
//! does for `clone`, `personality` and `socket`: the process is the node's own and waits, and containers have filters of
//! their own.

use std::path::{Path, PathBuf};

use serde_json::json;

/// What a process without capabilities is refused.
const REFUSED: &[&str] = &[
    "_sysctl",
    "acct",
    "add_key",
    "bpf",
    "chroot",
    "clock_adjtime",
    "clock_settime",
    "create_module",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "get_kernel_syms",
    "get_mempolicy",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mbind",
    "migrate_pages",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pidfd_getfd",
    "pivot_root",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "query_module",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "set_mempolicy",
    "set_mempolicy_home_node",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "sysfs",
    "syslog",
    "umount",
    "umount2",
    "unshare",
    "uselib",
    "userfaultfd",
    "ustat",
    "vhangup",
    "vm86",
    "vm86old",
];

/// `EPERM`.
const ERRNO: u32 = 1;

/// Where the profile is, below the kubelet's directory.
pub(crate) fn sandbox_profile(root: &Path) -> PathBuf {
    root.join("sandbox-seccomp.json")
}

/// The profile, as the runtime specification writes one. Without `architectures` it is the native one alone.
pub(crate) fn sandbox_profile_json() -> String {
    let refused = json!({"names": REFUSED, "action": "SCMP_ACT_ERRNO", "errnoRet": ERRNO});
    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refused]}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_is_named_once() {
        let names: std::collections::BTreeSet<&str> = REFUSED.iter().copied().collect();
        assert_eq!(names.len(), REFUSED.len());
    }
}
