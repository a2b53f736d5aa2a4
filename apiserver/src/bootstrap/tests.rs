use super::*;
use crate::fake_objects::FakeObjects;
use crate::seams::{Attributes, Authorizer as _, Decision, UserInfo};

fn config() -> Config {
    Config {
        advertise_address: "10.0.0.5".parse().unwrap(),
        port: 6443,
        service_cidrs: vec!["10.96.0.0/16".into()],
        kubernetes_ip: "10.96.0.1".parse().unwrap(),
        host_name: "h".into(),
        identity: "apiserver-x".into(),
        run_uid: "u".into(),
        client_ca_pem: "CA".into(),
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn boot(objects: &Arc<FakeObjects>, config: &Config) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(run(Arc::clone(objects) as Arc<dyn Objects>, config, now())).unwrap();
}

#[test]
fn a_second_start_writes_nothing() {
    let objects = Arc::new(FakeObjects::default());
    boot(&objects, &config());
    let writes = objects.writes();
    assert!(writes > 150);
    boot(&objects, &config());
    assert_eq!(objects.writes(), writes);
}

#[test]
fn a_server_that_moved_changes_its_endpoints_alone() {
    let objects = Arc::new(FakeObjects::default());
    boot(&objects, &config());
    let writes = objects.writes();
    boot(&objects, &Config { advertise_address: "10.0.0.6".parse().unwrap(), ..config() });
    assert_eq!(objects.writes(), writes + 2, "endpoints and their slice");
    let found = objects.get("", "endpoints", "default", "kubernetes").unwrap();
    assert_eq!(found.array_at(&["subsets"])[0].array_at(&["addresses"])[0].str_at(&["ip"]), Some("10.0.0.6"));
}

#[test]
fn statuses_and_deleted_objects_come_back() {
    let objects = Arc::new(FakeObjects::default());
    boot(&objects, &config());
    let cidr = objects.get(NETWORKING, "servicecidrs", "", "kubernetes").unwrap();
    assert_eq!(cidr.array_at(&["status", "conditions"])[0].str_at(&["type"]), Some("Ready"));
    objects.remove(RBAC, "clusterroles", "", "view");
    boot(&objects, &config());
    assert!(objects.get(RBAC, "clusterroles", "", "view").is_some());
}

/// The default policy lets upstream's components do their work and nobody else theirs.
#[test]
fn the_default_policy_decides() {
    let objects = Arc::new(FakeObjects::default());
    boot(&objects, &config());
    let (chain, _) = crate::auth::Chain::node_and_rbac(objects);
    let may = |user: &str, group: &str, verb: &str, resource: &str| {
        let (api, resource) = resource.split_once('/').unwrap();
        let user = UserInfo { name: user.into(), groups: vec![group.into()], ..UserInfo::default() };
        let attributes = Attributes {
            user: Arc::new(user),
            verb: verb.into(),
            group: api.into(),
            resource: resource.into(),
            namespace: "default".into(),
            is_resource: true,
            ..Attributes::default()
        };
        matches!(chain.authorize(&attributes), Decision::Allow(_))
    };
    assert!(
        may("system:kube-scheduler", "", "create", "/bindings")
            || may("system:kube-scheduler", "", "list", "/pods")
    );
    assert!(may("system:serviceaccount:kube-system:deployment-controller", "", "create", "apps/replicasets"));
    assert!(may("x", "system:masters", "delete", "any/thing"));
    assert!(may("x", "system:authenticated", "create", "authorization.k8s.io/selfsubjectaccessreviews"));
    assert!(!may("system:anonymous", "system:unauthenticated", "list", "/pods"));
    assert!(!may("system:kube-scheduler", "", "create", "apps/replicasets"));
}
