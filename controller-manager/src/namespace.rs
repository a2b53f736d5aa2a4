//! The namespace controller: empties a namespace that is being deleted, then lets it go.
//!
//! As upstream: pods first, then everything else that discovery knows, in the background; five conditions say what is
//! still in the way; when nothing is left the finalizer `kubernetes` is removed through the finalize subresource.
//! Unlike upstream it looks again as soon as the last pod is gone instead of after half the grace period.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::{Client, DeleteParams, Error, Informer, Key, ListParams, PartialObject, Propagation, resources};
use controller_kit::{Queue, SyncResult, write};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::context::{Context, synced};
use crate::discovery::{self, Served};
use crate::objects::{Condition, Namespace, Pod};

const FINALIZER: &str = "kubernetes";
const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
/// While something is left (a finalizer, a graceful deletion) it is looked at again this often.
const AGAIN: Duration = Duration::from_secs(5);
/// After a pod went, the others that go with it should have gone too.
const AFTER_POD: Duration = Duration::from_millis(50);

struct Controller {
    client: Client,
    env: env::Env,
    namespaces: Informer<Namespace>,
}

pub(crate) fn start(context: &Context) {
    let queue: Queue<Key> = Queue::new(context.env.clone());
    let namespaces = context.informers.of::<Namespace>();
    let add = queue.clone();
    namespaces.add_handler(move |event| {
        if !event.is_deleted() && event.object().metadata.deleting() {
            add.add(Key::of(&event.object().metadata));
        }
    });
    let (add, cache) = (queue.clone(), namespaces.clone());
    context.informers.of::<Pod>().add_handler(move |event| {
        let namespace = &event.object().metadata.namespace;
        if event.is_deleted() && cache.get("", namespace).is_some_and(|n| n.metadata.deleting()) {
            add.add_after(Key::new("", namespace), AFTER_POD);
        }
    });
    let caches = vec![synced(&namespaces)];
    let controller =
        Arc::new(Controller { client: context.client.clone(), env: context.env.clone(), namespaces });
    context.run(caches, 10, &queue, move |key| {
        let controller = Arc::clone(&controller);
        async move { controller.sync(&key).await }
    });
}

/// What was found while emptying a namespace.
#[derive(Clone, Debug, Default, PartialEq)]
struct Findings {
    discovery: Vec<String>,
    deletion: Vec<String>,
    /// Instances by `plural.group`.
    remaining: BTreeMap<String, usize>,
    /// Instances by finalizer.
    finalizers: BTreeMap<String, usize>,
}

impl Findings {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The five conditions, with upstream's reasons and wording.
    fn conditions(&self) -> [(&'static str, bool, &'static str, String); 5] {
        let counts = |map: &BTreeMap<String, usize>, word: &str| {
            map.iter()
                .map(|(what, n)| format!("{what} {word} {n} resource instances"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let (n_discovery, n_deletion) = (self.discovery.len(), self.deletion.len());
        let pick = |bad: bool, reasons: [&'static str; 2], texts: [String; 2]| {
            let [bad_text, good_text] = texts;
            if bad { (true, reasons[0], bad_text) } else { (false, reasons[1], good_text) }
        };
        let discovery = pick(
            n_discovery > 0,
            ["DiscoveryFailed", "ResourcesDiscovered"],
            [
                format!(
                    "Discovery failed for some groups, {n_discovery} failing: {}",
                    self.discovery.join(", ")
                ),
                "All resources successfully discovered".into(),
            ],
        );
        let parsing = (false, "ParsedGroupVersions", "All legacy kube types successfully parsed".to_owned());
        let deletion = pick(
            n_deletion > 0,
            ["ContentDeletionFailed", "ContentDeleted"],
            [
                format!(
                    "Failed to delete all resource types, {n_deletion} remaining: {}",
                    self.deletion.join(", ")
                ),
                "All content successfully deleted, may be waiting on finalization".into(),
            ],
        );
        let remaining = pick(
            !self.remaining.is_empty(),
            ["SomeResourcesRemain", "ContentRemoved"],
            [
                format!("Some resources are remaining: {}", counts(&self.remaining, "has")),
                "All content successfully removed".into(),
            ],
        );
        let finalizers = pick(
            !self.finalizers.is_empty(),
            ["SomeFinalizersRemain", "ContentHasNoFinalizers"],
            [
                format!(
                    "Some content in the namespace has finalizers remaining: {}",
                    counts(&self.finalizers, "in")
                ),
                "All content-preserving finalizers finished".into(),
            ],
        );
        let named = |name, (bad, reason, text)| (name, bad, reason, text);
        [
            named("NamespaceDeletionDiscoveryFailure", discovery),
            named("NamespaceDeletionGroupVersionParsingFailure", parsing),
            named("NamespaceDeletionContentFailure", deletion),
            named("NamespaceContentRemaining", remaining),
            named("NamespaceFinalizersRemaining", finalizers),
        ]
    }
}

/// The conditions after these findings; transition times move with the status only.
fn plan_conditions(old: &[Condition], findings: &Findings, now: Timestamp) -> Vec<Condition> {
    let mut conditions = old.to_vec();
    for (kind, bad, reason, message) in findings.conditions() {
        let status = if bad { "True" } else { "False" };
        let before = Condition::find(old, kind);
        let transition = before
            .filter(|c| c.status == status)
            .and_then(|c| c.last_transition_time)
            .or_else(|| Timestamp::from_second(now.as_second()).ok());
        let new = Condition {
            kind: kind.into(),
            status: status.into(),
            last_transition_time: transition,
            reason: reason.into(),
            message,
            ..Condition::default()
        };
        match conditions.iter_mut().find(|c| c.kind == kind) {
            Some(slot) => *slot = new,
            None => conditions.push(new),
        }
    }
    conditions
}

impl Controller {
    async fn sync(&self, key: &Key) -> SyncResult {
        let Some(namespace) = self.namespaces.get_key(key) else { return Ok(None) };
        if !namespace.metadata.deleting() || !namespace.spec.finalizers.iter().any(|f| f == FINALIZER) {
            return Ok(None);
        }
        let findings = self.empty(&key.name).await?;
        let conditions = plan_conditions(&namespace.status.conditions, &findings, self.env.clock.now());
        if findings.is_empty() {
            return self.finalize(&namespace).await;
        }
        if conditions != namespace.status.conditions || namespace.status.phase != "Terminating" {
            let body = json!({"phase": "Terminating", "conditions": conditions});
            match write::update_status(&self.client, &resources::NAMESPACES, &namespace.metadata, body).await
            {
                Err(e) if !e.is_not_found() => return Err(e.into()),
                _ => {}
            }
        }
        Ok(Some(AGAIN))
    }

    /// Asks for the deletion of everything and reports what is left.
    async fn empty(&self, namespace: &str) -> Result<Findings, Error> {
        let found = discovery::discover(&self.client).await?;
        let mut findings = Findings { discovery: found.failed, ..Findings::default() };
        let (pods, others): (Vec<Served>, Vec<Served>) = found
            .resources
            .into_iter()
            .filter(|s| {
                s.resource.namespaced && s.can("list") && (s.can("deletecollection") || s.can("delete"))
            })
            .partition(|s| s.resource.group.is_empty() && s.resource.plural == "pods");
        for group in [pods, others] {
            for served in group {
                if let Err(error) = self.empty_resource(namespace, &served, &mut findings).await {
                    findings.deletion.push(error.to_string());
                }
            }
            // Pods go first: what they use, such as their network policies, outlives them.
            if !findings.remaining.is_empty() {
                break;
            }
        }
        Ok(findings)
    }

    async fn empty_resource(
        &self,
        namespace: &str,
        served: &Served,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let objects = self.list(namespace, served).await?;
        if objects.is_empty() {
            return Ok(());
        }
        if objects.iter().any(|o| !o.metadata.deleting()) {
            self.delete(namespace, served, &objects).await?;
        }
        let left = self.list(namespace, served).await?;
        if !left.is_empty() {
            let name = format!("{}.{}", served.resource.plural, served.resource.group);
            findings.remaining.insert(name, left.len());
        }
        for finalizer in left.iter().flat_map(|o| &o.metadata.finalizers) {
            *findings.finalizers.entry(finalizer.clone()).or_default() += 1;
        }
        Ok(())
    }

    async fn list(&self, namespace: &str, served: &Served) -> Result<Vec<PartialObject>, Error> {
        let path = served.resource.path(namespace, "", "");
        match self.client.list_path::<PartialObject>(&path, &ListParams::default(), METADATA_LIST).await {
            Ok(list) => Ok(list.items),
            // It went between discovery and here.
            Err(e) if e.is_not_found() || e.code() == Some(405) => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }

    async fn delete(&self, namespace: &str, served: &Served, objects: &[PartialObject]) -> Result<(), Error> {
        let params = DeleteParams { propagation: Some(Propagation::Background), ..DeleteParams::default() };
        if served.can("deletecollection") {
            let result = self.client.delete_path(&served.resource.path(namespace, "", ""), &params).await;
            return match result {
                Err(e) if !e.is_not_found() && e.code() != Some(405) => Err(e),
                _ => Ok(()),
            };
        }
        for object in objects.iter().filter(|o| !o.metadata.deleting()) {
            let path = served.resource.path(namespace, &object.metadata.name, "");
            match self.client.delete_path(&path, &params).await {
                Err(e) if !e.is_not_found() => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }

    async fn finalize(&self, namespace: &Namespace) -> SyncResult {
        let result =
            write::update(&self.client, &resources::NAMESPACES, &namespace.metadata, "finalize", |live| {
                let Some(finalizers) = live["spec"]["finalizers"].as_array_mut() else { return false };
                finalizers.retain(|f: &Value| f != FINALIZER);
                true
            })
            .await;
        match result {
            Ok(_) => Ok(None),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn conditions_in_upstreams_words() {
        let findings = Findings {
            remaining: BTreeMap::from([("pods.".to_owned(), 2)]),
            finalizers: BTreeMap::from([("x.io/f".to_owned(), 1)]),
            ..Findings::default()
        };
        let conditions = plan_conditions(&[], &findings, at(5));
        let got: Vec<(&str, &str, &str)> =
            conditions.iter().map(|c| (c.status.as_str(), c.reason.as_str(), c.message.as_str())).collect();
        assert_eq!(
            got,
            [
                ("False", "ResourcesDiscovered", "All resources successfully discovered"),
                ("False", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
                (
                    "False",
                    "ContentDeleted",
                    "All content successfully deleted, may be waiting on finalization"
                ),
                (
                    "True",
                    "SomeResourcesRemain",
                    "Some resources are remaining: pods. has 2 resource instances"
                ),
                (
                    "True",
                    "SomeFinalizersRemain",
                    "Some content in the namespace has finalizers remaining: x.io/f in 1 resource instances"
                ),
            ]
        );
        // Same findings later: nothing changes. Others: only the time of what changed moves.
        assert_eq!(plan_conditions(&conditions, &findings, at(9)), conditions);
        let later = plan_conditions(&conditions, &Findings::default(), at(9));
        let times: Vec<Option<Timestamp>> = later.iter().map(|c| c.last_transition_time).collect();
        assert_eq!(times, [Some(at(5)), Some(at(5)), Some(at(5)), Some(at(9)), Some(at(9))]);
    }
}
