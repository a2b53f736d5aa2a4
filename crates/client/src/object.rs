//! What every object has, as slim structs: components keep only the fields that they read.
//!
//! A slim struct is never written back: writes are patches with uid and resourceVersion, or apply.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// One resource of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceType {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    /// The plural in URLs: `pods`.
    pub plural: &'static str,
    pub kind: &'static str,
    pub namespaced: bool,
}

/// A slim type that an informer can hold. Fields that it does not name are dropped while decoding.
pub trait Resource: DeserializeOwned + Send + Sync + 'static {
    const TYPE: ResourceType;
    fn meta(&self) -> &Meta;
}

/// metav1.ObjectMeta, less managedFields.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub generation: i64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<OwnerReference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_timestamp: Option<jiff::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<jiff::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_grace_period_seconds: Option<i64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub generate_name: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(n: &i64) -> bool {
    *n == 0
}

impl Meta {
    /// `resourceVersion` as the number that it is on our servers and on upstream's; 0 when absent.
    pub fn revision(&self) -> u64 {
        self.resource_version.parse().unwrap_or(0)
    }
    /// Somebody asked for its deletion.
    pub fn deleting(&self) -> bool {
        self.deletion_timestamp.is_some()
    }
    pub fn has_finalizer(&self, finalizer: &str) -> bool {
        self.finalizers.iter().any(|f| f == finalizer)
    }
    /// The reference that marks its object as controlled.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|o| o.controller == Some(true))
    }
}

/// metav1.OwnerReference.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    pub api_version: String,
    pub kind: String,
    pub name: String,
    pub uid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_owner_deletion: Option<bool>,
}

/// An object of which only the metadata is known, of any resource (see [`crate::Informers::metadata_of`]).
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct PartialObject {
    pub api_version: String,
    pub kind: String,
    pub metadata: Meta,
}

impl Resource for PartialObject {
    /// Of no resource of its own: its informers are told which they hold.
    const TYPE: ResourceType = ResourceType {
        group: "meta.k8s.io",
        version: "v1",
        plural: "",
        kind: "PartialObjectMetadata",
        namespaced: true,
    };
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

/// A resource known at run time only: from discovery.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiResource {
    pub group: String,
    pub version: String,
    pub plural: String,
    pub kind: String,
    pub namespaced: bool,
}

impl ApiResource {
    pub fn path(&self, namespace: &str, name: &str, subresource: &str) -> String {
        crate::url::path(
            &self.group,
            &self.version,
            &self.plural,
            self.namespaced,
            namespace,
            name,
            subresource,
        )
    }
    pub fn api_version(&self) -> String {
        crate::url::api_version(&self.group, &self.version)
    }
}

impl From<ResourceType> for ApiResource {
    fn from(ty: ResourceType) -> Self {
        Self {
            group: ty.group.into(),
            version: ty.version.into(),
            plural: ty.plural.into(),
            kind: ty.kind.into(),
            namespaced: ty.namespaced,
        }
    }
}

/// A list's answer.
#[derive(Clone, Debug, Deserialize)]
pub struct List<T> {
    #[serde(default)]
    pub metadata: ListMeta,
    #[serde(default = "Vec::new")]
    pub items: Vec<T>,
}

/// metav1.ListMeta.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListMeta {
    pub resource_version: String,
    #[serde(rename = "continue")]
    pub continue_token: String,
}
