//! The root-ca-certificate-publisher: the ConfigMap kube-root-ca.crt in every namespace, by which pods trust the API
//! server. What somebody changed in it is put right.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::{Client, Informer, Key, ListParams, Meta, PartialObject, Resource, ResourceType, resources};
use controller_kit::{Queue, SyncResult};
use serde::Deserialize;
use serde_json::json;

use crate::context::{Context, synced};
use crate::objects::Namespace;

const NAME: &str = "kube-root-ca.crt";
const DESCRIPTION: &str = "kubernetes.io/description";
const DESCRIPTION_TEXT: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
    endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
    distributions of Kubernetes clusters.";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ConfigMap {
    metadata: Meta,
    data: BTreeMap<String, String>,
}

impl Resource for ConfigMap {
    const TYPE: ResourceType = resources::CONFIG_MAPS;
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

struct Controller {
    client: Client,
    root_ca: String,
    namespaces: Informer<Namespace>,
    maps: Informer<ConfigMap>,
}

pub(crate) fn start(context: &Context) {
    if context.config.root_ca.is_empty() {
        return;
    }
    let queue: Queue<Key> = Queue::new(context.env.clone());
    let namespaces = context.informers.of::<Namespace>();
    let only = ListParams { field_selector: format!("metadata.name={NAME}"), ..ListParams::default() };
    let maps = context.informers.with::<ConfigMap>(only);
    let add = queue.clone();
    namespaces.add_handler(move |event| add.add(Key::of(&event.object().metadata)));
    let add = queue.clone();
    maps.add_handler(move |event| add.add(Key::new("", &event.object().metadata.namespace)));
    let caches = vec![synced(&namespaces), synced(&maps)];
    let root_ca = context.config.root_ca.clone();
    let controller = Arc::new(Controller { client: context.client.clone(), root_ca, namespaces, maps });
    context.run(caches, 1, &queue, move |key| {
        let controller = Arc::clone(&controller);
        async move { controller.sync(&key.name).await }
    });
}

impl Controller {
    async fn sync(&self, namespace: &str) -> SyncResult {
        let Some(object) = self.namespaces.get("", namespace) else { return Ok(None) };
        if object.metadata.deleting() || object.status.phase == "Terminating" {
            return Ok(None);
        }
        let data = BTreeMap::from([("ca.crt".to_owned(), self.root_ca.clone())]);
        let result = match self.maps.get(namespace, NAME) {
            None => {
                let body = json!({
                    "apiVersion": "v1", "kind": "ConfigMap", "data": data,
                    "metadata": {"name": NAME, "namespace": namespace, "annotations": {DESCRIPTION: DESCRIPTION_TEXT}},
                });
                self.client.create::<PartialObject>(&resources::CONFIG_MAPS, namespace, &body).await
            }
            Some(map) => {
                let described =
                    map.metadata.annotations.get(DESCRIPTION).is_some_and(|d| d == DESCRIPTION_TEXT);
                if map.data == data && described {
                    return Ok(None);
                }
                let mut metadata = map.metadata.clone();
                metadata.annotations.insert(DESCRIPTION.into(), DESCRIPTION_TEXT.into());
                let body =
                    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data});
                self.client
                    .replace::<PartialObject>(&resources::CONFIG_MAPS, namespace, NAME, "", &body)
                    .await
            }
        };
        match result {
            Ok(_) => Ok(None),
            Err(e) if e.is_already_exists() || e.is_namespace_terminating() || e.is_not_found() => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}
