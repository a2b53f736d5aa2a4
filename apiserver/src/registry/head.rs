//! What lists and watches need to know of a stored object without decoding it: where its revision goes, its labels, the
//! fields that selectors may name. One pass over the bytes finds the places; nothing is copied.
//!
//! The input is our own canonical JSON (kind, apiVersion, metadata first), but the scanner takes any valid object; what
//! is no object has no head.

/// A range of bytes in the value.
pub(crate) type Span = (u32, u32);

/// Places in one stored object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// Where `"metadata"` begins when only kind and apiVersion stand before it: list items start there.
    pub(crate) metadata_key: u32,
    /// Where `"resourceVersion":"…",` is inserted.
    pub(crate) revision_at: u32,
    /// Whether anything follows in metadata, so that a comma belongs behind what is inserted.
    pub(crate) more_metadata: bool,
    /// Whether anything stands before in metadata, so that a comma belongs before it when nothing follows.
    pub(crate) some_metadata: bool,
    /// The whole `{…}` of metadata.
    pub(crate) metadata: Span,
    pub(crate) labels: Option<Span>,
    /// The value of each wanted field, in the order asked for; `None` where it is absent.
    pub(crate) fields: Box<[Option<Span>]>,
}

/// A cursor over JSON that is known to be well-formed.
struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn skip_space(&mut self) {
        while self.text.get(self.at).is_some_and(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    /// Steps over a string that begins here.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.skip_space();
        if self.text.get(self.at) != Some(&b'"') {
            return None;
        }
        let start = self.at + 1;
        let mut i = start;
        loop {
            match self.text.get(i)? {
                b'\\' => i += 2,
                b'"' => break,
                _ => i += 1,
            }
        }
        self.at = i + 1;
        Some(&self.text[start..i])
    }

    /// Steps over any value.
    fn value(&mut self) -> Option<Span> {
        self.skip_space();
        let start = self.at;
        match self.text.get(self.at)? {
            b'"' => {
                self.string()?;
            }
            b'{' | b'[' => {
                let mut depth = 0usize;
                loop {
                    match self.text.get(self.at)? {
                        b'"' => {
                            self.string()?;
                            continue;
                        }
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => depth -= 1,
                        _ => {}
                    }
                    self.at += 1;
                    if depth == 0 {
                        break;
                    }
                }
            }
            _ => {
                while !matches!(self.text.get(self.at)?, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t') {
                    self.at += 1;
                }
            }
        }
        Some((u32::try_from(start).ok()?, u32::try_from(self.at).ok()?))
    }

    /// Goes through the members of the object that begins here: key, where the key begins, and a cursor at the value,
    /// which `each` must step over.
    fn members(&mut self, mut each: impl FnMut(&'a [u8], usize, &mut Self) -> Option<()>) -> Option<()> {
        if !self.eat(b'{') {
            return None;
        }
        if self.eat(b'}') {
            return Some(());
        }
        loop {
            self.skip_space();
            let key_at = self.at;
            let key = self.string()?;
            if !self.eat(b':') {
                return None;
            }
            each(key, key_at, self)?;
            if !self.eat(b',') {
                return self.eat(b'}').then_some(());
            }
        }
    }
}

/// Members of metadata that stand before the revision in upstream's order.
fn before_revision(key: &[u8], sorted: bool) -> bool {
    if sorted {
        return key < b"resourceVersion".as_slice();
    }
    matches!(key, b"name" | b"generateName" | b"namespace" | b"selfLink" | b"uid")
}

impl Head {
    /// Scans an object. `fields` are paths below the top, such as `["spec", "nodeName"]`; `sorted` says that metadata's
    /// keys are in alphabetical order, as custom resources have them.
    pub(crate) fn scan(text: &[u8], fields: &[&[&str]], sorted: bool) -> Option<Head> {
        let mut head = Head { fields: vec![None; fields.len()].into(), ..Head::default() };
        let mut scan = Scan { text, at: 0 };
        let mut found_metadata = false;
        scan.members(|key, key_at, scan| {
            if key == b"metadata" {
                head.metadata_key = u32::try_from(key_at).ok()?;
                found_metadata = true;
                return head.scan_metadata(scan, sorted);
            }
            let paths: Vec<usize> = (0..fields.len())
                .filter(|i| fields[*i].first().is_some_and(|p| p.as_bytes() == key))
                .collect();
            if paths.is_empty() {
                scan.value()?;
                return Some(());
            }
            scan_fields(scan, fields, &paths, 1, &mut head.fields)
        })?;
        found_metadata.then_some(head)
    }

    fn scan_metadata(&mut self, scan: &mut Scan<'_>, sorted: bool) -> Option<()> {
        scan.skip_space();
        let start = scan.at;
        let mut passed = false;
        let (mut labels, mut some, mut at, mut more) = (None, false, start + 1, false);
        scan.members(|key, key_at, scan| {
            let span = scan.value()?;
            if key == b"labels" {
                labels = Some(span);
            }
            if !passed && before_revision(key, sorted) {
                some = true;
                at = scan.at;
            } else if !passed {
                passed = true;
                more = true;
                at = key_at;
            }
            Some(())
        })?;
        self.labels = labels;
        self.some_metadata = some;
        self.more_metadata = more;
        self.revision_at = u32::try_from(at).ok()?;
        self.metadata = (u32::try_from(start).ok()?, u32::try_from(scan.at).ok()?);
        Some(())
    }

    /// Writes metadata's revision in its place.
    fn write_revision(&self, out: &mut Vec<u8>, revision: u64) {
        if !self.more_metadata && self.some_metadata {
            out.push(b',');
        }
        out.extend_from_slice(b"\"resourceVersion\":\"");
        push_number(out, revision);
        out.push(b'"');
        if self.more_metadata {
            out.push(b',');
        }
    }

    /// The whole object with its revision.
    pub(crate) fn write_object(&self, text: &[u8], revision: u64, out: &mut Vec<u8>) {
        let at = self.revision_at as usize;
        out.reserve(text.len() + 48);
        out.extend_from_slice(&text[..at]);
        self.write_revision(out, revision);
        out.extend_from_slice(&text[at..]);
    }

    /// The object as a member of a list: built-in kinds leave kind and apiVersion out.
    pub(crate) fn write_item(&self, text: &[u8], revision: u64, out: &mut Vec<u8>) {
        let (key, at) = (self.metadata_key as usize, self.revision_at as usize);
        out.reserve(text.len() + 48);
        out.push(b'{');
        out.extend_from_slice(&text[key..at]);
        self.write_revision(out, revision);
        out.extend_from_slice(&text[at..]);
    }

    /// metadata alone, with its revision.
    pub(crate) fn write_metadata(&self, text: &[u8], revision: u64, out: &mut Vec<u8>) {
        let (start, at, end) =
            (self.metadata.0 as usize, self.revision_at as usize, self.metadata.1 as usize);
        out.extend_from_slice(&text[start..at]);
        self.write_revision(out, revision);
        out.extend_from_slice(&text[at..end]);
    }
}

fn scan_fields(
    scan: &mut Scan<'_>,
    fields: &[&[&str]],
    paths: &[usize],
    depth: usize,
    found: &mut [Option<Span>],
) -> Option<()> {
    scan.skip_space();
    let leaf = paths.iter().all(|i| fields[*i].len() == depth);
    if leaf || scan.text.get(scan.at) != Some(&b'{') {
        let span = scan.value()?;
        for i in paths.iter().filter(|i| fields[**i].len() == depth) {
            found[*i] = Some(span);
        }
        return Some(());
    }
    scan.members(|key, _, scan| {
        let below: Vec<usize> = paths
            .iter()
            .copied()
            .filter(|i| fields[*i].get(depth).is_some_and(|p| p.as_bytes() == key))
            .collect();
        if below.is_empty() {
            scan.value()?;
            return Some(());
        }
        scan_fields(scan, fields, &below, depth + 1, found)
    })
}

/// Appends a number in decimal.
pub(crate) fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[&[&str]] = &[&["spec", "nodeName"], &["status", "phase"], &["spec", "x", "y"]];

    fn written(text: &str, sorted: bool, write: impl Fn(&Head, &mut Vec<u8>)) -> String {
        let head = Head::scan(text.as_bytes(), FIELDS, sorted).unwrap();
        let mut out = Vec::new();
        write(&head, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn revision_goes_where_upstream_has_it() {
        let text = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","uid":"u","labels":{"a":"b"}},"spec":{}}"#;
        assert_eq!(
            written(text, false, |h, out| h.write_object(text.as_bytes(), 7, out)),
            r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","uid":"u","resourceVersion":"7","labels":{"a":"b"}},"spec":{}}"#
        );
        assert_eq!(
            written(text, false, |h, out| h.write_item(text.as_bytes(), 12, out)),
            r#"{"metadata":{"name":"a","uid":"u","resourceVersion":"12","labels":{"a":"b"}},"spec":{}}"#
        );
        assert_eq!(
            written(text, false, |h, out| h.write_metadata(text.as_bytes(), 0, out)),
            r#"{"name":"a","uid":"u","resourceVersion":"0","labels":{"a":"b"}}"#
        );
        for (text, sorted, expected) in [
            (r#"{"metadata":{"name":"a"}}"#, false, r#"{"metadata":{"name":"a","resourceVersion":"7"}}"#),
            (r#"{"metadata":{}}"#, false, r#"{"metadata":{"resourceVersion":"7"}}"#),
            (
                r#"{"metadata":{"labels":{},"name":"a","uid":"u"}}"#,
                true,
                r#"{"metadata":{"labels":{},"name":"a","resourceVersion":"7","uid":"u"}}"#,
            ),
        ] {
            assert_eq!(written(text, sorted, |h, out| h.write_object(text.as_bytes(), 7, out)), expected);
        }
    }

    #[test]
    fn fields_and_labels_are_found() {
        let text = br#"{"metadata":{"labels":{"l":"}\""}},"spec":{"a":["}",{"nodeName":"no"}],"nodeName":"n1","x":{"y":true}},"status":{"phase":"Running"}}"#;
        let head = Head::scan(text, FIELDS, false).unwrap();
        let shown =
            |s: Option<Span>| s.map(|(a, b)| std::str::from_utf8(&text[a as usize..b as usize]).unwrap());
        assert_eq!(shown(head.labels), Some(r#"{"l":"}\""}"#));
        assert_eq!(shown(head.fields[0]), Some("\"n1\""));
        assert_eq!(shown(head.fields[1]), Some("\"Running\""));
        assert_eq!(shown(head.fields[2]), Some("true"));
        assert!(Head::scan(b"[]", FIELDS, false).is_none());
        assert!(Head::scan(br#"{"metadata":{"name":"#, FIELDS, false).is_none());
    }
}
