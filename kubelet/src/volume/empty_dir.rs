//! `emptyDir`: an empty directory that lives as long as the pod, on the node's disk or, with the medium Memory, in a
//! tmpfs of the size that the limit says. Huge pages are not offered.

use std::path::Path;

use futures::future::BoxFuture;

use super::{Context, SetUp, VolumeType, own};
use crate::api::Volume;
use crate::pod::config::MountedVolume;

#[derive(Debug)]
pub(super) struct EmptyDir;

impl VolumeType for EmptyDir {
    fn plugin(&self) -> &'static str {
        "kubernetes.io/empty-dir"
    }
    fn handles(&self, volume: &Volume) -> bool {
        volume.empty_dir.is_some()
    }
    fn set_up<'a>(
        &'a self,
        context: &'a Context<'a>,
        volume: &'a Volume,
        dir: &'a Path,
    ) -> BoxFuture<'a, Result<SetUp, String>> {
        Box::pin(async move {
            let source = volume.empty_dir.as_ref().expect("handles() saw it");
            let host = &context.agent.host;
            let made = || -> std::io::Result<()> {
                host.make_dir(dir, None)?;
                if source.medium == "Memory" {
                    let limit = source.size_limit.as_ref().and_then(|q| u64::try_from(q.value()).ok());
                    host.mount_tmpfs(dir, limit.filter(|n| *n > 0))?;
                }
                // Any user of the pod may write.
                host.make_dir(dir, Some(0o777))
            };
            match source.medium.as_str() {
                "" | "Memory" => made().map_err(|e| e.to_string())?,
                other => return Err(format!("unknown storage medium {other:?}")),
            }
            own(context, dir, false).await?;
            Ok(SetUp { mounted: MountedVolume { path: dir.to_owned(), read_only: false }, refresh_at: None })
        })
    }
}
