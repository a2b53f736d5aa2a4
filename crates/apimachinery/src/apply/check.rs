//! Whether a value fits its type well enough to be applied, in upstream's words. It is the check of
//! structured-merge-diff, which knows less than decoding does: what passes here may still be refused there.

use super::element::Element;
use super::shape::{Below, item_element};
use crate::schema::{List, ListType, Scalar, Type, TypeKind};
use crate::{Object, Value, go};

/// One problem: where, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Problem {
    path: String,
    text: String,
}

struct Checker {
    path: Vec<String>,
    problems: Vec<Problem>,
    duplicates: bool,
    metadata: Metadata,
}

/// Whether an object's metadata may have fields that are not known, as upstream takes that of custom resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metadata {
    Known,
    Open,
}

/// Checks an object. With `duplicates`, lists may hold several items of the same key, as stored objects may.
pub(super) fn check(ty: &Type, value: &Value, duplicates: bool, metadata: Metadata) -> Result<(), String> {
    let mut checker = Checker { path: Vec::new(), problems: Vec::new(), duplicates, metadata };
    checker.value(Below::Type(ty), value, true);
    let texts: Vec<String> = checker
        .problems
        .into_iter()
        .map(|p| if p.path.is_empty() { p.text } else { format!("{}: {}", p.path, p.text) })
        .collect();
    match texts.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(format!("errors:\n  {}", many.join("\n  "))),
    }
}

impl Checker {
    fn problem(&mut self, text: String) {
        self.problems.push(Problem { path: self.path.concat(), text });
    }

    fn value(&mut self, below: Below<'_>, value: &Value, root: bool) {
        let Below::Type(ty) = below else { return };
        match &ty.kind {
            TypeKind::Scalar(scalar) => self.scalar(*scalar, value),
            TypeKind::Any => {}
            TypeKind::List(list) => match value.as_array() {
                Some(items) => self.list(list, items),
                None if value.is_null() => {}
                None => self.problem(format!("expected list, got &{{{}}}", go::display(value))),
            },
            TypeKind::Struct(_) | TypeKind::Map { .. } => match value.as_object() {
                Some(object) => self.object(ty, object, root),
                None if value.is_null() => {}
                None => self.problem(format!("expected map, got &{{{}}}", go::display(value))),
            },
        }
    }

    fn scalar(&mut self, scalar: Scalar, value: &Value) {
        if value.is_null() {
            return;
        }
        match scalar {
            Scalar::String | Scalar::Bytes | Scalar::Duration if !value.is_string() => {
                self.problem(format!(
                    "expected string, got &value.valueUnstructured{{Value:{}}}",
                    go_syntax(value)
                ));
            }
            Scalar::Int32 | Scalar::Int64 | Scalar::Float64 if !value.is_number() => {
                self.problem(format!("expected numeric (int or float), got {}", go::type_name(value)));
            }
            Scalar::Bool if value.as_bool().is_none() => {
                self.problem(format!("expected boolean, got &{{{}}}", go::display(value)));
            }
            _ => {}
        }
    }

    fn list(&mut self, list: &List, items: &[Value]) {
        let associative = list.list_type != ListType::Atomic;
        let mut seen = std::collections::BTreeSet::new();
        for (i, item) in items.iter().enumerate() {
            let element = if associative {
                match item_element(list, item) {
                    Ok(element) => element,
                    Err(why) => return self.problem(format!("element {i}: {why}")),
                }
            } else {
                Element::Index(i64::try_from(i).unwrap_or(i64::MAX))
            };
            self.path.push(element.to_string());
            self.value(Below::Type(list.element.get()), item, false);
            let shown = self.path.pop().expect("pushed above");
            if associative && !seen.insert(element) && !self.duplicates {
                self.problem(format!("duplicate entries for key {shown}"));
            }
        }
    }

    fn object(&mut self, ty: &Type, object: &Object, root: bool) {
        for (name, value) in object.iter() {
            if root && matches!(name, "apiVersion" | "kind") && value.is_string() {
                continue;
            }
            let below = match &ty.kind {
                TypeKind::Struct(body) => match body.field(name) {
                    Some(field) => Below::Type(field.ty.get()),
                    None if body.preserve_unknown => Below::Deduced,
                    None => Below::Unknown,
                },
                TypeKind::Map { value, .. } => Below::Type(value.get()),
                _ => Below::Deduced,
            };
            self.path.push(format!(".{name}"));
            let open = self.metadata == Metadata::Open
                && matches!(self.path.as_slice(), [first, _] if first == ".metadata");
            if matches!(below, Below::Unknown) && open {
                // Decoding drops it.
            } else if matches!(below, Below::Unknown) {
                self.problem("field not declared in schema".into());
            } else {
                self.value(below, value, false);
            }
            self.path.pop();
        }
    }
}

/// `fmt.Sprintf("%#v", v)` of a value inside an interface.
fn go_syntax(value: &Value) -> String {
    if let Some(object) = value.as_object() {
        let members: Vec<String> =
            object.sorted().into_iter().map(|(k, v)| format!("{}:{}", go::quote(k), go_syntax(v))).collect();
        format!("map[string]interface {{}}{{{}}}", members.join(", "))
    } else if let Some(array) = value.as_array() {
        let items: Vec<String> = array.iter().map(go_syntax).collect();
        format!("[]interface {{}}{{{}}}", items.join(", "))
    } else if let Some(text) = value.as_str() {
        go::quote(text)
    } else if value.is_null() {
        "interface {}(nil)".into()
    } else {
        go::display(value)
    }
}
