//! Upstream's default roles and bindings, read from `policy.txt`, and what of them an existing object lacks.

use apimachinery::{Object, Value};

use crate::auth::rbac::GROUP;
use crate::auth::rbac::rule::{Rule, missing};
use crate::value;
use crate::values::{annotation, strings, text};

const TEXT: &str = include_str!("policy.txt");
/// Objects with this annotation set to `false` are left as they are.
const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// One object of the policy.
#[derive(Clone, Debug)]
pub struct PolicyObject {
    pub resource: &'static str,
    pub namespace: String,
    pub name: String,
    pub object: Value,
}

/// The whole policy: roles first, so that bindings find them.
pub fn all() -> Vec<PolicyObject> {
    let mut objects: Vec<PolicyObject> = Vec::new();
    for line in TEXT.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        match line.strip_prefix("  ") {
            None => objects.push(head(line)),
            Some(body) => {
                let object = objects.last_mut().expect("policy.txt starts with the head of an object");
                if object.resource.ends_with("bindings") {
                    push(&mut object.object, &["subjects"], subject(body));
                } else {
                    role_line(&mut object.object, body);
                }
            }
        }
    }
    objects
}

/// The rules of one cluster role of the policy.
pub fn cluster_role_rules(name: &str) -> Vec<Rule> {
    all()
        .iter()
        .find(|o| o.resource == "clusterroles" && o.name == name)
        .map(|o| Rule::list(&o.object))
        .unwrap_or_default()
}

fn head(line: &str) -> PolicyObject {
    let (own, role) = line.split_once(" -> ").map_or((line, None), |(own, role)| (own, Some(role)));
    let (kind, name) = own.split_once(' ').expect("the head has a kind and a name");
    let (resource, kind) = match kind {
        "clusterrole" => ("clusterroles", "ClusterRole"),
        "role" => ("roles", "Role"),
        "clusterrolebinding" => ("clusterrolebindings", "ClusterRoleBinding"),
        _ => ("rolebindings", "RoleBinding"),
    };
    let (namespace, name) = match kind {
        "Role" | "RoleBinding" => name.split_once('/').expect("namespaced objects are NAMESPACE/NAME"),
        _ => ("", name),
    };
    let mut object = value!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": (kind),
        "metadata": {
            "name": (name),
            "labels": { "kubernetes.io/bootstrapping": "rbac-defaults" },
            "annotations": { "rbac.authorization.kubernetes.io/autoupdate": "true" },
        },
    });
    if !namespace.is_empty() {
        object.set_at(&["metadata", "namespace"], namespace);
    }
    if let Some((role_kind, role)) = role.and_then(|r| r.split_once(' ')) {
        let kind = if role_kind == "clusterrole" { "ClusterRole" } else { "Role" };
        object.set_at(&["roleRef"], value!({ "apiGroup": (GROUP), "kind": (kind), "name": (role) }));
    } else {
        object.set_at(&["rules"], Value::from(Vec::new()));
    }
    PolicyObject { resource, namespace: namespace.into(), name: name.into(), object }
}

fn role_line(role: &mut Value, line: &str) {
    if let Some(label) = line.strip_prefix("label ") {
        let (key, value) = label.split_once('=').expect("a label is KEY=VALUE");
        role.set_at(&["metadata", "labels", key], value);
    } else if let Some(label) = line.strip_prefix("aggregate ") {
        let (key, value) = label.split_once('=').expect("a selector is KEY=VALUE");
        let labels: Value = [(key, value)].into_iter().collect();
        push(role, &["aggregationRule", "clusterRoleSelectors"], value!({ "matchLabels": (labels) }));
        // A role that aggregates has no rules of its own: they are another controller's to write.
        role.set_at(&["rules"], Value::NULL);
    } else if let Some(rule) = line.strip_prefix("urls ") {
        let (verbs, urls) = rule.split_once(" : ").expect("a rule has verbs and URLs");
        let rule =
            value!({ "verbs": (strings(verbs.split(','))), "nonResourceURLs": (strings(urls.split(' '))) });
        push(role, &["rules"], rule);
    } else {
        let parts: Vec<&str> = line.split(" : ").collect();
        let groups = parts[1].split(',').map(|g| if g == "core" { "" } else { g });
        let mut rule = value!({
            "verbs": (strings(parts[0].split(','))),
            "apiGroups": (strings(groups)),
            "resources": (strings(parts[2].split(' '))),
        });
        if let Some(names) = parts.get(3) {
            rule.set_at(&["resourceNames"], strings(names.split(' ')));
        }
        push(role, &["rules"], rule);
    }
}

fn subject(line: &str) -> Value {
    let (kind, name) = line.split_once(' ').expect("a subject has a kind and a name");
    match kind {
        "sa" => {
            let (namespace, name) = name.split_once('/').expect("a ServiceAccount is NAMESPACE/NAME");
            value!({ "kind": "ServiceAccount", "name": (name), "namespace": (namespace) })
        }
        "user" => value!({ "kind": "User", "apiGroup": (GROUP), "name": (name) }),
        _ => value!({ "kind": "Group", "apiGroup": (GROUP), "name": (name) }),
    }
}

fn push(object: &mut Value, path: &[&str], item: Value) {
    match object.at_mut(path).and_then(Value::as_array_mut) {
        Some(list) => list.push(item),
        None => object.set_at(path, Value::from(vec![item])),
    }
}

/// What to do with an object that exists.
#[derive(Debug, PartialEq)]
pub enum Reconcile {
    Keep,
    Update(Value),
    /// A binding's role cannot change: it must be made anew.
    Recreate,
}

/// Adds what the policy has and `existing` lacks: rules, subjects, labels, annotations. Nothing is taken away.
pub fn reconcile(wanted: &PolicyObject, existing: &Value) -> Reconcile {
    if annotation(existing, AUTOUPDATE) == Some("false") {
        return Reconcile::Keep;
    }
    let mut object = existing.clone();
    for field in ["labels", "annotations"] {
        let entries = wanted.object.at(&["metadata", field]).and_then(Value::as_object);
        for (key, value) in entries.into_iter().flat_map(Object::iter) {
            if object.at(&["metadata", field, key]).is_none() {
                object.set_at(&["metadata", field, key], value.clone());
            }
        }
    }
    if let Some(role) = wanted.object.get("roleRef") {
        let same = |key| text(role, &[key]) == text(existing, &["roleRef", key]);
        if !same("kind") || !same("name") {
            return Reconcile::Recreate;
        }
        for subject in wanted.object.array_at(&["subjects"]) {
            let same = |other: &Value| {
                ["kind", "name", "namespace"].iter().all(|k| text(other, &[k]) == text(subject, &[k]))
            };
            if !existing.array_at(&["subjects"]).iter().any(same) {
                push(&mut object, &["subjects"], subject.clone());
            }
        }
    } else if let Some(aggregation) = wanted.object.get("aggregationRule") {
        for selector in aggregation.array_at(&["clusterRoleSelectors"]) {
            if !existing.array_at(&["aggregationRule", "clusterRoleSelectors"]).contains(selector) {
                push(&mut object, &["aggregationRule", "clusterRoleSelectors"], selector.clone());
            }
        }
    } else {
        let held = Rule::list(existing);
        for rule in wanted.object.array_at(&["rules"]) {
            if !missing(&held, &[Rule::from_value(rule)]).is_empty() {
                push(&mut object, &["rules"], rule.clone());
            }
        }
    }
    if object == *existing { Reconcile::Keep } else { Reconcile::Update(object) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::meta;

    fn object(name: &str) -> PolicyObject {
        all().into_iter().find(|o| o.name == name).unwrap()
    }

    #[test]
    fn the_whole_policy_reads() {
        let count = |resource| all().iter().filter(|o| o.resource == resource).count();
        let counts = ["clusterroles", "roles", "clusterrolebindings", "rolebindings"].map(count);
        assert_eq!(counts, [70, 7, 51, 7]);
        assert!(all().iter().all(|o| meta(&o.object, "name") == o.name));
        assert!(all().iter().all(|o| Rule::list(&o.object).iter().all(|r| !r.verbs.is_empty())));
    }

    #[test]
    fn bindings_name_roles_of_the_policy() {
        let objects = all();
        for binding in objects.iter().filter(|o| o.resource.ends_with("bindings")) {
            let role = text(&binding.object, &["roleRef", "name"]);
            assert!(
                objects.iter().any(|o| o.resource.ends_with("roles") && o.name == role),
                "{}",
                binding.name
            );
        }
    }

    #[test]
    fn what_is_missing_is_added_and_the_rest_is_kept() {
        let wanted = object("system:basic-user");
        assert_eq!(reconcile(&wanted, &wanted.object), Reconcile::Keep);

        let mut narrowed = wanted.object.clone();
        narrowed.set_at(&["rules"], value!([{ "verbs": ["get"], "apiGroups": ["x"], "resources": ["y"] }]));
        let Reconcile::Update(updated) = reconcile(&wanted, &narrowed) else { panic!("an update") };
        assert_eq!(updated.array_at(&["rules"]).len(), 3);

        narrowed.set_at(&["metadata", "annotations", AUTOUPDATE], "false");
        assert_eq!(reconcile(&wanted, &narrowed), Reconcile::Keep);
    }

    #[test]
    fn a_binding_to_another_role_is_made_anew() {
        let wanted = all().into_iter().find(|o| o.resource == "clusterrolebindings").unwrap();
        let mut other = wanted.object.clone();
        other.set_at(&["roleRef", "name"], "x");
        assert_eq!(reconcile(&wanted, &other), Reconcile::Recreate);
    }
}
