//! The files that the tables come from, parsed. Order is kept where it is a fact (protobuf fields, resources, groups).

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Go struct → JSON field → Go type and tag options.
pub(super) type GoStructs = IndexMap<String, IndexMap<String, Vec<String>>>;

#[derive(Debug, Deserialize)]
pub(super) struct GoFields {
    pub(super) structs: GoStructs,
    /// Aliases such as `api/core/v1.PullPolicy` → `string`.
    pub(super) named_types: IndexMap<String, String>,
}

impl GoFields {
    /// A type that is defined as another version's struct but has a message of its own is a type of its own.
    fn split_borrowed(&mut self, messages: &IndexMap<String, IndexMap<String, (u32, String)>>) {
        let borrowed: Vec<(String, String)> = self
            .named_types
            .iter()
            .filter_map(|(path, target)| {
                let (package, _) = path.rsplit_once('.')?;
                let (version, name) = target.split_once('.')?;
                let (parent, _) = package.rsplit_once('/')?;
                let message = format!("k8s.io.{}", path.replace('/', ".").replace('-', "_"));
                let source = format!("{parent}/{version}.{name}");
                (messages.contains_key(&message) && self.structs.contains_key(&source))
                    .then(|| (path.clone(), source))
            })
            .collect();
        for (path, source) in borrowed {
            self.named_types.shift_remove(&path);
            let fields = self.structs[&source].clone();
            self.structs.insert(path, fields);
        }
    }
}

/// A feature gate with its history.
#[derive(Debug)]
pub(super) struct Feature {
    pub(super) name: String,
    pub(super) specs: Vec<FeatureSpec>,
}

#[derive(Debug, Default)]
pub(super) struct FeatureSpec {
    pub(super) default: bool,
    pub(super) lock_to_default: bool,
    pub(super) pre_release: String,
    pub(super) version: String,
}

/// Everything that is read.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) go: GoFields,
    /// Message → field → number and type.
    pub(super) proto: IndexMap<String, IndexMap<String, (u32, String)>>,
    /// OpenAPI v2 definitions.
    pub(super) definitions: IndexMap<String, Value>,
    /// OpenAPI v3 schemas of all group versions, by name: they carry the `default`s.
    pub(super) schemas: IndexMap<String, Value>,
    pub(super) features: Vec<Feature>,
    /// `/apis` with every version switched on.
    pub(super) groups: Value,
    /// APIResourceList by group version, with every version switched on.
    pub(super) resource_lists: IndexMap<String, Value>,
    /// APIResourceList by group version of a server with its default settings.
    pub(super) default_lists: IndexMap<String, Value>,
    /// Lists as `Table`, one recorded answer each.
    pub(super) tables: Vec<Value>,
}

impl Sources {
    pub(super) fn read(shared: &Path) -> anyhow::Result<Self> {
        let facts = shared.join("kubernetes-1.36");
        anyhow::ensure!(
            facts.is_dir(),
            "no facts about Kubernetes 1.36 at {}: name the folder that holds kubernetes-1.36 with --shared DIR",
            facts.display()
        );
        #[derive(Deserialize)]
        struct Swagger {
            definitions: IndexMap<String, Value>,
        }
        let features =
            fs::read_to_string(facts.join("feature-list.yaml")).context("reading feature-list.yaml")?;
        let swagger: Swagger = read_json(&facts.join("swagger.json"))?;
        let mut go: GoFields = read_json(&facts.join("go-fields.json"))?;
        let proto: IndexMap<String, IndexMap<String, (u32, String)>> =
            read_json(&facts.join("proto-fields.json"))?;
        go.split_borrowed(&proto);
        Ok(Self {
            go,
            proto,
            definitions: swagger.definitions,
            schemas: read_schemas(&facts.join("openapi-v3"))?,
            features: parse_features(&features)?,
            groups: read_json(&facts.join("discovery/apis.json"))?,
            resource_lists: read_resource_lists(&facts.join("discovery"))?,
            default_lists: read_default_lists(&shared.join("golden/discovery-default.json"))?,
            tables: read_lines(&shared.join("golden/tables.jsonl"))?,
        })
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("parsing {}", path.display()))
}

fn read_lines(path: &Path) -> anyhow::Result<Vec<Value>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let parse =
        |line: &str| serde_json::from_str(line).with_context(|| format!("parsing {}", path.display()));
    text.lines().map(parse).collect()
}

fn read_dir_sorted(dir: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let mut paths = fs::read_dir(dir)
        .with_context(|| format!("listing {}", dir.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn read_schemas(dir: &Path) -> anyhow::Result<IndexMap<String, Value>> {
    let mut schemas = IndexMap::new();
    for path in read_dir_sorted(dir)? {
        let document: Value = read_json(&path)?;
        if let Some(found) = document.pointer("/components/schemas").and_then(Value::as_object) {
            schemas.extend(found.iter().map(|(name, schema)| (name.clone(), schema.clone())));
        }
    }
    Ok(schemas)
}

fn read_resource_lists(dir: &Path) -> anyhow::Result<IndexMap<String, Value>> {
    let mut lists = IndexMap::new();
    for path in read_dir_sorted(dir)? {
        add_list(&mut lists, read_json(&path)?);
    }
    Ok(lists)
}

fn read_default_lists(path: &Path) -> anyhow::Result<IndexMap<String, Value>> {
    let document: Value = read_json(path)?;
    let mut lists = IndexMap::new();
    for request in document["requests"].as_array().context("golden discovery has no requests")? {
        add_list(&mut lists, request["response"].clone());
    }
    Ok(lists)
}

fn add_list(lists: &mut IndexMap<String, Value>, document: Value) {
    if document["kind"] == "APIResourceList"
        && let Some(group_version) = document["groupVersion"].as_str()
    {
        lists.insert(group_version.to_owned(), document);
    }
}

/// The list of gates is written by a tool in one fixed form, so that reading it needs no YAML library: a `- name:` line
/// per gate, a `- default:` line per change of its state, and `key: value` lines below it.
fn parse_features(text: &str) -> anyhow::Result<Vec<Feature>> {
    let mut features: Vec<Feature> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || line == "versionedSpecs:" {
            continue;
        }
        let (first, entry) = match line.strip_prefix("- ") {
            Some(entry) => (true, entry),
            None => (false, line),
        };
        let (key, value) = entry
            .split_once(':')
            .with_context(|| format!("feature-list.yaml line {}: {line}", number + 1))?;
        let value = value.trim().trim_matches('"');
        if key == "name" {
            features.push(Feature { name: value.into(), specs: Vec::new() });
            continue;
        }
        let feature = features.last_mut().context("feature-list.yaml does not start with a name")?;
        if first {
            feature.specs.push(FeatureSpec::default());
        }
        let spec = feature.specs.last_mut().context("a gate has no versionedSpecs")?;
        match key {
            "default" => spec.default = value == "true",
            "lockToDefault" => spec.lock_to_default = value == "true",
            "preRelease" => spec.pre_release = value.into(),
            "version" => spec.version = value.into(),
            _ => anyhow::bail!("feature-list.yaml line {}: unknown key {key}", number + 1),
        }
    }
    Ok(features)
}
