//! kubectl asks what there is and what one may: discovery, explanations, reviews, events, and metrics that nobody serves.

use client_tests::{Kubectl, shows};
use e2e_tests::{Cluster, images};

/// As many kubectls at once when each of them asks one thing.
const AT_ONCE: usize = 4;

#[test]
fn kubectl_asks_what_there_is() {
    let cluster = Cluster::start();
    Kubectl::each(&cluster, |kubectl| {
        versions(kubectl);
        every_kind_is_explained(kubectl);
        permissions(kubectl);
        tokens(kubectl);
        events(kubectl);
        metrics_are_missing(kubectl);
    });
}

fn versions(kubectl: &Kubectl<'_>) {
    shows(&kubectl.ok(&["version"]), &["Server Version: v1.36.2+gantry"]);
    shows(&kubectl.ok(&["cluster-info"]), &["Kubernetes control plane", "is running at https://"]);
    let versions = kubectl.ok(&["api-versions"]);
    assert!(versions.lines().any(|line| line == "apps/v1"), "{versions}");
    shows(&kubectl.ok(&["get", "--raw", "/readyz?verbose"]), &["readyz check passed"]);
}

/// A row of `api-resources -o wide`.
struct Resource {
    name: String,
    version: String,
    kind: String,
}

fn resources(kubectl: &Kubectl<'_>) -> Vec<Resource> {
    let table = kubectl.ok(&["api-resources", "-o", "wide"]);
    let mut lines = table.lines();
    let head = lines.next().expect("a table has a head");
    let place = |column: &str| head.find(column).unwrap_or_else(|| panic!("no {column} in: {head}"));
    let (version, namespaced, kind, verbs, categories) =
        (place("APIVERSION"), place("NAMESPACED"), place("KIND"), place("VERBS"), place("CATEGORIES"));
    let rows: Vec<(Resource, String)> = lines
        .map(|line| {
            let cell = |from: usize, to: usize| line[from..to].trim().to_owned();
            let name = line.split_whitespace().next().unwrap_or_default().to_owned();
            let resource = Resource { name, version: cell(version, namespaced), kind: cell(kind, verbs) };
            (resource, format!("{} {}", cell(verbs, categories), line[categories..].trim()))
        })
        .collect();
    let (_, pods) = rows.iter().find(|(r, _)| r.name == "pods").expect("there are pods");
    assert_eq!(pods, "create,delete,deletecollection,get,list,patch,update,watch all");
    let (_, reviews) = rows.iter().find(|(r, _)| r.name == "tokenreviews").expect("there are reviews");
    assert_eq!(reviews.trim(), "create");
    rows.into_iter().map(|(resource, _)| resource).collect()
}

fn every_kind_is_explained(kubectl: &Kubectl<'_>) {
    let resources = resources(kubectl);
    assert!(resources.len() > 60, "kinds are missing: {}", resources.len());
    std::thread::scope(|scope| {
        for part in resources.chunks(resources.len().div_ceil(AT_ONCE)) {
            scope.spawn(move || {
                for resource in part {
                    let version = format!("--api-version={}", resource.version);
                    let text = kubectl.ok(&["explain", &resource.name, &version, "--recursive"]);
                    let kind = text.lines().find_map(|line| line.strip_prefix("KIND:")).map(str::trim);
                    assert_eq!(kind, Some(resource.kind.as_str()), "{text}");
                    shows(&text, &["DESCRIPTION:", "FIELDS:", "<string>"]);
                }
            });
        }
    });
    let field = kubectl.ok(&["explain", "pods.spec.containers.resources.limits"]);
    shows(&field, &["FIELD: limits", "map[string]Quantity"]);
    kubectl.run(&["explain", "pods.spec.nothing"]).refused("field \"nothing\" does not exist");
    let old_form = kubectl.ok(&["explain", "ingress.spec.rules", "--output=plaintext-openapiv2"]);
    shows(&old_form, &["RESOURCE: rules <[]Object>"]);
}

fn permissions(kubectl: &Kubectl<'_>) {
    shows(&kubectl.ok(&["auth", "whoami"]), &["Username", "Groups", "system:authenticated"]);
    let other = ["--as=jane", "--as-group=team", "--as-uid=7"];
    let mut whoami = vec!["auth", "whoami", "-o", "jsonpath={.status.userInfo}"];
    whoami.extend(other);
    shows(&kubectl.ok(&whoami), &[r#""username":"jane""#, r#""uid":"7""#, "team", "system:authenticated"]);
    shows(&kubectl.ok(&["auth", "can-i", "--list"]), &["Non-Resource URLs", "*.*", "[*]"]);

    kubectl.ok(&["create", "role", "reader", "--verb=get,list", "--resource=pods,pods/log"]);
    kubectl.ok(&["create", "rolebinding", "readers", "--role=reader", "--user=jane"]);
    let list = kubectl.ok(&["auth", "can-i", "--list", "--as=jane"]);
    let pods = list.lines().find(|line| line.starts_with("pods ")).unwrap_or_default();
    assert!(pods.ends_with("[get list]"), "{list}");
    shows(&list, &["selfsubjectreviews.authentication.k8s.io", "[/healthz]"]);
    assert_eq!(kubectl.ok(&["auth", "can-i", "list", "pods", "--as=jane"]), "yes\n");
    assert_eq!(kubectl.ok(&["auth", "can-i", "get", "pods", "--subresource=log", "--as=jane"]), "yes\n");
    kubectl.run(&["auth", "can-i", "delete", "pods", "--as=jane"]).refused("no");
    kubectl.run(&["get", "secrets", "--as=jane"]).refused(
        "secrets is forbidden: User \"jane\" cannot list resource \"secrets\" in API group \"\" in the namespace",
    );
    let role = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: reader, namespace: {}}}\n\
         rules: [{{apiGroups: [\"\"], resources: [secrets], verbs: [list]}}]\n",
        kubectl.namespace
    );
    shows(&kubectl.ok_with(&["auth", "reconcile", "-f", "-"], &role), &["reader reconciled"]);
    kubectl.ok(&["get", "secrets", "--as=jane"]);
}

fn tokens(kubectl: &Kubectl<'_>) {
    kubectl.ok(&["create", "serviceaccount", "robot"]);
    kubectl.ok(&["create", "secret", "generic", "anchor"]);
    let plain = kubectl.ok(&["create", "token", "robot", "--duration=20m"]);
    let bound = ["--bound-object-kind=Secret", "--bound-object-name=anchor"];
    let mut args = vec!["create", "token", "robot"];
    args.extend(bound);
    let bound = kubectl.ok(&args);
    // A certificate beside the token would win.
    let server = kubectl.ok(&["config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"]);
    let as_robot = |token: &str| {
        let (token, server) = (format!("--token={}", token.trim()), format!("--server={server}"));
        let args =
            ["--kubeconfig=/dev/null", "--insecure-skip-tls-verify", &server, &token, "auth", "whoami"];
        kubectl.run(&args)
    };
    let robot = format!("system:serviceaccount:{}:robot", kubectl.namespace);
    shows(&as_robot(&plain).ok().stdout, &[&robot, "system:serviceaccounts"]);
    shows(&as_robot(&bound).ok().stdout, &[&robot]);
    kubectl.ok(&["delete", "secret", "anchor"]);
    as_robot(&bound).refused("Unauthorized");
    as_robot(&plain).ok();
    kubectl
        .run(&["create", "token", "robot", "--duration=1m"])
        .refused("may not specify a duration less than 10 minutes");
}

fn events(kubectl: &Kubectl<'_>) {
    let image = format!("--image={}", images::BUSYBOX);
    kubectl.ok(&["run", "busy", &image, "--command", "--", "sleep", "1000"]);
    kubectl.wait_ready(&["pod/busy"]);
    // Events are written beside the pod's status.
    e2e_tests::eventually("the start of the container is told", || {
        let told = kubectl.ok(&["events", "--for=pod/busy"]);
        (told.contains("Started") && told.contains("Successfully assigned")).then_some(())
    });
    shows(&kubectl.ok(&["events", "--types=Normal"]), &["LAST SEEN", "Pod/busy"]);
    let sorted = kubectl.ok(&[
        "get",
        "events",
        "--sort-by=.lastTimestamp",
        "--field-selector=involvedObject.name=busy",
    ]);
    shows(&sorted, &["LAST SEEN", "pod/busy", "Scheduled"]);
    let none = kubectl.run(&["get", "events", "--field-selector=involvedObject.name=nobody"]).ok();
    shows(&none.stderr, &["No resources found in"]);
    shows(&kubectl.ok(&["describe", "pod", "busy"]), &["Events:", "Successfully assigned"]);
    kubectl.ok(&["delete", "pod", "busy", "--now", "--wait=false"]);
}

fn metrics_are_missing(kubectl: &Kubectl<'_>) {
    for what in ["nodes", "pods"] {
        kubectl.run(&["top", what]).refused("Metrics API not available");
    }
}
