//! Discovery compared with upstream's, for a server that serves every API: the order of groups and versions, preferred
//! versions and hashes included. Resources of a version may stand in any order.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::golden::server::{Request, Server};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/// The file that is not named after its path.
const AGGREGATED_FILE: &str = "aggregated_v2";

/// What differs.
#[derive(Debug, Default)]
pub struct Found {
    pub matched: usize,
    pub differing: usize,
    pub differences: Vec<String>,
}

/// Compares every document of the folder.
pub async fn compare(server: &Server, folder: &Path) -> Result<Found> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .with_context(|| {
            format!("read {}: upstream's documents are not part of the repository", folder.display())
        })?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.sort();
    ensure!(!files.is_empty(), "{} is empty", folder.display());
    let mut found = Found::default();
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut request = Request { method: "GET".into(), ..Request::default() };
        if name == AGGREGATED_FILE {
            request.target = "/apis".into();
            request.headers.insert("Accept".into(), AGGREGATED.into());
        } else {
            request.target = format!("/{}", name.replace("__", "/"));
        }
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let mut theirs: Value = serde_json::from_str(&text).context("a document is no JSON")?;
        let mut ours = server.send(&request).await?.json();
        normalise(&mut theirs);
        normalise(&mut ours);
        let before = found.differences.len();
        differ(&mut found.differences, &request.target, &theirs, &ours);
        if found.differences.len() == before {
            found.matched += 1;
        } else {
            found.differing += 1;
        }
    }
    Ok(found)
}

/// Sorts what has no order and takes out what is another server's.
fn normalise(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("serverAddress");
            for (key, id) in
                [("resources", "resource"), ("resources", "name"), ("subresources", "subresource")]
            {
                if let Some(Value::Array(list)) = members.get_mut(key) {
                    list.sort_by_key(|item| item[id].as_str().unwrap_or_default().to_owned());
                }
            }
            members.values_mut().for_each(normalise);
        }
        Value::Array(items) => items.iter_mut().for_each(normalise),
        _ => {}
    }
}

fn differ(out: &mut Vec<String>, path: &str, theirs: &Value, ours: &Value) {
    match (theirs, ours) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeMap<&String, ()> = a.keys().chain(b.keys()).map(|key| (key, ())).collect();
            for key in keys.into_keys() {
                let none = Value::Null;
                let here = format!("{path}.{key}");
                differ(out, &here, a.get(key).unwrap_or(&none), b.get(key).unwrap_or(&none));
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                differ(out, &format!("{path}[{at}]"), a, b);
            }
        }
        _ if theirs == ours => {}
        _ => out.push(format!("{path}: expected {theirs}, got {ours}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(mut theirs: Value, mut ours: Value, same: bool) {
        let mut out = Vec::new();
        normalise(&mut theirs);
        normalise(&mut ours);
        differ(&mut out, "", &theirs, &ours);
        assert_eq!(out.is_empty(), same, "{out:?}");
    }

    #[test]
    fn resources_have_no_order_and_versions_have() {
        let list = |names: [&str; 2]| json!({ "resources": names.map(|name| json!({ "name": name })) });
        check(list(["a", "b"]), list(["b", "a"]), true);
        check(list(["a", "b"]), list(["b", "c"]), false);
        let versions = |names: [&str; 2]| json!({ "versions": names });
        check(versions(["v2", "v1"]), versions(["v1", "v2"]), false);
        check(json!({ "serverAddress": "a" }), json!({ "serverAddress": "b" }), true);
        check(json!({ "hash": "a" }), json!({}), false);
    }
}
