//! kubectl applies, compares, prunes and replaces what stands in files and in folders of kustomize.

use client_tests::{Kubectl, shows, write};
use e2e_tests::Cluster;

#[test]
fn kubectl_applies_what_stands_in_files() {
    let cluster = Cluster::start();
    Kubectl::each(&cluster, |kubectl| {
        compares(kubectl);
        applies_on_the_server(kubectl);
        takes_over_from_itself(kubectl);
        remembers_what_was_applied(kubectl);
        prunes_by_label(kubectl);
        prunes_by_set(kubectl);
        replaces(kubectl);
        builds_by_kustomize(kubectl);
        checks_fields(kubectl);
    });
}

/// ConfigMaps of these names with one value.
fn maps(names: &[&str], value: &str) -> String {
    let one = |name: &&str| {
        format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, labels: {{of: maps}}}}\ndata: {{key: {value}}}\n"
        )
    };
    names.iter().map(one).collect()
}

fn names(kubectl: &Kubectl<'_>, selector: &str) -> String {
    kubectl.field(&["configmaps", "-l", selector], "{.items[*].metadata.name}")
}

fn compares(kubectl: &Kubectl<'_>) {
    let (now, then) = (maps(&["a", "b"], "one"), kubectl.file("then.yaml", &maps(&["a", "b", "c"], "two")));
    kubectl.ok_with(&["apply", "-f", "-"], &now);
    assert_eq!(kubectl.ok_with(&["diff", "-f", "-"], &now), "", "nothing differs");
    for side in ["--server-side=false", "--server-side=true"] {
        let differs = kubectl.run(&["diff", side, "-f", &then]);
        assert_eq!(differs.code, Some(1), "a difference ends with 1: {differs}");
        shows(&differs.stdout, &["-  key: one", "+  key: two", "+  name: c"]);
    }
    assert_eq!(names(kubectl, "of=maps"), "a b", "a comparison makes nothing");
    let same = kubectl.ok_with(&["apply", "-f", "-"], &now);
    assert_eq!(same, "configmap/a unchanged\nconfigmap/b unchanged\n");
    kubectl.ok_with(&["delete", "-f", "-"], &now);
}

fn applies_on_the_server(kubectl: &Kubectl<'_>) {
    let apply = |manager: &str, value: &str, more: &[&str]| {
        let file = kubectl.file("owned.yaml", &maps(&["owned"], value));
        let manager = format!("--field-manager={manager}");
        let mut args = vec!["apply", "--server-side", &manager, "-f", &file];
        args.extend(more);
        kubectl.run(&args)
    };
    shows(&apply("a", "one", &[]).ok().stdout, &["configmap/owned serverside-applied"]);
    let conflict = apply("b", "two", &[]);
    assert_eq!(conflict.code, Some(1));
    shows(
        &conflict.stderr,
        &["Apply failed with 1 conflict: conflict with \"a\": .data.key", "--force-conflicts"],
    );
    apply("b", "one", &[]).ok();
    let shared =
        kubectl.field(&["configmap/owned", "--show-managed-fields"], "{.metadata.managedFields[*].manager}");
    let managers: std::collections::BTreeSet<&str> = shared.split(' ').collect();
    assert_eq!(managers, ["a", "b"].into(), "who applies the same value shares it");
    apply("b", "two", &["--force-conflicts"]).ok();
    assert_eq!(kubectl.field(&["configmap/owned"], "{.data.key}"), "two");
    apply("c", "three", &["--force-conflicts", "--dry-run=server"]).ok();
    assert_eq!(kubectl.field(&["configmap/owned"], "{.data.key}"), "two", "a dry run changes nothing");
    kubectl.ok(&["delete", "configmap", "owned"]);
}

/// What was applied by the client first goes on by the server without a conflict with oneself.
fn takes_over_from_itself(kubectl: &Kubectl<'_>) {
    kubectl.ok_with(&["apply", "-f", "-"], &maps(&["moved"], "one"));
    kubectl.ok_with(&["apply", "--server-side", "-f", "-"], &maps(&["moved"], "two"));
    let managers =
        kubectl.field(&["configmap/moved", "--show-managed-fields"], "{.metadata.managedFields[*].manager}");
    assert!(!managers.contains("kubectl-client-side-apply"), "the client's own manager is gone: {managers}");
    kubectl.ok_with(&["apply", "-f", "-"], &maps(&["moved"], "three"));
    assert_eq!(kubectl.field(&["configmap/moved"], "{.data.key}"), "three");
    kubectl.ok(&["delete", "configmap", "moved"]);
}

fn remembers_what_was_applied(kubectl: &Kubectl<'_>) {
    kubectl.ok_with(&["create", "-f", "-"], &maps(&["kept"], "one"));
    let warned = kubectl.command(&["apply", "-f", "-"]);
    let warned = e2e_tests::finish(warned, maps(&["kept"], "two").as_bytes()).ok();
    shows(&warned.stderr, &["is missing the kubectl.kubernetes.io/last-applied-configuration annotation"]);
    shows(&kubectl.ok(&["apply", "view-last-applied", "configmap", "kept"]), &["key: two"]);
    let file = kubectl.file("kept.yaml", &maps(&["kept"], "three"));
    kubectl.ok(&["apply", "set-last-applied", "-f", &file]);
    shows(&kubectl.ok(&["apply", "view-last-applied", "configmap", "kept"]), &["key: three"]);
    kubectl.ok(&["delete", "-f", &file]);
}

fn prunes_by_label(kubectl: &Kubectl<'_>) {
    kubectl.ok_with(&["apply", "-f", "-"], &maps(&["first", "second"], "one"));
    let file = kubectl.file("first.yaml", &maps(&["first"], "one"));
    let pruned = kubectl.ok(&["apply", "--prune", "-l", "of=maps", "-f", &file]);
    shows(&pruned, &["configmap/first unchanged", "configmap/second pruned"]);
    kubectl.ok_with(&["apply", "-f", "-"], &maps(&["second"], "one"));
    let only = ["apply", "--prune", "--all", "--prune-allowlist=core/v1/Secret", "-f", &file];
    kubectl.ok(&only);
    assert_eq!(names(kubectl, "of=maps"), "first second", "other kinds are left alone");
    kubectl.ok(&["delete", "configmaps", "-l", "of=maps"]);
}

fn prunes_by_set(kubectl: &Kubectl<'_>) {
    let apply = |names: &[&str], set: &str| {
        let file = kubectl.file("set.yaml", &maps(names, "one"));
        let mut command =
            kubectl.command(&["apply", "--server-side", "--prune", "--applyset", set, "-f", &file]);
        command.env("KUBECTL_APPLYSET", "true");
        e2e_tests::finish(command, b"")
    };
    apply(&["one", "two"], "mine").ok();
    shows(&apply(&["one"], "mine").ok().stdout, &["configmap/two pruned"]);
    let parent = kubectl.field(&["secret/mine"], "{.metadata.labels}");
    shows(&parent, &["applyset.kubernetes.io/id"]);
    kubectl.ok(&["delete", "configmap/one", "secret/mine"]);
}

fn replaces(kubectl: &Kubectl<'_>) {
    let file = kubectl.file("replaced.yaml", &maps(&["replaced"], "one"));
    kubectl.run(&["replace", "-f", &file]).refused("\"replaced\" not found");
    kubectl.ok(&["replace", "--force", "-f", &file]);
    let uid = || kubectl.field(&["configmap/replaced"], "{.metadata.uid}");
    let first = uid();
    kubectl.ok(&["replace", "-f", &file]);
    assert_eq!(uid(), first, "it is the same object");
    kubectl.ok(&["replace", "--force", "-f", &file]);
    assert!(uid() != first, "it is another object");
    let stale = format!(
        "{}  immutable: true\n",
        maps(&["replaced"], "two").replace("{name", "{resourceVersion: '1', name")
    );
    let stale = stale.replace("  immutable: true\n", "immutable: true\n");
    let file = kubectl.file("stale.yaml", &stale);
    kubectl.run(&["replace", "-f", &file]).refused("the object has been modified");
    kubectl.ok(&["delete", "configmap", "replaced"]);
}

fn builds_by_kustomize(kubectl: &Kubectl<'_>) {
    let folder = kubectl.cluster.data.join(format!("{}-kustomize", kubectl.namespace));
    for (name, text) in [
        (
            "base/kustomization.yaml",
            "resources: [deployment.yaml]\nconfigMapGenerator: [{name: settings, literals: [a=b]}]\n\
             secretGenerator: [{name: hidden, literals: [c=d]}]\n\
             labels: [{pairs: {app: built}, includeSelectors: true}]\nimages: [{name: image, newName: other, newTag: '7'}]\n",
        ),
        (
            "base/deployment.yaml",
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: built}\nspec:\n  replicas: 0\n  template:\n    spec:\n      \
             containers: [{name: c, image: image, envFrom: [{configMapRef: {name: settings}}]}]\n",
        ),
        (
            "overlay/kustomization.yaml",
            "resources: [../base]\nnamePrefix: over-\n\
             patches: [{target: {kind: Deployment}, patch: '[{\"op\": \"add\", \"path\": \"/spec/paused\", \"value\": true}]'}]\n",
        ),
    ] {
        write(&folder.join(name), text);
    }
    let overlay = folder.join("overlay").display().to_string();
    let built = kubectl.ok(&["kustomize", &overlay]);
    shows(&built, &["name: over-settings-", "image: other:7", "paused: true", "app: built"]);
    let differs = kubectl.run(&["diff", "-k", &overlay]);
    assert_eq!(differs.code, Some(1), "{differs}");
    shows(
        &kubectl.ok(&["apply", "-k", &overlay]),
        &["deployment.apps/over-built created", "secret/over-hidden-"],
    );
    let reference = "{.spec.template.spec.containers[0].envFrom[0].configMapRef.name}";
    assert!(kubectl.field(&["deployment/over-built"], reference).starts_with("over-settings-"));
    shows(&kubectl.ok(&["get", "-k", &overlay, "-o", "name"]), &["deployment.apps/over-built"]);
    assert_eq!(kubectl.ok(&["diff", "-k", &overlay]), "", "it is as it was built");
    kubectl.ok(&["delete", "-k", &overlay]);
}

fn checks_fields(kubectl: &Kubectl<'_>) {
    let wrong = kubectl.file("wrong.yaml", &maps(&["wrong"], "one").replace("\ndata:", "\ndatta:"));
    kubectl.run(&["apply", "-f", &wrong]).refused("strict decoding error: unknown field \"datta\"");
    let warned = kubectl.run(&["create", "--validate=warn", "-f", &wrong]).ok();
    shows(&warned.stderr, &["Warning: unknown field \"datta\""]);
    let silent = kubectl.run(&["replace", "--validate=ignore", "-f", &wrong]).ok();
    assert_eq!(silent.stderr, "");
    kubectl.ok(&["delete", "-f", &wrong]);
    let invalid = "apiVersion: v1\nkind: Service\nmetadata: {name: Wrong_}\nspec: {ports: [{port: 0}]}\n";
    let file = kubectl.file("invalid.yaml", invalid);
    let refused = kubectl.run(&["apply", "-f", &file]);
    shows(
        &refused.stderr,
        &["The Service \"Wrong_\" is invalid:", "* metadata.name:", "* spec.ports[0].port:"],
    );
}
