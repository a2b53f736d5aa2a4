//! Interfaces, addresses and routes through rtnetlink.
//!
//! A socket belongs to the network namespace of the thread that opened it: [`Netlink::open`] works on the caller's.
//! Whoever needs another one runs `ip` through [`crate::Tools::in_namespace`].

use std::future::Future;
use std::io;
use std::net::IpAddr;

use futures::TryStreamExt as _;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder};

use crate::cidr::Cidr;
use crate::error::Error;

/// An open rtnetlink socket. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Netlink {
    handle: Handle,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    /// `bridge`, `veth`, …; empty for hardware and loopback.
    pub kind: String,
    pub up: bool,
    /// The bridge that it belongs to.
    pub controller: Option<u32>,
    pub mtu: Option<u32>,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    pub link: u32,
    pub address: IpAddr,
    pub prefix: u8,
}

/// A route of the main table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `None` is the default route.
    pub destination: Option<Cidr>,
    pub gateway: Option<IpAddr>,
    pub link: Option<u32>,
}

impl Netlink {
    /// Opens a socket. The second part carries its traffic and must be spawned; it ends with the last clone of the first.
    pub fn open() -> Result<(Self, impl Future<Output = ()> + Send + 'static), Error> {
        let (connection, handle, _) = rtnetlink::new_connection()
            .map_err(|source| Error::Netlink { operation: "open a netlink socket".into(), source })?;
        Ok((Self { handle }, connection))
    }

    /// All interfaces.
    pub async fn links(&self) -> Result<Vec<Link>, Error> {
        let messages: Vec<LinkMessage> =
            self.handle.link().get().execute().try_collect().await.map_err(|e| failed("list links", e))?;
        Ok(messages.iter().map(link_of).collect())
    }

    /// The interface `name`.
    pub async fn link(&self, name: &str) -> Result<Option<Link>, Error> {
        let mut found = self.handle.link().get().match_name(name.to_owned()).execute();
        match found.try_next().await.map_err(|e| failed(&format!("find link {name}"), e)) {
            Ok(message) => Ok(message.as_ref().map(link_of)),
            Err(e) if e.is_absent() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Makes a bridge that is up; one that is there already is kept.
    pub async fn ensure_bridge(&self, name: &str) -> Result<Link, Error> {
        if self.link(name).await?.is_none() {
            let made = self.handle.link().add(LinkBridge::new(name).up().build()).execute().await;
            made.map_err(|e| failed(&format!("create bridge {name}"), e))?;
        }
        let link = self.existing(name).await?;
        self.set_up(link.index).await?;
        Ok(link)
    }

    /// Makes a pair of interfaces, both down.
    pub async fn create_veth(&self, name: &str, peer: &str) -> Result<(Link, Link), Error> {
        let made = self.handle.link().add(LinkVeth::new(name, peer).build()).execute().await;
        made.map_err(|e| failed(&format!("create veth {name}"), e))?;
        Ok((self.existing(name).await?, self.existing(peer).await?))
    }

    async fn existing(&self, name: &str) -> Result<Link, Error> {
        self.link(name).await?.ok_or_else(|| Error::Netlink {
            operation: format!("find link {name} after its creation"),
            source: io::ErrorKind::NotFound.into(),
        })
    }

    pub async fn set_up(&self, link: u32) -> Result<(), Error> {
        let message = LinkUnspec::new_with_index(link).up().build();
        self.handle.link().set(message).execute().await.map_err(|e| failed("set link up", e))
    }

    /// Puts `link` into the bridge `controller`.
    pub async fn set_controller(&self, link: u32, controller: u32) -> Result<(), Error> {
        let message = LinkUnspec::new_with_index(link).controller(controller).build();
        self.handle.link().set(message).execute().await.map_err(|e| failed("add link to bridge", e))
    }

    /// Moves `link` into the network namespace of process `pid`.
    pub async fn move_to_process(&self, link: u32, pid: u32) -> Result<(), Error> {
        let message = LinkUnspec::new_with_index(link).setns_by_pid(pid).build();
        self.handle.link().set(message).execute().await.map_err(|e| failed("move link", e))
    }

    /// Removes an interface (of a pair: both); no error when it is gone.
    pub async fn delete_link(&self, link: u32) -> Result<(), Error> {
        let result = self.handle.link().del(link).execute().await.map_err(|e| failed("delete link", e));
        tolerate(result, Error::is_absent)
    }

    /// All addresses, of both families.
    pub async fn addresses(&self) -> Result<Vec<Address>, Error> {
        let found: Vec<_> = self
            .handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|e| failed("list addresses", e))?;
        let mut out = Vec::with_capacity(found.len());
        for message in found {
            // On point-to-point links `Address` is the peer and `Local` is ours.
            let local = message.attributes.iter().find_map(|a| match a {
                AddressAttribute::Local(ip) => Some(*ip),
                _ => None,
            });
            let plain = message.attributes.iter().find_map(|a| match a {
                AddressAttribute::Address(ip) => Some(*ip),
                _ => None,
            });
            if let Some(address) = local.or(plain) {
                out.push(Address { link: message.header.index, address, prefix: message.header.prefix_len });
            }
        }
        Ok(out)
    }

    /// Gives `link` an address; no error when it has it already.
    pub async fn add_address(&self, link: u32, address: IpAddr, prefix: u8) -> Result<(), Error> {
        let result = self.handle.address().add(link, address, prefix).execute().await;
        tolerate(
            result.map_err(|e| failed(&format!("add address {address}/{prefix}"), e)),
            Error::is_already_there,
        )
    }

    /// Adds or replaces a route of the main table.
    pub async fn set_route(&self, route: &Route) -> Result<(), Error> {
        let error = |why: &str| Error::Netlink {
            operation: format!("add route {route:?}: {why}"),
            source: io::ErrorKind::InvalidInput.into(),
        };
        let mut message = RouteMessageBuilder::<IpAddr>::new();
        if let Some(destination) = route.destination {
            message = message
                .destination_prefix(destination.network(), destination.prefix())
                .map_err(|_| error("destination"))?;
        }
        if let Some(gateway) = route.gateway {
            message = message.gateway(gateway).map_err(|_| error("gateway"))?;
        }
        if let Some(link) = route.link {
            message = message.output_interface(link);
        }
        let result = self.handle.route().add(message.build()).replace().execute().await;
        result.map_err(|e| failed(&format!("add route {route:?}"), e))
    }

    /// The unicast routes of the main table of one family.
    pub async fn routes(&self, ipv6: bool) -> Result<Vec<Route>, Error> {
        let mut query = RouteMessageBuilder::<IpAddr>::new().build();
        query.header.address_family = if ipv6 {
            rtnetlink::packet_route::AddressFamily::Inet6
        } else {
            rtnetlink::packet_route::AddressFamily::Inet
        };
        let found: Vec<RouteMessage> = self
            .handle
            .route()
            .get(query)
            .execute()
            .try_collect()
            .await
            .map_err(|e| failed("list routes", e))?;
        Ok(found
            .iter()
            .filter(|m| m.header.table == rtnetlink::packet_route::route::RouteHeader::RT_TABLE_MAIN)
            .map(route_of)
            .collect())
    }
}

fn link_of(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        kind: String::new(),
        up: message.header.flags.contains(LinkFlags::Up),
        controller: None,
        mtu: None,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Controller(index) => link.controller = Some(*index),
            LinkAttribute::Mtu(mtu) => link.mtu = Some(*mtu),
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    if let LinkInfo::Kind(kind) = info {
                        link.kind = kind.to_string();
                    }
                }
            }
            _ => {}
        }
    }
    link
}

fn route_of(message: &RouteMessage) -> Route {
    let mut route = Route { destination: None, gateway: None, link: None };
    let ip = |address: &RouteAddress| match address {
        RouteAddress::Inet(a) => Some(IpAddr::V4(*a)),
        RouteAddress::Inet6(a) => Some(IpAddr::V6(*a)),
        _ => None,
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => {
                route.destination =
                    ip(address).and_then(|a| Cidr::new(a, message.header.destination_prefix_length));
            }
            RouteAttribute::Gateway(address) => route.gateway = ip(address),
            RouteAttribute::Oif(index) => route.link = Some(*index),
            _ => {}
        }
    }
    route
}

fn failed(operation: &str, error: rtnetlink::Error) -> Error {
    let source = match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other.to_string()),
    };
    Error::Netlink { operation: operation.to_owned(), source }
}

fn tolerate(result: Result<(), Error>, is_fine: impl Fn(&Error) -> bool) -> Result<(), Error> {
    match result {
        Err(e) if !is_fine(&e) => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Links, addresses and routes of the host's own namespace, on interfaces that the test makes and removes.
    #[tokio::test]
    async fn a_bridge_with_an_address_comes_and_goes() {
        let (netlink, driver) = Netlink::open().unwrap();
        let work = async {
            let name = format!("gtst{}", std::process::id() % 100_000);
            let bridge = netlink.ensure_bridge(&name).await.unwrap();
            assert_eq!(netlink.ensure_bridge(&name).await.unwrap().index, bridge.index);
            let address: IpAddr = "198.18.77.1".parse().unwrap();
            netlink.add_address(bridge.index, address, 24).await.unwrap();
            netlink.add_address(bridge.index, address, 24).await.unwrap();
            let (peer_a, peer_b) =
                netlink.create_veth(&format!("{name}a"), &format!("{name}b")).await.unwrap();
            netlink.set_controller(peer_a.index, bridge.index).await.unwrap();
            netlink.set_up(peer_b.index).await.unwrap();
            let links = netlink.links().await.unwrap();
            let found = netlink.addresses().await.unwrap();
            let route = Route {
                destination: Some("198.18.78.0/24".parse().unwrap()),
                gateway: Some("198.18.77.2".parse().unwrap()),
                link: Some(bridge.index),
            };
            let set = netlink.set_route(&route).await;
            let routes = netlink.routes(false).await.unwrap();
            netlink.delete_link(peer_a.index).await.unwrap();
            netlink.delete_link(bridge.index).await.unwrap();
            netlink.delete_link(bridge.index).await.unwrap();
            set.unwrap();
            assert!(routes.contains(&route), "{routes:?}");
            assert!(found.contains(&Address { link: bridge.index, address, prefix: 24 }));
            let veth = links.iter().find(|l| l.index == peer_a.index).unwrap();
            assert_eq!((veth.kind.as_str(), veth.controller), ("veth", Some(bridge.index)));
            assert_eq!(netlink.link(&name).await.unwrap(), None);
        };
        tokio::select! {
            biased;
            () = work => {}
            () = driver => panic!("the socket ended"),
        }
    }
}
