//! What the node has and what it gives to pods. Pure.

use std::collections::BTreeMap;

use crate::config::KubeletConfiguration;
use crate::host::{Facts, Space};
use crate::quantity::Quantity;

/// A named amount of every resource.
pub(crate) type Amounts = BTreeMap<String, Quantity>;

/// Everything that the machine has.
pub(crate) fn capacity(facts: &Facts, space: Space, kubelet: &KubeletConfiguration) -> Amounts {
    let mut made: Amounts = [
        ("cpu", facts.cpus.to_string()),
        ("memory", kib(facts.memory_bytes)),
        ("ephemeral-storage", kib(space.bytes)),
        ("pods", kubelet.max_pods.to_string()),
    ]
    .map(|(name, amount)| (name.to_owned(), Quantity(amount)))
    .into();
    for (size, pages) in &facts.hugepages {
        made.insert(format!("hugepages-{}", page_name(*size)), Quantity(amount_of_pages(*size, *pages)));
    }
    made
}

fn kib(bytes: u64) -> String {
    format!("{}Ki", bytes / 1024)
}

/// A page size in KiB as resource names have it: `2Mi`, `1Gi`.
fn page_name(kib: u64) -> String {
    if kib.is_multiple_of(1 << 20) {
        format!("{}Gi", kib >> 20)
    } else if kib.is_multiple_of(1 << 10) {
        format!("{}Mi", kib >> 10)
    } else {
        format!("{kib}Ki")
    }
}

fn amount_of_pages(size_kib: u64, pages: u64) -> String {
    if pages == 0 { "0".to_owned() } else { format!("{}Ki", size_kib * pages) }
}

/// What pods may have: less what is reserved, and for memory and storage less what eviction keeps free. Huge pages are
/// memory that ordinary pods do not get.
pub(crate) fn allocatable(capacity: &Amounts, kubelet: &KubeletConfiguration) -> Amounts {
    let reserved = |name: &str| -> i128 {
        let of = |map: &BTreeMap<String, String>| {
            map.get(name).and_then(|q| Quantity(q.clone()).nanos()).unwrap_or(0)
        };
        of(&kubelet.system_reserved) + of(&kubelet.kube_reserved)
    };
    let hard = kubelet.eviction_hard();
    let kept = |signal: &str, of: i128| hard.get(signal).map_or(0, |t| threshold(t, of));
    let huge: i128 =
        capacity.iter().filter(|(n, _)| n.starts_with("hugepages-")).filter_map(|(_, q)| q.nanos()).sum();
    let give = |name: &str, amount: &Quantity| -> Quantity {
        let all = amount.nanos().unwrap_or(0);
        let kept = match name {
            "memory" => kept("memory.available", all) + huge,
            "ephemeral-storage" => kept("nodefs.available", all),
            _ => 0,
        };
        let taken = reserved(name) + kept;
        if taken == 0 {
            return amount.clone();
        }
        let left = (all - taken).max(0);
        match name {
            "cpu" => Quantity(format!("{}m", left / 1_000_000)),
            "memory" => Quantity(format!("{}Ki", left / 1_000_000_000 / 1024)),
            _ => Quantity((left / 1_000_000_000).to_string()),
        }
    };
    capacity.iter().map(|(name, amount)| (name.clone(), give(name, amount))).collect()
}

/// A threshold, in the unit of `all`: an amount, or a part of all in per cent.
pub(crate) fn threshold(text: &str, all: i128) -> i128 {
    match text.strip_suffix('%') {
        Some(percent) => Quantity(percent.to_owned()).nanos().map_or(0, |p| all / 100 * p / 1_000_000_000),
        None => Quantity(text.to_owned()).nanos().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_less_reserves_is_allocatable() {
        let facts =
            Facts { cpus: 2, memory_bytes: 4 << 30, hugepages: [(2048, 0)].into(), ..Facts::default() };
        let mut kubelet = KubeletConfiguration::default();
        let all = capacity(&facts, Space { bytes: 100 << 30, ..Space::default() }, &kubelet);
        assert_eq!(all["memory"].0, "4194304Ki");
        assert_eq!(all["hugepages-2Mi"].0, "0");
        let given = allocatable(&all, &kubelet);
        assert_eq!(given["memory"].0, format!("{}Ki", 4_194_304 - 102_400));
        assert_eq!(given["ephemeral-storage"].0, (90 * (1u64 << 30)).to_string());
        assert_eq!((given["cpu"].0.as_str(), given["pods"].0.as_str()), ("2", "110"));
        kubelet.kube_reserved.insert("cpu".into(), "250m".into());
        assert_eq!(allocatable(&all, &kubelet)["cpu"].0, "1750m");
    }

    #[test]
    fn names_of_page_sizes() {
        assert_eq!([page_name(64), page_name(2048), page_name(1 << 20)], ["64Ki", "2Mi", "1Gi"]);
    }
}
