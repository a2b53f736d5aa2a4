//! Messages against bytes that were worked out by hand. Round trips of generated values are in `tests/protobuf.rs`.

use apimachinery::schema::{Field, Lazy, Scalar, Struct};

use super::*;
use crate::Registry;

const CORE: &str = "io.k8s.api.core.v1";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

fn type_named(package: &str, name: &str) -> std::sync::Arc<Type> {
    Registry::builtin().type_named(&format!("{package}.{name}")).expect("the tables have it")
}

fn json(text: &str) -> Value {
    Value::from_json(text.as_bytes()).expect("JSON")
}

/// Both directions.
#[track_caller]
fn check(ty: &Type, text: &str, bytes: &[u8]) {
    assert_eq!(encode(ty, &json(text)), bytes, "{text}");
    check_decoded(ty, bytes, text);
}

#[track_caller]
fn check_decoded(ty: &Type, bytes: &[u8], expected: &str) {
    let found = decode(ty, bytes).map(|value| value.to_json_string());
    assert_eq!(found.as_deref(), Ok(expected), "{bytes:?}");
}

#[track_caller]
fn check_refused(ty: &Type, bytes: &[u8], expected: &str) {
    assert_eq!(decode(ty, bytes).expect_err("refused").to_string(), expected, "{bytes:?}");
}

/// The members of a message around what is meant.
fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    wire::put_bytes(&mut out, number, bytes);
    out
}

/// A type with one pointer field, number 1.
fn holder(kind: Scalar) -> Type {
    let field = Field {
        name: "value".into(),
        ty: Lazy::ready(std::sync::Arc::new(Type { name: String::new(), kind: TypeKind::Scalar(kind) })),
        required: false,
        pointer: true,
        omitempty: true,
        omitzero: false,
        nullable: false,
        proto: 1,
        patch_strategy: String::new(),
        patch_merge_key: String::new(),
        default: None,
        enum_values: Vec::new(),
    };
    let by_name = [("value".to_owned(), 0)].into();
    let body = Struct { fields: vec![field], by_name, ..Struct::default() };
    Type { name: "Holder".into(), kind: TypeKind::Struct(body) }
}

#[test]
fn bytes_are_upstreams() {
    let registry = Registry::builtin();
    let ty = registry.type_of("", "v1", "Service").unwrap();
    let value = json(r#"{"spec":{"ports":[{"port":80,"targetPort":"web"}]}}"#);
    let bytes = encode(&ty, &value);
    // ServicePort: name "", protocol "", port 80, targetPort {type 1, intVal 0, strVal "web"}, nodePort 0.
    let port: &[u8] = b"\x0a\x00\x12\x00\x18\x50\x22\x09\x08\x01\x10\x00\x1a\x03web\x28\x00";
    assert!(bytes.windows(port.len()).any(|w| w == port), "{bytes:?}");
    // A plain struct is there though it is empty; the zero time is an empty message.
    let meta = encode(&type_named(META, "ObjectMeta"), &Value::object());
    assert_eq!(meta, b"\x0a\x00\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x38\x00\x42\x00");
}

#[test]
fn scalars_are_what_go_makes_of_them() {
    let int = holder(Scalar::Int32);
    check(&int, r#"{"value":0}"#, b"\x08\x00");
    check(&int, r#"{"value":-1}"#, b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    check(&int, r#"{"value":-2147483648}"#, b"\x08\x80\x80\x80\x80\xf8\xff\xff\xff\xff\x01");
    // Others write negative numbers in 32 bits.
    check_decoded(&int, b"\x08\xff\xff\xff\xff\x0f", r#"{"value":-1}"#);
    let long = holder(Scalar::Int64);
    check(&long, r#"{"value":-9223372036854775808}"#, b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01");
    check_refused(&long, b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "proto: integer overflow");
    let flag = holder(Scalar::Bool);
    check(&flag, r#"{"value":false}"#, b"\x08\x00");
    check_decoded(&flag, b"\x08\x02", r#"{"value":true}"#);
    check(&holder(Scalar::Float64), r#"{"value":-0.5}"#, b"\x09\x00\x00\x00\x00\x00\x00\xe0\xbf");
    check(&holder(Scalar::Bytes), r#"{"value":"AP8="}"#, b"\x0a\x02\x00\xff");
    check(&holder(Scalar::String), r#"{"value":"é"}"#, "\u{a}\u{2}é".as_bytes());
    // The last one of several counts.
    check_decoded(&int, b"\x08\x01\x08\x02", r#"{"value":2}"#);
    check_refused(&int, b"\x0a\x00", "proto: wrong wireType = 2 for field value");
}

#[test]
fn quantities_are_texts_in_a_message() {
    let ty = holder(Scalar::Quantity);
    check(&ty, r#"{"value":"500m"}"#, b"\x0a\x06\x0a\x04500m");
    check_decoded(&ty, b"\x0a\x07\x0a\x051000m", r#"{"value":"1"}"#);
    check_decoded(&ty, b"\x0a\x00", r#"{"value":"0"}"#);
}

#[test]
fn ints_or_strings_say_which_they_are() {
    let ty = holder(Scalar::IntOrString);
    check(&ty, r#"{"value":"25%"}"#, b"\x0a\x09\x08\x01\x10\x00\x1a\x0325%");
    check(&ty, r#"{"value":8080}"#, b"\x0a\x07\x08\x00\x10\x90\x3f\x1a\x00");
    let minus = b"\x0a\x0f\x08\x00\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x1a\x00";
    check(&ty, r#"{"value":-1}"#, minus);
    check(&ty, r#"{"value":""}"#, b"\x0a\x06\x08\x01\x10\x00\x1a\x00");
    check_decoded(&ty, b"\x0a\x00", r#"{"value":0}"#);
    // A sort that does not exist is no text.
    check_decoded(&ty, b"\x0a\x0d\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\x07", r#"{"value":7}"#);
}

#[test]
fn times_are_seconds_and_billionths() {
    let ty = holder(Scalar::Time);
    check(&ty, r#"{"value":"1970-01-01T00:00:01Z"}"#, b"\x0a\x04\x08\x01\x10\x00");
    let before = b"\x0a\x0d\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\x00";
    check(&ty, r#"{"value":"1969-12-31T23:59:59Z"}"#, before);
    check_decoded(&ty, b"\x0a\x05\x08\x01\x10\x80\x01", r#"{"value":"1970-01-01T00:00:01Z"}"#);
    let micro = holder(Scalar::MicroTime);
    check(&micro, r#"{"value":"1970-01-01T00:00:00.000002Z"}"#, b"\x0a\x05\x08\x00\x10\xd0\x0f");
    // Less than a microsecond is cut off.
    check_decoded(&micro, b"\x0a\x05\x08\x00\x10\xff\x0f", r#"{"value":"1970-01-01T00:00:00.000002Z"}"#);
    let meta = type_named(META, "ObjectMeta");
    // The time of a plain field that was never set.
    check_decoded(&meta, b"\x42\x00", "{}");
}

#[test]
fn durations_are_nanoseconds() {
    let ty = holder(Scalar::Duration);
    check(&ty, r#"{"value":"1m0s"}"#, b"\x0a\x07\x08\x80\xb0\x9d\xc2\xdf\x01");
    check(&ty, r#"{"value":"-1ns"}"#, b"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    check_decoded(&ty, b"\x0a\x00", r#"{"value":"0s"}"#);
}

#[test]
fn raw_json_is_kept() {
    let ty = type_named("io.k8s.api.apps.v1", "ControllerRevision");
    let text = r#"{"metadata":{},"data":{"z":1,"a":[null,"x"]},"revision":0}"#;
    let raw = field(1, br#"{"z":1,"a":[null,"x"]}"#);
    check_decoded(&ty, &field(2, &raw), text);
    assert!(encode(&ty, &json(text)).ends_with(&[field(2, &raw), b"\x18\x00".to_vec()].concat()));
    check_decoded(&ty, b"\x12\x00", r#"{"metadata":{},"data":null,"revision":0}"#);
    let error = decode(&ty, &field(2, &field(1, b"{"))).unwrap_err();
    assert!(error.to_string().starts_with("field data holds no JSON"), "{error}");

    let entry = type_named(META, "ManagedFieldsEntry");
    let bytes = b"\x0a\x00\x12\x00\x1a\x00\x32\x00\x3a\x0d\x0a\x0b{\"f:a\":{} }\x42\x00";
    check_decoded(&entry, bytes, r#"{"fieldsV1":{"f:a":{}}}"#);
}

#[test]
fn unknown_fields_of_every_wire_type_are_passed_over() {
    let ty = type_named(CORE, "ConfigMap");
    let known = field(2, b"\x0a\x01k\x12\x01v");
    let unknown: [&[u8]; 7] = [
        b"",
        b"\xf8\x01\x05",
        b"\xf9\x01\x01\x02\x03\x04\x05\x06\x07\x08",
        b"\xfa\x01\x03abc",
        b"\xfd\x01\x01\x02\x03\x04",
        // A group with a group in it.
        b"\xfb\x01\x08\x01\x13\x1a\x01x\x14\xfc\x01",
        // A number beyond all that we have.
        b"\xf8\xff\x01\x05",
    ];
    for noise in unknown {
        let bytes = [noise, &known[..], noise].concat();
        check_decoded(&ty, &bytes, r#"{"metadata":{},"data":{"k":"v"}}"#);
        // In the entry of a map, too.
        let entry = field(2, &[noise, b"\x0a\x01k", noise, b"\x12\x01v", noise].concat());
        check_decoded(&ty, &entry, r#"{"metadata":{},"data":{"k":"v"}}"#);
    }
}

#[test]
fn broken_messages_are_told_apart() {
    let ty = type_named(CORE, "ConfigMap");
    check_refused(&ty, b"\x12\x05ab", "unexpected EOF");
    check_refused(&ty, b"\x12", "unexpected EOF");
    check_refused(&ty, b"\x00\x01", "proto: illegal tag 0 (wire type 0)");
    check_refused(&ty, b"\x14", "proto: unexpected end of group");
    check_refused(&ty, b"\xfb\x01\x08\x01", "unexpected EOF");
    check_refused(&ty, b"\x17", "proto: illegal wireType 7");
    check_refused(
        &ty,
        b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        "proto: negative length found during unmarshaling",
    );
    check_refused(&ty, b"\x12\x04\x0a\x02\xff\xfe", "proto: field data holds invalid UTF-8");
}

#[test]
fn numbers_come_one_by_one_or_packed() {
    let ty = type_named(CORE, "PodSecurityContext");
    let text = r#"{"supplementalGroups":[1,300,-1]}"#;
    let each = b"\x20\x01\x20\xac\x02\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    check(&ty, text, each);
    check_decoded(&ty, b"\x22\x0d\x01\xac\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", text);
    check_decoded(&ty, b"\x20\x01\x22\x02\x02\x03\x20\x04", r#"{"supplementalGroups":[1,2,3,4]}"#);
    // A packed field of nothing is no list.
    check_decoded(&ty, b"\x22\x00", "{}");
}

#[test]
fn maps_are_written_in_the_order_of_their_keys() {
    let ty = type_named(CORE, "ConfigMap");
    let bytes = encode(&ty, &json(r#"{"data":{"b":"2","a":"1","é":"","A":"0"}}"#));
    let order = b"\x12\x06\x0a\x01A\x12\x010\x12\x06\x0a\x01a\x12\x011\x12\x06\x0a\x01b\x12\x012";
    assert!(bytes.windows(order.len()).any(|w| w == order), "{bytes:?}");
    // Entries may lack their key or value, come in any order and twice.
    let entries: [&[u8]; 5] =
        [b"\x0a\x01b\x12\x011", b"\x12\x01x", b"\x0a\x01c", b"\x12\x012\x0a\x01b", b"\x0a\x01a\x12\x010"];
    let bytes = entries.map(|entry| field(2, entry)).concat();
    check_decoded(&ty, &bytes, r#"{"metadata":{},"data":{"":"x","a":"0","b":"2","c":""}}"#);
    let binary = field(3, b"\x0a\x01k");
    check_decoded(&ty, &binary, r#"{"metadata":{},"binaryData":{"k":""}}"#);
    let claims = type_named(CORE, "ResourceRequirements");
    check(&claims, r#"{"limits":{"cpu":"1"}}"#, b"\x0a\x0a\x0a\x03cpu\x12\x03\x0a\x011");
}

#[test]
fn what_is_empty_and_what_is_not_there() {
    let secret = type_named(CORE, "Secret");
    // An empty map is none; a pointer to a zero value is one.
    let bytes = encode(&secret, &json(r#"{"data":{},"immutable":false}"#));
    assert!(bytes.ends_with(b"\x1a\x00\x28\x00"), "{bytes:?}");
    check_decoded(&secret, &bytes, r#"{"metadata":{},"immutable":false}"#);
    let role = type_named("io.k8s.api.rbac.v1", "Role");
    let bytes = encode(&role, &json(r#"{"rules":[]}"#));
    check_decoded(&role, &bytes, r#"{"metadata":{},"rules":null}"#);
    // An empty message is a pointer to an empty struct, and an element of its list.
    let volume = type_named(CORE, "Volume");
    check_decoded(&volume, b"\x12\x02\x12\x00", r#"{"name":"","emptyDir":{}}"#);
    let affinity = type_named(CORE, "NodeSelector");
    check_decoded(&affinity, b"\x0a\x00", r#"{"nodeSelectorTerms":[{}]}"#);
    // A list of texts in a map is a message, and none when nothing is in it.
    let spec = type_named("io.k8s.api.certificates.v1", "CertificateSigningRequestSpec");
    let TypeKind::Struct(body) = &spec.kind else { panic!("a struct") };
    let number = body.field("extra").unwrap().proto;
    let extra =
        |bytes: &[u8]| decode(&spec, &field(number, bytes)).unwrap().get("extra").unwrap().to_json_string();
    assert_eq!(extra(b"\x0a\x01k\x12\x06\x0a\x01a\x0a\x01b"), r#"{"k":["a","b"]}"#);
    assert_eq!(extra(b"\x0a\x01k\x12\x00"), r#"{"k":null}"#);
}

#[test]
fn a_message_that_comes_twice_is_one() {
    let ty = type_named(CORE, "Pod");
    let name = field(1, b"\x0a\x01n");
    let label = field(1, &field(11, b"\x0a\x01k\x12\x01v"));
    let other = field(1, &field(11, b"\x0a\x01l\x12\x01w"));
    let found = decode(&ty, &[name, label, other].concat()).unwrap();
    assert_eq!(found.get("metadata").unwrap().to_json_string(), r#"{"name":"n","labels":{"k":"v","l":"w"}}"#);
}

#[test]
fn inlined_structs_are_messages_of_their_own() {
    let ty = type_named(CORE, "SecretKeySelector");
    check(&ty, r#"{"name":"n","key":"k","optional":false}"#, b"\x0a\x03\x0a\x01n\x12\x01k\x18\x00");
}

#[test]
fn schemas_are_themselves_or_something_else() {
    let ty = type_named("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1", "JSONSchemaProps");
    for text in [
        r#"{"items":{"type":"string"}}"#,
        r#"{"items":[{"type":"a"},{"type":"b"}]}"#,
        r#"{"additionalProperties":false}"#,
        r#"{"additionalProperties":true}"#,
        r#"{"additionalProperties":{"type":"a"}}"#,
        r#"{"dependencies":{"a":["b","c"],"d":{"type":"a"}}}"#,
        r#"{"enum":[1,"a",null]}"#,
    ] {
        let bytes = encode(&ty, &json(text));
        check_decoded(&ty, &bytes, text);
    }
}

#[test]
fn envelopes_open_and_bad_ones_are_told_apart() {
    let sealed = envelope("v1", "Pod", b"raw");
    assert_eq!(sealed, b"k8s\0\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x03raw\x1a\x00\x22\x00");
    let opened = open(&sealed).unwrap();
    assert_eq!(
        (opened.api_version.as_str(), opened.kind.as_str(), opened.raw.as_slice()),
        ("v1", "Pod", &b"raw"[..])
    );
    assert_eq!(open(b""), Err(ProtoError::EmptyData));
    assert_eq!(open(b"k8s\0"), Err(ProtoError::EmptyBody));
    assert_eq!(open(br#"{"a":1}"#), Err(ProtoError::NoMagic));
    assert_eq!(open(b"k8s\0\xff\xff"), Err(ProtoError::UnexpectedEof));
}

#[test]
fn deep_nesting_is_refused() {
    let ty = type_named("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1", "JSONSchemaProps");
    let message = (0..1000).fold(Vec::new(), |message, _| field(28, &message));
    assert_eq!(decode(&ty, &message), Err(ProtoError::Depth));
}
