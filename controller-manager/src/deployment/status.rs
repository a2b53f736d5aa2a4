//! A Deployment's status: counts and the Available, Progressing and ReplicaFailure conditions, with upstream's reasons
//! and wording.

use jiff::Timestamp;

use super::plan::{Set, max_unavailable};
use crate::objects::{Condition, Deployment, DeploymentStatus};

/// What the status is computed from.
pub(crate) struct View<'a> {
    pub(crate) deployment: &'a Deployment,
    pub(crate) sets: &'a [Set],
    pub(crate) new: Option<usize>,
    pub(crate) now: Timestamp,
}

/// A deadline of this many seconds means none.
const NO_DEADLINE: i32 = i32::MAX;

pub(crate) fn has_deadline(deployment: &Deployment) -> bool {
    deployment.spec.progress_deadline_seconds.is_some_and(|d| d != NO_DEADLINE)
}

/// Everything is of the new template, available and nothing old is left.
pub(crate) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let desired = deployment.spec.replicas.unwrap_or(1);
    status.updated_replicas == desired
        && status.replicas == desired
        && status.available_replicas == desired
        && status.observed_generation >= deployment.metadata.generation
}

pub(crate) fn condition(kind: &str, status: &str, reason: &str, message: &str, now: Timestamp) -> Condition {
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    Condition {
        kind: kind.into(),
        status: status.into(),
        last_update_time: Some(now),
        last_transition_time: Some(now),
        last_heartbeat_time: None,
        reason: reason.into(),
        message: message.into(),
    }
}

/// Sets a condition unless one of the same status and reason is there; keeps the transition time of an equal status.
pub(crate) fn set_condition(conditions: &mut Vec<Condition>, mut new: Condition) {
    if let Some(old) = Condition::find(conditions, &new.kind) {
        if old.status == new.status && old.reason == new.reason {
            return;
        }
        if old.status == new.status {
            new.last_transition_time = old.last_transition_time;
        }
    }
    remove_condition(conditions, &new.kind);
    conditions.push(new);
}

pub(crate) fn remove_condition(conditions: &mut Vec<Condition>, kind: &str) {
    conditions.retain(|c| c.kind != kind);
}

impl View<'_> {
    /// Counts and the Available condition.
    fn counts(&self) -> DeploymentStatus {
        let sum = |count: fn(&Set) -> i32| self.sets.iter().map(count).sum::<i32>();
        let available = sum(|s| s.status.available_replicas);
        let deployment = self.deployment;
        let mut conditions = deployment.status.conditions.clone();
        let needed = deployment.spec.replicas.unwrap_or(1) - max_unavailable(deployment);
        let (status, reason, message) = if available >= needed {
            ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        } else {
            ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        };
        set_condition(&mut conditions, condition("Available", status, reason, message, self.now));
        DeploymentStatus {
            observed_generation: deployment.metadata.generation,
            replicas: sum(|s| s.status.replicas),
            updated_replicas: self.new.map_or(0, |i| self.sets[i].status.replicas),
            ready_replicas: sum(|s| s.status.ready_replicas),
            available_replicas: available,
            unavailable_replicas: (sum(|s| s.replicas) - available).max(0),
            terminating_replicas: Some(sum(|s| s.status.terminating_replicas.unwrap_or(0))),
            collision_count: deployment.status.collision_count,
            conditions,
        }
    }

    /// The status of a Deployment that is paused, scaled or deleted: progress is not judged.
    pub(crate) fn plain(&self) -> (DeploymentStatus, Option<i64>) {
        let mut status = self.counts();
        self.note_pause(&mut status);
        (status, None)
    }

    /// A pause stops the progress deadline, and resuming starts it anew.
    fn note_pause(&self, status: &mut DeploymentStatus) {
        let deployment = self.deployment;
        if !has_deadline(deployment) {
            return;
        }
        let current = Condition::find(&status.conditions, "Progressing");
        if current.is_some_and(|c| c.reason == "ProgressDeadlineExceeded") {
            return;
        }
        let paused = current.is_some_and(|c| c.reason == "DeploymentPaused");
        let (reason, message) = match (deployment.spec.paused, paused) {
            (true, false) => ("DeploymentPaused", "Deployment is paused"),
            (false, true) => ("DeploymentResumed", "Deployment is resumed"),
            _ => return,
        };
        set_condition(&mut status.conditions, condition("Progressing", "Unknown", reason, message, self.now));
    }

    /// The status during a rollout, and the delay in seconds after which the deadline may have passed.
    pub(crate) fn rollout(&self) -> (DeploymentStatus, Option<i64>) {
        let deployment = self.deployment;
        let mut status = self.counts();
        self.note_pause(&mut status);
        if has_deadline(deployment) {
            self.judge(&mut status);
        } else {
            remove_condition(&mut status.conditions, "Progressing");
        }
        match self.failure() {
            Some(failure) => set_condition(&mut status.conditions, failure),
            None => remove_condition(&mut status.conditions, "ReplicaFailure"),
        }
        let again = self.deadline_in(&status);
        (status, again)
    }

    fn judge(&self, status: &mut DeploymentStatus) {
        let current = Condition::find(&status.conditions, "Progressing").cloned();
        let reason = current.as_ref().map_or("", |c| c.reason.as_str());
        if status.replicas == status.updated_replicas && reason == "NewReplicaSetAvailable" {
            return;
        }
        let subject = match self.new {
            Some(new) => format!("ReplicaSet {:?}", self.sets[new].meta.name),
            None => format!("Deployment {:?}", self.deployment.metadata.name),
        };
        let say = |status: &str, reason: &str, what: &str| {
            condition("Progressing", status, reason, &format!("{subject} {what}"), self.now)
        };
        if is_complete(self.deployment, status) {
            let done = say("True", "NewReplicaSetAvailable", "has successfully progressed.");
            set_condition(&mut status.conditions, done);
        } else if self.is_progressing(status) {
            let mut going = say("True", "ReplicaSetUpdated", "is progressing.");
            if let Some(current) = &current {
                if current.status == "True" {
                    going.last_transition_time = current.last_transition_time;
                }
                // Each step forward moves the update time: the deadline counts from there.
                remove_condition(&mut status.conditions, "Progressing");
            }
            set_condition(&mut status.conditions, going);
        } else if self.is_timed_out(status) {
            let late = say("False", "ProgressDeadlineExceeded", "has timed out progressing.");
            set_condition(&mut status.conditions, late);
        } else if current.is_none() && self.new.is_some() {
            let found = say("True", "FoundNewReplicaSet", "");
            let message = format!("Found new replica set {:?}", self.new_name());
            set_condition(&mut status.conditions, Condition { message, ..found });
        }
    }

    fn new_name(&self) -> &str {
        self.new.map_or("", |i| self.sets[i].meta.name.as_str())
    }

    fn is_progressing(&self, status: &DeploymentStatus) -> bool {
        let before = &self.deployment.status;
        let (old_before, old_now) =
            (before.replicas - before.updated_replicas, status.replicas - status.updated_replicas);
        status.updated_replicas > before.updated_replicas
            || old_now < old_before
            || status.ready_replicas > before.ready_replicas
            || status.available_replicas > before.available_replicas
    }

    fn is_timed_out(&self, status: &DeploymentStatus) -> bool {
        let Some(current) = Condition::find(&status.conditions, "Progressing") else { return false };
        match current.reason.as_str() {
            "NewReplicaSetAvailable" => false,
            "ProgressDeadlineExceeded" => true,
            _ => self.secs_left(current).is_some_and(|left| left < 0),
        }
    }

    /// Seconds until the deadline counted from `progress`; negative when it has passed.
    fn secs_left(&self, progress: &Condition) -> Option<i64> {
        let deadline = i64::from(self.deployment.spec.progress_deadline_seconds?);
        Some(progress.last_update_time?.as_second() + deadline - self.now.as_second())
    }

    fn deadline_in(&self, status: &DeploymentStatus) -> Option<i64> {
        if !has_deadline(self.deployment) || is_complete(self.deployment, status) {
            return None;
        }
        let current = Condition::find(&status.conditions, "Progressing")?;
        if current.reason == "ProgressDeadlineExceeded" {
            return None;
        }
        // A second more: times are in whole seconds.
        self.secs_left(current).map(|left| left.max(0) + 1)
    }

    /// The failure of a ReplicaSet to make its pods: the new one's first.
    fn failure(&self) -> Option<Condition> {
        let of = |set: &Set| Condition::find(&set.status.conditions, "ReplicaFailure").cloned();
        let found = self.new.and_then(|i| of(&self.sets[i])).or_else(|| self.sets.iter().find_map(of))?;
        let transition = found.last_transition_time;
        Some(Condition { last_update_time: transition.or(Some(self.now)), ..found })
    }
}
