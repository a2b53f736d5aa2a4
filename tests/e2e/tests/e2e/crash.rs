//! `kill -9` of the whole process at moments drawn from a seed: nothing acknowledged is lost, no container restarts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use e2e_tests::{Cluster, eventually};

use super::rollout::web;

/// Kills; each somewhere in the first seconds of a rollout.
const KILLS: u32 = 10;

#[test]
fn kill_nine_loses_nothing() {
    let seed: u64 = std::env::var("GANTRY_TEST_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261);
    eprintln!("seed {seed} (GANTRY_TEST_SEED)");
    let mut random = seed;
    let cluster = Arc::new(Cluster::start());
    cluster.apply(&web(1));
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=90s"]).ok();
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/client", "--timeout=60s"]).ok();
    let client_id = || {
        cluster.field(
            &["pod", "client"],
            "{.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}",
        )
    };
    let first_id = client_id();

    for round in 1..=KILLS {
        // A writer that remembers what was acknowledged, while a rollout goes on.
        let stop = Arc::new(AtomicBool::new(false));
        let writer = {
            let (stop, cluster) = (Arc::clone(&stop), Arc::clone(&cluster));
            thread::spawn(move || {
                let mut acknowledged = BTreeMap::new();
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    let name = format!("kept-{round}-{number}");
                    let value = format!("{number}");
                    let ran = cluster.kubectl(&[
                        "create",
                        "configmap",
                        &name,
                        &format!("--from-literal=v={value}"),
                    ]);
                    if ran.code == Some(0) {
                        acknowledged.insert(name, value);
                    }
                }
                acknowledged
            })
        };
        cluster.kubectl(&["set", "env", "deployment/web", &format!("VERSION=r{round}")]).ok();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let wait = Duration::from_millis((random >> 33) % 2500);
        thread::sleep(wait);
        let status = std::process::Command::new("kill").args(["-9", &cluster.pid().to_string()]).status();
        assert!(status.expect("kill runs").success());
        stop.store(true, Ordering::Relaxed);
        let acknowledged = writer.join().expect("the writer does not panic");
        cluster.gantry(&["up"]).ok();
        for (name, value) in &acknowledged {
            let found = cluster.field(&["configmap", name], "{.data.v}");
            assert_eq!(&found, value, "round {round}, killed after {wait:?}: {name} was acknowledged");
        }
        assert_eq!(client_id(), first_id, "round {round}: the bystander was restarted");
        cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=120s"]).ok();
        eventually("old pods go", || {
            let pods = cluster.field(&["pods", "-l", "app=web"], "{.items[*].metadata.name}");
            (pods.split_whitespace().count() == 3).then_some(())
        });
        let restarts =
            cluster.field(&["pods", "-l", "app=web"], "{.items[*].status.containerStatuses[0].restartCount}");
        let why = || {
            let path = "{.items[*].status.containerStatuses[0].lastState}";
            cluster.field(&["pods", "-l", "app=web"], path)
        };
        let restarted = restarts.split_whitespace().any(|n| n != "0");
        assert!(!restarted, "round {round}, killed after {wait:?}: restarts {restarts}: {}", why());
        eprintln!("round {round}: killed after {wait:?}, {} writes kept", acknowledged.len());
    }
}
