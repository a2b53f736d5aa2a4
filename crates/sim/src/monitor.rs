//! Looks at each change in the store, below the API, and notes what must never be: a lost or undone write, an object
//! that comes back from the dead, a pod too many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use store::{Key, Revision, StoreError, View, WatchEvent, Watcher};

use crate::objects::Object;
use crate::trace::Trace;

/// The kinds that are looked into.
const PODS: &str = "/registry/pods/";
const SETS: &str = "/registry/replicasets/";
const DEPLOYMENTS: &str = "/registry/deployments/";
const CONFIG_MAPS: &str = "/registry/configmaps/";

/// Everything in the store, and what was wrong with how it came there. Clones are the same monitor.
#[derive(Clone, Debug)]
pub struct Monitor(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    trace: Trace,
    watcher: Option<Watcher>,
    revision: Revision,
    /// Revision of the last change and length of each key's value.
    keys: BTreeMap<Key, (Revision, usize)>,
    objects: BTreeMap<Key, Object>,
    deleted_uids: BTreeSet<String>,
    /// The most replicas that each ReplicaSet and Deployment (by uid) ever asked for, a Deployment's surge included.
    most: BTreeMap<String, i64>,
    violations: Vec<String>,
}

impl Monitor {
    pub fn new(trace: Trace) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            trace,
            watcher: None,
            revision: 0,
            keys: BTreeMap::new(),
            objects: BTreeMap::new(),
            deleted_uids: BTreeSet::new(),
            most: BTreeMap::new(),
            violations: Vec::new(),
        })))
    }

    /// Looks at a server's store from its start on. What was seen before must all be there.
    pub fn attach(&self, view: &Arc<View>) {
        let mut inner = self.0.lock();
        let range = view.range("/", None, 0, None).expect("the present can always be read");
        inner.reload(&range);
        inner.watcher = Some(view.watch("/", range.revision + 1).expect("the future can always be watched"));
    }

    /// Reads what has changed since.
    pub fn catch_up(&self) {
        self.0.lock().catch_up();
    }

    /// Follows the store until it stops.
    pub async fn follow(&self, view: Arc<View>) {
        let mut seen = view.revision();
        loop {
            self.catch_up();
            if view.wait_for(seen + 1).await.is_err() {
                return;
            }
            seen = view.revision();
        }
    }

    /// The server is about to crash: whatever it has applied is durable, so it is read before.
    pub fn detach(&self) {
        let mut inner = self.0.lock();
        inner.catch_up();
        inner.watcher = None;
    }

    pub fn violate(&self, what: impl Into<String>) {
        self.0.lock().violate(what.into());
    }

    pub fn violation(&self) -> Option<String> {
        self.0.lock().violations.first().cloned()
    }

    pub fn revision(&self) -> Revision {
        self.0.lock().revision
    }

    pub fn pods(&self) -> Vec<Object> {
        self.0.lock().of(PODS).cloned().collect()
    }
    pub fn sets(&self) -> Vec<Object> {
        self.0.lock().of(SETS).cloned().collect()
    }
    pub fn deployments(&self) -> Vec<Object> {
        self.0.lock().of(DEPLOYMENTS).cloned().collect()
    }
}

impl Inner {
    fn violate(&mut self, what: String) {
        self.trace.add(&format!("VIOLATION {what}"));
        self.violations.push(what);
    }

    fn of<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Object> {
        let from = std::ops::Bound::Included(prefix);
        let range = self.objects.range::<str, _>((from, std::ops::Bound::Unbounded));
        range.take_while(move |(k, _)| k.starts_with(prefix)).map(|(_, o)| o)
    }

    /// Compares the state of a server that has just started with what was seen before.
    fn reload(&mut self, range: &store::Range) {
        let before = self.revision;
        if range.revision < before {
            self.violate(format!("the store went back from revision {before} to {}", range.revision));
        }
        let mut gone = std::mem::take(&mut self.keys);
        self.objects.clear();
        for entry in &range.entries {
            let known = gone.remove(&entry.key);
            let same = known == Some((entry.mod_revision, entry.value.len()));
            if entry.mod_revision <= before && !same {
                self.violate(format!(
                    "{} has revision {} after a restart, and had {known:?}",
                    entry.key, entry.mod_revision
                ));
            }
            self.keys.insert(Arc::clone(&entry.key), (entry.mod_revision, entry.value.len()));
            self.look_into(&entry.key, &entry.value, true);
        }
        if range.revision == before && !gone.is_empty() {
            self.violate(format!("lost by a restart: {:?}", gone.keys()));
        }
        self.revision = range.revision;
        self.trace.add(&format!("store at {} with {} keys", range.revision, range.entries.len()));
    }

    fn catch_up(&mut self) {
        let Some(mut watcher) = self.watcher.take() else { return };
        let mut events = Vec::new();
        match watcher.read(usize::MAX >> 1, &mut events) {
            Ok(()) => self.watcher = Some(watcher),
            Err(StoreError::Stopped) => {}
            Err(error) => self.violate(format!("the monitor's watch broke: {error}")),
        }
        for event in events {
            self.change(&event);
        }
    }

    fn change(&mut self, event: &WatchEvent) {
        if event.revision < self.revision {
            self.violate(format!("revision {} of {} after {}", event.revision, event.key, self.revision));
        }
        self.revision = event.revision;
        let before = self.keys.get(&event.key).map(|(revision, _)| *revision);
        let claimed = event.prev.as_ref().map(|e| e.mod_revision);
        if before != claimed {
            self.violate(format!("{} changed from {claimed:?}, and was at {before:?}", event.key));
        }
        match &event.entry {
            Some(entry) => {
                self.trace.add(&format!("{} {} {}", event.revision, event.key, entry.value.len()));
                self.keys.insert(Arc::clone(&event.key), (event.revision, entry.value.len()));
                self.look_into(&event.key, &entry.value, event.prev.is_none());
            }
            None => {
                self.trace.add(&format!("{} {} deleted", event.revision, event.key));
                self.keys.remove(&event.key);
                if let Some(object) = self.objects.remove(&event.key) {
                    self.deleted_uids.insert(object.metadata.uid);
                }
            }
        }
    }

    fn look_into(&mut self, key: &Key, value: &[u8], new: bool) {
        if ![PODS, SETS, DEPLOYMENTS, CONFIG_MAPS].iter().any(|p| key.starts_with(p)) {
            return;
        }
        let object: Object = match serde_json::from_slice(value) {
            Ok(object) => object,
            Err(error) => return self.violate(format!("{key} is stored as something else: {error}")),
        };
        if self.deleted_uids.contains(&object.metadata.uid) {
            self.violate(format!("{key} came back from the dead"));
        }
        if let Some(before) = self.objects.get(key) {
            let text = forbidden_change(before, &object);
            if let Some(text) = text {
                self.violate(format!("{key}: {text}"));
            }
        }
        if key.starts_with(SETS) || key.starts_with(DEPLOYMENTS) {
            let wanted = object.spec.replicas.unwrap_or(1) + object.spec.strategy.rolling_update.max_surge;
            let most = self.most.entry(object.metadata.uid.clone()).or_default();
            *most = wanted.max(*most);
        }
        let owner = object.owner_uid().to_owned();
        self.objects.insert(Arc::clone(key), object);
        if key.starts_with(PODS) && new {
            let active = self.of(PODS).filter(|p| p.owner_uid() == owner && p.is_active()).count();
            self.at_most(&owner, active, key, "active pods");
        }
        if key.starts_with(SETS) {
            let of_owner = self.of(SETS).filter(|s| s.owner_uid() == owner);
            let total: i64 = of_owner.map(|s| s.spec.replicas.unwrap_or(1)).sum();
            self.at_most(&owner, usize::try_from(total).unwrap_or(0), key, "wanted replicas");
        }
    }

    /// Notes when an owner has more than it ever asked for.
    fn at_most(&mut self, owner: &str, n: usize, key: &Key, what: &str) {
        if let Some(most) = self.most.get(owner)
            && i64::try_from(n).unwrap_or(i64::MAX) > *most
        {
            let most = *most;
            self.violate(format!("{key}: its owner has {n} {what}, and never asked for more than {most}"));
        }
    }
}

/// What no write may do to an object of the same name.
fn forbidden_change(before: &Object, after: &Object) -> Option<String> {
    if before.metadata.uid != after.metadata.uid {
        return Some(format!("uid {} became {}", before.metadata.uid, after.metadata.uid));
    }
    if !before.spec.node_name.is_empty() && before.spec.node_name != after.spec.node_name {
        return Some(format!("moved from {} to {:?}", before.spec.node_name, after.spec.node_name));
    }
    if matches!(before.status.phase.as_str(), "Succeeded" | "Failed")
        && after.status.phase != before.status.phase
    {
        return Some(format!("ended as {} and became {}", before.status.phase, after.status.phase));
    }
    if before.metadata.deleting() && !after.metadata.deleting() {
        return Some("its deletion was taken back".into());
    }
    None
}
