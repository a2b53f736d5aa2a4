//! Bad input is refused in Kubernetes' words, and nothing of it is stored.

use e2e_tests::Cluster;

#[test]
fn bad_input_is_refused_and_leaves_nothing() {
    let cluster = Cluster::start();
    let before = cluster.get(&["configmaps,secrets,services,pods,deployments", "-n", "default"]);
    let before = before["items"].as_array().map_or(0, Vec::len);

    refused(&cluster, "a: [b\n", "error");
    refused(&cluster, &config_map("Bad_Name", ""), "a lowercase RFC 1123 subdomain must consist of");
    refused(&cluster, &format!("{}unknown: true\n", config_map("x", "")), "unknown field \"unknown\"");
    refused(
        &cluster,
        "apiVersion: v1\nkind: Nothing\nmetadata: {name: x}\n",
        "no matches for kind \"Nothing\"",
    );
    refused(
        &cluster,
        "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 99999}]}\n",
        "spec.ports[0].port: Invalid value: 99999: must be between 1 and 65535, inclusive",
    );
    refused(
        &cluster,
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec:\n  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: c}}\n    spec: {containers: [{name: c, image: i}]}\n",
        "`selector` does not match template `labels`",
    );
    refused(
        &cluster,
        "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: c}]}\n",
        "spec.containers[0].image: Required value",
    );
    refused(
        &cluster,
        "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: nonsense}\n",
        "containers",
    );

    for (mode, accepted) in [("strict", false), ("warn", true), ("ignore", true)] {
        let ran = cluster.kubectl_input(
            &["create", "--dry-run=server", &format!("--validate={mode}"), "-f", "-"],
            format!("{}unknown: true\n", config_map("x", "")).as_bytes(),
        );
        assert_eq!(ran.code == Some(0), accepted, "{mode}: {ran}");
        assert_eq!(ran.stderr.contains("unknown field \"unknown\""), mode != "ignore", "{mode}: {ran}");
    }

    cluster.kubectl(&["create", "configmap", "taken"]).ok();
    cluster.kubectl(&["create", "configmap", "taken"]).refused("configmaps \"taken\" already exists");
    cluster
        .kubectl_input(
            &["replace", "-f", "-"],
            b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: taken, resourceVersion: \"1\"}\n",
        )
        .refused(
            "the object has been modified; please apply your changes to the latest version and try again",
        );
    cluster.apply("apiVersion: v1\nkind: Service\nmetadata: {name: fixed}\nspec: {ports: [{port: 80}]}\n");
    cluster
        .kubectl(&[
            "patch",
            "service",
            "fixed",
            "-p",
            r#"{"spec":{"clusterIP":"10.96.77.77","clusterIPs":["10.96.77.77"]}}"#,
        ])
        .refused("may not change once set");

    let huge = "x".repeat(1_600_000);
    cluster
        .kubectl_input(
            &["create", "-f", "-"],
            config_map("huge", &format!("data: {{k: {huge}}}\n")).as_bytes(),
        )
        .refused("");
    let larger = "x".repeat(3_300_000);
    cluster
        .kubectl_input(
            &["create", "-f", "-"],
            config_map("larger", &format!("data: {{k: {larger}}}\n")).as_bytes(),
        )
        .refused("limit is 3145728");

    cluster.kubectl(&["delete", "configmap", "taken"]).ok();
    cluster.kubectl(&["delete", "service", "fixed"]).ok();
    let after = cluster.get(&["configmaps,secrets,services,pods,deployments", "-n", "default"]);
    assert_eq!(after["items"].as_array().map_or(0, Vec::len), before, "{after:#}");
}

#[track_caller]
fn refused(cluster: &Cluster, yaml: &str, text: &str) {
    cluster.kubectl_input(&["create", "-f", "-"], yaml.as_bytes()).refused(text);
}

fn config_map(name: &str, rest: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n{rest}")
}
