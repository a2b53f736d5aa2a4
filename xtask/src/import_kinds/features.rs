//! The table of feature gates: a line per gate, an indented line per version in which its state changed.

use std::fmt::Write as _;

use super::sources::Feature;

pub(super) fn render(features: &[Feature]) -> String {
    let mut text = super::header();
    for feature in features {
        writeln!(text, "{}", feature.name).expect("writing to a string");
        for spec in &feature.specs {
            let stage = if spec.pre_release.is_empty() { "GA" } else { &spec.pre_release };
            let default = if spec.default { "on" } else { "off" };
            let locked = if spec.lock_to_default { " locked" } else { "" };
            writeln!(text, "  {} {stage} {default}{locked}", spec.version).expect("writing to a string");
        }
    }
    text
}
