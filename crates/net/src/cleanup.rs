//! Removes what the node's network made: rule tables, pod links, the CNI configuration and its address notes.
//!
//! Everything is found by name or by address, not by memory: `down` works after a crash and from another process.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::error::Error;
use crate::netlink::Netlink;
use crate::nft::Nft;
use crate::tool::Tools;
use crate::{cni, conntrack, masquerade};

/// What to look for.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// nftables tables as (family, name), besides the pod network's own: `kube-proxy`'s.
    pub tables: Vec<(String, String)>,
    /// Interfaces whose name starts so are ours.
    pub link_prefixes: Vec<String>,
    /// The gateway addresses of the pod ranges: `ptp` gives each host end of a pod's link the gateway address.
    pub gateways: Vec<IpAddr>,
    /// Where the network list was written.
    pub cni_dir: Option<PathBuf>,
    /// host-local's notes.
    pub ipam_dir: Option<PathBuf>,
}

/// Removes all of it. Goes on after an error and returns every one: half a removal is worse than a late complaint.
pub async fn cleanup(state: &State, tools: &Tools, netlink: Option<&Netlink>) -> Vec<Error> {
    let mut errors = Vec::new();
    errors.extend(remove_tables(state, tools).await);
    if let Some(netlink) = netlink {
        errors.extend(remove_links(state, netlink).await);
    }
    errors.extend(remove_portmap_rules(tools).await);
    if let Some(dir) = &state.cni_dir {
        let path = dir.join(cni::FILE_NAME);
        errors.extend(absent_is_fine("remove", &path, std::fs::remove_file(&path)));
    }
    if let Some(dir) = &state.ipam_dir {
        errors.extend(absent_is_fine("remove", dir, std::fs::remove_dir_all(dir)));
    }
    errors
}

async fn remove_tables(state: &State, tools: &Tools) -> Vec<Error> {
    let nft = Nft::new(tools.clone());
    let present = match nft.tables().await {
        Ok(present) => present,
        // Without the program nothing was made.
        Err(e) if e.is_missing_tool() => return Vec::new(),
        Err(e) => return vec![e],
    };
    let mut errors = Vec::new();
    let ours = |family: &String, name: &String| {
        name == masquerade::TABLE || state.tables.iter().any(|(f, n)| f == family && n == name)
    };
    for (family, name) in present.iter().filter(|(f, n)| ours(f, n)) {
        errors.extend(nft.delete_table(family, name).await.err());
    }
    errors
}

async fn remove_links(state: &State, netlink: &Netlink) -> Vec<Error> {
    let (links, addresses) = match (netlink.links().await, netlink.addresses().await) {
        (Ok(links), Ok(addresses)) => (links, addresses),
        (links, addresses) => return links.err().into_iter().chain(addresses.err()).collect(),
    };
    let mut errors = Vec::new();
    for link in links {
        let named = state.link_prefixes.iter().any(|p| !p.is_empty() && link.name.starts_with(p.as_str()));
        let is_pod_link = link.kind == "veth"
            && addresses.iter().any(|a| a.link == link.index && state.gateways.contains(&a.address));
        if named || is_pod_link {
            errors.extend(netlink.delete_link(link.index).await.err());
        }
    }
    errors
}

/// `portmap` leaves its empty top chains behind when the last pod with a host port goes. They are removed only when
/// they are empty: another CNI user of the host may have rules in them.
async fn remove_portmap_rules(tools: &Tools) -> Vec<Error> {
    const CHAINS: [&str; 3] = ["CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-MASQ", "CNI-HOSTPORT-SETMARK"];
    let mut errors = Vec::new();
    for ipv6 in [false, true] {
        let program = if ipv6 { "ip6tables" } else { "iptables" };
        let save = match tools.run(&format!("{program}-save"), &["-t", "nat"], Vec::new()).await {
            Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
            // No iptables, or a kernel without it: nothing of ours can be there.
            Err(_) => continue,
        };
        for arguments in portmap_removals(&save, &CHAINS) {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            errors.extend(tools.run(program, &arguments, Vec::new()).await.err());
        }
        errors.extend(remove_empty_nat_table(tools, if ipv6 { "ip6" } else { "ip" }).await);
    }
    errors
}

/// iptables on nftables leaves its `nat` table behind with chains that hold nothing. It means nothing to the kernel, and
/// iptables makes it again when it needs it; a table with a single rule in it stays.
async fn remove_empty_nat_table(tools: &Tools, family: &str) -> Option<Error> {
    let nft = Nft::new(tools.clone());
    // Absent, or no nft on this host: nothing to remove.
    let text = nft.list_table(family, "nat").await.ok()?;
    if is_empty_nat_table(&text) { nft.delete_table(family, "nat").await.err() } else { None }
}

/// Whether a listed table holds nothing but base chains without rules that accept everything.
fn is_empty_nat_table(text: &str) -> bool {
    text.lines().map(str::trim).all(|line| {
        line.is_empty()
            || line == "}"
            || line.starts_with("table ")
            || line.starts_with("chain ")
            || (line.starts_with("type nat hook ") && line.ends_with("policy accept;"))
            // What nft itself remarks about tables that iptables made.
            || line.starts_with('#')
    })
}

/// The iptables calls that remove portmap's chains, given a table in the format of iptables-save.
fn portmap_removals(save: &str, chains: &[&str]) -> Vec<Vec<String>> {
    // A rule of DNAT leads into a pod's own chain: somebody still has a host port.
    if save.lines().any(|l| l.starts_with("-A CNI-HOSTPORT-DNAT ")) {
        return Vec::new();
    }
    let present = |chain: &str| save.lines().any(|l| l.starts_with(&format!(":{chain} ")));
    let mut jumps = Vec::new();
    let mut removals = Vec::new();
    for chain in chains.iter().filter(|chain| present(chain)) {
        for line in save.lines().filter(|l| l.starts_with("-A ") && l.contains(&format!("-j {chain}"))) {
            let rule = line.replacen("-A ", "-D ", 1);
            let words = std::iter::once("-t").chain(["nat"]).map(str::to_owned).chain(split_rule(&rule));
            jumps.push(words.collect());
        }
        removals.push(["-t", "nat", "-F", chain].map(str::to_owned).to_vec());
        removals.push(["-t", "nat", "-X", chain].map(str::to_owned).to_vec());
    }
    jumps.extend(removals);
    jumps
}

/// Splits a rule of iptables-save into arguments; comments stand in double quotes.
fn split_rule(rule: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in rule.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

fn absent_is_fine(
    operation: &'static str,
    path: &std::path::Path,
    result: std::io::Result<()>,
) -> Option<Error> {
    match result {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Some(Error::File { operation, path: path.to_owned(), source })
        }
        _ => None,
    }
}

/// Deletes the UDP entries of `services`: after `down` nobody translates them.
pub async fn forget_flows(tools: &Tools, services: &[IpAddr]) -> Result<(), Error> {
    let flushes: Vec<_> = services.iter().map(|&service| conntrack::Flush::Service { service }).collect();
    conntrack::flush_udp(tools, &flushes).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_nat_table_without_rules_goes() {
        let empty = "table ip nat {\n\tchain OUTPUT {\n\t\ttype nat hook output priority -100; policy accept;\n\t}\n}\n";
        assert!(is_empty_nat_table(empty));
        assert!(is_empty_nat_table("table ip6 nat {\n}\n"));
        assert!(!is_empty_nat_table(
            &empty.replace("accept;\n", "accept;\n\t\tcounter packets 0 bytes 0 jump X\n")
        ));
        assert!(!is_empty_nat_table(&empty.replace("policy accept", "policy drop")));
    }

    #[test]
    fn portmap_chains_go_only_when_nobody_has_a_host_port() {
        let chains = ["CNI-HOSTPORT-DNAT"];
        let idle = ":CNI-HOSTPORT-DNAT - [0:0]\n\
            -A PREROUTING -m addrtype --dst-type LOCAL -m comment --comment \"a b\" -j CNI-HOSTPORT-DNAT\n";
        let removals: Vec<String> = portmap_removals(idle, &chains).iter().map(|r| r.join("|")).collect();
        assert_eq!(
            removals,
            [
                "-t|nat|-D|PREROUTING|-m|addrtype|--dst-type|LOCAL|-m|comment|--comment|a b|-j|CNI-HOSTPORT-DNAT",
                "-t|nat|-F|CNI-HOSTPORT-DNAT",
                "-t|nat|-X|CNI-HOSTPORT-DNAT",
            ]
        );
        let busy = format!("{idle}-A CNI-HOSTPORT-DNAT -p tcp -j CNI-DN-1234\n");
        assert!(portmap_removals(&busy, &chains).is_empty());
    }
}
