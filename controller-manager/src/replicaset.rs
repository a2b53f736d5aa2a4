//! The replicaset controller: keeps as many pods of a template as asked for. ReplicationControllers are the same with
//! a simpler selector, and are run by the same code.
//!
//! Upstream's rules: creation in batches that double (1, 2, 4, … up to 500), deletion in its ranking, adoption and
//! release by selector. Instead of expectations it waits until its caches show its own last writes.

mod plan;
mod sync;

use std::sync::Arc;

use client::{Informer, Key, resources};
use controller_kit::{LabelSelector, Queue};

use crate::context::{Context, synced};
use crate::objects::{BY_CONTROLLER, Pod, ReplicaSet, ReplicationController, controller_index};
use sync::{Owner, Source};

pub(crate) fn start(context: &Context) {
    let sets = context.informers.of::<ReplicaSet>();
    sets.add_index(BY_CONTROLLER, |s| controller_index(&s.metadata));
    let queue = Queue::new(context.env.clone());
    let add = queue.clone();
    sets.add_handler(move |event| add.add(Key::of(&event.object().metadata)));
    let ready = synced(&sets);
    let source = Source {
        ty: resources::REPLICA_SETS,
        get: Box::new(owner_getter(sets.clone())),
        siblings: Some(sets.clone()),
    };
    sync::start(context, ready, source, &queue, move |namespace| {
        sets.list_namespace(namespace).iter().map(|s| set_owner(s)).collect()
    });
}

pub(crate) fn start_replication(context: &Context) {
    let controllers = context.informers.of::<ReplicationController>();
    let queue = Queue::new(context.env.clone());
    let add = queue.clone();
    controllers.add_handler(move |event| add.add(Key::of(&event.object().metadata)));
    let ready = synced(&controllers);
    let get = {
        let controllers = controllers.clone();
        move |key: &Key| controllers.get_key(key).map(|c| replication_owner(&c))
    };
    let source = Source { ty: resources::REPLICATION_CONTROLLERS, get: Box::new(get), siblings: None };
    sync::start(context, ready, source, &queue, move |namespace| {
        controllers.list_namespace(namespace).iter().map(|c| replication_owner(c)).collect()
    });
}

fn owner_getter(sets: Informer<ReplicaSet>) -> impl Fn(&Key) -> Option<Owner> + Send + Sync {
    move |key| sets.get_key(key).map(|set| set_owner(&set))
}

fn set_owner(set: &ReplicaSet) -> Owner {
    Owner {
        meta: set.metadata.clone(),
        replicas: set.spec.replicas.unwrap_or(1),
        selector: set.spec.selector.clone(),
        template: set.spec.template.as_ref().map_or("{}", |t| t.get()).to_owned(),
        min_ready_seconds: set.spec.min_ready_seconds,
        status: set.status.clone(),
    }
}

fn replication_owner(controller: &ReplicationController) -> Owner {
    Owner {
        meta: controller.metadata.clone(),
        replicas: controller.spec.replicas.unwrap_or(1),
        selector: LabelSelector::from_labels(&controller.spec.selector),
        template: controller.spec.template.as_ref().map_or("{}", |t| t.get()).to_owned(),
        min_ready_seconds: controller.spec.min_ready_seconds,
        status: controller.status.clone(),
    }
}

/// A pod that the plan looks at.
type PodRef = Arc<Pod>;
