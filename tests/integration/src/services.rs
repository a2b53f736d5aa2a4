//! Services: addresses, and endpoints that follow their pods.

use std::time::Duration;

use client::resources::{DEPLOYMENTS, ENDPOINT_SLICES, ENDPOINTS, SERVICES};
use serde_json::{Value, json};
use testing::{Cluster, deployment, eventually, service};

use crate::{rollout, when};

/// Addresses of the Service's slices that are ready.
async fn ready_addresses(cluster: &Cluster, service: &str) -> Vec<String> {
    let slices = cluster.list(&ENDPOINT_SLICES, "default").await;
    let mut addresses: Vec<String> = slices
        .iter()
        .filter(|s| s["metadata"]["labels"]["kubernetes.io/service-name"] == service)
        .flat_map(|s| s["endpoints"].as_array().cloned().unwrap_or_default())
        .filter(|e| e["conditions"]["ready"] == true)
        .filter_map(|e| e["addresses"][0].as_str().map(str::to_owned))
        .collect();
    addresses.sort();
    addresses
}

#[tokio::test(start_paused = true)]
async fn endpoints_follow_readiness() {
    let cluster = Cluster::simulated(1, 1).await;
    let made = cluster.create(&SERVICES, "default", &service("web").build()).await;
    assert!(
        made["spec"]["clusterIP"].as_str().is_some_and(|ip| ip.starts_with("10.96.")),
        "{}",
        made["spec"]
    );
    let probed = deployment("web").replicas(2).grace(1).set(
        "/spec/template/spec/containers/0/readinessProbe",
        json!({"httpGet": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 1}),
    );
    cluster.create(&DEPLOYMENTS, "default", &probed.build()).await;
    rollout(&cluster, "web").await;
    let both = eventually!(cluster, "two addresses", {
        let found = ready_addresses(&cluster, "web").await;
        when(found.len() == 2, &found)?;
        Ok(found)
    });
    let host = &cluster.nodes[0].machine.host;
    let failed = tokio::time::Instant::now();
    host.set_http(&both[0], 8080, Some(503));
    eventually!(cluster, "the unready one gone", {
        let found = ready_addresses(&cluster, "web").await;
        when(found == both[1..], &found)
    });
    assert!(failed.elapsed() < Duration::from_secs(2), "{:?}", failed.elapsed());
    let endpoints = eventually!(cluster, "it among those not ready", {
        let found: Value = cluster.get(&ENDPOINTS, "default", "web").await;
        when(found["subsets"][0]["notReadyAddresses"][0]["ip"] == both[0].as_str(), &found)?;
        Ok(found)
    });
    assert_eq!(endpoints["subsets"][0]["addresses"][0]["ip"], both[1].as_str());
    host.set_http(&both[0], 8080, Some(200));
    eventually!(cluster, "it back", {
        let found = ready_addresses(&cluster, "web").await;
        when(found == both, &found)
    });
    cluster.delete(&DEPLOYMENTS, "default", "web", None).await;
    eventually!(cluster, "no address", {
        let found = ready_addresses(&cluster, "web").await;
        when(found.is_empty(), &found)
    });
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn two_services_never_share_an_address_or_port() {
    let cluster = Cluster::api_only(env::Env::simulated(4)).await;
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..20 {
        let made = service(&format!("s{n}")).set("/spec/type", "NodePort".into()).build();
        let made = cluster.create(&SERVICES, "default", &made).await;
        assert!(seen.insert(made["spec"]["clusterIP"].to_string()));
        assert!(seen.insert(made["spec"]["ports"][0]["nodePort"].to_string()));
    }
    let taken = seen
        .iter()
        .find(|s| s.contains("10.96"))
        .expect("addresses are among them")
        .trim_matches('"')
        .to_owned();
    let refused = cluster
        .admin
        .create::<Value>(&SERVICES, "default", &service("again").set("/spec/clusterIP", taken.into()).build())
        .await;
    assert!(refused.is_err_and(|e| e.is_invalid()));
    cluster.end().await;
}
