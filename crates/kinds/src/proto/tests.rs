//! Messages against bytes that were worked out by hand, and round trips of generated values of every type.

use apimachinery::schema::{Lazy, Scalar};

use super::*;
use crate::Registry;

/// Small and the same on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// A value of a type; absent fields become more likely the deeper it goes.
fn generate(ty: &Type, dice: &mut Dice, depth: usize) -> Value {
    let number = i64::try_from(dice.roll(100_000)).unwrap() - 50_000;
    match &ty.kind {
        TypeKind::Scalar(kind) => match kind {
            Scalar::String | Scalar::Duration => format!("é{number}").into(),
            Scalar::Bool => (number % 2 == 0).into(),
            Scalar::Int32 | Scalar::Int64 => number.into(),
            Scalar::Float64 => (number as f64 + 0.5).into(),
            Scalar::Bytes => crate::scalar::encode_base64(number.to_string().as_bytes()).into(),
            Scalar::Time => "2024-02-29T12:34:56Z".into(),
            Scalar::MicroTime => "2024-02-29T12:34:56.654321Z".into(),
            Scalar::Quantity => format!("{}m", number | 1).into(),
            Scalar::IntOrString => {
                if number > 0 {
                    number.into()
                } else {
                    Value::from("25%")
                }
            }
            Scalar::FieldsV1 => Value::from_json(br#"{"f:a":{"k:{\"x\":1}":{}}}"#).unwrap(),
        },
        TypeKind::Struct(body) => {
            let mut value = Value::object();
            for field in body.fields.iter().filter(|f| f.proto != 0) {
                if dice.roll(2 + depth as u64) == 0 && depth < 6 {
                    value.set_at(&[&field.name], generate(field.ty.get(), dice, depth + 1));
                }
            }
            value
        }
        TypeKind::Any if ty.name.contains("OrBool") => true.into(),
        TypeKind::Any if ty.name.contains("PropsOr") => vec![].into(),
        TypeKind::Any => Value::from_json(br#"{"a":[1,"b",null,{"c":1.5}]}"#).unwrap(),
        TypeKind::List(list) => list_of(&list.element, dice, depth).into(),
        TypeKind::Map { value, .. } => {
            list_of(value, dice, depth).into_iter().enumerate().map(|(at, v)| (format!("k{at}"), v)).collect()
        }
    }
}

fn list_of(element: &Lazy, dice: &mut Dice, depth: usize) -> Vec<Value> {
    (0..1 + dice.roll(3)).map(|_| generate(element.get(), dice, depth + 1)).collect()
}

#[test]
fn every_type_survives_the_round_trip() {
    let registry = Registry::builtin();
    let mut dice = Dice(1);
    for name in registry.type_names() {
        let ty = registry.type_named(name).unwrap();
        for _ in 0..4 {
            let mut value = generate(&ty, &mut dice, 0);
            normalise(&ty, &mut value);
            let bytes = encode(&ty, &value);
            let back = decode(&ty, &bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(back.to_json_string(), value.to_json_string(), "{name}");
            assert_eq!(encode(&ty, &back), bytes, "{name}");
        }
    }
}

#[test]
fn bytes_are_upstreams() {
    let registry = Registry::builtin();
    let ty = registry.type_of("", "v1", "Service").unwrap();
    let value = Value::from_json(br#"{"spec":{"ports":[{"port":80,"targetPort":"web"}]}}"#).unwrap();
    let bytes = encode(&ty, &value);
    // ServicePort: name "", protocol "", port 80, targetPort {type 1, intVal 0, strVal "web"}, nodePort 0.
    let port: &[u8] = b"\x0a\x00\x12\x00\x18\x50\x22\x09\x08\x01\x10\x00\x1a\x03web\x28\x00";
    assert!(bytes.windows(port.len()).any(|w| w == port), "{bytes:?}");
    // A plain struct is there though it is empty; the zero time is an empty message.
    let meta = encode(
        &registry.type_named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta").unwrap(),
        &Value::object(),
    );
    assert_eq!(meta, b"\x0a\x00\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x38\x00\x42\x00");
}

#[test]
fn inlined_structs_are_messages_of_their_own() {
    let registry = Registry::builtin();
    let ty = registry.type_named("io.k8s.api.core.v1.SecretKeySelector").unwrap();
    let value = Value::from_json(br#"{"name":"n","key":"k","optional":false}"#).unwrap();
    assert_eq!(encode(&ty, &value), b"\x0a\x03\x0a\x01n\x12\x01k\x18\x00");
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
    let registry = Registry::builtin();
    let name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
    let mut message = Vec::new();
    for _ in 0..1000 {
        let mut outer = Vec::new();
        wire::put_bytes(&mut outer, 28, &message);
        message = outer;
    }
    assert_eq!(decode(&registry.type_named(name).unwrap(), &message), Err(ProtoError::Depth));
}
