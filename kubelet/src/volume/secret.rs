//! `secret`: the keys of a Secret as files in a tmpfs, so that they never reach a disk, kept up to date.

use std::path::Path;

use futures::future::BoxFuture;

use super::payload::{DEFAULT_MODE, of_secret};
use super::projected::publish;
use super::{Context, SetUp, VolumeType};
use crate::api::Volume;

#[derive(Debug)]
pub(super) struct Secret;

impl VolumeType for Secret {
    fn plugin(&self) -> &'static str {
        "kubernetes.io/secret"
    }
    fn handles(&self, volume: &Volume) -> bool {
        volume.secret.is_some()
    }
    fn set_up<'a>(
        &'a self,
        context: &'a Context<'a>,
        volume: &'a Volume,
        dir: &'a Path,
    ) -> BoxFuture<'a, Result<SetUp, String>> {
        Box::pin(async move {
            let source = volume.secret.as_ref().expect("handles() saw it");
            let namespace = &context.pod.metadata.namespace;
            let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
            let payload = match context.agent.objects.secrets.get(namespace, &source.secret_name).await? {
                Some(secret) => of_secret(&secret, &source.items, mode, source.optional)?,
                None if source.optional => Default::default(),
                None => return Err(format!("secret {:?} not found", source.secret_name)),
            };
            publish(context, dir, &payload, true).await?;
            Ok(SetUp::published(dir))
        })
    }
}
