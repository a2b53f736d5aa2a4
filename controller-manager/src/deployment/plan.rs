//! What to do for a Deployment: a function of the Deployment, its ReplicaSets, their pods and the time.

use std::collections::BTreeMap;

use client::Meta;
use controller_kit::hash;
use jiff::Timestamp;
use serde_json::Value;

use super::status;
use crate::objects::{Deployment, DeploymentStatus};

pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
pub(crate) const TEMPLATE_HASH: &str = "pod-template-hash";
/// Annotations of a Deployment that its ReplicaSets do not inherit.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
];
/// The revision history annotation keeps this many characters.
const REVISION_HISTORY_CHARS_MAX: usize = 2000;

/// A ReplicaSet as the plan sees and changes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Set {
    pub(crate) meta: Meta,
    pub(crate) replicas: i32,
    pub(crate) min_ready_seconds: i32,
    /// The pod template without its hash label.
    pub(crate) template: Value,
    pub(crate) status: crate::objects::ReplicaSetStatus,
}

/// All that a decision depends on.
#[derive(Clone, Debug)]
pub(crate) struct Observed<'a> {
    pub(crate) deployment: &'a Deployment,
    pub(crate) template: Value,
    /// Owned ReplicaSets.
    pub(crate) sets: Vec<Set>,
    /// ReplicaSets (by uid) with a pod that is not finished.
    pub(crate) running: Vec<String>,
    pub(crate) now: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// Makes the ReplicaSet of the current template.
    Create {
        name: String,
        hash: String,
        replicas: i32,
        annotations: BTreeMap<String, String>,
    },
    /// Changes replicas (with the event), annotations and minReadySeconds.
    Update {
        index: usize,
        replicas: i32,
        annotations: BTreeMap<String, String>,
        min_ready_seconds: i32,
    },
    Delete {
        index: usize,
    },
    /// The Deployment's own revision annotation.
    SetRevision(String),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) actions: Vec<Action>,
    /// The status after the actions; written when it differs.
    pub(crate) status: DeploymentStatus,
    /// When the progress deadline has to be looked at again.
    pub(crate) again_in_secs: Option<i64>,
}

/// A template as it is compared: without the hash label that the controller itself adds.
pub(crate) fn comparable(mut template: Value) -> Value {
    if let Some(meta) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        if let Some(labels) = meta.get_mut("labels").and_then(Value::as_object_mut) {
            labels.remove(TEMPLATE_HASH);
            if labels.is_empty() {
                meta.remove("labels");
            }
        }
        // Go servers write it, ours do not; it means nothing in a template.
        meta.retain(|key, value| !(key == "creationTimestamp" && value.is_null()));
        if meta.is_empty()
            && let Some(template) = template.as_object_mut()
        {
            template.remove("metadata");
        }
    }
    template
}

pub(crate) fn revision(meta: &Meta) -> i64 {
    meta.annotations.get(REVISION).and_then(|r| r.parse().ok()).unwrap_or(0)
}

/// The plan under construction. Sets are sorted by age; `new` is the one of the current template.
struct Work<'a> {
    observed: &'a Observed<'a>,
    sets: Vec<Set>,
    original: Vec<Set>,
    new: Option<usize>,
    desired: i32,
    deleted: Vec<usize>,
    set_revision: Option<String>,
}

/// Decides. The indexes in the actions are into `observed.sets`.
pub(crate) fn plan(observed: &Observed<'_>) -> Plan {
    let mut work = Work::new(observed);
    let deployment = observed.deployment;
    if deployment.metadata.deleting() {
        return work.finish(false);
    }
    if deployment.spec.paused || work.is_scaling_event() {
        work.sync_revision();
        work.scale();
        if deployment.spec.paused {
            work.clean_up();
        }
        return work.finish(false);
    }
    if deployment.spec.strategy.kind == "Recreate" { work.recreate() } else { work.rolling() }
}

/// (surge, unavailable) in pods; never both 0.
fn fenceposts(deployment: &Deployment, desired: i32) -> (i32, i32) {
    let rolling = deployment.spec.strategy.rolling_update.clone().unwrap_or_default();
    let surge = rolling.max_surge.map_or(0, |s| s.of(desired, true));
    let unavailable = rolling.max_unavailable.map_or(0, |u| u.of(desired, false));
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
}

pub(crate) fn max_surge(deployment: &Deployment) -> i32 {
    if deployment.spec.strategy.kind == "Recreate" {
        return 0;
    }
    fenceposts(deployment, deployment.spec.replicas.unwrap_or(1)).0
}

pub(crate) fn max_unavailable(deployment: &Deployment) -> i32 {
    let desired = deployment.spec.replicas.unwrap_or(1);
    if deployment.spec.strategy.kind == "Recreate" || desired == 0 {
        return 0;
    }
    fenceposts(deployment, desired).1.min(desired)
}

impl<'a> Work<'a> {
    fn new(observed: &'a Observed<'a>) -> Self {
        let sets = observed.sets.clone();
        let mut work = Self {
            observed,
            original: sets.clone(),
            sets,
            new: None,
            desired: observed.deployment.spec.replicas.unwrap_or(1),
            deleted: Vec::new(),
            set_revision: None,
        };
        // Of several equal ones the oldest: a second one is an accident that scaling down repairs.
        work.new = work.by_age().into_iter().find(|&i| work.sets[i].template == observed.template);
        work
    }

    /// Indexes from the oldest on; names decide between equals.
    fn by_age(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.sets.len()).collect();
        order.sort_by_key(|&i| (self.sets[i].meta.creation_timestamp, self.sets[i].meta.name.clone()));
        order
    }

    fn old(&self) -> Vec<usize> {
        self.by_age().into_iter().filter(|&i| Some(i) != self.new).collect()
    }

    fn active(&self, indexes: &[usize]) -> Vec<usize> {
        indexes.iter().copied().filter(|&i| self.sets[i].replicas > 0).collect()
    }

    fn total(&self) -> i32 {
        self.sets.iter().map(|s| s.replicas).sum()
    }

    fn max_total(&self) -> i32 {
        self.desired + max_surge(self.observed.deployment)
    }

    fn is_scaling_event(&self) -> bool {
        self.sets
            .iter()
            .filter(|s| s.replicas > 0)
            .filter_map(|s| s.meta.annotations.get(DESIRED_REPLICAS)?.parse::<i32>().ok())
            .any(|desired| desired != self.desired)
    }

    /// Sets a size, and the annotations that tell a later sync what it was made for.
    fn resize(&mut self, index: usize, replicas: i32) {
        let (desired, most) = (self.desired, self.max_total());
        let set = &mut self.sets[index];
        set.replicas = replicas;
        set.meta.annotations.insert(DESIRED_REPLICAS.into(), desired.to_string());
        set.meta.annotations.insert(MAX_REPLICAS.into(), most.to_string());
    }

    /// As `resize`, but leaves a set alone that has the size already.
    fn resize_if_needed(&mut self, index: usize, replicas: i32) -> bool {
        if self.sets[index].replicas == replicas {
            return false;
        }
        self.resize(index, replicas);
        true
    }

    /// Brings revision, history and copied annotations of the new set up to date, and the Deployment's revision.
    fn sync_revision(&mut self) {
        let Some(new) = self.new else { return };
        let deployment = self.observed.deployment;
        let newest_old = self.old().iter().map(|&i| revision(&self.sets[i].meta)).max().unwrap_or(0);
        let set = &mut self.sets[new];
        copy_annotations(&deployment.metadata, &mut set.meta);
        raise_revision(&mut set.meta, newest_old + 1);
        set.min_ready_seconds = deployment.spec.min_ready_seconds;
        let revision = set.meta.annotations.get(REVISION).cloned().unwrap_or_default();
        if deployment.metadata.annotations.get(REVISION) != Some(&revision) {
            self.set_revision = Some(revision);
        }
    }

    /// The action that makes the new set; nothing else is decided until it is there.
    fn create_new(&mut self) -> Plan {
        let deployment = self.observed.deployment;
        let hash = hash::template_hash(&self.observed.template, deployment.status.collision_count);
        let revision = self.sets.iter().map(|s| revision(&s.meta)).max().unwrap_or(0) + 1;
        let mut meta = Meta::default();
        copy_annotations(&deployment.metadata, &mut meta);
        meta.annotations.insert(REVISION.into(), revision.to_string());
        meta.annotations.insert(DESIRED_REPLICAS.into(), self.desired.to_string());
        meta.annotations.insert(MAX_REPLICAS.into(), self.max_total().to_string());
        let create = Action::Create {
            name: format!("{}-{hash}", deployment.metadata.name),
            hash: hash.clone(),
            replicas: self.new_size(0),
            annotations: meta.annotations,
        };
        if deployment.metadata.annotations.get(REVISION) != Some(&revision.to_string()) {
            self.set_revision = Some(revision.to_string());
        }
        let mut plan = self.finish(false);
        if status::has_deadline(deployment) {
            let message = format!("Created new replica set \"{}-{hash}\"", deployment.metadata.name);
            let now = self.observed.now;
            let created = status::condition("Progressing", "True", "NewReplicaSetCreated", &message, now);
            status::set_condition(&mut plan.status.conditions, created);
        }
        plan.actions.insert(0, create);
        plan
    }

    /// The size to which the new set may grow from `now`.
    fn new_size(&self, now: i32) -> i32 {
        if self.observed.deployment.spec.strategy.kind == "Recreate" {
            return self.desired;
        }
        let room = self.max_total() - self.total();
        if room <= 0 {
            return now;
        }
        now + room.min(self.desired - now)
    }

    fn rolling(mut self) -> Plan {
        let Some(new) = self.new else { return self.create_new() };
        self.sync_revision();
        let size = self.sets[new].replicas;
        let target = if size > self.desired { self.desired } else { self.new_size(size) };
        if self.resize_if_needed(new, target) || self.scale_down_old(new) {
            return self.finish(true);
        }
        if status::is_complete(self.observed.deployment, &self.observed.deployment.status) {
            self.clean_up();
        }
        self.finish(true)
    }

    /// Takes from the old sets what the new one makes up for: first pods that are not available anyway.
    fn scale_down_old(&mut self, new: usize) -> bool {
        let old = self.old();
        if old.iter().map(|&i| self.sets[i].replicas).sum::<i32>() == 0 {
            return false;
        }
        let min_available = self.desired - max_unavailable(self.observed.deployment);
        let new_unavailable = self.sets[new].replicas - self.sets[new].status.available_replicas;
        let mut spare = self.total() - min_available - new_unavailable;
        if spare <= 0 {
            return false;
        }
        let mut changed = false;
        for &i in &old {
            let unhealthy = self.sets[i].replicas - self.sets[i].status.available_replicas;
            let take = spare.min(unhealthy);
            if spare <= 0 || self.sets[i].replicas == 0 || take <= 0 {
                continue;
            }
            changed |= self.resize_if_needed(i, self.sets[i].replicas - take);
            spare -= take;
        }
        let available: i32 = self.sets.iter().map(|s| s.status.available_replicas).sum();
        let mut spare = available - min_available;
        for &i in &old {
            let take = spare.min(self.sets[i].replicas);
            if take <= 0 {
                continue;
            }
            changed |= self.resize_if_needed(i, self.sets[i].replicas - take);
            spare -= take;
        }
        changed
    }

    fn recreate(mut self) -> Plan {
        self.sync_revision();
        let old = self.old();
        let mut changed = false;
        for i in self.active(&old) {
            changed |= self.resize_if_needed(i, 0);
        }
        let new_uid = self.new.map(|i| self.sets[i].meta.uid.clone());
        let old_runs = old.iter().any(|&i| self.sets[i].status.replicas > 0)
            || self.observed.running.iter().any(|uid| Some(uid) != new_uid.as_ref());
        if changed || old_runs {
            return self.finish(true);
        }
        let Some(new) = self.new else { return self.create_new() };
        self.resize_if_needed(new, self.desired);
        if status::is_complete(self.observed.deployment, &self.observed.deployment.status) {
            self.clean_up();
        }
        self.finish(true)
    }

    /// Applies a changed `spec.replicas` without rolling on: in proportion, when a rollout is under way.
    fn scale(&mut self) {
        let all = self.by_age();
        let active = self.active(&all);
        let single = match active.as_slice() {
            // Nothing runs: the new set, else the youngest.
            [] => self.new.or_else(|| all.last().copied()),
            [one] => Some(*one),
            _ => None,
        };
        if let Some(index) = single {
            // The annotation too: while it differs, every sync would take this for a scaling event.
            let set = &self.sets[index];
            let annotated = set.meta.annotations.get(DESIRED_REPLICAS);
            if set.replicas != self.desired || annotated.is_some_and(|a| *a != self.desired.to_string()) {
                self.resize(index, self.desired);
            }
            return;
        }
        if self.new.is_some_and(|i| self.is_saturated(i)) {
            for i in self.active(&self.old()) {
                self.resize_if_needed(i, 0);
            }
            return;
        }
        if self.observed.deployment.spec.strategy.kind != "Recreate" {
            self.scale_in_proportion(active);
        }
    }

    fn is_saturated(&self, index: usize) -> bool {
        let set = &self.sets[index];
        let desired = set.meta.annotations.get(DESIRED_REPLICAS).and_then(|d| d.parse().ok());
        desired == Some(self.desired)
            && set.replicas == self.desired
            && set.status.available_replicas == self.desired
    }

    fn scale_in_proportion(&mut self, mut active: Vec<usize>) {
        let allowed = if self.desired > 0 { self.max_total() } else { 0 };
        let to_add = allowed - self.total();
        // Larger sets first; of equals the newer when growing, the older when shrinking.
        if to_add > 0 {
            active.reverse();
        }
        active.sort_by_key(|&i| -self.sets[i].replicas);
        let mut added = 0;
        let mut sizes: Vec<i32> = Vec::new();
        for &i in &active {
            let share = if to_add == 0 { 0 } else { self.share(i, to_add, added) };
            added += share;
            sizes.push(self.sets[i].replicas + share);
        }
        if let Some(first) = sizes.first_mut() {
            // What rounding left over goes to the largest.
            *first = (*first + to_add - added).max(0);
        }
        for (i, size) in active.into_iter().zip(sizes) {
            self.resize(i, size);
        }
    }

    /// The part of `to_add` that one set gets.
    fn share(&self, index: usize, to_add: i32, added: i32) -> i32 {
        let set = &self.sets[index];
        if set.replicas == 0 || to_add == added {
            return 0;
        }
        let fraction = if self.desired == 0 {
            -set.replicas
        } else {
            let annotated = set.meta.annotations.get(MAX_REPLICAS).and_then(|m| m.parse::<i32>().ok());
            let before = annotated.filter(|&m| m != 0).unwrap_or(self.observed.deployment.status.replicas);
            if before == 0 {
                return 0;
            }
            let (size, most, before) =
                (i64::from(set.replicas), i64::from(self.max_total()), i64::from(before));
            // Rounded to the nearest, halves up; all numbers are positive here.
            let scaled = (2 * size * most + before) / (2 * before);
            i32::try_from(scaled).unwrap_or(i32::MAX) - set.replicas
        };
        let left = to_add - added;
        if to_add > 0 { fraction.min(left) } else { fraction.max(left) }
    }

    /// Deletes the oldest revisions beyond the history limit, if nothing of them is left.
    fn clean_up(&mut self) {
        let Some(limit) = self.observed.deployment.spec.revision_history_limit else { return };
        let limit = usize::try_from(limit).unwrap_or(0);
        let mut old: Vec<usize> = self.old().into_iter().filter(|&i| !self.sets[i].meta.deleting()).collect();
        let surplus = old.len().saturating_sub(limit);
        old.sort_by_key(|&i| revision(&self.sets[i].meta));
        for &i in old.iter().take(surplus) {
            let set = &self.sets[i];
            let busy = set.status.replicas != 0
                || set.replicas != 0
                || set.meta.generation > set.status.observed_generation;
            if !busy {
                self.deleted.push(i);
            }
        }
    }

    /// Turns what was changed into actions and computes the status. `rollout`: progress is to be judged.
    fn finish(&mut self, rollout: bool) -> Plan {
        let mut actions = Vec::new();
        for (index, (set, was)) in self.sets.iter().zip(&self.original).enumerate() {
            if self.deleted.contains(&index) {
                actions.push(Action::Delete { index });
            } else if set.replicas != was.replicas
                || set.meta.annotations != was.meta.annotations
                || set.min_ready_seconds != was.min_ready_seconds
            {
                actions.push(Action::Update {
                    index,
                    replicas: set.replicas,
                    annotations: set.meta.annotations.clone(),
                    min_ready_seconds: set.min_ready_seconds,
                });
            }
        }
        actions.extend(self.set_revision.take().map(Action::SetRevision));
        let view = status::View {
            deployment: self.observed.deployment,
            sets: &self.sets,
            new: self.new,
            now: self.observed.now,
        };
        let (status, again_in_secs) = if rollout { view.rollout() } else { view.plain() };
        Plan { actions, status, again_in_secs }
    }
}

fn copy_annotations(from: &Meta, to: &mut Meta) {
    for (key, value) in &from.annotations {
        if !NOT_COPIED.contains(&key.as_str()) {
            to.annotations.insert(key.clone(), value.clone());
        }
    }
}

/// Gives the set the newest revision, and keeps the ones that it had in its history.
fn raise_revision(meta: &mut Meta, newest: i64) {
    let old = meta.annotations.get(REVISION).cloned();
    if revision(meta) >= newest {
        return;
    }
    meta.annotations.insert(REVISION.into(), newest.to_string());
    let Some(old) = old.filter(|o| !o.is_empty()) else { return };
    let mut history = match meta.annotations.get(REVISION_HISTORY).filter(|h| !h.is_empty()) {
        Some(history) => format!("{history},{old}"),
        None => old,
    };
    while history.len() > REVISION_HISTORY_CHARS_MAX {
        match history.split_once(',') {
            Some((_, rest)) => history = rest.to_owned(),
            None => break,
        }
    }
    meta.annotations.insert(REVISION_HISTORY.into(), history);
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
