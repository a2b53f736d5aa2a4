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
    loop {
        let event = definitions.next().await;
        let conditions = event["object"]["status"]["conditions"].as_array().cloned().unwrap_or_default();
        if conditions.iter().any(|c| c["reason"] == "InstanceDeletionInProgress") {
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
    while definitions.next().await["type"] != "DELETED" {}
    assert_eq!(cluster.get(WIDGETS).await.code, 404);
}

#[tokio::test(start_paused = true)]
async fn subresources_have_their_own_part() {
    let cluster = start().await;
    let mut with = definition(schema());
    with["spec"]["versions"][0]["subresources"] = json!({
        "status": {},
        "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.now", "labelSelectorPath": ".status.selector"},
    });
    establish(&cluster, with).await;
    let mut sent = widget("a", json!({"color": "red"}));
    sent["status"] = json!({"now": 1});
    let made = cluster.post(WIDGETS, sent).await.expect_code(201);
    assert_eq!(made.get("status"), None);
    let status = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"color": "blue"}, "status": {"now": 2, "selector": "x=y"}});
    let path = format!("{WIDGETS}/a/status");
    let patched = cluster.patch(&path, "application/merge-patch+json", status).await.expect_code(200);
    assert_eq!((&patched["spec"]["color"], &patched["status"]["now"]), (&json!("red"), &json!(2)));
    assert_eq!((&patched["metadata"]["generation"], patched["metadata"].get("labels")), (&json!(1), None));
    let scale = cluster.get(&format!("{WIDGETS}/a/scale")).await.expect_code(200);
    assert_eq!(
        (&scale["kind"], &scale["spec"], &scale["status"]),
        (&json!("Scale"), &json!({"replicas": 3}), &json!({"replicas": 2, "selector": "x=y"}),)
    );
    let patch = json!({"spec": {"replicas": 5}});
    let path = format!("{WIDGETS}/a/scale");
    cluster.patch(&path, "application/merge-patch+json", patch).await.expect_code(200);
    let got = cluster.get(&format!("{WIDGETS}/a")).await.expect_code(200);
    assert_eq!(got["spec"]["size"], 5);
}

#[tokio::test(start_paused = true)]
async fn rows_and_selectors_follow_the_definition() {
    let cluster = start().await;
    let mut with = definition(schema());
    with["spec"]["versions"][0]["additionalPrinterColumns"] = json!([
        {"name": "Color", "type": "string", "jsonPath": ".spec.color"},
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size", "priority": 1},
        {"name": "Missing", "type": "string", "jsonPath": ".spec.ports[0].name"},
    ]);
    with["spec"]["versions"][0]["selectableFields"] = json!([{"jsonPath": ".spec.color"}]);
    establish(&cluster, with).await;
    cluster.post(WIDGETS, widget("a", json!({"color": "red"}))).await.expect_code(201);
    cluster.post(WIDGETS, widget("b", json!({"color": "blue"}))).await.expect_code(201);
    let table = cluster
        .raw("GET", WIDGETS, &[("accept", "application/json;as=Table;g=meta.k8s.io;v=v1")], "")
        .await
        .expect_code(200);
    let names: Vec<_> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Name", "Color", "Size", "Missing"]);
    assert_eq!(table["rows"][0]["cells"], json!(["a", "red", 3, null]));
    let blue = cluster.get(&format!("{WIDGETS}?fieldSelector=spec.color%3Dblue")).await.expect_code(200);
    assert_eq!(blue["items"].as_array().unwrap().len(), 1);
    assert_eq!(blue["items"][0]["metadata"]["name"], "b");
    let refused = cluster.get(&format!("{WIDGETS}?fieldSelector=spec.size%3D3")).await.expect_code(400);
    assert_eq!(refused["message"], "field label not supported: spec.size");
}

#[tokio::test(start_paused = true)]
async fn one_object_is_seen_in_every_version() {
    let cluster = start().await;
    let mut two = definition(schema());
    let mut second = two["spec"]["versions"][0].clone();
    second["name"] = json!("v2beta1");
    second["storage"] = json!(false);
    second["deprecated"] = json!(true);
    second["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["extra"] =
        json!({"type": "string"});
    two["spec"]["versions"].as_array_mut().unwrap().push(second);
    establish(&cluster, two.clone()).await;
    let mut sent = widget("a", json!({"color": "red", "extra": "x"}));
    sent["apiVersion"] = json!("shop.example/v2beta1");
    let newer = WIDGETS.replace("/v1/", "/v2beta1/");
    let made = cluster.post(&newer, sent).await;
    assert_eq!(made.headers["warning"], "299 - \"shop.example/v2beta1 Widget is deprecated\"");
    made.expect_code(201);
    let got = cluster.get(&format!("{WIDGETS}/a")).await.expect_code(200);
    assert_eq!((&got["apiVersion"], got["spec"].get("extra")), (&json!("shop.example/v1"), None));
    let got = cluster.get(&format!("{newer}/a")).await.expect_code(200);
    assert_eq!(got["apiVersion"], "shop.example/v2beta1");
    let list = cluster.get(&newer).await.expect_code(200);
    assert_eq!(list["items"][0]["apiVersion"], "shop.example/v2beta1");
    let groups = cluster.get("/apis/shop.example").await.expect_code(200);
    assert_eq!(groups["preferredVersion"]["version"], "v1");

    // A default that a definition gets later is seen in objects that are older than it.
    let path = format!("{DEFINITIONS}/widgets.shop.example");
    let mut changed = cluster.get(&path).await.expect_code(200);
    changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["shape"] =
        json!({"type": "string", "default": "round"});
    let mut watch = cluster.watch(&format!("{DEFINITIONS}?watch=1&resourceVersion=0")).await;
    cluster.put(&path, changed).await.expect_code(200);
    while watch.next().await["object"]["metadata"]["generation"] != 2 {}
    tokio::task::yield_now().await;
    let got = cluster.get(&format!("{WIDGETS}/a")).await.expect_code(200);
    assert_eq!(got["spec"]["shape"], "round");
}

#[tokio::test(start_paused = true)]
async fn openapi_describes_custom_kinds() {
    let cluster = start().await;
    establish(&cluster, definition(schema())).await;
    let root = cluster.get("/openapi/v3").await.expect_code(200);
    let place = root["paths"]["apis/shop.example/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    let document = cluster.get(&place).await.expect_code(200);
    let own = &document["components"]["schemas"]["example.shop.v1.Widget"];
    assert_eq!(own["properties"]["spec"]["properties"]["size"]["maximum"], 9);
    assert_eq!(
        own["x-kubernetes-group-version-kind"],
        json!([{"group": "shop.example", "kind": "Widget", "version": "v1"}])
    );
    assert!(own["properties"]["metadata"]["allOf"][0]["$ref"].as_str().unwrap().ends_with("ObjectMeta"));
    assert!(
        document["paths"]["/apis/shop.example/v1/namespaces/{namespace}/widgets/{name}"]["patch"].is_object()
    );
    let v2 = cluster.get("/openapi/v2").await.expect_code(200);
    assert!(v2["definitions"]["example.shop.v1.WidgetList"]["properties"]["items"].is_object());
}

#[tokio::test(start_paused = true)]
async fn names_that_are_taken_are_not_accepted() {
    let cluster = start().await;
    establish(&cluster, definition(schema())).await;
    let mut other = definition(schema());
    other["metadata"]["name"] = json!("gadgets.shop.example");
    other["spec"]["names"] = json!({"plural": "gadgets", "kind": "Widget"});
    let mut watch = cluster
        .watch(&format!("{DEFINITIONS}?watch=1&fieldSelector=metadata.name%3Dgadgets.shop.example"))
        .await;
    cluster.post(DEFINITIONS, other).await.expect_code(201);
    let refused = loop {
        let event = watch.next().await;
        if !event["object"]["status"]["conditions"].is_null() {
            break event["object"]["status"].clone();
        }
    };
    assert_eq!(refused["conditions"][0]["reason"], "ListKindConflict");
    assert_eq!(refused["conditions"][0]["message"], "\"WidgetList\" is already in use");
    assert_eq!(refused["conditions"][1]["status"], "False");
    assert_eq!(cluster.get("/apis/shop.example/v1/namespaces/default/gadgets").await.code, 404);
    // Once the names are free, it is accepted.
    cluster.delete(&format!("{DEFINITIONS}/widgets.shop.example")).await.expect_code(200);
    while watch.next().await["object"]["status"]["conditions"][1]["status"] != "True" {}
    cluster.get("/apis/shop.example/v1/namespaces/default/gadgets").await.expect_code(200);
}

#[tokio::test(start_paused = true)]
async fn schemas_must_be_structural() {
    let cluster = start().await;
    let loose = json!({"type": "object", "properties": {"spec": {}}});
    let refused = cluster.post(DEFINITIONS, definition(loose)).await.expect_code(422);
    assert_eq!(
        refused["message"],
        "CustomResourceDefinition.apiextensions.k8s.io \"widgets.shop.example\" is invalid: \
         spec.versions[0].schema.openAPIV3Schema.properties[spec].type: Required value: must not be empty for \
         specified object fields"
    );
}

#[tokio::test(start_paused = true)]
async fn a_definition_goes_with_its_last_object_at_once() {
    let cluster = start().await;
    establish(&cluster, definition(schema())).await;
    for name in ["held", "held-longer"] {
        let mut held = widget(name, json!({"color": "red"}));
        held["metadata"]["finalizers"] = json!(["shop.example/hold"]);
        cluster.post(WIDGETS, held).await.expect_code(201);
    }
    let mut definitions = cluster.watch(&format!("{DEFINITIONS}?watch=1")).await;
    let mut objects = cluster.watch(&format!("{WIDGETS}?watch=1")).await;
    cluster.delete(&format!("{DEFINITIONS}/widgets.shop.example")).await.expect_code(200);
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    let released = tokio::time::Instant::now();
    for name in ["held", "held-longer"] {
        let patch = json!({"metadata": {"finalizers": null}});
        let path = format!("{WIDGETS}/{name}");
        cluster.patch(&path, "application/merge-patch+json", patch).await.expect_code(200);
    }
    while definitions.next().await["type"] != "DELETED" {}
    assert_eq!(released.elapsed(), std::time::Duration::ZERO, "nobody waits for a clock");
    // Who watches the objects hears of all of them, and then the watch is over.
    let mut deleted = 0;
    while let Some(event) = objects.try_next().await {
        deleted += usize::from(event["type"] == "DELETED");
    }
    assert_eq!(deleted, 2);
    assert_eq!(released.elapsed(), std::time::Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn watches_end_when_what_is_served_changes() {
    let cluster = start().await;
    let mut two = definition(schema());
    let mut second = two["spec"]["versions"][0].clone();
    second["name"] = json!("v2");
    second["storage"] = json!(false);
    two["spec"]["versions"].as_array_mut().unwrap().push(second);
    let made = establish(&cluster, two).await;
    let path = format!("{DEFINITIONS}/widgets.shop.example");
    let v2 = WIDGETS.replace("/v1/", "/v2/");
    let mut quiet = cluster.watch(&format!("{v2}?watch=1&timeoutSeconds=900")).await;
    // Labels, annotations and status are nothing to the objects.
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    cluster.patch(&path, "application/merge-patch+json", labels).await.expect_code(200);
    let waited = tokio::time::timeout(std::time::Duration::from_secs(60), quiet.try_next()).await;
    assert!(waited.is_err(), "still open");
    let opened = tokio::time::Instant::now();
    let mut versions = made["spec"]["versions"].clone();
    versions[1]["served"] = json!(false);
    let patch = json!({"spec": {"versions": versions}});
    cluster.patch(&path, "application/merge-patch+json", patch).await.expect_code(200);
    assert!(quiet.try_next().await.is_none());
    assert_eq!(opened.elapsed(), std::time::Duration::ZERO);
    assert_eq!(cluster.get(&v2).await.code, 404);
    assert_eq!(cluster.get(WIDGETS).await.code, 200);
}
