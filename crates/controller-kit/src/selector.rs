//! metav1.LabelSelector, as controllers' specs carry it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    pub match_labels: BTreeMap<String, String>,
    pub match_expressions: Vec<Requirement>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
pub struct Requirement {
    pub key: String,
    /// In, NotIn, Exists, DoesNotExist.
    pub operator: String,
    pub values: Vec<String>,
}

impl LabelSelector {
    /// From a plain map, as Services and ReplicationControllers have it.
    pub fn from_labels(labels: &BTreeMap<String, String>) -> Self {
        Self { match_labels: labels.clone(), match_expressions: Vec::new() }
    }

    /// An empty selector selects everything, as metav1's does; most controllers refuse one.
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(k, v)| labels.get(k) == Some(v))
            && self.match_expressions.iter().all(|r| r.matches(labels))
    }
}

impl std::fmt::Display for LabelSelector {
    /// The selector's string form: `a=b,c in (d,e),!f`, in the order of the keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts: Vec<(String, String)> =
            self.match_labels.iter().map(|(k, v)| (k.clone(), format!("{k}={v}"))).collect();
        parts.extend(self.match_expressions.iter().map(|r| {
            let mut values = r.values.clone();
            values.sort();
            let text = match r.operator.as_str() {
                "In" => format!("{} in ({})", r.key, values.join(",")),
                "NotIn" => format!("{} notin ({})", r.key, values.join(",")),
                "DoesNotExist" => format!("!{}", r.key),
                _ => r.key.clone(),
            };
            (r.key.clone(), text)
        }));
        parts.sort();
        let texts: Vec<String> = parts.into_iter().map(|(_, text)| text).collect();
        f.write_str(&texts.join(","))
    }
}

impl Requirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator.as_str() {
            "In" => value.is_some_and(|v| self.values.contains(v)),
            "NotIn" => value.is_none_or(|v| !self.values.contains(v)),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(selector: serde_json::Value, labels: &[(&str, &str)], expected: bool) {
        let selector: LabelSelector = serde_json::from_value(selector).unwrap();
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(selector.matches(&labels), expected, "{selector}");
    }

    #[test]
    fn matches() {
        use serde_json::json;
        check(json!({}), &[("a", "1")], true);
        check(json!({"matchLabels": {"a": "1"}}), &[("a", "1"), ("b", "2")], true);
        check(json!({"matchLabels": {"a": "1"}}), &[("a", "2")], false);
        let expression =
            |op: &str| json!({"matchExpressions": [{"key": "a", "operator": op, "values": ["1", "2"]}]});
        check(expression("In"), &[("a", "2")], true);
        check(expression("In"), &[], false);
        check(expression("NotIn"), &[], true);
        check(expression("NotIn"), &[("a", "1")], false);
        check(expression("Exists"), &[("a", "9")], true);
        check(expression("DoesNotExist"), &[("a", "9")], false);
        check(expression("Bogus"), &[("a", "1")], false);
    }

    #[test]
    fn text() {
        let selector: LabelSelector = serde_json::from_value(serde_json::json!({
            "matchLabels": {"b": "1"},
            "matchExpressions": [{"key": "a", "operator": "In", "values": ["z", "y"]}, {"key": "c", "operator": "DoesNotExist"}],
        }))
        .unwrap();
        assert_eq!(selector.to_string(), "a in (y,z),b=1,!c");
    }
}
