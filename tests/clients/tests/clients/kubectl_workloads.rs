//! kubectl runs, exposes, scales, changes and rolls workloads.

use client_tests::{Kubectl, shows};
use e2e_tests::{Cluster, eventually, http_get, images};

#[test]
fn kubectl_leads_workloads() {
    let cluster = Cluster::start();
    Kubectl::each(&cluster, |kubectl| {
        runs(kubectl);
        deploys(kubectl);
        exposes(kubectl);
        changes(kubectl);
        rolls(kubectl);
        scales(kubectl);
        waits(kubectl);
        kubectl.ok(&["delete", "all", "--all", "--wait=false"]);
    });
}

fn runs(kubectl: &Kubectl<'_>) {
    let image = format!("--image={}", images::BUSYBOX);
    let run = [
        "run",
        "solo",
        &image,
        "--restart=Never",
        "--labels=tier=one",
        "--env=WORD=open",
        "--port=80",
        "--expose",
    ];
    let mut args = run.to_vec();
    args.extend(["--command", "--", "sh", "-c", "echo $WORD; sleep 1000"]);
    shows(&kubectl.ok(&args), &["service/solo created", "pod/solo created"]);
    kubectl.wait_ready(&["pod/solo"]);
    assert_eq!(kubectl.field(&["service/solo"], "{.spec.selector}"), r#"{"tier":"one"}"#);
    eventually("the log shows it", || (kubectl.ok(&["logs", "solo"]) == "open\n").then_some(()));
    let over = r#"--overrides={"spec":{"nodeSelector":{"none":"such"}}}"#;
    kubectl.ok(&["run", "over", &image, over]);
    eventually("the scheduler says why not", || {
        let reason = kubectl.field(&["pod/over"], "{.status.conditions[0].message}");
        reason.contains("didn't match Pod's node affinity/selector").then_some(())
    });
    let printed = kubectl.ok(&["run", "unmade", &image, "--dry-run=client", "-o", "name"]);
    assert_eq!(printed, "pod/unmade\n");
    // The pod that is removed at its end: its output, and its code.
    let once =
        ["run", "once", &image, "--rm", "-i", "--restart=Never", "--quiet", "--command", "--", "sh", "-c"];
    let mut args = once.to_vec();
    args.push("read word; echo got $word; exit 3");
    let ran = e2e_tests::finish(kubectl.command(&args), b"hello\n");
    assert_eq!(ran.code, Some(3), "{ran}");
    shows(&ran.stdout, &["got hello"]);
    kubectl.run(&["get", "pod", "once"]).refused("not found");
    kubectl.ok(&["delete", "pod", "over", "solo", "--now", "--wait=false"]);
}

fn deploys(kubectl: &Kubectl<'_>) {
    let image = format!("--image={}", images::SERVER);
    kubectl.ok(&["create", "deployment", "web", &image, "--port=8080", "--replicas=1"]);
    shows(
        &kubectl.ok(&["rollout", "status", "deployment/web", "--timeout=90s"]),
        &["successfully rolled out"],
    );
    kubectl.ok(&["wait", "--for=condition=Available", "deployment/web", "--timeout=90s"]);
}

fn exposes(kubectl: &Kubectl<'_>) {
    let expose =
        ["expose", "deployment", "web", "--port=80", "--target-port=8080", "--type=NodePort", "--name=door"];
    shows(&kubectl.ok(&expose), &["service/door exposed"]);
    let node = kubectl.field(&["nodes"], r#"{.items[0].status.addresses[?(@.type=="InternalIP")].address}"#);
    let door = format!("{node}:{}", kubectl.field(&["service/door"], "{.spec.ports[0].nodePort}"));
    eventually("the exposed port answers", || {
        http_get(&door, "/").ok().filter(|body| body.starts_with("web-"))
    });
    let pod = kubectl.field(&["pods", "-l", "app=web"], "{.items[0].metadata.name}");
    kubectl.ok(&["expose", "pod", &pod, "--port=8080", "--name=one"]);
    let by_proxy = format!("/api/v1/namespaces/{}/services/door:80/proxy/", kubectl.namespace);
    shows(&kubectl.ok(&["get", "--raw", &by_proxy]), &["web-"]);
}

fn changes(kubectl: &Kubectl<'_>) {
    // Several changes, one rollout.
    kubectl.ok(&["rollout", "pause", "deployment/web"]);
    kubectl.ok(&["create", "configmap", "settings", "--from-literal=WORD=open"]);
    kubectl.ok(&["create", "serviceaccount", "robot"]);
    kubectl.ok(&["set", "env", "deployment/web", "--from=configmap/settings", "OTHER=1"]);
    shows(&kubectl.ok(&["set", "env", "deployment/web", "--list"]), &["OTHER=1", "settings, key WORD"]);
    let limits =
        ["set", "resources", "deployment/web", "--requests=cpu=10m,memory=16Mi", "--limits=memory=64Mi"];
    kubectl.ok(&limits);
    kubectl.ok(&["set", "serviceaccount", "deployment/web", "robot"]);
    kubectl.ok(&["set", "image", "deployment/web", &format!("server={}", images::server(2))]);
    kubectl.ok(&["set", "selector", "service/one", "app=web"]);
    kubectl.ok(&["create", "rolebinding", "viewers", "--clusterrole=view", "--user=jane"]);
    kubectl.ok(&["set", "subject", "rolebinding/viewers", "--user=joe"]);
    assert_eq!(kubectl.ok(&["auth", "can-i", "list", "pods", "--as=joe"]), "yes\n");
    shows(&kubectl.ok(&["label", "deployment/web", "tier=one"]), &["labeled"]);
    kubectl.run(&["label", "deployment/web", "tier=two"]).refused("--overwrite is false");
    kubectl.ok(&["label", "deployment/web", "tier=two", "--overwrite"]);
    kubectl.ok(&["annotate", "deployment/web", "kubernetes.io/change-cause=second image"]);
    let mut edit = kubectl.command(&["edit", "deployment/web"]);
    edit.env("KUBE_EDITOR", "sed -i s/terminationGracePeriodSeconds:.*/terminationGracePeriodSeconds:\\ 1/");
    shows(&e2e_tests::finish(edit, b"").ok().stdout, &["deployment.apps/web edited"]);
    kubectl.ok(&["rollout", "resume", "deployment/web"]);
    kubectl.ok(&["rollout", "status", "deployment/web", "--timeout=90s"]);
    let pod = "{.spec.template.spec.serviceAccountName} {.spec.template.spec.containers[0].resources}";
    let made = kubectl.field(&["deployment/web"], pod);
    assert_eq!(made, r#"robot {"limits":{"memory":"64Mi"},"requests":{"cpu":"10m","memory":"16Mi"}}"#);
}

fn rolls(kubectl: &Kubectl<'_>) {
    let history = kubectl.ok(&["rollout", "history", "deployment/web"]);
    shows(&history, &["REVISION  CHANGE-CAUSE", "2         second image"]);
    let revision = kubectl.ok(&["rollout", "history", "deployment/web", "--revision=1"]);
    shows(&revision, &[images::SERVER]);
    shows(&kubectl.ok(&["rollout", "undo", "deployment/web", "--to-revision=1"]), &["rolled back"]);
    kubectl.ok(&["rollout", "status", "deployment/web", "--timeout=90s"]);
    let image = "{.spec.template.spec.containers[0].image}";
    assert_eq!(kubectl.field(&["deployment/web"], image), images::SERVER);
    kubectl.ok(&["rollout", "restart", "deployment/web"]);
    kubectl.ok(&["rollout", "status", "deployment/web", "--timeout=90s"]);
    let at = kubectl.field(&["pods", "-l", "app=web"], "{.items[*].metadata.annotations}");
    shows(&at, &["kubectl.kubernetes.io/restartedAt"]);
}

fn scales(kubectl: &Kubectl<'_>) {
    kubectl
        .run(&["scale", "deployment/web", "--replicas=2", "--current-replicas=7"])
        .refused("Expected replicas to be 7, was 1");
    kubectl.ok(&["scale", "deployment/web", "--replicas=2", "--current-replicas=1", "--timeout=90s"]);
    let scale = kubectl.ok(&[
        "get",
        "deployment/web",
        "--subresource=scale",
        "-o",
        "jsonpath={.kind} {.status.replicas}",
    ]);
    assert_eq!(scale, "Scale 2");
    let patch = [
        "patch",
        "deployment",
        "web",
        "--subresource=scale",
        "--type=merge",
        "-p",
        r#"{"spec":{"replicas":1}}"#,
    ];
    kubectl.ok(&patch);
    assert_eq!(kubectl.field(&["deployment/web"], "{.spec.replicas}"), "1");
    // The option that every version has; the newer say that there is another.
    let autoscale = ["autoscale", "deployment", "web", "--min=1", "--max=3", "--cpu-percent=80"];
    shows(&kubectl.ok(&autoscale), &["autoscaled"]);
    let target = "{.spec.metrics[0].resource.target.averageUtilization} {.spec.scaleTargetRef.kind}";
    assert_eq!(kubectl.field(&["horizontalpodautoscalers.v2.autoscaling/web"], target), "80 Deployment");
    let first = kubectl
        .field(&["horizontalpodautoscalers.v1.autoscaling/web"], "{.spec.targetCPUUtilizationPercentage}");
    assert_eq!(first, "80");
    shows(&kubectl.ok(&["get", "hpa"]), &["Deployment/web", "MINPODS"]);
    shows(&kubectl.ok(&["describe", "hpa", "web"]), &["Reference:", "Deployment/web"]);
}

fn waits(kubectl: &Kubectl<'_>) {
    kubectl.ok(&["wait", "--for=create", "deployment/web", "--timeout=90s"]);
    kubectl.ok(&["wait", "--for=jsonpath={.spec.replicas}=1", "deployment/web", "--timeout=90s"]);
    let short = ["wait", "--for=condition=Nonesuch", "deployment/web", "--timeout=1s"];
    kubectl.run(&short).refused("timed out waiting for the condition on deployments/web");
    // The wait sees the end of what is being deleted.
    kubectl.ok(&[
        "patch",
        "configmap",
        "settings",
        "-p",
        r#"{"metadata":{"finalizers":["example.com/held"]}}"#,
    ]);
    kubectl.ok(&["delete", "configmap", "settings", "--wait=false"]);
    let mut gone = kubectl.start(&["wait", "--for=delete", "configmap/settings", "--timeout=90s"]);
    kubectl.ok(&["patch", "configmap", "settings", "-p", r#"{"metadata":{"finalizers":null}}"#]);
    assert!(gone.0.wait().expect("kubectl ends").success());
    kubectl.ok(&["delete", "deployment", "web", "--cascade=foreground", "--timeout=90s"]);
    let none = kubectl.field(&["pods,replicasets", "-l", "app=web"], "{.items[*].metadata.name}");
    assert_eq!(none, "", "in the foreground the dependents go first");
}
