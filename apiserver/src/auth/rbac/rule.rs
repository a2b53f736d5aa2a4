//! One policy rule: what it allows, and which rules it covers.

use apimachinery::Value;
use apimachinery::go;

use crate::seams::Attributes;
use crate::values::{string_list, strings};

/// rbac.PolicyRule.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    pub verbs: Vec<String>,
    pub groups: Vec<String>,
    pub resources: Vec<String>,
    pub names: Vec<String>,
    pub urls: Vec<String>,
}

impl Rule {
    pub fn from_value(value: &Value) -> Self {
        Self {
            verbs: string_list(value.get("verbs")),
            groups: string_list(value.get("apiGroups")),
            resources: string_list(value.get("resources")),
            names: string_list(value.get("resourceNames")),
            urls: string_list(value.get("nonResourceURLs")),
        }
    }

    /// The rules of a role object.
    pub fn list(role: &Value) -> Vec<Self> {
        role.array_at(&["rules"]).iter().map(Self::from_value).collect()
    }

    /// The JSON form, empty lists left out.
    pub fn to_value(&self) -> Value {
        let mut object = apimachinery::Object::new();
        object.insert("verbs", strings(&self.verbs));
        let others = [
            ("apiGroups", &self.groups),
            ("resources", &self.resources),
            ("resourceNames", &self.names),
            ("nonResourceURLs", &self.urls),
        ];
        for (key, list) in others {
            if !list.is_empty() {
                object.insert(key, strings(list));
            }
        }
        object.into()
    }

    /// Whether the rule allows a request; `combined` is its `resource/subresource`.
    pub fn allows(&self, attributes: &Attributes, combined: &str) -> bool {
        if !has(&self.verbs, &attributes.verb) {
            return false;
        }
        if !attributes.is_resource {
            return self.urls.iter().any(|url| url_matches(url, &attributes.path));
        }
        has(&self.groups, &attributes.group)
            && self.resources.iter().any(|r| resource_matches(r, combined, &attributes.subresource))
            && (self.names.is_empty() || self.names.contains(&attributes.name))
    }

    /// Whether everything that `other` (a rule with one verb, group, resource and at most one name, or one verb and
    /// URL) allows is allowed by this one alone.
    fn covers(&self, other: &Self) -> bool {
        let verbs = other.verbs.iter().all(|v| has(&self.verbs, v));
        if !other.urls.is_empty() {
            return verbs && other.urls.iter().all(|url| self.urls.iter().any(|own| url_covers(own, url)));
        }
        verbs
            && !other.resources.is_empty()
            && other.groups.iter().all(|g| has(&self.groups, g))
            && other.resources.iter().all(|r| {
                let subresource = r.split_once('/').map_or("", |(_, sub)| sub);
                self.resources.iter().any(|own| resource_matches(own, r, subresource))
            })
            && (self.names.is_empty()
                || (!other.names.is_empty() && other.names.iter().all(|n| self.names.contains(n))))
    }

    /// The rule as single steps: one verb, group, resource and name (or URL) each.
    fn broken_down(&self) -> Vec<Self> {
        let mut steps = Vec::new();
        for group in &self.groups {
            for resource in &self.resources {
                for verb in &self.verbs {
                    let step = Self {
                        verbs: vec![verb.clone()],
                        groups: vec![group.clone()],
                        resources: vec![resource.clone()],
                        ..Self::default()
                    };
                    if self.names.is_empty() {
                        steps.push(step);
                    } else {
                        steps.extend(
                            self.names.iter().map(|n| Self { names: vec![n.clone()], ..step.clone() }),
                        );
                    }
                }
            }
        }
        for url in &self.urls {
            for verb in &self.verbs {
                steps.push(Self { verbs: vec![verb.clone()], urls: vec![url.clone()], ..Self::default() });
            }
        }
        steps
    }

    /// Upstream's one-line description.
    pub fn describe(&self) -> String {
        let parts: Vec<String> = [
            ("APIGroups", &self.groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.urls),
            ("ResourceNames", &self.names),
            ("Verbs", &self.verbs),
        ]
        .iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(name, list)| format!("{name}:{}", quoted(list)))
        .collect();
        format!("{{{}}}", parts.join(", "))
    }
}

/// Go's `%q` of a list.
pub fn quoted(list: &[String]) -> String {
    let quoted: Vec<String> = list.iter().map(|s| go::quote(s)).collect();
    format!("[{}]", quoted.join(" "))
}

/// What of `wanted` is not covered by `held`, verbs of the same thing put together again, in upstream's description.
pub fn missing(held: &[Rule], wanted: &[Rule]) -> Vec<String> {
    let mut left: Vec<Rule> = Vec::new();
    for step in wanted.iter().flat_map(Rule::broken_down) {
        if held.iter().any(|own| own.covers(&step)) {
            continue;
        }
        let same = |r: &&mut Rule| {
            step.urls.is_empty()
                && r.urls.is_empty()
                && r.groups == step.groups
                && r.resources == step.resources
                && r.names == step.names
        };
        match left.iter_mut().find(same) {
            Some(rule) => rule.verbs.extend(step.verbs),
            None => left.push(step),
        }
    }
    let mut texts: Vec<String> = left.iter().map(Rule::describe).collect();
    texts.sort();
    texts.dedup();
    texts
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|have| have == "*" || have == wanted)
}

fn resource_matches(rule: &str, combined: &str, subresource: &str) -> bool {
    rule == "*"
        || rule == combined
        || (!subresource.is_empty() && rule.strip_prefix("*/").is_some_and(|sub| sub == subresource))
}

fn url_matches(rule: &str, path: &str) -> bool {
    rule == "*"
        || rule == path
        || rule.strip_suffix('*').is_some_and(|p| path.starts_with(p.trim_end_matches('*')))
}

fn url_covers(own: &str, url: &str) -> bool {
    own == "*"
        || own == url
        || own.strip_suffix('*').is_some_and(|p| url.starts_with(p.trim_end_matches('*')))
}
