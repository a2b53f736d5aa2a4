//! The part of kubectl's JSONPath that definitions use: members, indices, wildcards and filters by one comparison, as in
//! `.status.conditions[?(@.type=="Ready")].status`. Not here: recursive descent, slices, unions, `range`.

use apimachinery::Value;

/// A parsed path.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Member(String),
    Index(i64),
    All,
    Where { path: Vec<String>, equal: bool, value: Value },
    Exists(Vec<String>),
}

impl JsonPath {
    /// Parses `.a.b[0]`; `None` for what is none of the forms above.
    pub fn parse(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('[') {
                let end = bracket_end(after)?;
                steps.push(bracket(&after[..end])?);
                rest = &after[end + 1..];
            } else {
                let after = rest.strip_prefix('.').or(steps.is_empty().then_some(rest))?;
                if after.is_empty() || after.starts_with('[') {
                    rest = after;
                    continue;
                }
                let (name, left) = member(after);
                if name.is_empty() {
                    return None;
                }
                steps.push(if name == "*" { Step::All } else { Step::Member(name) });
                rest = left;
            }
        }
        (!steps.is_empty()).then_some(Self(steps))
    }

    /// Member names, when the path consists of nothing else.
    pub fn members(&self) -> Option<Vec<&str>> {
        self.0
            .iter()
            .map(|step| match step {
                Step::Member(name) => Some(name.as_str()),
                _ => None,
            })
            .collect()
    }

    /// The first value at the path.
    pub fn first<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        find(&self.0, value)
    }
}

fn find<'a>(steps: &[Step], value: &'a Value) -> Option<&'a Value> {
    let Some((step, rest)) = steps.split_first() else { return Some(value) };
    match step {
        Step::Member(name) => find(rest, value.get(name)?),
        Step::Index(at) => {
            let items = value.as_array()?;
            let from_end = i64::try_from(items.len()).ok()?.checked_add(*at)?;
            let at = if *at < 0 { from_end } else { *at };
            find(rest, items.get(usize::try_from(at).ok()?)?)
        }
        Step::All => each(value).find_map(|item| find(rest, item)),
        Step::Where { path, equal, value: wanted } => each(value)
            .filter(|item| follow(path, item).is_some_and(|found| (found == wanted) == *equal))
            .find_map(|item| find(rest, item)),
        Step::Exists(path) => {
            each(value).filter(|item| follow(path, item).is_some()).find_map(|item| find(rest, item))
        }
    }
}

fn each(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match (value.as_array(), value.as_object()) {
        (Some(items), _) => Box::new(items.iter()),
        (_, Some(object)) => Box::new(object.values()),
        _ => Box::new(std::iter::empty()),
    }
}

fn follow<'a>(path: &[String], value: &'a Value) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

/// Where the bracket that was opened before `text` closes.
fn bracket_end(text: &str) -> Option<usize> {
    let (mut quote, mut depth) = (None, 0);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn bracket(text: &str) -> Option<Step> {
    let text = text.trim();
    if text == "*" {
        return Some(Step::All);
    }
    if let Some(name) = quoted(text) {
        return Some(Step::Member(name));
    }
    if let Ok(at) = text.parse() {
        return Some(Step::Index(at));
    }
    let filter = text.strip_prefix("?(")?.strip_suffix(')')?;
    for (operator, equal) in [("==", true), ("!=", false)] {
        if let Some((left, right)) = filter.split_once(operator) {
            return Some(Step::Where { path: own_path(left)?, equal, value: literal(right)? });
        }
    }
    Some(Step::Exists(own_path(filter)?))
}

/// `@.a.b`
fn own_path(text: &str) -> Option<Vec<String>> {
    let path = JsonPath::parse(text.trim().strip_prefix('@')?)?;
    Some(path.members()?.into_iter().map(str::to_owned).collect())
}

fn literal(text: &str) -> Option<Value> {
    let text = text.trim();
    match quoted(text) {
        Some(text) => Some(text.into()),
        None => Value::from_json(text.as_bytes()).ok(),
    }
}

fn quoted(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    Some(inner.replace("\\", ""))
}

/// A member's name up to the next step; a backslash takes what follows as it is.
fn member(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            '.' | '[' => return (name, &text[at..]),
            c => name.push(c),
        }
    }
    (name, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<&str>) {
        let object =
            Value::from_json(br#"{"a":{"b.c":1,"l":[{"t":"x","s":"no"},{"t":"Ready","s":"yes"}]},"e":[]}"#)
                .unwrap();
        let found = JsonPath::parse(path).and_then(|p| p.first(&object).map(Value::to_json_string));
        assert_eq!(found.as_deref(), expected, "{path}");
    }

    #[test]
    fn paths_of_definitions() {
        check(".a.l[0].s", Some("\"no\""));
        check(".a.l[-1].s", Some("\"yes\""));
        check(".a['b.c']", Some("1"));
        check(r".a.b\.c", Some("1"));
        check(".a.l[*].t", Some("\"x\""));
        check(r#".a.l[?(@.t=="Ready")].s"#, Some("\"yes\""));
        check(".a.l[?(@.t!='x')].s", Some("\"yes\""));
        check(".a.nope", None);
        check(".e[0]", None);
        assert_eq!(JsonPath::parse(".a..b"), None);
        assert_eq!(JsonPath::parse(""), None);
    }
}
