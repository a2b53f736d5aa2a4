//! Workers: take a key, sync it, back off when that failed or panicked.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use component::Tasks;
use futures::FutureExt as _;
use tokio::time::Instant;

use crate::queue::Queue;

/// Why a sync is to be tried again.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    #[error(transparent)]
    Client(#[from] client::Error),
    #[error("{0}")]
    Other(String),
}

/// `Some(delay)`: look at the key again after that, even when nothing changes.
pub type SyncResult = Result<Option<Duration>, SyncError>;

/// Starts `workers` tasks that call `sync` with each key of `queue` until the group stops. An error or a panic puts
/// the key back with its back-off.
pub fn run_controller<K, F, Fut>(tasks: &Tasks, name: &str, workers: usize, queue: &Queue<K>, sync: F)
where
    K: Ord + Clone + fmt::Display + Send + Sync + 'static,
    F: Fn(K) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = SyncResult> + Send + 'static,
{
    let sync = Arc::new(sync);
    for worker in 0..workers {
        let (queue, sync, metrics) = (queue.clone(), Arc::clone(&sync), queue.metrics());
        let controller: Arc<str> = name.into();
        tasks.spawn_until_stop(format!("{name} worker {worker}"), async move {
            while let Some(key) = queue.get().await {
                let started = Instant::now();
                let result = AssertUnwindSafe(sync(key.clone())).catch_unwind().await;
                let took = started.elapsed();
                if let Some(metrics) = &metrics {
                    metrics.worked(took);
                }
                let duration_ms = took.as_millis();
                match result {
                    Ok(Ok(after)) => {
                        queue.forget(&key);
                        if let Some(delay) = after {
                            queue.add_after(key.clone(), delay);
                        }
                    }
                    // Somebody else wrote in between: the cache will show it soon.
                    Ok(Err(SyncError::Client(error))) if error.is_conflict() => {
                        tracing::debug!(%controller, %key, %error, "conflict");
                        queue.add_failed(key.clone());
                    }
                    Ok(Err(error)) => {
                        tracing::warn!(%controller, %key, %error, duration_ms, "sync failed");
                        queue.add_failed(key.clone());
                    }
                    Err(panic) => {
                        let error = component::tasks::panic_text(&*panic);
                        tracing::error!(%controller, %key, error, "sync panicked");
                        queue.add_failed(key.clone());
                    }
                }
                queue.done(&key);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn errors_and_panics_are_tried_again() {
        let tasks = Tasks::new("test");
        let queue = Queue::new(env::Env::simulated(1));
        let calls = Arc::new(AtomicU32::new(0));
        let (seen, again) = tokio::sync::mpsc::channel(9);
        let counter = Arc::clone(&calls);
        run_controller(&tasks, "test", 2, &queue, move |key: &'static str| {
            let (n, seen) = (counter.fetch_add(1, Ordering::SeqCst), seen.clone());
            async move {
                match n {
                    0 => Err(SyncError::Other("first".into())),
                    1 => panic!("second"),
                    2 => Ok(Some(Duration::from_secs(60))),
                    _ => {
                        seen.send(key).await.unwrap();
                        Ok(None)
                    }
                }
            }
        });
        let mut again = again;
        let started = Instant::now();
        queue.add("a");
        assert_eq!(again.recv().await, Some("a"));
        assert!(started.elapsed() >= Duration::from_secs(60));
        assert_eq!((calls.load(Ordering::SeqCst), queue.failures(&"a")), (4, 0));
    }
}
