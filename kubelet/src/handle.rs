//! What others in the process may ask a running kubelet: which pods it has, and how to reach into them. The kubelet's HTTPS
//! API is built on this.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use cri::{ExecOutput, v1};

use crate::agent::Agent;
pub use crate::pods::{ContainerView, View};

/// A kubelet, as its API server sees it.
pub trait KubeletApi: Send + Sync + fmt::Debug {
    fn node_name(&self) -> String;
    /// Every pod of the node, with its newest status.
    fn pods(&self) -> Vec<View>;
    fn find_pod(&self, namespace: &str, name: &str) -> Option<View>;
    /// The CRI runtime, for exec, attach and port-forward URLs and statistics.
    fn runtime(&self) -> Arc<dyn cri::Runtime>;
    /// The log of a container of a pod, or of the container before it.
    fn log_path(&self, view: &View, container: &str, previous: bool) -> Option<PathBuf>;
    /// Where the machine's own logs are served from.
    fn pod_logs_dir(&self) -> PathBuf;
    /// URL of a streaming exec session in a running container.
    fn exec_url<'a>(
        &'a self,
        view: &'a View,
        container: &'a str,
        request: v1::ExecRequest,
    ) -> BoxFuture<'a, Result<String, String>>;
    fn attach_url<'a>(
        &'a self,
        view: &'a View,
        container: &'a str,
        request: v1::AttachRequest,
    ) -> BoxFuture<'a, Result<String, String>>;
    /// URL of a streaming port-forward session of a pod that is up.
    fn port_forward_url<'a>(
        &'a self,
        view: &'a View,
        ports: Vec<i32>,
    ) -> BoxFuture<'a, Result<String, String>>;
    /// A command to its end: the API's `/run`.
    fn run<'a>(
        &'a self,
        view: &'a View,
        container: &'a str,
        command: Vec<String>,
    ) -> BoxFuture<'a, Result<ExecOutput, String>>;
}

/// A handle on a running kubelet. Cheap to clone; it does not keep its tasks alive.
#[derive(Clone, Debug)]
pub struct Handle(pub(crate) Arc<Agent>);

/// The id of a running container; the error is upstream's text.
fn running_id<'a>(view: &'a View, container: &str) -> Result<&'a str, String> {
    let found = view.containers.get(container).filter(|c| c.running);
    found.map(|c| c.id.as_str()).ok_or_else(|| format!("container not found (\"{container}\")"))
}

impl KubeletApi for Handle {
    fn node_name(&self) -> String {
        self.0.config.node_name.clone()
    }
    fn pods(&self) -> Vec<View> {
        self.0.pods.views()
    }
    fn find_pod(&self, namespace: &str, name: &str) -> Option<View> {
        let mut found: Vec<View> = self.pods();
        found.retain(|v| v.pod.metadata.namespace == namespace && v.pod.metadata.name == name);
        // Of namesakes the one that is not on its way out.
        found.sort_by_key(|v| v.pod.metadata.deleting());
        found.into_iter().next()
    }
    fn runtime(&self) -> Arc<dyn cri::Runtime> {
        Arc::clone(&self.0.runtime)
    }
    fn log_path(&self, view: &View, container: &str, previous: bool) -> Option<PathBuf> {
        let container = view.containers.get(container)?;
        let path = if previous { &container.previous_log_path } else { &container.log_path };
        Some(PathBuf::from(path)).filter(|p| !p.as_os_str().is_empty())
    }
    fn pod_logs_dir(&self) -> PathBuf {
        self.0.settings.pod_logs_dir.clone()
    }
    fn exec_url<'a>(
        &'a self,
        view: &'a View,
        container: &'a str,
        request: v1::ExecRequest,
    ) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(async move {
            let container_id = running_id(view, container)?.to_owned();
            let request = v1::ExecRequest { container_id, ..request };
            self.0.runtime.exec_url(request).await.map_err(|e| e.to_string())
        })
    }
    fn attach_url<'a>(
        &'a self,
        view: &'a View,
        container: &'a str,
        request: v1::AttachRequest,
    ) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(async move {
            let container_id = running_id(view, container)?.to_owned();
            let request = v1::AttachRequest { container_id, ..request };
            self.0.runtime.attach_url(request).await.map_err(|e| e.to_string())
        })
    }
    fn port_forward_url<'a>(
        &'a self,
        view: &'a View,
        ports: Vec<i32>,
    ) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(async move {
            if view.sandbox_id.is_empty() {
                return Err(format!("unable to find pod sandbox of {}", view.pod.metadata.name));
            }
            let request = v1::PortForwardRequest { pod_sandbox_id: view.sandbox_id.clone(), port: ports };
            self.0.runtime.port_forward_url(request).await.map_err(|e| e.to_string())
        })
    }
    fn run<'a>(
        &'a self,
        view: &'a View,
        container: &'a str,
        command: Vec<String>,
    ) -> BoxFuture<'a, Result<ExecOutput, String>> {
        Box::pin(async move {
            let id = running_id(view, container)?;
            self.0.runtime.exec_sync(id, &command, Duration::ZERO).await.map_err(|e| e.to_string())
        })
    }
}
