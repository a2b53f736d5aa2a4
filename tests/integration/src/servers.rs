//! Several servers in one process are several servers.

use client::resources::CONFIG_MAPS;
use env::Env;
use http_body_util::BodyExt as _;
use testing::{Cluster, config_map, users};
use tower::Service as _;

async fn metrics(cluster: &Cluster) -> String {
    let request = http::Request::get("/metrics").body(Vec::new().into()).unwrap();
    let answer = cluster.server.service(users::admin()).call(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

fn count(metrics: &str) -> u64 {
    let line = metrics.lines().find(|l| {
        l.starts_with("apiserver_request_total{")
            && l.contains("\"configmaps\"")
            && l.contains("verb=\"POST\"")
    });
    line.and_then(|l| l.rsplit(' ').next()).map_or(0, |n| n.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn three_servers_have_metrics_of_their_own() {
    let mut clusters = Vec::new();
    for seed in 0..3 {
        clusters.push(Cluster::api_only(Env::simulated(seed)).await);
    }
    for (n, cluster) in clusters.iter().enumerate() {
        for map in 0..=n {
            cluster.create(&CONFIG_MAPS, "default", &config_map(&format!("m{map}"), &[])).await;
        }
    }
    for (n, cluster) in clusters.into_iter().enumerate() {
        assert_eq!(count(&metrics(&cluster).await), n as u64 + 1);
        assert_eq!(cluster.list(&CONFIG_MAPS, "default").await.len(), n + 1);
        cluster.end().await;
    }
}
