//! Requests: one method per verb over paths that [`ResourceType`] gives.
//!
//! Nothing is retried here: whether a lost answer may be asked for again is the caller's knowledge. Requests with an
//! expired leadership ([`crate::leader::Fence`]) are refused before they are sent.

use std::fmt;
use std::sync::Arc;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http_body_util::BodyExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::leader::Fence;
use crate::object::{List, ResourceType};
use crate::token::TokenSource;
use crate::url;

/// A request as a transport takes it.
pub type TransportRequest = http::Request<kube::client::Body>;
/// A response as a transport gives it; its body streams.
pub type TransportResponse = http::Response<kube::client::Body>;

/// Objects per page of a list, as client-go's pager.
pub const PAGE_SIZE: u32 = 500;

pub(crate) const JSON: &str = "application/json";

/// A user's connection to an API server. Cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    kube: kube::Client,
    user_agent: http::HeaderValue,
    fence: Option<Fence>,
    tokens: Option<Arc<TokenSource>>,
}

impl Inner {
    /// The same parts, for a client that differs in one.
    fn parts(&self) -> Self {
        Self {
            kube: self.kube.clone(),
            user_agent: self.user_agent.clone(),
            fence: self.fence.clone(),
            tokens: self.tokens.clone(),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("namespace", &self.0.kube.default_namespace())
            .field("user_agent", &self.0.user_agent)
            .finish_non_exhaustive()
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

impl DeleteParams {
    /// Deletes only the object with this uid: never a namesake made since.
    pub fn uid(uid: &str) -> Self {
        Self { uid: Some(uid.to_owned()), ..Self::default() }
    }

    fn body(&self) -> serde_json::Value {
        let mut options = serde_json::json!({"kind": "DeleteOptions", "apiVersion": "v1"});
        if let Some(seconds) = self.grace_period_seconds {
            options["gracePeriodSeconds"] = seconds.into();
        }
        if let Some(propagation) = self.propagation {
            options["propagationPolicy"] = match propagation {
                Propagation::Orphan => "Orphan",
                Propagation::Background => "Background",
                Propagation::Foreground => "Foreground",
            }
            .into();
        }
        if let Some(uid) = &self.uid {
            options["preconditions"]["uid"] = uid.as_str().into();
        }
        if let Some(version) = &self.resource_version {
            options["preconditions"]["resourceVersion"] = version.as_str().into();
        }
        options
    }
}

/// A patch body with its media type.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    Json(serde_json::Value),
    Merge(serde_json::Value),
    Strategic(serde_json::Value),
    /// Server-side apply.
    Apply {
        body: serde_json::Value,
        field_manager: String,
        force: bool,
    },
}

impl Patch {
    fn content_type(&self) -> &'static str {
        match self {
            Self::Json(_) => "application/json-patch+json",
            Self::Merge(_) => "application/merge-patch+json",
            Self::Strategic(_) => "application/strategic-merge-patch+json",
            // JSON is YAML; the media type is the one that every server knows.
            Self::Apply { .. } => "application/apply-patch+yaml",
        }
    }
    fn body(&self) -> &serde_json::Value {
        match self {
            Self::Json(body) | Self::Merge(body) | Self::Strategic(body) | Self::Apply { body, .. } => body,
        }
    }
}

impl Client {
    /// Over a service in this process: the API server's own, with this user's identity already attached. Must be
    /// called inside a tokio runtime. The answer's body may be of any type: `kube`'s own can't be made of a stream.
    pub fn in_process<S, B>(service: S) -> Self
    where
        S: tower::Service<TransportRequest, Response = http::Response<B>> + Clone + Send + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        S::Future: Send + 'static,
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self::over(kube::Client::new(service, "default"))
    }

    /// From a kubeconfig file's text.
    pub async fn from_kubeconfig(text: &str) -> Result<Self, Error> {
        Self::from_config(parse_kubeconfig(text).await?)
    }

    /// From a configuration of `kube`'s: in-cluster, or with certificates in memory.
    pub fn from_config(mut config: kube::Config) -> Result<Self, Error> {
        // A 504 may stand for a write that happened: never repeated behind the caller's back.
        config.default_retry = false;
        let client = kube::Client::try_from(config).map_err(|e| Error::Request(e.to_string()))?;
        Ok(Self::over(client))
    }

    fn over(kube: kube::Client) -> Self {
        let user_agent = http::HeaderValue::from_static("gantry");
        Self(Arc::new(Inner { kube, user_agent, fence: None, tokens: None }))
    }

    /// The same connection under another `User-Agent`: `COMPONENT/VERSION (linux/amd64) ...`; its part before the
    /// slash is the field manager of what it writes.
    #[must_use]
    pub fn with_user_agent(&self, user_agent: &str) -> Self {
        let user_agent = http::HeaderValue::from_str(user_agent)
            .unwrap_or_else(|_| http::HeaderValue::from_static("gantry"));
        Self(Arc::new(Inner { user_agent, ..self.0.parts() }))
    }

    /// The same connection, which refuses to send once `fence` is no longer held.
    #[must_use]
    pub fn with_fence(&self, fence: Fence) -> Self {
        Self(Arc::new(Inner { fence: Some(fence), ..self.0.parts() }))
    }

    /// A client for the server of `kubeconfig` (its text) that acts as a ServiceAccount, with tokens that `issuer`
    /// asks for. The kubeconfig's own credential is not shown.
    pub async fn as_service_account(
        kubeconfig: &str,
        issuer: &Client,
        namespace: &str,
        account: &str,
        clock: Arc<dyn env::Clock>,
    ) -> Result<Self, Error> {
        let mut config = parse_kubeconfig(kubeconfig).await?;
        config.auth_info = kube::config::AuthInfo::default();
        let tokens = Arc::new(TokenSource::new(issuer.clone(), namespace, account, clock));
        let made = Self::from_config(config)?;
        Ok(Self(Arc::new(Inner { tokens: Some(tokens), ..made.0.parts() })))
    }

    /// The client below, for streams and upgrades.
    pub fn kube(&self) -> &kube::Client {
        &self.0.kube
    }

    pub async fn get<T: DeserializeOwned>(
        &self,
        ty: &ResourceType,
        namespace: &str,
        name: &str,
    ) -> Result<T, Error> {
        self.request(http::Method::GET, &ty.path(namespace, name, ""), None).await
    }

    /// One page when `params.limit` is set, else everything (in pages below).
    pub async fn list<T: DeserializeOwned>(
        &self,
        ty: &ResourceType,
        params: &ListParams,
    ) -> Result<List<T>, Error> {
        let path = ty.path(&params.namespace, "", "");
        self.list_path(&path, params, JSON).await
    }

    /// As [`Client::list`], of any collection's path and in any JSON form (such as `PartialObjectMetadataList`).
    pub async fn list_path<T: DeserializeOwned>(
        &self,
        path: &str,
        params: &ListParams,
        accept: &str,
    ) -> Result<List<T>, Error> {
        let mut params = params.clone();
        let one_page = params.limit.is_some();
        params.limit.get_or_insert(PAGE_SIZE);
        let mut all: Option<List<T>> = None;
        loop {
            let target = format!("{path}{}", url::list_query(&params));
            let response = self.send(http::Method::GET, &target, None, accept).await?;
            let page: List<T> = decode(response).await?;
            params.continue_token.clone_from(&page.metadata.continue_token);
            // A later page is read at the first page's revision; saying so again is refused.
            params.resource_version.clear();
            params.resource_version_match.clear();
            match &mut all {
                Some(all) => {
                    all.items.extend(page.items);
                    all.metadata = page.metadata;
                }
                None => all = Some(page),
            }
            if one_page || params.continue_token.is_empty() {
                return Ok(all.expect("the first page was stored above"));
            }
        }
    }

    pub async fn create<T: DeserializeOwned>(
        &self,
        ty: &ResourceType,
        namespace: &str,
        body: &(impl Serialize + ?Sized),
    ) -> Result<T, Error> {
        self.write(http::Method::POST, &ty.path(namespace, "", ""), JSON, body).await
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
        self.write(http::Method::POST, &ty.path(namespace, name, subresource), JSON, body).await
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
        self.write(http::Method::PUT, &ty.path(namespace, name, subresource), JSON, body).await
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
        self.patch_path(&ty.path(namespace, name, subresource), patch).await
    }

    /// PATCH of an object by its path.
    pub async fn patch_path<T: DeserializeOwned>(&self, path: &str, patch: &Patch) -> Result<T, Error> {
        let target = match patch {
            Patch::Apply { field_manager, force, .. } => {
                let manager = url::encode(field_manager);
                format!("{path}?fieldManager={manager}&force={force}")
            }
            _ => path.to_owned(),
        };
        self.write(http::Method::PATCH, &target, patch.content_type(), patch.body()).await
    }

    /// DELETE. The answer (the object or a Status) is not kept.
    pub async fn delete(
        &self,
        ty: &ResourceType,
        namespace: &str,
        name: &str,
        params: &DeleteParams,
    ) -> Result<(), Error> {
        self.delete_path(&ty.path(namespace, name, ""), params).await
    }

    /// DELETE of an object, or of what a collection's path with a query selects.
    pub async fn delete_path(&self, path: &str, params: &DeleteParams) -> Result<(), Error> {
        let _: serde::de::IgnoredAny = self.write(http::Method::DELETE, path, JSON, &params.body()).await?;
        Ok(())
    }

    /// Any other request with a JSON body and answer: discovery, reviews. `path` starts with `/`.
    pub async fn request<T: DeserializeOwned>(
        &self,
        method: http::Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<T, Error> {
        let body = body.map(|b| (JSON, encode(b)));
        let body = match body {
            Some((content_type, bytes)) => Some((content_type, bytes?)),
            None => None,
        };
        decode(self.send(method, path, body, JSON).await?).await
    }

    /// A GET whose answer is asked for in the form `accept`.
    pub async fn get_accept<T: DeserializeOwned>(&self, path: &str, accept: &str) -> Result<T, Error> {
        decode(self.send(http::Method::GET, path, None, accept).await?).await
    }

    /// The metadata of one object, whatever its kind.
    pub async fn get_metadata(&self, path: &str) -> Result<crate::object::PartialObject, Error> {
        self.get_accept(path, crate::reflector::METADATA).await
    }

    async fn write<T: DeserializeOwned>(
        &self,
        method: http::Method,
        target: &str,
        content_type: &'static str,
        body: &(impl Serialize + ?Sized),
    ) -> Result<T, Error> {
        let bytes = encode(body)?;
        decode(self.send(method, target, Some((content_type, bytes)), JSON).await?).await
    }

    /// Sends and returns the answer's head with its body still streaming; any status but 2xx is an error.
    pub(crate) async fn send(
        &self,
        method: http::Method,
        target: &str,
        body: Option<(&'static str, Vec<u8>)>,
        accept: &str,
    ) -> Result<TransportResponse, Error> {
        if let Some(fence) = &self.0.fence
            && !fence.held()
        {
            return Err(Error::NotLeader);
        }
        let writes = method != http::Method::GET;
        let mut request = http::Request::builder()
            .method(method)
            .uri(target)
            .header(ACCEPT, accept)
            .header(USER_AGENT, self.0.user_agent.clone());
        if let Some(claim) = self.0.fence.as_ref().filter(|_| writes).and_then(Fence::claim) {
            request = request.header(crate::leader::LEASE_HEADER, claim);
        }
        if let Some(tokens) = &self.0.tokens {
            request = request.header(AUTHORIZATION, tokens.header().await?);
        }
        let body = match body {
            Some((content_type, bytes)) => {
                request = request.header(CONTENT_TYPE, content_type);
                kube::client::Body::from(bytes)
            }
            None => kube::client::Body::empty(),
        };
        let request = request.body(body).map_err(|e| Error::Request(e.to_string()))?;
        let response = self.0.kube.send(request).await.map_err(|e| Error::Transport(e.to_string()))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let code = response.status().as_u16();
        let bytes = collect(response).await?;
        Err(Error::from_answer(code, &bytes))
    }
}

async fn parse_kubeconfig(text: &str) -> Result<kube::Config, Error> {
    let bad = |e: &dyn fmt::Display| Error::Request(format!("kubeconfig: {e}"));
    let kubeconfig = kube::config::Kubeconfig::from_yaml(text).map_err(|e| bad(&e))?;
    let options = kube::config::KubeConfigOptions::default();
    kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|e| bad(&e))
}

async fn collect(response: TransportResponse) -> Result<bytes::Bytes, Error> {
    let body = response.into_body().collect().await.map_err(|e| Error::Transport(e.to_string()))?;
    Ok(body.to_bytes())
}

async fn decode<T: DeserializeOwned>(response: TransportResponse) -> Result<T, Error> {
    let bytes = collect(response).await?;
    serde_json::from_slice(&bytes).map_err(|e| Error::Decode(e.to_string()))
}

fn encode(body: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(body).map_err(|e| Error::Request(e.to_string()))
}
