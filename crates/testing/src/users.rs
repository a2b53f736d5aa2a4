//! The users that components are, with the groups that their credentials would give them.

use apiserver::seams::UserInfo;

const AUTHENTICATED: &str = "system:authenticated";

pub fn user(name: &str, groups: &[&str]) -> UserInfo {
    let groups = groups.iter().copied().chain([AUTHENTICATED]).map(str::to_owned).collect();
    UserInfo { name: name.to_owned(), groups, ..UserInfo::default() }
}

/// The person in front of the cluster: may do everything.
pub fn admin() -> UserInfo {
    user("admin", &["system:masters"])
}

pub fn scheduler() -> UserInfo {
    user("system:kube-scheduler", &[])
}

pub fn controller_manager() -> UserInfo {
    user("system:kube-controller-manager", &[])
}

pub fn service_account(namespace: &str, name: &str) -> UserInfo {
    let in_namespace = format!("system:serviceaccounts:{namespace}");
    user(&format!("system:serviceaccount:{namespace}:{name}"), &["system:serviceaccounts", &in_namespace])
}

pub fn node(name: &str) -> UserInfo {
    user(&format!("system:node:{name}"), &["system:nodes"])
}
