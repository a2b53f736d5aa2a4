//! Nobody grants what they do not hold: creating and changing roles needs the same rights (or the verb `escalate`),
//! creating and changing bindings needs the rights of the role (or the verb `bind`).
//!
//! Upstream checks this in the registry of roles and bindings; here it is the last plugin of admission, with the same
//! answers.

use std::sync::Arc;

use apimachinery::{Status, Value};
use futures::future::BoxFuture;

use super::MASTERS;
use super::rbac::rule::{Rule, missing, quoted};
use super::rbac::{GROUP, Rbac};
use crate::seams::{Admission, AdmissionRequest, Attributes, Authorizer, Decision, Operation, UserInfo};
use crate::values::text;

/// The check as an admission plugin.
#[derive(Debug)]
pub struct Escalation {
    rbac: Arc<Rbac>,
    authorizer: Arc<dyn Authorizer>,
}

impl Escalation {
    pub fn new(rbac: Arc<Rbac>, authorizer: Arc<dyn Authorizer>) -> Self {
        Self { rbac, authorizer }
    }

    fn check(&self, request: &AdmissionRequest<'_>) -> Result<(), Status> {
        if request.user.groups.iter().any(|g| g == MASTERS) {
            return Ok(());
        }
        let refuse = |why: &str| Err(Status::forbidden(GROUP, request.resource, request.name, why));
        let outcome = match request.resource {
            "roles" | "clusterroles" => self.check_role(request),
            _ => self.check_binding(request)?,
        };
        outcome.or_else(|why| refuse(&why))
    }

    fn check_role(&self, request: &AdmissionRequest<'_>) -> Result<(), String> {
        let unchanged =
            |field: &str| request.old.is_some_and(|old| old.get(field) == request.object.get(field));
        if unchanged("rules") && unchanged("aggregationRule") {
            return Ok(());
        }
        if self.may(request.user, "escalate", request.resource, request.namespace, request.name) {
            return Ok(());
        }
        self.covers(request.user, request.namespace, &Rule::list(request.object))?;
        let aggregates = |o: &Value| !o.array_at(&["aggregationRule", "clusterRoleSelectors"]).is_empty();
        if aggregates(request.object) || request.old.is_some_and(aggregates) {
            let all = || vec!["*".to_owned()];
            let full = [
                Rule { verbs: all(), groups: all(), resources: all(), ..Rule::default() },
                Rule { verbs: all(), urls: all(), ..Rule::default() },
            ];
            if !missing(&self.rbac.user_rules(request.user, ""), &full).is_empty() {
                return Err("must have cluster-admin privileges to use the aggregationRule".into());
            }
        }
        Ok(())
    }

    fn check_binding(&self, request: &AdmissionRequest<'_>) -> Result<Result<(), String>, Status> {
        let (kind, name) =
            (text(request.object, &["roleRef", "kind"]), text(request.object, &["roleRef", "name"]));
        let resource = if kind == "ClusterRole" { "clusterroles" } else { "roles" };
        if self.may(request.user, "bind", resource, request.namespace, name) {
            return Ok(Ok(()));
        }
        let rules = self
            .rbac
            .role_rules(kind, request.namespace, name)
            .ok_or_else(|| Status::not_found(GROUP, request.resource, name))?;
        Ok(self.covers(request.user, request.namespace, &rules))
    }

    fn covers(&self, user: &UserInfo, namespace: &str, rules: &[Rule]) -> Result<(), String> {
        let missing = missing(&self.rbac.user_rules(user, namespace), rules);
        if missing.is_empty() {
            return Ok(());
        }
        Err(format!(
            "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            user.name,
            quoted(&user.groups),
            missing.join("\n")
        ))
    }

    fn may(&self, user: &Arc<UserInfo>, verb: &str, resource: &str, namespace: &str, name: &str) -> bool {
        let attributes = Attributes {
            user: Arc::clone(user),
            verb: verb.into(),
            group: GROUP.into(),
            version: "*".into(),
            resource: resource.into(),
            namespace: namespace.into(),
            name: name.into(),
            is_resource: true,
            ..Attributes::default()
        };
        matches!(self.authorizer.authorize(&attributes), Decision::Allow(_))
    }
}

impl Admission for Escalation {
    fn name(&self) -> &'static str {
        "RBACEscalation"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        request.group == GROUP
            && request.subresource.is_empty()
            && matches!(request.operation, Operation::Create | Operation::Update)
            && matches!(request.resource, "roles" | "clusterroles" | "rolebindings" | "clusterrolebindings")
    }

    fn admit<'a>(&'a self, request: &'a mut AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        let outcome = self.check(request);
        Box::pin(async move { outcome })
    }

    fn validate<'a>(&'a self, request: &'a AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        // Once more: a later mutation could have widened the rules.
        let outcome = self.check(request);
        Box::pin(async move { outcome })
    }
}
