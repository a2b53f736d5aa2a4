//! What the server does to every object before it is stored: system fields, what an update may not touch, generations,
//! strategies, validation. Mirrors upstream's `rest.BeforeCreate` and `rest.BeforeUpdate`.

use std::sync::Arc;

use apimachinery::meta::{MetaRules, validate_object_meta, validate_object_meta_update};
use apimachinery::names::{self, NameRule};
use apimachinery::status::{FieldError, Path};
use apimachinery::time::format_time;
use apimachinery::{Status, Value, meta};
use jiff::Timestamp;

use super::object::{metadata, set_generation};
use super::options::WriteOptions;
use super::{Generation, Registry, Resource};
use crate::seams::{AdmissionRequest, Operation, StrategyContext, UserInfo};

/// Who writes, and how.
#[derive(Debug)]
pub struct Context<'a> {
    pub user: &'a Arc<UserInfo>,
    pub user_agent: &'a str,
    pub options: &'a WriteOptions,
    /// Runs admission; the server's own writes go without.
    pub admit: bool,
    pub warnings: &'a mut Vec<String>,
}

/// The random part of a generated name, and how long its base may be.
const SUFFIX_LEN: usize = 5;
const GENERATED_BASE_MAX: usize = 63 - SUFFIX_LEN;

impl Context<'_> {
    pub(crate) fn dry_run(&self) -> bool {
        self.options.dry_run
    }

    /// The manager that managedFields name: as asked, else the user agent up to its slash.
    pub(crate) fn manager(&self) -> String {
        if !self.options.field_manager.is_empty() {
            return self.options.field_manager.clone();
        }
        let agent = self.user_agent.split('/').next().unwrap_or_default();
        let shown: String = agent.chars().filter(|c| !c.is_control()).take(128).collect();
        if shown.is_empty() { "unknown".into() } else { shown }
    }
}

impl Registry {
    /// A name made from a base.
    pub(crate) fn generate_name(&self, base: &str) -> String {
        let mut end = base.len().min(GENERATED_BASE_MAX);
        while !base.is_char_boundary(end) {
            end -= 1;
        }
        format!("{}{}", &base[..end], self.env.rng.suffix(SUFFIX_LEN))
    }

    /// uid and creation time, which no client chooses; what belongs to deletion is taken away.
    pub(crate) fn fill_system_fields(&self, object: &mut Value, now: Timestamp) {
        let uid = self.env.rng.uuid();
        let members = metadata(object);
        for key in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
            members.remove(key);
        }
        members.insert("uid", uid);
        members.insert("creationTimestamp", format_time(now));
    }

    pub(crate) fn strategy_context<'a>(
        &'a self,
        context: &'a Context<'_>,
        namespace: &'a str,
        subresource: &'a str,
        now: Timestamp,
    ) -> StrategyContext<'a> {
        StrategyContext {
            now,
            namespace,
            subresource,
            user: context.user,
            dry_run: context.dry_run(),
            features: &self.config.features,
        }
    }

    /// `BeforeCreate` without validation, on a hub object.
    pub(crate) fn prepare_create(
        &self,
        resource: &Resource,
        context: &StrategyContext<'_>,
        object: &mut Value,
    ) {
        // A node tells of itself with its first write; every other status is written by its own subresource.
        if resource.traits.has_status && (resource.group(), resource.plural()) != ("", "nodes") {
            object.as_object_mut().map(|o| o.remove("status"));
        }
        if matches!(resource.traits.generation, Generation::Counted | Generation::Fixed) {
            set_generation(object, 1);
        }
        if let Some(strategy) = self.strategy(resource) {
            strategy.prepare_create(context, object);
        }
        crate::strategy::gated::drop_disabled(
            context.features,
            resource.group(),
            resource.plural(),
            object,
            None,
        );
    }

    /// `BeforeUpdate` without validation, on hub objects. The result is in canonical form.
    pub(crate) fn prepare_update(
        &self,
        resource: &Resource,
        context: &StrategyContext<'_>,
        object: &mut Value,
        old: &Value,
    ) {
        let old_generation = old.i64_at(&["metadata", "generation"]).unwrap_or(0);
        match context.subresource {
            "" if resource.traits.has_status => keep_member(object, old, "status"),
            "status" if resource.info.custom => keep_all_but(object, old, &["status"]),
            "status" => keep_all_but_status(object, old, resource.plural() == "deployments"),
            "finalize" => keep_all_but(object, old, &["spec", "finalizers"]),
            "ephemeralcontainers" => keep_all_but(object, old, &["spec", "ephemeralContainers"]),
            "approval" => keep_all_but(object, old, &["status", "conditions"]),
            "resize" => keep_all_but_resources(object, old),
            _ => {}
        }
        keep_metadata(object, old);
        set_generation(object, old_generation);
        if let Some(strategy) = self.strategy(resource) {
            strategy.prepare_update(context, object, old);
        }
        if context.subresource != "status" {
            let (group, plural) = (resource.group(), resource.plural());
            crate::strategy::gated::drop_disabled(context.features, group, plural, object, Some(old));
        }
        super::object::set_type(object, &resource.hub);
        self.normalise(resource, object);
        let own = object.i64_at(&["metadata", "generation"]).unwrap_or(0);
        if matches!(resource.traits.generation, Generation::Counted | Generation::CountedFromZero)
            && !matches!(context.subresource, "status" | "binding" | "eviction")
            && own == old_generation
            && self.wants_something_else(resource, object, old)
        {
            set_generation(object, old_generation + 1);
            if old_generation == 0 {
                // A field that was not there stands at the end now.
                self.normalise(resource, object);
            }
        }
    }

    /// Whether what is asked for changed: anything but metadata and status; for deployments also annotations.
    fn wants_something_else(&self, resource: &Resource, object: &Value, old: &Value) -> bool {
        let (Some(new), Some(before)) = (object.as_object(), old.as_object()) else { return false };
        // The status of a custom resource that has no subresource for it is a field like others.
        let asked = resource.info.custom && !resource.traits.has_status;
        let wanted =
            |key: &str| !matches!(key, "metadata" | "kind" | "apiVersion") && (asked || key != "status");
        let changed = new.iter().any(|(k, v)| wanted(k) && before.get(k) != Some(v))
            || before.keys().any(|k| wanted(k) && !new.contains_key(k));
        let annotations = ["metadata", "annotations"];
        changed
            || (resource.plural() == "deployments" && object.at(&annotations) != old.at(&annotations))
            || (resource.plural() == "endpointslices"
                && object.at(&["metadata", "labels"]) != old.at(&["metadata", "labels"]))
    }

    /// Every problem that metadata and the strategy find in a new object.
    pub(crate) fn validate_create(
        &self,
        resource: &Resource,
        context: &StrategyContext<'_>,
        object: &Value,
    ) -> Vec<FieldError> {
        let mut errors = validate_meta(resource, object, checks_finalizers(resource));
        if let Some(definition) = resource.definition() {
            errors.extend(definition.validate(object, None));
        }
        if let Some(strategy) = self.strategy(resource) {
            errors.extend(strategy.validate_create(context, object));
        }
        errors
    }

    pub(crate) fn validate_update(
        &self,
        resource: &Resource,
        context: &StrategyContext<'_>,
        object: &Value,
        old: &Value,
    ) -> Vec<FieldError> {
        // Upstream checks metadata in `BeforeUpdate`, for itself and against what was, and again in the kind's own
        // validation, and tells of each problem as often.
        let built_in = checks_finalizers(resource);
        let mut errors = Vec::new();
        let (whole, change) =
            (validate_meta(resource, object, built_in), validate_meta_update(object, old, built_in));
        if !whole.is_empty() || !change.is_empty() {
            errors = validate_meta(resource, object, false);
            errors.extend(validate_meta_update(object, old, false));
            errors.extend(change);
            if checks_whole_meta(resource) && context.subresource.is_empty() {
                errors.extend(whole);
            }
        }
        if let Some(definition) = resource.definition() {
            errors.extend(definition.validate(object, Some(old)));
        }
        if let Some(strategy) = self.strategy(resource) {
            errors.extend(strategy.validate_update(context, object, old));
        }
        errors
    }

    /// Runs the mutating half of admission.
    pub(crate) async fn admit(&self, request: &mut AdmissionRequest<'_>) -> Result<(), Status> {
        for plugin in &self.plugins().admission {
            if plugin.handles(request) {
                plugin.admit(request).await?;
            }
        }
        Ok(())
    }

    /// Runs the validating half.
    pub(crate) async fn validate_admission(&self, request: &AdmissionRequest<'_>) -> Result<(), Status> {
        for plugin in &self.plugins().admission {
            if plugin.handles(request) {
                plugin.validate(request).await?;
            }
        }
        Ok(())
    }
}

/// What stays the same in every request of admission about one object.
#[derive(Debug)]
pub(crate) struct AdmissionFrame<'a> {
    pub(crate) operation: Operation,
    pub(crate) resource: &'a Resource,
    pub(crate) subresource: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) options: &'a Value,
    pub(crate) dry_run: bool,
    pub(crate) user: &'a Arc<UserInfo>,
}

impl<'a> AdmissionFrame<'a> {
    pub(crate) fn request<'b>(
        &'b self,
        object: &'b mut Value,
        old: Option<&'b Value>,
        warnings: &'b mut Vec<String>,
    ) -> AdmissionRequest<'b>
    where
        'a: 'b,
    {
        AdmissionRequest {
            operation: self.operation,
            group: self.resource.group(),
            version: &self.resource.info.version,
            resource: self.resource.plural(),
            subresource: self.subresource,
            kind: self.kind,
            namespace: self.namespace,
            name: self.name,
            object,
            old,
            options: self.options,
            dry_run: self.dry_run,
            user: self.user,
            warnings,
        }
    }
}

fn keep_member(object: &mut Value, old: &Value, key: &str) {
    let Some(members) = object.as_object_mut() else { return };
    match old.get(key) {
        Some(value) => {
            members.insert(key, value.clone());
        }
        None => {
            members.remove(key);
        }
    }
}

/// A status update changes the status and metadata, but not the labels where `keep_labels` says so.
fn keep_all_but_status(object: &mut Value, old: &Value, keep_labels: bool) {
    let status = object.as_object_mut().and_then(|o| o.remove("status"));
    let sent = object.as_object_mut().and_then(|o| o.remove("metadata"));
    *object = old.clone();
    if let Some(status) = status {
        object.set_at(&["status"], status);
    } else if let Some(members) = object.as_object_mut() {
        members.remove("status");
    }
    if let Some(mut sent) = sent {
        let labels = old.at(&["metadata", "labels"]).cloned();
        if keep_labels && let Some(members) = sent.as_object_mut() {
            members.remove("labels");
            if let Some(labels) = labels {
                members.insert("labels", labels);
            }
        }
        object.set_at(&["metadata"], sent);
    }
}

/// Takes one field of a new object into the stored one.
fn keep_all_but(object: &mut Value, old: &Value, path: &[&str]) {
    let wanted = object.at(path).cloned();
    let managed = object.at(&["metadata", "managedFields"]).cloned();
    let revision = object.at(&["metadata", "resourceVersion"]).cloned();
    *object = old.clone();
    match wanted {
        Some(value) => object.set_at(path, value),
        None => {
            object.remove_at(path);
        }
    }
    for (key, value) in [("managedFields", managed), ("resourceVersion", revision)] {
        if let Some(value) = value {
            object.set_at(&["metadata", key], value);
        }
    }
}

/// A resize changes the resources and resize policies of containers that are there.
fn keep_all_but_resources(object: &mut Value, old: &Value) {
    let sent = object.clone();
    keep_all_but(object, old, &["spec", "resources"]);
    for list in ["containers", "initContainers"] {
        let wanted = sent.array_at(&["spec", list]);
        let Some(containers) = object.at_mut(&["spec", list]).and_then(Value::as_array_mut) else { continue };
        for container in containers {
            let Some(new) = wanted.iter().find(|c| c.get("name") == container.get("name")) else { continue };
            for key in ["resources", "resizePolicy"] {
                if let Some(value) = new.get(key) {
                    container.set_at(&[key], value.clone());
                }
            }
        }
    }
}

/// What no update changes: it is taken from the stored object when the request leaves it out, and a deletion under way
/// stays as it is. What the request says otherwise is for validation to refuse.
fn keep_metadata(object: &mut Value, old: &Value) {
    let old_meta = old.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
    let uid_missing = meta::uid(object).is_empty();
    let members = metadata(object);
    // Another time of creation is ignored, another uid is not.
    if let Some(value) = old_meta.get("creationTimestamp") {
        members.insert("creationTimestamp", value.clone());
    }
    if let Some(value) = old_meta.get("uid").filter(|_| uid_missing) {
        members.insert("uid", value.clone());
    }
    if let Some(value) = old_meta.get("deletionTimestamp") {
        members.insert("deletionTimestamp", value.clone());
        if let Some(grace) = old_meta.get("deletionGracePeriodSeconds")
            && members.get("deletionGracePeriodSeconds").is_none_or(Value::is_null)
        {
            members.insert("deletionGracePeriodSeconds", grace.clone());
        }
    }
    members.remove("selfLink");
}

/// How the names of a kind look.
fn name_rule(resource: &Resource) -> NameRule {
    match (resource.group(), resource.plural()) {
        ("", "namespaces" | "services") => names::label_rule,
        ("rbac.authorization.k8s.io", _) | ("", "events") => names::path_segment_rule,
        // Their strategies say what their names are made of.
        ("networking.k8s.io", "ipaddresses") | ("apiregistration.k8s.io", "apiservices") => {
            names::path_segment_rule
        }
        _ => names::subdomain_rule,
    }
}

/// Custom resources, and what extends the API, are validated apart from the other built-in kinds upstream, without their
/// check of finalizers' names.
fn checks_finalizers(resource: &Resource) -> bool {
    !resource.info.custom && !matches!(resource.group(), "apiextensions.k8s.io" | "apiregistration.k8s.io")
}

/// Every problem of an object's metadata; `built_in` adds the rules of Kubernetes' own kinds.
fn validate_meta(resource: &Resource, object: &Value, built_in: bool) -> Vec<FieldError> {
    let rules = MetaRules { namespaced: resource.info.namespaced, name: name_rule(resource), built_in };
    validate_object_meta(object.get("metadata").unwrap_or(&Value::NULL), rules, &Path::new("metadata"))
}

/// Every problem of a changed object's metadata.
fn validate_meta_update(object: &Value, old: &Value, built_in: bool) -> Vec<FieldError> {
    let (new, old) = (object.get("metadata"), old.get("metadata"));
    let none = Value::NULL;
    validate_object_meta_update(new.unwrap_or(&none), old.unwrap_or(&none), built_in, &Path::new("metadata"))
}

/// Kinds whose validation of an update is that of a new object and more; the others look at their spec alone.
fn checks_whole_meta(resource: &Resource) -> bool {
    matches!(
        (resource.group(), resource.plural()),
        (
            "",
            "configmaps"
                | "secrets"
                | "services"
                | "serviceaccounts"
                | "endpoints"
                | "pods"
                | "namespaces"
                | "limitranges"
                | "persistentvolumes"
                | "persistentvolumeclaims"
        ) | ("apps", "statefulsets" | "controllerrevisions")
            | ("batch", "jobs")
            | ("networking.k8s.io", "ingresses" | "networkpolicies")
            | ("rbac.authorization.k8s.io", _)
            | ("flowcontrol.apiserver.k8s.io", _)
            | ("admissionregistration.k8s.io", _)
    )
}
