//! Watches of one object in several forms, which must tell the same story.

use apimachinery::{Value, meta};
use apiserver::response::Body;
use axum::body::BodyDataStream;
use futures::StreamExt as _;
use kinds::Registry;

use super::forms::{Form, take_frames};
use super::life::same;
use super::support::Cluster;

/// What is shown of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Whole,
    Metadata,
    Table,
}

struct Watch {
    form: Form,
    shown: Shown,
    body: BodyDataStream,
    buffer: Vec<u8>,
    /// Type and bytes of the events that have come and were not asked for.
    waiting: std::collections::VecDeque<(String, Vec<u8>)>,
}

impl Watch {
    async fn open(cluster: &Cluster, path: &str, form: Form, shown: Shown) -> Self {
        let mut accept = match shown {
            Shown::Whole => form.media().to_owned(),
            Shown::Metadata => form.shown_as("PartialObjectMetadata"),
            Shown::Table => form.shown_as("Table"),
        };
        let mut expected = form.media().to_owned();
        if form == Form::Protobuf {
            accept.push_str(";stream=watch");
            expected.push_str(";stream=watch");
        }
        let request = http::Request::builder().uri(path).header("accept", &accept);
        let response = cluster.send(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(response.status().as_u16(), 200, "{path} as {accept}");
        assert_eq!(response.headers()["content-type"], expected, "{path} as {accept}");
        let body = response.into_body().into_data_stream();
        Self { form, shown, body, buffer: Vec::new(), waiting: std::collections::VecDeque::new() }
    }

    /// The next event: its type and object.
    async fn next(&mut self, kinds: &Registry) -> (String, Value) {
        while self.waiting.is_empty() {
            let chunk = self.body.next().await.expect("the watch has ended").expect("bytes in memory");
            self.buffer.extend_from_slice(&chunk);
            if self.form == Form::Protobuf {
                self.waiting.extend(take_frames(&mut self.buffer));
                continue;
            }
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let event = Form::Json.decode(kinds, &line);
                let kind = event.str_at(&["type"]).expect("an event has a type").to_owned();
                self.waiting.push_back((kind, event.get("object").expect("an object").to_json()));
            }
        }
        let (kind, object) = self.waiting.pop_front().expect("not empty");
        (kind, self.form.decode(kinds, &object))
    }
}

pub(crate) struct Watches {
    plain: Watch,
    others: Vec<Watch>,
}

impl Watches {
    /// All of them, of an object that is not there yet.
    pub(crate) async fn open(cluster: &Cluster, collection: &str, name: &str) -> Self {
        let path = format!("{collection}?watch=1&fieldSelector=metadata.name%3D{name}");
        let mut others = Vec::new();
        for (form, shown) in [
            (Form::Protobuf, Shown::Whole),
            (Form::Json, Shown::Metadata),
            (Form::Protobuf, Shown::Metadata),
            (Form::Json, Shown::Table),
        ] {
            others.push(Watch::open(cluster, &path, form, shown).await);
        }
        Self { plain: Watch::open(cluster, &path, Form::Json, Shown::Whole).await, others }
    }

    /// Reads until that many lives have ended, and compares.
    pub(crate) async fn agree(&mut self, kinds: &Registry, n_lives: usize) {
        let (mut n_added, mut n_deleted) = (0, 0);
        while n_deleted < n_lives {
            let (kind, object) = self.plain.next(kinds).await;
            n_added += usize::from(kind == "ADDED");
            n_deleted += usize::from(kind == "DELETED");
            let metadata = object.get("metadata").expect("an object has metadata");
            for other in &mut self.others {
                let what = format!("{kind} by {:?} {:?}", other.form, other.shown);
                let (own_kind, own) = other.next(kinds).await;
                assert_eq!(own_kind, kind, "{what}");
                match other.shown {
                    Shown::Whole => same(&own, &object, &what),
                    Shown::Metadata => {
                        assert_eq!(meta::kind(&own), "PartialObjectMetadata");
                        same(own.get("metadata").expect("metadata"), metadata, &what);
                    }
                    Shown::Table => {
                        let [row] = own.array_at(&["rows"]) else {
                            panic!("{what}: {}", own.to_json_string())
                        };
                        same(row.at(&["object", "metadata"]).expect("metadata"), metadata, &what);
                    }
                }
            }
        }
        assert_eq!(n_added, n_lives, "a life begins once");
    }
}
