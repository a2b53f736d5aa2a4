//! Lists: which revision a request is answered at, pages, and what matches.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::Status;
use store::{Entry, Revision, StoreError};

use super::commit::store_status;
use super::options::{ListOptions, RevisionMatch};
use super::selection::Selection;
use super::{Registry, Resource, keys, token};
use crate::response::bad_request;

/// How long a read waits for a revision that is yet to come, as upstream.
const FUTURE_WAIT: Duration = Duration::from_secs(3);

/// Entries looked at in one go when a selector lets few through.
const CHUNK: usize = 500;

/// A page.
#[derive(Debug)]
pub struct Page {
    pub entries: Vec<Arc<Entry>>,
    pub revision: Revision,
    /// Empty on the last page.
    pub continue_token: String,
    /// Known only without selectors.
    pub remaining: Option<usize>,
}

const TOO_OLD_CONTINUE: &str = "The provided continue parameter is too old to display a consistent list result. You \
     can start a new list without the continue parameter, or use the continue token in this response to retrieve the \
     remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were \
     created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

/// Where a list reads.
struct Plan {
    /// `None`: now.
    at: Option<Revision>,
    /// The first key of the page.
    start: Option<String>,
    limit: usize,
}

impl Registry {
    /// Waits until the View has reached a revision that a client names; not for ever.
    pub(crate) async fn wait_for_revision(&self, revision: Revision) -> Result<(), Status> {
        if revision <= self.view.revision() {
            return Ok(());
        }
        // A revision beyond everything acknowledged may just be on its way from another server.
        match tokio::time::timeout(FUTURE_WAIT, self.view.wait_for(revision)).await {
            Ok(outcome) => outcome.map_err(|e| store_status(&e)),
            Err(_) => Err(Status::too_large_resource_version(revision, self.view.revision(), 1)),
        }
    }

    /// Answers a list of one namespace, or of all when `namespace` is empty.
    pub async fn list(
        &self,
        resource: &Resource,
        namespace: &str,
        options: &ListOptions,
        selection: &Selection,
    ) -> Result<Page, Status> {
        let scope = keys::scope(&resource.prefix, namespace);
        let revision =
            options.revision().map_err(|why| bad_request(format!("invalid resource version: {why}")))?;
        let plan = self.plan_list(&scope, options, revision).await?;
        if let Some(name) = &selection.name
            && (!resource.info.namespaced || !namespace.is_empty())
            && plan.start.is_none()
        {
            return self.list_one(resource, &keys::key(&resource.prefix, namespace, name), &plan, selection);
        }
        let outcome = self.page(resource, &scope, &plan, selection).await;
        match outcome {
            Err(StoreError::Compacted { .. }) if plan.start.is_some() => {
                let start = plan.start.unwrap_or_default();
                let mut status = Status::resource_expired(TOO_OLD_CONTINUE);
                status.metadata.continue_token = token::encode(&scope, &start, None);
                Err(status)
            }
            other => other.map_err(|e| store_status(&e)),
        }
    }

    async fn plan_list(
        &self,
        scope: &str,
        options: &ListOptions,
        revision: Option<Revision>,
    ) -> Result<Plan, Status> {
        let limit = usize::try_from(options.limit).unwrap_or(usize::MAX);
        if !options.continue_token.is_empty() {
            if revision.is_some_and(|r| r != 0) {
                return Err(bad_request("specifying resource version is not allowed when using continue"));
            }
            let next = token::decode(scope, &options.continue_token).map_err(bad_request)?;
            match next.revision {
                Some(at) => self.wait_for_revision(at).await?,
                None => {
                    self.linearize().await?;
                }
            }
            return Ok(Plan { at: next.revision, start: Some(next.start), limit });
        }
        match (revision, options.revision_match) {
            (None, _) => {
                self.linearize().await?;
                Ok(Plan { at: None, start: None, limit })
            }
            // Any state will do, and the watch cache that upstream answers this from knows no pages.
            (Some(0), RevisionMatch::Unset | RevisionMatch::NotOlderThan) => {
                Ok(Plan { at: None, start: None, limit: 0 })
            }
            (Some(at), RevisionMatch::Exact) => {
                self.wait_for_revision(at).await?;
                Ok(Plan { at: Some(at), start: None, limit })
            }
            // A limit without a match asks for that very revision, as upstream reads it.
            (Some(at), RevisionMatch::Unset) if limit > 0 => {
                self.wait_for_revision(at).await?;
                Ok(Plan { at: Some(at), start: None, limit })
            }
            (Some(at), _) => {
                self.wait_for_revision(at).await?;
                Ok(Plan { at: None, start: None, limit })
            }
        }
    }

    /// A selector that names one object is a get.
    fn list_one(
        &self,
        resource: &Resource,
        key: &str,
        plan: &Plan,
        selection: &Selection,
    ) -> Result<Page, Status> {
        let (found, revision) = match plan.at {
            Some(at) => (self.view.get_at(key, at).map_err(|e| store_status(&e))?, at),
            None => {
                let revision = self.view.revision();
                (self.view.get(key), revision)
            }
        };
        let entries: Vec<_> =
            found.into_iter().filter(|entry| selection.matches(self, resource, entry)).collect();
        // The key may have changed between the two reads above.
        let revision = entries.iter().map(|e| e.mod_revision).max().unwrap_or(0).max(revision);
        Ok(Page { entries, revision, continue_token: String::new(), remaining: None })
    }

    async fn page(
        &self,
        resource: &Resource,
        scope: &str,
        plan: &Plan,
        selection: &Selection,
    ) -> Result<Page, StoreError> {
        // A page starts at a key; the View starts after one. Tokens end in a zero byte, which is the first key after.
        let mut after = plan.start.as_ref().map(|s| s.strip_suffix('\0').unwrap_or(s).to_owned());
        if selection.is_everything() {
            let range = self.view.range(scope, after.as_deref(), plan.limit, plan.at)?;
            let token = next_token(scope, range.more, range.entries.last(), range.revision);
            return Ok(Page {
                remaining: range.more.then_some(range.remaining),
                entries: range.entries,
                revision: range.revision,
                continue_token: token,
            });
        }
        let mut entries = Vec::new();
        let mut at = plan.at;
        loop {
            let limit = if plan.limit == 0 { 0 } else { CHUNK.max(plan.limit) };
            let range = self.view.page(scope, after.as_deref(), limit, at)?;
            at = Some(range.revision);
            for (i, entry) in range.entries.iter().enumerate() {
                if !selection.matches(self, resource, entry) {
                    continue;
                }
                entries.push(Arc::clone(entry));
                if entries.len() == plan.limit {
                    // Upstream offers the next page whenever keys are left, whether or not they would match.
                    let more = range.more || i + 1 < range.entries.len();
                    let continue_token = next_token(scope, more, entries.last(), range.revision);
                    return Ok(Page { entries, revision: range.revision, continue_token, remaining: None });
                }
            }
            if !range.more {
                let revision = range.revision;
                return Ok(Page { entries, revision, continue_token: String::new(), remaining: None });
            }
            after = range.entries.last().map(|e| e.key.to_string());
            tokio::task::yield_now().await;
        }
    }
}

fn next_token(scope: &str, more: bool, last: Option<&Arc<Entry>>, revision: Revision) -> String {
    match last.filter(|_| more) {
        Some(last) => token::encode(scope, &format!("{}\0", last.key), Some(revision)),
        None => String::new(),
    }
}
