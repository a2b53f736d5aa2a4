//! Who asks and whether they may: authenticators (client certificates, ServiceAccount tokens), authorizers
//! (`system:masters`, Node, RBAC) and the check against privilege escalation.
//!
//! Anonymous requests and impersonation are the server core's. Everything here reads the server's own caches and never
//! waits for the network.

pub mod escalation;
pub mod mirror;
pub mod node;
pub mod rbac;
pub mod service_account;
pub mod token_file;
pub mod union;
pub mod x509;

use std::sync::Arc;

use apimachinery::Value;

use crate::seams::{Attributes, Authorizer, Decision, Objects, UserInfo};

/// The group whose members skip authorization.
pub const MASTERS: &str = "system:masters";
/// The group of everybody who showed who they are.
pub const AUTHENTICATED: &str = "system:authenticated";
/// The group of nodes.
pub const NODES: &str = "system:nodes";
/// What a node's user name starts with.
pub const NODE_USER_PREFIX: &str = "system:node:";

/// The node that a user is, if any: `system:node:NAME` in group `system:nodes`.
pub fn node_identity(user: &UserInfo) -> Option<&str> {
    let name = user.name.strip_prefix(NODE_USER_PREFIX)?;
    user.groups.iter().any(|g| g == NODES).then_some(name)
}

/// Upstream's chain with `--authorization-mode=Node,RBAC`: the first authorizer with an opinion decides.
#[derive(Debug)]
pub struct Chain {
    authorizers: Vec<Arc<dyn Authorizer>>,
}

impl Chain {
    /// Tries the authorizers in order, after letting `system:masters` through.
    pub fn new(authorizers: Vec<Arc<dyn Authorizer>>) -> Self {
        Self { authorizers }
    }

    /// The Node and RBAC authorizers over `objects`, and the RBAC one by itself for escalation checks.
    pub fn node_and_rbac(objects: Arc<dyn Objects>) -> (Arc<Self>, Arc<rbac::Rbac>) {
        let rbac = Arc::new(rbac::Rbac::new(Arc::clone(&objects)));
        let node = Arc::new(node::NodeAuthorizer::new(objects));
        (Arc::new(Self::new(vec![node, Arc::clone(&rbac) as Arc<dyn Authorizer>])), rbac)
    }
}

impl Authorizer for Chain {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        if attributes.user.groups.iter().any(|g| g == MASTERS) {
            return Decision::Allow(String::new());
        }
        let mut reasons = Vec::new();
        for authorizer in &self.authorizers {
            match authorizer.authorize(attributes) {
                Decision::NoOpinion(reason) => {
                    if !reason.is_empty() {
                        reasons.push(reason);
                    }
                }
                decided => return decided,
            }
        }
        Decision::NoOpinion(reasons.join("\n"))
    }

    fn rules(&self, user: &UserInfo, namespace: &str) -> (Vec<Value>, Vec<Value>, bool) {
        let (mut resource, mut other, mut incomplete) = (Vec::new(), Vec::new(), false);
        for authorizer in &self.authorizers {
            let (more_resource, more_other, more_incomplete) = authorizer.rules(user, namespace);
            resource.extend(more_resource);
            other.extend(more_other);
            incomplete |= more_incomplete;
        }
        (resource, other, incomplete)
    }
}

/// The text of a 403 after `is forbidden: `, as upstream words it.
pub fn forbidden_text(attributes: &Attributes, reason: &str) -> String {
    let user = apimachinery::go::quote(&attributes.user.name);
    let mut text = if attributes.is_resource {
        let resource = combined_resource(attributes);
        let scope = if attributes.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {:?}", attributes.namespace)
        };
        format!(
            "User {user} cannot {} resource {resource:?} in API group {:?} {scope}",
            attributes.verb, attributes.group
        )
    } else {
        format!("User {user} cannot {} path {:?}", attributes.verb, attributes.path)
    };
    if !reason.is_empty() {
        text.push_str(": ");
        text.push_str(reason);
    }
    text
}

/// `resource` or `resource/subresource`, as rules name it.
pub fn combined_resource(attributes: &Attributes) -> String {
    if attributes.subresource.is_empty() {
        attributes.resource.clone()
    } else {
        format!("{}/{}", attributes.resource, attributes.subresource)
    }
}
