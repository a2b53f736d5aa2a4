//! tmpfs, bind mounts of sub-paths, and what is mounted where.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{OFlag, open, openat};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::Mode;

use super::at;

pub(super) fn tmpfs(path: &Path, size: Option<u64>) -> io::Result<()> {
    if points()?.iter().any(|p| p == path) {
        return Ok(());
    }
    let options = size.map(|bytes| format!("size={bytes}"));
    mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), options.as_deref())?;
    Ok(())
}

pub(super) fn unmount(path: &Path) -> io::Result<()> {
    match umount2(path, MntFlags::UMOUNT_NOFOLLOW) {
        // Somebody still has a file open there: the mount goes with the last of them.
        Err(nix::errno::Errno::EBUSY) => {
            umount2(path, MntFlags::UMOUNT_NOFOLLOW | MntFlags::MNT_DETACH).map_err(io::Error::from)
        }
        Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => Ok(()),
        other => other.map_err(io::Error::from),
    }
}

/// Every mount point of this process's namespace, in mount order.
fn points() -> io::Result<Vec<PathBuf>> {
    let table = std::fs::read("/proc/self/mountinfo")?;
    Ok(table
        .split(|b| *b == b'\n')
        .filter_map(|line| line.split(|b| *b == b' ').nth(4))
        .map(unescape)
        .collect())
}

/// The kernel writes blanks, tabs, newlines and backslashes in octal.
fn unescape(field: &[u8]) -> PathBuf {
    let mut out = Vec::with_capacity(field.len());
    let mut at = 0;
    while at < field.len() {
        let octal =
            field.get(at + 1..at + 4).filter(|d| field[at] == b'\\' && d.iter().all(u8::is_ascii_digit));
        match octal.and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 4;
            }
            None => {
                out.push(field[at]);
                at += 1;
            }
        }
    }
    PathBuf::from(std::ffi::OsStr::from_bytes(&out))
}

pub(super) fn below(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = points()?.into_iter().filter(|p| p.starts_with(path)).collect();
    found.reverse();
    Ok(found)
}

/// Binds a path inside a volume without ever leaving it: links are resolved first and the result is checked, then each
/// step is opened without following links, so that a container that changes them meanwhile gains nothing.
pub(super) fn bind_subpath(root: &Path, sub: &Path, target: &Path) -> io::Result<()> {
    let real_root = at(root, root.canonicalize())?;
    let wanted = real_root.join(sub);
    let real = resolve(&wanted)?;
    let inside = real.strip_prefix(&real_root).map_err(|_| {
        io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("subpath {} is not within the volume", sub.display()),
        )
    })?;
    let file = open_beneath(&real_root, inside)?;
    let source = format!("/proc/self/fd/{}", file.as_raw_fd());
    let is_dir = at(&wanted, std::fs::metadata(&source))?.is_dir();
    if points()?.iter().any(|p| p == target) {
        // Left by an earlier container of the pod: it shows the same place, unless that was replaced.
        unmount(target)?;
    }
    if is_dir {
        std::fs::create_dir_all(target)?;
    } else {
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::OpenOptions::new().create(true).append(true).open(target)?;
    }
    at(
        target,
        mount(Some(source.as_str()), target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
            .map_err(io::Error::from),
    )
}

/// The path with links resolved as far as it exists.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut missing = Vec::new();
    let mut here = path;
    loop {
        match here.canonicalize() {
            Ok(mut real) => {
                real.extend(missing.iter().rev());
                return Ok(real);
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                missing.push(here.file_name().ok_or(e)?);
                here = here.parent().unwrap_or(Path::new("/"));
            }
            Err(e) => return at(path, Err(e)),
        }
    }
}

fn open_beneath(root: &Path, inside: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut here = open(root, flags | OFlag::O_DIRECTORY, Mode::empty())?;
    let like_root = at(root, std::fs::metadata(root))?.permissions();
    for part in inside.components() {
        let Component::Normal(name) = part else { continue };
        let name = CString::new(name.as_bytes())?;
        let next = match openat(&here, name.as_c_str(), flags, Mode::empty()) {
            Err(nix::errno::Errno::ENOENT) => {
                nix::sys::stat::mkdirat(&here, name.as_c_str(), Mode::from_bits_truncate(0o750))?;
                let made = openat(&here, name.as_c_str(), flags, Mode::empty())?;
                // Whoever may write to the volume may write to a part of it that is made on the way.
                std::fs::set_permissions(format!("/proc/self/fd/{}", made.as_raw_fd()), like_root.clone())?;
                made
            }
            other => other?,
        };
        // O_NOFOLLOW opens a link itself when O_PATH is set: it must not be used as a directory or source.
        let stat = nix::sys::stat::fstat(&next)?;
        if stat.st_mode & nix::libc::S_IFMT == nix::libc::S_IFLNK {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "a link appeared in the subpath"));
        }
        here = next;
    }
    Ok(here)
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn octal_escapes() {
        assert_eq!(unescape(b"/a\\040b\\134"), PathBuf::from("/a b\\"));
        assert_eq!(unescape(b"/plain"), PathBuf::from("/plain"));
    }
}
