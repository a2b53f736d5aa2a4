//! The API server as a process of its own: start, create, get, list.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use futures::stream::{self, StreamExt as _};

use crate::h2::Connection;
use crate::process;

/// Requests under way at once: as a busy cluster's clients together.
const CONCURRENCY: usize = 16;

/// What was measured.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub ready: Duration,
    pub create_cpu: Duration,
    pub get_cpu: Duration,
    pub list_cpu_per_mb: Duration,
    pub list_mb: f64,
    pub pods: usize,
}

/// A running `kube-apiserver` with data of its own; ended and removed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    dir: PathBuf,
    pub port: u16,
    pub ready: Duration,
}

impl Server {
    /// Starts it on a free port and waits until it is ready.
    #[allow(clippy::disallowed_methods, reason = "measures wall time of a child process")]
    pub async fn start(gantry: &Path) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("gantry-bench-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = std::fs::File::create(dir.join("log"))?;
        let begin = Instant::now();
        let mut command = Command::new(gantry);
        if gantry.file_name().is_none_or(|name| name != "kube-apiserver") {
            command.arg("kube-apiserver");
        }
        let child = command
            .arg(format!("--data-dir={}", dir.join("store").display()))
            .arg(format!("--cert-dir={}", dir.join("pki").display()))
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
            .arg(format!("--secure-port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("start kube-apiserver")?;
        let mut server = Self { child, dir, port, ready: Duration::ZERO };
        loop {
            if let Some(status) = server.child.try_wait()? {
                let log = std::fs::read_to_string(server.dir.join("log")).unwrap_or_default();
                bail!("kube-apiserver ended with {status}:\n{log}");
            }
            if server.is_ready().await {
                server.ready = begin.elapsed();
                return Ok(server);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn is_ready(&self) -> bool {
        let Ok(tls) = self.tls() else { return false };
        let tasks = component::Tasks::new("probe");
        let answer = async {
            let connection = Connection::open(self.port, tls, &tasks).await.ok()?;
            connection.send("GET", "/readyz", Bytes::new()).await.ok()
        }
        .await;
        tasks.kill();
        answer.is_some_and(|(status, _)| status == 200)
    }

    /// The administrator's TLS configuration, from the server's certificate directory.
    pub fn tls(&self) -> Result<rustls::ClientConfig> {
        let pki = self.dir.join("pki");
        let read =
            |name: &str| std::fs::read_to_string(pki.join(name)).with_context(|| format!("read {name}"));
        let identity = pki::Identity { certificate_pem: read("admin.crt")?, key_pem: read("admin.key")? };
        Ok(pki::tls::client_config(&read("ca.crt")?, Some(&identity))?)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Measures a server with `pods` pods.
pub async fn measure(gantry: &Path, pods: usize) -> Result<Figures> {
    let server = Server::start(gantry).await?;
    let tasks = component::Tasks::new("bench");
    let connection = Connection::open(server.port, server.tls()?, &tasks).await?;
    let mut figures = Figures { ready: server.ready, pods, ..Figures::default() };
    let account = Bytes::from_static(br#"{"metadata":{"name":"default"}}"#);
    connection.send("POST", "/api/v1/namespaces/default/serviceaccounts", account).await?;

    let before = process::cpu(server.pid());
    run(0..pods, |i| {
        let connection = connection.clone();
        async move {
            let (status, body) = connection.send("POST", "/api/v1/namespaces/default/pods", pod(i)).await?;
            if status != 201 {
                bail!("create: status {status}: {}", String::from_utf8_lossy(&body));
            }
            Ok(())
        }
    })
    .await?;
    figures.create_cpu = per(process::cpu(server.pid()) - before, pods);

    let gets = pods.max(1);
    let before = process::cpu(server.pid());
    run(0..gets, |i| {
        let connection = connection.clone();
        async move {
            let path = format!("/api/v1/namespaces/default/pods/pod-{:05}", i % pods);
            let (status, _) = connection.send("GET", &path, Bytes::new()).await?;
            if status != 200 {
                bail!("get {path}: status {status}");
            }
            Ok(())
        }
    })
    .await?;
    figures.get_cpu = per(process::cpu(server.pid()) - before, gets);

    let lists = 5;
    let before = process::cpu(server.pid());
    let mut bytes = 0;
    for _ in 0..lists {
        bytes += connection.drain("/api/v1/pods").await?;
    }
    let cpu = process::cpu(server.pid()) - before;
    #[allow(clippy::cast_precision_loss, reason = "a figure to read")]
    let mb = bytes as f64 / 1e6;
    figures.list_mb = mb / f64::from(lists);
    figures.list_cpu_per_mb = cpu.div_f64(mb);
    tasks.kill();
    Ok(figures)
}

fn per(cpu: Duration, n: usize) -> Duration {
    cpu / u32::try_from(n.max(1)).unwrap_or(u32::MAX)
}

async fn run<F, Fut>(numbers: std::ops::Range<usize>, work: F) -> Result<()>
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let mut results = stream::iter(numbers).map(work).buffer_unordered(CONCURRENCY);
    while let Some(result) = results.next().await {
        result?;
    }
    Ok(())
}

/// A pod as a Deployment of a real application makes it.
fn pod(i: usize) -> Bytes {
    let environment: Vec<_> = (0..10)
        .map(|n| serde_json::json!({"name": format!("SETTING_{n}"), "value": format!("value number {n} of the application")}))
        .collect();
    Bytes::from(
        serde_json::json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": format!("pod-{i:05}"),
                "labels": {"app": "web", "tier": "front", "pod-template-hash": "6d4b75cb6d"},
                "annotations": {"example.com/owner": "team-a", "example.com/config-hash": "0123456789abcdef"},
            },
            "spec": {
                "containers": [{
                    "name": "server",
                    "image": "registry.example.com/team-a/server:v1.2.3",
                    "env": environment,
                    "ports": [{"containerPort": 8080, "name": "http"}],
                    "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
                    "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 5},
                    "livenessProbe": {"httpGet": {"path": "/live", "port": "http"}, "periodSeconds": 10},
                    "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}],
                }],
                "volumes": [{"name": "config", "configMap": {"name": "app"}}],
            },
        })
        .to_string(),
    )
}
