//! The formats of strings that upstream checks. A format that is not among them says nothing.

use std::net::{Ipv4Addr, Ipv6Addr};

use apimachinery::{names, time};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Byte,
    Cidr,
    Date,
    DateTime,
    Duration,
    Email,
    HexColor,
    Hostname,
    Ipv4,
    Ipv6,
    LongName,
    Mac,
    ShortName,
    Uri,
    Uuid,
}

impl Format {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "byte" => Self::Byte,
            "cidr" => Self::Cidr,
            "date" => Self::Date,
            "date-time" | "datetime" => Self::DateTime,
            "duration" => Self::Duration,
            "email" => Self::Email,
            "hexcolor" => Self::HexColor,
            "hostname" => Self::Hostname,
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "k8s-long-name" => Self::LongName,
            "mac" => Self::Mac,
            "k8s-short-name" => Self::ShortName,
            "uri" => Self::Uri,
            "uuid" => Self::Uuid,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Byte => "byte",
            Self::Cidr => "cidr",
            Self::Date => "date",
            Self::DateTime => "date-time",
            Self::Duration => "duration",
            Self::Email => "email",
            Self::HexColor => "hexcolor",
            Self::Hostname => "hostname",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::LongName => "k8s-long-name",
            Self::Mac => "mac",
            Self::ShortName => "k8s-short-name",
            Self::Uri => "uri",
            Self::Uuid => "uuid",
        }
    }

    pub(super) fn matches(self, text: &str) -> bool {
        match self {
            Self::Byte => crate::scalar::decode_base64(text).is_ok(),
            Self::Cidr => names::parse_cidr(text).is_some(),
            Self::Date => text.len() == 10 && time::parse_time(&format!("{text}T00:00:00Z")).is_ok(),
            Self::DateTime => date_time(text),
            Self::Duration => duration(text),
            Self::Email => email(text),
            Self::HexColor => {
                let digits = text.strip_prefix('#').unwrap_or(text);
                matches!(digits.len(), 3 | 6) && digits.bytes().all(|b| b.is_ascii_hexdigit())
            }
            Self::Hostname => hostname(text),
            Self::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Self::LongName => names::dns1123_subdomain(text).is_empty(),
            Self::Mac => mac(text),
            Self::ShortName => names::dns1123_label(text).is_empty(),
            Self::Uri => uri(text),
            Self::Uuid => uuid(text),
        }
    }
}

/// RFC 3339, with any number of digits behind the second and a small or capital `t` and `z`.
fn date_time(text: &str) -> bool {
    time::parse_time(&text.to_ascii_uppercase()).is_ok()
}

/// Go's duration, or words such as `3 days`.
fn duration(text: &str) -> bool {
    const UNITS: [&str; 24] = [
        "ns",
        "us",
        "µs",
        "ms",
        "s",
        "m",
        "h",
        "d",
        "w",
        "nano",
        "nanosecond",
        "micro",
        "microsecond",
        "milli",
        "millisecond",
        "sec",
        "second",
        "min",
        "minute",
        "hr",
        "hour",
        "day",
        "week",
        "wk",
    ];
    if time::parse_duration(text).is_ok() {
        return true;
    }
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit = text[digits..].trim_start().to_lowercase();
    let singular = unit.strip_suffix('s').filter(|u| u.len() > 1).unwrap_or(&unit);
    digits > 0 && (UNITS.contains(&unit.as_str()) || UNITS.contains(&singular))
}

fn email(text: &str) -> bool {
    let Some((user, host)) = text.rsplit_once('@') else { return false };
    !user.is_empty() && !user.contains(char::is_whitespace) && hostname(host)
}

fn hostname(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 255 && text.trim_end_matches('.').split('.').all(label)
}

fn mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    matches!(parts.len(), 6 | 8 | 20)
        && parts.iter().all(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// As Go's `url.ParseRequestURI` takes it: with a scheme, or an absolute path.
fn uri(text: &str) -> bool {
    if text.is_empty() || text.chars().any(|c| c.is_control() || c == ' ') {
        return false;
    }
    if text.starts_with('/') {
        return true;
    }
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    scheme.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.bytes().all(good)
        && !rest.is_empty()
}

fn uuid(text: &str) -> bool {
    let bare: String = text.chars().filter(|c| *c != '-').collect();
    bare.len() == 32 && bare.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_takes_and_refuses() {
        for (name, good, bad) in [
            ("byte", "aGk=", "!!"),
            ("cidr", "10.0.0.0/8", "10.0.0.0"),
            ("date", "2024-02-29", "2024-02-30"),
            ("date-time", "2024-01-01T00:00:00.5Z", "2024-01-01"),
            ("duration", "1h30m", "soon"),
            ("duration", "3 days", "days"),
            ("email", "a@b.example", "a.b"),
            ("hexcolor", "#fff", "#ggg"),
            ("hostname", "a.example", "-a"),
            ("ipv4", "10.0.0.1", "::1"),
            ("ipv6", "::1", "10.0.0.1"),
            ("mac", "00:11:22:33:44:55", "00:11"),
            ("uri", "https://a/b", "a b"),
            ("uuid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "x"),
        ] {
            let format = Format::named(name).unwrap();
            assert!(format.matches(good), "{name} {good}");
            assert!(!format.matches(bad), "{name} {bad}");
        }
        assert_eq!(Format::named("int32"), None);
    }
}
