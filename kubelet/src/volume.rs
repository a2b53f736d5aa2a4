//! Volumes: one file per type and one list of them all. A type makes its volume under the pod's directory (or names a path
//! of the host); taking down is the same for all: unmount, then remove.

mod atomic;
mod config_map;
mod downward_api;
mod empty_dir;
mod host_path;
mod payload;
mod persistent_volume_claim;
mod projected;
mod secret;

use std::fmt;
use std::path::{Path, PathBuf};

use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::agent::Agent;
use crate::api::{Pod, Volume};
use crate::host::{GroupOwnership, Host};
use crate::pod::config::MountedVolume;
use crate::pod::env::Surroundings;

/// What a type needs to know of the pod.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) agent: &'a Agent,
    pub(crate) pod: &'a Pod,
    pub(crate) around: &'a Surroundings,
    /// The user that all containers run as, where they agree: owner of token files.
    pub(crate) user: Option<u32>,
}

/// A volume that is there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SetUp {
    pub(crate) mounted: MountedVolume,
    /// When its content has to be made anew though nothing else changes: tokens.
    pub(crate) refresh_at: Option<Timestamp>,
}

/// One type of volume.
pub(crate) trait VolumeType: Send + Sync + fmt::Debug {
    /// Upstream's plugin name, which names a directory, too.
    fn plugin(&self) -> &'static str;
    fn handles(&self, volume: &Volume) -> bool;
    /// Makes the volume in `dir`, or brings its content up to date: it is called again after every change.
    fn set_up<'a>(
        &'a self,
        context: &'a Context<'a>,
        volume: &'a Volume,
        dir: &'a Path,
    ) -> BoxFuture<'a, Result<SetUp, String>>;
}

/// Every type.
pub(crate) fn all() -> [&'static dyn VolumeType; 7] {
    [
        &empty_dir::EmptyDir,
        &host_path::HostPath,
        &config_map::ConfigMap,
        &secret::Secret,
        &downward_api::DownwardApi,
        &projected::Projected,
        &persistent_volume_claim::PersistentVolumeClaim,
    ]
}

/// Where a volume of a pod is made.
fn volume_dir(pod_dir: &Path, plugin: &str, name: &str) -> PathBuf {
    pod_dir.join("volumes").join(plugin.replace('/', "~")).join(name)
}

/// Makes one volume; the error is FailedMount's text.
pub(crate) async fn set_up(context: &Context<'_>, volume: &Volume) -> Result<SetUp, String> {
    let Some(kind) = all().into_iter().find(|t| t.handles(volume)) else {
        return Err(format!("no volume plugin matched name: {}", volume.name));
    };
    let pod_dir = context.agent.pod_dir(&context.pod.metadata.uid);
    let dir = volume_dir(&pod_dir, kind.plugin(), &volume.name);
    kind.set_up(context, volume, &dir)
        .await
        .map_err(|e| format!("MountVolume.SetUp failed for volume {:?} : {e}", volume.name))
}

/// Takes down everything below a pod's directory, then the directory.
pub(crate) async fn tear_down(host: &dyn Host, pod_dir: &Path) -> std::io::Result<()> {
    for mount in host.mounts_below(pod_dir)? {
        host.unmount(&mount)?;
    }
    host.remove_tree(pod_dir).await
}

/// Gives a volume to the pod's `fsGroup`.
pub(crate) async fn own(context: &Context<'_>, dir: &Path, read_only: bool) -> Result<(), String> {
    let security = &context.pod.spec.security_context;
    let Some(gid) = security.fs_group.and_then(|g| u32::try_from(g).ok()) else { return Ok(()) };
    let only_on_mismatch = security.fs_group_change_policy == "OnRootMismatch";
    let ownership = GroupOwnership { gid, read_only, only_on_mismatch };
    context.agent.host.own_tree(dir, ownership).await.map_err(|e| e.to_string())
}

/// The user that all of a pod's containers run as, if it is one and the same.
pub(crate) fn common_user(pod: &Pod) -> Option<u32> {
    let mut users = pod
        .spec
        .all_containers()
        .map(|c| c.security_context.run_as_user.or(pod.spec.security_context.run_as_user));
    let first = users.next()??;
    users.all(|u| u == Some(first)).then(|| u32::try_from(first).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_source_has_one_type() {
        for (source, plugin) in [
            (json!({"emptyDir": {}}), "kubernetes.io/empty-dir"),
            (json!({"hostPath": {"path": "/x"}}), "kubernetes.io/host-path"),
            (json!({"configMap": {"name": "x"}}), "kubernetes.io/configmap"),
            (json!({"secret": {"secretName": "x"}}), "kubernetes.io/secret"),
            (json!({"downwardAPI": {}}), "kubernetes.io/downward-api"),
            (json!({"projected": {}}), "kubernetes.io/projected"),
            (json!({"persistentVolumeClaim": {"claimName": "x"}}), "kubernetes.io/persistent-claim"),
        ] {
            let volume: Volume = serde_json::from_value(source).unwrap();
            let names: Vec<_> =
                all().into_iter().filter(|t| t.handles(&volume)).map(VolumeType::plugin).collect();
            assert_eq!(names, [plugin]);
        }
        assert_eq!(
            volume_dir(Path::new("/p"), "kubernetes.io/empty-dir", "v"),
            Path::new("/p/volumes/kubernetes.io~empty-dir/v")
        );
    }

    /// Every file of this folder that is a type stands in the list.
    #[test]
    fn the_list_is_whole() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/volume");
        let helpers = ["atomic", "payload"];
        let files = std::fs::read_dir(dir)
            .unwrap()
            .filter_map(|e| {
                e.unwrap().file_name().into_string().unwrap().strip_suffix(".rs").map(str::to_owned)
            })
            .filter(|n| !helpers.contains(&n.as_str()))
            .count();
        assert_eq!(files, all().len());
    }

    #[test]
    fn users_that_agree() {
        let user = |spec| common_user(&serde_json::from_value(json!({ "spec": spec })).unwrap());
        assert_eq!(user(json!({"securityContext": {"runAsUser": 5}, "containers": [{}, {}]})), Some(5));
        assert_eq!(user(json!({"containers": [{"securityContext": {"runAsUser": 5}}, {}]})), None);
        assert_eq!(user(json!({"containers": [{}]})), None);
    }
}
