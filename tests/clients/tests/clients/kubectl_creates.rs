//! `kubectl create` with each of its generators, and what was made.

use client_tests::{Kubectl, shows};
use e2e_tests::{Cluster, images};

#[test]
fn kubectl_creates_by_every_generator() {
    let cluster = Cluster::start();
    Kubectl::each(&cluster, |kubectl| {
        configuration(kubectl);
        roles(kubectl);
        workloads(kubectl);
        services(kubectl);
        limits(kubectl);
        namespaces(kubectl);
        dry_runs(kubectl);
        described(kubectl);
    });
}

/// Panics unless the field of what was made is `value`.
#[track_caller]
fn check_made(kubectl: &Kubectl<'_>, create: &[&str], object: &str, path: &str, value: &str) {
    let mut args = vec!["create"];
    args.extend(create);
    shows(&kubectl.ok(&args), &["created"]);
    assert_eq!(kubectl.field(&[object], path), value, "{object} {path}");
}

fn configuration(kubectl: &Kubectl<'_>) {
    let file = kubectl.file("settings", "a=1\n");
    let from_file = format!("--from-file=settings={file}");
    let create = ["configmap", "made", "--from-literal=b=2", &from_file];
    check_made(kubectl, &create, "configmap/made", "{.data}", r#"{"b":"2","settings":"a=1\n"}"#);
    let from_env = format!("--from-env-file={file}");
    check_made(kubectl, &["configmap", "env", &from_env], "configmap/env", "{.data.a}", "1");
    let create = ["secret", "generic", "hidden", "--from-literal=word=open", "--type=example.com/word"];
    check_made(kubectl, &create, "secret/hidden", "{.data.word} {.type}", "b3Blbg== example.com/word");
    let create = [
        "secret",
        "docker-registry",
        "pull",
        "--docker-server=r",
        "--docker-username=u",
        "--docker-password=p",
    ];
    check_made(kubectl, &create, "secret/pull", "{.type}", "kubernetes.io/dockerconfigjson");
    let (certificate, key) = certificate(kubectl);
    let (certificate, key) = (format!("--cert={certificate}"), format!("--key={key}"));
    check_made(
        kubectl,
        &["secret", "tls", "pair", &certificate, &key],
        "secret/pair",
        "{.type}",
        "kubernetes.io/tls",
    );
    check_made(kubectl, &["serviceaccount", "robot"], "serviceaccount/robot", "{.metadata.name}", "robot");
}

/// The administrator's own pair, which is as good as any.
fn certificate(kubectl: &Kubectl<'_>) -> (String, String) {
    let pem = |field: &str| {
        let path = format!("go-template={{{{index (index .users 0).user \"{field}\" | base64decode}}}}");
        kubectl.ok(&["config", "view", "--raw", "-o", &path])
    };
    let certificate = kubectl.file("tls.crt", &pem("client-certificate-data"));
    (certificate, kubectl.file("tls.key", &pem("client-key-data")))
}

fn roles(kubectl: &Kubectl<'_>) {
    let ns = &kubectl.namespace;
    let create =
        ["role", "scaler", "--verb=update,patch", "--resource=deployments.apps/scale", "--resource-name=web"];
    let rule = r#"{"apiGroups":["apps"],"resourceNames":["web"],"resources":["deployments/scale"],"verbs":["update","patch"]}"#;
    check_made(kubectl, &create, "role/scaler", "{.rules[0]}", rule);
    let robot = format!("--serviceaccount={ns}:robot");
    let create = ["rolebinding", "scalers", "--role=scaler", &robot, "--user=jane", "--group=ops"];
    check_made(kubectl, &create, "rolebinding/scalers", "{.subjects[*].kind}", "User Group ServiceAccount");
    let (role, whole) = (format!("health-{ns}"), format!("all-{ns}"));
    let create = ["clusterrole", &role, "--verb=get", "--non-resource-url=/healthz"];
    check_made(
        kubectl,
        &create,
        &format!("clusterrole/{role}"),
        "{.rules[0].nonResourceURLs[0]}",
        "/healthz",
    );
    let create = ["clusterrole", &whole, "--aggregation-rule=team=a"];
    let path = "{.aggregationRule.clusterRoleSelectors[0].matchLabels.team}";
    check_made(kubectl, &create, &format!("clusterrole/{whole}"), path, "a");
    let reference = format!("--clusterrole={role}");
    let create = ["clusterrolebinding", &role, &reference, &robot];
    check_made(kubectl, &create, &format!("clusterrolebinding/{role}"), "{.roleRef.name}", &role);
}

fn workloads(kubectl: &Kubectl<'_>) {
    let image = format!("--image={}", images::BUSYBOX);
    let create = ["deployment", "web", &image, "--replicas=2", "--port=80", "--", "sleep", "1000"];
    let path = "{.spec.replicas} {.spec.template.spec.containers[0].ports[0].containerPort}";
    check_made(kubectl, &create, "deployment/web", path, "2 80");
    check_made(kubectl, &["job", "once", &image, "--", "true"], "job/once", "{.spec.backoffLimit}", "6");
    let create = ["cronjob", "tick", &image, "--schedule=0 0 1 1 *", "--restart=Never", "--", "true"];
    check_made(kubectl, &create, "cronjob/tick", "{.spec.schedule}", "0 0 1 1 *");
    let create = ["job", "by-hand", "--from=cronjob/tick"];
    check_made(kubectl, &create, "job/by-hand", "{.metadata.ownerReferences[0].name}", "tick");
    let create = [
        "ingress",
        "door",
        "--class=front",
        "--rule=example.com/shop*=web:80,tls=pair",
        "--default-backend=web:80",
        "--annotation=a=b",
    ];
    let path = "{.spec.rules[0].http.paths[0].pathType} {.spec.tls[0].secretName} {.spec.defaultBackend.service.name}";
    check_made(kubectl, &create, "ingress/door", path, "Prefix pair web");
}

fn services(kubectl: &Kubectl<'_>) {
    let create = ["service", "clusterip", "inner", "--tcp=80:8080"];
    check_made(
        kubectl,
        &create,
        "service/inner",
        "{.spec.ports[0].targetPort} {.spec.selector.app}",
        "8080 inner",
    );
    let create = ["service", "clusterip", "headless", "--clusterip=None"];
    check_made(kubectl, &create, "service/headless", "{.spec.clusterIPs[0]}", "None");
    check_made(
        kubectl,
        &["service", "nodeport", "outer", "--tcp=80"],
        "service/outer",
        "{.spec.type}",
        "NodePort",
    );
    assert!(!kubectl.field(&["service/outer"], "{.spec.ports[0].nodePort}").is_empty());
    let create = ["service", "loadbalancer", "balanced", "--tcp=443:8443"];
    check_made(kubectl, &create, "service/balanced", "{.spec.allocateLoadBalancerNodePorts}", "true");
    let create = ["service", "externalname", "alias", "--external-name=example.com"];
    check_made(kubectl, &create, "service/alias", "{.spec.externalName}", "example.com");
}

fn limits(kubectl: &Kubectl<'_>) {
    let create = ["quota", "few", "--hard=configmaps=5,count/leases.coordination.k8s.io=3"];
    check_made(kubectl, &create, "quota/few", "{.spec.hard.configmaps}", "5");
    let create = ["quota", "scoped", "--hard=pods=20", "--scopes=BestEffort"];
    check_made(kubectl, &create, "quota/scoped", "{.spec.scopes[0]}", "BestEffort");
    let create = ["poddisruptionbudget", "most", "--selector=app=web", "--max-unavailable=50%"];
    check_made(kubectl, &create, "pdb/most", "{.spec.maxUnavailable}", "50%");
    let create = ["pdb", "least", "--selector=app=web", "--min-available=1"];
    check_made(kubectl, &create, "pdb/least", "{.spec.minAvailable}", "1");
    let class = format!("important-{}", kubectl.namespace);
    let create = ["priorityclass", &class, "--value=1000", "--description=d", "--preemption-policy=Never"];
    check_made(
        kubectl,
        &create,
        &format!("priorityclass/{class}"),
        "{.value} {.preemptionPolicy}",
        "1000 Never",
    );
}

fn namespaces(kubectl: &Kubectl<'_>) {
    let name = format!("more-{}", kubectl.namespace);
    check_made(
        kubectl,
        &["namespace", &name],
        &format!("namespace/{name}"),
        "{.spec.finalizers[0]}",
        "kubernetes",
    );
    kubectl.ok(&["delete", "namespace", &name, "--timeout=90s"]);
    kubectl.run(&["get", "namespace", &name]).refused("not found");
}

fn dry_runs(kubectl: &Kubectl<'_>) {
    let create = ["create", "configmap", "unmade", "--from-literal=a=b"];
    for form in ["client", "server"] {
        let mut args = create.to_vec();
        let option = format!("--dry-run={form}");
        args.extend([option.as_str(), "-o", "yaml"]);
        shows(&kubectl.ok(&args), &["a: b", "name: unmade"]);
        kubectl.run(&["get", "configmap", "unmade"]).refused("not found");
    }
    let mut again = vec!["create", "configmap", "made"];
    kubectl.run(&again).refused("configmaps \"made\" already exists");
    again.push("--dry-run=server");
    kubectl.run(&again).refused("configmaps \"made\" already exists");
}

fn described(kubectl: &Kubectl<'_>) {
    let kinds =
        "configmap,secret,serviceaccount,role,rolebinding,deployment,job,cronjob,ingress,service,quota,pdb";
    let text = kubectl.ok(&["describe", kinds]);
    shows(
        &text,
        &[
            "Schedule:                      0 0 1 1 *",
            "Max unavailable:  50%",
            "example.com",
            "Pods Statuses:",
        ],
    );
    let all = kubectl.ok(&["get", "all"]);
    shows(
        &all,
        &[
            "deployment.apps/web",
            "job.batch/once",
            "cronjob.batch/tick",
            "service/inner",
            "replicaset.apps/web-",
        ],
    );
    kubectl.ok(&["delete", "deployment", "web", "--wait=false"]);
}
