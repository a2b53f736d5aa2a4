//! Names and other small texts as upstream's `validation` package judges them. Each function returns the problems in
//! upstream's words, none when the text is valid; the caller puts a field path before them.
//!
//! The regular expressions of the messages are matched by hand: they are all "letters, with separators between".

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// RFC 1123 labels, and everything that must fit into one.
pub const DNS1123_LABEL_MAX: usize = 63;
/// RFC 1123 subdomains.
pub const DNS1123_SUBDOMAIN_MAX: usize = 253;
/// RFC 1035 labels.
pub const DNS1035_LABEL_MAX: usize = 63;
/// The name part of a label or annotation key, and a label's value.
pub const LABEL_MAX: usize = 63;

/// What is wrong with a text; empty when nothing is.
pub type Problems = Vec<String>;

const DNS1123_LABEL_FMT: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const DNS1123_SUBDOMAIN_FMT: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const DNS1035_LABEL_FMT: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED_NAME_FMT: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

/// "must be no more than N characters".
pub fn max_length(n: usize) -> String {
    format!("must be no more than {n} characters")
}

/// "must be between LOW and HIGH, inclusive".
pub fn inclusive_range(low: i64, high: i64) -> String {
    format!("must be between {low} and {high}, inclusive")
}

/// "MESSAGE (e.g. 'A',  or 'B', regex used for validation is 'FMT')".
pub fn regex_message(message: &str, fmt: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{message} (regex used for validation is '{fmt}')");
    }
    let examples: Vec<_> = examples.iter().map(|e| format!("'{e}', ")).collect();
    format!("{message} (e.g. {}regex used for validation is '{fmt}')", examples.join(" or "))
}

fn lower_alnum(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

/// `EDGE(INNER*EDGE)?` with one class for both ends.
fn framed(text: &str, edge: fn(u8) -> bool, inner: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    match bytes {
        [] => false,
        [only] => edge(*only),
        [first, middle @ .., last] => edge(*first) && edge(*last) && middle.iter().all(|&b| inner(b)),
    }
}

fn is_label_text(text: &str) -> bool {
    framed(text, lower_alnum, |b| lower_alnum(b) || b == b'-')
}

fn is_subdomain_text(text: &str) -> bool {
    text.split('.').all(is_label_text)
}

fn is_qualified_text(text: &str) -> bool {
    framed(
        text,
        |b| b.is_ascii_alphanumeric(),
        |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'),
    )
}

/// The rule for a kind's names: the name (or `metadata.generateName`, with `true`) and what is wrong with it.
pub type NameRule = fn(&str, bool) -> Problems;

/// A prefix may end in the dash that its generated suffix follows.
fn mask_trailing_dash(text: &str, prefix: bool) -> std::borrow::Cow<'_, str> {
    match text.strip_suffix('-') {
        Some(rest) if prefix && !rest.is_empty() => {
            let keep = rest.char_indices().next_back().map_or(0, |(at, _)| at);
            format!("{}a", &rest[..keep]).into()
        }
        _ => text.into(),
    }
}

/// The rule of most kinds: an RFC 1123 subdomain.
pub fn subdomain_rule(name: &str, prefix: bool) -> Problems {
    dns1123_subdomain(&mask_trailing_dash(name, prefix))
}

/// The rule of namespaces: an RFC 1123 label.
pub fn label_rule(name: &str, prefix: bool) -> Problems {
    dns1123_label(&mask_trailing_dash(name, prefix))
}

/// An RFC 1035 label.
pub fn dns1035_rule(name: &str, prefix: bool) -> Problems {
    dns1035_label(&mask_trailing_dash(name, prefix))
}

/// The rule of RBAC's kinds: anything that may stand in a path.
pub fn path_segment_rule(name: &str, prefix: bool) -> Problems {
    if prefix { path_segment_prefix(name) } else { path_segment_name(name) }
}

/// An RFC 1123 label, such as a namespace's name.
pub fn dns1123_label(text: &str) -> Problems {
    let mut problems = Problems::new();
    if text.len() > DNS1123_LABEL_MAX {
        problems.push(max_length(DNS1123_LABEL_MAX));
    }
    if !is_label_text(text) {
        problems.push(if is_subdomain_text(text) {
            // A name that would be valid elsewhere gets the shorter hint.
            "must not contain dots".into()
        } else {
            regex_message(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
                 and must start and end with an alphanumeric character",
                DNS1123_LABEL_FMT,
                &["my-name", "123-abc"],
            )
        });
    }
    problems
}

/// An RFC 1123 subdomain, which most names are.
pub fn dns1123_subdomain(text: &str) -> Problems {
    let mut problems = Problems::new();
    if text.len() > DNS1123_SUBDOMAIN_MAX {
        problems.push(max_length(DNS1123_SUBDOMAIN_MAX));
    }
    if !is_subdomain_text(text) {
        problems.push(regex_message(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
             and must start and end with an alphanumeric character",
            DNS1123_SUBDOMAIN_FMT,
            &["example.com"],
        ));
    }
    problems
}

/// A subdomain in which parts may have underscores, as in names of services that a resolver looks for.
pub fn underscored_subdomain(text: &str) -> Problems {
    const LABEL: &str = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
    let is_label = |part: &str| {
        let part = part.strip_prefix('_').unwrap_or(part).as_bytes();
        part.first().is_some_and(|b| lower_alnum(*b))
            && part.last().is_some_and(|b| lower_alnum(*b))
            && part.iter().all(|b| lower_alnum(*b) || matches!(b, b'-' | b'_'))
    };
    let mut problems = Problems::new();
    if text.len() > DNS1123_SUBDOMAIN_MAX {
        problems.push(max_length(DNS1123_SUBDOMAIN_MAX));
    }
    if !text.split('.').all(is_label) {
        problems.push(regex_message(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', \
             and must start and end with an alphanumeric character",
            &format!("{LABEL}(\\.{LABEL})*"),
            &["example.com"],
        ));
    }
    problems
}

/// A subdomain whose first part is `*`.
pub fn wildcard_dns1123_subdomain(text: &str) -> Problems {
    let mut problems = Problems::new();
    if text.len() > DNS1123_SUBDOMAIN_MAX {
        problems.push(max_length(DNS1123_SUBDOMAIN_MAX));
    }
    if !text.strip_prefix("*.").is_some_and(is_subdomain_text) {
        problems.push(regex_message(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist \
             of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
            &format!("\\*\\.{DNS1123_SUBDOMAIN_FMT}"),
            &["*.example.com"],
        ));
    }
    problems
}

/// An RFC 1035 label, which starts with a letter.
pub fn dns1035_label(text: &str) -> Problems {
    let mut problems = Problems::new();
    if text.len() > DNS1035_LABEL_MAX {
        problems.push(max_length(DNS1035_LABEL_MAX));
    }
    if !is_label_text(text) || !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        problems.push(regex_message(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character",
            DNS1035_LABEL_FMT,
            &["my-name", "abc-123"],
        ));
    }
    problems
}

/// A key of a label, annotation or resource: `name` or `dns.subdomain/name`.
pub fn qualified_name(text: &str) -> Problems {
    const MESSAGE: &str = "must consist of alphanumeric characters, '-', '_' or '.', \
                           and must start and end with an alphanumeric character";
    const EXAMPLES: &[&str] = &["MyName", "my.name", "123-abc"];
    let mut problems = Problems::new();
    let name = match text.split('/').collect::<Vec<_>>()[..] {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                problems.push("prefix part must be non-empty".into());
            } else {
                problems.extend(dns1123_subdomain(prefix).into_iter().map(|p| format!("prefix part {p}")));
            }
            name
        }
        _ => {
            let message =
                regex_message(&format!("a valid label key {MESSAGE}"), QUALIFIED_NAME_FMT, EXAMPLES);
            return vec![format!(
                "{message} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        problems.push("name part must be non-empty".into());
    } else if name.len() > LABEL_MAX {
        problems.push(format!("name part must be no more than {LABEL_MAX} bytes"));
    }
    if !is_qualified_text(name) {
        problems.push(regex_message(&format!("name part {MESSAGE}"), QUALIFIED_NAME_FMT, EXAMPLES));
    }
    problems
}

/// A label's value.
pub fn label_value(text: &str) -> Problems {
    let mut problems = Problems::new();
    if text.len() > LABEL_MAX {
        problems.push(format!("must be no more than {LABEL_MAX} bytes"));
    }
    if !text.is_empty() && !is_qualified_text(text) {
        problems.push(regex_message(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
             and must start and end with an alphanumeric character",
            "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
            &["MyValue", "my_value", "12345"],
        ));
    }
    problems
}

/// A name that may stand in a URL's path: what kinds allow that have no rule of their own (RBAC).
pub fn path_segment_name(text: &str) -> Problems {
    if text == "." || text == ".." {
        return vec![format!("may not be '{text}'")];
    }
    path_segment_prefix(text)
}

/// As `path_segment_name`, for what is only a prefix of a name.
pub fn path_segment_prefix(text: &str) -> Problems {
    ['/', '%'].iter().filter(|&&c| text.contains(c)).map(|c| format!("may not contain '{c}'")).collect()
}

/// A key of a ConfigMap or Secret.
pub fn config_map_key(text: &str) -> Problems {
    let mut problems = Problems::new();
    if text.len() > DNS1123_SUBDOMAIN_MAX {
        problems.push(max_length(DNS1123_SUBDOMAIN_MAX));
    }
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if text.is_empty() || !text.bytes().all(fits) {
        problems.push(regex_message(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    problems.extend(dot_problems(text));
    problems
}

/// Names that would climb out of a directory.
fn dot_problems(text: &str) -> Problems {
    match text {
        "." => vec!["must not be '.'".into()],
        ".." => vec!["must not be '..'".into()],
        _ if text.starts_with("..") => vec!["must not start with '..'".into()],
        _ => Problems::new(),
    }
}

/// The name of an environment variable, in the strict form.
pub fn env_var_name(text: &str) -> Problems {
    let mut problems = Problems::new();
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if text.is_empty() || !text.bytes().all(fits) || text.starts_with(|c: char| c.is_ascii_digit()) {
        problems.push(regex_message(
            "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', \
             and must not start with a digit",
            "[-._a-zA-Z][-._a-zA-Z0-9]*",
            &["my.env-name", "MY_ENV.NAME", "MyEnvName1"],
        ));
    }
    problems.extend(dot_problems(text));
    problems
}

/// The name of an environment variable, as pods may have it.
pub fn relaxed_env_var_name(text: &str) -> Problems {
    if text.is_empty() {
        return vec!["environment variable name must be non-empty".into()];
    }
    if text.bytes().all(|b| (b == b' ' || b.is_ascii_graphic()) && b != b'=') {
        return Problems::new();
    }
    vec![
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
            .into(),
    ]
}

/// The name of an HTTP header.
pub fn http_header_name(text: &str) -> Problems {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Problems::new();
    }
    vec![regex_message(
        "a valid HTTP header must consist of alphanumeric characters or '-'",
        "[-A-Za-z0-9]+",
        &["X-Header-Name"],
    )]
}

/// A port's number.
pub fn port_number(port: i64) -> Problems {
    if (1..=65535).contains(&port) { Problems::new() } else { vec![inclusive_range(1, 65535)] }
}

/// A port's IANA service name.
pub fn port_name(text: &str) -> Problems {
    let mut problems = Problems::new();
    if text.len() > 15 {
        problems.push(max_length(15));
    }
    if text.is_empty() || !text.bytes().all(|b| lower_alnum(b) || b == b'-') {
        problems.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !text.bytes().any(|b| b.is_ascii_lowercase()) {
        problems.push("must contain at least one letter (a-z)".into());
    }
    if text.contains("--") {
        problems.push("must not contain consecutive hyphens".into());
    }
    if text.starts_with('-') || text.ends_with('-') {
        problems.push("must not begin or end with a hyphen".into());
    }
    problems
}

/// A percentage such as `25%`.
pub fn percent(text: &str) -> Problems {
    let digits = text.strip_suffix('%').unwrap_or_default();
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Problems::new();
    }
    vec![regex_message(
        "a valid percent string must be a numeric string followed by an ending '%'",
        "[0-9]+%",
        &["1%", "93%"],
    )]
}

/// A domain of at least three parts, such as the name of a webhook.
pub fn fully_qualified_name(text: &str) -> Problems {
    let mut problems = dns1123_subdomain(text);
    if problems.is_empty() && text.split('.').count() < 3 {
        problems.push("should be a domain with at least three segments separated by dots".into());
    }
    problems
}

/// An IPv4 or IPv6 address.
pub fn ip(text: &str) -> Problems {
    if parse_ip(text).is_some() {
        return Problems::new();
    }
    vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".into()]
}

/// A network such as `10.0.0.0/8`.
pub fn cidr(text: &str) -> Problems {
    if parse_cidr(text).is_some() {
        return Problems::new();
    }
    vec!["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)".into()]
}

/// An address as [`ip`], in no form that programs read differently.
pub fn strict_ip(text: &str) -> Problems {
    let problems = ip(text);
    if problems.is_empty() {
        return ambiguous_ip(text).into_iter().map(String::from).collect();
    }
    problems
}

/// What makes programs differ over an address that can be read.
fn ambiguous_ip(text: &str) -> Option<&'static str> {
    if has_leading_zeros(text) {
        return Some("must not have leading 0s");
    }
    let mapped = text.contains(':') && parse_ip(text).is_some_and(|ip| ip.is_ipv4());
    mapped.then_some("must not be an IPv4-mapped IPv6 address")
}

/// Whether a number of the dotted part starts with a zero that says nothing.
fn has_leading_zeros(address: &str) -> bool {
    let dotted = address.rsplit(':').next().unwrap_or_default();
    dotted.contains('.') && dotted.split('.').any(|octet| octet.len() > 1 && octet.starts_with('0'))
}

/// A network as [`cidr`], in no form that programs read differently.
pub fn strict_cidr(text: &str) -> Problems {
    let Some((address, length)) = parse_cidr(text) else { return cidr(text) };
    let (address_text, length_text) = text.split_once('/').unwrap_or_default();
    let why = if has_leading_zeros(address_text) || (length_text.len() > 1 && length_text.starts_with('0')) {
        "must not have leading 0s in IP or prefix length"
    } else if address_text.contains(':') && address.is_ipv4() {
        "must not have an IPv4-mapped IPv6 address"
    } else if has_bits_beyond(address, length) {
        "must not have bits set beyond the prefix length"
    } else {
        return Problems::new();
    };
    vec![why.into()]
}

fn has_bits_beyond(address: IpAddr, length: u8) -> bool {
    let (bits, width) = match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, u32::from(length)),
        IpAddr::V6(v6) => (v6.to_bits(), u32::from(length)),
    };
    bits.checked_shl(width).is_some_and(|rest| rest != 0)
}

/// Reads an address as upstream's `ParseIPSloppy` does: leading zeros in IPv4 are ignored, zones are refused, and an
/// IPv4 address in IPv6 form is IPv4.
pub fn parse_ip(text: &str) -> Option<IpAddr> {
    if let Some(v4) = parse_ipv4(text) {
        return Some(IpAddr::V4(v4));
    }
    let v6 = match text.rsplit_once(':') {
        // A dotted tail is given the same leniency as an IPv4 address alone.
        Some((head, tail)) if tail.contains('.') => {
            let [a, b, c, d] = parse_ipv4(tail)?.octets();
            format!("{head}:{a:02x}{b:02x}:{c:02x}{d:02x}").parse::<Ipv6Addr>().ok()?
        }
        _ => text.parse::<Ipv6Addr>().ok()?,
    };
    Some(v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4))
}

fn parse_ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let digits = part.trim_start_matches('0');
        *octet = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    }
    parts.next().is_none().then(|| octets.into())
}

/// Reads a network: its address as written (host bits kept) and the length of its prefix.
pub fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let address_text = address;
    let address = parse_ip(address)?;
    if length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let length: u8 = length.parse().ok()?;
    // Go counts the prefix of an address written in IPv6 form over 128 bits even when the address is IPv4.
    let written_as_v6 = address_text.contains(':');
    match (address, written_as_v6) {
        (IpAddr::V4(_), true) => (96..=128).contains(&length).then(|| (address, length - 96)),
        (IpAddr::V4(_), false) => (length <= 32).then_some((address, length)),
        (IpAddr::V6(_), _) => (length <= 128).then_some((address, length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(problems: Problems, expected: &[&str]) {
        assert_eq!(problems, expected);
    }

    #[test]
    fn addresses_are_not_ambiguous() {
        check(strict_ip("10.0.0.1"), &[]);
        check(strict_ip("fd00::1"), &[]);
        check(strict_ip("x"), &["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]);
        check(strict_ip("10.00.0.1"), &["must not have leading 0s"]);
        check(strict_ip("::ffff:1.2.3.4"), &["must not be an IPv4-mapped IPv6 address"]);
        check(strict_cidr("10.0.0.0/8"), &[]);
        check(strict_cidr("fd00::/64"), &[]);
        check(strict_cidr("0.0.0.0/0"), &[]);
        check(strict_cidr("x"), &["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]);
        check(strict_cidr("10.0.0.0/08"), &["must not have leading 0s in IP or prefix length"]);
        check(strict_cidr("::ffff:10.0.0.0/104"), &["must not have an IPv4-mapped IPv6 address"]);
        check(strict_cidr("10.0.0.1/8"), &["must not have bits set beyond the prefix length"]);
        check(strict_cidr("fd00::1/64"), &["must not have bits set beyond the prefix length"]);
    }

    #[test]
    fn subdomains_with_underscores() {
        check(underscored_subdomain("_tcp.a_b.c"), &[]);
        assert_eq!(underscored_subdomain("a_.b").len(), 1);
        assert_eq!(underscored_subdomain("").len(), 1);
    }

    #[test]
    fn names_of_objects() {
        check(dns1123_subdomain("a.b-c.9"), &[]);
        check(
            dns1123_subdomain("a..b"),
            &[
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            ],
        );
        check(dns1123_subdomain(&"a".repeat(254)), &["must be no more than 253 characters"]);
        check(dns1123_label("a.b"), &["must not contain dots"]);
        check(
            dns1123_label("-a"),
            &[
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
            ],
        );
        check(dns1035_label("a1"), &[]);
        check(
            dns1035_label("1a"),
            &[
                "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
            ],
        );
        check(path_segment_name("a/b%"), &["may not contain '/'", "may not contain '%'"]);
        check(path_segment_name(".."), &["may not be '..'"]);
    }

    #[test]
    fn keys_and_values_of_labels() {
        const NAME: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
        check(qualified_name("e.com/A_b.c"), &[]);
        check(qualified_name("/a"), &["prefix part must be non-empty"]);
        check(qualified_name(""), &["name part must be non-empty", &format!("name part {NAME}")]);
        check(qualified_name(&"a".repeat(64)), &["name part must be no more than 63 bytes"]);
        check(
            qualified_name("a/b/c"),
            &[&format!(
                "a valid label key {NAME} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )],
        );
        assert!(qualified_name("A/b")[0].starts_with("prefix part a lowercase RFC 1123 subdomain"));
        check(label_value(""), &[]);
        check(
            label_value("-x"),
            &[
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ],
        );
    }

    #[test]
    fn ports_and_percentages() {
        check(port_number(0), &["must be between 1 and 65535, inclusive"]);
        check(
            port_name("A_B_CDEFGHIJKLMNOPQ"),
            &[
                "must be no more than 15 characters",
                "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
                "must contain at least one letter (a-z)",
            ],
        );
        check(port_name("a--b"), &["must not contain consecutive hyphens"]);
        check(
            percent("x"),
            &[
                "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
            ],
        );
        check(percent("5%"), &[]);
        check(config_map_key("..a"), &["must not start with '..'"]);
    }

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("010.0.0.1", Some("10.0.0.1")),
            ("::ffff:1.2.3.4", Some("1.2.3.4")),
            ("fe80::1%eth0", None),
            ("256.0.0.1", None),
            ("1.2.3", None),
            ("2001:db8::", Some("2001:db8::")),
            ("", None),
            ("1.2.3.4.5", None),
        ] {
            assert_eq!(parse_ip(text).map(|ip| ip.to_string()).as_deref(), expected, "{text}");
        }
        assert_eq!(parse_cidr("10.1.2.3/8"), Some(("10.1.2.3".parse().unwrap(), 8)));
        check(cidr("10.0.0.0/33"), &["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]);
        check(cidr("10.0.0.0/+8"), &["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]);
    }
}
