//! The server in process over the memory backend, under a paused clock: every verb of a ConfigMap, watches, pages.

mod support;

use serde_json::json;
use support::Cluster;

#[tokio::test(start_paused = true)]
async fn a_config_map_lives_and_dies() {
    let cluster = Cluster::start().await;
    let made = cluster
        .post("/api/v1/namespaces/default/configmaps", json!({"metadata": {"name": "a"}, "data": {"k": "v"}}))
        .await
        .expect_code(201);
    assert_eq!(made["kind"], "ConfigMap");
    assert_eq!(made["metadata"]["namespace"], "default");
    let first = made["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let got = cluster.get("/api/v1/namespaces/default/configmaps/a").await.expect_code(200);
    assert_eq!(got, made);

    let mut changed = got.clone();
    changed["data"]["k"] = json!("w");
    let put = cluster.put("/api/v1/namespaces/default/configmaps/a", changed.clone()).await.expect_code(200);
    assert_ne!(put["metadata"]["resourceVersion"], first);
    let stale = cluster.put("/api/v1/namespaces/default/configmaps/a", changed).await.expect_code(409);
    assert_eq!(
        stale["message"],
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes \
         to the latest version and try again"
    );

    let gone = cluster.delete("/api/v1/namespaces/default/configmaps/a").await.expect_code(200);
    assert_eq!(gone["status"], "Success");
    let missing = cluster.get("/api/v1/namespaces/default/configmaps/a").await.expect_code(404);
    assert_eq!(missing["message"], "configmaps \"a\" not found");
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_of_every_change_in_order() {
    let cluster = Cluster::start().await;
    let mut watch = cluster.watch("/api/v1/namespaces/default/configmaps?watch=1&resourceVersion=0").await;
    cluster
        .post("/api/v1/namespaces/default/configmaps", json!({"metadata": {"name": "a"}}))
        .await
        .expect_code(201);
    cluster
        .patch(
            "/api/v1/namespaces/default/configmaps/a",
            "application/merge-patch+json",
            json!({"data": {"k": "v"}}),
        )
        .await
        .expect_code(200);
    cluster.delete("/api/v1/namespaces/default/configmaps/a").await.expect_code(200);
    let added = watch.next().await;
    assert_eq!(
        (added["type"].as_str(), added["object"]["metadata"]["name"].as_str()),
        (Some("ADDED"), Some("a"))
    );
    let modified = watch.next().await;
    assert_eq!(modified["type"], "MODIFIED");
    assert_eq!(modified["object"]["data"]["k"], "v");
    let deleted = watch.next().await;
    assert_eq!(deleted["type"], "DELETED");
    // A deletion has a revision of its own.
    assert_ne!(
        deleted["object"]["metadata"]["resourceVersion"],
        modified["object"]["metadata"]["resourceVersion"]
    );
}

#[tokio::test(start_paused = true)]
async fn discovery_lists_what_is_served() {
    let cluster = Cluster::start().await;
    let groups = cluster.get("/apis").await.expect_code(200);
    assert_eq!(groups["groups"][0]["name"], "apiregistration.k8s.io");
    let apps = cluster.get("/apis/apps/v1").await.expect_code(200);
    assert_eq!(apps["resources"][4]["name"], "deployments/scale");
    let version = cluster.get("/version").await.expect_code(200);
    assert_eq!(version["gitVersion"], "v1.36.2+gantry");
    let aggregated = cluster
        .raw(
            "GET",
            "/apis",
            &[(
                "accept",
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json",
            )],
            "",
        )
        .await;
    let etag = aggregated.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(aggregated.expect_code(200)["items"][1]["metadata"]["name"], "apps");
    let again = cluster
        .raw(
            "GET",
            "/apis",
            &[
                ("accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"),
                ("if-none-match", &etag),
            ],
            "",
        )
        .await;
    assert_eq!(again.code, 304);
}

#[tokio::test(start_paused = true)]
async fn tables_and_partial_metadata() {
    const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let cluster = Cluster::start().await;
    cluster
        .post("/api/v1/namespaces/default/configmaps", json!({"metadata": {"name": "a"}, "data": {"k": "v"}}))
        .await;
    let table = cluster.raw("GET", "/api/v1/configmaps", &[("accept", TABLE)], "").await.expect_code(200);
    assert_eq!(table["kind"], "Table");
    assert_eq!(table["rows"][0]["cells"][0], "a");
    assert_eq!(table["rows"][0]["cells"][1], 1);
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let partial = cluster
        .raw(
            "GET",
            "/api/v1/configmaps",
            &[("accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")],
            "",
        )
        .await
        .expect_code(200);
    assert_eq!(partial["items"][0]["metadata"]["name"], "a");
    assert_eq!(partial["items"][0].get("data"), None);
}

#[tokio::test(start_paused = true)]
async fn pages_go_on_at_one_revision() {
    let cluster = Cluster::start().await;
    for name in ["a", "b", "c", "d"] {
        cluster
            .post("/api/v1/namespaces/default/configmaps", json!({"metadata": {"name": name}}))
            .await
            .expect_code(201);
    }
    let first = cluster.get("/api/v1/namespaces/default/configmaps?limit=2").await.expect_code(200);
    assert_eq!(first["metadata"]["remainingItemCount"], 2);
    let token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    cluster.delete("/api/v1/namespaces/default/configmaps/c").await.expect_code(200);
    let second = cluster
        .get(&format!("/api/v1/namespaces/default/configmaps?limit=2&continue={token}"))
        .await
        .expect_code(200);
    let names: Vec<_> =
        second["items"].as_array().unwrap().iter().map(|i| i["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["c", "d"], "a page shows the state of the first one");
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    assert_eq!(second["metadata"].get("continue"), None);
}

#[tokio::test(start_paused = true)]
async fn openapi_has_what_kubectl_looks_for() {
    let cluster = Cluster::start().await;
    let root = cluster.get("/openapi/v3").await.expect_code(200);
    let address = root["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    let answer = cluster.get(&address).await;
    assert_eq!(answer.headers["cache-control"], "public, immutable");
    let document = answer.expect_code(200);
    let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Deployment");
    let names: Vec<_> =
        patch["parameters"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"fieldValidation"), "{names:?}");
    let schemas = &document["components"]["schemas"];
    let deployment = &schemas["io.k8s.api.apps.v1.Deployment"];
    assert_eq!(deployment["x-kubernetes-group-version-kind"][0]["kind"], "Deployment");
    assert_eq!(
        deployment["properties"]["spec"]["allOf"][0]["$ref"],
        "#/components/schemas/io.k8s.api.apps.v1.DeploymentSpec"
    );
    // Everything that is referred to is there.
    let text = document.to_string();
    for part in text.split("\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(schemas.get(name).is_some(), "{name} is missing");
    }
    let v2 = cluster.get("/openapi/v2").await.expect_code(200);
    assert_eq!(v2["swagger"], "2.0");
    assert!(v2["definitions"]["io.k8s.api.core.v1.Pod"].is_object());
}

#[tokio::test(start_paused = true)]
async fn openapi_v2_is_answered_in_protobuf() {
    const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    let cluster = Cluster::start().await;
    let json = cluster.raw("GET", "/openapi/v2", &[("accept", "application/json, */*")], "").await;
    assert_eq!(json.headers["content-type"], "application/json");
    for accept in [PROTOBUF, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"] {
        let answer = cluster.raw("GET", "/openapi/v2", &[("accept", accept)], "").await;
        assert_eq!((answer.code, answer.headers["content-type"].to_str().unwrap()), (200, PROTOBUF));
        assert_eq!(answer.headers["etag"], json.headers["etag"]);
        assert_eq!(answer.headers["vary"], "Accept");
        // `swagger` is the first field.
        assert!(answer.body.starts_with(b"\x0a\x032.0"));
    }
    let other = cluster.raw("GET", "/openapi/v2", &[("accept", "text/html")], "").await;
    assert_eq!(other.code, 406);
}
