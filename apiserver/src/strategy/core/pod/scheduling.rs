//! Where a pod may run: affinity, tolerations, spread constraints, gates.

use apimachinery::{FieldError, Path, Value, names, selector};

use crate::strategy::check::{Errors, one_of, optional_one_of, problems};
use crate::value;
use crate::values::{string_list, text};

pub(super) fn affinity(errors: &mut Errors, spec: &Value, path: &Path) {
    let Some(affinity) = spec.get("affinity") else { return };
    let path = path.child("affinity");
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    if let Some(node) = affinity.get("nodeAffinity") {
        let path = path.child("nodeAffinity");
        if let Some(required) = node.get(REQUIRED) {
            node_selector(errors, required, &path.child(REQUIRED));
        }
        for (at, term) in node.array_at(&[PREFERRED]).iter().enumerate() {
            let path = path.child(PREFERRED).index(at);
            weight(errors, term, &path);
            let empty = Value::object();
            // What is only preferred may name values that no label has.
            let preference = term.get("preference").unwrap_or(&empty);
            node_selector_term(errors, preference, &path.child("preference"), false);
        }
    }
    for key in ["podAffinity", "podAntiAffinity"] {
        let Some(pods) = affinity.get(key) else { continue };
        let path = path.child(key);
        for (at, term) in pods.array_at(&[REQUIRED]).iter().enumerate() {
            pod_term(errors, term, &path.child(REQUIRED).index(at));
        }
        for (at, term) in pods.array_at(&[PREFERRED]).iter().enumerate() {
            let path = path.child(PREFERRED).index(at);
            weight(errors, term, &path);
            let empty = Value::object();
            pod_term(errors, term.get("podAffinityTerm").unwrap_or(&empty), &path.child("podAffinityTerm"));
        }
    }
}

fn weight(errors: &mut Errors, term: &Value, path: &Path) {
    let weight = term.i64_at(&["weight"]).unwrap_or(0);
    if !(1..=100).contains(&weight) {
        errors.push(FieldError::invalid(&path.child("weight"), weight, "must be in the range 1-100"));
    }
}

/// A node selector: at least one term.
pub(in crate::strategy) fn node_selector(errors: &mut Errors, value: &Value, path: &Path) {
    let terms = value.array_at(&["nodeSelectorTerms"]);
    let path = path.child("nodeSelectorTerms");
    if terms.is_empty() {
        errors.push(FieldError::required(&path, "must have at least one node selector term"));
    }
    for (at, term) in terms.iter().enumerate() {
        node_selector_term(errors, term, &path.index(at), true);
    }
}

fn node_selector_term(errors: &mut Errors, term: &Value, path: &Path, check_values: bool) {
    for (at, requirement) in term.array_at(&["matchExpressions"]).iter().enumerate() {
        let path = path.child("matchExpressions").index(at);
        let values = requirement.array_at(&["values"]);
        let field = path.child("values");
        match text(requirement, &["operator"]) {
            "In" | "NotIn" => {
                if values.is_empty() {
                    let why = "must be specified when `operator` is 'In' or 'NotIn'";
                    errors.push(FieldError::required(&field, why));
                }
            }
            "Exists" | "DoesNotExist" => {
                if !values.is_empty() {
                    let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                    errors.push(FieldError::forbidden(&field, why));
                }
            }
            "Gt" | "Lt" => {
                if values.len() != 1 {
                    let why = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                    errors.push(FieldError::required(&field, why));
                }
            }
            other => {
                errors.push(FieldError::invalid(
                    &path.child("operator"),
                    other,
                    "not a valid selector operator",
                ));
            }
        }
        label_name(errors, text(requirement, &["key"]), &path.child("key"));
        if check_values {
            for (at, value) in values.iter().enumerate() {
                let value = value.as_str().unwrap_or_default();
                problems(errors, &field.index(at), value, names::label_value(value));
            }
        }
    }
    for (at, requirement) in term.array_at(&["matchFields"]).iter().enumerate() {
        match_field(errors, requirement, &path.child("matchFields").index(at));
    }
}

fn match_field(errors: &mut Errors, requirement: &Value, path: &Path) {
    let values = string_list(requirement.get("values"));
    match text(requirement, &["operator"]) {
        "In" | "NotIn" => {
            if values.len() != 1 {
                let why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                errors.push(FieldError::required(&path.child("values"), why));
            }
        }
        other => {
            errors.push(FieldError::invalid(&path.child("operator"), other, "not a valid selector operator"));
        }
    }
    if text(requirement, &["key"]) == "metadata.name" {
        for (at, value) in values.iter().enumerate() {
            problems(errors, &path.child("values").index(at), value, names::dns1123_subdomain(value));
        }
    } else {
        let key = text(requirement, &["key"]);
        errors.push(FieldError::invalid(&path.child("key"), key, "not a valid field selector key"));
    }
}

/// A label's key.
pub(in crate::strategy) fn label_name(errors: &mut Errors, name: &str, path: &Path) {
    problems(errors, path, name, names::qualified_name(name));
}

fn pod_term(errors: &mut Errors, term: &Value, path: &Path) {
    label_selector(errors, term.get("labelSelector"), &path.child("labelSelector"));
    label_selector(errors, term.get("namespaceSelector"), &path.child("namespaceSelector"));
    for namespace in string_list(term.get("namespaces")) {
        problems(errors, &path.child("namespace"), &namespace, names::dns1123_label(&namespace));
    }
    match_label_keys(errors, term, path);
    let key = text(term, &["topologyKey"]);
    let field = path.child("topologyKey");
    if key.is_empty() {
        errors.push(FieldError::required(&field, "can not be empty"));
    }
    label_name(errors, key, &field);
}

pub(in crate::strategy) fn label_selector(errors: &mut Errors, value: Option<&Value>, path: &Path) {
    if let Some(value) = value {
        errors.extend(selector::validate_label_selector(value, path));
    }
}

/// Keys that are merged into the selector, which must be there and not name them by itself.
fn match_label_keys(errors: &mut Errors, term: &Value, path: &Path) {
    for list in ["matchLabelKeys", "mismatchLabelKeys"] {
        let keys = string_list(term.get(list));
        if !keys.is_empty() && term.get("labelSelector").is_none() {
            errors.push(FieldError::forbidden(
                &path.child(list),
                "must not be specified when labelSelector is not set",
            ));
            continue;
        }
        for (at, key) in keys.iter().enumerate() {
            label_name(errors, key, &path.child(list).index(at));
        }
    }
    let (keys, others) =
        (string_list(term.get("matchLabelKeys")), string_list(term.get("mismatchLabelKeys")));
    if let Some(selector) = term.get("labelSelector").filter(|_| !keys.is_empty()) {
        let mut seen: Vec<&str> =
            crate::strategy::check::members(selector.get("matchLabels")).iter().map(|(k, _)| *k).collect();
        for expression in selector.array_at(&["matchExpressions"]) {
            let key = text(expression, &["key"]);
            // One expression is what the key itself became.
            if let Some(at) = keys.iter().rposition(|k| k == key)
                && seen.contains(&key)
            {
                let why = "exists in both matchLabelKeys and labelSelector";
                errors.push(FieldError::invalid(&path.index(at), key, why));
            }
            seen.push(key);
        }
    }
    for (at, key) in keys.iter().enumerate().filter(|(_, key)| others.contains(key)) {
        let why = "exists in both matchLabelKeys and mismatchLabelKeys";
        errors.push(FieldError::invalid(&path.child("matchLabelKeys").index(at), key.as_str(), why));
    }
}

/// Merges the pod's own values of `matchLabelKeys` and `mismatchLabelKeys` into the selectors.
pub(super) fn merge_label_keys(pod: &mut Value) {
    let labels = pod.at(&["metadata", "labels"]).cloned().unwrap_or_default();
    let Some(spec) = pod.get_mut("spec") else { return };
    for kind in ["podAffinity", "podAntiAffinity"] {
        let path = ["affinity", kind, "requiredDuringSchedulingIgnoredDuringExecution"];
        for term in spec.at_mut(&path).and_then(Value::as_array_mut).into_iter().flatten() {
            merge_term(term, &labels);
        }
        let path = ["affinity", kind, "preferredDuringSchedulingIgnoredDuringExecution"];
        for term in spec.at_mut(&path).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(term) = term.get_mut("podAffinityTerm") {
                merge_term(term, &labels);
            }
        }
    }
    let constraints = spec.get_mut("topologySpreadConstraints").and_then(Value::as_array_mut);
    for constraint in constraints.into_iter().flatten() {
        merge_term(constraint, &labels);
    }
}

fn merge_term(term: &mut Value, labels: &Value) {
    if term.get("labelSelector").is_none() {
        return;
    }
    for (list, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        for key in string_list(term.get(list)) {
            let Some(value) = labels.get(&key).and_then(Value::as_str) else { continue };
            let expression = value!({ "key": (key), "operator": (operator), "values": [(value)] });
            match term.at_mut(&["labelSelector", "matchExpressions"]).and_then(Value::as_array_mut) {
                Some(expressions) => expressions.push(expression),
                None => term.set_at(&["labelSelector", "matchExpressions"], vec![expression]),
            }
        }
    }
}

/// What a taint does.
pub(in crate::strategy) const TAINT_EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// Every problem of a value in one.
pub(in crate::strategy) fn joined(errors: &mut Errors, path: &Path, value: &str, found: &[String]) {
    if !found.is_empty() {
        errors.push(FieldError::invalid(path, value, &found.join(";")));
    }
}

/// The tolerations of a list.
pub(in crate::strategy) fn tolerations(errors: &mut Errors, list: &[Value], path: &Path) {
    for (at, toleration) in list.iter().enumerate() {
        let path = path.index(at);
        let field = |key| text(toleration, &[key]);
        let (key, operator, effect) = (field("key"), field("operator"), field("effect"));
        if !key.is_empty() {
            label_name(errors, key, &path.child("key"));
        }
        if key.is_empty() && operator != "Exists" {
            let why =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(FieldError::invalid(&path.child("operator"), operator, why));
        }
        if toleration.i64_at(&["tolerationSeconds"]).is_some() && effect != "NoExecute" {
            let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(FieldError::invalid(&path.child("effect"), effect, why));
        }
        match operator {
            "" | "Equal" => {
                let value = field("value");
                joined(errors, &path.child("operator"), value, &names::label_value(value));
            }
            "Exists" => {
                if !field("value").is_empty() {
                    let why = "value must be empty when `operator` is 'Exists'";
                    errors.push(FieldError::invalid(&path.child("operator"), field("value"), why));
                }
            }
            _ => one_of(errors, toleration, &path, "operator", &["Equal", "Exists"]),
        }
        optional_one_of(errors, toleration, &path, "effect", &TAINT_EFFECTS);
    }
}

pub(super) fn spread(errors: &mut Errors, spec: &Value, path: &Path) {
    let constraints = spec.array_at(&["topologySpreadConstraints"]);
    let path = path.child("topologySpreadConstraints");
    for (at, constraint) in constraints.iter().enumerate() {
        let path = path.index(at);
        let skew = constraint.i64_at(&["maxSkew"]).unwrap_or(0);
        if skew <= 0 {
            errors.push(FieldError::invalid(&path.child("maxSkew"), skew, "must be greater than zero"));
        }
        let key = text(constraint, &["topologyKey"]);
        if key.is_empty() {
            errors.push(FieldError::required(&path.child("topologyKey"), "can not be empty"));
        }
        one_of(errors, constraint, &path, "whenUnsatisfiable", &["DoNotSchedule", "ScheduleAnyway"]);
        let action = text(constraint, &["whenUnsatisfiable"]);
        let twice = constraints[at + 1..]
            .iter()
            .any(|c| text(c, &["topologyKey"]) == key && text(c, &["whenUnsatisfiable"]) == action);
        if twice {
            let field = path.child("{topologyKey, whenUnsatisfiable}");
            errors.push(FieldError::duplicate(&field, format!("{{{key}, {action}}}")));
        }
        if let Some(domains) = constraint.i64_at(&["minDomains"]) {
            let field = path.child("minDomains");
            if domains <= 0 {
                errors.push(FieldError::invalid(&field, domains, "must be greater than zero"));
            }
            if action != "DoNotSchedule" {
                let why = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
                errors.push(FieldError::invalid(&field, domains, &why));
            }
        }
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            optional_one_of(errors, constraint, &path, policy, &["Honor", "Ignore"]);
        }
        match_label_keys(errors, constraint, &path);
        label_selector(errors, constraint.get("labelSelector"), &path.child("labelSelector"));
    }
}

pub(super) fn gates(errors: &mut Errors, spec: &Value, path: &Path) {
    for (at, gate) in spec.array_at(&["readinessGates"]).iter().enumerate() {
        let kind = text(gate, &["conditionType"]);
        let path = path.child("readinessGates").index(at).child("conditionType");
        problems(errors, &path, kind, names::qualified_name(kind));
    }
    let mut seen: Vec<&str> = Vec::new();
    for (at, gate) in spec.array_at(&["schedulingGates"]).iter().enumerate() {
        let path = path.child("schedulingGates").index(at);
        let name = text(gate, &["name"]);
        problems(errors, &path, name, names::qualified_name(name));
        if seen.contains(&name) {
            errors.push(FieldError::duplicate(&path, name));
        }
        seen.push(name);
    }
}
