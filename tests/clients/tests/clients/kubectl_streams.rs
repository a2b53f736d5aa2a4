//! kubectl talks with what runs in containers: exec, attach, cp, port-forward, logs and the forms of debug.

use std::io::{BufRead as _, BufReader, Read as _};

use client_tests::{Kubectl, shows, write};
use e2e_tests::{Cluster, Running, eventually, http_get, images};

#[test]
fn kubectl_talks_with_containers() {
    let cluster = Cluster::start();
    Kubectl::each(&cluster, |kubectl| {
        start(kubectl);
        executes(kubectl);
        executes_at_a_terminal(kubectl);
        attaches(kubectl);
        copies(kubectl);
        forwards(kubectl);
        debugs_in_the_pod(kubectl);
        debugs_in_a_copy(kubectl);
        debugs_the_node(kubectl);
        kubectl.ok(&["delete", "pods", "--all", "--now", "--wait=false"]);
    });
}

/// A server, and a shell that answers each line until it is told to end.
fn start(kubectl: &Kubectl<'_>) {
    let talker = "while read line; do echo got $line; [ \"$line\" = end ] && exit 3; done";
    kubectl.ok_with(
        &["apply", "-f", "-"],
        &format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: web, labels: {{app: web}}}}\nspec:\n  containers:\n  \
             - {{name: server, image: {server}, ports: [{{containerPort: 8080, name: http}}]}}\n  \
             - {{name: shell, image: {busybox}, command: [sleep, '100000']}}\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: http}}]}}\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {{name: talker}}\nspec:\n  restartPolicy: Never\n  \
             containers: [{{name: sh, image: {busybox}, stdin: true, tty: true, command: [sh, -c, '{talker}']}}]\n",
            server = images::SERVER,
            busybox = images::BUSYBOX,
        ),
    );
    kubectl.wait_ready(&["pod/web", "pod/talker"]);
}

fn executes(kubectl: &Kubectl<'_>) {
    assert_eq!(kubectl.ok(&["exec", "web", "-c", "shell", "--", "echo", "hello"]), "hello\n");
    let by_default = kubectl.run(&["exec", "service/web", "--", "cat", "/version"]).ok();
    assert_eq!(by_default.stdout, "v1\n");
    shows(&by_default.stderr, &["Defaulted container \"server\" out of: server, shell"]);
    let failed =
        kubectl.run(&["exec", "web", "-c", "shell", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!(failed.code, Some(7), "{failed}");
    assert_eq!(failed.stdout, "out\n");
    assert!(failed.stderr.starts_with("err\n"), "{failed}");
    kubectl
        .run(&["exec", "web", "-c", "shell", "--", "nonesuch"])
        .refused("executable file not found in $PATH");
    kubectl.run(&["exec", "web", "-c", "nobody", "--", "true"]).refused("container nobody");
    let large: String = (0..200_000u32).map(|i| format!("{i}\n")).collect();
    let back = kubectl.ok_with(&["exec", "-i", "web", "-c", "shell", "--", "cat"], &large);
    assert!(back == large, "what came back differs: {} of {} bytes", back.len(), large.len());
}

fn executes_at_a_terminal(kubectl: &Kubectl<'_>) {
    let script = "tty; stty size; read word; echo got $word; exit 5";
    let shown =
        kubectl.at_terminal(&["exec", "-it", "web", "-c", "shell", "--", "sh", "-c", script], "hello\n");
    assert_eq!(shown.code, Some(5), "{shown}");
    shows(&shown.stdout, &["/dev/pts/", "got hello"]);
    // The size reaches the terminal a moment after the command: what asks at once may see none.
    let script = "until stty size | grep 40; do sleep 0.1; done";
    let shown = kubectl.at_terminal(&["exec", "-it", "web", "-c", "shell", "--", "sh", "-c", script], "");
    shows(&shown.ok().stdout, &["40 100"]);
}

fn attaches(kubectl: &Kubectl<'_>) {
    let shown = kubectl.at_terminal(&["attach", "-it", "talker"], "hello\nend\n");
    shows(&shown.stdout, &["got hello", "got end"]);
    kubectl.ok(&["wait", "--for=jsonpath={.status.phase}=Failed", "pod/talker", "--timeout=90s"]);
    let code = "{.status.containerStatuses[0].state.terminated.exitCode}";
    assert_eq!(kubectl.field(&["pod/talker"], code), "3");
    shows(&kubectl.ok(&["logs", "talker"]), &["got hello", "got end"]);
    kubectl
        .run(&["attach", "talker"])
        .refused("cannot attach a container in a completed pod; current phase is Failed");
    let lines = kubectl.ok(&["logs", "-l", "app=web", "--all-containers", "--prefix"]);
    shows(&lines, &["[pod/web/server] serving v1 on 8080"]);
}

fn copies(kubectl: &Kubectl<'_>) {
    let folder = kubectl.cluster.data.join(format!("{}-copied", kubectl.namespace));
    let large: String = (0..200_000u32).map(|i| format!("{i}\n")).collect();
    write(&folder.join("sub/large"), &large);
    write(&folder.join("small"), "small\n");
    let (there, back) = (folder.display().to_string(), folder.with_extension("back"));
    kubectl.ok(&["cp", &there, "web:/tmp/copied", "-c", "shell"]);
    assert_eq!(kubectl.ok(&["exec", "web", "-c", "shell", "--", "cat", "/tmp/copied/small"]), "small\n");
    kubectl.ok(&["cp", "-c", "shell", "web:/tmp/copied", &back.display().to_string()]);
    for name in ["small", "sub/large"] {
        let read = |from: &std::path::Path| std::fs::read(from.join(name)).expect("it was copied");
        assert!(read(&folder) == read(&back), "{name} differs");
    }
}

/// The first line that kubectl prints, and the port of this host in it.
fn forwarded(forward: &mut Running) -> String {
    let mut reader = BufReader::new(forward.0.stdout.take().expect("stdout was piped"));
    let mut line = String::new();
    reader.read_line(&mut line).expect("kubectl says when it forwards");
    let address = line.strip_prefix("Forwarding from ").and_then(|rest| rest.split(" -> ").next());
    let address = address.unwrap_or_else(|| {
        let mut error = String::new();
        let _ = forward.0.stderr.take().map(|mut stderr| stderr.read_to_string(&mut error));
        panic!("no forwarding: {line:?} {error}")
    });
    let address = address.to_owned();
    // It prints a line for each connection: someone has to read them.
    std::thread::spawn(move || reader.lines().map_while(Result::ok).for_each(drop));
    address
}

fn forwards(kubectl: &Kubectl<'_>) {
    for what in ["pod/web", "service/web"] {
        let port = if what == "pod/web" { ":http" } else { ":80" };
        let mut forward = kubectl.start(&["port-forward", "--address=127.0.0.1", what, port]);
        let address = forwarded(&mut forward);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let body = http_get(&address, "/").expect("the forwarded port answers");
                    assert_eq!(body, "web v1\n");
                });
            }
        });
    }
    kubectl.run(&["port-forward", "web", ":none"]).refused("none");
}

fn debugs_in_the_pod(kubectl: &Kubectl<'_>) {
    let image = format!("--image={}", images::BUSYBOX);
    // It waits for a word, so that kubectl has attached before it ends. The word is typed: at the end of its input the
    // runtime lets go of a container that is not for one session only, before the output has come.
    let script = "read word; echo got $word; cat /proc/1/root/version; ps";
    let debug = [
        "debug",
        "web",
        "-it",
        "--profile=general",
        "-c",
        "look",
        "--target=server",
        &image,
        "--",
        "sh",
        "-c",
        script,
    ];
    let ran = kubectl.at_terminal(&debug, "hello\n").ok();
    shows(&ran.stdout, &["got hello", "v1", "/server"]);
    let names = "{.spec.ephemeralContainers[*].name} {.spec.ephemeralContainers[0].targetContainerName}";
    assert_eq!(kubectl.field(&["pod/web"], names), "look server");
    eventually("its end is in the status", || {
        let reason = "{.status.ephemeralContainerStatuses[0].state.terminated.reason}";
        (kubectl.field(&["pod/web"], reason) == "Completed").then_some(())
    });
    shows(&kubectl.ok(&["logs", "web", "-c", "look"]), &["got hello"]);
    shows(&kubectl.ok(&["describe", "pod", "web"]), &["Ephemeral Containers:", "look:"]);
    let stay =
        ["debug", "web", "--profile=general", "-c", "stay", "--attach=false", &image, "--", "sleep", "1000"];
    kubectl.ok(&stay);
    eventually("it can be entered", || {
        kubectl.run(&["exec", "web", "-c", "stay", "--", "true"]).code.filter(|code| *code == 0)
    });
    let again = kubectl.run(&stay);
    assert!(again.code != Some(0), "a name serves once: {again}");
}

fn debugs_in_a_copy(kubectl: &Kubectl<'_>) {
    let image = format!("--image={}", images::BUSYBOX);
    let copy = [
        "debug",
        "web",
        "--copy-to=copy",
        "--share-processes",
        "--profile=general",
        "-c",
        "look",
        "--attach=false",
        &image,
        "--",
        "sleep",
        "1000",
    ];
    kubectl.ok(&copy);
    kubectl.wait_ready(&["pod/copy"]);
    shows(&kubectl.ok(&["exec", "copy", "-c", "look", "--", "ps"]), &["/server", "sleep 1000", "/pause"]);
    assert_eq!(kubectl.field(&["pod/copy"], "{.metadata.labels}"), "", "a copy serves nobody");
    let second = format!("--set-image=server={}", images::server(2));
    kubectl.ok(&["debug", "web", "--copy-to=second", "--profile=general", &second]);
    kubectl.wait_ready(&["pod/second"]);
    assert_eq!(kubectl.ok(&["exec", "second", "-c", "server", "--", "cat", "/version"]), "v2\n");
}

fn debugs_the_node(kubectl: &Kubectl<'_>) {
    let node = kubectl.field(&["nodes"], "{.items[0].metadata.name}");
    let image = format!("--image={}", images::BUSYBOX);
    let script = "read word; echo got $word; test -e /host/etc/debian_version -o -e /host/etc/os-release && echo at the node";
    let debug =
        ["debug", &format!("node/{node}"), "-it", "--profile=sysadmin", &image, "--", "sh", "-c", script];
    let ran = kubectl.at_terminal(&debug, "hello\n").ok();
    shows(&ran.stdout, &["got hello", "at the node"]);
    let pods = kubectl.field(&["pods"], "{.items[?(@.spec.hostPID==true)].metadata.name}");
    assert!(pods.starts_with(&format!("node-debugger-{node}-")), "{pods}");
}
