//! Small images made on the spot, in `docker save` form, which every containerd imports: the static pause image and test
//! images need no registry and no builder.
//!
//! One uncompressed layer, regular files and directories only.

use std::collections::BTreeSet;

use ring::digest::{SHA256, digest};
use serde_json::json;

/// A file of the image's only layer.
#[derive(Debug, Clone)]
pub struct ImageFile {
    /// Without a leading slash.
    pub path: String,
    pub mode: u32,
    pub content: FileContent,
}

/// What stands at a path.
#[derive(Debug, Clone)]
pub enum FileContent {
    Bytes(Vec<u8>),
    Symlink(String),
    Directory,
}

/// What the image runs, and as whom.
#[derive(Debug, Clone, Default)]
pub struct ImageConfig {
    /// Full name: `docker.io/library/NAME:TAG`.
    pub name: String,
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    pub env: Vec<String>,
    pub working_dir: String,
    /// `uid[:gid]` or a name; root when empty.
    pub user: String,
    pub exposed_ports: Vec<String>,
}

/// The archive's bytes. The same input always gives the same bytes, and so the same image id.
pub fn build(config: &ImageConfig, files: &[ImageFile]) -> Vec<u8> {
    let layer = layer(files);
    let layer_digest = hex(digest(&SHA256, &layer).as_ref());
    let ports: serde_json::Map<String, serde_json::Value> =
        config.exposed_ports.iter().map(|p| (p.clone(), json!({}))).collect();
    let image = json!({
        "architecture": architecture(),
        "os": "linux",
        "created": "2026-01-01T00:00:00Z",
        "config": {
            "Entrypoint": config.entrypoint,
            "Cmd": config.command,
            "Env": config.env,
            "WorkingDir": config.working_dir,
            "User": config.user,
            "ExposedPorts": ports,
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "gantry"}],
    })
    .to_string();
    let config_name = format!("{}.json", hex(digest(&SHA256, image.as_bytes()).as_ref()));
    let layer_name = format!("{layer_digest}/layer.tar");
    let manifest =
        json!([{"Config": config_name, "RepoTags": [config.name], "Layers": [layer_name]}]).to_string();
    let mut tar = Vec::new();
    entry(&mut tar, &config_name, 0o644, b'0', "", image.as_bytes());
    entry(&mut tar, &layer_name, 0o644, b'0', "", &layer);
    entry(&mut tar, "manifest.json", 0o644, b'0', "", manifest.as_bytes());
    finish(tar)
}

/// The name that images use for this machine's processor.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn layer(files: &[ImageFile]) -> Vec<u8> {
    let mut tar = Vec::new();
    let mut made = BTreeSet::new();
    for file in files {
        // Directories above a file come first, once.
        for (at, _) in file.path.match_indices('/') {
            let dir = format!("{}/", &file.path[..at]);
            if made.insert(dir.clone()) {
                entry(&mut tar, &dir, 0o755, b'5', "", &[]);
            }
        }
        match &file.content {
            FileContent::Bytes(bytes) => entry(&mut tar, &file.path, file.mode, b'0', "", bytes),
            FileContent::Symlink(target) => entry(&mut tar, &file.path, 0o777, b'2', target, &[]),
            FileContent::Directory => {
                let dir = format!("{}/", file.path);
                if made.insert(dir.clone()) {
                    entry(&mut tar, &dir, file.mode, b'5', "", &[]);
                }
            }
        }
    }
    finish(tar)
}

const BLOCK: usize = 512;

/// One ustar entry: a header block, then the content padded to whole blocks. Paths are up to 100 bytes here.
fn entry(tar: &mut Vec<u8>, path: &str, mode: u32, kind: u8, link: &str, content: &[u8]) {
    let mut header = [0u8; BLOCK];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, &path.as_bytes()[..path.len().min(100)]);
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", content.len()).as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, &link.as_bytes()[..link.len().min(100)]);
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(&header);
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(BLOCK), 0);
}

/// Two empty blocks end an archive.
fn finish(mut tar: Vec<u8>) -> Vec<u8> {
    tar.resize(tar.len() + 2 * BLOCK, 0);
    tar
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_is_whole_blocks_and_stable() {
        let config = ImageConfig { name: "docker.io/library/a:1".into(), ..Default::default() };
        let files =
            [ImageFile { path: "bin/a".into(), mode: 0o755, content: FileContent::Bytes(b"x".to_vec()) }];
        let one = build(&config, &files);
        assert_eq!(one.len() % BLOCK, 0);
        assert_eq!(one, build(&config, &files));
        let text = String::from_utf8_lossy(&one);
        assert!(text.contains("ustar") && text.contains("manifest.json") && text.contains("bin/a"));
    }
}
