//! Connection tracking: entries of UDP flows to backends that went away are deleted, or a client that keeps its source
//! port talks to a black hole for as long as it talks (kubernetes#139628).
//!
//! TCP entries are left alone: a connection to a terminating backend lives until it ends by itself.

use std::net::IpAddr;

use crate::error::Error;
use crate::tool::Tools;

/// One `conntrack -D` to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flush {
    /// Flows to `service` that go to `backend`.
    Backend { service: IpAddr, backend: IpAddr },
    /// Flows to `service`, such as those that met no backend before the first one came.
    Service { service: IpAddr },
    /// Flows to a node port, whatever the node's address.
    NodePort { port: u16 },
    /// Flows to a node port that go to `backend`.
    NodePortBackend { port: u16, backend: IpAddr },
}

/// Deletes UDP entries.
///
/// An absent `conntrack` program is tolerated with a warning (some hosts have none); the caller then loses only the
/// quick recovery of long-lived UDP flows.
pub async fn flush_udp(tools: &Tools, flushes: &[Flush]) -> Result<(), Error> {
    for flush in flushes {
        let args = arguments(flush);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match tools.run("conntrack", &args, Vec::new()).await {
            Ok(_) => {}
            // Exit code 1 with this text is the answer when nothing matched.
            Err(Error::Refused { stderr, .. }) if stderr.contains("0 flow entries have been deleted") => {}
            Err(e) if e.is_missing_tool() => {
                tracing::warn!(
                    "conntrack is not installed: UDP flows to removed endpoints persist until they pause"
                );
                return Ok(());
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn arguments(flush: &Flush) -> Vec<String> {
    let mut args: Vec<String> = ["-D", "-p", "udp"].map(str::to_owned).to_vec();
    let mut ipv6 = false;
    let mut push = |name: &str, value: String| args.extend([name.to_owned(), value]);
    match flush {
        Flush::Backend { service, backend } => {
            push("--orig-dst", service.to_string());
            push("--dst-nat", backend.to_string());
            ipv6 = service.is_ipv6();
        }
        Flush::Service { service } => {
            push("--orig-dst", service.to_string());
            ipv6 = service.is_ipv6();
        }
        Flush::NodePort { port } => push("--orig-port-dst", port.to_string()),
        Flush::NodePortBackend { port, backend } => {
            push("--orig-port-dst", port.to_string());
            push("--dst-nat", backend.to_string());
            ipv6 = backend.is_ipv6();
        }
    }
    if ipv6 {
        args.extend(["-f".to_owned(), "ipv6".to_owned()]);
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_arguments(flush: &Flush, expected: &str) {
        assert_eq!(arguments(flush).join(" "), expected);
    }

    #[test]
    fn each_flush_names_only_its_flows() {
        let service = "10.96.0.10".parse().unwrap();
        let backend = "10.244.0.5".parse().unwrap();
        check_arguments(
            &Flush::Backend { service, backend },
            "-D -p udp --orig-dst 10.96.0.10 --dst-nat 10.244.0.5",
        );
        check_arguments(&Flush::Service { service }, "-D -p udp --orig-dst 10.96.0.10");
        check_arguments(&Flush::NodePort { port: 30053 }, "-D -p udp --orig-port-dst 30053");
        check_arguments(
            &Flush::NodePortBackend { port: 30053, backend: "fd00::5".parse().unwrap() },
            "-D -p udp --orig-port-dst 30053 --dst-nat fd00::5 -f ipv6",
        );
    }
}
