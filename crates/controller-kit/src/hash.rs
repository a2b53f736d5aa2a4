//! The hash in the names of what a template was made into (`pod-template-hash`, `controller-revision-hash`).
//!
//! FNV-1a over the template's canonical JSON. It need not equal upstream's (which hashes a dump of Go structs): both
//! find the ReplicaSet of a template by comparing templates, and only name new ones by hash.

use serde_json::Value;

/// Kubernetes' alphabet for names: no vowels and no look-alikes.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

pub fn fnv1a_32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Upstream's `SafeEncodeString`: each character replaced by one of the alphabet.
pub fn safe_encode(text: &str) -> String {
    text.bytes().map(|b| char::from(ALPHABET[usize::from(b) % ALPHABET.len()])).collect()
}

/// The hash of a template. `collisions` counts the names that were taken by another template.
pub fn template_hash(template: &Value, collisions: Option<i64>) -> String {
    let mut canonical = String::new();
    write_canonical(template, &mut canonical);
    if let Some(count) = collisions {
        canonical.push_str(&count.to_string());
    }
    safe_encode(&fnv1a_32(canonical.as_bytes()).to_string())
}

/// JSON with sorted keys and no blanks: equal values have equal texts however their maps are ordered.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(k, _)| k.as_str());
            out.push('{');
            for (key, value) in entries {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write_canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn known_values() {
        // The FNV test vectors of its authors.
        assert_eq!(fnv1a_32(b""), 0x811c_9dc5);
        assert_eq!(fnv1a_32(b"a"), 0xe40c_292c);
        assert_eq!(fnv1a_32(b"foobar"), 0xbf9c_f968);
        assert_eq!(safe_encode("0123456789"), "456789bcdf");
    }

    #[test]
    fn depends_on_content_and_collisions_alone() {
        let a: Value = serde_json::from_str(r#"{"x":1,"y":[1,2]}"#).unwrap();
        let b: Value = serde_json::from_str(r#"{ "y": [1, 2], "x": 1 }"#).unwrap();
        assert_eq!(template_hash(&a, None), template_hash(&b, None));
        assert_ne!(template_hash(&a, None), template_hash(&a, Some(1)));
        assert_ne!(template_hash(&a, None), template_hash(&json!({"x": 1, "y": [2, 1]}), None));
    }
}
