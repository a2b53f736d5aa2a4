//! The life of tasks: each has a name, belongs to a group, ends when the group's token is cancelled, and its panic is
//! logged and counted instead of vanishing.
//!
//! Groups nest: `gantry up` has one per node and one per component below it. Stopping a group cancels its token and
//! waits; killing it (simulated crash) drops every future where it stands.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

/// A group of tasks. Cheap to clone; clones are the same group.
#[derive(Clone)]
pub struct Tasks(Arc<Inner>);

struct Inner {
    name: String,
    token: CancellationToken,
    running: Mutex<Vec<Running>>,
    children: Mutex<Vec<Tasks>>,
    alive: AtomicUsize,
    panics: AtomicU64,
    /// Those of the whole tree that the group is in.
    all_panics: Arc<AtomicU64>,
    idle: Notify,
}

/// A task that was started.
struct Running {
    name: String,
    handle: AbortHandle,
    /// Set once the future is gone. The runtime knows a moment later only, when whoever waited for the end already looks.
    ended: Arc<AtomicBool>,
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").field("name", &self.0.name).field("alive", &self.alive()).finish()
    }
}

impl Tasks {
    /// A group of its own.
    pub fn new(name: impl Into<String>) -> Self {
        Self::with_token(name.into(), CancellationToken::new(), Arc::default())
    }

    fn with_token(name: String, token: CancellationToken, all_panics: Arc<AtomicU64>) -> Self {
        Self(Arc::new(Inner {
            name,
            token,
            running: Mutex::default(),
            children: Mutex::default(),
            alive: AtomicUsize::new(0),
            panics: AtomicU64::new(0),
            all_panics,
            idle: Notify::new(),
        }))
    }

    /// A group below this one: it stops with it, and can be stopped alone.
    #[must_use]
    pub fn child(&self, name: impl Into<String>) -> Self {
        let child = Self::with_token(name.into(), self.0.token.child_token(), Arc::clone(&self.0.all_panics));
        let mut children = self.0.children.lock();
        children.retain(|c| c.alive() > 0 || !c.0.token.is_cancelled());
        children.push(child.clone());
        child
    }

    /// Starts a task. It ends when it returns, or is dropped at its next await once the group is killed. A task that
    /// must end in an orderly way watches [`Tasks::token`].
    #[allow(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub fn spawn(&self, name: impl Into<String>, future: impl Future<Output = ()> + Send + 'static) {
        let name = name.into();
        let inner = Arc::clone(&self.0);
        inner.alive.fetch_add(1, Ordering::AcqRel);
        let ended = Arc::new(AtomicBool::new(false));
        let guard = Alive(Arc::clone(&inner), Arc::clone(&ended));
        let label = name.clone();
        let handle = tokio::spawn(async move {
            let guard = guard;
            if let Err(panic) = std::panic::AssertUnwindSafe(future).catch_unwind().await {
                guard.0.panics.fetch_add(1, Ordering::Relaxed);
                guard.0.all_panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!(component = %guard.0.name, task = %label, error = panic_text(&*panic), "task panicked");
            }
        });
        let mut running = inner.running.lock();
        running.retain(|task| !task.handle.is_finished());
        running.push(Running { name, handle: handle.abort_handle(), ended });
    }

    /// Starts a task that is dropped as soon as the group is asked to stop.
    pub fn spawn_until_stop(
        &self,
        name: impl Into<String>,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        let token = self.token();
        self.spawn(name, async move {
            tokio::select! {
                biased;
                () = token.cancelled() => {}
                () = future => {}
            }
        });
    }

    /// Cancelled when the group is asked to stop.
    pub fn token(&self) -> CancellationToken {
        self.0.token.clone()
    }

    /// Tasks that have not ended, in this group alone.
    pub fn alive(&self) -> usize {
        self.0.alive.load(Ordering::Acquire)
    }

    /// Panics of this group's tasks so far.
    pub fn panics(&self) -> u64 {
        self.0.panics.load(Ordering::Relaxed)
    }

    /// Panics so far in the whole tree of groups that this one is in, those that have ended too.
    pub fn panics_in_tree(&self) -> u64 {
        self.0.all_panics.load(Ordering::Relaxed)
    }

    /// Asks every task below to stop, waits up to `grace`, then kills what is left. Returns the names of those killed.
    pub async fn stop(&self, grace: Duration) -> Vec<String> {
        self.0.token.cancel();
        let deadline = tokio::time::Instant::now() + grace;
        for group in self.flatten() {
            let _ = tokio::time::timeout_at(deadline, group.ended()).await;
        }
        self.kill()
    }

    /// Drops every task below where it stands (a simulated crash) and returns the names of those that still ran.
    pub fn kill(&self) -> Vec<String> {
        self.0.token.cancel();
        let mut killed = Vec::new();
        for group in self.flatten() {
            for task in group.0.running.lock().drain(..) {
                if !task.ended.load(Ordering::Acquire) {
                    task.handle.abort();
                    killed.push(format!("{}/{}", group.0.name, task.name));
                }
            }
        }
        killed
    }

    /// Waits until no task of this group (not of those below) is left.
    pub async fn ended(&self) {
        loop {
            let idle = self.0.idle.notified();
            if self.alive() == 0 {
                return;
            }
            idle.await;
        }
    }

    fn flatten(&self) -> Vec<Tasks> {
        let mut all = vec![self.clone()];
        let mut next = 0;
        while next < all.len() {
            let children = all[next].0.children.lock().clone();
            all.extend(children);
            next += 1;
        }
        all
    }
}

/// Counts a task out, also when it is dropped half-way.
struct Alive(Arc<Inner>, Arc<AtomicBool>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.1.store(true, Ordering::Release);
        if self.0.alive.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

/// The text of a panic's payload.
pub fn panic_text(payload: &(dyn std::any::Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic without a text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn tasks_that_end_when_asked_are_not_killed() {
        for _ in 0..500 {
            let tasks = Tasks::new("top");
            let below = tasks.child("below");
            for i in 0..8 {
                below.spawn_until_stop(format!("waits {i}"), std::future::pending());
            }
            tokio::task::yield_now().await;
            assert_eq!(tasks.stop(Duration::from_secs(60)).await, Vec::<String>::new());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_that_do_not_end_are_named() {
        let tasks = Tasks::new("top");
        tasks.child("below").spawn("deaf", std::future::pending());
        assert_eq!(tasks.stop(Duration::from_secs(1)).await, ["below/deaf"]);
    }
}
