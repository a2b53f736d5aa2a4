//! How members of a group reach each other: opaque messages, sent without an answer, which may be lost.

use std::fmt;

use bytes::Bytes;
use futures::future::BoxFuture;

/// The network of one member.
pub trait Transport: Send + fmt::Debug {
    /// Sends to the member `to`, or drops the message: the group copes with loss, not with waiting.
    fn send(&mut self, to: u64, message: Bytes);

    /// The next message from another member. Cancel-safe.
    fn receive(&mut self) -> BoxFuture<'_, Bytes>;
}

/// The network of a group of one: nobody to send to, nothing to receive.
#[derive(Debug)]
pub struct NoPeers;

impl Transport for NoPeers {
    fn send(&mut self, _to: u64, _message: Bytes) {}

    fn receive(&mut self) -> BoxFuture<'_, Bytes> {
        Box::pin(std::future::pending())
    }
}
