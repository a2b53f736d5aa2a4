//! The life of an object of every built-in kind, by JSON, YAML and protobuf: each verb first dry and then for good, every
//! form of reading it, and five watches that see all of it alike.
//!
//! What the tables say makes the requests; the few facts that they do not say are in `kinds/specs.rs`.

#[path = "kinds/answers.rs"]
mod answers;
#[path = "kinds/forms.rs"]
mod forms;
#[path = "kinds/life.rs"]
mod life;
#[path = "kinds/specs.rs"]
mod specs;
mod support;
#[path = "kinds/watched.rs"]
mod watched;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use apiserver::runtime_config::RuntimeConfig;
use futures::FutureExt as _;
use kinds::{Registry, ResourceInfo};
use support::Cluster;

/// Lets an object of each of these kinds live, and tells of all that went wrong.
async fn live(runtime_config: RuntimeConfig, wanted: impl Fn(&ResourceInfo) -> bool) -> usize {
    let kinds = Registry::builtin();
    let cluster = Cluster::whole(runtime_config).await;
    life::prepare(&cluster).await;
    let stored = |info: &&Arc<ResourceInfo>| info.stored.is_some() && info.has_verb("create");
    let (mut n_kinds, mut failed) = (0, Vec::new());
    for info in kinds.resources().iter().filter(stored).filter(|info| wanted(info)) {
        n_kinds += 1;
        if AssertUnwindSafe(life::of_kind(&cluster, &kinds, info)).catch_unwind().await.is_err() {
            failed.push(format!("{} {}", info.api_version(), info.kind));
        }
    }
    assert!(failed.is_empty(), "{} of {n_kinds} kinds failed, see above: {failed:#?}", failed.len());
    n_kinds
}

#[tokio::test(start_paused = true)]
async fn kinds_of_the_core_live_and_die_by_every_encoding() {
    let n = live(RuntimeConfig::default(), |info| info.served_by_default && info.group.is_empty()).await;
    assert!(n > 14, "{n}");
}

#[tokio::test(start_paused = true)]
async fn kinds_of_groups_live_and_die_by_every_encoding() {
    let n = live(RuntimeConfig::default(), |info| info.served_by_default && !info.group.is_empty()).await;
    assert!(n > 40, "{n}");
}

#[tokio::test(start_paused = true)]
async fn kinds_that_are_off_by_default_live_and_die_by_every_encoding() {
    let n = live(RuntimeConfig::everything(), |info| !info.served_by_default).await;
    assert!(n > 20, "{n}");
}

#[test]
fn every_line_of_facts_is_of_a_kind() {
    let kinds = Registry::builtin();
    for (group, plural) in specs::named() {
        assert!(kinds.versions_of(group, plural).next().is_some(), "{group} {plural}");
    }
}
