//! Protobuf bodies and answers: objects in upstream's envelope, by the tables.

use apimachinery::{Status, Value};
use kinds::Gvk;
use kinds::proto::{self, ProtoError};

use super::Registry;
use super::decode::Expected;

/// Decodes a body into the value of the type that its envelope names, which need not be the expected one.
pub(crate) fn decode(expected: &Expected<'_>, body: &[u8]) -> Result<Value, ProtoError> {
    let envelope = proto::open(body)?;
    let (group, version) = envelope.api_version.split_once('/').unwrap_or(("", &envelope.api_version));
    let own = expected.kinds.type_of(group, version, &envelope.kind);
    // What has no type of its own is for the check of kinds to refuse; its fields do not matter.
    let ty = own.as_deref().unwrap_or(expected.ty);
    let mut value = proto::decode(ty, &envelope.raw)?;
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
