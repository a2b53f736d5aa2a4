//! The real runtime: sandboxes, containers, exits by event, exec, restart of containerd. Needs root and containerd, so
//! `cargo xtask test --fast` leaves them out.

#[path = "support/containerd.rs"]
mod support;

use std::time::Duration;

use cri::{Runtime as _, RuntimeEvent, v1};
use support::{BUSYBOX, Containerd};

fn sandbox(name: &str, cgroup_root: &str) -> v1::PodSandboxConfig {
    v1::PodSandboxConfig {
        metadata: Some(v1::PodSandboxMetadata {
            name: name.to_owned(),
            uid: format!("{name}-uid"),
            namespace: "default".to_owned(),
            attempt: 0,
        }),
        hostname: name.to_owned(),
        labels: [("app".to_owned(), name.to_owned())].into(),
        linux: Some(v1::LinuxPodSandboxConfig {
            cgroup_parent: format!("{cgroup_root}/{name}"),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn shell(name: &str, script: &str) -> v1::ContainerConfig {
    v1::ContainerConfig {
        metadata: Some(v1::ContainerMetadata { name: name.to_owned(), attempt: 0 }),
        image: Some(v1::ImageSpec { image: BUSYBOX.to_owned(), ..Default::default() }),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        labels: [("app".to_owned(), name.to_owned())].into(),
        ..Default::default()
    }
}

async fn wait_for_exit(events: &mut cri::EventReceiver, id: &str) -> i32 {
    let wait = async {
        loop {
            match events.recv().await.expect("the runtime lives") {
                RuntimeEvent::Exited { id: ended, exit_code } if ended == id => return exit_code,
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the exit is told")
}

#[tokio::test]
async fn containers_run_exit_and_are_told_of() {
    let mut containerd = Containerd::start("cri", 1).await;
    let runtime = containerd.runtime.clone();
    assert_eq!(runtime.version().await.unwrap().runtime_name, "containerd");
    let conditions = runtime.status().await.unwrap().status.unwrap().conditions;
    assert!(conditions.iter().all(|c| c.status), "{conditions:?}");
    let mut events = runtime.events();

    let config = sandbox("one", &containerd.cgroup_root);
    let sandbox_id = runtime.run_sandbox(&config, "").await.unwrap();
    let status = runtime.sandbox_status(&sandbox_id).await.unwrap();
    assert!(status.network.unwrap().ip.starts_with("10.99.1."));
    assert_eq!(runtime.list_sandboxes(&[("app", "one")]).await.unwrap().len(), 1);
    assert!(runtime.list_sandboxes(&[("app", "two")]).await.unwrap().is_empty());

    // Ends by itself.
    let id = runtime.create_container(&sandbox_id, &shell("short", "exit 7"), &config).await.unwrap();
    runtime.start_container(&id).await.unwrap();
    assert_eq!(wait_for_exit(&mut events, &id).await, 7);
    let status = runtime.container_status(&id).await.unwrap();
    assert_eq!((status.state(), status.exit_code), (v1::ContainerState::ContainerExited, 7));

    // Runs, answers, outlives containerd, is stopped.
    let long = shell("long", "trap 'exit 0' TERM; while true; do sleep 0.1; done");
    let id = runtime.create_container(&sandbox_id, &long, &config).await.unwrap();
    runtime.start_container(&id).await.unwrap();
    let command = ["sh", "-c", "echo out; echo err >&2; exit 3"].map(str::to_owned);
    let output = runtime.exec_sync(&id, &command, Duration::from_secs(5)).await.unwrap();
    assert_eq!((&output.stdout[..], &output.stderr[..], output.exit_code), (&b"out\n"[..], &b"err\n"[..], 3));

    containerd.kill();
    assert!(runtime.version().await.is_err());
    containerd.spawn();
    runtime.ready(Duration::from_secs(20)).await.unwrap();
    assert_eq!(runtime.container_status(&id).await.unwrap().state(), v1::ContainerState::ContainerRunning);
    // The stream begins anew and says so.
    let missed = async { while events.recv().await != Some(RuntimeEvent::Missed) {} };
    tokio::time::timeout(Duration::from_secs(20), missed).await.unwrap();

    runtime.stop_container(&id, Duration::from_secs(10)).await.unwrap();
    assert_eq!(wait_for_exit(&mut events, &id).await, 0);
    // Of things that are gone.
    runtime.remove_container(&id).await.unwrap();
    runtime.remove_container(&id).await.unwrap();
    runtime.stop_container("nothing", Duration::ZERO).await.unwrap();
    assert!(runtime.container_status(&id).await.unwrap_err().is_not_found());
    assert!(runtime.image_status("gantry.test/none:1").await.unwrap().is_none());
    assert_eq!(runtime.image_status(BUSYBOX).await.unwrap().unwrap().repo_tags, [BUSYBOX]);
    containerd.clear().await;
}
