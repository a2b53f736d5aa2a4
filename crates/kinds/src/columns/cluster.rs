//! Rows of nodes, namespaces, events and other things of the whole cluster.

use apimachinery::Value;

use super::{Row, age, cells, condition, flag, human_duration, name, number, since, size, text, text_or};

pub(super) fn namespace(object: &Value, now: i64) -> Row {
    cells([name(object), text(object, &["status", "phase"]).into(), age(object, now)])
}

pub(super) fn node(object: &Value, now: i64) -> Row {
    let ready = condition(object, &["status", "conditions"], "Ready");
    let mut status = match ready.map(|c| text(c, &["status"])) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if flag(object, &["spec", "unschedulable"]) {
        status.push_str(",SchedulingDisabled");
    }
    let info = |key: &str| text(object, &["status", "nodeInfo", key]);
    let kernel = match (info("kernelVersion"), info("architecture")) {
        ("", _) => "<unknown>".to_owned(),
        (kernel, "") => kernel.to_owned(),
        (kernel, architecture) => format!("{kernel} ({architecture})"),
    };
    let known = |key: &str| Value::from(text_or(object, &["status", "nodeInfo", key], "<unknown>"));
    cells([
        name(object),
        status.into(),
        roles(object).into(),
        age(object, now),
        info("kubeletVersion").into(),
        address(object, "InternalIP").into(),
        address(object, "ExternalIP").into(),
        known("osImage"),
        kernel.into(),
        known("containerRuntimeVersion"),
    ])
}

fn roles(object: &Value) -> String {
    let labels = object.at(&["metadata", "labels"]).and_then(Value::as_object);
    let mut roles: Vec<&str> = labels
        .into_iter()
        .flat_map(|labels| labels.iter())
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role),
            None if key == "kubernetes.io/role" => value.as_str(),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() { "<none>".into() } else { roles.join(",") }
}

fn address<'a>(object: &'a Value, kind: &str) -> &'a str {
    let addresses = object.array_at(&["status", "addresses"]);
    addresses.iter().find(|a| text(a, &["type"]) == kind).map_or("<none>", |a| text(a, &["address"]))
}

/// Events of both groups: `events.k8s.io` has other names for the same fields.
pub(super) fn event(object: &Value, now: i64) -> Row {
    let either = |old: &[&str], new: &[&str]| match text(object, old) {
        "" => text(object, new).to_owned(),
        text => text.to_owned(),
    };
    let involved =
        object.at(&["involvedObject"]).or_else(|| object.at(&["regarding"])).unwrap_or(&Value::NULL);
    let mut target = text(involved, &["name"]).to_owned();
    let kind = text(involved, &["kind"]);
    if !kind.is_empty() {
        target = format!("{}/{target}", kind.to_lowercase());
    }
    let time = |paths: &[&[&str]]| {
        paths.iter().find_map(|path| since(object, path, now)).unwrap_or_else(|| "<unknown>".into())
    };
    let first = time(&[&["firstTimestamp"], &["deprecatedFirstTimestamp"], &["eventTime"]]);
    let mut last = time(&[&["lastTimestamp"], &["deprecatedLastTimestamp"], &["eventTime"]]);
    let mut count = number(object, &["count"]).max(number(object, &["deprecatedCount"])).max(1);
    if object.at(&["series"]).is_some_and(Value::is_object) {
        last = time(&[&["series", "lastObservedTime"]]);
        count = number(object, &["series", "count"]);
    }
    let component = match either(&["source", "component"], &["deprecatedSource", "component"]).as_str() {
        "" => either(&["reportingComponent"], &["reportingController"]),
        component => component.to_owned(),
    };
    let host = match either(&["source", "host"], &["deprecatedSource", "host"]).as_str() {
        "" => text(object, &["reportingInstance"]).to_owned(),
        host => host.to_owned(),
    };
    let source = if host.is_empty() { component } else { format!("{component}, {host}") };
    cells([
        last.into(),
        text(object, &["type"]).into(),
        text(object, &["reason"]).into(),
        target.into(),
        text(involved, &["fieldPath"]).into(),
        source.into(),
        either(&["message"], &["note"]).trim().into(),
        first.into(),
        count.into(),
        name(object),
    ])
}

pub(super) fn component_status(object: &Value, _now: i64) -> Row {
    let healthy = condition(object, &["conditions"], "Healthy");
    let status = match healthy.map(|c| text(c, &["status"])) {
        Some("True") => "Healthy",
        Some("False") => "Unhealthy",
        _ => "Unknown",
    };
    let word = |key: &str| Value::from(healthy.map_or("", |c| text(c, &[key])));
    cells([name(object), status.into(), word("message"), word("error")])
}

pub(super) fn lease(object: &Value, now: i64) -> Row {
    cells([name(object), text(object, &["spec", "holderIdentity"]).into(), age(object, now)])
}

pub(super) fn priority_class(object: &Value, now: i64) -> Row {
    cells([
        name(object),
        number(object, &["value"]).into(),
        flag(object, &["globalDefault"]).into(),
        age(object, now),
        text(object, &["preemptionPolicy"]).into(),
    ])
}

pub(super) fn runtime_class(object: &Value, now: i64) -> Row {
    cells([name(object), text(object, &["handler"]).into(), age(object, now)])
}

pub(super) fn signing_request(object: &Value, now: i64) -> Row {
    let is = |kind: &str| condition(object, &["status", "conditions"], kind).is_some();
    let mut state = match () {
        () if is("Denied") => "Denied",
        () if is("Approved") => "Approved",
        () => "Pending",
    }
    .to_owned();
    if is("Failed") {
        state.push_str(",Failed");
    }
    if !text(object, &["status", "certificate"]).is_empty() {
        state.push_str(",Issued");
    }
    let duration =
        object.i64_at(&["spec", "expirationSeconds"]).map_or_else(|| "<none>".into(), human_duration);
    cells([
        name(object),
        age(object, now),
        text(object, &["spec", "signerName"]).into(),
        text(object, &["spec", "username"]).into(),
        duration.into(),
        state.into(),
    ])
}

pub(super) fn flow_schema(object: &Value, now: i64) -> Row {
    let dangling = condition(object, &["status", "conditions"], "Dangling");
    cells([
        name(object),
        text(object, &["spec", "priorityLevelConfiguration", "name"]).into(),
        number(object, &["spec", "matchingPrecedence"]).into(),
        text_or(object, &["spec", "distinguisherMethod", "type"], "<none>").into(),
        age(object, now),
        dangling.map_or("?", |c| text(c, &["status"])).into(),
    ])
}

pub(super) fn priority_level(object: &Value, now: i64) -> Row {
    let limited = object.at(&["spec", "limited"]).unwrap_or(&Value::NULL);
    let queuing = limited.at(&["limitResponse", "queuing"]).unwrap_or(&Value::NULL);
    let count =
        |holder: &Value, key: &str| holder.i64_at(&[key]).map_or_else(|| "<none>".into(), Value::from);
    cells([
        name(object),
        text(object, &["spec", "type"]).into(),
        count(limited, "nominalConcurrencyShares"),
        count(queuing, "queues"),
        count(queuing, "handSize"),
        count(queuing, "queueLengthLimit"),
        age(object, now),
    ])
}

/// How many entries a list has.
pub(super) fn count(object: &Value, path: &[&str]) -> Value {
    size(object, path).into()
}
