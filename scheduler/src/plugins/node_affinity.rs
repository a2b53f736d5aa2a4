//! NodeAffinity: a pod goes only to nodes that match its nodeSelector and its required node affinity; the more weight of
//! preferred terms a node matches, the better its score.

use crate::bits::BitSet;
use crate::framework::{Plugin, Rejections};
use crate::objects::{Requirement, Term};
use crate::plugins::{normalize, score_column};
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

#[derive(Debug)]
pub struct NodeAffinity;

/// Keeps the nodes of `nodes` that match the requirement on labels. An unknown operator, or one with the wrong number of
/// values, matches nothing; the API server lets none through.
fn keep_label(snapshot: &Snapshot, requirement: &Requirement, nodes: &mut BitSet) {
    let Requirement { key, operator, values } = requirement;
    let number = || values.first().and_then(|v| v.parse::<i64>().ok());
    let parsed = |value: &str| value.parse::<i64>().ok();
    let matching = match operator.as_str() {
        "In" => snapshot.labels.with_any(key, |value| values.iter().any(|v| v == value)),
        "NotIn" => {
            // Also where the label is absent.
            nodes.and_not(&snapshot.labels.with_any(key, |value| values.iter().any(|v| v == value)));
            return;
        }
        "Exists" => snapshot.labels.with_key(key),
        "DoesNotExist" => {
            nodes.and_not(&snapshot.labels.with_key(key));
            return;
        }
        "Gt" => {
            snapshot.labels.with_any(key, |value| parsed(value).zip(number()).is_some_and(|(v, n)| v > n))
        }
        "Lt" => {
            snapshot.labels.with_any(key, |value| parsed(value).zip(number()).is_some_and(|(v, n)| v < n))
        }
        _ => BitSet::default(),
    };
    nodes.and(&matching);
}

/// The only field is `metadata.name`, with one value.
fn keep_field(snapshot: &Snapshot, requirement: &Requirement, nodes: &mut BitSet) {
    let named: BitSet = requirement.values.iter().filter_map(|name| snapshot.slot(name)).collect();
    match (requirement.key.as_str(), requirement.operator.as_str()) {
        ("metadata.name", "In") => nodes.and(&named),
        ("metadata.name", "NotIn") => nodes.and_not(&named),
        _ => nodes.clear(),
    }
}

/// The nodes of `nodes` that match a term. An empty term matches nothing.
fn matching(snapshot: &Snapshot, term: &Term, nodes: &BitSet) -> BitSet {
    if term.match_expressions.is_empty() && term.match_fields.is_empty() {
        return BitSet::default();
    }
    let mut nodes = nodes.clone();
    term.match_expressions.iter().for_each(|r| keep_label(snapshot, r, &mut nodes));
    term.match_fields.iter().for_each(|r| keep_field(snapshot, r, &mut nodes));
    nodes
}

impl Plugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn filter(&self, snapshot: &Snapshot, pod: &PodInfo, candidates: &BitSet, rejections: &mut Rejections) {
        if pod.node_selector.is_empty() && pod.required.is_none() {
            return;
        }
        let mut fit = candidates.clone();
        for (key, value) in &pod.node_selector {
            fit.and(&snapshot.labels.with(key, value));
        }
        if let Some(required) = &pod.required {
            let mut any = BitSet::default();
            for term in &required.node_selector_terms {
                any.or(&matching(snapshot, term, &fit));
            }
            fit = any;
        }
        let mut nodes = candidates.clone();
        nodes.and_not(&fit);
        rejections.unresolvable(
            self.name(),
            "node(s) didn't match Pod's node affinity/selector",
            candidates,
            nodes,
        );
    }

    fn score(&self, snapshot: &Snapshot, pod: &PodInfo, feasible: &BitSet) -> Option<Vec<i64>> {
        if pod.preferred.is_empty() {
            return None;
        }
        let mut scores = score_column(feasible);
        for term in pod.preferred.iter().filter(|t| t.weight != 0) {
            for slot in matching(snapshot, &term.preference, feasible).iter() {
                scores[slot] += i64::from(term.weight);
            }
        }
        normalize(&mut scores, feasible, false);
        Some(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NodeBuilder, PodBuilder, check_filter, check_scores, node, pod};

    fn nodes() -> [NodeBuilder; 3] {
        [
            node("a").label("zone", "x").label("cores", "8"),
            node("b").label("zone", "y").label("cores", "16").label("gpu", ""),
            node("c").label("cores", "many"),
        ]
    }

    /// Only the nodes named in `left` match.
    #[track_caller]
    fn check(pod: PodBuilder, left: &[&str]) {
        let no: Vec<String> = ["a", "b", "c"]
            .iter()
            .filter(|n| !left.contains(n))
            .map(|n| format!("{n}: node(s) didn't match Pod's node affinity/selector (unresolvable)"))
            .collect();
        check_filter(&NodeAffinity, &nodes(), pod, &no.iter().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn selectors_are_a_conjunction() {
        check(pod("p"), &["a", "b", "c"]);
        check(pod("p").node_selector("zone", "x"), &["a"]);
        check(pod("p").node_selector("zone", "y").node_selector("gpu", ""), &["b"]);
        check(pod("p").node_selector("zone", "x").node_selector("gpu", ""), &[]);
    }

    #[test]
    fn operators() {
        let expression = |key: &str, operator: &str, values: &str| {
            let term = format!(
                r#"{{"matchExpressions":[{{"key":"{key}","operator":"{operator}","values":{values}}}]}}"#
            );
            pod("p").required_terms(&format!("[{term}]"))
        };
        check(expression("zone", "In", r#"["x","z"]"#), &["a"]);
        check(expression("zone", "NotIn", r#"["x"]"#), &["b", "c"]);
        check(expression("gpu", "Exists", "[]"), &["b"]);
        check(expression("gpu", "DoesNotExist", "[]"), &["a", "c"]);
        check(expression("cores", "Gt", r#"["8"]"#), &["b"]);
        check(expression("cores", "Lt", r#"["16"]"#), &["a"]);
        check(expression("zone", "Like", r#"["x"]"#), &[]);
    }

    #[test]
    fn terms_are_alternatives_and_fields_count() {
        check(pod("p").required_terms("[]"), &[]);
        check(pod("p").required_terms("[{}]"), &[]);
        let name = r#"{"matchFields":[{"key":"metadata.name","operator":"In","values":["c"]}]}"#;
        let zone = r#"{"matchExpressions":[{"key":"zone","operator":"In","values":["x"]},{"key":"cores","operator":"Exists"}]}"#;
        check(pod("p").required_terms(&format!("[{name},{zone}]")), &["a", "c"]);
        check(pod("p").required_terms(&format!("[{name}]")).node_selector("zone", "x"), &[]);
        let not = r#"[{"matchFields":[{"key":"metadata.name","operator":"NotIn","values":["c"]}]}]"#;
        check(pod("p").required_terms(not), &["a", "b"]);
    }

    #[test]
    fn preferred_weights_add_up_and_are_scaled() {
        let preferred = r#"[
            {"weight":30,"preference":{"matchExpressions":[{"key":"zone","operator":"In","values":["x"]}]}},
            {"weight":10,"preference":{"matchExpressions":[{"key":"cores","operator":"Exists"}]}},
            {"weight":0,"preference":{"matchExpressions":[{"key":"gpu","operator":"Exists"}]}}]"#;
        check_scores(
            &NodeAffinity,
            &nodes(),
            pod("p").preferred_terms(preferred),
            &[("a", 100), ("b", 25), ("c", 25)],
        );
        check_scores(&NodeAffinity, &nodes(), pod("p"), &[]);
    }
}
