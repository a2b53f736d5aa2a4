//! Control groups of pods: their names, their limits and the files that say so in cgroup v1 and v2. Pure; the host writes
//! the files.

/// CPU shares of one CPU.
const SHARES_PER_CPU: i64 = 1024;
pub const SHARES_MIN: u64 = 2;
const SHARES_MAX: i64 = 262_144;
/// Quotas below 1 ms are refused by the kernel.
const QUOTA_MIN: i64 = 1000;

/// What a group may use; `None` leaves a value as the kernel made it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupLimits {
    pub cpu_shares: Option<u64>,
    /// Microseconds per period; -1 is no limit.
    pub cpu_quota: Option<i64>,
    pub cpu_period: Option<u64>,
    pub memory_bytes: Option<i64>,
    pub pids: Option<i64>,
}

/// Shares for so many thousandths of a CPU, as upstream's `MilliCPUToShares`.
pub fn shares(milli_cpu: i64) -> u64 {
    if milli_cpu <= 0 {
        return SHARES_MIN;
    }
    u64::try_from((milli_cpu.saturating_mul(SHARES_PER_CPU) / 1000).min(SHARES_MAX))
        .unwrap_or(SHARES_MIN)
        .max(SHARES_MIN)
}

/// The quota that goes with a limit, as upstream's `MilliCPUToQuota`; 0 is no limit.
pub fn quota(milli_cpu: i64, period_micros: i64) -> i64 {
    if milli_cpu <= 0 {
        return 0;
    }
    (milli_cpu.saturating_mul(period_micros) / 1000).max(QUOTA_MIN)
}

/// The v2 weight that runc uses for v1 shares.
pub fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

/// (controller, file, value) of the limits in v1.
pub fn v1_files(limits: &CgroupLimits) -> Vec<(&'static str, &'static str, String)> {
    let mut files = Vec::new();
    if let Some(shares) = limits.cpu_shares {
        files.push(("cpu", "cpu.shares", shares.to_string()));
    }
    if let Some(period) = limits.cpu_period {
        files.push(("cpu", "cpu.cfs_period_us", period.to_string()));
    }
    if let Some(quota) = limits.cpu_quota {
        files.push(("cpu", "cpu.cfs_quota_us", quota.to_string()));
    }
    if let Some(memory) = limits.memory_bytes {
        files.push(("memory", "memory.limit_in_bytes", memory.to_string()));
    }
    if let Some(pids) = limits.pids {
        files.push(("pids", "pids.max", if pids < 0 { "max".to_owned() } else { pids.to_string() }));
    }
    files
}

/// (file, value) of the limits in v2.
pub fn v2_files(limits: &CgroupLimits) -> Vec<(&'static str, String)> {
    let mut files = Vec::new();
    if let Some(shares) = limits.cpu_shares {
        files.push(("cpu.weight", weight(shares).to_string()));
    }
    if let Some(quota) = limits.cpu_quota {
        let quota = if quota < 0 { "max".to_owned() } else { quota.to_string() };
        files.push(("cpu.max", format!("{quota} {}", limits.cpu_period.unwrap_or(100_000))));
    }
    if let Some(memory) = limits.memory_bytes {
        files.push(("memory.max", if memory < 0 { "max".to_owned() } else { memory.to_string() }));
    }
    if let Some(pids) = limits.pids {
        files.push(("pids.max", if pids < 0 { "max".to_owned() } else { pids.to_string() }));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_are_upstreams() {
        assert_eq!([shares(0), shares(1), shares(500), shares(2000)], [2, 2, 512, 2048]);
        assert_eq!([quota(0, 100_000), quota(1, 100_000), quota(250, 100_000)], [0, 1000, 25_000]);
        assert_eq!([weight(2), weight(1024), weight(262_144)], [1, 39, 10_000]);
    }

    #[test]
    fn files_of_both_versions() {
        let limits = CgroupLimits {
            cpu_shares: Some(512),
            cpu_quota: Some(50_000),
            cpu_period: Some(100_000),
            memory_bytes: Some(1 << 20),
            pids: Some(-1),
        };
        assert!(v1_files(&limits).contains(&("memory", "memory.limit_in_bytes", "1048576".to_owned())));
        assert!(v2_files(&limits).contains(&("cpu.max", "50000 100000".to_owned())));
        assert!(
            v1_files(&CgroupLimits::default()).is_empty() && v2_files(&CgroupLimits::default()).is_empty()
        );
    }
}
