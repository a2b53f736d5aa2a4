//! Who may ask: nobody without business, and in upstream's words.

use std::process::Command;

use e2e_tests::{Cluster, finish};

#[test]
fn strangers_get_nothing() {
    let cluster = Cluster::start();
    let server =
        cluster.kubectl(&["config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"]).ok().stdout;
    let curl = |args: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["-sk", "-w", "\n%{http_code}"]).args(args);
        finish(command, b"").stdout
    };
    let pods = format!("{server}/api/v1/namespaces/default/pods");
    let anonymous = curl(&[&pods]);
    assert!(anonymous.ends_with("403"), "{anonymous}");
    assert!(
        anonymous.contains(
            r#"pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""#
        ),
        "{anonymous}"
    );
    let wrong = curl(&["-H", "Authorization: Bearer nonsense", &pods]);
    assert!(wrong.ends_with("401") && wrong.contains("Unauthorized"), "{wrong}");
    for open in ["/healthz", "/livez", "/readyz", "/version"] {
        let answer = curl(&[&format!("{server}{open}")]);
        assert!(answer.ends_with("200"), "{open}: {answer}");
    }
    for closed in ["/metrics", "/api", "/apis", "/openapi/v2", "/openapi/v3"] {
        let answer = curl(&[&format!("{server}{closed}")]);
        assert!(answer.ends_with("403"), "{closed}: {answer}");
    }
    // The kubelet asks everyone for a credential too.
    let node = cluster.field(&["nodes"], r#"{.items[0].status.addresses[?(@.type=="InternalIP")].address}"#);
    for path in ["/pods", "/metrics", "/healthz", "/containerLogs/default/x/y"] {
        let answer = curl(&[&format!("https://{node}:10250{path}")]);
        assert!(answer.ends_with("401") || answer.ends_with("403"), "{path}: {answer}");
    }

    // A ServiceAccount's token works for what it may and nothing else.
    let token = cluster.kubectl(&["create", "token", "default"]).ok().stdout.trim().to_owned();
    let header = format!("Authorization: Bearer {token}");
    let answer = curl(&["-H", &header, &pods]);
    assert!(answer.ends_with("403") && answer.contains("system:serviceaccount:default:default"), "{answer}");
    cluster
        .kubectl(&[
            "create",
            "rolebinding",
            "viewer",
            "--clusterrole=view",
            "--serviceaccount=default:default",
        ])
        .ok();
    let answer = curl(&["-H", &header, &pods]);
    assert!(answer.ends_with("200"), "{answer}");
    let secrets = curl(&["-H", &header, &format!("{server}/api/v1/namespaces/default/secrets")]);
    assert!(secrets.ends_with("403"), "{secrets}");
}
