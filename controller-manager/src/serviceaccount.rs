//! The serviceaccount controller: every namespace that is not going away has the ServiceAccount `default`.

use std::sync::Arc;

use client::{Client, Informer, Key, PartialObject, resources};
use controller_kit::{Queue, SyncResult};
use serde_json::json;

use crate::context::{Context, synced};
use crate::objects::Namespace;

const DEFAULT: &str = "default";

struct Controller {
    client: Client,
    namespaces: Informer<Namespace>,
    accounts: Informer<PartialObject>,
}

pub(crate) fn start(context: &Context) {
    let queue: Queue<Key> = Queue::new(context.env.clone());
    let namespaces = context.informers.of::<Namespace>();
    let accounts = context.informers.metadata_of(resources::SERVICE_ACCOUNTS);
    let add = queue.clone();
    namespaces.add_handler(move |event| add.add(Key::of(&event.object().metadata)));
    let add = queue.clone();
    accounts.add_handler(move |event| {
        if event.is_deleted() && event.object().metadata.name == DEFAULT {
            add.add(Key::new("", &event.object().metadata.namespace));
        }
    });
    let caches = vec![synced(&namespaces), synced(&accounts)];
    let controller = Arc::new(Controller { client: context.client.clone(), namespaces, accounts });
    context.run(caches, 1, &queue, move |key| {
        let controller = Arc::clone(&controller);
        async move { controller.sync(&key.name).await }
    });
}

impl Controller {
    async fn sync(&self, namespace: &str) -> SyncResult {
        let Some(object) = self.namespaces.get("", namespace) else { return Ok(None) };
        if object.metadata.deleting()
            || object.status.phase == "Terminating"
            || self.accounts.get(namespace, DEFAULT).is_some()
        {
            return Ok(None);
        }
        let body = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": DEFAULT, "namespace": namespace},
        });
        match self.client.create::<PartialObject>(&resources::SERVICE_ACCOUNTS, namespace, &body).await {
            Ok(_) => Ok(None),
            Err(e) if e.is_already_exists() || e.is_namespace_terminating() || e.is_not_found() => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}
