//! A range of addresses, counted through.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Upstream counts at most this many addresses of an IPv6 range; larger ones are used up to here.
const MAX_BITS: u32 = 64;

/// A network in CIDR form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    base: IpAddr,
    prefix: u8,
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl Cidr {
    /// Reads `10.96.0.0/16`; bits beyond the prefix are dropped.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (ip, prefix) =
            apimachinery::names::parse_cidr(text).ok_or_else(|| format!("invalid CIDR address: {text}"))?;
        Ok(Self { base: masked(ip, prefix), prefix })
    }

    pub fn is_v4(&self) -> bool {
        self.base.is_ipv4()
    }

    pub fn contains(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.is_v4() && masked(ip, self.prefix) == self.base
    }

    /// Addresses that can be given away: without the network's own and, for IPv4, the broadcast address. They are
    /// `nth(1)` to `nth(size())`.
    pub fn size(&self) -> u64 {
        let width = if self.is_v4() { 32 } else { 128 };
        let bits = (width - u32::from(self.prefix)).min(MAX_BITS - 1);
        let all = 1u64 << bits;
        all.saturating_sub(if self.is_v4() { 2 } else { 1 })
    }

    /// The address at `offset` from the network's.
    pub fn nth(&self, offset: u64) -> IpAddr {
        match self.base {
            IpAddr::V4(ip) => {
                let offset = u32::try_from(offset).unwrap_or(u32::MAX);
                Ipv4Addr::from(u32::from(ip).wrapping_add(offset)).into()
            }
            IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip).wrapping_add(u128::from(offset))).into(),
        }
    }

    /// How many addresses at the start of the range are left to explicit requests: a sixteenth, at least 16 and at
    /// most 256, none in ranges that small.
    pub fn static_band(&self) -> u64 {
        band(self.size(), 16, 16, 256)
    }
}

/// Upstream's size of a static band: `size / step` within the bounds, none when the range is no larger than `min`.
pub(super) fn band(size: u64, step: u64, min: u64, max: u64) -> u64 {
    if size <= min { 0 } else { (size / step).clamp(min, max) }
}

fn masked(ip: IpAddr, prefix: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            Ipv4Addr::from(u32::from(ip) & mask).into()
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            Ipv6Addr::from(u128::from(ip) & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_count_as_upstream() {
        let cidr = Cidr::parse("10.96.0.0/16").unwrap();
        assert_eq!((cidr.size(), cidr.static_band()), (65_534, 256));
        assert_eq!(cidr.nth(1).to_string(), "10.96.0.1");
        assert!(cidr.contains("10.96.255.1".parse().unwrap()));
        assert!(!cidr.contains("10.97.0.1".parse().unwrap()));
        let small = Cidr::parse("10.0.0.0/28").unwrap();
        assert_eq!((small.size(), small.static_band()), (14, 0));
        let v6 = Cidr::parse("fd00::/108").unwrap();
        assert_eq!((v6.static_band(), v6.nth(1).to_string()), (256, "fd00::1".to_owned()));
        assert!(!v6.contains("10.0.0.1".parse().unwrap()));
    }
}
