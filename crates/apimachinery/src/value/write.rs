//! Writing JSON byte for byte as Go's `encoding/json` does, HTML escapes included.

use std::io::Write;

use super::{Repr, Value};

const HEX: &[u8; 16] = b"0123456789abcdef";

impl Value {
    /// The value as compact JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        self.write_json(&mut out);
        out
    }

    /// The value as compact JSON, as text.
    pub fn to_json_string(&self) -> String {
        String::from_utf8(self.to_json()).expect("the writer only emits UTF-8")
    }

    /// Appends the value as compact JSON.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Repr::Null | Repr::Hole => out.extend_from_slice(b"null"),
            Repr::Bool(true) => out.extend_from_slice(b"true"),
            Repr::Bool(false) => out.extend_from_slice(b"false"),
            Repr::Int(i) => write_int(out, *i),
            Repr::Float(f) => write_float(out, *f),
            Repr::String(s) => write_string(out, s),
            Repr::Array(array) => {
                out.push(b'[');
                for (i, value) in array.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    value.write_json(out);
                }
                out.push(b']');
            }
            Repr::Object(object) => {
                out.push(b'{');
                for (i, (key, value)) in object.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    write_string(out, key);
                    out.push(b':');
                    value.write_json(out);
                }
                out.push(b'}');
            }
        }
    }

    /// The value as `?pretty=true` shows it: indented by two spaces, without a final newline.
    pub fn to_json_pretty(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        self.write_pretty(&mut out, 0);
        out
    }

    fn write_pretty(&self, out: &mut Vec<u8>, depth: usize) {
        match &self.0 {
            Repr::Array(array) if !array.is_empty() => {
                out.push(b'[');
                for (i, value) in array.iter().enumerate() {
                    new_line(out, i > 0, depth + 1);
                    value.write_pretty(out, depth + 1);
                }
                new_line(out, false, depth);
                out.push(b']');
            }
            Repr::Object(object) if !object.is_empty() => {
                out.push(b'{');
                for (i, (key, value)) in object.iter().enumerate() {
                    new_line(out, i > 0, depth + 1);
                    write_string(out, key);
                    out.extend_from_slice(b": ");
                    value.write_pretty(out, depth + 1);
                }
                new_line(out, false, depth);
                out.push(b'}');
            }
            _ => self.write_json(out),
        }
    }
}

fn new_line(out: &mut Vec<u8>, comma: bool, depth: usize) {
    if comma {
        out.push(b',');
    }
    out.push(b'\n');
    for _ in 0..depth {
        out.extend_from_slice(b"  ");
    }
}

fn write_int(out: &mut Vec<u8>, i: i64) {
    if (0..10).contains(&i) {
        out.push(b'0' + u8::try_from(i).expect("one digit"));
        return;
    }
    let _ = write!(out, "{i}");
}

/// Go's rule: plain digits between 1e-6 and 1e21, an exponent beyond, without a leading zero in a negative one.
fn write_float(out: &mut Vec<u8>, f: f64) {
    if !f.is_finite() {
        // JSON has no such number and the parser makes none.
        out.extend_from_slice(b"null");
        return;
    }
    let magnitude = f.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format!("{f:e}");
        let (digits, exponent) = text.split_once('e').expect("the format has an exponent");
        let sign = if exponent.starts_with('-') { "" } else { "+" };
        let _ = write!(out, "{digits}e{sign}{exponent}");
        return;
    }
    let _ = write!(out, "{f}");
}

/// Appends a quoted string.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut start = 0;
    for (i, &byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0x08 => b"\\b",
            0x0c => b"\\f",
            0..0x20 | b'<' | b'>' | b'&' => {
                let low = [b'\\', b'u', b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                out.extend_from_slice(&bytes[start..i]);
                out.extend_from_slice(&low);
                start = i + 1;
                continue;
            }
            // U+2028 and U+2029, which JavaScript takes for line ends.
            0xe2 if bytes[i + 1] == 0x80 && bytes[i + 2] & 0xfe == 0xa8 => {
                out.extend_from_slice(&bytes[start..i]);
                out.extend_from_slice(b"\\u202");
                out.push(HEX[usize::from(bytes[i + 2] & 15)]);
                start = i + 3;
                continue;
            }
            _ => continue,
        };
        out.extend_from_slice(&bytes[start..i]);
        out.extend_from_slice(escape);
        start = i + 1;
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: impl Into<Value>, expected: &str) {
        assert_eq!(value.into().to_json_string(), expected);
    }

    #[test]
    fn strings_are_escaped_as_go_escapes() {
        check("a\"\\\n\r\t\u{8}\u{c}\u{1}\u{7f}", "\"a\\\"\\\\\\n\\r\\t\\b\\f\\u0001\u{7f}\"");
        check("<a> & é\u{2028}\u{2029}€", "\"\\u003ca\\u003e \\u0026 é\\u2028\\u2029€\"");
    }

    #[test]
    fn floats_are_formatted_as_go_formats() {
        for (f, expected) in [
            (1.0, "1"),
            (0.1, "0.1"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (0.000001, "0.000001"),
            (1.5e-7, "1.5e-7"),
            (-1e-10, "-1e-10"),
            (123456.75, "123456.75"),
        ] {
            check(f, expected);
        }
    }

    #[test]
    fn pretty_is_two_spaces() {
        let value = Value::from_json(br#"{"a":[1,{}],"b":[],"c":{"d":"e"}}"#).unwrap();
        let text = String::from_utf8(value.to_json_pretty()).unwrap();
        assert_eq!(
            text,
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": [],\n  \"c\": {\n    \"d\": \"e\"\n  }\n}"
        );
    }
}
