//! pods/eviction: deletes a pod if its PodDisruptionBudget allows.
//!
//! The budget is charged first, in the same way as upstream's: `disruptionsAllowed` goes down and the pod is noted in
//! `disruptedPods` by a guarded status update, then the pod is deleted. A pod that is not running yet, or has ended, costs
//! nothing.

use std::sync::Arc;

use apimachinery::status::{StatusCause, StatusDetails};
use apimachinery::{Selector, Status, Value};
use futures::future::BoxFuture;
use jiff::Timestamp;

use super::created_status;
use crate::seams::{Objects, Special, SpecialRequest};
use crate::value;
use crate::values::{meta, text};

const POLICY: &str = "policy";
/// Evictions that the controller has not confirmed yet, per budget, as upstream.
const DISRUPTED_PODS_MAX: usize = 2000;
/// Upstream's steps of its conflict back-off.
const ATTEMPTS_MAX: usize = 20;

#[derive(Debug)]
pub struct Eviction {
    objects: Arc<dyn Objects>,
}

impl Eviction {
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }

    async fn evict(&self, request: SpecialRequest<'_>) -> Result<Value, Status> {
        let asked = meta(&request.object, "name");
        if !asked.is_empty() && asked != request.name {
            return Err(Status::bad_request("name in URL does not match name in Eviction object"));
        }
        let (namespace, name) = (request.namespace, request.name);
        let mut options = request.object.get("deleteOptions").cloned().unwrap_or_else(Value::object);
        let dry_run = request.dry_run || !options.array_at(&["dryRun"]).is_empty();
        if dry_run {
            options.set_at(&["dryRun"], value!(["All"]));
        }
        // Once the budget is charged a lost race with another writer of the pod must not charge it again.
        let mut charged = false;
        for _ in 0..ATTEMPTS_MAX {
            let pod = self
                .objects
                .get("", "pods", namespace, name)
                .ok_or_else(|| Status::not_found("", "pods", name))?;
            if !charged && needs_budget(&pod) {
                match self.charge(&pod, namespace, name, dry_run, request.now).await {
                    Ok(()) => charged = true,
                    Err(status) if status.is_conflict() => continue,
                    Err(status) => return Err(status),
                }
            }
            // The pod must still be the one that was judged; a precondition of the caller's own is kept.
            let mut options = options.clone();
            if options.at(&["preconditions", "uid"]).is_none() {
                options.set_at(&["preconditions", "uid"], meta(&pod, "uid"));
            }
            if !dry_run && is_meant(&options, &pod) {
                match self.mark(&pod, namespace, name, request.now).await {
                    // The mark made a new version of the pod that the caller means.
                    Ok(Some(version)) if options.at(&["preconditions", "resourceVersion"]).is_some() => {
                        options.set_at(&["preconditions", "resourceVersion"], version);
                    }
                    Ok(_) => {}
                    Err(status) if status.is_conflict() => continue,
                    Err(status) => return Err(status),
                }
            }
            self.objects.delete("", "pods", namespace, name, options).await?;
            return Ok(created_status());
        }
        Err(too_many("Too many concurrent evictions of this pod", None, 10))
    }

    /// Says on the pod why it goes; its new version, if that was not said yet.
    async fn mark(
        &self,
        pod: &Value,
        namespace: &str,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<String>, Status> {
        let marked = pod
            .array_at(&["status", "conditions"])
            .iter()
            .any(|c| text(c, &["type"]) == "DisruptionTarget" && text(c, &["status"]) == "True");
        if marked {
            return Ok(None);
        }
        let mut pod = pod.clone();
        put_condition(
            &mut pod,
            value!({
                "type": "DisruptionTarget",
                "status": "True",
                "lastProbeTime": null,
                "lastTransitionTime": (format!("{now:.0}")),
                "reason": "EvictionByEvictionAPI",
                "message": "Eviction API: evicting",
            }),
        );
        let marked = self.objects.update("", "pods", namespace, name, "eviction", pod).await?;
        Ok(Some(meta(&marked, "resourceVersion").to_owned()))
    }

    /// Takes one disruption from the pod's budget, if it has one.
    async fn charge(
        &self,
        pod: &Value,
        namespace: &str,
        name: &str,
        dry_run: bool,
        now: Timestamp,
    ) -> Result<(), Status> {
        let budgets = self.objects.list(POLICY, "poddisruptionbudgets", namespace);
        let mut budgets = budgets.iter().filter(|b| selects(b, pod));
        let Some(budget) = budgets.next() else { return Ok(()) };
        if budgets.next().is_some() {
            return Err(Status::plain_error(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            ));
        }
        if !is_ready(pod) && spares_unready(budget) {
            return Ok(());
        }
        let charged = charged(budget, name, now)?;
        if dry_run {
            return Ok(());
        }
        let budget_name = meta(budget, "name");
        self.objects
            .update(POLICY, "poddisruptionbudgets", namespace, budget_name, "status", charged)
            .await?;
        Ok(())
    }
}

impl Special for Eviction {
    fn resource(&self) -> (&'static str, &'static str, &'static str) {
        ("", "pods", "eviction")
    }

    fn create<'a>(&'a self, request: SpecialRequest<'a>) -> BoxFuture<'a, Result<Value, Status>> {
        Box::pin(self.evict(request))
    }
}

/// Whether the pod is the one that the caller's preconditions name.
fn is_meant(options: &Value, pod: &Value) -> bool {
    ["uid", "resourceVersion"].iter().all(|field| {
        options.str_at(&["preconditions", field]).is_none_or(|wanted| wanted == meta(pod, field))
    })
}

fn needs_budget(pod: &Value) -> bool {
    let ended_or_not_begun = matches!(text(pod, &["status", "phase"]), "Succeeded" | "Failed" | "Pending");
    !ended_or_not_begun && pod.at(&["metadata", "deletionTimestamp"]).is_none()
}

fn is_ready(pod: &Value) -> bool {
    pod.array_at(&["status", "conditions"])
        .iter()
        .any(|c| text(c, &["type"]) == "Ready" && text(c, &["status"]) == "True")
}

/// An unready pod is not counted as healthy, so evicting it costs nothing: always, if the budget says so, else while
/// enough others are healthy.
fn spares_unready(budget: &Value) -> bool {
    let number = |field| budget.i64_at(&["status", field]).unwrap_or(0);
    text(budget, &["spec", "unhealthyPodEvictionPolicy"]) == "AlwaysAllow"
        || (number("desiredHealthy") > 0 && number("currentHealthy") >= number("desiredHealthy"))
}

/// The budget with one disruption less, or why not.
fn charged(budget: &Value, pod: &str, now: Timestamp) -> Result<Value, Status> {
    let name = meta(budget, "name");
    let number = |field| budget.i64_at(&["status", field]).unwrap_or(0);
    if number("observedGeneration") < budget.i64_at(&["metadata", "generation"]).unwrap_or(0) {
        let cause = format!("The disruption budget {name} is still being processed by the server.");
        return Err(too_many(VIOLATES, Some(cause), 10));
    }
    let forbidden = |why| Err(Status::forbidden(POLICY, "poddisruptionbudget", name, why));
    if number("disruptionsAllowed") < 0 {
        return forbidden("pdb disruptions allowed is negative");
    }
    let disrupted = budget.at(&["status", "disruptedPods"]).and_then(Value::as_object);
    if disrupted.is_some_and(|d| d.len() > DISRUPTED_PODS_MAX) {
        return forbidden("DisruptedPods map too big - too many evictions not confirmed by PDB controller");
    }
    if number("disruptionsAllowed") == 0 {
        let cause = format!(
            "The disruption budget {name} needs {} healthy pods and has {} currently",
            number("desiredHealthy"),
            number("currentHealthy")
        );
        return Err(too_many(VIOLATES, Some(cause), 0));
    }
    let left = number("disruptionsAllowed") - 1;
    let mut charged = budget.clone();
    charged.set_at(&["status", "disruptionsAllowed"], left);
    charged.set_at(&["status", "disruptedPods", pod], format!("{now:.0}"));
    if left == 0 {
        set_condition(&mut charged, now);
    }
    Ok(charged)
}

fn set_condition(budget: &mut Value, now: Timestamp) {
    let generation = budget.i64_at(&["status", "observedGeneration"]).unwrap_or(0);
    let condition = value!({
        "type": "DisruptionAllowed",
        "status": "False",
        "observedGeneration": (generation),
        "lastTransitionTime": (format!("{now:.0}")),
        "reason": "InsufficientPods",
        "message": "",
    });
    put_condition(budget, condition);
}

/// Puts a condition in the place of another of its type.
fn put_condition(object: &mut Value, condition: Value) {
    let kind = text(&condition, &["type"]).to_owned();
    match object.at_mut(&["status", "conditions"]).and_then(Value::as_array_mut) {
        Some(conditions) => {
            conditions.retain(|c| c.str_at(&["type"]) != Some(&kind));
            conditions.push(condition);
        }
        None => object.set_at(&["status", "conditions"], vec![condition]),
    }
}

const VIOLATES: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

fn too_many(message: &str, cause: Option<String>, retry_after_seconds: i32) -> Status {
    let causes =
        cause.map(|message| StatusCause { reason: "DisruptionBudget".into(), message, field: String::new() });
    Status::new(429, "TooManyRequests", message).with_details(StatusDetails {
        causes: causes.into_iter().collect(),
        retry_after_seconds,
        ..StatusDetails::default()
    })
}

/// Whether the budget's selector matches the pod; one without a selector matches nothing.
fn selects(budget: &Value, pod: &Value) -> bool {
    let selector = budget.at(&["spec", "selector"]);
    selector.is_some()
        && Selector::from_label_selector(selector).is_ok_and(|selector| selector.matches_object(pod))
}
