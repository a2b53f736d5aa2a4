//! From the fragments that the kernel has to the new ones, in one transaction.
//!
//! The order of commands matters inside a transaction: a chain must exist before something leads to it and be
//! empty and unreferenced before it goes; an element is removed before it is added with another verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use client::Key;

use super::TABLE;
use super::ruleset::{Element, Fragment, Verdict};
use crate::backend::nftables::render::family_name;
use crate::model::Family;

/// Who owns a fragment; the frame has no key.
type Owner = Option<Key>;

/// The table as the kernel has it.
#[derive(Clone, Debug, Default)]
pub struct Table {
    fragments: BTreeMap<Owner, Fragment>,
    /// Two Services may claim the same external address and port: the first by name has it, and the other gets it when
    /// the first lets go.
    claims: BTreeMap<Element, BTreeMap<Owner, Verdict>>,
}

/// What differs so far.
#[derive(Debug, Default)]
pub struct Change {
    new_chains: BTreeMap<String, &'static str>,
    /// Chains that were there and lose their rules, to get others or to go.
    flushed: BTreeSet<String>,
    gone_chains: BTreeSet<String>,
    rules: BTreeMap<String, Vec<String>>,
    gone_sets: BTreeSet<String>,
    new_sets: BTreeMap<String, String>,
    /// Elements that may differ, with what the kernel has.
    touched: BTreeMap<Element, Option<Verdict>>,
}

impl Table {
    /// The Services that have something in the table.
    pub fn owners(&self) -> impl Iterator<Item = Key> {
        self.fragments.keys().flatten().cloned()
    }

    fn effective(&self, element: &Element) -> Option<&Verdict> {
        self.claims.get(element)?.values().next()
    }

    /// Puts `new` in the place of what `owner` has, and notes the difference.
    pub fn replace(&mut self, owner: Option<&Key>, new: Fragment, change: &mut Change) {
        let owner: Owner = owner.cloned();
        let old = self.fragments.remove(&owner).unwrap_or_default();
        change.note_chains(&old, &new);
        change.note_sets(&old, &new);
        for (element, verdict) in &old.elements {
            if new.elements.get(element) != Some(verdict) {
                self.touch(element, change);
                if let Some(claims) = self.claims.get_mut(element) {
                    claims.remove(&owner);
                    if claims.is_empty() {
                        self.claims.remove(element);
                    }
                }
            }
        }
        for (element, verdict) in &new.elements {
            if old.elements.get(element) != Some(verdict) {
                self.touch(element, change);
                self.claims.entry(element.clone()).or_default().insert(owner.clone(), verdict.clone());
            }
        }
        if new != Fragment::default() {
            self.fragments.insert(owner, new);
        }
    }

    /// Remembers what the kernel has, before the first change to the element.
    fn touch(&self, element: &Element, change: &mut Change) {
        if !change.touched.contains_key(element) {
            change.touched.insert(element.clone(), self.effective(element).cloned());
        }
    }
}

impl Change {
    fn note_chains(&mut self, old: &Fragment, new: &Fragment) {
        for (name, chain) in &new.chains {
            match old.chains.get(name) {
                Some(same) if same == chain => continue,
                Some(_) => {
                    self.flushed.insert(name.clone());
                }
                None => {
                    self.new_chains.insert(name.clone(), chain.hook);
                }
            }
            self.rules.insert(name.clone(), chain.rules.clone());
        }
        for name in old.chains.keys().filter(|name| !new.chains.contains_key(*name)) {
            self.flushed.insert(name.clone());
            self.gone_chains.insert(name.clone());
        }
    }

    fn note_sets(&mut self, old: &Fragment, new: &Fragment) {
        for (name, definition) in &old.sets {
            if new.sets.get(name) != Some(definition) {
                self.gone_sets.insert(name.clone());
            }
        }
        for (name, definition) in &new.sets {
            if old.sets.get(name) != Some(definition) {
                self.new_sets.insert(name.clone(), definition.clone());
            }
        }
        // A set with a new definition (another timeout) is made anew; the rules that name it are written again, as
        // no set goes while a rule holds it.
        for (name, chain) in &new.chains {
            let holds = |rule: &String| {
                rule.split_whitespace()
                    .any(|w| w.strip_prefix('@').is_some_and(|w| self.gone_sets.contains(w)))
            };
            if old.chains.contains_key(name) && chain.rules.iter().any(holds) {
                self.flushed.insert(name.clone());
                self.rules.insert(name.clone(), chain.rules.clone());
            }
        }
    }

    /// The commands for nft; empty when nothing differs.
    pub fn script(&self, family: Family, table: &Table) -> String {
        let at = format!("{} {TABLE}", family_name(family));
        let mut out = String::new();
        for (name, hook) in &self.new_chains {
            let _ = match *hook {
                "" => writeln!(out, "add chain {at} {name}"),
                hook => writeln!(out, "add chain {at} {name} {{ {hook} ; }}"),
            };
        }
        for name in &self.flushed {
            let _ = writeln!(out, "flush chain {at} {name}");
        }
        let (mut removed, mut added) = (String::new(), String::new());
        for (element, old) in &self.touched {
            let (set, key) = (element.set, &element.key);
            let new = table.effective(element);
            if old.as_ref() == new {
                continue;
            }
            if old.is_some() {
                let _ = writeln!(removed, "delete element {at} {set} {{ {key} }}");
            }
            match new.map(String::as_str) {
                None => {}
                Some("") => {
                    let _ = writeln!(added, "add element {at} {set} {{ {key} }}");
                }
                Some(verdict) => {
                    let _ = writeln!(added, "add element {at} {set} {{ {key} : {verdict} }}");
                }
            }
        }
        out.push_str(&removed);
        for name in &self.gone_chains {
            let _ = writeln!(out, "delete chain {at} {name}");
        }
        for name in &self.gone_sets {
            let _ = writeln!(out, "delete set {at} {name}");
        }
        for (name, definition) in &self.new_sets {
            let kind = if definition.contains(": verdict") { "map" } else { "set" };
            let _ = writeln!(out, "add {kind} {at} {name} {{ {definition} }}");
        }
        for (name, rules) in &self.rules {
            for rule in rules {
                let _ = writeln!(out, "add rule {at} {name} {rule}");
            }
        }
        out.push_str(&added);
        out
    }
}
