//! What happened, in order: a running hash that two runs of one seed must share, and the last lines for a failure.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

/// Lines kept for a failure's report.
const KEPT: usize = 200;

/// A shared trace. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Trace(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    hash: u64,
    lines: u64,
    last: VecDeque<String>,
    /// Every line, for a person who asked for it.
    echo: bool,
    started: tokio::time::Instant,
}

impl Trace {
    #[allow(clippy::new_without_default, reason = "reads the runtime's clock")]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            hash: 0xcbf2_9ce4_8422_2325,
            lines: 0,
            last: VecDeque::new(),
            echo: false,
            started: tokio::time::Instant::now(),
        })))
    }

    /// Adds a line at the present (simulated) time.
    pub fn add(&self, line: &str) {
        let mut inner = self.0.lock();
        let line = format!("{:>10.3} {line}", inner.started.elapsed().as_secs_f64());
        for byte in line.bytes() {
            inner.hash = (inner.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        inner.lines += 1;
        if inner.echo {
            eprintln!("{line}");
        }
        if inner.last.len() == KEPT {
            inner.last.pop_front();
        }
        inner.last.push_back(line);
    }

    /// Prints every line from now on.
    pub fn set_echo(&self, echo: bool) {
        self.0.lock().echo = echo;
    }

    pub fn hash(&self) -> u64 {
        self.0.lock().hash
    }

    pub fn lines(&self) -> u64 {
        self.0.lock().lines
    }

    /// Simulated time since the start.
    pub fn elapsed(&self) -> std::time::Duration {
        self.0.lock().started.elapsed()
    }

    pub fn last(&self) -> Vec<String> {
        self.0.lock().last.iter().cloned().collect()
    }
}
