//! What `/proc`, `/sys` and `/etc` say about the machine.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, UdpSocket};

use super::super::{Facts, Usage};

fn text(path: &str) -> String {
    std::fs::read_to_string(path).map(|t| t.trim().to_owned()).unwrap_or_default()
}

pub(super) fn facts() -> Facts {
    let meminfo = text("/proc/meminfo");
    let machine_id = Some(text("/etc/machine-id")).filter(|t| !t.is_empty());
    let machine_id = machine_id.unwrap_or_else(|| text("/var/lib/dbus/machine-id"));
    let system_uuid = Some(text("/sys/class/dmi/id/product_uuid").to_lowercase()).filter(|t| !t.is_empty());
    Facts {
        hostname: text("/proc/sys/kernel/hostname"),
        system_uuid: system_uuid.unwrap_or_else(|| machine_id.clone()),
        machine_id,
        boot_id: text("/proc/sys/kernel/random/boot_id"),
        kernel_version: text("/proc/sys/kernel/osrelease"),
        os_image: os_image(&text("/etc/os-release")),
        architecture: match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        }
        .to_owned(),
        cpus: count_cpus(&text("/sys/devices/system/cpu/online"))
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get() as u64)),
        memory_bytes: meminfo_bytes(&meminfo, "MemTotal").unwrap_or(0),
        swap_bytes: meminfo_bytes(&meminfo, "SwapTotal").unwrap_or(0),
        hugepages: hugepages(),
        addresses: addresses(),
    }
}

pub(super) fn usage() -> io::Result<Usage> {
    let meminfo = std::fs::read_to_string("/proc/meminfo")?;
    let loadavg = std::fs::read_to_string("/proc/loadavg")?;
    // The fourth word is `running/all` threads: what upstream's threshold counts, too.
    let processes = loadavg.split(' ').nth(3).and_then(|w| w.split('/').nth(1)).and_then(|n| n.parse().ok());
    let limit = |path| text(path).parse::<u64>().unwrap_or(u64::MAX);
    Ok(Usage {
        memory_available: meminfo_bytes(&meminfo, "MemAvailable").unwrap_or(0),
        processes: processes.unwrap_or(0),
        processes_max: limit("/proc/sys/kernel/pid_max").min(limit("/proc/sys/kernel/threads-max")),
    })
}

fn os_image(os_release: &str) -> String {
    os_release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .unwrap_or_else(|| "Linux".to_owned())
}

fn meminfo_bytes(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The number of CPUs in a list such as `0-3,6`.
fn count_cpus(list: &str) -> Option<u64> {
    let mut count = 0;
    for part in list.split(',').filter(|p| !p.is_empty()) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        count += to.parse::<u64>().ok()?.checked_sub(from.parse().ok()?)? + 1;
    }
    (count > 0).then_some(count)
}

fn hugepages() -> BTreeMap<u64, u64> {
    let mut pages = BTreeMap::new();
    for entry in std::fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let size =
            name.strip_prefix("hugepages-").and_then(|n| n.strip_suffix("kB")).and_then(|n| n.parse().ok());
        if let Some(size) = size {
            let count = text(&entry.path().join("nr_hugepages").display().to_string()).parse().unwrap_or(0);
            pages.insert(size, count);
        }
    }
    pages
}

/// The address from which the default route is taken; no packet is sent. A host without one has its loopback.
fn addresses() -> Vec<IpAddr> {
    let probe = |bind: &str, to: &str| -> Option<IpAddr> {
        let socket = UdpSocket::bind(bind).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
    };
    // Documentation addresses: only their routes matter.
    let found = probe("0.0.0.0:0", "192.0.2.1:9").or_else(|| probe("[::]:0", "[2001:db8::1]:9"));
    vec![found.unwrap_or(IpAddr::from([127, 0, 0, 1]))]
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn lists_of_cpus() {
        assert_eq!(count_cpus("0-3,6"), Some(5));
        assert_eq!(count_cpus("0"), Some(1));
        assert_eq!(count_cpus("x"), None);
    }

    #[test]
    fn words_of_files() {
        assert_eq!(meminfo_bytes("MemTotal:  2 kB\nMemAvailable: 1 kB\n", "MemAvailable"), Some(1024));
        assert_eq!(
            os_image("NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
            "Debian GNU/Linux 12 (bookworm)"
        );
    }
}
