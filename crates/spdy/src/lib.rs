//! SPDY/3.1 as Kubernetes' streaming endpoints speak it, as client and as server.
//!
//! Upstream's peers (kubectl's fallback, the kubelet, containerd) use one library, and this mirrors what it does on the
//! wire: header blocks compressed with the protocol's dictionary, half-close by FIN, pings answered, settings and
//! priorities ignored. Flow control by WINDOW_UPDATE is not used by it in either direction: a peer never sends one, so
//! a sender that waited for one would wait for ever. What limits a sender is the connection: each stream buffers a
//! bounded number of frames, and a session whose reader does not read stops reading its socket.

pub mod frame;
pub mod headers;
pub mod session;
pub mod upgrade;

pub use frame::{Frame, ProtocolError};
pub use headers::Headers;
pub use session::{Closed, Role, Session, Stream, StreamReader, StreamWriter};
pub use upgrade::{UpgradeError, connect};

/// The HTTP upgrade token.
pub const PROTOCOL: &str = "SPDY/3.1";
