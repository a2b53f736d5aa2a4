//! A WebSocket client on one side, a SPDY server that plays the runtime on the other.

use std::collections::BTreeMap;
use std::future::Future;

use super::*;
use crate::Config;
use crate::tunnel::{websocket_client, websocket_server};

type Client = WebSocketStream<tokio::io::DuplexStream>;

/// Runs a command: `client` plays the WebSocket's client, `runtime` gets the streams by kind.
async fn with_command<A, B>(
    protocol: &str,
    streams: Streams,
    client: impl FnOnce(Client) -> A,
    runtime: impl FnOnce(BTreeMap<String, Stream>) -> B,
) where
    A: Future<Output = ()>,
    B: Future<Output = ()>,
{
    let (ws_near, ws_far) = tokio::io::duplex(1 << 16);
    let (spdy_near, spdy_far) = tokio::io::duplex(1 << 16);
    let (session, drive_near) = Session::new(spdy_near, Config::client());
    let (server, drive_far) = Session::new(spdy_far, Config::server());
    let kubelet = async {
        let command = open_command(&session, streams).await.unwrap();
        run_command(websocket_server(ws_far).await, protocol, &command).await;
        drop(command);
        session.close();
    };
    let n = 1
        + usize::from(streams.stdin)
        + usize::from(streams.stdout)
        + usize::from(streams.stderr && !streams.tty)
        + usize::from(streams.tty);
    let serve = async {
        let mut by_kind = BTreeMap::new();
        while by_kind.len() < n {
            let stream = server.accept().await.unwrap();
            by_kind.insert(stream.header("streamtype").unwrap().to_owned(), stream);
        }
        runtime(by_kind).await;
    };
    let ask = async { client(websocket_client(ws_near).await).await };
    let drive = futures::future::join(drive_near, drive_far);
    tokio::join!(kubelet, serve, ask, drive);
}

const ALL: Streams = Streams { stdin: true, stdout: true, stderr: true, tty: false };

/// Everything that the server sends, by channel, until it closes.
async fn collect(mut client: Client) -> BTreeMap<u8, Vec<u8>> {
    let mut got: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    while let Some(Ok(message)) = client.next().await {
        if let Message::Binary(data) = message {
            got.entry(data[0]).or_default().extend_from_slice(&data[1..]);
        }
    }
    got
}

async fn finish(streams: &BTreeMap<String, Stream>, status: &str) {
    streams["error"].write(Bytes::copy_from_slice(status.as_bytes())).await.unwrap();
    for stream in streams.values() {
        stream.finish().await.unwrap();
    }
}

/// Half-closes the input and expects the output that depends on its end.
#[tokio::test]
async fn version_5_closes_the_input_by_halves() {
    with_command(
        remotecommand::V5,
        ALL,
        |mut client| async move {
            client.send(Message::Binary(Bytes::from_static(b"\x00some "))).await.unwrap();
            client.send(Message::Binary(Bytes::from_static(b"\x00input"))).await.unwrap();
            client.send(Message::Binary(Bytes::from_static(&[255, 0]))).await.unwrap();
            let got = collect(client).await;
            assert_eq!(got[&1], b"some input");
            assert_eq!(got[&2], b"warning");
            let status: serde_json::Value = serde_json::from_slice(&got[&3]).unwrap();
            assert_eq!(status["details"]["causes"][0]["message"], "3");
        },
        |streams| async move {
            while let Some(data) = streams["stdin"].read().await.unwrap() {
                streams["stdout"].write(data).await.unwrap();
            }
            streams["stderr"].write(Bytes::from_static(b"warning")).await.unwrap();
            finish(&streams, &remotecommand::exit_status(3).to_string()).await;
        },
    )
    .await;
}

#[tokio::test]
async fn terminals_are_resized() {
    with_command(
        remotecommand::V4,
        Streams { tty: true, ..ALL },
        |mut client| async move {
            client
                .send(Message::Binary(Bytes::from_static(b"\x04{\"Width\":80,\"Height\":24}")))
                .await
                .unwrap();
            // Version 4 has no channel 255: nothing is closed by it.
            client.send(Message::Binary(Bytes::from_static(&[255, 0]))).await.unwrap();
            client.send(Message::Binary(Bytes::from_static(b"\x00x"))).await.unwrap();
            let got = collect(client).await;
            assert_eq!(got[&1], b"80x");
        },
        |streams| async move {
            assert!(!streams.contains_key("stderr"));
            let size = streams["resize"].read().await.unwrap().unwrap();
            let size: serde_json::Value = serde_json::from_slice(&size).unwrap();
            let input = streams["stdin"].read().await.unwrap().unwrap();
            let width = size["Width"].to_string();
            streams["stdout"].write(Bytes::from(width)).await.unwrap();
            streams["stdout"].write(input).await.unwrap();
            finish(&streams, &remotecommand::exit_status(0).to_string()).await;
        },
    )
    .await;
}

#[tokio::test]
async fn much_output_arrives_whole() {
    const N: usize = 4 << 20;
    with_command(
        remotecommand::V5,
        Streams { stdin: false, ..ALL },
        |client| async move {
            let got = collect(client).await;
            assert_eq!(got[&1].len(), N);
            assert!(got[&1].iter().all(|b| *b == b'x'));
        },
        |streams| async move {
            streams["stdout"].write(Bytes::from(vec![b'x'; N])).await.unwrap();
            finish(&streams, &remotecommand::exit_status(0).to_string()).await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_client_that_goes_ends_the_command() {
    with_command(
        remotecommand::V5,
        ALL,
        |client| async move { drop(client) },
        |streams| async move {
            // The input ends or breaks off: either way the command learns.
            while let Ok(Some(_)) = streams["stdin"].read().await {}
        },
    )
    .await;
}

#[tokio::test]
async fn old_clients_get_the_message_alone() {
    with_command(
        remotecommand::V1,
        Streams { stdin: false, stderr: false, ..ALL },
        |client| async move {
            let got = collect(client).await;
            assert!(String::from_utf8_lossy(&got[&3]).starts_with("command terminated"));
        },
        |streams| async move { finish(&streams, &remotecommand::exit_status(1).to_string()).await },
    )
    .await;
}
