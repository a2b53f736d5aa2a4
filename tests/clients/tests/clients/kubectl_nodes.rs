//! kubectl takes a node out of service and back: cordon, taint, drain with a disruption budget.

use client_tests::{Kubectl, shows};
use e2e_tests::{Cluster, eventually, images};

#[test]
fn kubectl_takes_a_node_out_of_service() {
    let cluster = Cluster::start();
    Kubectl::each(&cluster, |kubectl| {
        let node = kubectl.field(&["nodes"], "{.items[0].metadata.name}");
        labels(kubectl, &node);
        cordons(kubectl, &node);
        taints(kubectl, &node);
        drains(kubectl, &node);
    });
}

fn labels(kubectl: &Kubectl<'_>, node: &str) {
    kubectl.ok(&["label", "node", node, "node-role.kubernetes.io/worker="]);
    let line = kubectl.ok(&["get", "node", node, "--no-headers"]);
    assert_eq!(line.split_whitespace().nth(2), Some("worker"), "{line}");
    kubectl.ok(&["label", "node", node, "node-role.kubernetes.io/worker-"]);
    shows(
        &kubectl.ok(&["describe", "node", node]),
        &["Unschedulable:      false", "Allocated resources:", "Kubelet Version:"],
    );
}

fn cordons(kubectl: &Kubectl<'_>, node: &str) {
    shows(&kubectl.ok(&["cordon", node]), &["cordoned"]);
    shows(&kubectl.ok(&["cordon", node]), &["already cordoned"]);
    shows(&kubectl.ok(&["get", "nodes"]), &["Ready,SchedulingDisabled"]);
    kubectl.ok(&["run", "late", &format!("--image={}", images::SERVER)]);
    eventually("the scheduler says why not", || {
        let message =
            kubectl.field(&["pod/late"], "{.status.conditions[?(@.type==\"PodScheduled\")].message}");
        message.contains("1 node(s) were unschedulable").then_some(())
    });
    shows(&kubectl.ok(&["uncordon", node]), &["uncordoned"]);
    kubectl.wait_ready(&["pod/late"]);
}

fn taints(kubectl: &Kubectl<'_>, node: &str) {
    shows(&kubectl.ok(&["taint", "nodes", node, "team=a:NoSchedule"]), &["tainted"]);
    kubectl
        .run(&["taint", "nodes", node, "team=b:NoSchedule"])
        .refused("already has team taint(s) with same effect(s) and --overwrite is false");
    kubectl.ok(&["taint", "nodes", node, "team=b:NoSchedule", "--overwrite"]);
    shows(&kubectl.ok(&["describe", "node", node]), &["team=b:NoSchedule"]);
    shows(&kubectl.ok(&["taint", "nodes", node, "team-"]), &["untainted"]);
    kubectl.run(&["taint", "nodes", node, "team-"]).refused("taint \"team\" not found");
    // The pod that does not bear it has to go.
    kubectl.ok(&["taint", "nodes", node, "now=go:NoExecute"]);
    kubectl.ok(&["wait", "--for=delete", "pod/late", "--timeout=90s"]);
    kubectl.ok(&["taint", "nodes", node, "now:NoExecute-"]);
}

fn drains(kubectl: &Kubectl<'_>, node: &str) {
    let image = format!("--image={}", images::SERVER);
    kubectl.ok(&["create", "deployment", "web", &image, "--replicas=2"]);
    kubectl.ok(&["run", "alone", &image]);
    kubectl.ok(&["create", "pdb", "web", "--selector=app=web", "--min-available=2"]);
    kubectl.ok(&["rollout", "status", "deployment/web", "--timeout=90s"]);
    kubectl.wait_ready(&["pod/alone"]);
    // What a controller of budgets says too. One that nobody has looked at yet makes kubectl wait, whatever its limit is.
    let status = r#"{"status":{"observedGeneration":1,"disruptionsAllowed":0,"currentHealthy":2,"desiredHealthy":2,"expectedPods":2}}"#;
    kubectl.ok(&["patch", "pdb", "web", "--subresource=status", "--type=merge", "-p", status]);
    let refused = kubectl.run(&["drain", node]);
    assert_eq!(refused.code, Some(1));
    shows(&refused.stderr, &["cannot delete Pods that declare no controller", "/alone"]);
    let blocked = kubectl.run(&["drain", node, "--force", "--pod-selector=app=web", "--timeout=1s"]);
    assert_eq!(blocked.code, Some(1), "{blocked}");
    shows(&blocked.stderr, &["Cannot evict pod as it would violate the pod's disruption budget."]);
    assert_eq!(kubectl.field(&["deployment/web"], "{.status.readyReplicas}"), "2", "the budget holds");
    kubectl.ok(&["delete", "pdb", "web"]);
    let drain =
        ["drain", node, "--force", "--ignore-daemonsets", "--delete-emptydir-data", "--grace-period=1"];
    shows(&kubectl.ok(&drain), &["pod/alone evicted", "drained"]);
    kubectl.run(&["get", "pod", "alone"]).refused("not found");
    eventually("what comes instead finds no place", || {
        let phases = kubectl.field(&["pods", "-l", "app=web"], "{.items[*].status.phase}");
        (phases == "Pending Pending").then_some(())
    });
    kubectl.ok(&["uncordon", node]);
    kubectl.ok(&["rollout", "status", "deployment/web", "--timeout=90s"]);
    kubectl.ok(&["delete", "deployment", "web", "--cascade=foreground", "--timeout=90s"]);
}
