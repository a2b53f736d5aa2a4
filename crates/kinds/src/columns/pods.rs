//! Rows of pods and pod templates.

use apimachinery::Value;

use super::{
    Row, age, cells, condition, containers, deleted, flag, human_duration, labels, name, number, seconds,
    size, text, text_or,
};

/// What the containers' states add up to.
struct Summary {
    reason: String,
    ready: i64,
    total: i64,
    restarts: i64,
    /// When a container last ended, in seconds since 1970.
    last_restart: Option<i64>,
}

pub(super) fn row(pod: &Value, now: i64) -> Row {
    let summary = summary(pod);
    let phase = text(pod, &["status", "phase"]);
    let reason = match () {
        () if deleted(pod) && text(pod, &["status", "reason"]) == "NodeLost" => "Unknown".to_owned(),
        () if deleted(pod) && !matches!(phase, "Succeeded" | "Failed") => "Terminating".to_owned(),
        () => summary.reason,
    };
    let restarts = match summary.last_restart {
        Some(last) if summary.restarts != 0 => {
            format!("{} ({} ago)", summary.restarts, human_duration(now - last))
        }
        _ => summary.restarts.to_string(),
    };
    let ip = pod.array_at(&["status", "podIPs"]).first().map_or("", |ip| text(ip, &["ip"]));
    let mut row = cells([
        name(pod),
        format!("{}/{}", summary.ready, summary.total).into(),
        reason.into(),
        restarts.into(),
        age(pod, now),
        if ip.is_empty() { "<none>" } else { ip }.into(),
        text_or(pod, &["spec", "nodeName"], "<none>").into(),
        text_or(pod, &["status", "nominatedNodeName"], "<none>").into(),
        readiness_gates(pod).into(),
    ]);
    row.conditions = completed(phase).into_iter().collect();
    row
}

/// A row's condition for pods that have ended; `kubectl` hides such rows from some lists.
fn completed(phase: &str) -> Option<Value> {
    let (reason, message) = match phase {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(
        [("type", "Completed"), ("status", "True"), ("reason", reason), ("message", message)]
            .into_iter()
            .collect(),
    )
}

fn readiness_gates(pod: &Value) -> String {
    let gates = pod.array_at(&["spec", "readinessGates"]);
    if gates.is_empty() {
        return "<none>".into();
    }
    let is_true = |gate: &&Value| {
        condition(pod, &["status", "conditions"], text(gate, &["conditionType"]))
            .is_some_and(|c| text(c, &["status"]) == "True")
    };
    format!("{}/{}", gates.iter().filter(is_true).count(), gates.len())
}

fn summary(pod: &Value) -> Summary {
    let mut summary = Summary {
        reason: text_or(pod, &["status", "reason"], text(pod, &["status", "phase"])).to_owned(),
        ready: 0,
        total: size(pod, &["spec", "containers"]),
        restarts: 0,
        last_restart: None,
    };
    let gated = condition(pod, &["status", "conditions"], "PodScheduled");
    if gated.is_some_and(|c| text(c, &["reason"]) == "SchedulingGated") {
        summary.reason = "SchedulingGated".into();
    }
    let sidecars: Vec<&str> = pod
        .array_at(&["spec", "initContainers"])
        .iter()
        .filter(|c| text(c, &["restartPolicy"]) == "Always")
        .map(|c| text(c, &["name"]))
        .collect();
    summary.total += i64::try_from(sidecars.len()).unwrap_or(0);
    let initialised = condition(pod, &["status", "conditions"], "Initialized")
        .is_some_and(|c| text(c, &["status"]) == "True");
    let (initialising, of_sidecars) = init_containers(pod, &sidecars, &mut summary);
    if !initialising || initialised {
        (summary.restarts, summary.last_restart) = of_sidecars;
        main_containers(pod, &mut summary);
    }
    summary
}

/// Walks the init containers up to the first that has not finished. Returns whether there is one, and the restarts of
/// the sidecars, which alone count once the pod is initialised.
fn init_containers(pod: &Value, sidecars: &[&str], summary: &mut Summary) -> (bool, (i64, Option<i64>)) {
    let mut of_sidecars = (0, None);
    for (index, status) in pod.array_at(&["status", "initContainerStatuses"]).iter().enumerate() {
        let ended = seconds(status, &["lastState", "terminated", "finishedAt"]);
        summary.restarts += number(status, &["restartCount"]);
        summary.last_restart = summary.last_restart.max(ended);
        let sidecar = sidecars.contains(&text(status, &["name"]));
        if sidecar {
            of_sidecars = (of_sidecars.0 + number(status, &["restartCount"]), of_sidecars.1.max(ended));
        }
        let terminated = status.at(&["state", "terminated"]);
        if terminated.is_some_and(|t| number(t, &["exitCode"]) == 0) {
            continue;
        }
        if sidecar && flag(status, &["started"]) {
            summary.ready += i64::from(flag(status, &["ready"]));
            continue;
        }
        let waiting = text(status, &["state", "waiting", "reason"]);
        summary.reason = match terminated {
            Some(terminated) => format!("Init:{}", ending(terminated)),
            None if !waiting.is_empty() && waiting != "PodInitializing" => format!("Init:{waiting}"),
            None => format!("Init:{index}/{}", size(pod, &["spec", "initContainers"])),
        };
        return (true, of_sidecars);
    }
    (false, of_sidecars)
}

fn main_containers(pod: &Value, summary: &mut Summary) {
    let mut running = false;
    for status in pod.array_at(&["status", "containerStatuses"]).iter().rev() {
        summary.restarts += number(status, &["restartCount"]);
        summary.last_restart =
            summary.last_restart.max(seconds(status, &["lastState", "terminated", "finishedAt"]));
        let waiting = text(status, &["state", "waiting", "reason"]);
        if !waiting.is_empty() {
            summary.reason = waiting.to_owned();
        } else if let Some(terminated) = status.at(&["state", "terminated"]) {
            summary.reason = ending(terminated);
        } else if flag(status, &["ready"]) && status.at(&["state", "running"]).is_some_and(Value::is_object) {
            running = true;
            summary.ready += 1;
        }
    }
    // A finished container does not hide that others still run.
    if summary.reason == "Completed" && running {
        let ready = condition(pod, &["status", "conditions"], "Ready")
            .is_some_and(|c| text(c, &["status"]) == "True");
        summary.reason = if ready { "Running" } else { "NotReady" }.into();
    }
}

fn ending(terminated: &Value) -> String {
    match (text(terminated, &["reason"]), number(terminated, &["signal"])) {
        ("", 0) => format!("ExitCode:{}", number(terminated, &["exitCode"])),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

pub(super) fn template(template: &Value, _now: i64) -> Row {
    let [names, images] = containers(template.at(&["template", "spec"]));
    cells([name(template), names, images, labels(template, &["template", "metadata", "labels"]).into()])
}
