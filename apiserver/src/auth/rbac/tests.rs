use super::*;
use crate::fake_objects::FakeObjects;

const ROLES: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules:
- {verbs: [get, list], apiGroups: [""], resources: [pods, "*/status", deployments/scale]}
- {verbs: [get], nonResourceURLs: [/healthz, "/apis/*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: part, labels: {aggregate: "yes"}}
rules:
- {verbs: ["*"], apiGroups: [apps], resources: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: whole}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {aggregate: "yes"}}]}
rules: null
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: one, namespace: ns}
rules:
- {verbs: [get], apiGroups: [""], resources: [secrets], resourceNames: [s]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: readers}
roleRef: {kind: ClusterRole, name: reader}
subjects: [{kind: Group, name: devs}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: apps, namespace: ns}
roleRef: {kind: ClusterRole, name: whole}
subjects: [{kind: User, name: ann}, {kind: ServiceAccount, name: sa}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: secret, namespace: ns}
roleRef: {kind: Role, name: one}
subjects: [{kind: User, name: ann}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: dangling, namespace: ns}
roleRef: {kind: Role, name: gone}
subjects: [{kind: User, name: bob}]
"#;

fn user(name: &str, groups: &[&str]) -> Arc<UserInfo> {
    let groups = groups.iter().map(|g| (*g).to_owned()).collect();
    Arc::new(UserInfo { name: name.into(), groups, ..UserInfo::default() })
}

/// `request` is `VERB GROUP/RESOURCE[/SUB] [NAMESPACE/[NAME]]` or `VERB /path`.
fn attributes(user: &Arc<UserInfo>, request: &str) -> Attributes {
    let mut words = request.split(' ');
    let (verb, what) = (words.next().unwrap().to_owned(), words.next().unwrap());
    if what.starts_with('/') {
        return Attributes { user: Arc::clone(user), verb, path: what.into(), ..Attributes::default() };
    }
    let (group, resource) = what.split_once('/').unwrap();
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let (namespace, name) = words.next().and_then(|w| w.split_once('/')).unwrap_or_default();
    Attributes {
        user: Arc::clone(user),
        verb,
        group: if group == "core" { String::new() } else { group.into() },
        resource: resource.into(),
        subresource: subresource.into(),
        namespace: namespace.into(),
        name: name.into(),
        is_resource: true,
        ..Attributes::default()
    }
}

#[track_caller]
fn check(who: &Arc<UserInfo>, request: &str, allowed: bool) {
    let rbac = Rbac::new(FakeObjects::with(ROLES));
    let decision = rbac.authorize(&attributes(who, request));
    assert_eq!(matches!(decision, Decision::Allow(_)), allowed, "{request}: {decision:?}");
}

#[test]
fn rules_match_as_upstream() {
    let dev = user("d", &["devs"]);
    check(&dev, "get core/pods", true);
    check(&dev, "get core/pods a/b", true);
    check(&dev, "delete core/pods a/b", false);
    check(&dev, "get core/pods/status a/b", true);
    check(&dev, "get core/pods/log a/b", false);
    check(&dev, "get core/deployments/scale a/b", true);
    check(&dev, "get apps/pods", false);
    check(&dev, "get /healthz", true);
    check(&dev, "get /apis/apps/v1", true);
    check(&dev, "get /api", false);
    let ann = user("ann", &[]);
    check(&ann, "get core/secrets ns/s", true);
    check(&ann, "get core/secrets ns/t", false);
    check(&ann, "list core/secrets ns/", false);
    check(&ann, "get core/secrets other/s", false);
}

#[test]
fn aggregated_roles_need_no_controller() {
    let ann = user("ann", &[]);
    check(&ann, "create apps/deployments ns/", true);
    check(&ann, "create apps/deployments other/", false);
    let account = user("system:serviceaccount:ns:sa", &[]);
    check(&account, "create apps/deployments ns/", true);
}

#[test]
fn reasons_are_upstreams() {
    let rbac = Rbac::new(FakeObjects::with(ROLES));
    let reason = |who: &Arc<UserInfo>, request: &str| match rbac.authorize(&attributes(who, request)) {
        Decision::Allow(reason) | Decision::Deny(reason) | Decision::NoOpinion(reason) => reason,
    };
    expect_test::expect![[
        r#"RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "reader" to Group "devs""#
    ]]
    .assert_eq(&reason(&user("d", &["devs"]), "get core/pods"));
    expect_test::expect![[
        r#"RBAC: allowed by RoleBinding "apps/ns" of ClusterRole "whole" to ServiceAccount "sa/ns""#
    ]]
    .assert_eq(&reason(&user("system:serviceaccount:ns:sa", &[]), "get apps/deployments ns/"));
    expect_test::expect![[r#"RBAC: role.rbac.authorization.k8s.io "gone" not found"#]]
        .assert_eq(&reason(&user("bob", &[]), "get core/pods ns/"));
}

#[test]
fn the_index_follows_changes_and_only_them() {
    let objects = FakeObjects::with(ROLES);
    let rbac = Rbac::new(Arc::clone(&objects) as Arc<dyn Objects>);
    let bob = user("bob", &[]);
    let denied = attributes(&bob, "get core/pods ns/");
    assert!(matches!(rbac.authorize(&denied), Decision::NoOpinion(_)));
    let lists = objects.lists();
    assert!(matches!(rbac.authorize(&denied), Decision::NoOpinion(_)));
    assert_eq!(objects.lists(), lists, "nothing changed, nothing read");
    objects.add(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: r, namespace: ns}\n\
         roleRef: {kind: ClusterRole, name: reader}\nsubjects: [{kind: User, name: bob}]",
    );
    assert!(matches!(rbac.authorize(&denied), Decision::Allow(_)));
    objects.remove(GROUP, "rolebindings", "ns", "r");
    assert!(matches!(rbac.authorize(&denied), Decision::NoOpinion(_)));
}

#[test]
fn missing_rights_are_told_as_upstream_does() {
    let held = [Rule {
        verbs: vec!["get".into()],
        groups: vec![String::new()],
        resources: vec!["pods".into()],
        ..Rule::default()
    }];
    let wanted = [Rule {
        verbs: vec!["get".into(), "list".into(), "watch".into()],
        groups: vec![String::new()],
        resources: vec!["pods".into(), "secrets".into()],
        ..Rule::default()
    }];
    expect_test::expect![[r#"
        {APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]}
        {APIGroups:[""], Resources:["secrets"], Verbs:["get" "list" "watch"]}"#]]
    .assert_eq(&rule::missing(&held, &wanted).join("\n"));
}
