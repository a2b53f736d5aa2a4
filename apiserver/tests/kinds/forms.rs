//! Bodies in each encoding: objects, lists, the frames of watches.

use apimachinery::{ParseOptions, Value};
use kinds::{Registry, proto};

/// An encoding of bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Yaml,
    Protobuf,
}

pub(crate) const FORMS: [Form; 3] = [Form::Json, Form::Yaml, Form::Protobuf];

impl Form {
    pub(crate) fn media(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }

    /// The media type with a transformation: `Table`, `PartialObjectMetadata`.
    pub(crate) fn shown_as(self, what: &str) -> String {
        format!("{};as={what};v=v1;g=meta.k8s.io", self.media())
    }

    pub(crate) fn encode(self, kinds: &Registry, object: &Value) -> Vec<u8> {
        match self {
            Self::Json => object.to_json(),
            Self::Yaml => object.to_yaml().into_bytes(),
            Self::Protobuf => {
                let word = |key: &str| object.str_at(&[key]).expect("an object has its type");
                let ty = type_of(kinds, word("apiVersion"), word("kind"));
                proto::encode_object(&ty, object)
            }
        }
    }

    #[track_caller]
    pub(crate) fn decode(self, kinds: &Registry, body: &[u8]) -> Value {
        match self {
            Self::Json => Value::from_json(body).unwrap_or_else(|error| panic!("{error}: {}", text(body))),
            Self::Yaml => match Value::parse_yaml(body, &ParseOptions::default()) {
                Ok(parsed) => parsed.value,
                Err(error) => panic!("{error}: {}", text(body)),
            },
            Self::Protobuf => {
                let sealed = match proto::open(body) {
                    Ok(sealed) => sealed,
                    Err(error) => panic!("{error}: {}", text(body)),
                };
                let ty = type_of(kinds, &sealed.api_version, &sealed.kind);
                let mut value = proto::decode(&ty, &sealed.raw).expect("the server's own bytes");
                value.set_at(&["kind"], sealed.kind);
                value.set_at(&["apiVersion"], sealed.api_version);
                value
            }
        }
    }
}

pub(crate) fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

#[track_caller]
fn type_of(kinds: &Registry, api_version: &str, kind: &str) -> apimachinery::schema::TypeRef {
    let (group, version) = kinds::registry::split_api_version(api_version);
    let ty = kinds.type_of(group, version, kind);
    ty.unwrap_or_else(|| panic!("the tables have no {api_version} {kind}"))
}

/// Takes the events of a protobuf watch out of what has come so far: the type and the sealed object of each.
pub(crate) fn take_frames(buffer: &mut Vec<u8>) -> Vec<(String, Vec<u8>)> {
    let mut events = Vec::new();
    while let Some((head, rest)) = buffer.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*head)).expect("usize has 32 bits or more");
        let Some(frame) = rest.get(..length) else { break };
        let fields = fields(frame);
        let kind = fields.iter().find(|(number, _)| *number == 1).expect("an event has a type").1;
        let raw = fields.iter().find(|(number, _)| *number == 2).expect("an event has an object").1;
        let object = fields_of_raw(raw);
        events.push((text(kind), object));
        buffer.drain(..length + 4);
    }
    events
}

/// The one field of a raw extension.
fn fields_of_raw(raw: &[u8]) -> Vec<u8> {
    let fields = fields(raw);
    assert!(matches!(fields.as_slice(), [(1, _)]), "{raw:?}");
    fields[0].1.to_vec()
}

/// The fields of a message that has only those with a length.
fn fields(mut message: &[u8]) -> Vec<(u8, &[u8])> {
    let mut found = Vec::new();
    while let Some((tag, rest)) = message.split_first() {
        assert_eq!(tag & 7, 2, "every field here has a length");
        let (mut length, mut used) = (0_usize, 0);
        for byte in rest {
            length |= usize::from(byte & 0x7f) << (7 * used);
            used += 1;
            if *byte < 0x80 {
                break;
            }
        }
        let (field, rest) = rest[used..].split_at(length);
        found.push((tag >> 3, field));
        message = rest;
    }
    found
}
