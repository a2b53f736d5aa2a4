//! The hash that tells whether a running container is still the one that the specification means. The same as upstream's,
//! so that either kubelet adopts what the other started.

use crate::api::Container;

/// FNV-32a over the two fields that a change of restarts a container for.
pub fn container_hash(container: &Container) -> String {
    let picked = serde_json::json!({"image": container.image, "name": container.name}).to_string();
    format!("{:x}", fnv32a(picked.as_bytes()))
}

fn fnv32a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |h, b| (h ^ u32::from(*b)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_name_and_image_count() {
        assert_eq!(fnv32a(b"a"), 0xe40c_292c);
        let mut container = Container { name: "c".into(), image: "i".into(), ..Container::default() };
        let hash = container_hash(&container);
        container.args.push("x".into());
        assert_eq!(container_hash(&container), hash);
        container.image = "j".into();
        assert_ne!(container_hash(&container), hash);
    }
}
