//! What an update may change of a pod.

use apimachinery::{FieldError, Path, Value, names};

use super::resources;
use crate::strategy::check::{Errors, same};
use crate::strategy::{diff, internal_form};
use crate::values::text;

/// Upstream's text about what may change.
const MUTABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
                       `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to \
                       existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
                       previously negative)";

/// The main resource: images, deadline, tolerations and (while the pod is gated) where it may be scheduled.
pub(super) fn validate(errors: &mut Errors, new: &Value, old: &Value) {
    let spec = Path::new("spec");
    if !containers_same_number(errors, new, old, &spec) {
        return;
    }
    for list in ["containers", "initContainers"] {
        for (at, container) in new.array_at(&["spec", list]).iter().enumerate() {
            // Said a second time, as upstream does.
            let path = spec.child(list).index(at);
            if text(container, &["image"]).is_empty() {
                errors.push(FieldError::required(&path.child("image"), ""));
            }
            super::container::trimmed_image(errors, container, &path);
        }
    }
    if !deadline(errors, new, old, &spec) {
        return;
    }
    tolerations(errors, new, old, &spec);
    let gates = new.array_at(&["spec", "schedulingGates"]);
    let before = old.array_at(&["spec", "schedulingGates"]);
    for (at, gate) in gates.iter().enumerate() {
        let name = text(gate, &["name"]);
        if !before.iter().any(|g| text(g, &["name"]) == name) {
            let path = spec.child("schedulingGates").index(at).child("name");
            let why = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            errors.push(FieldError::forbidden(&path, &why));
        }
    }
    let mut munged = new.clone();
    keep(&mut munged, old, &["activeDeadlineSeconds", "tolerations", "schedulingGates"]);
    if old.i64_at(&["spec", "terminationGracePeriodSeconds"]).is_some_and(|s| s < 0)
        && new.i64_at(&["spec", "terminationGracePeriodSeconds"]) == Some(1)
    {
        keep(&mut munged, old, &["terminationGracePeriodSeconds"]);
    }
    for list in ["containers", "initContainers"] {
        keep_images(&mut munged, old, list);
    }
    if !before.is_empty() {
        gated(errors, &mut munged, new, old, &spec);
    }
    forbid_the_rest(errors, &munged, old, &spec, MUTABLE);
}

fn containers_same_number(errors: &mut Errors, new: &Value, old: &Value, path: &Path) -> bool {
    for list in ["containers", "initContainers"] {
        if new.array_at(&["spec", list]).len() != old.array_at(&["spec", list]).len() {
            errors.push(FieldError::forbidden(
                &path.child(list),
                "pod updates may not add or remove containers",
            ));
            return false;
        }
    }
    true
}

/// A deadline may come and come nearer. Says whether there is anything else to look at.
fn deadline(errors: &mut Errors, new: &Value, old: &Value, path: &Path) -> bool {
    let field = path.child("activeDeadlineSeconds");
    let seconds = |pod: &Value| pod.i64_at(&["spec", "activeDeadlineSeconds"]);
    match (seconds(new), seconds(old)) {
        (Some(now), _) if !(0..=i64::from(i32::MAX)).contains(&now) => {
            errors.push(FieldError::invalid(&field, now, &names::inclusive_range(0, i32::MAX.into())));
            false
        }
        (Some(now), Some(before)) if now > before => {
            errors.push(FieldError::invalid(&field, now, "must be less than or equal to previous value"));
            false
        }
        (None, Some(_)) => {
            let why = "must not update from a positive integer to nil value";
            errors.push(FieldError::invalid(&field, Value::NULL, why));
            true
        }
        _ => true,
    }
}

/// Tolerations may only be added; only the time of one may change.
fn tolerations(errors: &mut Errors, new: &Value, old: &Value, path: &Path) {
    let (now, before) = (new.array_at(&["spec", "tolerations"]), old.array_at(&["spec", "tolerations"]));
    let without_time = |t: &Value| {
        let mut t = t.clone();
        t.remove_at(&["tolerationSeconds"]);
        t
    };
    let kept = |old: &Value| now.iter().any(|n| same(Some(&without_time(n)), Some(&without_time(old))));
    if !before.iter().all(kept) {
        let why = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(FieldError::forbidden(&path.child("tolerations"), why));
        return;
    }
    // Said a second time, as upstream does.
    super::scheduling::tolerations(errors, now, &path.child("tolerations"));
}

fn keep(munged: &mut Value, old: &Value, fields: &[&str]) {
    for field in fields {
        match old.at(&["spec", field]) {
            Some(value) => munged.set_at(&["spec", field], value.clone()),
            None => {
                munged.remove_at(&["spec", field]);
            }
        }
    }
}

fn keep_images(munged: &mut Value, old: &Value, list: &str) {
    let images: Vec<Option<Value>> =
        old.array_at(&["spec", list]).iter().map(|c| c.get("image").cloned()).collect();
    let containers = munged.at_mut(&["spec", list]).and_then(Value::as_array_mut);
    for (container, image) in containers.into_iter().flatten().zip(images) {
        match image {
            Some(image) => container.set_at(&["image"], image),
            None => {
                container.remove_at(&["image"]);
            }
        }
    }
}

/// While gates are on, node selector and required node affinity may become narrower.
fn gated(errors: &mut Errors, munged: &mut Value, new: &Value, old: &Value, path: &Path) {
    let selector = |pod: &Value| pod.at(&["spec", "nodeSelector"]).cloned();
    if !same(selector(new).as_ref(), selector(old).as_ref()) {
        let (now, before) = (selector(new), selector(old));
        let kept = crate::strategy::check::members(before.as_ref())
            .iter()
            .all(|(k, v)| now.as_ref().and_then(|n| n.get(k)) == Some(*v));
        if kept {
            keep(munged, old, &["nodeSelector"]);
        } else {
            let shown = now.unwrap_or_default();
            let why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
            errors.push(FieldError::invalid(&path.child("nodeSelector"), shown, why));
            keep(munged, old, &["nodeSelector"]);
        }
    }
    if !same(new.at(&["spec", "affinity", "nodeAffinity"]), old.at(&["spec", "affinity", "nodeAffinity"])) {
        node_affinity(errors, new, old, &path.child("affinity").child("nodeAffinity"));
        match old.at(&["spec", "affinity", "nodeAffinity"]) {
            Some(value) => munged.set_at(&["spec", "affinity", "nodeAffinity"], value.clone()),
            None => {
                munged.remove_at(&["spec", "affinity", "nodeAffinity"]);
                let rest = munged.at(&["spec", "affinity"]);
                if old.at(&["spec", "affinity"]).is_none() && same(rest, None) {
                    munged.remove_at(&["spec", "affinity"]);
                }
            }
        }
    }
}

fn node_affinity(errors: &mut Errors, new: &Value, old: &Value, path: &Path) {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    let terms = |pod: &Value| {
        pod.array_at(&["spec", "affinity", "nodeAffinity", REQUIRED, "nodeSelectorTerms"]).to_vec()
    };
    let (now, before) = (terms(new), terms(old));
    let path = path.child(REQUIRED).child("nodeSelectorTerms");
    if before.is_empty() {
        return;
    }
    let form = |term: &Value| internal_form::of("NodeSelectorTerm", Some(term));
    if now.len() != before.len() {
        let shown = Value::from(now.iter().map(form).collect::<Vec<_>>());
        let why = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.push(FieldError::invalid(&path, shown, why));
        return;
    }
    for (at, (now, before)) in now.iter().zip(&before).enumerate() {
        let lists = ["matchExpressions", "matchFields"].map(|l| (now.array_at(&[l]), before.array_at(&[l])));
        let was_empty = lists.iter().all(|(_, before)| before.is_empty());
        let grows_only = lists.iter().all(|(now, before)| {
            // A term that matched nothing matches something with its first condition.
            if was_empty { now.is_empty() } else { now.starts_with(before) }
        });
        if !grows_only {
            let why = "only additions are allowed (no mutations or deletions)";
            errors.push(FieldError::invalid(&path.index(at), form(now), why));
        }
    }
}

/// Everything that still differs is forbidden, with the difference of the specs.
fn forbid_the_rest(errors: &mut Errors, munged: &Value, old: &Value, path: &Path, what: &str) {
    if same(munged.get("spec"), old.get("spec")) {
        return;
    }
    let form = |pod: &Value| internal_form::indented(&internal_form::of("PodSpec", pod.get("spec")));
    let difference = diff::unified(&form(old), &form(munged));
    errors.push(FieldError::forbidden(path, &format!("{what}\n{difference}")));
}

/// pods/ephemeralcontainers: they may be added, not changed and not taken away.
pub(super) fn ephemeral_containers(errors: &mut Errors, new: &Value, old: &Value) {
    let path = Path::new("spec").child("ephemeralContainers");
    let now = new.array_at(&["spec", "ephemeralContainers"]);
    for before in old.array_at(&["spec", "ephemeralContainers"]) {
        let name = text(before, &["name"]);
        match now.iter().find(|c| text(c, &["name"]) == name) {
            None => {
                let why = format!("existing ephemeral containers {name:?} may not be removed\n");
                errors.push(FieldError::forbidden(&path, &why));
            }
            Some(now) if !same(Some(now), Some(before)) => {
                let form =
                    |c: &Value| internal_form::indented(&internal_form::of("EphemeralContainer", Some(c)));
                let difference = diff::unified(&form(before), &form(now));
                let why = format!("existing ephemeral containers {name:?} may not be changed\n{difference}");
                errors.push(FieldError::forbidden(&path, &why));
            }
            Some(_) => {}
        }
    }
}

/// pods/resize: cpu and memory of containers, without another quality of service.
pub(super) fn resize(errors: &mut Errors, new: &Value, old: &Value) {
    let path = Path::new("spec");
    let spec = |pod: &Value| pod.get("spec").cloned().unwrap_or_else(Value::object);
    let (now, before) = (spec(new), spec(old));
    let class = resources::qos_class(&before);
    if class != resources::qos_class(&now) {
        let why = "Pod QOS Class may not change as a result of resizing";
        errors.push(FieldError::invalid(&path, class, why));
    }
    let running = |c: &&Value| c.at(&["state", "running"]).is_some();
    let status = old.array_at(&["status", "containerStatuses"]).iter().find(running);
    if status.is_some_and(|status| status.get("resources").is_none()) {
        errors.push(FieldError::forbidden(&path, "Pod running on node without support for resize"));
    }
    if !containers_same_number(errors, new, old, &path) {
        return;
    }
    let mut munged = new.clone();
    for list in ["initContainers", "containers"] {
        let list_path = path.child(list);
        let old_list = before.array_at(&[list]);
        for (at, (now, before)) in now.array_at(&[list]).iter().zip(old_list).enumerate() {
            removed(errors, now, before, &list_path.index(at).child("resources"));
        }
        let containers = munged.at_mut(&["spec", list]).and_then(Value::as_array_mut);
        for (container, before) in containers.into_iter().flatten().zip(old_list) {
            keep_compute(container, before);
            if same(Some(container), Some(before)) {
                continue;
            }
            let sidecar = list == "initContainers" && text(container, &["restartPolicy"]) == "Always";
            let why = if sidecar {
                "only cpu and memory resources for sidecar containers are mutable"
            } else {
                "only cpu and memory resources are mutable"
            };
            errors.push(FieldError::forbidden(&path, why));
        }
    }
    if errors.is_empty() && !same(munged.get("spec"), old.get("spec")) {
        errors.push(FieldError::forbidden(&path, "only cpu and memory resources are mutable"));
    }
}

/// What a container asked for it asks for still.
fn removed(errors: &mut Errors, now: &Value, before: &Value, path: &Path) {
    for kind in ["requests", "limits"] {
        let has = |of: &Value, name: &str| of.at(&["resources", kind, name]).is_some();
        let had = crate::strategy::check::members(before.at(&["resources", kind]));
        if had.iter().any(|(name, _)| !has(now, name)) {
            let why = format!("resource {kind} cannot be removed");
            errors.push(FieldError::forbidden(&path.child(kind), &why));
        }
    }
}

/// Puts cpu and memory back to what they were, so that only what may not change is left different.
fn keep_compute(container: &mut Value, before: &Value) {
    for kind in ["limits", "requests"] {
        for name in ["cpu", "memory"] {
            let path = ["resources", kind, name];
            match before.at(&path) {
                Some(value) => container.set_at(&path, value.clone()),
                None => {
                    container.remove_at(&path);
                }
            }
        }
        let empty = container.at(&["resources", kind]).is_some_and(|list| same(Some(list), None));
        if empty && before.at(&["resources", kind]).is_none() {
            container.remove_at(&["resources", kind]);
        }
    }
}
