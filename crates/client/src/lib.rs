//! Every component's way to the API server: typed requests over `kube`'s client (a socket with TLS, or the server's
//! service in the same process), informers, events and leader election.

pub mod api;
pub mod error;
pub mod informer;
pub mod object;
pub mod resources;

pub use api::{Client, DeleteParams, ListParams, Patch, Propagation, TransportRequest, TransportResponse};
pub use error::Error;
pub use informer::{Event, Informer, Informers, Key};
pub use object::{List, Meta, OwnerReference, Resource, ResourceType};
