//! The print columns of a resource: what clients see of them in a `Table`, as a real server published it.

use std::fmt::Write as _;

use serde_json::Value;

use super::sources::Sources;

pub(super) fn render(sources: &Sources) -> String {
    let mut text = super::header();
    for table in &sources.tables {
        let Some(columns) = table["columnDefinitions"].as_array() else { continue };
        let Some((group_version, plural)) = table["path"].as_str().and_then(resource) else { continue };
        if !sources.default_lists.contains_key(group_version) {
            continue;
        }
        let group = group_version.split_once('/').map_or("core", |(group, _)| group);
        // The versions of a resource print alike: one of them is enough.
        let heading = format!("\ncolumns {group} {plural}\n");
        if text.contains(&heading) {
            continue;
        }
        text.push_str(&heading);
        for column in columns {
            let word = |key: &str| column[key].as_str().unwrap_or_default();
            writeln!(
                text,
                "  {}|{}|{}|{}|{}",
                word("name"),
                word("type"),
                word("format"),
                column["priority"],
                Value::from(word("description"))
            )
            .expect("writing to a string");
        }
    }
    text
}

/// `/apis/apps/v1/deployments` → (`apps/v1`, `deployments`): lists of all namespaces only.
fn resource(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("/apis/").or_else(|| path.strip_prefix("/api/"))?;
    let (group_version, plural) = rest.rsplit_once('/')?;
    Some((group_version, plural))
}
