//! Which form and encoding an answer takes, from `Accept`; which decoder a body needs, from `Content-Type`.
//!
//! Upstream negotiates twice: its router first checks that a media type without parameters is offered at all ("406: Not
//! Acceptable"), then the handler weighs parameters such as `as=Table`. Both refusals are kept, with their words.

use apimachinery::Status;
use apimachinery::status::StatusDetails;

pub const JSON: &str = "application/json";
pub const YAML: &str = "application/yaml";
pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Json,
    Yaml,
    Protobuf,
}

impl Encoding {
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Yaml => YAML,
            Self::Protobuf => PROTOBUF,
        }
    }
}

/// What an answer shows of its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Object,
    /// `meta.k8s.io` Table of this version.
    Table(&'static str),
    /// PartialObjectMetadata of this version; the flag says that the list form was asked for.
    Partial(&'static str, bool),
}

/// A negotiated answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    pub encoding: Encoding,
    pub form: Form,
    pub pretty: bool,
    /// `;stream=watch` was asked for: the answer's Content-Type repeats it.
    pub stream: bool,
}

impl Output {
    pub const JSON: Output =
        Output { encoding: Encoding::Json, form: Form::Object, pretty: false, stream: false };

    /// Plain JSON of whole objects, the form that is kept ready.
    pub fn is_plain(&self) -> bool {
        self.encoding == Encoding::Json && self.form == Form::Object && !self.pretty
    }
}

/// What kind of answer is negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One object, or the answer to a write.
    Object,
    List,
    Watch,
    /// Answers that know no other form: discovery, version.
    Plain,
}

struct Clause<'a> {
    kind: &'a str,
    subkind: &'a str,
    params: Vec<(&'a str, &'a str)>,
    quality: f32,
}

fn clauses(accept: &str) -> Vec<Clause<'_>> {
    let mut all: Vec<Clause<'_>> = accept
        .split(',')
        .filter_map(|part| {
            let mut fields = part.split(';').map(str::trim);
            let media = fields.next()?;
            let (kind, subkind) = media.split_once('/').unwrap_or((media, ""));
            let mut quality = 1.0;
            let mut params = Vec::new();
            for field in fields {
                let (k, v) = field.split_once('=').unwrap_or((field, ""));
                let (k, v) = (k.trim(), v.trim().trim_matches('"'));
                if k == "q" {
                    quality = v.parse().unwrap_or(1.0);
                } else {
                    params.push((k, v));
                }
            }
            (!kind.is_empty()).then_some(Clause { kind, subkind, params, quality })
        })
        .collect();
    all.sort_by(|a, b| {
        let wildcards = |c: &Clause<'_>| u8::from(c.kind == "*") + u8::from(c.subkind == "*");
        b.quality.total_cmp(&a.quality).then(wildcards(a).cmp(&wildcards(b)))
    });
    all
}

/// The media type among `offered` that the client likes best, for answers with encodings of their own. Parameters
/// other than `q` are not weighed.
pub(crate) fn choose(accept: Option<&str>, offered: &[&'static str]) -> Option<&'static str> {
    let accept = accept.filter(|a| !a.trim().is_empty()).unwrap_or("*/*");
    clauses(accept).iter().find_map(|clause| {
        offered.iter().copied().find(|media| {
            let (kind, subkind) = media.split_once('/').unwrap_or((media, ""));
            (clause.kind == "*" || clause.kind == kind)
                && (clause.subkind == "*" || clause.subkind == subkind)
        })
    })
}

fn offered(scope: Scope) -> &'static [Encoding] {
    match scope {
        Scope::Watch => &[Encoding::Json, Encoding::Protobuf],
        _ => &[Encoding::Json, Encoding::Yaml, Encoding::Protobuf],
    }
}

fn offered_text(scope: Scope) -> &'static str {
    match scope {
        Scope::Watch => "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch",
        _ => "application/json, application/yaml, application/vnd.kubernetes.protobuf",
    }
}

/// Negotiates the answer to a request with this `Accept`. Watches are offered only the streaming encodings, in which
/// YAML has no form.
pub fn output(accept: Option<&str>, scope: Scope) -> Result<Output, Status> {
    let Some(accept) = accept.filter(|a| !a.trim().is_empty()) else {
        return Ok(Output::JSON);
    };
    check_media(accept, scope)?;
    for clause in clauses(accept) {
        for &encoding in offered(scope) {
            let media = encoding.media_type();
            let (kind, subkind) = media.split_once('/').unwrap_or((media, ""));
            let fits = (clause.kind == "*" || clause.kind == kind)
                && (clause.subkind == "*" || clause.subkind == subkind);
            if fits && let Some(output) = options(&clause, encoding, scope) {
                return Ok(output);
            }
        }
    }
    // A transform that no scope knows fails before the stream's own encodings are looked at.
    let scope = if scope == Scope::Watch && !accept.contains("yaml") { Scope::List } else { scope };
    Err(Status::new(
        406,
        "NotAcceptable",
        format!("only the following media types are accepted: {}", offered_text(scope)),
    ))
}

/// An `Accept` less protobuf, which custom resources do not have; their metadata alone has.
pub(crate) fn without_protobuf(accept: &str) -> Result<String, Status> {
    let left: Vec<&str> =
        accept.split(',').filter(|part| !part.contains(PROTOBUF) || part.contains("as=Partial")).collect();
    if left.is_empty() {
        return Err(Status::not_acceptable_types(&[JSON, YAML]));
    }
    Ok(left.join(","))
}

/// The router's check: the bare media types alone.
fn check_media(accept: &str, scope: Scope) -> Result<(), Status> {
    let bare = |part: &str| part.split(';').next().unwrap_or_default().trim().to_owned();
    let known = accept.split(',').map(bare).any(|m| matches!(m.as_str(), "*/*" | JSON | YAML | PROTOBUF));
    if known {
        return Ok(());
    }
    let streams = match scope {
        Scope::List | Scope::Watch => {
            ", application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
        }
        _ => "",
    };
    let message = format!(
        "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, \
         application/vnd.kubernetes.protobuf{streams}"
    );
    Err(Status::new(406, "NotAcceptable", message).with_details(StatusDetails::default()))
}

fn options(clause: &Clause<'_>, encoding: Encoding, scope: Scope) -> Option<Output> {
    let mut output = Output { encoding, form: Form::Object, pretty: false, stream: false };
    let mut transform: (&str, &str, &str) = ("", "", "");
    for &(key, value) in &clause.params {
        match key {
            "as" => transform.0 = value,
            "g" => transform.1 = value,
            "v" => transform.2 = value,
            "stream" => {
                // Upstream offers the streaming serializer everywhere; only a watch makes a difference of it.
                if value != "watch" {
                    return None;
                }
                output.stream = scope == Scope::Watch;
            }
            "pretty" => output.pretty = value == "1",
            _ => {}
        }
    }
    if transform.0.is_empty() {
        return Some(output);
    }
    let version = match transform {
        (_, "meta.k8s.io", "v1") => "v1",
        (_, "meta.k8s.io", "v1beta1") => "v1beta1",
        _ => return None,
    };
    output.form = match transform.0 {
        _ if scope == Scope::Plain => return None,
        "Table" => Form::Table(version),
        "PartialObjectMetadata" => Form::Partial(version, false),
        "PartialObjectMetadataList" => Form::Partial(version, true),
        _ => return None,
    };
    Some(output)
}

/// Whether an answer is indented: `pretty` in the query decides, else tools that people read with.
pub fn wants_pretty(query: &crate::routes::Query, user_agent: &str) -> bool {
    if query.get("pretty").is_some() {
        return query.flag("pretty");
    }
    ["curl", "Wget", "Mozilla/5.0"].iter().any(|p| user_agent.starts_with(p))
}

/// The decoder that a body needs.
pub fn input(content_type: Option<&str>) -> Result<Encoding, Status> {
    let media =
        content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media.as_str() {
        "" | JSON => Ok(Encoding::Json),
        YAML => Ok(Encoding::Yaml),
        PROTOBUF => Ok(Encoding::Protobuf),
        _ => Err(unsupported(offered_text(Scope::Object))),
    }
}

/// 415, naming what is accepted.
pub fn unsupported(accepted: &str) -> Status {
    Status::new(
        415,
        "UnsupportedMediaType",
        format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        ),
    )
}

/// The kinds of patch, by their media types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    Json,
    Merge,
    Strategic,
    ApplyYaml,
}

/// The kind of a patch. Custom resources (`custom`) have no strategic merge, and their own words of refusal.
pub fn patch_type(content_type: Option<&str>, custom: bool) -> Result<PatchType, Status> {
    let media =
        content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media.as_str() {
        "application/json-patch+json" => Ok(PatchType::Json),
        "application/merge-patch+json" => Ok(PatchType::Merge),
        "application/strategic-merge-patch+json" if !custom => Ok(PatchType::Strategic),
        "application/apply-patch+yaml" => Ok(PatchType::ApplyYaml),
        _ if custom => Err(unsupported(
            "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
        )),
        _ => Err(Status::new(415, "UnsupportedMediaType", "415: Unsupported Media Type")
            .with_details(StatusDetails::default())),
    }
}

/// Whether the client takes gzip, and would not rather have the plain bytes. It has to be named: `*` alone is no wish.
pub fn accepts_gzip(accept_encoding: Option<&str>) -> bool {
    let quality = |wanted: &str| {
        accept_encoding.unwrap_or_default().split(',').find_map(|part| {
            let mut fields = part.split(';').map(str::trim);
            fields.next().filter(|coding| coding.eq_ignore_ascii_case(wanted))?;
            let q = fields.find_map(|f| f.strip_prefix("q=").or_else(|| f.strip_prefix("Q=")));
            Some(q.map_or(1.0, |q| q.trim().parse::<f32>().unwrap_or(0.0)))
        })
    };
    let gzip = quality("gzip").unwrap_or(0.0);
    gzip > 0.0 && quality("identity").is_none_or(|identity| identity <= gzip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &str, scope: Scope, expected: &str) {
        let got = match output(Some(accept), scope) {
            Ok(o) => format!("{:?} {:?}", o.encoding, o.form),
            Err(s) => s.message,
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn accept() {
        const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;\
                             g=meta.k8s.io,application/json";
        check("*/*", Scope::Object, "Json Object");
        check("application/yaml", Scope::Object, "Yaml Object");
        check(TABLE, Scope::List, "Json Table(\"v1\")");
        check("application/vnd.kubernetes.protobuf,application/json", Scope::List, "Protobuf Object");
        check("application/json;q=0.1, application/yaml", Scope::Object, "Yaml Object");
        check(
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
            Scope::Watch,
            "Json Partial(\"v1\", false)",
        );
        check(
            "application/json;as=Nope;g=meta.k8s.io;v=v1",
            Scope::Watch,
            "only the following media types are accepted: application/json, application/yaml, \
             application/vnd.kubernetes.protobuf",
        );
        check(
            "application/yaml;as=Table;g=meta.k8s.io;v=v1",
            Scope::Watch,
            "only the following media types are accepted: application/json;stream=watch, \
             application/vnd.kubernetes.protobuf;stream=watch",
        );
        check(
            "text/plain",
            Scope::Object,
            "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, \
             application/vnd.kubernetes.protobuf",
        );
    }

    #[test]
    fn bodies() {
        assert_eq!(input(None).unwrap(), Encoding::Json);
        assert_eq!(input(Some("application/yaml; charset=utf-8")).unwrap(), Encoding::Yaml);
        assert_eq!(input(Some("text/plain")).unwrap_err().code, 415);
        assert_eq!(
            patch_type(Some("application/json"), false).unwrap_err().message,
            "415: Unsupported Media Type"
        );
        for (header, expected) in [
            ("gzip", true),
            ("deflate, GZIP;q=1.0", true),
            ("gzip;q=0.5, identity;q=0.5", true),
            ("gzip;q=0.001", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("gzip;q=x", false),
            ("gzip;q=0.5, identity", false),
            ("x-gzip, deflate, br", false),
            ("*", false),
            ("", false),
        ] {
            assert_eq!(accepts_gzip(Some(header)), expected, "{header}");
        }
        assert!(!accepts_gzip(None));
    }
}
