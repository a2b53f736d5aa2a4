//! The pod network's own rules: what leaves the pods' ranges for the outside takes the node's address.
//!
//! Traffic between pods keeps its addresses, so every range that holds pods is exempt. These rules live in a table of
//! their own: `kube-proxy`'s can come and go without them.

use std::fmt::Write as _;

use crate::cidr::Cidr;

/// The table that [`render`] fills.
pub const TABLE: &str = "gantry-pods";

/// The whole table, replacing what is there. `pods` are the ranges of this node's pods, `exempt` the destinations that
/// see pod addresses (all pods of the cluster).
///
/// Multicast and broadcast cannot be translated meaningfully and stay as they are. FORWARD is opened for pods where an
/// own chain can do so; a foreign base chain with policy drop stays in force, which no table can overrule.
pub fn render(pods: &[Cidr], exempt: &[Cidr]) -> String {
    let mut out = String::new();
    for (family, ipv6) in [("ip", false), ("ip6", true)] {
        let of_family = |list: &[Cidr]| -> Vec<String> {
            list.iter().filter(|c| c.is_ipv6() == ipv6).map(ToString::to_string).collect()
        };
        let pods = of_family(pods);
        if pods.is_empty() {
            continue;
        }
        let exempt = of_family(exempt);
        let _ = writeln!(out, "add table {family} {TABLE}");
        let _ = writeln!(out, "delete table {family} {TABLE}");
        let _ = writeln!(out, "table {family} {TABLE} {{");
        out.push_str("\tcomment \"pod traffic to the outside\"\n");
        out.push_str("\tchain postrouting {\n");
        out.push_str("\t\ttype nat hook postrouting priority srcnat; policy accept;\n");
        let pods = pods.join(", ");
        if !exempt.is_empty() {
            let _ = writeln!(
                out,
                "\t\t{family} saddr {{ {pods} }} {family} daddr {{ {} }} return",
                exempt.join(", ")
            );
        }
        let _ = writeln!(out, "\t\tfib daddr type {{ multicast, broadcast, local }} return");
        let _ = writeln!(out, "\t\t{family} saddr {{ {pods} }} masquerade");
        out.push_str("\t}\n}\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn one_table_for_each_family_that_has_pods() {
        let script = render(
            &["10.244.0.0/24".parse().unwrap()],
            &["10.244.0.0/16".parse().unwrap(), "fd00::/48".parse().unwrap()],
        );
        expect![[r#"
            add table ip gantry-pods
            delete table ip gantry-pods
            table ip gantry-pods {
            	comment "pod traffic to the outside"
            	chain postrouting {
            		type nat hook postrouting priority srcnat; policy accept;
            		ip saddr { 10.244.0.0/24 } ip daddr { 10.244.0.0/16 } return
            		fib daddr type { multicast, broadcast, local } return
            		ip saddr { 10.244.0.0/24 } masquerade
            	}
            }
        "#]]
        .assert_eq(&script);
    }
}
