//! Tables of situations of a pod and of what is to be done in each.

use super::*;
use crate::pod::observed::{Exit, Instances, Sandbox};
use expect_test::{Expect, expect};
use serde_json::json;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(secs).unwrap()
}

/// A pod's situation, in words: `"a running"`, `"b exited 1 @90"`, `"c created"`.
struct Case {
    spec: PodSpec,
    observed: Observed,
    stop: Option<Stop>,
    prepared: bool,
    cleaned: bool,
    busy: Busy,
    health: BTreeMap<String, Health>,
    backoffs: BTreeMap<String, Backoff>,
    retry_at: BTreeMap<String, Timestamp>,
}

fn case(spec: serde_json::Value, containers: &[&str]) -> Case {
    let spec: PodSpec = serde_json::from_value(spec).unwrap();
    let sandbox = Sandbox { id: "s".into(), ready: true, ..Sandbox::default() };
    let mut observed = Observed { sandbox: Some(sandbox), ..Observed::default() };
    for line in containers {
        let words: Vec<&str> = line.split(' ').collect();
        let state = match words[1] {
            "running" => RunState::Running { started_at: at(0) },
            "created" => RunState::Created,
            _ => RunState::Exited(Exit {
                code: words[2].parse().unwrap(),
                finished_at: Some(at(words.get(3).map_or(90, |w| w[1..].parse().unwrap()))),
                ..Exit::default()
            }),
        };
        let hash = spec.container(words[0]).map(container_hash).unwrap_or_default();
        let current = Instance {
            id: format!("{}-id", words[0]),
            sandbox_id: "s".into(),
            hash,
            state,
            ..Instance::default()
        };
        observed.containers.insert(words[0].into(), Instances { current: Some(current), previous: None });
    }
    let health = spec
        .all_containers()
        .map(|c| (c.name.clone(), Health { started: true, ready: true, failed: None }))
        .collect();
    Case {
        spec,
        observed,
        stop: None,
        prepared: true,
        cleaned: false,
        busy: Busy::default(),
        health,
        backoffs: BTreeMap::new(),
        retry_at: BTreeMap::new(),
    }
}

impl Case {
    fn plan(&self) -> Plan {
        plan_pod(&Inputs {
            spec: &self.spec,
            observed: &self.observed,
            stop: self.stop.as_ref(),
            prepared: self.prepared,
            cleaned: self.cleaned,
            busy: &self.busy,
            health: &self.health,
            backoffs: &self.backoffs,
            retry_at: &self.retry_at,
            pod_text: "p_ns(u)",
            now: at(100),
        })
    }
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
    #[track_caller]
    fn check(self, expected: Expect) {
        let plan = self.plan();
        let mut lines: Vec<String> = plan
            .actions
            .iter()
            .map(|a| match a {
                Action::Kill { container, grace, why, .. } => {
                    format!("kill {container} {}s {why:?}", grace.as_secs())
                }
                Action::Start { container, attempt } => format!("start {container} {attempt}"),
                other => format!("{other:?}"),
            })
            .collect();
        lines.extend(plan.waiting.iter().map(|(n, w)| format!("{n} waits: {} {}", w.reason, w.message)));
        lines.extend(plan.wake_at.map(|w| format!("wake {}", w.as_second())));
        lines.extend(plan.ended.then(|| "ended".to_owned()));
        lines.extend(plan.done.then(|| "done".to_owned()));
        expected.assert_eq(&lines.join("\n"));
    }
}

fn two() -> serde_json::Value {
    json!({"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]})
}

fn inits(policy: &str) -> serde_json::Value {
    json!({"restartPolicy": policy, "initContainers": [{"name": "i1"}, {"name": "side", "restartPolicy": "Always"}, {"name": "i2"}],
           "containers": [{"name": "a"}]})
}

#[test]
fn a_new_pod() {
    let bare = |c: &mut Case| c.observed.sandbox = None;
    case(two(), &[]).with(bare).with(|c| c.prepared = false).check(expect!["Prepare"]);
    case(two(), &[])
        .with(bare)
        .with(|c| c.prepared = false)
        .with(|c| c.busy.preparing = true)
        .check(expect![""]);
    case(two(), &[]).with(bare).check(expect!["CreateSandbox { attempt: 0 }"]);
    case(two(), &[]).with(bare).with(|c| c.busy.sandbox = true).check(expect![""]);
    case(two(), &[])
        .with(bare)
        .with(|c| {
            let _ = c.retry_at.insert(String::new(), at(110));
        })
        .check(expect!["wake 110"]);
    case(two(), &[]).check(expect![[r#"
        start a 0
        start b 0"#]]);
    case(two(), &["a running"]).check(expect!["start b 0"]);
    case(two(), &["a running"]).with(|c| c.busy.starting = true).check(expect![""]);
    case(two(), &["a running", "b running"]).check(expect![""]);
}

#[test]
fn a_dead_sandbox_is_replaced() {
    let dead = |stopped| {
        move |c: &mut Case| {
            c.observed.sandbox = Some(Sandbox { id: "s".into(), stopped, attempt: 2, ..Sandbox::default() })
        }
    };
    case(two(), &["a running"]).with(dead(false)).check(expect![[r#"StopSandbox { id: "s" }"#]]);
    case(two(), &["a exited 137"]).with(dead(true)).check(expect!["CreateSandbox { attempt: 3 }"]);
    let new = |c: &mut Case| c.observed.sandbox.as_mut().unwrap().id = "new".into();
    case(two(), &["a exited 137", "b exited 0"]).with(new).check(expect![[r#"
        start a 1
        start b 1"#]]);
}

#[test]
fn init_containers_go_one_by_one() {
    case(inits("Always"), &[]).check(expect!["start i1 0"]);
    case(inits("Always"), &["i1 running"]).check(expect![""]);
    case(inits("Always"), &["i1 exited 1"]).check(expect!["start i1 1"]);
    case(inits("Never"), &["i1 exited 1"]).check(expect![[r#"
        StopSandbox { id: "s" }
        ended"#]]);
    case(inits("Always"), &["i1 exited 0"]).check(expect!["start side 0"]);
    case(inits("Always"), &["i1 exited 0", "side running"]).check(expect!["start i2 0"]);
    let unstarted = |c: &mut Case| c.health.get_mut("side").unwrap().started = false;
    case(inits("Always"), &["i1 exited 0", "side running"]).with(unstarted).check(expect![""]);
    case(inits("Always"), &["i1 exited 0", "side running", "i2 exited 0"]).check(expect!["start a 0"]);
    case(inits("Always"), &["i1 exited 0", "side exited 1", "i2 exited 0", "a running"])
        .check(expect!["start side 1"]);
}

#[test]
fn restarts_follow_the_policy_and_back_off() {
    let one = |policy: &str| json!({"restartPolicy": policy, "containers": [{"name": "a"}]});
    case(one("Always"), &["a exited 0"]).check(expect!["start a 1"]);
    case(one("OnFailure"), &["a exited 1"]).check(expect!["start a 1"]);
    case(one("OnFailure"), &["a exited 0"]).check(expect![[r#"
        StopSandbox { id: "s" }
        ended"#]]);
    case(one("Never"), &["a exited 1"]).check(expect![[r#"
        StopSandbox { id: "s" }
        ended"#]]);
    let backing_off = |c: &mut Case| {
        let _ = c.backoffs.insert("a".into(), Backoff::first(at(80), crate::backoff::MAX));
    };
    case(one("Always"), &["a exited 1 @95"]).with(backing_off).check(expect![[r#"
        a waits: CrashLoopBackOff back-off 10s restarting failed container=a pod=p_ns(u)
        wake 105"#]]);
    case(one("Always"), &["a exited 1 @90"]).with(backing_off).check(expect!["start a 1"]);
    case(one("Always"), &["a created"]).check(expect!["start a 0"]);
    let later = |c: &mut Case| {
        let _ = c.retry_at.insert("a".into(), at(107));
    };
    case(one("Always"), &[]).with(later).check(expect!["wake 107"]);
}

#[test]
fn unhealthy_and_changed_containers_are_ended() {
    let sick = |c: &mut Case| {
        c.health.get_mut("a").unwrap().failed = Some(("failed liveness probe".into(), Some(5)))
    };
    case(two(), &["a running", "b running"])
        .with(sick)
        .check(expect![[r#"kill a 5s Unhealthy("failed liveness probe")"#]]);
    let changed = |c: &mut Case| c.spec.containers[1].image = "new".into();
    case(two(), &["a running", "b running"]).with(changed).check(expect!["kill b 30s Changed"]);
}

#[test]
fn the_way_down() {
    let stop =
        |secs| move |c: &mut Case| c.stop = Some(Stop { grace: Duration::from_secs(secs), since: at(90) });
    case(two(), &["a running", "b running"]).with(stop(30)).check(expect![[r#"
        kill a 30s Stopping
        kill b 30s Stopping
        ended"#]]);
    let killing = |c: &mut Case| c.busy.killing = [("a-id".to_owned(), Duration::from_secs(30))].into();
    case(two(), &["a running"]).with(stop(30)).with(killing).check(expect!["ended"]);
    case(two(), &["a running"]).with(stop(0)).with(killing).check(expect![[r#"
        kill a 0s Stopping
        ended"#]]);
    case(inits("Always"), &["side running", "a running"]).with(stop(30)).check(expect![[r#"
        kill a 30s Stopping
        ended"#]]);
    case(inits("Always"), &["side running", "a exited 0"]).with(stop(30)).check(expect![[r#"
        kill side 20s Stopping
        ended"#]]);
    case(two(), &["a exited 0"]).with(stop(30)).check(expect![[r#"
        StopSandbox { id: "s" }
        ended"#]]);
    let stopped = |c: &mut Case| c.observed.sandbox.as_mut().unwrap().stopped = true;
    case(two(), &["a exited 0"]).with(stop(30)).with(stopped).check(expect![[r#"
        CleanUp
        ended"#]]);
    case(two(), &[]).with(stop(30)).with(stopped).with(|c| c.cleaned = true).check(expect![[r#"
        ended
        done"#]]);
    case(two(), &[]).with(stop(30)).with(|c| c.busy.starting = true).check(expect!["ended"]);
}
