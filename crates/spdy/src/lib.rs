//! SPDY/3.1, client and server, and the channel protocols that Kubernetes runs over it and over WebSocket.
//!
//! kubectl and the container runtime speak SPDY for exec, attach and port-forward; newer clients speak WebSocket, with
//! a channel byte before each message, or with SPDY inside for port-forward. [`session`] is the protocol with its
//! streams, [`handshake`] the HTTP/1.1 upgrade to it, [`remotecommand`] the meaning of streams and channels, [`bridge`]
//! what leads from a WebSocket to a SPDY peer.
//!
//! Not here: HTTP over SPDY, server push, and priorities. A session is driven by a future that the caller spawns.

pub mod bridge;
mod dictionary;
pub mod frame;
pub mod handshake;
pub mod remotecommand;
pub mod session;
pub mod tunnel;

pub use frame::Headers;
pub use session::{Config, Error, Session, Stream};
