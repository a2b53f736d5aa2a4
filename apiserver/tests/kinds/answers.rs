//! What is answered by code instead of storage, asked in every encoding: reviews, tokens, bindings, evictions, and the
//! statuses of components, which are made up when they are read.

use apimachinery::{Value, meta};
use apiserver::runtime_config::RuntimeConfig;
use kinds::Registry;

use super::forms::{FORMS, Form, text};
use super::life::{prepare, same};
use super::support::Cluster;

/// Path (`@` is a pod of its own), apiVersion, kind and members of what is sent.
#[rustfmt::skip]
const ASKED: &[(&str, &str, &str, &str)] = &[
    ("/api/v1/namespaces/kinds/bindings", "v1", "Binding", r#"{"metadata":{"name":"@"},"target":{"kind":"Node","name":"m"}}"#),
    ("/api/v1/namespaces/kinds/pods/@/binding", "v1", "Binding", r#"{"metadata":{"name":"@"},"target":{"kind":"Node","name":"m"}}"#),
    ("/api/v1/namespaces/kinds/pods/@/eviction", "policy/v1", "Eviction", r#"{"metadata":{"name":"@"},"deleteOptions":{"gracePeriodSeconds":0}}"#),
    ("/api/v1/namespaces/kinds/serviceaccounts/default/token", "authentication.k8s.io/v1", "TokenRequest", r#"{"spec":{"audiences":["a"],"expirationSeconds":700}}"#),
    ("/apis/authentication.k8s.io/v1/selfsubjectreviews", "authentication.k8s.io/v1", "SelfSubjectReview", "{}"),
    ("/apis/authentication.k8s.io/v1/tokenreviews", "authentication.k8s.io/v1", "TokenReview", r#"{"spec":{"token":"t"}}"#),
    ("/apis/authorization.k8s.io/v1/namespaces/kinds/localsubjectaccessreviews", "authorization.k8s.io/v1", "LocalSubjectAccessReview", r#"{"metadata":{"namespace":"kinds"},"spec":{"user":"u","resourceAttributes":{"namespace":"kinds","verb":"get","resource":"pods"}}}"#),
    ("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "authorization.k8s.io/v1", "SelfSubjectAccessReview", r#"{"spec":{"nonResourceAttributes":{"path":"/x","verb":"get"}}}"#),
    ("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", "authorization.k8s.io/v1", "SelfSubjectRulesReview", r#"{"spec":{"namespace":"kinds"}}"#),
    ("/apis/authorization.k8s.io/v1/subjectaccessreviews", "authorization.k8s.io/v1", "SubjectAccessReview", r#"{"spec":{"user":"u","groups":["g"],"extra":{"k":["a","b"]},"resourceAttributes":{"verb":"get","resource":"pods"}}}"#),
];

async fn ask(cluster: &Cluster, kinds: &Registry, form: Form, asked: &(&str, &str, &str, &str)) -> Value {
    let (path, api_version, kind, members) = asked;
    let mut object = Value::from_json(members.as_bytes()).expect("a line of facts is JSON");
    if object.str_at(&["metadata", "name"]) == Some("@") {
        object.set_at(&["metadata", "name"], "p");
    }
    object.set_at(&["apiVersion"], *api_version);
    object.set_at(&["kind"], *kind);
    let headers = [("accept", form.media()), ("content-type", form.media())];
    let answer = cluster.raw("POST", &path.replace('@', "p"), &headers, form.encode(kinds, &object)).await;
    assert_eq!(answer.code, 201, "{path} by {form:?}: {}", text(&answer.body));
    assert_eq!(answer.headers["content-type"], form.media(), "{path}");
    let mut value = form.decode(kinds, &answer.body);
    // Each answer is one of its own, and signatures are random.
    value.remove_at(&["metadata", "uid"]);
    if value.str_at(&["status", "token"]).is_some_and(|token| token.starts_with("ey")) {
        value.set_at(&["status", "token"], "signed");
    }
    value
}

#[tokio::test(start_paused = true)]
async fn questions_have_one_answer_in_every_encoding() {
    let kinds = Registry::builtin();
    let cluster = Cluster::whole(RuntimeConfig::default()).await;
    prepare(&cluster).await;
    let pods = "/api/v1/namespaces/kinds/pods";
    for asked in ASKED {
        let mut found: Option<Value> = None;
        for form in FORMS {
            let pod = serde_json::json!({
                "metadata": {"name": "p"},
                "spec": {"automountServiceAccountToken": false, "containers": [{"name": "c", "image": "i"}]},
            });
            cluster.post(pods, pod).await.expect_code(201);
            let answer = ask(&cluster, &kinds, form, asked).await;
            let first = found.get_or_insert_with(|| answer.clone());
            same(&answer, first, &format!("{} by {form:?}", asked.0));
            cluster.delete(&format!("{pods}/p?gracePeriodSeconds=0")).await;
        }
    }
}

/// Every resource that is not stored, and every subresource that is POSTed an object, is asked above.
#[test]
fn every_question_is_asked() {
    let kinds = Registry::builtin();
    for info in kinds.resources() {
        if info.stored.is_none() && info.has_verb("create") {
            let line =
                ASKED.iter().find(|asked| asked.1 == info.api_version() && asked.0.ends_with(&info.plural));
            assert!(line.is_some(), "{} {}", info.api_version(), info.plural);
        }
        for sub in &info.subresources {
            // Connections are POSTed too, with their options in the query.
            if sub.verbs.iter().any(|verb| verb == "create") && !sub.kind.kind.ends_with("Options") {
                let line =
                    ASKED.iter().find(|asked| asked.2 == sub.kind.kind && asked.0.ends_with(&sub.name));
                assert!(line.is_some(), "{}/{}", info.plural, sub.name);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn statuses_of_components_are_read_in_every_encoding() {
    let kinds = Registry::builtin();
    let cluster = Cluster::whole(RuntimeConfig::default()).await;
    let list = "/api/v1/componentstatuses";
    let read = async |path: &str, form: Form, accept: &str| {
        let answer = cluster.raw("GET", path, &[("accept", accept)], "").await;
        assert_eq!(answer.code, 200, "{path} as {accept}: {}", text(&answer.body));
        form.decode(&kinds, &answer.body)
    };
    let all = read(list, Form::Json, Form::Json.media()).await;
    assert_eq!(meta::kind(&all), "ComponentStatusList");
    let first = all.array_at(&["items"]).first().expect("a server has components").clone();
    let own = format!("{list}/{}", meta::name(&first));
    let one = read(&own, Form::Json, Form::Json.media()).await;
    for form in FORMS {
        same(&read(list, form, form.media()).await, &all, &format!("{list} by {form:?}"));
        same(&read(&own, form, form.media()).await, &one, &format!("{own} by {form:?}"));
        let partial = read(&own, form, &form.shown_as("PartialObjectMetadata")).await;
        assert_eq!(meta::name(&partial), meta::name(&first), "{form:?}");
    }
    let table = read(list, Form::Json, &Form::Json.shown_as("Table")).await;
    assert_eq!(table.array_at(&["rows"]).len(), all.array_at(&["items"]).len());
}
