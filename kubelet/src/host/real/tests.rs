//! Against this machine: a scratch directory, and peers in this process.

use super::*;

fn scratch(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("gantry-kubelet-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn files_have_exact_modes() {
    let dir = scratch("modes");
    let host = RealHost;
    host.write_file(&dir.join("f"), b"abc", 0o666).unwrap();
    assert_eq!(std::fs::metadata(dir.join("f")).unwrap().permissions().mode() & 0o7777, 0o666);
    host.make_dir(&dir.join("a/b"), Some(0o1777)).unwrap();
    assert_eq!(std::fs::metadata(dir.join("a/b")).unwrap().permissions().mode() & 0o7777, 0o1777);
    assert_eq!(host.read_tail(&dir.join("f"), 2).unwrap(), b"bc");
    host.symlink(Path::new("/etc/passwd"), &dir.join("link")).unwrap();
    assert!(host.write_file(&dir.join("link"), b"x", 0o644).is_err(), "writes go through no link");
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn trees_go_whole() {
    let dir = scratch("tree");
    let host = RealHost;
    host.make_dir(&dir.join("t/a/b"), None).unwrap();
    host.write_file(&dir.join("t/a/f"), b"", 0o600).unwrap();
    host.symlink(Path::new("/etc"), &dir.join("t/a/link")).unwrap();
    host.remove_tree(&dir.join("t")).await.unwrap();
    host.remove_tree(&dir.join("t")).await.unwrap();
    assert_eq!(host.list_dir(&dir).unwrap(), Vec::<String>::new());
    assert!(Path::new("/etc/passwd").exists());
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn compressed_files_read_back() {
    use std::io::Read as _;
    let dir = scratch("gzip");
    let host = RealHost;
    host.write_file(&dir.join("f"), &[b'x'; 100_000], 0o600).unwrap();
    host.compress(&dir.join("f"), &dir.join("f.gz")).await.unwrap();
    assert!(host.kind(&dir.join("f")).is_none());
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(dir.join("f.gz")).unwrap())
        .read_to_end(&mut text)
        .unwrap();
    assert_eq!(text, [b'x'; 100_000]);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn subpaths_stay_in_their_volume() {
    let dir = scratch("subpath");
    std::fs::create_dir_all(dir.join("v")).unwrap();
    std::os::unix::fs::symlink("/etc", dir.join("v/out")).unwrap();
    let error = RealHost.bind_subpath(&dir.join("v"), Path::new("out/passwd"), &dir.join("t")).unwrap_err();
    assert!(error.to_string().contains("not within the volume"), "{error}");
    let error = RealHost.bind_subpath(&dir.join("v"), Path::new("../x"), &dir.join("t")).unwrap_err();
    assert!(error.to_string().contains("not within the volume"), "{error}");
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn http_and_tcp_in_gos_words() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buf = vec![0; 4096];
        let n = stream.read(&mut buf).await.unwrap();
        stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy").await.unwrap();
        String::from_utf8_lossy(&buf[..n]).into_owned()
    };
    let request = HttpRequest {
        host: "127.0.0.1".into(),
        port,
        path: "/healthz?x=1".into(),
        headers: vec![("X-Test".into(), "1".into())],
        ..HttpRequest::default()
    };
    let (asked, answer) = futures::join!(serve, RealHost.http_get(&request, Duration::from_secs(5)));
    assert_eq!(answer.unwrap(), HttpResponse { status: 503, body: "busy".into() });
    assert!(asked.starts_with("GET /healthz?x=1 HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("kube-probe/1.36") && asked.to_lowercase().contains("x-test: 1"), "{asked}");
    drop(listener);
    let error = RealHost.tcp_connect("127.0.0.1", port, Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(error.to_string(), format!("dial tcp 127.0.0.1:{port}: connect: connection refused"));
}
