//! Seeds in CI, the same seeds twice, and proof that the checks can fail.

use std::sync::Arc;

use component::Tasks;
use store::{Backend, Op, Txn, View};

use crate::monitor::Monitor;
use crate::trace::Trace;
use crate::{Options, run};

/// Seeds that CI runs, in parts: test runners use all cores.
const SEEDS: u64 = 200;
const PARTS: u64 = 8;
/// With `GANTRY_TEST_LONG`, this many times as many.
const LONG: u64 = 20;
/// Seeds that are run twice.
const TWICE: u64 = 20;

fn run_part(part: u64) {
    let times = if std::env::var_os("GANTRY_TEST_LONG").is_some() { LONG } else { 1 };
    for seed in (part..SEEDS * times).step_by(usize::try_from(PARTS).expect("small")) {
        if let Err(failure) = run(seed, &Options::default()) {
            panic!("{failure}\nto replay it: gantry-sim --seeds 1 --from {seed} --echo");
        }
    }
}

macro_rules! parts {
    ($($name:ident: $part:expr),*) => { $(#[test] fn $name() { run_part($part); })* };
}

parts!(seeds_0: 0, seeds_1: 1, seeds_2: 2, seeds_3: 3, seeds_4: 4, seeds_5: 5, seeds_6: 6, seeds_7: 7);

#[test]
fn every_seed_is_in_a_part() {
    let parts = include_str!("tests.rs").lines().find(|l| l.starts_with("parts!")).expect("the list above");
    assert_eq!(parts.matches("seeds_").count() as u64, PARTS);
}

#[test]
fn a_seed_runs_the_same_way_twice() {
    for seed in 0..TWICE {
        let [first, second] = [(); 2].map(|()| run(seed, &Options::default()).map_err(|f| f.to_string()));
        assert_eq!(first, second, "seed {seed}");
        assert!(first.is_ok_and(|report| report.faults > 0), "seed {seed} had no fault");
    }
}

#[test]
fn seeds_differ() {
    let hashes: std::collections::BTreeSet<u64> = (0..4)
        .map(|seed| run(seed, &Options { faults: false, echo: false }).expect("it is calm").hash)
        .collect();
    assert_eq!(hashes.len(), 4);
}

/// Writes `steps` (key, JSON or nothing) one after the other, and says what the monitor has against it.
async fn check_monitor(steps: &[(&str, Option<&str>)]) -> Option<String> {
    let tasks = Tasks::new("monitor");
    let backend: Arc<dyn Backend> = store::memory();
    let view = View::start(Arc::clone(&backend), &tasks).await.expect("memory starts");
    let monitor = Monitor::new(Trace::new());
    monitor.attach(&view);
    for (key, value) in steps {
        let key: store::Key = (*key).into();
        let op = match value {
            Some(text) => Op::Put { key, value: text.as_bytes().to_vec().into(), expiry: None },
            None => Op::Delete { key },
        };
        backend.commit(Txn { guards: Vec::new(), ops: vec![op] }).await.expect("memory takes it");
        view.linearize().await.expect("the view runs");
        monitor.catch_up();
    }
    tasks.kill();
    monitor.violation()
}

const SET: (&str, Option<&str>) =
    ("/registry/replicasets/d/s", Some(r#"{"metadata":{"name":"s","uid":"S"},"spec":{"replicas":1}}"#));

fn pod(uid: &str, rest: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"p","uid":"{uid}","ownerReferences":[{{"uid":"S","controller":true}}]}}{rest}}}"#
    )
}

#[tokio::test(start_paused = true)]
async fn the_monitor_sees_a_pod_too_many() {
    let (a, b) = (pod("A", ""), pod("B", ""));
    let ended = pod("A", r#","status":{"phase":"Failed"}"#);
    let first = ("/registry/pods/d/a", Some(a.as_str()));
    let second = ("/registry/pods/d/b", Some(b.as_str()));
    let found = check_monitor(&[SET, first, second]).await.expect("two pods of one");
    assert!(found.contains("its owner has 2 active pods"), "{found}");
    let gone = ("/registry/pods/d/a", Some(ended.as_str()));
    assert_eq!(check_monitor(&[SET, first, gone, second]).await, None, "one that has ended does not count");
}

#[tokio::test(start_paused = true)]
async fn the_monitor_sees_what_no_write_may_do() {
    let key = "/registry/pods/d/a";
    let plain = pod("A", "");
    let bound = pod("A", r#","spec":{"nodeName":"n1"}"#);
    let moved = pod("A", r#","spec":{"nodeName":"n2"}"#);
    let other = pod("B", "");
    for (steps, expected) in [
        (vec![Some(&plain), None, Some(&plain)], "came back from the dead"),
        (vec![Some(&plain), Some(&other)], "uid A became B"),
        (vec![Some(&bound), Some(&moved)], "moved from n1"),
    ] {
        let steps: Vec<_> = steps.into_iter().map(|text| (key, text.map(String::as_str))).collect();
        let found = check_monitor(&steps).await.expect(expected);
        assert!(found.contains(expected), "{found}");
    }
    assert_eq!(check_monitor(&[(key, Some(&plain)), (key, Some(&bound)), (key, None)]).await, None);
}

#[tokio::test(start_paused = true)]
async fn the_monitor_sees_what_a_restart_loses() {
    let tasks = Tasks::new("monitor");
    let monitor = Monitor::new(Trace::new());
    for value in ["one", "other"] {
        let backend: Arc<dyn Backend> = store::memory();
        let op =
            Op::Put { key: "/registry/x/y".into(), value: value.as_bytes().to_vec().into(), expiry: None };
        backend.commit(Txn { guards: Vec::new(), ops: vec![op] }).await.expect("memory takes it");
        let view = View::start(backend, &tasks).await.expect("memory starts");
        monitor.attach(&view);
    }
    assert!(
        monitor.violation().is_some_and(|v| v.contains("/registry/x/y has revision")),
        "{:?}",
        monitor.violation()
    );
    tasks.kill();
}
