//! Reads a table's text. A line that it does not understand stops the build with the file and line.

/// A group version.
pub(crate) struct Group {
    /// Empty for the legacy group.
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) package: String,
    /// Place in discovery; `None` for packages that are no served group version.
    pub(crate) order: Option<(u32, u32)>,
    pub(crate) resources: Vec<Resource>,
    pub(crate) types: Vec<TypeBody>,
}

pub(crate) struct Resource {
    pub(crate) plural: String,
    pub(crate) kind: String,
    pub(crate) singular: String,
    /// Group and version of the kind where they are not the group's own.
    pub(crate) of: String,
    pub(crate) stored: String,
    pub(crate) hash: String,
    pub(crate) namespaced: bool,
    pub(crate) served_by_default: bool,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) verbs: Vec<String>,
    pub(crate) subresources: Vec<Subresource>,
}

pub(crate) struct Subresource {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) of: String,
    pub(crate) verbs: Vec<String>,
}

pub(crate) struct TypeBody {
    pub(crate) name: String,
    pub(crate) proto: String,
    pub(crate) atomic: bool,
    /// `discriminator(member,member)`; empty when the type is no union.
    pub(crate) union: String,
    pub(crate) fields: Vec<Field>,
}

#[derive(Default)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) ty: TypeText,
    pub(crate) pointer: bool,
    /// Packed as `schema::Field::proto`.
    pub(crate) proto: u32,
    pub(crate) always: bool,
    pub(crate) omitzero: bool,
    pub(crate) required: bool,
    pub(crate) map_atomic: bool,
    pub(crate) map_granular: bool,
    /// `atomic`, `set`, `map(k1,k2="default")` or empty.
    pub(crate) list: String,
    pub(crate) patch: String,
    pub(crate) merge: String,
    /// JSON text; empty for none.
    pub(crate) default: String,
    /// JSON text of a zero value that OpenAPI shows although the field may be absent; empty for none.
    pub(crate) shows: String,
}

pub(crate) enum TypeText {
    List(Box<TypeText>),
    Map(String, Box<TypeText>),
    Named(String, Box<TypeText>),
    Struct(String),
    Scalar(String),
}

impl Default for TypeText {
    fn default() -> Self {
        Self::Scalar("any".into())
    }
}

pub(crate) struct Feature {
    pub(crate) name: String,
    pub(crate) changes: Vec<Change>,
}

pub(crate) struct Change {
    /// The minor number of the version: 36 for 1.36.
    pub(crate) minor: u32,
    pub(crate) stage: String,
    pub(crate) default: bool,
    pub(crate) locked: bool,
}

const SCALARS: [&str; 13] = [
    "string",
    "bool",
    "int32",
    "int64",
    "float64",
    "bytes",
    "Time",
    "MicroTime",
    "Duration",
    "Quantity",
    "IntOrString",
    "FieldsV1",
    "any",
];

pub(crate) fn parse(file: &str, text: &str) -> Group {
    let mut group = Group {
        name: String::new(),
        version: String::new(),
        package: String::new(),
        order: None,
        resources: Vec::new(),
        types: Vec::new(),
    };
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        line_of(&mut group, line.starts_with("  "), &words)
            .unwrap_or_else(|| panic!("{file}:{}: cannot read {line:?}", number + 1));
    }
    group
}

fn line_of(group: &mut Group, indented: bool, words: &[&str]) -> Option<()> {
    match (indented, words) {
        (false, ["group", name, version, rest @ ..]) => {
            group.name = if *name == "core" { String::new() } else { (*name).into() };
            group.version = (*version).into();
            group.package = option(rest, "package")?.into();
            group.order = match option(rest, "order") {
                Some(order) => {
                    let (major, minor) = order.split_once('.')?;
                    Some((major.parse().ok()?, minor.parse().ok()?))
                }
                None => None,
            };
        }
        (false, ["resource", plural, kind, rest @ ..]) => group.resources.push(Resource {
            plural: (*plural).into(),
            kind: (*kind).into(),
            singular: option(rest, "singular")?.into(),
            of: option(rest, "of").unwrap_or_default().into(),
            stored: option(rest, "stored").unwrap_or_default().into(),
            hash: option(rest, "hash").unwrap_or_default().into(),
            namespaced: option(rest, "scope")? == "Namespaced",
            served_by_default: !rest.contains(&"off-by-default"),
            short_names: list(option(rest, "short")),
            categories: list(option(rest, "categories")),
            verbs: Vec::new(),
            subresources: Vec::new(),
        }),
        (true, ["verbs", verbs]) if group.types.is_empty() => {
            group.resources.last_mut()?.verbs = list(Some(verbs));
        }
        (true, ["sub", name, kind, rest @ ..]) if group.types.is_empty() => {
            group.resources.last_mut()?.subresources.push(Subresource {
                name: (*name).into(),
                kind: (*kind).into(),
                of: option(rest, "of").unwrap_or_default().into(),
                verbs: list(option(rest, "verbs")),
            });
        }
        (false, ["type", name, rest @ ..]) => group.types.push(TypeBody {
            name: (*name).into(),
            proto: option(rest, "proto").unwrap_or_default().into(),
            atomic: rest.contains(&"atomic"),
            union: option(rest, "union").unwrap_or_default().into(),
            fields: Vec::new(),
        }),
        (true, [name, ty, rest @ ..]) => group.types.last_mut()?.fields.push(field(name, ty, rest)?),
        _ => return None,
    }
    Some(())
}

fn field(name: &str, ty: &str, rest: &[&str]) -> Option<Field> {
    let (pointer, ty) = match ty.strip_prefix('*') {
        Some(target) => (true, target),
        None => (false, ty),
    };
    let mut field = Field { name: name.into(), ty: type_text(ty)?, pointer, ..Field::default() };
    for word in rest {
        match word.split_once('=') {
            None if *word == "always" => field.always = true,
            None if *word == "omitzero" => field.omitzero = true,
            None if *word == "required" => field.required = true,
            None => {
                for number in word.split('.') {
                    field.proto = field.proto << 8 | u32::from(number.parse::<u8>().ok()?);
                }
            }
            Some(("list", value)) => field.list = value.into(),
            Some(("map", "atomic")) => field.map_atomic = true,
            Some(("map", "granular")) => field.map_granular = true,
            Some(("patch", value)) => field.patch = value.into(),
            Some(("merge", value)) => field.merge = value.into(),
            Some(("default", value)) => field.default = value.into(),
            Some(("shows", value)) => field.shows = value.into(),
            Some(_) => return None,
        }
    }
    Some(field)
}

fn type_text(text: &str) -> Option<TypeText> {
    // Pointers inside lists and maps make no difference in JSON.
    if let Some(target) = text.strip_prefix('*') {
        return type_text(target);
    }
    if let Some(element) = text.strip_prefix("[]") {
        return Some(TypeText::List(Box::new(type_text(element)?)));
    }
    if let Some(rest) = text.strip_prefix("map[") {
        let (key, value) = rest.split_once(']')?;
        return Some(TypeText::Map(key.into(), Box::new(type_text(value)?)));
    }
    if let Some((name, target)) = text.split_once('=') {
        return Some(TypeText::Named(name.into(), Box::new(type_text(target)?)));
    }
    Some(if SCALARS.contains(&text) { TypeText::Scalar(text.into()) } else { TypeText::Struct(text.into()) })
}

fn option<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

fn list(words: Option<&str>) -> Vec<String> {
    words.map(|w| w.split(',').filter(|w| !w.is_empty()).map(Into::into).collect()).unwrap_or_default()
}

pub(crate) fn parse_features(text: &str) -> Vec<Feature> {
    let mut features: Vec<Feature> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match (line.starts_with("  "), words.as_slice()) {
            (false, [name]) => features.push(Feature { name: (*name).into(), changes: Vec::new() }),
            (true, [version, stage, default, rest @ ..]) => {
                let minor = version.strip_prefix("1.").and_then(|minor| minor.parse().ok());
                let feature = features.last_mut().expect("a state follows its gate");
                feature.changes.push(Change {
                    minor: minor.unwrap_or_else(|| panic!("tables/features: version {version}")),
                    stage: (*stage).into(),
                    default: *default == "on",
                    locked: rest.contains(&"locked"),
                });
            }
            _ => panic!("tables/features: cannot read {line:?}"),
        }
    }
    features
}

/// The print columns of a resource.
pub(crate) struct Columns {
    /// Empty for the legacy group.
    pub(crate) group: String,
    pub(crate) plural: String,
    /// Name, type, format, priority and description (as a JSON string).
    pub(crate) columns: Vec<[String; 5]>,
}

pub(crate) fn parse_columns(text: &str) -> Vec<Columns> {
    let mut tables: Vec<Columns> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(column) = line.strip_prefix("  ") {
            let mut words = column.splitn(5, '|').map(str::to_owned);
            let column =
                std::array::from_fn(|_| words.next().unwrap_or_else(|| panic!("tables/columns: {line:?}")));
            tables.last_mut().expect("columns follow their resource").columns.push(column);
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["columns", group, plural] = words[..] else { panic!("tables/columns: cannot read {line:?}") };
        let group = if group == "core" { "" } else { group };
        tables.push(Columns { group: group.into(), plural: plural.into(), columns: Vec::new() });
    }
    tables
}
