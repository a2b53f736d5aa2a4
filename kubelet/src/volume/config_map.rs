//! `configMap`: the keys of a ConfigMap as files, kept up to date.

use std::path::Path;

use futures::future::BoxFuture;

use super::payload::{DEFAULT_MODE, of_config_map};
use super::projected::publish;
use super::{Context, SetUp, VolumeType};
use crate::api::Volume;

#[derive(Debug)]
pub(super) struct ConfigMap;

impl VolumeType for ConfigMap {
    fn plugin(&self) -> &'static str {
        "kubernetes.io/configmap"
    }
    fn handles(&self, volume: &Volume) -> bool {
        volume.config_map.is_some()
    }
    fn set_up<'a>(
        &'a self,
        context: &'a Context<'a>,
        volume: &'a Volume,
        dir: &'a Path,
    ) -> BoxFuture<'a, Result<SetUp, String>> {
        Box::pin(async move {
            let source = volume.config_map.as_ref().expect("handles() saw it");
            let namespace = &context.pod.metadata.namespace;
            let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
            let payload = match context.agent.objects.config_maps.get(namespace, &source.name).await? {
                Some(map) => of_config_map(&map, &source.items, mode, source.optional)?,
                None if source.optional => Default::default(),
                None => return Err(format!("configmap {:?} not found", source.name)),
            };
            publish(context, dir, &payload, false).await?;
            Ok(SetUp::published(dir))
        })
    }
}
