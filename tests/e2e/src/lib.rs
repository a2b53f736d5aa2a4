//! The frame of the end-to-end tests: a real cluster of its own per test, real kubectl, and what was there before.
//!
//! Each cluster has directories of its own and is taken down when it goes out of scope, also by a panic. Ports are
//! upstream's, so tests run one at a time.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests run programs and wait for what is outside of this process"
)]

pub mod api;
pub mod host;
pub mod images;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Whether the long forms run: the same tests with larger numbers, and with bounds on times that hold on a quiet host.
pub fn long() -> bool {
    std::env::var_os("GANTRY_TEST_LONG").is_some_and(|value| !value.is_empty() && value != "0")
}

/// How long `eventually` waits: `GANTRY_TEST_PATIENCE` seconds, else this.
const PATIENCE_SECS_DEFAULT: u64 = 90;

/// A running one-node cluster.
#[derive(Debug)]
pub struct Cluster {
    pub data: PathBuf,
    pub run: PathBuf,
    taken_down: bool,
}

/// What a command left.
#[derive(Debug, Clone)]
pub struct Ran {
    pub command: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Panics with everything that was printed unless the command succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.code == Some(0), "{self}");
        self
    }
    /// Panics unless the command failed with `text` in what it printed.
    #[track_caller]
    pub fn refused(self, text: &str) -> Self {
        assert!(!text.is_empty(), "every text contains nothing: say what is refused");
        assert!(self.code != Some(0), "it should have been refused: {self}");
        assert!(self.stderr.contains(text) || self.stdout.contains(text), "no {text:?} in: {self}");
        self
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "`{}` ended with {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.command, self.code, self.stdout, self.stderr
        )
    }
}

/// Where cargo put the front door: beside the test's own program.
pub fn gantry() -> PathBuf {
    let me = std::env::current_exe().expect("a test has a program");
    let path = me.parent().and_then(Path::parent).expect("target/PROFILE/deps/e2e").join("gantry");
    assert!(path.exists(), "{} is missing: build the workspace first", path.display());
    path
}

impl Cluster {
    /// Starts a cluster and imports the test images.
    #[track_caller]
    pub fn start() -> Self {
        let id = std::process::id();
        let cluster = Self {
            data: PathBuf::from(format!("/var/lib/gantry-e2e-{id}")),
            run: PathBuf::from(format!("/run/gantry-e2e-{id}")),
            taken_down: false,
        };
        cluster.gantry(&["up"]).ok();
        for (name, tar) in images::all() {
            let path = cluster.data.join(format!("{name}.tar"));
            std::fs::write(&path, tar).expect("the data directory is writable");
            cluster.gantry(&["image", "load", &path.display().to_string()]).ok();
        }
        cluster
    }

    /// Runs the front door on this cluster's directories.
    pub fn gantry(&self, args: &[&str]) -> Ran {
        let mut command = Command::new(gantry());
        command.arg("--data-dir").arg(&self.data).arg("--run-dir").arg(&self.run).args(args);
        finish(command, b"")
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.data.join("admin.kubeconfig")
    }

    fn kubectl_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command
            .env("KUBECONFIG", self.kubeconfig())
            // A cache shared between clusters would show one the other's discovery.
            .arg(format!("--cache-dir={}", self.data.join("kubectl-cache").display()))
            .args(args);
        command
    }

    pub fn kubectl(&self, args: &[&str]) -> Ran {
        finish(self.kubectl_command(args), b"")
    }

    pub fn kubectl_input(&self, args: &[&str], input: &[u8]) -> Ran {
        finish(self.kubectl_command(args), input)
    }

    /// `kubectl apply -f -`, which must succeed.
    #[track_caller]
    pub fn apply(&self, yaml: &str) -> Ran {
        self.kubectl_input(&["apply", "-f", "-"], yaml.as_bytes()).ok()
    }

    /// A kubectl that goes on: `port-forward`, `logs -f`.
    pub fn kubectl_start(&self, args: &[&str]) -> Running {
        let mut command = self.kubectl_command(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(command.spawn().expect("kubectl starts"))
    }

    /// An object as JSON; `Null` when it is not there.
    pub fn get(&self, args: &[&str]) -> serde_json::Value {
        let mut all = vec!["get", "-o", "json"];
        all.extend(args);
        let ran = self.kubectl(&all);
        serde_json::from_str(&ran.stdout).unwrap_or(serde_json::Value::Null)
    }

    /// One field by jsonpath.
    pub fn field(&self, args: &[&str], path: &str) -> String {
        let output = format!("jsonpath={path}");
        let mut all = vec!["get", "-o", &output];
        all.extend(args);
        self.kubectl(&all).stdout
    }

    /// Everything that helps to see why a test failed.
    pub fn describe_all(&self) -> String {
        let mut out = String::new();
        for args in [
            &["get", "nodes,pods,svc,endpointslices,deploy,rs", "-A", "-o", "wide"][..],
            &["get", "events", "-A", "--sort-by=.lastTimestamp"],
        ] {
            let _ = writeln!(out, "{}", self.kubectl(args));
        }
        let log = std::fs::read_to_string(self.data.join("log/gantry.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let _ = writeln!(out, "--- log\n{}", lines[lines.len().saturating_sub(60)..].join("\n"));
        out
    }

    /// Takes the cluster down; what it printed is the caller's to judge.
    pub fn down(mut self) -> Ran {
        self.taken_down = true;
        self.gantry(&["down"])
    }

    /// The process of the front door.
    pub fn pid(&self) -> i32 {
        let text =
            std::fs::read_to_string(self.run.join("gantry.pid")).expect("the cluster has a process file");
        text.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("it starts with a number")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.taken_down {
            return;
        }
        if std::thread::panicking() {
            eprintln!("{}", self.describe_all());
        }
        let ran = self.gantry(&["down"]);
        if ran.code != Some(0) {
            eprintln!("{ran}");
        }
    }
}

/// A command in the background, ended when it goes out of scope.
#[derive(Debug)]
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command to its end with `input`.
pub fn finish(mut command: Command, input: &[u8]) -> Ran {
    let shown = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("start {shown}: {e}"));
    let mut stdin = child.stdin.take().expect("stdin was piped");
    let input = input.to_vec();
    let feed = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("a started child can be waited for");
    let _ = feed.join();
    Ran {
        command: shown,
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Waits until `check` gives a value. Asks again after ever longer pauses: what is awaited is outside this process.
#[track_caller]
pub fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let patience = std::env::var("GANTRY_TEST_PATIENCE").ok().and_then(|s| s.parse().ok());
    let deadline = Instant::now() + Duration::from_secs(patience.unwrap_or(PATIENCE_SECS_DEFAULT));
    let mut pause = Duration::from_millis(20);
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

/// A plain HTTP GET over a new connection; the body, or what went wrong.
pub fn http_get(address: &str, path: &str) -> Result<String, String> {
    http(address, "GET", path)
}

pub fn http(address: &str, method: &str, path: &str) -> Result<String, String> {
    use std::io::Read as _;
    let target = address.parse().map_err(|e| format!("{address}: {e}"))?;
    let limit = Duration::from_secs(5);
    let mut stream =
        std::net::TcpStream::connect_timeout(&target, limit).map_err(|e| format!("connect: {e}"))?;
    stream.set_read_timeout(Some(limit)).map_err(|e| e.to_string())?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        .map_err(|e| format!("send: {e}"))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|e| format!("receive: {e}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("no answer: {answer:?}"))?;
    let status = head.split_whitespace().nth(1).unwrap_or("");
    if status == "200" { Ok(body.to_owned()) } else { Err(format!("status {status}")) }
}
