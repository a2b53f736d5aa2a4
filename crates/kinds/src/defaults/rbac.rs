//! Defaults of role bindings: users and groups belong to RBAC's own group, service accounts to the legacy one.

use apimachinery::Value;

use super::{at, each, set_text, text};

const GROUP: &str = "rbac.authorization.k8s.io";

pub(super) fn defaults(kind: &str, value: &mut Value) {
    if !matches!(kind, "RoleBinding" | "ClusterRoleBinding") {
        return;
    }
    set_text(at(value, "roleRef"), "apiGroup", GROUP);
    for subject in each(value, "subjects") {
        if matches!(text(subject, "kind"), "User" | "Group") {
            set_text(subject, "apiGroup", GROUP);
        }
    }
}
