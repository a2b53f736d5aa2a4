//! The contract of reads: what get, list and watch answer for each way to name a revision, and pages of a list.
//!
//! The rules are those of Kubernetes' API concepts ("Resource versions", "Retrieving large results sets in chunks",
//! "Streaming lists") and of its validation of ListOptions.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::Cluster;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const MERGE: &str = "application/merge-patch+json";

/// Five revisions: a made, b made, a changed, c made, b gone.
struct Scene {
    cluster: Cluster,
    /// The revisions, the oldest first.
    revisions: Vec<String>,
    /// The continue token of a first page of one object at the last revision.
    token: String,
}

impl Scene {
    async fn set() -> Self {
        let cluster = Cluster::start().await;
        let mut revisions = Vec::new();
        let made =
            |name: &str| json!({"metadata": {"name": name, "labels": {"of": name}}, "data": {"n": "1"}});
        for step in ["+a", "+b", "~a", "+c", "-b"] {
            let (what, name) = step.split_at(1);
            let path = format!("{MAPS}/{name}");
            match what {
                "+" => cluster.post(MAPS, made(name)).await.expect_code(201),
                "~" => cluster.patch(&path, MERGE, json!({"data": {"n": "2"}})).await.expect_code(200),
                _ => cluster.delete(&path).await.expect_code(200),
            };
            let list = cluster.get(MAPS).await.expect_code(200);
            revisions.push(list["metadata"]["resourceVersion"].as_str().unwrap().to_owned());
        }
        let page = cluster.get(&format!("{MAPS}?limit=1")).await.expect_code(200);
        let token = page["metadata"]["continue"].as_str().unwrap().to_owned();
        Self { cluster, revisions, token }
    }

    /// Replaces `{r1}` … `{r5}` and `{token}`.
    fn fill(&self, text: &str) -> String {
        let mut filled = text.replace("{token}", &self.token);
        for (i, revision) in self.revisions.iter().enumerate() {
            filled = filled.replace(&format!("{{r{}}}", i + 1), revision);
        }
        filled
    }

    /// A revision by its name.
    fn named(&self, revision: &Value) -> String {
        let revision = revision.as_str().unwrap_or("none");
        match self.revisions.iter().position(|r| r == revision) {
            Some(i) => format!("r{}", i + 1),
            None => revision.to_owned(),
        }
    }

    fn refusal(&self, code: u16, status: &Value) -> String {
        let mut message = status["message"].as_str().unwrap().to_owned();
        if let Some((before, current)) = message.rsplit_once("current: ") {
            message = format!("{before}current: {}", self.named(&json!(current)));
        }
        format!("{code} {} {message}", status["reason"].as_str().unwrap_or("-"))
    }

    /// `r5 a2 c1 more left=1`, or a refusal.
    async fn list(&self, query: &str) -> String {
        let answer = self.cluster.get(&format!("{MAPS}?{}", self.fill(query))).await;
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        if answer.code != 200 {
            return self.refusal(answer.code, &body);
        }
        let mut shown = self.named(&body["metadata"]["resourceVersion"]);
        for item in body["items"].as_array().unwrap() {
            shown += &format!(" {}", object(item));
        }
        if !body["metadata"]["continue"].is_null() {
            shown += " more";
        }
        if let Some(left) = body["metadata"]["remainingItemCount"].as_u64() {
            shown += &format!(" left={left}");
        }
        shown
    }

    async fn get(&self, path: &str) -> String {
        let answer = self.cluster.get(&format!("{MAPS}/{}", self.fill(path))).await;
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        if answer.code != 200 {
            return self.refusal(answer.code, &body);
        }
        format!("{}@{}", object(&body), self.named(&body["metadata"]["resourceVersion"]))
    }

    /// The events of a watch of one second, as `+a2@r3 ~… -… end@r5`, or a refusal.
    async fn watch(&self, path_and_query: &str) -> String {
        let path = format!("{}&timeoutSeconds=1", self.fill(path_and_query));
        let answer = self.cluster.raw("GET", &path, &[], "").await;
        if answer.code != 200 {
            return self.refusal(answer.code, &serde_json::from_slice(&answer.body).unwrap());
        }
        let mut shown = Vec::new();
        for line in answer.body.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            let event: Value = serde_json::from_slice(line).unwrap();
            let (kind, found) = (event["type"].as_str().unwrap(), &event["object"]);
            let revision = self.named(&found["metadata"]["resourceVersion"]);
            shown.push(match kind {
                "ADDED" => format!("+{}@{revision}", object(found)),
                "MODIFIED" => format!("~{}@{revision}", object(found)),
                "DELETED" => format!("-{}@{revision}", object(found)),
                "BOOKMARK" => {
                    assert_eq!(
                        found["metadata"]["annotations"],
                        json!({"k8s.io/initial-events-end": "true"})
                    );
                    format!("end@{revision}")
                }
                _ => format!("error {}", self.refusal(0, found)),
            });
        }
        shown.join(" ")
    }
}

/// The name and what the data says: `a2`.
fn object(object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    format!("{name}{}", object["data"]["n"].as_str().unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn lists_at_each_revision() {
    const OPTIONS: &str = "422 Invalid ListOptions.meta.k8s.io \"\" is invalid: ";
    const UNLESS: &str = "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided";
    const BOGUS: &str = "resourceVersionMatch: Unsupported value: \"Bogus\": supported values: \"Exact\", \"NotOlderThan\", \"\"";
    const CONTINUED: &str =
        "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided";
    const FUTURE: &str = "504 Timeout Timeout: Too large resource version: 9999999, current: r5";
    let scene = Scene::set().await;
    let refused = |why: &str| format!("{OPTIONS}{why}");
    let cases: Vec<(&str, String)> = vec![
        // The newest state, whatever the limit.
        ("", "r5 a2 c1".into()),
        ("resourceVersion=", "r5 a2 c1".into()),
        ("limit=1", "r5 a2 more left=1".into()),
        ("limit=2", "r5 a2 c1".into()),
        ("limit=0", "r5 a2 c1".into()),
        ("limit=-1", "r5 a2 c1".into()),
        // Any state: the cache answers it and has no pages.
        ("resourceVersion=0", "r5 a2 c1".into()),
        ("resourceVersion=0&limit=1", "r5 a2 c1".into()),
        ("resourceVersion=0&resourceVersionMatch=NotOlderThan", "r5 a2 c1".into()),
        ("resourceVersion=0&resourceVersionMatch=NotOlderThan&limit=1", "r5 a2 c1".into()),
        // Not older than.
        ("resourceVersion={r2}", "r5 a2 c1".into()),
        ("resourceVersion={r5}", "r5 a2 c1".into()),
        ("resourceVersion={r2}&resourceVersionMatch=NotOlderThan", "r5 a2 c1".into()),
        ("resourceVersion={r2}&resourceVersionMatch=NotOlderThan&limit=1", "r5 a2 more left=1".into()),
        // Exactly, which a limit means without a match.
        ("resourceVersion={r1}&resourceVersionMatch=Exact", "r1 a1".into()),
        ("resourceVersion={r2}&resourceVersionMatch=Exact", "r2 a1 b1".into()),
        ("resourceVersion={r4}&resourceVersionMatch=Exact", "r4 a2 b1 c1".into()),
        ("resourceVersion={r5}&resourceVersionMatch=Exact", "r5 a2 c1".into()),
        ("resourceVersion={r4}&resourceVersionMatch=Exact&limit=2", "r4 a2 b1 more left=1".into()),
        ("resourceVersion={r2}&limit=1", "r2 a1 more left=1".into()),
        ("resourceVersion={r2}&limit=5", "r2 a1 b1".into()),
        // With selectors nobody counts what is left, and a page ends where it is full.
        ("labelSelector=of%3Da&limit=1", "r5 a2 more".into()),
        ("labelSelector=of%3Dc&limit=1", "r5 c1".into()),
        ("labelSelector=of%3Db", "r5".into()),
        ("labelSelector=of%3Db&resourceVersion={r4}&resourceVersionMatch=Exact", "r4 b1".into()),
        ("fieldSelector=metadata.name%3Dc&limit=1", "r5 c1".into()),
        ("fieldSelector=metadata.name%3Db&resourceVersion={r2}&resourceVersionMatch=Exact", "r2 b1".into()),
        ("fieldSelector=metadata.name!%3Da", "r5 c1".into()),
        // The rest of a list.
        ("continue={token}", "r5 c1".into()),
        ("continue={token}&limit=1", "r5 c1".into()),
        ("continue={token}&resourceVersion=0", "r5 c1".into()),
        (
            "continue={token}&resourceVersion={r5}",
            "400 BadRequest specifying resource version is not allowed when using continue".into(),
        ),
        ("continue={token}&resourceVersion={r5}&resourceVersionMatch=Exact", refused(CONTINUED)),
        ("continue={token}&resourceVersionMatch=Exact", refused(&format!("[{UNLESS}, {CONTINUED}]"))),
        // The future is waited for, but not for ever.
        ("resourceVersion=9999999", FUTURE.into()),
        ("resourceVersion=9999999&limit=1", FUTURE.into()),
        ("resourceVersion=9999999&resourceVersionMatch=Exact", FUTURE.into()),
        ("resourceVersion=9999999&resourceVersionMatch=NotOlderThan", FUTURE.into()),
        // What is no revision, and what goes ill together.
        (
            "resourceVersion=abc",
            "400 BadRequest invalid resource version: resourceVersion: Invalid value: \"abc\": \
             strconv.ParseUint: parsing \"abc\": invalid syntax"
                .into(),
        ),
        (
            "resourceVersion=-1",
            "400 BadRequest invalid resource version: resourceVersion: Invalid value: \"-1\": \
             strconv.ParseUint: parsing \"-1\": invalid syntax"
                .into(),
        ),
        ("resourceVersionMatch=Exact", refused(UNLESS)),
        ("resourceVersionMatch=NotOlderThan", refused(UNLESS)),
        ("resourceVersionMatch=Bogus", refused(&format!("[{UNLESS}, {BOGUS}]"))),
        ("resourceVersion={r2}&resourceVersionMatch=Bogus", refused(BOGUS)),
        (
            "resourceVersion=0&resourceVersionMatch=Exact",
            refused(
                "resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ),
        ),
        (
            "sendInitialEvents=true",
            refused("sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"),
        ),
        (
            "sendInitialEvents=false&resourceVersionMatch=NotOlderThan",
            refused(&format!(
                "[{UNLESS}, sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list]"
            )),
        ),
        ("limit=x", "400 BadRequest strconv.ParseInt: parsing \"x\": invalid syntax".into()),
    ];
    for (query, expected) in cases {
        assert_eq!(scene.list(query).await, expected, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn gets_at_each_revision() {
    let scene = Scene::set().await;
    let invalid =
        "500 - resourceVersion: Invalid value: \"x\": strconv.ParseUint: parsing \"x\": invalid syntax";
    for (path, expected) in [
        ("a", "a2@r3"),
        ("a?resourceVersion=", "a2@r3"),
        ("a?resourceVersion=0", "a2@r3"),
        ("a?resourceVersion={r1}", "a2@r3"),
        ("a?resourceVersion={r5}", "a2@r3"),
        // A get has no match, and none is looked at.
        ("a?resourceVersion={r1}&resourceVersionMatch=Exact", "a2@r3"),
        ("a?resourceVersion={r1}&resourceVersionMatch=Bogus", "a2@r3"),
        ("a?watch=true", "a2@r3"),
        ("b?resourceVersion={r2}", "404 NotFound configmaps \"b\" not found"),
        (
            "a?resourceVersion=9999999",
            "504 Timeout Timeout: Too large resource version: 9999999, current: r5",
        ),
        ("a?resourceVersion=x", invalid),
        ("b?resourceVersion=x", invalid),
    ] {
        assert_eq!(scene.get(path).await, expected, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn watches_from_each_revision() {
    const STATE: &str = "+a2@r3 +c1@r4";
    const SINCE_R2: &str = "~a2@r3 +c1@r4 -b1@r5";
    const INITIAL: &str = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    const NOT_INITIAL: &str = "sendInitialEvents=false&resourceVersionMatch=NotOlderThan";
    let refused = |why: &str| format!("422 Invalid ListOptions.meta.k8s.io \"\" is invalid: {why}");
    let requires = "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
    let unsupported = |what: &str| {
        format!("resourceVersionMatch: Unsupported value: {what:?}: supported values: \"NotOlderThan\"")
    };
    let unless = "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is \
                  provided";
    let continued = refused(
        "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided",
    );
    let scene = Scene::set().await;
    let cases: Vec<(String, String)> = vec![
        ("".into(), STATE.into()),
        ("resourceVersion=".into(), STATE.into()),
        ("resourceVersion=0".into(), STATE.into()),
        ("limit=1".into(), STATE.into()),
        ("allowWatchBookmarks=true".into(), format!("{STATE} end@r5")),
        ("allowWatchBookmarks=true&resourceVersion=0".into(), format!("{STATE} end@r5")),
        ("resourceVersion={r2}".into(), SINCE_R2.into()),
        ("resourceVersion={r2}&allowWatchBookmarks=true".into(), SINCE_R2.into()),
        ("resourceVersion={r4}".into(), "-b1@r5".into()),
        ("resourceVersion={r5}".into(), "".into()),
        ("resourceVersion=9999999".into(), "".into()),
        ("resourceVersion=18446744073709551615".into(), "".into()),
        (INITIAL.into(), STATE.into()),
        (format!("{INITIAL}&allowWatchBookmarks=true"), format!("{STATE} end@r5")),
        (format!("{INITIAL}&allowWatchBookmarks=true&resourceVersion=0"), format!("{STATE} end@r5")),
        (format!("{INITIAL}&allowWatchBookmarks=true&resourceVersion={{r2}}"), format!("{STATE} end@r5")),
        (format!("{INITIAL}&allowWatchBookmarks=true&labelSelector=of%3Dz"), "end@r5".into()),
        (
            format!("{INITIAL}&allowWatchBookmarks=true&resourceVersion=9999999"),
            "error 0 Timeout Timeout: Too large resource version: 9999999, current: r5".into(),
        ),
        (NOT_INITIAL.into(), "".into()),
        (format!("{NOT_INITIAL}&resourceVersion=0&allowWatchBookmarks=true"), "".into()),
        (format!("{NOT_INITIAL}&resourceVersion={{r2}}"), SINCE_R2.into()),
        ("labelSelector=of%3Db&resourceVersion={r1}".into(), "+b1@r2 -b1@r5".into()),
        ("fieldSelector=metadata.name%3Da&resourceVersion={r1}".into(), "~a2@r3".into()),
        ("fieldSelector=metadata.name%3Da".into(), "+a2@r3".into()),
        ("fieldSelector=metadata.name%3Db".into(), "".into()),
        // A watch of the present is one with initial events, and is checked as such.
        ("continue=x".into(), continued.clone()),
        ("continue=x&resourceVersion=0".into(), continued.clone()),
        ("continue=x&resourceVersion={r5}".into(), "".into()),
        (format!("{INITIAL}&continue=x"), continued),
        ("sendInitialEvents=true".into(), refused(requires)),
        ("sendInitialEvents=false&resourceVersion={r2}".into(), refused(requires)),
        (
            "sendInitialEvents=true&resourceVersionMatch=Exact".into(),
            refused(&format!("[{requires}, {}]", unsupported("Exact"))),
        ),
        (
            "resourceVersionMatch=Bogus&resourceVersion={r2}".into(),
            refused(&format!("[{unless}, {}]", unsupported("Bogus"))),
        ),
        ("resourceVersionMatch=NotOlderThan".into(), refused(unless)),
        ("resourceVersionMatch=NotOlderThan&resourceVersion={r2}".into(), refused(unless)),
        (
            "resourceVersion=x".into(),
            "500 - resourceVersion: Invalid value: \"x\": strconv.ParseUint: parsing \"x\": invalid syntax".into(),
        ),
        (
            "fieldSelector=data.n%3D1".into(),
            "400 BadRequest \"data.n\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                .into(),
        ),
    ];
    for (query, expected) in cases {
        assert_eq!(scene.watch(&format!("{MAPS}?watch=1&{query}")).await, expected, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn watches_of_one_name() {
    let scene = Scene::set().await;
    let one = "/api/v1/watch/namespaces/default/configmaps";
    for (path, expected) in [
        (format!("{one}/a?"), "+a2@r3"),
        (format!("{one}/a?watch=1"), "+a2@r3"),
        (format!("{one}/b?resourceVersion={{r1}}"), "+b1@r2 -b1@r5"),
        (format!("{one}/a?fieldSelector=metadata.name%3Da"), "+a2@r3"),
        (
            format!("{one}/a?fieldSelector=metadata.name%3Db"),
            "400 BadRequest fieldSelector metadata.name doesn't match requested name",
        ),
        (format!("{one}?resourceVersion={{r4}}"), "-b1@r5"),
    ] {
        assert_eq!(scene.watch(&path).await, expected, "{path}");
    }
}

async fn make(cluster: &Cluster, names: impl IntoIterator<Item = String>) {
    for name in names {
        cluster.post(MAPS, json!({"metadata": {"name": name}})).await.expect_code(201);
    }
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|i| i["metadata"]["name"].as_str().unwrap()).collect()
}

/// All pages from the one that `query` asks for; each page's names, and the revision that all of them have.
async fn pages(cluster: &Cluster, mut query: String) -> (Vec<String>, String) {
    let mut all = Vec::new();
    let mut revision = None;
    loop {
        let page = cluster.get(&format!("{MAPS}?limit=2&{query}")).await.expect_code(200);
        let found = page["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        assert_eq!(revision.get_or_insert(found.clone()), &found);
        all.extend(names(&page).into_iter().map(str::to_owned));
        match page["metadata"]["continue"].as_str() {
            Some(token) => query = format!("continue={token}"),
            None => return (all, found),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pages_are_of_one_revision_until_it_is_compacted() {
    let cluster = Cluster::start().await;
    make(&cluster, (0..5).map(|i| format!("m{i}"))).await;
    let first = cluster.get(&format!("{MAPS}?limit=2")).await.expect_code(200);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    let token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    make(&cluster, ["l".to_owned(), "m1a".to_owned(), "n".to_owned()]).await;
    cluster.delete(&format!("{MAPS}/m3")).await.expect_code(200);
    let (rest, revision) = pages(&cluster, format!("continue={token}")).await;
    assert_eq!(rest, ["m2", "m3", "m4"]);
    assert_eq!(first["metadata"]["resourceVersion"], revision);

    // Once history is gone, what is left is offered as it is now.
    tokio::time::sleep(Duration::from_secs(3600)).await;
    make(&cluster, ["z".to_owned()]).await;
    let gone = cluster.get(&format!("{MAPS}?limit=2&continue={token}")).await.expect_code(410);
    assert_eq!(gone["reason"], "Expired");
    assert!(
        gone["message"]
            .as_str()
            .unwrap()
            .starts_with("The provided continue parameter is too old to display a consistent list result.")
    );
    let fresh = gone["metadata"]["continue"].as_str().unwrap();
    let (rest, newer) = pages(&cluster, format!("continue={fresh}")).await;
    assert_eq!(rest, ["m1a", "m2", "m4", "n", "z"]);
    assert_ne!(newer, revision);
    let exact = format!("{MAPS}?resourceVersion={revision}&resourceVersionMatch=Exact");
    let gone = cluster.get(&exact).await.expect_code(410);
    assert_eq!(gone["message"], "The resourceVersion for the provided list is too old.");
    assert_eq!(gone["metadata"].get("continue"), None);
    // Neither "not older than" nor the objects themselves need history.
    cluster.get(&format!("{MAPS}?resourceVersion={revision}")).await.expect_code(200);
    cluster.get(&format!("{MAPS}/m1?resourceVersion={revision}")).await.expect_code(200);
}

#[tokio::test(start_paused = true)]
async fn pages_with_selectors_find_every_match_once() {
    let cluster = Cluster::start().await;
    for i in 0..1300 {
        let label = if i % 400 == 7 { "1" } else { "0" };
        let sent = json!({"metadata": {"name": format!("m{i:04}"), "labels": {"l": label}}});
        cluster.post(MAPS, sent).await.expect_code(201);
    }
    let (mut query, mut all) = ("labelSelector=l%3D1&limit=1".to_owned(), Vec::new());
    loop {
        let page = cluster.get(&format!("{MAPS}?{query}")).await.expect_code(200);
        assert_eq!(page["metadata"].get("remainingItemCount"), None);
        assert!(names(&page).len() <= 1);
        all.extend(names(&page).into_iter().map(str::to_owned));
        let Some(token) = page["metadata"]["continue"].as_str() else { break };
        query = format!("labelSelector=l%3D1&limit=1&continue={token}");
    }
    assert_eq!(all, ["m0007", "m0407", "m0807", "m1207"]);
    // A watch that begins with them reads them by pages, too.
    let mut watch =
        cluster.watch(&format!("{MAPS}?watch=1&labelSelector=l%3D1&allowWatchBookmarks=true")).await;
    for name in all {
        assert_eq!(watch.next().await["object"]["metadata"]["name"], name);
    }
    assert_eq!(watch.next().await["type"], "BOOKMARK");
}
