//! Containers that die or fail their probes.

use std::time::{Duration, Instant};

use e2e_tests::{Cluster, eventually, http, images};

#[test]
fn what_dies_is_restarted_and_what_is_not_ready_gets_no_traffic() {
    let cluster = Cluster::start();
    cluster.apply(&format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{name: app, labels: {{app: app}}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: server
    image: {image}
    readinessProbe: {{httpGet: {{path: /ready, port: 8080}}, periodSeconds: 1, failureThreshold: 1}}
    livenessProbe: {{httpGet: {{path: /live, port: 8080}}, periodSeconds: 1, failureThreshold: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: app}}
spec:
  selector: {{app: app}}
  ports: [{{port: 80, targetPort: 8080}}]
"#,
        image = images::SERVER
    ));
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/app", "--timeout=60s"]).ok();
    let address = format!("{}:8080", cluster.field(&["pod", "app"], "{.status.podIP}"));
    let endpoints = || cluster.field(&["endpoints", "app"], "{.subsets[*].addresses[*].ip}");
    eventually("the endpoint appears", || (!endpoints().is_empty()).then_some(()));

    // Unready: the endpoint goes, and within a second of the pod being seen unready.
    http(&address, "PUT", "/ready/off").expect("the switch answers");
    cluster.kubectl(&["wait", "--for=condition=Ready=false", "pod/app", "--timeout=30s"]).ok();
    let unready = Instant::now();
    eventually("the endpoint goes", || endpoints().is_empty().then_some(()));
    // Two kubectl calls are in this figure.
    let took = unready.elapsed();
    eprintln!("endpoint gone {took:?} after the pod was seen unready");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(cluster.field(&["pod", "app"], "{.status.containerStatuses[0].restartCount}"), "0");
    http(&address, "PUT", "/ready/on").expect("the switch answers");
    eventually("the endpoint comes back", || (!endpoints().is_empty()).then_some(()));

    // A failing liveness probe restarts.
    http(&address, "PUT", "/live/off").expect("the switch answers");
    let restarts = || cluster.field(&["pod", "app"], "{.status.containerStatuses[0].restartCount}");
    eventually("the probe restarts the container", || (restarts() == "1").then_some(()));
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/app", "--timeout=60s"]).ok();

    // A killed container restarts, and says why it ended.
    let _ = cluster.kubectl(&["exec", "app", "--", "sh", "-c", "kill -9 $(pidof server || echo 1)"]);
    let id = cluster.field(&["pod", "app"], "{.status.containerStatuses[0].containerID}");
    let pid = container_pid(id.trim_start_matches("containerd://"));
    if let Some(pid) = pid {
        std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().expect("kill runs");
    }
    eventually("the killed container comes back", || (restarts() == "2").then_some(()));
    let code = cluster.field(&["pod", "app"], "{.status.containerStatuses[0].lastState.terminated.exitCode}");
    assert_eq!(code, "137");
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/app", "--timeout=60s"]).ok();
    let previous = cluster.kubectl(&["logs", "app", "--previous"]).ok();
    assert!(previous.stdout.contains("serving"), "{previous}");
}

/// The first process of a container, found by the cgroup that carries the container's id.
fn container_pid(id: &str) -> Option<i32> {
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_string_lossy().parse().ok()?;
        let cgroup = std::fs::read_to_string(entry.path().join("cgroup")).ok()?;
        cgroup.contains(id).then_some(pid)
    })
}
