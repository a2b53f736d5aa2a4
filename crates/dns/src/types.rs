//! The objects that DNS reads, as far as it reads them.

use std::net::IpAddr;

use client::resources::{ENDPOINT_SLICES, SERVICES};
use client::{Meta, Resource, ResourceType};
use serde::Deserialize;

/// core/v1 Service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Service {
    pub metadata: Meta,
    pub spec: ServiceSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    #[serde(rename = "type")]
    pub service_type: String,
    #[serde(rename = "clusterIP")]
    pub cluster_ip: String,
    #[serde(rename = "clusterIPs")]
    pub cluster_ips: Option<Vec<String>>,
    pub external_name: String,
    pub ports: Option<Vec<ServicePort>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ServicePort {
    pub name: String,
    pub protocol: String,
    pub port: u16,
}

/// discovery.k8s.io/v1 EndpointSlice. Lists may be null on the wire.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSlice {
    pub metadata: Meta,
    pub endpoints: Option<Vec<Endpoint>>,
    pub ports: Option<Vec<SlicePort>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    pub addresses: Option<Vec<String>>,
    pub conditions: Conditions,
    pub hostname: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Conditions {
    pub ready: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SlicePort {
    pub name: Option<String>,
    pub protocol: Option<String>,
    pub port: Option<u16>,
}

impl Resource for Service {
    const TYPE: ResourceType = SERVICES;
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

impl Resource for EndpointSlice {
    const TYPE: ResourceType = ENDPOINT_SLICES;
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

impl Service {
    pub fn cluster_ips(&self) -> impl Iterator<Item = IpAddr> {
        let listed = self.spec.cluster_ips.iter().flatten();
        // Old objects have only the single form.
        let single = self.spec.cluster_ips.is_none().then_some(&self.spec.cluster_ip);
        listed.chain(single).filter_map(|ip| ip.parse().ok())
    }

    pub fn is_external_name(&self) -> bool {
        self.spec.service_type == "ExternalName"
    }

    pub fn is_headless(&self) -> bool {
        !self.is_external_name() && self.spec.cluster_ip == "None"
    }
}

impl EndpointSlice {
    pub fn service_name(&self) -> Option<&str> {
        self.metadata.labels.get("kubernetes.io/service-name").map(String::as_str)
    }

    /// The endpoints that names lead to. (`publishNotReadyAddresses` shows as ready in the slice.)
    pub fn ready_endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().flatten().filter(|e| e.conditions.ready.unwrap_or(true))
    }
}

impl Endpoint {
    pub fn ips(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().flatten().filter_map(|a| a.parse().ok())
    }

    /// The endpoint's label below its Service: its hostname, or its address with dashes.
    pub fn label(&self, ip: IpAddr) -> String {
        match self.hostname.as_deref() {
            Some(hostname) if !hostname.is_empty() => hostname.to_lowercase(),
            _ => dashed(ip),
        }
    }
}

/// `10-244-0-5`, `fd00--5`.
pub fn dashed(ip: IpAddr) -> String {
    ip.to_string().replace(['.', ':'], "-")
}
