//! `persistentVolumeClaim`: a claim that is bound to a volume on this node (hostPath or local). Volumes that have to be
//! attached are not offered.

use std::path::Path;

use client::resources::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES};
use futures::future::BoxFuture;

use super::{Context, SetUp, VolumeType, host_path, own};
use crate::api::Volume;
use crate::api::volume::{Claim, PersistentVolume};
use crate::pod::config::MountedVolume;

#[derive(Debug)]
pub(super) struct PersistentVolumeClaim;

impl VolumeType for PersistentVolumeClaim {
    fn plugin(&self) -> &'static str {
        "kubernetes.io/persistent-claim"
    }
    fn handles(&self, volume: &Volume) -> bool {
        volume.persistent_volume_claim.is_some()
    }
    fn set_up<'a>(
        &'a self,
        context: &'a Context<'a>,
        volume: &'a Volume,
        _dir: &'a Path,
    ) -> BoxFuture<'a, Result<SetUp, String>> {
        Box::pin(async move {
            let source = volume.persistent_volume_claim.as_ref().expect("handles() saw it");
            let (client, namespace) = (&context.agent.client, &context.pod.metadata.namespace);
            let problem =
                |text: String| format!("error processing PVC {namespace}/{}: {text}", source.claim_name);
            let claim: Claim = client
                .get(&PERSISTENT_VOLUME_CLAIMS, namespace, &source.claim_name)
                .await
                .map_err(|e| problem(format!("failed to fetch PVC from API server: {e}")))?;
            if claim.status.phase != "Bound" || claim.spec.volume_name.is_empty() {
                return Err(problem("PVC is not bound".to_owned()));
            }
            let name = &claim.spec.volume_name;
            let bound: PersistentVolume = client
                .get(&PERSISTENT_VOLUMES, "", name)
                .await
                .map_err(|e| problem(format!("failed to fetch PV {name:?} from API server: {e}")))?;
            let host = context.agent.host.as_ref();
            let path = match (bound.spec.host_path, bound.spec.local) {
                (Some(source), _) => {
                    host_path::check(host, Path::new(&source.path), &source.r#type)?;
                    source.path
                }
                (None, Some(local)) => {
                    if host.kind(Path::new(&local.path)).is_none() {
                        return Err(format!("path {:?} does not exist", local.path));
                    }
                    own(context, Path::new(&local.path), false).await?;
                    local.path
                }
                (None, None) => {
                    return Err(problem(format!("PV {name:?} is of no type that this node can mount")));
                }
            };
            let mounted = MountedVolume { path: path.into(), read_only: source.read_only };
            Ok(SetUp { mounted, refresh_at: None })
        })
    }
}
