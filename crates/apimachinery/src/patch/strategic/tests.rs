//! Strategic merge over a small type of each kind of field; the texts are upstream's.

use super::*;
use crate::testing::{field, list, map, merge_list, scalar, structure};

fn sample() -> TypeRef {
    let item = structure(vec![
        field("name", scalar()),
        field("value", scalar()),
        field("args", list(scalar())),
        field("nested", map(scalar())),
    ]);
    let retain = structure(vec![field("type", scalar()), field("rolling", map(scalar()))]);
    let mut strategy = field("strategy", retain);
    strategy.patch_strategy = "retainKeys".into();
    structure(vec![
        merge_list("items", item, "name"),
        merge_list("finalizers", scalar(), ""),
        field("atomic", list(map(scalar()))),
        field("data", map(scalar())),
        strategy,
    ])
}

fn patched(original: &str, patch: &str) -> Result<String, PatchError> {
    let mut value = Value::from_json(original.as_bytes()).unwrap();
    apply(&mut value, Value::from_json(patch.as_bytes()).unwrap(), &sample())?;
    Ok(value.to_json_string())
}

#[track_caller]
fn check(original: &str, patch: &str, expected: &str) {
    assert_eq!(patched(original, patch).as_deref(), Ok(expected), "{original} {patch}");
}

#[track_caller]
fn check_error(original: &str, patch: &str, expected: PatchError) {
    assert_eq!(patched(original, patch).unwrap_err(), expected, "{original} {patch}");
}

#[test]
fn maps_and_atomic_lists() {
    for (original, patch, expected) in [
        (r#"{"data":{"a":"1","b":"2"}}"#, r#"{"data":{"a":null,"c":"3"}}"#, r#"{"data":{"b":"2","c":"3"}}"#),
        (r#"{"data":{"a":"1"}}"#, r#"{"data":{"$patch":"replace","c":"3"}}"#, r#"{"data":{"c":"3"}}"#),
        (r#"{"data":{"a":"1"}}"#, r#"{"data":{"$patch":"delete"}}"#, r#"{"data":{}}"#),
        (r#"{"data":{"a":"1"}}"#, r#"{"data":null}"#, r#"{}"#),
        (r#"{"data":{"a":"1"}}"#, "null", r#"{"data":{"a":"1"}}"#),
        (r#"{}"#, r#"{"data":{"a":null,"b":"1"}}"#, r#"{"data":{"b":"1"}}"#),
        (r#"{"atomic":[{"a":"1"}]}"#, r#"{"atomic":[{"b":"2"}]}"#, r#"{"atomic":[{"b":"2"}]}"#),
        (
            r#"{"strategy":{"type":"R","rolling":{"a":"1"}}}"#,
            r#"{"strategy":{"$retainKeys":["type"],"type":"X"}}"#,
            r#"{"strategy":{"type":"X"}}"#,
        ),
    ] {
        check(original, patch, expected);
    }
    let plain = |text: &str| PatchError::Plain(text.into());
    check_error(
        r#"{"data":{}}"#,
        r#"{"data":{"$patch":"merge","c":"3"}}"#,
        plain("unknown patch type: merge in map: map[$patch:merge c:3]"),
    );
    check_error(
        r#"{"strategy":{}}"#,
        r#"{"strategy":{"$retainKeys":[],"type":"X"}}"#,
        PatchError::BadRequest("invalid patch format of retainKeys".into()),
    );
}

const ITEMS: &str = r#"{"items":[{"name":"a","value":"1"},{"name":"b","value":"2"}]}"#;

#[test]
fn lists_merge_by_key() {
    for (patch, expected) in [
        (
            r#"{"items":[{"name":"b","value":"9"}]}"#,
            r#"{"items":[{"name":"a","value":"1"},{"name":"b","value":"9"}]}"#,
        ),
        (
            r#"{"items":[{"name":"n"}]}"#,
            r#"{"items":[{"name":"n"},{"name":"a","value":"1"},{"name":"b","value":"2"}]}"#,
        ),
        (
            r#"{"items":[{"name":"b"},{"name":"n"}]}"#,
            r#"{"items":[{"name":"a","value":"1"},{"name":"b","value":"2"},{"name":"n"}]}"#,
        ),
        (r#"{"items":[{"$patch":"delete","name":"a"}]}"#, r#"{"items":[{"name":"b","value":"2"}]}"#),
        (r#"{"items":[{"$patch":"replace"},{"name":"n"}]}"#, r#"{"items":[{"name":"n"}]}"#),
        (r#"{"items":[]}"#, ITEMS),
        (r#"{"items":null}"#, "{}"),
        (r#"{"items":[{"name":"a","$patch":"replace"}]}"#, r#"{"items":[]}"#),
        (
            r#"{"$setElementOrder/items":[{"name":"b"},{"name":"a"}]}"#,
            r#"{"items":[{"name":"b","value":"2"},{"name":"a","value":"1"}]}"#,
        ),
        (
            r#"{"$setElementOrder/items":[{"name":"b"},{"name":"n"},{"name":"a"}],"items":[{"name":"n"}]}"#,
            r#"{"items":[{"name":"b","value":"2"},{"name":"n"},{"name":"a","value":"1"}]}"#,
        ),
    ] {
        check(ITEMS, patch, expected);
    }
    check(
        "{}",
        r#"{"items":[{"$patch":"delete","name":"a"},{"name":"b","value":null}]}"#,
        r#"{"items":[{"name":"b"}]}"#,
    );
}

#[test]
fn lists_of_scalars() {
    let original = r#"{"finalizers":["a","b","c"]}"#;
    for (patch, expected) in [
        (r#"{"finalizers":["d","a"]}"#, r#"{"finalizers":["d","a","b","c"]}"#),
        (r#"{"$deleteFromPrimitiveList/finalizers":["a","z"]}"#, r#"{"finalizers":["b","c"]}"#),
        (r#"{"$setElementOrder/finalizers":["c","a"]}"#, r#"{"finalizers":["b","c","a"]}"#),
    ] {
        check(original, patch, expected);
    }
    check("{}", r#"{"$deleteFromPrimitiveList/finalizers":["a"]}"#, "{}");
}

#[test]
fn refusals_are_upstreams() {
    for (patch, expected) in [
        (
            r#"{"items":[{"$patch":"merge","name":"a"}]}"#,
            "merging lists cannot yet be specified in the patch",
        ),
        (
            r#"{"items":[{"$patch":"bogus","name":"a"}]}"#,
            "unknown patch type: bogus in map: map[$patch:bogus name:a]",
        ),
        (r#"{"items":[{"value":"x"}]}"#, "map: map[value:x] does not contain declared merge key: name"),
        (
            r#"{"items":["a"]}"#,
            "list element types are not identical: [[map[name:a value:1] map[name:b value:2]] [a]]",
        ),
        (
            r#"{"$setElementOrder/items":[{"name":"a"}],"items":[{"name":"n"}]}"#,
            "The order in patch list:\n[map[name:n]]\n doesn't match $setElementOrder list:\n[map[name:a]]\n",
        ),
        (r#"{"$setElementOrder/items":["a"]}"#, "value for key 0 is not a map"),
    ] {
        check_error(ITEMS, patch, PatchError::Plain(expected.into()));
    }
    check_error(
        r#"{"atomic":[{"a":"1"}]}"#,
        r#"{"$setElementOrder/atomic":[{"a":"1"}]}"#,
        PatchError::BadRequest("invalid patch format of setElementOrder list".into()),
    );
}

#[test]
fn a_large_patch_is_not_quadratic() {
    let element = |i: usize| Value::from_iter([("name", format!("n{i}"))]);
    let list: Vec<Value> = (0..50_000).map(element).collect();
    let mut original: Value = [("items", list.clone())].into_iter().collect();
    let reversed: Vec<Value> = list.into_iter().rev().collect();
    apply(&mut original, [("items", reversed)].into_iter().collect(), &sample()).unwrap();
    assert_eq!(original.array_at(&["items"])[0].str_at(&["name"]), Some("n49999"));
}
