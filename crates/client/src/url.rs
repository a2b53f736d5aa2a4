//! Paths and queries of API requests.

use crate::api::ListParams;
use crate::object::ResourceType;

impl ResourceType {
    /// `/api/v1/namespaces/NS/pods/NAME/SUBRESOURCE`; an empty namespace of a namespaced resource means all of them.
    pub fn path(&self, namespace: &str, name: &str, subresource: &str) -> String {
        path(self.group, self.version, self.plural, self.namespaced, namespace, name, subresource)
    }

    /// `apps/v1`, or `v1` for the core group.
    pub fn api_version(&self) -> String {
        api_version(self.group, self.version)
    }
}

/// `group/version`, or the version alone for the core group.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// The path of a collection (empty `name`), an object or a subresource.
pub fn path(
    group: &str,
    version: &str,
    plural: &str,
    namespaced: bool,
    namespace: &str,
    name: &str,
    subresource: &str,
) -> String {
    let mut path =
        if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    let mut push = |segment: &str| {
        path.push('/');
        path.push_str(&encode(segment));
    };
    if namespaced && !namespace.is_empty() {
        push("namespaces");
        push(namespace);
    }
    push(plural);
    if !name.is_empty() {
        push(name);
    }
    if !subresource.is_empty() {
        // A proxy's subresource may go on: its slashes are its own.
        path.push('/');
        path.push_str(subresource);
    }
    path
}

/// Percent-encodes all but RFC 3986's unreserved characters.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => {
                out.push('%');
                for nibble in [byte >> 4, byte & 0xf] {
                    let digit = char::from_digit(nibble.into(), 16).expect("a nibble is below 16");
                    out.push(digit.to_ascii_uppercase());
                }
            }
        }
    }
    out
}

/// `?a=b&c=d`, or nothing; empty values are left out.
pub fn query(pairs: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in pairs.iter().filter(|(_, v)| !v.is_empty()) {
        out.push(if out.is_empty() { '?' } else { '&' });
        out.push_str(name);
        out.push('=');
        out.push_str(&encode(value));
    }
    out
}

pub(crate) fn list_query(params: &ListParams) -> String {
    let limit = params.limit.map(|l| l.to_string()).unwrap_or_default();
    query(&[
        ("labelSelector", &params.label_selector),
        ("fieldSelector", &params.field_selector),
        ("limit", &limit),
        ("continue", &params.continue_token),
        ("resourceVersion", &params.resource_version),
        ("resourceVersionMatch", &params.resource_version_match),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources;

    #[track_caller]
    fn check_path(ty: &ResourceType, namespace: &str, name: &str, subresource: &str, expected: &str) {
        assert_eq!(ty.path(namespace, name, subresource), expected);
    }

    #[test]
    fn paths() {
        check_path(&resources::PODS, "", "", "", "/api/v1/pods");
        check_path(&resources::PODS, "a", "b", "status", "/api/v1/namespaces/a/pods/b/status");
        check_path(&resources::NODES, "ignored", "n", "", "/api/v1/nodes/n");
        check_path(&resources::DEPLOYMENTS, "a", "", "", "/apis/apps/v1/namespaces/a/deployments");
        check_path(
            &resources::CLUSTER_ROLES,
            "",
            "a:b",
            "",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/a%3Ab",
        );
    }

    #[test]
    fn queries() {
        assert_eq!(list_query(&ListParams::default()), "");
        let params =
            ListParams { label_selector: "a=b,c in (d)".into(), limit: Some(2), ..ListParams::default() };
        assert_eq!(list_query(&params), "?labelSelector=a%3Db%2Cc%20in%20%28d%29&limit=2");
    }
}
