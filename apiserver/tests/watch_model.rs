//! The watch contract against a model: random writers, and watchers that start at random revisions with random selectors,
//! read when they like, resume from what they last heard, and live through compaction and restarts of the server.
//!
//! The model is what the backend committed, batch by batch: nothing of how the server keeps or tells it. No event is lost,
//! told twice or out of order; 410 comes exactly when history that is needed is gone; a bookmark is safe to resume from.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use apiserver::{Config, no_plugins};
use env::Rng as _;
use env::rng::SeededRng;
use serde_json::{Value, json};
use store::{Backend, ChangeBatch, Revision};
use support::{Cluster, Watch};
use tokio::sync::mpsc;

/// Seeds of a normal run; with `GANTRY_TEST_LONG`, so many times as many.
const SEEDS: u64 = 24;
const LONG: u64 = 20;
/// Steps with each seed.
const STEPS: usize = 400;
/// Turns that the server's tasks get after time has passed.
const SETTLE: usize = 16;
/// How long lists can go back.
const STATES: Duration = Duration::from_secs(60);
/// What a client waits for an event that is not there yet. The clock is paused: this passes at once.
const PATIENCE: Duration = Duration::from_millis(1);

/// One of the two kinds that are written: their fields can be selected by something that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// In namespaces.
    ConfigMap,
    /// Cluster-wide, with `spec.unschedulable`.
    Node,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::ConfigMap => "/registry/configmaps/",
            Self::Node => "/registry/minions/",
        }
    }

    fn path(self, namespace: &str) -> String {
        match self {
            Self::Node => "/api/v1/nodes".into(),
            Self::ConfigMap if namespace.is_empty() => "/api/v1/configmaps".into(),
            Self::ConfigMap => format!("/api/v1/namespaces/{namespace}/configmaps"),
        }
    }
}

/// What a watcher asks for.
#[derive(Clone, Debug)]
struct Wish {
    kind: Kind,
    /// Empty: all.
    namespace: String,
    label: Option<(&'static str, bool)>,
    /// Of ConfigMaps the name, of nodes `spec.unschedulable`.
    field: Option<String>,
}

impl Wish {
    fn query(&self) -> String {
        let mut query = String::new();
        if let Some((value, equal)) = self.label {
            query += &format!("&labelSelector=l{}{value}", if equal { "%3D" } else { "!%3D" });
        }
        if let Some(value) = &self.field {
            let field = if self.kind == Kind::Node { "spec.unschedulable" } else { "metadata.name" };
            query += &format!("&fieldSelector={field}%3D{value}");
        }
        query
    }

    fn covers(&self, key: &str) -> bool {
        let Some(rest) = key.strip_prefix(self.kind.prefix()) else { return false };
        self.namespace.is_empty() || rest.split_once('/').is_some_and(|(ns, _)| ns == self.namespace)
    }

    fn matches(&self, object: &Value) -> bool {
        let label = self.label.is_none_or(|(value, equal)| {
            (object["metadata"]["labels"]["l"].as_str() == Some(value)) == equal
        });
        let field = self.field.as_ref().is_none_or(|wanted| match self.kind {
            Kind::ConfigMap => object["metadata"]["name"] == wanted.as_str(),
            Kind::Node => object["spec"]["unschedulable"].as_bool().unwrap_or(false).to_string() == *wanted,
        });
        label && field
    }
}

/// An event without its object's bytes: type, name with namespace, revision, whole object.
type Event = (String, String, Revision, Value);

/// A key with its object before and after.
type Change = (String, Option<Value>, Option<Value>);

#[derive(Default)]
struct Model {
    /// Batches with what each key was before.
    log: Vec<(Revision, Vec<Change>)>,
    now: BTreeMap<String, (Revision, Value)>,
    revision: Revision,
}

fn with_revision(object: &Value, revision: Revision) -> Value {
    let mut object = object.clone();
    object["metadata"]["resourceVersion"] = json!(revision.to_string());
    object
}

fn title(object: &Value) -> String {
    let part = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    format!("{}/{}", part("namespace"), part("name"))
}

impl Model {
    fn take(&mut self, batch: &ChangeBatch) {
        assert_eq!(batch.revision, self.revision + 1, "a revision is used once");
        self.revision = batch.revision;
        let mut changes = Vec::new();
        for change in &batch.changes {
            let key = change.key.to_string();
            let new: Option<Value> =
                change.value.as_ref().map(|v| serde_json::from_slice(v).expect("objects are JSON"));
            let old = match &new {
                Some(new) => self.now.insert(key.clone(), (batch.revision, new.clone())),
                None => self.now.remove(&key),
            };
            changes.push((key, old.map(|(_, value)| value), new));
        }
        self.log.push((batch.revision, changes));
    }

    /// The changes after `from` that a watch reads, whether or not they are shown.
    fn covered<'a>(&'a self, wish: &'a Wish, from: Revision) -> impl Iterator<Item = (Revision, &'a Change)> {
        let start = self.log.partition_point(|(revision, _)| *revision <= from);
        let all = self.log[start..].iter().flat_map(|(revision, all)| all.iter().map(|c| (*revision, c)));
        all.filter(|(_, (key, _, _))| wish.covers(key))
    }

    /// What a watcher must hear of the changes after `from`.
    fn events<'a>(&'a self, wish: &'a Wish, from: Revision) -> impl Iterator<Item = Event> {
        self.covered(wish, from).filter_map(|(revision, (_, old, new))| {
            let old = old.as_ref().filter(|o| wish.matches(o));
            let new = new.as_ref().filter(|n| wish.matches(n));
            let (kind, object) = match (old, new) {
                (None, Some(new)) => ("ADDED", new),
                (Some(_), Some(new)) => ("MODIFIED", new),
                // As it was when it was last seen, at the revision at which it went out of sight.
                (Some(old), None) => ("DELETED", old),
                (None, None) => return None,
            };
            Some((kind.to_owned(), title(object), revision, with_revision(object, revision)))
        })
    }

    fn state(&self, wish: &Wish) -> Vec<Value> {
        let covered = self.now.iter().filter(|(key, _)| wish.covers(key));
        covered
            .filter(|(_, (_, object))| wish.matches(object))
            .map(|(_, (revision, object))| with_revision(object, *revision))
            .collect()
    }
}

/// A client that watches.
struct Client {
    wish: Wish,
    watch: Watch,
    /// Still to come of the state that the watch began with.
    initial: std::collections::VecDeque<Value>,
    /// The bookmark after that is still to come.
    end_of_initial: bool,
    /// Everything up to here has been heard.
    heard: Revision,
    bookmarks: bool,
    /// Where the watch began: a bookmark tells of more.
    began: Revision,
}

struct Run {
    rng: SeededRng,
    backend: Arc<dyn Backend>,
    batches: mpsc::Receiver<Arc<ChangeBatch>>,
    cluster: Cluster,
    model: Model,
    clients: Vec<Client>,
    seen: Seen,
}

/// What a run has met, so that one that tests nothing is noticed.
#[derive(Debug, Default)]
struct Seen {
    events: usize,
    bookmarks: usize,
    gone: usize,
    restarts: usize,
    resumed: usize,
    /// Lists that were read by pages, and those that lost their state on the way.
    pages: usize,
    pages_gone: usize,
}

/// A server on the store, which keeps old states for a shorter time than changes.
async fn serve(backend: &Arc<dyn Backend>) -> Cluster {
    let config = Config { compaction_interval: STATES, ..Config::default() };
    Cluster::configured(config, Arc::clone(backend), no_plugins()).await
}

impl Run {
    async fn new(seed: u64) -> Self {
        let backend = store::memory();
        let subscription = backend.subscribe().await.unwrap();
        let cluster = serve(&backend).await;
        let model = Model { revision: subscription.revision, ..Model::default() };
        let mut run = Self {
            rng: SeededRng::new(seed),
            backend,
            batches: subscription.changes,
            cluster,
            model,
            clients: Vec::new(),
            seen: Seen::default(),
        };
        run.learn();
        run
    }

    fn below(&self, n: u64) -> u64 {
        self.rng.below(n)
    }

    fn pick<T: Copy>(&self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }

    fn learn(&mut self) {
        while let Ok(batch) = self.batches.try_recv() {
            self.model.take(&batch);
        }
    }

    fn kind(&self) -> Kind {
        self.pick(&[Kind::ConfigMap, Kind::ConfigMap, Kind::Node])
    }

    fn wish(&self) -> Wish {
        let kind = self.kind();
        let field = match (self.below(3), kind) {
            (0, Kind::ConfigMap) => Some(format!("m{}", self.below(4))),
            (0, Kind::Node) => Some(self.pick(&["true", "false"]).to_owned()),
            _ => None,
        };
        let namespace = if kind == Kind::Node { "" } else { self.pick(&["", "a", "b"]) };
        let label = (self.below(2) == 0).then(|| (self.pick(&["0", "1"]), self.below(3) > 0));
        Wish { kind, namespace: namespace.into(), label, field }
    }

    /// A few writers at once, who may get in each other's way.
    async fn write(&mut self) {
        let requests = (0..self.below(4) + 1).map(|_| {
            let kind = self.kind();
            let collection = kind.path(self.pick(&["a", "b"]));
            let name = format!("m{}", self.below(4));
            let label = match self.below(3) {
                0 => Value::Null,
                _ => json!(self.pick(&["0", "1"])),
            };
            let mut object = json!({"metadata": {"name": name, "labels": {"l": label}}});
            match kind {
                Kind::Node => object["spec"] = json!({"unschedulable": self.below(2) == 0}),
                Kind::ConfigMap => object["data"] = json!({"n": self.below(3).to_string()}),
            }
            let what = self.below(6);
            let cluster = &self.cluster;
            async move {
                let path = format!("{collection}/{name}");
                let answer = match what {
                    0 | 1 => {
                        if label.is_null() {
                            object["metadata"].as_object_mut().unwrap().remove("labels");
                        }
                        cluster.post(&collection, object).await
                    }
                    2..=4 => cluster.patch(&path, "application/merge-patch+json", object).await,
                    _ => cluster.delete(&path).await,
                };
                assert!(matches!(answer.code, 200 | 201 | 404 | 409), "{}", answer.code);
            }
        });
        futures::future::join_all(requests.collect::<Vec<_>>()).await;
        self.learn();
    }

    fn compacted(&self) -> Revision {
        self.cluster.server.registry().view().compacted_revision()
    }

    /// Opens a watch: of the present, of any state, or after a revision.
    async fn open(&mut self, wish: Wish, after: Option<Revision>) {
        let bookmarks = self.below(3) > 0;
        let now = self.model.revision;
        let mut path = format!("{}?watch=1{}", wish.kind.path(&wish.namespace), wish.query());
        if bookmarks {
            path += "&allowWatchBookmarks=true";
        }
        let mut initial = Vec::new();
        match after {
            Some(after) => path += &format!("&resourceVersion={after}"),
            None => {
                path += self.pick(&[
                    "",
                    "&resourceVersion=0",
                    "&resourceVersion=0&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
                ]);
                initial = self.model.state(&wish);
            }
        }
        let mut watch = self.cluster.watch(&path).await;
        if let Some(after) = after.filter(|after| *after < self.compacted()) {
            let error = watch.next().await;
            let message = format!("too old resource version: {after} ({})", self.compacted());
            assert_eq!((&error["type"], &error["object"]["code"]), (&json!("ERROR"), &json!(410)), "{error}");
            assert_eq!(error["object"]["message"], message);
            assert!(watch.try_next().await.is_none());
            self.seen.gone += 1;
            return;
        }
        self.clients.push(Client {
            wish,
            watch,
            end_of_initial: after.is_none() && bookmarks,
            initial: initial.into(),
            heard: after.unwrap_or(now),
            bookmarks,
            began: after.unwrap_or(now),
        });
    }

    /// Lets a client read up to `max` events; false once its watch has ended.
    async fn read(&mut self, i: usize, max: usize) -> bool {
        for _ in 0..max {
            let read = tokio::time::timeout(PATIENCE, self.clients[i].watch.try_next()).await;
            match read {
                Err(_) => return true,
                Ok(None) => return false,
                Ok(Some(event)) => {
                    if !self.hear(i, &event) {
                        assert!(self.clients[i].watch.try_next().await.is_none());
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Compares an event with what is due; false for the error that ends a watch.
    fn hear(&mut self, i: usize, event: &Value) -> bool {
        let compacted = self.compacted();
        let client = &mut self.clients[i];
        let (kind, object) = (event["type"].as_str().unwrap(), &event["object"]);
        if kind == "ERROR" {
            assert_eq!(object["code"], 410, "{object}");
            let missed = self.model.covered(&client.wish, client.heard).map(|(revision, _)| revision).next();
            assert!(missed.is_some_and(|r| r <= compacted), "{missed:?} is not gone at {compacted}");
            self.seen.gone += 1;
            return false;
        }
        let revision: Revision =
            object["metadata"]["resourceVersion"].as_str().unwrap().parse().expect("a number");
        if let Some(due) = client.initial.pop_front() {
            assert_eq!((kind, object), ("ADDED", &due));
            return true;
        }
        let due = self.model.events(&client.wish, client.heard).next();
        if kind == "BOOKMARK" {
            assert!(client.bookmarks);
            let end = object["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true";
            assert_eq!(end, std::mem::take(&mut client.end_of_initial));
            assert!(revision >= client.heard && revision <= self.model.revision);
            assert!(end || revision > client.began, "a bookmark that tells nothing");
            assert!(due.is_none_or(|due| due.2 > revision), "what a bookmark covers was told before it");
            client.heard = revision;
            self.seen.bookmarks += 1;
            return true;
        }
        assert!(!client.end_of_initial, "the initial events were to end before {event}");
        let told = (kind.to_owned(), title(object), revision, object.clone());
        assert_eq!(Some(told), due, "{:?} after {}", client.wish, client.heard);
        // One transaction changes one object here, so a revision is heard as a whole.
        client.heard = revision;
        self.seen.events += 1;
        true
    }

    /// A list is the model's state, and what it says of its revision is where a watch goes on.
    async fn list_and_watch(&mut self) {
        let wish = self.wish();
        let path = format!("{}?x=y{}", wish.kind.path(&wish.namespace), wish.query());
        let list = self.cluster.get(&path).await.expect_code(200);
        let expected: Vec<Value> = self.model.state(&wish).into_iter().map(as_item).collect();
        assert_eq!(list["items"].as_array().unwrap(), &expected);
        let revision: Revision = list["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        assert!(revision <= self.model.revision);
        assert_eq!(self.model.events(&wish, revision).next(), None);
        self.open(wish, Some(revision)).await;
    }

    /// Pages are of one state, whatever is written between them, until that state is compacted; then what is left is
    /// offered as it is now.
    async fn list_by_pages(&mut self) {
        let mut wish = self.wish();
        wish.field = None;
        let path = format!("{}?limit={}{}", wish.kind.path(&wish.namespace), self.below(3) + 1, wish.query());
        let mut due = self.model.state(&wish);
        let (mut query, mut revision, mut last) = (String::new(), self.model.revision, String::new());
        loop {
            let answer = self.cluster.get(&format!("{path}{query}")).await;
            if answer.code == 410 {
                let gone = answer.expect_code(410);
                let oldest = self.cluster.server.registry().view().oldest_readable();
                assert!(revision < oldest, "{revision} is there since {oldest}");
                query = format!("&continue={}", gone["metadata"]["continue"].as_str().unwrap());
                revision = self.model.revision;
                due = self.model.state(&wish).into_iter().filter(|o| title(o) > last).collect();
                self.seen.pages_gone += 1;
                continue;
            }
            let page = answer.expect_code(200);
            assert_eq!(page["metadata"]["resourceVersion"], revision.to_string());
            for item in page["items"].as_array().unwrap() {
                last = title(item);
                assert_eq!(*item, as_item(due.remove(0)));
            }
            let left = page["metadata"]["remainingItemCount"].as_u64();
            let more = page["metadata"]["continue"].as_str();
            let counted = more.filter(|_| wish.label.is_none()).map(|_| due.len() as u64);
            assert_eq!(left, counted);
            let Some(token) = more else { break };
            query = format!("&continue={token}");
            if self.below(2) == 0 {
                self.write().await;
            }
            if self.below(6) == 0 {
                self.pass_time().await;
            }
        }
        assert_eq!(due, [] as [Value; 0]);
        self.seen.pages += 1;
    }

    async fn restart(&mut self) {
        self.cluster.tasks.stop(Duration::from_secs(1)).await;
        for i in 0..self.clients.len() {
            // What was on its way may still come; nothing is told after the end.
            while self.read(i, 1000).await {}
        }
        self.cluster = serve(&self.backend).await;
        let clients = std::mem::take(&mut self.clients);
        for client in clients.into_iter().filter(|c| c.initial.is_empty() && !c.end_of_initial) {
            self.open(client.wish, Some(client.heard)).await;
        }
        self.seen.restarts += 1;
    }

    /// Long enough, a few times, for history to go.
    async fn pass_time(&mut self) {
        tokio::time::sleep(Duration::from_secs(self.below(200))).await;
        // The server's own timers of this moment have their turn first.
        for _ in 0..SETTLE {
            tokio::task::yield_now().await;
        }
    }

    /// The client goes away and comes back where it was.
    async fn resume(&mut self, i: usize) {
        let client = self.clients.swap_remove(i);
        if client.initial.is_empty() && !client.end_of_initial {
            self.seen.resumed += 1;
            self.open(client.wish, Some(client.heard)).await;
        }
    }

    async fn step(&mut self) {
        let client = (!self.clients.is_empty())
            .then(|| usize::try_from(self.below(self.clients.len() as u64)).unwrap());
        match (self.below(40), client) {
            (0..=2, _) if self.clients.len() < 12 => {
                let after = (self.below(2) == 0).then(|| self.below(self.model.revision) + 1);
                let wish = self.wish();
                self.open(wish, after).await;
            }
            (3, _) if self.clients.len() < 12 => self.list_and_watch().await,
            (4, Some(i)) => self.resume(i).await,
            (5..=16, Some(i)) => {
                let max = usize::try_from(self.below(6)).unwrap();
                if !self.read(i, max).await {
                    self.clients.swap_remove(i);
                }
            }
            (17, _) => self.pass_time().await,
            (18, _) if self.below(4) == 0 => self.restart().await,
            (19..=20, _) => self.list_by_pages().await,
            _ => self.write().await,
        }
    }

    /// Everybody hears the rest.
    async fn end(mut self) -> Seen {
        for i in 0..self.clients.len() {
            if self.read(i, usize::MAX).await {
                let client = &self.clients[i];
                assert_eq!(self.model.events(&client.wish, client.heard).next(), None, "{:?}", client.wish);
                assert!(client.initial.is_empty() && !client.end_of_initial);
            }
        }
        assert_eq!(self.cluster.tasks.panics(), 0);
        self.seen
    }
}

/// Items of a list do not say their kind.
fn as_item(mut object: Value) -> Value {
    let members = object.as_object_mut().unwrap();
    members.remove("kind");
    members.remove("apiVersion");
    object
}

async fn run(seed: u64) -> Seen {
    let mut run = Run::new(seed).await;
    for _ in 0..STEPS {
        run.step().await;
    }
    run.end().await
}

async fn run_part(part: u64) {
    let times = if std::env::var_os("GANTRY_TEST_LONG").is_some() { LONG } else { 1 };
    let mut total = Seen::default();
    for seed in (part..SEEDS * times).step_by(4) {
        let seen = run(seed).await;
        total.events += seen.events;
        total.bookmarks += seen.bookmarks;
        total.gone += seen.gone;
        total.restarts += seen.restarts;
        total.resumed += seen.resumed;
        total.pages += seen.pages;
        total.pages_gone += seen.pages_gone;
    }
    let Seen { events, bookmarks, gone, restarts, resumed, pages, pages_gone } = total;
    let watched = events > 500 && bookmarks > 50 && gone > 10 && restarts > 2 && resumed > 20;
    assert!(watched && pages > 50 && pages_gone > 0, "{total:?}");
}

macro_rules! parts {
    ($($name:ident: $part:expr),*) => {
        $(#[tokio::test(start_paused = true)] async fn $name() { run_part($part).await; })*
    };
}

parts!(seeds_0: 0, seeds_1: 1, seeds_2: 2, seeds_3: 3);
