//! The ways to put rules into the kernel: `--proxy-mode` names one of them.
//!
//! A backend turns views into rules by pure rendering and applies them atomically. It keeps what it last applied, so
//! that the next call changes only what differs; after an error it starts over by itself.

pub mod iptables;
pub mod nftables;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use client::Key;
use futures::future::BoxFuture;
use net::{Cidr, Tools};

use crate::model::{Family, NodeView, ServiceView};

/// What all backends need to know besides the cluster's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub families: Vec<Family>,
    /// Where pods live: traffic from elsewhere to a cluster IP is masqueraded. Empty: nothing is known of it.
    pub cluster_cidrs: Vec<Cidr>,
    pub masquerade_all: bool,
    /// `--iptables-masquerade-bit`: which bit of the packet mark means "masquerade".
    pub masquerade_bit: u8,
    pub node_port_addresses: NodePortAddresses,
}

/// Which of the node's addresses answer at node ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodePortAddresses {
    /// Every local address but loopback.
    All,
    /// The node's addresses from its Node object.
    Primary,
    /// The node's addresses in these ranges.
    Ranges(Vec<Cidr>),
}

/// The cluster as it is to be.
#[derive(Clone, Copy, Debug)]
pub struct Desired<'a> {
    pub node: &'a NodeView,
    /// The node's addresses as its interfaces have them, for node ports by range.
    pub local_addresses: &'a [std::net::IpAddr],
    pub service_cidrs: &'a [Cidr],
    pub services: &'a BTreeMap<Key, ServiceView>,
    /// What may differ from the last call; `None` means anything.
    pub changed: Option<&'a BTreeSet<Key>>,
}

/// What a call did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Everything was rewritten.
    pub full: bool,
    /// Lines or rules that were sent to the kernel.
    pub n_lines: usize,
}

/// One way to put rules into the kernel.
pub trait Backend: Send + fmt::Debug {
    /// Makes the kernel's rules those of `desired`: all of it or, on error, nothing.
    fn sync<'a>(&'a mut self, desired: Desired<'a>) -> BoxFuture<'a, Result<Applied, net::Error>>;

    /// Removes every rule that this kind of backend makes, whoever made it.
    fn cleanup<'a>(&'a mut self) -> BoxFuture<'a, Result<(), net::Error>>;
}

/// A backend's entry.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The value of `--proxy-mode`.
    pub name: &'static str,
    pub make: fn(Tools, &Settings) -> Box<dyn Backend>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entry").field(&self.name).finish()
    }
}

/// Every backend.
pub fn all() -> Vec<Entry> {
    vec![nftables::entry(), iptables::entry()]
}

/// The backend called `name`, or a text that names those that there are.
pub fn find(name: &str) -> Result<Entry, String> {
    all().into_iter().find(|entry| entry.name == name).ok_or_else(|| {
        let names: Vec<&str> = all().iter().map(|entry| entry.name).collect();
        format!("proxy mode {name:?} is not available; available are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_backends_file_is_in_the_list() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src/backend");
        let mut files: Vec<String> = std::fs::read_dir(dir)
            .unwrap()
            .filter_map(|e| e.unwrap().file_name().to_string_lossy().strip_suffix(".rs").map(str::to_owned))
            .collect();
        files.sort();
        let mut names: Vec<&str> = all().iter().map(|e| e.name).collect();
        names.sort_unstable();
        assert_eq!(files, names);
    }

    #[test]
    fn an_unknown_mode_is_refused_with_the_known_ones() {
        assert!(find("ipvs").unwrap_err().contains("nftables"));
        assert!(find("nftables").is_ok());
    }
}
