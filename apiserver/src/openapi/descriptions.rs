//! What types and fields are for, in upstream's words: a compressed blob that the build script makes from the doc
//! comments of the `k8s-openapi` crate. It is opened for a document and closed again.

use std::collections::BTreeMap;
use std::io::Read as _;

static BLOB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptions.gz"));

/// The texts, by `TYPE` and `TYPE#FIELD`.
#[derive(Debug, Default)]
pub(super) struct Descriptions(BTreeMap<String, String>);

impl Descriptions {
    /// Opens the blob. Lines of `KEY\tTEXT`, with line ends in texts as `\n`.
    pub(super) fn load() -> Self {
        let mut text = String::new();
        // A blob that cannot be read leaves the documents without descriptions, which no client depends on.
        if flate2::read::GzDecoder::new(BLOB).read_to_string(&mut text).is_err() {
            return Self::default();
        }
        let lines = text.lines().filter_map(|line| line.split_once('\t'));
        Self(lines.map(|(k, v)| (k.to_owned(), v.replace("\\n", "\n"))).collect())
    }

    pub(super) fn of_type(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn of_field(&self, owner: &str, field: &str) -> Option<&str> {
        self.0.get(&format!("{owner}#{field}")).map(String::as_str)
    }
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
    fn fields_have_upstreams_words() {
        let all = Descriptions::load();
        let text = all.of_field("io.k8s.api.apps.v1.DeploymentSpec", "minReadySeconds").unwrap_or_default();
        assert!(text.starts_with("Minimum number of seconds"), "{text:?}");
        assert!(all.of_type("io.k8s.api.core.v1.Pod").unwrap_or_default().starts_with("Pod is a collection"));
    }
}
