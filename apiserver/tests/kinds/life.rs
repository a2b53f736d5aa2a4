//! One object from its creation to its end, all of it in one encoding.

use apimachinery::{Value, meta};
use kinds::{Registry, ResourceInfo};

use super::forms::{FORMS, Form, text};
use super::specs;
use super::support::{Answer, Cluster};
use super::watched::Watches;

const NAMESPACE: &str = "kinds";
/// Longer than anything here takes that the server does by itself.
const ROUNDS_MAX: usize = 1000;

/// What the objects here need.
pub(crate) async fn prepare(cluster: &Cluster) {
    let named = |name: &str| serde_json::json!({"metadata": {"name": name}});
    cluster.post("/api/v1/namespaces", named(NAMESPACE)).await.expect_code(201);
    let accounts = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts");
    cluster.post(&accounts, named("default")).await.expect_code(201);
}

/// One life in each encoding, all under the same name and before the same watches.
pub(crate) async fn of_kind(cluster: &Cluster, kinds: &Registry, info: &ResourceInfo) {
    let (name, members) = specs::object(&info.group, &info.version, &info.plural);
    let collection = collection_of(info);
    let life = |form| Life {
        cluster,
        kinds,
        info,
        form,
        name,
        own: format!("{collection}/{name}"),
        collection: collection.clone(),
    };
    let mut watches = Watches::open(cluster, &collection, name).await;
    let mut found: Option<Value> = None;
    for form in FORMS {
        let lived = timeless(life(form).lived(&members).await);
        let first = found.get_or_insert_with(|| lived.clone());
        same(&lived, first, &format!("{form:?} and JSON"));
    }
    watches.agree(kinds, FORMS.len()).await;
}

fn collection_of(info: &ResourceInfo) -> String {
    let root = if info.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", info.group) };
    let scope = if info.namespaced { format!("/namespaces/{NAMESPACE}") } else { String::new() };
    format!("{root}/{}{scope}/{}", info.version, info.plural)
}

#[track_caller]
pub(crate) fn same(found: &Value, expected: &Value, what: &str) {
    assert!(found == expected, "{what}: {} is not {}", found.to_json_string(), expected.to_json_string());
}

/// Without what differs between two objects of one name that were made alike.
fn timeless(mut object: Value) -> Value {
    for key in ["uid", "resourceVersion", "creationTimestamp"] {
        object.remove_at(&["metadata", key]);
    }
    let managed = object.at_mut(&["metadata", "managedFields"]).and_then(Value::as_array_mut);
    for entry in managed.into_iter().flatten() {
        entry.remove_at(&["time"]);
    }
    object
}

/// Whether everything in `part` is in `whole`.
fn covers(whole: &Value, part: &Value) -> bool {
    match (part.as_object(), part.as_array()) {
        (Some(part), _) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| covers(whole, part)))
        }
        (_, Some(part)) => whole.as_array().is_some_and(|whole| {
            whole.len() >= part.len() && part.iter().all(|part| whole.iter().any(|whole| covers(whole, part)))
        }),
        _ => whole == part,
    }
}

struct Life<'c> {
    cluster: &'c Cluster,
    kinds: &'c Registry,
    info: &'c ResourceInfo,
    form: Form,
    name: &'static str,
    /// The paths of the object and of its list.
    own: String,
    collection: String,
}

impl Life<'_> {
    async fn lived(&self, members: &str) -> Value {
        self.create(members).await;
        self.replace().await;
        self.patch().await;
        if self
            .info
            .subresource("status")
            .is_some_and(|status| status.verbs.iter().any(|verb| verb == "update"))
        {
            self.write_status().await;
        }
        if self.info.subresource("scale").is_some() {
            self.scale().await;
        }
        self.write_other_versions().await;
        let last = match self.form {
            // Who wrote an object does not matter to who reads it; twice is enough.
            Form::Yaml => self.now().await,
            Form::Json | Form::Protobuf => self.read().await,
        };
        self.delete().await;
        last
    }

    async fn send(&self, method: &str, path: &str, accept: &str, content: &str, body: Vec<u8>) -> Answer {
        let headers = [("accept", accept), ("content-type", content)];
        self.cluster.raw(method, path, &headers, body).await
    }

    /// Sends an object and reads one, both in this life's encoding.
    #[track_caller]
    fn exchange(
        &self,
        method: &'static str,
        path: &str,
        body: &Value,
        code: u16,
    ) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        let (path, body) = (path.to_owned(), self.form.encode(self.kinds, body));
        async move {
            let answer = self.send(method, &path, self.form.media(), self.form.media(), body).await;
            let what = || format!("{method} {path} by {:?} at {caller}", self.form);
            assert_eq!(answer.code, code, "{}: {}", what(), text(&answer.body));
            assert_eq!(answer.headers["content-type"], self.form.media(), "{}", what());
            self.form.decode(self.kinds, &answer.body)
        }
    }

    async fn seen(&self, path: &str, form: Form, accept: &str) -> Value {
        let answer = self.send("GET", path, accept, "", Vec::new()).await;
        assert_eq!(answer.code, 200, "GET {path} as {accept}: {}", text(&answer.body));
        assert_eq!(answer.headers["content-type"], form.media(), "GET {path} as {accept}");
        form.decode(self.kinds, &answer.body)
    }

    /// The object in JSON.
    async fn now(&self) -> Value {
        self.seen(&self.own, Form::Json, Form::Json.media()).await
    }

    async fn code(&self) -> u16 {
        self.cluster.get(&self.own).await.code
    }

    fn dry(path: &str) -> String {
        format!("{path}?dryRun=All")
    }

    async fn create(&self, members: &str) {
        let mut object = Value::from_json(members.as_bytes()).expect("a line of facts is JSON");
        object.set_at(&["apiVersion"], self.info.api_version());
        object.set_at(&["kind"], self.info.kind.as_str());
        object.set_at(&["metadata", "name"], self.name);
        object.set_at(&["metadata", "labels", "life"], "lived");
        let dry = self.exchange("POST", &Self::dry(&self.collection), &object, 201).await;
        assert_eq!(meta::name(&dry), self.name);
        assert_eq!(self.code().await, 404, "a dry run made {}", self.own);
        let made = self.exchange("POST", &self.collection, &object, 201).await;
        assert!(!meta::uid(&made).is_empty(), "{}", made.to_json_string());
        self.settle().await;
    }

    /// Waits for what the server itself does to a new object.
    async fn settle(&self) {
        if self.info.plural != "customresourcedefinitions" {
            return;
        }
        for _ in 0..ROUNDS_MAX {
            let conditions = self.now().await;
            let conditions = conditions.array_at(&["status", "conditions"]);
            if conditions.iter().any(|c| c.str_at(&["type"]) == Some("Established")) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("never established");
    }

    /// Reads the object in every way, and gives it back as JSON has it.
    async fn read(&self) -> Value {
        let object = self.now().await;
        let list = format!("{}?fieldSelector=metadata.name%3D{}", self.collection, self.name);
        let metadata = object.get("metadata").expect("an object has metadata");
        for form in FORMS {
            let own = self.seen(&self.own, form, form.media()).await;
            same(&own, &object, &format!("{} by {form:?}", self.own));
            if self.info.subresource("status").is_some() {
                let status = self.seen(&format!("{}/status", self.own), form, form.media()).await;
                same(&status, &object, &format!("{}/status by {form:?}", self.own));
            }
            let listed = self.seen(&list, form, form.media()).await;
            assert_eq!(meta::kind(&listed), self.info.list_kind);
            assert_eq!(meta::api_version(&listed), self.info.api_version());
            let mut bare = object.clone();
            bare.remove_at(&["kind"]);
            bare.remove_at(&["apiVersion"]);
            same(
                &listed.array_at(&["items"]).to_vec().into(),
                &vec![bare].into(),
                &format!("{list} by {form:?}"),
            );
            let partial = self.seen(&self.own, form, &form.shown_as("PartialObjectMetadata")).await;
            assert_eq!(meta::kind(&partial), "PartialObjectMetadata");
            same(partial.get("metadata").expect("metadata"), metadata, &format!("metadata by {form:?}"));
            let partials = self.seen(&list, form, &form.shown_as("PartialObjectMetadataList")).await;
            assert_eq!(meta::kind(&partials), "PartialObjectMetadataList");
            let [one] = partials.array_at(&["items"]) else { panic!("{}", partials.to_json_string()) };
            same(
                one.get("metadata").expect("metadata"),
                metadata,
                &format!("metadata in a list by {form:?}"),
            );
            for path in [&self.own, &list] {
                self.read_table(path, form, metadata).await;
            }
        }
        object
    }

    async fn read_table(&self, path: &str, form: Form, metadata: &Value) {
        if form == Form::Protobuf {
            let answer = self.send("GET", path, &form.shown_as("Table"), "", Vec::new()).await;
            assert_eq!(answer.code, 406, "a Table has no protobuf: {path}");
            return;
        }
        let table = self.seen(path, form, &form.shown_as("Table")).await;
        let columns = table.array_at(&["columnDefinitions"]);
        let [row] = table.array_at(&["rows"]) else { panic!("{path}: {}", table.to_json_string()) };
        assert!(!columns.is_empty(), "{path} has no columns");
        // Upstream gives the age of an IPAddress no column.
        let n_cells = columns.len() + usize::from(self.info.plural == "ipaddresses");
        assert_eq!(row.array_at(&["cells"]).len(), n_cells, "{path}: {}", table.to_json_string());
        assert_eq!(
            columns[0].str_at(&["name"]).map(str::to_lowercase).as_deref(),
            Some(match self.info.plural.as_str() {
                "events" => "last seen",
                _ => "name",
            })
        );
        same(row.at(&["object", "metadata"]).expect("metadata"), metadata, "metadata in a row");
    }

    /// Replaces: dry, for good, and once more with nothing changed.
    async fn replace(&self) {
        let before = self.now().await;
        let mut wanted = before.clone();
        wanted.set_at(&["metadata", "labels", "put"], "done");
        let dry = self.exchange("PUT", &Self::dry(&self.own), &wanted, 200).await;
        assert_eq!(dry.str_at(&["metadata", "labels", "put"]), Some("done"));
        same(&self.now().await, &before, "after a dry replacement");
        let put = self.exchange("PUT", &self.own, &wanted, 200).await;
        same(&self.now().await, &put, "after a replacement");
        let again = self.exchange("PUT", &self.own, &put, 200).await;
        same(&again, &put, "replaced with itself");
        // With the revision of before somebody else was faster.
        let stale = self.exchange("PUT", &self.own, &wanted, 409).await;
        assert_eq!((meta::kind(&stale), stale.str_at(&["reason"])), ("Status", Some("Conflict")));
    }

    /// The four kinds of patches, each dry and for good.
    async fn patch(&self) {
        let label = |key: &str| format!(r#"{{"metadata":{{"labels":{{"{key}":"done"}}}}}}"#);
        let applied = format!(
            r#"{{"apiVersion":"{}","kind":"{}","metadata":{{"name":"{}","labels":{{"apply":"done"}}}}}}"#,
            self.info.api_version(),
            self.info.kind,
            self.name
        );
        let patches = [
            (
                "json",
                "application/json-patch+json",
                r#"[{"op":"add","path":"/metadata/labels/json","value":"done"}]"#.to_owned(),
            ),
            ("merge", "application/merge-patch+json", label("merge")),
            ("strategic", "application/strategic-merge-patch+json", label("strategic")),
            ("apply", "application/apply-patch+yaml", applied),
        ];
        for (key, media, body) in patches {
            self.patch_with(&self.own, media, &body, &label(key)).await;
        }
    }

    async fn patch_with(&self, path: &str, media: &str, body: &str, expected: &str) {
        let expected = Value::from_json(expected.as_bytes()).expect("JSON");
        let before = self.now().await;
        let force = if media.contains("apply") { "&force=true" } else { "" };
        for query in ["fieldManager=m&dryRun=All", "fieldManager=m"] {
            let path = format!("{path}?{query}{force}");
            let answer = self.send("PATCH", &path, self.form.media(), media, body.as_bytes().to_vec()).await;
            assert_eq!(answer.code, 200, "{path} {media}: {}", text(&answer.body));
            let patched = self.form.decode(self.kinds, &answer.body);
            assert!(covers(&patched, &expected), "{path} {media}: {}", patched.to_json_string());
            let now = self.now().await;
            if path.contains("dryRun") {
                same(&now, &before, &format!("after a dry {media} of {path}"));
            } else {
                same(&now, &patched, &format!("after a {media} of {path}"));
            }
        }
    }

    async fn write_status(&self) {
        let path = format!("{}/status", self.own);
        let status = specs::status(&self.info.group, &self.info.plural);
        let wanted = Value::from_json(status.as_bytes()).expect("a line of facts is JSON");
        let before = self.now().await;
        let mut sent = before.clone();
        for (key, value) in wanted.as_object().expect("a status is an object").iter() {
            sent.set_at(&["status", key], value.clone());
        }
        let dry = self.exchange("PUT", &Self::dry(&path), &sent, 200).await;
        let shown = |object: &Value| object.get("status").cloned().unwrap_or_default();
        assert!(covers(&shown(&dry), &wanted), "{path}: {}", dry.to_json_string());
        same(&self.now().await, &before, "after a dry replacement of the status");
        let put = self.exchange("PUT", &path, &sent, 200).await;
        assert!(covers(&shown(&put), &wanted), "{path}: {}", put.to_json_string());
        let now = self.now().await;
        same(&now, &put, "after a replacement of the status");
        assert_eq!(meta::generation(&now), meta::generation(&before), "a status counts as no generation");
        // What the object itself is sent for a status does not matter.
        let mut without = now.clone();
        without.remove_at(&["status"]);
        let kept = self.exchange("PUT", &self.own, &without, 200).await;
        same(&shown(&kept), &shown(&now), "the status after an update without one");
        let patch = format!(r#"{{"status":{status}}}"#);
        self.patch_with(&path, "application/merge-patch+json", &patch, &patch).await;
        let applied = format!(
            r#"{{"apiVersion":"{}","kind":"{}","metadata":{{"name":"{}"}},"status":{status}}}"#,
            self.info.api_version(),
            self.info.kind,
            self.name
        );
        self.patch_with(&path, "application/apply-patch+yaml", &applied, &patch).await;
    }

    async fn scale(&self) {
        let path = format!("{}/scale", self.own);
        let scale = self.seen(&path, Form::Json, Form::Json.media()).await;
        assert_eq!(meta::kind(&scale), "Scale");
        for form in FORMS {
            same(&self.seen(&path, form, form.media()).await, &scale, &format!("{path} by {form:?}"));
        }
        let mut wanted = scale.clone();
        wanted.set_at(&["spec", "replicas"], 3i64);
        let dry = self.exchange("PUT", &Self::dry(&path), &wanted, 200).await;
        assert_eq!(dry.i64_at(&["spec", "replicas"]), Some(3));
        same(&self.seen(&path, Form::Json, Form::Json.media()).await, &scale, "after a dry scaling");
        self.exchange("PUT", &path, &wanted, 200).await;
        assert_eq!(self.now().await.i64_at(&["spec", "replicas"]), Some(3));
    }

    /// Reads and writes the object in the other versions and groups that it is served in.
    async fn write_other_versions(&self) {
        let others = self.kinds.resources().iter().filter(|other| {
            other.stored == self.info.stored
                && other.plural == self.info.plural
                && other.api_version() != self.info.api_version()
                && (other.served_by_default || !self.info.served_by_default)
        });
        for other in others {
            let path = format!("{}/{}", collection_of(other), self.name);
            let before = self.now().await;
            let theirs = self.seen(&path, Form::Json, Form::Json.media()).await;
            assert_eq!(meta::api_version(&theirs), other.api_version());
            for form in FORMS {
                same(&self.seen(&path, form, form.media()).await, &theirs, &format!("{path} by {form:?}"));
            }
            let put = self.exchange("PUT", &path, &theirs, 200).await;
            same(&put, &theirs, &format!("{path} replaced with itself"));
            same(&self.now().await, &before, &format!("after {path} was replaced with itself"));
            let applied = format!(
                r#"{{"apiVersion":"{}","kind":"{}","metadata":{{"name":"{}","labels":{{"other":"done"}}}}}}"#,
                other.api_version(),
                other.kind,
                self.name
            );
            let media = "application/apply-patch+yaml";
            let url = format!("{path}?fieldManager=other");
            let answer = self.send("PATCH", &url, self.form.media(), media, applied.into_bytes()).await;
            assert_eq!(answer.code, 200, "{url}: {}", text(&answer.body));
            let now = self.now().await;
            assert_eq!(now.str_at(&["metadata", "labels", "other"]), Some("done"), "{path}");
            let rest = |object: &Value| (object.get("spec").cloned(), object.get("status").cloned());
            assert_eq!(rest(&now), rest(&before), "after an apply of {path}");
            let entry = now.array_at(&["metadata", "managedFields"]);
            let entry = entry.iter().find(|entry| entry.str_at(&["manager"]) == Some("other"));
            let entry = entry.expect("who applies is a manager");
            assert_eq!(entry.str_at(&["apiVersion"]), Some(other.api_version().as_str()));
            // Gone again, so that the next version finds what this one found.
            let nothing = format!(
                r#"{{"apiVersion":"{}","kind":"{}","metadata":{{"name":"{}"}}}}"#,
                other.api_version(),
                other.kind,
                self.name
            );
            let answer = self.send("PATCH", &url, self.form.media(), media, nothing.into_bytes()).await;
            assert_eq!(answer.code, 200, "{url}: {}", text(&answer.body));
            assert_eq!(self.now().await.str_at(&["metadata", "labels", "other"]), None, "{path}");
        }
    }

    async fn delete(&self) {
        let options = |dry: &str| {
            let text = format!(
                r#"{{"apiVersion":"v1","kind":"DeleteOptions","gracePeriodSeconds":0,"propagationPolicy":"Background"{dry}}}"#
            );
            Value::from_json(text.as_bytes()).expect("JSON")
        };
        let before = self.now().await;
        let several = format!("{}?labelSelector=life%3Dlived", self.collection);
        let in_one = self.info.has_verb("deletecollection");
        let dry = options(r#","dryRun":["All"]"#);
        self.exchange("DELETE", &self.own, &dry, 200).await;
        if in_one {
            let listed = self.exchange("DELETE", &several, &dry, 200).await;
            assert_eq!(listed.array_at(&["items"]).len(), 1, "{several}: {}", listed.to_json_string());
        }
        same(&self.now().await, &before, "after a dry deletion");
        let path = if in_one && self.form == Form::Protobuf { &several } else { &self.own };
        self.exchange("DELETE", path, &options(""), 200).await;
        self.end().await;
    }

    /// Lets go of what holds the object back, and waits until it is gone.
    async fn end(&self) {
        for _ in 0..ROUNDS_MAX {
            if self.code().await == 404 {
                return;
            }
            let mut object = self.now().await;
            assert!(meta::deletion_timestamp(&object).is_some(), "{} is not being deleted", self.own);
            if self.info.plural == "customresourcedefinitions" {
                // The server itself removes its finalizer.
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            } else if self.info.subresource("finalize").is_some() {
                object.set_at(&["spec", "finalizers"], Vec::<Value>::new());
                self.exchange("PUT", &format!("{}/finalize", self.own), &object, 200).await;
            } else {
                object.remove_at(&["metadata", "finalizers"]);
                self.exchange("PUT", &self.own, &object, 200).await;
            }
        }
        panic!("{} does not go", self.own);
    }
}
