//! Who is who in a cluster of one process: every component is its own user, and none is `system:masters`.

use std::net::IpAddr;
use std::sync::Arc;

use apiserver::ApiServer;
use apiserver::seams::UserInfo;
use client::Client;
use env::Env;
use pki::kubeconfig::{Credential, Kubeconfig};
use pki::{Authority, CertificateRequest, Identity, PkiDirectory, PkiError, TokenKey};

const AUTHENTICATED: &str = "system:authenticated";

/// The certificates and keys of a cluster, all from an authority of its own.
#[derive(Debug)]
pub struct Secrets {
    pub authority: Authority,
    pub serving: Identity,
    /// The administrator, for the kubeconfig that `up` prints.
    pub admin: Identity,
    /// The API server towards kubelets.
    pub kubelet_client: Identity,
    /// The kubelet's own server.
    pub node: Identity,
    pub token_key: TokenKey,
}

impl Secrets {
    /// Reads what is there, makes what is missing or due.
    pub fn ensure(
        directory: &PkiDirectory,
        env: &Env,
        node: &str,
        address: IpAddr,
        service_ip: IpAddr,
    ) -> Result<Self, PkiError> {
        let now = env.clock.now();
        let authority = directory.authority("ca", "kubernetes", now)?;
        let hosts =
            [node.to_owned(), "localhost".into(), address.to_string(), "127.0.0.1".into(), "::1".into()];
        let issue =
            |name: &str, request: &CertificateRequest| directory.certificate(name, &authority, request, now);
        let serving =
            issue("apiserver", &CertificateRequest::apiserver("cluster.local", &[service_ip], &hosts))?;
        let admin = issue("admin", &CertificateRequest::client("kubernetes-admin", "system:masters"))?;
        let kubelet_client = issue(
            "apiserver-kubelet-client",
            &CertificateRequest::client("kube-apiserver-kubelet-client", "gantry:apiservers"),
        )?;
        let node = issue("kubelet", &CertificateRequest::node(node, vec![node.to_owned()], vec![address]))?;
        let token_key = directory.token_key("sa")?;
        Ok(Self { authority, serving, admin, kubelet_client, node, token_key })
    }

    /// The administrator's kubeconfig for a server at `url`.
    pub fn kubeconfig(&self, url: &str) -> String {
        Kubeconfig {
            cluster: "gantry",
            user: "admin",
            server: url,
            ca_pem: self.authority.certificate_pem(),
            credential: Credential::Certificate(&self.admin),
            namespace: "",
        }
        .render()
    }
}

/// Clients of components in the server's own process.
#[derive(Clone, Debug)]
pub struct Clients(pub Arc<ApiServer>);

impl Clients {
    /// A user such as `system:kube-scheduler`.
    pub fn user(&self, name: &str, groups: &[&str]) -> Client {
        let groups = groups.iter().copied().chain([AUTHENTICATED]).map(str::to_owned).collect();
        self.client(UserInfo { name: name.to_owned(), groups, ..UserInfo::default() })
    }

    /// A ServiceAccount of kube-system.
    pub fn service_account(&self, name: &str) -> Client {
        let groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system"];
        self.user(&format!("system:serviceaccount:kube-system:{name}"), &groups)
    }

    pub fn node(&self, name: &str) -> Client {
        self.user(&format!("system:node:{name}"), &["system:nodes"])
    }

    fn client(&self, user: UserInfo) -> Client {
        Client::in_process(self.0.service(user))
    }
}
