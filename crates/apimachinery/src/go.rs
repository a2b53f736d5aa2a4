//! How Go prints things (`%q`, `%v`, `%s` of values), because upstream's messages are full of it.

use std::fmt::Write;

use crate::Value;

/// `strconv.Quote`.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if u32::from(c) < 0x20 || c == '\u{7f}' => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if is_printable(c) => out.push(c),
            c if u32::from(c) < 0x10000 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}

/// Whether `strconv.IsPrint` would show the character as it is. Rust's own table of what `Debug` leaves alone is the
/// same Unicode property but for grapheme extenders, which Go shows.
pub fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    let mut escaped = c.escape_debug();
    escaped.len() == 1 && escaped.next() == Some(c) || is_mark(c)
}

/// Combining marks, which `escape_debug` escapes because they would join the character before.
fn is_mark(c: char) -> bool {
    matches!(u32::from(c), 0x300..=0x36f | 0x483..=0x489 | 0x591..=0x5bd | 0x64b..=0x65f | 0x900..=0x902
        | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x20d0..=0x20f0 | 0xfe00..=0xfe0f | 0xfe20..=0xfe2f)
}

/// `fmt.Sprintf("%v", v)` of an unstructured value: `map[a:1 b:[x y]]`.
pub fn display(value: &Value) -> String {
    let mut out = String::new();
    push_display(&mut out, value);
    out
}

fn push_display(out: &mut String, value: &Value) {
    if let Some(object) = value.as_object() {
        out.push_str("map[");
        for (i, (key, value)) in object.sorted().into_iter().enumerate() {
            if i > 0 {
                out.push(' ');
            }
            out.push_str(key);
            out.push(':');
            push_display(out, value);
        }
        out.push(']');
    } else if let Some(array) = value.as_array() {
        out.push('[');
        for (i, value) in array.iter().enumerate() {
            if i > 0 {
                out.push(' ');
            }
            push_display(out, value);
        }
        out.push(']');
    } else if let Some(s) = value.as_str() {
        out.push_str(s);
    } else if let Some(b) = value.as_bool() {
        let _ = write!(out, "{b}");
    } else if let Some(i) = value.as_i64() {
        let _ = write!(out, "{i}");
    } else if let Some(f) = value.as_f64() {
        out.push_str(&float_g(f));
    } else {
        out.push_str("<nil>");
    }
}

/// `%v` of a float64: `%g` with the shortest digits and an exponent from 1e21 on.
pub fn float_g(f: f64) -> String {
    if f.is_nan() {
        return "NaN".into();
    }
    if f.is_infinite() {
        return if f > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    let magnitude = f.abs();
    if magnitude != 0.0 && !(1e-4..1e21).contains(&magnitude) {
        let text = format!("{f:e}");
        let (digits, exponent) = text.split_once('e').expect("the format has an exponent");
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    format!("{f}")
}

/// The Go type name of an unstructured value, as `%T` shows it.
pub fn type_name(value: &Value) -> &'static str {
    match value.type_name() {
        "null" => "<nil>",
        "bool" => "bool",
        "number" if value.is_float() => "float64",
        "number" => "int64",
        "string" => "string",
        "array" => "[]interface {}",
        _ => "map[string]interface {}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_as_strconv_does() {
        assert_eq!(
            quote("a\0b\"\\\n\u{7f}é\u{80}\u{200b}😀"),
            "\"a\\x00b\\\"\\\\\\n\\x7fé\\u0080\\u200b😀\""
        );
    }

    #[test]
    fn displays_maps_sorted() {
        let value = Value::from_json(br#"{"b":[1,1.5,null,true],"a":{"x":"y"}}"#).unwrap();
        assert_eq!(display(&value), "map[a:map[x:y] b:[1 1.5 <nil> true]]");
        assert_eq!(float_g(1e21), "1e+21");
        assert_eq!(float_g(0.00001), "1e-05");
        assert_eq!(float_g(100000.0), "100000");
    }
}
