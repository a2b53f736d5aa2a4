//! Rows of what runs pods, and of what scales and guards them.

use apimachinery::Value;

use super::{
    Row, age, cells, condition, containers, deleted, flag, human_duration, int_or_string, labels, name,
    number, seconds, selector, shortened, since, size, text, text_or,
};

pub(super) fn deployment(object: &Value, now: i64) -> Row {
    let [names, images] = containers(object.at(&["spec", "template", "spec"]));
    cells([
        name(object),
        format!("{}/{}", number(object, &["status", "readyReplicas"]), number(object, &["spec", "replicas"]))
            .into(),
        number(object, &["status", "updatedReplicas"]).into(),
        number(object, &["status", "availableReplicas"]).into(),
        age(object, now),
        names,
        images,
        selector(object, &["spec", "selector"], "").into(),
    ])
}

pub(super) fn replica_set(object: &Value, now: i64) -> Row {
    replicas(object, now, selector(object, &["spec", "selector"], "<none>"))
}

pub(super) fn replication_controller(object: &Value, now: i64) -> Row {
    replicas(object, now, labels(object, &["spec", "selector"]))
}

fn replicas(object: &Value, now: i64, selector: String) -> Row {
    let [names, images] = containers(object.at(&["spec", "template", "spec"]));
    cells([
        name(object),
        number(object, &["spec", "replicas"]).into(),
        number(object, &["status", "replicas"]).into(),
        number(object, &["status", "readyReplicas"]).into(),
        age(object, now),
        names,
        images,
        selector.into(),
    ])
}

pub(super) fn stateful_set(object: &Value, now: i64) -> Row {
    let [names, images] = containers(object.at(&["spec", "template", "spec"]));
    let ready =
        format!("{}/{}", number(object, &["status", "readyReplicas"]), number(object, &["spec", "replicas"]));
    cells([name(object), ready.into(), age(object, now), names, images])
}

pub(super) fn daemon_set(object: &Value, now: i64) -> Row {
    let [names, images] = containers(object.at(&["spec", "template", "spec"]));
    let status = |key: &str| Value::from(number(object, &["status", key]));
    cells([
        name(object),
        status("desiredNumberScheduled"),
        status("currentNumberScheduled"),
        status("numberReady"),
        status("updatedNumberScheduled"),
        status("numberAvailable"),
        labels(object, &["spec", "template", "spec", "nodeSelector"]).into(),
        age(object, now),
        names,
        images,
        selector(object, &["spec", "selector"], "<none>").into(),
    ])
}

pub(super) fn controller_revision(object: &Value, now: i64) -> Row {
    let owner = object.array_at(&["metadata", "ownerReferences"]).iter().find(|o| flag(o, &["controller"]));
    let controller = owner.map_or_else(
        || "<none>".to_owned(),
        |owner| {
            let (group, _) = crate::registry::split_api_version(text(owner, &["apiVersion"]));
            let dot = if group.is_empty() { "" } else { "." };
            format!("{}{dot}{group}/{}", text(owner, &["kind"]).to_lowercase(), text(owner, &["name"]))
        },
    );
    cells([name(object), controller.into(), number(object, &["revision"]).into(), age(object, now)])
}

pub(super) fn job(object: &Value, now: i64) -> Row {
    let [names, images] = containers(object.at(&["spec", "template", "spec"]));
    let succeeded = number(object, &["status", "succeeded"]);
    let completions =
        match (object.i64_at(&["spec", "completions"]), number(object, &["spec", "parallelism"])) {
            (Some(completions), _) => format!("{succeeded}/{completions}"),
            (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
            (None, _) => format!("{succeeded}/1"),
        };
    let started = seconds(object, &["status", "startTime"]);
    let ended = seconds(object, &["status", "completionTime"]).unwrap_or(now);
    let holds = |kind: &&&str| {
        condition(object, &["status", "conditions"], kind).is_some_and(|c| text(c, &["status"]) == "True")
    };
    let status = match ["Complete", "Failed"].iter().find(holds) {
        Some(ending) => ending,
        None if deleted(object) => "Terminating",
        None => ["Suspended", "FailureTarget", "SuccessCriteriaMet"].iter().find(holds).unwrap_or(&"Running"),
    };
    cells([
        name(object),
        status.into(),
        completions.into(),
        started.map_or_else(String::new, |started| human_duration(ended - started)).into(),
        age(object, now),
        names,
        images,
        selector(object, &["spec", "selector"], "").into(),
    ])
}

pub(super) fn cron_job(object: &Value, now: i64) -> Row {
    let [names, images] = containers(object.at(&["spec", "jobTemplate", "spec", "template", "spec"]));
    let suspended = match object.bool_at(&["spec", "suspend"]) {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    };
    cells([
        name(object),
        text(object, &["spec", "schedule"]).into(),
        text_or(object, &["spec", "timeZone"], "<none>").into(),
        suspended.into(),
        size(object, &["status", "active"]).into(),
        since(object, &["status", "lastScheduleTime"], now).unwrap_or_else(|| "<none>".into()).into(),
        age(object, now),
        names,
        images,
        selector(object, &["spec", "jobTemplate", "spec", "selector"], "<none>").into(),
    ])
}

pub(super) fn autoscaler(object: &Value, now: i64) -> Row {
    // Version 1 keeps all metrics but one in annotations; as version 2 they are where we read them.
    let converted;
    let object = if text(object, &["apiVersion"]) == "autoscaling/v1" {
        converted = crate::convert::autoscaler_v1_to_v2(object.clone());
        &converted
    } else {
        object
    };
    let target = object.at(&["spec", "scaleTargetRef"]).unwrap_or(&Value::NULL);
    cells([
        name(object),
        format!("{}/{}", text(target, &["kind"]), text(target, &["name"])).into(),
        metrics(object).into(),
        int_or_string(object, &["spec", "minReplicas"], "<unset>").into(),
        number(object, &["spec", "maxReplicas"]).into(),
        number(object, &["status", "currentReplicas"]).into(),
        age(object, now),
    ])
}

/// Current and wanted value of each metric, the first two of them.
fn metrics(object: &Value) -> String {
    const SHOWN: usize = 2;
    let specs = object.array_at(&["spec", "metrics"]);
    if specs.is_empty() {
        return "<none>".into();
    }
    let statuses = object.array_at(&["status", "currentMetrics"]);
    let list: Vec<_> = specs.iter().enumerate().map(|(at, spec)| metric(spec, statuses.get(at))).collect();
    shortened(&list, SHOWN, ", ")
}

fn metric(spec: &Value, status: Option<&Value>) -> String {
    let (key, named) = match text(spec, &["type"]) {
        "External" => ("external", false),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        _ => return "<unknown type>".into(),
    };
    let current = status.and_then(|s| s.at(&[key, "current"]));
    let quantity = |field: &str| current.and_then(|c| c.str_at(&[field])).unwrap_or("<unknown>").to_owned();
    let target = |field: &str| spec.at(&[key, "target", field]);
    let percent = |value: Option<i64>, none: &str| value.map_or_else(|| none.to_owned(), |v| format!("{v}%"));
    let prefix = if named { format!("{}: ", text(spec, &[key, "name"])) } else { String::new() };
    let average = target("averageValue").and_then(Value::as_str);
    match (key, average) {
        ("resource" | "containerResource" | "pods", Some(wanted)) => {
            format!("{prefix}{}/{wanted}", quantity("averageValue"))
        }
        ("resource" | "containerResource", None) => {
            let current = percent(current.and_then(|c| c.i64_at(&["averageUtilization"])), "<unknown>");
            let wanted = percent(target("averageUtilization").and_then(Value::as_i64), "<auto>");
            format!("{prefix}{current}/{wanted}")
        }
        (_, Some(wanted)) => format!("{}/{wanted} (avg)", quantity("averageValue")),
        (_, None) => format!(
            "{}/{}",
            quantity("value"),
            target("value").and_then(Value::as_str).unwrap_or("<unknown>")
        ),
    }
}

pub(super) fn disruption_budget(object: &Value, now: i64) -> Row {
    cells([
        name(object),
        int_or_string(object, &["spec", "minAvailable"], "N/A").into(),
        int_or_string(object, &["spec", "maxUnavailable"], "N/A").into(),
        number(object, &["status", "disruptionsAllowed"]).into(),
        age(object, now),
    ])
}
