//! Informers, requests and elections against a scripted server, under a paused clock.

use std::sync::Arc;
use std::time::Duration;

use component::Tasks;
use env::Env;
use parking_lot::Mutex;
use serde::Deserialize;

use crate::fake::FakeServer;
use crate::leader::{self, Ended, LeaderConfig};
use crate::object::{Meta, PartialObject, Resource, ResourceType};
use crate::{DeleteParams, Error, Event, Informer, Informers, ListParams, Patch, resources};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pod {
    metadata: Meta,
}

impl Resource for Pod {
    const TYPE: ResourceType = resources::PODS;
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

struct World {
    server: FakeServer,
    tasks: Tasks,
    informers: Informers,
    pods: Informer<Pod>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl World {
    fn new() -> Self {
        let server = FakeServer::default();
        let tasks = Tasks::new("test");
        let informers = Informers::new(server.client(), Env::simulated(1), tasks.clone());
        let pods = informers.of::<Pod>();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heard);
        pods.add_handler(move |event| {
            let sign = match event {
                Event::Added(_) => '+',
                Event::Updated { .. } => '~',
                Event::Deleted(_) => '-',
            };
            log.lock().push(format!("{sign}{}", event.object().metadata.name));
        });
        Self { server, tasks, informers, pods, heard }
    }
    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.heard.lock())
    }
}

fn pod(name: &str, revision: u64) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"d","uid":"u-{name}","resourceVersion":"{revision}"}}}}"#
    )
}

fn list(revision: u64, items: &[String]) -> String {
    format!(r#"{{"metadata":{{"resourceVersion":"{revision}"}},"items":[{}]}}"#, items.join(","))
}

fn status(code: u16, reason: &str) -> String {
    format!(r#"{{"kind":"Status","status":"Failure","message":"m","reason":"{reason}","code":{code}}}"#)
}

#[tokio::test(start_paused = true)]
async fn streaming_list_then_watch() {
    let world = World::new();
    let feed = world.server.stream();
    world.informers.start();
    feed.event("ADDED", &pod("a", 3));
    // An event may come in pieces.
    feed.send("{\"type\":\"ADDED\",");
    feed.send(&format!("\"object\":{}}}\n", pod("b", 4)));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!world.pods.has_synced() && world.pods.is_empty(), "half a list is never shown");
    feed.initial_end(9);
    world.informers.synced().await;
    assert_eq!(world.pods.revision(), 9);
    assert_eq!(world.heard(), ["+a", "+b"]);
    feed.event("MODIFIED", &pod("a", 10));
    feed.event("DELETED", &pod("b", 11));
    world.pods.reached(11).await;
    assert_eq!(world.heard(), ["~a", "-b"]);
    assert_eq!(world.pods.get("d", "a").unwrap().metadata.revision(), 10);
    feed.event("BOOKMARK", r#"{"metadata":{"resourceVersion":"20"}}"#);
    world.pods.reached(20).await;
    // The watch ends: it goes on where the bookmark was.
    let next = world.server.stream();
    drop(feed);
    next.event("ADDED", &pod("c", 21));
    world.pods.reached(21).await;
    let asked = world.server.asked();
    assert!(asked[0].contains("sendInitialEvents=true&resourceVersionMatch=NotOlderThan"), "{asked:?}");
    assert!(asked[1].contains("resourceVersion=20&") && !asked[1].contains("sendInitialEvents"), "{asked:?}");
    assert!(world.tasks.stop(Duration::from_secs(1)).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn falls_back_to_pages() {
    let world = World::new();
    world.server.answer(422, &status(422, "Invalid"));
    world.server.answer(
        200,
        &format!(r#"{{"metadata":{{"resourceVersion":"5","continue":"next"}},"items":[{}]}}"#, pod("a", 1)),
    );
    world.server.answer(200, &list(5, &[pod("b", 2)]));
    let feed = world.server.stream();
    world.informers.start();
    world.informers.synced().await;
    assert_eq!((world.pods.revision(), world.pods.len()), (5, 2));
    feed.event("ADDED", &pod("c", 6));
    world.pods.reached(6).await;
    let asked = world.server.asked();
    assert!(asked[1].ends_with("/api/v1/pods?limit=500"), "{asked:?}");
    assert!(asked[2].ends_with("/api/v1/pods?limit=500&continue=next"), "{asked:?}");
    assert!(asked[3].contains("resourceVersion=5"), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn lists_again_after_gone_and_tells_deletes() {
    let world = World::new();
    let feed = world.server.stream();
    world.informers.start();
    feed.event("ADDED", &pod("a", 1));
    feed.event("ADDED", &pod("b", 2));
    feed.initial_end(2);
    world.pods.synced().await;
    world.heard();
    let again = world.server.stream();
    feed.event("ERROR", &status(410, "Expired"));
    again.event("ADDED", &pod("b", 7));
    again.initial_end(9);
    world.pods.reached(9).await;
    assert_eq!(world.heard(), ["-a", "~b"]);
}

#[tokio::test(start_paused = true)]
async fn backs_off_while_the_server_is_away() {
    let world = World::new();
    for _ in 0..8 {
        world.server.lose();
    }
    let feed = world.server.stream();
    feed.initial_end(1);
    let started = tokio::time::Instant::now();
    world.informers.start();
    world.pods.synced().await;
    // 50 ms, doubled seven times, each between a half and the whole.
    let took = started.elapsed();
    assert!(took > Duration::from_millis(6000) && took < Duration::from_millis(12_750), "{took:?}");
    // A silent server is left behind after the watch's own time and a grace.
    let _silent = world.server.stream();
    let next = world.server.stream();
    next.event("ADDED", &pod("z", 2));
    world.pods.reached(2).await;
    assert!(started.elapsed() < Duration::from_secs(2 * 660), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn late_handlers_hear_what_is_there() {
    let world = World::new();
    let feed = world.server.stream();
    world.informers.start();
    feed.event("ADDED", &pod("a", 1));
    feed.initial_end(1);
    world.pods.synced().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let cache = world.pods.clone();
    world.pods.add_handler(move |event| {
        // Handlers may read the cache that they are called for.
        log.lock().push((event.object().metadata.name.clone(), cache.len()));
    });
    feed.event("ADDED", &pod("b", 2));
    world.pods.reached(2).await;
    assert_eq!(*seen.lock(), [("a".to_owned(), 1), ("b".to_owned(), 2)]);
    // The same type and parameters are the same cache; others are not.
    assert_eq!(world.informers.of::<Pod>().len(), 2);
    let other = ListParams { field_selector: "spec.nodeName=n".into(), ..ListParams::default() };
    assert_eq!(world.informers.with::<Pod>(other).len(), 0);
}

#[tokio::test]
async fn verbs_and_errors() {
    let server = FakeServer::default();
    let client = server.client().with_user_agent("x/1");
    server.answer(409, &status(409, "AlreadyExists"));
    let error =
        client.create::<PartialObject>(&resources::PODS, "d", &serde_json::json!({})).await.unwrap_err();
    assert!(error.is_already_exists(), "{error}");
    server.answer(503, "upstream is away");
    let error = client.get::<PartialObject>(&resources::PODS, "d", "a").await.unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), (Some(503), "upstream is away"));
    server.lose();
    let error = client.get::<PartialObject>(&resources::PODS, "d", "a").await.unwrap_err();
    assert!(matches!(error, Error::Transport(_)), "{error}");
    server.answer(200, "{}");
    client.delete(&resources::PODS, "d", "a", &DeleteParams::uid("u")).await.unwrap();
    server.answer(200, &pod("a", 1));
    let patch = Patch::Apply { body: serde_json::json!({}), field_manager: "m m".into(), force: true };
    client.patch::<PartialObject>(&resources::PODS, "d", "a", "status", &patch).await.unwrap();
    let asked = server.asked();
    assert_eq!(
        asked[3],
        r#"DELETE /api/v1/namespaces/d/pods/a {"apiVersion":"v1","kind":"DeleteOptions","preconditions":{"uid":"u"}}"#
    );
    assert_eq!(asked[4], "PATCH /api/v1/namespaces/d/pods/a/status?fieldManager=m%20m&force=true {}");
}

fn lease(holder: &str, renewed: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"l","uid":"u","resourceVersion":"1"}},"spec":{{"holderIdentity":"{holder}","renewTime":"{renewed}","leaseTransitions":3}}}}"#
    )
}

#[tokio::test(start_paused = true)]
async fn takes_the_lease_of_a_silent_leader() {
    let server = FakeServer::default();
    let tasks = Tasks::new("test");
    // Nobody renews: it is ours 15 s after it was first seen so. Attempts are 2 to 4.4 s apart.
    server.always(200, &lease("other", "t0"));
    let started = tokio::time::Instant::now();
    let mut led = None;
    let config = LeaderConfig::new("l", "me");
    let ended = leader::run(server.client(), config, Env::simulated(3), tasks.token(), |fence| {
        led = Some((started.elapsed(), fence.held()));
        std::future::ready(())
    })
    .await;
    assert_eq!(ended, Ended::Stopped);
    let (after, held) = led.unwrap();
    assert!(held && after >= Duration::from_secs(15) && after < Duration::from_secs(20), "{after:?}");
    let patches: Vec<String> = server.asked().into_iter().filter(|a| a.starts_with("PUT")).collect();
    assert_eq!(patches.len(), 2, "taken and given back: {patches:?}");
    assert!(
        patches[0].contains(r#""leaseTransitions":4"#) && patches[0].contains(r#""resourceVersion":"1""#)
    );
    assert!(patches[1].contains(r#""holderIdentity":"""#));
}

#[tokio::test(start_paused = true)]
async fn the_fence_closes_before_the_deadline() {
    let server = FakeServer::default();
    let client = server.client();
    server.answer(404, &status(404, "NotFound"));
    server.answer(201, &lease("me", "t1"));
    let fenced_client = client.clone();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let fake = server.clone();
    let config = LeaderConfig::new("l", "me");
    let started = tokio::time::Instant::now();
    let token = Tasks::new("test").token();
    let ended = leader::run(client, config, Env::simulated(3), token, |fence| async move {
        let client = fenced_client.with_fence(fence);
        for _ in 0..20 {
            let result = client.get::<PartialObject>(&resources::PODS, "d", "a").await;
            log.lock().push(matches!(result, Err(Error::NotLeader)));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
    // No renewal succeeds: given up after 10 s, and nothing is sent from the 9th second on.
    assert_eq!((ended, started.elapsed()), (Ended::Lost, Duration::from_secs(10)));
    let seen = seen.lock().clone();
    assert_eq!(seen[..10], [false, false, false, false, false, false, false, false, false, true]);
    assert_eq!(fake.asked().iter().filter(|a| a.contains("/pods/")).count(), 9);
    assert!(fake.asked()[1].contains(r#""holderIdentity":"me""#));
}

#[tokio::test(start_paused = true)]
async fn a_leaders_writes_name_its_lease() {
    let server = FakeServer::default();
    let client = server.client();
    server.answer(404, &status(404, "NotFound"));
    server.answer(201, &lease("me", "t1"));
    server.always(200, r#"{"metadata":{"name":"a","resourceVersion":"7"}}"#);
    let fenced_client = client.clone();
    let config = LeaderConfig { release: false, ..LeaderConfig::new("l", "me") };
    let token = Tasks::new("test").token();
    leader::run(client, config, Env::simulated(3), token, |fence| async move {
        let client = fenced_client.with_fence(fence);
        client.get::<PartialObject>(&resources::PODS, "d", "a").await.unwrap();
        let patch = crate::Patch::Merge(serde_json::json!({}));
        client.patch::<PartialObject>(&resources::PODS, "d", "a", "", &patch).await.unwrap();
    })
    .await;
    // The election itself and reads name none.
    assert_eq!(server.claims(), ["", "", "", "kube-system/l=me"]);
}
