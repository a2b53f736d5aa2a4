//! Collection of images: when their file system is fuller than the high threshold, unused ones go, least recently used
//! first, until it is below the low one. Images in use, pinned by the runtime or named in the configuration (the pause
//! image) stay.

use std::collections::BTreeSet;

use client::EventType;
use cri::v1;
use jiff::Timestamp;

use super::Images;
use crate::agent::Agent;
use crate::backoff::after;
use crate::host::Space;

#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    first: Timestamp,
    used: Timestamp,
}

/// What may go, in the order of going.
fn candidates(
    images: &[v1::Image],
    used: &BTreeSet<String>,
    pinned: &[String],
    seen: impl Fn(&str) -> Option<Seen>,
    young_until: Timestamp,
) -> Vec<v1::Image> {
    let named = |image: &v1::Image, names: &dyn Fn(&str) -> bool| {
        names(&image.id) || image.repo_tags.iter().chain(&image.repo_digests).any(|n| names(n))
    };
    let mut made: Vec<(Timestamp, v1::Image)> = images
        .iter()
        .filter(|i| {
            !i.pinned && !named(i, &|n| used.contains(n)) && !named(i, &|n| pinned.iter().any(|p| p == n))
        })
        .filter_map(|i| Some((seen(&i.id)?, i)))
        .filter(|(seen, _)| seen.first <= young_until)
        .map(|(seen, i)| (seen.used, i.clone()))
        .collect();
    made.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.id.cmp(&b.1.id)));
    made.into_iter().map(|(_, image)| image).collect()
}

/// Bytes to free; 0 while the file system is emptier than the high threshold.
fn to_free(space: Space, high: u8, low: u8) -> u64 {
    let used = space.bytes.saturating_sub(space.bytes_free);
    if space.bytes == 0 || used * 100 < space.bytes * u64::from(high) {
        return 0;
    }
    used.saturating_sub(space.bytes / 100 * u64::from(low))
}

impl Images {
    /// Looks once, and removes what has to go.
    pub(crate) async fn collect(&self, agent: &Agent) {
        let Ok(images) = agent.runtime.list_images().await else { return };
        let Ok(containers) = agent.runtime.list_containers(&[]).await else { return };
        let mut used: BTreeSet<String> = containers.iter().map(|c| c.image_ref.clone()).collect();
        used.extend(containers.iter().filter_map(|c| c.image.as_ref()).map(|i| i.image.clone()));
        let now = agent.now();
        {
            let mut state = self.state.lock();
            state.seen.retain(|id, _| images.iter().any(|i| i.id == *id));
            for image in &images {
                let seen = state.seen.entry(image.id.clone()).or_insert(Seen { first: now, used: now });
                let names = image.repo_tags.iter().chain(&image.repo_digests);
                if used.contains(&image.id) || names.into_iter().any(|n| used.contains(n)) {
                    seen.used = now;
                }
            }
        }
        let kubelet = &agent.config.kubelet;
        let space = self.space(agent).await;
        let mut wanted =
            to_free(space, kubelet.image_gc_high_threshold_percent, kubelet.image_gc_low_threshold_percent);
        if wanted == 0 {
            return;
        }
        let young = after(now, std::time::Duration::ZERO)
            .checked_sub(jiff::SignedDuration::try_from(kubelet.image_minimum_gc_age).unwrap_or_default())
            .unwrap_or(now);
        let seen = |id: &str| self.state.lock().seen.get(id).copied();
        for image in candidates(&images, &used, &agent.config.pinned_images, seen, young) {
            if wanted == 0 {
                return;
            }
            match agent.runtime.remove_image(&image.id).await {
                Ok(()) => wanted = wanted.saturating_sub(image.size),
                Err(error) => {
                    tracing::warn!(component = "kubelet", %error, image = %image.id, "image not removed")
                }
            }
        }
        if wanted > 0 {
            let message = format!(
                "Failed to garbage collect required amount of images. Attempted to free {wanted} more bytes"
            );
            agent.node_event(EventType::Warning, "FreeDiskSpaceFailed", message);
        }
    }

    /// The file system that images are on.
    pub(crate) async fn space(&self, agent: &Agent) -> Space {
        let infos = agent.runtime.image_fs_info().await.unwrap_or_default();
        let mount = infos.first().and_then(|i| i.fs_id.as_ref()).map(|f| f.mountpoint.clone());
        let path = mount.unwrap_or_else(|| agent.config.root_dir.display().to_string());
        agent.host.space(path.as_ref()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unused_old_ones_go_oldest_first() {
        let at = |s: i64| Timestamp::from_second(s).unwrap();
        let image =
            |id: &str| v1::Image { id: id.into(), repo_tags: vec![format!("{id}:1")], ..Default::default() };
        let mut images: Vec<v1::Image> = ["a", "b", "used", "pause", "young", "pinned"].map(image).to_vec();
        images[5].pinned = true;
        let seen = |id: &str| {
            Some(match id {
                "a" => Seen { first: at(0), used: at(50) },
                "b" => Seen { first: at(0), used: at(10) },
                "young" => Seen { first: at(99), used: at(0) },
                _ => Seen { first: at(0), used: at(0) },
            })
        };
        let made = candidates(&images, &["used:1".to_owned()].into(), &["pause:1".to_owned()], seen, at(90));
        assert_eq!(made.iter().map(|i| i.id.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    }

    #[test]
    fn thresholds() {
        let space = |free: u64| Space { bytes: 1000, bytes_free: free, ..Space::default() };
        assert_eq!(to_free(space(500), 85, 80), 0);
        assert_eq!(to_free(space(100), 85, 80), 100);
        assert_eq!(to_free(Space::default(), 85, 80), 0);
    }
}
