//! The task that feeds an informer: list, then watch from there, for ever.
//!
//! As client-go's reflector: one streaming list (`sendInitialEvents`) where the server has it, else pages; bookmarks
//! move the revision to resume from; 410 means list again; everything else is tried again after a back-off.

use std::sync::Arc;
use std::time::Duration;

use env::Env;
use tokio::time::Instant;

use crate::api::{Client, JSON};
use crate::error::Error;
use crate::informer::Core;
use crate::object::Resource;
use crate::url;
use crate::watch::{WatchEvent, WatchStream};

/// What an object's metadata alone is asked for with; the whole object does as well.
pub(crate) const METADATA: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// client-go starts at 800 ms; a component here often starts beside its server and should not wait that long.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// What has lasted this long was no failure to start: the back-off begins anew.
const BACKOFF_RESET: Duration = Duration::from_secs(120);

/// A watch asks the server to end it after 5 to 10 minutes, as client-go's: load moves between servers over time.
const WATCH_SECS_MIN: u64 = 300;
/// A server that does not keep to that is gone without a goodbye.
const WATCH_GRACE: Duration = Duration::from_secs(30);
/// A watch that ends sooner, without an event, is a failure.
const WATCH_SHORT: Duration = Duration::from_secs(1);

/// Where a cache stands between two requests.
#[derive(Debug)]
struct Position {
    /// Resume from here; `None`: list again.
    resume: Option<u64>,
    /// The server is not known to lack streaming lists.
    streaming: bool,
}

pub(crate) async fn run<T: Resource>(core: Arc<Core<T>>, client: Client, env: Env) {
    let mut position = Position { resume: None, streaming: true };
    let mut backoff = BACKOFF_MIN;
    loop {
        let started = Instant::now();
        let error = match step(&core, &client, &env, &mut position).await {
            Ok(()) => {
                backoff = BACKOFF_MIN;
                continue;
            }
            Err(error) => error,
        };
        if error.is_gone() {
            position.resume = None;
        }
        if started.elapsed() > BACKOFF_RESET {
            backoff = BACKOFF_MIN;
        }
        tracing::debug!(resource = %core.resource.plural, error = %error, "list or watch failed");
        tokio::time::sleep(jittered(backoff, &env)).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

/// Between half of `delay` and all of it.
pub(crate) fn jittered(delay: Duration, env: &Env) -> Duration {
    let half = delay / 2;
    let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
    half + Duration::from_nanos(env.rng.below(nanos))
}

/// One request to its end: a list (after which `position` says where to watch from) or a watch.
async fn step<T: Resource>(
    core: &Core<T>,
    client: &Client,
    env: &Env,
    position: &mut Position,
) -> Result<(), Error> {
    match position.resume {
        Some(revision) => watch(core, client, env, Some(revision), position).await,
        None if position.streaming => {
            let result = watch(core, client, env, None, position).await;
            match result {
                // Servers without streaming lists refuse the parameter.
                Err(e) if position.resume.is_none() && matches!(e.code(), Some(400 | 404 | 422)) => {
                    position.streaming = false;
                    Ok(())
                }
                other => other,
            }
        }
        None => {
            let path = core.resource.path(&core.params.namespace, "", "");
            let accept = if core.metadata_only { METADATA_LIST } else { JSON };
            let list = client.list_path::<T>(&path, &core.params, accept).await?;
            let revision = list.metadata.resource_version.parse().unwrap_or(0);
            core.replace(list.items, revision);
            position.resume = Some(revision);
            Ok(())
        }
    }
}

/// Watches from `from`, or (`None`) with the initial state as a streaming list.
async fn watch<T: Resource>(
    core: &Core<T>,
    client: &Client,
    env: &Env,
    from: Option<u64>,
    position: &mut Position,
) -> Result<(), Error> {
    let secs = WATCH_SECS_MIN + env.rng.below(WATCH_SECS_MIN);
    let target = target(core, from, secs);
    let accept = if core.metadata_only { METADATA } else { JSON };
    let started = Instant::now();
    let deadline = started + Duration::from_secs(secs) + WATCH_GRACE;
    let late = |_| Error::Transport("the server went silent".into());
    let mut stream =
        tokio::time::timeout_at(deadline, client.watch::<T>(&target, accept)).await.map_err(late)??;
    let mut initial = if from.is_none() { Some(Vec::new()) } else { None };
    let mut n_events = 0u64;
    loop {
        let next = tokio::time::timeout_at(deadline, next_event(&mut stream)).await.map_err(late)??;
        let Some(event) = next else { break };
        n_events += 1;
        if let Some(revision) = take(core, &mut initial, event) {
            position.resume = Some(revision);
        }
    }
    if initial.is_some() {
        return Err(Error::Transport("the streaming list was cut off".into()));
    }
    if n_events == 0 && started.elapsed() < WATCH_SHORT {
        return Err(Error::Transport("the watch ended at once".into()));
    }
    Ok(())
}

async fn next_event<T: Resource>(stream: &mut WatchStream<T>) -> Result<Option<WatchEvent<T>>, Error> {
    stream.next().await.transpose()
}

/// Applies an event, and returns the revision that the cache now reflects. While `initial` is there the events are
/// those of a streaming list: they are kept until its end, so that the cache never shows half a state.
fn take<T: Resource>(core: &Core<T>, initial: &mut Option<Vec<T>>, event: WatchEvent<T>) -> Option<u64> {
    match (initial.as_mut(), event) {
        (Some(_), WatchEvent::Bookmark { revision, initial_events_end: true }) => {
            core.replace(initial.take().unwrap_or_default(), revision);
            Some(revision)
        }
        (Some(_), WatchEvent::Bookmark { .. }) => None,
        (Some(objects), WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
            objects.push(object);
            None
        }
        (Some(objects), WatchEvent::Deleted(object)) => {
            objects.retain(|o| o.meta().uid != object.meta().uid);
            None
        }
        (None, WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
            let revision = object.meta().revision();
            core.put(object);
            Some(revision)
        }
        (None, WatchEvent::Deleted(object)) => {
            core.delete(&object);
            Some(object.meta().revision())
        }
        (None, WatchEvent::Bookmark { revision, .. }) => {
            core.bookmark(revision);
            Some(revision)
        }
    }
}

fn target<T: Resource>(core: &Core<T>, from: Option<u64>, secs: u64) -> String {
    let path = core.resource.path(&core.params.namespace, "", "");
    let from_text = from.map(|r| r.to_string()).unwrap_or_default();
    let initial = if from.is_none() { "true" } else { "" };
    let matching = if from.is_none() { "NotOlderThan" } else { "" };
    let query = url::query(&[
        ("watch", "true"),
        ("labelSelector", &core.params.label_selector),
        ("fieldSelector", &core.params.field_selector),
        ("allowWatchBookmarks", "true"),
        ("sendInitialEvents", initial),
        ("resourceVersionMatch", matching),
        ("resourceVersion", &from_text),
        ("timeoutSeconds", &secs.to_string()),
    ]);
    format!("{path}{query}")
}
