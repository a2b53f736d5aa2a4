//! The name servers of a resolv.conf file.

use std::net::{IpAddr, SocketAddr};

/// The servers in the file's order, each once. Lines that are no servers are passed over, as the resolver does.
pub fn parse(text: &str) -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some("nameserver"), Some(address)) = (words.next(), words.next()) else { continue };
        // A zone (`fe80::1%eth0`) is the host's affair; without its interface such a server cannot be asked.
        let Ok(address) = address.parse::<IpAddr>() else { continue };
        let server = SocketAddr::new(address, 53);
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_in_order() {
        let text = "# comment\nsearch lan\nnameserver 192.0.2.1\nnameserver  2001:db8::1\noptions ndots:5\n\
            nameserver 192.0.2.1\nnameserver fe80::1%eth0\n;nameserver 192.0.2.9\n";
        let servers: Vec<String> = parse(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[2001:db8::1]:53"]);
    }
}
