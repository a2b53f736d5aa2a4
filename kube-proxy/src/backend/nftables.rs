//! Rules for nftables, in the structure of upstream's nftables mode: a table `kube-proxy` in each family, verdict maps
//! from addresses and ports to a chain for each service port, and a chain for each endpoint.
//!
//! A Service is rendered to a [`ruleset::Fragment`]; what changes between the fragment that was applied last and the new
//! one goes to the kernel as one transaction ([`delta`]). Everything is rewritten only at the start and after an error.

pub mod delta;
pub mod render;
pub mod ruleset;

use std::collections::{BTreeMap, BTreeSet};

use client::Key;
use futures::future::BoxFuture;
use net::{Nft, Tools};

use crate::backend::{Applied, Backend, Desired, Entry, Settings};
use crate::model::Family;
use delta::Table;

/// The table's name, in each family.
pub const TABLE: &str = "kube-proxy";

pub fn entry() -> Entry {
    Entry { name: "nftables", make: |tools, settings| Box::new(Nftables::new(tools, settings)) }
}

#[derive(Debug)]
struct Nftables {
    nft: Nft,
    settings: Settings,
    /// What the kernel has; `None` when that is not known.
    applied: Option<BTreeMap<Family, Table>>,
}

impl Nftables {
    fn new(tools: Tools, settings: &Settings) -> Self {
        Self { nft: Nft::new(tools), settings: settings.clone(), applied: None }
    }

    /// The transaction that leads to `desired`, and the tables as they are after it. What was known of the kernel is
    /// taken: it counts again once the kernel has answered, also when the caller is dropped in between.
    fn plan(&mut self, desired: &Desired<'_>) -> Plan {
        let full = self.applied.is_none();
        let mut tables = self.applied.take().unwrap_or_default();
        let mut script = String::new();
        for &family in &self.settings.families {
            let table = tables.entry(family).or_default();
            let mut change = delta::Change::default();
            if full {
                script.push_str(&render::recreate(family));
            }
            table.replace(None, render::base(family, &self.settings, desired), &mut change);
            let keys: BTreeSet<Key> = match desired.changed {
                Some(changed) if !full => changed.clone(),
                _ => table.owners().chain(desired.services.keys().cloned()).collect(),
            };
            for key in keys {
                let fragment = match desired.services.get(&key) {
                    Some(service) => render::service(family, &self.settings, desired.node, service),
                    None => ruleset::Fragment::default(),
                };
                table.replace(Some(&key), fragment, &mut change);
            }
            script.push_str(&change.script(family, table));
        }
        Plan { script, tables, full }
    }
}

struct Plan {
    script: String,
    tables: BTreeMap<Family, Table>,
    full: bool,
}

impl Backend for Nftables {
    fn sync<'a>(&'a mut self, desired: Desired<'a>) -> BoxFuture<'a, Result<Applied, net::Error>> {
        Box::pin(async move {
            let plan = self.plan(&desired);
            self.nft.apply(&plan.script).await?;
            self.applied = Some(plan.tables);
            Ok(Applied { full: plan.full, n_lines: plan.script.lines().count() })
        })
    }

    fn cleanup<'a>(&'a mut self) -> BoxFuture<'a, Result<(), net::Error>> {
        Box::pin(async move {
            self.applied = None;
            for family in ["ip", "ip6"] {
                self.nft.delete_table(family, TABLE).await?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
