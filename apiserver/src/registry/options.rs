//! The options of a request (ListOptions, CreateOptions, DeleteOptions, …): read from the query and the body, checked
//! with upstream's words.

use apimachinery::status::{FieldError, FieldErrorReason, Path};
use apimachinery::{Status, Value, go, meta};

use crate::negotiate::PatchType;
use crate::response::bad_request;
use crate::routes::{Query, parse_uint};

/// The group of all option kinds.
const META: &str = "meta.k8s.io";

pub(crate) fn field_error(reason: FieldErrorReason, field: &str, message: impl Into<String>) -> FieldError {
    FieldError { reason, field: field.into(), message: message.into() }
}

fn unsupported(field: &str, shown: &str, supported: &[&str]) -> FieldError {
    let list: Vec<String> = supported.iter().map(|s| go::quote(s)).collect();
    let message = format!("Unsupported value: {shown}: supported values: {}", list.join(", "));
    field_error(FieldErrorReason::NotSupported, field, message)
}

fn forbidden(field: &str, why: &str) -> FieldError {
    field_error(FieldErrorReason::Forbidden, field, format!("Forbidden: {why}"))
}

fn refuse(kind: &str, errors: Vec<FieldError>) -> Result<(), Status> {
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(META, kind, "", &errors)) }
}

/// What an unknown or repeated field does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// CreateOptions, UpdateOptions and PatchOptions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    pub dry_run: bool,
    pub field_manager: String,
    pub field_validation: FieldValidation,
    /// Of server-side apply.
    pub force: bool,
    pub(crate) kind: &'static str,
}

impl WriteOptions {
    pub fn create(query: &Query) -> Result<Self, Status> {
        Self::parse(query, "CreateOptions", None)
    }
    pub fn update(query: &Query) -> Result<Self, Status> {
        Self::parse(query, "UpdateOptions", None)
    }
    pub fn patch(query: &Query, patch: PatchType) -> Result<Self, Status> {
        Self::parse(query, "PatchOptions", Some(patch))
    }

    /// Options of the server's own writes.
    pub fn own() -> Self {
        Self { field_manager: "kube-apiserver".into(), kind: "CreateOptions", ..Self::default() }
    }

    /// Those of a part of the server with a manager of its own.
    pub(crate) fn own_by(manager: &str) -> Self {
        Self { field_manager: manager.to_owned(), ..Self::own() }
    }

    /// Those of server-side apply by a part of the server.
    pub(crate) fn own_apply(manager: &str) -> Self {
        Self { force: true, kind: "PatchOptions", ..Self::own_by(manager) }
    }

    fn parse(query: &Query, kind: &'static str, patch: Option<PatchType>) -> Result<Self, Status> {
        let mut errors = Vec::new();
        if let Some(patch) = patch {
            if patch == PatchType::ApplyYaml {
                if query.text("fieldManager").is_empty() {
                    let message = "Required value: is required for apply patch";
                    errors.push(field_error(FieldErrorReason::Required, "fieldManager", message));
                }
            } else if query.get("force").is_some() {
                errors.push(forbidden("force", "may not be specified for non-apply patch"));
            }
        }
        let manager = query.text("fieldManager");
        check_manager(manager, &mut errors);
        let dry_run: Vec<&str> = query.all("dryRun").collect();
        check_dry_run(&dry_run, &mut errors);
        let field_validation = match query.text("fieldValidation") {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                errors.push(unsupported(
                    "fieldValidation",
                    &go::quote(other),
                    &["", "Ignore", "Strict", "Warn"],
                ));
                FieldValidation::Warn
            }
        };
        refuse(kind, errors)?;
        Ok(Self {
            dry_run: !dry_run.is_empty(),
            field_manager: manager.to_owned(),
            field_validation,
            force: query.flag("force"),
            kind,
        })
    }

    /// Whether the object's uid is a precondition: not of patches, where it is only another field that may not change.
    pub(crate) fn preconditions(&self) -> bool {
        self.kind != "PatchOptions"
    }

    /// The options as admission sees them.
    pub fn as_value(&self) -> Value {
        let mut value = Value::object();
        value.set_at(&["kind"], self.kind);
        value.set_at(&["apiVersion"], "meta.k8s.io/v1");
        if self.dry_run {
            value.set_at(&["dryRun"], vec![Value::from("All")]);
        }
        if !self.field_manager.is_empty() {
            value.set_at(&["fieldManager"], self.field_manager.as_str());
        }
        value
    }
}

fn check_manager(manager: &str, errors: &mut Vec<FieldError>) {
    errors.extend(meta::validate_field_manager(manager, &Path::new("fieldManager")));
}

fn check_dry_run(values: &[&str], errors: &mut Vec<FieldError>) {
    if values.iter().any(|v| *v != "All") {
        let list: Vec<String> = values.iter().map(|v| go::quote(v)).collect();
        errors.push(unsupported("dryRun", &format!("[{}]", list.join(",")), &["All"]));
    }
}

/// How a list's revision is to be understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RevisionMatch {
    #[default]
    Unset,
    Exact,
    NotOlderThan,
}

/// ListOptions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    pub label_selector: String,
    pub field_selector: String,
    /// 0: all.
    pub limit: u64,
    pub continue_token: String,
    pub resource_version: String,
    pub revision_match: RevisionMatch,
    pub timeout_seconds: Option<i64>,
    pub allow_bookmarks: bool,
    pub send_initial_events: Option<bool>,
}

impl ListOptions {
    /// Those of a list, or of a watch as its own parameter asks for one: with upstream's defaults and checks.
    pub fn parse(query: &Query, watch: bool) -> Result<Self, Status> {
        let limit = query.integer("limit").map_err(bad_request)?.unwrap_or(0);
        let timeout_seconds = query.integer("timeoutSeconds").map_err(bad_request)?;
        let mut options = Self {
            label_selector: query.text("labelSelector").to_owned(),
            field_selector: query.text("fieldSelector").to_owned(),
            limit: u64::try_from(limit).unwrap_or(0),
            continue_token: query.text("continue").to_owned(),
            resource_version: query.text("resourceVersion").to_owned(),
            revision_match: RevisionMatch::Unset,
            timeout_seconds,
            allow_bookmarks: query.flag("allowWatchBookmarks"),
            send_initial_events: query.get("sendInitialEvents").map(|_| query.flag("sendInitialEvents")),
        };
        let mut wanted = query.text("resourceVersionMatch");
        // A watch of the present that says nothing else begins with what there is.
        let of_the_present = matches!(options.resource_version.as_str(), "" | "0");
        if watch && of_the_present && options.send_initial_events.is_none() && wanted.is_empty() {
            options.send_initial_events = Some(true);
            wanted = "NotOlderThan";
        }
        options.revision_match = match wanted {
            "Exact" => RevisionMatch::Exact,
            "NotOlderThan" => RevisionMatch::NotOlderThan,
            _ => RevisionMatch::Unset,
        };
        let errors = if watch { options.watch_errors(wanted) } else { options.list_errors(wanted) };
        refuse("ListOptions", errors)?;
        Ok(options)
    }

    fn watch_errors(&self, wanted: &str) -> Vec<FieldError> {
        let field = "resourceVersionMatch";
        let mut errors = Vec::new();
        if self.send_initial_events.is_some() && wanted != "NotOlderThan" {
            let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            errors.push(forbidden(field, why));
        }
        if wanted.is_empty() {
            return errors;
        }
        if self.send_initial_events.is_none() {
            let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.push(forbidden(field, why));
        }
        if wanted != "NotOlderThan" {
            errors.push(unsupported(field, &go::quote(wanted), &["NotOlderThan"]));
        }
        if !self.continue_token.is_empty() {
            errors.push(forbidden(field, "resourceVersionMatch is forbidden when continue is provided"));
        }
        errors
    }

    fn list_errors(&self, wanted: &str) -> Vec<FieldError> {
        let field = "resourceVersionMatch";
        let mut errors = Vec::new();
        if !wanted.is_empty() {
            if self.resource_version.is_empty() {
                errors.push(forbidden(
                    field,
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                ));
            }
            if !self.continue_token.is_empty() {
                errors.push(forbidden(field, "resourceVersionMatch is forbidden when continue is provided"));
            }
            if wanted != "Exact" && wanted != "NotOlderThan" {
                errors.push(unsupported(field, &go::quote(wanted), &["Exact", "NotOlderThan", ""]));
            }
            if wanted == "Exact" && self.resource_version == "0" {
                errors.push(forbidden(
                    field,
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                ));
            }
        }
        if self.send_initial_events.is_some() {
            errors.push(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
        }
        errors
    }

    /// The revision as a number; the error is upstream's text about it.
    pub fn revision(&self) -> Result<Option<u64>, String> {
        parse_revision(&self.resource_version)
    }
}

/// A revision out of a query: `None` when it is empty.
pub(crate) fn parse_revision(text: &str) -> Result<Option<u64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    parse_uint(text)
        .map(Some)
        .map_err(|why| format!("resourceVersion: Invalid value: {}: {why}", go::quote(text)))
}

/// How dependents of a deleted object are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    Orphan,
    Background,
    Foreground,
}

/// DeleteOptions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    pub grace_period_seconds: Option<i64>,
    pub uid: Option<String>,
    pub resource_version: Option<String>,
    pub orphan_dependents: Option<bool>,
    pub propagation: Option<Propagation>,
    pub dry_run: bool,
}

/// The scheme that upstream names when a delete's body is of another kind.
const DELETE_SCHEME: &str = "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27";

impl DeleteOptions {
    /// From the body when there is one, else from the query.
    pub fn parse(query: &Query, body: Option<&Value>) -> Result<Self, Status> {
        let mut errors = Vec::new();
        let (mut options, policy, dry_run) = match body {
            Some(body) => Self::from_body(body)?,
            None => Self::from_query(query)?,
        };
        let dry_run_texts: Vec<&str> = dry_run.iter().map(String::as_str).collect();
        check_dry_run(&dry_run_texts, &mut errors);
        options.dry_run = !dry_run.is_empty();
        if let Some(policy) = policy {
            if options.orphan_dependents.is_some() {
                let message = format!(
                    "Invalid value: {}: orphanDependents and deletionPropagation cannot be both set",
                    go::quote(&policy)
                );
                errors.push(field_error(FieldErrorReason::Invalid, "propagationPolicy", message));
            }
            options.propagation = match policy.as_str() {
                "Orphan" => Some(Propagation::Orphan),
                "Background" => Some(Propagation::Background),
                "Foreground" => Some(Propagation::Foreground),
                other => {
                    errors.push(unsupported(
                        "propagationPolicy",
                        &go::quote(other),
                        &["Foreground", "Background", "Orphan", "nil"],
                    ));
                    None
                }
            };
        }
        refuse("DeleteOptions", errors)?;
        Ok(options)
    }

    fn from_query(query: &Query) -> Result<(Self, Option<String>, Vec<String>), Status> {
        let options = Self {
            grace_period_seconds: query.integer("gracePeriodSeconds").map_err(bad_request)?,
            orphan_dependents: query.get("orphanDependents").map(|_| query.flag("orphanDependents")),
            uid: query.get("uid").map(str::to_owned),
            resource_version: query.get("resourceVersion").map(str::to_owned),
            ..Self::default()
        };
        let policy = query.get("propagationPolicy").map(str::to_owned);
        Ok((options, policy, query.all("dryRun").map(str::to_owned).collect()))
    }

    fn from_body(body: &Value) -> Result<(Self, Option<String>, Vec<String>), Status> {
        let kind = body.str_at(&["kind"]).unwrap_or("DeleteOptions");
        if kind != "DeleteOptions" && !kind.is_empty() {
            let version = body.str_at(&["apiVersion"]).unwrap_or_default();
            return Err(bad_request(format!(
                "no kind {kind:?} is registered for version {version:?} in scheme {DELETE_SCHEME:?}"
            )));
        }
        let of = |field: &str, go_type: &str, found: &Value| {
            bad_request(format!(
                "json: cannot unmarshal {} into Go struct field DeleteOptions.{field} of type {go_type}",
                found.type_name()
            ))
        };
        let present = |path: &[&str]| body.at(path).filter(|v| !v.is_null());
        let text = |path: &[&str], name: &str, go_type: &str| match present(path) {
            None => Ok(None),
            Some(v) => v.as_str().map(|s| Some(s.to_owned())).ok_or_else(|| of(name, go_type, v)),
        };
        let grace = match present(&["gracePeriodSeconds"]) {
            None => None,
            Some(v) => Some(v.as_i64().ok_or_else(|| of("gracePeriodSeconds", "int64", v))?),
        };
        let orphan = match present(&["orphanDependents"]) {
            None => None,
            Some(v) => Some(v.as_bool().ok_or_else(|| of("orphanDependents", "bool", v))?),
        };
        let options = Self {
            grace_period_seconds: grace,
            uid: text(&["preconditions", "uid"], "preconditions.uid", "types.UID")?,
            resource_version: text(
                &["preconditions", "resourceVersion"],
                "preconditions.resourceVersion",
                "string",
            )?,
            orphan_dependents: orphan,
            ..Self::default()
        };
        let dry_run = body.array_at(&["dryRun"]).iter().map(|v| v.as_str().unwrap_or_default().to_owned());
        let policy = text(&["propagationPolicy"], "propagationPolicy", "v1.DeletionPropagation")?;
        Ok((options, policy, dry_run.collect()))
    }

    /// The options as admission sees them.
    pub fn as_value(&self) -> Value {
        let mut value = Value::object();
        value.set_at(&["kind"], "DeleteOptions");
        value.set_at(&["apiVersion"], "meta.k8s.io/v1");
        if let Some(grace) = self.grace_period_seconds {
            value.set_at(&["gracePeriodSeconds"], grace);
        }
        if let Some(uid) = &self.uid {
            value.set_at(&["preconditions", "uid"], uid.as_str());
        }
        if let Some(version) = &self.resource_version {
            value.set_at(&["preconditions", "resourceVersion"], version.as_str());
        }
        if let Some(orphan) = self.orphan_dependents {
            value.set_at(&["orphanDependents"], orphan);
        }
        if let Some(policy) = self.propagation {
            value.set_at(&["propagationPolicy"], format!("{policy:?}"));
        }
        if self.dry_run {
            value.set_at(&["dryRun"], vec![Value::from("All")]);
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(result: Result<impl std::fmt::Debug, Status>, expected: &str) {
        assert_eq!(result.unwrap_err().message, expected);
    }

    #[test]
    fn write_options() {
        refused(
            WriteOptions::create(&Query::parse("dryRun=Bogus")),
            r#"CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Bogus"]: supported values: "All""#,
        );
        refused(
            WriteOptions::create(&Query::parse("fieldManager=%01")),
            r#"CreateOptions.meta.k8s.io "" is invalid: fieldManager: Invalid value: "\x01": invalid character U+0001 (at position 0)"#,
        );
        refused(
            WriteOptions::update(&Query::parse("fieldValidation=strict")),
            r#"UpdateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "strict": supported values: "", "Ignore", "Strict", "Warn""#,
        );
        refused(
            WriteOptions::patch(&Query::parse(""), PatchType::ApplyYaml),
            r#"PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch"#,
        );
        refused(
            WriteOptions::patch(&Query::parse("force=true"), PatchType::Merge),
            r#"PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch"#,
        );
        let ok = WriteOptions::create(&Query::parse("dryRun=All&fieldManager=m")).unwrap();
        assert!(ok.dry_run && ok.field_manager == "m" && ok.field_validation == FieldValidation::Warn);
    }

    #[test]
    fn list_options() {
        refused(
            ListOptions::parse(&Query::parse("resourceVersionMatch=Bogus"), false),
            r#"ListOptions.meta.k8s.io "" is invalid: [resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided, resourceVersionMatch: Unsupported value: "Bogus": supported values: "Exact", "NotOlderThan", ""]"#,
        );
        refused(
            ListOptions::parse(&Query::parse("resourceVersionMatch=Exact&resourceVersion=1"), true),
            r#"ListOptions.meta.k8s.io "" is invalid: [resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided, resourceVersionMatch: Unsupported value: "Exact": supported values: "NotOlderThan"]"#,
        );
        refused(
            ListOptions::parse(&Query::parse("limit="), false),
            r#"strconv.ParseInt: parsing "": invalid syntax"#,
        );
        assert_eq!(ListOptions::parse(&Query::parse("limit=-1"), false).unwrap().limit, 0);
        let bad = ListOptions::parse(&Query::parse("resourceVersion=abc"), false).unwrap();
        assert_eq!(
            bad.revision().unwrap_err(),
            r#"resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax"#
        );
    }

    #[test]
    fn delete_options() {
        let body = |text: &str| Value::from_json(text.as_bytes()).unwrap();
        refused(
            DeleteOptions::parse(&Query::default(), Some(&body(r#"{"propagationPolicy":"Zap"}"#))),
            r#"DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "Zap": supported values: "Foreground", "Background", "Orphan", "nil""#,
        );
        refused(
            DeleteOptions::parse(&Query::default(), Some(&body(r#"{"gracePeriodSeconds":"x"}"#))),
            "json: cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds of type int64",
        );
        refused(
            DeleteOptions::parse(&Query::default(), Some(&body(r#"{"kind":"Pod","apiVersion":"v1"}"#))),
            r#"no kind "Pod" is registered for version "v1" in scheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27""#,
        );
        // The body wins over the query.
        let both = DeleteOptions::parse(
            &Query::parse("gracePeriodSeconds=10"),
            Some(&body(r#"{"gracePeriodSeconds":20}"#)),
        );
        assert_eq!(both.unwrap().grace_period_seconds, Some(20));
    }
}
