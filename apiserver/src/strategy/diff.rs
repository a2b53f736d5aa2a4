//! The unified difference of two texts as upstream's messages show it: Python's `difflib` (through its Go port) with
//! three lines of context.

use std::collections::BTreeMap;

const CONTEXT: usize = 3;
/// From this many lines on, lines that are more than a hundredth of the text are not where a match begins.
const POPULAR_FROM: usize = 200;

/// A run of equal lines: where it starts in both texts, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Match {
    a: usize,
    b: usize,
    len: usize,
}

/// The hunks of the difference, each line with its end; empty when the texts are equal.
pub(crate) fn unified(old: &str, new: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (old.split('\n').collect(), new.split('\n').collect());
    let matches = matching_blocks(&a, &b);
    let mut out = String::new();
    for hunk in hunks(&matches, a.len(), b.len()) {
        let (first, last) = (hunk[0], hunk[hunk.len() - 1]);
        out.push_str(&format!("@@ -{} +{} @@\n", range(first.a.0, last.a.1), range(first.b.0, last.b.1)));
        for part in hunk {
            let mut push = |sign: char, lines: &[&str]| {
                for line in lines {
                    out.push(sign);
                    out.push_str(line);
                    out.push('\n');
                }
            };
            if part.equal {
                push(' ', &a[part.a.0..part.a.1]);
            } else {
                push('-', &a[part.a.0..part.a.1]);
                push('+', &b[part.b.0..part.b.1]);
            }
        }
    }
    out
}

fn range(start: usize, end: usize) -> String {
    match end - start {
        1 => format!("{}", start + 1),
        0 => format!("{start},0"),
        len => format!("{},{len}", start + 1),
    }
}

#[derive(Clone, Copy, Debug)]
struct Part {
    equal: bool,
    a: (usize, usize),
    b: (usize, usize),
}

/// Parts of the texts, equal and not, grouped with their context.
fn hunks(matches: &[Match], a_len: usize, b_len: usize) -> Vec<Vec<Part>> {
    let mut parts = Vec::new();
    let (mut a, mut b) = (0, 0);
    for m in matches.iter().chain([&Match { a: a_len, b: b_len, len: 0 }]) {
        if a < m.a || b < m.b {
            parts.push(Part { equal: false, a: (a, m.a), b: (b, m.b) });
        }
        if m.len > 0 {
            parts.push(Part { equal: true, a: (m.a, m.a + m.len), b: (m.b, m.b + m.len) });
        }
        (a, b) = (m.a + m.len, m.b + m.len);
    }
    if parts.iter().all(|p| p.equal) {
        return Vec::new();
    }
    if let Some(first) = parts.first_mut().filter(|p| p.equal) {
        first.a.0 = first.a.0.max(first.a.1.saturating_sub(CONTEXT));
        first.b.0 = first.b.0.max(first.b.1.saturating_sub(CONTEXT));
    }
    if let Some(last) = parts.last_mut().filter(|p| p.equal) {
        last.a.1 = last.a.1.min(last.a.0 + CONTEXT);
        last.b.1 = last.b.1.min(last.b.0 + CONTEXT);
    }
    let mut groups = vec![Vec::new()];
    for part in parts {
        let len = part.a.1 - part.a.0;
        if part.equal && len > 2 * CONTEXT {
            let head = Part { a: (part.a.0, part.a.0 + CONTEXT), b: (part.b.0, part.b.0 + CONTEXT), ..part };
            let tail = Part { a: (part.a.1 - CONTEXT, part.a.1), b: (part.b.1 - CONTEXT, part.b.1), ..part };
            groups.last_mut().expect("starts with one").push(head);
            groups.push(vec![tail]);
        } else {
            groups.last_mut().expect("starts with one").push(part);
        }
    }
    groups.retain(|group| group.iter().any(|p| !p.equal));
    groups
}

fn matching_blocks(a: &[&str], b: &[&str]) -> Vec<Match> {
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, line) in b.iter().enumerate() {
        places.entry(line).or_default().push(at);
    }
    if b.len() >= POPULAR_FROM {
        let most = b.len() / 100 + 1;
        places.retain(|_, at| at.len() <= most);
    }
    let mut found = Vec::new();
    let mut todo = vec![(0, a.len(), 0, b.len())];
    while let Some((a_lo, a_hi, b_lo, b_hi)) = todo.pop() {
        let m = longest(a, b, &places, (a_lo, a_hi), (b_lo, b_hi));
        if m.len > 0 {
            found.push(m);
            todo.push((a_lo, m.a, b_lo, m.b));
            todo.push((m.a + m.len, a_hi, m.b + m.len, b_hi));
        }
    }
    found.sort();
    let mut joined: Vec<Match> = Vec::new();
    for m in found {
        match joined.last_mut() {
            Some(last) if last.a + last.len == m.a && last.b + last.len == m.b => last.len += m.len,
            _ => joined.push(m),
        }
    }
    joined
}

/// The longest run of equal lines, the first of several, grown at both ends over popular lines.
fn longest(
    a: &[&str],
    b: &[&str],
    places: &BTreeMap<&str, Vec<usize>>,
    a_range: (usize, usize),
    b_range: (usize, usize),
) -> Match {
    let mut best = Match { a: a_range.0, b: b_range.0, len: 0 };
    let mut lengths: BTreeMap<usize, usize> = BTreeMap::new();
    for (i, line) in a.iter().enumerate().take(a_range.1).skip(a_range.0) {
        let mut next: BTreeMap<usize, usize> = BTreeMap::new();
        for &j in places.get(line).into_iter().flatten().filter(|j| (b_range.0..b_range.1).contains(*j)) {
            let len = j.checked_sub(1).and_then(|before| lengths.get(&before)).copied().unwrap_or(0) + 1;
            next.insert(j, len);
            if len > best.len {
                best = Match { a: i + 1 - len, b: j + 1 - len, len };
            }
        }
        lengths = next;
    }
    while best.a > a_range.0 && best.b > b_range.0 && a[best.a - 1] == b[best.b - 1] {
        best = Match { a: best.a - 1, b: best.b - 1, len: best.len + 1 };
    }
    while best.a + best.len < a_range.1
        && best.b + best.len < b_range.1
        && a[best.a + best.len] == b[best.b + best.len]
    {
        best.len += 1;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_changes_with_three_lines_around() {
        let old: Vec<String> = (1..=20).map(|n| n.to_string()).collect();
        let mut new = old.clone();
        new[9] = "x".into();
        new.insert(11, "y".into());
        expect_test::expect![[r#"
            @@ -7,8 +7,9 @@
             7
             8
             9
            -10
            +x
             11
            +y
             12
             13
             14
        "#]]
        .assert_eq(&unified(&old.join("\n"), &new.join("\n")));
        assert_eq!(unified("a\nb", "a\nb"), "");
    }
}
