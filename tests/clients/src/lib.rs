//! The frame of the tests with other people's clients: where `cargo xtask deps --test` put them, and how they are called.
//!
//! Each test has a cluster of its own, by the frame of the end-to-end tests. A client that is missing fails its test.

#![allow(clippy::disallowed_methods, reason = "tests run programs")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use e2e_tests::{Cluster, Ran, Running, finish};

/// Where the clients are: `target/tools`, seen from the test's program in `target/PROFILE/deps`.
pub fn tool(place: &str) -> PathBuf {
    let me = std::env::current_exe().expect("a test has a program");
    let target = me.ancestors().nth(3).expect("target/PROFILE/deps/clients");
    let path = target.join("tools").join(place);
    assert!(path.exists(), "{} is missing: cargo xtask deps --test", path.display());
    path
}

/// The versions of kubectl that are tried, the newest last, and where they are.
pub const KUBECTLS: [(&str, &str); 2] = [("1.32", "old/kubectl"), ("1.35", "kubectl")];

/// The versions of Helm, which update what they installed in different ways: Helm 4 applies on the server's side.
pub const HELMS: [(&str, &str); 2] = [("3.17", "old/helm"), ("4.1", "helm")];

/// One version of kubectl in a namespace of its own.
#[derive(Debug)]
pub struct Kubectl<'a> {
    pub cluster: &'a Cluster,
    /// The namespace, named after the version.
    pub namespace: String,
    program: PathBuf,
    cache: PathBuf,
}

impl<'a> Kubectl<'a> {
    /// Runs `check` with each version.
    #[track_caller]
    pub fn each(cluster: &'a Cluster, check: impl Fn(&Self)) {
        for (version, place) in KUBECTLS {
            eprintln!("-- kubectl {version}");
            check(&Self::at(cluster, version, place));
        }
    }

    #[track_caller]
    fn at(cluster: &'a Cluster, version: &str, place: &str) -> Self {
        let kubectl = Self {
            cluster,
            namespace: format!("by-{}", version.replace('.', "-")),
            program: tool(place),
            cache: cluster.data.join(format!("cache-{version}")),
        };
        kubectl.ok(&["create", "namespace", &kubectl.namespace]);
        // Pods are refused until their account is there.
        kubectl.ok(&["wait", "--for=create", "serviceaccount/default", "--timeout=60s"]);
        kubectl
    }

    /// A command with this kubectl, its cache and its namespace.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        // Options before the verb: what stands after it may be another program's.
        command
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .env("KUBE_EDITOR", "false")
            .arg(format!("--cache-dir={}", self.cache.display()))
            .arg(format!("--namespace={}", self.namespace))
            .args(args);
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        finish(self.command(args), b"")
    }

    /// What it prints when it succeeds, which it must.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        self.run(args).ok().stdout
    }

    /// As [`Kubectl::ok`], with something to read.
    #[track_caller]
    pub fn ok_with(&self, args: &[&str], input: &str) -> String {
        finish(self.command(args), input.as_bytes()).ok().stdout
    }

    /// A kubectl that goes on.
    pub fn start(&self, args: &[&str]) -> Running {
        let mut command = self.command(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(command.spawn().expect("kubectl starts"))
    }

    /// kubectl at a terminal of 40 rows and 100 columns, where someone types `input`.
    #[track_caller]
    pub fn at_terminal(&self, args: &[&str], input: &str) -> Ran {
        let quoted: Vec<String> = self
            .command(args)
            .get_args()
            .map(|arg| format!("'{}'", arg.to_string_lossy().replace('\'', r"'\''")))
            .collect();
        let line = format!("stty rows 40 cols 100; '{}' {}", self.program.display(), quoted.join(" "));
        let mut terminal = Command::new("script");
        terminal.env("KUBECONFIG", self.cluster.kubeconfig()).args(["-qec", &line, "/dev/null"]);
        finish(terminal, input.as_bytes())
    }

    /// One field by jsonpath.
    pub fn field(&self, args: &[&str], path: &str) -> String {
        let output = format!("jsonpath={path}");
        let mut all = vec!["get", "-o", &output];
        all.extend(args);
        self.ok(&all)
    }

    /// Waits until all of these pods are ready.
    #[track_caller]
    pub fn wait_ready(&self, pods: &[&str]) {
        let mut args = vec!["wait", "--for=condition=Ready", "--timeout=90s"];
        args.extend(pods);
        self.ok(&args);
    }

    /// A file in the cluster's directory of its data, to pass to a client.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.cluster.data.join(format!("{}-{name}", self.namespace));
        write(&path, text);
        path.display().to_string()
    }
}

/// Writes a file, and the folders above it.
pub fn write(path: &Path, text: &str) {
    let folder = path.parent().expect("a file is in a folder");
    std::fs::create_dir_all(folder).expect("the cluster's directory is writable");
    std::fs::write(path, text).expect("the cluster's directory is writable");
}

/// Panics unless `text` contains each of `words`.
#[track_caller]
pub fn shows(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}
