//! Small pages for our own memory.
//!
//! Where the kernel backs memory with huge pages unasked, the first byte that an allocator touches of a range costs two
//! megabytes: an idle cluster then takes a third more than it uses. The setting belongs to a whole process and goes over to its
//! children, so those that run other people's programs are started with [`as_the_host_has_it`].

use std::io;

use nix::sys::prctl;

/// Asks the kernel for no huge pages from here on. A kernel that knows none has nothing to refuse.
pub fn small_pages() {
    if let Err(error) = prctl::set_thp_disable(true) {
        tracing::debug!(%error, "huge pages stay as the host has them");
    }
}

/// Runs `start`, which starts a child, with the host's own setting: what children do with their memory is theirs to say.
/// Pages that other threads touch meanwhile may be huge, which costs memory and nothing else.
pub fn as_the_host_has_it<T>(start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let small = prctl::get_thp_disable().unwrap_or(false);
    if !small {
        return start();
    }
    prctl::set_thp_disable(false)?;
    let started = start();
    small_pages();
    started
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_get_the_hosts_setting() {
        small_pages();
        assert_eq!(prctl::get_thp_disable(), Ok(true));
        let inside = as_the_host_has_it(|| Ok(prctl::get_thp_disable()));
        assert_eq!(inside.expect("nothing was started"), Ok(false));
        assert_eq!(prctl::get_thp_disable(), Ok(true));
    }
}
