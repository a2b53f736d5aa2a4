//! `/logs/`: the files below the host's log directory, for a server with `--enable-logs-handler`.
//!
//! Files are read piece by piece while they are sent. Nothing outside the directory is reachable: names with `..` are
//! refused, and so are links that lead out of it.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use env::Disk;
use http::StatusCode;

use crate::response::{Body, Response, text, with_body};

/// How much of a file is in memory at a time.
const PIECE: usize = 64 * 1024;

/// Answers for the path behind `/logs`.
pub(crate) async fn answer(disk: &Arc<dyn Disk>, root: &Path, path: &str) -> Response {
    let Some(found) = resolve(root, path) else {
        return text(StatusCode::NOT_FOUND, "404 page not found\n");
    };
    if found.is_dir() {
        return match disk.list(&found).await {
            Ok(names) => with_body(StatusCode::OK, "text/html; charset=utf-8", page(&found, names)),
            Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "Error reading directory\n"),
        };
    }
    match disk.read_range(&found, 0, PIECE).await {
        Ok(first) => {
            let content_type =
                if first.contains(&0) { "application/octet-stream" } else { "text/plain; charset=utf-8" };
            with_body(StatusCode::OK, content_type, Body::from_stream(pieces(Arc::clone(disk), found, first)))
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            text(StatusCode::FORBIDDEN, "403 Forbidden\n")
        }
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "500 Internal Server Error\n"),
    }
}

/// The file or directory `path` below `root`.
fn resolve(root: &Path, path: &str) -> Option<PathBuf> {
    let relative = Path::new(path.trim_start_matches('/'));
    let plain = relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    let root = root.canonicalize().ok()?;
    let found = root.join(relative).canonicalize().ok()?;
    (plain && found.starts_with(&root)).then_some(found)
}

/// A list of links.
fn page(folder: &Path, names: Vec<String>) -> String {
    let mut names: Vec<String> = names
        .into_iter()
        .map(|name| if folder.join(&name).is_dir() { format!("{name}/") } else { name })
        .collect();
    names.sort();
    let escape =
        |s: &str| s.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;");
    let mut page =
        String::from("<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n");
    for name in names {
        let name = escape(&name);
        page.push_str(&format!("<a href=\"{name}\">{name}</a>\n"));
    }
    page.push_str("</pre>\n");
    page
}

/// A file from its first piece on; one that grows is sent as far as it goes when its end is reached.
fn pieces(
    disk: Arc<dyn Disk>,
    path: PathBuf,
    first: Bytes,
) -> impl futures::Stream<Item = io::Result<Bytes>> + Send + 'static {
    futures::stream::try_unfold((disk, path, 0_u64, Some(first)), |(disk, path, offset, ready)| async move {
        let piece = match ready {
            Some(piece) => piece,
            None => disk.read_range(&path, offset, PIECE).await?,
        };
        if piece.is_empty() {
            return Ok(None);
        }
        let next = offset + piece.len() as u64;
        Ok(Some((piece, (disk, path, next, None))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a log, a folder in it, and a link out of it.
    fn folder(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("gantry-logs-{name}-{}", std::process::id()));
        // Left over from a run that was killed, or not there.
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(root.join("in<side")).unwrap();
        std::fs::write(root.join("a.log"), vec![b'x'; PIECE + 1]).unwrap();
        std::fs::write(root.join("in<side/b.bin"), [0, 1]).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", root.join("out")).unwrap();
        root
    }

    async fn get(root: &Path, path: &str) -> (u16, String, Vec<u8>) {
        let disk: Arc<dyn Disk> = env::Env::real().disk;
        let answer = answer(&disk, root, path).await;
        let content_type = answer.headers()[http::header::CONTENT_TYPE].to_str().unwrap().to_owned();
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap().to_vec();
        (status, content_type, body)
    }

    #[tokio::test]
    async fn files_and_folders() {
        let root = folder("files");
        let (status, content_type, body) = get(&root, "/").await;
        assert_eq!((status, content_type.as_str()), (200, "text/html; charset=utf-8"));
        let page = String::from_utf8(body).unwrap();
        assert!(page.contains("<a href=\"a.log\">a.log</a>\n<a href=\"in&lt;side/\">"), "{page}");
        let (status, content_type, body) = get(&root, "/a.log").await;
        assert_eq!((status, content_type.as_str()), (200, "text/plain; charset=utf-8"));
        assert_eq!(body, vec![b'x'; PIECE + 1]);
        assert_eq!(get(&root, "/in<side/b.bin").await.1, "application/octet-stream");
        for outside in ["/none", "/../a.log", "/out", "/in<side/../../etc"] {
            assert_eq!(get(&root, outside).await.0, 404, "{outside}");
        }
        std::fs::remove_dir_all(&root).unwrap();
    }
}
