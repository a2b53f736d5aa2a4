//! The pod network of the node: once the API has given it a pod CIDR, the runtime's CNI configuration is written.

use net::Cidr;

use crate::agent::Agent;
use crate::api::Node;

#[derive(Debug, Default)]
pub(super) struct Network {
    applied: Vec<String>,
}

impl Network {
    /// Brings the configuration up to date with the node's pod CIDRs.
    pub(super) async fn apply(&mut self, agent: &Agent, node: &Node) {
        let mut cidrs = node.spec.pod_cidrs.clone();
        if cidrs.is_empty() && !node.spec.pod_cidr.is_empty() {
            cidrs.push(node.spec.pod_cidr.clone());
        }
        let own = &agent.config.kubelet.pod_cidr;
        if cidrs.is_empty() && !own.is_empty() {
            cidrs = own.split(',').map(str::to_owned).collect();
        }
        if cidrs.is_empty() || cidrs == self.applied {
            return;
        }
        if let Err(error) = write(agent, &cidrs) {
            tracing::warn!(component = "kubelet", %error, "pod network not configured");
            return;
        }
        // Runtimes that render their own configuration want to know; the others say yes to anything.
        if let Err(error) = agent.runtime.update_pod_cidr(&cidrs.join(",")).await {
            tracing::warn!(component = "kubelet", %error, "runtime not told of the pod CIDR");
            return;
        }
        self.applied = cidrs;
    }
}

fn write(agent: &Agent, cidrs: &[String]) -> Result<(), String> {
    let Some(dir) = &agent.config.cni_conf_dir else { return Ok(()) };
    let parsed: Result<Vec<Cidr>, _> = cidrs.iter().map(|c| c.parse()).collect();
    let network = net::cni::Network {
        name: agent.config.cni_network_name.clone(),
        pod_cidrs: parsed.map_err(|e| format!("{cidrs:?}: {e}"))?,
        mtu: agent.config.cni_mtu,
        ipam_dir: agent.config.root_dir.join("cni-ipam"),
    };
    agent.host.write_network(&network, dir).map_err(|e| e.to_string())
}
