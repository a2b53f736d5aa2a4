//! Scalars whose JSON form is a text with rules of its own: quantities, times and base64. Each is read as Go reads it,
//! with Go's words for what is wrong, and written in the one canonical form.

/// Upstream's text for everything that is no quantity.
const QUANTITY_FORM: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const QUANTITY_SUFFIX: &str = "unable to parse quantity's suffix";

/// How a quantity is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    /// `Ki`, `Mi`, …
    Binary,
    /// `m`, `k`, `M`, …
    Decimal,
    /// `e3`, …
    Exponent,
}

/// The canonical text of a quantity: `1000m` → `1`, `1024Mi` → `1Gi`. Errors are upstream's.
pub fn canonical_quantity(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text == "0" {
        return Ok("0".into());
    }
    let (nanos, format) = read_quantity(text)?;
    // A number beyond what fits stays as it is: no resource is counted in 10^29.
    Ok(nanos.map_or_else(|| text.to_owned(), |nanos| write_quantity(nanos, format)))
}

/// A quantity in billionths; `None` for what is none or does not fit.
pub fn quantity_nanos(text: &str) -> Option<i128> {
    read_quantity(text.trim()).ok()?.0
}

/// The canonical text of an amount, as bytes are written (`Ki`, `Mi`) or as numbers are.
pub fn quantity_of_nanos(nanos: i128, binary: bool) -> String {
    write_quantity(nanos, if binary { Format::Binary } else { Format::Decimal })
}

/// The quantity rounded up to thousandths, when that changes it.
pub(crate) fn round_to_milli(text: &str) -> Option<String> {
    const MILLI: i128 = 1_000_000;
    let (nanos, format) = read_quantity(text.trim()).ok()?;
    let nanos = nanos?;
    if nanos % MILLI == 0 {
        return None;
    }
    let rounded = (nanos.abs() + MILLI - 1) / MILLI * MILLI * nanos.signum();
    Some(write_quantity(rounded, format))
}

fn read_quantity(text: &str) -> Result<(Option<i128>, Format), &'static str> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = &unsigned[..digits(unsigned)];
    let mut rest = &unsigned[whole.len()..];
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        fraction = &after[..digits(after)];
        rest = &after[fraction.len()..];
    }
    if whole.is_empty() && fraction.is_empty() || !is_suffix(rest) {
        return Err(QUANTITY_FORM);
    }
    let (format, base, exponent) = suffix(rest).ok_or(QUANTITY_SUFFIX)?;
    let nanos = nanos(whole, fraction, base, exponent);
    let sign = if text.starts_with('-') { -1 } else { 1 };
    Ok((nanos.map(|nanos| sign * nanos), format))
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// Letters, a sign and digits: what upstream's scanner takes for a suffix before it looks it up.
fn is_suffix(text: &str) -> bool {
    let rest = text.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    let rest = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    rest.len() == digits(rest)
}

/// Format, base and exponent of a suffix.
fn suffix(text: &str) -> Option<(Format, u32, i32)> {
    let (format, base, exponent) = match text {
        "" => (Format::Decimal, 10, 0),
        "n" => (Format::Decimal, 10, -9),
        "u" => (Format::Decimal, 10, -6),
        "m" => (Format::Decimal, 10, -3),
        "k" => (Format::Decimal, 10, 3),
        "M" => (Format::Decimal, 10, 6),
        "G" => (Format::Decimal, 10, 9),
        "T" => (Format::Decimal, 10, 12),
        "P" => (Format::Decimal, 10, 15),
        "E" => (Format::Decimal, 10, 18),
        "Ki" => (Format::Binary, 2, 10),
        "Mi" => (Format::Binary, 2, 20),
        "Gi" => (Format::Binary, 2, 30),
        "Ti" => (Format::Binary, 2, 40),
        "Pi" => (Format::Binary, 2, 50),
        "Ei" => (Format::Binary, 2, 60),
        _ => (Format::Exponent, 10, text.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some((format, base, exponent))
}

/// The number in billionths, rounded away from zero; `None` when it does not fit.
fn nanos(whole: &str, fraction: &str, base: u32, exponent: i32) -> Option<i128> {
    let mantissa: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let mut shift = 9 - i32::try_from(fraction.len()).ok()?;
    let mut value = mantissa;
    if base == 2 {
        value = value.checked_mul(1i128.checked_shl(u32::try_from(exponent).ok()?)?)?;
    } else {
        shift = shift.checked_add(exponent)?;
    }
    let power = 10i128.checked_pow(shift.unsigned_abs());
    if shift >= 0 {
        return if value == 0 { Some(0) } else { value.checked_mul(power?) };
    }
    // Dividing by more than everything leaves the smallest amount there is.
    let Some(power) = power else { return Some(i128::from(value != 0)) };
    Some((value + power - 1) / power)
}

fn write_quantity(nanos: i128, format: Format) -> String {
    const UNIT: i128 = 1_000_000_000;
    if nanos == 0 {
        return "0".into();
    }
    if format == Format::Binary && nanos.abs() >= 1024 * UNIT {
        // Upstream rounds up to whole units before it looks for factors of 1024.
        let mut number = (nanos.abs() + UNIT - 1) / UNIT * nanos.signum();
        let mut power = 0;
        while number % 1024 == 0 && power < 6 {
            number /= 1024;
            power += 1;
        }
        return format!("{number}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][power]);
    }
    let (mut number, mut exponent) = (nanos, -9i32);
    while number % 1000 == 0 && (exponent < 18 || format == Format::Exponent) {
        number /= 1000;
        exponent += 3;
    }
    let suffix = match (format, exponent) {
        (_, 0) => "",
        (Format::Exponent, _) => return format!("{number}e{exponent}"),
        (_, -9) => "n",
        (_, -6) => "u",
        (_, -3) => "m",
        (_, 3) => "k",
        (_, 6) => "M",
        (_, 9) => "G",
        (_, 12) => "T",
        (_, 15) => "P",
        _ => "E",
    };
    format!("{number}{suffix}")
}

/// A moment: seconds since 1970 and nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    pub seconds: i64,
    pub nanos: u32,
}

/// RFC 3339 as `metav1.Time` reads it, `micro` as `metav1.MicroTime` does. The error is Go's `time.ParseError`.
pub fn parse_time(text: &str, micro: bool) -> Result<Moment, String> {
    let layout = if micro { "2006-01-02T15:04:05.000000Z07:00" } else { "2006-01-02T15:04:05Z07:00" };
    let quoted = apimachinery::go::quote(text);
    let mut scanner = Scanner { rest: text };
    scanner.moment(micro).map_err(|error| match error {
        TimeError::Bad { rest, element } => {
            let rest = apimachinery::go::quote(rest);
            format!("parsing time {quoted} as \"{layout}\": cannot parse {rest} as \"{element}\"")
        }
        TimeError::Range(what) => format!("parsing time {quoted}: {what} out of range"),
        TimeError::Extra(rest) => {
            format!("parsing time {quoted}: extra text: {}", apimachinery::go::quote(rest))
        }
    })
}

enum TimeError<'a> {
    Bad { rest: &'a str, element: &'static str },
    Range(&'static str),
    Extra(&'a str),
}

struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn moment(&mut self, micro: bool) -> Result<Moment, TimeError<'a>> {
        let year = self.number(4, "2006")?;
        self.literal("-")?;
        let month = self.ranged(2, "01", 1..=12, "month")?;
        self.literal("-")?;
        let day = self.ranged(2, "02", 1..=31, "day")?;
        self.literal("T")?;
        let hour = self.ranged(2, "15", 0..=23, "hour")?;
        self.literal(":")?;
        let minute = self.ranged(2, "04", 0..=59, "minute")?;
        self.literal(":")?;
        let second = self.ranged(2, "05", 0..=59, "second")?;
        let nanos = self.fraction(micro)?;
        let offset = self.zone()?;
        if !self.rest.is_empty() {
            return Err(TimeError::Extra(self.rest));
        }
        if day > days_in(year, month) {
            return Err(TimeError::Range("day"));
        }
        let seconds =
            days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
        Ok(Moment { seconds, nanos })
    }

    fn number(&mut self, n: usize, element: &'static str) -> Result<i64, TimeError<'a>> {
        match self.rest.get(..n) {
            Some(head) if digits(head) == n => {
                self.rest = &self.rest[n..];
                Ok(head.parse().expect("digits"))
            }
            _ => Err(TimeError::Bad { rest: self.rest, element }),
        }
    }

    fn ranged(
        &mut self,
        n: usize,
        element: &'static str,
        range: std::ops::RangeInclusive<i64>,
        what: &'static str,
    ) -> Result<i64, TimeError<'a>> {
        let number = self.number(n, element)?;
        if range.contains(&number) { Ok(number) } else { Err(TimeError::Range(what)) }
    }

    fn literal(&mut self, element: &'static str) -> Result<(), TimeError<'a>> {
        match self.rest.strip_prefix(element) {
            Some(rest) => {
                self.rest = rest;
                Ok(())
            }
            None => Err(TimeError::Bad { rest: self.rest, element }),
        }
    }

    /// Go takes a fraction after the seconds even where the layout has none.
    fn fraction(&mut self, micro: bool) -> Result<u32, TimeError<'a>> {
        let n = self.rest.strip_prefix('.').map_or(0, digits);
        if micro && n < 6 {
            return Err(TimeError::Bad { rest: self.rest, element: ".000000" });
        }
        if n == 0 {
            return Ok(0);
        }
        let n = if micro { 6 } else { n };
        let (text, rest) = self.rest[1..].split_at(n);
        self.rest = rest;
        Ok(format!("{text:0<9}")[..9].parse().expect("digits"))
    }

    /// Seconds east of UTC.
    fn zone(&mut self) -> Result<i64, TimeError<'a>> {
        let bad = TimeError::Bad { rest: self.rest, element: "Z07:00" };
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let bytes = self.rest.as_bytes();
        let sign = match bytes.first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(bad),
        };
        let two = |at: usize| {
            self.rest.get(at..at + 2).filter(|t| digits(t) == 2).and_then(|t| t.parse::<i64>().ok())
        };
        match (two(1), bytes.get(3), two(4)) {
            (Some(hours), Some(b':'), Some(minutes)) => {
                self.rest = &self.rest[6..];
                Ok(sign * (hours * 3600 + minutes * 60))
            }
            _ => Err(bad),
        }
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// RFC 3339 in UTC: in seconds, `micro` with six digits.
pub fn format_time(moment: Moment, micro: bool) -> String {
    let days = moment.seconds.div_euclid(86_400);
    let second = moment.seconds.rem_euclid(86_400);
    let shifted = days + 719_468;
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = shifted.div_euclid(146_097) * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = if micro { format!(".{:06}", moment.nanos / 1000) } else { String::new() };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Standard base64 with padding; line breaks are skipped, and so are bits that make no whole byte. The error has Go's words.
pub fn decode_base64(text: &str) -> Result<Vec<u8>, String> {
    use base64::Engine as _;
    match base64::engine::general_purpose::STANDARD.decode(text) {
        Ok(bytes) => Ok(bytes),
        Err(_) => decode_base64_as_go(text.as_bytes())
            .map_err(|at| format!("illegal base64 data at input byte {at}")),
    }
}

/// What the strict decoder refuses, byte by byte; the error is the place that Go names.
fn decode_base64_as_go(text: &[u8]) -> Result<Vec<u8>, usize> {
    let sextet = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut bytes = text.iter().copied().enumerate().filter(|(_, b)| !matches!(b, b'\n' | b'\r'));
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    loop {
        let mut quantum: u32 = 0;
        for filled in 0..4_usize {
            let Some((at, byte)) = bytes.next() else {
                return if filled == 0 { Ok(out) } else { Err(text.len() - filled) };
            };
            if let Some(bits) = sextet(byte) {
                quantum = quantum << 6 | u32::from(bits);
                continue;
            }
            if byte != b'=' || filled < 2 {
                return Err(at);
            }
            if filled == 2 {
                match bytes.next() {
                    None => return Err(text.len()),
                    Some((_, b'=')) => {}
                    Some((at, _)) => return Err(at - 1),
                }
            }
            if let Some((at, _)) = bytes.next() {
                return Err(at);
            }
            let [_, first, second, _] = (quantum << (6 * (4 - filled))).to_be_bytes();
            out.push(first);
            out.extend((filled == 3).then_some(second));
            return Ok(out);
        }
        out.extend_from_slice(&quantum.to_be_bytes()[1..]);
    }
}

pub fn encode_base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_become_canonical() {
        for (given, expected) in [
            ("0", "0"),
            ("0.0", "0"),
            ("1000m", "1"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("1.", "1"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("100Ki", "100Ki"),
            ("512", "512"),
            ("2000", "2k"),
            ("1500", "1500"),
            ("1e3", "1e3"),
            ("12e6", "12e6"),
            ("-1", "-1"),
            ("0.1n", "1n"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            ("1000k", "1M"),
            ("1E", "1E"),
            ("1e21", "1e21"),
            (" 1 ", "1"),
            ("123456789", "123456789"),
            ("1100m", "1100m"),
            ("5Ei", "5Ei"),
        ] {
            assert_eq!(canonical_quantity(given).as_deref(), Ok(expected), "{given}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused_in_upstreams_words() {
        for (given, expected) in [
            ("x", QUANTITY_FORM),
            ("", QUANTITY_FORM),
            ("true", QUANTITY_FORM),
            ("1 Gi", QUANTITY_FORM),
            ("1ki", QUANTITY_SUFFIX),
            ("1e", QUANTITY_SUFFIX),
            ("1mm", QUANTITY_SUFFIX),
            ("1Gi1", QUANTITY_SUFFIX),
        ] {
            assert_eq!(canonical_quantity(given), Err(expected), "{given}");
        }
    }

    #[test]
    fn times_are_read_and_written() {
        let moment = |text: &str| parse_time(text, false).unwrap();
        assert_eq!(moment("1970-01-01T00:00:00Z").seconds, 0);
        assert_eq!(moment("2000-02-29T12:00:00+02:00").seconds, 951_818_400);
        assert_eq!(format_time(moment("2024-12-31T23:59:59.9-01:00"), false), "2025-01-01T00:59:59Z");
        assert_eq!(format_time(moment("0001-01-01T00:00:00Z"), false), "0001-01-01T00:00:00Z");
        let micro = parse_time("2020-01-01T00:00:01.500000Z", true).unwrap();
        assert_eq!(format_time(micro, true), "2020-01-01T00:00:01.500000Z");
    }

    #[test]
    fn bad_times_are_refused_in_gos_words() {
        let check = |text: &str, micro: bool, expected: &str| {
            assert_eq!(parse_time(text, micro).unwrap_err(), expected)
        };
        let seconds =
            r#"parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006""#;
        check("yesterday", false, seconds);
        check("2020-13-01T00:00:00Z", false, r#"parsing time "2020-13-01T00:00:00Z": month out of range"#);
        check(
            "2020-01-01T00:00:01.5Z",
            true,
            r#"parsing time "2020-01-01T00:00:01.5Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse ".5Z" as ".000000""#,
        );
    }

    #[test]
    fn base64_errors_name_the_byte() {
        assert_eq!(decode_base64("YQ==").unwrap(), b"a");
        assert_eq!(decode_base64("YW\nI=\n").unwrap(), b"ab");
        assert_eq!(decode_base64("YWJj").unwrap(), b"abc");
        // The last bits make no byte and are not looked at.
        assert_eq!(decode_base64("YR==").unwrap(), b"a");
        for (text, at) in [
            ("!!", 0),
            ("1", 0),
            ("YWJj1", 4),
            ("YWJjZA", 4),
            ("YQ=", 3),
            ("YQ=x", 2),
            ("YQ==x", 4),
            ("=", 0),
        ] {
            let expected = format!("illegal base64 data at input byte {at}");
            assert_eq!(decode_base64(text).unwrap_err(), expected, "{text}");
        }
    }
}
