//! `projected`: several sources in one directory, among them the pod's own ServiceAccount token. In a tmpfs, kept up to
//! date; tokens are renewed before they expire. ClusterTrustBundles and pod certificates are not offered.

use std::path::Path;

use futures::future::BoxFuture;
use jiff::Timestamp;

use super::atomic::{self, Payload, ProjectedFile};
use super::payload::{DEFAULT_MODE, of_config_map, of_fields, of_secret};
use super::{Context, SetUp, VolumeType, own};
use crate::api::Volume;
use crate::api::volume::Projection;
use crate::pod::config::MountedVolume;

#[derive(Debug)]
pub(super) struct Projected;

impl VolumeType for Projected {
    fn plugin(&self) -> &'static str {
        "kubernetes.io/projected"
    }
    fn handles(&self, volume: &Volume) -> bool {
        volume.projected.is_some()
    }
    fn set_up<'a>(
        &'a self,
        context: &'a Context<'a>,
        volume: &'a Volume,
        dir: &'a Path,
    ) -> BoxFuture<'a, Result<SetUp, String>> {
        Box::pin(async move {
            let source = volume.projected.as_ref().expect("handles() saw it");
            let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
            let mut payload = Payload::new();
            let mut made = SetUp::published(dir);
            for projection in &source.sources {
                let (files, refresh_at) = project(context, projection, mode).await?;
                payload.extend(files);
                made.refresh_at = [made.refresh_at, refresh_at].into_iter().flatten().min();
            }
            publish(context, dir, &payload, true).await?;
            Ok(made)
        })
    }
}

/// One source's files.
async fn project(
    context: &Context<'_>,
    projection: &Projection,
    mode: u32,
) -> Result<(Payload, Option<Timestamp>), String> {
    let namespace = &context.pod.metadata.namespace;
    let agent = context.agent;
    if let Some(source) = &projection.config_map {
        return match agent.objects.config_maps.get(namespace, &source.name).await? {
            Some(map) => Ok((of_config_map(&map, &source.items, mode, source.optional)?, None)),
            None if source.optional => Ok((Payload::new(), None)),
            None => Err(format!("configmap {:?} not found", source.name)),
        };
    }
    if let Some(source) = &projection.secret {
        return match agent.objects.secrets.get(namespace, &source.name).await? {
            Some(secret) => Ok((of_secret(&secret, &source.items, mode, source.optional)?, None)),
            None if source.optional => Ok((Payload::new(), None)),
            None => Err(format!("secret {:?} not found", source.name)),
        };
    }
    if let Some(source) = &projection.downward_api {
        return Ok((of_fields(context.pod, context.around, &source.items, mode)?, None));
    }
    if let Some(source) = &projection.service_account_token {
        let token = agent.tokens.get(&agent.client, &agent.env, context.pod, source).await?;
        // A token for one user, or for a group, is nobody else's to read.
        let private = context.user.is_some() || context.pod.spec.security_context.fs_group.is_some();
        let mode = if private { 0o600 } else { mode };
        let file = ProjectedFile { content: token.text.into_bytes(), mode, user: context.user };
        return Ok((Payload::from([(source.path.clone(), file)]), Some(token.refresh_at)));
    }
    Err("no supported source in projected volume".to_owned())
}

/// Writes files as the whole content of a volume.
pub(super) async fn publish(
    context: &Context<'_>,
    dir: &Path,
    payload: &Payload,
    memory: bool,
) -> Result<(), String> {
    let host = context.agent.host.as_ref();
    let written = || -> std::io::Result<bool> {
        host.make_dir(dir, None)?;
        if memory {
            host.mount_tmpfs(dir, None)?;
        }
        host.make_dir(dir, Some(0o777))?;
        atomic::write(host, dir, payload, context.agent.now())
    };
    if written().map_err(|e| e.to_string())? {
        own(context, dir, true).await?;
        for old in atomic::stale(host, dir) {
            host.remove_tree(&old).await.map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}

impl SetUp {
    /// A volume of published files, which containers only read.
    pub(super) fn published(dir: &Path) -> Self {
        Self { mounted: MountedVolume { path: dir.to_owned(), read_only: true }, refresh_at: None }
    }
}
