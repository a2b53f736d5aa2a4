//! Streams into real containers: exec with a half-closed input, a terminal, attach and port-forward, through the same
//! bridge that the kubelet's server uses. Needs root and containerd: `cargo xtask test --fast` leaves it out.

#[path = "../../crates/cri/tests/support/containerd.rs"]
#[allow(dead_code, reason = "not everything is needed here")]
mod support;

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use cri::{Runtime as _, v1};
use futures::{SinkExt as _, StreamExt as _};
use kubelet::server::stream;
use spdy::handshake::{self, HttpUrl, Prefixed};
use spdy::remotecommand::{self, Streams};
use spdy::{Session, bridge, tunnel};
use support::{BUSYBOX, Containerd};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

const PATIENCE: Duration = Duration::from_secs(30);

type Client = tokio_tungstenite::WebSocketStream<tokio::io::DuplexStream>;

/// A pod whose container runs `script`: (sandbox, container).
async fn pod(containerd: &Containerd, name: &str, script: &str, stdin: bool) -> (String, String) {
    let config = v1::PodSandboxConfig {
        metadata: Some(v1::PodSandboxMetadata {
            name: name.to_owned(),
            uid: format!("{name}-uid"),
            namespace: "default".to_owned(),
            attempt: 0,
        }),
        hostname: name.to_owned(),
        linux: Some(v1::LinuxPodSandboxConfig {
            cgroup_parent: format!("{}/{name}", containerd.cgroup_root),
            ..Default::default()
        }),
        ..Default::default()
    };
    let container = v1::ContainerConfig {
        metadata: Some(v1::ContainerMetadata { name: name.to_owned(), attempt: 0 }),
        image: Some(v1::ImageSpec { image: BUSYBOX.to_owned(), ..Default::default() }),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        stdin,
        ..Default::default()
    };
    let sandbox = containerd.runtime.run_sandbox(&config, "").await.unwrap();
    let id = containerd.runtime.create_container(&sandbox, &container, &config).await.unwrap();
    containerd.runtime.start_container(&id).await.unwrap();
    (sandbox, id)
}

async fn connect(url: &str, protocol: &str) -> Prefixed<TcpStream> {
    let url = HttpUrl::parse(url).unwrap();
    let io = TcpStream::connect(&url.authority).await.unwrap();
    let request = handshake::spdy_request("POST", &url.target, &url.authority, &[protocol]);
    handshake::upgrade(io, &request).await.unwrap().1
}

/// Leads a WebSocket client of version 5 to the streams at `url`, and gives what it got by channel.
async fn run<F: Future<Output = Client>>(
    url: &str,
    streams: Streams,
    talk: impl FnOnce(Client) -> F,
) -> BTreeMap<u8, Vec<u8>> {
    let io = connect(url, remotecommand::V4).await;
    let (session, drive) = Session::new(io, spdy::Config::client());
    let (near, far) = tokio::io::duplex(1 << 16);
    let kubelet = async {
        let command = bridge::open_command(&session, streams).await.unwrap();
        bridge::run_command(tunnel::websocket_server(far).await, remotecommand::V5, &command).await;
        session.close();
    };
    let client = async {
        let mut ws = talk(tunnel::websocket_client(near).await).await;
        let mut got: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
        while let Some(Ok(message)) = ws.next().await {
            if let Message::Binary(data) = message {
                got.entry(data[0]).or_default().extend_from_slice(&data[1..]);
            }
        }
        got
    };
    let all = async { tokio::join!(kubelet, client, drive).1 };
    tokio::time::timeout(PATIENCE, all).await.expect("the streams end")
}

async fn send(ws: &mut Client, channel: u8, data: &[u8]) {
    let message = [&[channel], data].concat();
    ws.send(Message::Binary(Bytes::from(message))).await.unwrap();
}

#[tokio::test]
async fn commands_end_with_their_input_and_tell_their_exit_code() {
    let containerd = Containerd::start("streams", 7).await;
    let (_, id) = pod(&containerd, "exec", "sleep 600", false).await;
    let exec = |command: &str, streams: Streams| {
        let command = ["sh", "-c", command].map(str::to_owned);
        let request = stream::exec_request(&id, &command, streams);
        let runtime = containerd.runtime.clone();
        async move { runtime.exec_url(request).await.unwrap() }
    };
    // `wc` prints only once its input has ended.
    let all = Streams { stdin: true, stdout: true, stderr: true, tty: false };
    let url = exec("wc -c; echo problem >&2; exit 3", all).await;
    const N: usize = 1_000_000;
    let got = run(&url, all, |mut ws| async move {
        for piece in vec![b'x'; N].chunks(30_000) {
            send(&mut ws, 0, piece).await;
        }
        send(&mut ws, 255, &[0]).await;
        ws
    })
    .await;
    assert_eq!(String::from_utf8_lossy(&got[&1]).trim(), N.to_string());
    assert_eq!(got[&2], b"problem\n");
    let status: serde_json::Value = serde_json::from_slice(&got[&3]).unwrap();
    assert_eq!((&status["status"], &status["reason"]), (&"Failure".into(), &"NonZeroExitCode".into()));
    assert_eq!(status["details"]["causes"][0]["message"], "3");

    // Much output.
    let out = Streams { stdout: true, ..Streams::default() };
    let url = exec("head -c 5000000 /dev/zero", out).await;
    let got = run(&url, out, |ws| async move { ws }).await;
    assert_eq!(got[&1].len(), 5_000_000);
    assert!(String::from_utf8_lossy(&got[&3]).contains("Success"));

    // A terminal of the client's size.
    let tty = Streams { stdin: true, stdout: true, stderr: false, tty: true };
    let url =
        exec("until [ \"$(stty size 2>/dev/null)\" = '33 101' ]; do sleep 0.05; done; echo sized", tty).await;
    let got = run(&url, tty, |mut ws| async move {
        send(&mut ws, 4, br#"{"Width":101,"Height":33}"#).await;
        ws
    })
    .await;
    assert_eq!(got[&1], b"sized\r\n");
    containerd.clear().await;
}

#[tokio::test]
async fn attach_reaches_the_containers_own_streams() {
    let containerd = Containerd::start("attach", 8).await;
    let (_, id) = pod(&containerd, "attach", "read line; echo got $line; sleep 1", true).await;
    let streams = Streams { stdin: true, stdout: true, ..Streams::default() };
    let request = stream::attach_request(&id, streams);
    let url = containerd.runtime.attach_url(request).await.unwrap();
    let got = run(&url, streams, |mut ws| async move {
        send(&mut ws, 0, b"hello\n").await;
        ws
    })
    .await;
    assert_eq!(got[&1], b"got hello\n");
    containerd.clear().await;
}

#[tokio::test]
async fn ports_of_pods_are_forwarded() {
    let containerd = Containerd::start("forward", 9).await;
    let script = "mkdir -p /tmp/w && echo page > /tmp/w/index.html && exec httpd -f -p 8080 -h /tmp/w";
    let (sandbox, id) = pod(&containerd, "forward", script, false).await;
    let listening = ["sh", "-c", "until wget -q -O /dev/null http://127.0.0.1:8080/; do sleep 0.05; done"]
        .map(str::to_owned);
    assert_eq!(containerd.runtime.exec_sync(&id, &listening, PATIENCE).await.unwrap().exit_code, 0);
    let request = v1::PortForwardRequest { pod_sandbox_id: sandbox, port: vec![8080] };
    let url = containerd.runtime.port_forward_url(request).await.unwrap();
    let io = connect(&url, remotecommand::PORT_FORWARD).await;
    let (session, drive) = Session::new(io, spdy::Config::client());
    let fetch = async {
        for id in 0..3 {
            let open = |kind: &str| {
                let headers = [
                    ("streamtype", kind.to_owned()),
                    ("port", "8080".to_owned()),
                    ("requestid", id.to_string()),
                ];
                session.open(headers.map(|(n, v)| (n.to_owned(), v)).to_vec())
            };
            let error = open("error").await.unwrap();
            error.finish().await.unwrap();
            let data = open("data").await.unwrap();
            data.write(Bytes::from_static(b"GET / HTTP/1.0\r\n\r\n")).await.unwrap();
            let mut page = Vec::new();
            while let Some(part) = data.read().await.unwrap() {
                page.extend_from_slice(&part);
            }
            data.finish().await.unwrap();
            let page = String::from_utf8_lossy(&page).into_owned();
            assert!(page.contains("page\n"), "{page}");
            assert_eq!(error.read().await.unwrap(), None);
        }
        session.close();
    };
    let all = async { tokio::join!(fetch, drive) };
    tokio::time::timeout(PATIENCE, all).await.expect("the page comes");
    containerd.clear().await;
}
