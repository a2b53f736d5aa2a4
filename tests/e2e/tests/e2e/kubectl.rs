//! What people type: each verb of kubectl against one small workload.

use std::io::{BufRead as _, BufReader};
use std::process::Command;

use e2e_tests::{Cluster, eventually, finish, http_get, images};

use super::rollout::web;

#[test]
fn people_get_by_with_kubectl() {
    let cluster = Cluster::start();
    cluster.apply(&web(1));
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=90s"]).ok();
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/client", "--timeout=60s"]).ok();
    reads(&cluster);
    writes(&cluster);
    exec_and_copy(&cluster);
    logs(&cluster);
    port_forward(&cluster);
    deletes(&cluster);
}

fn reads(cluster: &Cluster) {
    let nodes = cluster.kubectl(&["get", "nodes"]).ok();
    assert!(nodes.stdout.contains(" Ready "), "{nodes}");
    let wide = cluster.kubectl(&["get", "pods", "-o", "wide"]).ok();
    for column in
        ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "NOMINATED NODE", "READINESS GATES"]
    {
        assert!(wide.stdout.contains(column), "no {column}: {wide}");
    }
    let yaml = cluster.kubectl(&["get", "deployment", "web", "-o", "yaml"]).ok();
    assert!(yaml.stdout.contains("terminationMessagePath: /dev/termination-log"), "{yaml}");
    let described = cluster.kubectl(&["describe", "deployment", "web"]).ok();
    assert!(described.stdout.contains("StrategyType:           RollingUpdate"), "{described}");
    assert!(described.stdout.contains("ScalingReplicaSet"), "{described}");
    let pod = cluster.kubectl(&["describe", "pod", "client"]).ok();
    for word in ["Scheduled", "Started", "Status:           Running", "QoS Class:"] {
        assert!(pod.stdout.contains(word), "no {word}: {pod}");
    }
    cluster.kubectl(&["describe", "node"]).ok();
    cluster.kubectl(&["describe", "service", "web"]).ok();
    let explained = cluster.kubectl(&["explain", "deployment.spec.strategy"]).ok();
    assert!(explained.stdout.contains("rollingUpdate"), "{explained}");
    cluster.kubectl(&["explain", "pod", "--recursive"]).ok();
    let all = cluster.kubectl(&["get", "all"]).ok();
    assert!(all.stdout.contains("service/kubernetes"), "{all}");
    cluster.kubectl(&["api-resources"]).ok();
    cluster.kubectl(&["api-versions"]).ok();
    cluster.kubectl(&["cluster-info"]).ok();
    let version = cluster.kubectl(&["version"]).ok();
    assert!(version.stdout.contains("v1.36.2+gantry"), "{version}");
    cluster.kubectl(&["auth", "can-i", "create", "pods"]).ok();
    cluster.kubectl(&["auth", "whoami"]).ok();
    cluster.kubectl(&["events"]).ok();
}

fn writes(cluster: &Cluster) {
    cluster.kubectl(&["label", "pod", "client", "tier=front"]).ok();
    assert_eq!(cluster.field(&["pod", "-l", "tier=front"], "{.items[*].metadata.name}"), "client");
    cluster.kubectl(&["annotate", "pod", "client", "note=hello"]).ok();
    assert_eq!(cluster.field(&["pod", "client"], "{.metadata.annotations.note}"), "hello");

    cluster.kubectl(&["create", "configmap", "settings", "--from-literal=a=1"]).ok();
    for (kind, patch) in [
        ("strategic", r#"{"data":{"b":"2"}}"#),
        ("merge", r#"{"data":{"c":"3"}}"#),
        ("json", r#"[{"op":"add","path":"/data/d","value":"4"}]"#),
    ] {
        cluster.kubectl(&["patch", "configmap", "settings", "--type", kind, "-p", patch]).ok();
    }
    assert_eq!(
        cluster.get(&["configmap", "settings"])["data"],
        serde_json::json!({"a":"1","b":"2","c":"3","d":"4"})
    );

    // An editor that changes one value.
    let mut edit = Command::new("kubectl");
    edit.env("KUBECONFIG", cluster.kubeconfig()).env("EDITOR", "sed -i s/\\\"1\\\"/\\\"one\\\"/").args([
        "edit",
        "configmap",
        "settings",
    ]);
    finish(edit, b"").ok();
    assert_eq!(cluster.field(&["configmap", "settings"], "{.data.a}"), "one");

    let applied = |value: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: applied}}\ndata: {{key: {value}}}\n")
    };
    cluster.apply(&applied("one"));
    let diff = cluster.kubectl_input(&["diff", "-f", "-"], applied("two").as_bytes());
    assert_eq!(diff.code, Some(1), "a difference ends with 1: {diff}");
    assert!(diff.stdout.contains("+  key: two"), "{diff}");
    cluster.apply(&applied("two"));
    let same = cluster.kubectl_input(&["apply", "-f", "-"], applied("two").as_bytes()).ok();
    assert!(same.stdout.contains("unchanged"), "{same}");

    cluster
        .kubectl_input(
            &["apply", "--server-side", "--field-manager=a", "-f", "-"],
            server_side("one").as_bytes(),
        )
        .ok();
    cluster
        .kubectl_input(
            &["apply", "--server-side", "--field-manager=b", "-f", "-"],
            server_side("two").as_bytes(),
        )
        .refused("conflict with \"a\"");
    cluster
        .kubectl_input(
            &["apply", "--server-side", "--force-conflicts", "--field-manager=b", "-f", "-"],
            server_side("two").as_bytes(),
        )
        .ok();
}

fn server_side(value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: owned}}\ndata: {{key: {value}}}\n")
}

fn exec_and_copy(cluster: &Cluster) {
    let echoed = cluster.kubectl(&["exec", "client", "--", "echo", "hello"]).ok();
    assert_eq!(echoed.stdout, "hello\n");
    let failed = cluster.kubectl(&["exec", "client", "--", "sh", "-c", "exit 7"]);
    assert_eq!(failed.code, Some(7), "{failed}");

    // The end of standard input reaches the container: `cat` ends, and nothing is lost on the way.
    let large: Vec<u8> = (0..300_000u32).flat_map(|i| format!("{i}\n").into_bytes()).collect();
    let counted = cluster.kubectl_input(&["exec", "-i", "client", "--", "wc", "-c"], &large).ok();
    assert_eq!(counted.stdout.trim(), large.len().to_string());

    // A terminal: `script` gives kubectl one.
    let mut terminal = Command::new("script");
    terminal.env("KUBECONFIG", cluster.kubeconfig()).args([
        "-qec",
        "kubectl exec -it client -- sh -c 'tty; stty size'",
        "/dev/null",
    ]);
    let shown = finish(terminal, b"").ok();
    assert!(shown.stdout.contains("/dev/pts/"), "{shown}");

    let local = cluster.data.join("to-copy");
    std::fs::write(&local, &large).expect("the data directory is writable");
    let back = cluster.data.join("copied-back");
    cluster.kubectl(&["cp", &local.display().to_string(), "client:/tmp/copied"]).ok();
    cluster.kubectl(&["cp", "client:/tmp/copied", &back.display().to_string()]).ok();
    assert!(std::fs::read(&back).expect("kubectl wrote it") == large, "the copy differs");
}

fn logs(cluster: &Cluster) {
    cluster.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: talker}}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n  \
         - name: sh\n    image: {}\n    command: [sh, -c, 'for i in $(seq 1 20); do echo line $i; done; sleep 1; echo late; sleep 1000']\n",
        images::BUSYBOX
    ));
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/talker", "--timeout=60s"]).ok();
    let mut follow = cluster.kubectl_start(&["logs", "-f", "talker"]);
    let reader = BufReader::new(follow.0.stdout.take().expect("stdout was piped"));
    let last = reader.lines().map_while(Result::ok).find(|line| line == "late");
    assert_eq!(last.as_deref(), Some("late"), "following shows what comes later");
    let tail = cluster.kubectl(&["logs", "talker", "--tail=2"]).ok();
    assert_eq!(tail.stdout, "line 20\nlate\n");
    let stamped = cluster.kubectl(&["logs", "talker", "--timestamps", "--tail=1"]).ok();
    assert!(stamped.stdout.contains("T") && stamped.stdout.ends_with(" late\n"), "{stamped}");
    cluster
        .kubectl(&["logs", "talker", "-c", "nobody"])
        .refused("container nobody is not valid for pod talker");
}

fn port_forward(cluster: &Cluster) {
    let mut forward = cluster.kubectl_start(&["port-forward", "service/web", "18080:80"]);
    let mut reader = BufReader::new(forward.0.stdout.take().expect("stdout was piped"));
    let mut line = String::new();
    reader.read_line(&mut line).expect("kubectl says when it forwards");
    assert!(line.contains("Forwarding from 127.0.0.1:18080"), "{line}");
    for _ in 0..3 {
        let body = http_get("127.0.0.1:18080", "/").expect("the forwarded port answers");
        assert!(body.starts_with("web-"), "{body}");
    }
}

fn deletes(cluster: &Cluster) {
    cluster.kubectl(&["delete", "configmap", "settings", "applied", "owned"]).ok();
    cluster.kubectl(&["delete", "deployment", "web", "--cascade=foreground", "--timeout=60s"]).ok();
    let left = cluster.field(&["replicasets,pods", "-l", "app=web"], "{.items[*].metadata.name}");
    assert_eq!(left, "", "in the foreground the dependents go first");
    cluster.apply(&web(2));
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=90s"]).ok();
    cluster.kubectl(&["delete", "deployment", "web", "--cascade=background"]).ok();
    eventually("the collector takes the pods", || {
        cluster.field(&["pods", "-l", "app=web"], "{.items[*].metadata.name}").is_empty().then_some(())
    });
    cluster.kubectl(&["create", "namespace", "short"]).ok();
    cluster.kubectl(&["create", "configmap", "inside", "-n", "short"]).ok();
    cluster.kubectl(&["delete", "namespace", "short", "--timeout=60s"]).ok();
}
