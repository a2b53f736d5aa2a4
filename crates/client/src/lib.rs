//! Every component's way to the API server: typed requests over `kube`'s client (a socket with TLS, or the server's
//! service in the same process), informers, events and leader election.

pub mod api;
pub mod delegated;
pub mod error;
pub mod events;
#[cfg(test)]
mod fake;
pub mod informer;
pub mod leader;
pub mod object;
mod reflector;
pub mod resources;
mod store;
#[cfg(test)]
mod tests;
pub mod time;
mod token;
pub mod url;
pub mod watch;

pub use api::{Client, DeleteParams, ListParams, Patch, Propagation, TransportRequest, TransportResponse};
pub use error::Error;
pub use events::{EventType, ObjectReference, Recorder};
pub use informer::{Event, Informer, Informers, Key};
pub use leader::Fence;
pub use object::{ApiResource, List, Meta, OwnerReference, PartialObject, Resource, ResourceType};
