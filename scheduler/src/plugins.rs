//! The plugins, one file each, under upstream's names.

pub mod node_affinity;
pub mod node_name;
pub mod node_ports;
pub mod node_resources_balanced_allocation;
pub mod node_resources_fit;
pub mod node_unschedulable;
pub mod priority_sort;
pub mod scheduling_gates;
pub mod taint_toleration;

use crate::bits::BitSet;
use crate::framework::{Entry, Plugin, SCORE_MAX};

/// Every plugin in upstream's order, which is that of filtering (the first to turn a node down gives the reason), with
/// upstream's default weight.
pub fn all() -> Vec<Entry> {
    fn entry(plugin: impl Plugin + 'static, weight: i64) -> Entry {
        Entry { plugin: Box::new(plugin), weight }
    }
    vec![
        entry(scheduling_gates::SchedulingGates, 0),
        entry(priority_sort::PrioritySort, 0),
        entry(node_unschedulable::NodeUnschedulable, 0),
        entry(node_name::NodeName, 0),
        entry(taint_toleration::TaintToleration, 3),
        entry(node_affinity::NodeAffinity, 2),
        entry(node_ports::NodePorts, 0),
        entry(node_resources_fit::NodeResourcesFit, 1),
        entry(node_resources_balanced_allocation::NodeResourcesBalancedAllocation, 1),
    ]
}

/// Upstream's DefaultNormalizeScore: scales so that the highest becomes [`SCORE_MAX`]; `reverse` turns the order round.
fn normalize(scores: &mut [i64], feasible: &BitSet, reverse: bool) {
    let max = feasible.iter().map(|slot| scores[slot]).max().unwrap_or(0);
    for slot in feasible.iter() {
        let scaled = if max == 0 { 0 } else { SCORE_MAX * scores[slot] / max };
        scores[slot] = if reverse { SCORE_MAX - scaled } else { scaled };
    }
}

/// A column for scores of `feasible` nodes.
fn score_column(feasible: &BitSet) -> Vec<i64> {
    vec![0; feasible.iter().last().map_or(0, |slot| slot + 1)]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// `NodeResourcesFit` → `node_resources_fit`.
    fn file_name(plugin: &str) -> String {
        let mut name = String::new();
        for c in plugin.chars() {
            if c.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(c.to_ascii_lowercase());
        }
        name
    }

    #[test]
    fn the_list_names_every_file() {
        let mut listed: Vec<String> = super::all().iter().map(|e| file_name(e.plugin.name())).collect();
        listed.sort();
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plugins");
        let mut files: Vec<String> = std::fs::read_dir(dir)
            .unwrap()
            .map(|f| f.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        files.sort();
        assert_eq!(listed, files);
    }
}
