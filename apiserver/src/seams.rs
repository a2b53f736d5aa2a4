//! The types at which the parts of the API server meet: who asks ([`UserInfo`]), for what ([`Attributes`]), what may
//! change or refuse it ([`Admission`], [`Strategy`]) and what else goes into its transaction.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use apimachinery::status::FieldError;
use apimachinery::{Status, Value};
use futures::future::BoxFuture;

/// An authenticated user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The identity of a request that arrives in process: set by whoever holds the service, as a request extension. No
/// header can forge it, and the listener for sockets never sets it.
#[derive(Clone, Debug)]
pub struct InProcessUser(pub UserInfo);

/// The verified client certificate of a connection (DER), set by the listener as a request extension.
#[derive(Clone, Debug)]
pub struct PeerCertificate(pub Arc<[u8]>);

/// What a request wants, as authorization sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    pub user: Arc<UserInfo>,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, `proxy`; lower-case HTTP
    /// method for non-resource requests.
    pub verb: String,
    pub group: String,
    pub version: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    /// The URL path; what counts when `is_resource` is false.
    pub path: String,
    pub is_resource: bool,
    /// Of list and watch requests, as sent: the Node authorizer reads `spec.nodeName=`/`metadata.name=` from it.
    pub field_selector: String,
    pub label_selector: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Allow(String),
    Deny(String),
    NoOpinion(String),
}

/// Says who a request's bearer token or certificate is.
pub trait Authenticator: Send + Sync + fmt::Debug {
    /// `Ok(None)`: the request carries no credential that this authenticator understands. `Err`: it carries a bad one.
    fn authenticate<'a>(
        &'a self,
        request: &'a http::request::Parts,
    ) -> BoxFuture<'a, Result<Option<Arc<UserInfo>>, String>>;
}

/// Says whether a user may.
pub trait Authorizer: Send + Sync + fmt::Debug {
    fn authorize(&self, attributes: &Attributes) -> Decision;
    /// The rules that apply to `user` in `namespace`, for SelfSubjectRulesReview: (resource rules, non-resource
    /// rules) in the review's status form, and whether the list is incomplete.
    fn rules(&self, user: &UserInfo, namespace: &str) -> (Vec<Value>, Vec<Value>, bool);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

/// A mutating request on its way through admission.
#[derive(Debug)]
pub struct AdmissionRequest<'a> {
    pub operation: Operation,
    pub group: &'a str,
    pub version: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    pub kind: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    /// The new object, in the request's version; null for deletes.
    pub object: &'a mut Value,
    /// The stored object; `None` for creates.
    pub old: Option<&'a Value>,
    /// The options of the request (`DeleteOptions`, …) as an object.
    pub options: &'a Value,
    pub dry_run: bool,
    pub user: &'a Arc<UserInfo>,
    /// Texts for `Warning:` headers.
    pub warnings: &'a mut Vec<String>,
}

/// An admission plugin. Reads go to the server's own caches, so that admission never waits for the network.
pub trait Admission: Send + Sync + fmt::Debug {
    fn name(&self) -> &'static str;
    /// Cheap test that keeps a plugin out of requests that it does not look at.
    fn handles(&self, request: &AdmissionRequest<'_>) -> bool;
    /// May change the object, or refuse.
    fn admit<'a>(&'a self, request: &'a mut AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>>;
    /// May only refuse; runs after all changes.
    fn validate<'a>(&'a self, request: &'a AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>>;
}

/// What a strategy may know of the server.
#[derive(Clone, Debug)]
pub struct StrategyContext<'a> {
    pub now: jiff::Timestamp,
    pub namespace: &'a str,
    pub subresource: &'a str,
    pub user: &'a Arc<UserInfo>,
    pub dry_run: bool,
    /// Feature gates: on or off.
    pub features: &'a Features,
}

/// The feature gates of this server.
#[derive(Clone, Debug, Default)]
pub struct Features(pub BTreeMap<String, bool>);

impl Features {
    pub fn enabled(&self, gate: &str) -> bool {
        self.0.get(gate).copied().unwrap_or(false)
    }
}

/// What a table cannot say of a kind. One file per kind under `strategy/<group>/<kind>.rs`. Objects are in the stored
/// (hub) version. All methods are pure.
pub trait Strategy: Send + Sync + fmt::Debug {
    /// (group, resource) that this is the strategy of.
    fn resource(&self) -> (&'static str, &'static str);
    /// Clears and derives fields of a new object before validation (status is dropped by the generic code already).
    fn prepare_create(&self, _ctx: &StrategyContext<'_>, _object: &mut Value) {}
    /// As `prepare_create`, for updates of the main resource (`ctx.subresource` empty) and of subresources. The generic
    /// code has already kept status on main updates and everything else on status updates.
    fn prepare_update(&self, _ctx: &StrategyContext<'_>, _object: &mut Value, _old: &Value) {}
    /// Every problem of a new object (metadata has been checked by the generic code).
    fn validate_create(&self, _ctx: &StrategyContext<'_>, _object: &Value) -> Vec<FieldError> {
        Vec::new()
    }
    fn validate_update(&self, _ctx: &StrategyContext<'_>, _object: &Value, _old: &Value) -> Vec<FieldError> {
        Vec::new()
    }
    fn warnings(&self, _ctx: &StrategyContext<'_>, _object: &Value, _old: Option<&Value>) -> Vec<String> {
        Vec::new()
    }
    /// Changes an object whose deletion begins: what must happen before it is gone.
    fn prepare_delete(&self, _now: jiff::Timestamp, _object: &mut Value) {}
    /// Why the object of that name is not to be deleted by name. As upstream, a collection is deleted without asking.
    fn keeps(&self, _name: &str) -> Option<&'static str> {
        None
    }
    /// The grace period of a deletion in seconds; `None`: deleted at once (pods alone have one).
    fn graceful_deletion(&self, _object: &Value, _requested: Option<i64>) -> Option<i64> {
        None
    }
}

/// Resources that live beside an object and change in its transaction: cluster IPs, node ports.
pub trait Allocator: Send + Sync + fmt::Debug {
    fn resource(&self) -> (&'static str, &'static str);
    /// Fills in what the server allocates in `object` and returns what must be written with it. Called again, with a
    /// fresh object, when the transaction lost a race. With `dry_run` nothing returned is written.
    fn allocate(
        &self,
        object: &mut Value,
        old: Option<&Value>,
        dry_run: bool,
    ) -> Result<(Vec<store::Guard>, Vec<store::Op>), Status>;
    /// What must be written with the removal of `object`.
    fn release(&self, object: &Value) -> (Vec<store::Guard>, Vec<store::Op>);
}

/// What changed in a resource; see [`Objects::changes_since`].
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub revision: store::Revision,
    /// Namespace, name and the object, `None` when it is gone.
    pub objects: Vec<(String, String, Option<Arc<Value>>)>,
}

/// The server's own access to objects: reads come from the View (never stale by more than the newest applied
/// revision), writes go through the generic registry (defaults, validation, one transaction) without authentication,
/// authorization and admission. For admission plugins, authorizers, built-in behaviour and bootstrap.
pub trait Objects: Send + Sync + fmt::Debug {
    /// The stored object in its stored version with `metadata.resourceVersion` filled in. `namespace` is empty for
    /// cluster-scoped resources.
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>>;
    /// All objects, of one namespace or (when empty) of all, in key order.
    fn list(&self, group: &str, resource: &str, namespace: &str) -> Vec<Arc<Value>>;
    /// The revision of the newest change to any object of the resource: a cache derived from `list` is fresh while
    /// this has not moved. O(1).
    fn last_change(&self, group: &str, resource: &str) -> store::Revision;
    /// What changed after `since`, newest state of each object once, and the revision that this brings a cache to.
    /// `None` when that is not known any more (or not kept): start again from `list`.
    fn changes_since(&self, _group: &str, _resource: &str, _since: store::Revision) -> Option<Changes> {
        None
    }
    /// The value and revision of a key that belongs to no resource, such as the ranges of node ports.
    fn raw(&self, _key: &str) -> Option<(bytes::Bytes, store::Revision)> {
        None
    }
    /// One transaction on such keys; `false` when a guard did not hold.
    fn commit_raw(
        &self,
        _guards: Vec<store::Guard>,
        _ops: Vec<store::Op>,
    ) -> BoxFuture<'_, Result<bool, Status>> {
        Box::pin(async { Err(Status::plain_error("no access to raw keys")) })
    }
    /// Creates as the server itself; `AlreadyExists` when it is there.
    fn create<'a>(
        &'a self,
        group: &'a str,
        resource: &'a str,
        namespace: &'a str,
        object: Value,
    ) -> BoxFuture<'a, Result<Value, Status>>;
    /// As `create`, with another manager of fields than the server itself.
    fn create_by<'a>(
        &'a self,
        _manager: &'a str,
        group: &'a str,
        resource: &'a str,
        namespace: &'a str,
        object: Value,
    ) -> BoxFuture<'a, Result<Value, Status>> {
        self.create(group, resource, namespace, object)
    }
    /// Applies the status that `object` carries, as `manager`, to a stored object of a cluster-scoped resource.
    fn apply_status<'a>(
        &'a self,
        _manager: &'a str,
        group: &'a str,
        resource: &'a str,
        name: &'a str,
        object: Value,
    ) -> BoxFuture<'a, Result<Value, Status>> {
        self.update(group, resource, "", name, "status", object)
    }
    /// Replaces (guarded by `metadata.resourceVersion` when it is set); `subresource` may be empty, `status`, or another
    /// one's name (`binding`), by which spec and status are replaced at once and the strategy knows what is going on.
    fn update<'a>(
        &'a self,
        group: &'a str,
        resource: &'a str,
        namespace: &'a str,
        name: &'a str,
        subresource: &'a str,
        object: Value,
    ) -> BoxFuture<'a, Result<Value, Status>>;
    fn delete<'a>(
        &'a self,
        group: &'a str,
        resource: &'a str,
        namespace: &'a str,
        name: &'a str,
        options: Value,
    ) -> BoxFuture<'a, Result<(), Status>>;
}

/// A resource or subresource whose POST is answered by code instead of storage: reviews, token requests, bindings,
/// evictions.
pub trait Special: Send + Sync + fmt::Debug {
    /// (group, resource, subresource), such as ("", "pods", "binding") or ("authentication.k8s.io", "tokenreviews", "").
    fn resource(&self) -> (&'static str, &'static str, &'static str);
    fn create<'a>(&'a self, request: SpecialRequest<'a>) -> BoxFuture<'a, Result<Value, Status>>;
}

/// A POST to a [`Special`]. The object has been decoded and defaulted, the user authorized.
#[derive(Debug)]
pub struct SpecialRequest<'a> {
    pub user: &'a Arc<UserInfo>,
    pub namespace: &'a str,
    /// The parent's name for subresources, else empty.
    pub name: &'a str,
    pub object: Value,
    pub dry_run: bool,
    pub now: jiff::Timestamp,
}
