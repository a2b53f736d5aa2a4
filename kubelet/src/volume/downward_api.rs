//! `downwardAPI`: fields and resources of the pod itself as files, kept up to date with its labels and annotations.

use std::path::Path;

use futures::future::BoxFuture;

use super::payload::{DEFAULT_MODE, of_fields};
use super::projected::publish;
use super::{Context, SetUp, VolumeType};
use crate::api::Volume;

#[derive(Debug)]
pub(super) struct DownwardApi;

impl VolumeType for DownwardApi {
    fn plugin(&self) -> &'static str {
        "kubernetes.io/downward-api"
    }
    fn handles(&self, volume: &Volume) -> bool {
        volume.downward_api.is_some()
    }
    fn set_up<'a>(
        &'a self,
        context: &'a Context<'a>,
        volume: &'a Volume,
        dir: &'a Path,
    ) -> BoxFuture<'a, Result<SetUp, String>> {
        Box::pin(async move {
            let source = volume.downward_api.as_ref().expect("handles() saw it");
            let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
            let payload = of_fields(context.pod, context.around, &source.items, mode)?;
            publish(context, dir, &payload, false).await?;
            Ok(SetUp::published(dir))
        })
    }
}
