//! What one owner (a Service, or the table's frame) puts into the table, as data that can be compared.

use std::collections::BTreeMap;

/// Chains, sets and elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    pub chains: BTreeMap<String, Chain>,
    /// Sets and maps by name, with their definition in nft's words.
    pub sets: BTreeMap<String, String>,
    /// Elements of sets and maps.
    pub elements: BTreeMap<Element, Verdict>,
}

/// A chain and its rules in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// `type … hook … priority …` of a base chain; empty for others.
    pub hook: &'static str,
    pub rules: Vec<String>,
}

/// An element's place: the set or map, and the key in nft's words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    pub set: &'static str,
    pub key: String,
}

/// Where a map's element leads; empty in a plain set.
pub type Verdict = String;

impl Fragment {
    pub fn chain(&mut self, name: impl Into<String>, rules: Vec<String>) {
        self.chains.insert(name.into(), Chain { hook: "", rules });
    }

    pub fn hook(&mut self, name: &str, hook: &'static str, rules: Vec<String>) {
        self.chains.insert(name.to_owned(), Chain { hook, rules });
    }

    pub fn element(&mut self, set: &'static str, key: impl Into<String>, verdict: impl Into<String>) {
        self.elements.insert(Element { set, key: key.into() }, verdict.into());
    }
}
