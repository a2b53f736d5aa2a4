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

/// What stands before something that the recorded server chose and that its messages repeat; and which characters it has
/// besides digits.
const SEEN: &[(&str, &str)] = &[
    ("\\\"resourceVersion\\\":\\\"", ""),
    ("\"resourceVersion\":\"", ""),
    ("\"10.96.", "."),
    ("current: ", ""),
    ("in record (", ""),
];

/// The recorded server projected one source more into pods, which was taken out of the recordings (their README). In a difference of a pod's specs, which shows all fields, that source has so many lines.
const REMOVED_SOURCE_LINES: u64 = 18;

/// What `/version` says of the build, which is another's: that it is 1.36 stands in other fields.
const BUILD: &[&str] = &[".gitVersion", ".gitCommit", ".goVersion", ".compiler"];

/// Differences shown for one answer; more say nothing new.
const SHOWN_MAX: usize = 12;

/// One comparison: remembers which revision each label stood for.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Label number of the recording → our revision.
    pub revisions: BTreeMap<u64, u64>,
    /// What is compared now belongs to the metadata of a list.
    of_store: bool,
    pub differences: Vec<String>,
}

impl Comparison {
    pub fn differ(&mut self, path: &str, expected: &str, actual: &str) {
        if self.differences.len() < SHOWN_MAX {
            // Long texts differ somewhere in their midst.
            let common = expected.chars().zip(actual.chars()).take_while(|(a, b)| a == b).count();
            let skip = common.saturating_sub(100);
            let short = |s: &str| {
                let lead = if skip > 0 { "…" } else { "" };
                format!("{lead}{}", s.chars().skip(skip).take(300).collect::<String>())
            };
            self.differences.push(format!("{path}: expected {}, got {}", short(expected), short(actual)));
        }
    }

    /// Compares a whole value.
    pub fn value(&mut self, path: &str, expected: &Value, actual: &Value) {
        match (expected, actual) {
            (Value::Object(want), Value::Object(have)) => {
                // Lists, bookmarks and errors tell the revision of the store, which others move too.
                let listed = path.ends_with(".metadata") && !want.contains_key("uid");
                let outer = std::mem::replace(&mut self.of_store, listed);
                if let Some(decoded) = want.get("decoded").filter(|_| want.len() == 1) {
                    self.continue_token(path, decoded, actual);
                    self.of_store = outer;
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
                self.of_store = outer;
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
            (Value::String(_), Value::String(_)) if BUILD.iter().any(|key| path.ends_with(key)) => {}
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
        if path.contains(".cells[") && is_age(want) && is_age(have) {
            return;
        }
        if let Some((before, label, after)) = labelled(want)
            && let Some(number) = have.strip_prefix(before).and_then(|rest| rest.strip_suffix(after))
            && let Ok(revision) = number.parse::<u64>()
        {
            let outer = std::mem::replace(&mut self.of_store, true);
            self.revision(path, label, revision);
            self.of_store = outer;
            return;
        }
        if !glob(&pattern(want), have) && !glob(&pattern(&without_removed_source(want)), have) {
            self.differ(path, want, have);
        }
    }

    /// Compares the order of a label that one recording uses for what it made itself: the same label stands for the
    /// same number, and labels are in the order of the numbers.
    pub fn ordered(&mut self, path: &str, labels: &mut BTreeMap<u64, u64>, label: u64, number: u64) {
        let revisions = std::mem::replace(&mut self.revisions, std::mem::take(labels));
        self.revision(path, label, number);
        *labels = std::mem::replace(&mut self.revisions, revisions);
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
        // A revision of the store that no object has: whether others wrote in between is chance.
        if self.of_store {
            if below.is_some_and(|r| r > revision) || above.is_some_and(|r| r < revision) {
                self.differ(
                    path,
                    &format!("r{label} between {below:?} and {above:?}"),
                    &revision.to_string(),
                );
            }
            return;
        }
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
                if let Some(rv) = have.get("rv").and_then(Value::as_u64) {
                    have["rv"] = Value::String(rv.to_string());
                }
                // The revision is that of the list, which is the store's.
                self.value(&format!("{path}.metadata"), decoded, &have);
            }
            None => self.differ(path, "a continue token", token),
        }
    }
}

/// A text that tells one revision (`… current: r5`): what stands before its label, the label, what stands after.
fn labelled(want: &str) -> Option<(&str, u64, &str)> {
    let mut starts =
        want.match_indices('r').filter(|(i, _)| *i == 0 || !want.as_bytes()[i - 1].is_ascii_alphanumeric());
    let labels = starts.by_ref().filter_map(|(i, _)| {
        let rest = &want[i + 1..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let ends = !rest[digits..].starts_with(|c: char| c.is_ascii_alphanumeric());
        (digits > 0 && ends).then(|| (&want[..i], rest[..digits].parse().ok(), &rest[digits..]))
    });
    let mut labels = labels;
    let (before, label, after) = labels.next()?;
    labels.next().is_none().then_some((before, label?, after))
}

/// How a Table shows how long ago something was: `2s`, `3m5s`, `4d`.
fn is_age(text: &str) -> bool {
    let unit = |c: char| "smhdy".contains(c);
    text.ends_with(unit)
        && text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || unit(c))
}

/// A recorded text as literal pieces between which anything may stand.
fn pattern(want: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut rest = want;
    while !rest.is_empty() {
        let at_word = pieces.last().is_none_or(|p| !p.ends_with(|c: char| c.is_ascii_alphanumeric()));
        let placeholder = ANY.iter().find(|word| {
            rest.starts_with(**word)
                // A random suffix belongs to the word before it.
                && (at_word || **word == "XXXXX")
                && !rest[word.len()..].starts_with(|c: char| c.is_ascii_alphanumeric())
        });
        let random_volume = rest.starts_with("kube-api-access-");
        // Inside messages revisions and service addresses stand as they were seen.
        let seen = SEEN.iter().find(|(before, _)| {
            rest.starts_with(before) && rest[before.len()..].starts_with(|c: char| c.is_ascii_digit())
        });
        if let Some(word) = placeholder {
            pieces.push(String::new());
            rest = &rest[word.len()..];
            // An address of the server's own, with its port.
            let port = rest.strip_prefix(':').filter(|_| *word == "IP");
            if let Some(port) = port.filter(|p| p.starts_with(|c: char| c.is_ascii_digit())) {
                rest = port.trim_start_matches(|c: char| c.is_ascii_digit());
            }
        } else if random_volume {
            pieces.last_mut().expect("never empty").push_str("kube-api-access-");
            pieces.push(String::new());
            rest = rest["kube-api-access-".len()..].trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        } else if let Some((before, kept)) = seen {
            pieces.last_mut().expect("never empty").push_str(before);
            pieces.push(String::new());
            rest = rest[before.len()..].trim_start_matches(|c: char| c.is_ascii_digit() || kept.contains(c));
        } else {
            let c = rest.chars().next().expect("not empty");
            pieces.last_mut().expect("never empty").push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    pieces
}

/// A text with a difference of pod specs, its hunks moved up by the lines of the source that was taken out.
fn without_removed_source(text: &str) -> String {
    let Some(start) = text.find("\n@@ -") else { return text.to_owned() };
    let moved = |part: &str| {
        let (first, rest) = part.split_once(',').unwrap_or((part, ""));
        let line: u64 = first[1..].parse().ok()?;
        Some(format!("{}{},{rest}", &first[..1], line.checked_sub(REMOVED_SOURCE_LINES)?))
    };
    let mut lines = vec![text[..start].to_owned()];
    for line in text[start + 1..].split('\n') {
        let hunk =
            line.strip_prefix("@@ ").and_then(|l| l.strip_suffix(" @@")).and_then(|l| l.split_once(' '));
        let hunk = hunk.and_then(|(old, new)| Some(format!("@@ {} {} @@", moved(old)?, moved(new)?)));
        lines.push(hunk.unwrap_or_else(|| line.to_owned()));
    }
    lines.join("\n")
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
        check(json!(r#"{\"resourceVersion\":\"87\"}"#), json!(r#"{\"resourceVersion\":\"9\"}"#), true);
        check(json!("in record (947). x"), json!("in record (4). x"), true);
        check(json!("in record (947). x"), json!("in record (4). y"), false);
        check(json!("IP:27443"), json!("127.0.0.1:6443"), true);
        check(json!(r#"Invalid value: "10.96.1.2": x"#), json!(r#"Invalid value: "10.96.7.8": x"#), true);
        check(json!(r#"Invalid value: "10.96.1.2": x"#), json!(r#"Invalid value: "10.95.7.8": x"#), false);
    }

    #[test]
    fn a_source_that_was_taken_out_moves_hunks() {
        check(json!("x\n@@ -111,7 +111,9 @@\n a"), json!("x\n@@ -93,7 +93,9 @@\n a"), true);
        check(json!("x\n@@ -111,7 +111,9 @@\n a"), json!("x\n@@ -92,7 +92,9 @@\n a"), false);
    }

    #[test]
    fn labels_keep_their_order() {
        check(json!(["r1", "r2", "r1"]), json!(["5", "9", "5"]), true);
        check(json!(["r1", "r2"]), json!(["9", "5"]), false);
        check(json!(["r1", "r1"]), json!(["5", "6"]), false);
        // The store's own revision need not have moved between two lists.
        let list = |revision: &str| json!({"metadata": {"resourceVersion": revision}});
        check(json!(["r1", list("r2"), list("r3"), "r4"]), json!(["5", list("5"), list("5"), "6"]), true);
        check(json!(["r1", list("r2")]), json!(["5", list("4")]), false);
        check(json!(["r1", "current: r1."]), json!(["5", "current: 5."]), true);
        check(json!(["r1", "current: r1."]), json!(["5", "current: 4."]), false);
    }
}
