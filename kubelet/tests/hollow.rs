//! The whole kubelet on a hollow node: the real API server, scheduler and controllers in one process, a paused clock, no
//! machine and no containers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use client::resources::{CONFIG_MAPS, EVENTS, LEASES, NODES, PODS};
use component::Tasks;
use cri::FakeRuntime;
use cri::fake::Script;
use kubelet::{Config, Deps, Handle, HollowHost};
use parking_lot::Mutex;
use serde_json::{Value, json};
use testing::{Cluster, eventually, users};

/// Where the node's static pods are.
const MANIFESTS: &str = "/etc/kubernetes/manifests";

struct Rig {
    cluster: Cluster,
    runtime: FakeRuntime,
    host: HollowHost,
    wire: Wire,
    tasks: Tasks,
    handle: Handle,
}

/// What happens to the kubelet's writes of pods' status.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Fate {
    #[default]
    Arrive,
    /// The next one happens, but its answer is lost; those after it do not arrive at all.
    LoseAnswer,
    Lost,
}

/// The kubelet's connection: its writes, and what becomes of them.
#[derive(Clone, Debug, Default)]
struct Wire(Arc<Mutex<(Vec<String>, Fate)>>);

impl Wire {
    fn set(&self, fate: Fate) {
        self.0.lock().1 = fate;
    }
    /// Every write since the last call whose path contains `part`.
    fn take(&self, part: &str) -> Vec<String> {
        let mut writes = std::mem::take(&mut self.0.lock().0);
        writes.retain(|w| w.contains(part));
        writes
    }
    /// Notes a request and says what becomes of it: whether it arrives, and whether its answer does.
    fn note(&self, request: &client::TransportRequest) -> (bool, bool) {
        let mut state = self.0.lock();
        let path = request.uri().path();
        if request.method() == http::Method::GET || path.ends_with("reviews") {
            return (true, true);
        }
        state.0.push(format!("{} {path}", request.method()));
        if !(path.contains("/pods/") && path.ends_with("/status")) {
            return (true, true);
        }
        match state.1 {
            Fate::Arrive => (true, true),
            Fate::LoseAnswer => {
                state.1 = Fate::Lost;
                (true, false)
            }
            Fate::Lost => (false, false),
        }
    }

    fn client(&self, cluster: &Cluster) -> client::Client {
        let node = users::node("n1");
        let inner = cluster.refusals.watch(cluster.server.service(node), "system:node:n1");
        let wire = self.clone();
        client::Client::in_process(tower::service_fn(move |request: client::TransportRequest| {
            let (arrives, answered) = wire.note(&request);
            let mut inner = inner.clone();
            async move {
                let lost = || Err(Box::<dyn std::error::Error + Send + Sync>::from("connection reset"));
                if !arrives {
                    return lost();
                }
                // In process a call itself cannot fail.
                let Ok(answer) = tower::Service::call(&mut inner, request).await;
                if answered { Ok(answer) } else { lost() }
            }
        }))
    }
}

impl Rig {
    async fn start() -> Self {
        let cluster = Cluster::simulated(1, 0).await;
        let runtime = FakeRuntime::new("n1", cluster.env.clone(), cluster.tasks.child("runtime"));
        let host = HollowHost::new("n1", [10, 0, 0, 11].into(), 4, 8 << 30);
        let wire = Wire::default();
        let (tasks, handle) = kubelet(&cluster, &wire, &runtime, &host).await;
        Self { cluster, runtime, host, wire, tasks, handle }
    }

    /// Crashes the kubelet and starts another on the same machine.
    async fn restart(&mut self) {
        self.tasks.kill();
        (self.tasks, self.handle) = kubelet(&self.cluster, &self.wire, &self.runtime, &self.host).await;
    }

    /// How often the pods' tasks have looked at their pods.
    fn steps(&self) -> u64 {
        let text = self.handle.metrics();
        let name = "kubelet_pod_worker_duration_seconds_count{operation_type=\"sync\"} ";
        let line = text.lines().find_map(|l| l.strip_prefix(name)).expect("a pod has been synced");
        line.parse().expect("a count is a number")
    }

    /// Writes a condition as somebody who is not the kubelet.
    async fn condition_by_other(&self, pod: &str, kind: &str, status: &str) {
        let body = json!({"status": {"conditions": [{"type": kind, "status": status}]}});
        let patch = client::Patch::Strategic(body);
        self.cluster.admin.patch::<Value>(&PODS, "default", pod, "status", &patch).await.unwrap();
    }

    async fn pod(&self, name: &str, spec: Value) -> Value {
        let mut spec = spec;
        for (field, value) in [("terminationGracePeriodSeconds", json!(5))] {
            if spec.get(field).is_none() {
                spec[field] = value;
            }
        }
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec});
        // The namespace's ServiceAccount comes from a controller.
        eventually!(self.cluster, "a pod can be made", {
            self.cluster.admin.create::<Value>(&PODS, "default", &pod).await.map_err(|e| e.to_string())
        })
    }

    async fn get(&self, name: &str) -> Result<Value, String> {
        self.cluster.admin.get(&PODS, "default", name).await.map_err(|e| e.to_string())
    }

    async fn wait(&self, name: &str, what: &str, check: impl Fn(&Value) -> bool) -> Value {
        eventually!(self.cluster, what, {
            let pod = self.get(name).await?;
            if check(&pod) { Ok(pod) } else { Err(pod["status"].to_string()) }
        })
    }

    async fn ready(&self, name: &str) -> Value {
        self.wait(name, "a ready pod", |pod| condition(pod, "Ready") == "True").await
    }

    async fn delete(&self, name: &str) {
        self.cluster.delete(&PODS, "default", name, None).await;
        eventually!(self.cluster, "the pod is gone", {
            match self.get(name).await {
                Ok(pod) => Err(pod.to_string()),
                Err(_) => Ok(()),
            }
        });
    }

    async fn event(&self, reason: &str) -> String {
        eventually!(self.cluster, format!("an event {reason}"), {
            let all = self.cluster.list(&EVENTS, "default").await;
            let found = all.iter().find(|e| e["reason"] == reason);
            found.map(|e| e["message"].as_str().unwrap().to_owned()).ok_or(format!("{} events", all.len()))
        })
    }

    async fn end(self) {
        self.tasks.kill();
        self.cluster.end().await;
    }
}

async fn kubelet(
    cluster: &Cluster,
    wire: &Wire,
    runtime: &FakeRuntime,
    host: &HollowHost,
) -> (Tasks, Handle) {
    let tasks = cluster.tasks.child("kubelet");
    let deps = Deps {
        client: wire.client(cluster),
        runtime: Arc::new(runtime.clone()),
        host: Arc::new(host.clone()),
        env: cluster.env.clone(),
        tasks: tasks.clone(),
    };
    let mut config = Config::new("n1");
    config.kubelet.cluster_dns = vec!["10.96.0.10".to_owned()];
    config.kubelet.cluster_domain = "cluster.local".to_owned();
    config.kubelet.static_pod_path = MANIFESTS.to_owned();
    let handle = kubelet::run(config, deps).await.unwrap();
    (tasks, handle)
}

fn condition(object: &Value, kind: &str) -> String {
    let list = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = list.iter().find(|c| c["type"] == kind);
    found.and_then(|c| c["status"].as_str()).unwrap_or("none").to_owned()
}

fn waiting(pod: &Value) -> &str {
    pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].as_str().unwrap_or_default()
}

fn one_container() -> Value {
    json!({"containers": [{"name": "c", "image": "app:1"}]})
}

#[tokio::test(start_paused = true)]
async fn a_node_registers_and_reports() {
    let rig = Rig::start().await;
    let node = eventually!(rig.cluster, "a ready node", {
        let node: Value = rig.cluster.admin.get(&NODES, "", "n1").await.map_err(|e| e.to_string())?;
        if condition(&node, "Ready") == "True" { Ok(node) } else { Err(node["status"].to_string()) }
    });
    assert_eq!(node["status"]["capacity"]["memory"], "8Gi");
    assert_eq!(node["status"]["addresses"][0], json!({"type": "InternalIP", "address": "10.0.0.11"}));
    assert_eq!(node["metadata"]["labels"]["kubernetes.io/hostname"], "n1");
    assert_eq!(node["status"]["nodeInfo"]["containerRuntimeVersion"], "fake://1.0.0");
    let lease = eventually!(rig.cluster, "a lease", {
        rig.cluster.admin.get::<Value>(&LEASES, "kube-node-lease", "n1").await.map_err(|e| e.to_string())
    });
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 40);
    let first = lease["spec"]["renewTime"].clone();
    tokio::time::sleep(Duration::from_secs(11)).await;
    let lease: Value = rig.cluster.get(&LEASES, "kube-node-lease", "n1").await;
    assert_ne!(lease["spec"]["renewTime"], first);
    rig.runtime.set_network_ready(false);
    eventually!(rig.cluster, "an unready node", {
        let node = rig.cluster.get(&NODES, "", "n1").await;
        let text = node["status"]["conditions"].to_string();
        if text.contains("container runtime network not ready: NetworkReady=false") {
            Ok(())
        } else {
            Err(text)
        }
    });
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_lives_and_leaves_nothing() {
    let rig = Rig::start().await;
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"k": "one"}});
    rig.cluster.create(&CONFIG_MAPS, "default", &map).await;
    let spec = json!({
        "containers": [{"name": "c", "image": "app:1", "resources": {"requests": {"cpu": "100m"}},
            "volumeMounts": [{"name": "m", "mountPath": "/m"}, {"name": "e", "mountPath": "/e"}]}],
        "volumes": [{"name": "m", "configMap": {"name": "m"}}, {"name": "e", "emptyDir": {"medium": "Memory"}}]});
    rig.pod("p", spec).await;
    let pod = rig.ready("p").await;
    let status = &pod["status"];
    assert_eq!((&status["phase"], &status["qosClass"]), (&json!("Running"), &json!("Burstable")));
    assert_eq!(status["hostIP"], "10.0.0.11");
    assert!(status["podIP"].as_str().unwrap().starts_with("10.244.0."), "{status}");
    assert!(status["containerStatuses"][0]["containerID"].as_str().unwrap().starts_with("fake://"));
    for kind in ["PodScheduled", "PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"] {
        assert_eq!(condition(&pod, kind), "True", "{kind}");
    }
    let dir = PathBuf::from(format!("/var/lib/kubelet/pods/{}", pod["metadata"]["uid"].as_str().unwrap()));
    let file = dir.join("volumes/kubernetes.io~configmap/m/k");
    assert_eq!(rig.host.file(&file).as_deref(), Some("one"));
    let hosts = rig.host.file(&dir.join("etc-hosts")).unwrap();
    assert!(hosts.contains(status["podIP"].as_str().unwrap()), "{hosts}");
    let token = find_token(&rig.host, &dir).expect("a token volume");
    assert!(token.split('.').count() == 3, "{token}");
    assert!(rig.host.cgroups().keys().any(|g| g.starts_with("/kubepods/burstable/pod")));

    // A changed ConfigMap reaches the volume.
    rig.cluster.patch(&CONFIG_MAPS, "default", "m", json!({"data": {"k": "two"}})).await;
    let mut tries = 0;
    while rig.host.file(&file).as_deref() != Some("two") {
        tries += 1;
        assert!(tries < 100, "the file still says {:?}", rig.host.file(&file));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    rig.delete("p").await;
    for reason in ["Pulled", "Created", "Started", "Killing"] {
        rig.event(reason).await;
    }
    let events = rig.cluster.list(&EVENTS, "default").await;
    let killing: Vec<_> = events.iter().filter(|e| e["reason"] == "Killing").map(|e| &e["count"]).collect();
    assert_eq!(killing, [1], "a container is ended once");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(rig.handle.pods().is_empty());
    assert!(rig.runtime.running().is_empty());
    assert!(cri::Runtime::list_sandboxes(&rig.runtime, &[]).await.unwrap().is_empty());
    assert!(rig.host.mounts().is_empty(), "{:?}", rig.host.mounts());
    assert!(!rig.host.cgroups().keys().any(|g| g.contains("/pod")), "{:?}", rig.host.cgroups().keys());
    assert!(cri_dir_is_empty(&rig.host), "directories are left");
    rig.end().await;
}

fn find_token(host: &HollowHost, dir: &Path) -> Option<String> {
    use kubelet::Host as _;
    let volumes = dir.join("volumes/kubernetes.io~projected");
    let name = host.list_dir(&volumes).ok()?.into_iter().next()?;
    host.file(&volumes.join(name).join("token"))
}

fn cri_dir_is_empty(host: &HollowHost) -> bool {
    use kubelet::Host as _;
    host.list_dir(Path::new("/var/lib/kubelet/pods")).unwrap().is_empty()
        && host.list_dir(Path::new("/var/log/pods")).unwrap().is_empty()
        && host.list_dir(Path::new("/var/log/containers")).unwrap().is_empty()
}

#[tokio::test(start_paused = true)]
async fn crashes_back_off() {
    let rig = Rig::start().await;
    rig.runtime.set_scripts(|_, _| Script { exit: Some((Duration::from_secs(1), 3)), ..Script::default() });
    let began = tokio::time::Instant::now();
    rig.pod("p", one_container()).await;
    let restarts = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"].as_i64().unwrap_or(0);
    let pod = rig.wait("p", "a crash loop", |pod| waiting(pod) == "CrashLoopBackOff").await;
    let status = &pod["status"]["containerStatuses"][0];
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 3);
    assert!(
        status["state"]["waiting"]["message"]
            .as_str()
            .unwrap()
            .starts_with("back-off 10s restarting failed container=c pod=p_default(")
    );
    assert!(
        rig.event("BackOff").await.starts_with("Back-off restarting failed container c in pod p_default(")
    );
    rig.wait("p", "five restarts", |pod| restarts(pod) >= 5).await;
    // At once, then after 10, 20, 40 and 80 seconds.
    let took = began.elapsed();
    assert!(took > Duration::from_secs(150) && took < Duration::from_secs(200), "{took:?}");
    rig.delete("p").await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_restarted_kubelet_adopts() {
    let mut rig = Rig::start().await;
    let spec = json!({"containers": [{"name": "c", "image": "app:1",
        "readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 5}}]});
    rig.pod("p", spec).await;
    let before = rig.ready("p").await;
    let running = rig.runtime.running();
    rig.restart().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(rig.runtime.running(), running, "the same container still runs");
    let after = rig.get("p").await.unwrap();
    assert_eq!(after["status"], before["status"], "nothing has changed for anybody");
    // One that ended while nobody looked is noticed by the next.
    rig.tasks.kill();
    rig.runtime.exit(&running[0].2, 9);
    (rig.tasks, rig.handle) = kubelet(&rig.cluster, &rig.wire, &rig.runtime, &rig.host).await;
    let pod =
        rig.wait("p", "a restart", |pod| pod["status"]["containerStatuses"][0]["restartCount"] == 1).await;
    assert_eq!(pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 9);
    // One that was deleted meanwhile goes, too.
    rig.tasks.kill();
    rig.cluster.delete(&PODS, "default", "p", None).await;
    (rig.tasks, rig.handle) = kubelet(&rig.cluster, &rig.wire, &rig.runtime, &rig.host).await;
    eventually!(rig.cluster, "the pod is gone", {
        match rig.get("p").await {
            Ok(pod) => Err(pod.to_string()),
            Err(_) => Ok(()),
        }
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(rig.runtime.running().is_empty());
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn jobs_end() {
    let rig = Rig::start().await;
    rig.runtime.set_scripts(|pod, config| {
        let name = &config.metadata.as_ref().unwrap().name;
        match (pod.name.as_str(), name.as_str()) {
            (_, "side") => Script::default(),
            ("bad", "c") => Script { exit: Some((Duration::from_secs(1), 1)), ..Script::default() },
            _ => Script { exit: Some((Duration::from_secs(1), 0)), ..Script::default() },
        }
    });
    let spec = json!({"restartPolicy": "Never",
        "initContainers": [{"name": "i", "image": "app:1"}, {"name": "side", "image": "app:1", "restartPolicy": "Always"}],
        "containers": [{"name": "c", "image": "app:1"}]});
    rig.pod("good", spec.clone()).await;
    rig.pod("bad", spec).await;
    let pod = rig.wait("good", "an end", |pod| pod["status"]["phase"] == "Succeeded").await;
    assert_eq!(pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["reason"], "Completed");
    rig.wait("bad", "an end", |pod| pod["status"]["phase"] == "Failed").await;
    // The sidecars have ended, too, and the pods stay.
    let gone = |pod: &Value| pod["status"]["initContainerStatuses"][1]["state"]["terminated"].is_object();
    rig.wait("good", "an ended sidecar", gone).await;
    assert!(rig.runtime.running().iter().all(|(pod, ..)| pod != "good"));
    rig.delete("good").await;
    rig.delete("bad").await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn probes_decide() {
    let rig = Rig::start().await;
    let spec = json!({"containers": [{"name": "c", "image": "app:1",
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 80}, "periodSeconds": 1, "failureThreshold": 1},
        "livenessProbe": {"tcpSocket": {"port": 81}, "periodSeconds": 2, "failureThreshold": 2}}]});
    rig.pod("p", spec).await;
    let pod = rig.ready("p").await;
    let ip = pod["status"]["podIP"].as_str().unwrap().to_owned();
    rig.host.set_http(&ip, 80, Some(503));
    let began = tokio::time::Instant::now();
    rig.wait("p", "an unready pod", |pod| condition(pod, "Ready") == "False").await;
    assert!(began.elapsed() <= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(
        rig.event("Unhealthy").await,
        "Readiness probe failed: HTTP probe failed with statuscode: 503"
    );
    rig.host.set_http(&ip, 80, Some(200));
    rig.ready("p").await;
    rig.host.close_port(&ip, 81);
    rig.wait("p", "a restart", |pod| pod["status"]["containerStatuses"][0]["restartCount"] == 1).await;
    let all = rig.cluster.list(&EVENTS, "default").await;
    assert!(all.iter().any(|e| e["message"] == "Container c failed liveness probe, will be restarted"));
    rig.delete("p").await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_told_and_waited_for() {
    let rig = Rig::start().await;
    let volume = json!({"containers": [{"name": "c", "image": "app:1", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        "volumes": [{"name": "v", "configMap": {"name": "late"}}]});
    rig.pod("volume", volume).await;
    let message = "MountVolume.SetUp failed for volume \"v\" : configmap \"late\" not found";
    assert_eq!(rig.event("FailedMount").await, message);
    let env = json!({"containers": [{"name": "c", "image": "app:1", "env": [
        {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "k"}}}]}]});
    rig.pod("env", env).await;
    let pod = rig.wait("env", "a config error", |pod| waiting(pod) == "CreateContainerConfigError").await;
    let status = &pod["status"]["containerStatuses"][0];
    assert_eq!(status["state"]["waiting"]["message"], "configmap \"late\" not found");
    rig.runtime.fail_pulls("bad:1", "no such image");
    rig.pod("image", json!({"containers": [{"name": "c", "image": "bad:1"}]})).await;
    rig.wait("image", "a failed pull", |pod| waiting(pod) == "ErrImagePull").await;
    rig.wait("image", "a back-off", |pod| waiting(pod) == "ImagePullBackOff").await;
    rig.pod("never", json!({"containers": [{"name": "c", "image": "none:1", "imagePullPolicy": "Never"}]}))
        .await;
    rig.wait("never", "a refusal", |pod| waiting(pod) == "ErrImageNeverPull").await;
    rig.pod("name", json!({"containers": [{"name": "c", "image": "NoName"}]})).await;
    rig.wait("name", "a refusal", |pod| waiting(pod) == "InvalidImageName").await;

    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}, "data": {"k": "v"}});
    rig.cluster.create(&CONFIG_MAPS, "default", &map).await;
    rig.ready("volume").await;
    rig.ready("env").await;
    // Pods whose containers never came up go all the same.
    for name in ["image", "never", "name"] {
        rig.delete(name).await;
    }
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_fails() {
    let rig = Rig::start().await;
    let large = json!({"nodeName": "n1", "containers": [{"name": "c", "image": "app:1", "resources": {"requests": {"cpu": "3"}}}]});
    rig.pod("first", large.clone()).await;
    rig.ready("first").await;
    rig.pod("second", large.clone()).await;
    let pod = rig.wait("second", "a refused pod", |pod| pod["status"]["phase"] == "Failed").await;
    assert_eq!(pod["status"]["reason"], "OutOfcpu");
    let message = "Pod was rejected: Node didn't have enough resource: cpu, requested: 3000, used: 3000, capacity: 4000";
    assert_eq!(pod["status"]["message"], message);
    rig.delete("first").await;
    rig.pod("third", large).await;
    rig.ready("third").await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn deletion_takes_the_grace_it_needs_and_no_more() {
    let rig = Rig::start().await;
    rig.runtime.set_scripts(|_, _| Script { stop_delay: Duration::from_secs(3), ..Script::default() });
    let spec = json!({"terminationGracePeriodSeconds": 60, "containers": [{"name": "c", "image": "app:1",
        "lifecycle": {"preStop": {"sleep": {"seconds": 4}}}}]});
    rig.pod("p", spec.clone()).await;
    rig.ready("p").await;
    let began = tokio::time::Instant::now();
    rig.delete("p").await;
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(7) && took < Duration::from_secs(9), "{took:?}");
    // A second wish shortens the first.
    rig.runtime.set_scripts(|_, _| Script { stop_delay: Duration::from_secs(50), ..Script::default() });
    rig.pod(
        "q",
        json!({"terminationGracePeriodSeconds": 60, "containers": [{"name": "c", "image": "app:1"}]}),
    )
    .await;
    rig.ready("q").await;
    rig.cluster.delete(&PODS, "default", "q", None).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let params = client::DeleteParams { grace_period_seconds: Some(1), ..Default::default() };
    let began = tokio::time::Instant::now();
    rig.cluster.admin.delete(&PODS, "default", "q", &params).await.unwrap();
    eventually!(rig.cluster, "the pod is gone", {
        match rig.get("q").await {
            Ok(pod) => Err(pod.to_string()),
            Err(_) => Ok(()),
        }
    });
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn deadlines_and_lost_sandboxes() {
    let rig = Rig::start().await;
    rig.pod("late", json!({"activeDeadlineSeconds": 20, "containers": [{"name": "c", "image": "app:1"}]}))
        .await;
    rig.ready("late").await;
    let pod = rig.wait("late", "a failed pod", |pod| pod["status"]["phase"] == "Failed").await;
    assert_eq!(pod["status"]["reason"], "DeadlineExceeded");
    rig.pod("p", one_container()).await;
    let before = rig.ready("p").await;
    rig.runtime.reboot();
    let pod = rig.wait("p", "a new sandbox", |pod| {
        condition(pod, "Ready") == "True" && pod["status"]["podIP"] != before["status"]["podIP"]
    });
    let pod = pod.await;
    assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 1);
    assert_eq!(pod["status"]["podIPs"].as_array().unwrap().len(), 1, "{}", pod["status"]["podIPs"]);
    rig.event("SandboxChanged").await;
    let counts: BTreeMap<String, usize> =
        rig.runtime.running().into_iter().fold(BTreeMap::new(), |mut m, (pod, ..)| {
            *m.entry(pod).or_default() += 1;
            m
        });
    assert_eq!(counts, [("p".to_owned(), 1)].into());
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_others_write_into_a_status_is_corrected() {
    let rig = Rig::start().await;
    rig.pod("p", one_container()).await;
    let before = rig.ready("p").await;
    // As the node lifecycle controller does when it has heard nothing of a node.
    rig.condition_by_other("p", "Ready", "False").await;
    let after = rig.ready("p").await;
    assert_eq!(after["status"]["containerStatuses"], before["status"]["containerStatuses"]);
    // Conditions that are not the kubelet's stay as they are.
    rig.condition_by_other("p", "example.com/gate", "True").await;
    rig.condition_by_other("p", "ContainersReady", "False").await;
    let fixed = |pod: &Value| condition(pod, "ContainersReady") == "True";
    let pod = rig.wait("p", "a corrected condition", fixed).await;
    assert_eq!(condition(&pod, "example.com/gate"), "True");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_counts() {
    let rig = Rig::start().await;
    let spec = json!({"containers": [{"name": "c", "image": "app:1",
        "readinessProbe": {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1, "failureThreshold": 1}}]});
    rig.pod("p", spec).await;
    let pod = rig.ready("p").await;
    let ip = pod["status"]["podIP"].as_str().unwrap().to_owned();
    tokio::time::sleep(Duration::from_secs(2)).await;
    rig.wire.set(Fate::LoseAnswer);
    rig.host.set_http(&ip, 80, Some(503));
    rig.wait("p", "an unready pod", |pod| condition(pod, "Ready") == "False").await;
    // Ready again before the kubelet can have heard that its write happened.
    rig.host.set_http(&ip, 80, Some(200));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(condition(&rig.get("p").await.unwrap(), "Ready"), "False");
    rig.wire.set(Fate::Arrive);
    rig.ready("p").await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_at_rest_costs_nothing() {
    let rig = Rig::start().await;
    rig.pod("p", one_container()).await;
    rig.ready("p").await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    rig.wire.take("");
    let steps = rig.steps();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    // Of an hour: its token is renewed once or twice, which is a write and a look at its start and at its end.
    let writes = rig.wire.take("");
    let of_pods: Vec<&String> =
        writes.iter().filter(|w| w.contains("/pods") || w.contains("/events")).collect();
    assert!(of_pods.is_empty(), "{of_pods:?}");
    let tokens = writes.iter().filter(|w| w.ends_with("/token")).count();
    assert!((1..=2).contains(&tokens), "{writes:?}");
    let leases = writes.iter().filter(|w| w.contains("/leases/")).count();
    assert!((355..=365).contains(&leases), "{leases}");
    let nodes = writes.iter().filter(|w| w.contains("/nodes/")).count();
    assert!(nodes <= 13, "{nodes}");
    assert_eq!(writes.len(), tokens + leases + nodes, "{writes:?}");
    let n = rig.steps() - steps;
    assert!(n <= 6, "{n} steps");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn changes_by_others_cost_a_bounded_number_of_steps() {
    let rig = Rig::start().await;
    rig.pod("p", one_container()).await;
    rig.ready("p").await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    rig.wire.take("");
    let steps = rig.steps();
    // What does not concern the status is not answered by a write of it.
    for i in 0..20 {
        let body = json!({"metadata": {"annotations": {"touched": i.to_string()}}});
        rig.cluster.patch(&PODS, "default", "p", body).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert_eq!(rig.wire.take("/pods/"), Vec::<String>::new());
    let n = rig.steps() - steps;
    assert!(n <= 20 * 3, "{n} steps for 20 touches");
    // A condition of the kubelet's is answered once.
    let steps = rig.steps();
    for _ in 0..20 {
        rig.condition_by_other("p", "Ready", "False").await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(condition(&rig.get("p").await.unwrap(), "Ready"), "True");
    }
    let writes = rig.wire.take("/pods/");
    assert_eq!(writes.len(), 20, "{writes:?}");
    let n = rig.steps() - steps;
    assert!(n <= 20 * 5, "{n} steps for 20 corrections");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn static_pods_run_and_are_mirrored() {
    use kubelet::Host as _;
    let mut rig = Rig::start().await;
    let file = Path::new(MANIFESTS).join("web.yaml");
    let write = |rig: &Rig, image: &str| {
        let text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec:\n  terminationGracePeriodSeconds: 3\n  \
             containers: [{{name: c, image: '{image}'}}]\n"
        );
        rig.host.make_dir(Path::new(MANIFESTS), None).unwrap();
        rig.host.write_file(&file, text.as_bytes(), 0o600).unwrap();
    };
    write(&rig, "app:1");
    let first = rig.ready("web-n1").await;
    let hash = first["metadata"]["annotations"]["kubernetes.io/config.mirror"].as_str().unwrap().to_owned();
    assert_eq!(first["metadata"]["annotations"]["kubernetes.io/config.source"], "file");
    assert_ne!(first["metadata"]["uid"], hash.as_str());
    assert_eq!(first["status"]["phase"], "Running");
    let running = rig.runtime.running();
    assert_eq!(running.len(), 1);

    // Whoever deletes the mirror gets another one, and the containers do not notice.
    rig.cluster.delete(&PODS, "default", "web-n1", None).await;
    let other =
        |pod: &Value| pod["metadata"]["uid"] != first["metadata"]["uid"] && condition(pod, "Ready") == "True";
    rig.wait("web-n1", "another mirror", other).await;
    assert_eq!(rig.runtime.running(), running);

    // A restarted kubelet goes on with both.
    rig.restart().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    rig.ready("web-n1").await;
    assert_eq!(rig.runtime.running(), running);
    rig.wire.take("");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(rig.wire.take("/pods"), Vec::<String>::new(), "a static pod at rest writes nothing");

    // Another manifest is another pod.
    write(&rig, "app:2");
    let changed =
        |pod: &Value| pod["spec"]["containers"][0]["image"] == "app:2" && condition(pod, "Ready") == "True";
    let second = rig.wait("web-n1", "the changed pod", changed).await;
    assert_ne!(second["metadata"]["annotations"]["kubernetes.io/config.hash"], hash.as_str());
    assert_eq!(rig.runtime.running().len(), 1);

    // Without a manifest there is neither pod nor mirror.
    rig.host.remove_file(&file).unwrap();
    eventually!(rig.cluster, "the mirror is gone", {
        match rig.get("web-n1").await {
            Ok(pod) => Err(pod.to_string()),
            Err(_) => Ok(()),
        }
    });
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(rig.runtime.running().is_empty());
    rig.end().await;
}
