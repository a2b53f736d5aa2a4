//! The node's conditions with upstream's reasons and messages. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use cri::v1;

/// v1.NodeCondition.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeCondition {
    pub r#type: String,
    pub status: String,
    pub last_heartbeat_time: Option<Timestamp>,
    pub last_transition_time: Option<Timestamp>,
    pub reason: String,
    pub message: String,
}

/// Which of the node's resources run short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Short {
    pub memory: bool,
    pub disk: bool,
    pub processes: bool,
}

/// The conditions in upstream's order. A condition whose status is that of `old` keeps its time of transition.
pub fn conditions(
    short: Short,
    runtime: Result<&v1::StatusResponse, &str>,
    old: &[NodeCondition],
    now: Timestamp,
) -> Vec<NodeCondition> {
    let pressure = |kind: &str, is: bool, yes: (&str, &str), no: (&str, &str)| {
        let (reason, message) = if is { yes } else { no };
        (kind.to_owned(), if is { "True" } else { "False" }, reason.to_owned(), message.to_owned())
    };
    let ready = match not_ready(runtime) {
        None => (
            "Ready".to_owned(),
            "True",
            "KubeletReady".to_owned(),
            "kubelet is posting ready status".to_owned(),
        ),
        Some(problem) => ("Ready".to_owned(), "False", "KubeletNotReady".to_owned(), problem),
    };
    let list = [
        pressure(
            "MemoryPressure",
            short.memory,
            ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
            ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ),
        pressure(
            "DiskPressure",
            short.disk,
            ("KubeletHasDiskPressure", "kubelet has disk pressure"),
            ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ),
        pressure(
            "PIDPressure",
            short.processes,
            ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
            ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ),
        ready,
    ];
    list.into_iter()
        .map(|(kind, status, reason, message)| {
            let same = old.iter().find(|c| c.r#type == kind && c.status == status);
            NodeCondition {
                last_heartbeat_time: Some(now),
                last_transition_time: same.and_then(|c| c.last_transition_time).or(Some(now)),
                r#type: kind,
                status: status.to_owned(),
                reason,
                message,
            }
        })
        .collect()
}

/// Why the node can't run pods, if so.
fn not_ready(runtime: Result<&v1::StatusResponse, &str>) -> Option<String> {
    let status = match runtime {
        Ok(answer) => answer.status.clone().unwrap_or_default(),
        Err(error) => return Some(format!("container runtime is down: {error}")),
    };
    let mut problems = Vec::new();
    for (kind, words) in
        [("RuntimeReady", "container runtime"), ("NetworkReady", "container runtime network")]
    {
        match status.conditions.iter().find(|c| c.r#type == kind) {
            Some(found) if found.status => {}
            Some(found) => problems.push(format!(
                "{words} not ready: {kind}=false reason:{} message:{}",
                found.reason, found.message
            )),
            None => problems.push(format!("{words} status check may not have completed yet")),
        }
    }
    match problems.len() {
        0 => None,
        1 => problems.pop(),
        _ => Some(format!("[{}]", problems.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(runtime: bool, network: bool) -> v1::StatusResponse {
        let condition = |r#type: &str, status| v1::RuntimeCondition {
            r#type: r#type.into(),
            status,
            reason: "R".into(),
            message: "m".into(),
        };
        let conditions = vec![condition("RuntimeReady", runtime), condition("NetworkReady", network)];
        v1::StatusResponse { status: Some(v1::RuntimeStatus { conditions }), ..Default::default() }
    }

    #[test]
    fn ready_and_not() {
        let at = |s: i64| Timestamp::from_second(s).unwrap();
        let ready = conditions(Short::default(), Ok(&answer(true, true)), &[], at(1));
        assert_eq!(
            ready.iter().map(|c| c.status.as_str()).collect::<Vec<_>>(),
            ["False", "False", "False", "True"]
        );
        let later =
            conditions(Short { memory: true, ..Short::default() }, Ok(&answer(true, false)), &ready, at(2));
        assert_eq!(later[0].reason, "KubeletHasInsufficientMemory");
        assert_eq!(
            later[3].message,
            "container runtime network not ready: NetworkReady=false reason:R message:m"
        );
        assert_eq!(
            (later[1].last_transition_time, later[3].last_transition_time),
            (Some(at(1)), Some(at(2)))
        );
        let both = conditions(Short::default(), Ok(&answer(false, false)), &[], at(1));
        assert!(
            both[3].message.starts_with("[container runtime not ready: RuntimeReady=false"),
            "{}",
            both[3].message
        );
        let down = conditions(Short::default(), Err("no"), &[], at(1));
        assert_eq!(down[3].message, "container runtime is down: no");
    }
}
