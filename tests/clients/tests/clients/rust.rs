//! A controller as people write them with `kube`: it follows objects of a kind of its own, makes what they ask for, takes
//! it back before they go, and writes their status.

use std::sync::Arc;
use std::time::Duration;

use e2e_tests::{Cluster, eventually};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{Resource, ResourceExt as _};
use kube::{Client, Config};
use kube_runtime::controller::{Action, Controller};
use kube_runtime::finalizer::{Event, finalizer};
use kube_runtime::watcher;
use serde::{Deserialize, Serialize};

const FINALIZER: &str = "greetings.example.com/cleanup";
const MANAGER: &str = "greeter";

/// When nothing happens, the controller looks again after this. Longer than the test: it must be woken by what happens.
const RESYNC: Duration = Duration::from_secs(3600);

const DEFINITION: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: greetings.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: greetings, singular: greeting, kind: Greeting}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {text: {type: string}}}
          status: {type: object, properties: {made: {type: string}}}
";

/// An object of the definition above.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Greeting {
    api_version: String,
    kind: String,
    metadata: ObjectMeta,
    spec: Text,
    #[serde(default)]
    status: Made,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Text {
    text: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Made {
    #[serde(default)]
    made: String,
}

impl Resource for Greeting {
    type DynamicType = ();
    type Scope = kube::core::NamespaceResourceScope;
    fn kind((): &()) -> std::borrow::Cow<'_, str> {
        "Greeting".into()
    }
    fn group((): &()) -> std::borrow::Cow<'_, str> {
        "example.com".into()
    }
    fn version((): &()) -> std::borrow::Cow<'_, str> {
        "v1".into()
    }
    fn plural((): &()) -> std::borrow::Cow<'_, str> {
        "greetings".into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("ask the server: {0}")]
    Server(#[from] kube::Error),
    #[error("finalizer: {0}")]
    Finalizer(#[source] Box<kube_runtime::finalizer::Error<Failed>>),
}

struct Context {
    client: Client,
}

async fn reconcile(greeting: Arc<Greeting>, context: Arc<Context>) -> Result<Action, Failed> {
    let namespace = greeting.namespace().expect("greetings are namespaced");
    let greetings: Api<Greeting> = Api::namespaced(context.client.clone(), &namespace);
    let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), &namespace);
    let done = finalizer(&greetings, FINALIZER, greeting, |event| async {
        match event {
            Event::Apply(greeting) => make(&greetings, &maps, &greeting).await,
            Event::Cleanup(greeting) => take_back(&maps, &greeting).await,
        }
    });
    done.await.map_err(|error| Failed::Finalizer(Box::new(error)))
}

/// Makes the ConfigMap that a greeting asks for, by server-side apply, and says so in the status.
async fn make(
    greetings: &Api<Greeting>,
    maps: &Api<ConfigMap>,
    greeting: &Greeting,
) -> Result<Action, Failed> {
    let name = greeting.name_any();
    let map = serde_json::json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "ownerReferences": [greeting.controller_owner_ref(&())]},
        "data": {"text": greeting.spec.text},
    });
    let map = maps.patch(&name, &PatchParams::apply(MANAGER), &Patch::Apply(map)).await?;
    let made = map.data.and_then(|data| data.get("text").cloned()).unwrap_or_default();
    if greeting.status.made != made {
        let status = serde_json::json!({"status": {"made": made}});
        greetings.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await?;
    }
    Ok(Action::requeue(RESYNC))
}

/// Leaves a mark that the clean-up ran: the garbage collector would take the ConfigMap, but nobody would make the mark.
async fn take_back(maps: &Api<ConfigMap>, greeting: &Greeting) -> Result<Action, Failed> {
    let name = format!("after-{}", greeting.name_any());
    let mark = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    maps.patch(&name, &PatchParams::apply(MANAGER), &Patch::Apply(mark)).await?;
    Ok(Action::await_change())
}

#[test]
fn a_controller_with_a_finalizer_works() {
    let cluster = Cluster::start();
    cluster.apply(DEFINITION);
    cluster
        .kubectl(&["wait", "--for=condition=Established", "crd/greetings.example.com", "--timeout=90s"])
        .ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    let client = runtime.block_on(client(&cluster));
    let greetings: Api<Greeting> = Api::default_namespaced(client.clone());
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let controller = Controller::new(greetings.clone(), watcher::Config::default())
        .owns(maps.clone(), watcher::Config::default())
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_millis(100)), Arc::new(Context { client }))
        .for_each(|_| std::future::ready(()));
    let running = runtime.spawn(controller);

    let map = |name: &str| runtime.block_on(maps.get_opt(name)).expect("the server answers");
    let text = |name: &str| map(name).and_then(|map| map.data?.get("text").cloned());
    let made = || runtime.block_on(greetings.get("hello")).expect("it is there").status.made;
    let greeting = Greeting {
        api_version: "example.com/v1".into(),
        kind: "Greeting".into(),
        metadata: ObjectMeta { name: Some("hello".into()), ..ObjectMeta::default() },
        spec: Text { text: "one".into() },
        status: Made::default(),
    };
    runtime.block_on(greetings.create(&PostParams::default(), &greeting)).expect("it is created");
    eventually("the map is made", || (text("hello")? == "one").then_some(()));
    eventually("the status says so", || (made() == "one").then_some(()));
    let finalizers = runtime.block_on(greetings.get("hello")).expect("it is there").metadata.finalizers;
    assert_eq!(finalizers, Some(vec![FINALIZER.to_owned()]));

    let change = Patch::Merge(serde_json::json!({"spec": {"text": "two"}}));
    runtime.block_on(greetings.patch("hello", &PatchParams::default(), &change)).expect("it is changed");
    eventually("the map follows", || (text("hello")? == "two").then_some(()));
    eventually("the status follows", || (made() == "two").then_some(()));
    // What another deletes comes back: the controller watches what it owns.
    let first = map("hello").and_then(|map| map.metadata.uid);
    runtime.block_on(maps.delete("hello", &DeleteParams::default())).expect("it is deleted");
    eventually("the map is made again", || {
        map("hello").and_then(|map| map.metadata.uid).filter(|uid| Some(uid) != first.as_ref())
    });

    runtime.block_on(greetings.delete("hello", &DeleteParams::default())).expect("its end begins");
    eventually("the clean-up runs", || map("after-hello"));
    eventually("the greeting goes", || {
        runtime.block_on(greetings.get_opt("hello")).expect("the server answers").is_none().then_some(())
    });
    running.abort();
}

async fn client(cluster: &Cluster) -> Client {
    let file = Kubeconfig::read_from(cluster.kubeconfig()).expect("the kubeconfig is good");
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("the kubeconfig is whole")).expect("a client is made")
}
