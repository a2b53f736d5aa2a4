//! Protobuf of every message that the tables know, by generated values: what goes out comes back, whatever stands around
//! it and in whatever order, and no bytes make the decoder fail other than by an error.

#[path = "support/generate.rs"]
mod generate;

use apimachinery::Value;
use apimachinery::schema::TypeRef;
use generate::{Dice, Generator, cases};
use kinds::normalise::normalise_stored;
use kinds::{Registry, proto};

/// Calls `check` with some values of each type and the bytes of each.
fn each_value(seed: u64, n: u64, mut check: impl FnMut(&str, &TypeRef, &Value, &[u8], &mut Dice)) -> usize {
    let registry = Registry::builtin();
    let mut n_types = 0;
    for (at, name) in registry.type_names().enumerate() {
        let ty = registry.type_named(name).expect("it was just named");
        n_types += 1;
        for case in 0..cases(n) {
            let mut generator = Generator::new(seed + at as u64 * 10_000 + case, true);
            let mut value = generator.value(&ty);
            without_numbers(&ty, &mut value);
            normalise_stored(&ty, &mut value);
            let bytes = proto::encode(&ty, &value);
            check(name, &ty, &value, &bytes, &mut generator.dice);
        }
    }
    n_types
}

/// Takes out what has no place in protobuf: `apiVersion` and `kind`, which are the envelope's.
fn without_numbers(ty: &TypeRef, value: &mut Value) {
    use apimachinery::schema::TypeKind;
    match (&ty.kind, value.is_object()) {
        (TypeKind::Struct(body), true) => {
            let members = value.as_object_mut().expect("an object");
            members.retain(|key, member| {
                let Some(field) = body.field(key).filter(|field| field.proto != 0) else { return false };
                without_numbers(field.ty.get(), member);
                true
            });
        }
        (TypeKind::Map { value: target, .. }, true) => {
            let members = value.as_object_mut().expect("an object");
            members.iter_mut().for_each(|(_, member)| without_numbers(target.get(), member));
        }
        (TypeKind::List(list), _) => {
            let items = value.as_array_mut().into_iter().flatten();
            items.for_each(|item| without_numbers(list.element.get(), item));
        }
        _ => {}
    }
}

#[test]
fn what_goes_out_comes_back() {
    let n = each_value(1, 3, |name, ty, value, bytes, _| {
        let back = proto::decode(ty, bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(back.to_json_string(), value.to_json_string(), "{name}");
        assert_eq!(proto::encode(ty, &back), bytes, "{name}");
    });
    assert!(n > 850, "{n}");
}

/// The fields of a message: number and bytes with the tag.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    fn varint(bytes: &[u8]) -> (u64, usize) {
        let mut number = 0;
        for (at, byte) in bytes.iter().enumerate() {
            number |= u64::from(byte & 0x7f) << (7 * at);
            if *byte < 0x80 {
                return (number, at + 1);
            }
        }
        panic!("our own encoder ends its numbers")
    }
    let mut found = Vec::new();
    while !message.is_empty() {
        let (tag, head) = varint(message);
        let (length, size) = match tag & 7 {
            0 => varint(&message[head..]),
            1 => (0, 8),
            2 => {
                let (length, size) = varint(&message[head..]);
                (length, size + usize::try_from(length).expect("small"))
            }
            wire => panic!("our own encoder writes no {wire}"),
        };
        let _ = length;
        let (field, rest) = message.split_at(head + size);
        found.push((tag >> 3, field));
        message = rest;
    }
    found
}

#[test]
fn order_and_unknown_fields_do_not_matter() {
    // Number 2000 by each wire type.
    const NOISE: [&[u8]; 4] = [
        b"\x80\x7d\x07",
        b"\x82\x7d\x02hi",
        b"\x85\x7d\x01\x02\x03\x04",
        b"\x81\x7d\x01\x02\x03\x04\x05\x06\x07\x08",
    ];
    each_value(2, 1, |name, ty, value, bytes, dice| {
        let mut parts = fields(bytes);
        // Occurrences of one field keep their order: a list is one.
        parts.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        let mut other = Vec::new();
        for (_, part) in parts {
            other.extend_from_slice(NOISE[dice.roll(NOISE.len())]);
            other.extend_from_slice(part);
        }
        let back = proto::decode(ty, &other).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(back.to_json_string(), value.to_json_string(), "{name}");
    });
}

#[test]
fn broken_bytes_are_an_error_or_an_object() {
    let mut n_refused = 0;
    each_value(3, 1, |_, ty, _, bytes, dice| {
        if bytes.is_empty() {
            return;
        }
        for _ in 0..4 {
            let mut broken = bytes.to_vec();
            match dice.roll(3) {
                0 => broken.truncate(dice.roll(bytes.len())),
                1 => broken[dice.roll(bytes.len())] ^= 1 << dice.roll(8),
                _ => broken.insert(dice.roll(bytes.len()), 0xff),
            }
            match proto::decode(ty, &broken) {
                Ok(value) => drop(proto::encode(ty, &value)),
                Err(_) => n_refused += 1,
            }
        }
    });
    assert!(n_refused > 500, "{n_refused}");
}
