//! Priority: resolves a pod's PriorityClass to its number and preemption policy; one class at most is the default; the
//! system's classes stay.

use std::sync::Arc;

use apimachinery::{Status, Value};
use futures::future::BoxFuture;

use super::{forbidden, is_main};
use crate::seams::{Admission, AdmissionRequest, Objects, Operation};
use crate::values::{meta, text};

const GROUP: &str = "scheduling.k8s.io";
const CLASSES: &str = "priorityclasses";
const PREEMPT: &str = "PreemptLowerPriority";

#[derive(Debug)]
pub struct Priority {
    objects: Arc<dyn Objects>,
}

impl Priority {
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }

    /// The default class: with several (which only a race can make) the one with the lowest value, as upstream.
    fn default_class(&self) -> Option<Arc<Value>> {
        let classes = self.objects.list(GROUP, CLASSES, "");
        let defaults = classes.into_iter().filter(|c| c.bool_at(&["globalDefault"]) == Some(true));
        defaults.min_by_key(|c| c.i64_at(&["value"]).unwrap_or(0))
    }

    fn resolve(&self, request: &mut AdmissionRequest<'_>) -> Result<(), Status> {
        let name = text(request.object, &["spec", "priorityClassName"]).to_owned();
        let class = if name.is_empty() {
            let class = self.default_class();
            if let Some(class) = &class {
                request.object.set_at(&["spec", "priorityClassName"], meta(class, "name"));
            }
            class
        } else {
            let class = self.objects.get(GROUP, CLASSES, "", &name);
            let missing = || forbidden(request, &format!("no PriorityClass with name {name} was found"));
            Some(class.ok_or_else(missing)?)
        };
        let class = class.as_deref();
        let priority = class.and_then(|c| c.i64_at(&["value"])).unwrap_or(0);
        if let Some(given) = request.object.i64_at(&["spec", "priority"])
            && given != priority
        {
            let why = format!(
                "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
                 computed {priority} from the given PriorityClass name"
            );
            return Err(forbidden(request, &why));
        }
        request.object.set_at(&["spec", "priority"], priority);
        let policy =
            class.map(|c| text(c, &["preemptionPolicy"])).filter(|p| !p.is_empty()).unwrap_or(PREEMPT);
        let given = text(request.object, &["spec", "preemptionPolicy"]);
        if !given.is_empty() && given != policy {
            let why = format!(
                "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission \
                 controller computed {policy} from the given PriorityClass name"
            );
            return Err(forbidden(request, &why));
        }
        request.object.set_at(&["spec", "preemptionPolicy"], policy);
        Ok(())
    }

    fn check_class(&self, request: &AdmissionRequest<'_>) -> Result<(), Status> {
        if request.object.bool_at(&["globalDefault"]) != Some(true) {
            return Ok(());
        }
        match self.default_class() {
            Some(other) if meta(&other, "name") != meta(request.object, "name") => {
                let why = format!(
                    "PriorityClass {} is already marked as default. Only one default can exist",
                    meta(&other, "name")
                );
                Err(forbidden(request, &why))
            }
            _ => Ok(()),
        }
    }
}

/// An update that leaves out what admission once filled in keeps it.
fn keep(object: &mut Value, old: &Value) {
    for field in ["priority", "preemptionPolicy"] {
        if object.at(&["spec", field]).is_none()
            && let Some(value) = old.at(&["spec", field])
        {
            object.set_at(&["spec", field], value.clone());
        }
    }
}

impl Admission for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        is_main(request, "", "pods", &[Operation::Create, Operation::Update])
            || is_main(request, GROUP, CLASSES, &[Operation::Create, Operation::Update, Operation::Delete])
    }

    fn admit<'a>(&'a self, request: &'a mut AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        let outcome = match (request.resource, request.operation) {
            ("pods", Operation::Create) => self.resolve(request),
            ("pods", _) => {
                if let Some(old) = request.old {
                    keep(request.object, old);
                }
                Ok(())
            }
            _ => Ok(()),
        };
        Box::pin(async move { outcome })
    }

    fn validate<'a>(&'a self, request: &'a AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        let outcome = if request.resource == CLASSES { self.check_class(request) } else { Ok(()) };
        Box::pin(async move { outcome })
    }
}
