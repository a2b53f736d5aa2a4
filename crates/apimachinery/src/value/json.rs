//! Reading JSON as Go's `encoding/json` (and `sigs.k8s.io/json`) does: the same texts are refused, in the same words.
//!
//! Integers that fit int64 stay integers, every other number is a float. Invalid UTF-8 becomes U+FFFD byte by byte.
//! Duplicate keys are accepted and reported. Unlike Go, nesting ends at `DEPTH_MAX`.

use compact_str::CompactString;

use super::{Object, Repr, Value};

/// How deep arrays and objects may nest. Go allows 10,000; but every walker over a `Value` recurses on the caller's
/// stack, where 10,000 levels would end the process instead of the request. No real object comes near either.
pub const DEPTH_MAX: usize = 500;

/// Go's strict decoder stops collecting after this many problems.
const DUPLICATES_MAX: usize = 100;

/// How to read a text.
#[derive(Clone, Debug)]
pub struct ParseOptions {
    /// What a repeated key does with two objects: merge them, as decoding into a Go struct or typed map does (`true`),
    /// or take the last, as decoding into `map[string]interface{}` does (`false`). Other values: the last wins.
    pub merge_duplicates: bool,
    pub depth_max: usize,
}

impl Default for ParseOptions {
    fn default() -> Self {
        Self { merge_duplicates: false, depth_max: DEPTH_MAX }
    }
}

/// A value and what was odd about its text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    pub value: Value,
    /// Paths of keys that stood twice, such as `spec.containers[0].name`, in order, each once.
    pub duplicates: Vec<String>,
}

/// Why a text is not JSON (or YAML), in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub String);

impl Value {
    /// Reads one JSON text; nothing but white space may follow it.
    pub fn parse_json(text: &[u8], options: &ParseOptions) -> Result<Parsed, ParseError> {
        let mut parser = Parser { text, at: 0, options, path: Vec::new(), duplicates: Vec::new() };
        let value = parser.value(0)?;
        parser.skip_space();
        if parser.at < text.len() {
            return Err(parser.unexpected("after top-level value"));
        }
        Ok(Parsed { value, duplicates: parser.duplicates })
    }

    /// As `parse_json` with the default options, for texts that are our own.
    pub fn from_json(text: &[u8]) -> Result<Value, ParseError> {
        Self::parse_json(text, &ParseOptions::default()).map(|parsed| parsed.value)
    }
}

/// One step of the path to where the parser is.
enum Step {
    Key(CompactString),
    Index(usize),
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    options: &'a ParseOptions,
    path: Vec<Step>,
    duplicates: Vec<String>,
}

type Result1<T> = Result<T, ParseError>;

impl Parser<'_> {
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    /// The next byte that is not white space, which stays unread.
    fn peek(&mut self) -> Option<u8> {
        self.skip_space();
        self.text.get(self.at).copied()
    }

    /// The error for the byte at the current place.
    #[cold]
    fn unexpected(&self, context: &str) -> ParseError {
        match self.text.get(self.at) {
            None => ParseError("unexpected end of JSON input".into()),
            Some(&byte) => ParseError(format!("invalid character {} {context}", quote_byte(byte))),
        }
    }

    fn value(&mut self, depth: usize) -> Result1<Value> {
        match self.peek() {
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => Ok(Value(Repr::String(self.string()?))),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true", Value(Repr::Bool(true))),
            Some(b'f') => self.literal("false", Value(Repr::Bool(false))),
            Some(b'n') => self.literal("null", Value::NULL),
            _ => Err(self.unexpected("looking for beginning of value")),
        }
    }

    fn check_depth(&self, depth: usize) -> Result1<()> {
        if depth > self.options.depth_max {
            return Err(ParseError("exceeded max depth".into()));
        }
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result1<Value> {
        self.check_depth(depth)?;
        self.at += 1;
        let mut object = Object::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value(Repr::Object(object)));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("looking for beginning of object key string"));
            }
            let key = self.string()?;
            if self.peek() != Some(b':') {
                return Err(self.unexpected("after object key"));
            }
            self.at += 1;
            // The path is needed only for reports; its keys are short and inline, so this costs a copy of 24 bytes.
            self.path.push(Step::Key(key));
            let value = self.value(depth)?;
            let Some(Step::Key(key)) = self.path.pop() else { unreachable!("pushed above") };
            self.add(&mut object, key, value);
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value(Repr::Object(object)));
                }
                _ => return Err(self.unexpected("after object key:value pair")),
            }
        }
    }

    fn add(&mut self, object: &mut Object, key: CompactString, value: Value) {
        let merge = self.options.merge_duplicates;
        match object.get_mut(&key) {
            None => {
                object.insert_owned(key, value);
            }
            Some(slot) => {
                if merge {
                    merge_into(slot, value);
                } else {
                    *slot = value;
                }
                self.report_duplicate(&key);
            }
        }
    }

    #[cold]
    fn report_duplicate(&mut self, key: &str) {
        if self.duplicates.len() >= DUPLICATES_MAX {
            return;
        }
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) => push_key(&mut path, key),
                Step::Index(i) => path.push_str(&format!("[{i}]")),
            }
        }
        push_key(&mut path, key);
        if !self.duplicates.contains(&path) {
            self.duplicates.push(path);
        }
    }

    fn array(&mut self, depth: usize) -> Result1<Value> {
        self.check_depth(depth)?;
        self.at += 1;
        let mut array = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value(Repr::Array(array)));
        }
        self.path.push(Step::Index(0));
        loop {
            array.push(self.value(depth)?);
            if let Some(last) = self.path.last_mut() {
                *last = Step::Index(array.len());
            }
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    self.path.pop();
                    return Ok(Value(Repr::Array(array)));
                }
                _ => return Err(self.unexpected("after array element")),
            }
        }
    }

    fn literal(&mut self, word: &str, value: Value) -> Result1<Value> {
        if self.text[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(value);
        }
        for expected in word.bytes() {
            if self.text.get(self.at) != Some(&expected) {
                let context = format!("in literal {word} (expecting {})", quote_byte(expected));
                return Err(self.unexpected(&context));
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    fn number(&mut self) -> Result1<Value> {
        let start = self.at;
        let mut integer = true;
        if self.text[self.at] == b'-' {
            self.at += 1;
        }
        match self.text.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.unexpected("in numeric literal")),
        }
        if self.text.get(self.at) == Some(&b'.') {
            integer = false;
            self.at += 1;
            if !matches!(self.text.get(self.at), Some(b'0'..=b'9')) {
                return Err(self.unexpected("after decimal point in numeric literal"));
            }
            self.digits();
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            integer = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.text.get(self.at) {
                self.at += 1;
            }
            if !matches!(self.text.get(self.at), Some(b'0'..=b'9')) {
                return Err(self.unexpected("in exponent of numeric literal"));
            }
            self.digits();
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).expect("digits and signs are ASCII");
        if integer && let Ok(i) = text.parse::<i64>() {
            return Ok(Value(Repr::Int(i)));
        }
        match text.parse::<f64>() {
            Ok(f) if f.is_finite() => Ok(Value(Repr::Float(f))),
            _ => {
                Err(ParseError(format!("json: cannot unmarshal number {text} into Go value of type float64")))
            }
        }
    }

    /// Reads a string; the current byte is its opening quote.
    fn string(&mut self) -> Result1<CompactString> {
        self.at += 1;
        let start = self.at;
        self.at += plain_length(&self.text[start..]);
        if self.text.get(self.at) == Some(&b'"') {
            let span = &self.text[start..self.at];
            self.at += 1;
            return Ok(match std::str::from_utf8(span) {
                Ok(s) => CompactString::new(s),
                Err(_) => {
                    let mut out = String::new();
                    push_lossy(&mut out, span);
                    out.into()
                }
            });
        }
        self.string_with_escapes(start)
    }

    fn string_with_escapes(&mut self, start: usize) -> Result1<CompactString> {
        let mut out = String::new();
        push_lossy(&mut out, &self.text[start..self.at]);
        loop {
            match self.text.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out.into());
                }
                Some(b'\\') => {
                    self.at += 1;
                    out.push(self.escape()?);
                }
                _ => return Err(self.unexpected("in string literal")),
            }
            let from = self.at;
            self.at += plain_length(&self.text[from..]);
            push_lossy(&mut out, &self.text[from..self.at]);
        }
    }

    fn escape(&mut self) -> Result1<char> {
        let c = match self.text.get(self.at) {
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(&c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'u') => {
                self.at += 1;
                return self.unicode_escape();
            }
            _ => return Err(self.unexpected("in string escape code")),
        };
        self.at += 1;
        Ok(c)
    }

    fn unicode_escape(&mut self) -> Result1<char> {
        let unit = self.hex4()?;
        if (0xd800..0xdc00).contains(&unit) && self.text[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            let low = self.hex4()?;
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(code).expect("a surrogate pair is below 0x110000"));
            }
            self.at = back;
        }
        Ok(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&mut self) -> Result1<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.text.get(self.at).and_then(|&b| char::from(b).to_digit(16));
            let Some(digit) = digit else {
                return Err(self.unexpected("in \\u hexadecimal character escape"));
            };
            unit = unit * 16 + digit;
            self.at += 1;
        }
        Ok(unit)
    }
}

/// What decoding `new` into the place that already holds `old` leaves there, in Go.
pub(super) fn merge_into(old: &mut Value, new: Value) {
    match (&mut old.0, new.0) {
        (Repr::Object(old), Repr::Object(new)) => {
            for (key, value) in new {
                match old.get_mut(&key) {
                    Some(slot) => merge_into(slot, value),
                    None => {
                        old.insert_owned(key, value);
                    }
                }
            }
        }
        (old, new) => *old = new,
    }
}

/// Appends a key to a path; a dot joins, brackets do not matter to Go here.
pub(super) fn push_key(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}

/// How many bytes come before the next quote, backslash or control character: eight at a time.
fn plain_length(text: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // Marks (at least) the zero bytes; false marks only appear above a true one, and the byte loop below decides.
    let zeros = |x: u64| x.wrapping_sub(ONES) & !x & HIGH;
    let mut at = 0;
    while let Some(chunk) = text.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        if (zeros(word ^ (ONES * 0x22)) | zeros(word ^ (ONES * 0x5c)) | control) != 0 {
            break;
        }
        at += 8;
    }
    while let Some(&byte) = text.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            break;
        }
        at += 1;
    }
    at
}

/// Appends bytes, each one that is not part of valid UTF-8 as U+FFFD, as Go's decoder does.
fn push_lossy(out: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for _ in chunk.invalid() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// A byte as Go's `quoteChar` shows it: taken as a code point, in single quotes.
fn quote_byte(byte: u8) -> String {
    match byte {
        b'\'' => "'\\''".into(),
        b'"' => "'\"'".into(),
        _ => {
            let quoted = crate::go::quote(char::from(byte).encode_utf8(&mut [0; 2]));
            format!("'{}'", &quoted[1..quoted.len() - 1])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        let error = Value::from_json(text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), expected, "{text}");
    }

    #[test]
    fn errors_are_those_of_go() {
        for (text, expected) in [
            ("", "unexpected end of JSON input"),
            ("{\"a\":", "unexpected end of JSON input"),
            ("\"ab", "unexpected end of JSON input"),
            ("-", "unexpected end of JSON input"),
            ("tru", "unexpected end of JSON input"),
            ("hello", "invalid character 'h' looking for beginning of value"),
            ("{/*x*/}", "invalid character '/' looking for beginning of object key string"),
            ("{'a':1}", "invalid character '\\'' looking for beginning of object key string"),
            ("{} junk", "invalid character 'j' after top-level value"),
            ("01", "invalid character '1' after top-level value"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair"),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("[1 2]", "invalid character '2' after array element"),
            ("\"a\nb\"", "invalid character '\\n' in string literal"),
            ("\"\\x\"", "invalid character 'x' in string escape code"),
            ("\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape"),
            ("-a", "invalid character 'a' in numeric literal"),
            ("1.a", "invalid character 'a' after decimal point in numeric literal"),
            ("1ex", "invalid character 'x' in exponent of numeric literal"),
            ("trxe", "invalid character 'x' in literal true (expecting 'u')"),
            ("é", "invalid character 'Ã' looking for beginning of value"),
            ("1e999", "json: cannot unmarshal number 1e999 into Go value of type float64"),
        ] {
            check_error(text, expected);
        }
        check_error(&"[".repeat(DEPTH_MAX + 1), "exceeded max depth");
        let deep = format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
        assert!(Value::from_json(deep.as_bytes()).is_ok());
    }

    #[track_caller]
    fn check_round(text: &[u8], expected: &str) {
        let value = Value::from_json(text).unwrap();
        assert_eq!(String::from_utf8(value.to_json()).unwrap(), expected);
    }

    #[test]
    fn values_are_read_as_go_reads_them() {
        check_round(b" { \"a\" : [ 1 , -2.50 , true , null , \"x\" ] } ", r#"{"a":[1,-2.5,true,null,"x"]}"#);
        check_round(
            br#""\ud83d\ude00 \u00e9 \ud800 \ud800\u0041 \/ long enough to leave the inline form""#,
            "\"😀 é \u{fffd} \u{fffd}A / long enough to leave the inline form\"",
        );
        check_round(b"\"a\xe2\x82z\xff\"", "\"a\u{fffd}\u{fffd}z\u{fffd}\"");
        check_round(b"9223372036854775807", "9223372036854775807");
        check_round(b"-0", "0");
        check_round(b"9223372036854775808", "9223372036854776000");
        check_round(b"1.0", "1");
        assert!(Value::from_json(b"1.0").unwrap().is_float());
    }

    #[test]
    fn duplicates_are_reported_by_path() {
        let text = br#"{"metadata":{"name":"x","name":"y"},"l":[{},{"k":1,"k":2}],"data":{"a":"b","a":"c"},"data":{"b":"d"}}"#;
        let parsed = Value::parse_json(text, &ParseOptions::default()).unwrap();
        assert_eq!(parsed.duplicates, ["metadata.name", "l[1].k", "data.a", "data"]);
        assert_eq!(parsed.value.at(&["data"]).unwrap().to_json(), br#"{"b":"d"}"#);
        let options = ParseOptions { merge_duplicates: true, ..ParseOptions::default() };
        let merged = Value::parse_json(text, &options).unwrap();
        assert_eq!(merged.value.at(&["data"]).unwrap().to_json(), br#"{"a":"c","b":"d"}"#);
    }

    #[test]
    fn strings_end_at_the_right_byte_wherever_it_stands() {
        for length in 0..40 {
            for special in [r#"\""#, r"\\", r"\n"] {
                let text = format!("\"{}{special}{}\"", "é".repeat(length), "b".repeat(length));
                let expected: String = serde_json::from_str(&text).unwrap();
                assert_eq!(Value::from_json(text.as_bytes()).unwrap().as_str(), Some(expected.as_str()));
            }
        }
    }
}
