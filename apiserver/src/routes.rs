//! From a request's method, path and query to what it wants: upstream's `RequestInfo`, and the query as a list.
//!
//! Upstream splits a path after it is decoded: an escaped slash separates, too. Nothing here knows which resources exist.

use std::borrow::Cow;

/// What a request wants, read from its line alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// The decoded path, as authorization of non-resource requests and messages see it.
    pub path: String,
    pub is_resource: bool,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; lower-case method otherwise.
    pub verb: String,
    pub group: String,
    pub version: String,
    pub namespace: String,
    pub resource: String,
    pub subresource: String,
    pub name: String,
    /// What follows the subresource, without decoding and with its leading slash: the path that a proxy goes on with.
    pub tail: String,
    /// More path than a resource has, and not behind a subresource that takes it.
    pub overlong: bool,
    /// `name` came from a field selector of a collection request, not from the path.
    pub name_from_selector: bool,
}

/// A query string, decoded, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(query: &str) -> Self {
        let pairs = query.split('&').filter(|p| !p.is_empty()).map(|pair| {
            let (k, v) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(k, true).into_owned(), decode(v, true).into_owned())
        });
        Self(pairs.collect())
    }

    /// The first value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// The first value of `key`, empty when there is none.
    pub fn text(&self, key: &str) -> &str {
        self.get(key).unwrap_or_default()
    }

    /// All values of `key`.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// A boolean as upstream reads one: absent is false, `0` and `false` are false, everything else is true.
    pub fn flag(&self, key: &str) -> bool {
        self.get(key).is_some_and(|v| v != "0" && !v.eq_ignore_ascii_case("false"))
    }

    /// An integer; the error is the text of Go's `strconv.ParseInt`.
    pub fn integer(&self, key: &str) -> Result<Option<i64>, String> {
        self.get(key).map(|v| parse_int(v, "ParseInt")).transpose()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }
}

/// An integer, or the text with which Go's `strconv` refuses it.
pub fn parse_int(text: &str, function: &str) -> Result<i64, String> {
    text.parse::<i64>().map_err(|e| strconv_error(text, function, &e))
}

/// An unsigned integer, or the text with which Go's `strconv.ParseUint` refuses it.
pub fn parse_uint(text: &str) -> Result<u64, String> {
    // Rust takes a leading plus, Go's ParseUint does not.
    if text.starts_with('+') {
        return Err(format!("strconv.ParseUint: parsing {text:?}: invalid syntax"));
    }
    text.parse::<u64>().map_err(|e| strconv_error(text, "ParseUint", &e))
}

fn strconv_error(text: &str, function: &str, error: &std::num::ParseIntError) -> String {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let why = match error.kind() {
        PosOverflow | NegOverflow => "value out of range",
        _ => "invalid syntax",
    };
    format!("strconv.{function}: parsing {text:?}: {why}")
}

/// Decodes percent escapes (and `+` as a space in queries). What is no escape stays as it is; what is no UTF-8 becomes
/// the replacement character.
pub fn decode(text: &str, plus_is_space: bool) -> Cow<'_, str> {
    if !text.bytes().any(|b| b == b'%' || (plus_is_space && b == b'+')) {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (bytes[i], hex(i + 1), hex(i + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                i += 3;
            }
            (b'+', ..) if plus_is_space => {
                out.push(b' ');
                i += 1;
            }
            (b, ..) => {
                out.push(b);
                i += 1;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

impl RequestInfo {
    /// Reads a request's line.
    pub fn parse(method: &http::Method, raw_path: &str, query: &Query) -> Self {
        let mut info = Self {
            path: decode(raw_path, false).into_owned(),
            verb: method.as_str().to_ascii_lowercase(),
            ..Self::default()
        };
        let raw = segments(raw_path);
        let mut parts = match raw.split_first() {
            Some((&"api", rest)) if rest.len() >= 2 => {
                info.version = decode(rest[0], false).into_owned();
                &rest[1..]
            }
            Some((&"apis", rest)) if rest.len() >= 3 => {
                info.group = decode(rest[0], false).into_owned();
                info.version = decode(rest[1], false).into_owned();
                &rest[2..]
            }
            _ => return info,
        };
        info.is_resource = true;
        let watch_prefix = parts[0] == "watch" && parts.len() > 1;
        if watch_prefix {
            parts = &parts[1..];
        }
        info.verb = match method.as_str() {
            _ if watch_prefix => "watch",
            "POST" => "create",
            "GET" | "HEAD" => "get",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" => "delete",
            _ => "",
        }
        .into();
        info.read_resource(parts, raw_path, method, query);
        info
    }

    fn read_resource(&mut self, mut parts: &[&str], raw_path: &str, method: &http::Method, query: &Query) {
        if parts[0] == "namespaces" && parts.len() > 1 {
            self.namespace = decode(parts[1], false).into_owned();
            // `namespaces/x/status` is the namespace's own subresource, `namespaces/x/pods` is in it.
            if parts.len() > 2 && parts[2] != "status" && parts[2] != "finalize" {
                parts = &parts[2..];
            }
        }
        self.resource = decode(parts[0], false).into_owned();
        if let Some(name) = parts.get(1) {
            self.name = decode(name, false).into_owned();
        }
        if let Some(subresource) = parts.get(2) {
            self.subresource = decode(subresource, false).into_owned();
        }
        if parts.len() > 3 || (parts.len() == 3 && raw_path.ends_with('/')) {
            self.tail = tail_after(raw_path, parts);
            self.overlong = parts.len() > 3 && self.subresource != "proxy";
        }
        if !self.name.is_empty() {
            return;
        }
        match (self.verb.as_str(), method.as_str()) {
            ("get" | "watch", _) => {
                let watch = self.verb == "watch" || query.flag("watch");
                self.verb = if watch { "watch" } else { "list" }.into();
                if let Some(name) = selected_name(query.text("fieldSelector")) {
                    self.name = name;
                    self.name_from_selector = true;
                }
            }
            ("delete", _) => self.verb = "deletecollection".into(),
            _ => {}
        }
    }
}

/// The parts of a path, not yet decoded, without empty ones.
fn segments(raw_path: &str) -> Vec<&str> {
    let escaped = |part: &str| part.to_ascii_lowercase().contains("%2f");
    let mut parts = Vec::new();
    for part in raw_path.split('/') {
        let mut rest = part;
        while escaped(rest) {
            let at = rest.to_ascii_lowercase().find("%2f").expect("it was just seen");
            parts.push(&rest[..at]);
            rest = &rest[at + 3..];
        }
        parts.push(rest);
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// The raw path from behind the subresource on, with its slash.
fn tail_after(raw_path: &str, parts: &[&str]) -> String {
    let base = raw_path.as_ptr() as usize;
    let subresource = parts[2];
    let end = subresource.as_ptr() as usize - base + subresource.len();
    raw_path[end..].to_owned()
}

/// The name that a selector such as `metadata.name=x` asks for, when it does so plainly and could be a path segment.
fn selected_name(selector: &str) -> Option<String> {
    let name = selector.split(',').find_map(|term| {
        let (key, value) = term.split_once('=')?;
        (key == "metadata.name").then(|| value.strip_prefix('=').unwrap_or(value))
    })?;
    (!name.is_empty() && name != "." && name != ".." && !name.contains(['/', '%'])).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &str, target: &str, expected: &str) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let method: http::Method = method.parse().unwrap();
        let i = RequestInfo::parse(&method, path, &Query::parse(query));
        let got = if i.is_resource {
            format!(
                "{} {}/{} ns={} {} {} sub={} tail={}",
                i.verb, i.group, i.version, i.namespace, i.resource, i.name, i.subresource, i.tail
            )
        } else {
            format!("{} {}", i.verb, i.path)
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn paths() {
        check("GET", "/healthz", "get /healthz");
        check("GET", "/api", "get /api");
        check("GET", "/api/v1", "get /api/v1");
        check("GET", "/apis/apps/v1", "get /apis/apps/v1");
        check("GET", "/api/v1/pods", "list /v1 ns= pods  sub= tail=");
        check("GET", "/api/v1/namespaces/a/pods/", "list /v1 ns=a pods  sub= tail=");
        check("GET", "/api/v1/namespaces/a/pods?watch=1", "watch /v1 ns=a pods  sub= tail=");
        check("GET", "/api/v1/watch/namespaces/a/pods/x", "watch /v1 ns=a pods x sub= tail=");
        check("GET", "/api/v1/namespaces", "list /v1 ns= namespaces  sub= tail=");
        check("GET", "/api/v1/namespaces/a", "get /v1 ns=a namespaces a sub= tail=");
        check("PUT", "/api/v1/namespaces/a/finalize", "update /v1 ns=a namespaces a sub=finalize tail=");
        check(
            "PATCH",
            "/apis/apps/v1/namespaces/a/deployments/d/scale",
            "patch apps/v1 ns=a deployments d sub=scale tail=",
        );
        check("DELETE", "/api/v1/namespaces/a/pods", "deletecollection /v1 ns=a pods  sub= tail=");
        check("GET", "/api/v1/nodes/n/proxy/a%2Fb/c", "get /v1 ns= nodes n sub=proxy tail=/a%2Fb/c");
        check("GET", "/api/v1/namespaces/a/pods/..%2f", "get /v1 ns=a pods .. sub= tail=");
        check("GET", "/api/v1/namespaces/a/pods/x%2Flog", "get /v1 ns=a pods x sub=log tail=");
        check("GET", "/api/v1/pods?fieldSelector=metadata.name%3Dx", "list /v1 ns= pods x sub= tail=");
    }

    #[test]
    fn queries() {
        let q = Query::parse("a=1&watch=maybe&limit=x&b=p+q%2C&c");
        assert_eq!(q.get("b"), Some("p q,"));
        assert!(q.flag("watch") && q.flag("c") && !q.flag("d"));
        assert_eq!(q.integer("limit").unwrap_err(), "strconv.ParseInt: parsing \"x\": invalid syntax");
        assert_eq!(parse_uint("-1").unwrap_err(), "strconv.ParseUint: parsing \"-1\": invalid syntax");
        assert_eq!(
            parse_int("99999999999999999999", "ParseInt").unwrap_err(),
            "strconv.ParseInt: parsing \"99999999999999999999\": value out of range"
        );
    }
}
