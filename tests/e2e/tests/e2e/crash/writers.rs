//! Clients that write as fast as they are answered, and a memory of every answer.
//!
//! Each client has objects of its own, so what each must be after its last acknowledged write is known. A write that was
//! cut off may have happened or not: both are right, and nothing else is.

use std::collections::BTreeMap;
use std::thread::JoinHandle;

use e2e_tests::api::{Api, Connection};
use serde_json::{Value, json};

use super::moment::Random;

/// Clients at once: so many writes are under way when the process dies, and go to disk together.
const CLIENTS: u32 = 8;
/// Names of each client: small enough that they are made, changed, removed and made again.
const NAMES: u64 = 40;

const PATH: &str = "/api/v1/namespaces/default/configmaps";
/// Marks what is the writers'.
const LABEL: &str = "kept";

/// An object as the server acknowledged it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    uid: String,
    revision: u64,
    value: String,
}

impl Version {
    #[track_caller]
    fn of(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("the field is text").to_owned();
        let metadata = &object["metadata"];
        Self {
            uid: text(&metadata["uid"]),
            revision: text(&metadata["resourceVersion"]).parse().expect("a revision is a number"),
            value: text(&object["data"]["v"]),
        }
    }
}

#[derive(Clone, Debug)]
enum Write {
    Create(String),
    Update(String),
    Delete,
}

/// What a name is known to be; `None` of an object that was deleted, or never made.
#[derive(Clone, Debug, Default)]
struct Known {
    version: Option<Version>,
    /// A write without an answer.
    under_way: Option<Write>,
}

impl Known {
    fn allows(&self, found: Option<&Version>) -> bool {
        if self.version.as_ref() == found {
            return true;
        }
        match (&self.under_way, &self.version, found) {
            (Some(Write::Create(value)), None, Some(found)) => found.value == *value,
            (Some(Write::Update(value)), Some(before), Some(found)) => {
                found.value == *value && found.uid == before.uid && found.revision > before.revision
            }
            (Some(Write::Delete), Some(_), None) => true,
            _ => false,
        }
    }
}

type Names = BTreeMap<String, Known>;

/// Everything that was ever acknowledged, as far as nothing acknowledged replaced it.
#[derive(Debug, Default)]
pub(super) struct Memory {
    clients: BTreeMap<u32, Names>,
    /// The highest revision that an answer named.
    revision: u64,
}

/// Running clients, with what each knows at its end and how many writes were acknowledged.
pub(super) struct Writers(Vec<(u32, JoinHandle<(Names, usize)>)>);

impl Memory {
    /// Lets the clients go on from what they know. They end when the server does.
    pub(super) fn start(&mut self, api: &Api, seed: u64) -> Writers {
        let start = |client: u32| {
            let names = self.clients.remove(&client).unwrap_or_default();
            let mut connection = api.connect().expect("the server accepts a connection");
            let mut random = Random::new(seed ^ u64::from(client));
            let thread = std::thread::spawn(move || write_on(&mut connection, client, names, &mut random));
            (client, thread)
        };
        Writers((0..CLIENTS).map(start).collect())
    }

    /// Waits for the clients' ends: how many writes were acknowledged, and how many were cut off.
    pub(super) fn stop(&mut self, writers: Writers) -> (usize, usize) {
        let mut all = (0, 0);
        for (client, thread) in writers.0 {
            let (names, acknowledged) = thread.join().expect("a client is answered with 2xx or not at all");
            all.0 += acknowledged;
            all.1 += names.values().filter(|known| known.under_way.is_some()).count();
            let highest = names.values().filter_map(|k| k.version.as_ref()).map(|v| v.revision).max();
            self.revision = self.revision.max(highest.unwrap_or(0));
            self.clients.insert(client, names);
        }
        all
    }

    pub(super) fn len(&self) -> usize {
        self.clients.values().flatten().filter(|(_, known)| known.version.is_some()).count()
    }

    /// Compares with what the server has: the same objects at the same revisions, none less and none more.
    #[track_caller]
    pub(super) fn check(&mut self, api: &Api, what: &str) {
        let list = api.ask("GET", &format!("{PATH}?labelSelector={LABEL}"), &[], b"").expect(200).json();
        let revision = list["metadata"]["resourceVersion"].as_str().and_then(|r| r.parse::<u64>().ok());
        assert!(revision >= Some(self.revision), "{what}: at {revision:?}, {} was reached", self.revision);
        let mut found: BTreeMap<String, Version> = list["items"]
            .as_array()
            .expect("a list has items")
            .iter()
            .map(|object| (object["metadata"]["name"].as_str().unwrap_or("").into(), Version::of(object)))
            .collect();
        for (name, known) in self.clients.values_mut().flatten() {
            let found = found.remove(name);
            assert!(known.allows(found.as_ref()), "{what}: {name} is {found:?}, known was {known:?}");
            *known = Known { version: found, under_way: None };
        }
        assert!(found.is_empty(), "{what}: nobody made {found:?}");
    }
}

fn write_on(
    connection: &mut Connection,
    client: u32,
    mut names: Names,
    random: &mut Random,
) -> (Names, usize) {
    let mut acknowledged = 0;
    loop {
        let name = format!("{LABEL}-{client}-{}", random.below(NAMES));
        let value = random.next().to_string();
        let known = names.entry(name.clone()).or_default();
        let write = match &known.version {
            None => Write::Create(value),
            Some(_) if random.below(4) == 0 => Write::Delete,
            Some(_) => Write::Update(value),
        };
        known.under_way = Some(write.clone());
        let Ok(version) = send(connection, &name, &write, known.version.as_ref()) else {
            return (names, acknowledged);
        };
        *known = Known { version, under_way: None };
        acknowledged += 1;
    }
}

/// The object after `write`, by the server's own answer.
fn send(
    connection: &mut Connection,
    name: &str,
    write: &Write,
    before: Option<&Version>,
) -> std::io::Result<Option<Version>> {
    let object = |value: &str| {
        let revision = before.map(|version| version.revision.to_string());
        let metadata = json!({"name": name, "labels": {LABEL: "yes"}, "resourceVersion": revision});
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"v": value}})
            .to_string()
    };
    let path = format!("{PATH}/{name}");
    let (status, answer) = match write {
        Write::Create(value) => (201, connection.ask("POST", PATH, &[], object(value).as_bytes())?),
        Write::Update(value) => (200, connection.ask("PUT", &path, &[], object(value).as_bytes())?),
        Write::Delete => (200, connection.ask("DELETE", &path, &[], b"")?),
    };
    let answer = answer.expect(status).json();
    Ok((!matches!(write, Write::Delete)).then(|| Version::of(&answer)))
}

#[test]
fn a_loss_is_noticed() {
    let version =
        |uid: &str, revision, value: &str| Some(Version { uid: uid.into(), revision, value: value.into() });
    let one = version("u", 5, "1");
    let check = |before: &Option<Version>, under_way: Option<Write>, found: &Option<Version>| {
        Known { version: before.clone(), under_way }.allows(found.as_ref())
    };
    // What was acknowledged is there, and nothing else.
    assert!(check(&one, None, &one) && check(&None, None, &None));
    assert!(!check(&one, None, &None), "an object is lost");
    assert!(!check(&None, None, &one), "a deleted object is back");
    assert!(!check(&one, None, &version("u", 4, "0")), "an update is lost");
    assert!(!check(&one, None, &version("v", 5, "1")), "it was made anew");
    // What had no answer happened or did not.
    let two = || Write::Update("2".into());
    assert!(check(&one, Some(two()), &one) && check(&one, Some(two()), &version("u", 6, "2")));
    assert!(!check(&one, Some(two()), &None), "an update deletes nothing");
    assert!(!check(&one, Some(two()), &version("u", 6, "3")), "nobody wrote this");
    assert!(check(&one, Some(Write::Delete), &None) && check(&one, Some(Write::Delete), &one));
    let three = || Write::Create("3".into());
    assert!(check(&None, Some(three()), &None) && check(&None, Some(three()), &version("w", 7, "3")));
    assert!(!check(&None, Some(three()), &version("w", 7, "4")), "nobody wrote this");
}
