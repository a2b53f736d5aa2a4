//! Which names of a definition are accepted: those that no other definition of its group has.

use std::collections::BTreeSet;

use apimachinery::{Object, Value, go};
use kinds::custom::Names;

use super::conditions::Conditions;
use crate::values::strings;

/// What was decided.
#[derive(Debug, PartialEq)]
pub(super) struct Decision {
    pub(super) accepted: Names,
    /// Reason and message of the refusal that counts: the last.
    pub(super) conflict: Option<(&'static str, String)>,
}

/// Decides on a definition beside the accepted names of others in its group. A name that is taken is not accepted, and what
/// was accepted before stays.
pub(super) fn decide<'a>(definition: &Value, others: impl Iterator<Item = &'a Names>) -> Decision {
    let part = |path: &[&str]| Names::read(definition.at(path).unwrap_or(&Value::NULL));
    let (wanted, mut accepted) = (part(&["spec", "names"]), part(&["status", "acceptedNames"]));
    let (mut resources, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    for names in others {
        resources.extend([names.plural.as_str(), names.singular.as_str()]);
        resources.extend(names.short_names.iter().map(String::as_str));
        kinds.extend([names.kind.as_str(), names.list_kind.as_str()]);
    }
    let mut conflict = None;
    let mut choose = |reason, wanted: &str, accepted: &mut String, used: &BTreeSet<&str>| {
        if wanted != accepted && used.contains(wanted) && !wanted.is_empty() {
            conflict = Some((reason, format!("{} is already in use", go::quote(wanted))));
        } else {
            wanted.clone_into(accepted);
        }
    };
    choose("PluralConflict", &wanted.plural, &mut accepted.plural, &resources);
    choose("SingularConflict", &wanted.singular, &mut accepted.singular, &resources);
    let taken: Vec<String> = wanted
        .short_names
        .iter()
        .filter(|name| !accepted.short_names.contains(name) && resources.contains(name.as_str()))
        .map(|name| format!("{} is already in use", go::quote(name)))
        .collect();
    match taken.as_slice() {
        [] => accepted.short_names.clone_from(&wanted.short_names),
        [one] => conflict = Some(("ShortNamesConflict", one.clone())),
        many => conflict = Some(("ShortNamesConflict", format!("[{}]", many.join(", ")))),
    }
    let mut choose = |reason, wanted: &str, accepted: &mut String| {
        if wanted != accepted && kinds.contains(wanted) && !wanted.is_empty() {
            conflict = Some((reason, format!("{} is already in use", go::quote(wanted))));
        } else {
            wanted.clone_into(accepted);
        }
    };
    choose("KindConflict", &wanted.kind, &mut accepted.kind);
    choose("ListKindConflict", &wanted.list_kind, &mut accepted.list_kind);
    accepted.categories = wanted.categories;
    Decision { accepted, conflict }
}

/// What a decision means for the definition. What is established stays so.
pub(super) fn set_conditions(conditions: &mut Conditions<'_>, decision: &Decision) {
    match &decision.conflict {
        None => {
            conditions.set("NamesAccepted", "True", "NoConflicts", "no conflicts found");
            let message = "the initial names have been accepted";
            conditions.set("Established", "True", "InitialNamesAccepted", message);
        }
        Some((reason, message)) => {
            conditions.set("NamesAccepted", "False", reason, message);
            if !conditions.is_true("Established") {
                conditions.set("Established", "False", "NotAccepted", "not all names are accepted");
            }
        }
    }
}

/// Names as a status has them.
pub(super) fn value(names: &Names) -> Value {
    let mut object = Object::new();
    object.insert("plural", names.plural.as_str());
    for (key, text) in [("singular", &names.singular), ("kind", &names.kind), ("listKind", &names.list_kind)]
    {
        if key == "kind" && !names.short_names.is_empty() {
            object.insert("shortNames", strings(&names.short_names));
        }
        if key == "kind" || !text.is_empty() {
            object.insert(key, text.as_str());
        }
    }
    if !names.categories.is_empty() {
        object.insert("categories", strings(&names.categories));
    }
    object.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(plural: &str, kind: &str, short: &[&str]) -> Names {
        Names {
            plural: plural.into(),
            singular: kind.to_lowercase(),
            kind: kind.into(),
            list_kind: format!("{kind}List"),
            short_names: short.iter().map(|s| (*s).to_owned()).collect(),
            categories: Vec::new(),
        }
    }

    fn definition(wanted: &Names, accepted: Option<&Names>) -> Value {
        let mut definition = Value::object();
        definition.set_at(&["spec", "names"], value(wanted));
        if let Some(accepted) = accepted {
            definition.set_at(&["status", "acceptedNames"], value(accepted));
        }
        definition
    }

    #[test]
    fn free_names_are_accepted() {
        let own = names("foos", "Foo", &["fo"]);
        let other = names("bars", "Bar", &["br"]);
        let decision = decide(&definition(&own, None), [&other].into_iter());
        assert_eq!(decision, Decision { accepted: own, conflict: None });
    }

    #[test]
    fn taken_names_are_refused_and_old_ones_stay() {
        let (old, wanted) = (names("foos", "Foo", &["fo"]), names("foos", "Foo", &["fo", "br"]));
        let other = names("bars", "Bar", &["br"]);
        let decision = decide(&definition(&wanted, Some(&old)), [&other].into_iter());
        assert_eq!(decision.conflict, Some(("ShortNamesConflict", "\"br\" is already in use".into())));
        assert_eq!(decision.accepted, old);
        let decision = decide(&definition(&names("x", "Bar", &[]), None), [&other].into_iter());
        assert_eq!(decision.conflict, Some(("ListKindConflict", "\"BarList\" is already in use".into())));
        assert_eq!(decision.accepted.kind, "");
    }
}
