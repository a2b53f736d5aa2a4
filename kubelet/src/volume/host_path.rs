//! `hostPath`: a path of the node, checked or made by its type.

use std::path::Path;

use futures::future::BoxFuture;

use super::{Context, SetUp, VolumeType};
use crate::api::Volume;
use crate::host::{Host, PathKind};
use crate::pod::config::MountedVolume;

#[derive(Debug)]
pub(super) struct HostPath;

impl VolumeType for HostPath {
    fn plugin(&self) -> &'static str {
        "kubernetes.io/host-path"
    }
    fn handles(&self, volume: &Volume) -> bool {
        volume.host_path.is_some()
    }
    fn set_up<'a>(
        &'a self,
        context: &'a Context<'a>,
        volume: &'a Volume,
        _dir: &'a Path,
    ) -> BoxFuture<'a, Result<SetUp, String>> {
        Box::pin(async move {
            let source = volume.host_path.as_ref().expect("handles() saw it");
            check(context.agent.host.as_ref(), Path::new(&source.path), &source.r#type)?;
            let mounted = MountedVolume { path: source.path.clone().into(), read_only: false };
            Ok(SetUp { mounted, refresh_at: None })
        })
    }
}

/// Makes sure that a path is what its type says.
pub(super) fn check(host: &dyn Host, path: &Path, kind: &str) -> Result<(), String> {
    let found = host.kind(path);
    let shown = path.display();
    let require = |wanted: PathKind, word: &str| {
        if found == Some(wanted) {
            Ok(())
        } else {
            Err(format!("hostPath type check failed: {shown} is not {word}"))
        }
    };
    match kind {
        "" => Ok(()),
        "DirectoryOrCreate" => match found {
            None => host.make_dir(path, Some(0o755)).map_err(|e| e.to_string()),
            Some(_) => require(PathKind::Directory, "a directory"),
        },
        "FileOrCreate" => match found {
            None => host.write_file(path, b"", 0o644).map_err(|e| e.to_string()),
            Some(_) => require(PathKind::File, "a file"),
        },
        "Directory" => require(PathKind::Directory, "a directory"),
        "File" => require(PathKind::File, "a file"),
        "Socket" => require(PathKind::Socket, "a socket file"),
        "CharDevice" => require(PathKind::CharDevice, "a character device"),
        "BlockDevice" => require(PathKind::BlockDevice, "a block device"),
        other => Err(format!("{other} is an invalid volume type")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::HollowHost;

    #[test]
    fn types_are_checked_or_made() {
        let host = HollowHost::new("h", [10, 0, 0, 1].into(), 1, 1);
        let check = |path: &str, kind: &str| check(&host, Path::new(path), kind);
        assert_eq!(check("/a", ""), Ok(()));
        assert_eq!(check("/a", "Directory"), Err("hostPath type check failed: /a is not a directory".into()));
        assert_eq!(check("/a", "DirectoryOrCreate"), Ok(()));
        assert_eq!(check("/a", "Directory"), Ok(()));
        assert_eq!(check("/a/f", "FileOrCreate"), Ok(()));
        assert_eq!(check("/a/f", "File"), Ok(()));
        assert_eq!(
            check("/a/f", "Socket"),
            Err("hostPath type check failed: /a/f is not a socket file".into())
        );
        assert!(check("/a", "Nonsense").is_err());
    }
}
