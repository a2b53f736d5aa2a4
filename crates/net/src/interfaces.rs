//! The addresses of this network namespace's interfaces, by one system call and without a socket to keep.

use std::net::IpAddr;

/// Every IP address of every interface, in the kernel's order. Empty when the kernel does not tell.
pub fn interface_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let address = |storage: nix::sys::socket::SockaddrStorage| match (
        storage.as_sockaddr_in(),
        storage.as_sockaddr_in6(),
    ) {
        (Some(v4), _) => Some(IpAddr::V4(v4.ip())),
        (_, Some(v6)) => Some(IpAddr::V6(v6.ip())),
        _ => None,
    };
    interfaces.filter_map(|i| i.address).filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn loopback_is_there() {
        assert!(super::interface_addresses().contains(&"127.0.0.1".parse().unwrap()));
    }
}
