use jiff::{SignedDuration, Timestamp};
use pki::{TokenError, TokenKey};

use super::*;
use crate::auth::Chain;
use crate::auth::service_account::{ISSUER, TokenRefused};
use crate::fake_objects::{FakeObjects, from_yaml};
use crate::seams::SpecialRequest;
use crate::values::{meta, text};

const OBJECTS: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: sa, namespace: ns, uid: sa-uid}
---
apiVersion: v1
kind: Node
metadata: {name: n1, uid: node-uid}
---
apiVersion: v1
kind: Pod
metadata: {name: run, namespace: ns, uid: run-uid, labels: {app: a}}
spec: {serviceAccountName: sa, nodeName: n1}
status: {phase: Running, conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: wait, namespace: ns, uid: wait-uid}
spec: {serviceAccountName: other}
status: {phase: Pending, conditions: [{type: PodScheduled, status: "False"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: gated, namespace: ns}
spec: {schedulingGates: [{name: g}]}
---
apiVersion: v1
kind: Pod
metadata: {name: going, namespace: ns, deletionTimestamp: "2026-01-01T00:00:00Z"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get]}
- {nonResourceURLs: ["/healthz"], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: readers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ann}]
"#;

/// A server's specials over objects in memory.
struct World {
    objects: Arc<FakeObjects>,
    specials: Vec<Arc<dyn Special>>,
    service_accounts: Arc<ServiceAccounts>,
    clock: Arc<env::clock::SimClock>,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let clock = runtime.block_on(async { Arc::new(env::clock::SimClock::new()) });
        let objects = FakeObjects::with(OBJECTS);
        let (authorizer, _) = Chain::node_and_rbac(Arc::clone(&objects) as Arc<dyn Objects>);
        let key = TokenKey::generate().unwrap();
        let audiences = vec![ISSUER.to_owned()];
        let rng = Arc::new(env::rng::SeededRng::new(1));
        let issuer = Arc::new(TokenIssuer::new(key, ISSUER, audiences.clone(), rng));
        let service_accounts = Arc::new(ServiceAccounts::new(
            issuer.verifier(),
            Arc::clone(&objects) as Arc<dyn Objects>,
            Arc::clone(&clock) as Arc<dyn env::Clock>,
            audiences,
        ));
        let specials = all(&Dependencies {
            objects: Arc::clone(&objects) as Arc<dyn Objects>,
            authorizer,
            service_accounts: Arc::clone(&service_accounts),
            token_authenticators: Vec::new(),
            issuer,
        });
        Self { objects, specials, service_accounts, clock, runtime }
    }

    fn now(&self) -> Timestamp {
        self.runtime.block_on(async { env::Clock::now(&*self.clock) })
    }

    fn pass(&self, secs: i64) {
        let nanos = i64::try_from(SignedDuration::from_secs(secs).as_nanos()).unwrap();
        self.clock.set_skew_nanos(nanos);
    }

    /// POSTs to `RESOURCE[/SUB]` as `ann`; the refusal as `CODE MESSAGE`.
    fn post(&self, resource: &str, name: &str, object: &str) -> Result<Value, String> {
        self.post_full(resource, name, object).map_err(|s| format!("{} {}", s.code, s.message))
    }

    fn post_full(&self, resource: &str, name: &str, object: &str) -> Result<Value, apimachinery::Status> {
        let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
        let special =
            self.specials.iter().find(|s| (s.resource().1, s.resource().2) == (resource, sub)).unwrap();
        let user = Arc::new(UserInfo { name: "ann".into(), ..UserInfo::default() });
        let request = SpecialRequest {
            user: &user,
            namespace: "ns",
            name,
            object: from_yaml(object),
            dry_run: false,
            now: self.now(),
        };
        self.runtime.block_on(special.create(request))
    }

    fn token(&self, spec: &str) -> String {
        let answer = self.post("serviceaccounts/token", "sa", &format!("spec: {spec}")).unwrap();
        text(&answer, &["status", "token"]).to_owned()
    }

    fn verify(&self, token: &str) -> Result<crate::auth::service_account::Verified, TokenRefused> {
        self.runtime.block_on(async { self.service_accounts.verify(token, &[]) })
    }

    fn pod(&self, name: &str) -> Option<Arc<Value>> {
        self.objects.get("", "pods", "ns", name)
    }

    fn budget(&self, name: &str, status: &str) {
        self.objects.add(&format!(
            "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: {name}, namespace: ns, generation: 1}}\n\
             spec: {{selector: {{matchLabels: {{app: a}}}}}}\nstatus: {status}"
        ));
    }

    #[track_caller]
    fn check_refused(&self, resource: &str, name: &str, object: &str, expected: &str) {
        assert_eq!(self.post(resource, name, object).unwrap_err(), expected);
    }
}

const POD_BOUND: &str = "{boundObjectRef: {apiVersion: v1, kind: Pod, name: run}, expirationSeconds: 3607}";

#[test]
fn a_token_is_whose_it_says_until_it_ends() {
    let world = World::new();
    let token = world.token("{expirationSeconds: 600}");
    let verified = world.verify(&token).unwrap();
    assert_eq!(verified.user.name, "system:serviceaccount:ns:sa");
    assert_eq!(verified.user.uid, "sa-uid");
    assert_eq!(verified.user.groups, ["system:serviceaccounts", "system:serviceaccounts:ns"]);
    assert!(!verified.stale);
    world.pass(700);
    assert_eq!(world.verify(&token), Err(TokenRefused::Token(TokenError::Expired)));
}

#[test]
fn a_token_dies_with_what_it_is_bound_to() {
    let world = World::new();
    let plain = world.token("{}");
    let bound = world.token(POD_BOUND);
    let user = world.verify(&bound).unwrap().user;
    assert_eq!(user.extra["authentication.kubernetes.io/pod-name"], ["run"]);
    assert_eq!(user.extra["authentication.kubernetes.io/node-uid"], ["node-uid"]);

    // Another pod of the same name is not the same pod.
    let mut pod = (*world.pod("run").unwrap()).clone();
    pod.set_at(&["metadata", "uid"], "next-uid");
    world.objects.put("", "pods", pod);
    assert_eq!(
        world.verify(&bound).unwrap_err().to_string(),
        "the UID of pods (next-uid) does not match claim (run-uid)"
    );
    world.objects.remove("", "pods", "ns", "run");
    assert_eq!(world.verify(&bound).unwrap_err().to_string(), "pods \"run\" not found");
    world.verify(&plain).unwrap();
    world.objects.remove("", "serviceaccounts", "ns", "sa");
    assert_eq!(world.verify(&plain).unwrap_err().to_string(), "serviceaccounts \"sa\" not found");
}

#[test]
fn the_pod_tokens_of_kubelets_outlive_the_hour_that_they_show() {
    let world = World::new();
    let token = world.token(POD_BOUND);
    let other = world.token("{expirationSeconds: 3607}");
    world.pass(5000);
    assert!(world.verify(&token).unwrap().stale);
    assert_eq!(world.verify(&other), Err(TokenRefused::Token(TokenError::Expired)));
}

#[test]
fn bad_token_requests_are_refused() {
    let world = World::new();
    let path = "serviceaccounts/token";
    world.check_refused(path, "none", "spec: {}", "404 serviceaccounts \"none\" not found");
    world.check_refused(
        path,
        "sa",
        "spec: {expirationSeconds: 599}",
        "422 TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 599: may not \
         specify a duration less than 10 minutes",
    );
    world.check_refused(
        path,
        "sa",
        "spec: {boundObjectRef: {apiVersion: v1, kind: Pod, name: wait}}",
        "400 cannot bind token for serviceaccount \"sa\" to pod running with different serviceaccount name.",
    );
    world.check_refused(
        path,
        "sa",
        "spec: {boundObjectRef: {apiVersion: v1, kind: Pod, name: none}}",
        "404 pods \"none\" not found",
    );
    world.check_refused(
        path,
        "sa",
        "spec: {boundObjectRef: {apiVersion: apps/v1, kind: Deployment, name: d}}",
        "400 cannot bind token to object of type apps/v1, Kind=Deployment",
    );
    assert!(
        world
            .post(path, "sa", "spec: {boundObjectRef: {apiVersion: v1, kind: Node, name: n1, uid: x}}")
            .unwrap_err()
            .contains("the UID in the bound object reference (x) does not match the UID in record.")
    );
}

#[test]
fn a_token_review_says_who_and_for_whom() {
    let world = World::new();
    let review = |token: &str, audiences: &str| {
        let spec = format!("spec: {{token: '{token}', audiences: {audiences}}}");
        world.post("tokenreviews", "", &spec).unwrap().get("status").unwrap().to_json_string()
    };
    let token = world.token("{audiences: [vault, db]}");
    let good: Value = Value::from_json(review(&token, "[vault, web]").as_bytes()).unwrap();
    assert_eq!(good.str_at(&["user", "username"]), Some("system:serviceaccount:ns:sa"));
    assert_eq!(good.at(&["audiences"]).unwrap().to_json_string(), r#"["vault"]"#);
    let groups = good.at(&["user", "groups"]).unwrap().to_json_string();
    assert!(groups.contains("system:authenticated"), "{groups}");
    // Without audiences the token must be for the server itself.
    assert!(review(&token, "[]").contains("is invalid for the target audiences"));
    assert_eq!(review("nonsense", "[]"), r#"{"user":{},"error":"invalid bearer token"}"#);
    world.check_refused(
        "tokenreviews",
        "",
        "spec: {token: ''}",
        "400 token is required for TokenReview in authentication",
    );
}

#[test]
fn access_reviews_answer_for_the_subject_that_they_name() {
    let world = World::new();
    let status = |resource: &str, spec: &str| {
        let answer = world.post(resource, "", &format!("spec: {spec}")).unwrap();
        answer.get("status").unwrap().to_json_string()
    };
    let allowed = r#"{"allowed":true,"reason":"RBAC: allowed by ClusterRoleBinding \"readers\" of ClusterRole \"reader\" to User \"ann\""}"#;
    let get = "resourceAttributes: {verb: get, resource: pods, namespace: ns}";
    assert_eq!(status("selfsubjectaccessreviews", &format!("{{{get}}}")), allowed);
    assert_eq!(status("subjectaccessreviews", &format!("{{user: ann, {get}}}")), allowed);
    assert_eq!(status("localsubjectaccessreviews", &format!("{{user: ann, {get}}}")), allowed);
    assert_eq!(status("subjectaccessreviews", &format!("{{user: bob, {get}}}")), r#"{"allowed":false}"#);
    assert_eq!(
        status("subjectaccessreviews", "{user: ann, nonResourceAttributes: {verb: get, path: /healthz}}"),
        allowed
    );
    let rules = world.post("selfsubjectrulesreviews", "", "spec: {namespace: ns}").unwrap();
    assert_eq!(
        rules.at(&["status"]).unwrap().to_json_string(),
        r#"{"resourceRules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}],"nonResourceRules":[{"verbs":["get"],"nonResourceURLs":["/healthz"]}],"incomplete":false}"#
    );
    world.check_refused(
        "localsubjectaccessreviews",
        "",
        "spec: {user: ann, resourceAttributes: {verb: get, resource: pods, namespace: other}}",
        "422 .authorization.k8s.io \"\" is invalid: spec.resourceAttributes.namespace: Invalid value: \"other\": must \
         match metadata.namespace",
    );
}

#[test]
fn a_binding_gives_a_waiting_pod_its_node_once() {
    let world = World::new();
    let bind = "{metadata: {name: wait, annotations: {a: b}}, target: {kind: Node, name: n1}}";
    world.post("pods/binding", "wait", bind).unwrap();
    let pod = world.pod("wait").unwrap();
    assert_eq!(text(&pod, &["spec", "nodeName"]), "n1");
    assert_eq!(text(&pod, &["metadata", "annotations", "a"]), "b");
    let conditions = pod.array_at(&["status", "conditions"]);
    assert_eq!(conditions.len(), 1);
    assert_eq!(text(&conditions[0], &["status"]), "True");
    world.check_refused(
        "pods/binding",
        "wait",
        bind,
        "409 Operation cannot be fulfilled on pods/binding \"wait\": pod wait is already assigned to node \"n1\"",
    );
}

#[test]
fn pods_that_cannot_run_are_not_bound() {
    let world = World::new();
    let bind = |name: &str| format!("{{metadata: {{name: {name}}}, target: {{name: n1}}}}");
    for (name, why) in [
        ("gated", "pod gated has non-empty .spec.schedulingGates"),
        ("going", "pod going is being deleted, cannot be assigned to a host"),
    ] {
        let expected = format!("409 Operation cannot be fulfilled on pods/binding \"{name}\": {why}");
        world.check_refused("pods/binding", name, &bind(name), &expected);
    }
    world.check_refused("bindings", "", &bind("none"), "404 pods \"none\" not found");
    let target = "{metadata: {name: wait}, target: {kind: Pod, name: n1}}";
    world.check_refused(
        "pods/binding",
        "wait",
        target,
        "500 target.kind: Unsupported value: \"Pod\": supported values: \"Node\", \"<empty>\"",
    );
    let stale = "{metadata: {name: wait, uid: other}, target: {name: n1}}";
    assert!(world.post("pods/binding", "wait", stale).unwrap_err().starts_with("409 "));
}

#[test]
fn an_eviction_is_charged_to_the_budget() {
    let world = World::new();
    world.budget("b", "{observedGeneration: 1, disruptionsAllowed: 1, desiredHealthy: 1, currentHealthy: 2}");
    world.post("pods/eviction", "run", "metadata: {name: run}").unwrap();
    assert!(world.pod("run").is_none());
    let budget = world.objects.get("policy", "poddisruptionbudgets", "ns", "b").unwrap();
    assert_eq!(budget.i64_at(&["status", "disruptionsAllowed"]), Some(0));
    assert!(budget.at(&["status", "disruptedPods", "run"]).is_some());
}

#[test]
fn an_eviction_that_the_budget_forbids_leaves_the_pod() {
    let world = World::new();
    world.budget("b", "{observedGeneration: 1, disruptionsAllowed: 0, desiredHealthy: 2, currentHealthy: 2}");
    let status = world.post_full("pods/eviction", "run", "metadata: {name: run}").unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (429, "TooManyRequests"));
    let details = status.details.unwrap();
    assert_eq!(details.causes[0].message, "The disruption budget b needs 2 healthy pods and has 2 currently");
    let pod = world.pod("run").unwrap();
    assert_eq!(pod.array_at(&["status", "conditions"]).len(), 1, "it is not marked");
    // A pod that does not run yet costs nothing.
    world.post("pods/eviction", "wait", "metadata: {name: wait}").unwrap();

    world.budget("c", "{}");
    world.check_refused(
        "pods/eviction",
        "run",
        "metadata: {name: run}",
        "500 This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
    );
    world.check_refused(
        "pods/eviction",
        "run",
        "metadata: {name: x}",
        "400 name in URL does not match name in Eviction object",
    );
}

#[test]
fn the_caller_is_told_who_it_is() {
    let world = World::new();
    let answer = world.post("selfsubjectreviews", "", "{}").unwrap();
    assert_eq!(answer.str_at(&["status", "userInfo", "username"]), Some("ann"));
    assert_eq!(meta(&answer, "creationTimestamp"), "2026-01-01T00:00:00Z");
}
