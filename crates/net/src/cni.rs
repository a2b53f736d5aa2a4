//! The pod network through CNI: a network list of `ptp`, host-local addresses and `portmap`, which containerd runs.
//!
//! Why `ptp` and not `bridge`: on a bridge, two pods of one node are neighbours. A pod that reaches a Service whose
//! backend is such a neighbour has its packet translated on the way out through the gateway, but the answer goes straight
//! over the bridge and is translated back only when br_netfilter hands bridged frames to connection tracking; the
//! client then gets an answer from an address that it never asked, and drops it. Traffic to itself needs hairpin mode or
//! promiscuity on top. With `ptp` every pod has a link of its own to the host and every packet is routed, so connection
//! tracking sees both directions whether br_netfilter is loaded or not, and hairpin traffic is ordinary routing. The
//! host answers for the gateway address on each link.
//!
//! Masquerading is not the plugin's (it makes a chain per pod): `masquerade` has one rule for all.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cidr::Cidr;
use crate::error::Error;

/// Where Debian's package and upstream's releases put the plugins, in order of preference.
pub const PLUGIN_DIRS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// Every plugin that [`render`] names.
pub const PLUGINS: [&str; 4] = ["ptp", "host-local", "portmap", "loopback"];

/// The file in the configuration directory; the low number wins over what packages bring.
pub const FILE_NAME: &str = "10-gantry.conflist";

/// A node's pod network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The network's name; names host-local's directory too.
    pub name: String,
    /// The node's pod ranges: at most one of each family.
    pub pod_cidrs: Vec<Cidr>,
    /// Bytes; the kernel's default for the link when `None`.
    pub mtu: Option<u32>,
    /// Where host-local notes which address is whose. Must survive a restart and die with the node's data.
    pub ipam_dir: PathBuf,
}

/// The directory that holds all [`PLUGINS`], or the missing ones of the best candidate.
pub fn find_plugins(candidates: &[&str]) -> Result<PathBuf, Vec<String>> {
    let mut missing: Vec<String> = PLUGINS.map(str::to_owned).to_vec();
    for dir in candidates {
        let lacks: Vec<String> =
            PLUGINS.iter().filter(|p| !Path::new(dir).join(p).is_file()).map(|p| (*p).to_owned()).collect();
        if lacks.is_empty() {
            return Ok(PathBuf::from(dir));
        }
        if lacks.len() < missing.len() {
            missing = lacks;
        }
    }
    Err(missing)
}

/// The network list. CNI 0.4.0 is what both containerd 1.6 with Debian's plugins and containerd 2 with current ones speak.
pub fn render(network: &Network) -> Value {
    let mut ranges = Vec::new();
    let mut routes = Vec::new();
    for cidr in &network.pod_cidrs {
        ranges.push(json!([{ "subnet": cidr.to_string() }]));
        routes.push(json!({ "dst": if cidr.is_ipv6() { "::/0" } else { "0.0.0.0/0" } }));
    }
    let mut ptp = json!({
        "type": "ptp",
        "ipMasq": false,
        "ipam": {
            "type": "host-local",
            "dataDir": network.ipam_dir,
            "ranges": ranges,
            "routes": routes,
        },
    });
    if let Some(mtu) = network.mtu {
        ptp["mtu"] = mtu.into();
    }
    json!({
        "cniVersion": "0.4.0",
        "name": network.name,
        "plugins": [ptp, { "type": "portmap", "capabilities": { "portMappings": true } }],
    })
}

/// Writes the network list to `dir`, whole or not at all: containerd watches the directory.
pub fn write(network: &Network, dir: &Path) -> Result<PathBuf, Error> {
    let path = dir.join(FILE_NAME);
    let text = format!("{:#}\n", render(network));
    if std::fs::read_to_string(&path).is_ok_and(|old| old == text) {
        return Ok(path);
    }
    let error = |operation, path: &Path, source| Error::File { operation, path: path.to_owned(), source };
    std::fs::create_dir_all(dir).map_err(|e| error("create", dir, e))?;
    // A dot keeps containerd from reading the half-written file.
    let partial = dir.join(format!(".{FILE_NAME}.partial"));
    std::fs::write(&partial, text).map_err(|e| error("write", &partial, e))?;
    std::fs::rename(&partial, &path).map_err(|e| error("rename", &path, e))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn network() -> Network {
        Network {
            name: "gantry".into(),
            pod_cidrs: vec!["10.244.0.0/24".parse().unwrap()],
            mtu: Some(1450),
            ipam_dir: "/var/lib/gantry/ipam".into(),
        }
    }

    #[test]
    fn network_list_has_ptp_then_portmap() {
        expect![[r#"
            {
              "cniVersion": "0.4.0",
              "name": "gantry",
              "plugins": [
                {
                  "ipMasq": false,
                  "ipam": {
                    "dataDir": "/var/lib/gantry/ipam",
                    "ranges": [
                      [
                        {
                          "subnet": "10.244.0.0/24"
                        }
                      ]
                    ],
                    "routes": [
                      {
                        "dst": "0.0.0.0/0"
                      }
                    ],
                    "type": "host-local"
                  },
                  "mtu": 1450,
                  "type": "ptp"
                },
                {
                  "capabilities": {
                    "portMappings": true
                  },
                  "type": "portmap"
                }
              ]
            }"#]]
        .assert_eq(&format!("{:#}", render(&network())));
    }

    #[test]
    fn writing_twice_leaves_one_file() {
        let dir = std::env::temp_dir().join(format!("gantry-cni-{}", std::process::id()));
        let path = write(&network(), &dir).unwrap();
        assert_eq!(write(&network(), &dir).unwrap(), path);
        let names: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, [FILE_NAME]);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn missing_plugins_are_named() {
        assert_eq!(find_plugins(&["/nonexistent"]).unwrap_err().len(), PLUGINS.len());
    }
}
