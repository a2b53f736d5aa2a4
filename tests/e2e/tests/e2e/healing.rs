//! Containers that die or fail their probes.

use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use e2e_tests::api::Api;
use e2e_tests::{Cluster, eventually, http, http_get, images};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;

/// From the failing probe's answer to the endpoint being gone. Asserted in the long form: a host that compiles besides
/// keeps no such promise.
const ENDPOINT_LIMIT: Duration = Duration::from_secs(1);

/// More events than one of these watches sees.
const EVENTS_MAX: usize = 1000;

const POD: &str = "/api/v1/namespaces/default/pods?watch=true&fieldSelector=metadata.name%3Dapp";
const SLICE: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?watch=true&labelSelector=\
                     kubernetes.io/service-name%3Dapp";

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
    readinessProbe: {{httpGet: {{path: /ready, port: 8080}}, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 1}}
    livenessProbe: {{httpGet: {{path: /live, port: 8080}}, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 1}}
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
    let service = format!("{}:80", cluster.field(&["service", "app"], "{.spec.clusterIP}"));
    eventually("the service answers", || http_get(&service, "/").ok());

    an_unready_pod_loses_its_endpoint(&cluster, &address, &service);
    a_failing_liveness_probe_restarts(&cluster, &address);
    a_killed_container_restarts_once(&cluster);
}

fn an_unready_pod_loses_its_endpoint(cluster: &Cluster, address: &str, service: &str) {
    let api = Api::of(cluster);
    let (pods, slices) = (events(&api, POD), events(&api, SLICE));
    let switched = micros(SystemTime::now());
    http(address, "PUT", "/ready/off").expect("the switch answers");
    let pod = first(&pods, "the pod is unready", |pod| {
        let conditions = pod["status"]["conditions"].as_array().expect("a pod that ran has conditions");
        conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "False")
    });
    let slice = first(&slices, "the endpoint goes", |slice| {
        slice["endpoints"].as_array().is_none_or(|all| all.iter().all(|e| e["conditions"]["ready"] == false))
    });
    eventually("the proxy sends nothing there", || http_get(service, "/").is_err().then_some(()));

    // The application says when it first failed the probe: the result that all else follows from.
    let log = cluster.kubectl(&["logs", "app"]).ok().stdout;
    let failed = log.lines().find_map(|line| line.strip_prefix("not ready at ")?.parse::<u128>().ok());
    let failed = failed.unwrap_or_else(|| panic!("the probe was never answered: {log}"));
    let since = |moment: u128| i64::try_from(moment).expect("now") - i64::try_from(failed).expect("now");
    eprintln!(
        "after the failing probe's answer: pod seen unready {} us, endpoint seen gone {} us",
        since(pod.arrived),
        since(slice.arrived)
    );
    assert!(switched <= failed && failed <= pod.arrived, "the probe fails before the pod is unready");
    assert!(failed <= slice.arrived, "the endpoint goes after the probe fails");
    assert!(pod.revision < slice.revision, "the endpoint follows from the pod's status");
    if e2e_tests::long() {
        let limit = i64::try_from(ENDPOINT_LIMIT.as_micros()).expect("it is a second");
        assert!(since(slice.arrived) <= limit, "the endpoint went after {} us", since(slice.arrived));
    }
    let unready = cluster.field(&["endpoints", "app"], "{.subsets[*].notReadyAddresses[*].ip}");
    assert_eq!(format!("{unready}:8080"), address, "upstream keeps it among those that are not ready");
    assert_eq!(container(cluster).0, 0, "a readiness probe restarts nothing");
    let said = cluster.kubectl(&["get", "events", "--field-selector", "reason=Unhealthy"]).ok();
    assert!(said.stdout.contains("Readiness probe failed: HTTP probe failed with statuscode: 503"), "{said}");

    http(address, "PUT", "/ready/on").expect("the switch answers");
    eventually("the service answers again", || http_get(service, "/").ok());
}

fn a_failing_liveness_probe_restarts(cluster: &Cluster, address: &str) {
    let (_, before) = container(cluster);
    http(address, "PUT", "/live/off").expect("the switch answers");
    let id = restarted(cluster, 1);
    assert_ne!(id, before);
}

fn a_killed_container_restarts_once(cluster: &Cluster) {
    let (count, id) = container(cluster);
    assert_eq!(count, 1);
    let pid = first_process(id.trim_start_matches("containerd://"));
    nix::sys::signal::kill(pid, Signal::SIGKILL).expect("the process is there to be killed");
    let now = restarted(cluster, 2);
    assert_ne!(now, id);
    let last = |field: &str| {
        let path = format!("{{.status.containerStatuses[0].lastState.terminated.{field}}}");
        cluster.field(&["pod", "app"], &path)
    };
    assert_eq!((last("exitCode").as_str(), last("reason").as_str()), ("137", "Error"));
    assert_eq!(last("containerID"), id, "it is this container's end that is told");
}

/// Waits until the container is ready in its life after `count` restarts, which must not be passed; its id.
fn restarted(cluster: &Cluster, count: u64) -> String {
    eventually(&format!("{count} restarts and ready"), || {
        let status = cluster.get(&["pod", "app"])["status"]["containerStatuses"][0].clone();
        assert!(status["restartCount"].as_u64() <= Some(count), "{status:#}");
        let there = status["restartCount"] == count && status["ready"] == true;
        there.then(|| status["containerID"].as_str().expect("it runs").to_owned())
    })
}

/// Restarts and id of the application's container.
fn container(cluster: &Cluster) -> (u64, String) {
    let status = cluster.get(&["pod", "app"])["status"]["containerStatuses"][0].clone();
    let id = status["containerID"].as_str().expect("the container runs").to_owned();
    (status["restartCount"].as_u64().expect("a number"), id)
}

/// A container's first process: the one of its cgroup that is number 1 in a process namespace.
fn first_process(id: &str) -> Pid {
    let is_it = |pid: i32| {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let number = read("status").lines().find_map(|line| line.strip_prefix("NSpid:").map(str::to_owned));
        read("cgroup").contains(id) && number.is_some_and(|n| n.split_whitespace().last() == Some("1"))
    };
    let numbers = std::fs::read_dir("/proc").expect("proc is mounted").flatten();
    let pid = numbers.filter_map(|e| e.file_name().to_string_lossy().parse().ok()).find(|pid| is_it(*pid));
    Pid::from_raw(pid.expect("a running container has a first process"))
}

/// An object as a watch brought it.
struct Seen {
    object: Value,
    revision: u64,
    arrived: u128,
}

fn micros(moment: SystemTime) -> u128 {
    moment.duration_since(UNIX_EPOCH).expect("the clock is set").as_micros()
}

/// What a watch brings, each with its time of arrival.
fn events(api: &Api, path: &str) -> Receiver<Seen> {
    let (give, take) = sync_channel(EVENTS_MAX);
    api.watch(path, move |event, arrived| {
        let object = event["object"].clone();
        let revision = object["metadata"]["resourceVersion"].as_str().and_then(|r| r.parse().ok());
        let seen = Seen { revision: revision.expect("a number"), arrived: micros(arrived), object };
        give.try_send(seen).is_ok()
    });
    take
}

/// The first event for which `is_it` holds.
fn first(events: &Receiver<Seen>, what: &str, is_it: impl Fn(&Value) -> bool) -> Seen {
    loop {
        let seen = events.recv_timeout(Duration::from_secs(30)).unwrap_or_else(|e| panic!("{what}: {e}"));
        if is_it(&seen.object) {
            return seen;
        }
    }
}
