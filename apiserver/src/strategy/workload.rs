//! What controllers of pods share: selector and template belong together, and the selector stays.

use apimachinery::{FieldError, Path, Selector, Value, selector};

use super::check::{Errors, IMMUTABLE, same};
use super::core::pod::spec as pod_spec;
use crate::values::text;

/// Whether a selector is there and selects everything.
pub(super) fn is_empty_selector(value: &Value) -> bool {
    crate::strategy::check::same(Some(value), None)
}

/// A selector that must be there, say something and be readable.
pub(super) fn selector(errors: &mut Errors, spec: &Value, path: &Path, kind: &str) {
    let path = path.child("selector");
    let Some(value) = spec.get("selector").filter(|s| !s.is_null()) else {
        errors.push(FieldError::required(&path, ""));
        return;
    };
    errors.extend(selector::validate_label_selector(value, &path));
    if is_empty_selector(value) {
        let why = format!("empty selector is invalid for {kind}");
        errors.push(FieldError::invalid(&path, value.clone(), &why));
    }
}

/// The template's labels must be selected.
pub(super) fn matches_template(errors: &mut Errors, spec: &Value, path: &Path) {
    let labels = spec.at(&["template", "metadata", "labels"]);
    let Ok(selector) = Selector::from_label_selector(spec.get("selector")) else {
        // Upstream says so in words of its own where it cannot build the selector.
        return;
    };
    let label = |key: &str| labels.and_then(|l| l.get(key)).and_then(Value::as_str);
    if selector.is_empty() && spec.get("selector").is_some_and(|s| !s.is_null()) {
        return;
    }
    if !selector.matches(label) {
        let field = path.child("template").child("metadata").child("labels");
        let why = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid(&field, labels.cloned().unwrap_or_default(), why));
    }
}

pub(super) fn invalid_selector(errors: &mut Errors, spec: &Value, path: &Path) {
    let value = spec.get("selector");
    if Selector::from_label_selector(value).is_err() {
        let shown = value.cloned().unwrap_or_default();
        errors.push(FieldError::invalid(&path.child("selector"), shown, "invalid label selector"));
    }
}

/// The pod template of something that runs for ever.
pub(super) fn template(errors: &mut Errors, spec: &Value, path: &Path, kind: &str) {
    let template = spec.get("template");
    let path = path.child("template");
    pod_spec::validate_template(errors, template, &path);
    let pod = template.and_then(|t| t.get("spec"));
    let restart = pod.map(|p| text(p, &["restartPolicy"])).unwrap_or_default();
    // A template without a spec has been found wanting already.
    let spec_path = path.child("spec");
    if !restart.is_empty() && restart != "Always" {
        errors.push(FieldError::not_supported(&spec_path.child("restartPolicy"), restart, &["Always"]));
    }
    if pod.is_some_and(|p| p.get("activeDeadlineSeconds").is_some()) {
        let why = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.push(FieldError::forbidden(&spec_path.child("activeDeadlineSeconds"), &why));
    }
}

/// The selector never changes.
pub(super) fn same_selector(errors: &mut Errors, new: &Value, old: &Value) {
    let (now, before) = (new.at(&["spec", "selector"]), old.at(&["spec", "selector"]));
    if !same(now, before) {
        let path = Path::new("spec").child("selector");
        errors.push(FieldError::invalid(&path, now.cloned().unwrap_or_default(), IMMUTABLE));
    }
}

/// The warnings of a pod template: of a new object, and of one of which something else is asked for now.
pub(super) fn warnings(
    ctx: &crate::seams::StrategyContext<'_>,
    object: &Value,
    old: Option<&Value>,
    at: &[&str],
) -> Vec<String> {
    let generation = |value: &Value| value.i64_at(&["metadata", "generation"]);
    let due = ctx.subresource.is_empty() && old.is_none_or(|old| generation(old) != generation(object));
    let Some(template) = object.at(at).filter(|_| due) else { return Vec::new() };
    let path = at.iter().skip(1).fold(Path::new(at[0]), |path, key| path.child(key));
    super::core::pod::warnings::of(
        template.get("spec"),
        template.get("metadata"),
        &path.child("spec"),
        &path.child("metadata"),
    )
}
