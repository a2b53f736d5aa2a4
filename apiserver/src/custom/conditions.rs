//! The conditions of a definition.

use apimachinery::time::format_time;
use apimachinery::{Value, meta};
use jiff::Timestamp;

/// Must be there for definitions in groups that belong to the Kubernetes project.
pub(crate) const APPROVED: &str = "api-approved.kubernetes.io";

/// The conditions of one definition, being changed.
pub(super) struct Conditions<'a> {
    definition: &'a mut Value,
    now: Timestamp,
}

impl<'a> Conditions<'a> {
    pub(super) fn of(definition: &'a mut Value, now: Timestamp) -> Self {
        Self { definition, now }
    }

    pub(super) fn is_true(&self, kind: &str) -> bool {
        is_true(self.definition, kind)
    }

    /// Sets a condition. Its time moves when its status does.
    pub(super) fn set(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let at = ["status", "conditions"];
        let mut all = self.definition.array_at(&at).to_vec();
        let place = all.iter().position(|c| c.str_at(&["type"]) == Some(kind));
        let old = place.map(|at| all[at].clone());
        let kept = old.as_ref().filter(|c| c.str_at(&["status"]) == Some(status));
        let since = kept.and_then(|c| c.str_at(&["lastTransitionTime"])).map(str::to_owned);
        let condition: Value = [
            ("type", kind.to_owned()),
            ("status", status.to_owned()),
            ("lastTransitionTime", since.unwrap_or_else(|| format_time(self.now))),
            ("reason", reason.to_owned()),
            ("message", message.to_owned()),
        ]
        .into_iter()
        .collect();
        match place {
            Some(at) => all[at] = condition,
            None => all.push(condition),
        }
        self.definition.set_at(&at, all);
    }
}

/// Whether a condition of a definition holds.
pub(super) fn is_true(definition: &Value, kind: &str) -> bool {
    definition
        .array_at(&["status", "conditions"])
        .iter()
        .any(|c| c.str_at(&["type"]) == Some(kind) && c.str_at(&["status"]) == Some("True"))
}

/// Whether a group is one of the Kubernetes project's.
pub(crate) fn is_protected(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|own| group == *own || group.strip_suffix(own).is_some_and(|rest| rest.ends_with('.')))
}

/// Says whether a definition in a protected group has been approved.
pub(super) fn set_approval(conditions: &mut Conditions<'_>, definition: &Value, group: &str) {
    if !is_protected(group) {
        return;
    }
    let kind = "KubernetesAPIApprovalPolicyConformant";
    let annotation = meta::annotation(definition, APPROVED).unwrap_or_default();
    match annotation {
        "" => conditions.set(
            kind,
            "False",
            "MissingAnnotation",
            "protected groups must have approval annotation \"api-approved.kubernetes.io\", see \
             https://github.com/kubernetes/enhancements/pull/1111",
        ),
        text if text.starts_with("unapproved") => {
            let message = format!("not approved: {}", apimachinery::go::quote(text));
            conditions.set(kind, "False", "UnapprovedAnnotation", &message);
        }
        text => conditions.set(kind, "True", "ApprovedAnnotation", &format!("approved in {text}")),
    }
}
