//! PriorityLevelConfiguration: how many requests run at once, and what happens to the rest. Two levels are fixed.

use apimachinery::{FieldError, Path, Value, meta};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::Errors;
use crate::strategy::internal_form;
use crate::values::text;

#[derive(Debug)]
pub struct PriorityLevelConfiguration;

const QUEUES_MAX: i64 = 10_000_000;
/// More would not fit into the hash that deals queues out.
const ENTROPY_BITS_MAX: u32 = 60;
const SPEC_TYPE: &str = "io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationSpec";

impl Strategy for PriorityLevelConfiguration {
    fn resource(&self) -> (&'static str, &'static str) {
        ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let (name, path) = (meta::name(object), Path::new("spec"));
        let spec = object.get("spec").unwrap_or(&Value::NULL);
        let kind = text(spec, &["type"]);
        let (limited, exempt) = (spec.get("limited"), spec.get("exempt"));
        if (name == "exempt") != (kind == "Exempt") {
            let why = "must be 'Exempt' if and only if `name` is 'exempt'";
            errors.push(FieldError::invalid(&path.child("type"), kind, why));
        }
        match kind {
            "Exempt" => {
                if limited.is_some() {
                    let why = "must be nil if the type is not Limited";
                    errors.push(FieldError::forbidden(&path.child("limited"), why));
                }
                if let Some(exempt) = exempt {
                    shares(&mut errors, exempt, &path.child("exempt"));
                }
            }
            "Limited" => {
                if exempt.is_some() {
                    let why = "must be nil if the type is Limited";
                    errors.push(FieldError::forbidden(&path.child("exempt"), why));
                }
                match limited {
                    None => {
                        let why = "must not be empty when type is Limited";
                        errors.push(FieldError::required(&path.child("limited"), why));
                    }
                    Some(limited) => validate_limited(&mut errors, limited, &path.child("limited")),
                }
            }
            _ => errors.push(FieldError::not_supported(&path.child("type"), kind, &["Exempt", "Limited"])),
        }
        if let Some(why) = fixed(name, spec) {
            errors.push(FieldError::invalid(&path, internal_form::of_type(SPEC_TYPE, Some(spec)), &why));
        }
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        if ctx.subresource == "status" { Vec::new() } else { self.validate_create(ctx, object) }
    }
}

/// Why one of the two fixed levels is not as it must be.
fn fixed(name: &str, spec: &Value) -> Option<String> {
    let number = |key: &str| spec.i64_at(&["limited", key]);
    match name {
        "exempt" if text(spec, &["type"]) != "Exempt" || spec.get("limited").is_some() => {
            Some("spec of 'exempt' except the 'spec.exempt' field must equal the fixed value".into())
        }
        "catch-all"
            if text(spec, &["type"]) != "Limited"
                || number("nominalConcurrencyShares") != Some(5)
                || number("lendablePercent").unwrap_or(0) != 0
                || number("borrowingLimitPercent").is_some()
                || text(spec, &["limited", "limitResponse", "type"]) != "Reject" =>
        {
            Some("spec of 'catch-all' must equal the fixed value".into())
        }
        _ => None,
    }
}

fn shares(errors: &mut Errors, value: &Value, path: &Path) {
    if let Some(found) = value.i64_at(&["nominalConcurrencyShares"])
        && found < 0
    {
        let why = "must be a non-negative integer";
        errors.push(FieldError::invalid(&path.child("nominalConcurrencyShares"), found, why));
    }
    if let Some(found) = value.i64_at(&["lendablePercent"])
        && !(0..=100).contains(&found)
    {
        let why = "must be between 0 and 100, inclusive";
        errors.push(FieldError::invalid(&path.child("lendablePercent"), found, why));
    }
}

fn validate_limited(errors: &mut Errors, limited: &Value, path: &Path) {
    let response = limited.get("limitResponse").unwrap_or(&Value::NULL);
    let mut own = Errors::new();
    shares(&mut own, limited, path);
    // Upstream looks at the response between the two numbers.
    let (before, after): (Errors, Errors) = own.into_iter().partition(|e| e.field.ends_with("Shares"));
    errors.extend(before);
    validate_response(errors, response, &path.child("limitResponse"));
    errors.extend(after);
    if let Some(found) = limited.i64_at(&["borrowingLimitPercent"])
        && found < 0
    {
        let why = "if specified, must be a non-negative integer";
        errors.push(FieldError::invalid(&path.child("borrowingLimitPercent"), found, why));
    }
}

fn validate_response(errors: &mut Errors, response: &Value, path: &Path) {
    let queuing = response.get("queuing");
    let at = path.child("queuing");
    match text(response, &["type"]) {
        "Reject" => {
            if queuing.is_some() {
                let why = "must be nil if limited.limitResponse.type is not Limited";
                errors.push(FieldError::forbidden(&at, why));
            }
        }
        "Queue" => match queuing {
            None => {
                let why = "must not be empty if limited.limitResponse.type is Limited";
                errors.push(FieldError::required(&at, why));
            }
            Some(queuing) => validate_queuing(errors, queuing, &at),
        },
        other => errors.push(FieldError::not_supported(&path.child("type"), other, &["Queue", "Reject"])),
    }
}

fn validate_queuing(errors: &mut Errors, queuing: &Value, path: &Path) {
    let number = |key: &str| queuing.i64_at(&[key]).unwrap_or(0);
    let (length, queues, hand) = (number("queueLengthLimit"), number("queues"), number("handSize"));
    if length <= 0 {
        errors.push(FieldError::invalid(&path.child("queueLengthLimit"), length, "must be positive"));
    }
    if queues <= 0 {
        errors.push(FieldError::invalid(&path.child("queues"), queues, "must be positive"));
    } else if queues > QUEUES_MAX {
        let why = format!("must not be greater than {QUEUES_MAX}");
        errors.push(FieldError::invalid(&path.child("queues"), queues, &why));
    }
    let at = path.child("handSize");
    if hand <= 0 {
        errors.push(FieldError::invalid(&at, hand, "must be positive"));
    } else if hand > queues {
        let why = format!("should not be greater than queues ({queues})");
        errors.push(FieldError::invalid(&at, hand, &why));
    } else if entropy_bits(queues, hand) > ENTROPY_BITS_MAX {
        let why = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {ENTROPY_BITS_MAX}"
        );
        errors.push(FieldError::invalid(&at, hand, &why));
    }
}

/// Bits needed to deal a hand from a deck: the logarithm of the falling factorial, rounded up.
fn entropy_bits(deck: i64, hand: i64) -> u32 {
    let mut product: u128 = 1;
    for card in (deck - hand + 1..=deck).filter_map(|n| u128::try_from(n).ok()) {
        product = product.saturating_mul(card);
    }
    u128::BITS - product.saturating_sub(1).leading_zeros()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::check_invalid;

    #[test]
    fn levels() {
        check_invalid(
            &PriorityLevelConfiguration,
            "{metadata: {name: exempt}, spec: {type: Limited, exempt: {nominalConcurrencyShares: 0, lendablePercent: 0}}}",
            expect![[r#"
                spec.type: Invalid value: "Limited": must be 'Exempt' if and only if `name` is 'exempt'
                spec.exempt: Forbidden: must be nil if the type is Limited
                spec.limited: Required value: must not be empty when type is Limited
                spec: Invalid value: {"Type":"Limited","Limited":null,"Exempt":{"NominalConcurrencyShares":0,"LendablePercent":0}}: spec of 'exempt' except the 'spec.exempt' field must equal the fixed value
            "#]],
        );
        check_invalid(
            &PriorityLevelConfiguration,
            "{metadata: {name: a}, spec: {type: Limited, limited: {lendablePercent: 101, limitResponse: {type: Queue, \
             queuing: {queues: 4, handSize: 5, queueLengthLimit: 1}}}}}",
            expect![[r#"
                spec.limited.limitResponse.queuing.handSize: Invalid value: 5: should not be greater than queues (4)
                spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive
            "#]],
        );
    }
}
