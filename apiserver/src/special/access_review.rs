//! SubjectAccessReview, LocalSubjectAccessReview and SelfSubjectAccessReview: may somebody do something?

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::status::{FieldError, FieldErrorReason};
use apimachinery::{Status, Value, go};
use futures::future::BoxFuture;

use crate::seams::{Attributes, Authorizer, Decision, Special, SpecialRequest, UserInfo};
use crate::value;
use crate::values::{string_list, text};

const GROUP: &str = "authorization.k8s.io";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Subject,
    Local,
    Own,
}

/// One of the three reviews.
#[derive(Debug)]
pub struct AccessReview {
    form: Form,
    authorizer: Arc<dyn Authorizer>,
}

impl AccessReview {
    pub fn subject(authorizer: Arc<dyn Authorizer>) -> Self {
        Self { form: Form::Subject, authorizer }
    }
    pub fn local(authorizer: Arc<dyn Authorizer>) -> Self {
        Self { form: Form::Local, authorizer }
    }
    pub fn own(authorizer: Arc<dyn Authorizer>) -> Self {
        Self { form: Form::Own, authorizer }
    }

    fn review(&self, request: SpecialRequest<'_>) -> Result<Value, Status> {
        let mut object = request.object;
        let errors = self.problems(&object, request.namespace);
        if !errors.is_empty() {
            return Err(Status::invalid(GROUP, "", "", &errors));
        }
        let empty = Value::object();
        let spec = object.get("spec").unwrap_or(&empty);
        let user = if self.form == Form::Own { Arc::clone(request.user) } else { Arc::new(subject(spec)) };
        let decision = self.authorizer.authorize(&attributes(spec, user));
        let (allowed, denied, reason) = match decision {
            Decision::Allow(reason) => (true, false, reason),
            Decision::Deny(reason) => (false, true, reason),
            Decision::NoOpinion(reason) => (false, false, reason),
        };
        let mut status = value!({ "allowed": (allowed) });
        if denied {
            status.set_at(&["denied"], true);
        }
        if !reason.is_empty() {
            status.set_at(&["reason"], reason);
        }
        object.set_at(&["status"], status);
        Ok(object)
    }

    fn problems(&self, object: &Value, namespace: &str) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let resource = object.at(&["spec", "resourceAttributes"]);
        let other = object.at(&["spec", "nonResourceAttributes"]);
        if resource.is_some() && other.is_some() {
            errors.push(invalid(
                "spec.nonResourceAttributes",
                &shown(other),
                "cannot be specified in combination with resourceAttributes",
            ));
        }
        if resource.is_none() && other.is_none() {
            errors.push(invalid(
                "spec.resourceAttributes",
                "null",
                "exactly one of nonResourceAttributes or resourceAttributes must be specified",
            ));
        }
        if self.form != Form::Own
            && text(object, &["spec", "user"]).is_empty()
            && object.array_at(&["spec", "groups"]).is_empty()
        {
            errors.push(invalid("spec.user", "\"\"", "at least one of user or group must be specified"));
        }
        for selector in ["fieldSelector", "labelSelector"] {
            selector_problems(resource.and_then(|r| r.get(selector)), selector, &mut errors);
        }
        self.metadata_problems(object, &mut errors);
        if self.form == Form::Local {
            if let Some(resource) = resource
                && text(resource, &["namespace"]) != namespace
            {
                let found = go::quote(text(resource, &["namespace"]));
                errors.push(invalid(
                    "spec.resourceAttributes.namespace",
                    &found,
                    "must match metadata.namespace",
                ));
            }
            if other.is_some() {
                errors.push(invalid(
                    "spec.nonResourceAttributes",
                    &shown(other),
                    "disallowed on this kind of request",
                ));
            }
        }
        errors
    }

    /// Reviews are not objects: their metadata must be empty, but for what the server itself adds.
    fn metadata_problems(&self, object: &Value, errors: &mut Vec<FieldError>) {
        let Some(metadata) = object.get("metadata").and_then(Value::as_object) else { return };
        let own = |key: &str| key == "managedFields" || (key == "namespace" && self.form == Form::Local);
        if metadata.iter().any(|(key, value)| !own(key) && !value.is_null()) {
            let shown = Value::from(metadata.clone()).to_json_string();
            errors.push(invalid("metadata", &shown, "must be empty"));
        }
    }
}

impl Special for AccessReview {
    fn resource(&self) -> (&'static str, &'static str, &'static str) {
        match self.form {
            Form::Subject => (GROUP, "subjectaccessreviews", ""),
            Form::Local => (GROUP, "localsubjectaccessreviews", ""),
            Form::Own => (GROUP, "selfsubjectaccessreviews", ""),
        }
    }

    fn create<'a>(&'a self, request: SpecialRequest<'a>) -> BoxFuture<'a, Result<Value, Status>> {
        Box::pin(async move { self.review(request) })
    }
}

fn invalid(field: &str, value: &str, why: &str) -> FieldError {
    FieldError {
        reason: FieldErrorReason::Invalid,
        field: field.into(),
        message: format!("Invalid value: {value}: {why}"),
    }
}

/// The Go form of non-resource attributes, whose internal type has no JSON names.
fn shown(attributes: Option<&Value>) -> String {
    let field = |key| attributes.map(|a| text(a, &[key])).unwrap_or_default();
    format!("{{\"Path\":{},\"Verb\":{}}}", go::quote(field("path")), go::quote(field("verb")))
}

fn selector_problems(selector: Option<&Value>, name: &str, errors: &mut Vec<FieldError>) {
    let Some(selector) = selector else { return };
    let path = format!("spec.resourceAttributes.{name}");
    let raw = text(selector, &["rawSelector"]);
    let requirements = selector.array_at(&["requirements"]);
    if !raw.is_empty() && !requirements.is_empty() {
        let field = format!("{path}.rawSelector");
        errors.push(invalid(&field, &go::quote(raw), "may not specified at the same time as requirements"));
    } else if raw.is_empty() && requirements.is_empty() {
        errors.push(FieldError {
            reason: FieldErrorReason::Required,
            field: format!("{path}.requirements"),
            message: format!(
                "Required value: when {path} is specified, requirements or rawSelector is required"
            ),
        });
    }
}

fn subject(spec: &Value) -> UserInfo {
    let extra = spec.get("extra").and_then(Value::as_object).into_iter().flat_map(|o| o.iter());
    UserInfo {
        name: text(spec, &["user"]).into(),
        uid: text(spec, &["uid"]).into(),
        groups: string_list(spec.get("groups")),
        extra: extra.map(|(k, v)| (k.to_owned(), string_list(Some(v)))).collect::<BTreeMap<_, _>>(),
    }
}

fn attributes(spec: &Value, user: Arc<UserInfo>) -> Attributes {
    let Some(resource) = spec.get("resourceAttributes") else {
        return Attributes {
            user,
            verb: text(spec, &["nonResourceAttributes", "verb"]).into(),
            path: text(spec, &["nonResourceAttributes", "path"]).into(),
            ..Attributes::default()
        };
    };
    let field = |key: &str| text(resource, &[key]).to_owned();
    let version = field("version");
    Attributes {
        user,
        verb: field("verb"),
        group: field("group"),
        version: if version.is_empty() { "*".into() } else { version },
        resource: field("resource"),
        subresource: field("subresource"),
        namespace: field("namespace"),
        name: field("name"),
        is_resource: true,
        field_selector: selector_text(resource.get("fieldSelector")),
        label_selector: selector_text(resource.get("labelSelector")),
        ..Attributes::default()
    }
}

/// A selector as a query would carry it. Requirements that equality cannot say are left out: upstream's authorizers
/// ignore them too, which can only deny more.
fn selector_text(selector: Option<&Value>) -> String {
    let Some(selector) = selector else { return String::new() };
    let raw = text(selector, &["rawSelector"]);
    if !raw.is_empty() {
        return raw.to_owned();
    }
    let equal = selector.array_at(&["requirements"]).iter().filter_map(|requirement| {
        let values = string_list(requirement.get("values"));
        match (text(requirement, &["operator"]), values.as_slice()) {
            ("In", [one]) => Some(format!("{}={one}", text(requirement, &["key"]))),
            _ => None,
        }
    });
    equal.collect::<Vec<_>>().join(",")
}
