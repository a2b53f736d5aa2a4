//! The PV protection controller: a volume that is being deleted goes once no claim is bound to it.

use client::{Client, Informer, Key, resources};
use controller_kit::{Queue, SyncResult, write};

use crate::context::{Context, synced};
use crate::objects::PersistentVolume;
use crate::pvc_protection::set_finalizer;

const FINALIZER: &str = "kubernetes.io/pv-protection";

pub(crate) fn start(context: &Context) {
    let queue: Queue<Key> = Queue::new(context.env.clone());
    let volumes = context.informers.of::<PersistentVolume>();
    let add = queue.clone();
    volumes.add_handler(move |event| add.add(Key::of(&event.object().metadata)));
    let caches = vec![synced(&volumes)];
    let client = context.client.clone();
    context.run(caches, 1, &queue, move |key| sync(client.clone(), volumes.clone(), key));
}

/// Whether the finalizer should be there, if that is to change.
fn plan(volume: &PersistentVolume) -> Option<bool> {
    let protected = volume.metadata.has_finalizer(FINALIZER);
    match (volume.metadata.deleting(), protected) {
        (true, true) if volume.status.phase != "Bound" => Some(false),
        (false, false) => Some(true),
        _ => None,
    }
}

async fn sync(client: Client, volumes: Informer<PersistentVolume>, key: Key) -> SyncResult {
    let Some(volume) = volumes.get_key(&key) else { return Ok(None) };
    let Some(wanted) = plan(&volume) else { return Ok(None) };
    let change = |live: &mut serde_json::Value| set_finalizer(live, FINALIZER, wanted);
    match write::update(&client, &resources::PERSISTENT_VOLUMES, &volume.metadata, "", change).await {
        Err(e) if !e.is_not_found() => Err(e.into()),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans() {
        let check = |deleting: bool, protected: bool, phase: &str, expected: Option<bool>| {
            let mut volume = PersistentVolume::default();
            volume.metadata.deletion_timestamp = deleting.then_some(jiff::Timestamp::UNIX_EPOCH);
            volume.metadata.finalizers = if protected { vec![FINALIZER.into()] } else { Vec::new() };
            volume.status.phase = phase.into();
            assert_eq!(plan(&volume), expected);
        };
        check(false, false, "Available", Some(true));
        check(false, true, "Available", None);
        check(true, true, "Bound", None);
        check(true, true, "Released", Some(false));
        check(true, false, "Released", None);
    }
}
