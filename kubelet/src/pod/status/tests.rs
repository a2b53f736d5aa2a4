//! Tables of situations of a pod and of the status that the API shows for each.

use super::*;
use crate::pod::observed::{Instances, Sandbox};
use expect_test::{Expect, expect};
use serde_json::json;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(secs).unwrap()
}

struct Case {
    pod: Pod,
    observed: Observed,
    health: BTreeMap<String, Health>,
    waiting: BTreeMap<String, Waiting>,
    terminal: bool,
    failed: Option<(&'static str, &'static str)>,
}

/// `containers`: as in the plan's tests.
fn case(spec: serde_json::Value, containers: &[&str]) -> Case {
    let pod = json!({"metadata": {"name": "p", "generation": 1}, "spec": spec});
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let sandbox = Sandbox { id: "s".into(), ready: true, ips: vec!["10.1.0.2".into()], ..Sandbox::default() };
    let mut observed = Observed { sandbox: Some(sandbox), ..Observed::default() };
    for line in containers {
        let words: Vec<&str> = line.split(' ').collect();
        let state = match words[1] {
            "running" => RunState::Running { started_at: at(10) },
            _ => RunState::Exited(Exit {
                code: words[2].parse().unwrap(),
                finished_at: Some(at(20)),
                ..Exit::default()
            }),
        };
        let current =
            Instance { id: format!("{}1", words[0]), sandbox_id: "s".into(), state, ..Instance::default() };
        observed.containers.insert(words[0].into(), Instances { current: Some(current), previous: None });
    }
    let health = pod
        .spec
        .all_containers()
        .map(|c| (c.name.clone(), Health { started: true, ready: true, failed: None }))
        .collect();
    Case { pod, observed, health, waiting: BTreeMap::new(), terminal: false, failed: None }
}

impl Case {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
    fn status(&self) -> PodStatus {
        pod_status(&Inputs {
            pod: &self.pod,
            observed: &self.observed,
            health: &self.health,
            waiting: &self.waiting,
            terminal: self.terminal,
            stopping: false,
            failed: self.failed,
            old: &PodStatus::default(),
            runtime_name: "containerd",
            host_ips: &["10.0.0.1".to_owned()],
            start_time: at(1),
            now: at(100),
        })
    }
    /// Phase, conditions that are not plainly true, containers.
    #[track_caller]
    fn check(self, expected: Expect) {
        let status = self.status();
        let mut lines = vec![status.phase.clone()];
        for c in &status.conditions {
            if c.status != "True" || !c.reason.is_empty() {
                lines.push(
                    format!("{}={} {} {}", c.r#type, c.status, c.reason, c.message).trim_end().to_owned(),
                );
            }
        }
        for c in status.init_container_statuses.iter().chain(&status.container_statuses) {
            let state = if let Some(w) = &c.state.waiting {
                format!("waiting {} {}", w.reason, w.message).trim_end().to_owned()
            } else if let Some(t) = &c.state.terminated {
                format!("{} {} {}", t.reason, t.exit_code, t.container_id)
            } else {
                "running".to_owned()
            };
            let last = c.last_state.terminated.as_ref().map(|t| format!(" (last {})", t.exit_code));
            lines.push(format!(
                "{}: {state}{}{}",
                c.name,
                if c.ready { " ready" } else { "" },
                last.unwrap_or_default()
            ));
        }
        expected.assert_eq(&lines.join("\n"));
    }
}

fn one(policy: &str) -> serde_json::Value {
    json!({"restartPolicy": policy, "containers": [{"name": "a", "image": "i"}]})
}

#[test]
fn from_pending_to_running() {
    case(one("Always"), &[]).with(|c| c.observed.sandbox = None).check(expect![[r#"
        Pending
        PodReadyToStartContainers=False
        Ready=False ContainersNotReady containers with unready status: [a]
        ContainersReady=False ContainersNotReady containers with unready status: [a]
        a: waiting ContainerCreating"#]]);
    case(one("Always"), &["a running"]).check(expect![[r#"
        Running
        a: running ready"#]]);
    let unready = |c: &mut Case| c.health.get_mut("a").unwrap().ready = false;
    case(one("Always"), &["a running"]).with(unready).check(expect![[r#"
        Running
        Ready=False ContainersNotReady containers with unready status: [a]
        ContainersReady=False ContainersNotReady containers with unready status: [a]
        a: running"#]]);
    let status = case(one("Always"), &["a running"]).status();
    assert_eq!(
        (status.pod_ip.as_str(), status.host_ip.as_str(), status.qos_class.as_str()),
        ("10.1.0.2", "10.0.0.1", "BestEffort")
    );
    assert_eq!(status.container_statuses[0].container_id, "containerd://a1");
}

#[test]
fn ends() {
    case(one("Never"), &["a exited 0"]).check(expect![[r#"
        Succeeded
        PodReadyToStartContainers=False
        Initialized=True PodCompleted
        Ready=False PodCompleted
        ContainersReady=False PodCompleted
        a: Completed 0 containerd://a1"#]]);
    case(one("Never"), &["a exited 3"]).check(expect![[r#"
        Failed
        PodReadyToStartContainers=False
        Ready=False PodFailed
        ContainersReady=False PodFailed
        a: Error 3 containerd://a1"#]]);
    case(one("Always"), &["a exited 0"]).check(expect![[r#"
        Running
        Ready=False ContainersNotReady containers with unready status: [a]
        ContainersReady=False ContainersNotReady containers with unready status: [a]
        a: Completed 0 containerd://a1"#]]);
    case(one("Always"), &["a exited 143"]).with(|c| c.terminal = true).check(expect![[r#"
        Failed
        PodReadyToStartContainers=False
        Ready=False PodFailed
        ContainersReady=False PodFailed
        a: Error 143 containerd://a1"#]]);
    let crash =
        |c: &mut Case| drop(c.waiting.insert("a".into(), Waiting::new("CrashLoopBackOff", "back-off")));
    case(one("Always"), &["a exited 1"]).with(crash).check(expect![[r#"
        Running
        Ready=False ContainersNotReady containers with unready status: [a]
        ContainersReady=False ContainersNotReady containers with unready status: [a]
        a: waiting CrashLoopBackOff back-off (last 1)"#]]);
}

#[test]
fn init_containers() {
    let spec = || {
        json!({"restartPolicy": "Always", "initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}],
        "containers": [{"name": "a"}]})
    };
    case(spec(), &["i running"]).check(expect![[r#"
        Pending
        Initialized=False ContainersNotInitialized containers with incomplete status: [i s]
        Ready=False ContainersNotReady containers with unready status: [s a]
        ContainersReady=False ContainersNotReady containers with unready status: [s a]
        i: running ready
        s: waiting PodInitializing
        a: waiting PodInitializing"#]]);
    case(spec(), &["i exited 0", "s running"]).check(expect![[r#"
        Pending
        Ready=False ContainersNotReady containers with unready status: [a]
        ContainersReady=False ContainersNotReady containers with unready status: [a]
        i: Completed 0 containerd://i1 ready
        s: running ready
        a: waiting ContainerCreating"#]]);
    let mut never = spec();
    never["restartPolicy"] = "Never".into();
    case(never, &["i exited 1"]).check(expect![[r#"
        Failed
        PodReadyToStartContainers=False
        Initialized=False ContainersNotInitialized containers with incomplete status: [i s]
        Ready=False PodFailed
        ContainersReady=False PodFailed
        i: Error 1 containerd://i1
        s: waiting PodInitializing
        a: waiting PodInitializing"#]]);
}

#[test]
fn gates_and_deadlines() {
    let gated = json!({"containers": [{"name": "a"}], "readinessGates": [{"conditionType": "x/y"}]});
    case(gated, &["a running"]).check(expect![[r#"
        Running
        Ready=False ReadinessGatesNotReady corresponding condition of pod readiness gate "x/y" does not exist.
        a: running ready"#]]);
    let late = |c: &mut Case| {
        c.failed = Some(("DeadlineExceeded", "Pod was active on the node longer than the specified deadline"))
    };
    let down = |c: &mut Case| {
        late(c);
        c.terminal = true;
    };
    let status = case(one("Always"), &["a exited 137"]).with(down).status();
    assert_eq!((status.phase.as_str(), status.reason.as_str()), ("Failed", "DeadlineExceeded"));
    // While its container may still be on the way up, or down, the phase is not final.
    let status = case(one("Always"), &[]).with(late).status();
    assert_eq!((status.phase.as_str(), status.reason.as_str()), ("Pending", ""));
}

#[test]
fn transition_times_change_with_the_status_only() {
    let first = case(one("Always"), &["a running"]).status();
    let mut again = case(one("Always"), &["a running"]);
    again.health.get_mut("a").unwrap().ready = false;
    let second = pod_status(&Inputs {
        pod: &again.pod,
        observed: &again.observed,
        health: &again.health,
        waiting: &again.waiting,
        terminal: false,
        stopping: false,
        failed: None,
        old: &first,
        runtime_name: "containerd",
        host_ips: &[],
        start_time: at(500),
        now: at(500),
    });
    assert_eq!(second.start_time, Some(at(1)));
    let time = |kind: &str| second.condition(kind).unwrap().last_transition_time;
    assert_eq!((time("Ready"), time("Initialized")), (Some(at(500)), Some(at(100))));
}
