//! LimitRange.

use apimachinery::{FieldError, Path, Value};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, members, quantity};
use crate::values::text;

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

fn item(errors: &mut Errors, limit: &Value, path: &Path, kind: &str) {
    let mut names: Vec<&str> = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"]
        .iter()
        .flat_map(|field| members(limit.get(field)))
        .map(|(name, _)| name)
        .collect();
    names.sort_unstable();
    names.dedup();
    if kind == "Pod" {
        for field in ["default", "defaultRequest"] {
            if !members(limit.get(field)).is_empty() {
                let why = "may not be specified when `type` is 'Pod'";
                errors.push(FieldError::forbidden(&path.child(field), why));
            }
        }
    }
    for name in names {
        let of = |field: &str| quantity(limit.at(&[field, name]));
        let (max, min) = (of("max"), of("min"));
        let (default, request) = (of("default"), of("defaultRequest"));
        let mut order = |low: (&str, Option<apimachinery::Quantity>),
                         high: (&str, Option<apimachinery::Quantity>),
                         at: &str| {
            if let (Some(less), Some(more)) = (low.1, high.1)
                && less > more
            {
                // Upstream shows the amount at whose place the problem is told, but for a default below the minimum.
                let shown = match (low.0, at) {
                    ("min", "defaultRequest") => more,
                    ("min", _) | ("default request", _) | ("default", _) => less,
                    _ => more,
                };
                let why = format!("{} value {less} is greater than {} value {more}", low.0, high.0);
                errors.push(FieldError::invalid(&path.child(at).key(name), shown.to_string(), &why));
            }
        };
        order(("min", min), ("max", max), "min");
        order(("min", min), ("default request", request), "defaultRequest");
        order(("default request", request), ("max", max), "defaultRequest");
        order(("default request", request), ("default", default), "defaultRequest");
        order(("min", min), ("default", default), "default");
        order(("default", default), ("max", max), "default");
        if let Some(ratio) = of("maxLimitRequestRatio")
            && ratio < apimachinery::Quantity::new(1, apimachinery::quantity::Format::DecimalSi)
        {
            let why = format!("ratio {ratio} is less than 1");
            errors.push(FieldError::invalid(
                &path.child("maxLimitRequestRatio").key(name),
                ratio.to_string(),
                &why,
            ));
        }
    }
}
