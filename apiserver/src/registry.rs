//! The generic registry: every verb of every resource, over the View for reads and guarded transactions for writes.
//!
//! What single kinds need beyond their tables comes in as strategies and allocators. Nothing here knows HTTP, and nothing
//! here authenticates; admission is run by the write paths when the caller is not the server itself.

pub mod access;
pub mod commit;
pub mod create;
pub(crate) mod custom;
pub mod decode;
pub mod delete;
pub(crate) mod handle;
pub(crate) mod head;
pub mod keys;
pub(crate) mod lease;
pub mod list;
pub mod managed;
pub mod object;
pub mod options;
pub mod patch;

pub(crate) mod prepare;
pub(crate) mod proto;
pub mod scale;
pub(crate) mod scale_managed;
pub(crate) mod selectable;
pub mod selection;
pub mod served;

pub mod token;
pub mod update;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use env::Env;
use kinds::{Gvk, ResourceInfo};
use parking_lot::RwLock;
use store::View;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Plugins};
use crate::routes::RequestInfo;
use crate::seams::{Allocator, Special, Strategy};
use crate::server::Deps;

/// One served resource, with what the registry keeps ready for it.
#[derive(Debug)]
pub struct Resource {
    pub info: Arc<ResourceInfo>,
    /// What storage holds: the version that strategies see. For what is never stored, the served version.
    pub hub: Gvk,
    /// The hub's own resource, when it is another version.
    pub(crate) hub_info: Arc<ResourceInfo>,
    /// `/registry/…/`.
    pub prefix: String,
    /// What tells the version and state in which objects are shown, for what is kept beside them.
    pub(crate) form: String,
    /// Paths that heads find, for field selectors.
    pub(crate) field_paths: Vec<&'static [&'static str]>,
    pub(crate) traits: Traits,
    /// Of a custom kind: cancelled once it is no longer served like this, which is the end of its watches.
    retired: Option<CancellationToken>,
}

/// What `metadata.generation` does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Generation {
    #[default]
    None,
    /// 1 for ever.
    Fixed,
    /// Starts at 1 and counts changes of what is asked for.
    Counted,
    /// Counts changes, but a new object has none.
    CountedFromZero,
}

/// What upstream's strategies say of a kind in a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traits {
    /// PUT makes the object when there is none.
    pub(crate) create_on_update: bool,
    /// PUT needs a resourceVersion.
    pub(crate) conditional_update: bool,
    /// A delete answers with the object instead of a Status.
    pub(crate) returns_deleted: bool,
    /// The garbage collector does not look after it: no orphan or foreground finalizers.
    pub(crate) uncollected: bool,
    /// Has a status that only its own subresource writes.
    pub(crate) has_status: bool,
    pub(crate) generation: Generation,
}

impl Resource {
    pub fn group(&self) -> &str {
        &self.info.group
    }
    pub fn plural(&self) -> &str {
        &self.info.plural
    }
    /// What its definition says of a custom resource.
    pub(crate) fn definition(&self) -> Option<&kinds::custom::Version> {
        self.info.definition.as_deref()
    }
    /// Ends once the kind is no longer served as this resource says; never for a built-in kind.
    pub(crate) async fn retired(&self) {
        match &self.retired {
            Some(retired) => retired.cancelled().await,
            None => std::future::pending().await,
        }
    }
    /// Whether requests see another version than storage holds.
    pub(crate) fn converts(&self) -> bool {
        self.hub.version != self.info.version || self.hub.group != self.info.group
    }
}

/// The tables of one server: of built-in kinds made once at its start, of custom ones anew for each change.
#[derive(Debug)]
pub struct Registry {
    pub(crate) view: Arc<View>,
    pub(crate) env: Env,
    pub(crate) kinds: Arc<kinds::Registry>,
    pub(crate) config: Config,
    /// By group, version and plural.
    resources: BTreeMap<(String, String), BTreeMap<String, Arc<Resource>>>,
    served: Vec<Arc<Resource>>,
    custom: RwLock<Arc<custom::CustomKinds>>,
    plugged: OnceLock<Plugged>,
}

#[derive(Debug, Default)]
struct Plugged {
    plugins: Arc<Plugins>,
    strategies: BTreeMap<(&'static str, &'static str), Arc<dyn Strategy>>,
    allocators: BTreeMap<(&'static str, &'static str), Arc<dyn Allocator>>,
    specials: BTreeMap<(&'static str, &'static str, &'static str), Arc<dyn Special>>,
}

/// How long history is kept when states are to be kept for `states`.
fn history(states: std::time::Duration) -> store::History {
    let changes = states.max(store::view::HISTORY_AGE);
    store::History { states: if states.is_zero() { changes } else { states }, changes }
}

impl Registry {
    /// Starts the View and makes the tables.
    pub(crate) async fn start(config: &Config, deps: &Deps) -> Result<Arc<Self>, store::StoreError> {
        let mut resources: BTreeMap<(String, String), BTreeMap<String, Arc<Resource>>> = BTreeMap::new();
        let mut served = Vec::new();
        for info in deps.kinds.resources() {
            if !config.runtime_config.serves(info) {
                continue;
            }
            let resource = Arc::new(describe(&deps.kinds, info));
            served.push(Arc::clone(&resource));
            resources
                .entry((info.group.clone(), info.version.clone()))
                .or_default()
                .insert(info.plural.clone(), resource);
        }
        let pods = resources.get(&(String::new(), "v1".to_owned())).and_then(|r| r.get("pods"));
        let options = store::view::Options {
            history: history(config.compaction_interval),
            index: pods.map(Arc::clone).map(selection::index),
        };
        let view = View::start_with(Arc::clone(&deps.backend), options, &deps.tasks).await?;
        Ok(Arc::new(Self {
            view,
            env: deps.env.clone(),
            kinds: Arc::clone(&deps.kinds),
            config: config.clone(),
            resources,
            served,
            custom: RwLock::default(),
            plugged: OnceLock::new(),
        }))
    }

    /// Takes the plugins, which could only be made once the registry was there. To be called once, before any request.
    pub(crate) fn plug(&self, plugins: Arc<Plugins>) {
        let plugged = Plugged {
            strategies: plugins.strategies.iter().map(|s| (s.resource(), Arc::clone(s))).collect(),
            allocators: plugins.allocators.iter().map(|a| (a.resource(), Arc::clone(a))).collect(),
            specials: plugins.specials.iter().map(|s| (s.resource(), Arc::clone(s))).collect(),
            plugins,
        };
        // A second call would be a mistake of start-up; the first plugins stay.
        let _ = self.plugged.set(plugged);
    }

    fn plugged(&self) -> &Plugged {
        self.plugged.get_or_init(Plugged::default)
    }

    pub(crate) fn plugins(&self) -> &Plugins {
        &self.plugged().plugins
    }

    pub(crate) fn strategy(&self, resource: &Resource) -> Option<Arc<dyn Strategy>> {
        self.plugged().strategies.get(&(resource.group(), resource.plural())).cloned()
    }

    pub(crate) fn allocator(&self, resource: &Resource) -> Option<Arc<dyn Allocator>> {
        self.plugged().allocators.get(&(resource.group(), resource.plural())).cloned()
    }

    pub(crate) fn special(&self, group: &str, plural: &str, subresource: &str) -> Option<Arc<dyn Special>> {
        self.plugged().specials.get(&(group, plural, subresource)).cloned()
    }

    /// A served resource.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        // The map's key is owned; a lookup allocates two short strings, which is less than any other way costs in code.
        let own = self.resources.get(&(group.to_owned(), version.to_owned()));
        if let Some(found) = own.and_then(|all| all.get(plural)) {
            return Some(Arc::clone(found));
        }
        self.custom().find(group, version, plural).cloned()
    }

    /// Whether the group version is served.
    pub fn serves_version(&self, group: &str, version: &str) -> bool {
        self.resources.contains_key(&(group.to_owned(), version.to_owned()))
            || self.custom().serves_version(group, version)
    }

    /// Whether any version of the group is.
    pub fn serves_group(&self, group: &str) -> bool {
        self.has_builtin_group(group) || self.custom().serves_group(group)
    }

    /// Whether any version of the group is, without what definitions add.
    pub(crate) fn has_builtin_group(&self, group: &str) -> bool {
        self.resources.keys().any(|(g, _)| g == group)
    }

    /// Whether the request's subresource exists.
    pub fn serves(&self, info: &RequestInfo) -> bool {
        info.subresource.is_empty()
            || self
                .find(&info.group, &info.version, &info.resource)
                .is_some_and(|r| r.info.subresource(&info.subresource).is_some())
    }

    /// Everything served: built-in kinds in discovery's order, then custom ones.
    pub fn served(&self) -> Vec<Arc<Resource>> {
        self.served.iter().chain(self.custom().all()).cloned().collect()
    }

    /// The resource in the version that storage holds, or any served one.
    pub fn any_version(&self, group: &str, plural: &str) -> Option<Arc<Resource>> {
        let mut all = self.served.iter().filter(|r| r.info.group == group && r.info.plural == plural);
        let Some(first) = all.next() else { return self.custom().any_version(group, plural).cloned() };
        if !first.converts() {
            return Some(Arc::clone(first));
        }
        Some(Arc::clone(all.find(|r| !r.converts()).unwrap_or(first)))
    }

    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    pub fn kinds(&self) -> &Arc<kinds::Registry> {
        &self.kinds
    }
}

pub(crate) fn describe(kinds: &kinds::Registry, info: &Arc<ResourceInfo>) -> Resource {
    let hub = info.stored.clone().unwrap_or_else(|| info.gvk());
    let hub_info = kinds.kind(&hub.group, &hub.version, &hub.kind).unwrap_or_else(|| Arc::clone(info));
    // Events of both groups are the same objects, under the legacy group's key.
    let key_group = if info.custom { &info.group } else { &hub_info.group };
    Resource {
        prefix: keys::prefix(key_group, &info.plural, info.custom),
        form: match &info.definition {
            Some(definition) => definition.identity.clone(),
            None => info.api_version(),
        },
        field_paths: selectable::paths(&info.group, &info.plural),
        traits: traits(info),
        retired: info.custom.then(CancellationToken::new),
        info: Arc::clone(info),
        hub,
        hub_info,
    }
}

/// The words of upstream's strategies. Kinds not named have the usual ones.
fn traits(info: &ResourceInfo) -> Traits {
    let id = (info.group.as_str(), info.plural.as_str());
    let create_on_update = matches!(
        id,
        ("", "endpoints" | "events" | "limitranges" | "podtemplates" | "services")
            | ("events.k8s.io", "events")
            | ("coordination.k8s.io", "leases" | "leasecandidates")
            | ("rbac.authorization.k8s.io", _)
    );
    let conditional_update = info.custom
        || matches!(
            id,
            ("policy", "poddisruptionbudgets")
                | ("coordination.k8s.io", "leases")
                | ("node.k8s.io", "runtimeclasses")
                | ("storage.k8s.io", "csidrivers" | "csinodes" | "volumeattachments")
                | ("admissionregistration.k8s.io", _)
                | ("apiextensions.k8s.io", _)
                | ("apiregistration.k8s.io", _)
        );
    let returns_deleted = matches!(
        id,
        ("", "pods" | "services" | "serviceaccounts" | "podtemplates" | "resourcequotas")
            | ("", "persistentvolumes" | "persistentvolumeclaims")
            | ("storage.k8s.io", "storageclasses" | "volumeattachments" | "csinodes" | "csidrivers")
            | ("storage.k8s.io", "volumeattributesclasses")
            | ("resource.k8s.io", _)
    );
    Traits {
        create_on_update,
        conditional_update,
        returns_deleted,
        uncollected: info.plural == "events",
        has_status: info.subresource("status").is_some(),
        generation: generation(info),
    }
}

/// How a kind's strategy counts generations.
fn generation(info: &ResourceInfo) -> Generation {
    match (info.group.as_str(), info.plural.as_str()) {
        _ if info.custom => Generation::Counted,
        ("", "pods" | "podtemplates" | "replicationcontrollers")
        | ("apps", "daemonsets" | "deployments" | "replicasets" | "statefulsets")
        | ("batch", "jobs" | "cronjobs")
        | ("admissionregistration.k8s.io" | "apiextensions.k8s.io" | "flowcontrol.apiserver.k8s.io", _)
        | ("discovery.k8s.io", "endpointslices")
        | ("networking.k8s.io", "ingresses" | "ingressclasses" | "networkpolicies")
        | ("policy", "poddisruptionbudgets")
        | ("resource.k8s.io", "deviceclasses" | "resourceslices") => Generation::Counted,
        ("storage.k8s.io", "csidrivers") => Generation::CountedFromZero,
        ("scheduling.k8s.io", "priorityclasses") => Generation::Fixed,
        _ => Generation::None,
    }
}
