//! What a controller is given when it starts.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use client::{Client, Informer, Informers, Recorder, Resource};
use component::Tasks;
use controller_kit::{Queue, QueueMetrics, SyncResult, run_controller};
use env::Env;
use futures::future::BoxFuture;

use crate::config::Config;

/// One controller's surroundings. The informers are shared by all; the client is the controller's own user.
#[derive(Clone, Debug)]
pub struct Context {
    pub client: Client,
    pub informers: Informers,
    pub recorder: Recorder,
    pub env: Env,
    pub tasks: Tasks,
    pub config: Arc<Config>,
    pub queues: QueueMetrics,
    /// As messages and logs call it.
    pub name: &'static str,
}

/// Ends when a cache is in sync.
pub(crate) type Synced = BoxFuture<'static, ()>;

pub(crate) fn synced<T: Resource>(informer: &Informer<T>) -> Synced {
    let informer = informer.clone();
    Box::pin(async move { informer.synced().await })
}

impl Context {
    /// Starts workers once all of `caches` are in sync.
    pub(crate) fn run<K, F, Fut>(&self, caches: Vec<Synced>, workers: usize, queue: &Queue<K>, sync: F)
    where
        K: Ord + Clone + fmt::Display + Send + Sync + 'static,
        F: Fn(K) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = SyncResult> + Send + 'static,
    {
        queue.observe(self.queues.of(self.name));
        let (tasks, queue, name) = (self.tasks.clone(), queue.clone(), self.name);
        self.tasks.spawn_until_stop(format!("{name} start"), async move {
            futures::future::join_all(caches).await;
            run_controller(&tasks, name, workers, &queue, sync);
        });
    }

    /// Calls `tick` every `period` once all of `caches` are in sync, the first time at once. A tick's errors are its
    /// own to log: the next one comes anyway.
    pub(crate) fn every<F, Fut>(&self, caches: Vec<Synced>, period: Duration, mut tick: F)
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn_until_stop(format!("{} every {period:?}", self.name), async move {
            futures::future::join_all(caches).await;
            loop {
                tick().await;
                tokio::time::sleep(period).await;
            }
        });
    }
}
