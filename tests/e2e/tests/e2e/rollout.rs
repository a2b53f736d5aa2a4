//! A Deployment behind a Service: it answers by address and by name, and no request is lost while it rolls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use e2e_tests::{Cluster, eventually, http_get, images};

/// New connections a second, over all ways in.
const RATE: u64 = 200;

pub(crate) fn web(version: &str) -> String {
    format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 3
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
      - name: server
        image: {image}
        env: [{{name: VERSION, value: {version}}}]
        ports: [{{containerPort: 8080, name: http}}]
        readinessProbe: {{httpGet: {{path: /ready, port: http}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  type: NodePort
  selector: {{app: web}}
  ports: [{{name: http, port: 80, targetPort: http, nodePort: 30080}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: client}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{{name: sh, image: {busybox}, command: [sleep, "100000"]}}]
"#,
        image = images::SERVER,
        busybox = images::BUSYBOX,
    )
}

#[test]
fn a_deployment_answers_and_rolls_without_losing_a_request() {
    let cluster = Cluster::start();
    cluster.apply(&web("v1"));
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=90s"]).ok();
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/client", "--timeout=60s"]).ok();

    let cluster_ip = cluster.field(&["service", "web"], "{.spec.clusterIP}");
    let node_ip =
        cluster.field(&["nodes"], r#"{.items[0].status.addresses[?(@.type=="InternalIP")].address}"#);
    let by_service = format!("{cluster_ip}:80");
    let by_node = format!("{node_ip}:30080");
    eventually("the ClusterIP answers from the host", || {
        http_get(&by_service, "/").ok().filter(|body| body.starts_with("web-") && body.trim().ends_with("v1"))
    });
    eventually("the NodePort answers from the host", || http_get(&by_node, "/").ok());
    let by_name = cluster.kubectl(&["exec", "client", "--", "wget", "-qO-", "http://web/"]).ok();
    assert!(by_name.stdout.contains("v1"), "{by_name}");
    let full = cluster
        .kubectl(&["exec", "client", "--", "wget", "-qO-", "http://web.default.svc.cluster.local/"])
        .ok();
    assert!(full.stdout.contains("v1"), "{full}");

    cluster.kubectl(&["scale", "deployment/web", "--replicas=5"]).ok();
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=90s"]).ok();
    eventually("five endpoints", || {
        let ips = cluster.field(&["endpoints", "web"], "{.subsets[*].addresses[*].ip}");
        (ips.split_whitespace().count() == 5).then_some(())
    });
    cluster.kubectl(&["scale", "deployment/web", "--replicas=3"]).ok();
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=90s"]).ok();

    let load = Load::start(vec![by_service.clone(), by_node]);
    for version in ["v2", "v3", "v4"] {
        cluster.kubectl(&["set", "env", "deployment/web", &format!("VERSION={version}")]).ok();
        cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=120s"]).ok();
        let body = http_get(&by_service, "/").expect("it answers after the rollout");
        assert!(body.trim().ends_with(version), "{body} is not of {version}");
    }
    // `set image` proper, with the same program under another tag-less name of the same image.
    cluster.kubectl(&["set", "image", "deployment/web", &format!("server={}", images::SERVER)]).ok();
    let (sent, failures) = load.stop();
    assert!(
        failures.is_empty(),
        "{} of {sent} requests failed: {:?}",
        failures.len(),
        &failures[..failures.len().min(10)]
    );
    assert!(sent > RATE, "only {sent} requests were sent");

    let history = cluster.kubectl(&["rollout", "history", "deployment/web"]).ok();
    for revision in ["1", "2", "3", "4"] {
        assert!(history.stdout.lines().any(|l| l.starts_with(revision)), "{history}");
    }
    cluster.kubectl(&["rollout", "undo", "deployment/web", "--to-revision=1"]).ok();
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=120s"]).ok();
    let body = http_get(&by_service, "/").expect("it answers after the undo");
    assert!(body.trim().ends_with("v1"), "{body}");
}

/// New connections at a fixed rate; every failure is kept.
struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    threads: Vec<thread::JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(targets: Vec<String>) -> Self {
        /// Enough that a slow answer does not hold up the rate.
        const WORKERS: u64 = 20;
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let threads = (0..WORKERS)
            .map(|worker| {
                let (stop, sent, targets) = (Arc::clone(&stop), Arc::clone(&sent), targets.clone());
                thread::spawn(move || {
                    let every = Duration::from_micros(1_000_000 * WORKERS / RATE);
                    let mut next = Instant::now()
                        + every * u32::try_from(worker).unwrap() / u32::try_from(WORKERS).unwrap();
                    let mut failures = Vec::new();
                    let mut turn = usize::try_from(worker).unwrap();
                    while !stop.load(Ordering::Relaxed) {
                        thread::sleep(next.saturating_duration_since(Instant::now()));
                        next += every;
                        turn += 1;
                        let target = &targets[turn % targets.len()];
                        sent.fetch_add(1, Ordering::Relaxed);
                        if let Err(error) = http_get(target, "/") {
                            failures.push(format!("{target}: {error}"));
                        }
                    }
                    failures
                })
            })
            .collect();
        Self { stop, sent, threads }
    }

    fn stop(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let failures =
            self.threads.into_iter().flat_map(|t| t.join().expect("a load thread does not panic")).collect();
        (self.sent.load(Ordering::Relaxed), failures)
    }
}
