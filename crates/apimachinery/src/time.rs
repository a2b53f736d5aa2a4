//! Times and durations as Go writes and reads them: RFC 3339 in seconds (`metav1.Time`) or microseconds
//! (`metav1.MicroTime`), and `time.Duration`'s text. Reading the clock is not done here.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// Go's layout of `metav1.Time`.
const RFC3339: &str = "2006-01-02T15:04:05Z07:00";
/// Go's layout of `metav1.MicroTime`.
const RFC3339_MICRO: &str = "2006-01-02T15:04:05.000000Z07:00";

/// Why a text is no time or duration, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TimeError(String);

/// `2006-01-02T15:04:05Z`.
pub fn format_time(time: Timestamp) -> String {
    let t = Offset::UTC.to_datetime(time);
    let date = (t.year(), t.month(), t.day());
    format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", date.0, date.1, date.2, t.hour(), t.minute(), t.second())
}

/// `2006-01-02T15:04:05.000000Z`.
pub fn format_micro_time(time: Timestamp) -> String {
    let micros = Offset::UTC.to_datetime(time).subsec_nanosecond() / 1000;
    let seconds = format_time(time);
    format!("{}.{micros:06}Z", seconds.trim_end_matches('Z'))
}

/// Reads RFC 3339 with or without a fraction of a second.
pub fn parse_time(text: &str) -> Result<Timestamp, TimeError> {
    Reader::new(text, RFC3339).read(false)
}

/// Reads RFC 3339 with exactly six digits of a second's fraction.
pub fn parse_micro_time(text: &str) -> Result<Timestamp, TimeError> {
    Reader::new(text, RFC3339_MICRO).read(true)
}

/// Goes through the text element by element, as Go goes through its layout, to fail at the same place.
struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    layout: &'static str,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, layout: &'static str) -> Self {
        Self { text, rest: text, layout }
    }

    fn mismatch(&self, rest: &str, element: &str) -> TimeError {
        let quote = crate::go::quote;
        TimeError(format!(
            "parsing time {} as {}: cannot parse {} as {}",
            quote(self.text),
            quote(self.layout),
            quote(rest),
            quote(element)
        ))
    }

    fn out_of_range(&self, what: &str) -> TimeError {
        TimeError(format!("parsing time {}: {what} out of range", crate::go::quote(self.text)))
    }

    fn literal(&mut self, literal: &str) -> Result<(), TimeError> {
        self.rest = self.rest.strip_prefix(literal).ok_or_else(|| self.mismatch(self.rest, literal))?;
        Ok(())
    }

    /// A number of exactly `width` digits, or one less where the layout allows that.
    fn number(&mut self, width: usize, element: &str, shorter: bool) -> Result<i16, TimeError> {
        let digits = self.rest.bytes().take(width).take_while(u8::is_ascii_digit).count();
        if digits < width && !(shorter && digits > 0) {
            return Err(self.mismatch(self.rest, element));
        }
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        Ok(number.parse().expect("at most four digits"))
    }

    fn ranged(
        &mut self,
        element: &str,
        range: std::ops::RangeInclusive<i16>,
        name: &str,
    ) -> Result<i8, TimeError> {
        let number = self.number(2, element, element == "15")?;
        if !range.contains(&number) {
            return Err(self.out_of_range(name));
        }
        Ok(i8::try_from(number).expect("two digits"))
    }

    fn fraction(&mut self, exactly_six: bool) -> Result<i32, TimeError> {
        let digits = self.rest.bytes().skip(1).take_while(u8::is_ascii_digit).count();
        if exactly_six {
            if !self.rest.starts_with('.') || digits < 6 {
                return Err(self.mismatch(self.rest, ".000000"));
            }
            let micros: i32 = self.rest[1..7].parse().expect("six digits");
            self.rest = &self.rest[7..];
            return Ok(micros * 1000);
        }
        if !self.rest.starts_with(['.', ',']) || digits == 0 {
            return Ok(0);
        }
        let (number, rest) = self.rest[1..].split_at(digits);
        self.rest = rest;
        let nanos = format!("{number:0<9}");
        Ok(nanos[..9].parse().expect("nine digits"))
    }

    fn offset(&mut self) -> Result<i32, TimeError> {
        const ELEMENT: &str = "Z07:00";
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let start = self.rest;
        let bad = || self.mismatch(start, ELEMENT);
        let bytes = start.as_bytes();
        let [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2, ..] = bytes else { return Err(bad()) };
        let two = |a: &u8, b: &u8| {
            let digit = |b: &u8| b.is_ascii_digit().then(|| i32::from(b - b'0'));
            Some(digit(a)? * 10 + digit(b)?)
        };
        let (Some(hours), Some(minutes)) = (two(h1, h2), two(m1, m2)) else { return Err(bad()) };
        if hours > 24 {
            return Err(self.out_of_range("time zone offset hour"));
        }
        if minutes > 60 {
            return Err(self.out_of_range("time zone offset minute"));
        }
        self.rest = &start[6..];
        let seconds = hours * 3600 + minutes * 60;
        Ok(if *sign == b'-' { -seconds } else { seconds })
    }

    fn read(mut self, micro: bool) -> Result<Timestamp, TimeError> {
        let year = self.number(4, "2006", false)?;
        self.literal("-")?;
        let month = self.ranged("01", 1..=12, "month")?;
        self.literal("-")?;
        let day = self.number(2, "02", false)?;
        self.literal("T")?;
        let hour = self.ranged("15", 0..=23, "hour")?;
        self.literal(":")?;
        let minute = self.ranged("04", 0..=59, "minute")?;
        self.literal(":")?;
        let second = self.ranged("05", 0..=59, "second")?;
        let nanos = self.fraction(micro)?;
        let offset = self.offset()?;
        if !self.rest.is_empty() {
            let extra = crate::go::quote(self.rest);
            return Err(TimeError(format!(
                "parsing time {}: extra text: {extra}",
                crate::go::quote(self.text)
            )));
        }
        let day = i8::try_from(day).expect("two digits");
        let local = DateTime::new(year, month, day, hour, minute, second, nanos)
            .map_err(|_| self.out_of_range("day"))?;
        let utc = Offset::UTC.to_timestamp(local).map_err(|_| self.out_of_range("year"))?;
        utc.checked_sub(jiff::SignedDuration::from_secs(offset.into())).map_err(|_| self.out_of_range("year"))
    }
}

const NANOSECOND: u128 = 1;
const MICROSECOND: u128 = 1000 * NANOSECOND;
const MILLISECOND: u128 = 1000 * MICROSECOND;
const SECOND: u128 = 1000 * MILLISECOND;
const MINUTE: u128 = 60 * SECOND;
const HOUR: u128 = 60 * MINUTE;

/// Reads Go's duration text (`1h15m30.5s`) into nanoseconds.
pub fn parse_duration(text: &str) -> Result<i64, TimeError> {
    let invalid = || TimeError(format!("time: invalid duration {}", crate::go::quote(text)));
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return Err(invalid());
        }
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let scale = match unit {
            "ns" => NANOSECOND,
            "us" | "µs" | "μs" => MICROSECOND,
            "ms" => MILLISECOND,
            "s" => SECOND,
            "m" => MINUTE,
            "h" => HOUR,
            "" => {
                return Err(TimeError(format!("time: missing unit in duration {}", crate::go::quote(text))));
            }
            other => {
                let (unit, text) = (crate::go::quote(other), crate::go::quote(text));
                return Err(TimeError(format!("time: unknown unit {unit} in duration {text}")));
            }
        };
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        // More than eighteen digits of a fraction are far below a nanosecond of an hour.
        let fraction = &fraction[..fraction.len().min(18)];
        let digits = u32::try_from(fraction.len()).expect("at most 18");
        let part = fraction.parse::<u128>().unwrap_or(0) * scale / 10u128.pow(digits);
        total = whole.checked_mul(scale).and_then(|n| n.checked_add(part + total)).ok_or_else(invalid)?;
        if total > u128::from(u64::MAX) {
            return Err(invalid());
        }
        rest = tail;
    }
    let signed = i128::try_from(total).map_err(|_| invalid())?;
    i64::try_from(if negative { -signed } else { signed }).map_err(|_| invalid())
}

/// Nanoseconds as Go prints a duration: `1h15m30.5s`, `1.5ms`, `0s`.
pub fn format_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let n = u128::from(nanos.unsigned_abs());
    if n == 0 {
        return "0s".into();
    }
    if n < SECOND {
        let (unit, scale) = match n {
            _ if n < MICROSECOND => ("ns", NANOSECOND),
            _ if n < MILLISECOND => ("µs", MICROSECOND),
            _ => ("ms", MILLISECOND),
        };
        return format!("{sign}{}{unit}", decimal(n, scale));
    }
    let (hours, minutes, seconds) = (n / HOUR, n / MINUTE % 60, decimal(n % MINUTE, SECOND));
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// `n / scale` with as many decimals as it has; `scale` is a power of ten.
fn decimal(n: u128, scale: u128) -> String {
    let (whole, part) = (n / scale, n % scale);
    if part == 0 {
        return whole.to_string();
    }
    let width = scale.ilog10() as usize;
    let part = format!("{part:0width$}");
    format!("{whole}.{}", part.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let found = parse_time(text).map(format_micro_time).map_err(|e| e.to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{text}");
    }

    #[test]
    fn times() {
        check("2024-02-29T01:02:03Z", Ok("2024-02-29T01:02:03.000000Z"));
        check("2024-02-29T01:02:03.4567891+02:00", Ok("2024-02-28T23:02:03.456789Z"));
        check(
            "yesterday",
            Err(
                r#"parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006""#,
            ),
        );
        check(
            "2020-01-01",
            Err(r#"parsing time "2020-01-01" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T""#),
        );
        check("2020-13-01T00:00:00Z", Err(r#"parsing time "2020-13-01T00:00:00Z": month out of range"#));
        check("2023-02-29T00:00:00Z", Err(r#"parsing time "2023-02-29T00:00:00Z": day out of range"#));
        check("2020-01-01T00:00:00Zx", Err(r#"parsing time "2020-01-01T00:00:00Zx": extra text: "x""#));
        check("", Err(r#"parsing time "" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "2006""#));
        check(
            "2020-01-01T00:00:00é",
            Err(
                r#"parsing time "2020-01-01T00:00:00é" as "2006-01-02T15:04:05Z07:00": cannot parse "é" as "Z07:00""#,
            ),
        );
        let error = parse_micro_time("2020-01-01T00:00:01.5Z").unwrap_err().to_string();
        assert_eq!(
            error,
            r#"parsing time "2020-01-01T00:00:01.5Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse ".5Z" as ".000000""#
        );
        let time = parse_micro_time("2020-01-01T00:00:01.500000Z").unwrap();
        assert_eq!(format_time(time), "2020-01-01T00:00:01Z");
    }

    #[test]
    fn durations() {
        for (text, canonical) in [
            ("1h", "1h0m0s"),
            ("90s", "1m30s"),
            ("1.5s", "1.5s"),
            ("100ms", "100ms"),
            ("0", "0s"),
            ("-1m", "-1m0s"),
            ("1h15m30.918273645s", "1h15m30.918273645s"),
            ("1500us", "1.5ms"),
            (".5h", "30m0s"),
            ("7ns", "7ns"),
        ] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), canonical, "{text}");
        }
        for (text, error) in [
            ("", "time: invalid duration \"\""),
            ("5", "time: missing unit in duration \"5\""),
            ("5y", "time: unknown unit \"y\" in duration \"5y\""),
            ("x", "time: invalid duration \"x\""),
            ("9999999999h", "time: invalid duration \"9999999999h\""),
        ] {
            assert_eq!(parse_duration(text).unwrap_err().to_string(), error);
        }
    }
}
