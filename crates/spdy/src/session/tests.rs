//! A client against a server in one process.

use super::*;
use crate::frame::data_head;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Runs `work` with both ends of a connection, whose pipe holds `capacity` bytes.
async fn with_pair<Fut: Future<Output = ()>>(
    flow_control: bool,
    capacity: usize,
    work: impl FnOnce(Session, Session) -> Fut,
) {
    let (a, b) = tokio::io::duplex(capacity);
    let (client, drive_client) = Session::new(a, Config { flow_control, ..Config::client() });
    let (server, drive_server) = Session::new(b, Config { flow_control, ..Config::server() });
    let drive = futures::future::join(drive_client, drive_server);
    tokio::pin!(drive);
    let work = work(client, server);
    tokio::pin!(work);
    let done = tokio::select! {
        biased;
        () = &mut work => true,
        _ = &mut drive => false,
    };
    if !done {
        // The connection ended; what still waits on it must end too.
        tokio::time::timeout(std::time::Duration::from_secs(5), work).await.expect("nothing hangs");
    }
}

fn headers(kind: &str) -> Headers {
    vec![("streamType".to_owned(), kind.to_owned())]
}

async fn read_all(stream: &Stream) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(data) = stream.read().await.unwrap() {
        all.extend_from_slice(&data);
    }
    all
}

#[tokio::test]
async fn streams_carry_headers_and_close_by_halves() {
    with_pair(false, 4096, |client, server| async move {
        let serve = async {
            let stream = server.accept().await.unwrap();
            assert_eq!(stream.header("streamtype"), Some("stdin"));
            let input = read_all(&stream).await;
            stream.write(Bytes::from(input.to_ascii_uppercase())).await.unwrap();
            stream.finish().await.unwrap();
        };
        let ask = async {
            let stream = client.open(headers("stdin")).await.unwrap();
            stream.write(Bytes::from_static(b"half ")).await.unwrap();
            stream.write(Bytes::from_static(b"closed")).await.unwrap();
            stream.finish().await.unwrap();
            assert!(matches!(stream.write(Bytes::from_static(b"x")).await, Err(Error::Finished)));
            assert_eq!(read_all(&stream).await, b"HALF CLOSED");
        };
        tokio::join!(serve, ask);
        assert!(client.0.state.lock().streams.is_empty());
        assert!(server.0.state.lock().streams.is_empty());
    })
    .await;
}

/// Much data in both directions at once, on several streams, through a small pipe.
async fn check_bulk(flow_control: bool) {
    const N: usize = 3 << 20;
    with_pair(flow_control, 8192, |client, server| async move {
        let pattern = |seed: usize| -> Vec<u8> {
            (0..N).map(|i| u8::try_from((i / 7 + seed) % 251).unwrap()).collect()
        };
        let exchange = |stream: Stream, mine: Vec<u8>, theirs: Vec<u8>| async move {
            let send = async {
                stream.write(Bytes::from(mine)).await.unwrap();
                stream.finish().await.unwrap();
            };
            let ((), got) = tokio::join!(send, read_all(&stream));
            assert!(got == theirs, "{} of {} bytes", got.len(), theirs.len());
        };
        let serve = async {
            let mut all = Vec::new();
            for seed in 0..3 {
                let stream = server.accept().await.unwrap();
                all.push(exchange(stream, pattern(seed + 10), pattern(seed)));
            }
            futures::future::join_all(all).await;
        };
        let ask = async {
            let mut all = Vec::new();
            for seed in 0..3 {
                let stream = client.open(headers("data")).await.unwrap();
                all.push(exchange(stream, pattern(seed), pattern(seed + 10)));
            }
            futures::future::join_all(all).await;
        };
        tokio::join!(serve, ask);
    })
    .await;
}

#[tokio::test]
async fn bulk_without_flow_control() {
    check_bulk(false).await;
}

#[tokio::test]
async fn bulk_with_flow_control() {
    check_bulk(true).await;
}

#[tokio::test]
async fn with_flow_control_a_slow_stream_holds_up_no_other() {
    with_pair(true, 1 << 20, |client, server| async move {
        let (slow, slow_server) = tokio::join!(client.open(headers("slow")), server.accept());
        let (slow, slow_server) = (slow.unwrap(), slow_server.unwrap());
        let (fast, fast_server) = tokio::join!(client.open(headers("fast")), server.accept());
        let (fast, fast_server) = (fast.unwrap(), fast_server.unwrap());
        // Nobody reads the slow one. Half of the session's window is all that it gets here.
        let half = Bytes::from(vec![1; INITIAL_WINDOW as usize / 2]);
        slow.write(half.clone()).await.unwrap();
        for _ in 0..20 {
            let piece = Bytes::from(vec![2; 1000]);
            fast.write(piece).await.unwrap();
            assert_eq!(fast_server.read().await.unwrap().unwrap().len(), 1000);
        }
        assert_eq!(slow_server.read().await.unwrap().unwrap()[0], 1);
        let blocked = Bytes::from(vec![3; 4 * INITIAL_WINDOW as usize]);
        let more = tokio::time::timeout(std::time::Duration::from_millis(50), slow.write(blocked)).await;
        assert!(more.is_err(), "the window is respected");
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_ignores_the_window_loses_the_stream() {
    let (a, mut raw) = tokio::io::duplex(1 << 20);
    let (server, drive) = Session::new(a, Config { client: false, flow_control: true });
    let work = async {
        let mut encoder = crate::frame::Encoder::new();
        let open = encoder.encode(&Frame::SynStream { id: 1, fin: false, headers: headers("x") });
        raw.write_all(&open).await.unwrap();
        let stream = server.accept().await.unwrap();
        let len = INITIAL_WINDOW as usize + 1;
        raw.write_all(&data_head(1, false, len)).await.unwrap();
        raw.write_all(&vec![0; len]).await.unwrap();
        let error = loop {
            match stream.read().await {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::Reset(ResetCode::FLOW_CONTROL_ERROR)), "{error}");
    };
    tokio::select! {
        biased;
        () = work => {}
        () = drive => panic!("the connection stays"),
    }
}

#[tokio::test]
async fn pings_are_answered_both_ways() {
    with_pair(false, 4096, |client, server| async move {
        client.ping().await.unwrap();
        server.ping().await.unwrap();
        client.ping().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_dropped_stream_is_reset_for_the_peer() {
    with_pair(false, 4096, |client, server| async move {
        let (opened, accepted) = tokio::join!(client.open(headers("x")), server.accept());
        drop(opened.unwrap());
        let error = accepted.unwrap().read().await.unwrap_err();
        assert!(matches!(error, Error::Reset(ResetCode::CANCEL)), "{error}");
    })
    .await;
}

#[tokio::test]
async fn closing_says_goodbye_after_what_was_written() {
    with_pair(false, 4096, |client, server| async move {
        let (opened, accepted) = tokio::join!(client.open(headers("x")), server.accept());
        let (opened, accepted) = (opened.unwrap(), accepted.unwrap());
        opened.write(Bytes::from_static(b"last words")).await.unwrap();
        opened.finish().await.unwrap();
        client.close();
        assert_eq!(read_all(&accepted).await, b"last words");
        assert!(server.accept().await.is_none());
        server.closed().await;
        assert!(server.open(headers("y")).await.is_err());
        assert!(server.ping().await.is_err());
    })
    .await;
}

#[tokio::test]
async fn a_lost_connection_ends_everything_that_waits() {
    let (a, b) = tokio::io::duplex(64);
    let (client, drive) = Session::new(a, Config::client());
    let work = async {
        let open = client.open(headers("x"));
        let lose = async { drop(b) };
        let (opened, ()) = tokio::join!(open, lose);
        assert!(opened.is_err());
        assert!(client.accept().await.is_none());
    };
    tokio::join!(work, drive);
}

#[tokio::test]
async fn nonsense_ends_the_connection() {
    let (a, mut raw) = tokio::io::duplex(4096);
    let (server, drive) = Session::new(a, Config::server());
    let work = async {
        raw.write_all(&[0x80, 2, 0, 1, 0, 0, 0, 0]).await.unwrap();
        assert!(server.accept().await.is_none());
        let mut rest = Vec::new();
        // Whatever was said, the connection is closed.
        let _ = raw.read_to_end(&mut rest).await;
    };
    tokio::join!(work, drive);
}
