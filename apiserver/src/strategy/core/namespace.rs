//! Namespace: `spec.finalizers` holds it until its content is gone.

use apimachinery::{FieldError, Path, Value, names};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::Errors;
use crate::value;
use crate::values::{meta, string_list, text};

const NAME_LABEL: &str = "kubernetes.io/metadata.name";

#[derive(Debug)]
pub struct Namespace;

impl Strategy for Namespace {
    fn resource(&self) -> (&'static str, &'static str) {
        ("", "namespaces")
    }

    fn prepare_create(&self, _ctx: &StrategyContext<'_>, object: &mut Value) {
        object.set_at(&["status"], value!({ "phase": "Active" }));
        let finalizers = string_list(object.at(&["spec", "finalizers"]));
        if !finalizers.iter().any(|f| f == "kubernetes") {
            let mut finalizers = finalizers;
            finalizers.push("kubernetes".into());
            object.set_at(&["spec", "finalizers"], crate::values::strings(finalizers));
        }
        label(object);
    }

    fn prepare_update(&self, ctx: &StrategyContext<'_>, object: &mut Value, old: &Value) {
        if ctx.subresource.is_empty() {
            // Finalizers of the spec change through their subresource alone.
            match old.at(&["spec", "finalizers"]) {
                Some(finalizers) => object.set_at(&["spec", "finalizers"], finalizers.clone()),
                None => {
                    object.remove_at(&["spec", "finalizers"]);
                }
            }
        }
        label(object);
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        finalizers(object, false)
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        match ctx.subresource {
            "finalize" => finalizers(object, true),
            "status" => phase(object),
            _ => Errors::new(),
        }
    }
}

/// A namespace is on its way out exactly when it has been deleted.
fn phase(object: &Value) -> Errors {
    let phase = text(object, &["status", "phase"]);
    let deleted = !meta(object, "deletionTimestamp").is_empty();
    let (expected, why) = if deleted {
        ("Terminating", "may only be 'Terminating' if `deletionTimestamp` is not empty")
    } else {
        ("Active", "may only be 'Active' if `deletionTimestamp` is empty")
    };
    if phase == expected {
        return Errors::new();
    }
    // Upstream writes this path with a capital.
    vec![FieldError::invalid(&Path::new("status").child("Phase"), phase, why)]
}

/// The label by which selectors find a namespace.
fn label(object: &mut Value) {
    let name = meta(object, "name").to_owned();
    if !name.is_empty() {
        object.set_at(&["metadata", "labels", NAME_LABEL], name);
    }
}

/// Upstream tells which one it is only where they are all that is sent.
fn finalizers(object: &Value, with_index: bool) -> Errors {
    let mut errors = Errors::new();
    for (at, name) in string_list(object.at(&["spec", "finalizers"])).into_iter().enumerate() {
        let path = Path::new("spec").child("finalizers");
        let path = if with_index { path.index(at) } else { path };
        crate::strategy::check::problems(&mut errors, &path, &name, names::qualified_name(&name));
        if !name.contains('/') && name != "kubernetes" && name != "foregroundDeletion" && name != "orphan" {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(&path, name, why));
        }
    }
    errors
}
