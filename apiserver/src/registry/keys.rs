//! Where objects are stored: upstream's keys.

/// The root of everything.
pub const ROOT: &str = "/registry/";

/// Groups whose objects are stored under the group's name, like custom resources.
const GROUPS_IN_KEYS: [&str; 2] = ["apiextensions.k8s.io", "apiregistration.k8s.io"];

/// The prefix of all objects of a resource, with its slash.
pub fn prefix(group: &str, resource: &str, custom: bool) -> String {
    if custom || GROUPS_IN_KEYS.contains(&group) {
        return format!("{ROOT}{group}/{resource}/");
    }
    let path = match (group, resource) {
        ("", "services") => "services/specs",
        ("", "endpoints") => "services/endpoints",
        ("", "nodes") => "minions",
        ("", "replicationcontrollers") => "controllers",
        ("networking.k8s.io", "ingresses") => "ingress",
        _ => resource,
    };
    format!("{ROOT}{path}/")
}

/// The prefix of one namespace's objects (of all, when `namespace` is empty).
pub fn scope(prefix: &str, namespace: &str) -> String {
    if namespace.is_empty() { prefix.to_owned() } else { format!("{prefix}{namespace}/") }
}

/// An object's key.
pub fn key(prefix: &str, namespace: &str, name: &str) -> String {
    if namespace.is_empty() { format!("{prefix}{name}") } else { format!("{prefix}{namespace}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_upstreams() {
        assert_eq!(key(&prefix("", "pods", false), "ns", "a"), "/registry/pods/ns/a");
        assert_eq!(key(&prefix("", "nodes", false), "", "a"), "/registry/minions/a");
        assert_eq!(prefix("", "services", false), "/registry/services/specs/");
        assert_eq!(prefix("events.k8s.io", "events", false), "/registry/events/");
        assert_eq!(
            prefix("apiextensions.k8s.io", "customresourcedefinitions", false),
            "/registry/apiextensions.k8s.io/customresourcedefinitions/"
        );
        assert_eq!(prefix("example.com", "foos", true), "/registry/example.com/foos/");
    }
}
