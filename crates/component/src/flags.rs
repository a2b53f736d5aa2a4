//! Values of flags that several binaries share, read as Go's flag package reads them.

use std::time::Duration;

use crate::run::ConfigError;

/// Go's duration text: numbers with units, such as `1m30s` or `250ms`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let error = || format!("time: invalid duration {text:?}");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(error());
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(error)?;
        let number: f64 = rest[..digits].parse().map_err(|_| error())?;
        let units = &rest[digits..];
        let end = units.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(units.len());
        let seconds = match &units[..end] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(error()),
        };
        total += number * seconds;
        rest = &units[end..];
    }
    Duration::try_from_secs_f64(total).map_err(|_| error())
}

/// The text that Go makes of a duration: `0s`, `250ms`, `1m30s`, `4h0m0s`.
pub fn render_duration(duration: Duration) -> String {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    let fraction = |number: u64, fraction: u32, digits: usize| {
        let text = format!("{number}.{fraction:0digits$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match (seconds, nanos) {
        (0, 0) => "0s".to_owned(),
        (0, n) if n < 1_000 => format!("{n}ns"),
        (0, n) if n < 1_000_000 => format!("{}µs", fraction(u64::from(n / 1_000), n % 1_000, 3)),
        (0, n) => format!("{}ms", fraction(u64::from(n / 1_000_000), n % 1_000_000, 6)),
        (s, n) => {
            let rest = format!("{}s", fraction(s % 60, n, 9));
            match (s / 3600, s / 60 % 60) {
                (0, 0) => rest,
                (0, minutes) => format!("{minutes}m{rest}"),
                (hours, minutes) => format!("{hours}h{minutes}m{rest}"),
            }
        }
    }
}

/// The host's name in lower case, as nodes are named by default.
pub fn host_name() -> Result<String, ConfigError> {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_err(|e| ConfigError(format!("the host's name is not known: {e}; use --hostname-override")))?;
    Ok(text.trim().to_lowercase())
}

/// Reads a file that a flag names.
pub fn read_file(flag: &str, path: &std::path::Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|e| ConfigError(format!("{flag}: {}: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        assert_eq!(parse_duration("1m30s").unwrap(), Duration::from_secs(90));
        assert_eq!(parse_duration("1.5h").unwrap(), Duration::from_secs(5400));
        assert_eq!(parse_duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(parse_duration("0").unwrap(), Duration::ZERO);
        for text in ["0s", "7ns", "1.5µs", "250ms", "50.5ms", "1s", "1m30s", "2m0.25s", "4h0m0s"] {
            assert_eq!(render_duration(parse_duration(text).unwrap()), text);
        }
        for wrong in ["1", "", "s", "1x", "-1s"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
