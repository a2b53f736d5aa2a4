//! Where a watch starts: with what there is, or after a revision that the client names.
//!
//! What there is is read page by page, as the client takes it: a watcher that is slow, or one of a thousand that come back
//! at once, holds a page and not the whole state. One that is so slow that its state is dropped from the history would
//! have lost the changes after it as well; it is told so.

use std::sync::Arc;

use apimachinery::Status;
use store::{Entry, Key, Revision, StoreError, View, Watcher};

use crate::registry::commit::store_status;
use crate::registry::options::ListOptions;
use crate::registry::selection::Selection;
use crate::registry::{Registry, Resource, keys};
use crate::server::Call;

/// Objects of the state that a watcher holds at a time: what a few pieces of the answer are made of.
const PAGE: usize = 128;

/// What a watcher is woken for; its selection may let through less.
#[derive(Clone, Copy)]
enum Topic<'a> {
    /// A prefix or key.
    Scope(&'a str),
    /// A value of the View's index.
    Value(&'a str),
}

/// See the module.
pub(super) struct Start {
    pub(super) initial: Option<Initial>,
    /// The bookmark that ends the initial events, if it is wanted.
    pub(super) end_of_initial: Option<Revision>,
    pub(super) watcher: Option<Watcher>,
    /// The watch ends with this before it has begun.
    pub(super) error: Option<Status>,
    pub(super) revision: Revision,
}

/// The objects that were there when the watch began.
pub(super) struct Initial {
    page: std::vec::IntoIter<Arc<Entry>>,
    /// The key after which the next page starts; `None` on the last page.
    after: Option<Key>,
    scope: String,
    at: Revision,
}

impl Initial {
    fn one(entry: Option<Arc<Entry>>, at: Revision) -> Self {
        let page: Vec<_> = entry.into_iter().collect();
        Self { page: page.into_iter(), after: None, scope: String::new(), at }
    }

    fn of(view: &View, scope: &str) -> Result<Self, StoreError> {
        let first = view.page(scope, None, PAGE, None)?;
        let mut initial =
            Self { page: Vec::new().into_iter(), after: None, scope: scope.to_owned(), at: first.revision };
        initial.turn(first);
        Ok(initial)
    }

    fn turn(&mut self, range: store::Range) {
        self.after = range.entries.last().filter(|_| range.more).map(|e| Arc::clone(&e.key));
        self.page = range.entries.into_iter();
    }

    /// The next object of this page.
    pub(super) fn next(&mut self) -> Option<Arc<Entry>> {
        self.page.next()
    }

    /// Goes on to the next page; false when there is none.
    pub(super) fn next_page(&mut self, view: &View) -> Result<bool, StoreError> {
        let Some(after) = self.after.take() else { return Ok(false) };
        let range = view.page(&self.scope, Some(&after), PAGE, Some(self.at))?;
        self.turn(range);
        Ok(true)
    }
}

impl Start {
    pub(super) async fn plan(
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
        let wants_state = options.send_initial_events.unwrap_or(matches!(revision, None | Some(0)));
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
        let view = registry.view();
        if wants_state {
            let initial = match &exact {
                Some(key) => {
                    let at = view.revision();
                    view.get_at(key, at).map(|found| Initial::one(found, at))
                }
                None => Initial::of(view, &scope),
            };
            let initial = initial.map_err(|e| store_status(&e))?;
            let bookmark = options.send_initial_events == Some(true) && options.allow_bookmarks;
            let at = initial.at;
            return Ok(Self {
                initial: Some(initial),
                end_of_initial: bookmark.then_some(at),
                ..Self::from(registry, topic, at)
            });
        }
        Ok(match revision {
            None | Some(0) => Self::from(registry, topic, view.revision()),
            Some(revision) => Self::from(registry, topic, revision),
        })
    }

    fn empty(revision: Revision) -> Self {
        Self { initial: None, end_of_initial: None, watcher: None, error: None, revision }
    }

    /// Everything after `revision`.
    fn from(registry: &Arc<Registry>, topic: Topic<'_>, revision: Revision) -> Self {
        let view = registry.view();
        // Nothing comes after the last number that there is, so any later start is the same.
        let from = revision.saturating_add(1);
        let watcher = match topic {
            Topic::Scope(scope) => view.watch(scope, from),
            Topic::Value(value) => view.watch_value(value, from).expect("pods are indexed"),
        };
        let (watcher, error) = match watcher {
            Ok(watcher) => (Some(watcher), None),
            Err(StoreError::Compacted { oldest, .. }) => (None, Some(too_old(revision, oldest))),
            Err(error) => (None, Some(store_status(&error))),
        };
        Self { watcher, error, ..Self::empty(revision) }
    }
}

/// What a watch hears whose history is gone.
pub(super) fn too_old(asked: Revision, oldest: Revision) -> Status {
    Status::resource_expired(format!("too old resource version: {asked} ({oldest})"))
}
