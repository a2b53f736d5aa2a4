//! VolumeAttachment: the wish to have a volume on a node. What is wished for never changes.

use apimachinery::{FieldError, Path, Value, names};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, IMMUTABLE, problems, required, same};
use crate::strategy::core::persistentvolume;
use crate::strategy::internal_form;
use crate::values::text;

#[derive(Debug)]
pub struct VolumeAttachment;

const MESSAGE_MAX: usize = 1024;
const METADATA_BYTES_MAX: usize = 256 * 1024;

impl Strategy for VolumeAttachment {
    fn resource(&self) -> (&'static str, &'static str) {
        ("storage.k8s.io", "volumeattachments")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = Path::new("spec");
        let spec = object.get("spec").unwrap_or(&Value::NULL);
        let attacher = required(&mut errors, spec, &path, "attacher");
        if !attacher.is_empty() {
            let found = names::qualified_name(&attacher.to_lowercase());
            problems(&mut errors, &path.child("attacher"), attacher, found);
        }
        let source = spec.get("source").unwrap_or(&Value::NULL);
        let at = path.child("source");
        let name = source.str_at(&["persistentVolumeName"]);
        match (source.get("inlineVolumeSpec"), name) {
            (Some(_), Some(_)) => {
                let why = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
                errors.push(FieldError::forbidden(&at, why));
            }
            (Some(inline), None) => {
                let path = at.child("inlineVolumeSpec");
                persistentvolume::validate_spec(
                    &mut errors,
                    inline,
                    &path,
                    persistentvolume::Context::Inline,
                );
            }
            (None, None) => {
                let why = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
                errors.push(FieldError::required(&at, why));
            }
            (None, Some("")) => {
                let why = "must specify non empty persistentVolumeName";
                errors.push(FieldError::required(&at.child("persistentVolumeName"), why));
            }
            _ => {}
        }
        let node = text(spec, &["nodeName"]);
        problems(&mut errors, &path.child("nodeName"), node, names::dns1123_subdomain(node));
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self.validate_create(ctx, object);
        validate_status(&mut errors, object);
        if !same(object.get("spec"), old.get("spec")) {
            let shown =
                internal_form::of_type("io.k8s.api.storage.v1.VolumeAttachmentSpec", object.get("spec"));
            errors.push(FieldError::invalid(&Path::new("spec"), shown, IMMUTABLE));
        }
        errors
    }
}

fn validate_status(errors: &mut Errors, object: &Value) {
    let path = Path::new("status");
    let status = object.get("status").unwrap_or(&Value::NULL);
    let metadata = status.get("attachmentMetadata").and_then(Value::as_object);
    let bytes: usize =
        metadata.into_iter().flatten().map(|(k, v)| k.len() + v.as_str().map_or(0, str::len)).sum();
    if bytes > METADATA_BYTES_MAX {
        errors.push(FieldError::too_long(&path.child("attachmentMetadata"), METADATA_BYTES_MAX));
    }
    for key in ["attachError", "detachError"] {
        if text(status, &[key, "message"]).len() > MESSAGE_MAX {
            errors.push(FieldError::too_long(&path.child(key).child("message"), MESSAGE_MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::{check_invalid, check_invalid_update};

    #[test]
    fn what_is_wished_for() {
        check_invalid(
            &VolumeAttachment,
            "spec: {attacher: a.b, source: {persistentVolumeName: ''}, nodeName: x}",
            expect![[r#"
                spec.source.persistentVolumeName: Required value: must specify non empty persistentVolumeName
            "#]],
        );
        check_invalid_update(
            &VolumeAttachment,
            "spec: {attacher: d.e, source: {persistentVolumeName: p}, nodeName: x}",
            "spec: {attacher: d.e, source: {persistentVolumeName: p}, nodeName: z}",
            expect![[r#"
                spec: Invalid value: {"Attacher":"d.e","Source":{"PersistentVolumeName":"p","InlineVolumeSpec":null},"NodeName":"z"}: field is immutable
            "#]],
        );
    }
}
