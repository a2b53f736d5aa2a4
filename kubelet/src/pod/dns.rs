//! A pod's resolv.conf and /etc/hosts, by its DNS policy. Pure.

use std::fmt::Write as _;

use cri::v1::DnsConfig;

use crate::api::PodSpec;
use crate::api::pod::HostAlias;

/// Limits of resolv.conf that upstream keeps.
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_CHARS_MAX: usize = 2048;

/// What the node knows of DNS.
#[derive(Clone, Debug, Default)]
pub struct NodeDns {
    pub cluster_servers: Vec<String>,
    pub cluster_domain: String,
    /// The host's own resolv.conf, parsed.
    pub host: DnsConfig,
}

/// Reads a resolv.conf: the last `search` line wins, as in the C library.
pub fn parse_resolv_conf(text: &str) -> DnsConfig {
    let mut config = DnsConfig::default();
    for line in text.lines() {
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let (keyword, rest) = (words.next(), words.map(str::to_owned));
        match keyword {
            Some("nameserver") => config.servers.extend(rest.take(1)),
            Some("search") => config.searches = rest.collect(),
            Some("options") => config.options = rest.collect(),
            _ => {}
        }
    }
    config
}

/// The DNS configuration of a pod.
pub fn pod_dns(spec: &PodSpec, namespace: &str, node: &NodeDns) -> DnsConfig {
    let cluster_first = match spec.dns_policy.as_str() {
        "ClusterFirstWithHostNet" => true,
        "None" | "Default" => false,
        _ => !spec.host_network,
    };
    let mut config = if spec.dns_policy == "None" {
        DnsConfig::default()
    } else if cluster_first && !node.cluster_servers.is_empty() {
        let domain = &node.cluster_domain;
        let mut searches = vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()];
        if domain.is_empty() {
            searches.clear();
        }
        searches.extend(node.host.searches.iter().cloned());
        DnsConfig { servers: node.cluster_servers.clone(), searches, options: vec!["ndots:5".to_owned()] }
    } else {
        node.host.clone()
    };
    let extra = &spec.dns_config;
    config.servers.extend(extra.nameservers.iter().cloned());
    config.searches.extend(extra.searches.iter().cloned());
    for option in &extra.options {
        // The pod's own value of an option replaces the node's.
        config.options.retain(|have| have.split(':').next() != Some(&option.name));
        config.options.push(match &option.value {
            Some(value) if !value.is_empty() => format!("{}:{value}", option.name),
            _ => option.name.clone(),
        });
    }
    dedup(&mut config.servers);
    dedup(&mut config.searches);
    config.servers.truncate(NAMESERVERS_MAX);
    config.searches.truncate(SEARCHES_MAX);
    while config.searches.join(" ").len() > SEARCH_CHARS_MAX {
        config.searches.pop();
    }
    config
}

fn dedup(list: &mut Vec<String>) {
    let mut seen = std::collections::BTreeSet::new();
    list.retain(|item| seen.insert(item.clone()));
}

/// The pod's host name and domain name.
pub fn hostname(pod_name: &str, spec: &PodSpec, namespace: &str, cluster_domain: &str) -> (String, String) {
    let name = if spec.hostname.is_empty() { pod_name } else { &spec.hostname };
    // The kernel's limit, without a separator at the cut.
    let cut: String = name.chars().take(63).collect();
    let host = cut.trim_end_matches(['-', '.']).to_owned();
    let domain = if spec.subdomain.is_empty() {
        String::new()
    } else {
        format!("{}.{namespace}.svc.{cluster_domain}", spec.subdomain)
    };
    if spec.set_hostname_as_fqdn && !domain.is_empty() {
        return (format!("{host}.{domain}"), domain);
    }
    (host, domain)
}

/// A pod's /etc/hosts.
pub fn hosts_file(ips: &[String], host: &str, domain: &str, aliases: &[HostAlias]) -> String {
    let mut out = String::from(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
    );
    for ip in ips {
        let _ = match domain {
            "" => writeln!(out, "{ip}\t{host}"),
            domain => writeln!(out, "{ip}\t{host}.{domain}\t{host}"),
        };
    }
    out.push_str(&alias_lines(aliases));
    out
}

/// The node's own file with the pod's aliases, for pods on the host's network.
pub fn host_network_hosts_file(own: &str, aliases: &[HostAlias]) -> String {
    format!("# Kubernetes-managed hosts file (host network).\n{own}{}", alias_lines(aliases))
}

fn alias_lines(aliases: &[HostAlias]) -> String {
    if aliases.is_empty() {
        return String::new();
    }
    let mut out = String::from("\n# Entries added by HostAliases.\n");
    for alias in aliases {
        let _ = writeln!(out, "{}\t{}", alias.ip, alias.hostnames.join("\t"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node() -> NodeDns {
        NodeDns {
            cluster_servers: vec!["10.96.0.10".into()],
            cluster_domain: "cluster.local".into(),
            host: parse_resolv_conf(
                "# x\nnameserver 1.1.1.1 ; y\nsearch old\nsearch corp lan\noptions ndots:1\n",
            ),
        }
    }

    #[track_caller]
    fn check(spec: serde_json::Value, servers: &[&str], searches: &[&str], options: &[&str]) {
        let made = pod_dns(&serde_json::from_value(spec).unwrap(), "ns", &node());
        assert_eq!(
            (made.servers, made.searches, made.options),
            (
                servers.iter().map(|s| (*s).to_owned()).collect(),
                searches.iter().map(|s| (*s).to_owned()).collect(),
                options.iter().map(|s| (*s).to_owned()).collect(),
            )
        );
    }

    #[test]
    fn policies() {
        let cluster = ["ns.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp", "lan"];
        check(json!({"dnsPolicy": "ClusterFirst"}), &["10.96.0.10"], &cluster, &["ndots:5"]);
        check(
            json!({"dnsPolicy": "ClusterFirst", "hostNetwork": true}),
            &["1.1.1.1"],
            &["corp", "lan"],
            &["ndots:1"],
        );
        let both = json!({"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": true});
        check(both, &["10.96.0.10"], &cluster, &["ndots:5"]);
        check(json!({"dnsPolicy": "Default"}), &["1.1.1.1"], &["corp", "lan"], &["ndots:1"]);
        let none = json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["9.9.9.9"], "searches": ["x"],
            "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]}});
        check(none, &["9.9.9.9"], &["x"], &["ndots:2", "edns0"]);
        let more =
            json!({"dnsPolicy": "ClusterFirst", "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]}});
        check(more, &["10.96.0.10"], &cluster, &["ndots:2"]);
    }

    #[test]
    fn names() {
        let plain = PodSpec::default();
        assert_eq!(hostname("web-0", &plain, "ns", "d"), ("web-0".into(), String::new()));
        let sub: PodSpec = serde_json::from_value(json!({"hostname": "h", "subdomain": "s"})).unwrap();
        assert_eq!(hostname("web-0", &sub, "ns", "d"), ("h".into(), "s.ns.svc.d".into()));
        assert_eq!(hostname(&format!("{}-b", "a".repeat(62)), &plain, "ns", "d").0, "a".repeat(62));
    }

    #[test]
    fn hosts() {
        let aliases = [HostAlias { ip: "1.2.3.4".into(), hostnames: vec!["a".into(), "b".into()] }];
        let text = hosts_file(&["10.0.0.2".into()], "h", "s.ns.svc.d", &aliases);
        assert!(text.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"));
        assert!(
            text.ends_with("10.0.0.2\th.s.ns.svc.d\th\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n")
        );
    }
}
