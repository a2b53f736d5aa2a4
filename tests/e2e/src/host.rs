//! What is on the host, to compare before and after: nothing of ours may stay.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Everything that a cluster makes and must take away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    pub interfaces: BTreeSet<String>,
    pub namespaces: BTreeSet<String>,
    pub nft: BTreeSet<String>,
    pub iptables: BTreeSet<String>,
    pub routes: BTreeSet<String>,
    pub mounts: BTreeSet<String>,
    pub cgroups: BTreeSet<String>,
    pub processes: BTreeSet<String>,
}

impl Host {
    pub fn look() -> Self {
        Self {
            interfaces: lines("ip", &["-o", "link"], |l| l.split(':').nth(1).map(|n| n.trim().to_owned())),
            namespaces: lines("ip", &["netns", "list"], |l| Some(l.to_owned())),
            nft: lines("nft", &["list", "tables"], |l| Some(l.to_owned())),
            iptables: lines("iptables-save", &[], |l| {
                // Policies and empty tables appear by looking; rules and chains of ours do not.
                (l.starts_with("-A") || (l.starts_with(':') && l.contains(" - ")))
                    .then(|| l.split(" [").next().unwrap_or(l).to_owned())
            }),
            routes: lines("ip", &["route", "show", "table", "all"], |l| Some(l.trim().to_owned())),
            mounts: std::fs::read_to_string("/proc/self/mountinfo")
                .unwrap_or_default()
                .lines()
                .filter_map(|l| l.split_whitespace().nth(4).map(str::to_owned))
                .collect(),
            cgroups: cgroups(),
            processes: processes(),
        }
    }

    /// What is there now and was not before, by kind.
    pub fn added_since(&self, before: &Self) -> Vec<String> {
        let mut out = Vec::new();
        for (kind, now, then) in [
            ("interface", &self.interfaces, &before.interfaces),
            ("namespace", &self.namespaces, &before.namespaces),
            ("nft table", &self.nft, &before.nft),
            ("iptables rule", &self.iptables, &before.iptables),
            ("route", &self.routes, &before.routes),
            ("mount", &self.mounts, &before.mounts),
            ("cgroup", &self.cgroups, &before.cgroups),
            ("process", &self.processes, &before.processes),
        ] {
            out.extend(now.difference(then).map(|item| format!("{kind} {item}")));
        }
        out
    }
}

fn lines(program: &str, args: &[&str], pick: impl Fn(&str) -> Option<String>) -> BTreeSet<String> {
    let output = Command::new(program).args(args).output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    text.lines().filter_map(pick).collect()
}

fn cgroups() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut queue = vec![Path::new("/sys/fs/cgroup").to_owned()];
    while let Some(dir) = queue.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                found.insert(entry.path().display().to_string());
                queue.push(entry.path());
            }
        }
    }
    found
}

/// Processes with a program of their own, by name and arguments; kernel threads and this test's own kin do not count.
fn processes() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.chars().all(|c| c.is_ascii_digit()) {
            continue;
        }
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if ["gantry", "containerd", "runc", "pause", "/server", "busybox", "kubectl"]
            .iter()
            .any(|n| command.contains(n))
            && !command.contains("deps/e2e")
            && !command.contains("nextest")
            && !command.contains("cargo")
            && !command.contains("rustc")
        {
            found.insert(format!("{name} {command}"));
        }
    }
    found
}
