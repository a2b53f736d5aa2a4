//! A whole cluster on this host: how soon it serves, how soon pods are ready, and what it costs to have.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::process;

/// What was measured.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// `up` to an application that answers by its DNS name.
    pub up_to_answer: Duration,
    pub one_pod: Vec<Duration>,
    /// From the first create to the last of 30 Ready.
    pub thirty_pods: Vec<Duration>,
    pub idle_mb: f64,
    pub thirty_mb: f64,
    /// CPU seconds in 60 s of idling.
    pub idle_cpu: Duration,
}

/// A cluster with directories of its own; taken down when dropped.
#[derive(Debug)]
pub struct Cluster {
    gantry: PathBuf,
    data: PathBuf,
    run: PathBuf,
}

impl Cluster {
    pub fn new(gantry: &Path) -> Self {
        let id = std::process::id();
        Self {
            gantry: gantry.to_owned(),
            data: PathBuf::from(format!("/var/lib/gantry-bench-{id}")),
            run: PathBuf::from(format!("/run/gantry-bench-{id}")),
        }
    }

    #[allow(clippy::disallowed_methods, reason = "runs the programs that it measures")]
    pub fn gantry(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.gantry);
        command.arg("--data-dir").arg(&self.data).arg("--run-dir").arg(&self.run).args(args);
        finish(command, b"")
    }

    #[allow(clippy::disallowed_methods, reason = "runs the programs that it measures")]
    pub fn kubectl(&self, args: &[&str], input: &[u8]) -> Result<String> {
        let mut command = Command::new("kubectl");
        command.env("KUBECONFIG", self.data.join("admin.kubeconfig")).args(args);
        finish(command, input)
    }

    pub fn pid(&self) -> Result<u32> {
        let text = std::fs::read_to_string(self.run.join("gantry.pid"))?;
        text.split_whitespace().next().and_then(|p| p.parse().ok()).context("the process file is empty")
    }

    fn load_image(&self, image: &Path) -> Result<()> {
        self.gantry(&["image", "load", &image.display().to_string()]).map(|_| ())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.gantry(&["down"]) {
            eprintln!("{error:#}");
        }
    }
}

fn finish(mut command: Command, input: &[u8]) -> Result<String> {
    use std::io::Write as _;
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .with_context(|| format!("start {command:?}"))?;
    child.stdin.take().context("stdin was piped")?.write_all(input)?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!(
            "{command:?} ended with {}:\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Writes the image of the measured application: busybox, statically linked.
fn busybox_image(to: &Path) -> Result<()> {
    use cri::image_tar::{FileContent, ImageConfig, ImageFile, build};
    let program = std::fs::read("/usr/bin/busybox")
        .or_else(|_| std::fs::read("/bin/busybox"))
        .context("busybox-static is not installed; run `cargo xtask deps --test`")?;
    let mut files =
        vec![ImageFile { path: "bin/busybox".into(), mode: 0o755, content: FileContent::Bytes(program) }];
    for applet in ["sh", "httpd", "wget", "sleep", "nslookup"] {
        files.push(ImageFile {
            path: format!("bin/{applet}"),
            mode: 0o777,
            content: FileContent::Symlink("busybox".into()),
        });
    }
    let config = ImageConfig { name: IMAGE.into(), env: vec!["PATH=/bin".into()], ..ImageConfig::default() };
    std::fs::write(to, build(&config, &files))?;
    Ok(())
}

const IMAGE: &str = "gantry.local/bench:1";

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "bench"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "c", "image": IMAGE, "command": ["httpd", "-f", "-p", "8080"]}],
        },
    })
}

/// Measures a cluster; `rounds` times each kind of pod creation.
pub fn measure(gantry: &Path, rounds: usize) -> Result<Figures> {
    let mut figures = Figures::default();
    let image = std::env::temp_dir().join(format!("gantry-bench-{}.tar", std::process::id()));
    busybox_image(&image)?;
    let cluster = Cluster::new(gantry);
    let start = now();
    cluster.gantry(&["up"])?;
    cluster.load_image(&image)?;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "bench"},
        "spec": {"selector": {"app": "bench"}, "ports": [{"port": 80, "targetPort": 8080}]},
    });
    let items = json!({"apiVersion": "v1", "kind": "List", "items": [service, pod("app"), pod("client")]});
    cluster.kubectl(&["create", "-f", "-"], items.to_string().as_bytes())?;
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/app", "pod/client", "--timeout=60s"], b"")?;
    while cluster
        .kubectl(&["exec", "client", "--", "nslookup", "bench.default.svc.cluster.local"], b"")
        .is_err()
    {}
    figures.up_to_answer = now() - start;
    cluster.kubectl(&["delete", "pod", "app", "client"], b"")?;

    std::thread::sleep(Duration::from_secs(5));
    let pid = cluster.pid()?;
    figures.idle_mb = process::resident_mb(pid);
    let before = process::cpu(pid);
    std::thread::sleep(Duration::from_secs(60));
    figures.idle_cpu = process::cpu(pid) - before;

    for round in 0..rounds {
        figures.one_pod.push(pods_ready(&cluster, round, 1)?);
    }
    for round in 0..rounds.div_ceil(4) {
        figures.thirty_pods.push(pods_ready(&cluster, round, 30)?);
        if round == 0 {
            figures.thirty_mb = figures.thirty_mb.max(process::resident_mb(pid));
        }
    }
    let _ = std::fs::remove_file(image);
    Ok(figures)
}

/// Creates `n` pods at once and gives the time until the last is Ready, by the cluster's own timestamps where they are
/// fine enough and by this process's clock around a watch otherwise.
fn pods_ready(cluster: &Cluster, round: usize, n: usize) -> Result<Duration> {
    let names: Vec<String> = (0..n).map(|i| format!("bench-{n}-{round}-{i}")).collect();
    let items: Vec<Value> = names.iter().map(|name| pod(name)).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    let kubeconfig = std::fs::read_to_string(cluster.data.join("admin.kubeconfig"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let took = runtime.block_on(async {
        let client = client::Client::from_kubeconfig(&kubeconfig).await?;
        let pods = &client::resources::PODS;
        let mut watch = ready_watch(&client).await?;
        let start = now();
        let bodies: Vec<Value> =
            serde_json::from_str::<Value>(&list)?["items"].as_array().cloned().unwrap_or_default();
        for body in &bodies {
            client.create::<Value>(pods, "default", body).await?;
        }
        let mut waiting: std::collections::BTreeSet<&str> = names.iter().map(String::as_str).collect();
        while !waiting.is_empty() {
            let name = watch.next_ready().await?;
            waiting.remove(name.as_str());
        }
        anyhow::Ok(now() - start)
    })?;
    let mut delete = vec!["delete", "pod", "--wait=true"];
    delete.extend(names.iter().map(String::as_str));
    cluster.kubectl(&delete, b"")?;
    Ok(took)
}

#[allow(clippy::disallowed_methods, reason = "measures wall time of other processes")]
fn now() -> Instant {
    Instant::now()
}

/// A watch on the default namespace's pods.
pub(crate) struct ReadyWatch {
    frames: frames::Frames,
}

async fn ready_watch(client: &client::Client) -> Result<ReadyWatch> {
    Ok(ReadyWatch { frames: frames::open(client, "/api/v1/namespaces/default/pods?watch=true").await? })
}

impl ReadyWatch {
    /// The name of the next pod that is seen Ready.
    async fn next_ready(&mut self) -> Result<String> {
        loop {
            let event = self.frames.next().await?;
            let object = &event["object"];
            let ready = object["status"]["conditions"]
                .as_array()
                .is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"));
            if ready {
                return Ok(object["metadata"]["name"].as_str().unwrap_or_default().to_owned());
            }
        }
    }
}

/// Lines of a streaming answer.
mod frames {
    use anyhow::{Context as _, Result};
    use http_body_util::BodyExt as _;
    use serde_json::Value;

    pub(super) struct Frames {
        response: client::TransportResponse,
        buffer: Vec<u8>,
    }

    pub(super) async fn open(client: &client::Client, path: &str) -> Result<Frames> {
        let request = http::Request::get(path).body(Vec::new().into())?;
        let response = client.kube().send(request).await?;
        Ok(Frames { response, buffer: Vec::new() })
    }

    impl Frames {
        pub(super) async fn next(&mut self) -> Result<Value> {
            loop {
                if let Some(end) = self.buffer.iter().position(|&b| b == b'\n') {
                    let line: Vec<u8> = self.buffer.drain(..=end).collect();
                    return serde_json::from_slice(&line).context("a watch line is no JSON");
                }
                let frame = self.response.body_mut().frame().await.context("the watch ended")??;
                if let Some(data) = frame.data_ref() {
                    self.buffer.extend_from_slice(data);
                }
            }
        }
    }
}
