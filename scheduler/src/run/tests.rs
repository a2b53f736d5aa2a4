//! The shell against a small server in this process, with a paused clock.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll};

use bytes::Bytes;
use client::TransportRequest;
use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use tokio::sync::mpsc;

use super::*;
use crate::testing::{NodeBuilder, PodBuilder, node, pod};

/// How a binding goes.
#[derive(Clone, Copy, Debug)]
enum Bind {
    Refused,
    /// Done, but the answer is lost.
    DoneAndLost,
    /// Not done, and the answer is lost.
    Lost,
}

/// Pods and nodes with watches, bindings, status patches; events are kept as texts.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    revision: u64,
    objects: BTreeMap<(String, String), Value>,
    watchers: Vec<(String, mpsc::UnboundedSender<String>)>,
    binds: VecDeque<Bind>,
    events: Vec<String>,
    /// Watchers hear nothing while this is on.
    muted: bool,
    held: Vec<(String, String)>,
}

type Answer = http::Response<UnsyncBoxBody<Bytes, std::convert::Infallible>>;

impl State {
    fn tell(&mut self, plural: &str, kind: &str, object: &Value) {
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        if self.muted {
            self.held.push((plural.to_owned(), line));
            return;
        }
        for (_, watcher) in self.watchers.iter().filter(|(p, _)| p == plural) {
            let _ = watcher.send(line.clone());
        }
    }

    fn put(&mut self, plural: &str, mut object: Value) {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = self.revision.to_string().into();
        let key = (plural.to_owned(), object["metadata"]["name"].as_str().unwrap().to_owned());
        let known = self.objects.insert(key, object.clone()).is_some();
        self.tell(plural, if known { "MODIFIED" } else { "ADDED" }, &object);
    }

    fn watch(&mut self, plural: &str) -> mpsc::UnboundedReceiver<String> {
        let (sender, receiver) = mpsc::unbounded_channel();
        for ((_, _), object) in self.objects.iter().filter(|((p, _), _)| p == plural) {
            sender.send(format!("{}\n", json!({"type": "ADDED", "object": object}))).unwrap();
        }
        let end = json!({"type": "BOOKMARK", "object": {"metadata": {
            "resourceVersion": self.revision.to_string(), "annotations": {"k8s.io/initial-events-end": "true"}}}});
        sender.send(format!("{end}\n")).unwrap();
        self.watchers.push((plural.to_owned(), sender));
        receiver
    }

    fn bind(&mut self, name: &str, body: &Value) -> std::io::Result<(u16, Value)> {
        let how = self.binds.pop_front();
        let lost = || std::io::Error::other("connection lost");
        match how {
            Some(Bind::Lost) => return Err(lost()),
            Some(Bind::Refused) => {
                let status = json!({"kind": "Status", "status": "Failure", "reason": "Conflict", "code": 409, "message": "no"});
                return Ok((409, status));
            }
            _ => {}
        }
        let mut pod = self.objects[&("pods".to_owned(), name.to_owned())].clone();
        assert!(pod["spec"]["nodeName"].is_null(), "{name} is bound twice");
        assert_eq!(pod["metadata"]["uid"], body["metadata"]["uid"]);
        pod["spec"]["nodeName"] = body["target"]["name"].clone();
        self.put("pods", pod);
        if matches!(how, Some(Bind::DoneAndLost)) {
            Err(lost())
        } else {
            Ok((201, json!({"kind": "Status", "status": "Success"})))
        }
    }

    fn patch_status(&mut self, name: &str, body: &Value) -> (u16, Value) {
        let Some(mut pod) = self.objects.get(&("pods".to_owned(), name.to_owned())).cloned() else {
            return (404, json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}));
        };
        pod["status"]["conditions"] = body["status"]["conditions"].clone();
        self.put("pods", pod.clone());
        (200, pod)
    }

    fn answer(&mut self, method: &str, uri: &http::Uri, body: &[u8]) -> std::io::Result<(u16, Value)> {
        let body: Value = if body.is_empty() { Value::Null } else { serde_json::from_slice(body).unwrap() };
        let path: Vec<&str> = uri.path().trim_start_matches("/api/v1/").split('/').collect();
        Ok(match (method, path.as_slice()) {
            ("POST", ["namespaces", _, "pods", name, "binding"]) => return self.bind(name, &body),
            ("PATCH", ["namespaces", _, "pods", name, "status"]) => self.patch_status(name, &body),
            ("GET", ["namespaces", _, "pods", name]) => {
                match self.objects.get(&("pods".to_owned(), (*name).to_owned())) {
                    Some(pod) => (200, pod.clone()),
                    None => (
                        404,
                        json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}),
                    ),
                }
            }
            ("POST", ["namespaces", _, "events"]) => {
                let text = |at: &str| body[at].as_str().unwrap().to_owned();
                self.events.push(format!("{} {}: {}", text("type"), text("reason"), text("message")));
                (201, body)
            }
            ("PATCH", ["namespaces", _, "events", _]) => (200, json!({"metadata": {}})),
            other => panic!("not expected: {other:?}"),
        })
    }
}

impl tower::Service<TransportRequest> for Server {
    type Response = Answer;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, std::io::Result<Answer>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: TransportRequest) -> Self::Future {
        let state = Arc::clone(&self.0);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
            if parts.uri.query().is_some_and(|q| q.contains("watch=true")) {
                let plural = parts.uri.path().trim_start_matches("/api/v1/");
                let receiver = state.lock().watch(plural);
                let frames = stream::unfold(receiver, |mut receiver| async {
                    let text = receiver.recv().await?;
                    Some((Ok(http_body::Frame::data(Bytes::from(text))), receiver))
                });
                return Ok(http::Response::new(StreamBody::new(frames).boxed_unsync()));
            }
            let (code, answer) = state.lock().answer(parts.method.as_str(), &parts.uri, &body)?;
            let body = Full::new(Bytes::from(answer.to_string())).boxed_unsync();
            Ok(http::Response::builder().status(code).body(body).unwrap())
        })
    }
}

struct Test {
    server: Server,
    tasks: Tasks,
}

impl Test {
    fn start(nodes: &[NodeBuilder]) -> Self {
        let (server, tasks) = (Server::default(), Tasks::new("test"));
        for node in nodes {
            server.0.lock().put("nodes", node.json());
        }
        let config = Config { leader_elect: false, ..Config::default() };
        let (client, env) = (Client::in_process(server.clone()), Env::simulated(1));
        let group = tasks.clone();
        tasks.spawn("run", async move {
            run(config, client, env, group).await;
        });
        Self { server, tasks }
    }

    fn put_pod(&self, pod: &PodBuilder) {
        self.server.0.lock().put("pods", pod.json());
    }

    fn delete_pod(&self, name: &str) {
        let mut state = self.server.0.lock();
        let mut pod = state.objects.remove(&("pods".to_owned(), name.to_owned())).unwrap();
        state.revision += 1;
        pod["metadata"]["resourceVersion"] = state.revision.to_string().into();
        state.tell("pods", "DELETED", &pod);
    }

    fn next_bind(&self, bind: Bind) {
        self.server.0.lock().binds.push_back(bind);
    }

    /// Lets everything happen that happens within `millis`.
    async fn pass(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        assert_eq!(self.tasks.panics(), 0);
    }

    fn pod(&self, name: &str) -> Value {
        self.server.0.lock().objects[&("pods".to_owned(), name.to_owned())].clone()
    }

    fn node_of(&self, name: &str) -> Option<String> {
        self.pod(name)["spec"]["nodeName"].as_str().map(str::to_owned)
    }

    fn events(&self) -> Vec<String> {
        std::mem::take(&mut self.server.0.lock().events)
    }
}

fn cpu(name: &str, amount: &str) -> PodBuilder {
    pod(name).requests("cpu", amount)
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_bound_and_told_of() {
    let t = Test::start(&[node("n1").cpu("4")]);
    t.put_pod(&cpu("p", "1"));
    t.put_pod(&pod("other").requests("cpu", "1").on("n1"));
    t.pass(500).await;
    assert_eq!(t.node_of("p").as_deref(), Some("n1"));
    assert_eq!(t.events(), ["Normal Scheduled: Successfully assigned default/p to n1"]);
}

#[tokio::test(start_paused = true)]
async fn decisions_count_before_they_are_seen() {
    let t = Test::start(&[node("n1").cpu("2"), node("n2").cpu("2")]);
    t.pass(500).await;
    for i in 0..6 {
        t.put_pod(&cpu(&format!("p{i}"), "1"));
    }
    t.pass(500).await;
    let placed: Vec<_> = (0..6).filter_map(|i| t.node_of(&format!("p{i}"))).collect();
    let on = |name: &str| placed.iter().filter(|n| *n == name).count();
    assert_eq!((on("n1"), on("n2")), (2, 2));
    // Deleting one lets exactly one more in, without waiting for a timer.
    let freed = (0..6).map(|i| format!("p{i}")).find(|p| t.node_of(p).is_some()).unwrap();
    t.pass(20_000).await;
    t.delete_pod(&freed);
    t.pass(100).await;
    let placed =
        (0..6).map(|i| format!("p{i}")).filter(|p| *p != freed).filter(|p| t.node_of(p).is_some()).count();
    assert_eq!(placed, 4);
}

#[tokio::test(start_paused = true)]
async fn an_unschedulable_pod_says_why_and_waits() {
    let t = Test::start(&[node("n1").cpu("1")]);
    t.put_pod(&cpu("p", "2"));
    t.pass(500).await;
    let message = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    assert_eq!(t.events(), [format!("Warning FailedScheduling: {message}")]);
    let condition = t.pod("p")["status"]["conditions"][0].clone();
    assert_eq!(
        condition,
        json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
               "lastProbeTime": null, "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1})
    );
    t.pass(3_600_000).await;
    assert!(t.events().is_empty(), "nothing polls");
    t.server.0.lock().put("nodes", node("n2").cpu("1").json());
    t.pass(15_000).await;
    assert!(t.events().is_empty(), "a node that does not help wakes nobody");
    t.server.0.lock().put("nodes", node("n3").cpu("2").json());
    t.pass(100).await;
    assert_eq!(t.node_of("p").as_deref(), Some("n3"));
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_for_the_first_node() {
    let t = Test::start(&[]);
    t.put_pod(&pod("p"));
    t.pass(500).await;
    assert_eq!(t.events(), ["Warning FailedScheduling: no nodes available to schedule pods"]);
    t.server.0.lock().put("nodes", node("n1").json());
    t.pass(2000).await;
    assert_eq!(t.node_of("p").as_deref(), Some("n1"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_binding_frees_the_node_and_is_tried_again() {
    let t = Test::start(&[node("n1").cpu("1")]);
    t.next_bind(Bind::Refused);
    t.put_pod(&cpu("p", "1"));
    t.pass(500).await;
    assert_eq!(t.node_of("p"), None);
    let events = t.events();
    assert_eq!(events.len(), 1);
    assert!(
        events[0].starts_with(
            "Warning FailedScheduling: binding rejected: running Bind plugin \"DefaultBinder\": "
        )
    );
    assert_eq!(t.pod("p")["status"]["conditions"][0]["reason"], "SchedulerError");
    t.pass(1000).await;
    assert_eq!(t.node_of("p").as_deref(), Some("n1"));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_settled_by_reading() {
    let t = Test::start(&[node("n1").cpu("1")]);
    t.next_bind(Bind::DoneAndLost);
    t.put_pod(&cpu("p", "1"));
    t.pass(500).await;
    assert_eq!(t.events(), ["Normal Scheduled: Successfully assigned default/p to n1"]);
    t.delete_pod("p");
    t.next_bind(Bind::Lost);
    t.put_pod(&cpu("q", "1"));
    t.pass(5000).await;
    assert_eq!(t.node_of("q").as_deref(), Some("n1"));
}

#[tokio::test(start_paused = true)]
async fn a_cache_from_before_the_binding_changes_nothing() {
    let t = Test::start(&[node("n1").cpu("1")]);
    t.pass(500).await;
    t.put_pod(&cpu("p", "1"));
    // From here on the scheduler's cache stands still, but it acts. Somebody else writes the pod before it is bound.
    let before = {
        let mut state = t.server.0.lock();
        state.muted = true;
        state.revision += 2;
        state.revision - 1
    };
    t.pass(500).await;
    assert_eq!(t.node_of("p").as_deref(), Some("n1"));
    // It is told late, among other things of an old state of the pod.
    let held = {
        let mut state = t.server.0.lock();
        state.muted = false;
        std::mem::take(&mut state.held)
    };
    let mut stale = cpu("p", "1").json();
    stale["metadata"]["resourceVersion"] = before.to_string().into();
    stale["metadata"]["labels"] = json!({"changed": "by somebody else"});
    t.server.0.lock().tell("pods", "MODIFIED", &stale);
    t.put_pod(&cpu("q", "1"));
    t.pass(500).await;
    assert_eq!(t.node_of("q"), None, "p is still counted");
    for (plural, line) in held {
        for (_, watcher) in t.server.0.lock().watchers.iter().filter(|(p, _)| *p == plural) {
            let _ = watcher.send(line.clone());
        }
    }
    t.pass(500).await;
    assert_eq!(t.node_of("q"), None);
    t.delete_pod("p");
    t.pass(2000).await;
    assert_eq!(t.node_of("q").as_deref(), Some("n1"));
}

#[tokio::test(start_paused = true)]
async fn others_pods_gated_pods_and_deleting_pods_are_left_alone() {
    let t = Test::start(&[node("n1").cpu("4")]);
    t.put_pod(&pod("gated").gate("example.com/wait"));
    let mut other = pod("other").json();
    other["spec"]["schedulerName"] = "another".into();
    t.server.0.lock().put("pods", other);
    let mut deleting = pod("deleting").json();
    deleting["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    t.server.0.lock().put("pods", deleting);
    t.pass(60_000).await;
    assert_eq!((t.node_of("gated"), t.node_of("other"), t.node_of("deleting")), (None, None, None));
    assert!(t.events().is_empty());
    t.put_pod(&pod("gated"));
    t.pass(100).await;
    assert_eq!(t.node_of("gated").as_deref(), Some("n1"));
}
