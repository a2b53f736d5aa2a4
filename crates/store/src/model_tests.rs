//! Random operations on a View over each backend, against a model that keeps every state there ever was.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use component::Tasks;
use env::{Env, Rng as _};

use crate::backend::{Cond, Guard, Op, Outcome, Revision, StoreError, Txn};
use crate::view::{Entry, History, Index, Options, View, Watcher};

/// Key → value, mod revision, create revision.
type State = BTreeMap<String, (String, Revision, Revision)>;

struct Model {
    /// The state at each revision from `FIRST_REVISION` on.
    states: Vec<State>,
}

impl Model {
    fn new() -> Self {
        Self { states: vec![State::new(), State::new()] }
    }

    fn revision(&self) -> Revision {
        self.states.len() as u64 - 1
    }

    fn at(&self, revision: Revision) -> &State {
        &self.states[usize::try_from(revision).unwrap()]
    }

    fn commit(&mut self, txn: &Txn) -> Outcome {
        let revision = self.revision();
        let mut state = self.at(revision).clone();
        for (guard, Guard { key, cond }) in txn.guards.iter().enumerate() {
            let found = state.get(&**key).map(|(_, modified, _)| *modified);
            let holds = match cond {
                Cond::Absent => found.is_none(),
                Cond::Present => found.is_some(),
                Cond::ModRevision(wanted) => found == Some(*wanted),
            };
            if !holds {
                return Outcome::Failed { guard, revision };
            }
        }
        let mut changed = false;
        for op in &txn.ops {
            match op {
                Op::Put { key, value, .. } => {
                    let created = state.get(&**key).map_or(revision + 1, |(_, _, created)| *created);
                    let value = String::from_utf8_lossy(value).into_owned();
                    state.insert(key.to_string(), (value, revision + 1, created));
                    changed = true;
                }
                Op::Delete { key } => changed |= state.remove(&**key).is_some(),
            }
        }
        if changed {
            self.states.push(state);
        }
        Outcome::Committed { revision: self.revision() }
    }

    /// What a watcher of `topic` must be told from `from` to `until`: revision, key, old, new; in order of the keys
    /// within a revision.
    fn events(
        &self,
        topic: &str,
        from: Revision,
        until: Revision,
    ) -> Vec<(Revision, String, Option<String>, Option<String>)> {
        let mut events = Vec::new();
        for revision in from..=until {
            let (old, new) = (self.at(revision - 1), self.at(revision));
            let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let value = |state: &State| state.get(key).map(|(value, _, _)| value.clone());
                let covered = if let Some(wanted) = topic.strip_prefix(BY_VALUE) {
                    let has = |state: &State| value(state).is_some_and(|v| indexed(&v) == wanted);
                    key.starts_with(INDEXED) && (has(old) || has(new))
                } else if topic.ends_with('/') || topic.is_empty() {
                    key.starts_with(topic)
                } else {
                    key == topic
                };
                let modified = |state: &State| state.get(key).map(|(_, modified, _)| *modified);
                if covered && modified(old) != modified(new) {
                    events.push((revision, key.clone(), value(old), value(new)));
                }
            }
        }
        events
    }
}

fn text(entry: &Arc<Entry>) -> String {
    String::from_utf8_lossy(&entry.value).into_owned()
}

/// What lies below this prefix is watched by value too.
const INDEXED: &str = "/r/";
/// What a watch by value is called here, before the value.
const BY_VALUE: &str = "#";

/// What a value is indexed by: how its text ends.
fn indexed(value: &str) -> &str {
    &value[value.len() - 1..]
}

struct Watch {
    topic: String,
    from: Revision,
    watcher: Watcher,
    seen: Vec<(Revision, String, Option<String>, Option<String>)>,
}

impl Watch {
    /// Reads on; false when history that it would have needed is gone, and it is over.
    fn read(&mut self, max: usize, model: &Model, compacted: Revision) -> bool {
        let mut events = Vec::new();
        match self.watcher.read(max, &mut events) {
            Ok(()) => {}
            Err(StoreError::Compacted { .. }) => {
                self.check_lost(model, compacted);
                return false;
            }
            Err(other) => panic!("{other}"),
        }
        for e in events {
            let values = (e.prev.as_ref().map(text), e.entry.as_ref().map(text));
            self.seen.push((e.revision, e.key.to_string(), values.0, values.1));
        }
        true
    }

    /// Only somebody who has not read an event that is gone by now loses the place, and until then has lost nothing.
    fn check_lost(&mut self, model: &Model, compacted: Revision) {
        let expected = model.events(&self.topic, self.from, model.revision());
        let (seen, missed) = expected.split_at(self.seen.len());
        // Keys of one revision come in the order of the transaction.
        self.seen.sort();
        assert_eq!(self.seen.first().map(|e| e.0), seen.first().map(|e| e.0));
        assert!(missed[0].0 <= compacted, "{:?} is not gone at {compacted}", missed[0]);
    }

    fn check(mut self, model: &Model, compacted: Revision) {
        if !self.read(usize::MAX / 2, model, compacted) {
            return;
        }
        assert_eq!(self.watcher.progress(), model.revision());
        assert!(self.seen.is_sorted_by_key(|e| e.0), "out of order");
        self.seen.sort();
        assert_eq!(
            self.seen,
            model.events(&self.topic, self.from, model.revision()),
            "watch of {:?}",
            self.topic
        );
    }
}

struct Run {
    rng: env::rng::SeededRng,
    view: Arc<View>,
    model: Model,
    watches: Vec<Watch>,
}

const TOPICS: [&str; 7] = ["", "/", "/r/", "/r/a/", "/s/", "/r/b/1", "/none/"];
const VALUES: [&str; 3] = ["#0", "#1", "#9"];

impl Run {
    fn below(&self, n: u64) -> u64 {
        self.rng.below(n)
    }

    fn pick<'a>(&self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }

    fn key(&self) -> Arc<str> {
        let dir = self.pick(&["/r/a/", "/r/a-b/", "/r/b/", "/s/a/"]);
        format!("{dir}{}", self.below(5)).into()
    }

    fn txn(&self) -> Txn {
        let mut txn = Txn::default();
        for _ in 0..self.below(3) {
            let key = self.key();
            let found = self.model.at(self.model.revision()).get(&*key).map(|(_, modified, _)| *modified);
            // Mostly guards that hold.
            let cond = match (self.below(6), found) {
                (0, _) => Cond::ModRevision(self.below(self.model.revision() + 2)),
                (1, _) => Cond::Absent,
                (2, _) => Cond::Present,
                (_, Some(revision)) => Cond::ModRevision(revision),
                (_, None) => Cond::Absent,
            };
            txn.guards.push(Guard { key, cond });
        }
        for i in 0..self.below(4) {
            let key = self.key();
            if txn.ops.iter().any(|op| *op.key() == key) {
                continue;
            }
            txn.ops.push(if self.below(3) == 0 {
                Op::Delete { key }
            } else {
                Op::Put { key, value: Bytes::from(format!("{}-{i}", self.model.revision())), expiry: None }
            });
        }
        txn
    }

    fn check_reads(&self) {
        let compacted = self.view.oldest_readable();
        assert!(compacted >= self.view.compacted_revision());
        let revision = self.below(self.model.revision()) + 1;
        let key = self.key();
        let found = self.view.get_at(&key, revision);
        if revision < compacted {
            assert!(matches!(found, Err(StoreError::Compacted { .. })));
            return;
        }
        let found = found.unwrap().map(|e| (text(&e), e.mod_revision, e.create_revision));
        assert_eq!(found.as_ref(), self.model.at(revision).get(&*key), "{key} at {revision}");

        let prefix = self.pick(&TOPICS);
        let limit = usize::try_from(self.below(6)).unwrap();
        let mut expected = self
            .model
            .at(revision)
            .iter()
            .filter(|(k, _)| k.starts_with(prefix))
            .map(|(k, v)| (k.clone(), v.clone()));
        let mut after = None;
        loop {
            let page = self.view.range(prefix, after.as_deref(), limit, Some(revision)).unwrap();
            for e in &page.entries {
                let found = (e.key.to_string(), (text(e), e.mod_revision, e.create_revision));
                assert_eq!(Some(found), expected.next());
            }
            assert_eq!(page.remaining, expected.clone().count());
            assert_eq!(page.more, page.remaining > 0);
            if !page.more {
                break;
            }
            after = page.entries.last().map(|e| e.key.to_string());
        }
        let live = self.model.at(self.model.revision()).keys().filter(|k| k.starts_with(prefix)).count();
        if prefix.ends_with('/') || prefix.is_empty() {
            assert_eq!(self.view.count(prefix), live);
            let last =
                self.model.events(prefix, compacted + 1, self.model.revision()).last().map_or(0, |e| e.0);
            assert!(
                self.view.last_change(prefix) >= last
                    && self.view.last_change(prefix) <= self.model.revision()
            );
        }
    }

    fn read(&mut self, max: usize) {
        let compacted = self.view.compacted_revision();
        self.watches.retain_mut(|w| w.read(max, &self.model, compacted));
    }

    async fn step(&mut self) {
        match self.below(20) {
            0 => {
                let by_value = self.below(3) == 0;
                let topic = if by_value { self.pick(&VALUES) } else { self.pick(&TOPICS) }.to_owned();
                let from = self.below(self.model.revision()) + 2;
                let watcher = match topic.strip_prefix(BY_VALUE) {
                    Some(value) => self.view.watch_value(value, from).expect("there is an index"),
                    None => self.view.watch(&topic, from),
                };
                match watcher {
                    Ok(watcher) => {
                        assert!(from > self.view.compacted_revision());
                        self.watches.push(Watch { topic, from, watcher, seen: vec![] });
                    }
                    Err(StoreError::Compacted { oldest, .. }) => assert!(from <= oldest),
                    Err(other) => panic!("{other}"),
                }
            }
            1 if !self.watches.is_empty() => {
                let i = usize::try_from(self.below(self.watches.len() as u64)).unwrap();
                self.watches.swap_remove(i).check(&self.model, self.view.compacted_revision());
            }
            2 if self.below(4) == 0 => {
                // Those who have read everything do not notice that history goes; the others lose their place.
                if self.below(2) == 0 {
                    self.read(usize::MAX / 2);
                }
                tokio::time::sleep(Duration::from_secs(self.below(400))).await;
            }
            3..6 => self.check_reads(),
            6..8 => {
                let max = usize::try_from(self.below(4)).unwrap();
                self.read(max);
            }
            _ => {
                let txn = self.txn();
                let expected = self.model.commit(&txn);
                assert_eq!(self.view.backend().commit(txn).await.unwrap(), expected);
                assert_eq!(self.view.linearize().await.unwrap(), self.model.revision());
            }
        }
    }
}

async fn run(seed: u64, embedded: bool) {
    let (env, tasks) = (Env::simulated(seed), Tasks::new("test"));
    let backend = if embedded {
        crate::open_embedded(&env, Path::new("/store"), &tasks).await.unwrap()
    } else {
        crate::memory()
    };
    let rng = env::rng::SeededRng::new(seed);
    let history = History { states: Duration::from_secs(rng.below(300) + 1), ..History::default() };
    let index = Index::new(INDEXED, |entry| Some(indexed(&String::from_utf8_lossy(&entry.value)).to_owned()));
    let options = Options { history, index: Some(index) };
    let view = View::start_with(backend, options, &tasks).await.unwrap();
    let mut run = Run { rng, view, model: Model::new(), watches: vec![] };
    for _ in 0..600 {
        run.step().await;
    }
    for watch in run.watches {
        watch.check(&run.model, run.view.compacted_revision());
    }
    assert_eq!(tasks.panics(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_memory_backend_and_the_view_follow_the_model() {
    for seed in 0..40 {
        run(seed, false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_embedded_backend_and_the_view_follow_the_model() {
    for seed in 0..20 {
        run(seed, true).await;
    }
}
