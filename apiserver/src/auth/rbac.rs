//! The RBAC authorizer: grants indexed by user and group, compiled from roles and bindings and renewed when one of them
//! changes.
//!
//! A request looks up its user and groups, cluster-wide and in its namespace, and tries only the rules granted to them;
//! no binding is ever scanned. Aggregated ClusterRoles are resolved here too, so that `admin`, `edit` and `view` work
//! before (and without) the controller that fills them. Reason texts are upstream's.

pub mod index;
pub mod rule;

use std::fmt;
use std::sync::Arc;

use apimachinery::Value;
use parking_lot::{Mutex, RwLock};

use crate::seams::{Attributes, Authorizer, Decision, Objects, UserInfo};
use index::{Index, Sources};
use rule::Rule;

/// The API group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// Authorizes by roles and bindings.
pub struct Rbac {
    objects: Arc<dyn Objects>,
    index: RwLock<Arc<Index>>,
    /// Held while the index is rebuilt; taken before `index` is written, never while it is read.
    sources: Mutex<Sources>,
}

impl fmt::Debug for Rbac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rbac").finish_non_exhaustive()
    }
}

impl Rbac {
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects, index: RwLock::default(), sources: Mutex::new(Sources::default()) }
    }

    /// The index of the newest roles and bindings.
    pub fn current(&self) -> Arc<Index> {
        let revisions = Sources::revisions(&*self.objects);
        {
            let index = self.index.read();
            if index.revisions() == Some(revisions) {
                return Arc::clone(&index);
            }
        }
        let mut sources = self.sources.lock();
        // Somebody else may have rebuilt it while this one waited.
        let revisions = Sources::revisions(&*self.objects);
        if self.index.read().revisions() == Some(revisions) {
            return Arc::clone(&self.index.read());
        }
        let rebuilt = Arc::new(sources.build(&*self.objects, revisions));
        *self.index.write() = Arc::clone(&rebuilt);
        rebuilt
    }

    /// The rules of a role that a binding in `namespace` may name; `None` when there is no such role.
    pub fn role_rules(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<[Rule]>> {
        self.current().role(kind, namespace, name)
    }

    /// Every rule that `user` has in `namespace` (cluster-wide ones included).
    pub fn user_rules(&self, user: &UserInfo, namespace: &str) -> Vec<Rule> {
        let index = self.current();
        let mut rules = Vec::new();
        index.visit(user, namespace, |grant| {
            if let Ok(granted) = &grant.rules {
                rules.extend(granted.iter().cloned());
            }
            false
        });
        rules
    }
}

impl Authorizer for Rbac {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        let index = self.current();
        let mut missing: Vec<&str> = Vec::new();
        let mut allowed = None;
        // Namespaces count for resources alone, as in upstream's visitor.
        let namespace = if attributes.is_resource { attributes.namespace.as_str() } else { "" };
        let combined = super::combined_resource(attributes);
        index.visit(&attributes.user, namespace, |grant| match &grant.rules {
            Ok(rules) if rules.iter().any(|r| r.allows(attributes, &combined)) => {
                allowed = Some(grant.reason());
                true
            }
            Ok(_) => false,
            Err(text) => {
                if !missing.contains(&text.as_str()) {
                    missing.push(text);
                }
                false
            }
        });
        match (allowed, missing.as_slice()) {
            (Some(reason), _) => Decision::Allow(reason),
            (None, []) => Decision::NoOpinion(String::new()),
            (None, [one]) => Decision::NoOpinion(format!("RBAC: {one}")),
            (None, many) => Decision::NoOpinion(format!("RBAC: [{}]", many.join(", "))),
        }
    }

    fn rules(&self, user: &UserInfo, namespace: &str) -> (Vec<Value>, Vec<Value>, bool) {
        let (mut resource, mut other) = (Vec::new(), Vec::new());
        for rule in self.user_rules(user, namespace) {
            let list = if rule.resources.is_empty() { &mut other } else { &mut resource };
            list.push(rule.to_value());
        }
        (resource, other, false)
    }
}

#[cfg(test)]
mod tests;
