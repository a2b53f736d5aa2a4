//! Field selectors: `metadata.name=x,spec.nodeName!=y`. Which fields a kind knows is not decided here.

use std::fmt;

use super::SelectorError;

/// One condition on one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldTerm {
    pub field: String,
    pub value: String,
    /// `!=` instead of `=`.
    pub negated: bool,
}

/// A conjunction of conditions on fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    pub terms: Vec<FieldTerm>,
}

impl FieldSelector {
    pub fn everything() -> Self {
        Self::default()
    }

    /// Reads the string form; `,`, `=` and `\` in a value are escaped by a backslash.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut terms = Vec::new();
        for part in split_terms(text).into_iter().filter(|part| !part.is_empty()) {
            let Some((field, negated, value)) = split_term(part) else {
                return Err(SelectorError(format!("invalid selector: '{text}'; can't understand '{part}'")));
            };
            let value = unescape(value)?;
            // Upstream takes "=" for a condition that always holds.
            if !(field.is_empty() && value.is_empty()) {
                terms.push(FieldTerm { field: field.into(), value, negated });
            }
        }
        Ok(Self { terms })
    }

    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether fields, looked up by name, fulfil all conditions; an absent field is empty.
    pub fn matches<'a>(&self, field: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.terms.iter().all(|t| (field(&t.field).unwrap_or_default() == t.value) != t.negated)
    }

    /// The value that `field` must have, when a condition says so.
    pub fn exact_value(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|t| !t.negated && t.field == field).map(|t| t.value.as_str())
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, term) in self.terms.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            let operator = if term.negated { "!=" } else { "=" };
            write!(f, "{comma}{}{operator}{}", term.field, escape(&term.value))?;
        }
        Ok(())
    }
}

/// Escapes a value for use in a field selector.
pub fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (i, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b',' => {
                terms.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    (0..term.len()).filter(|&i| term.is_char_boundary(i)).find_map(|i| {
        let rest = &term[i..];
        let (negated, length) = if rest.starts_with("!=") {
            (true, 2)
        } else if rest.starts_with("==") {
            (false, 2)
        } else if rest.starts_with('=') {
            (false, 1)
        } else {
            return None;
        };
        Some((&term[..i], negated, &rest[length..]))
    })
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                next => {
                    let sequence: String = std::iter::once('\\').chain(next).collect();
                    return Err(SelectorError(format!(
                        "invalid field selector: invalid escape sequence: {sequence}"
                    )));
                }
            },
            ',' | '=' => {
                return Err(SelectorError(format!(
                    "invalid field selector: unescaped character in value: {}",
                    u32::from(c)
                )));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints() {
        for (text, expected) in [
            ("metadata.name=x", "metadata.name=x"),
            ("a==b,c!=d,", "a=b,c!=d"),
            ("a=b\\,c\\=d\\\\", "a=b\\,c\\=d\\\\"),
            ("=", ""),
        ] {
            assert_eq!(FieldSelector::parse(text).unwrap().to_string(), expected);
        }
        assert_eq!(FieldSelector::parse("a=b\\,c").unwrap().exact_value("a"), Some("b,c"));
    }

    #[test]
    fn errors_are_upstreams() {
        for (text, expected) in [
            ("foo", "invalid selector: 'foo'; can't understand 'foo'"),
            ("metadata.name>1", "invalid selector: 'metadata.name>1'; can't understand 'metadata.name>1'"),
            ("a=b\\x", "invalid field selector: invalid escape sequence: \\x"),
        ] {
            assert_eq!(FieldSelector::parse(text).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn matches_absent_fields_as_empty() {
        let selector = FieldSelector::parse("spec.nodeName=,status.phase!=Failed").unwrap();
        assert!(selector.matches(|_| None));
        assert!(!selector.matches(|f| (f == "status.phase").then_some("Failed")));
    }
}
