//! `kill -9` of the whole process at moments drawn from a seed: nothing acknowledged is lost, no container restarts.

mod moment;
mod writers;

use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use e2e_tests::api::Api;
use e2e_tests::{Cluster, eventually, images};
use moment::{Kind, Moment, Random};
use serde_json::{Value, json};
use writers::Memory;

use super::rollout::web;

/// How often the process is killed; each kind of moment gets its third of it.
const KILLS: usize = 10;
const KILLS_LONG: usize = 30;

/// A moment that has not come by then will not.
const MOMENT_LIMIT: Duration = Duration::from_secs(60);

const PODS: &str = "/api/v1/namespaces/default/pods?labelSelector=app%3Dweb";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/web";

#[test]
fn kill_nine_loses_nothing() {
    let seed: u64 = std::env::var("GANTRY_TEST_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261);
    let mut random = Random::new(seed);
    let moments = moment::draw(&mut random, if e2e_tests::long() { KILLS_LONG } else { KILLS });
    eprintln!("seed {seed} (GANTRY_TEST_SEED), moments {moments:?}");
    let cluster = Cluster::start();
    cluster.apply(&web(1));
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=90s"]).ok();
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/client", "--timeout=60s"]).ok();
    let api = Api::of(&cluster);
    let bystander = || {
        let status = &api.ask("GET", "/api/v1/namespaces/default/pods/client", &[], b"").expect(200).json()["status"]
            ["containerStatuses"][0];
        (status["containerID"].clone(), status["restartCount"].clone())
    };
    let bystander_before = bystander();
    assert_eq!(bystander_before.1, 0);

    let mut memory = Memory::default();
    let mut caught = 0;
    for (round, moment) in (1u32..).zip(&moments) {
        let image = images::server(round % images::SERVER_VERSIONS + 1);
        let killed = kill_during_rollout(&cluster, &api, &mut memory, random.next(), *moment, &image);
        caught += usize::from(killed.inside_fdatasync);
        cluster.gantry(&["up"]).ok();
        let what = format!("round {round}, killed at {moment:?}");
        memory.check(&api, &what);
        if let Some(generation) = &killed.generation {
            let found = api.ask("GET", DEPLOYMENT, &[], b"").expect(200).json();
            assert_eq!(found["spec"]["template"]["spec"]["containers"][0]["image"], image, "{what}");
            // The controller's note of the revision counts as a change too.
            let found = found["metadata"]["generation"].as_u64();
            assert!(found >= generation.as_u64(), "{what}: {found:?}, it was {generation}");
        } else {
            set_image(&api, &image).expect("nobody ends the server now");
        }
        assert_eq!(bystander(), bystander_before, "{what}: the bystander was restarted");
        unchanged_containers(&api, &killed.containers, &what);
        cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=120s"]).ok();
        rolled_out(&api, &image, &what);
        eprintln!(
            "{what}{}: {} writes acknowledged, {} under way, {} objects",
            if killed.inside_fdatasync { " inside an fdatasync" } else { "" },
            killed.acknowledged,
            killed.under_way,
            memory.len()
        );
        assert!(killed.acknowledged > 0, "{what}: no write was acknowledged, so nothing was proven");
    }
    let fsyncs = moments.iter().filter(|m| m.kind == Kind::Fsync).count();
    eprintln!(
        "{caught} of {fsyncs} kills at a write were seen to fall between it and the end of its fdatasync"
    );
}

/// What is known of a round.
struct Killed {
    /// Container by pod uid, as last seen.
    containers: BTreeMap<String, String>,
    /// The Deployment's, when the server lived to acknowledge its change.
    generation: Option<Value>,
    inside_fdatasync: bool,
    acknowledged: usize,
    under_way: usize,
}

/// Starts writers and a rollout to `image`, and kills the process at `moment`.
fn kill_during_rollout(
    cluster: &Cluster,
    api: &Api,
    memory: &mut Memory,
    seed: u64,
    moment: Moment,
    image: &str,
) -> Killed {
    let pid = cluster.pid();
    let writers = memory.start(api, seed);
    let listed = api.ask("GET", PODS, &[], b"").expect(200).json();
    let revision = listed["metadata"]["resourceVersion"].as_str().expect("a list has a revision").to_owned();
    let mut seen = moment::Pods::default();
    for pod in listed["items"].as_array().expect("a list has items") {
        seen.update(pod);
    }
    let (tell, told) = sync_channel(4);
    let containers = Arc::new(Mutex::new(seen.containers.clone()));
    let watch = {
        let (tell, containers) = (tell.clone(), Arc::clone(&containers));
        let mut count = 0;
        api.watch(&format!("{PODS}&watch=true&resourceVersion={revision}"), move |event, _| {
            count += u64::from(seen.update(&event["object"]) == Some(moment.kind));
            let now = count == moment.n && moment.kind != Kind::Fsync;
            if now {
                moment::kill(pid);
            }
            containers.lock().expect("no holder panics").clone_from(&seen.containers);
            if now {
                let _ = tell.try_send(false);
            }
            !now
        })
    };
    let store = cluster.data.join("store");
    // An early moment may cut off even this answer.
    let generation = set_image(api, image).ok();
    if moment.kind == Kind::Fsync {
        let _ = tell.try_send(moment::kill_at_write(pid, &store, moment.n, MOMENT_LIMIT));
    }
    let inside_fdatasync = match told.recv_timeout(MOMENT_LIMIT) {
        Ok(inside) => inside,
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => panic!("{moment:?} did not come"),
    };
    watch.join().expect("the watch does not panic");
    let (acknowledged, under_way) = memory.stop(writers);
    let containers = containers.lock().expect("no holder panics").clone();
    Killed { containers, generation, inside_fdatasync, acknowledged, under_way }
}

/// What `kubectl set image` sends; the Deployment's new generation.
#[track_caller]
fn set_image(api: &Api, image: &str) -> std::io::Result<Value> {
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "server", "image": image}]}}}});
    let headers = [("Content-Type", "application/strategic-merge-patch+json")];
    let answer = api.try_ask("PATCH", DEPLOYMENT, &headers, patch.to_string().as_bytes())?;
    Ok(answer.expect(200).json()["metadata"]["generation"].clone())
}

/// A pod that was there before the kill, and is there after it, has the container that it had.
#[track_caller]
fn unchanged_containers(api: &Api, before: &BTreeMap<String, String>, what: &str) {
    let pods = api.ask("GET", PODS, &[], b"").expect(200).json();
    let mut now = moment::Pods::default();
    for pod in pods["items"].as_array().expect("a list has items") {
        now.update(pod);
    }
    for (uid, container) in &now.containers {
        if let Some(before) = before.get(uid) {
            assert_eq!(container, before, "{what}: the container of pod {uid} is another");
        }
    }
}

/// The old pods end, and the new ones never restarted.
#[track_caller]
fn rolled_out(api: &Api, image: &str, what: &str) {
    let pods = eventually("the old pods go", || {
        let pods = api.ask("GET", PODS, &[], b"").expect(200).json();
        pods["items"].as_array().filter(|items| items.len() == 3).cloned()
    });
    for pod in pods {
        assert_eq!(pod["spec"]["containers"][0]["image"], image, "{what}");
        let status = &pod["status"]["containerStatuses"][0];
        assert_eq!(status["restartCount"], 0, "{what}: {status:#}");
        assert_eq!(status["ready"], true, "{what}: {status:#}");
    }
}
