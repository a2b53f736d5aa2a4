//! What streams and channels mean to exec, attach and port-forward.
//!
//! Over SPDY each stream says its kind in the header `streamType`. Over WebSocket each binary message begins with a
//! channel's number; version 5 adds channel 255, whose message names a channel that its sender closes.

use serde_json::{Value, json};

/// Versions of the protocol, newest first.
pub const V5: &str = "v5.channel.k8s.io";
pub const V4: &str = "v4.channel.k8s.io";
pub const V3: &str = "v3.channel.k8s.io";
pub const V2: &str = "v2.channel.k8s.io";
pub const V1: &str = "channel.k8s.io";
/// Version 4 with base64 text instead of binary messages: for browsers.
pub const V4_BASE64: &str = "v4.base64.channel.k8s.io";
pub const V1_BASE64: &str = "base64.channel.k8s.io";

/// The port-forward protocol over SPDY.
pub const PORT_FORWARD: &str = "portforward.k8s.io";
/// Port-forward's SPDY inside WebSocket messages.
pub const PORT_FORWARD_TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";

/// The header that tells a stream's kind; its values are [`STDIN`] and its like.
pub const STREAM_TYPE: &str = "streamType";
/// A port-forward stream's port.
pub const PORT_HEADER: &str = "port";
/// What ties the data and the error stream of one forwarded connection.
pub const REQUEST_ID_HEADER: &str = "requestID";

pub const ERROR: &str = "error";
pub const STDIN: &str = "stdin";
pub const STDOUT: &str = "stdout";
pub const STDERR: &str = "stderr";
pub const RESIZE: &str = "resize";
pub const DATA: &str = "data";

/// Numbers of WebSocket channels.
pub mod channel {
    pub const STDIN: u8 = 0;
    pub const STDOUT: u8 = 1;
    pub const STDERR: u8 = 2;
    pub const ERROR: u8 = 3;
    pub const RESIZE: u8 = 4;
    /// Version 5: the message's next byte names a channel that ends.
    pub const CLOSE: u8 = 255;
}

/// The first of the client's protocols that the server has.
pub fn negotiate<'a>(client: &[&'a str], server: &[&str]) -> Option<&'a str> {
    client.iter().copied().find(|p| server.contains(p))
}

/// Which streams an exec or attach has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

/// The Status of a command that ended with `code`, as version 4's error stream carries it.
pub fn exit_status(code: i32) -> Value {
    if code == 0 {
        return json!({"metadata": {}, "status": "Success"});
    }
    json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("command terminated with non-zero exit code: exit status {code}"),
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
    })
}

/// The Status of anything else that went wrong.
pub fn internal_error(message: &str) -> Value {
    json!({"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500,
        "details": {"causes": [{"message": message}]}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_order_decides() {
        assert_eq!(negotiate(&[V5, V4], &[V4, V5]), Some(V5));
        assert_eq!(negotiate(&["v9", V3], &[V4, V3]), Some(V3));
        assert_eq!(negotiate(&[], &[V4]), None);
    }

    #[test]
    fn exit_codes_are_causes() {
        assert_eq!(exit_status(0)["status"], "Success");
        assert_eq!(exit_status(3)["details"]["causes"][0]["message"], "3");
    }
}
