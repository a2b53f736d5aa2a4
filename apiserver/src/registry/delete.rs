//! Delete: at once, gracefully, or not before finalizers are gone. Mirrors upstream's `rest.BeforeDelete` and
//! `Store.Delete`: also in that the end of a graceful deletion is two transactions, by which watchers see that no time is
//! left before they see the object go.

use std::sync::Arc;

use apimachinery::time::{format_time, parse_time};
use apimachinery::{Status, Value, meta};
use jiff::SignedDuration;
use store::Cond;

use super::commit::{ATTEMPTS_MAX, Committed, Proposal, lost_every_race};
use super::object::{metadata, set_generation};
use super::options::{DeleteOptions, Propagation};
use super::prepare::{AdmissionFrame, Context};
use super::update::Target;
use super::{Registry, Resource};
use crate::seams::Operation;

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// What a delete left.
#[derive(Debug)]
pub struct Deleted {
    /// The object as it is now, or as it was last; hub version.
    pub object: Value,
    pub revision: Option<u64>,
    /// It is gone.
    pub gone: bool,
    /// Answer with the object rather than a Status.
    pub show_object: bool,
}

/// What the rules say of one attempt.
#[derive(Debug, PartialEq)]
enum Step {
    /// Nothing to do: a deletion is under way.
    Pending,
    /// Stored again, marked.
    Mark(Value),
    /// Marked with no time left, and removed.
    Finish(Value),
    /// Removed. The object is what the answer shows.
    Remove(Value),
}

impl Registry {
    /// Deletes an object.
    pub async fn delete(
        &self,
        target: Target<'_>,
        options: &DeleteOptions,
        context: &mut Context<'_>,
    ) -> Result<Deleted, Status> {
        let key: store::Key = target.key().into();
        let resource = target.resource;
        self.linearize().await?;
        let mut finishing: Option<Deleted> = None;
        for _ in 0..ATTEMPTS_MAX {
            let entry = self.view.get(&key);
            let old = match &entry {
                Some(entry) => Some(
                    self.decoded(resource, entry)
                        .ok_or_else(|| Status::internal("the stored object cannot be decoded"))?,
                ),
                None => None,
            };
            // Between our two transactions somebody else, the node's kubelet most often, may have finished what we began.
            if let Some(ours) = finishing
                .take_if(|ours| old.as_ref().is_none_or(|old| meta::uid(old) != meta::uid(&ours.object)))
            {
                return Ok(ours);
            }
            let (Some(entry), Some(old)) = (entry, old) else { return Err(target.not_found()) };
            // The revision was checked before our mark; what has changed since is ours, or came too late to be meant.
            let revision = options.resource_version.as_deref().filter(|_| finishing.is_none());
            check_preconditions(resource, target.name, &old, options.uid.as_deref(), revision)?;
            if context.admit {
                self.delete_admission(&target, &old, options, context).await?;
            }
            let step = self.plan_delete(resource, &old, options);
            let gone = matches!(step, Step::Remove(_) | Step::Finish(_));
            let finish = matches!(step, Step::Finish(_));
            let (mut object, pending) = match step {
                Step::Pending => ((*old).clone(), true),
                Step::Mark(object) | Step::Finish(object) | Step::Remove(object) => (object, false),
            };
            let show_object =
                !gone && !pending || resource.traits.returns_deleted || self.is_namespace(resource);
            let done = |object, revision| Deleted { object, revision, gone, show_object };
            if pending || options.dry_run {
                return Ok(done(object, Some(entry.mod_revision)));
            }
            let text = self.encode(resource, &mut object)?;
            if !gone && text == entry.value {
                return Ok(done(object, Some(entry.mod_revision)));
            }
            let mut revision = entry.mod_revision;
            if finish && text != entry.value {
                let marked = Proposal {
                    key: Arc::clone(&key),
                    cond: Cond::ModRevision(revision),
                    value: Some(text.clone()),
                    expiry: entry.expiry,
                    guards: Vec::new(),
                    ops: Vec::new(),
                };
                match self.commit(marked).await? {
                    Committed::Done(at) => revision = at,
                    Committed::Lost { .. } => continue,
                }
                finishing = Some(done(object.clone(), Some(revision)));
            }
            let (guards, ops) = match self.allocator(resource).filter(|_| gone) {
                Some(allocator) => allocator.release(&old),
                None => Default::default(),
            };
            let proposal = Proposal {
                key: Arc::clone(&key),
                cond: Cond::ModRevision(revision),
                value: (!gone).then_some(text),
                expiry: entry.expiry,
                guards,
                ops,
            };
            // What is gone is shown with the revision at which it went.
            if let Committed::Done(revision) = self.commit(proposal).await? {
                return Ok(done(object, Some(revision)));
            }
        }
        Err(lost_every_race(resource.group(), resource.plural(), "delete"))
    }

    async fn delete_admission(
        &self,
        target: &Target<'_>,
        old: &Value,
        options: &DeleteOptions,
        context: &mut Context<'_>,
    ) -> Result<(), Status> {
        if self.plugins().admission.is_empty() {
            return Ok(());
        }
        let options_value = options.as_value();
        let user = Arc::clone(context.user);
        let frame = AdmissionFrame {
            operation: Operation::Delete,
            resource: target.resource,
            subresource: "",
            kind: &target.resource.info.kind,
            namespace: target.namespace,
            name: target.name,
            options: &options_value,
            dry_run: options.dry_run,
            user: &user,
        };
        let mut none = Value::NULL;
        self.admit(&mut frame.request(&mut none, Some(old), context.warnings)).await?;
        self.validate_admission(&frame.request(&mut none, Some(old), context.warnings)).await
    }

    fn is_namespace(&self, resource: &Resource) -> bool {
        (resource.group(), resource.plural()) == ("", "namespaces")
    }

    fn plan_delete(&self, resource: &Resource, old: &Value, options: &DeleteOptions) -> Step {
        let now = self.now();
        if self.is_namespace(resource) {
            return plan_namespace(old, options, now);
        }
        let requested = options.grace_period_seconds.map(|s| if s < 0 { 1 } else { s });
        let mut object = old.clone();
        let grace = if meta::deletion_timestamp(old).is_some() {
            match shorten(&mut object, requested) {
                Shortened::Pending => return Step::Pending,
                Shortened::To(grace) => Some(grace),
                Shortened::NotGraceful => None,
            }
        } else {
            let strategy = self.strategy(resource);
            if let Some(strategy) = &strategy {
                strategy.prepare_delete(now, &mut object);
            }
            let grace = strategy.and_then(|s| s.graceful_deletion(old, requested));
            if let Some(grace) = grace {
                mark(&mut object, now, grace);
            }
            grace
        };
        apply_finalizers(&mut object, options, resource.traits.uncollected);
        let finalizers = meta::finalizers(&object).next().is_some();
        match grace {
            Some(grace) if finalizers || grace > 0 => Step::Mark(object),
            Some(_) => Step::Finish(object),
            None if finalizers => {
                if meta::deletion_timestamp(&object).is_none() {
                    mark(&mut object, now, 0);
                } else {
                    metadata(&mut object).insert("deletionGracePeriodSeconds", 0i64);
                }
                Step::Mark(object)
            }
            None => Step::Remove(old.clone()),
        }
    }
}

/// Sets when the object is to be gone, and counts the generation that this is.
fn mark(object: &mut Value, now: jiff::Timestamp, grace: i64) {
    let at = now.checked_add(SignedDuration::from_secs(grace)).unwrap_or(now);
    let members = metadata(object);
    members.insert("deletionTimestamp", format_time(at));
    members.insert("deletionGracePeriodSeconds", grace);
    let generation = meta::generation(object);
    if generation > 0 {
        set_generation(object, generation + 1);
    }
}

enum Shortened {
    Pending,
    To(i64),
    NotGraceful,
}

/// A deletion under way can only be made faster.
fn shorten(object: &mut Value, requested: Option<i64>) -> Shortened {
    let Some(current) = object.i64_at(&["metadata", "deletionGracePeriodSeconds"]) else {
        return Shortened::NotGraceful;
    };
    // A deletion that only waits for finalizers has no time left to shorten; finalizers may still change.
    if current == 0 {
        return Shortened::NotGraceful;
    }
    match requested {
        Some(period) if period < current => {
            let at = meta::deletion_timestamp(object).and_then(|t| parse_time(t).ok());
            let members = metadata(object);
            if let Some(at) = at.and_then(|t| t.checked_sub(SignedDuration::from_secs(current - period)).ok())
            {
                members.insert("deletionTimestamp", format_time(at));
            }
            members.insert("deletionGracePeriodSeconds", period);
            Shortened::To(period)
        }
        _ => Shortened::Pending,
    }
}

/// Puts the garbage collector's finalizers on or takes them off, as the options say.
fn apply_finalizers(object: &mut Value, options: &DeleteOptions, uncollected: bool) {
    let own: Vec<String> = meta::finalizers(object).map(str::to_owned).collect();
    let has = |name: &str| own.iter().any(|f| f == name);
    let (orphan, foreground) = match (options.orphan_dependents, options.propagation) {
        _ if uncollected => (false, false),
        (Some(orphan), _) => (orphan, false),
        (None, Some(policy)) => (policy == Propagation::Orphan, policy == Propagation::Foreground),
        (None, None) => (has(ORPHAN), has(FOREGROUND)),
    };
    let mut wanted: Vec<String> = own.iter().filter(|f| *f != ORPHAN && *f != FOREGROUND).cloned().collect();
    if orphan {
        wanted.push(ORPHAN.into());
    }
    if foreground {
        wanted.push(FOREGROUND.into());
    }
    let same = wanted.len() == own.len() && wanted.iter().all(|f| own.contains(f));
    if same {
        return;
    }
    let members = metadata(object);
    if wanted.is_empty() {
        members.remove("finalizers");
    } else {
        members.insert("finalizers", wanted.into_iter().map(Value::from).collect::<Vec<_>>());
    }
}

/// A namespace becomes Terminating and stays until its own finalizers (`spec.finalizers`) are gone.
fn plan_namespace(old: &Value, options: &DeleteOptions, now: jiff::Timestamp) -> Step {
    let mut object = old.clone();
    let spec_finalizers = !old.array_at(&["spec", "finalizers"]).is_empty();
    if meta::deletion_timestamp(old).is_none() {
        metadata(&mut object).insert("deletionTimestamp", format_time(now));
        object.set_at(&["status", "phase"], "Terminating");
        apply_finalizers(&mut object, options, false);
        // Also one that nothing holds goes only with the next request.
        return Step::Mark(object);
    }
    if spec_finalizers {
        return Step::Pending;
    }
    apply_finalizers(&mut object, options, false);
    if meta::finalizers(&object).next().is_some() { Step::Mark(object) } else { Step::Remove(object) }
}

/// Preconditions are refused under the kind's name, as upstream does.
fn check_preconditions(
    resource: &Resource,
    name: &str,
    old: &Value,
    wanted_uid: Option<&str>,
    wanted_revision: Option<&str>,
) -> Result<(), Status> {
    let refuse = |why: String| Status::conflict(resource.group(), &resource.info.kind, name, &why);
    let uid = meta::uid(old);
    if let Some(wanted) = wanted_uid.filter(|w| *w != uid) {
        return Err(refuse(format!(
            "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have \
             been deleted and then recreated"
        )));
    }
    let revision = meta::resource_version(old);
    if let Some(wanted) = wanted_revision.filter(|w| *w != revision) {
        return Err(refuse(format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record \
             ({revision}). The object might have been modified"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(meta: &str) -> Value {
        Value::from_json(format!(r#"{{"metadata":{{{meta}}}}}"#).as_bytes()).unwrap()
    }

    #[track_caller]
    fn check_finalizers(own: &str, options: DeleteOptions, expected: &[&str]) {
        let mut value = object(&format!(r#""finalizers":[{own}]"#));
        apply_finalizers(&mut value, &options, false);
        assert_eq!(meta::finalizers(&value).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn finalizers_of_the_garbage_collector() {
        let policy = |p| DeleteOptions { propagation: Some(p), ..DeleteOptions::default() };
        check_finalizers("", policy(Propagation::Orphan), &["orphan"]);
        check_finalizers("\"a/b\"", policy(Propagation::Foreground), &["a/b", "foregroundDeletion"]);
        check_finalizers("\"orphan\"", policy(Propagation::Background), &[]);
        check_finalizers("\"foregroundDeletion\"", DeleteOptions::default(), &["foregroundDeletion"]);
        check_finalizers("\"foregroundDeletion\"", policy(Propagation::Orphan), &["orphan"]);
        let orphan = DeleteOptions { orphan_dependents: Some(true), ..DeleteOptions::default() };
        check_finalizers("", orphan, &["orphan"]);
    }

    #[test]
    fn a_second_delete_only_shortens() {
        let marked = r#""deletionTimestamp":"2026-01-01T00:00:30Z","deletionGracePeriodSeconds":30"#;
        let mut value = object(marked);
        assert!(matches!(shorten(&mut value, None), Shortened::Pending));
        assert!(matches!(shorten(&mut value, Some(30)), Shortened::Pending));
        assert!(matches!(shorten(&mut value, Some(1)), Shortened::To(1)));
        assert_eq!(meta::deletion_timestamp(&value), Some("2026-01-01T00:00:01Z"));
    }

    #[test]
    fn namespaces_wait_for_their_own_finalizers() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let value =
            Value::from_json(br#"{"metadata":{"name":"a"},"spec":{"finalizers":["kubernetes"]}}"#).unwrap();
        let Step::Mark(marked) = plan_namespace(&value, &DeleteOptions::default(), now) else {
            panic!("not marked")
        };
        assert_eq!(marked.str_at(&["status", "phase"]), Some("Terminating"));
        assert_eq!(plan_namespace(&marked, &DeleteOptions::default(), now), Step::Pending);
    }

    #[test]
    fn a_namespace_that_nothing_holds_goes_with_the_second_delete() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let value = Value::from_json(br#"{"metadata":{"name":"a"},"spec":{}}"#).unwrap();
        let Step::Mark(marked) = plan_namespace(&value, &DeleteOptions::default(), now) else {
            panic!("not marked")
        };
        assert!(matches!(plan_namespace(&marked, &DeleteOptions::default(), now), Step::Remove(_)));
    }
}
