//! Files that change all at once: each version is written to a directory of its own, and one rename of the link `..data`
//! makes it the current one. What the user sees are links through `..data`. Names and layout are upstream's.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};

use jiff::Timestamp;

use crate::host::Host;

/// A file: its content, mode and owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProjectedFile {
    pub(crate) content: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) user: Option<u32>,
}

/// Relative paths and what they hold.
pub(crate) type Payload = BTreeMap<String, ProjectedFile>;

const DATA: &str = "..data";
const DATA_NEW: &str = "..data_tmp";

/// Makes `dir` hold exactly `payload`. A payload that is there already is left untouched.
pub(crate) fn write(host: &dyn Host, dir: &Path, payload: &Payload, now: Timestamp) -> io::Result<bool> {
    for path in payload.keys() {
        check_path(path)?;
    }
    let data = dir.join(DATA);
    let old = host.read_link(&data).ok();
    if let Some(old) = &old
        && same(host, &dir.join(old), payload)
    {
        return Ok(false);
    }
    let fresh = version_name(now);
    let version = dir.join(&fresh);
    host.make_dir(&version, Some(0o755))?;
    for (path, file) in payload {
        let target = version.join(path);
        if let Some(parent) = target.parent().filter(|p| *p != version) {
            host.make_dir(parent, Some(0o755))?;
        }
        host.write_file(&target, &file.content, file.mode)?;
        if file.user.is_some() {
            host.chown(&target, file.user, None)?;
        }
    }
    let new = dir.join(DATA_NEW);
    host.remove_file(&new)?;
    host.symlink(Path::new(&fresh), &new)?;
    host.rename(&new, &data)?;
    // Links of the first parts of the paths; those of paths that are gone go last.
    let wanted: BTreeSet<&str> = payload.keys().filter_map(|p| p.split('/').next()).collect();
    for name in host.list_dir(dir)? {
        if !name.starts_with("..") && !wanted.contains(name.as_str()) {
            host.remove_file(&dir.join(&name))?;
        }
    }
    for name in wanted {
        let link = dir.join(name);
        if host.read_link(&link).is_err() {
            host.symlink(&Path::new(DATA).join(name), &link)?;
        }
    }
    Ok(true)
}

/// Directories of versions that are no longer current.
pub(crate) fn stale(host: &dyn Host, dir: &Path) -> Vec<std::path::PathBuf> {
    let current = host.read_link(&dir.join(DATA)).unwrap_or_default();
    let names = host.list_dir(dir).unwrap_or_default();
    let is_version = |name: &String| name.starts_with("..") && name != DATA && name != DATA_NEW;
    names.into_iter().filter(is_version).filter(|n| Path::new(n) != current).map(|n| dir.join(n)).collect()
}

fn check_path(path: &str) -> io::Result<()> {
    let plain = Path::new(path).components().all(|c| matches!(c, Component::Normal(_)));
    if !plain || path.is_empty() || path.starts_with("..") {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("invalid path {path:?} in the volume"),
        ));
    }
    Ok(())
}

/// Whether a version holds just this payload. Modes are not compared: they change only with the pod, which cannot.
fn same(host: &dyn Host, version: &Path, payload: &Payload) -> bool {
    let mut found = Vec::new();
    let mut dirs = vec![String::new()];
    while let Some(dir) = dirs.pop() {
        let Ok(names) = host.list_dir(&version.join(&dir)) else { return false };
        for name in names {
            let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
            match host.kind(&version.join(&path)) {
                Some(crate::host::PathKind::Directory) => dirs.push(path),
                _ => found.push(path),
            }
        }
    }
    found.sort();
    found.iter().eq(payload.keys())
        && payload
            .iter()
            .all(|(path, file)| host.read_file(&version.join(path)).is_ok_and(|c| c == file.content))
}

/// `..2006_01_02_15_04_05.123456789`, as upstream's; the fraction keeps two versions of a second apart.
fn version_name(now: Timestamp) -> String {
    let text = now.to_string();
    let (date, time) = text.split_once('T').unwrap_or((&text, "0"));
    let time = time.split('.').next().unwrap_or(time).trim_end_matches('Z');
    format!("..{}_{}.{:09}", date.replace('-', "_"), time.replace(':', "_"), now.subsec_nanosecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::HollowHost;

    fn payload(entries: &[(&str, &str)]) -> Payload {
        let file = |text: &str| ProjectedFile { content: text.into(), mode: 0o644, user: None };
        entries.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
    }

    #[test]
    fn versions_replace_each_other_whole() {
        let host = HollowHost::new("h", [10, 0, 0, 1].into(), 1, 1);
        let dir = Path::new("/v");
        host.make_dir(dir, None).unwrap();
        let at = |nanos: i32| Timestamp::new(1_767_225_600, nanos).unwrap();
        assert!(write(&host, dir, &payload(&[("a", "1"), ("d/b", "2")]), at(1)).unwrap());
        assert_eq!(host.file(Path::new("/v/d/b")).as_deref(), Some("2"));
        assert_eq!(
            host.read_link(Path::new("/v/..data")).unwrap(),
            Path::new("..2026_01_01_00_00_00.000000001")
        );
        assert!(!write(&host, dir, &payload(&[("a", "1"), ("d/b", "2")]), at(2)).unwrap());
        assert!(write(&host, dir, &payload(&[("a", "9"), ("c", "3")]), at(3)).unwrap());
        assert_eq!(host.file(Path::new("/v/a")).as_deref(), Some("9"));
        assert_eq!(
            host.list_dir(dir).unwrap().iter().filter(|n| !n.starts_with("..")).collect::<Vec<_>>(),
            ["a", "c"]
        );
        assert_eq!(stale(&host, dir), [Path::new("/v/..2026_01_01_00_00_00.000000001")]);
        assert!(write(&host, dir, &payload(&[("../x", "1")]), at(4)).is_err());
    }
}
