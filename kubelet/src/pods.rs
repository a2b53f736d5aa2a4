//! The pods of this node: one task each, fed by the informer, the runtime's events and the objects that they refer to.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::Event;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::agent::Agent;
use crate::api::{Pod, PodStatus};
use crate::pod::worker::Worker;
use crate::static_pods;

/// What reaches a pod's task. Nothing queues: a later state replaces an earlier one, so it is bounded by itself.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) uid: String,
    signals: Mutex<Signals>,
    notify: Notify,
    view: Mutex<View>,
}

/// Everything that happened since the task last looked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signals {
    pub(crate) pod: Option<Arc<Pod>>,
    /// The API has no such pod any more.
    pub(crate) deleted: bool,
    /// The runtime's state may have changed.
    pub(crate) runtime: bool,
    /// A ConfigMap or Secret has changed.
    pub(crate) objects: bool,
    /// What the API shows of a static pod has changed: its mirror, or that there is none.
    pub(crate) mirror: Option<Option<Arc<Pod>>>,
    /// The node has to get rid of it: reason and message.
    pub(crate) evict: Option<(String, String)>,
}

/// What others may see of a pod.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub pod: Arc<Pod>,
    /// The status as last computed, which the API may not have yet.
    pub status: PodStatus,
    pub sandbox_id: String,
    pub containers: BTreeMap<String, ContainerView>,
}

/// One container, as whoever streams to it or reads its log needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerView {
    pub id: String,
    pub running: bool,
    pub log_path: String,
    /// The log of the container before it.
    pub previous_log_path: String,
}

impl Inbox {
    pub(crate) fn new(pod: Arc<Pod>) -> Self {
        let view = View { pod: Arc::clone(&pod), status: pod.status.clone(), ..View::default() };
        Self {
            uid: pod.metadata.uid.clone(),
            signals: Mutex::new(Signals { pod: Some(pod), runtime: true, ..Signals::default() }),
            notify: Notify::new(),
            view: Mutex::new(view),
        }
    }
    fn signal(&self, change: impl FnOnce(&mut Signals)) {
        change(&mut self.signals.lock());
        self.notify.notify_one();
    }
    pub(crate) fn updated(&self, pod: Arc<Pod>) {
        self.signal(|s| s.pod = Some(pod));
    }
    pub(crate) fn deleted(&self) {
        self.signal(|s| s.deleted = true);
    }
    pub(crate) fn runtime_changed(&self) {
        self.signal(|s| s.runtime = true);
    }
    pub(crate) fn objects_changed(&self) {
        self.signal(|s| s.objects = true);
    }
    pub(crate) fn mirrored(&self, mirror: Option<Arc<Pod>>) {
        self.signal(|s| s.mirror = Some(mirror));
    }
    pub(crate) fn evict(&self, reason: &str, message: &str) {
        self.signal(|s| s.evict = Some((reason.to_owned(), message.to_owned())));
    }
    /// Ends once something has happened.
    pub(crate) async fn changed(&self) {
        self.notify.notified().await;
    }
    pub(crate) fn take(&self) -> Signals {
        std::mem::take(&mut self.signals.lock())
    }
    pub(crate) fn show(&self, view: View) {
        *self.view.lock() = view;
    }
    pub(crate) fn view(&self) -> View {
        self.view.lock().clone()
    }
}

/// All inboxes by uid, and which container is whose. Lock order: `inboxes`, then `owners`.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    inboxes: Mutex<BTreeMap<String, Arc<Inbox>>>,
    owners: Mutex<BTreeMap<String, String>>,
    /// Pods that hold resources of the node, by uid.
    active: Mutex<BTreeMap<String, Arc<Pod>>>,
}

impl Pods {
    pub(crate) fn views(&self) -> Vec<View> {
        self.inboxes.lock().values().map(|i| i.view()).collect()
    }
    pub(crate) fn inboxes(&self) -> Vec<Arc<Inbox>> {
        self.inboxes.lock().values().cloned().collect()
    }
    pub(crate) fn get(&self, uid: &str) -> Option<Arc<Inbox>> {
        self.inboxes.lock().get(uid).cloned()
    }
    /// Notes whose a container or sandbox is, so that its end is told to the right task.
    pub(crate) fn own(&self, id: &str, uid: &str) {
        self.owners.lock().insert(id.to_owned(), uid.to_owned());
    }
    /// Counts a pod in if `check` lets it in beside those that hold resources now. One at a time, so that two new pods
    /// never refuse each other.
    pub(crate) fn admit<E>(
        &self,
        pod: &Arc<Pod>,
        check: impl FnOnce(&[&Pod]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut active = self.active.lock();
        check(&active.values().map(AsRef::as_ref).collect::<Vec<&Pod>>())?;
        active.insert(pod.metadata.uid.clone(), Arc::clone(pod));
        Ok(())
    }
    /// Counts a pod out that has ended.
    pub(crate) fn released(&self, uid: &str) {
        self.active.lock().remove(uid);
    }
    pub(crate) fn forget(&self, uid: &str) {
        self.released(uid);
        self.inboxes.lock().remove(uid);
        self.owners.lock().retain(|_, owner| owner != uid);
    }
    fn owner(&self, id: &str) -> Option<Arc<Inbox>> {
        let uid = self.owners.lock().get(id).cloned()?;
        self.get(&uid)
    }
}

/// Takes a change of the API's pods: starts a task for a new one, tells an old one.
pub(crate) fn on_event(agent: &Arc<Agent>, event: &Event<Pod>) {
    let pod = event.object();
    if let Some(uid) = static_pods::mirrored(pod) {
        if let Some(inbox) = agent.pods.get(uid) {
            inbox.mirrored((!event.is_deleted()).then(|| Arc::clone(pod)));
        }
        agent.static_pods.wake();
        return;
    }
    let existing = agent.pods.get(&pod.metadata.uid);
    match (event.is_deleted(), existing) {
        (true, Some(inbox)) => {
            inbox.updated(Arc::clone(pod));
            inbox.deleted();
        }
        (true, None) => {}
        (false, Some(inbox)) => inbox.updated(Arc::clone(pod)),
        (false, None) => start(agent, Arc::clone(pod)),
    }
    // A namesake of another uid has replaced it between two lists: the old one is gone.
    if let Some(old) = event.old().filter(|old| old.metadata.uid != pod.metadata.uid)
        && let Some(inbox) = agent.pods.get(&old.metadata.uid)
    {
        inbox.deleted();
    }
}

pub(crate) fn start(agent: &Arc<Agent>, pod: Arc<Pod>) {
    let inbox = Arc::new(Inbox::new(Arc::clone(&pod)));
    agent.pods.inboxes.lock().insert(inbox.uid.clone(), Arc::clone(&inbox));
    let name = format!("pod {}/{}", pod.metadata.namespace, pod.metadata.name);
    let worker = Worker::new(Arc::clone(agent), inbox, pod);
    agent.tasks.spawn_until_stop(name, worker.run());
}

/// Passes the runtime's events on to the tasks, for ever.
pub(crate) async fn route_events(agent: Arc<Agent>, mut events: cri::EventReceiver) {
    while let Some(event) = events.recv().await {
        match event {
            cri::RuntimeEvent::Exited { id, .. } => {
                if let Some(inbox) = agent.pods.owner(&id) {
                    inbox.runtime_changed();
                }
            }
            // The end that follows says OOMKilled.
            cri::RuntimeEvent::OutOfMemory { .. } => {}
            cri::RuntimeEvent::Missed => {
                for inbox in agent.pods.inboxes() {
                    inbox.runtime_changed();
                }
            }
        }
    }
}
