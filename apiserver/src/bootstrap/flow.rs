//! The priority levels and flow schemas that upstream makes at start.

use apimachinery::Value;

use crate::value;
use crate::values::strings;

/// Name, concurrency shares, lendable percent and (queues, hand size, queue length); without queues it rejects.
type Level = (&'static str, i64, i64, Option<(i64, i64, i64)>);

const LEVELS: [Level; 7] = [
    ("catch-all", 5, 0, None),
    ("global-default", 20, 50, Some((128, 6, 50))),
    ("leader-election", 10, 0, Some((16, 4, 50))),
    ("node-high", 40, 25, Some((64, 6, 50))),
    ("system", 30, 33, Some((64, 6, 50))),
    ("workload-high", 40, 50, Some((128, 6, 50))),
    ("workload-low", 100, 90, Some((128, 6, 50))),
];

/// What a flow schema's rule covers.
enum Covers {
    Everything,
    Health,
    Leases,
    NodesAndLeases,
}

/// Name, priority level, precedence, distinguisher (empty: none), subjects and coverage. Subjects are `g:GROUP`,
/// `u:USER` or `s:NAMESPACE/NAME`.
type Schema = (&'static str, &'static str, i64, &'static str, &'static [&'static str], Covers);

const SCHEMAS: [Schema; 11] = [
    (
        "catch-all",
        "catch-all",
        10_000,
        "ByUser",
        &["g:system:unauthenticated", "g:system:authenticated"],
        Covers::Everything,
    ),
    ("exempt", "exempt", 1, "", &["g:system:masters"], Covers::Everything),
    (
        "global-default",
        "global-default",
        9900,
        "ByUser",
        &["g:system:unauthenticated", "g:system:authenticated"],
        Covers::Everything,
    ),
    (
        "kube-controller-manager",
        "workload-high",
        800,
        "ByNamespace",
        &["u:system:kube-controller-manager"],
        Covers::Everything,
    ),
    ("kube-scheduler", "workload-high", 800, "ByNamespace", &["u:system:kube-scheduler"], Covers::Everything),
    (
        "kube-system-service-accounts",
        "workload-high",
        900,
        "ByNamespace",
        &["s:kube-system/*"],
        Covers::Everything,
    ),
    ("probes", "exempt", 2, "", &["g:system:unauthenticated", "g:system:authenticated"], Covers::Health),
    ("service-accounts", "workload-low", 9000, "ByUser", &["g:system:serviceaccounts"], Covers::Everything),
    (
        "system-leader-election",
        "leader-election",
        100,
        "ByUser",
        &["u:system:kube-controller-manager", "u:system:kube-scheduler", "s:kube-system/*"],
        Covers::Leases,
    ),
    ("system-node-high", "node-high", 400, "ByUser", &["g:system:nodes"], Covers::NodesAndLeases),
    ("system-nodes", "system", 500, "ByUser", &["g:system:nodes"], Covers::Everything),
];

/// Every PriorityLevelConfiguration of the start.
pub fn priority_levels() -> Vec<Value> {
    let mut all = vec![level(
        "exempt",
        value!({ "type": "Exempt", "exempt": { "nominalConcurrencyShares": 0, "lendablePercent": 0 } }),
    )];
    all.extend(LEVELS.iter().map(|(name, shares, lendable, queues)| {
        let response = match queues {
            None => value!({ "type": "Reject" }),
            Some((queues, hand, length)) => value!({
                "type": "Queue",
                "queuing": { "queues": (*queues), "handSize": (*hand), "queueLengthLimit": (*length) },
            }),
        };
        let limited = value!({
            "nominalConcurrencyShares": (*shares),
            "limitResponse": (response),
            "lendablePercent": (*lendable),
        });
        level(name, value!({ "type": "Limited", "limited": (limited) }))
    }));
    all
}

fn level(name: &str, spec: Value) -> Value {
    value!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "PriorityLevelConfiguration",
        "metadata": { "name": (name), "annotations": { "apf.kubernetes.io/autoupdate-spec": "true" } },
        "spec": (spec),
    })
}

/// Every FlowSchema of the start, with the status that says that its priority level exists.
pub fn flow_schemas(now: &str) -> Vec<Value> {
    SCHEMAS
        .iter()
        .map(|(name, level, precedence, distinguisher, subjects, covers)| {
            let mut rule = value!({ "subjects": (subjects.iter().map(|s| subject(s)).collect::<Vec<_>>()) });
            add_rules(&mut rule, covers);
            let mut spec = value!({ "priorityLevelConfiguration": { "name": (*level) }, "matchingPrecedence": (*precedence) });
            if !distinguisher.is_empty() {
                spec.set_at(&["distinguisherMethod", "type"], *distinguisher);
            }
            spec.set_at(&["rules"], vec![rule]);
            let message = format!(
                "This FlowSchema references the PriorityLevelConfiguration object named {level:?} and it exists"
            );
            value!({
                "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
                "kind": "FlowSchema",
                "metadata": { "name": (*name), "annotations": { "apf.kubernetes.io/autoupdate-spec": "true" } },
                "spec": (spec),
                "status": { "conditions": [{
                    "type": "Dangling",
                    "status": "False",
                    "lastTransitionTime": (now),
                    "reason": "Found",
                    "message": (message),
                }] },
            })
        })
        .collect()
}

fn subject(text: &str) -> Value {
    match text.split_at(2) {
        ("g:", name) => value!({ "kind": "Group", "group": { "name": (name) } }),
        ("u:", name) => value!({ "kind": "User", "user": { "name": (name) } }),
        (_, account) => {
            let (namespace, name) = account.split_once('/').unwrap_or(("", account));
            value!({ "kind": "ServiceAccount", "serviceAccount": { "namespace": (namespace), "name": (name) } })
        }
    }
}

fn add_rules(rule: &mut Value, covers: &Covers) {
    let leases = |verbs: &[&str]| {
        value!({
            "verbs": (strings(verbs)),
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "namespaces": ["*"],
        })
    };
    match covers {
        Covers::Everything => {
            rule.set_at(
                &["resourceRules"],
                value!([{
                    "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"],
                }]),
            );
            rule.set_at(&["nonResourceRules"], value!([{ "verbs": ["*"], "nonResourceURLs": ["*"] }]));
        }
        Covers::Health => rule.set_at(
            &["nonResourceRules"],
            value!([{ "verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"] }]),
        ),
        Covers::Leases => rule.set_at(&["resourceRules"], vec![leases(&["get", "create", "update"])]),
        Covers::NodesAndLeases => {
            let nodes = value!({
                "verbs": ["*"],
                "apiGroups": [""],
                "resources": ["nodes", "nodes/status"],
                "clusterScope": true,
                "namespaces": ["*"],
            });
            rule.set_at(&["resourceRules"], vec![nodes, leases(&["*"])]);
        }
    }
}
