//! `down` leaves nothing behind, and `up` twice is no second cluster.

use e2e_tests::host::Host;
use e2e_tests::{Cluster, images};

#[test]
fn down_leaves_nothing_behind() {
    let before = Host::look();
    let cluster = Cluster::start();
    let again = cluster.gantry(&["up"]).ok();
    assert!(again.stdout.contains("already running"), "{again}");
    let status = cluster.gantry(&["status"]).ok();
    assert!(status.stdout.contains("Ready"), "{status}");
    cluster.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: stays}}\nspec:\n  containers:\n  - name: c\n    image: {}\n    command: [sleep, '10000']\n    ports: [{{containerPort: 80, hostPort: 8089}}]\n    volumeMounts: [{{name: m, mountPath: /m}}]\n  volumes: [{{name: m, emptyDir: {{medium: Memory}}}}]\n",
        images::BUSYBOX
    ));
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/stays", "--timeout=60s"]).ok();
    let (data, run) = (cluster.data.clone(), cluster.run.clone());
    cluster.down().ok();
    let added = Host::look().added_since(&before);
    assert!(added.is_empty(), "left behind:\n{}", added.join("\n"));
    assert!(!data.exists() && !run.exists(), "the directories are gone");
}
