use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use env::Disk as _;
use env::disk::SimDisk;
use futures::future::join_all;

use super::*;
use crate::backend::{Cond, Guard, Op};
use crate::view::View;

/// Small enough that a short test rolls segments and makes snapshots.
const SMALL: Limits = Limits { segment_bytes: 600, snapshot_log_bytes: 1500 };

fn dir() -> PathBuf {
    PathBuf::from("/store")
}

/// A host whose processes come and go; the disk stays.
struct Host {
    env: Env,
    disk: SimDisk,
    tasks: Tasks,
}

impl Host {
    fn new(seed: u64) -> Self {
        let disk = SimDisk::new(seed);
        let env = Env { disk: Arc::new(disk.clone()), ..Env::simulated(seed) };
        Self { env, disk, tasks: Tasks::new("test") }
    }

    async fn open(&self, limits: Limits) -> Result<Arc<Embedded>, StoreError> {
        Embedded::open_with(&self.env, &dir(), &self.tasks, limits).await.map(Arc::new)
    }

    fn crash(&mut self) {
        self.tasks.kill();
        self.disk.crash();
        assert_eq!(self.tasks.panics(), 0);
        self.tasks = Tasks::new("test");
    }
}

type State = BTreeMap<String, (String, Revision)>;

async fn state(store: &Embedded) -> State {
    let entries = store.subscribe().await.unwrap().state;
    entries
        .into_iter()
        .map(|e| (e.key.to_string(), (String::from_utf8_lossy(&e.value).into_owned(), e.mod_revision)))
        .collect()
}

/// Transaction number `i`: two keys that always change together, sometimes a delete.
fn txn(i: u64, rng: &dyn env::Rng) -> Txn {
    let n = rng.below(6);
    let keys = [Arc::from(format!("/a/{n}")), Arc::from(format!("/b/{n}"))];
    let ops = if rng.below(4) == 0 {
        keys.map(|key| Op::Delete { key })
    } else {
        let value = Bytes::from(format!("{i:050}"));
        keys.map(|key| Op::Put { key, value: value.clone(), expiry: Some(i64::try_from(i).unwrap()) })
    };
    Txn { guards: vec![], ops: ops.into() }
}

/// What a prefix of transactions leads to.
fn model(txns: &[Txn]) -> State {
    let mut machine = crate::apply::StateMachine::default();
    for txn in txns {
        machine.apply(txn);
    }
    machine
        .state()
        .into_iter()
        .map(|e| (e.key.to_string(), (String::from_utf8_lossy(&e.value).into_owned(), e.mod_revision)))
        .collect()
}

/// Commits up to 60 transactions, a few at once, until the disk fails. Returns how many are sure to be kept; `txns` gets
/// all that were tried.
async fn work(store: &Embedded, rng: &dyn env::Rng, txns: &mut Vec<Txn>) -> usize {
    let mut sure = txns.len();
    for _ in 0..20 {
        let batch: Vec<Txn> = (0..3).map(|i| txn(txns.len() as u64 + i, rng)).collect();
        txns.extend(batch.iter().cloned());
        let outcomes = join_all(batch.into_iter().map(|txn| store.commit(txn))).await;
        let acknowledged = outcomes.iter().filter(|o| matches!(o, Ok(Outcome::Committed { .. }))).count();
        sure += acknowledged;
        if acknowledged < 3 {
            assert!(
                outcomes.iter().all(|o| matches!(o, Ok(Outcome::Unknown) | Err(StoreError::Unwritable(_))))
            );
            break;
        }
    }
    sure
}

/// The state is what some prefix of `txns` leads to that has at least the first `sure`; the others are forgotten.
#[track_caller]
fn check_prefix(found: &State, txns: &mut Vec<Txn>, sure: usize, what: &str) {
    match (sure..=txns.len()).find(|n| model(&txns[..*n]) == *found) {
        Some(n) => txns.truncate(n),
        None => panic!("{what}: not a prefix with the {sure} acknowledged of {}: {found:?}", txns.len()),
    }
}

/// Crashes at the `n`th disk operation, opens again, works on, crashes again. Returns the operations of a whole run.
async fn crash_run(seed: u64, fail_at: u64) -> u64 {
    let mut host = Host::new(seed);
    let rng = env::rng::SeededRng::new(seed);
    let mut txns = Vec::new();
    host.disk.fail_from(fail_at);
    let mut sure = 0;
    if let Ok(store) = host.open(SMALL).await {
        sure = work(&store, &rng, &mut txns).await;
    }
    let operations = host.disk.operations();
    for life in 0..2 {
        host.crash();
        let store = host.open(SMALL).await.unwrap();
        let what = format!("seed {seed}, failed at {fail_at}, life {life}");
        check_prefix(&state(&store).await, &mut txns, sure, &what);
        sure = work(&store, &rng, &mut txns).await;
        assert_eq!(sure, txns.len(), "{what}: the disk works again");
    }
    operations
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_survives_a_crash_at_any_disk_operation() {
    let operations = crash_run(7, u64::MAX).await;
    assert!(operations > 80, "{operations} operations are too few to cover segments and snapshots");
    for fail_at in 0..operations {
        crash_run(7, fail_at).await;
    }
    for seed in 100..140 {
        crash_run(seed, seed % operations).await;
    }
}

#[tokio::test(start_paused = true)]
async fn old_segments_and_snapshots_go() {
    let mut host = Host::new(1);
    let store = host.open(SMALL).await.unwrap();
    let rng = env::rng::SeededRng::new(1);
    let mut txns = Vec::new();
    for _ in 0..10 {
        work(&store, &rng, &mut txns).await;
    }
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let names = host.disk.list(&dir()).await.unwrap();
    let n = |prefix: &str| names.iter().filter(|n| n.starts_with(prefix)).count();
    assert_eq!(n("snapshot-"), 1, "{names:?}");
    assert!((1..10).contains(&n("log-")), "{names:?}");
    host.crash();
    let store = host.open(SMALL).await.unwrap();
    assert_eq!(state(&store).await, model(&txns));
    let revision = store.barrier().await.unwrap();
    let put = Op::Put { key: "/new".into(), value: Bytes::new(), expiry: None };
    let next = store.commit(Txn { guards: vec![], ops: vec![put] }).await.unwrap();
    assert_eq!(next, Outcome::Committed { revision: revision + 1 });
}

/// Ten transactions, one frame each, in one segment.
async fn ten(seed: u64) -> (Host, Vec<Txn>, PathBuf) {
    let mut host = Host::new(seed);
    let store = host.open(Limits::default()).await.unwrap();
    let rng = env::rng::SeededRng::new(seed);
    let txns: Vec<Txn> = (0..10).map(|i| txn(i, &rng)).collect();
    for txn in &txns {
        store.commit(txn.clone()).await.unwrap();
    }
    host.crash();
    let log = dir()
        .join(host.disk.list(&dir()).await.unwrap().into_iter().find(|n| n.starts_with("log-")).unwrap());
    (host, txns, log)
}

#[tokio::test(start_paused = true)]
async fn a_torn_end_is_cut_and_the_log_goes_on() {
    let whole = {
        let (host, _, log) = ten(3).await;
        host.disk.read(&log).await.unwrap().len()
    };
    for cut in 1..60 {
        let (mut host, mut txns, log) = ten(3).await;
        assert!(host.disk.cut(&log, whole - cut));
        let store = host.open(Limits::default()).await.unwrap();
        check_prefix(&state(&store).await, &mut txns, 8, &format!("{cut} bytes cut"));
        let put = Op::Put { key: "/after".into(), value: Bytes::new(), expiry: None };
        txns.push(Txn { guards: vec![], ops: vec![put] });
        store.commit(txns.last().unwrap().clone()).await.unwrap();
        host.crash();
        let store = host.open(Limits::default()).await.unwrap();
        assert_eq!(state(&store).await, model(&txns));
    }
}

#[tokio::test(start_paused = true)]
async fn a_flipped_bit_is_refused_with_the_place() {
    let (host, _, log) = ten(4).await;
    let len = host.disk.read(&log).await.unwrap().len();
    for byte in (0..len).step_by(13) {
        assert!(host.disk.flip_bit(&log, byte, 3));
        match host.open(Limits::default()).await {
            Err(StoreError::Corrupt(text)) => {
                assert!(text.contains("/store/log-") && text.contains("at offset "), "{text}");
            }
            other => panic!("byte {byte}: {other:?}"),
        }
        assert!(host.disk.flip_bit(&log, byte, 3));
    }
    host.open(Limits::default()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_damaged_snapshot_is_refused() {
    let mut host = Host::new(5);
    let store = host.open(SMALL).await.unwrap();
    work(&store, &env::rng::SeededRng::new(5), &mut Vec::new()).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    host.crash();
    let names = host.disk.list(&dir()).await.unwrap();
    let path = dir().join(names.iter().find(|n| n.starts_with("snapshot-")).unwrap());
    let len = host.disk.read(&path).await.unwrap().len();
    for byte in (0..len).step_by(29) {
        assert!(host.disk.flip_bit(&path, byte, 0));
        assert!(matches!(host.open(SMALL).await, Err(StoreError::Corrupt(_))), "byte {byte}");
        assert!(host.disk.flip_bit(&path, byte, 0));
    }
    host.open(SMALL).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fails_refuses_writes_and_reads_go_on() {
    let host = Host::new(6);
    let store = host.open(Limits::default()).await.unwrap();
    let view = View::start(Arc::clone(&store) as Arc<dyn Backend>, &host.tasks).await.unwrap();
    let put = |value: &'static str| {
        let op = Op::Put { key: "/k".into(), value: Bytes::from_static(value.as_bytes()), expiry: None };
        store.commit(Txn { guards: vec![], ops: vec![op] })
    };
    assert_eq!(put("1").await.unwrap(), Outcome::Committed { revision: 2 });
    host.disk.fail_from(host.disk.operations());
    assert!(store.writable().is_ok());
    assert_eq!(put("2").await.unwrap(), Outcome::Unknown);
    assert!(matches!(put("3").await, Err(StoreError::Unwritable(_))));
    assert!(store.writable().is_err());
    assert_eq!(view.linearize().await.unwrap(), 2);
    assert_eq!(view.get("/k").unwrap().value, "1");
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded() {
    let host = Host::new(8);
    let store = host.open(Limits::default()).await.unwrap();
    let put = |i: usize, len: usize| {
        let op = Op::Put { key: format!("/{i}").into(), value: Bytes::from(vec![b'x'; len]), expiry: None };
        let mut commit = store.commit(Txn { guards: vec![], ops: vec![op] });
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        (commit.as_mut().poll(&mut context), commit)
    };
    // Nothing here awaits what would let the driver run, so the queue fills.
    let mut waiting = Vec::new();
    for i in 0..PROPOSALS_MAX {
        let (first, commit) = put(i, 1);
        assert!(first.is_pending());
        waiting.push(commit);
    }
    let (first, _) = put(PROPOSALS_MAX, 1);
    assert!(matches!(first, std::task::Poll::Ready(Err(StoreError::Overloaded(_)))), "{first:?}");
    for outcome in join_all(waiting).await {
        assert!(matches!(outcome, Ok(Outcome::Committed { .. })));
    }
    let fits = PROPOSAL_BYTES_MAX / (3 << 20);
    let mut waiting = Vec::new();
    for i in 0..fits {
        waiting.push(put(i, 3 << 20).1);
    }
    let (first, _) = put(fits, 3 << 20);
    assert!(matches!(first, std::task::Poll::Ready(Err(StoreError::Overloaded(_)))), "{first:?}");
    for outcome in join_all(waiting).await {
        assert!(matches!(outcome, Ok(Outcome::Committed { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_process_is_refused_until_the_first_ends() {
    let host = Host::new(9);
    let _store = host.open(Limits::default()).await.unwrap();
    assert!(matches!(host.open(Limits::default()).await, Err(StoreError::InUse(_))));
    host.tasks.stop(std::time::Duration::from_secs(1)).await;
    let later = Tasks::new("later");
    Embedded::open(&host.env, &dir(), &later).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn stopping_answers_everyone() {
    let host = Host::new(10);
    let store = host.open(Limits::default()).await.unwrap();
    let op = Op::Put { key: "/k".into(), value: Bytes::new(), expiry: None };
    let txn = Txn { guards: vec![], ops: vec![op] };
    assert!(store.commit(txn.clone()).await.is_ok());
    assert_eq!(host.tasks.stop(std::time::Duration::from_secs(1)).await, Vec::<String>::new());
    assert!(matches!(store.commit(txn).await, Err(StoreError::Stopped)));
}

/// The thin path: an object is created, watched in this process, and survives the host's crash.
#[tokio::test(start_paused = true)]
async fn a_config_map_is_created_watched_and_survives_a_crash() {
    let mut host = Host::new(11);
    let key: crate::Key = "/registry/configmaps/default/settings".into();
    let value = Bytes::from_static(br#"{"kind":"ConfigMap","apiVersion":"v1","data":{"a":"1"}}"#);
    let create = Txn {
        guards: vec![Guard { key: Arc::clone(&key), cond: Cond::Absent }],
        ops: vec![Op::Put { key: Arc::clone(&key), value: value.clone(), expiry: None }],
    };
    {
        let store = crate::open_embedded(&host.env, &dir(), &host.tasks).await.unwrap();
        let view = View::start(store, &host.tasks).await.unwrap();
        let mut watcher = view.watch("/registry/configmaps/", view.revision() + 1).unwrap();
        assert_eq!(view.backend().commit(create.clone()).await.unwrap(), Outcome::Committed { revision: 2 });
        let event = watcher.next().await.unwrap();
        assert_eq!((&event.key, event.revision, event.created()), (&key, 2, true));
        assert_eq!(event.entry.as_ref().unwrap().value, value);
    }
    host.crash();
    let store = crate::open_embedded(&host.env, &dir(), &host.tasks).await.unwrap();
    let view = View::start(store, &host.tasks).await.unwrap();
    let entry = view.get(&key).unwrap();
    assert_eq!((&entry.value, entry.mod_revision, entry.create_revision), (&value, 2, 2));
    assert_eq!(view.backend().commit(create).await.unwrap(), Outcome::Failed { guard: 0, revision: 2 });
}

/// The same on the host's own file system.
#[tokio::test]
async fn the_real_disk_keeps_what_was_acknowledged() {
    let env = Env::real();
    let dir = std::env::temp_dir().join(format!("gantry-store-{}", env.rng.uuid()));
    let rng = env::rng::SeededRng::new(12);
    let mut txns = Vec::new();
    for _ in 0..3 {
        let tasks = Tasks::new("test");
        let store = Embedded::open_with(&env, &dir, &tasks, SMALL).await.unwrap();
        assert!(matches!(Embedded::open(&env, &dir, &tasks).await, Err(StoreError::InUse(_))));
        assert_eq!(state(&store).await, model(&txns));
        assert_eq!(work(&store, &rng, &mut txns).await, txns.len());
        tasks.stop(std::time::Duration::from_secs(10)).await;
    }
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_missing_segment_is_noticed() {
    let mut host = Host::new(13);
    let limits = Limits { segment_bytes: 600, ..Limits::default() };
    let store = host.open(limits).await.unwrap();
    work(&store, &env::rng::SeededRng::new(13), &mut Vec::new()).await;
    host.crash();
    let names = host.disk.list(&dir()).await.unwrap();
    let logs: Vec<_> = names.iter().filter(|n| n.starts_with("log-")).collect();
    assert!(logs.len() > 3, "{names:?}");
    host.disk.remove(&dir().join(logs[logs.len() / 2])).await.unwrap();
    let opened = host.open(limits).await;
    assert!(matches!(&opened, Err(StoreError::Corrupt(text)) if text.contains("missing")), "{opened:?}");
}
