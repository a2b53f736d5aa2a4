use super::*;
use crate::backend::{Op, Outcome, Txn};
use bytes::Bytes;

async fn start() -> (Arc<View>, Tasks) {
    let tasks = Tasks::new("test");
    (View::start(crate::memory(), &tasks).await.unwrap(), tasks)
}

async fn commit(view: &View, ops: Vec<Op>) -> Revision {
    let outcome = view.backend().commit(Txn { guards: vec![], ops }).await.unwrap();
    let Outcome::Committed { revision } = outcome else { panic!("{outcome:?}") };
    view.wait_for(revision).await.unwrap();
    revision
}

fn put_op(key: &str, value: &str) -> Op {
    Op::Put { key: key.into(), value: Bytes::copy_from_slice(value.as_bytes()), expiry: None }
}

async fn put(view: &View, key: &str, value: &str) -> Revision {
    commit(view, vec![put_op(key, value)]).await
}

async fn delete(view: &View, key: &str) -> Revision {
    commit(view, vec![Op::Delete { key: key.into() }]).await
}

fn keys(range: &Range) -> Vec<&str> {
    range.entries.iter().map(|e| &*e.key).collect()
}

/// What is there for the watcher now, as `+key=value`, `~key=old>new` and `-key=old`, each with its revision.
fn drain(watcher: &mut Watcher) -> Vec<String> {
    let mut events = Vec::new();
    watcher.read(usize::MAX / 2, &mut events).unwrap();
    let text = |e: &Arc<Entry>| String::from_utf8_lossy(&e.value).into_owned();
    events
        .iter()
        .map(|e| match (&e.prev, &e.entry) {
            (None, Some(new)) => format!("{} +{}={}", e.revision, e.key, text(new)),
            (Some(old), Some(new)) => format!("{} ~{}={}>{}", e.revision, e.key, text(old), text(new)),
            (Some(old), None) => format!("{} -{}={}", e.revision, e.key, text(old)),
            (None, None) => panic!("a change from nothing to nothing"),
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn reads_at_a_revision_see_that_revision() {
    let (view, _tasks) = start().await;
    assert_eq!(view.revision(), 1);
    assert_eq!(put(&view, "/r/a/1", "x").await, 2);
    put(&view, "/r/a/1", "y").await;
    put(&view, "/r/a/2", "z").await;
    delete(&view, "/r/a/1").await;
    assert_eq!(put(&view, "/r/a/1", "w").await, 6);
    let value = |r| view.get_at("/r/a/1", r).unwrap().map(|e| String::from_utf8_lossy(&e.value).into_owned());
    let history: Vec<_> = (1..=6).map(value).collect();
    let some = |s: &str| Some(s.to_owned());
    assert_eq!(history, [None, some("x"), some("y"), some("y"), None, some("w")]);
    let entry = view.get("/r/a/1").unwrap();
    assert_eq!((entry.mod_revision, entry.create_revision), (6, 6));
    assert_eq!(keys(&view.range("/r/", None, 0, Some(5)).unwrap()), ["/r/a/2"]);
    assert!(matches!(view.get_at("/r/a/1", 7), Err(StoreError::Future { requested: 7, current: 6 })));
    assert!(matches!(view.get_at("/r/a/1", 0), Err(StoreError::Compacted { requested: 0, oldest: 1 })));
}

#[tokio::test(start_paused = true)]
async fn pages_are_bytewise_pinned_and_count_what_remains() {
    let (view, _tasks) = start().await;
    for key in ["/r/a/x", "/r/a-b/x", "/r/b/x", "/r/a/y", "/s/a/x"] {
        put(&view, key, "1").await;
    }
    let first = view.range("/r/", None, 2, None).unwrap();
    assert_eq!((keys(&first), first.more, first.remaining), (vec!["/r/a-b/x", "/r/a/x"], true, 2));
    put(&view, "/r/a/z", "1").await;
    delete(&view, "/r/b/x").await;
    let second = view.range("/r/", Some("/r/a/x"), 1, Some(first.revision)).unwrap();
    assert_eq!((keys(&second), second.more, second.remaining), (vec!["/r/a/y"], true, 1));
    let third = view.range("/r/", Some("/r/a/y"), 1, Some(first.revision)).unwrap();
    assert_eq!((keys(&third), third.more, third.remaining), (vec!["/r/b/x"], false, 0));
    assert_eq!(third.revision, first.revision);
    assert_eq!(keys(&view.range("/r/a/", None, 0, None).unwrap()), ["/r/a/x", "/r/a/y", "/r/a/z"]);
    assert_eq!(keys(&view.range("/r/a/", Some("/q"), 1, None).unwrap()), ["/r/a/x"]);
}

#[tokio::test(start_paused = true)]
async fn ranges_longer_than_a_chunk_are_whole() {
    let (view, _tasks) = start().await;
    let n = range::CHUNK * 2 + 7;
    for i in 0..n {
        put(&view, &format!("/r/{i:05}"), "1").await;
    }
    assert_eq!(view.range("/r/", None, 0, None).unwrap().entries.len(), n);
    let page = view.range("/r/", Some("/r/00000"), 3, None).unwrap();
    assert_eq!((page.entries.len(), page.remaining), (3, n - 4));
    for limit in [range::CHUNK - 1, range::CHUNK, range::CHUNK + 1, n] {
        let page = view.range("/r/", None, limit, None).unwrap();
        assert_eq!((page.entries.len(), page.more, page.remaining), (limit, limit < n, n - limit));
        let after = view.range("/r/0", None, limit, None).unwrap();
        assert_eq!((after.entries.len(), after.more, after.remaining), (limit, limit < n, n - limit));
    }
}

#[tokio::test(start_paused = true)]
async fn counts_and_last_changes_follow_each_directory() {
    let (view, _tasks) = start().await;
    put(&view, "/r/a/1", "x").await;
    put(&view, "/r/b/1", "x").await;
    put(&view, "/s/a/1", "x").await;
    delete(&view, "/r/a/1").await;
    let facts = |p: &str| (view.count(p), view.last_change(p));
    assert_eq!(facts(""), (2, 5));
    assert_eq!(facts("/r/"), (1, 5));
    assert_eq!(facts("/r/a/"), (0, 5));
    assert_eq!(facts("/r/b/"), (1, 3));
    assert_eq!(facts("/s/"), (1, 4));
    assert_eq!(facts("/none/"), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_each_matching_change_once_and_in_order() {
    let (view, _tasks) = start().await;
    put(&view, "/r/a/1", "x").await;
    let mut all = view.watch("/r/", 2).unwrap();
    let mut namespace = view.watch("/r/a/", 3).unwrap();
    let mut one = view.watch("/r/b/1", 1 + view.revision()).unwrap();
    commit(&view, vec![put_op("/r/b/1", "n"), put_op("/r/a/1", "y"), put_op("/s/a/1", "n")]).await;
    delete(&view, "/r/a/1").await;
    put(&view, "/r/b/10", "n").await;
    assert_eq!(
        drain(&mut all),
        ["2 +/r/a/1=x", "3 +/r/b/1=n", "3 ~/r/a/1=x>y", "4 -/r/a/1=y", "5 +/r/b/10=n"]
    );
    assert_eq!(drain(&mut namespace), ["3 ~/r/a/1=x>y", "4 -/r/a/1=y"]);
    assert_eq!(drain(&mut one), ["3 +/r/b/1=n"]);
    // One that comes later and starts earlier sees what the topic had not gathered.
    let mut early = view.watch("/r/b/1", 2).unwrap();
    assert_eq!(drain(&mut early), ["3 +/r/b/1=n"]);
    assert_eq!(drain(&mut one), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_waits_and_wakes_for_its_own_changes_alone() {
    let (view, tasks) = start().await;
    let mut watcher = view.watch("/r/a/", 2).unwrap();
    let mut future = view.watch("/r/a/", 4).unwrap();
    let mut next = std::pin::pin!(watcher.next());
    let mut polls = 0;
    put(&view, "/r/b/1", "x").await;
    assert!(futures::poll!(next.as_mut()).is_pending());
    let event = tokio::join!(
        std::future::poll_fn(|cx| {
            polls += 1;
            next.as_mut().poll(cx)
        }),
        async {
            put(&view, "/r/b/2", "x").await;
            put(&view, "/r/a/1", "x").await;
        }
    )
    .0
    .unwrap();
    assert_eq!((&*event.key, event.revision, event.created()), ("/r/a/1", 4, true));
    assert!(polls <= 3, "polled {polls} times");
    assert_eq!(drain(&mut future), ["4 +/r/a/1=x"]);
    tasks.kill();
    assert!(matches!(future.next().await, Err(StoreError::Stopped)));
    assert!(matches!(view.wait_for(100).await, Err(StoreError::Stopped)));
}

#[tokio::test(start_paused = true)]
async fn progress_is_complete_revisions_only() {
    let (view, _tasks) = start().await;
    let mut watcher = view.watch("/r/", 2).unwrap();
    assert_eq!(watcher.progress(), 1);
    put(&view, "/s/1", "x").await;
    assert_eq!(watcher.progress(), 2);
    commit(&view, vec![put_op("/r/1", "x"), put_op("/r/2", "x")]).await;
    assert_eq!(watcher.progress(), 2);
    watcher.try_next().unwrap().unwrap();
    assert_eq!(watcher.progress(), 2);
    watcher.try_next().unwrap().unwrap();
    assert_eq!(watcher.progress(), 3);
}

#[tokio::test(start_paused = true)]
async fn history_ends_after_its_time_and_slow_watchers_lose_their_place() {
    let (view, _tasks) = start().await;
    put(&view, "/r/1", "a").await;
    put(&view, "/r/1", "b").await;
    put(&view, "/r/gone", "b").await;
    delete(&view, "/r/gone").await;
    let mut slow = view.watch("/r/", 2).unwrap();
    let mut done = view.watch("/r/1", 2).unwrap();
    assert_eq!(drain(&mut done).len(), 2);
    tokio::time::sleep(HISTORY_AGE + TRIM_INTERVAL * 2).await;
    assert_eq!(view.compacted_revision(), 5);
    assert!(matches!(slow.next().await, Err(StoreError::Compacted { oldest: 5, .. })));
    assert!(matches!(view.watch("/r/", 5), Err(StoreError::Compacted { .. })));
    assert!(matches!(view.range("/r/", None, 0, Some(4)), Err(StoreError::Compacted { .. })));
    assert_eq!(keys(&view.range("/r/", None, 0, Some(5)).unwrap()), ["/r/1"]);
    assert!(view.watch("/r/", 6).is_ok());
    // The one that had read everything goes on, and nothing of the deleted key is left.
    put(&view, "/r/1", "c").await;
    assert_eq!(drain(&mut done), ["6 ~/r/1=b>c"]);
    assert_eq!(view.inner.read().map.from(std::ops::Bound::Unbounded).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn history_is_bounded_by_bytes() {
    let (view, _tasks) = start().await;
    let value = "x".repeat(1 << 20);
    for _ in 0..40 {
        put(&view, "/r/big", &value).await;
    }
    let inner = view.inner.read();
    assert!(inner.window_bytes <= HISTORY_BYTES);
    assert!(inner.window.len() >= 15, "{} events", inner.window.len());
    assert_eq!(inner.compacted + inner.window.len() as u64, inner.revision);
}

#[tokio::test(start_paused = true)]
async fn a_version_carries_what_its_readers_computed() {
    let (view, _tasks) = start().await;
    put(&view, "/r/1", "a").await;
    let first = view.get("/r/1").unwrap();
    first.cache().get_or_init(|| Arc::new(42_u32));
    let again = view.range("/r/", None, 0, None).unwrap();
    let cached = again.entries[0].cache().get().unwrap();
    assert_eq!(cached.downcast_ref::<u32>(), Some(&42));
    put(&view, "/r/1", "b").await;
    assert!(view.get("/r/1").unwrap().cache().get().is_none());
}
