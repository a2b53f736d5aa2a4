//! Rules for iptables, in the structure of upstream's iptables mode: the default of `--proxy-mode`.
//!
//! Everything is rendered at each change and handed to `iptables-restore --noflush`, which replaces the named chains of a
//! table at once; an unchanged text is not sent again. Chains of endpoints that went are removed in the same call.

pub mod render;

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;
use net::Tools;
use net::iptables::Iptables;

use crate::backend::{Applied, Backend, Desired, Entry, Settings};
use crate::model::Family;

pub fn entry() -> Entry {
    Entry { name: "iptables", make: |tools, settings| Box::new(Rules::new(tools, settings)) }
}

#[derive(Debug)]
struct Rules {
    tools: Tools,
    settings: Settings,
    applied: BTreeMap<Family, Kernel>,
}

/// What the kernel has of one family.
#[derive(Debug, Default)]
struct Kernel {
    text: String,
    chains: BTreeSet<render::ChainName>,
}

/// (table, chain, rule): the places where the kernel's own chains lead into ours.
type Jump = (&'static str, &'static str, &'static [&'static str]);

const JUMPS: &[Jump] = &[
    ("filter", "INPUT", &["-m", "conntrack", "--ctstate", "NEW", "-j", "KUBE-EXTERNAL-SERVICES"]),
    ("filter", "FORWARD", &["-m", "conntrack", "--ctstate", "NEW", "-j", "KUBE-EXTERNAL-SERVICES"]),
    ("filter", "FORWARD", &["-m", "conntrack", "--ctstate", "NEW", "-j", "KUBE-SERVICES"]),
    ("filter", "OUTPUT", &["-m", "conntrack", "--ctstate", "NEW", "-j", "KUBE-SERVICES"]),
    ("filter", "FORWARD", &["-j", "KUBE-FORWARD"]),
    ("filter", "INPUT", &["-m", "conntrack", "--ctstate", "NEW", "-j", "KUBE-PROXY-FIREWALL"]),
    ("filter", "OUTPUT", &["-m", "conntrack", "--ctstate", "NEW", "-j", "KUBE-PROXY-FIREWALL"]),
    ("filter", "FORWARD", &["-m", "conntrack", "--ctstate", "NEW", "-j", "KUBE-PROXY-FIREWALL"]),
    ("nat", "OUTPUT", &["-j", "KUBE-SERVICES"]),
    ("nat", "PREROUTING", &["-j", "KUBE-SERVICES"]),
    ("nat", "POSTROUTING", &["-j", "KUBE-POSTROUTING"]),
];

impl Rules {
    fn new(tools: Tools, settings: &Settings) -> Self {
        Self { tools, settings: settings.clone(), applied: BTreeMap::new() }
    }

    fn iptables(&self, family: Family) -> Iptables {
        Iptables::new(self.tools.clone(), family == Family::V6)
    }

    /// The chains that an earlier run left: of ours, by name.
    async fn existing(&self, iptables: &Iptables) -> Result<BTreeSet<render::ChainName>, net::Error> {
        let mut chains = BTreeSet::new();
        for table in ["nat", "filter"] {
            let save = iptables.save(table).await?;
            chains.extend(render::chains_of(table, &save));
        }
        Ok(chains)
    }

    async fn sync_family(&mut self, family: Family, desired: &Desired<'_>) -> Result<Applied, net::Error> {
        let iptables = self.iptables(family);
        let rules = render::render(family, &self.settings, desired);
        let known = self.applied.remove(&family);
        let full = known.is_none();
        let kernel = match known {
            Some(kernel) => kernel,
            None => Kernel { text: String::new(), chains: self.existing(&iptables).await? },
        };
        let text = rules.text(&kernel.chains);
        if text != kernel.text {
            iptables.restore(&text).await?;
        }
        if full {
            for (table, chain, rule) in JUMPS {
                iptables.ensure_first(table, chain, rule).await?;
            }
        }
        let n_lines = if text == kernel.text { 0 } else { text.lines().count() };
        // Without the removals: they are done.
        let kernel = Kernel { text: rules.text(&BTreeSet::new()), chains: rules.chains() };
        self.applied.insert(family, kernel);
        Ok(Applied { full, n_lines })
    }
}

impl Backend for Rules {
    fn sync<'a>(&'a mut self, desired: Desired<'a>) -> BoxFuture<'a, Result<Applied, net::Error>> {
        Box::pin(async move {
            let mut all = Applied::default();
            for family in self.settings.families.clone() {
                let applied = self.sync_family(family, &desired).await?;
                all.full |= applied.full;
                all.n_lines += applied.n_lines;
            }
            Ok(all)
        })
    }

    fn cleanup<'a>(&'a mut self) -> BoxFuture<'a, Result<(), net::Error>> {
        Box::pin(async move {
            self.applied.clear();
            for family in Family::ALL {
                let iptables = self.iptables(family);
                let chains = match self.existing(&iptables).await {
                    Ok(chains) => chains,
                    // No iptables, or none for this family: nothing of ours can be there.
                    Err(_) => continue,
                };
                for (table, chain, rule) in JUMPS {
                    iptables.remove(table, chain, rule).await?;
                }
                iptables.restore(&render::removal(&chains)).await?;
            }
            Ok(())
        })
    }
}
