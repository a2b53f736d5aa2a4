//! Container images from nothing: an OCI layout in a tar file, for the pause process and for images made on the spot.
//!
//! One layer, uncompressed, no registry. Anything larger is the business of an image builder.

use std::io;

use ring::digest::{SHA256, digest};
use serde_json::json;

/// The image that holds each pod's namespaces. Not in any registry: the front door imports it.
pub const PAUSE_IMAGE: &str = "gantry.local/pause:1";

/// The pause process, compiled by the build script.
const PAUSE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pause"));

/// One file of an image.
#[derive(Clone, Debug)]
pub struct File {
    /// Without a leading slash.
    pub path: String,
    pub mode: u32,
    pub content: Content,
}

#[derive(Clone, Debug)]
pub enum Content {
    Bytes(Vec<u8>),
    Symlink(String),
    Directory,
}

/// What an image is made of.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Full reference: `gantry.local/pause:1`.
    pub reference: String,
    pub files: Vec<File>,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    pub env: Vec<String>,
    /// `UID` or `UID:GID`; empty for root.
    pub user: String,
    pub working_dir: String,
}

/// The pause image as a tar file.
pub fn pause_image() -> io::Result<Vec<u8>> {
    Image {
        reference: PAUSE_IMAGE.to_owned(),
        files: vec![File { path: "pause".into(), mode: 0o755, content: Content::Bytes(PAUSE.to_vec()) }],
        entrypoint: vec!["/pause".into()],
        user: "65535:65535".into(),
        ..Image::default()
    }
    .to_tar()
}

impl Image {
    /// An OCI image layout (`oci-layout`, `index.json`, blobs) as a tar file that containerd imports.
    pub fn to_tar(&self) -> io::Result<Vec<u8>> {
        let layer = self.layer()?;
        let layer_digest = sha256(&layer);
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let config = serde_json::to_vec(&json!({
            "architecture": architecture,
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "Cmd": self.cmd,
                "Env": self.env,
                "User": self.user,
                "WorkingDir": self.working_dir,
            },
            "rootfs": { "type": "layers", "diff_ids": [layer_digest] },
        }))?;
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": sha256(&config),
                "size": config.len(),
            },
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": layer_digest,
                "size": layer.len(),
            }],
        }))?;
        let index = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "manifests": [{
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": sha256(&manifest),
                "size": manifest.len(),
                "platform": { "architecture": architecture, "os": "linux" },
                "annotations": {
                    "io.containerd.image.name": self.reference,
                    "org.opencontainers.image.ref.name":
                        self.reference.rsplit_once(':').map_or("latest", |(_, tag)| tag),
                },
            }],
        }))?;
        let mut tar = tar::Builder::new(Vec::new());
        append(&mut tar, "oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        append(&mut tar, "index.json", 0o644, &index)?;
        for blob in [&manifest, &config, &layer] {
            let name = sha256(blob).replace(':', "/");
            append(&mut tar, &format!("blobs/{name}"), 0o644, blob)?;
        }
        tar.into_inner()
    }

    fn layer(&self) -> io::Result<Vec<u8>> {
        let mut tar = tar::Builder::new(Vec::new());
        for file in &self.files {
            match &file.content {
                Content::Bytes(bytes) => append(&mut tar, &file.path, file.mode, bytes)?,
                Content::Symlink(target) => {
                    let mut header = header(0o777, 0);
                    header.set_entry_type(tar::EntryType::Symlink);
                    tar.append_link(&mut header, &file.path, target)?;
                }
                Content::Directory => {
                    let mut header = header(file.mode, 0);
                    header.set_entry_type(tar::EntryType::Directory);
                    tar.append_data(&mut header, format!("{}/", file.path), io::empty())?;
                }
            }
        }
        tar.into_inner()
    }
}

fn header(mode: u32, size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_size(size as u64);
    // Fixed times: the same content gives the same digest.
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn append(tar: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
    tar.append_data(&mut header(mode, content.len()), path, content)
}

fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::from("sha256:");
    for byte in digest(&SHA256, bytes).as_ref() {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_image_is_small_and_reproducible() {
        let first = pause_image().unwrap();
        assert_eq!(first, pause_image().unwrap());
        assert!(first.len() < 64 * 1024, "{} bytes", first.len());
        assert_eq!(&PAUSE[..4], b"\x7fELF");
    }

    #[test]
    fn blobs_are_named_by_their_digest() {
        let tar_bytes = pause_image().unwrap();
        let mut blobs = 0;
        for entry in tar::Archive::new(&tar_bytes[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            if let Some(name) = path.strip_prefix("blobs/") {
                let mut content = Vec::new();
                io::Read::read_to_end(&mut entry, &mut content).unwrap();
                assert_eq!(name.replace('/', ":"), sha256(&content));
                blobs += 1;
            }
        }
        assert_eq!(blobs, 3);
    }
}
