//! What a probe does, one file per kind. When it does it, and what follows from it, is `pod::probes`' business.

mod exec;
mod grpc;
mod http;
mod tcp;

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::agent::Agent;
use crate::api::IntOrString;
use crate::api::pod::{Container, Handler};

/// How a probe went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    /// With the text that users read.
    Failure(String),
    /// The probe itself could not be done: counts neither way.
    Error(String),
}

/// What a probe is aimed at.
#[derive(Clone, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) agent: &'a Agent,
    pub(crate) container: &'a Container,
    pub(crate) container_id: &'a str,
    pub(crate) pod_ip: &'a str,
    pub(crate) limit: Duration,
}

/// One kind of probe.
pub(crate) trait ProbeKind: Send + Sync + fmt::Debug {
    fn handles(&self, handler: &Handler) -> bool;
    fn run<'a>(&'a self, target: &'a Target<'a>, handler: &'a Handler) -> BoxFuture<'a, Outcome>;
}

/// Every kind.
pub(crate) fn all() -> [&'static dyn ProbeKind; 4] {
    [&exec::Exec, &http::HttpGet, &tcp::TcpSocket, &grpc::Grpc]
}

/// Does a probe once.
pub(crate) async fn run(target: &Target<'_>, handler: &Handler) -> Outcome {
    match all().into_iter().find(|k| k.handles(handler)) {
        Some(kind) => kind.run(target, handler).await,
        None => Outcome::Error(format!("missing probe handler for {}", target.container.name)),
    }
}

/// The number of a port that may be given by name.
pub(crate) fn port(container: &Container, port: &IntOrString) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => match container.ports.iter().find(|p| p.name == *name) {
            Some(found) => found.container_port,
            None => name.parse().map_err(|_| format!("couldn't find port: {name}"))?,
        },
    };
    u16::try_from(number).ok().filter(|n| *n > 0).ok_or_else(|| format!("invalid port number: {number}"))
}

pub(crate) use self::http::request as http_request;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_handler_has_one_kind() {
        for handler in [
            json!({"exec": {"command": []}}),
            json!({"httpGet": {"port": 1}}),
            json!({"tcpSocket": {"port": 1}}),
            json!({"grpc": {"port": 1}}),
        ] {
            let handler: Handler = serde_json::from_value(handler).unwrap();
            assert_eq!(all().into_iter().filter(|k| k.handles(&handler)).count(), 1);
        }
    }

    #[test]
    fn ports_by_name() {
        let container: Container =
            serde_json::from_value(json!({"ports": [{"name": "web", "containerPort": 8080}]})).unwrap();
        let of = |p: serde_json::Value| port(&container, &serde_json::from_value(p).unwrap());
        assert_eq!(of(json!(80)), Ok(80));
        assert_eq!(of(json!("web")), Ok(8080));
        assert_eq!(of(json!("99")), Ok(99));
        assert_eq!(of(json!("none")), Err("couldn't find port: none".into()));
        assert!(of(json!(0)).is_err());
    }
}
