//! What a runtime tells unasked. The queue is bounded: a receiver that falls behind hears that it missed something and
//! lists again, so nobody waits for a slow one and no exit is forgotten.

use tokio::sync::broadcast;

/// Events that a receiver may lag behind before it has to list again: a burst of a full node's containers ending.
pub const EVENT_QUEUE: usize = 1024;

/// A change that the runtime noticed by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeEvent {
    /// The main process of a container or of a sandbox has ended, and the runtime's own status says so already.
    Exited { id: String, exit_code: i32 },
    /// The kernel killed a process of the container for want of memory.
    OutOfMemory { id: String },
    /// The stream began anew or the receiver was too slow: whatever happened meanwhile is to be listed.
    Missed,
}

/// The sending side, owned by a runtime.
#[derive(Debug, Clone)]
pub struct EventSender(broadcast::Sender<RuntimeEvent>);

impl Default for EventSender {
    fn default() -> Self {
        Self(broadcast::Sender::new(EVENT_QUEUE))
    }
}

impl EventSender {
    pub fn send(&self, event: RuntimeEvent) {
        // An error means that nobody listens, which is no fault.
        let _ = self.0.send(event);
    }
    pub fn subscribe(&self) -> EventReceiver {
        EventReceiver(self.0.subscribe())
    }
}

/// One listener's stream.
#[derive(Debug)]
pub struct EventReceiver(broadcast::Receiver<RuntimeEvent>);

impl EventReceiver {
    /// The next event; `None` once the runtime is gone.
    pub async fn recv(&mut self) -> Option<RuntimeEvent> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(RuntimeEvent::Missed),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
