//! Custom resources in process: from a definition to objects that live and die like those of built-in kinds.

mod support;

use apiserver::{Plugins, strategy};
use serde_json::{Value, json};
use support::Cluster;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WIDGETS: &str = "/apis/shop.example/v1/namespaces/default/widgets";

/// A server that knows kinds' strategies, but neither users nor admission.
async fn start() -> Cluster {
    Cluster::with(Box::new(|_| Plugins { strategies: strategy::all(), ..Plugins::default() })).await
}

fn definition(schema: Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.shop.example"},
        "spec": {
            "group": "shop.example",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
            "scope": "Namespaced",
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema},
            }],
        },
    })
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["color"],
                "properties": {
                    "color": {"type": "string", "enum": ["red", "blue"]},
                    "size": {"type": "integer", "default": 3, "maximum": 9},
                    "ports": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["port"],
                        "items": {
                            "type": "object",
                            "required": ["port"],
                            "properties": {"port": {"type": "integer"}, "name": {"type": "string"}},
                        },
                    },
                },
            },
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        },
    })
}

/// Makes a definition and waits until its watch says that it is established.
async fn establish(cluster: &Cluster, definition: Value) -> Value {
    let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
    let mut watch =
        cluster.watch(&format!("{DEFINITIONS}?watch=1&fieldSelector=metadata.name%3D{name}")).await;
    cluster.post(DEFINITIONS, definition).await.expect_code(201);
    loop {
        let event = watch.next().await;
        let conditions = event["object"]["status"]["conditions"].as_array().cloned().unwrap_or_default();
        if conditions.iter().any(|c| c["type"] == "Established" && c["status"] == "True") {
            return event["object"].clone();
        }
    }
}

fn widget(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "shop.example/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test(start_paused = true)]
async fn a_definition_is_established_and_its_objects_live_and_die() {
    let cluster = start().await;
    assert_eq!(cluster.get(WIDGETS).await.code, 404);
    let made = establish(&cluster, definition(schema())).await;
    let conditions = made["status"]["conditions"].as_array().unwrap();
    assert_eq!(conditions[0]["type"], "NamesAccepted");
    assert_eq!(conditions[1]["reason"], "InitialNamesAccepted");
    assert_eq!(made["status"]["acceptedNames"]["listKind"], "WidgetList");

    let created = cluster.post(WIDGETS, widget("a", json!({"color": "red"}))).await.expect_code(201);
    assert_eq!(created["spec"], json!({"color": "red", "size": 3}));
    assert_eq!(created["metadata"]["generation"], 1);
    assert_eq!(created["metadata"]["namespace"], "default");
    let got = cluster.get(&format!("{WIDGETS}/a")).await.expect_code(200);
    assert_eq!(got, created);

    let mut watch = cluster.watch(&format!("{WIDGETS}?watch=1")).await;
    assert_eq!(watch.next().await["object"]["metadata"]["name"], "a");
    let mut changed = got.clone();
    changed["spec"]["color"] = json!("blue");
    let changed = cluster.put(&format!("{WIDGETS}/a"), changed).await.expect_code(200);
    assert_eq!(changed["metadata"]["generation"], 2);
    let event = watch.next().await;
    assert_eq!((&event["type"], &event["object"]["spec"]["color"]), (&json!("MODIFIED"), &json!("blue")));

    let list = cluster.get(WIDGETS).await.expect_code(200);
    assert_eq!((&list["kind"], list["items"].as_array().unwrap().len()), (&json!("WidgetList"), 1));
    assert_eq!(list["items"][0]["kind"], "Widget");
    let gone = cluster.delete(&format!("{WIDGETS}/a")).await.expect_code(200);
    assert_eq!(gone["status"], "Success");
    assert_eq!(watch.next().await["type"], "DELETED");
    let missing = cluster.get(&format!("{WIDGETS}/a")).await.expect_code(404);
    assert_eq!(missing["message"], "widgets.shop.example \"a\" not found");
}

#[tokio::test(start_paused = true)]
async fn discovery_tells_of_custom_kinds() {
    let cluster = start().await;
    assert_eq!(cluster.get("/apis/shop.example").await.code, 404);
    establish(&cluster, definition(schema())).await;
    let groups = cluster.get("/apis").await.expect_code(200);
    let last = groups["groups"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["name"], &last["preferredVersion"]["version"]), (&json!("shop.example"), &json!("v1")));
    let resources = cluster.get("/apis/shop.example/v1").await.expect_code(200);
    let widgets = &resources["resources"][0];
    assert_eq!((&widgets["name"], &widgets["shortNames"]), (&json!("widgets"), &json!(["wd"])));
    // The first eight bytes of the digest of the group, version and kind in storage.
    assert_eq!(widgets["storageVersionHash"], "p3AZ41IldM4=");
    let mut watch = cluster.watch(&format!("{DEFINITIONS}?watch=1")).await;
    cluster.delete(&format!("{DEFINITIONS}/widgets.shop.example")).await.expect_code(200);
    while watch.next().await["type"] != "DELETED" {}
    assert_eq!(cluster.get("/apis/shop.example/v1").await.code, 404);
}

#[tokio::test(start_paused = true)]
async fn objects_are_validated_and_pruned() {
    let cluster = start().await;
    establish(&cluster, definition(schema())).await;
    let refused = cluster
        .post(WIDGETS, widget("a", json!({"size": 12, "ports": [{"port": "x"}]})))
        .await
        .expect_code(422);
    assert_eq!(
        refused["message"],
        "Widget.shop.example \"a\" is invalid: [spec.color: Required value, spec.ports[0].port: Invalid value: \
         \"string\": spec.ports[0].port in body must be of type integer: \"string\", spec.size: Invalid value: 12: \
         spec.size in body should be less than or equal to 9]"
    );
    let twice = json!({"color": "red", "ports": [{"port": 1}, {"port": 1}]});
    let refused = cluster.post(WIDGETS, widget("a", twice)).await.expect_code(422);
    assert_eq!(
        refused["message"],
        "Widget.shop.example \"a\" is invalid: spec.ports[1]: Duplicate value: {\"port\":1}"
    );
    let unknown = || widget("a", json!({"color": "red", "zap": 1}));
    let strict = cluster.post(&format!("{WIDGETS}?fieldValidation=Strict"), unknown()).await.expect_code(400);
    assert_eq!(
        strict["message"],
        "Widget in version \"v1\" cannot be handled as a Widget: strict decoding error: unknown field \"spec.zap\""
    );
    let made = cluster.post(&format!("{WIDGETS}?fieldValidation=Warn"), unknown()).await;
    assert_eq!(made.headers["warning"], "299 - \"unknown field \\\"spec.zap\\\"\"");
    assert_eq!(made.expect_code(201)["spec"], json!({"color": "red", "size": 3}));
    let patched = cluster
        .patch(&format!("{WIDGETS}/a"), "application/merge-patch+json", json!({"spec": {"color": "green"}}))
        .await
        .expect_code(422);
    assert_eq!(
        patched["message"],
        "Widget.shop.example \"a\" is invalid: spec.color: Unsupported value: \"green\": supported values: \"red\", \
         \"blue\""
    );
}

#[tokio::test(start_paused = true)]
async fn apply_owns_fields_by_the_schema() {
    let cluster = start().await;
    establish(&cluster, definition(schema())).await;
    let apply = |manager: &str, spec: Value| {
        let path = format!("{WIDGETS}/a?fieldManager={manager}");
        (path, widget("a", spec))
    };
    let (path, body) = apply("one", json!({"color": "red", "ports": [{"port": 1, "name": "a"}]}));
    cluster.patch(&path, "application/apply-patch+yaml", body).await.expect_code(201);
    let (path, body) = apply("two", json!({"ports": [{"port": 2}]}));
    let merged = cluster.patch(&path, "application/apply-patch+yaml", body).await.expect_code(200);
    assert_eq!(merged["spec"]["ports"].as_array().unwrap().len(), 2);
    let (path, body) = apply("two", json!({"color": "blue"}));
    let conflict = cluster.patch(&path, "application/apply-patch+yaml", body).await.expect_code(409);
    assert_eq!(conflict["details"]["causes"][0]["field"], ".spec.color");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_definition_takes_its_objects_along() {
    let cluster = start().await;
    establish(&cluster, definition(schema())).await;
    let mut held = widget("held", json!({"color": "red"}));
    held["metadata"]["finalizers"] = json!(["shop.example/hold"]);
    cluster.post(WIDGETS, held).await.expect_code(201);
    cluster.post(WIDGETS, widget("free", json!({"color": "red"}))).await.expect_code(201);
    let mut objects = cluster.watch(&format!("{WIDGETS}?watch=1&resourceVersion=0")).await;
    let mut definitions = cluster.watch(&format!("{DEFINITIONS}?watch=1")).await;
    let marked = cluster.delete(&format!("{DEFINITIONS}/widgets.shop.example")).await.expect_code(200);
    assert_eq!(marked["metadata"]["finalizers"], json!(["customresourcecleanup.apiextensions.k8s.io"]));
    loop {
        let event = objects.next().await;
        if event["type"] == "DELETED" {
            assert_eq!(event["object"]["metadata"]["name"], "free");
            break;
        }
    }
    let refused = cluster.post(WIDGETS, widget("late", json!({"color": "red"}))).await.expect_code(405);
    assert_eq!(refused["message"], "create not allowed while custom resource definition is terminating");
    cluster
        .patch(
            &format!("{WIDGETS}/held"),
            "application/merge-patch+json",
            json!({"metadata": {"finalizers": null}}),
        )
        .await
        .expect_code(200);
    let mut last = Value::Null;
    loop {
        let event = definitions.next().await;
        if event["type"] == "DELETED" {
            break;
        }
        last = event["object"].clone();
    }
    let terminating = last["status"]["conditions"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(terminating["reason"], "InstanceDeletionInProgress");
    assert_eq!(cluster.get(WIDGETS).await.code, 404);
}
