//! Upstream's `swagger.json` as a list of paths with their operations.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Methods that a path may have.
pub const METHODS: [&str; 7] = ["get", "put", "post", "patch", "delete", "head", "options"];

/// What an operation does, as `x-kubernetes-action` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Get,
    List,
    Watch,
    WatchList,
    Post,
    Put,
    Patch,
    Delete,
    DeleteCollection,
    Connect,
    /// Not of a resource.
    None,
}

/// One method of one path.
#[derive(Clone, Debug)]
pub struct Operation {
    pub method: String,
    pub path: String,
    pub action: Action,
    pub api_version: String,
    pub kind: String,
    /// Names of parameters in the query.
    pub parameters: Vec<String>,
    pub consumes: Vec<String>,
    pub produces: Vec<String>,
}

/// A path with the methods that it has.
#[derive(Debug)]
pub struct PathItem {
    pub path: String,
    pub operations: Vec<Operation>,
}

/// Reads the file; it is an error when it is missing or has no paths.
pub fn read(file: &Path) -> Result<Vec<PathItem>> {
    let text = std::fs::read_to_string(file).with_context(|| {
        format!(
            "read {}: upstream's description is not part of the repository; name its folder with --dir",
            file.display()
        )
    })?;
    let document: Value = serde_json::from_str(&text).context("it is no JSON")?;
    let paths = document["paths"].as_object().context("it has no paths")?;
    let items: Vec<PathItem> =
        paths.iter().map(|(path, item)| path_item(&document, path, item)).collect::<Result<_>>()?;
    if items.iter().all(|item| item.operations.is_empty()) {
        bail!("{} has no operations", file.display());
    }
    Ok(items)
}

fn path_item(document: &Value, path: &str, item: &Value) -> Result<PathItem> {
    let mut operations = Vec::new();
    for method in METHODS {
        let Some(operation) = item.get(method) else { continue };
        let mut parameters = Vec::new();
        for parameter in
            [&item["parameters"], &operation["parameters"]].into_iter().filter_map(Value::as_array)
        {
            for parameter in parameter {
                let parameter = resolve(document, parameter)?;
                if parameter["in"] == "query" {
                    parameters.push(parameter["name"].as_str().unwrap_or_default().to_owned());
                }
            }
        }
        let texts = |key: &str| -> Vec<String> {
            operation[key]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        };
        let gvk = &operation["x-kubernetes-group-version-kind"];
        let part = |key: &str| gvk[key].as_str().unwrap_or_default();
        let api_version = match part("group") {
            "" => part("version").to_owned(),
            group => format!("{group}/{}", part("version")),
        };
        operations.push(Operation {
            method: method.to_ascii_uppercase(),
            path: path.to_owned(),
            action: action(operation["x-kubernetes-action"].as_str())?,
            api_version,
            kind: part("kind").to_owned(),
            parameters,
            consumes: texts("consumes"),
            produces: texts("produces"),
        });
    }
    Ok(PathItem { path: path.to_owned(), operations })
}

fn resolve<'a>(document: &'a Value, parameter: &'a Value) -> Result<&'a Value> {
    match parameter["$ref"].as_str() {
        Some(place) => document
            .pointer(place.trim_start_matches('#'))
            .with_context(|| format!("{place} refers to nothing")),
        None => Ok(parameter),
    }
}

fn action(name: Option<&str>) -> Result<Action> {
    Ok(match name {
        None => Action::None,
        Some("get") => Action::Get,
        Some("list") => Action::List,
        Some("watch") => Action::Watch,
        Some("watchlist") => Action::WatchList,
        Some("post") => Action::Post,
        Some("put") => Action::Put,
        Some("patch") => Action::Patch,
        Some("delete") => Action::Delete,
        Some("deletecollection") => Action::DeleteCollection,
        Some("connect") => Action::Connect,
        Some(other) => bail!("an action that is not known: {other}"),
    })
}

impl Operation {
    /// `GET /api/v1/pods`.
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The path with names in the places of its parameters.
    pub fn target(&self, names: &BTreeMap<&str, &str>) -> String {
        fill(&self.path, names)
    }
}

/// A path with names in the places of its parameters.
pub fn fill(path: &str, names: &BTreeMap<&str, &str>) -> String {
    names.iter().fold(path.to_owned(), |path, (key, name)| path.replace(&format!("{{{key}}}"), name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parameters_of_path_and_operation_are_found() {
        let document = json!({ "parameters": { "limit-x": { "in": "query", "name": "limit" } } });
        let item = json!({
            "parameters": [{ "$ref": "#/parameters/limit-x" }, { "in": "path", "name": "namespace" }],
            "get": {
                "x-kubernetes-action": "list",
                "x-kubernetes-group-version-kind": { "group": "apps", "version": "v1", "kind": "Deployment" },
                "parameters": [{ "in": "query", "name": "watch" }],
                "produces": ["application/json"],
            },
        });
        let read = path_item(&document, "/a/{namespace}", &item).unwrap();
        let [operation] = &read.operations[..] else { panic!("one operation: {read:?}") };
        assert_eq!(operation.parameters, ["limit", "watch"]);
        assert_eq!((operation.action, operation.api_version.as_str()), (Action::List, "apps/v1"));
        assert_eq!(operation.target(&[("namespace", "n")].into()), "/a/n");
        let broken = json!({ "get": { "parameters": [{ "$ref": "#/parameters/none" }] } });
        assert!(path_item(&document, "/a", &broken).is_err());
    }
}
