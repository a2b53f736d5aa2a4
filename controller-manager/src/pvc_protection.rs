//! The PVC protection controller: a claim that is being deleted goes once no pod uses it.
//!
//! As upstream: finished pods and pods that were never scheduled do not count, and before the finalizer is removed the
//! pods are listed live.

use std::sync::Arc;

use client::{Client, Informer, Key, ListParams, Meta, PartialObject, resources};
use controller_kit::{Queue, SyncError, SyncResult, write};
use serde_json::Value;

use crate::context::{Context, synced};
use crate::objects::Pod;

const FINALIZER: &str = "kubernetes.io/pvc-protection";
const BY_CLAIM: &str = "claim";

struct Controller {
    client: Client,
    claims: Informer<PartialObject>,
    pods: Informer<Pod>,
}

pub(crate) fn start(context: &Context) {
    let queue: Queue<Key> = Queue::new(context.env.clone());
    let claims = context.informers.metadata_of(resources::PERSISTENT_VOLUME_CLAIMS);
    let pods = context.informers.of::<Pod>();
    pods.add_index(BY_CLAIM, |pod| {
        pod.claims().iter().map(|claim| Key::new(&pod.metadata.namespace, claim).to_string()).collect()
    });
    let add = queue.clone();
    claims.add_handler(move |event| add.add(Key::of(&event.object().metadata)));
    let add = queue.clone();
    pods.add_handler(move |event| {
        let pod = event.object();
        if event.is_deleted() || pod.is_terminal() {
            pod.claims().iter().for_each(|claim| add.add(Key::new(&pod.metadata.namespace, claim)));
        }
    });
    let caches = vec![synced(&claims), synced(&pods)];
    let controller = Arc::new(Controller { client: context.client.clone(), claims, pods });
    context.run(caches, 1, &queue, move |key| {
        let controller = Arc::clone(&controller);
        async move { controller.sync(&key).await }
    });
}

fn uses(pod: &Pod, claim: &str) -> bool {
    !pod.is_terminal() && !pod.spec.node_name.is_empty() && pod.claims().iter().any(|c| c == claim)
}

/// Adds or removes the finalizer of an object.
pub(crate) fn set_finalizer(object: &mut Value, finalizer: &str, wanted: bool) -> bool {
    let mut finalizers: Vec<Value> = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let has = finalizers.iter().any(|f| f == finalizer);
    if has == wanted {
        return false;
    }
    if wanted {
        finalizers.push(finalizer.into());
    } else {
        finalizers.retain(|f| f != finalizer);
    }
    object["metadata"]["finalizers"] = finalizers.into();
    true
}

impl Controller {
    async fn sync(&self, key: &Key) -> SyncResult {
        let Some(claim) = self.claims.get_key(key) else { return Ok(None) };
        let meta = &claim.metadata;
        let protected = meta.has_finalizer(FINALIZER);
        match (meta.deleting(), protected) {
            (true, true) if !self.is_used(key).await? => self.set(meta, false).await,
            (false, false) => self.set(meta, true).await,
            _ => Ok(None),
        }
    }

    async fn is_used(&self, key: &Key) -> Result<bool, SyncError> {
        if self.pods.by_index(BY_CLAIM, &key.to_string()).iter().any(|pod| uses(pod, &key.name)) {
            return Ok(true);
        }
        let params = ListParams { namespace: key.namespace.to_string(), ..ListParams::default() };
        let live = self.client.list::<Pod>(&resources::PODS, &params).await?;
        Ok(live.items.iter().any(|pod| uses(pod, &key.name)))
    }

    async fn set(&self, meta: &Meta, wanted: bool) -> SyncResult {
        let result = write::update(&self.client, &resources::PERSISTENT_VOLUME_CLAIMS, meta, "", |live| {
            set_finalizer(live, FINALIZER, wanted)
        })
        .await;
        match result {
            Err(e) if !e.is_not_found() => Err(e.into()),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_uses_a_claim() {
        let pod = |node: &str, phase: &str, volume: Value| -> Pod {
            serde_json::from_value(json!({
                "metadata": {"name": "p"}, "spec": {"nodeName": node, "volumes": [volume]}, "status": {"phase": phase},
            }))
            .unwrap()
        };
        let named = json!({"name": "v", "persistentVolumeClaim": {"claimName": "c"}});
        assert!(uses(&pod("n", "Running", named.clone()), "c"));
        assert!(!uses(&pod("", "Pending", named.clone()), "c"), "never scheduled");
        assert!(!uses(&pod("n", "Succeeded", named.clone()), "c"), "finished");
        assert!(!uses(&pod("n", "Running", named), "other"));
        assert!(uses(
            &pod("n", "Running", json!({"name": "v", "ephemeral": {"volumeClaimTemplate": {}}})),
            "p-v"
        ));
    }

    #[test]
    fn finalizers() {
        let mut object = json!({"metadata": {"finalizers": ["other"]}});
        assert!(set_finalizer(&mut object, "f", true) && !set_finalizer(&mut object, "f", true));
        assert_eq!(object["metadata"]["finalizers"], json!(["other", "f"]));
        assert!(set_finalizer(&mut object, "f", false));
        assert_eq!(object["metadata"]["finalizers"], json!(["other"]));
    }
}
