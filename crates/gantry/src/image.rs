//! The pause image, which no registry has: the front door carries it and imports it.

use cri::image_tar::{FileContent, ImageConfig, ImageFile, build};

/// The image that holds each pod's namespaces.
pub const PAUSE_IMAGE: &str = "gantry.local/pause:1";

/// The pause process, compiled by the build script.
const PAUSE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pause"));

/// The pause image as a tar file: one static program of about a kilobyte, run by an ordinary user.
pub fn pause_image() -> Vec<u8> {
    let config = ImageConfig {
        name: PAUSE_IMAGE.to_owned(),
        entrypoint: vec!["/pause".into()],
        user: "65535:65535".into(),
        ..ImageConfig::default()
    };
    build(
        &config,
        &[ImageFile { path: "pause".into(), mode: 0o755, content: FileContent::Bytes(PAUSE.to_vec()) }],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_image_is_small_and_reproducible() {
        let first = pause_image();
        assert_eq!(first, pause_image());
        assert!(first.len() < 64 * 1024, "{} bytes", first.len());
        assert_eq!(&PAUSE[..4], b"\x7fELF");
    }
}
