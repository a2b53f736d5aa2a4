//! Continue tokens, as upstream writes them: base64url of `{"v":"meta.k8s.io/v1","rv":REVISION,"start":"KEY"}`. The key
//! is relative to the list's prefix. Revision −1 asks for the newest state from that key on.

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

const VERSION: &str = "meta.k8s.io/v1";

#[derive(Serialize, Deserialize, Default)]
struct Token {
    #[serde(default)]
    v: String,
    #[serde(default)]
    rv: i64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    start: String,
}

/// Where a list goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continue {
    /// `None`: at the newest state.
    pub revision: Option<u64>,
    /// The whole key at which the next page starts.
    pub start: String,
}

/// Makes the token of a page that ended before `next`, a whole key under `prefix` (which ends in a slash).
pub fn encode(prefix: &str, next: &str, revision: Option<u64>) -> String {
    let rv = revision.map_or(-1, |r| i64::try_from(r).unwrap_or(i64::MAX));
    // Tokens of the newest state go without the slash, as upstream's do; both forms are read.
    let root = prefix.trim_end_matches('/');
    let relative = next.strip_prefix(root).unwrap_or(next);
    let relative = if revision.is_none() { relative.trim_start_matches('/') } else { relative };
    let token = Token { v: VERSION.into(), rv, start: relative.into() };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).expect("a token has only strings and a number"))
}

/// Reads a token for a list of `prefix`; the error is upstream's whole message.
pub fn decode(prefix: &str, text: &str) -> Result<Continue, String> {
    let invalid = |why: String| format!("invalid continue token: continue key is not valid: {why}");
    let trimmed = text.trim_end_matches('=');
    let bytes = URL_SAFE_NO_PAD
        .decode(trimmed)
        .or_else(|_| URL_SAFE.decode(text))
        .map_err(|_| invalid(format!("illegal base64 data at input byte {}", bad_base64_at(trimmed))))?;
    let token: Token = serde_json::from_slice(&bytes).map_err(|e| invalid(e.to_string()))?;
    if token.v != VERSION {
        return Err(invalid(format!("server does not recognize this encoded version {}", token.v)));
    }
    let revision = match token.rv {
        0 => {
            return Err(invalid(format!("incorrect encoded start resourceVersion (version {VERSION})")));
        }
        n => u64::try_from(n).ok(),
    };
    if token.start.is_empty() {
        return Err(invalid(format!("encoded start key empty (version {VERSION})")));
    }
    let rooted = if token.start.starts_with('/') { token.start.clone() } else { format!("/{}", token.start) };
    if rooted.split('/').skip(1).any(|s| s == ".." || s == ".") || rooted.contains("//") {
        return Err(invalid(token.start));
    }
    Ok(Continue { revision, start: format!("{}{rooted}", prefix.trim_end_matches('/')) })
}

/// Where Go's decoder stops: the first foreign byte, or the start of an incomplete last group.
fn bad_base64_at(text: &str) -> usize {
    let foreign = text.bytes().position(|b| !(b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    foreign.unwrap_or(text.len() / 4 * 4)
}

/// What a token would say, for tests of other files.
#[cfg(test)]
pub(crate) fn shown(text: &str) -> String {
    String::from_utf8(URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "/registry/configmaps/gold/";

    #[track_caller]
    fn check(json: &str, expected: &str) {
        let got = match decode(PREFIX, &URL_SAFE_NO_PAD.encode(json)) {
            Ok(c) => format!("{:?} {}", c.revision, c.start),
            Err(why) => why,
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn tokens() {
        let token = encode(PREFIX, "/registry/configmaps/gold/a\0", Some(7));
        assert_eq!(shown(&token), r#"{"v":"meta.k8s.io/v1","rv":7,"start":"/a\u0000"}"#);
        assert_eq!(decode(PREFIX, &token).unwrap().start, "/registry/configmaps/gold/a\0");
        check(
            r#"{"v": "meta.k8s.io/v1", "rv": -1, "start": "a\u0000"}"#,
            "None /registry/configmaps/gold/a\0",
        );
        const BAD: &str = "invalid continue token: continue key is not valid: ";
        check(
            r#"{"v": "meta.k8s.io/v1", "rv": 0, "start": "a"}"#,
            &format!("{BAD}incorrect encoded start resourceVersion (version meta.k8s.io/v1)"),
        );
        check(
            r#"{"v": "v2", "rv": 5, "start": "a"}"#,
            &format!("{BAD}server does not recognize this encoded version v2"),
        );
        check(
            r#"{"v": "meta.k8s.io/v1", "rv": 5, "start": ""}"#,
            &format!("{BAD}encoded start key empty (version meta.k8s.io/v1)"),
        );
        check(r#"{"v": "meta.k8s.io/v1", "rv": 5, "start": "../x"}"#, &format!("{BAD}../x"));
        assert_eq!(decode(PREFIX, "bogus").unwrap_err(), format!("{BAD}illegal base64 data at input byte 4"));
    }
}
