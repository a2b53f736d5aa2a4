//! Event, of both groups: core's is lenient, that of events.k8s.io says who reports what.

use apimachinery::{FieldError, Path, Value, names};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, IMMUTABLE, problems, same};
use crate::values::{meta, text};

/// Fields of a new-style event that stay.
const FIXED: [&str; 8] =
    ["involvedObject", "reason", "message", "firstTimestamp", "type", "eventTime", "action", "related"];

#[derive(Debug)]
pub struct Event {
    group: &'static str,
}

impl Event {
    pub const CORE: Self = Self { group: "" };
    pub const EVENTS: Self = Self { group: "events.k8s.io" };

    /// New-style events carry a time of their own; core clients may write the old style.
    fn is_new_style(&self, object: &Value) -> bool {
        self.group == "events.k8s.io" || !text(object, &["eventTime"]).is_empty()
    }
}

impl Strategy for Event {
    fn resource(&self) -> (&'static str, &'static str) {
        (self.group, "events")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        namespace(&mut errors, object);
        if self.is_new_style(object) {
            new_style(&mut errors, object);
        }
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if self.group.is_empty() && text(old, &["eventTime"]).is_empty() {
            return self.validate_create(ctx, object);
        }
        let mut errors = Errors::new();
        for field in FIXED {
            if !same(object.get(field), old.get(field)) {
                let shown = object.get(field).cloned().unwrap_or_default();
                errors.push(FieldError::invalid(&Path::new(field), shown, IMMUTABLE));
            }
        }
        errors
    }
}

/// The event stands in the namespace of what it is about; events of cluster-scoped objects in `default`.
fn namespace(errors: &mut Errors, object: &Value) {
    let involved = if object.get("regarding").is_some() { "regarding" } else { "involvedObject" };
    let about = text(object, &[involved, "namespace"]);
    let own = meta(object, "namespace");
    let fits = if about.is_empty() { matches!(own, "" | "default" | "kube-system") } else { about == own };
    if !fits {
        let path = Path::new("involvedObject").child("namespace");
        errors.push(FieldError::invalid(&path, about, "does not match event.namespace"));
    }
}

fn new_style(errors: &mut Errors, object: &Value) {
    if text(object, &["eventTime"]).is_empty() {
        errors.push(FieldError::required(&Path::new("eventTime"), ""));
    } else {
        let controller = [text(object, &["reportingComponent"]), text(object, &["reportingController"])];
        let controller = controller.into_iter().find(|c| !c.is_empty()).unwrap_or_default();
        let path = Path::new("reportingController");
        if controller.is_empty() {
            errors.push(FieldError::required(&path, ""));
        }
        problems(errors, &path, controller, names::qualified_name(controller));
        for (field, max) in [("reportingInstance", 128), ("action", 128), ("reason", 128)] {
            let value = text(object, &[field]);
            if value.is_empty() {
                errors.push(FieldError::required(&Path::new(field), ""));
            } else if value.len() > max {
                let why = format!("can have at most {max} characters");
                errors.push(FieldError::invalid(&Path::new(field), "", &why));
            }
        }
        let message = [text(object, &["message"]), text(object, &["note"])];
        if message.iter().any(|m| m.len() > 1024) {
            errors.push(FieldError::invalid(&Path::new("message"), "", "can have at most 1024 characters"));
        }
    }
    let kind = text(object, &["type"]);
    if !matches!(kind, "Normal" | "Warning") {
        errors.push(FieldError::invalid(&Path::new("type"), "", &format!("has invalid value: {kind}")));
    }
}
