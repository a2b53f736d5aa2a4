//! Helpers for the tests of strategies: an object in YAML, and the list of its problems.

use std::fmt::Write as _;
use std::sync::Arc;

use apimachinery::value::ParseOptions;
use apimachinery::{FieldError, Value};
use expect_test::Expect;

use crate::seams::{Features, Strategy, StrategyContext, UserInfo};

pub(crate) fn yaml(text: &str) -> Value {
    Value::parse_yaml(text.as_bytes(), &ParseOptions::default())
        .expect("the test's YAML is well-formed")
        .value
}

/// Runs `with` in the context of a request by `jane` (uid 7, group devs) at the start of 2024.
pub(crate) fn in_context<T>(subresource: &str, with: impl FnOnce(&StrategyContext<'_>) -> T) -> T {
    let user = Arc::new(UserInfo {
        name: "jane".into(),
        uid: "7".into(),
        groups: vec!["devs".into()],
        ..UserInfo::default()
    });
    with(&StrategyContext {
        now: "2024-01-01T00:00:00Z".parse().expect("a time"),
        namespace: "default",
        subresource,
        user: &user,
        dry_run: false,
        features: &Features::default(),
    })
}

#[track_caller]
fn check(errors: &[FieldError], expected: &Expect) {
    let mut text = String::new();
    for error in errors {
        let _ = writeln!(text, "{error}");
    }
    expected.assert_eq(&text);
}

/// The problems of a new object, one a line.
#[track_caller]
pub(crate) fn check_invalid(strategy: &dyn Strategy, object: &str, expected: Expect) {
    let object = yaml(object);
    check(&in_context("", |ctx| strategy.validate_create(ctx, &object)), &expected);
}

/// The problems of a change.
#[track_caller]
pub(crate) fn check_invalid_update(strategy: &dyn Strategy, old: &str, new: &str, expected: Expect) {
    let (old, new) = (yaml(old), yaml(new));
    check(&in_context("", |ctx| strategy.validate_update(ctx, &new, &old)), &expected);
}

/// The problems of a change by way of a subresource.
#[track_caller]
pub(crate) fn check_invalid_sub(
    strategy: &dyn Strategy,
    subresource: &str,
    old: &str,
    new: &str,
    expected: Expect,
) {
    let (old, new) = (yaml(old), yaml(new));
    check(&in_context(subresource, |ctx| strategy.validate_update(ctx, &new, &old)), &expected);
}

/// What a new object becomes before it is checked.
#[track_caller]
pub(crate) fn check_prepared(strategy: &dyn Strategy, object: &str, expected: Expect) {
    let mut object = yaml(object);
    in_context("", |ctx| strategy.prepare_create(ctx, &mut object));
    expected.assert_eq(&object.to_yaml());
}
