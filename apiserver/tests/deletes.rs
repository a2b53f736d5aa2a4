//! Deletes that others get in the way of.

mod support;

use std::sync::Arc;

use apiserver::{Plugins, strategy};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value, json};
use store::{Backend, Op, Outcome, Revision, StoreError, Subscription, Txn};
use support::Cluster;

const PODS: &str = "/api/v1/namespaces/default/pods";

/// What somebody else does between a pod's mark and its removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meddling {
    Nothing,
    /// Writes the pod's status once more, as its kubelet does.
    Touch,
    /// Removes it.
    Remove,
}

/// A backend on which somebody is always faster with one write.
#[derive(Debug)]
struct Meddler {
    inner: Arc<dyn Backend>,
    what: Mutex<Meddling>,
}

impl Meddler {
    fn meddle(&self, txn: &Txn) -> Option<Txn> {
        let key = txn.ops.iter().find_map(|op| match op {
            Op::Delete { key } if key.starts_with("/registry/pods/") => Some(key.clone()),
            _ => None,
        })?;
        let op = match std::mem::replace(&mut *self.what.lock(), Meddling::Nothing) {
            Meddling::Nothing => return None,
            Meddling::Remove => Op::Delete { key },
            Meddling::Touch => Op::Put { key, value: MARKED.into(), expiry: None },
        };
        Some(Txn { guards: vec![], ops: vec![op] })
    }
}

/// The pod as the kubelet leaves it: marked, with no time left.
const MARKED: &str = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"default","uid":"u","deletionTimestamp":"2026-01-01T00:00:00Z","deletionGracePeriodSeconds":0},"spec":{"containers":[{"name":"c","image":"i"}]},"status":{"phase":"Failed"}}"#;

impl Backend for Meddler {
    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<Outcome, StoreError>> {
        Box::pin(async move {
            if let Some(other) = self.meddle(&txn) {
                self.inner.commit(other).await?;
            }
            self.inner.commit(txn).await
        })
    }
    fn barrier(&self) -> BoxFuture<'_, Result<Revision, StoreError>> {
        self.inner.barrier()
    }
    fn subscribe(&self) -> BoxFuture<'_, Result<Subscription, StoreError>> {
        self.inner.subscribe()
    }
    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.compact(revision)
    }
}

/// Deletes a pod with these preconditions while somebody meddles: the answer's code, and whether the pod is gone.
async fn check_delete(what: Meddling, preconditions: impl Fn(&Value) -> Value, code: u16, gone: bool) {
    let backend = Arc::new(Meddler { inner: store::memory(), what: Mutex::new(Meddling::Nothing) });
    let plugins = Box::new(|_: &_| Plugins { strategies: strategy::all(), ..Plugins::default() });
    let cluster = Cluster::on(Arc::clone(&backend) as Arc<dyn Backend>, plugins).await;
    // Stored as the kubelet's write has it but for the mark, so that both are the same object.
    let mut pod: Value = serde_json::from_str(MARKED).unwrap();
    pod["metadata"].as_object_mut().unwrap().retain(|key, _| !key.starts_with("deletion"));
    let op = Op::Put { key: "/registry/pods/default/a".into(), value: pod.to_string().into(), expiry: None };
    backend.commit(Txn { guards: vec![], ops: vec![op] }).await.unwrap();
    let made = cluster.get(&format!("{PODS}/a")).await.expect_code(200);
    *backend.what.lock() = what;
    let options = json!({"gracePeriodSeconds": 0, "preconditions": preconditions(&made)});
    let body = options.to_string();
    let answer =
        cluster.raw("DELETE", &format!("{PODS}/a"), &[("content-type", "application/json")], body).await;
    assert_eq!(answer.code, code, "{what:?} {options}: {}", String::from_utf8_lossy(&answer.body));
    assert_eq!(cluster.get(&format!("{PODS}/a")).await.code == 404, gone, "{what:?} {options}");
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_has_begun_is_not_refused_for_its_own_mark() {
    let revision = |made: &Value| json!({"resourceVersion": made["metadata"]["resourceVersion"]});
    let uid = |made: &Value| json!({"uid": made["metadata"]["uid"]});
    for what in [Meddling::Nothing, Meddling::Touch, Meddling::Remove] {
        check_delete(what, revision, 200, true).await;
        check_delete(what, uid, 200, true).await;
        check_delete(what, |_| json!({}), 200, true).await;
    }
    // Before it has begun, they are looked at.
    check_delete(Meddling::Nothing, |_| json!({"resourceVersion": "1"}), 409, false).await;
    check_delete(Meddling::Nothing, |_| json!({"uid": "other"}), 409, false).await;
}
