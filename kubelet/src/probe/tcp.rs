//! `tcpSocket`: a connection that is accepted is success.

use futures::future::BoxFuture;

use super::{Outcome, ProbeKind, Target, port};
use crate::api::pod::Handler;

#[derive(Debug)]
pub(super) struct TcpSocket;

impl ProbeKind for TcpSocket {
    fn handles(&self, handler: &Handler) -> bool {
        handler.tcp_socket.is_some()
    }
    fn run<'a>(&'a self, target: &'a Target<'a>, handler: &'a Handler) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let action = handler.tcp_socket.as_ref().expect("handles() saw it");
            let port = match port(target.container, &action.port) {
                Ok(port) => port,
                Err(problem) => return Outcome::Error(problem),
            };
            let host = if action.host.is_empty() { target.pod_ip } else { &action.host };
            match target.agent.host.tcp_connect(host, port, target.limit).await {
                Ok(()) => Outcome::Success,
                Err(e) => Outcome::Failure(e.to_string()),
            }
        })
    }
}
