//! LimitRange: bounds and defaults of what is asked for, which do not contradict each other.

use apimachinery::quantity::Format;
use apimachinery::{FieldError, Path, Quantity, Value, names};

use super::pod::resources::{container_resource_name, may_overcommit, resource_name};
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, members, problems, quantity};
use crate::values::text;

/// Above this, amounts are compared whole, as thousandths would not fit.
const MILLI_MAX: i64 = i64::MAX / 1000;

#[derive(Debug)]
pub struct LimitRange;

impl Strategy for LimitRange {
    fn resource(&self) -> (&'static str, &'static str) {
        ("", "limitranges")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let mut seen: Vec<&str> = Vec::new();
        for (at, limit) in object.array_at(&["spec", "limits"]).iter().enumerate() {
            let path = Path::new("spec").child("limits").index(at);
            let kind = text(limit, &["type"]);
            type_name(&mut errors, kind, &path.child("type"));
            if seen.contains(&kind) {
                errors.push(FieldError::duplicate(&path.child("type"), kind));
            }
            seen.push(kind);
            item(&mut errors, limit, &path, kind);
        }
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        self.validate_create(ctx, object)
    }
}

fn type_name(errors: &mut Errors, kind: &str, path: &Path) {
    let found = names::qualified_name(kind);
    if !found.is_empty() {
        problems(errors, path, kind, found);
    } else if !kind.contains('/') && !matches!(kind, "Pod" | "Container" | "PersistentVolumeClaim") {
        let why = "must be a standard limit type or fully qualified";
        errors.push(FieldError::invalid(path, kind, why));
    }
}

fn item(errors: &mut Errors, limit: &Value, path: &Path, kind: &str) {
    let mut named: Vec<&str> = Vec::new();
    for field in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        let list = members(limit.get(field));
        let of_pod = kind == "Pod" && field.starts_with("default");
        if of_pod && !list.is_empty() {
            let why = "may not be specified when `type` is 'Pod'";
            errors.push(FieldError::forbidden(&path.child(field), why));
        }
        if field == "maxLimitRequestRatio"
            && kind == "PersistentVolumeClaim"
            && ["min", "max"].iter().all(|bound| limit.at(&[bound, "storage"]).is_none())
        {
            let why = "either minimum or maximum storage value is required, but neither was provided";
            errors.push(FieldError::required(&path.child("limits"), why));
        }
        for (name, _) in list.into_iter().filter(|_| !of_pod) {
            let path = path.child(field).key(name);
            if matches!(kind, "Pod" | "Container") {
                container_resource_name(errors, name, &path);
            } else {
                resource_name(errors, name, &path);
            }
            named.push(name);
        }
    }
    named.sort_unstable();
    named.dedup();
    for name in named {
        one_resource(errors, limit, path, kind, name);
    }
}

fn one_resource(errors: &mut Errors, limit: &Value, path: &Path, kind: &str, name: &str) {
    let of = |field: &str| {
        let of_pod = kind == "Pod" && field.starts_with("default");
        quantity(limit.at(&[field, name])).filter(|_| !of_pod)
    };
    let (max, min) = (of("max"), of("min"));
    let (default, request) = (of("default"), of("defaultRequest"));
    let mut say = |field: &str, shown: Quantity, why: &str| {
        errors.push(FieldError::invalid(&path.child(field).key(name), shown.to_string(), why));
    };
    // Of each pair: what is no more than what, where it is told, and which of the two is shown there.
    let orders = [
        (("min", min), ("max", max), "min", true),
        (("min", min), ("default request", request), "defaultRequest", false),
        (("default request", request), ("max", max), "defaultRequest", true),
        (("default request", request), ("default limit", default), "defaultRequest", true),
        (("min", min), ("default", default), "default", true),
        (("default", default), ("max", max), "default", false),
    ];
    for ((low, less), (high, more), field, shows_low) in orders {
        if let (Some(less), Some(more)) = (less, more)
            && less > more
        {
            let why = format!("{low} value {less} is greater than {high} value {more}");
            say(field, if shows_low { less } else { more }, &why);
        }
    }
    if let Some(ratio) = of("maxLimitRequestRatio") {
        if ratio < Quantity::new(1, Format::DecimalSi) {
            say("maxLimitRequestRatio", ratio, &format!("ratio {ratio} is less than 1"));
        }
        if let (Some(min), Some(max)) = (min, max)
            && let Some(most) = possible_ratio(ratio, min, max)
        {
            let why = format!("ratio {ratio} is greater than max/min = {most:.6}");
            say("maxLimitRequestRatio", ratio, &why);
        }
    }
    if let (Some(default), Some(request)) = (default, request)
        && !may_overcommit(name)
        && default != request
    {
        let why = format!("default value {default} must equal to defaultRequest value {request} in {name}");
        say("defaultRequest", request, &why);
    }
}

/// How many times the least fits into the most, when `ratio` is more than that.
fn possible_ratio(ratio: Quantity, min: Quantity, max: Quantity) -> Option<f64> {
    let whole = |q: Quantity| Quantity::new(q.value(), Format::DecimalSi).as_f64();
    let fits = [ratio, min, max].iter().all(|q| q.value() < MILLI_MAX);
    let exact = |q: Quantity| if fits { q.as_f64() } else { whole(q) };
    let most = exact(max) / exact(min);
    (exact(ratio) > most).then_some(most)
}
