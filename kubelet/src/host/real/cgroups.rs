//! Control groups in the file system: every v1 hierarchy that is mounted, or the one v2 tree.

use std::io;
use std::path::{Path, PathBuf};

use super::super::cgroup::{CgroupLimits, v1_files, v2_files};

const MOUNT: &str = "/sys/fs/cgroup";

/// v2 alone, rather than v1 or the hybrid of both.
fn unified() -> bool {
    Path::new(MOUNT).join("cgroup.controllers").exists()
}

/// v1 hierarchies, as their directories below the mount point. Several controllers may share one, through links.
fn hierarchies() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(MOUNT).into_iter().flatten().flatten();
    let mut dirs: Vec<PathBuf> = entries
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
        .map(|e| e.path())
        .filter(|dir| dir.join("cgroup.procs").exists())
        .collect();
    dirs.sort();
    dirs
}

fn join(base: &Path, path: &str) -> PathBuf {
    base.join(path.trim_start_matches('/'))
}

fn write(path: &Path, value: &str) -> io::Result<()> {
    super::at(path, std::fs::write(path, value))
}

pub(super) fn apply(path: &str, limits: &CgroupLimits) -> io::Result<()> {
    if unified() {
        return apply_v2(Path::new(MOUNT), path, limits);
    }
    for hierarchy in hierarchies() {
        let dir = join(&hierarchy, path);
        if !dir.exists() {
            std::fs::create_dir_all(&dir)?;
            inherit_cpuset(&hierarchy, path)?;
        }
    }
    for (controller, file, value) in v1_files(limits) {
        let dir = join(&Path::new(MOUNT).join(controller), path);
        // A kernel without the controller, or without quotas, limits nothing.
        if dir.join(file).exists() {
            write(&dir.join(file), &value)?;
        }
    }
    Ok(())
}

/// A new v1 cpuset is empty and takes no process: it gets what its parent has, from the top down.
fn inherit_cpuset(hierarchy: &Path, path: &str) -> io::Result<()> {
    let mut dir = hierarchy.to_owned();
    for part in Path::new(path.trim_start_matches('/')) {
        let parent = dir.clone();
        dir.push(part);
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let Ok(have) = std::fs::read_to_string(dir.join(file)) else { continue };
            if have.trim().is_empty() {
                write(&dir.join(file), std::fs::read_to_string(parent.join(file))?.trim())?;
            }
        }
    }
    Ok(())
}

fn apply_v2(mount: &Path, path: &str, limits: &CgroupLimits) -> io::Result<()> {
    let mut dir = mount.to_owned();
    for part in Path::new(path.trim_start_matches('/')) {
        // A controller that cannot be passed on (its host keeps it) is simply not limited below.
        for controller in ["cpuset", "cpu", "io", "memory", "pids", "hugetlb"] {
            let _ = std::fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}"));
        }
        dir.push(part);
        match std::fs::create_dir(&dir) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return super::at(&dir, Err(e)),
            _ => {}
        }
    }
    for (file, value) in v2_files(limits) {
        if dir.join(file).exists() {
            write(&dir.join(file), &value)?;
        }
    }
    Ok(())
}

pub(super) fn remove(path: &str) -> io::Result<()> {
    if path.trim_matches('/').is_empty() {
        return Err(io::Error::other("the root control group is not ours to remove"));
    }
    let roots = if unified() { vec![PathBuf::from(MOUNT)] } else { hierarchies() };
    let mut result = Ok(());
    for root in roots {
        // Each hierarchy is tried, so that one busy group does not keep the others.
        if let Err(e) = remove_dir(&join(&root, path)) {
            result = Err(e);
        }
    }
    result
}

fn remove_dir(dir: &Path) -> io::Result<()> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Ok(()) };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            remove_dir(&entry.path())?;
        }
    }
    super::at(dir, std::fs::remove_dir(dir))
}

pub(super) fn list(path: &str) -> Vec<String> {
    let roots = if unified() { vec![PathBuf::from(MOUNT)] } else { hierarchies() };
    let mut names = std::collections::BTreeSet::new();
    for root in roots {
        for entry in std::fs::read_dir(join(&root, path)).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                names.insert(entry.file_name().to_string_lossy().into_owned());
            }
        }
    }
    names.into_iter().collect()
}
