//! The Node authorizer: a node reads the secrets, config maps, claims and volumes of the pods that run on it, and no
//! others.
//!
//! Where upstream keeps a graph of everything, this keeps what each pod refers to and which pods each node has, brought
//! up to date from the server's cache when a node asks. NodeRestriction (admission) limits what nodes write.

pub mod references;

use std::fmt;
use std::sync::Arc;

use apimachinery::Value;
use parking_lot::Mutex;

use super::{node_identity, rbac::rule::Rule};
use crate::bootstrap::policy;
use crate::seams::{Attributes, Authorizer, Decision, Objects, UserInfo};
use crate::values::text;
use references::{Kind, NodePods};

const NO_RELATION: &str = "no relationship found between node";

/// Authorizes nodes.
pub struct NodeAuthorizer {
    objects: Arc<dyn Objects>,
    pods: Mutex<NodePods>,
    /// What every node may do with what is not subdivided: the rules of ClusterRole system:node.
    rules: Vec<Rule>,
}

impl fmt::Debug for NodeAuthorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeAuthorizer").finish_non_exhaustive()
    }
}

impl NodeAuthorizer {
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self {
            objects,
            pods: Mutex::new(NodePods::default()),
            rules: policy::cluster_role_rules("system:node"),
        }
    }

    fn related(&self, node: &str, kind: Kind, attributes: &Attributes) -> Decision {
        if attributes.name.is_empty() {
            return no("No Object name found");
        }
        let found = {
            let mut pods = self.pods.lock();
            pods.refresh(&*self.objects);
            pods.reaches(&*self.objects, node, kind, &attributes.namespace, &attributes.name)
        };
        if found { allow() } else { no(&format!("{NO_RELATION} '{node}' and this object")) }
    }

    fn get_one(&self, node: &str, kind: Kind, attributes: &Attributes) -> Decision {
        if attributes.verb != "get" {
            return no("can only get individual resources of this type");
        }
        if !attributes.subresource.is_empty() {
            return no("cannot get subresource");
        }
        self.related(node, kind, attributes)
    }

    /// Secrets and config maps: a node may also list and watch one by name.
    fn read_named(&self, node: &str, kind: Kind, attributes: &Attributes) -> Decision {
        if !matches!(attributes.verb.as_str(), "get" | "list" | "watch") {
            return no("can only read resources of this type");
        }
        if !attributes.subresource.is_empty() {
            return no("cannot read subresource");
        }
        if attributes.namespace.is_empty() {
            return no("can only read namespaced object of this type");
        }
        if attributes.name.is_empty()
            && let Some(name) = selected(&attributes.field_selector, "metadata.name")
        {
            let named = Attributes { name: name.into(), ..attributes.clone() };
            return self.related(node, kind, &named);
        }
        self.related(node, kind, attributes)
    }

    fn claim(&self, node: &str, attributes: &Attributes) -> Decision {
        if attributes.subresource != "status" {
            return self.get_one(node, Kind::Claim, attributes);
        }
        match attributes.verb.as_str() {
            "get" | "update" | "patch" => self.related(node, Kind::Claim, attributes),
            _ => no("can only get/update/patch this type"),
        }
    }

    fn service_account(&self, node: &str, attributes: &Attributes) -> Decision {
        if attributes.subresource.is_empty() && matches!(attributes.verb.as_str(), "get" | "list" | "watch") {
            return self.read_named(node, Kind::ServiceAccount, attributes);
        }
        if attributes.verb != "create" || attributes.name.is_empty() {
            return no("can only create tokens for individual service accounts");
        }
        if attributes.subresource != "token" {
            return no("can only create token subresource of service account");
        }
        self.related(node, Kind::ServiceAccount, attributes)
    }

    fn pod(&self, node: &str, attributes: &Attributes) -> Decision {
        match (attributes.subresource.as_str(), attributes.verb.as_str()) {
            // Creates and deletes are limited to mirror pods and own pods by NodeRestriction.
            ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => allow(),
            ("", "get") => self.get_one(node, Kind::Pod, attributes),
            ("", "list" | "watch") => match selected(&attributes.field_selector, "spec.nodeName") {
                Some(asked) if asked == node => allow(),
                _ => no("can only list/watch pods with spec.nodeName field selector"),
            },
            _ => no(""),
        }
    }

    fn attachment(&self, node: &str, attributes: &Attributes) -> Decision {
        if attributes.verb != "get" || !attributes.subresource.is_empty() {
            return self.get_one(node, Kind::Pod, attributes);
        }
        let found = self.objects.get("storage.k8s.io", "volumeattachments", "", &attributes.name);
        match found.is_some_and(|a| text(&a, &["spec", "nodeName"]) == node) {
            true => allow(),
            false => no(&format!("{NO_RELATION} '{node}' and this object")),
        }
    }
}

impl Authorizer for NodeAuthorizer {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        let Some(node) = node_identity(&attributes.user) else { return no("") };
        if node.is_empty() {
            return no(&format!("unknown node for user {:?}", attributes.user.name));
        }
        if attributes.is_resource {
            match (attributes.group.as_str(), attributes.resource.as_str()) {
                ("", "secrets") => return self.read_named(node, Kind::Secret, attributes),
                ("", "configmaps") => return self.read_named(node, Kind::ConfigMap, attributes),
                ("", "persistentvolumeclaims") => return self.claim(node, attributes),
                ("", "persistentvolumes") => return self.get_one(node, Kind::Volume, attributes),
                ("resource.k8s.io", "resourceclaims") => {
                    return self.get_one(node, Kind::ResourceClaim, attributes);
                }
                ("storage.k8s.io", "volumeattachments") => return self.attachment(node, attributes),
                ("", "serviceaccounts") => return self.service_account(node, attributes),
                ("coordination.k8s.io", "leases") => return lease(node, attributes),
                ("storage.k8s.io", "csinodes") => return csi_node(node, attributes),
                ("", "nodes") => return own_node(node, attributes),
                ("", "pods") => return self.pod(node, attributes),
                _ => {}
            }
        }
        let combined = super::combined_resource(attributes);
        if self.rules.iter().any(|r| r.allows(attributes, &combined)) { allow() } else { no("") }
    }

    fn rules(&self, user: &UserInfo, _namespace: &str) -> (Vec<Value>, Vec<Value>, bool) {
        // What a node may read depends on its pods and is no list of rules. Upstream says so only to nodes' reviews by an
        // error text; its `incomplete` stays false for everybody else.
        (Vec::new(), Vec::new(), node_identity(user).is_some())
    }
}

fn allow() -> Decision {
    Decision::Allow(String::new())
}

fn no(reason: &str) -> Decision {
    Decision::NoOpinion(reason.into())
}

fn lease(node: &str, attributes: &Attributes) -> Decision {
    if !matches!(attributes.verb.as_str(), "get" | "create" | "update" | "patch" | "delete") {
        return no("can only get, create, update, patch, or delete a node lease");
    }
    if attributes.namespace != "kube-node-lease" {
        return no("can only access leases in the \"kube-node-lease\" system namespace");
    }
    // A create carries its name in the body: NodeRestriction looks at that.
    if attributes.verb != "create" && attributes.name != node {
        return no("can only access node lease with the same name as the requesting node");
    }
    allow()
}

fn csi_node(node: &str, attributes: &Attributes) -> Decision {
    if !matches!(attributes.verb.as_str(), "get" | "create" | "update" | "patch" | "delete") {
        return no("can only get, create, update, patch, or delete a CSINode");
    }
    if !attributes.subresource.is_empty() {
        return no("cannot authorize CSINode subresources");
    }
    if attributes.verb != "create" && attributes.name != node {
        return no("can only access CSINode with the same name as the requesting node");
    }
    allow()
}

fn own_node(node: &str, attributes: &Attributes) -> Decision {
    match (attributes.subresource.as_str(), attributes.verb.as_str()) {
        // NodeRestriction keeps a node from writing others.
        ("", "create" | "update" | "patch") | ("status", "update" | "patch") => allow(),
        ("", "get" | "list" | "watch") => {
            let name = if attributes.name.is_empty() {
                selected(&attributes.field_selector, "metadata.name").unwrap_or_default()
            } else {
                &attributes.name
            };
            match name {
                name if name == node => allow(),
                "" => no(&format!("node '{node}' cannot read all nodes, only its own Node object")),
                other => no(&format!("node '{node}' cannot read '{other}', only its own Node object")),
            }
        }
        _ => no(""),
    }
}

/// The value that a field selector demands of `field` by equality.
fn selected<'a>(selector: &'a str, field: &str) -> Option<&'a str> {
    selector.split(',').find_map(|term| {
        let (key, value) = term.split_once("==").or_else(|| term.split_once('='))?;
        (key == field && !key.ends_with('!')).then_some(value)
    })
}

#[cfg(test)]
mod tests;
