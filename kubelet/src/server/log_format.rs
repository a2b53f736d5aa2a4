//! Lines of a container's log as the runtime writes them: `TIME STREAM TAGS CONTENT`. Pure.
//!
//! A long line of the container is cut into pieces, of which all but the last have the tag `P` (partial) and no line
//! break of their own: put together again they are the line.

use jiff::Timestamp;

/// Which streams are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamFilter {
    #[default]
    All,
    Stdout,
    Stderr,
}

/// What a reader of logs wants of each line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LineOptions {
    pub timestamps: bool,
    pub since: Option<Timestamp>,
    pub stream: StreamFilter,
}

/// Turns lines of the file into what a reader sees.
#[derive(Clone, Debug)]
pub struct Formatter {
    options: LineOptions,
    /// The last piece had no line break: the next one goes on with the same line.
    in_line: bool,
}

/// A line of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line<'a> {
    time: &'a str,
    stream: &'a str,
    partial: bool,
    content: &'a [u8],
}

fn parse(line: &[u8]) -> Option<Line<'_>> {
    let mut parts = line.splitn(4, |b| *b == b' ');
    let time = std::str::from_utf8(parts.next()?).ok()?;
    let stream = std::str::from_utf8(parts.next()?).ok()?;
    let tags = std::str::from_utf8(parts.next()?).ok()?;
    // An empty line may lack the blank before its content.
    let content = parts.next().unwrap_or_default();
    if !matches!(stream, "stdout" | "stderr") {
        return None;
    }
    Some(Line { time, stream, partial: tags.split(':').next() == Some("P"), content })
}

impl Formatter {
    pub fn new(options: LineOptions) -> Self {
        Self { options, in_line: false }
    }

    /// Adds one line of the file (without its line break) to `out`. A line that the runtime did not write is left out.
    pub fn push(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let Some(line) = parse(line) else { return };
        let wanted = match self.options.stream {
            StreamFilter::All => true,
            StreamFilter::Stdout => line.stream == "stdout",
            StreamFilter::Stderr => line.stream == "stderr",
        };
        if !wanted || !self.is_recent(line.time) {
            return;
        }
        if self.options.timestamps && !self.in_line {
            out.extend_from_slice(line.time.as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(line.content);
        if !line.partial {
            out.push(b'\n');
        }
        self.in_line = line.partial;
    }

    fn is_recent(&self, time: &str) -> bool {
        match self.options.since {
            None => true,
            Some(since) => time.parse::<Timestamp>().is_ok_and(|time| time >= since),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
2026-01-01T00:00:00.000000001Z stdout F first
2026-01-01T00:00:01Z stderr F warning
2026-01-01T00:00:02Z stdout P long 
2026-01-01T00:00:02Z stdout P er and
2026-01-01T00:00:02Z stdout F  longer
nonsense
2026-01-01T00:00:03+00:00 stdout F 
2026-01-01T00:00:04Z stdout F:x last
";

    #[track_caller]
    fn check(options: LineOptions, expected: &str) {
        let mut formatter = Formatter::new(options);
        let mut out = Vec::new();
        for line in LOG.lines() {
            formatter.push(line.as_bytes(), &mut out);
        }
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn pieces_become_lines() {
        check(LineOptions::default(), "first\nwarning\nlong er and longer\n\nlast\n");
    }

    #[test]
    fn times_stand_before_lines_and_not_before_pieces() {
        check(
            LineOptions { timestamps: true, stream: StreamFilter::Stdout, ..LineOptions::default() },
            "2026-01-01T00:00:00.000000001Z first\n2026-01-01T00:00:02Z long er and longer\n\
             2026-01-01T00:00:03+00:00 \n2026-01-01T00:00:04Z last\n",
        );
    }

    #[test]
    fn old_lines_and_other_streams_are_left_out() {
        let since = Some("2026-01-01T00:00:03Z".parse().unwrap());
        check(LineOptions { since, ..LineOptions::default() }, "\nlast\n");
        check(LineOptions { stream: StreamFilter::Stderr, ..LineOptions::default() }, "warning\n");
    }
}
