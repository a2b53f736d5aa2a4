//! Comparing an answer with a recorded one whose made-up parts are placeholders.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::Value;

/// Placeholders that match any text.
const ANY: &[&str] = &[
    "UID",
    "TIME",
    "CLUSTERIP",
    "NODEPORT",
    "DATA",
    "CONTINUE",
    "AGE",
    "PRESENT",
    "XXXXX",
    "RANDOM",
    "HASH",
    "HOST",
    "ADDR",
    "IP",
    "RV",
    "DATE",
];

/// Differences shown for one answer; more say nothing new.
const SHOWN_MAX: usize = 12;

/// One comparison: remembers which revision each label stood for.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Label number of the recording → our revision.
    pub revisions: BTreeMap<u64, u64>,
    pub differences: Vec<String>,
}

impl Comparison {
    pub fn differ(&mut self, path: &str, expected: &str, actual: &str) {
        if self.differences.len() < SHOWN_MAX {
            let short = |s: &str| s.chars().take(300).collect::<String>();
            self.differences.push(format!("{path}: expected {}, got {}", short(expected), short(actual)));
        }
    }

    /// Compares a whole value.
    pub fn value(&mut self, path: &str, expected: &Value, actual: &Value) {
        match (expected, actual) {
            (Value::Object(want), Value::Object(have)) => {
                if let Some(decoded) = want.get("decoded").filter(|_| want.len() == 1) {
                    self.continue_token(path, decoded, actual);
                    return;
                }
                for (key, value) in want {
                    let here = format!("{path}.{key}");
                    match have.get(key) {
                        Some(actual) => self.value(&here, value, actual),
                        None => self.differ(&here, &value.to_string(), "nothing"),
                    }
                }
                for (key, value) in have {
                    if !want.contains_key(key) {
                        self.differ(&format!("{path}.{key}"), "nothing", &value.to_string());
                    }
                }
            }
            (Value::Array(want), Value::Array(have)) => {
                if want.len() != have.len() {
                    self.differ(
                        path,
                        &format!("{} elements {expected}", want.len()),
                        &format!("{} {actual}", have.len()),
                    );
                    return;
                }
                for (i, (want, have)) in want.iter().zip(have).enumerate() {
                    self.value(&format!("{path}[{i}]"), want, have);
                }
            }
            (Value::Object(want), Value::String(_)) if want.contains_key("decoded") => {
                self.continue_token(path, &want["decoded"], actual);
            }
            (Value::String(want), Value::String(have)) => self.text(path, want, have),
            // A node port stands as text in the recording and is a number.
            (Value::String(want), Value::Number(_)) if ANY.contains(&want.as_str()) => {}
            (want, have) if want == have => {}
            (want, have) => self.differ(path, &want.to_string(), &have.to_string()),
        }
    }

    /// Compares text that may hold placeholders anywhere.
    pub fn text(&mut self, path: &str, want: &str, have: &str) {
        if want == have {
            return;
        }
        if let Some(label) = want.strip_prefix('r').and_then(|n| n.parse::<u64>().ok())
            && let Ok(revision) = have.parse::<u64>()
        {
            self.revision(path, label, revision);
            return;
        }
        if !glob(&pattern(want), have) {
            self.differ(path, want, have);
        }
    }

    /// The same label is always the same revision, and labels are in the order of revisions.
    fn revision(&mut self, path: &str, label: u64, revision: u64) {
        if let Some(&known) = self.revisions.get(&label) {
            if known != revision {
                self.differ(path, &format!("r{label} = {known}"), &revision.to_string());
            }
            return;
        }
        let below = self.revisions.range(..label).next_back().map(|(_, &r)| r);
        let above = self.revisions.range(label..).next().map(|(_, &r)| r);
        if below.is_some_and(|r| r >= revision) || above.is_some_and(|r| r <= revision) {
            self.differ(path, &format!("r{label} between {below:?} and {above:?}"), &revision.to_string());
        }
        self.revisions.insert(label, revision);
    }

    fn continue_token(&mut self, path: &str, decoded: &Value, actual: &Value) {
        let Some(token) = actual.as_str() else {
            self.differ(path, "a continue token", &actual.to_string());
            return;
        };
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.trim_end_matches('='));
        match bytes.ok().and_then(|b| serde_json::from_slice::<Value>(&b).ok()) {
            Some(mut have) => {
                if let Some(rv) = have.get("rv").and_then(Value::as_i64) {
                    have["rv"] = Value::String(rv.to_string());
                }
                self.value(path, decoded, &have);
            }
            None => self.differ(path, "a continue token", token),
        }
    }
}

/// A recorded text as literal pieces between which anything may stand.
fn pattern(want: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut rest = want;
    while !rest.is_empty() {
        let at_word = pieces.last().is_none_or(|p| !p.ends_with(|c: char| c.is_ascii_alphanumeric()));
        let placeholder = ANY.iter().find(|word| {
            rest.starts_with(**word)
                && at_word
                && !rest[word.len()..].starts_with(|c: char| c.is_ascii_alphanumeric())
        });
        let random_volume = rest.starts_with("kube-api-access-");
        if let Some(word) = placeholder {
            pieces.push(String::new());
            rest = &rest[word.len()..];
        } else if random_volume {
            pieces.last_mut().expect("never empty").push_str("kube-api-access-");
            pieces.push(String::new());
            rest = rest["kube-api-access-".len()..].trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        } else {
            let c = rest.chars().next().expect("not empty");
            pieces.last_mut().expect("never empty").push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    pieces
}

fn glob(pieces: &[String], have: &str) -> bool {
    let Some((first, rest)) = pieces.split_first() else { return have.is_empty() };
    let Some(mut have) = have.strip_prefix(first.as_str()) else { return false };
    let Some((last, middle)) = rest.split_last() else { return have.is_empty() };
    for piece in middle {
        match have.find(piece.as_str()) {
            Some(at) => have = &have[at + piece.len()..],
            None => return false,
        }
    }
    have.ends_with(last.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(expected: Value, actual: Value, same: bool) {
        let mut comparison = Comparison::default();
        comparison.value("", &expected, &actual);
        assert_eq!(comparison.differences.is_empty(), same, "{:?}", comparison.differences);
    }

    #[test]
    fn placeholders_match_what_a_server_makes_up() {
        check(json!({"uid": "UID"}), json!({"uid": "abc"}), true);
        check(json!({"uid": "UID"}), json!({}), false);
        check(json!({}), json!({"extra": 1}), false);
        check(json!("UID in precondition: UID, x"), json!("UID in precondition: a, x"), true);
        check(json!("Precondition failed: UID, x"), json!("Precondition failed: a-b, x"), true);
        check(json!("UIDS"), json!("x"), false);
        check(json!("kube-api-access-njz8f"), json!("kube-api-access-2222x"), true);
        check(json!("NODEPORT"), json!(30001), true);
    }

    #[test]
    fn labels_keep_their_order() {
        check(json!(["r1", "r2", "r1"]), json!(["5", "9", "5"]), true);
        check(json!(["r1", "r2"]), json!(["9", "5"]), false);
        check(json!(["r1", "r1"]), json!(["5", "6"]), false);
    }
}
