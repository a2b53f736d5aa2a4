//! Forms and encodings of what is read: gzip, indentation, tables, metadata alone, protobuf frames.

mod support;

use std::io::Read as _;

use apiserver::response::{Body, GZIP_MIN};
use serde_json::{Value, json};
use support::{Answer, Cluster};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1";
const PARTIAL: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

async fn get(cluster: &Cluster, path: &str, headers: &[(&str, &str)]) -> Answer {
    cluster.raw("GET", path, headers, "").await
}

fn unpack(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).expect("gzip");
    out
}

/// The same request plain and packed: whether it was packed, after a check that both say the same.
#[track_caller]
fn compare(plain: &Answer, packed: &Answer, what: &str) -> bool {
    assert_eq!((plain.code, packed.code), (200, 200), "{what}");
    assert_eq!(plain.headers.get("content-encoding"), None, "{what}");
    assert_eq!(plain.headers["content-type"], packed.headers["content-type"], "{what}");
    if packed.headers.get("content-encoding").is_none() {
        assert_eq!(plain.body, packed.body, "{what}");
        return false;
    }
    assert_eq!(packed.headers["content-encoding"], "gzip", "{what}");
    assert_eq!(packed.headers["vary"], "Accept-Encoding", "{what}");
    assert!(packed.body.len() < plain.body.len(), "{what}");
    assert!(unpack(&packed.body) == plain.body, "{what}");
    true
}

#[tokio::test(start_paused = true)]
async fn what_is_long_goes_out_packed() {
    let cluster = Cluster::start().await;
    let make =
        |name: String, size: usize| json!({"metadata": {"name": name}, "data": {"x": "x".repeat(size)}});
    cluster.post(MAPS, make("small".into(), 1000)).await.expect_code(201);
    cluster.post(MAPS, make("large".into(), GZIP_MIN)).await.expect_code(201);
    let secrets = MAPS.replace("configmaps", "secrets");
    for i in 0..60 {
        let sent = json!({"metadata": {"name": format!("s{i}")}, "stringData": {"x": "y".repeat(30_000)}});
        cluster.post(&secrets, sent).await.expect_code(201);
    }
    let all: [&[(&str, &str)]; 5] = [
        &[],
        &[("accept", TABLE)],
        &[("accept", PARTIAL)],
        &[("accept", PROTOBUF)],
        &[("accept", "application/yaml")],
    ];
    for (path, forms, expected) in [
        (format!("{MAPS}/small"), &all[..1], false),
        (format!("{MAPS}/large"), &all[..1], true),
        (format!("{MAPS}/large"), &all[3..], true),
        (format!("{MAPS}/large"), &all[1..3], false),
        (MAPS.to_owned(), &all[..1], true),
        // Over a megabyte, which is sent in pieces.
        (secrets.clone(), &all[..1], true),
        (secrets.clone(), &all[3..], true),
        (format!("{secrets}?limit=2"), &all[..1], false),
        (format!("{secrets}?pretty=true"), &all[..1], true),
    ] {
        for form in forms {
            if form.iter().any(|(_, accept)| *accept == PARTIAL) && !path.contains("large") {
                continue;
            }
            let plain = get(&cluster, &path, form).await;
            let mut headers = form.to_vec();
            headers.push(("accept-encoding", "deflate, gzip"));
            let packed = get(&cluster, &path, &headers).await;
            assert_eq!(compare(&plain, &packed, &format!("{path} {form:?}")), expected, "{path} {form:?}");
        }
    }
    // Who does not take it, or would rather not, gets it plain.
    for coding in ["gzip;q=0", "br", "identity, gzip;q=0.5", "*"] {
        for path in [format!("{MAPS}/large"), secrets.clone()] {
            let answer = get(&cluster, &path, &[("accept-encoding", coding)]).await;
            assert_eq!(answer.headers.get("content-encoding"), None, "{path} {coding}");
        }
    }
    let taken = get(&cluster, &secrets, &[("accept-encoding", "br;q=1.0, GZIP;q=0.8")]).await;
    assert_eq!(taken.headers["content-encoding"], "gzip");
    // Answers to writes are never packed.
    let path = format!("{MAPS}/large");
    let headers = [("content-type", "application/merge-patch+json"), ("accept-encoding", "gzip")];
    let patched = cluster.raw("PATCH", &path, &headers, r#"{"metadata":{"labels":{"a":"b"}}}"#).await;
    assert_eq!((patched.code, patched.headers.get("content-encoding")), (200, None));
}

#[tokio::test(start_paused = true)]
async fn people_get_indented_answers() {
    let cluster = Cluster::start().await;
    cluster.post(MAPS, json!({"metadata": {"name": "a"}})).await.expect_code(201);
    for (query, agent, pretty) in [
        ("", "test/1.0", false),
        ("?pretty=true", "test/1.0", true),
        ("?pretty=1", "test/1.0", true),
        ("?pretty=false", "curl/8.0", false),
        ("", "curl/8.0", true),
        ("", "Wget/1.2", true),
        ("", "Mozilla/5.0 (X11)", true),
    ] {
        for path in [MAPS.to_owned(), format!("{MAPS}/a"), format!("{MAPS}/nope")] {
            let request = http::Request::builder().uri(format!("{path}{query}")).header("user-agent", agent);
            let response = cluster.send(request.body(Body::empty()).unwrap()).await;
            let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
            let text = String::from_utf8_lossy(&body);
            assert_eq!(text.contains("\n  \"kind\": "), pretty, "{path}{query} {agent}: {text}");
            serde_json::from_str::<Value>(&text).unwrap();
        }
    }
}

/// The events of a watch of one second in JSON.
async fn events(cluster: &Cluster, path: &str, accept: &str) -> Vec<Value> {
    let path = format!("{path}&watch=1&timeoutSeconds=1");
    let answer = get(cluster, &path, &[("accept", accept)]).await;
    assert_eq!(answer.code, 200, "{}", String::from_utf8_lossy(&answer.body));
    let lines = answer.body.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn watches_of_tables_and_of_metadata() {
    let cluster = Cluster::start().await;
    for name in ["a", "b"] {
        let sent = json!({"metadata": {"name": name, "labels": {"l": name}}, "data": {"k": "v"}});
        cluster.post(MAPS, sent).await.expect_code(201);
    }
    for (include, kind, data) in [
        ("", Some("PartialObjectMetadata"), None),
        ("&includeObject=Metadata", Some("PartialObjectMetadata"), None),
        ("&includeObject=Object", Some("ConfigMap"), Some("v")),
        ("&includeObject=None", None, None),
    ] {
        let told = events(&cluster, &format!("{MAPS}?x=y{include}"), TABLE).await;
        assert_eq!(told.len(), 2);
        for (i, (event, name)) in told.iter().zip(["a", "b"]).enumerate() {
            let table = &event["object"];
            assert_eq!((&event["type"], &table["kind"]), (&json!("ADDED"), &json!("Table")));
            assert_eq!(table["rows"][0]["cells"][0], name);
            assert_eq!(table["rows"].as_array().unwrap().len(), 1);
            // Columns are told once.
            assert_eq!(table["columnDefinitions"].is_array(), i == 0, "{include}");
            let row = &table["rows"][0]["object"];
            assert_eq!((row["kind"].as_str(), row["data"]["k"].as_str()), (kind, data), "{include}");
        }
    }
    let path = format!("{MAPS}?watch=1&includeObject=Bogus");
    let refused = get(&cluster, &path, &[("accept", TABLE)]).await.expect_code(400);
    assert_eq!(
        refused["message"],
        "Unable to convert to Table as requested: includeObject: Invalid value: \"Bogus\": must be 'Metadata', \
         'Object', 'None', or empty"
    );
    let told =
        events(&cluster, &format!("{MAPS}?labelSelector=l%3Db&allowWatchBookmarks=true"), PARTIAL).await;
    let shown: Vec<_> = told.iter().map(|e| (e["type"].clone(), e["object"]["kind"].clone())).collect();
    let partial = json!("PartialObjectMetadata");
    assert_eq!(shown, [(json!("ADDED"), partial.clone()), (json!("BOOKMARK"), partial)]);
    assert_eq!(told[0]["object"]["metadata"]["labels"]["l"], "b");
    assert_eq!(told[0]["object"].get("data"), None);
    let marks = &told[1]["object"]["metadata"]["annotations"];
    assert_eq!(marks["k8s.io/initial-events-end"], "true");
}

/// The frames of a protobuf stream: each has its length before it, as four bytes, the most significant first.
fn frames(mut body: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Some((length, rest)) = body.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap();
        let (frame, rest) = rest.split_at(length);
        frames.push(frame);
        body = rest;
    }
    assert!(body.is_empty(), "half a frame");
    frames
}

#[tokio::test(start_paused = true)]
async fn watches_in_protobuf_are_framed() {
    let cluster = Cluster::start().await;
    for name in ["a", "b"] {
        cluster.post(MAPS, json!({"metadata": {"name": name}})).await.expect_code(201);
    }
    for accept in [PROTOBUF, "application/vnd.kubernetes.protobuf;stream=watch"] {
        let path = format!("{MAPS}?watch=1&timeoutSeconds=1&allowWatchBookmarks=true");
        let answer = get(&cluster, &path, &[("accept", accept)]).await;
        assert_eq!(answer.headers["content-type"], "application/vnd.kubernetes.protobuf;stream=watch");
        let told = frames(&answer.body);
        let has = |frame: &[u8], text: &str| frame.windows(text.len()).any(|w| w == text.as_bytes());
        assert_eq!(told.len(), 3);
        for (frame, kind) in told.iter().zip(["ADDED", "ADDED", "BOOKMARK"]) {
            // WatchEvent: field 1 is the type, and inside field 2 the object in its own envelope.
            assert_eq!(frame[0], 0x0a);
            assert!(has(frame, kind) && has(frame, "k8s\0") && has(frame, "ConfigMap"), "{kind}");
        }
        // An error is a Status in the same frames.
        let path = format!(
            "{MAPS}?watch=1&resourceVersion=0&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&timeoutSeconds=1"
        );
        assert!(frames(&get(&cluster, &path, &[("accept", accept)]).await.body).is_empty());
    }
    let json = get(
        &cluster,
        &format!("{MAPS}?watch=1&timeoutSeconds=1"),
        &[("accept", "application/json;stream=watch")],
    )
    .await;
    assert_eq!(json.code, 200);
    let yaml = get(&cluster, &format!("{MAPS}?watch=1"), &[("accept", "application/yaml")]).await;
    assert_eq!(yaml.code, 406);
}
