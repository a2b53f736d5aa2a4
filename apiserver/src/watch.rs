//! Watches: a stream of events out of the View's window, encoded once per event for all watchers who see the same form.
//!
//! A watcher here is a cursor and a little state; nothing is queued for it. One that cannot keep up, or asks for history
//! that is gone, gets an ERROR event with 410 and the end of the stream, as upstream.

mod start;

use std::any::Any;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use apimachinery::{Status, Value};
use bytes::Bytes;
use futures::stream;
use http::StatusCode;
use store::{Entry, Revision, StoreError, WatchEvent, Watcher};
use tokio::time::Instant;

use crate::handlers::{output, render};
use crate::metrics::InflightGuard;
use crate::negotiate::{Encoding, Form, Output, Scope};
use crate::registry::Resource;
use crate::registry::head::push_number;
use crate::registry::options::ListOptions;
use crate::registry::selection::Selection;
use crate::response::{self, Body, Response, bad_request};
use crate::server::{ApiServer, Call};
use start::{Initial, Start, too_old};

/// Between two bookmarks.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// A last bookmark goes out this long before a watch ends, as upstream.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);
/// Events taken from the View at once.
const EVENTS_MAX: usize = 64;
/// What is sent goes in pieces of about this size: all that is held for a client that does not take it.
const CHUNK: usize = 64 * 1024;

const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Added,
    Modified,
    Deleted,
}

impl Kind {
    fn text(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// What an event keeps for all its watchers: the plain JSON of what happened to the key.
#[derive(Debug, Default)]
struct Encoded {
    plain: OnceLock<Bytes>,
}

struct Stream {
    server: Arc<ApiServer>,
    resource: Arc<Resource>,
    selection: Selection,
    output: Output,
    /// Of Table watches: what is shown of the object.
    include: crate::table::Include,
    columns_sent: bool,
    initial: Option<Initial>,
    /// The bookmark that ends the initial events, if it is wanted.
    end_of_initial: Option<Revision>,
    watcher: Option<Watcher>,
    /// The stream ends with this error event.
    error: Option<Status>,
    bookmarks: bool,
    next_bookmark: Instant,
    /// Where the watch began. A bookmark that tells no more than this is not sent, as upstream.
    start: Revision,
    deadline: Instant,
    last_bookmark_sent: bool,
    sent: prometheus_client::metrics::counter::Counter<u64, std::sync::atomic::AtomicU64>,
    events: Vec<Arc<WatchEvent>>,
    ended: bool,
    _guard: InflightGuard,
    labels: crate::metrics::RequestLabels,
    started: Instant,
}

/// Answers a watch.
pub(crate) async fn watch(
    server: &Arc<ApiServer>,
    resource: &Arc<Resource>,
    call: &Call,
) -> Result<Response, Status> {
    // The framing of a stream has no pretty form.
    let output = Output { pretty: false, ..output(call, Scope::Watch)? };
    // The old `/watch/` paths read their options as a list's unless the parameter says otherwise too.
    let options = ListOptions::parse(&call.query, call.query.flag("watch"))?;
    let mut selection = Selection::parse(resource, &options.label_selector, &options.field_selector)?;
    // `/watch/…/NAME` watches one object.
    if !call.info.name.is_empty() && !call.info.name_from_selector {
        if !selection.is_of(&call.info.name) {
            return Err(bad_request("fieldSelector metadata.name doesn't match requested name"));
        }
        selection.name = Some(call.info.name.clone());
    }
    let include = match output.form {
        Form::Table(_) => crate::table::check_include(call)?,
        _ => crate::table::Include::default(),
    };
    let start = Start::plan(server.registry(), resource, call, &options, &selection).await?;
    let now = Instant::now();
    let stream = Stream {
        server: Arc::clone(server),
        resource: Arc::clone(resource),
        selection,
        output,
        include,
        columns_sent: false,
        initial: start.initial,
        end_of_initial: start.end_of_initial,
        watcher: start.watcher,
        error: start.error,
        bookmarks: options.allow_bookmarks,
        next_bookmark: now + BOOKMARK_INTERVAL,
        start: start.revision,
        deadline: now + lifetime(server, &options),
        last_bookmark_sent: false,
        sent: server.metrics().watch_events(resource.group(), &resource.info.version, resource.plural()),
        events: Vec::with_capacity(EVENTS_MAX),
        ended: options.timeout_seconds.is_some_and(|s| s < 0),
        _guard: server.metrics().longrunning(&call.labels),
        labels: call.labels.clone(),
        started: now,
    };
    let content_type = match output.encoding {
        Encoding::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        _ => crate::negotiate::JSON,
    };
    let body = Body::from_stream(stream::unfold(stream, |mut stream| async move {
        let chunk = stream.next().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), stream))
    }));
    Ok(response::with_body(StatusCode::OK, content_type, body))
}

/// How long a watch lives: as asked, else a random time, so that watches do not all end together.
fn lifetime(server: &ApiServer, options: &ListOptions) -> Duration {
    match options.timeout_seconds {
        Some(seconds) if seconds > 0 => Duration::from_secs(seconds.unsigned_abs()),
        Some(seconds) if seconds < 0 => Duration::ZERO,
        _ => {
            let least = server.config().min_watch_timeout;
            let spread = u64::try_from(least.as_millis()).unwrap_or(u64::MAX);
            least + Duration::from_millis(server.env().rng.below(spread))
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.server.metrics().observe(&self.labels, 200, self.started.elapsed());
    }
}

impl Stream {
    /// The next piece of the answer; `None` at its end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended || self.server.tasks().token().is_cancelled() {
            return None;
        }
        let mut out = Vec::new();
        while self.initial.is_some() {
            self.push_initial(&mut out);
            if out.len() >= CHUNK {
                return Some(out.into());
            }
            // Others get their turn between two pages.
            tokio::task::yield_now().await;
        }
        if let Some(revision) = self.end_of_initial.take() {
            self.push_bookmark(&mut out, revision, true);
        }
        if let Some(status) = self.error.take() {
            self.push_error(&mut out, &status);
        }
        if !out.is_empty() {
            return Some(out.into());
        }
        loop {
            let Some(watcher) = &mut self.watcher else { return None };
            self.events.clear();
            let progress = watcher.read_some(EVENTS_MAX, CHUNK, &mut self.events);
            let events = std::mem::take(&mut self.events);
            for event in &events {
                self.push_event(&mut out, event);
            }
            self.events = events;
            if let Err(error) = progress {
                self.push_end(&mut out, &error);
            }
            if !out.is_empty() {
                return Some(out.into());
            }
            if !self.events.is_empty() {
                // None of them was for this watcher; there may be more.
                tokio::task::yield_now().await;
                continue;
            }
            if !self.wait(&mut out).await {
                return None;
            }
            if !out.is_empty() {
                return Some(out.into());
            }
        }
    }

    /// Pushes initial events until a piece is full or the page is at its end, and turns it.
    fn push_initial(&mut self, out: &mut Vec<u8>) {
        while out.len() < CHUNK {
            let Some(initial) = &mut self.initial else { return };
            let Some(entry) = initial.next() else { break };
            if self.selection.matches(self.server.registry(), &self.resource, &entry) {
                self.push_entry(out, Kind::Added, &entry, entry.mod_revision);
            }
        }
        let Some(initial) = self.initial.as_mut().filter(|_| out.len() < CHUNK) else { return };
        match initial.next_page(self.server.registry().view()) {
            Ok(true) => {}
            Ok(false) => self.initial = None,
            Err(error) => {
                self.initial = None;
                self.end_of_initial = None;
                self.push_end(out, &error);
            }
        }
    }

    /// Waits for the next event and pushes it, or for the time of a bookmark; false at the end.
    async fn wait(&mut self, out: &mut Vec<u8>) -> bool {
        let mut wake = self.deadline;
        if self.bookmarks {
            wake = wake.min(self.next_bookmark);
            if !self.last_bookmark_sent && self.deadline > self.started + LAST_BOOKMARK {
                wake = wake.min(self.deadline - LAST_BOOKMARK);
            }
        }
        let stop = self.server.tasks().token();
        let Some(watcher) = &mut self.watcher else { return false };
        let event = tokio::select! {
            biased;
            () = stop.cancelled() => return false,
            event = watcher.next() => Some(event),
            // What happened before is told first.
            () = self.resource.retired() => return false,
            () = tokio::time::sleep_until(wake) => None,
        };
        match event {
            Some(Ok(event)) => self.push_event(out, &event),
            Some(Err(error)) => self.push_end(out, &error),
            None => {
                let now = Instant::now();
                if now >= self.deadline {
                    return false;
                }
                self.next_bookmark = now + BOOKMARK_INTERVAL;
                self.last_bookmark_sent = now + LAST_BOOKMARK >= self.deadline;
                let revision = self.watcher.as_mut().map_or(0, Watcher::progress);
                if revision > self.start {
                    self.push_bookmark(out, revision, false);
                }
            }
        }
        true
    }

    /// The View's end, or history that this watch would have needed.
    fn push_end(&mut self, out: &mut Vec<u8>, error: &StoreError) {
        if let StoreError::Compacted { requested, oldest } = error {
            self.push_error(out, &too_old(*requested, *oldest));
        }
        self.watcher = None;
    }

    fn push_error(&mut self, out: &mut Vec<u8>, status: &Status) {
        self.watcher = None;
        self.push_value(out, "ERROR", &status.to_value(), &kinds::Gvk::new("", "v1", "Status"));
    }

    /// What a change means to this watcher: by its selection an object may come and go without being created or deleted.
    fn push_event(&mut self, out: &mut Vec<u8>, event: &WatchEvent) {
        let matches = |entry: &Option<Arc<Entry>>| {
            entry.as_ref().is_some_and(|e| self.selection.matches(self.server.registry(), &self.resource, e))
        };
        let (before, after) = (matches(&event.prev), matches(&event.entry));
        let (kind, entry) = match (before, after, &event.prev, &event.entry) {
            (false, true, _, Some(entry)) => (Kind::Added, entry),
            (true, true, _, Some(entry)) => (Kind::Modified, entry),
            (true, false, Some(prev), _) => (Kind::Deleted, prev),
            _ => return,
        };
        let natural = match (event.created(), event.deleted()) {
            (true, _) => Kind::Added,
            (_, true) => Kind::Deleted,
            _ => Kind::Modified,
        };
        if !self.output.is_plain() || self.resource.converts() || kind != natural {
            return self.push_entry(out, kind, entry, event.revision);
        }
        self.sent.inc();
        let shared = event.cache().get_or_init(|| Arc::new(Encoded::default()) as Arc<dyn Any + Send + Sync>);
        let Ok(encoded) = Arc::clone(shared).downcast::<Encoded>() else {
            return self.push_entry(out, kind, entry, event.revision);
        };
        let bytes = encoded.plain.get_or_init(|| {
            let mut bytes = Vec::new();
            self.plain_event(&mut bytes, kind, entry, event.revision);
            bytes.into()
        });
        out.extend_from_slice(bytes);
    }

    fn plain_event(&self, out: &mut Vec<u8>, kind: Kind, entry: &Entry, revision: Revision) {
        let Some(form) = self.server.registry().form(&self.resource, entry) else { return };
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(kind.text().as_bytes());
        out.extend_from_slice(b"\",\"object\":");
        form.head().write_object(&form.text, revision, out);
        out.extend_from_slice(b"}\n");
    }

    fn push_entry(&mut self, out: &mut Vec<u8>, kind: Kind, entry: &Entry, revision: Revision) {
        self.sent.inc();
        if self.output.encoding == Encoding::Json && !self.output.pretty {
            match self.output.form {
                Form::Object => return self.plain_event(out, kind, entry, revision),
                Form::Partial(version, _) => return self.partial_event(out, kind, entry, revision, version),
                Form::Table(_) => {}
            }
        }
        let registry = self.server.registry();
        let Some(decoded) = registry.decoded(&self.resource, entry) else { return };
        let mut value = (*decoded).clone();
        value.set_at(&["metadata", "resourceVersion"], revision.to_string());
        registry.to_served(&self.resource, &mut value);
        self.push_object(out, kind.text(), value);
    }

    fn partial_event(&self, out: &mut Vec<u8>, kind: Kind, entry: &Entry, revision: Revision, version: &str) {
        let Some(form) = self.server.registry().form(&self.resource, entry) else { return };
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(kind.text().as_bytes());
        out.extend_from_slice(
            b"\",\"object\":{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/",
        );
        out.extend_from_slice(version.as_bytes());
        out.extend_from_slice(b"\",\"metadata\":");
        form.head().write_metadata(&form.text, revision, out);
        out.extend_from_slice(b"}}\n");
    }

    /// An object in any form but plain JSON.
    fn push_object(&mut self, out: &mut Vec<u8>, kind: &str, mut value: Value) {
        match self.output.form {
            Form::Object => {
                self.server.registry().order(&self.resource, &mut value);
                let gvk = self.resource.info.gvk();
                self.push_value(out, kind, &value, &gvk);
            }
            Form::Partial(version, _) => {
                let gvk = kinds::Gvk::new("meta.k8s.io", version, "PartialObjectMetadata");
                self.push_value(out, kind, &crate::table::partial(&value, version), &gvk);
            }
            Form::Table(version) => {
                let first = !std::mem::replace(&mut self.columns_sent, true);
                let table = crate::table::of_event(
                    &self.server,
                    &self.resource,
                    &value,
                    self.include,
                    version,
                    first,
                );
                self.push_value(out, kind, &table, &kinds::Gvk::new("meta.k8s.io", version, "Table"));
            }
        }
    }

    fn push_bookmark(&mut self, out: &mut Vec<u8>, revision: Revision, end_of_initial: bool) {
        let plain = self.output.encoding == Encoding::Json && self.output.form == Form::Object;
        if plain && !end_of_initial && !self.resource.info.custom {
            // The frequent case, without building a tree.
            out.extend_from_slice(b"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"");
            out.extend_from_slice(self.resource.info.kind.as_bytes());
            out.extend_from_slice(b"\",\"apiVersion\":\"");
            out.extend_from_slice(self.resource.info.api_version().as_bytes());
            out.extend_from_slice(b"\",\"metadata\":{\"resourceVersion\":\"");
            push_number(out, revision);
            out.extend_from_slice(b"\"");
            out.extend_from_slice(BOOKMARK_REST.as_bytes());
            return;
        }
        let mut value = Value::object();
        super::registry::object::set_type(&mut value, &self.resource.info.gvk());
        value.set_at(&["metadata", "resourceVersion"], revision.to_string());
        if end_of_initial {
            value.set_at(&["metadata", "annotations", INITIAL_EVENTS_END], "true");
        }
        self.push_bookmark_value(out, value);
    }

    fn push_bookmark_value(&mut self, out: &mut Vec<u8>, value: Value) {
        if self.output.form == Form::Object && self.output.encoding == Encoding::Json {
            let gvk = self.resource.info.gvk();
            return self.push_value(out, "BOOKMARK", &value, &gvk);
        }
        self.push_object(out, "BOOKMARK", value);
    }

    fn push_value(&self, out: &mut Vec<u8>, kind: &str, value: &Value, gvk: &kinds::Gvk) {
        if self.output.encoding == Encoding::Protobuf {
            match self.server.registry().encode_event(kind, gvk, value) {
                Ok(frame) => out.extend_from_slice(&frame),
                Err(status) => tracing::warn!(error = %status, "an event has no protobuf form"),
            }
            return;
        }
        let mut event = Value::object();
        event.set_at(&["type"], kind);
        event.set_at(&["object"], value.clone());
        match render::encode(&self.server, &event, self.output, gvk) {
            Ok(text) => out.extend_from_slice(&text),
            Err(status) => tracing::warn!(error = %status, "an event could not be encoded"),
        }
    }
}

/// What ends a bookmark.
const BOOKMARK_REST: &str = "}}}\n";
