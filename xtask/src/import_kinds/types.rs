//! Struct types: fields in Go's order with their types, flags, protobuf numbers and what OpenAPI says of lists and maps.

use std::fmt::Write as _;

use anyhow::Context as _;
use indexmap::IndexMap;
use serde_json::Value;

use super::sources::Sources;

const CORE: &str = "api/core/v1";
const META: &str = "apimachinery/pkg/apis/meta/v1";
const APIEXTENSIONS: &str = "apiextensions-apiserver/pkg/apis/apiextensions/v1";

/// The Go package that holds the types of a served group version.
pub(super) fn package_of(group: &str, version: &str) -> String {
    match group {
        "" => CORE.into(),
        "apiextensions.k8s.io" => APIEXTENSIONS.into(),
        "apiregistration.k8s.io" => format!("kube-aggregator/pkg/apis/apiregistration/{version}"),
        "internal.apiserver.k8s.io" => format!("api/apiserverinternal/{version}"),
        "flowcontrol.apiserver.k8s.io" => format!("api/flowcontrol/{version}"),
        _ => format!("api/{}/{version}", group.split('.').next().unwrap_or(group)),
    }
}

/// `api/core/v1` → `io.k8s.api.core.v1`.
pub(super) fn openapi_package(package: &str) -> String {
    format!("io.k8s.{}", package.replace('/', "."))
}

fn proto_message(package: &str, name: &str) -> String {
    format!("k8s.io.{}.{name}", package.replace('/', ".").replace('-', "_"))
}

/// Writes every struct of `package`, by name.
pub(super) fn render_package(text: &mut String, sources: &Sources, package: &str) -> anyhow::Result<()> {
    let mut names: Vec<String> = sources
        .go
        .structs
        .keys()
        .filter_map(|path| {
            path.rsplit_once('.').filter(|(p, _)| *p == package).map(|(_, name)| name.to_owned())
        })
        .collect();
    // Structs without fields are in no list of fields, but OpenAPI knows them.
    let prefix = format!("{}.", openapi_package(package));
    for (name, definition) in &sources.definitions {
        if let Some(short) = name.strip_prefix(&prefix)
            && definition["type"] == "object"
            && definition.get("properties").is_none()
            && !matches!(short, "FieldsV1" | "Patch")
        {
            names.push(short.to_owned());
        }
    }
    names.retain(|name| !matches!(name.as_str(), "TypeMeta" | "Timestamp"));
    names.sort();
    names.dedup();
    for name in names {
        let scope = Scope { sources, package };
        scope.render_struct(text, &name).with_context(|| format!("type {package}.{name}"))?;
    }
    Ok(())
}

/// Where identifiers are looked up.
#[derive(Clone, Copy)]
struct Scope<'a> {
    sources: &'a Sources,
    package: &'a str,
}

/// One line of a struct.
struct Line {
    json: String,
    go_type: String,
    /// The package in which `go_type` is meant.
    package: String,
    /// Protobuf numbers from the outermost inlined message inwards; empty when the field is not in protobuf.
    proto: Vec<u32>,
    omitempty: bool,
    omitzero: bool,
}

impl Scope<'_> {
    fn render_struct(&self, text: &mut String, name: &str) -> anyhow::Result<()> {
        let path = format!("{}.{name}", self.package);
        let openapi = format!("{}.{name}", openapi_package(self.package));
        let definition = self.sources.definitions.get(&openapi);
        let message = proto_message(self.package, name);
        write!(text, "\ntype {name}")?;
        if self.sources.proto.contains_key(&message) {
            write!(text, " proto={message}")?;
        }
        if definition.is_some_and(|d| d["x-kubernetes-map-type"] == "atomic") {
            text.push_str(" atomic");
        }
        if let Some(union) = definition.and_then(|d| d["x-kubernetes-unions"].as_array()?.first()) {
            let members = union["fields-to-discriminateBy"].as_object().context("a union without members")?;
            let names: Vec<&str> = members.keys().map(String::as_str).collect();
            let discriminator = union["discriminator"].as_str().unwrap_or_default();
            write!(text, " union={discriminator}({})", names.join(","))?;
        }
        text.push('\n');
        let mut lines = Vec::new();
        if self.sources.go.structs.contains_key(&path) {
            self.collect(self.package, name, &[], &mut lines)?;
        }
        for line in &lines {
            self.render_line(text, line, definition, self.sources.schemas.get(&openapi))
                .with_context(|| format!("field {}", line.json))?;
        }
        Ok(())
    }

    /// The fields of a struct with those of its embedded structs in their place.
    fn collect(&self, package: &str, name: &str, outer: &[u32], lines: &mut Vec<Line>) -> anyhow::Result<()> {
        let (package, fields) = self.struct_of(package, name)?;
        let empty = IndexMap::new();
        let message = self.sources.proto.get(&proto_message(&package, name)).unwrap_or(&empty);
        if fields.keys().any(|k| k.starts_with("<inline ") && k.contains("TypeMeta")) {
            for json in ["kind", "apiVersion"] {
                lines.push(Line {
                    json: json.into(),
                    go_type: "string".into(),
                    package: package.clone(),
                    proto: Vec::new(),
                    omitempty: true,
                    omitzero: false,
                });
            }
        }
        for key in field_order(fields, message) {
            let spec = &fields[&key.json];
            let go_type = spec.first().context("a field has no type")?;
            let mut proto = outer.to_vec();
            proto.extend(key.number);
            if key.json.starts_with("<inline ") {
                let (inner_package, inner) = self.resolve(&package, go_type);
                self.collect(&inner_package, &inner, &proto, lines)?;
                continue;
            }
            lines.push(Line {
                json: key.json.clone(),
                go_type: go_type.clone(),
                package: package.clone(),
                proto: if key.number.is_some() { proto } else { Vec::new() },
                omitempty: spec.iter().any(|o| o == "omitempty"),
                omitzero: spec.iter().any(|o| o == "omitzero"),
            });
        }
        Ok(())
    }

    fn struct_of(
        &self,
        package: &str,
        name: &str,
    ) -> anyhow::Result<(String, &IndexMap<String, Vec<String>>)> {
        let (package, name) = self.resolve(package, name);
        let fields = self.sources.go.structs.get(&format!("{package}.{name}"));
        Ok((package.clone(), fields.with_context(|| format!("no struct {package}.{name}"))?))
    }

    fn render_line(
        &self,
        text: &mut String,
        line: &Line,
        definition: Option<&Value>,
        schema: Option<&Value>,
    ) -> anyhow::Result<()> {
        let none = Value::Null;
        let property = definition.map_or(&none, |d| &d["properties"][&line.json]);
        write!(text, "  {} {}", line.json, self.type_text(&line.package, &line.go_type)?)?;
        if !line.proto.is_empty() {
            let numbers: Vec<_> = line.proto.iter().map(u32::to_string).collect();
            write!(text, " {}", numbers.join("."))?;
        }
        let required = definition
            .and_then(|d| d["required"].as_array())
            .is_some_and(|names| names.iter().any(|n| *n == *line.json));
        for (flag, word) in [(required, "required"), (!line.omitempty, "always"), (line.omitzero, "omitzero")]
        {
            if flag {
                write!(text, " {word}")?;
            }
        }
        if let Some(list) = property["x-kubernetes-list-type"].as_str() {
            write!(text, " list={list}")?;
            if list == "map" {
                write!(text, "({})", self.list_keys(property))?;
            }
        }
        if let Some(map) = property["x-kubernetes-map-type"].as_str() {
            write!(text, " map={map}")?;
        }
        if let Some(strategy) = property["x-kubernetes-patch-strategy"].as_str() {
            write!(text, " patch={strategy}")?;
        }
        if let Some(key) = property["x-kubernetes-patch-merge-key"].as_str() {
            write!(text, " merge={key}")?;
        }
        let default = schema.map_or(&none, |s| &s["properties"][&line.json]["default"]);
        if is_real_default(default) {
            write!(text, " default={default}")?;
        } else if matches!(default, Value::Bool(_) | Value::Number(_) | Value::String(_))
            && (line.omitempty || line.go_type.starts_with('*'))
        {
            write!(text, " shows={default}")?;
        }
        text.push('\n');
        Ok(())
    }

    /// `containerPort,protocol="TCP"`: a key's default is the one that OpenAPI v3 gives the element's field.
    fn list_keys(&self, property: &Value) -> String {
        let element = property["items"]["$ref"].as_str().and_then(|r| r.strip_prefix("#/definitions/"));
        let schema = element.and_then(|name| self.sources.schemas.get(name));
        let keys = property["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
        let texts: Vec<_> = keys
            .filter_map(Value::as_str)
            .map(|key| match schema.map(|s| &s["properties"][key]["default"]) {
                Some(default) if is_real_default(default) => format!("{key}={default}"),
                _ => key.to_owned(),
            })
            .collect();
        texts.join(",")
    }

    /// A Go type in the table's words.
    fn type_text(&self, package: &str, go_type: &str) -> anyhow::Result<String> {
        if let Some(target) = go_type.strip_prefix('*') {
            return Ok(format!("*{}", self.type_text(package, target)?));
        }
        if go_type == "[]byte" {
            return Ok("bytes".into());
        }
        if let Some(element) = go_type.strip_prefix("[]") {
            return Ok(format!("[]{}", self.type_text(package, element)?));
        }
        if let Some(rest) = go_type.strip_prefix("map[") {
            let (key, value) = rest.split_once(']').context("a map type has no key")?;
            let key = if key == "string" { "string".into() } else { self.go_name(package, key) };
            return Ok(format!("map[{key}]{}", self.type_text(package, value)?));
        }
        if let Some(word) = scalar(go_type) {
            return Ok(word.into());
        }
        let (package, name) = self.resolve(package, go_type);
        let path = format!("{package}.{name}");
        if let Some(word) = special(&package, &name) {
            return Ok(word);
        }
        if self.sources.go.structs.contains_key(&path)
            || self.sources.definitions.contains_key(&format!("{}.{name}", openapi_package(&package)))
        {
            return Ok(if package == self.package {
                name
            } else {
                format!("{}.{name}", openapi_package(&package))
            });
        }
        match self.sources.go.named_types.get(&path).map(String::as_str) {
            // The Go name stays, because decoding errors show it.
            Some(target) => {
                let target = self.type_text(&package, target)?;
                // Of an alias of an alias only the outer name shows.
                let composite = target.starts_with("map[") || target.starts_with("[]");
                let plain =
                    target.split_once('=').filter(|_| !composite).map_or(&*target, |(_, plain)| plain);
                Ok(format!("{}={plain}", self.go_name(&package, &name)))
            }
            None if package == "types" => Ok(format!("{path}=string")),
            None => anyhow::bail!("unknown Go type {path}"),
        }
    }

    /// `v1.PullPolicy`, as Go prints a named type.
    fn go_name(&self, package: &str, name: &str) -> String {
        let (package, name) = self.resolve(package, name);
        format!("{}.{name}", package.rsplit('/').next().unwrap_or(&package))
    }

    /// The package and bare name of an identifier met in `package`, through aliases of structs.
    fn resolve(&self, package: &str, identifier: &str) -> (String, String) {
        let (package, name) = self.resolve_name(package, identifier);
        match self.sources.go.named_types.get(&format!("{package}.{name}")) {
            Some(target) if !target.contains(['[', '*']) => {
                let (target_package, target_name) = self.resolve_name(&package, target);
                if self.sources.go.structs.contains_key(&format!("{target_package}.{target_name}")) {
                    return (target_package, target_name);
                }
                (package, name)
            }
            _ => (package, name),
        }
    }

    fn resolve_name(&self, package: &str, identifier: &str) -> (String, String) {
        let known = |path: &str| {
            self.sources.go.structs.contains_key(path) || self.sources.go.named_types.contains_key(path)
        };
        let Some((alias, name)) = identifier.split_once('.') else {
            let own = format!("{package}.{identifier}");
            // Types that a version borrows from v1 by an alias.
            if !known(&own)
                && let Some((parent, version)) = package.rsplit_once('/')
                && version != "v1"
                && known(&format!("{parent}/v1.{identifier}"))
            {
                return (format!("{parent}/v1"), identifier.into());
            }
            return (package.into(), identifier.into());
        };
        let package = match alias {
            "metav1" => META.into(),
            "v1" | "corev1" | "apiv1" if known(&format!("{CORE}.{name}")) => CORE.into(),
            "v1" if package.starts_with("api/") && known(&format!("{META}.{name}")) => META.into(),
            "v1" => package.rsplit_once('/').map_or_else(|| package.to_owned(), |(p, _)| format!("{p}/v1")),
            other => match other.strip_suffix("v1") {
                Some(group) => format!("api/{group}/v1"),
                None => other.into(),
            },
        };
        (package, name.into())
    }
}

/// Values that are not merely Go's zero: those are published but never applied.
fn is_real_default(default: &Value) -> bool {
    match default {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(s) => !s.is_empty(),
        Value::Array(a) => !a.is_empty(),
        Value::Object(o) => !o.is_empty(),
    }
}

fn scalar(go_type: &str) -> Option<&'static str> {
    Some(match go_type {
        "string" => "string",
        "bool" => "bool",
        "int32" => "int32",
        "int64" | "int" => "int64",
        "float64" => "float64",
        "resource.Quantity" => "Quantity",
        "intstr.IntOrString" => "IntOrString",
        "runtime.RawExtension" | "runtime.Object" | "interface" | "interface{}" => "any",
        _ => return None,
    })
}

/// Types with codecs of their own.
fn special(package: &str, name: &str) -> Option<String> {
    Some(match (package, name) {
        (META, "Time") => "Time".into(),
        (META, "MicroTime") => "MicroTime".into(),
        (META, "Duration") => "Duration".into(),
        (META, "FieldsV1") => "FieldsV1".into(),
        (
            APIEXTENSIONS,
            "JSON" | "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrStringArray",
        ) => {
            format!("v1.{name}=any")
        }
        _ => return None,
    })
}

/// A field's place: its key in the list of Go fields and its protobuf number.
struct Placed {
    json: String,
    number: Option<u32>,
}

/// Go's order of fields is the message's; embedded structs take the places of the message's other fields, in order.
fn field_order(
    fields: &IndexMap<String, Vec<String>>,
    message: &IndexMap<String, (u32, String)>,
) -> Vec<Placed> {
    let mut embedded = fields.keys().filter(|k| k.starts_with("<inline ") && !k.contains("TypeMeta"));
    let mut placed = Vec::new();
    for (name, (number, _)) in message {
        let same = |json: &&String| {
            json.eq_ignore_ascii_case(name)
                || json.replace('-', "").eq_ignore_ascii_case(name)
                || (json.as_str() == "$ref" && name == "ref")
                || (json.as_str() == "$schema" && name == "schema")
        };
        let json = fields.keys().find(same).or_else(|| embedded.next());
        if let Some(json) = json {
            placed.push(Placed { json: json.clone(), number: Some(*number) });
        }
    }
    // Structs without a message, and fields outside protobuf, keep the order of the list.
    for json in fields.keys() {
        if !(json.starts_with("<inline ") && json.contains("TypeMeta"))
            && placed.iter().all(|p| p.json != *json)
        {
            placed.push(Placed { json: json.clone(), number: None });
        }
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_in_the_order_of_the_message_with_embedded_structs_in_place() {
        let fields: IndexMap<String, Vec<String>> = ["<inline Source>", "b", "name", "x-y"]
            .into_iter()
            .map(|key| (key.to_owned(), vec!["string".to_owned()]))
            .collect();
        let message: IndexMap<String, (u32, String)> = [("name", 1), ("source", 2), ("xY", 4)]
            .into_iter()
            .map(|(name, number)| (name.to_owned(), (number, "string".to_owned())))
            .collect();
        let placed: Vec<_> = field_order(&fields, &message).into_iter().map(|p| (p.json, p.number)).collect();
        let expected = [("name", Some(1)), ("<inline Source>", Some(2)), ("x-y", Some(4)), ("b", None)];
        assert_eq!(placed, expected.map(|(json, number)| (json.to_owned(), number)));
    }

    #[test]
    fn go_zero_values_are_no_defaults() {
        for (json, real) in
            [("null", false), ("{}", false), ("\"\"", false), ("0", false), ("1", true), ("\"TCP\"", true)]
        {
            assert_eq!(is_real_default(&serde_json::from_str(json).unwrap()), real, "{json}");
        }
    }

    #[test]
    fn packages_follow_the_group() {
        assert_eq!(package_of("", "v1"), CORE);
        assert_eq!(package_of("rbac.authorization.k8s.io", "v1"), "api/rbac/v1");
        assert_eq!(openapi_package(CORE), "io.k8s.api.core.v1");
    }
}
