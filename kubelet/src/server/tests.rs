//! The server over TLS, with an API server that answers reviews and a runtime whose streaming server plays a shell.

use std::collections::BTreeMap;

use bytes::Bytes;
use cri::{FakeRuntime, v1};
use futures::{SinkExt as _, StreamExt as _};
use pki::tls::ClientAuth;
use pki::{Authority, CertificateRequest, Identity};
use serde_json::{Value, json};
use spdy::handshake::{self, Head, Prefixed};
use spdy::{Session, Stream, remotecommand, tunnel};
use tokio::io::AsyncReadExt as _;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::host::HollowHost;
use crate::pod::observed::labels;

type Tls = TlsStream<TcpStream>;

/// The pods that the server knows.
#[derive(Debug, Default)]
struct Pods(BTreeMap<(String, String), Arc<Pod>>);

impl PodLookup for Pods {
    fn metrics(&self) -> String {
        "kubelet_node_name 1\n".to_owned()
    }
    fn probe_metrics(&self) -> String {
        String::new()
    }
    fn cgroup(&self, _namespace: &str, _name: &str) -> Option<String> {
        None
    }
    fn pod(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        self.0.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }
}

/// Answers TokenReview (`good` is alice's, `reader` is bob's) and SubjectAccessReview (alice may everything, bob reads
/// metrics).
async fn api(
    request: client::TransportRequest,
) -> Result<http::Response<http_body_util::Full<Bytes>>, std::io::Error> {
    use http_body_util::BodyExt as _;
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let answer = if path.ends_with("/tokenreviews") {
        let user = match body["spec"]["token"].as_str() {
            Some("good") => Some("alice"),
            Some("reader") => Some("bob"),
            _ => None,
        };
        json!({"status": {"authenticated": user.is_some(), "user": {"username": user.unwrap_or_default()}}})
    } else {
        let spec = &body["spec"];
        let attributes = &spec["resourceAttributes"];
        assert_eq!((&attributes["resource"], &attributes["name"]), (&json!("nodes"), &json!("n1")));
        let metrics = attributes["subresource"] == "metrics" && attributes["verb"] == "get";
        let groups = spec["groups"].to_string();
        let allowed =
            spec["user"] == "alice" || groups.contains("system:masters") || spec["user"] == "bob" && metrics;
        json!({"status": {"allowed": allowed}})
    };
    Ok(http::Response::new(http_body_util::Full::new(Bytes::from(answer.to_string()))))
}

struct Fixture {
    address: SocketAddr,
    ca: Authority,
    admin: Identity,
    runtime: FakeRuntime,
    container_id: String,
    log: PathBuf,
    tasks: Tasks,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.tasks.kill();
        let _ = std::fs::remove_dir_all(self.log.parent().unwrap());
    }
}

async fn fixture(name: &str) -> Fixture {
    let env = Env::real();
    let now = env.clock.now();
    let tasks = Tasks::new("test");
    let ca = Authority::create("kubernetes", now).unwrap();
    let identity = ca.issue(&CertificateRequest::server("n1", vec!["n1".into()], vec![]), now).unwrap();
    let admin = ca.issue(&CertificateRequest::client("admin", "system:masters"), now).unwrap();
    let runtime = FakeRuntime::new("n1", env.clone(), tasks.clone());
    let log_dir = std::env::temp_dir().join(format!("gantry-server-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&log_dir).unwrap();
    let log = log_dir.join("0.log");
    std::fs::write(&log, "2026-01-01T00:00:00Z stdout F one\n2026-01-01T00:00:01Z stderr F two\n").unwrap();
    let container_id = start_container(&runtime, &log_dir).await;
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "ns", "uid": "u"},
        "spec": {"containers": [{"name": "c", "image": "i"}, {"name": "later", "image": "i"}]},
        "status": {"containerStatuses": [
            {"name": "later", "state": {"waiting": {"reason": "ContainerCreating"}}},
        ]},
    }))
    .unwrap();
    let pods = Pods(BTreeMap::from([(("ns".to_owned(), "p".to_owned()), Arc::new(pod))]));
    let config = ServerConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        node_name: "n1".into(),
        tls: pki::tls::server_config(&identity, ClientAuth::Request).unwrap(),
        client_ca_pem: Some(ca.certificate_pem().to_owned()),
        authentication: Authentication::default(),
        authorization: Authorization::default(),
        debugging: true,
        log_dir,
        root_dir: "/".into(),
        configz: json!({"maxPods": 110}),
    };
    let client = client::Client::in_process(tower::service_fn(api));
    let deps = ServerDeps {
        client,
        env,
        tasks: tasks.clone(),
        runtime: Arc::new(runtime.clone()),
        host: Arc::new(HollowHost::new("n1", "192.0.2.1".parse().unwrap(), 2, 1 << 30)),
        pods: Arc::new(pods),
    };
    let address = run(config, deps).await.unwrap();
    Fixture { address, ca, admin, runtime, container_id, log, tasks }
}

async fn start_container(runtime: &FakeRuntime, log_dir: &std::path::Path) -> String {
    let of = |list: &[(&str, &str)]| list.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let sandbox = v1::PodSandboxConfig {
        metadata: Some(v1::PodSandboxMetadata {
            name: "p".into(),
            namespace: "ns".into(),
            uid: "u".into(),
            attempt: 0,
        }),
        labels: of(&[(labels::POD_UID, "u")]),
        log_directory: log_dir.display().to_string(),
        ..Default::default()
    };
    let sandbox_id = runtime.run_sandbox(&sandbox, "").await.unwrap();
    runtime.pull_image("i", None, &sandbox).await.unwrap();
    let container = v1::ContainerConfig {
        metadata: Some(v1::ContainerMetadata { name: "c".into(), attempt: 0 }),
        image: Some(v1::ImageSpec { image: "i".into(), ..Default::default() }),
        labels: of(&[(labels::POD_UID, "u"), (labels::CONTAINER_NAME, "c")]),
        // The fake gives it back as it is; a real runtime puts the sandbox's directory before it.
        log_path: log_dir.join("0.log").display().to_string(),
        ..Default::default()
    };
    let id = runtime.create_container(&sandbox_id, &container, &sandbox).await.unwrap();
    runtime.start_container(&id).await.unwrap();
    id
}

impl Fixture {
    async fn connect(&self, identity: Option<&Identity>) -> Tls {
        let mut config = pki::tls::client_config(self.ca.certificate_pem(), identity).unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = rustls_pki_types::ServerName::try_from("n1").unwrap();
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    /// Sends a request without a body and reads the whole answer.
    async fn ask(
        &self,
        identity: Option<&Identity>,
        request: &str,
        headers: &[(&str, &str)],
    ) -> (u16, String) {
        let mut stream = self.connect(identity).await;
        handshake::write_head(&mut stream, &head(request, headers, "close")).await.unwrap();
        let (answer, rest) = handshake::read_head(&mut stream).await.unwrap();
        let mut body = rest.to_vec();
        // A peer that closes without goodbye is no fault here.
        let _ = stream.read_to_end(&mut body).await;
        (answer.status().unwrap(), String::from_utf8_lossy(&body).into_owned())
    }

    /// As the administrator.
    async fn get(&self, path: &str) -> (u16, String) {
        self.ask(Some(&self.admin), &format!("GET {path}"), &[]).await
    }

    async fn upgrade(&self, path: &str, headers: &[(&str, &str)]) -> (Head, Prefixed<Tls>) {
        let stream = self.connect(Some(&self.admin)).await;
        handshake::upgrade(stream, &head(&format!("GET {path}"), headers, "Upgrade")).await.unwrap()
    }

    /// Serves the runtime's streams: each upgraded connection is given to `serve`.
    async fn serve_streams<F: std::future::Future<Output = ()> + Send + 'static>(
        &self,
        serve: impl Fn(Session) -> F + Send + 'static,
    ) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.runtime.set_stream_url(&format!("http://{}/exec/token", listener.local_addr().unwrap()));
        let tasks = self.tasks.clone();
        self.tasks.spawn("runtime", async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (asked, rest) = handshake::read_head(&mut stream).await.unwrap();
                let protocol = asked.header(handshake::STREAM_PROTOCOL).unwrap_or_default().to_owned();
                handshake::write_head(&mut stream, &handshake::spdy_answer(&protocol)).await.unwrap();
                let (session, drive) = Session::new(Prefixed::new(rest, stream), spdy::Config::server());
                tasks.spawn("session", drive);
                tasks.spawn("shell", serve(session));
            }
        });
    }
}

fn head(request: &str, headers: &[(&str, &str)], connection: &str) -> Head {
    let mut all =
        vec![("Host".to_owned(), "n1".to_owned()), ("Connection".to_owned(), connection.to_owned())];
    all.extend(headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
    Head { first_line: format!("{request} HTTP/1.1"), headers: all }
}

/// Takes the streams of one command.
async fn streams(session: &Session, n: usize) -> BTreeMap<String, Stream> {
    let mut by_kind = BTreeMap::new();
    while by_kind.len() < n {
        let stream = session.accept().await.unwrap();
        by_kind.insert(stream.header("streamtype").unwrap().to_owned(), stream);
    }
    by_kind
}

/// `cat`: the output is the input, and the end comes with its end.
async fn cat(session: Session) {
    let streams = streams(&session, 3).await;
    while let Some(data) = streams["stdin"].read().await.unwrap() {
        streams["stdout"].write(data).await.unwrap();
    }
    let status = remotecommand::exit_status(0).to_string();
    streams["error"].write(Bytes::from(status)).await.unwrap();
    for stream in streams.values() {
        stream.finish().await.unwrap();
    }
    session.close();
}

#[tokio::test]
async fn nobody_comes_in_without_permission() {
    let f = fixture("auth").await;
    let bearer = |token: &str| vec![("Authorization", format!("Bearer {token}"))];
    for (token, path, expected) in [
        (None, "/healthz", 401),
        (Some("bad"), "/healthz", 401),
        (Some("good"), "/healthz", 200),
        (Some("reader"), "/healthz", 403),
        (Some("reader"), "/metrics/resource", 200),
        (Some("reader"), "/containerLogs/ns/p/c", 403),
        (Some("good"), "/nothing", 404),
    ] {
        let headers = token.map(bearer).unwrap_or_default();
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let (status, body) = f.ask(None, &format!("GET {path}"), &headers).await;
        assert_eq!(status, expected, "{token:?} {path} {body}");
    }
    let (status, body) = f.ask(None, "GET /pods", &[("Authorization", "Bearer reader")]).await;
    assert_eq!(status, 403);
    assert!(
        body.contains("Forbidden (user=bob, verb=get, resource=nodes, subresource(s)=[\"pods\", \"proxy\"])"),
        "{body}"
    );
    assert_eq!(f.get("/healthz").await.0, 200);
    let foreign = Authority::create("other", Env::real().clock.now()).unwrap();
    let foreign =
        foreign.issue(&CertificateRequest::client("admin", "system:masters"), Env::real().clock.now());
    assert_eq!(f.ask(Some(&foreign.unwrap()), "GET /healthz", &[]).await.0, 401);
    assert_eq!(f.ask(Some(&f.admin), "DELETE /pods", &[]).await.0, 405);
}

#[tokio::test]
async fn logs_are_read_and_followed_to_the_end() {
    let f = fixture("logs").await;
    let (status, body) = f.get("/containerLogs/ns/p/c").await;
    assert_eq!(status, 200);
    assert!(body.contains("one\ntwo\n"), "{body}");
    let (_, body) = f.get("/containerLogs/ns/p/c?stream=Stderr&timestamps=true").await;
    assert!(body.contains("2026-01-01T00:00:01Z two\n") && !body.contains("one"), "{body}");
    let (status, body) = f.get("/containerLogs/ns/p/later").await;
    assert_eq!(status, 400);
    assert!(
        body.contains("container \"later\" in pod \"p\" is waiting to start: ContainerCreating"),
        "{body}"
    );
    assert_eq!(f.get("/containerLogs/ns/p/c?previous=true").await.0, 400);
    assert_eq!(f.get("/containerLogs/ns/other/c").await.0, 404);
    assert_eq!(f.get("/containerLogs/ns/p/other").await.0, 404);
    assert_eq!(f.get("/containerLogs/ns/p/c?tailLines=x").await.0, 400);
    let end = async {
        use std::io::Write as _;
        let mut file = std::fs::OpenOptions::new().append(true).open(&f.log).unwrap();
        writeln!(file, "2026-01-01T00:00:02Z stdout F last").unwrap();
        f.runtime.exit(&f.container_id, 0);
    };
    let ((status, body), ()) = tokio::join!(f.get("/containerLogs/ns/p/c?follow=true&tailLines=1"), end);
    assert_eq!(status, 200);
    assert!(body.contains("last\n"), "{body}");
}

#[tokio::test]
async fn exec_by_websocket_half_closes_the_input() {
    let f = fixture("exec-ws").await;
    f.serve_streams(cat).await;
    let headers = [
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Protocol", "v5.channel.k8s.io,v4.channel.k8s.io"),
    ];
    let (head, io) = f.upgrade("/exec/ns/p/c?command=cat&input=1&output=1", &headers).await;
    assert_eq!(head.header("sec-websocket-protocol"), Some(remotecommand::V5));
    assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    let mut ws = tunnel::websocket_client(io).await;
    ws.send(Message::Binary(Bytes::from_static(b"\0hello"))).await.unwrap();
    ws.send(Message::Binary(Bytes::from_static(&[255, 0]))).await.unwrap();
    let mut got: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    while let Some(Ok(message)) = ws.next().await {
        if let Message::Binary(data) = message {
            got.entry(data[0]).or_default().extend_from_slice(&data[1..]);
        }
    }
    assert_eq!(got[&1], b"hello");
    assert!(String::from_utf8_lossy(&got[&3]).contains("Success"));
}

#[tokio::test]
async fn exec_by_spdy_passes_through() {
    let f = fixture("exec-spdy").await;
    f.serve_streams(cat).await;
    let headers = [("Upgrade", "SPDY/3.1"), (handshake::STREAM_PROTOCOL, "v4.channel.k8s.io")];
    let (head, io) = f.upgrade("/exec/ns/p/c?command=cat&input=1&output=1", &headers).await;
    assert_eq!(head.header(handshake::STREAM_PROTOCOL), Some("v4.channel.k8s.io"));
    let (session, drive) = Session::new(io, spdy::Config::client());
    let work = async {
        let wanted = remotecommand::Streams { stdin: true, stdout: true, ..Default::default() };
        let _command = spdy::bridge::open_command(&session, wanted).await.unwrap();
    };
    tokio::select! {
        biased;
        () = work => {}
        () = drive => panic!("ended early"),
    }
    assert_eq!(f.get("/exec/ns/p/c?command=cat&input=1").await.0, 400);
    assert_eq!(f.get("/exec/ns/p/c?command=cat").await.0, 400);
}

#[tokio::test]
async fn port_forward_travels_inside_a_websocket() {
    let f = fixture("forward").await;
    f.serve_streams(|session| async move {
        let streams = streams(&session, 2).await;
        assert_eq!(streams["data"].header("port"), Some("80"));
        let data = streams["data"].read().await.unwrap().unwrap();
        streams["data"].write(data).await.unwrap();
        streams["data"].finish().await.unwrap();
        streams["error"].finish().await.unwrap();
        session.closed().await;
    })
    .await;
    let headers = [
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Protocol", "SPDY/3.1+portforward.k8s.io"),
    ];
    let (head, io) = f.upgrade("/portForward/ns/p?port=80", &headers).await;
    assert_eq!(head.header("sec-websocket-protocol"), Some("SPDY/3.1+portforward.k8s.io"));
    let (near, far) = tokio::io::duplex(1 << 16);
    let (session, drive) = Session::new(near, spdy::Config::client());
    let outer = async { tunnel::tunnel(tunnel::websocket_client(io).await, far).await };
    let work = async {
        let open = |kind: &str| {
            let headers = [("streamtype", kind), ("port", "80"), ("requestid", "0")];
            session.open(headers.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec())
        };
        let _error = open("error").await.unwrap();
        let data = open("data").await.unwrap();
        data.write(Bytes::from_static(b"ping")).await.unwrap();
        assert_eq!(data.read().await.unwrap().unwrap(), "ping");
    };
    tokio::select! {
        biased;
        () = work => {}
        _ = async { tokio::join!(outer, drive) } => panic!("ended early"),
    }
}

#[tokio::test]
async fn port_forward_by_channels() {
    let f = fixture("channels").await;
    f.serve_streams(|session| async move {
        let streams = streams(&session, 2).await;
        assert_eq!(streams["data"].header("port"), Some("258"));
        let data = streams["data"].read().await.unwrap().unwrap();
        streams["data"].write(data).await.unwrap();
        streams["data"].finish().await.unwrap();
        streams["error"].write(Bytes::from_static(b"broken")).await.unwrap();
        streams["error"].finish().await.unwrap();
        session.closed().await;
    })
    .await;
    let headers = [
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Protocol", "v4.channel.k8s.io"),
    ];
    let (head, io) = f.upgrade("/portForward/ns/p?port=258", &headers).await;
    assert_eq!(head.header("sec-websocket-protocol"), Some("v4.channel.k8s.io"));
    let mut ws = tunnel::websocket_client(io).await;
    ws.send(Message::Binary(Bytes::from_static(b"\0ping"))).await.unwrap();
    let mut by_channel: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    while let Some(Ok(message)) = ws.next().await {
        if let Message::Binary(data) = message {
            by_channel.entry(data[0]).or_default().extend_from_slice(&data[1..]);
        }
    }
    // The port, low byte first, before anything else.
    assert_eq!(by_channel[&0], b"\x02\x01ping");
    assert_eq!(by_channel[&1], b"\x02\x01broken");
}

#[tokio::test]
async fn the_rest() {
    let f = fixture("rest").await;
    let (_, body) = f.get("/runningpods/").await;
    assert!(body.contains("\"name\":\"c\""), "{body}");
    let (_, body) = f.get("/configz").await;
    assert!(body.contains("\"maxPods\":110"), "{body}");
    let (status, body) = f.get("/stats/summary").await;
    assert_eq!(status, 200);
    assert!(body.contains("\"nodeName\":\"n1\""), "{body}");
    let (_, body) = f.get("/logs/").await;
    assert!(body.contains("0.log"), "{body}");
    f.runtime.set_execs(|_, command| cri::ExecOutput {
        stdout: Bytes::from(format!("ran {}", command.join(","))),
        ..Default::default()
    });
    let (status, body) =
        f.ask(Some(&f.admin), "POST /run/ns/p/c?cmd=ls+-l", &[("Content-Length", "0")]).await;
    assert_eq!(status, 200);
    assert!(body.contains("ran ls,-l"), "{body}");
}
