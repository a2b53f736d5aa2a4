//! Reads a container's log file from where a reader wants it, and goes on while the container runs.
//!
//! A rotated file is read to its end before the new one is opened, so that a follower misses nothing. The end of the
//! container comes from the runtime's events; new lines are looked for at intervals that grow while there are none.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cri::{EventReceiver, Runtime, RuntimeEvent, v1};

use super::log_format::{Formatter, LineOptions};

/// What is read at once, and about how much goes out at once.
const PIECE: usize = 64 * 1024;
/// A line of the file is at most this long (the runtime cuts at 16 KiB); a longer one is no log.
const MAX_LINE: usize = 1 << 20;
/// How soon new lines are looked for after the last, and at most.
const POLL_MIN: Duration = Duration::from_millis(10);
const POLL_MAX: Duration = Duration::from_millis(200);

/// What a reader wants.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogOptions {
    pub line: LineOptions,
    /// The last lines of the file alone.
    pub tail: Option<u64>,
    /// Ends after so many bytes.
    pub limit: Option<u64>,
}

/// A container that may still write.
#[derive(Debug)]
pub struct Follow {
    pub runtime: Arc<dyn Runtime>,
    pub container_id: String,
    /// Taken before the container's state was looked at, so that its end cannot be missed.
    pub events: EventReceiver,
}

/// An open log.
#[derive(Debug)]
pub struct LogReader {
    path: PathBuf,
    file: File,
    formatter: Formatter,
    /// Read, but not yet a whole line.
    rest: Vec<u8>,
    left: Option<u64>,
    follow: Option<Follow>,
    ended: bool,
    poll: Duration,
}

impl LogReader {
    /// Opens the log at `path` where `options` want it. With `follow`, it ends with the container.
    pub fn open(path: PathBuf, options: LogOptions, follow: Option<Follow>) -> io::Result<Self> {
        let mut file = File::open(&path)?;
        if let Some(n) = options.tail {
            let start = tail_offset(&mut file, n)?;
            file.seek(SeekFrom::Start(start))?;
        }
        Ok(Self {
            path,
            file,
            formatter: Formatter::new(options.line),
            rest: Vec::new(),
            left: options.limit,
            follow,
            ended: false,
            poll: POLL_MIN,
        })
    }

    /// The next part of the output; `None` at the end.
    pub async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if self.left == Some(0) {
                return None;
            }
            let mut out = Vec::new();
            let n = match self.read(&mut out) {
                Ok(n) => n,
                Err(error) => {
                    self.left = Some(0);
                    return Some(Err(error));
                }
            };
            if !out.is_empty() {
                self.poll = POLL_MIN;
                return Some(Ok(self.cut(out)));
            }
            if n > 0 {
                continue;
            }
            match self.at_end().await {
                Ok(true) => {}
                Ok(false) => {
                    // A last line without its end is a line all the same.
                    let rest = std::mem::take(&mut self.rest);
                    self.formatter.push(&rest, &mut out);
                    let out = self.cut(out);
                    self.left = Some(0);
                    return (!out.is_empty()).then_some(Ok(out));
                }
                Err(error) => {
                    self.left = Some(0);
                    return Some(Err(error));
                }
            }
        }
    }

    /// Reads a piece and formats its whole lines. Gives the number of bytes read.
    fn read(&mut self, out: &mut Vec<u8>) -> io::Result<usize> {
        let begin = self.rest.len();
        self.rest.resize(begin + PIECE, 0);
        let result = self.file.read(&mut self.rest[begin..]);
        self.rest.truncate(begin + *result.as_ref().unwrap_or(&0));
        let n = result?;
        let mut done = 0;
        while let Some(end) = self.rest[done..].iter().position(|b| *b == b'\n') {
            self.formatter.push(&self.rest[done..done + end], out);
            done += end + 1;
        }
        self.rest.drain(..done);
        if self.rest.len() > MAX_LINE {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "not a container's log: a line does not end",
            ));
        }
        Ok(n)
    }

    /// Keeps to the limit.
    fn cut(&mut self, mut out: Vec<u8>) -> Bytes {
        if let Some(left) = &mut self.left {
            let n = usize::try_from(*left).unwrap_or(usize::MAX).min(out.len());
            out.truncate(n);
            *left -= n as u64;
        }
        Bytes::from(out)
    }

    /// The file's end was reached: true when there is, or may be, more.
    async fn at_end(&mut self) -> io::Result<bool> {
        let Some(follow) = &mut self.follow else { return Ok(false) };
        if is_rotated(&self.file, &self.path)? {
            self.file = File::open(&self.path)?;
            return Ok(true);
        }
        if self.ended {
            return Ok(false);
        }
        tokio::select! {
            biased;
            event = follow.events.recv() => match event {
                Some(RuntimeEvent::Exited { id, .. }) => self.ended = id == follow.container_id,
                Some(RuntimeEvent::Missed) => self.ended = !is_running(follow).await,
                Some(RuntimeEvent::OutOfMemory { .. }) => {}
                None => self.ended = true,
            },
            () = tokio::time::sleep(self.poll) => self.poll = (self.poll * 2).min(POLL_MAX),
        }
        // Also after the container's end: what it wrote last is still to be read.
        Ok(true)
    }
}

/// Another file has the log's name now. (Between the renaming and the new file there is none.)
fn is_rotated(file: &File, path: &PathBuf) -> io::Result<bool> {
    let open = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) != (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

async fn is_running(follow: &Follow) -> bool {
    match follow.runtime.container_status(&follow.container_id).await {
        Ok(status) => {
            matches!(
                status.state(),
                v1::ContainerState::ContainerRunning | v1::ContainerState::ContainerCreated
            )
        }
        // The runtime may be starting anew; its events will tell.
        Err(error) => !error.is_not_found(),
    }
}

/// Where the last `n` lines begin.
fn tail_offset(file: &mut File, n: u64) -> io::Result<u64> {
    let len = file.metadata()?.len();
    if n == 0 {
        return Ok(len);
    }
    let mut left = n;
    let mut end = len;
    let mut block = vec![0; PIECE];
    while end > 0 {
        let size = PIECE.min(usize::try_from(end).unwrap_or(PIECE));
        let begin = end - size as u64;
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(&mut block[..size])?;
        for (i, _) in block[..size].iter().enumerate().rev().filter(|(_, b)| **b == b'\n') {
            let after = begin + i as u64 + 1;
            // The break at the very end closes the last line and begins none.
            if after == len {
                continue;
            }
            left -= 1;
            if left == 0 {
                return Ok(after);
            }
        }
        end = begin;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("gantry-log-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, lines: std::ops::Range<u32>) -> PathBuf {
            let path = self.0.join("0.log");
            let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&path).unwrap();
            for i in lines {
                writeln!(file, "2026-01-01T00:00:00Z stdout F line {i}").unwrap();
            }
            path
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    async fn read_all(mut reader: LogReader) -> String {
        let mut all = Vec::new();
        while let Some(data) = reader.next().await {
            all.extend_from_slice(&data.unwrap());
        }
        String::from_utf8(all).unwrap()
    }

    #[tokio::test]
    async fn tails_are_counted_from_the_end() {
        let dir = Dir::new("tail");
        let path = dir.write(0..5000);
        for (tail, expected_lines, last) in
            [(0, 0, ""), (1, 1, "line 4999\n"), (3, 3, "line 4999\n"), (9999, 5000, "\n")]
        {
            let options = LogOptions { tail: Some(tail), ..LogOptions::default() };
            let text = read_all(LogReader::open(path.clone(), options, None).unwrap()).await;
            assert_eq!(text.lines().count(), expected_lines);
            assert!(text.ends_with(last), "{tail}");
        }
    }

    #[tokio::test]
    async fn limits_cut_and_unfinished_lines_show() {
        let dir = Dir::new("limit");
        let path = dir.write(0..10);
        let options = LogOptions { limit: Some(9), ..LogOptions::default() };
        assert_eq!(read_all(LogReader::open(path.clone(), options, None).unwrap()).await, "line 0\nli");
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        write!(file, "2026-01-01T00:00:00Z stdout F unfinished").unwrap();
        let options = LogOptions { tail: Some(1), ..LogOptions::default() };
        let text = read_all(LogReader::open(path, options, None).unwrap()).await;
        assert!(text.starts_with("unfinished"), "{text}");
    }

    #[tokio::test]
    async fn a_follower_goes_over_rotation_to_the_containers_end() {
        let dir = Dir::new("follow");
        let path = dir.write(0..2);
        let events = cri::events::EventSender::default();
        let follow = Follow {
            runtime: Arc::new(cri::FakeRuntime::new("n", env::Env::real(), component::Tasks::new("t"))),
            container_id: "c1".into(),
            events: events.subscribe(),
        };
        let mut reader = LogReader::open(path.clone(), LogOptions::default(), Some(follow)).unwrap();
        let first = reader.next().await.unwrap().unwrap();
        assert_eq!(first, "line 0\nline 1\n");
        let write = async {
            dir.write(2..3);
            std::fs::rename(&path, dir.0.join("0.log.old")).unwrap();
            dir.write(3..4);
            events.send(RuntimeEvent::Exited { id: "other".into(), exit_code: 0 });
            events.send(RuntimeEvent::Exited { id: "c1".into(), exit_code: 0 });
        };
        let (rest, ()) = tokio::join!(read_all(reader), write);
        assert_eq!(rest, "line 2\nline 3\n");
    }
}
