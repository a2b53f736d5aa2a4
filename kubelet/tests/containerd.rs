//! The whole kubelet with a real containerd on this machine: processes, mounts, control groups and logs as they are. The
//! API server is in this process. Needs root and containerd: `cargo xtask test --fast` leaves it out.

#[path = "../../crates/cri/tests/support/containerd.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use client::resources::{CONFIG_MAPS, EVENTS, NODES, PODS, SECRETS};
use component::Tasks;
use kubelet::{Config, Deps, Handle, RealHost};
use serde_json::{Value, json};
use support::{BUSYBOX, Containerd, PAUSE};
use testing::{Cluster, eventually, users};

struct Rig {
    cluster: Cluster,
    containerd: Containerd,
    tasks: Tasks,
    handle: Handle,
}

impl Rig {
    async fn start(name: &str, n: u8) -> Self {
        let containerd = Containerd::start(name, n).await;
        let cluster = Cluster::api_only(env::Env::real()).await;
        cluster.start_control_plane();
        let (tasks, handle) = kubelet(&cluster, &containerd).await;
        eventually!(cluster, "a ready node", {
            let node: Value = cluster.admin.get(&NODES, "", "n1").await.map_err(|e| e.to_string())?;
            if condition(&node, "Ready") == "True" { Ok(()) } else { Err(node["status"].to_string()) }
        });
        Self { cluster, containerd, tasks, handle }
    }

    async fn restart(&mut self) {
        self.tasks.kill();
        (self.tasks, self.handle) = kubelet(&self.cluster, &self.containerd).await;
    }

    async fn pod(&self, name: &str, spec: Value) {
        let mut spec = spec;
        spec["terminationGracePeriodSeconds"] = json!(1);
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec});
        eventually!(self.cluster, "a pod can be made", {
            self.cluster.admin.create::<Value>(&PODS, "default", &pod).await.map_err(|e| e.to_string())
        });
    }

    async fn get(&self, name: &str) -> Result<Value, String> {
        self.cluster.admin.get(&PODS, "default", name).await.map_err(|e| e.to_string())
    }

    async fn wait(&self, name: &str, what: &str, check: impl Fn(&Value) -> bool) -> Value {
        let look = self.cluster.wait_for(async || {
            let pod = self.get(name).await?;
            if check(&pod) { Ok(pod) } else { Err(pod["status"].to_string()) }
        });
        match tokio::time::timeout(Duration::from_secs(60), look).await {
            Ok(Ok(pod)) => pod,
            Ok(Err(last)) => panic!("never saw {what}: {last}"),
            Err(_) => {
                let events = self.cluster.list(&EVENTS, "default").await;
                let told: Vec<String> =
                    events.iter().map(|e| format!("{} {}", e["reason"], e["message"])).collect();
                panic!("never saw {what}: {:#?} {told:#?}", self.get(name).await);
            }
        }
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

    fn log(&self, pod: &Value, container: &str) -> String {
        let meta = &pod["metadata"];
        let dir = format!("default_{}_{}", meta["name"].as_str().unwrap(), meta["uid"].as_str().unwrap());
        let path = self.containerd.dir.join("logs").join(dir).join(container).join("0.log");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        text.lines().filter_map(|l| l.splitn(4, ' ').nth(3)).map(|l| format!("{l}\n")).collect()
    }

    /// Runs a pod to its end and gives what it wrote.
    async fn output(&self, name: &str, spec: Value) -> String {
        let mut spec = spec;
        spec["restartPolicy"] = json!("Never");
        self.pod(name, spec).await;
        let pod = self
            .wait(name, "an end", |p| matches!(p["status"]["phase"].as_str(), Some("Succeeded" | "Failed")))
            .await;
        let log = self.log(&pod, "c");
        assert_eq!(pod["status"]["phase"], "Succeeded", "{log} {:#}", pod["status"]);
        self.delete(name).await;
        log
    }

    async fn end(self) {
        for pod in self.cluster.list(&PODS, "default").await {
            self.delete(pod["metadata"]["name"].as_str().unwrap()).await;
        }
        // The node forgets a pod a moment after the API has.
        let forgotten = async {
            while !self.handle.pods().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), forgotten).await.expect("the node forgets its pods");
        assert!(cri::Runtime::list_sandboxes(&self.containerd.runtime, &[]).await.unwrap().is_empty());
        for dir in ["kubelet/pods", "logs"] {
            let left: Vec<_> = std::fs::read_dir(self.containerd.dir.join(dir)).unwrap().collect();
            assert!(left.is_empty(), "{dir}: {left:?}");
        }
        let groups = format!("/sys/fs/cgroup/memory{}/kubepods/besteffort", self.containerd.cgroup_root);
        let pods = std::fs::read_dir(groups).into_iter().flatten().flatten();
        assert_eq!(pods.filter(|e| e.file_name().to_string_lossy().starts_with("pod")).count(), 0);
        self.tasks.kill();
        self.cluster.end().await;
    }
}

async fn kubelet(cluster: &Cluster, containerd: &Containerd) -> (Tasks, Handle) {
    let tasks = cluster.tasks.child("kubelet");
    let deps = Deps {
        client: cluster.connect()(users::node("n1")),
        runtime: Arc::new(containerd.runtime.clone()),
        host: Arc::new(RealHost),
        env: cluster.env.clone(),
        tasks: tasks.clone(),
    };
    let mut config = Config::new("n1");
    config.root_dir = containerd.dir.join("kubelet");
    config.container_logs_dir = containerd.dir.join("links");
    config.kubelet.pod_logs_dir = containerd.dir.join("logs");
    config.kubelet.cgroup_root.clone_from(&containerd.cgroup_root);
    config.kubelet.cluster_dns = vec!["10.96.0.10".to_owned()];
    config.kubelet.cluster_domain = "cluster.local".to_owned();
    // How full the disk of the machine is that the tests run on is none of their business.
    config.kubelet.eviction_hard = Some([("memory.available".to_owned(), "50Mi".to_owned())].into());
    config.pinned_images = vec![PAUSE.to_owned()];
    let handle = kubelet::run(config, deps).await.unwrap();
    (tasks, handle)
}

fn condition(object: &Value, kind: &str) -> String {
    let list = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = list.iter().find(|c| c["type"] == kind);
    found.and_then(|c| c["status"].as_str()).unwrap_or("none").to_owned()
}

fn shell(script: &str) -> Value {
    json!({"name": "c", "image": BUSYBOX, "command": ["sh", "-c", script]})
}

/// Stays until it is told to end.
const STAY: &str = "trap 'exit 0' TERM; while true; do sleep 0.05; done";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_run_and_leave_nothing() {
    let mut rig = Rig::start("kl", 2).await;
    let began = tokio::time::Instant::now();
    rig.pod("p", json!({"containers": [shell(STAY)]})).await;
    let pod = rig.ready("p").await;
    eprintln!("create to ready: {:?}", began.elapsed());
    assert!(pod["status"]["podIP"].as_str().unwrap().starts_with("10.99.2."));
    let id = pod["status"]["containerStatuses"][0]["containerID"].clone();
    assert!(id.as_str().unwrap().starts_with("containerd://"));

    // Restarted, it adopts.
    rig.restart().await;
    rig.pod("q", json!({"containers": [shell(STAY)]})).await;
    rig.ready("q").await;
    assert_eq!(rig.get("p").await.unwrap()["status"]["containerStatuses"][0]["containerID"], id);

    // A killed container is noticed and started again.
    let bare = id.as_str().unwrap().trim_start_matches("containerd://").to_owned();
    cri::Runtime::stop_container(&rig.containerd.runtime, &bare, Duration::ZERO).await.unwrap();
    let began = tokio::time::Instant::now();
    let pod = rig.wait("p", "a restart", |p| p["status"]["containerStatuses"][0]["restartCount"] == 1).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 137);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_see_what_the_specification_says() {
    let rig = Rig::start("ks", 3).await;
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"k": "from-map"}});
    rig.cluster.create(&CONFIG_MAPS, "default", &map).await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "from-secret"}});
    rig.cluster.create(&SECRETS, "default", &secret).await;

    let mut c = shell(
        "echo \"$A $B $M $S $N\"; test \"$IP\" = \"$(hostname -i | cut -d' ' -f1)\" && echo same-ip; grep ndots /etc/resolv.conf; hostname; grep alias /etc/hosts | cut -f1",
    );
    c["env"] = json!([{"name": "A", "value": "a"}, {"name": "B", "value": "$(A)b"},
        {"name": "M", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}},
        {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]);
    let spec = json!({"hostAliases": [{"ip": "1.2.3.4", "hostnames": ["alias"]}], "containers": [c]});
    assert_eq!(
        rig.output("env", spec).await,
        "a ab from-map from-secret env\nsame-ip\noptions ndots:5\nenv\n1.2.3.4\n"
    );

    let mut c = shell(
        "cat /m/k; echo; cat /one; echo; stat -Lc %a /s/k; cat /d/labels; echo; touch /m/x 2>/dev/null || echo read-only; stat -c '%a %g' /e; touch /e/f && stat -c %u:%g /e/f; test -s /var/run/secrets/kubernetes.io/serviceaccount/token && echo token; touch /sub/f && ls /e/inner; id -u; id -G; grep CapEff /proc/self/status | cut -f2; grep NoNewPrivs /proc/self/status | cut -f2",
    );
    c["volumeMounts"] = json!([{"name": "m", "mountPath": "/m"}, {"name": "m", "mountPath": "/one", "subPath": "k"},
        {"name": "s", "mountPath": "/s"}, {"name": "d", "mountPath": "/d"}, {"name": "e", "mountPath": "/e"},
        {"name": "e", "mountPath": "/sub", "subPath": "inner"}]);
    c["securityContext"] = json!({"capabilities": {"drop": ["ALL"]}, "allowPrivilegeEscalation": false});
    let spec = json!({
        "securityContext": {"runAsUser": 1000, "runAsGroup": 1001, "fsGroup": 2000, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "m", "configMap": {"name": "m"}}, {"name": "s", "secret": {"secretName": "s", "defaultMode": 256}},
            {"name": "d", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
            {"name": "e", "emptyDir": {}}],
        "containers": [c]});
    let expected = "from-map\nfrom-map\n440\napp=\"volumes\"\nread-only\n2777 2000\n1000:2000\ntoken\nf\n1000\n1001 2000\n0000000000000000\n1\n";
    assert_eq!(rig.output("volumes", spec).await, expected);

    // Init containers, a sidecar, limits, a read-only root.
    let mut c = shell(
        "cat /w/f; touch /x 2>/dev/null || echo ro-root; grep -q kubepods/burstable/pod /proc/1/cgroup && echo in-group; cat /sys/fs/cgroup/memory/memory.limit_in_bytes",
    );
    c["volumeMounts"] = json!([{"name": "w", "mountPath": "/w"}]);
    c["securityContext"] = json!({"readOnlyRootFilesystem": true});
    c["resources"] = json!({"requests": {"cpu": "10m"}, "limits": {"memory": "64Mi"}});
    let mut i = shell("echo one > /w/f");
    i["name"] = json!("i");
    i["volumeMounts"] = c["volumeMounts"].clone();
    let mut side = shell(STAY);
    side["name"] = json!("side");
    side["restartPolicy"] = json!("Always");
    let spec = json!({"volumes": [{"name": "w", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}],
        "initContainers": [i, side], "containers": [c]});
    let log = rig.output("init", spec).await;
    assert!(log.starts_with("one\nro-root\n"), "{log}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_messages_and_changes() {
    let rig = Rig::start("kp", 4).await;
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"k": "one"}});
    rig.cluster.create(&CONFIG_MAPS, "default", &map).await;
    let mut c = shell("httpd -p 8080 -h /www; trap 'exit 0' TERM; while true; do sleep 0.05; done");
    c["volumeMounts"] = json!([{"name": "m", "mountPath": "/m"}, {"name": "w", "mountPath": "/www"}]);
    c["ports"] = json!([{"name": "web", "containerPort": 8080}]);
    c["lifecycle"] = json!({"postStart": {"exec": {"command": ["sh", "-c", "echo ok > /www/ok"]}}});
    c["readinessProbe"] =
        json!({"httpGet": {"path": "/ok", "port": "web"}, "periodSeconds": 1, "failureThreshold": 1});
    c["livenessProbe"] = json!({"exec": {"command": ["sh", "-c", "test $(cat /m/k) != three"]}, "periodSeconds": 1, "failureThreshold": 1});
    let spec = json!({"volumes": [{"name": "m", "configMap": {"name": "m"}}, {"name": "w", "emptyDir": {}}], "containers": [c]});
    rig.pod("web", spec).await;
    let pod = rig.ready("web").await;
    let id = pod["status"]["containerStatuses"][0]["containerID"]
        .as_str()
        .unwrap()
        .trim_start_matches("containerd://")
        .to_owned();
    let exec = async |script: &str| {
        let command = ["sh", "-c", script].map(str::to_owned);
        let output = cri::Runtime::exec_sync(&rig.containerd.runtime, &id, &command, Duration::from_secs(5))
            .await
            .unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    exec("rm /www/ok").await;
    rig.wait("web", "an unready pod", |p| condition(p, "Ready") == "False").await;
    exec("touch /www/ok").await;
    rig.ready("web").await;
    // A new content, through the live volume.
    rig.cluster.patch(&CONFIG_MAPS, "default", "m", json!({"data": {"k": "two"}})).await;
    let seen = async {
        while exec("cat /m/k").await != "two" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), seen).await.expect("the volume follows");
    rig.cluster.patch(&CONFIG_MAPS, "default", "m", json!({"data": {"k": "three"}})).await;
    rig.wait("web", "a restart", |p| p["status"]["containerStatuses"][0]["restartCount"] == 1).await;

    // Last words.
    let mut c = shell("echo -n goodbye > /dev/termination-log; exit 4");
    c["terminationMessagePath"] = json!("/dev/termination-log");
    rig.pod("words", json!({"restartPolicy": "Never", "containers": [c]})).await;
    let pod = rig.wait("words", "an end", |p| p["status"]["phase"] == "Failed").await;
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!((&ended["exitCode"], &ended["message"]), (&json!(4), &json!("goodbye")));
    let mut c = shell("echo to the log; exit 5");
    c["terminationMessagePolicy"] = json!("FallbackToLogsOnError");
    rig.pod("log", json!({"restartPolicy": "Never", "containers": [c]})).await;
    let pod = rig.wait("log", "an end", |p| p["status"]["phase"] == "Failed").await;
    assert_eq!(pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"], "to the log\n");
    let links: Vec<PathBuf> =
        std::fs::read_dir(rig.containerd.dir.join("links")).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(links.iter().all(|l| l.exists()), "{links:?}");

    // Out of memory.
    let mut c = shell("exec tail /dev/zero");
    c["resources"] = json!({"limits": {"memory": "20Mi"}});
    rig.pod("oom", json!({"restartPolicy": "Never", "containers": [c]})).await;
    let pod = rig.wait("oom", "an end", |p| p["status"]["phase"] == "Failed").await;
    assert_eq!(pod["status"]["containerStatuses"][0]["state"]["terminated"]["reason"], "OOMKilled");
    assert!(Path::new(&rig.containerd.dir).exists());
    rig.end().await;
}
