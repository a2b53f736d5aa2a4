//! The client's side of the HTTP/1.1 upgrade, over a connection of the caller's.

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::PROTOCOL;

/// An answer's head is at most this long.
const HEAD_MAX: usize = 16 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    #[error("upgrade of the connection")]
    Io(#[from] std::io::Error),
    #[error("the upgrade's answer is not HTTP")]
    NotHttp,
    /// The peer answered with another status; the text is what it said.
    #[error("the upgrade was refused with status {status}: {text}")]
    Refused { status: u16, text: String },
}

/// Asks for the upgrade: `target` is the request's path and query, `protocols` the versions of the protocol above that
/// the client speaks, best first. Gives the version that the peer chose and whatever it sent already.
///
/// Not cancel-safe: a connection on which this was dropped half-way is of no use.
pub async fn connect<T>(
    io: &mut T,
    host: &str,
    target: &str,
    protocols: &[&str],
) -> Result<(String, BytesMut), UpgradeError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = format!(
        "POST {target} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: {PROTOCOL}\r\nContent-Length: 0\r\n"
    );
    for protocol in protocols {
        request.push_str(&format!("X-Stream-Protocol-Version: {protocol}\r\n"));
    }
    request.push_str("\r\n");
    io.write_all(request.as_bytes()).await?;
    io.flush().await?;
    let mut buffer = BytesMut::new();
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break at;
        }
        if buffer.len() > HEAD_MAX || io.read_buf(&mut buffer).await? == 0 {
            return Err(UpgradeError::NotHttp);
        }
    };
    let head = buffer.split_to(end + 4);
    let head = std::str::from_utf8(&head).map_err(|_| UpgradeError::NotHttp)?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or(UpgradeError::NotHttp)?;
    if status != 101 {
        // What it says beyond the head is best effort: the reason is in the first bytes.
        let text = String::from_utf8_lossy(&buffer).trim().to_owned();
        return Err(UpgradeError::Refused { status, text });
    }
    let chosen = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("x-stream-protocol-version"))
        .map(|(_, value)| value.trim().to_owned())
        .unwrap_or_default();
    Ok((chosen, buffer))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn against(answer: &'static [u8]) -> Result<(String, BytesMut), UpgradeError> {
        let (mut ours, mut theirs) = tokio::io::duplex(4096);
        let serve = async move {
            let mut request = vec![0; 4096];
            let n = theirs.read(&mut request).await.unwrap();
            theirs.write_all(answer).await.unwrap();
            (String::from_utf8(request[..n].to_vec()).unwrap(), theirs)
        };
        let (result, (request, _)) =
            tokio::join!(connect(&mut ours, "localhost", "/exec/x?y=1", &["v4.channel.k8s.io"]), serve);
        assert!(request.starts_with("POST /exec/x?y=1 HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("X-Stream-Protocol-Version: v4.channel.k8s.io\r\n"), "{request}");
        result
    }

    #[tokio::test]
    async fn the_chosen_version_and_early_bytes_are_kept() {
        let (version, rest) = against(
            b"HTTP/1.1 101 Switching Protocols\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\nearly",
        )
        .await
        .unwrap();
        assert_eq!((version.as_str(), &rest[..]), ("v4.channel.k8s.io", &b"early"[..]));
    }

    #[tokio::test]
    async fn a_refusal_says_why() {
        let error = against(b"HTTP/1.1 404 Not Found\r\n\r\nno such container").await.unwrap_err();
        assert_eq!(error.to_string(), "the upgrade was refused with status 404: no such container");
    }
}
