//! The node's network: netlink, nftables and iptables as whole transactions, connection tracking, sysctls, the CNI
//! configuration of the pod network, and the removal of everything that this crate made.
//!
//! It decides nothing about Services: `kube-proxy` renders its rules and hands the finished script to [`nft::Nft`].
//! Nothing here keeps state in the process; what was made is named by [`State`], which also finds it again.

pub mod cidr;
pub mod cleanup;
pub mod cni;
pub mod conntrack;
pub mod error;
pub mod interfaces;
pub mod iptables;
pub mod masquerade;
pub mod netlink;
pub mod nft;
pub mod sysctl;
pub mod tool;

pub use cidr::Cidr;
pub use cleanup::{State, cleanup};
pub use error::Error;
pub use interfaces::interface_addresses;
pub use netlink::Netlink;
pub use nft::Nft;
pub use tool::Tools;
