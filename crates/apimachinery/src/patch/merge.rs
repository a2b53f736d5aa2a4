//! JSON merge patch (RFC 7386), as evanphx/json-patch 4 applies it.

use super::{PatchError, decoding};
use crate::{ParseOptions, Parsed, Value};

/// Reads a merge patch, which must be an object. Duplicate keys are reported in the result.
pub fn parse(text: &[u8]) -> Result<Parsed, PatchError> {
    let parsed = Value::parse_json(text, &ParseOptions::default()).map_err(decoding)?;
    if parsed.value.is_null() {
        return Err(PatchError::BadRequest("Invalid JSON Patch".into()));
    }
    if !parsed.value.is_object() {
        let found = parsed.value.type_name();
        let message =
            format!("json: cannot unmarshal {found} into Go value of type map[string]interface {{}}");
        return Err(decoding(message));
    }
    Ok(parsed)
}

/// Applies a patch: nulls remove, objects merge, everything else replaces.
pub fn apply(target: &mut Value, patch: Value) {
    let Some(members) = target.as_object_mut() else {
        *target = patch;
        prune_nulls(target);
        return;
    };
    let patch = if patch.is_object() {
        patch.into_object().expect("just checked")
    } else {
        *target = patch;
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            members.remove(&key);
        } else if let Some(current) = members.get_mut(&key).filter(|current| !current.is_null()) {
            apply(current, value);
        } else {
            let mut value = value;
            prune_nulls(&mut value);
            members.insert_owned(key, value);
        }
    }
}

/// Removes null members, also of objects in arrays; null elements stay.
fn prune_nulls(value: &mut Value) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|_, member| {
            prune_nulls(member);
            !member.is_null()
        });
    } else if let Some(array) = value.as_array_mut() {
        array.iter_mut().for_each(prune_nulls);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(target: &str, patch: &str, expected: &str) {
        let mut value = Value::from_json(target.as_bytes()).unwrap();
        apply(&mut value, Value::from_json(patch.as_bytes()).unwrap());
        assert_eq!(value, Value::from_json(expected.as_bytes()).unwrap(), "{target} {patch}");
    }

    /// The appendix of RFC 7386, without its patches that are no objects.
    #[test]
    fn examples_of_the_rfc() {
        for (target, patch, expected) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            (r#"{}"#, r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
            (r#"{"a":"x"}"#, r#"{"a":{"b":null}}"#, r#"{"a":{}}"#),
            (r#"{"a":["x"]}"#, r#"{"a":[null]}"#, r#"{"a":[null]}"#),
        ] {
            check(target, patch, expected);
        }
    }

    #[test]
    fn bodies_that_are_no_patch() {
        for (text, expected) in [
            ("", "error decoding patch: unexpected end of JSON input"),
            ("null", "Invalid JSON Patch"),
            (
                "[]",
                "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
            ),
            (
                "1",
                "error decoding patch: json: cannot unmarshal number into Go value of type map[string]interface {}",
            ),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err(), PatchError::BadRequest(expected.into()));
        }
    }
}
