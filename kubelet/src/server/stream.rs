//! exec, attach and port-forward: from the client's WebSocket or SPDY connection to the runtime's streaming server.
//!
//! A SPDY client is passed through as it is. A WebSocket client of exec or attach is translated (the runtime of
//! containerd 1.6 knows no half-close over WebSocket). One of port-forward is unwrapped when SPDY travels inside, as
//! kubectl's does, and translated when it speaks by channels, as libraries do that know no SPDY.

use std::time::Duration;

use component::Tasks;
use cri::v1;
use http::{HeaderMap, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use spdy::handshake::{self, HandshakeError, Head, HttpUrl, Prefixed};
use spdy::remotecommand::{self, Streams};
use spdy::{Session, bridge, tunnel};
use tokio::net::TcpStream;

use super::answer::{self, Answer};
use super::route::Query;

/// The runtime must have agreed to a stream by then.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What we speak to clients over WebSocket, for exec and attach.
const WEBSOCKET_PROTOCOLS: [&str; 3] = [remotecommand::V5, remotecommand::V4, remotecommand::V1];
/// The same for port-forward: SPDY inside, or a pair of channels for each port.
const PORT_FORWARD_PROTOCOLS: [&str; 2] = [remotecommand::PORT_FORWARD_TUNNEL, remotecommand::V4];
/// What we ask the runtime for, best first.
const RUNTIME_PROTOCOLS: [&str; 4] =
    [remotecommand::V4, remotecommand::V3, remotecommand::V2, remotecommand::V1];

/// A connection to the runtime's streaming server that has been upgraded.
type RuntimeStream = Prefixed<TcpStream>;

/// How a client wants to speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// SPDY, with the protocols above it.
    Spdy { protocols: Vec<String> },
    /// WebSocket, with the agreed subprotocol (empty when the client named none).
    WebSocket { key: String, protocol: String },
}

/// Reads what a client asks to be upgraded to, for port-forward or for a command.
pub fn requested_upgrade(headers: &HeaderMap, port_forward: bool) -> Result<Upgrade, &'static str> {
    let values = |name: &str| -> Vec<String> {
        let all = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
        all.flat_map(|v| v.split(',')).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty()).collect()
    };
    let has = |name: &str, word: &str| values(name).iter().any(|v| v.eq_ignore_ascii_case(word));
    if !has("connection", "upgrade") {
        return Err("you must specify at least 1 of the upgrade protocols: Upgrade request required");
    }
    if has("upgrade", "websocket") {
        let key = headers.get(header::SEC_WEBSOCKET_KEY).and_then(|v| v.to_str().ok());
        let key = key.ok_or("not a WebSocket handshake: no Sec-WebSocket-Key")?.to_owned();
        let offered = values("sec-websocket-protocol");
        let offered: Vec<&str> = offered.iter().map(String::as_str).collect();
        let ours: &[&str] = if port_forward { &PORT_FORWARD_PROTOCOLS } else { &WEBSOCKET_PROTOCOLS };
        let protocol = match remotecommand::negotiate(&offered, ours) {
            Some(protocol) => protocol.to_owned(),
            // Without a subprotocol: channels.
            None if offered.is_empty() => String::new(),
            None => return Err("unable to negotiate a WebSocket subprotocol"),
        };
        return Ok(Upgrade::WebSocket { key, protocol });
    }
    if has("upgrade", handshake::SPDY_3_1) {
        return Ok(Upgrade::Spdy { protocols: values(handshake::STREAM_PROTOCOL) });
    }
    Err("unable to upgrade: missing upgrade headers in request")
}

/// The streams that the query names.
pub fn requested_streams(query: &Query) -> Result<Streams, &'static str> {
    let streams = Streams {
        stdin: query.flag("input"),
        stdout: query.flag("output"),
        stderr: query.flag("error"),
        tty: query.flag("tty"),
    };
    if !streams.stdin && !streams.stdout && !streams.stderr {
        return Err("you must specify at least 1 of stdin, stdout, stderr");
    }
    if streams.tty && streams.stderr {
        // A terminal has one output; upstream says so in its log and goes on without stderr.
        return Ok(Streams { stderr: false, ..streams });
    }
    Ok(streams)
}

pub fn exec_request(container_id: &str, command: &[String], streams: Streams) -> v1::ExecRequest {
    v1::ExecRequest {
        container_id: container_id.to_owned(),
        cmd: command.to_vec(),
        tty: streams.tty,
        stdin: streams.stdin,
        stdout: streams.stdout,
        stderr: streams.stderr,
    }
}

pub fn attach_request(container_id: &str, streams: Streams) -> v1::AttachRequest {
    v1::AttachRequest {
        container_id: container_id.to_owned(),
        tty: streams.tty,
        stdin: streams.stdin,
        stdout: streams.stdout,
        stderr: streams.stderr,
    }
}

/// The ports that the query names, in its order: those that a client by channels gets.
pub fn requested_ports(query: &Query, upgrade: &Upgrade) -> Result<Vec<u16>, String> {
    let values = query.all("port");
    let ports: Result<Vec<u16>, String> = values
        .iter()
        .flat_map(|value| value.split(','))
        .map(|text| match text.parse() {
            Ok(0) => Err(format!("port \"{text}\" must be > 0")),
            Ok(port) => Ok(port),
            Err(error) => Err(format!("unable to parse \"{text}\" as a port: {error}")),
        })
        .collect();
    let by_channels = matches!(upgrade, Upgrade::WebSocket { protocol, .. } if is_by_channels(protocol));
    match ports {
        // With SPDY each stream names its port; what the query says is the runtime's to judge.
        _ if !by_channels => Ok(values.iter().filter_map(|text| text.parse().ok()).collect()),
        Ok(ports) if ports.is_empty() => Err("query parameter \"port\" is required".to_owned()),
        Ok(ports) if ports.len() > bridge::MAX_PORTS => {
            Err(format!("at most {} ports may be forwarded at once", bridge::MAX_PORTS))
        }
        ports => ports,
    }
}

fn is_by_channels(protocol: &str) -> bool {
    protocol != remotecommand::PORT_FORWARD_TUNNEL
}

/// What the streams are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    Command(Streams),
    PortForward(Vec<u16>),
}

/// Leads a client to the runtime's `url`: connects there first, so that a refusal is still an HTTP answer, then agrees
/// to the upgrade and starts a task that moves the bytes.
pub async fn connect(
    tasks: &Tasks,
    mut request: http::Request<Incoming>,
    upgrade: Upgrade,
    url: &str,
    purpose: Purpose,
) -> Answer {
    let protocols: Vec<String> = match (&upgrade, &purpose) {
        (Upgrade::Spdy { protocols }, _) => protocols.clone(),
        (Upgrade::WebSocket { .. }, Purpose::Command(_)) => RUNTIME_PROTOCOLS.map(str::to_owned).to_vec(),
        (Upgrade::WebSocket { .. }, Purpose::PortForward(_)) => vec![remotecommand::PORT_FORWARD.to_owned()],
    };
    let (head, runtime) = match connect_runtime(url, &protocols).await {
        Ok(connected) => connected,
        Err(Refusal { status, text }) => return answer::text(status, text),
    };
    let client = hyper::upgrade::on(&mut request);
    let answer = match &upgrade {
        Upgrade::Spdy { .. } => {
            let agreed = head.header(handshake::STREAM_PROTOCOL).unwrap_or_default();
            let spdy = [("Connection", "Upgrade"), ("Upgrade", handshake::SPDY_3_1)];
            let protocol = (!agreed.is_empty()).then_some((handshake::STREAM_PROTOCOL, agreed));
            let headers: Vec<(&str, &str)> = spdy.into_iter().chain(protocol).collect();
            answer::switching(&headers)
        }
        Upgrade::WebSocket { key, protocol } => {
            let accept = tunnel::websocket_accept(key);
            let mut headers = vec![
                ("Connection", "Upgrade"),
                ("Upgrade", "websocket"),
                ("Sec-WebSocket-Accept", accept.as_str()),
            ];
            if !protocol.is_empty() {
                headers.push(("Sec-WebSocket-Protocol", protocol.as_str()));
            }
            answer::switching(&headers)
        }
    };
    tasks.spawn_until_stop("stream", async move {
        match client.await {
            Ok(client) => move_bytes(TokioIo::new(client), runtime, upgrade, purpose).await,
            // The client went before the answer reached it.
            Err(error) => tracing::debug!(component = "kubelet", %error, "upgrade"),
        }
    });
    answer
}

struct Refusal {
    status: StatusCode,
    text: String,
}

async fn connect_runtime(url: &str, protocols: &[String]) -> Result<(Head, RuntimeStream), Refusal> {
    let internal = |text: String| Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, text };
    let url =
        HttpUrl::parse(url).ok_or_else(|| internal(format!("streaming URL of the runtime: {url:?}")))?;
    let protocols: Vec<&str> = protocols.iter().map(String::as_str).collect();
    let attempt = async {
        let stream = TcpStream::connect(&url.authority).await?;
        stream.set_nodelay(true)?;
        let request = handshake::spdy_request("POST", &url.target, &url.authority, &protocols);
        handshake::upgrade(stream, &request).await
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, attempt).await {
        Ok(Ok(connected)) => Ok(connected),
        Ok(Err(HandshakeError::Refused { status, body })) => Err(Refusal {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY),
            text: body,
        }),
        Ok(Err(error)) => Err(internal(format!("error dialing backend: {error}"))),
        Err(_) => Err(internal("error dialing backend: no answer in time".to_owned())),
    }
}

async fn move_bytes<IO>(mut client: IO, mut runtime: RuntimeStream, upgrade: Upgrade, purpose: Purpose)
where
    IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    match (upgrade, purpose) {
        (Upgrade::Spdy { .. }, _) => {
            // However it ends, both sides are closed.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut runtime).await;
        }
        (Upgrade::WebSocket { protocol, .. }, Purpose::PortForward(ports)) => {
            let ws = tunnel::websocket_server(client).await;
            if !is_by_channels(&protocol) {
                return tunnel::tunnel(ws, runtime).await;
            }
            let (session, drive) = Session::new(runtime, spdy::Config::client());
            let work = async {
                bridge::run_ports(ws, &session, &ports).await;
                session.close();
            };
            futures::future::join(work, drive).await;
        }
        (Upgrade::WebSocket { protocol, .. }, Purpose::Command(streams)) => {
            let ws = tunnel::websocket_server(client).await;
            let (session, drive) = Session::new(runtime, spdy::Config::client());
            let work = async {
                match bridge::open_command(&session, streams).await {
                    Ok(command) => bridge::run_command(ws, &protocol, &command).await,
                    Err(error) => bridge::refuse(ws, &protocol, &error.to_string()).await,
                }
                session.close();
            };
            futures::future::join(work, drive).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in list {
            map.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        map
    }

    #[test]
    fn clients_say_how_they_speak() {
        let spdy = headers(&[
            ("connection", "Upgrade"),
            ("upgrade", "SPDY/3.1"),
            ("x-stream-protocol-version", "v5.channel.k8s.io"),
            ("x-stream-protocol-version", "v4.channel.k8s.io"),
        ]);
        let protocols = vec!["v5.channel.k8s.io".to_owned(), "v4.channel.k8s.io".to_owned()];
        assert_eq!(requested_upgrade(&spdy, false), Ok(Upgrade::Spdy { protocols }));
        let ws = |protocols: &str| {
            headers(&[
                ("connection", "keep-alive, Upgrade"),
                ("upgrade", "websocket"),
                ("sec-websocket-key", "k"),
                ("sec-websocket-protocol", protocols),
            ])
        };
        let agreed = |protocol: &str| Ok(Upgrade::WebSocket { key: "k".into(), protocol: protocol.into() });
        assert_eq!(
            requested_upgrade(&ws("v5.channel.k8s.io,v4.channel.k8s.io"), false),
            agreed(remotecommand::V5)
        );
        assert_eq!(requested_upgrade(&ws("v9, v4.channel.k8s.io"), false), agreed(remotecommand::V4));
        let tunnel = "SPDY/3.1+portforward.k8s.io";
        assert_eq!(requested_upgrade(&ws(tunnel), true), agreed(tunnel));
        assert!(requested_upgrade(&ws(tunnel), false).is_err());
        assert!(requested_upgrade(&headers(&[]), false).is_err());
        assert!(
            requested_upgrade(&headers(&[("connection", "upgrade"), ("upgrade", "h2c")]), false).is_err()
        );
    }

    #[test]
    fn ports_are_named_for_channels() {
        let asked = |query: &str, protocol: &str| {
            let upgrade = Upgrade::WebSocket { key: "k".into(), protocol: protocol.into() };
            requested_ports(&Query::parse(query), &upgrade)
        };
        let refused = |query: &str| asked(query, remotecommand::V4).unwrap_err();
        assert_eq!(asked("port=80,443&port=8080", remotecommand::V4), Ok(vec![80, 443, 8080]));
        assert_eq!(asked("port=80", ""), Ok(vec![80]));
        assert_eq!(refused(""), "query parameter \"port\" is required");
        assert_eq!(refused("port=0"), "port \"0\" must be > 0");
        assert!(refused("port=x").starts_with("unable to parse \"x\" as a port: "));
        assert!(refused(&format!("port=1{}", ",1".repeat(bridge::MAX_PORTS))).starts_with("at most"));
        assert_eq!(asked("", remotecommand::PORT_FORWARD_TUNNEL), Ok(vec![]));
    }

    #[test]
    fn a_terminal_has_no_standard_error() {
        let streams = requested_streams(&Query::parse("input=1&output=1&error=1&tty=1")).unwrap();
        assert_eq!(streams, Streams { stdin: true, stdout: true, stderr: false, tty: true });
        assert!(requested_streams(&Query::parse("tty=1")).is_err());
    }
}
