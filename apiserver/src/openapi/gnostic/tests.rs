//! The protobuf form, read back with a reader that knows nothing of the tables.

use std::sync::Arc;

use apimachinery::Value;

use super::{encode, encode_v3};
use crate::openapi::OpenApi;
use crate::registry;
use crate::value;

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return number;
        }
    }
    panic!("a varint of more than ten bytes");
}

/// The fields of a message: numbers as they stand on the wire, little endian for those of eight bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let content = match tag & 7 {
            0 => varint(&mut bytes).to_le_bytes().to_vec(),
            1 => bytes.split_off(..8).unwrap().to_vec(),
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                bytes.split_off(..length).unwrap().to_vec()
            }
            other => panic!("wire type {other}"),
        };
        all.push((tag >> 3, content));
    }
    all
}

/// All contents of a field of a field …
fn all(bytes: &[u8], path: &[u64]) -> Vec<Vec<u8>> {
    let Some((first, rest)) = path.split_first() else { return vec![bytes.to_vec()] };
    fields(bytes)
        .iter()
        .filter(|(number, _)| number == first)
        .flat_map(|(_, inner)| all(inner, rest))
        .collect()
}

fn texts(bytes: &[u8], path: &[u64]) -> Vec<String> {
    all(bytes, path).into_iter().map(|text| String::from_utf8(text).unwrap()).collect()
}

#[track_caller]
fn text(bytes: &[u8], path: &[u64]) -> String {
    let [one] = &texts(bytes, path)[..] else {
        panic!("{path:?} is not there once: {:?}", texts(bytes, path))
    };
    one.clone()
}

/// The value of the entry of this name, among the entries at `path`.
#[track_caller]
fn named(bytes: &[u8], path: &[u64], name: &str) -> Vec<u8> {
    let entry = all(bytes, path).into_iter().find(|entry| text(entry, &[1]) == name);
    let entry = entry.unwrap_or_else(|| panic!("{name} is not at {path:?}"));
    all(&entry, &[2]).pop().unwrap()
}

#[track_caller]
fn check_yaml(bytes: &[u8], path: &[u64], name: &str, expected: Value) {
    let written = text(&named(bytes, path, name), &[2]);
    assert_eq!(
        Value::parse_yaml(written.as_bytes(), &Default::default()).unwrap().value,
        expected,
        "{written}"
    );
}

fn schema(of: Value) -> Vec<u8> {
    named(&encode(&value!({ "definitions": { "it": (of) } })), &[9, 1], "it")
}

#[test]
fn schemas_have_gnostics_fields() {
    let object = schema(value!({
        "description": "A thing",
        "type": "object",
        "required": ["name", "size"],
        "properties": {
            "name": { "type": "string", "format": "byte", "enum": ["a", "b"] },
            "size": { "type": "number", "minimum": 1.5, "maxLength": 300, "default": 7 },
            "x-odd": { "$ref": "#/definitions/other" },
        },
        "x-kubernetes-group-version-kind": [{ "group": "", "kind": "It", "version": "v1" }],
    }));
    assert_eq!(text(&object, &[4]), "A thing");
    assert_eq!(texts(&object, &[22, 1]), ["object"]);
    assert_eq!(texts(&object, &[19]), ["name", "size"]);
    assert_eq!(texts(&object, &[25, 1, 1]), ["name", "size", "x-odd"]);
    let name = named(&object, &[25, 1], "name");
    assert_eq!(text(&name, &[2]), "byte");
    assert_eq!(texts(&name, &[20, 2]).concat().split_whitespace().collect::<Vec<_>>(), ["a", "b"]);
    let size = named(&object, &[25, 1], "size");
    assert_eq!(all(&size, &[9]), [1.5_f64.to_le_bytes()]);
    assert_eq!(all(&size, &[11]), [300_u64.to_le_bytes()]);
    assert_eq!(text(&size, &[5, 2]).trim(), "7");
    assert_eq!(text(&named(&object, &[25, 1], "x-odd"), &[1]), "#/definitions/other");
    let gvk = value!([{ "group": "", "kind": "It", "version": "v1" }]);
    check_yaml(&object, &[31], "x-kubernetes-group-version-kind", gvk);
}

#[test]
fn lists_and_maps_name_what_is_in_them() {
    let list = schema(value!({
        "type": "array",
        "items": { "$ref": "#/definitions/a" },
        "x-kubernetes-patch-merge-key": "name",
        "x-kubernetes-patch-strategy": "merge,retainKeys",
    }));
    assert_eq!(text(&list, &[23, 1, 1]), "#/definitions/a");
    check_yaml(&list, &[31], "x-kubernetes-patch-merge-key", "name".into());
    check_yaml(&list, &[31], "x-kubernetes-patch-strategy", "merge,retainKeys".into());
    let map = schema(value!({ "additionalProperties": { "type": "string" } }));
    assert_eq!(text(&map, &[21, 1, 22, 1]), "string");
    let open = schema(value!({ "additionalProperties": false }));
    assert_eq!(all(&open, &[21, 2]), [0_u64.to_le_bytes()]);
    assert!(all(&open, &[21, 1]).is_empty());
}

#[test]
fn operations_have_parameters_by_place() {
    let document = encode(&value!({
        "swagger": "2.0",
        "info": { "title": "T", "version": "v" },
        "paths": { "/a/{name}": {
            "parameters": [
                { "name": "name", "in": "path", "required": true, "type": "string", "uniqueItems": true },
                { "$ref": "#/parameters/p" },
            ],
            "patch": {
                "operationId": "patchA",
                "parameters": [
                    { "name": "dryRun", "in": "query", "type": "string" },
                    { "name": "body", "in": "body", "required": true, "schema": { "$ref": "#/definitions/a" } },
                ],
                "responses": {
                    "200": { "description": "OK", "schema": { "$ref": "#/definitions/b" } },
                    "401": { "description": "Unauthorized" },
                },
                "x-kubernetes-action": "patch",
            },
        } },
        "security": [{ "BearerToken": [] }],
        "securityDefinitions": { "BearerToken": { "type": "apiKey", "name": "authorization", "in": "header" } },
    }));
    assert_eq!(text(&document, &[1]), "2.0");
    assert_eq!((text(&document, &[2, 1]), text(&document, &[2, 2])), ("T".into(), "v".into()));
    let path = named(&document, &[8, 2], "/a/{name}");
    let in_path = all(&path, &[9, 1, 2, 4]).pop().unwrap();
    assert_eq!(
        (text(&in_path, &[4]), text(&in_path, &[2]), text(&in_path, &[5])),
        ("name".into(), "path".into(), "string".into())
    );
    assert_eq!(all(&in_path, &[19]), [1_u64.to_le_bytes()]);
    assert_eq!(text(&path, &[9, 2, 1]), "#/parameters/p");
    let patch = all(&path, &[8]).pop().unwrap();
    assert_eq!(text(&patch, &[5]), "patchA");
    assert_eq!(text(&patch, &[8, 1, 2, 3, 4]), "dryRun");
    assert_eq!(text(&patch, &[8, 1, 2, 3, 6]), "string");
    assert_eq!(
        (text(&patch, &[8, 1, 1, 2]), text(&patch, &[8, 1, 1, 5, 1])),
        ("body".into(), "#/definitions/a".into())
    );
    assert_eq!(texts(&patch, &[9, 1, 1]), ["200", "401"]);
    assert_eq!(text(&named(&patch, &[9, 1], "200"), &[1, 2, 1, 1]), "#/definitions/b");
    assert_eq!(text(&named(&patch, &[9, 1], "401"), &[1, 1]), "Unauthorized");
    check_yaml(&patch, &[13], "x-kubernetes-action", "patch".into());
    assert_eq!(text(&document, &[12, 1, 1]), "BearerToken");
    assert_eq!(text(&named(&document, &[13, 1], "BearerToken"), &[2, 2]), "authorization");
}

/// Compares a schema with its JSON, as far as kubectl reads it.
fn check_schema(name: &str, bytes: &[u8], json: &Value) {
    let own = |key: &str| json.str_at(&[key]).map(str::to_owned).into_iter().collect::<Vec<_>>();
    assert_eq!(texts(bytes, &[1]), own("$ref"), "{name}");
    assert_eq!(texts(bytes, &[2]), own("format"), "{name}");
    assert_eq!(texts(bytes, &[4]), own("description"), "{name}");
    assert_eq!(texts(bytes, &[22, 1]), own("type"), "{name}");
    let required: Vec<_> =
        json.array_at(&["required"]).iter().map(|r| r.as_str().unwrap().to_owned()).collect();
    assert_eq!(texts(bytes, &[19]), required, "{name}");
    let members = json.as_object().unwrap();
    let extensions: Vec<_> = members.keys().filter(|key| key.starts_with("x-")).collect();
    assert_eq!(texts(bytes, &[31, 1]), extensions, "{name}");
    for extension in extensions {
        check_yaml(bytes, &[31], extension, members.get(extension).unwrap().clone());
    }
    for (key, path) in [("items", &[23, 1][..]), ("additionalProperties", &[21, 1])] {
        if let Some(inner) = json.get(key) {
            check_schema(&format!("{name}.{key}"), &all(bytes, path)[0], inner);
        }
    }
    let properties: Vec<_> =
        json.get("properties").and_then(Value::as_object).into_iter().flatten().collect();
    assert_eq!(
        texts(bytes, &[25, 1, 1]),
        properties.iter().map(|(key, _)| *key).collect::<Vec<_>>(),
        "{name}"
    );
    for (encoded, (key, inner)) in all(bytes, &[25, 1, 2]).iter().zip(properties) {
        check_schema(&format!("{name}.{key}"), encoded, inner);
    }
}

#[test]
fn the_whole_document_says_what_its_json_says() {
    let kinds = kinds::Registry::builtin();
    let served: Vec<_> =
        kinds.resources().iter().map(|info| Arc::new(registry::describe(&kinds, info))).collect();
    let (json, _) = OpenApi::v2(&served, true);
    let document = encode(&json);
    let definitions: Vec<_> = json.get("definitions").unwrap().as_object().unwrap().iter().collect();
    assert!(definitions.len() > 400, "{}", definitions.len());
    assert_eq!(texts(&document, &[9, 1, 1]), definitions.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for (encoded, (name, schema)) in all(&document, &[9, 1, 2]).iter().zip(definitions) {
        check_schema(name, encoded, schema);
    }
    let paths = json.get("paths").unwrap().as_object().unwrap();
    assert_eq!(texts(&document, &[8, 2, 1]), paths.keys().collect::<Vec<_>>());
    let patch =
        all(&named(&document, &[8, 2], "/api/v1/namespaces/{namespace}/pods/{name}"), &[8]).pop().unwrap();
    let gvk = value!({ "group": "", "kind": "Pod", "version": "v1" });
    check_yaml(&patch, &[13], "x-kubernetes-group-version-kind", gvk);
    assert!(texts(&patch, &[8, 1, 2, 3, 4]).contains(&"dryRun".to_owned()));
}

#[test]
fn a_document_of_v3() {
    let document = encode_v3(&value!({
        "openapi": "3.0.0",
        "info": { "title": "T", "version": "v" },
        "paths": { "/a/{name}": {
            "parameters": [
                { "name": "name", "in": "path", "required": true, "schema": { "type": "string" } },
            ],
            "post": {
                "operationId": "postA",
                "tags": ["a"],
                "requestBody": {
                    "content": { "*/*": { "schema": { "$ref": "#/components/schemas/a" } } },
                    "required": true,
                },
                "responses": {
                    "200": { "description": "OK", "content": { "application/json": { "schema": { "type": "string" } } } },
                },
                "x-kubernetes-action": "post",
            },
        } },
        "components": {
            "schemas": { "a": {
                "type": "object",
                "required": ["n"],
                "properties": {
                    "n": { "type": "integer", "default": 0, "format": "int32" },
                    "o": { "allOf": [{ "$ref": "#/components/schemas/b" }], "default": {}, "description": "d" },
                    "l": { "type": "array", "items": { "type": "string", "default": "" } },
                    "m": { "type": "object", "additionalProperties": { "type": "boolean", "default": false } },
                },
                "x-kubernetes-map-type": "atomic",
            } },
            "securitySchemes": { "BearerToken": { "type": "apiKey", "name": "authorization", "in": "header" } },
        },
    }));
    assert_eq!((text(&document, &[1]), text(&document, &[2, 6])), ("3.0.0".into(), "v".into()));
    let path = named(&document, &[4, 1], "/a/{name}");
    assert_eq!(text(&path, &[13, 1, 2]), "path");
    assert_eq!(text(&path, &[13, 1, 10, 1, 25]), "string");
    let post = all(&path, &[6]).pop().unwrap();
    assert_eq!((text(&post, &[5]), text(&post, &[1])), ("postA".into(), "a".into()));
    assert_eq!(all(&post, &[7, 1, 3]), [1_u64.to_le_bytes()]);
    assert_eq!(text(&named(&post, &[7, 1, 2, 1], "*/*"), &[1, 2, 1]), "#/components/schemas/a");
    let ok = named(&post, &[8, 2], "200");
    assert_eq!(text(&named(&ok, &[1, 3, 1], "application/json"), &[1, 1, 25]), "string");
    check_yaml(&post, &[13], "x-kubernetes-action", "post".into());
    let schema = named(&document, &[5, 1, 1], "a");
    assert_eq!((text(&schema, &[1, 25]), text(&schema, &[1, 23])), ("object".into(), "n".into()));
    check_yaml(&schema, &[1, 36], "x-kubernetes-map-type", "atomic".into());
    let property = |name: &str| named(&schema, &[1, 31, 1], name);
    assert_eq!(all(&property("n"), &[1, 33, 1]), [0_f64.to_le_bytes()]);
    assert_eq!(text(&property("n"), &[1, 35]), "int32");
    assert_eq!(text(&property("o"), &[1, 26, 2, 1]), "#/components/schemas/b");
    // A default that is an object is there, and says nothing.
    assert_eq!(all(&property("o"), &[1, 33]), [Vec::<u8>::new()]);
    assert_eq!(text(&property("l"), &[1, 30, 1, 1, 33, 3]), "");
    assert_eq!(all(&property("m"), &[1, 32, 1, 1, 33, 2]), [0_u64.to_le_bytes()]);
    assert_eq!(text(&named(&document, &[5, 7, 1], "BearerToken"), &[1, 4]), "header");
}
