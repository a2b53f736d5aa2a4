//! A Deployment behind a Service: it answers by address and by name, and no request is lost while it rolls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use e2e_tests::{Cluster, eventually, http_get, images};

/// New connections a second, over all ways in.
const RATE: u64 = 200;

/// The long form rolls through the images again and again for this long.
const LONG: Duration = Duration::from_secs(180);

/// A Deployment of three behind a NodePort, of the server's image `version`, and a pod that stands by.
pub(crate) fn web(version: u32) -> String {
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
        image = images::server(version),
        busybox = images::BUSYBOX,
    )
}

#[test]
fn a_deployment_answers_and_rolls_without_losing_a_request() {
    let cluster = Cluster::start();
    cluster.apply(&web(1));
    settled(&cluster);
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

    scales(&cluster);
    rolls_under_load(&cluster, &[&by_service, &by_node]);
    undoes(&cluster, &by_service);
}

fn settled(cluster: &Cluster) {
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=120s"]).ok();
}

fn scales(cluster: &Cluster) {
    let endpoints = |n: usize| {
        eventually(&format!("{n} endpoints"), || {
            let ips = cluster.field(&["endpoints", "web"], "{.subsets[*].addresses[*].ip}");
            (ips.split_whitespace().count() == n).then_some(())
        });
    };
    for n in [5, 3] {
        cluster.kubectl(&["scale", "deployment/web", &format!("--replicas={n}")]).ok();
        settled(cluster);
        endpoints(n);
    }
}

/// Waits until every answer is of `version`, with none failing meanwhile. That old pods are going reaches the Deployment's
/// status and the proxy by separate ways, and until it has reached the proxy they answer as they should.
fn only_answers(target: &str, version: &str) {
    const IN_A_ROW: usize = 20;
    eventually(&format!("{target} is answered by{version} only"), || {
        let is_new = |_| {
            let body = http_get(target, "/").expect("it answers after the rollout");
            body.trim().ends_with(version)
        };
        (0..IN_A_ROW).all(is_new).then_some(())
    });
}

/// Sets the image to the second, third and fourth version while requests come in. Each version must answer under load
/// before the next is set, and soon after a rollout's end no other does.
fn rolls_under_load(cluster: &Cluster, targets: &[&str]) {
    let load = Load::start(targets);
    let begin = Instant::now();
    let mut rollouts = 0;
    loop {
        for number in 2..=images::SERVER_VERSIONS {
            let image = format!("server={}", images::server(number));
            cluster.kubectl(&["set", "image", "deployment/web", &image]).ok();
            settled(cluster);
            rollouts += 1;
            for target in targets {
                only_answers(target, &format!(" v{number}"));
            }
        }
        if !e2e_tests::long() || begin.elapsed() >= LONG {
            break;
        }
    }
    // Until the last of the old pods is gone: they serve on while they end.
    let all_gone = || cluster.field(&["pods", "-l", "app=web"], "{.items[*].metadata.name}");
    eventually("the old pods go", || (all_gone().split_whitespace().count() == 3).then_some(()));
    let took = begin.elapsed();
    let Seen { sent, answers, failures } = load.stop();
    eprintln!("{rollouts} rollouts, {sent} requests in {took:.1?}, answered by {answers:?}");
    assert!(
        failures.is_empty(),
        "{} of {sent} requests failed: {:?}",
        failures.len(),
        &failures[..failures.len().min(10)]
    );
    // The load was as high as it is said to be, and each version had a part in it through each way in.
    let wanted = RATE * took.as_secs() * 9 / 10;
    assert!(sent >= wanted, "only {sent} requests were sent in {took:?}, not {wanted}");
    for number in 1..=images::SERVER_VERSIONS {
        for target in targets {
            let key = ((*target).to_owned(), format!("v{number}"));
            assert!(answers.get(&key).is_some_and(|n| *n > 0), "{key:?} never answered");
        }
    }
}

fn undoes(cluster: &Cluster, address: &str) {
    let revisions = || -> Vec<u64> {
        let history = cluster.kubectl(&["rollout", "history", "deployment/web"]).ok();
        let first_word = |line: &str| line.split_whitespace().next().and_then(|word| word.parse().ok());
        history.stdout.lines().filter_map(first_word).collect()
    };
    let answers = |version: &str| {
        settled(cluster);
        only_answers(address, version);
    };
    // One revision for each image, the oldest first; that of an image that came again has moved up.
    let before = revisions();
    assert_eq!(before.len(), 4, "{before:?}");
    let last = before[3];
    if !e2e_tests::long() {
        assert_eq!(before, [1, 2, 3, 4]);
    }
    let shown =
        cluster.kubectl(&["rollout", "history", "deployment/web", &format!("--revision={}", before[2])]).ok();
    assert!(shown.stdout.contains(&images::server(3)), "{shown}");
    // To the one before.
    cluster.kubectl(&["rollout", "undo", "deployment/web"]).ok();
    answers(" v3");
    assert_eq!(revisions(), [before[0], before[1], last, last + 1]);
    // To one that is named.
    cluster.kubectl(&["rollout", "undo", "deployment/web", &format!("--to-revision={}", before[0])]).ok();
    answers(" v1");
    assert_eq!(revisions(), [before[1], last, last + 1, last + 2]);
    let current = cluster.field(&["deployment", "web"], "{.spec.template.spec.containers[0].image}");
    assert_eq!(current, images::server(1));
}

/// What came of a load.
#[derive(Default)]
struct Seen {
    sent: u64,
    /// By target and version.
    answers: BTreeMap<(String, String), u64>,
    failures: Vec<String>,
}

/// New connections at a fixed rate; every failure is kept.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<Seen>>,
}

impl Load {
    fn start(targets: &[&str]) -> Self {
        /// Enough that a slow answer does not hold up the rate.
        const WORKERS: u32 = 20;
        let stop = Arc::new(AtomicBool::new(false));
        let every = Duration::from_secs(1) * WORKERS / u32::try_from(RATE).expect("RATE is small");
        let threads = (0..WORKERS)
            .map(|worker| {
                let stop = Arc::clone(&stop);
                let targets: Vec<String> = targets.iter().map(|&target| target.to_owned()).collect();
                let mut next = Instant::now() + every * worker / WORKERS;
                thread::spawn(move || {
                    let mut seen = Seen::default();
                    // Every worker takes the targets in turn; half of them begin with the second.
                    for target in targets.iter().cycle().skip(worker as usize % targets.len()) {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        thread::sleep(next.saturating_duration_since(Instant::now()));
                        next += every;
                        seen.sent += 1;
                        match http_get(target, "/") {
                            Ok(body) => {
                                let version = body.split_whitespace().nth(1).unwrap_or("none").to_owned();
                                *seen.answers.entry((target.clone(), version)).or_default() += 1;
                            }
                            Err(error) => seen.failures.push(format!("{target}: {error}")),
                        }
                    }
                    seen
                })
            })
            .collect();
        Self { stop, threads }
    }

    fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Seen::default();
        for thread in self.threads {
            let seen = thread.join().expect("a load thread does not panic");
            all.sent += seen.sent;
            all.failures.extend(seen.failures);
            for (key, n) in seen.answers {
                *all.answers.entry(key).or_default() += n;
            }
        }
        all
    }
}
