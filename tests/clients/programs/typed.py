"""Python's client: typed objects, a watch, commands and a forwarded port. Ends with 0 and `all done` when all is right.

Called with the namespace, the image of a shell and the image of a server.
"""

import sys
import threading

from kubernetes import client, config, utils, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import portforward, stream

NAMESPACE, SHELL, SERVER = sys.argv[1:4]
# As long as anything may take on a busy host.
PATIENCE = 90


def refused(status, call, *args, **kwargs):
    """The answer of a call that must be refused with this status."""
    try:
        call(*args, **kwargs)
    except ApiException as error:
        assert error.status == status, error
        return error
    raise AssertionError(f"not refused with {status}")


def objects(core):
    """Create, read, list, patch in each way, replace, conflict, delete."""
    made = core.create_namespaced_config_map(
        NAMESPACE,
        client.V1ConfigMap(metadata=client.V1ObjectMeta(name="typed", labels={"by": "python"}), data={"a": "1"}),
        field_manager="python",
    )
    assert made.metadata.uid and made.metadata.creation_timestamp.tzinfo is not None
    assert made.metadata.managed_fields[0].manager == "python"
    refused(409, core.create_namespaced_config_map, NAMESPACE, client.V1ConfigMap(metadata={"name": "typed"}))
    read = core.read_namespaced_config_map("typed", NAMESPACE)
    assert read == made
    patched = core.patch_namespaced_config_map("typed", NAMESPACE, {"data": {"b": "2"}})
    assert patched.data == {"a": "1", "b": "2"}
    patched = core.patch_namespaced_config_map(
        "typed", NAMESPACE, [{"op": "replace", "path": "/data/a", "value": "one"}]
    )
    assert patched.data["a"] == "one"
    read.data = {"c": "3"}
    assert "modified" in refused(409, core.replace_namespaced_config_map, "typed", NAMESPACE, read).body
    patched.data = {"c": "3"}
    assert core.replace_namespaced_config_map("typed", NAMESPACE, patched).data == {"c": "3"}
    listed = core.list_namespaced_config_map(NAMESPACE, label_selector="by=python", limit=1)
    assert [item.metadata.name for item in listed.items] == ["typed"] and listed.metadata.resource_version
    tried = core.create_namespaced_config_map(NAMESPACE, client.V1ConfigMap(metadata={"name": "tried"}), dry_run="All")
    assert tried.metadata.name == "tried"
    refused(404, core.read_namespaced_config_map, "tried", NAMESPACE)
    assert core.delete_namespaced_config_map("typed", NAMESPACE).status == "Success"
    refused(404, core.read_namespaced_config_map, "typed", NAMESPACE)
    wrong = refused(422, core.create_namespaced_config_map, NAMESPACE, client.V1ConfigMap(metadata={"name": "Wrong_"}))
    assert "metadata.name: Invalid value" in wrong.body


def pages(core):
    """A list by pages shows all of one revision."""
    for number in range(5):
        core.create_namespaced_secret(NAMESPACE, client.V1Secret(metadata={"name": f"page-{number}"}, string_data={"k": "v"}))
    names, token = [], None
    while True:
        page = core.list_namespaced_secret(NAMESPACE, limit=2, _continue=token)
        names += [item.metadata.name for item in page.items]
        token = page.metadata._continue
        if not token:
            break
        assert len(page.items) == 2
    assert names == [f"page-{number}" for number in range(5)], names
    core.delete_collection_namespaced_secret(NAMESPACE)
    assert not core.list_namespaced_secret(NAMESPACE).items


def watches(core):
    """From a revision on, nothing is lost, and the watch ends when it was asked to."""
    start = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version

    def write():
        core.create_namespaced_config_map(NAMESPACE, client.V1ConfigMap(metadata={"name": "seen"}))
        core.patch_namespaced_config_map("seen", NAMESPACE, {"data": {"k": "v"}})
        core.delete_namespaced_config_map("seen", NAMESPACE)

    writer = threading.Thread(target=write)
    writer.start()
    events, watcher = [], watch.Watch()
    for event in watcher.stream(core.list_namespaced_config_map, NAMESPACE, resource_version=start):
        if event["object"].metadata.name == "seen":
            events.append((event["type"], event["object"].data))
            if event["type"] == "DELETED":
                watcher.stop()
    writer.join()
    assert events == [("ADDED", None), ("MODIFIED", {"k": "v"}), ("DELETED", {"k": "v"})], events
    # A watch without a revision begins with what is there.
    ended = list(watch.Watch().stream(core.list_namespaced_config_map, NAMESPACE, timeout_seconds=1))
    assert all(event["type"] == "ADDED" for event in ended), ended


def pod(name, image, **more):
    """A pod of one container, as typed objects."""
    container = client.V1Container(name="main", image=image, **more)
    spec = client.V1PodSpec(containers=[container], termination_grace_period_seconds=0)
    return client.V1Pod(metadata=client.V1ObjectMeta(name=name, labels={"app": name}), spec=spec)


def wait_ready(core, name):
    """Follows the pod until it is ready."""
    watcher = watch.Watch()
    for event in watcher.stream(
        core.list_namespaced_pod, NAMESPACE, field_selector=f"metadata.name={name}", timeout_seconds=PATIENCE
    ):
        conditions = event["object"].status.conditions or []
        if any(condition.type == "Ready" and condition.status == "True" for condition in conditions):
            return watcher.stop()
    raise AssertionError(f"{name} is not ready: {core.read_namespaced_pod(name, NAMESPACE).status}")


def commands(core):
    """Commands over WebSockets: output, errors, input, code."""
    core.create_namespaced_pod(NAMESPACE, pod("shell", SHELL, command=["sleep", "100000"]))
    wait_ready(core, "shell")
    options = {"stderr": True, "stdin": False, "stdout": True, "tty": False}
    answer = stream(core.connect_get_namespaced_pod_exec, "shell", NAMESPACE, command=["echo", "hello"], **options)
    assert answer == "hello\n", answer
    options["stdin"] = True
    talk = stream(
        core.connect_get_namespaced_pod_exec,
        "shell",
        NAMESPACE,
        command=["sh", "-c", "read word; echo got $word; echo wrong >&2; exit 7"],
        _preload_content=False,
        **options,
    )
    talk.write_stdin("hello\n")
    talk.run_forever(timeout=PATIENCE)
    assert talk.read_stdout() == "got hello\n"
    assert talk.read_stderr() == "wrong\n"
    assert talk.returncode == 7, talk.returncode
    assert "100000" in core.read_namespaced_pod("shell", NAMESPACE).spec.containers[0].command


def forwarded(core):
    """A port of a pod over a WebSocket, and the same by the server's proxy."""
    core.create_namespaced_pod(NAMESPACE, pod("web", SERVER, ports=[client.V1ContainerPort(container_port=8080)]))
    wait_ready(core, "web")
    forward = portforward(core.connect_get_namespaced_pod_portforward, "web", NAMESPACE, ports="8080")
    socket = forward.socket(8080)
    socket.settimeout(PATIENCE)
    socket.sendall(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
    answer = b""
    while piece := socket.recv(4096):
        answer += piece
    socket.close()
    assert forward.error(8080) is None, forward.error(8080)
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"web v1\n"), answer
    # The client shows text of other types than JSON as it likes.
    assert "web v1" in core.connect_get_namespaced_pod_proxy("web:8080", NAMESPACE)
    assert "serving v1" in core.read_namespaced_pod_log("web", NAMESPACE)


def other_groups(core):
    """Deployments with their scale, evictions, reviews, objects from a manifest, custom objects."""
    apps = client.AppsV1Api()
    shell = {"name": "main", "image": SHELL, "command": ["sleep", "100000"]}
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "deployed", "namespace": NAMESPACE},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "deployed"}},
            "template": {"metadata": {"labels": {"app": "deployed"}}, "spec": {"containers": [shell]}},
        },
    }
    utils.create_from_dict(client.ApiClient(), manifest)
    watcher = watch.Watch()
    for event in watcher.stream(apps.list_namespaced_deployment, NAMESPACE, timeout_seconds=PATIENCE):
        if event["object"].status.available_replicas == 1:
            watcher.stop()
    scale = apps.patch_namespaced_deployment_scale("deployed", NAMESPACE, {"spec": {"replicas": 2}})
    assert scale.kind == "Scale" and scale.spec.replicas == 2
    eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name="web", namespace=NAMESPACE))
    core.create_namespaced_pod_eviction("web", NAMESPACE, eviction)
    review = client.AuthorizationV1Api().create_self_subject_access_review(
        client.V1SelfSubjectAccessReview(
            spec=client.V1SelfSubjectAccessReviewSpec(
                resource_attributes=client.V1ResourceAttributes(verb="delete", resource="nodes")
            )
        )
    )
    assert review.status.allowed
    assert client.VersionApi().get_code().git_version == "v1.36.2+gantry"
    custom = client.CustomObjectsApi()
    lease = {"metadata": {"name": "held"}, "spec": {"holderIdentity": "python"}}
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **lease}
    place = ("coordination.k8s.io", "v1", NAMESPACE, "leases")
    assert custom.create_namespaced_custom_object(*place, body)["spec"]["holderIdentity"] == "python"
    assert custom.get_namespaced_custom_object(*place, "held")["metadata"]["uid"]


def main():
    """Each part in turn, named as it begins."""
    config.load_kube_config()
    core = client.CoreV1Api()
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NAMESPACE)))
    accounts = watch.Watch()
    for event in accounts.stream(core.list_namespaced_service_account, NAMESPACE, timeout_seconds=PATIENCE):
        if event["object"].metadata.name == "default":
            accounts.stop()
    for part in (objects, pages, watches, commands, forwarded, other_groups):
        print(part.__name__, flush=True)
        part(core)
    core.delete_namespace(NAMESPACE)
    print("all done")


main()
