//! Waiting until a cluster is of use.

use std::net::SocketAddr;
use std::time::Duration;

use client::{Client, Informers, ListParams, Meta, Resource, ResourceType, resources};
use component::Tasks;
use env::Env;
use serde::Deserialize;
use tokio::net::UdpSocket;

/// A query without an answer is repeated after this: the rules that lead to DNS may have come a moment later.
const QUERY_TIMEOUT: Duration = Duration::from_millis(100);

#[derive(Debug, Deserialize)]
struct Node {
    metadata: Meta,
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Debug, Deserialize, Default)]
struct NodeStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Debug, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Resource for Node {
    const TYPE: ResourceType = resources::NODES;
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

impl Node {
    fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|c| c.kind == "Ready" && c.status == "True")
    }
}

/// Ends once the node says that it is Ready.
pub(crate) async fn node_ready(client: &Client, name: &str, env: &Env, tasks: &Tasks) {
    let group = tasks.child("wait");
    let informers = Informers::new(client.clone(), env.clone(), group.clone());
    let field_selector = format!("metadata.name={name}");
    let nodes = informers.with::<Node>(ListParams { field_selector, ..ListParams::default() });
    informers.start();
    nodes.wait_until(|nodes| nodes.list().iter().any(|node| node.is_ready())).await;
    group.kill();
}

/// Ends once a query for the A records of `name` to `server` is answered with one.
pub(crate) async fn dns_answers(server: SocketAddr, name: &str) {
    let query = query(name);
    loop {
        if ask(server, &query).await.unwrap_or(false) {
            return;
        }
        tokio::time::sleep(QUERY_TIMEOUT / 4).await;
    }
}

async fn ask(server: SocketAddr, query: &[u8]) -> std::io::Result<bool> {
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut answer = [0; 512];
    match tokio::time::timeout(QUERY_TIMEOUT, socket.recv(&mut answer)).await {
        // Same id, no error, at least one answer.
        Ok(Ok(n)) => Ok(n >= 12 && answer[..2] == query[..2] && answer[3] & 0xf == 0 && answer[7] > 0),
        Ok(Err(error)) => Err(error),
        Err(_) => Ok(false),
    }
}

/// A DNS message that asks for the A records of `name` (RFC 1035, section 4).
fn query(name: &str) -> Vec<u8> {
    // Id, recursion desired, one question.
    let mut message = vec![0x47, 0x41, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap_or(63));
        message.extend_from_slice(label.as_bytes());
    }
    // The root, type A, class IN.
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_a_dns_message() {
        let message = query("a.bc");
        assert_eq!(&message[12..], [1, b'a', 2, b'b', b'c', 0, 0, 1, 0, 1]);
    }
}
