//! Bad input is refused in Kubernetes' words, and nothing of it is stored.
//!
//! What is expected was answered by a real server to the same requests; each answer is compared whole.

mod expected;

use std::cell::RefCell;
use std::collections::BTreeSet;

use e2e_tests::api::Api;
use e2e_tests::{Cluster, eventually};
use expected::{Cause, bad_request, invalid, status};
use serde_json::{Value, json};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const PODS: &str = "/api/v1/namespaces/default/pods";
const SERVICES: &str = "/api/v1/namespaces/default/services";
const NAMESPACES: &str = "/api/v1/namespaces";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const MERGE: &str = "application/merge-patch+json";

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
                         and must start and end with an alphanumeric character (e.g. 'example.com', regex used for \
                         validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                     start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
                     validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

/// What the refused requests would change.
const THERE: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: taken}
data: {a: b}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: sealed}
immutable: true
data: {a: b}
---
apiVersion: v1
kind: Secret
metadata: {name: typed}
type: example.com/one
---
apiVersion: v1
kind: Service
metadata: {name: fixed}
spec: {ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: fixed}
spec:
  replicas: 0
  selector: {matchLabels: {app: a}}
  template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: nginx}]}}
"#;

#[test]
fn bad_input_is_refused_and_leaves_nothing() {
    let cluster = Cluster::start();
    cluster.apply(THERE);
    let taken_up = "{.metadata.generation} {.status.observedGeneration}";
    eventually("the deployment is taken up", || {
        let found = cluster.field(&["deployment", "fixed"], taken_up);
        // The controller's note of the revision counts as a change.
        (found == "2 2").then_some(())
    });
    let asker = Asker { api: Api::of(&cluster), differences: RefCell::default() };
    let (names, objects) = (everything(&cluster), in_default(&cluster));
    broken_bodies(&asker);
    unknown_and_duplicate_fields(&asker);
    wrong_types_and_missing_fields(&asker);
    invalid_names(&asker);
    immutable_fields(&asker);
    conflicts(&asker);
    too_large(&asker);
    credentials(&asker);
    by_kubectl(&cluster);
    let differences = asker.differences.into_inner();
    assert!(differences.is_empty(), "{} answers differ:\n{}", differences.len(), differences.join("\n"));
    assert_eq!(everything(&cluster), names, "something was stored");
    assert_eq!(in_default(&cluster), objects, "something was changed");
}

/// Every stored object of the cluster but events: how it is called and which it is.
fn everything(cluster: &Cluster) -> BTreeSet<String> {
    let resources = cluster.kubectl(&["api-resources", "--verbs=list", "-o", "name"]).ok().stdout;
    // The state of components is asked for, not stored.
    let other = |resource: &str| resource.starts_with("events") || resource == "componentstatuses";
    let resources: Vec<&str> = resources.lines().filter(|resource| !other(resource)).collect();
    assert!(resources.len() > 40, "{resources:?}");
    let line =
        r#"{range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name} {.metadata.uid}{"\n"}{end}"#;
    let output = format!("jsonpath={line}");
    let list = cluster.kubectl(&["get", &resources.join(","), "-A", "-o", &output]).ok().stdout;
    list.lines().map(str::to_owned).collect()
}

/// The objects that the requests are about, whole.
fn in_default(cluster: &Cluster) -> Value {
    let all = "configmaps,secrets,services,pods,deployments,replicasets,serviceaccounts,endpoints";
    cluster.get(&[all, "-n", "default"])["items"].clone()
}

/// Asks what is to be refused, and keeps what differs: all of it is told at the end.
struct Asker {
    api: Api,
    differences: RefCell<Vec<String>>,
}

impl Asker {
    /// A request with a body as it stands; its answer is `wanted`, whole.
    fn refuse(&self, method: &str, path: &str, content_type: &str, body: &str, wanted: &Value) {
        self.refuse_to(&self.api, method, path, &[("Content-Type", content_type)], body, wanted);
    }

    fn post(&self, path: &str, body: &Value, wanted: &Value) {
        self.refuse("POST", path, JSON, &body.to_string(), wanted);
    }

    fn refuse_to(
        &self,
        api: &Api,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
        wanted: &Value,
    ) {
        let answer = api.ask(method, path, headers, body.as_bytes());
        if answer.json() != *wanted || wanted["code"] != answer.status {
            let shown = &body[..body.len().min(200)];
            let (status, answered) = (answer.status, answer.text());
            let told =
                format!("{method} {path} with {shown}\n     got {status} {answered}\n  wanted {wanted}");
            self.differences.borrow_mut().push(told);
        }
    }
}

fn broken_bodies(asker: &Asker) {
    let unrecognized = |why: &str| {
        bad_request(&format!("the object provided is unrecognized (must be of type ConfigMap): {why}"))
    };
    for (content_type, body, why) in [
        (YAML, "{a: [", "yaml: line 1: did not find expected node content ({a: [)"),
        (YAML, "a: b: c", "yaml: mapping values are not allowed in this context (613a20623a2063)"),
        (
            JSON,
            "{\"a\":",
            "couldn't get version/kind; json parse error: unexpected end of JSON input ({\"a\":)",
        ),
        (JSON, "", "couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)"),
    ] {
        asker.refuse("POST", CONFIG_MAPS, content_type, body, &unrecognized(why));
    }
    let nope =
        "no kind \"Nope\" is registered for version \"v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"";
    asker.post(
        CONFIG_MAPS,
        &json!({"apiVersion": "v1", "kind": "Nope", "metadata": {"name": "x"}}),
        &bad_request(&format!("Nope in version \"v1\" cannot be handled as a ConfigMap: {nope}")),
    );
    asker.post(
        CONFIG_MAPS,
        &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}}),
        &bad_request(
            "Secret in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Secret) to \
             (core.ConfigMap): unknown conversion",
        ),
    );
}

const UNKNOWN: &str =
    r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","zap":1},"data":{"a":"b"},"foo":1}"#;
const DUPLICATE: &str = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":"b","a":"c"},"data":{"d":"e"}}"#;

fn unknown_and_duplicate_fields(asker: &Asker) {
    let told_of_unknown = ["unknown field \"metadata.zap\"", "unknown field \"foo\""];
    let told_of_duplicate = ["duplicate field \"data.a\"", "duplicate field \"data\""];
    for (body, told) in [(UNKNOWN, told_of_unknown), (DUPLICATE, told_of_duplicate)] {
        let strict = format!(
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: {}",
            told.join(", ")
        );
        let mode = |mode: &str| format!("{CONFIG_MAPS}?fieldValidation={mode}&dryRun=All");
        asker.refuse("POST", &mode("Strict"), JSON, body, &bad_request(&strict));
        let warned: Vec<String> =
            told.iter().map(|text| format!("299 - \"{}\"", text.replace('"', "\\\""))).collect();
        for (mode, warnings) in [
            (mode("Warn"), warned.clone()),
            // Warn is what a server does when it is not told.
            (format!("{CONFIG_MAPS}?dryRun=All"), warned),
            (mode("Ignore"), Vec::new()),
        ] {
            let answer = asker.api.ask("POST", &mode, &[], body.as_bytes()).expect(201);
            assert_eq!(answer.header("warning"), warnings, "{mode}");
            let object = answer.json();
            assert_eq!((&object["foo"], &object["metadata"]["zap"]), (&Value::Null, &Value::Null));
        }
    }
    let mode = "Unsupported value: \"Bogus\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"";
    let mut wanted =
        invalid("CreateOptions", "meta.k8s.io", "", &[Cause("NotSupported", "fieldValidation", mode)]);
    wanted["details"].as_object_mut().expect("details are an object").remove("name");
    asker.refuse("POST", &format!("{CONFIG_MAPS}?fieldValidation=Bogus"), JSON, UNKNOWN, &wanted);
    let taken = format!("{CONFIG_MAPS}/taken?fieldValidation=Strict");
    let body = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"taken"},"foo":1}"#;
    let strict = "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"foo\"";
    asker.refuse("PUT", &taken, JSON, body, &bad_request(strict));
}

fn wrong_types_and_missing_fields(asker: &Asker) {
    let not = |kind: &str, what: &str| {
        bad_request(&format!(
            "{kind} in version \"v1\" cannot be handled as a {kind}: json: cannot unmarshal {what}"
        ))
    };
    let number = "number into Go struct field ConfigMap.data of type string";
    asker.post(CONFIG_MAPS, &json!({"metadata": {"name": "x"}, "data": {"a": 1}}), &not("ConfigMap", number));
    let array = "array into Go struct field ConfigMap.metadata of type v1.ObjectMeta";
    asker.post(CONFIG_MAPS, &json!({"metadata": []}), &not("ConfigMap", array));
    let text = "string into Go struct field ObjectMeta.metadata.generation of type int64";
    asker.post(CONFIG_MAPS, &json!({"metadata": {"name": "x", "generation": "1"}}), &not("ConfigMap", text));
    let containers = "string into Go struct field PodSpec.spec.containers of type []v1.Container";
    asker.post(
        PODS,
        &json!({"metadata": {"name": "x"}, "spec": {"containers": "nonsense"}}),
        &not("Pod", containers),
    );
    let replicas = "string into Go struct field DeploymentSpec.spec.replicas of type int32";
    asker.post(
        DEPLOYMENTS,
        &json!({"metadata": {"name": "x"}, "spec": {"replicas": "two"}}),
        &not("Deployment", replicas),
    );

    let required = |field| Cause("Required", field, "Required value");
    let pod = |spec: Value| json!({"metadata": {"name": "x"}, "spec": spec});
    for (spec, causes) in [
        (json!({}), [required("spec.containers")]),
        (json!({"containers": [{"name": "c"}]}), [required("spec.containers[0].image")]),
        (
            json!({"containers": [{"name": "c", "image": "i", "ports": [{}]}]}),
            [required("spec.containers[0].ports[0].containerPort")],
        ),
        (
            json!({"containers": [{"name": "c", "image": "i"}], "volumes": [{"name": "v", "hostPath": {}}]}),
            [required("spec.volumes[0].hostPath.path")],
        ),
    ] {
        asker.post(PODS, &pod(spec), &invalid("Pod", "", "x", &causes));
    }
    let template =
        json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let mismatch = "Invalid value: {\"app\":\"a\"}: `selector` does not match template `labels`";
    let mismatch = Cause("Invalid", "spec.template.metadata.labels", mismatch);
    let deployment = |spec: Value| json!({"metadata": {"name": "x"}, "spec": spec});
    asker.post(
        DEPLOYMENTS,
        &deployment(json!({"template": template})),
        &invalid("Deployment", "apps", "x", &[required("spec.selector"), mismatch]),
    );
    asker.post(
        DEPLOYMENTS,
        &deployment(json!({"selector": {"matchLabels": {"app": "b"}}, "template": template})),
        &invalid("Deployment", "apps", "x", &[mismatch]),
    );
    let port = "Invalid value: 99999: must be between 1 and 65535, inclusive";
    asker.post(
        SERVICES,
        &json!({"metadata": {"name": "x"}, "spec": {"ports": [{"port": 99999, "targetPort": 80}]}}),
        &invalid("Service", "", "x", &[Cause("Invalid", "spec.ports[0].port", port)]),
    );
}

fn invalid_names(asker: &Asker) {
    let bad = |name: &str, rule: &str| format!("Invalid value: \"{name}\": {rule}");
    for name in ["a_b", "-a", "a..b", "Upper", "a b"] {
        let cause = bad(name, SUBDOMAIN);
        let wanted = invalid("ConfigMap", "", name, &[Cause("Invalid", "metadata.name", &cause)]);
        asker.post(CONFIG_MAPS, &json!({"metadata": {"name": name}}), &wanted);
    }
    let cause = bad("a_", LABEL);
    asker.post(
        SERVICES,
        &json!({"metadata": {"name": "a_"}, "spec": {"ports": [{"port": 80}]}}),
        &invalid("Service", "", "a_", &[Cause("Invalid", "metadata.name", &cause)]),
    );
    let cause = bad("a.b", "must not contain dots");
    asker.post(
        NAMESPACES,
        &json!({"metadata": {"name": "a.b"}}),
        &invalid("Namespace", "", "a.b", &[Cause("Invalid", "metadata.name", &cause)]),
    );
    let mut nameless = invalid(
        "ConfigMap",
        "",
        "",
        &[Cause("Required", "metadata.name", "Required value: name or generateName is required")],
    );
    nameless["details"].as_object_mut().expect("details are an object").remove("name");
    asker.post(CONFIG_MAPS, &json!({}), &nameless);
    let not_found = status(
        404,
        "NotFound",
        "namespaces \"nosuch\" not found",
        Some(json!({"name": "nosuch", "kind": "namespaces"})),
    );
    asker.post("/api/v1/namespaces/nosuch/configmaps", &json!({"metadata": {"name": "x"}}), &not_found);
    let elsewhere = "the namespace of the provided object does not match the namespace sent on the request";
    asker.post(
        CONFIG_MAPS,
        &json!({"metadata": {"name": "x", "namespace": "kube-system"}}),
        &bad_request(elsewhere),
    );
}

fn immutable_fields(asker: &Asker) {
    let patch = |path: &str, body: Value, wanted: &Value| {
        asker.refuse("PATCH", path, MERGE, &body.to_string(), wanted);
    };
    let selector = "Invalid value: {\"matchLabels\":{\"app\":\"a\",\"z\":\"y\"}}: field is immutable";
    patch(
        &format!("{DEPLOYMENTS}/fixed"),
        json!({"spec": {
            "selector": {"matchLabels": {"app": "a", "z": "y"}}, "template": {"metadata": {"labels": {"z": "y"}}}
        }}),
        &invalid("Deployment", "apps", "fixed", &[Cause("Invalid", "spec.selector", selector)]),
    );
    patch(
        &format!("{SERVICES}/fixed"),
        json!({"spec": {"clusterIP": "10.96.77.77", "clusterIPs": ["10.96.77.77"]}}),
        &invalid(
            "Service",
            "",
            "fixed",
            &[Cause(
                "Invalid",
                "spec.clusterIPs[0]",
                "Invalid value: [\"10.96.77.77\"]: may not change once set",
            )],
        ),
    );
    let sealed = "Forbidden: field is immutable when `immutable` is set";
    for (body, field) in [(json!({"data": {"a": "z"}}), "data"), (json!({"immutable": false}), "immutable")] {
        let wanted = invalid("ConfigMap", "", "sealed", &[Cause("Forbidden", field, sealed)]);
        patch(&format!("{CONFIG_MAPS}/sealed"), body, &wanted);
    }
    let typed = Cause("Invalid", "type", "Invalid value: \"x/y\": field is immutable");
    patch(&format!("{SECRETS}/typed"), json!({"type": "x/y"}), &invalid("Secret", "", "typed", &[typed]));
}

fn conflicts(asker: &Asker) {
    let stale = "the object has been modified; please apply your changes to the latest version and try again";
    let conflict = |resource: &str, details: Value| {
        let name = details["name"].as_str().unwrap_or("").to_owned();
        let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {stale}");
        status(409, "Conflict", &message, Some(details))
    };
    let body =
        json!({"metadata": {"name": "taken", "resourceVersion": "1"}, "data": {"stale": "yes"}}).to_string();
    let details = json!({"name": "taken", "kind": "configmaps"});
    let taken = format!("{CONFIG_MAPS}/taken");
    asker.refuse("PUT", &taken, JSON, &body, &conflict("configmaps", details.clone()));
    let body = json!({"metadata": {"resourceVersion": "1"}, "data": {"stale": "yes"}}).to_string();
    asker.refuse("PATCH", &taken, MERGE, &body, &conflict("configmaps", details));

    let exists = |resource: &str, details: Value| {
        let message = format!("{resource} {} already exists", details["name"]);
        status(409, "AlreadyExists", &message, Some(details))
    };
    let wanted = exists("configmaps", json!({"name": "taken", "kind": "configmaps"}));
    asker.post(CONFIG_MAPS, &json!({"metadata": {"name": "taken"}}), &wanted);
    let wanted = exists("namespaces", json!({"name": "default", "kind": "namespaces"}));
    asker.post(NAMESPACES, &json!({"metadata": {"name": "default"}}), &wanted);
    let fixed = json!({"metadata": {"name": "fixed"}, "spec": {
        "selector": {"matchLabels": {"app": "a"}},
        "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}},
    }});
    let wanted = exists("deployments.apps", json!({"name": "fixed", "group": "apps", "kind": "deployments"}));
    asker.post(DEPLOYMENTS, &fixed, &wanted);
}

fn too_large(asker: &Asker) {
    let long = |n: usize| "x".repeat(n);
    let config_map = |n| json!({"metadata": {"name": "x"}, "data": {"k": long(n)}});
    let limit = "Request entity too large: limit is 3145728";
    asker.post(CONFIG_MAPS, &config_map(3_300_000), &status(413, "RequestEntityTooLarge", limit, None));
    // Validation has limits of its own for these two kinds.
    let too_long = "Too long: may not be more than 1048576 bytes";
    let wanted = invalid("ConfigMap", "", "x", &[Cause("TooLong", "[]", too_long)]);
    asker.post(CONFIG_MAPS, &config_map(1_600_000), &wanted);
    let secret = json!({"metadata": {"name": "x"}, "data": {"k": "AAAA".repeat(400_000)}});
    asker.post(SECRETS, &secret, &invalid("Secret", "", "x", &[Cause("TooLong", "data", too_long)]));
    // Any other object meets that of the store.
    let container = json!({"name": "c", "image": "i", "env": [{"name": "A", "value": long(1_600_000)}]});
    let pod = json!({"metadata": {"name": "x"}, "spec": {"containers": [container]}});
    asker.post(PODS, &pod, &status(500, "", "etcdserver: request is too large", None));
}

fn credentials(asker: &Asker) {
    let body = json!({"metadata": {"name": "x"}}).to_string();
    let nobody = asker.api.with_identity(None);
    let message = "configmaps is forbidden: User \"system:anonymous\" cannot create resource \"configmaps\" in API \
                   group \"\" in the namespace \"default\"";
    let forbidden = status(403, "Forbidden", message, Some(json!({"kind": "configmaps"})));
    let ask = |api: &Api, headers: &[(&str, &str)], wanted: &Value| {
        asker.refuse_to(api, "POST", CONFIG_MAPS, headers, &body, wanted);
    };
    ask(&nobody, &[], &forbidden);

    let unauthorized = status(401, "Unauthorized", "Unauthorized", None);
    let now = jiff::Timestamp::now();
    let authority = pki::Authority::create("gantry-ca", now).expect("keys can be made");
    let request = pki::CertificateRequest::client("admin", "system:masters");
    let forged = authority.issue(&request, now).expect("the request is good");
    ask(&asker.api.with_identity(Some(&forged)), &[], &unauthorized);
    for wrong in ["Bearer nonsense", "Bearer eyJhbGciOiJub25lIn0.e30."] {
        ask(&nobody, &[("Authorization", wrong)], &unauthorized);
    }
}

/// The same by kubectl, which adds words of its own.
fn by_kubectl(cluster: &Cluster) {
    let create = |yaml: &str, text: &str| {
        cluster.kubectl_input(&["create", "-f", "-"], yaml.as_bytes()).refused(text);
    };
    let unknown = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nunknown: true\n";
    create("a: [b\n", "error converting YAML to JSON");
    create(unknown, "strict decoding error: unknown field \"unknown\"");
    create("apiVersion: v1\nkind: Nothing\nmetadata: {name: x}\n", "no matches for kind \"Nothing\"");
    create(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: taken}\n",
        "Error from server (AlreadyExists): error when creating \"STDIN\": configmaps \"taken\" already exists",
    );
    for (mode, accepted) in [("strict", false), ("warn", true), ("ignore", true)] {
        let validate = format!("--validate={mode}");
        let ran =
            cluster.kubectl_input(&["create", "--dry-run=server", &validate, "-f", "-"], unknown.as_bytes());
        assert_eq!(ran.code == Some(0), accepted, "{mode}: {ran}");
        assert_eq!(ran.stderr.contains("unknown field \"unknown\""), mode != "ignore", "{mode}: {ran}");
    }
    cluster
        .kubectl_input(
            &["replace", "-f", "-"],
            b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: taken, resourceVersion: \"1\"}\n",
        )
        .refused(
            "the object has been modified; please apply your changes to the latest version and try again",
        );
    cluster
        .kubectl(&["patch", "service", "fixed", "-p", r#"{"spec":{"clusterIP":"10.96.77.77"}}"#])
        .refused("may not change once set");
}
