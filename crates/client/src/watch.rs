//! Watch requests: the streaming body cut into lines, each line an event of which only the slim type is decoded.
//!
//! No resuming here: that is the informer's.

use std::borrow::Cow;
use std::marker::PhantomData;

use bytes::{Buf as _, BytesMut};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::api::Client;
use crate::error::Error;
use crate::object::Meta;

/// An event longer than this is not one: objects are bounded by 3 MiB on the server.
const LINE_BYTES_MAX: usize = 64 << 20;

/// The annotation of the bookmark that ends the initial events of a streaming list.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// One watch event.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchEvent<T> {
    Added(T),
    Modified(T),
    Deleted(T),
    Bookmark { revision: u64, initial_events_end: bool },
}

/// The events of one watch request, until the server ends it.
#[derive(Debug)]
pub struct WatchStream<T> {
    body: kube::client::Body,
    buffer: BytesMut,
    /// Bytes of `buffer` that are known to hold no line end.
    searched: usize,
    ended: bool,
    of: PhantomData<fn() -> T>,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a serde_json::value::RawValue,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Bookmark {
    metadata: Meta,
}

impl Client {
    /// Starts a watch. `target` is a path with its query, which must say `watch=true`.
    pub async fn watch<T: DeserializeOwned>(
        &self,
        target: &str,
        accept: &str,
    ) -> Result<WatchStream<T>, Error> {
        let response = self.send(http::Method::GET, target, None, accept).await?;
        Ok(WatchStream {
            body: response.into_body(),
            buffer: BytesMut::new(),
            searched: 0,
            ended: false,
            of: PhantomData,
        })
    }
}

impl<T: DeserializeOwned> WatchStream<T> {
    /// The next event; `None` once the server has ended the watch. An ERROR event is the error of its Status.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<WatchEvent<T>, Error>> {
        loop {
            if let Some(at) = self.buffer[self.searched..].iter().position(|&b| b == b'\n') {
                let line = self.buffer.split_to(self.searched + at);
                self.buffer.advance(1);
                self.searched = 0;
                if line.is_empty() {
                    continue;
                }
                return Some(parse(&line));
            }
            self.searched = self.buffer.len();
            if self.searched > LINE_BYTES_MAX {
                return Some(Err(Error::Decode(format!("watch event over {LINE_BYTES_MAX} bytes"))));
            }
            if self.ended {
                // What is left is an event that was cut off: it will come again after the reconnect.
                return None;
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                Some(Err(e)) => {
                    self.ended = true;
                    return Some(Err(Error::Transport(e.to_string())));
                }
                None => {
                    self.ended = true;
                    // A last line may come without its end.
                    if !self.buffer.is_empty() {
                        self.buffer.extend_from_slice(b"\n");
                    }
                }
            }
        }
    }
}

fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<WatchEvent<T>, Error> {
    let bad = |e: serde_json::Error| Error::Decode(format!("watch event: {e}"));
    let line: Line<'_> = serde_json::from_slice(line).map_err(bad)?;
    let text = line.object.get();
    let object = || serde_json::from_str::<T>(text).map_err(bad);
    match &*line.kind {
        "ADDED" => Ok(WatchEvent::Added(object()?)),
        "MODIFIED" => Ok(WatchEvent::Modified(object()?)),
        "DELETED" => Ok(WatchEvent::Deleted(object()?)),
        "BOOKMARK" => {
            let bookmark: Bookmark = serde_json::from_str(text).map_err(bad)?;
            Ok(WatchEvent::Bookmark {
                revision: bookmark.metadata.revision(),
                initial_events_end: bookmark
                    .metadata
                    .annotations
                    .get(INITIAL_EVENTS_END)
                    .is_some_and(|v| v == "true"),
            })
        }
        "ERROR" => Err(Error::from_answer(500, text.as_bytes())),
        other => Err(Error::Decode(format!("watch event of unknown type {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::PartialObject;

    #[test]
    fn parses_each_type() {
        let parse = |s: &str| parse::<PartialObject>(s.as_bytes());
        let added =
            parse(r#"{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"5"}}}"#).unwrap();
        assert!(
            matches!(added, WatchEvent::Added(o) if o.metadata.name == "a" && o.metadata.revision() == 5)
        );
        let end = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
        assert_eq!(parse(end).unwrap(), WatchEvent::Bookmark { revision: 7, initial_events_end: true });
        let gone = r#"{"type":"ERROR","object":{"kind":"Status","status":"Failure","message":"too old","reason":"Expired","code":410}}"#;
        assert!(parse(gone).unwrap_err().is_gone());
        assert!(parse(r#"{"type":"OTHER","object":{}}"#).is_err());
    }
}
