//! Static pods: those of manifests in a directory of this node (`staticPodPath`), which run without any API server. The
//! API shows each through a mirror pod that the kubelet makes, and makes again when somebody deletes it.
//!
//! As upstream: the pod is called after its manifest and the node, its uid is a hash of both, a changed manifest is
//! another pod, which starts once the old one is gone, and none refers to objects of the API. Manifests of URLs are not
//! offered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use apimachinery::ParseOptions;
use client::{DeleteParams, Informer, resources};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::agent::Agent;
use crate::api::Pod;
use crate::host::{Host, PathKind};
use crate::objects::references;
use crate::pods;

const SOURCE: &str = "kubernetes.io/config.source";
const HASH: &str = "kubernetes.io/config.hash";
const SEEN: &str = "kubernetes.io/config.seen";
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Upstream's `fileCheckFrequency`.
pub(crate) const CHECK_EVERY: Duration = Duration::from_secs(20);

/// Manifests read of one directory; more are named in the log and left out.
const MANIFESTS_MAX: usize = 256;

/// Whether the pod comes from a manifest of this node.
pub(crate) fn is_static(pod: &Pod) -> bool {
    pod.metadata.annotations.get(SOURCE).is_some_and(|source| source == "file")
        && !pod.metadata.annotations.contains_key(MIRROR)
}

/// The uid of the static pod that this pod of the API shows.
pub(crate) fn mirrored(pod: &Pod) -> Option<&str> {
    pod.metadata.annotations.get(MIRROR).map(String::as_str)
}

/// What the kubelet keeps of its static pods.
#[derive(Debug, Default)]
pub(crate) struct StaticPods {
    /// What mirror pods are made of, by the static pod's uid.
    bodies: Mutex<BTreeMap<String, Value>>,
    changed: Notify,
}

impl StaticPods {
    /// Something has happened that the manifests may have waited for.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    /// The mirror of a static pod as it is to be made on the node with this uid.
    pub(crate) fn mirror(&self, uid: &str, node_name: &str, node_uid: &str) -> Option<Value> {
        let mut body = self.bodies.lock().get(uid)?.clone();
        body["metadata"]["annotations"][MIRROR] = uid.into();
        body["metadata"]["ownerReferences"] = json!([
            {"apiVersion": "v1", "kind": "Node", "name": node_name, "uid": node_uid, "controller": true},
        ]);
        // The server gives the mirror a uid of its own.
        if let Some(meta) = body["metadata"].as_object_mut() {
            meta.remove("uid");
        }
        Some(body)
    }
}

/// A manifest that can run.
#[derive(Debug)]
struct Manifest {
    pod: Pod,
    body: Value,
}

/// Makes the pod of a manifest.
fn read_manifest(text: &[u8], file: &Path, node: &str, now: Timestamp) -> Result<Manifest, String> {
    let parsed =
        apimachinery::Value::parse_yaml(text, &ParseOptions::default()).map_err(|e| e.to_string())?;
    let mut value = parsed.value;
    let kind = (value.str_at(&["apiVersion"]), value.str_at(&["kind"]));
    if kind != (Some("v1"), Some("Pod")) {
        return Err(format!("{:?} {:?} is not v1 Pod", kind.0.unwrap_or(""), kind.1.unwrap_or("")));
    }
    let context = kinds::defaults::Context { now: now.as_second() };
    kinds::defaults::apply_defaults("", "v1", "Pod", &mut value, &context);
    let mut body: Value = serde_json::from_slice(&value.to_json()).map_err(|e| e.to_string())?;
    let mut hashed = format!("{node}\0{}\0", file.display()).into_bytes();
    hashed.extend_from_slice(text);
    let uid: String = pki::sha256(&hashed)[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if name.is_empty() {
        return Err("metadata.name is required".to_owned());
    }
    let meta = &mut body["metadata"];
    meta["name"] = format!("{name}-{node}").into();
    meta["uid"] = uid.as_str().into();
    if meta["namespace"].as_str().unwrap_or_default().is_empty() {
        meta["namespace"] = "default".into();
    }
    for (key, value) in [(SOURCE, "file"), (HASH, &uid), (SEEN, &now.to_string())] {
        meta["annotations"][key] = value.into();
    }
    let spec = &mut body["spec"];
    spec["nodeName"] = node.into();
    // Nothing evicts what the node itself wants.
    if !spec["tolerations"].is_array() {
        spec["tolerations"] = json!([]);
    }
    if let Some(tolerations) = spec["tolerations"].as_array_mut() {
        tolerations.push(json!({"operator": "Exists", "effect": "NoExecute"}));
    }
    body.as_object_mut().map(|pod| pod.remove("status"));
    let mut pod: Pod = serde_json::from_value(body.clone()).map_err(|e| e.to_string())?;
    // As its mirror's will be.
    pod.metadata.generation = 1;
    check(&pod)?;
    Ok(Manifest { pod, body })
}

/// What a pod without an API cannot have.
fn check(pod: &Pod) -> Result<(), String> {
    if pod.spec.containers.is_empty() {
        return Err("spec.containers is required".to_owned());
    }
    let (maps, secrets) = references(&pod.spec);
    let volumes = || pod.spec.volumes.iter();
    let refused = [
        ("configmaps", !maps.is_empty()),
        ("secrets", !secrets.is_empty()),
        ("service accounts", !pod.spec.service_account_name.is_empty()),
        ("persistentvolumeclaims", volumes().any(|v| v.persistent_volume_claim.is_some())),
        ("ephemeral containers", !pod.spec.ephemeral_containers.is_empty()),
    ];
    match refused.into_iter().find(|(_, is)| *is) {
        Some((what, _)) => Err(format!("static pods may not reference {what}")),
        None => Ok(()),
    }
}

/// The files below (or at) the path, in order; hidden ones are somebody's work in progress.
fn files(host: &dyn Host, path: &Path) -> Vec<PathBuf> {
    match host.kind(path) {
        Some(PathKind::File) => vec![path.to_owned()],
        Some(PathKind::Directory) => {
            let mut names = host.list_dir(path).unwrap_or_default();
            names.retain(|name| !name.starts_with('.'));
            names.sort();
            if names.len() > MANIFESTS_MAX {
                tracing::warn!(
                    component = "kubelet",
                    n = names.len(),
                    max = MANIFESTS_MAX,
                    "too many manifests"
                );
                names.truncate(MANIFESTS_MAX);
            }
            let files = names.iter().map(|name| path.join(name));
            files.filter(|file| host.kind(file) == Some(PathKind::File)).collect()
        }
        _ => Vec::new(),
    }
}

/// Every pod that the manifests ask for, by uid. Of two with one name the first file's counts.
fn wanted(agent: &Agent) -> BTreeMap<String, Manifest> {
    let path = &agent.config.kubelet.static_pod_path;
    let mut wanted: BTreeMap<String, Manifest> = BTreeMap::new();
    if path.is_empty() {
        return wanted;
    }
    for file in files(agent.host.as_ref(), path.as_ref()) {
        let read = agent.host.read_file(&file).map_err(|e| e.to_string());
        let made = read.and_then(|text| read_manifest(&text, &file, &agent.config.node_name, agent.now()));
        match made {
            Ok(made) if wanted.values().any(|other| same_name(&other.pod, &made.pod)) => {
                tracing::warn!(component = "kubelet", file = %file.display(), pod = made.pod.metadata.name, "another manifest has the same name");
            }
            Ok(made) => {
                wanted.insert(made.pod.metadata.uid.clone(), made);
            }
            Err(error) => {
                tracing::warn!(component = "kubelet", file = %file.display(), %error, "manifest of a static pod not used");
            }
        }
    }
    wanted
}

fn same_name(a: &Pod, b: &Pod) -> bool {
    (&a.metadata.namespace, &a.metadata.name) == (&b.metadata.namespace, &b.metadata.name)
}

/// Starts what the manifests ask for and stops what they no longer do.
pub(crate) fn sync(agent: &Arc<Agent>) {
    let mut wanted = wanted(agent);
    let views = agent.pods.views();
    for view in views.iter().filter(|v| is_static(&v.pod)) {
        if wanted.remove(&view.pod.metadata.uid).is_none()
            && let Some(inbox) = agent.pods.get(&view.pod.metadata.uid)
        {
            inbox.deleted();
        }
    }
    agent.static_pods.bodies.lock().retain(|uid, _| agent.pods.get(uid).is_some());
    for (uid, made) in wanted {
        // The one that it replaces goes first; its end wakes us.
        if views.iter().any(|v| same_name(&v.pod, &made.pod)) {
            continue;
        }
        agent.static_pods.bodies.lock().insert(uid, made.body);
        pods::start(agent, Arc::new(made.pod));
    }
}

/// Looks after the manifests and the mirrors, for ever.
pub(crate) async fn run(agent: Arc<Agent>, pods: Informer<Pod>) {
    loop {
        sync(&agent);
        for pod in pods.list() {
            if mirrored(&pod).is_some_and(|uid| agent.pods.get(uid).is_none() || pod.metadata.deleting()) {
                remove_mirror(&agent, &pod).await;
            }
        }
        let manifests = !agent.config.kubelet.static_pod_path.is_empty();
        tokio::select! {
            biased;
            () = agent.static_pods.changed.notified() => {}
            () = tokio::time::sleep(CHECK_EVERY), if manifests => {}
        }
    }
}

/// Removes a mirror that shows nothing, or that somebody wants gone: then its static pod gets another.
async fn remove_mirror(agent: &Agent, pod: &Pod) {
    let meta = &pod.metadata;
    let uid = Some(meta.uid.clone());
    let params = DeleteParams { grace_period_seconds: Some(0), uid, ..DeleteParams::default() };
    match agent.client.delete(&resources::PODS, &meta.namespace, &meta.name, &params).await {
        Ok(()) => {}
        Err(error) if error.is_not_found() || error.is_conflict() => {}
        // The next look tries again.
        Err(error) => {
            tracing::warn!(component = "kubelet", %error, pod = meta.name, "mirror pod not removed")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Manifest, String> {
        read_manifest(text.as_bytes(), Path::new("/m/a.yaml"), "n1", Timestamp::from_second(7).unwrap())
    }

    #[test]
    fn a_manifest_becomes_a_pod_of_the_node() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers: [{name: c, image: 'a:1'}]\n";
        let made = read(text).unwrap();
        let meta = &made.pod.metadata;
        assert_eq!((meta.name.as_str(), meta.namespace.as_str()), ("web-n1", "default"));
        assert_eq!((meta.uid.len(), &meta.annotations[HASH]), (32, &meta.uid));
        assert!(is_static(&made.pod) && mirrored(&made.pod).is_none());
        assert_eq!(made.pod.spec.node_name, "n1");
        assert_eq!(made.pod.spec.restart_policy, "Always", "a default");
        assert_eq!(made.body["spec"]["tolerations"][0]["operator"], "Exists");
        assert_ne!(read(&format!("{text}# changed\n")).unwrap().pod.metadata.uid, meta.uid);

        let statics = StaticPods::default();
        statics.bodies.lock().insert(meta.uid.clone(), made.body);
        let mirror = statics.mirror(&meta.uid, "n1", "node-uid").unwrap();
        assert_eq!(mirror["metadata"]["annotations"][MIRROR], meta.uid.as_str());
        assert_eq!(mirror["metadata"]["uid"], Value::Null);
        assert_eq!(mirror["metadata"]["ownerReferences"][0]["uid"], "node-uid");
        let mirror: Pod = serde_json::from_value(mirror).unwrap();
        assert!(!is_static(&mirror) && mirrored(&mirror) == Some(&meta.uid));
    }

    #[test]
    fn what_cannot_run_without_an_api_is_refused() {
        let spec = |spec: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {spec}\n");
        let container = "containers: [{name: c, image: a}]";
        for (text, problem) in [
            (spec(&format!("{{{container}, serviceAccountName: x}}")), "service accounts"),
            (spec(&format!("{{{container}, volumes: [{{name: v, secret: {{secretName: s}}}}]}}")), "secrets"),
            (spec(&format!("{{{container}, volumes: [{{name: v, configMap: {{name: s}}}}]}}")), "configmaps"),
            (spec("{}"), "spec.containers"),
            ("apiVersion: v1\nkind: Service\n".to_owned(), "is not v1 Pod"),
            (format!("apiVersion: v1\nkind: Pod\nspec: {{{container}}}\n"), "metadata.name"),
            (": [".to_owned(), ""),
        ] {
            let error = read(&text).expect_err(&text);
            assert!(error.contains(problem), "{error}");
        }
    }
}
