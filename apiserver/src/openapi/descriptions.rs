//! What types and fields are for, in upstream's words: a compressed blob that the build script makes from the schemas of
//! the `k8s-openapi` crate. It is opened for a document and closed again.

use std::collections::BTreeMap;
use std::io::Read as _;

static BLOB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptions.gz"));

/// Ours, for what the crate has no schema of.
const OWN: [(&str, &str); 1] = [(
    "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent#object",
    "The object as the change left it, as it was before it was deleted, or a Status that says what went wrong.",
)];

/// The texts, by `TYPE` and `TYPE#FIELD`.
#[derive(Debug, Default)]
pub(super) struct Descriptions(BTreeMap<String, String>);

impl Descriptions {
    /// Opens the blob. Lines of `KEY\tTEXT`, a text as a Rust literal.
    pub(super) fn load() -> Self {
        let mut text = String::new();
        // A blob that cannot be read leaves the documents without descriptions, which no client depends on.
        if flate2::read::GzDecoder::new(BLOB).read_to_string(&mut text).is_err() {
            return Self::default();
        }
        let lines = text.lines().filter_map(|line| line.split_once('\t'));
        let own = OWN.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Self(own.chain(lines.map(|(k, v)| (k.to_owned(), unescape(v)))).collect())
    }

    pub(super) fn of_type(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn of_field(&self, owner: &str, field: &str) -> Option<&str> {
        self.0.get(&format!("{owner}#{field}")).map(String::as_str)
    }
}

/// The text of a Rust literal.
fn unescape(literal: &str) -> String {
    let mut text = String::with_capacity(literal.len());
    let mut chars = literal.chars();
    while let Some(c) = chars.next() {
        match (c, chars.as_str().chars().next()) {
            ('\\', Some(escaped)) => {
                chars.next();
                text.push(match escaped {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                });
            }
            _ => text.push(c),
        }
    }
    text
}

/// Changes with the texts.
pub(super) fn digest() -> &'static [u8] {
    // The end of a gzip file is its checksum and length.
    BLOB.get(BLOB.len().saturating_sub(8)..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read() {
        assert_eq!(unescape(r#"a\n\t\"b\" [c] \\d"#), "a\n\t\"b\" [c] \\d");
    }

    #[test]
    fn fields_have_upstreams_words() {
        let all = Descriptions::load();
        let text = all.of_field("io.k8s.api.apps.v1.DeploymentSpec", "minReadySeconds").unwrap_or_default();
        assert!(text.starts_with("Minimum number of seconds"), "{text:?}");
        assert!(all.of_type("io.k8s.api.core.v1.Pod").unwrap_or_default().starts_with("Pod is a collection"));
    }
}
