//! Watches: a stream of events out of the View's window, encoded once per event for all watchers who see the same form.
//!
//! A watcher here is a cursor and a little state; nothing is queued for it. One that cannot keep up, or asks for history
//! that is gone, gets an ERROR event with 410 and the end of the stream, as upstream.

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
use crate::registry::head::push_number;
use crate::registry::options::ListOptions;
use crate::registry::selection::Selection;
use crate::registry::{Registry, Resource, keys};
use crate::response::{self, Body, Response};
use crate::server::{ApiServer, Call};

/// Between two bookmarks.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// A last bookmark goes out this long before a watch ends, as upstream.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);
/// Events taken from the View at once.
const EVENTS_MAX: usize = 64;
/// Initial events are sent in pieces of about this size.
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
    initial: std::vec::IntoIter<Arc<Entry>>,
    /// The bookmark that ends the initial events, if it is wanted.
    end_of_initial: Option<Revision>,
    /// The first bookmark says that the initial events are over, although nobody asked for that bookmark.
    marks_first_bookmark: bool,
    watcher: Option<Watcher>,
    /// The stream ends with this error event.
    error: Option<Status>,
    bookmarks: bool,
    next_bookmark: Instant,
    bookmarked: Revision,
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
    let output = output(call, Scope::Watch)?;
    let options = ListOptions::parse(&call.query, true)?;
    let mut selection = Selection::parse(resource, &options.label_selector, &options.field_selector)?;
    // `/watch/…/NAME` and paths with a name watch one object.
    if !call.info.name.is_empty() && !call.info.name_from_selector {
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
        initial: start.initial.into_iter(),
        end_of_initial: start.end_of_initial,
        marks_first_bookmark: start.marks_first_bookmark,
        watcher: start.watcher,
        error: start.error,
        bookmarks: options.allow_bookmarks,
        next_bookmark: now + BOOKMARK_INTERVAL,
        bookmarked: start.revision,
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

/// What a watcher is woken for; its selection may let through less.
#[derive(Clone, Copy)]
enum Topic<'a> {
    /// A prefix or key.
    Scope(&'a str),
    /// A value of the View's index.
    Value(&'a str),
}

/// Where a watch starts.
struct Start {
    initial: Vec<Arc<Entry>>,
    end_of_initial: Option<Revision>,
    marks_first_bookmark: bool,
    watcher: Option<Watcher>,
    error: Option<Status>,
    revision: Revision,
}

impl Start {
    async fn plan(
        registry: &Arc<Registry>,
        resource: &Resource,
        call: &Call,
        options: &ListOptions,
        selection: &Selection,
    ) -> Result<Self, Status> {
        let revision = options.revision().map_err(Status::plain_error)?;
        let namespace = &call.info.namespace;
        let scope = keys::scope(&resource.prefix, namespace);
        let exact = selection
            .name
            .as_ref()
            .filter(|_| !resource.info.namespaced || !namespace.is_empty())
            .map(|name| keys::key(&resource.prefix, namespace, name));
        // Across namespaces, those who want one node's pods are not offered the others'.
        let indexed = selection.indexed.as_deref().filter(|_| exact.is_none() && namespace.is_empty());
        let topic = match indexed {
            Some(value) => Topic::Value(value),
            None => Topic::Scope(exact.as_deref().unwrap_or(&scope)),
        };
        let wants_state = match options.send_initial_events {
            Some(wanted) => wanted,
            None => matches!(revision, None | Some(0)),
        };
        match revision {
            None => {
                registry.linearize().await?;
            }
            Some(revision) if wants_state => {
                if let Err(status) = registry.wait_for_revision(revision).await {
                    return Ok(Self { error: Some(status), ..Self::empty(revision) });
                }
            }
            Some(_) => {}
        }
        if wants_state {
            let (initial, at) = registry.state(&scope, exact.as_deref())?;
            let initial =
                initial.into_iter().filter(|entry| selection.matches(registry, resource, entry)).collect();
            let bookmark = options.send_initial_events == Some(true) && options.allow_bookmarks;
            return Ok(Self {
                initial,
                end_of_initial: bookmark.then_some(at),
                marks_first_bookmark: !bookmark,
                ..Self::from(registry, topic, at)
            });
        }
        Ok(match revision {
            None | Some(0) => Self::from(registry, topic, registry.view().revision()),
            Some(revision) => Self::from(registry, topic, revision),
        })
    }

    fn empty(revision: Revision) -> Self {
        Self {
            initial: Vec::new(),
            end_of_initial: None,
            marks_first_bookmark: false,
            watcher: None,
            error: None,
            revision,
        }
    }

    /// Everything after `revision`.
    fn from(registry: &Arc<Registry>, topic: Topic<'_>, revision: Revision) -> Self {
        let view = registry.view();
        let watcher = match topic {
            Topic::Scope(scope) => view.watch(scope, revision + 1),
            Topic::Value(value) => view.watch_value(value, revision + 1).expect("pods are indexed"),
        };
        let (watcher, error) = match watcher {
            Ok(watcher) => (Some(watcher), None),
            Err(StoreError::Compacted { oldest, .. }) => (None, Some(too_old(revision, oldest))),
            Err(error) => (None, Some(crate::registry::commit::store_status(&error))),
        };
        Self { watcher, error, ..Self::empty(revision) }
    }
}

fn too_old(asked: Revision, oldest: Revision) -> Status {
    Status::resource_expired(format!("too old resource version: {asked} ({oldest})"))
}

impl Registry {
    /// All entries of a scope (or one key) now, and the revision that this is the state of.
    fn state(&self, scope: &str, exact: Option<&str>) -> Result<(Vec<Arc<Entry>>, Revision), Status> {
        if let Some(key) = exact {
            // The revision is read first: an entry that is newer shows up again as an event, which does no harm.
            let revision = self.view().revision();
            let found =
                self.view().get_at(key, revision).map_err(|e| crate::registry::commit::store_status(&e))?;
            return Ok((found.into_iter().collect(), revision));
        }
        let range =
            self.view().range(scope, None, 0, None).map_err(|e| crate::registry::commit::store_status(&e))?;
        Ok((range.entries, range.revision))
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
        if self.ended {
            return None;
        }
        let mut out = Vec::new();
        while let Some(entry) = self.initial.next() {
            self.push_entry(&mut out, Kind::Added, &entry, entry.mod_revision);
            if out.len() >= CHUNK {
                return Some(out.into());
            }
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
            let progress = watcher.read(EVENTS_MAX, &mut self.events);
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
            if self.events.len() == EVENTS_MAX {
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
                if revision > self.bookmarked || self.last_bookmark_sent {
                    self.push_bookmark(out, revision.max(self.bookmarked), false);
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
        self.bookmarked = revision;
        let end_of_initial = end_of_initial || std::mem::take(&mut self.marks_first_bookmark);
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
