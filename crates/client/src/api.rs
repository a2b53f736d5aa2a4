//! Requests: one method per verb over paths that [`ResourceType`] gives.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::object::{List, ResourceType};

/// A request as a transport takes it.
pub type TransportRequest = http::Request<kube::client::Body>;
/// A response as a transport gives it; its body streams.
pub type TransportResponse = http::Response<kube::client::Body>;

/// A user's connection to an API server. Cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    kube: kube::Client,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("namespace", &self.0.kube.default_namespace()).finish()
    }
}

/// What a list or informer asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListParams {
    /// All namespaces when empty.
    pub namespace: String,
    pub label_selector: String,
    pub field_selector: String,
    pub limit: Option<u32>,
    pub continue_token: String,
    pub resource_version: String,
    pub resource_version_match: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    Orphan,
    Background,
    Foreground,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteParams {
    pub grace_period_seconds: Option<i64>,
    pub propagation: Option<Propagation>,
    pub uid: Option<String>,
    pub resource_version: Option<String>,
}

/// A patch body with its media type.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    Json(serde_json::Value),
    Merge(serde_json::Value),
    Strategic(serde_json::Value),
    /// Server-side apply.
    Apply { body: serde_json::Value, field_manager: String, force: bool },
}

#[allow(clippy::unused_async, unused_variables)]
impl Client {
    /// Over a service in this process: the API server's own, with this user's identity already attached.
    pub fn in_process<S>(service: S) -> Self
    where
        S: tower::Service<TransportRequest, Response = TransportResponse> + Clone + Send + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        S::Future: Send + 'static,
    {
        Self(Arc::new(Inner { kube: kube::Client::new(service, "default") }))
    }

    /// From a kubeconfig file's text.
    pub async fn from_kubeconfig(text: &str) -> Result<Self, Error> {
        todo!()
    }

    /// The client below, for streams and upgrades.
    pub fn kube(&self) -> &kube::Client {
        &self.0.kube
    }

    pub async fn get<T: DeserializeOwned>(&self, ty: &ResourceType, namespace: &str, name: &str) -> Result<T, Error> {
        todo!()
    }
    pub async fn list<T: DeserializeOwned>(&self, ty: &ResourceType, params: &ListParams) -> Result<List<T>, Error> {
        todo!()
    }
    pub async fn create<T: DeserializeOwned>(
        &self,
        ty: &ResourceType,
        namespace: &str,
        body: &(impl Serialize + ?Sized),
    ) -> Result<T, Error> {
        todo!()
    }
    /// POST to a subresource: binding, eviction, token.
    pub async fn create_subresource<T: DeserializeOwned>(
        &self,
        ty: &ResourceType,
        namespace: &str,
        name: &str,
        subresource: &str,
        body: &(impl Serialize + ?Sized),
    ) -> Result<T, Error> {
        todo!()
    }
    /// PUT; an empty `subresource` is the object itself.
    pub async fn replace<T: DeserializeOwned>(
        &self,
        ty: &ResourceType,
        namespace: &str,
        name: &str,
        subresource: &str,
        body: &(impl Serialize + ?Sized),
    ) -> Result<T, Error> {
        todo!()
    }
    /// PATCH; an empty `subresource` is the object itself.
    pub async fn patch<T: DeserializeOwned>(
        &self,
        ty: &ResourceType,
        namespace: &str,
        name: &str,
        subresource: &str,
        patch: &Patch,
    ) -> Result<T, Error> {
        todo!()
    }
    /// DELETE. The answer (the object or a Status) is not kept.
    pub async fn delete(
        &self,
        ty: &ResourceType,
        namespace: &str,
        name: &str,
        params: &DeleteParams,
    ) -> Result<(), Error> {
        todo!()
    }
    /// Any other request with a JSON body and answer: discovery, reviews. `path` starts with `/`.
    pub async fn request<T: DeserializeOwned>(
        &self,
        method: http::Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<T, Error> {
        todo!()
    }
}
