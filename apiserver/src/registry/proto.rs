//! Protobuf bodies and answers: objects in upstream's envelope, by the tables.

use apimachinery::{Status, Value};
use kinds::Gvk;
use kinds::proto::{self, ProtoError};
use kinds::registry::split_api_version;

use super::Registry;
use super::decode::Expected;

/// Why a body is no object: nothing is known of it, or its envelope has told what it should have been.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error(transparent)]
    Envelope(#[from] ProtoError),
    #[error("{1}")]
    Message(Gvk, #[source] ProtoError),
}

/// Decodes a body into the value of the type that its envelope names, which need not be the expected one.
pub(crate) fn decode(expected: &Expected<'_>, body: &[u8]) -> Result<Value, Broken> {
    let envelope = proto::open(body)?;
    let named = |own: &str, expected: &str| if own.is_empty() { expected } else { own }.to_owned();
    let kind = named(&envelope.kind, &expected.gvk.kind);
    let api_version = named(&envelope.api_version, &expected.gvk.api_version());
    let (group, version) = split_api_version(&api_version);
    let gvk = Gvk::new(group, version, &kind);
    let own = match gvk == *expected.gvk {
        true => None,
        false => expected.kinds.type_of(group, version, &kind),
    };
    let mut value = match own.as_deref() {
        // What has no type of its own is for the check of kinds to refuse; its fields do not matter.
        None if gvk != *expected.gvk => Value::object(),
        own => {
            let ty = own.unwrap_or(expected.ty);
            proto::decode(ty, &envelope.raw).map_err(|error| Broken::Message(gvk, error))?
        }
    };
    if !envelope.kind.is_empty() {
        value.set_at(&["kind"], envelope.kind);
    }
    if !envelope.api_version.is_empty() {
        value.set_at(&["apiVersion"], envelope.api_version);
    }
    Ok(value)
}

impl Registry {
    /// Decodes the DeleteOptions of a request.
    pub(crate) fn decode_delete_options(&self, body: &[u8]) -> Result<Value, Status> {
        let gvk = Gvk::new("", "v1", "DeleteOptions");
        let ty = self
            .kinds
            .type_of(&gvk.group, &gvk.version, &gvk.kind)
            .ok_or_else(|| Status::internal("the tables have no DeleteOptions"))?;
        let expected = Expected { kinds: &self.kinds, gvk: &gvk, ty: &ty, custom: None };
        decode(&expected, body).map_err(|e| Status::bad_request(e.to_string()))
    }

    /// An object with its envelope.
    pub(crate) fn encode_protobuf(&self, gvk: &Gvk, value: &Value) -> Result<Vec<u8>, Status> {
        let refused = || Status::not_acceptable_types(&[crate::negotiate::JSON, crate::negotiate::YAML]);
        let custom = self.custom().kind(&gvk.group, &gvk.version, &gvk.kind).is_some();
        if custom || gvk.kind == "Table" {
            return Err(refused());
        }
        let ty = self.kinds.type_of(&gvk.group, &gvk.version, &gvk.kind).ok_or_else(refused)?;
        Ok(proto::envelope(&gvk.api_version(), &gvk.kind, &proto::encode(&ty, value)))
    }

    /// A frame of a watch: its length, then the event.
    pub(crate) fn encode_event(&self, kind: &str, gvk: &Gvk, value: &Value) -> Result<Vec<u8>, Status> {
        let event = proto::watch_event(kind, &self.encode_protobuf(gvk, value)?);
        let length = u32::try_from(event.len()).map_err(|_| Status::internal("an event of 4 GB"))?;
        let mut frame = Vec::with_capacity(event.len() + 4);
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&event);
        Ok(frame)
    }
}
