//! JSON patch (RFC 6902), as evanphx/json-patch 4 applies it for upstream: negative indexes count from the end, a missing
//! `value` is null, and a failed operation is a 422 whose text the client does not see.

use super::{PatchError, decoding};
use crate::{ParseOptions, Value, go};

/// More operations are a 413.
pub const OPERATIONS_MAX: usize = 10_000;
/// What all `copy` operations of one patch may add.
const COPIED_BYTES_MAX: usize = 3 * 1024 * 1024;

/// A JSON patch that was read.
#[derive(Clone, Debug, Default)]
pub struct JsonPatch {
    operations: Vec<Value>,
    /// What field validation objects to: `json patch unknown field "[0].foo"`.
    pub problems: Vec<String>,
}

impl JsonPatch {
    /// Reads a patch; null is an empty one.
    pub fn parse(text: &[u8]) -> Result<Self, PatchError> {
        let parsed = Value::parse_json(text, &ParseOptions::default()).map_err(decoding)?;
        let mut problems = Vec::new();
        for path in parsed.duplicates {
            // Only the operations themselves are decoded strictly, not their values.
            if path.matches('.').count() == 1 && !path.ends_with(']') {
                problems.push(format!("json patch duplicate field {}", go::quote(&path)));
            }
        }
        let mismatch = |value: &Value, into: &str| {
            decoding(format!("json: cannot unmarshal {} into Go {into}", value.type_name()))
        };
        let operations = match parsed.value {
            value if value.is_null() => Vec::new(),
            value if value.is_array() => value.into_array().expect("just checked"),
            value => return Err(mismatch(&value, "value of type []handlers.jsonPatchOp")),
        };
        if operations.len() > OPERATIONS_MAX {
            return Err(PatchError::TooLarge(format!(
                "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
                operations.len()
            )));
        }
        for (i, operation) in operations.iter().enumerate() {
            if operation.is_null() {
                continue;
            }
            let Some(members) = operation.as_object() else {
                return Err(mismatch(operation, "value of type handlers.jsonPatchOp"));
            };
            for (key, value) in members {
                match key {
                    "op" | "path" | "from" if !value.is_string() && !value.is_null() => {
                        return Err(mismatch(
                            value,
                            &format!("struct field jsonPatchOp.{key} of type string"),
                        ));
                    }
                    "op" | "path" | "from" | "value" => {}
                    _ => problems
                        .push(format!("json patch unknown field {}", go::quote(&format!("[{i}].{key}")))),
                }
            }
        }
        Ok(Self { operations, problems })
    }

    /// The places that the operations name.
    pub fn pointers(&self) -> impl Iterator<Item = &str> {
        self.operations
            .iter()
            .flat_map(|operation| ["path", "from"].map(|key| operation.str_at(&[key])))
            .flatten()
    }

    /// Applies the operations in order; on an error the document is left half changed.
    pub fn apply(&self, document: &mut Value) -> Result<(), PatchError> {
        let mut copied = 0;
        for operation in &self.operations {
            apply_one(document, operation, &mut copied).map_err(PatchError::Unprocessable)?;
        }
        Ok(())
    }
}

type Outcome<T> = Result<T, String>;

fn apply_one(document: &mut Value, operation: &Value, copied: &mut usize) -> Outcome<()> {
    let kind = operation.str_at(&["op"]).unwrap_or("unknown");
    let path = |name| pointer(operation.str_at(&[name]), kind, name);
    let value = || operation.get("value").cloned().unwrap_or_default();
    match kind {
        "add" => add(document, &path("path")?, value()),
        "remove" => remove(document, &path("path")?).map(drop),
        "replace" => replace(document, &path("path")?, value()),
        "test" => test(document, &path("path")?, &value()),
        "move" => {
            let moved = remove(document, &path("from")?)?;
            add(document, &path("path")?, moved)
        }
        "copy" => {
            let from = path("from")?;
            // Upstream copies a member that is not there as null.
            let source = match get(document, &from)?.cloned() {
                Some(source) => source,
                None if in_object(document, &from) => Value::NULL,
                None => return Err(missing(kind, &from)),
            };
            *copied += source.to_json().len();
            if *copied > COPIED_BYTES_MAX {
                return Err(format!(
                    "unable to copy, the accumulated size increase of copy operations is {copied}, exceeding the limit {COPIED_BYTES_MAX}"
                ));
            }
            add(document, &path("path")?, source)
        }
        _ => Err(format!("unexpected kind: {kind}")),
    }
}

/// Whether the last part of a path would be a member of an object that is there.
fn in_object(document: &mut Value, path: &[String]) -> bool {
    path.split_last().is_some_and(|(_, parent)| matches!(get(document, parent), Ok(Some(v)) if v.is_object()))
}

fn missing(kind: &str, path: &[String]) -> String {
    format!(
        "{kind} operation does not apply: doc is missing path: {}",
        go::quote(&format!("/{}", path.join("/")))
    )
}

/// Splits a pointer into its unescaped parts; the empty pointer has none.
fn pointer(text: Option<&str>, kind: &str, name: &str) -> Outcome<Vec<String>> {
    let text = text.ok_or_else(|| format!("{kind} operation is missing its {name}"))?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let parts = text.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~"));
    if text.starts_with('/') || text.contains('/') {
        return Ok(parts.collect());
    }
    Err(format!("{kind} operation has no pointer in its {name}: {}", go::quote(text)))
}

/// An index into an array of `length` elements; negative ones count from the end.
fn index(part: &str, length: usize) -> Outcome<usize> {
    let number: i64 =
        part.parse().map_err(|_| format!("value was not a proper array index: {}", go::quote(part)))?;
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let at = if number < 0 { number + length } else { number };
    match usize::try_from(at) {
        Ok(at) if number < length => Ok(at),
        _ => Err(format!("unable to access invalid index: {number}")),
    }
}

/// The container of the last part; a scalar on the way is an error.
fn parent<'v>(document: &'v mut Value, path: &[String]) -> Outcome<&'v mut Value> {
    path.iter().try_fold(document, |here, part| {
        if let Some(length) = here.as_array().map(<[Value]>::len) {
            let at = index(part, length)?;
            return Ok(&mut here.as_array_mut().expect("just seen")[at]);
        }
        here.get_mut(part).ok_or_else(|| missing("the", path))
    })
}

fn get<'v>(document: &'v mut Value, path: &[String]) -> Outcome<Option<&'v Value>> {
    let Some((last, parents)) = path.split_last() else { return Ok(Some(document)) };
    let container = parent(document, parents)?;
    match container.as_array() {
        Some(array) => index(last, array.len()).map(|at| array.get(at)),
        None if container.is_object() => Ok(container.get(last)),
        None => Err(missing("get", path)),
    }
}

fn add(document: &mut Value, path: &[String], value: Value) -> Outcome<()> {
    let Some((last, parents)) = path.split_last() else { return Err(missing("add", path)) };
    let container = parent(document, parents)?;
    if let Some(array) = container.as_array_mut() {
        // One place more than there are elements: the end.
        let at = if last == "-" { array.len() } else { index(last, array.len() + 1)? };
        array.insert(at, value);
    } else if let Some(object) = container.as_object_mut() {
        object.insert(last, value);
    } else {
        return Err(missing("add", path));
    }
    Ok(())
}

fn remove(document: &mut Value, path: &[String]) -> Outcome<Value> {
    let Some((last, parents)) = path.split_last() else { return Err(missing("remove", path)) };
    let container = parent(document, parents)?;
    if let Some(array) = container.as_array_mut() {
        let at = index(last, array.len())?;
        return Ok(array.remove(at));
    }
    container
        .as_object_mut()
        .and_then(|object| object.remove(last))
        .ok_or_else(|| format!("unable to remove nonexistent key: {last}"))
}

fn replace(document: &mut Value, path: &[String], value: Value) -> Outcome<()> {
    if path.is_empty() {
        if !value.is_object() && !value.is_array() {
            return Err("replace operation value must be object or array".into());
        }
        *document = value;
        return Ok(());
    }
    let (last, parents) = path.split_last().expect("not empty");
    let container = parent(document, parents)?;
    if let Some(array) = container.as_array_mut() {
        let at = index(last, array.len())?;
        array[at] = value;
        return Ok(());
    }
    // A member that is not there is made, as by the library that upstream uses.
    let object = container.as_object_mut().ok_or_else(|| missing("replace", path))?;
    object.insert(last, value);
    Ok(())
}

/// Null and absent are the same to a test.
fn test(document: &mut Value, path: &[String], expected: &Value) -> Outcome<()> {
    let found = get(document, path)?;
    if found.unwrap_or(&Value::NULL) == expected {
        return Ok(());
    }
    Err(format!("testing value {} failed", go::quote(&format!("/{}", path.join("/")))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(document: &str, patch: &str, expected: Option<&str>) {
        let mut value = Value::from_json(document.as_bytes()).unwrap();
        let outcome = JsonPatch::parse(patch.as_bytes()).unwrap().apply(&mut value);
        match expected {
            Some(expected) => {
                assert_eq!(outcome, Ok(()), "{patch}");
                assert_eq!(value, Value::from_json(expected.as_bytes()).unwrap(), "{patch}");
            }
            None => {
                assert!(matches!(outcome, Err(PatchError::Unprocessable(_))), "{patch} {outcome:?} {value:?}")
            }
        }
    }

    const DOCUMENT: &str = r#"{"a":{"b":1,"e~/x":2},"l":[1,2,3],"n":null}"#;

    #[test]
    fn operations() {
        for (patch, expected) in [
            (
                r#"[{"op":"add","path":"/a/c","value":{"d":1}}]"#,
                Some(r#"{"a":{"b":1,"e~/x":2,"c":{"d":1}},"l":[1,2,3],"n":null}"#),
            ),
            (
                r#"[{"op":"add","path":"/l/-","value":4},{"op":"add","path":"/l/0","value":0}]"#,
                Some(r#"{"a":{"b":1,"e~/x":2},"l":[0,1,2,3,4],"n":null}"#),
            ),
            (
                r#"[{"op":"add","path":"/l/-1","value":4}]"#,
                Some(r#"{"a":{"b":1,"e~/x":2},"l":[1,2,3,4],"n":null}"#),
            ),
            (r#"[{"op":"add","path":"/l/4","value":4}]"#, None),
            (r#"[{"op":"add","path":"/x/y","value":4}]"#, None),
            (r#"[{"op":"add","path":"","value":{}}]"#, None),
            (r#"[{"op":"add","path":"/n"}]"#, Some(DOCUMENT)),
            (
                r#"[{"op":"remove","path":"/l/-1"},{"op":"remove","path":"/a/b"}]"#,
                Some(r#"{"a":{"e~/x":2},"l":[1,2],"n":null}"#),
            ),
            (r#"[{"op":"remove","path":"/l/3"}]"#, None),
            (r#"[{"op":"remove","path":"/zz"}]"#, None),
            (
                r#"[{"op":"replace","path":"/a/e~0~1x","value":3}]"#,
                Some(r#"{"a":{"b":1,"e~/x":3},"l":[1,2,3],"n":null}"#),
            ),
            (
                r#"[{"op":"replace","path":"/zz","value":3}]"#,
                Some(r#"{"a":{"b":1,"e~/x":2},"l":[1,2,3],"n":null,"zz":3}"#),
            ),
            (r#"[{"op":"replace","path":"","value":{"z":1}}]"#, Some(r#"{"z":1}"#)),
            (
                r#"[{"op":"move","from":"/a/b","path":"/m"},{"op":"copy","from":"/m","path":"/l/0"}]"#,
                Some(r#"{"a":{"e~/x":2},"l":[1,1,2,3],"n":null,"m":1}"#),
            ),
            (r#"[{"op":"copy","from":"/zz/y","path":"/m"}]"#, None),
            (r#"[{"op":"copy","from":"/zz","path":"/n"}]"#, Some(DOCUMENT)),
            (
                r#"[{"op":"test","path":"/a/b","value":1},{"op":"test","path":"/zz","value":null}]"#,
                Some(DOCUMENT),
            ),
            (r#"[{"op":"test","path":"/a/b","value":1.0}]"#, None),
            (r#"[{"op":"bogus","path":"/a"}]"#, None),
            (r#"[{"path":"/a"}]"#, None),
            (r#"[{"op":"remove"}]"#, None),
            ("[null]", None),
            ("null", Some(DOCUMENT)),
        ] {
            check(DOCUMENT, patch, expected);
        }
    }

    #[test]
    fn bodies_that_are_no_patch() {
        for (text, expected) in [
            ("{", "error decoding patch: unexpected end of JSON input"),
            (
                "\"x\"",
                "error decoding patch: json: cannot unmarshal string into Go value of type []handlers.jsonPatchOp",
            ),
            (
                "[\"x\"]",
                "error decoding patch: json: cannot unmarshal string into Go value of type handlers.jsonPatchOp",
            ),
        ] {
            assert_eq!(
                JsonPatch::parse(text.as_bytes()).unwrap_err(),
                PatchError::BadRequest(expected.into())
            );
        }
        let many = format!("[{}]", vec![r#"{"op":"test"}"#; OPERATIONS_MAX + 1].join(","));
        assert_eq!(
            crate::Status::from(JsonPatch::parse(many.as_bytes()).unwrap_err()).message,
            "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"
        );
    }

    #[test]
    fn odd_fields_are_reported() {
        let patch =
            JsonPatch::parse(br#"[{"op":"add","path":"/a","value":1,"value":{"b":1,"b":2},"foo":1}]"#)
                .unwrap();
        assert_eq!(
            patch.problems,
            ["json patch duplicate field \"[0].value\"", "json patch unknown field \"[0].foo\""]
        );
    }

    /// An independent implementation decides the same on patches that both define.
    #[test]
    fn agrees_with_the_json_patch_crate() {
        let document = r#"{"a":{"b":[1,{"c":"d"},null],"x":"y"},"l":[]}"#;
        for patch in [
            r#"[{"op":"move","from":"/a/b/1/c","path":"/l/0"}]"#,
            r#"[{"op":"copy","from":"/a","path":"/a/self"}]"#,
            r#"[{"op":"add","path":"/l/1","value":1}]"#,
            r#"[{"op":"replace","path":"/a/b/2","value":[]},{"op":"remove","path":"/a/b/0"}]"#,
            r#"[{"op":"test","path":"/a/b","value":[1,{"c":"d"},null]}]"#,
            r#"[{"op":"test","path":"/a","value":{}}]"#,
        ] {
            let mut theirs: serde_json::Value = serde_json::from_str(document).unwrap();
            let ops: json_patch::Patch = serde_json::from_str(patch).unwrap();
            let expected = json_patch::patch(&mut theirs, &ops).ok().map(|()| theirs.to_string());
            check(document, patch, expected.as_deref());
        }
    }
}
