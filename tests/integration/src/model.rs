//! Random operations against a naive model of the API's semantics: what a write does to the object, its revision,
//! generation and uid, which preconditions refuse it, and what lists and watches show.

use std::collections::BTreeMap;

use client::resources::CONFIG_MAPS;
use client::{Client, DeleteParams, Error, ListParams, Patch};
use env::rng::SeededRng;
use env::{Env, Rng as _};
use serde_json::{Map, Value, json};
use testing::{Cluster, config_map};

const NAMESPACE: &str = "default";
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const KEYS: [&str; 3] = ["x", "y", "z"];
const LABELS: [&str; 2] = ["blue", "green"];
const OPERATIONS: usize = 300;

/// A ConfigMap as the model thinks it is.
#[derive(Clone, Debug, PartialEq)]
struct Modelled {
    uid: String,
    revision: u64,
    data: Map<String, Value>,
    colour: Option<&'static str>,
    finalizer: bool,
    deleting: bool,
}

struct Model {
    rng: SeededRng,
    client: Client,
    objects: BTreeMap<&'static str, Modelled>,
    /// The newest revision of any answer.
    revision: u64,
    /// Revisions that an object once had, for stale writes.
    stale: BTreeMap<&'static str, u64>,
}

fn revision(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"]
        .as_str()
        .and_then(|r| r.parse().ok())
        .expect("a revision is a number")
}

impl Model {
    fn below(&self, n: usize) -> usize {
        usize::try_from(self.rng.below(n as u64)).expect("a small number")
    }

    fn value(&self) -> Value {
        self.below(5).to_string().into()
    }

    async fn step(&mut self) {
        let name = NAMES[self.below(NAMES.len())];
        match self.below(10) {
            0 | 1 => self.create(name).await,
            2 | 3 => self.replace(name).await,
            4 => self.merge(name).await,
            5 => self.json_patch(name).await,
            6 => self.label(name).await,
            7 => self.finalizer(name).await,
            8 => self.delete(name).await,
            _ => self.read(name).await,
        }
    }

    /// Notes an answer that must show the model's object, changed or not.
    async fn took(&mut self, name: &'static str, answer: &Value, expected: Modelled) {
        if expected.deleting && !expected.finalizer {
            return self.let_go(name, answer).await;
        }
        let before = self.objects.get(name).cloned();
        let shown = revision(answer);
        let same = before.as_ref().is_some_and(|b| {
            Modelled { revision: 0, ..b.clone() } == Modelled { revision: 0, ..expected.clone() }
        });
        if same {
            assert_eq!(
                Some(shown),
                before.map(|b| b.revision),
                "a write that changes nothing takes no revision"
            );
        } else {
            assert!(shown > self.revision, "revision {shown} after {}", self.revision);
            if let Some(before) = before {
                self.stale.insert(name, before.revision);
            }
            self.revision = shown;
        }
        let expected = Modelled { revision: shown, ..expected };
        assert_shows(answer, name, &expected);
        self.objects.insert(name, expected);
    }

    /// The last finalizer has gone and the object with it: the answer shows it as it last was in the store.
    async fn let_go(&mut self, name: &'static str, answer: &Value) {
        let before = self.objects.remove(name).expect("it was there");
        assert_eq!(revision(answer), before.revision);
        let (_, at) = self.list("").await;
        assert!(at > self.revision, "a deletion takes a revision");
        self.revision = at;
    }

    async fn create(&mut self, name: &'static str) {
        let mut data = Map::new();
        data.insert(KEYS[self.below(KEYS.len())].into(), self.value());
        let mut object = config_map(name, &[]);
        object["data"] = data.clone().into();
        let answer: Result<Value, Error> = self.client.create(&CONFIG_MAPS, NAMESPACE, &object).await;
        if self.objects.contains_key(name) {
            assert!(answer.is_err_and(|e| e.is_already_exists()));
            return;
        }
        let answer = answer.unwrap();
        let uid = answer["metadata"]["uid"].as_str().expect("a uid").to_owned();
        let made = Modelled { uid, revision: 0, data, colour: None, finalizer: false, deleting: false };
        self.took(name, &answer, made).await;
    }

    async fn replace(&mut self, name: &'static str) {
        let known = self.objects.get(name).cloned();
        let mut object = match &known {
            Some(known) => whole(name, known),
            None => config_map(name, &[]),
        };
        let (key, value) = (KEYS[self.below(KEYS.len())], self.value());
        object["data"][key] = value.clone();
        let stale = self.stale.get(name).copied().filter(|_| known.is_some() && self.below(3) == 0);
        if let Some(stale) = stale {
            object["metadata"]["resourceVersion"] = stale.to_string().into();
        }
        let answer: Result<Value, Error> =
            self.client.replace(&CONFIG_MAPS, NAMESPACE, name, "", &object).await;
        match known {
            None => assert!(answer.is_err_and(|e| e.is_not_found())),
            Some(_) if stale.is_some() => assert!(answer.is_err_and(|e| e.is_conflict()), "a stale write"),
            Some(mut known) => {
                known.data.insert(key.into(), value);
                self.took(name, &answer.unwrap(), known).await;
            }
        }
    }

    async fn merge(&mut self, name: &'static str) {
        let key = KEYS[self.below(KEYS.len())];
        let value = if self.below(2) == 0 { Value::Null } else { self.value() };
        let patch = Patch::Merge(json!({"data": {key: value}}));
        self.patch(name, patch, |known| {
            if value.is_null() {
                known.data.remove(key);
            } else {
                known.data.insert(key.into(), value.clone());
            }
        })
        .await;
    }

    async fn json_patch(&mut self, name: &'static str) {
        let Some(known) = self.objects.get(name).cloned() else { return };
        let key = KEYS[self.below(KEYS.len())];
        let value = self.value();
        let expected = known.data.get(key).cloned().unwrap_or_else(|| "none".into());
        let right = self.below(3) > 0;
        let tested = if right { expected } else { json!("something else") };
        let path = format!("/data/{key}");
        let patch = Patch::Json(json!([
            {"op": "test", "path": path, "value": tested}, {"op": "replace", "path": path, "value": value},
        ]));
        if right && known.data.contains_key(key) {
            self.patch(name, patch, |known| drop(known.data.insert(key.into(), value.clone()))).await;
        } else {
            let answer: Result<Value, Error> =
                self.client.patch(&CONFIG_MAPS, NAMESPACE, name, "", &patch).await;
            assert_eq!(answer.unwrap_err().code(), Some(422));
        }
    }

    async fn label(&mut self, name: &'static str) {
        let colour = if self.below(3) == 0 { None } else { Some(LABELS[self.below(LABELS.len())]) };
        let patch = Patch::Strategic(json!({"metadata": {"labels": {"colour": colour}}}));
        self.patch(name, patch, |known| known.colour = colour).await;
    }

    async fn finalizer(&mut self, name: &'static str) {
        let Some(known) = self.objects.get(name) else { return };
        let add = !known.finalizer && !known.deleting;
        let finalizers = if add { json!(["example.com/hold"]) } else { Value::Null };
        let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
        self.patch(name, patch, |known| known.finalizer = add).await;
    }

    async fn patch(&mut self, name: &'static str, patch: Patch, change: impl Fn(&mut Modelled)) {
        let answer: Result<Value, Error> = self.client.patch(&CONFIG_MAPS, NAMESPACE, name, "", &patch).await;
        match self.objects.get(name).cloned() {
            None => assert!(answer.is_err_and(|e| e.is_not_found())),
            Some(mut known) => {
                change(&mut known);
                self.took(name, &answer.unwrap(), known).await;
            }
        }
    }

    async fn delete(&mut self, name: &'static str) {
        let known = self.objects.get(name).cloned();
        let mut params = DeleteParams::default();
        let wrong = self.below(4);
        match wrong {
            0 => params.uid = Some("another".into()),
            1 => params.resource_version = Some("1".into()),
            _ => params.uid = known.as_ref().map(|k| k.uid.clone()),
        }
        let answer = self.client.delete(&CONFIG_MAPS, NAMESPACE, name, &params).await;
        let Some(known) = known else {
            assert!(answer.is_err_and(|e| e.is_not_found()));
            return;
        };
        if wrong < 2 {
            assert!(answer.is_err_and(|e| e.is_conflict()), "a wrong precondition");
            return;
        }
        answer.unwrap();
        if known.finalizer {
            let found: Value = self.client.get(&CONFIG_MAPS, NAMESPACE, name).await.unwrap();
            self.took(name, &found, Modelled { deleting: true, ..known }).await;
        } else {
            self.objects.remove(name);
            let (_, at) = self.list("").await;
            assert!(at > self.revision, "a deletion takes a revision");
            self.revision = at;
        }
    }

    async fn list(&self, label_selector: &str) -> (Vec<Value>, u64) {
        let params = ListParams {
            namespace: NAMESPACE.into(),
            label_selector: label_selector.into(),
            limit: (self.below(2) == 0).then_some(500),
            ..ListParams::default()
        };
        let list = self.client.list::<Value>(&CONFIG_MAPS, &params).await.unwrap();
        (list.items, list.metadata.resource_version.parse().expect("a revision is a number"))
    }

    async fn read(&mut self, name: &'static str) {
        let answer: Result<Value, Error> = self.client.get(&CONFIG_MAPS, NAMESPACE, name).await;
        match self.objects.get(name) {
            None => assert!(answer.is_err_and(|e| e.is_not_found())),
            Some(known) => assert_shows(&answer.unwrap(), name, known),
        }
        let colour = LABELS[self.below(LABELS.len())];
        let (found, at) = self.list(&format!("colour={colour}")).await;
        assert_eq!(at, self.revision, "nobody else writes");
        let expected: Vec<_> = self.objects.iter().filter(|(_, o)| o.colour == Some(colour)).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (object, (name, known)) in found.iter().zip(expected) {
            assert_shows(object, name, known);
        }
    }
}

/// The object as a client that had read it would send it.
fn whole(name: &str, known: &Modelled) -> Value {
    let mut object = config_map(name, &[]);
    object["metadata"]["resourceVersion"] = known.revision.to_string().into();
    object["data"] = known.data.clone().into();
    if let Some(colour) = known.colour {
        object["metadata"]["labels"] = json!({"colour": colour});
    }
    if known.finalizer {
        object["metadata"]["finalizers"] = json!(["example.com/hold"]);
    }
    object
}

#[track_caller]
fn assert_shows(object: &Value, name: &str, known: &Modelled) {
    let meta = &object["metadata"];
    let data = object["data"].as_object().cloned().unwrap_or_default();
    let shown = Modelled {
        uid: meta["uid"].as_str().unwrap_or_default().into(),
        revision: revision(object),
        data,
        colour: LABELS.into_iter().find(|c| meta["labels"]["colour"] == **c),
        finalizer: meta["finalizers"] == json!(["example.com/hold"]),
        deleting: meta["deletionTimestamp"].is_string(),
    };
    assert_eq!((meta["name"].as_str(), &shown), (Some(name), known), "{object}");
}

async fn run(seed: u64) {
    let cluster = Cluster::api_only(Env::simulated(seed)).await;
    let informers = client::Informers::new(cluster.admin.clone(), cluster.env.clone(), cluster.tasks.clone());
    let watched = informers.metadata_of(CONFIG_MAPS);
    informers.start();
    watched.synced().await;
    let mut model = Model {
        rng: SeededRng::new(seed),
        client: cluster.admin.clone(),
        objects: BTreeMap::new(),
        revision: 0,
        stale: BTreeMap::new(),
    };
    model.revision = model.list("").await.1;
    for _ in 0..OPERATIONS {
        model.step().await;
    }
    // What a watcher made of the events is what is there.
    watched.reached(model.list("").await.1.min(model.revision)).await;
    let seen: Vec<(String, u64)> = watched
        .list_namespace(NAMESPACE)
        .iter()
        .map(|o| (o.metadata.name.clone(), o.metadata.revision()))
        .collect();
    let expected: Vec<(String, u64)> =
        model.objects.iter().map(|(n, o)| ((*n).to_owned(), o.revision)).collect();
    assert_eq!(seen, expected);
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_api_does_what_a_naive_model_does() {
    for seed in 0..4 {
        run(seed).await;
    }
}
