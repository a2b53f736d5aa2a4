//! Address ranges such as `10.244.0.0/24`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::error::Error;

/// A range of addresses; the address keeps its host bits only through [`Cidr::new`], not through parsing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// The range of `prefix` bits around `address`. `None` when the prefix is longer than the address.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= bits).then_some(Self { address: mask(address, prefix), prefix })
    }

    /// The lowest address.
    pub fn network(&self) -> IpAddr {
        self.address
    }

    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    pub fn is_ipv6(&self) -> bool {
        self.address.is_ipv6()
    }

    /// `0.0.0.0/0` and `::/0`.
    pub fn is_everything(&self) -> bool {
        self.prefix == 0
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && mask(address, self.prefix) == self.address
    }

    /// The `n`th address of the range (0 is the network itself); `None` beyond its end.
    pub fn nth(&self, n: u32) -> Option<IpAddr> {
        let address = match self.address {
            IpAddr::V4(a) => IpAddr::V4(Ipv4Addr::from_bits(a.to_bits().checked_add(n)?)),
            IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from_bits(a.to_bits().checked_add(n.into())?)),
        };
        self.contains(address).then_some(address)
    }
}

fn mask(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(a) => {
            let keep = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(a.to_bits() & keep))
        }
        IpAddr::V6(a) => {
            let keep = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() & keep))
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let error = |why| Error::Cidr { text: text.to_owned(), why };
        let (address, prefix) = text.split_once('/').ok_or_else(|| error("no prefix length"))?;
        let address: IpAddr = address.parse().map_err(|_| error("not an IP address"))?;
        let prefix: u8 = prefix.parse().map_err(|_| error("the prefix length is no number"))?;
        Self::new(address, prefix).ok_or_else(|| error("the prefix is longer than the address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_contains(range: &str, address: &str, expected: bool) {
        let range: Cidr = range.parse().unwrap();
        assert_eq!(range.contains(address.parse().unwrap()), expected, "{range} {address}");
    }

    #[test]
    fn ranges_contain_their_own_family_only() {
        check_contains("10.244.0.0/24", "10.244.0.255", true);
        check_contains("10.244.0.0/24", "10.244.1.0", false);
        check_contains("0.0.0.0/0", "192.0.2.1", true);
        check_contains("0.0.0.0/0", "::1", false);
        check_contains("::/0", "::1", true);
        check_contains("fd00::/64", "fd00::1:2:3:4", true);
        check_contains("fd00::/64", "fd00:0:0:1::", false);
        check_contains("192.0.2.1/32", "192.0.2.1", true);
        check_contains("192.0.2.1/32", "192.0.2.2", false);
    }

    #[test]
    fn parsing_drops_host_bits_and_names_mistakes() {
        assert_eq!("10.244.3.7/24".parse::<Cidr>().unwrap().to_string(), "10.244.3.0/24");
        for bad in ["10.0.0.0", "10.0.0.0/33", "x/8", "10.0.0.0/x", "::/129"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn nth_stays_inside() {
        let range: Cidr = "10.244.0.0/30".parse().unwrap();
        assert_eq!(range.nth(1), Some("10.244.0.1".parse().unwrap()));
        assert_eq!(range.nth(4), None);
    }
}
