//! Helm 3 and 4 install, upgrade, roll back, test and remove a chart of our own, and Helm 4 takes over from Helm 3.

use std::process::Command;

use client_tests::{HELMS, shows, tool};
use e2e_tests::{Cluster, Ran, finish};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/chart");

/// As long as anything may take on a busy host.
const PATIENCE: &str = "--timeout=150s";

#[test]
fn helm_leads_a_release_through_its_life() {
    let cluster = Cluster::start();
    for (version, place) in HELMS {
        eprintln!("-- Helm {version}");
        let helm =
            Helm { cluster: &cluster, place, namespace: format!("by-helm-{}", version.replace('.', "-")) };
        lints(&helm);
        installs(&helm);
        upgrades(&helm);
        rolls_back(&helm);
        refuses(&helm);
        removes(&helm);
    }
    one_takes_over_from_the_other(&cluster);
}

struct Helm<'a> {
    cluster: &'a Cluster,
    place: &'static str,
    namespace: String,
}

impl Helm<'_> {
    fn run(&self, args: &[&str]) -> Ran {
        let mut command = Command::new(tool(self.place));
        // Folders of its own: nothing of the host's configuration, nothing left on it.
        for (name, folder) in
            [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
        {
            command.env(name, self.cluster.data.join("helm").join(folder));
        }
        command
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .arg("--namespace")
            .arg(&self.namespace)
            .args(args);
        finish(command, b"")
    }

    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        self.run(args).ok().stdout
    }

    /// One field of an object in the release's namespace.
    fn field(&self, object: &str, path: &str) -> String {
        self.cluster.field(&["--namespace", &self.namespace, object, "--ignore-not-found"], path)
    }

    /// Runs the tests of the chart, which asks the Service for the version that it should have.
    #[track_caller]
    fn tests(&self, version: &str) {
        let told = self.ok(&["test", "shop", "--logs", PATIENCE]);
        shows(&told, &["Phase:          Succeeded", "POD LOGS: shop-answers", &format!(" {version}\n")]);
    }
}

fn lints(helm: &Helm<'_>) {
    shows(&helm.ok(&["lint", CHART]), &["0 chart(s) failed"]);
    shows(&helm.ok(&["template", "shop", CHART, "--validate"]), &["kind: PodDisruptionBudget"]);
}

fn installs(helm: &Helm<'_>) {
    let options =
        ["install", "shop", CHART, "--create-namespace", "--wait", PATIENCE, "--set", "motto=first"];
    shows(
        &helm.ok(&options),
        &["STATUS: deployed", "REVISION: 1", "shop serves version 1 on v1.36.2+gantry"],
    );
    assert_eq!(helm.field("deployment/shop", "{.status.readyReplicas}"), "1");
    assert_eq!(helm.field("configmap/shop-settings", "{.data.motto}"), "first");
    assert_eq!(helm.field("pod/shop-before", "{.status.phase}"), "Succeeded", "the hook ran before");
    helm.tests("v1");
    shows(&helm.ok(&["list"]), &["shop", "deployed", "shop-0.1.0"]);
    helm.run(&["install", "shop", CHART]).refused("a name that is still in use");
}

fn upgrades(helm: &Helm<'_>) {
    let values = ["--set", "version=2", "--set", "replicas=2"];
    let mut dry = vec!["upgrade", "shop", CHART, "--dry-run=server"];
    dry.extend(values);
    shows(&helm.ok(&dry), &["server:2"]);
    assert_eq!(helm.field("deployment/shop", "{.spec.replicas}"), "1", "a dry run changes nothing");
    let mut upgrade = vec!["upgrade", "shop", CHART, "--wait", PATIENCE];
    upgrade.extend(values);
    shows(&helm.ok(&upgrade), &["REVISION: 2"]);
    assert_eq!(helm.field("deployment/shop", "{.status.readyReplicas}"), "2");
    assert_eq!(helm.field("configmap/shop-settings", "{.data}"), "", "what the chart has no more is gone");
    helm.tests("v2");
    shows(&helm.ok(&["get", "values", "shop"]), &["replicas: 2", "version: 2"]);
    // What another has changed beside Helm stays where the chart says nothing of it.
    let by_hand = ["--namespace", &helm.namespace, "annotate", "deployment/shop", "by=hand"];
    helm.cluster.kubectl(&by_hand).ok();
}

fn rolls_back(helm: &Helm<'_>) {
    shows(&helm.ok(&["rollback", "shop", "1", "--wait", PATIENCE]), &["Rollback was a success"]);
    assert_eq!(helm.field("deployment/shop", "{.spec.replicas}"), "1");
    assert_eq!(helm.field("configmap/shop-settings", "{.data.motto}"), "first", "it is there again");
    assert_eq!(helm.field("deployment/shop", "{.metadata.annotations.by}"), "hand");
    helm.tests("v1");
    let history = helm.ok(&["history", "shop"]);
    shows(&history, &["superseded", "Rollback to 1"]);
    shows(&helm.ok(&["status", "shop"]), &["STATUS: deployed", "REVISION: 3"]);
}

fn refuses(helm: &Helm<'_>) {
    let refused = helm.run(&["upgrade", "shop", CHART, "--set", "replicas=-1", PATIENCE]);
    assert_eq!(refused.code, Some(1), "{refused}");
    shows(&refused.stderr, &["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]);
    shows(&helm.ok(&["history", "shop"]), &["failed"]);
    helm.ok(&["upgrade", "shop", CHART, "--reset-values", "--wait", PATIENCE]);
}

fn removes(helm: &Helm<'_>) {
    shows(&helm.ok(&["uninstall", "shop", "--wait", PATIENCE]), &["release \"shop\" uninstalled"]);
    for object in ["deployment/shop", "service/shop", "serviceaccount/shop", "pdb/shop"] {
        assert_eq!(helm.field(object, "{.metadata.name}"), "", "{object} is gone");
    }
    helm.run(&["status", "shop"]).refused("release: not found");
}

fn one_takes_over_from_the_other(cluster: &Cluster) {
    let [old, new] = HELMS.map(|(_, place)| Helm { cluster, place, namespace: "by-both".to_owned() });
    old.ok(&["install", "shop", CHART, "--create-namespace", "--wait", PATIENCE]);
    new.ok(&["upgrade", "shop", CHART, "--set", "version=2", "--wait", PATIENCE]);
    new.tests("v2");
    new.ok(&["uninstall", "shop", "--wait", PATIENCE]);
}
