//! The answer to a list: bytes of the objects, spliced between a head and an end, in chunks.

use std::sync::Arc;

use apimachinery::{Status, Value};
use bytes::Bytes;
use futures::stream;
use http::StatusCode;
use store::Entry;

use super::render;
use crate::negotiate::{Encoding, Form, Output};
use crate::registry::head::push_number;
use crate::registry::list::Page;
use crate::registry::{Registry, Resource};
use crate::response::{self, Body, Gzip, Response};
use crate::server::{ApiServer, Call};

/// Lists up to this size are one piece, with a length and perhaps compressed; longer ones are streamed.
const WHOLE_MAX: usize = 1 << 20;
/// Pieces of a streamed list.
const CHUNK: usize = 256 * 1024;

/// Answers with a page.
pub(crate) fn answer(
    server: &Arc<ApiServer>,
    resource: &Arc<Resource>,
    call: &Call,
    output: Output,
    page: Page,
) -> Result<Response, Status> {
    let plain = output.encoding == Encoding::Json && !output.pretty && !matches!(output.form, Form::Table(_));
    if !plain {
        return built(server, resource, call, output, &page);
    }
    let size: usize = page.entries.iter().map(|e| e.value.len() + 64).sum();
    let mut writer = Writer::new(Arc::clone(server.registry()), Arc::clone(resource), output.form, page);
    if size <= WHOLE_MAX {
        let mut body = Vec::with_capacity(size + 256);
        while writer.write(&mut body, usize::MAX) {}
        return Ok(render::finish(call, StatusCode::OK, Encoding::Json, body));
    }
    let packer = render::compresses(call, size).then(|| Gzip::new(CHUNK));
    let packed = packer.is_some();
    let chunks = stream::unfold((Some(writer), packer), |(writer, packer)| async move {
        let (chunk, writer, packer) = next_chunk(writer?, packer);
        // Others get their turn between two chunks of a long list.
        tokio::task::yield_now().await;
        Some((Ok::<_, std::convert::Infallible>(chunk), (writer, packer)))
    });
    let mut response = response::with_body(StatusCode::OK, crate::negotiate::JSON, Body::from_stream(chunks));
    if packed {
        response::mark_gzip(&mut response);
    }
    Ok(response)
}

/// The next piece of a long list, and what is left to make the others of: no writer after the last.
fn next_chunk(mut writer: Writer, packer: Option<Gzip>) -> (Bytes, Option<Writer>, Option<Gzip>) {
    let mut chunk = Vec::with_capacity(CHUNK + 16 * 1024);
    let more = writer.write(&mut chunk, CHUNK);
    match packer {
        None => (chunk.into(), more.then_some(writer), None),
        Some(packer) if !more => (packer.finish(&chunk).into(), None, None),
        Some(mut packer) => (packer.piece(&chunk).into(), Some(writer), Some(packer)),
    }
}

/// Writes a list in JSON piece by piece.
struct Writer {
    registry: Arc<Registry>,
    resource: Arc<Resource>,
    form: Form,
    entries: std::vec::IntoIter<Arc<Entry>>,
    head: Vec<u8>,
    tail: Vec<u8>,
    stage: Stage,
}

#[derive(PartialEq)]
enum Stage {
    Head,
    First,
    Items,
    Done,
}

impl Writer {
    fn new(registry: Arc<Registry>, resource: Arc<Resource>, form: Form, page: Page) -> Self {
        let mut meta = Vec::new();
        if resource.info.custom {
            meta.extend_from_slice(b"{\"continue\":\"");
            meta.extend_from_slice(page.continue_token.as_bytes());
            meta.push(b'"');
            if let Some(remaining) = page.remaining {
                meta.extend_from_slice(b",\"remainingItemCount\":");
                push_number(&mut meta, remaining as u64);
            }
            meta.extend_from_slice(b",\"resourceVersion\":\"");
            push_number(&mut meta, page.revision);
            meta.extend_from_slice(b"\"}");
        } else {
            meta.extend_from_slice(b"{\"resourceVersion\":\"");
            push_number(&mut meta, page.revision);
            meta.push(b'"');
            if !page.continue_token.is_empty() {
                meta.extend_from_slice(b",\"continue\":\"");
                meta.extend_from_slice(page.continue_token.as_bytes());
                meta.push(b'"');
            }
            if let Some(remaining) = page.remaining {
                meta.extend_from_slice(b",\"remainingItemCount\":");
                push_number(&mut meta, remaining as u64);
            }
            meta.push(b'}');
        }
        let (kind, api_version) = match form {
            Form::Partial(version, _) => {
                ("PartialObjectMetadataList".to_owned(), format!("meta.k8s.io/{version}"))
            }
            _ => (resource.info.list_kind.clone(), resource.info.api_version()),
        };
        let meta = String::from_utf8_lossy(&meta);
        let (head, tail) = if resource.info.custom && form == Form::Object {
            (
                format!("{{\"apiVersion\":\"{api_version}\",\"items\":["),
                format!("],\"kind\":\"{kind}\",\"metadata\":{meta}}}\n"),
            )
        } else {
            (
                format!(
                    "{{\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",\"metadata\":{meta},\"items\":["
                ),
                "]}\n".to_owned(),
            )
        };
        Self {
            registry,
            resource,
            form,
            entries: page.entries.into_iter(),
            head: head.into_bytes(),
            tail: tail.into_bytes(),
            stage: Stage::Head,
        }
    }

    /// Appends about `size` bytes; false once the list is complete.
    fn write(&mut self, out: &mut Vec<u8>, size: usize) -> bool {
        if self.stage == Stage::Done {
            return false;
        }
        if self.stage == Stage::Head {
            out.extend_from_slice(&self.head);
            self.stage = Stage::First;
        }
        while out.len() < size {
            let Some(entry) = self.entries.next() else {
                out.extend_from_slice(&self.tail);
                self.stage = Stage::Done;
                return false;
            };
            self.item(&entry, out);
        }
        true
    }

    fn item(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        // Bytes that are no object cannot be shown; the store's own checks report them.
        let Some(form) = self.registry.form(&self.resource, entry) else { return };
        if self.stage == Stage::Items {
            out.push(b',');
        }
        self.stage = Stage::Items;
        match self.form {
            Form::Partial(version, _) => {
                out.extend_from_slice(b"{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/");
                out.extend_from_slice(version.as_bytes());
                out.extend_from_slice(b"\",\"metadata\":");
                form.head().write_metadata(&form.text, entry.mod_revision, out);
                out.push(b'}');
            }
            _ if self.resource.info.custom => form.head().write_object(&form.text, entry.mod_revision, out),
            _ => form.head().write_item(&form.text, entry.mod_revision, out),
        }
    }
}

/// Every other form: the list as a value, encoded as a whole.
fn built(
    server: &Arc<ApiServer>,
    resource: &Arc<Resource>,
    call: &Call,
    output: Output,
    page: &Page,
) -> Result<Response, Status> {
    let registry = server.registry();
    let mut meta = Value::object();
    meta.set_at(&["resourceVersion"], page.revision.to_string());
    if !page.continue_token.is_empty() {
        meta.set_at(&["continue"], page.continue_token.as_str());
    }
    if let Some(remaining) = page.remaining {
        meta.set_at(&["remainingItemCount"], i64::try_from(remaining).unwrap_or(i64::MAX));
    }
    let decoded = page.entries.iter().filter_map(|entry| {
        let mut value = (*registry.decoded(resource, entry)?).clone();
        registry.to_served(resource, &mut value);
        registry.order(resource, &mut value);
        Some(value)
    });
    let (list, gvk) = match output.form {
        Form::Table(version) => {
            let items: Vec<Value> = decoded.collect();
            let table = crate::table::of_list(server, resource, call, &items, meta, version)?;
            (table, kinds::Gvk::new("meta.k8s.io", version, "Table"))
        }
        Form::Partial(version, _) => {
            let items: Vec<Value> = decoded.map(|v| crate::table::partial(&v, version)).collect();
            let gvk = kinds::Gvk::new("meta.k8s.io", version, "PartialObjectMetadataList");
            (list_value(&gvk, meta, items), gvk)
        }
        Form::Object => {
            let strip = !resource.info.custom;
            let items: Vec<Value> = decoded
                .map(|mut value| {
                    if strip && let Some(members) = value.as_object_mut() {
                        members.remove("kind");
                        members.remove("apiVersion");
                    }
                    value
                })
                .collect();
            let gvk = kinds::Gvk { kind: resource.info.list_kind.clone(), ..resource.info.gvk() };
            (list_value(&gvk, meta, items), gvk)
        }
    };
    let body = render::encode(server, &list, output, &gvk)?;
    Ok(render::finish(call, StatusCode::OK, output.encoding, body))
}

/// A list in upstream's order of fields.
pub(crate) fn list_value(gvk: &kinds::Gvk, meta: Value, items: Vec<Value>) -> Value {
    let mut list = Value::object();
    list.set_at(&["kind"], gvk.kind.as_str());
    list.set_at(&["apiVersion"], gvk.api_version());
    list.set_at(&["metadata"], meta);
    list.set_at(&["items"], items);
    list
}
