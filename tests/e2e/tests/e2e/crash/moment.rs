//! The moments of a rollout at which a process can die, drawn from a seed and met exactly.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;

/// fdatasync's number among the system calls.
#[cfg(target_arch = "x86_64")]
const FDATASYNC: &str = "75 ";
#[cfg(not(target_arch = "x86_64"))]
const FDATASYNC: &str = "83 ";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A pod has got its node.
    Bind,
    /// The store's log has grown, and its fdatasync is under way.
    Fsync,
    /// A pod's status has changed.
    Status,
}

/// The `n`-th event of its kind since the rollout began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) kind: Kind,
    pub(super) n: u64,
}

/// Numbers from a seed.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }
    pub(super) fn next(&mut self) -> u64 {
        // Knuth's multiplier; the low bits of such a sequence repeat soon.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
    fn index(&mut self, n: usize) -> usize {
        let drawn = self.below(u64::try_from(n).expect("no list is that long"));
        usize::try_from(drawn).expect("it is below n")
    }
    /// 0 to `n` - 1.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// `count` moments in a drawn order: a third of each kind, and what is left over of any.
pub(super) fn draw(random: &mut Random, count: usize) -> Vec<Moment> {
    const KINDS: [Kind; 3] = [Kind::Bind, Kind::Fsync, Kind::Status];
    let mut kinds: Vec<Kind> = KINDS.into_iter().flat_map(|kind| vec![kind; count / 3]).collect();
    while kinds.len() < count {
        kinds.push(KINDS[random.index(KINDS.len())]);
    }
    for i in (1..kinds.len()).rev() {
        kinds.swap(i, random.index(i + 1));
    }
    kinds
        .into_iter()
        .map(|kind| {
            let n = match kind {
                // Three new pods, one after the other.
                Kind::Bind => 3,
                // Each of them starts and gets ready, and three old ones end: more than this in all.
                Kind::Status => 9,
                // With eight writers, about as many as a rollout is long.
                Kind::Fsync => 400,
            };
            Moment { kind, n: 1 + random.below(n) }
        })
        .collect()
}

/// What was last seen of each pod.
#[derive(Debug, Default)]
pub(super) struct Pods {
    seen: BTreeMap<String, (bool, Value)>,
    /// The container by the pod's uid, of pods that have one.
    pub(super) containers: BTreeMap<String, String>,
}

impl Pods {
    /// Takes note of a pod; what happened to it.
    pub(super) fn update(&mut self, pod: &Value) -> Option<Kind> {
        let uid = pod["metadata"]["uid"].as_str()?.to_owned();
        if let Some(container) = pod["status"]["containerStatuses"][0]["containerID"].as_str() {
            self.containers.insert(uid.clone(), container.to_owned());
        }
        let now = (pod["spec"]["nodeName"].is_string(), pod["status"].clone());
        let before = self.seen.insert(uid, now.clone());
        match before {
            Some((false, _)) if now.0 => Some(Kind::Bind),
            Some((_, status)) if status != now.1 => Some(Kind::Status),
            _ => None,
        }
    }
}

pub(super) fn kill(pid: i32) {
    nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL).expect("the process is there to be killed");
}

/// Kills at the first moment after the store's log has grown `n` times at which a thread is inside fdatasync, which the
/// store calls for the log alone while it writes no snapshot. True when one was seen, which it is not where fdatasync
/// takes no time: then the kill comes some writes later.
pub(super) fn kill_at_write(pid: i32, store: &Path, n: u64, limit: Duration) -> bool {
    /// Writes after the `n`-th within which an fdatasync is looked for.
    const TRIES: u64 = 200;
    let deadline = Instant::now() + limit;
    let tasks = format!("/proc/{pid}/task");
    let (mut growths, mut size) = (0, size_of(store));
    loop {
        let now = size_of(store);
        growths += u64::from(now > size);
        size = now;
        let inside = growths >= n && is_inside_fdatasync(&tasks);
        if inside || growths >= n + TRIES {
            kill(pid);
            return inside;
        }
        assert!(Instant::now() < deadline, "the log grew only {growths} times, not {n}");
    }
}

/// All files of the store together: a log goes on in another file when one is full.
fn size_of(dir: &Path) -> u64 {
    let mut size = 0;
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        size += if metadata.is_dir() { size_of(&entry.path()) } else { metadata.len() };
    }
    size
}

fn is_inside_fdatasync(tasks: &str) -> bool {
    std::fs::read_dir(tasks).into_iter().flatten().flatten().any(|task| {
        std::fs::read_to_string(task.path().join("syscall")).is_ok_and(|call| call.starts_with(FDATASYNC))
    })
}
