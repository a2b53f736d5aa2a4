//! The patch from one object to another makes the other: strategic and JSON merge patches, of every struct type and so of
//! every list with a merge key, with random values nested in them.

use std::collections::BTreeSet;

use apimachinery::patch::{merge, strategic};
use apimachinery::schema::{Field, Type, TypeKind, TypeRef};
use apimachinery::{Object, Value};
use kinds::Registry;

use crate::generate::{Generator, cases, merges};

/// How a field merges.
struct Rule<'t> {
    /// Of a list: of its elements.
    ty: Option<&'t TypeRef>,
    field: Option<&'t Field>,
}

impl<'t> Rule<'t> {
    fn of(ty: Option<&'t Type>, name: &str) -> Self {
        let (field, of) = match ty.map(|ty| &ty.kind) {
            Some(TypeKind::Struct(body)) => (body.field(name), body.field(name).map(|field| field.ty.get())),
            Some(TypeKind::Map { value, .. }) => (None, Some(value.get())),
            _ => (None, None),
        };
        let ty = of.map(|ty| match &ty.kind {
            TypeKind::List(list) => list.element.get(),
            _ => ty,
        });
        Self { ty, field }
    }

    fn says(&self, word: &str) -> bool {
        self.field.is_some_and(|field| field.patch_strategy.split(',').any(|said| said == word))
    }
}

/// Makes strategic patches, and remembers the lists that it met.
#[derive(Default)]
struct Strategic {
    lists: BTreeSet<(String, String)>,
}

fn keys(object: &Object) -> Value {
    object.keys().map(Value::from).collect::<Vec<_>>().into()
}

impl Strategic {
    fn objects(&mut self, ty: Option<&Type>, old: &Object, new: &Object) -> Object {
        let mut patch = Object::new();
        for key in old.keys().filter(|key| !new.contains_key(key)) {
            patch.insert(key, Value::NULL);
        }
        for (key, wanted) in new.iter() {
            let rule = Rule::of(ty, key);
            let Some(found) = old.get(key) else {
                patch.insert(key, wanted.clone());
                continue;
            };
            if found == wanted {
                continue;
            }
            match (found.as_object(), wanted.as_object(), found.as_array(), wanted.as_array()) {
                (Some(found), Some(wanted), ..) if !rule.says("replace") => {
                    let mut inner = self.objects(rule.ty.map(|ty| &**ty), found, wanted);
                    if rule.says("retainKeys") {
                        inner.insert("$retainKeys", keys(wanted));
                    }
                    patch.insert(key, inner);
                }
                (_, _, Some(found), Some(wanted)) if rule.says("merge") => {
                    let owner = ty.map(|ty| ty.name.clone()).unwrap_or_default();
                    self.lists.insert((owner, key.to_owned()));
                    self.lists_of(&rule, key, found, wanted, &mut patch);
                }
                _ => {
                    patch.insert(key, wanted.clone());
                }
            }
        }
        patch
    }

    fn lists_of(&mut self, rule: &Rule<'_>, name: &str, old: &[Value], new: &[Value], patch: &mut Object) {
        let key = rule.field.map_or("", |field| field.patch_merge_key.as_str());
        let mut changes = Vec::new();
        if key.is_empty() {
            let gone: Vec<Value> = old.iter().filter(|item| !new.contains(item)).cloned().collect();
            if !gone.is_empty() {
                patch.insert(&format!("$deleteFromPrimitiveList/{name}"), gone);
            }
            changes.extend(new.iter().filter(|item| !old.contains(item)).cloned());
            patch.insert(&format!("$setElementOrder/{name}"), new.to_vec());
        } else {
            let id = |item: &Value| item.get(key).expect("an element has its key").clone();
            for wanted in new {
                let Some(found) = old.iter().find(|item| id(item) == id(wanted)) else {
                    changes.push(wanted.clone());
                    continue;
                };
                if found == wanted {
                    continue;
                }
                let (found, wanted) = (found.as_object().expect("keyed"), wanted.as_object().expect("keyed"));
                let mut change = self.objects(rule.ty.map(|ty| &**ty), found, wanted);
                change.insert(key, wanted.get(key).expect("an element has its key").clone());
                if rule.says("retainKeys") {
                    change.insert("$retainKeys", keys(wanted));
                }
                changes.push(change.into());
            }
            let named = |item: &Value| {
                let mut named = Object::new();
                named.insert(key, id(item));
                named
            };
            for item in old.iter().filter(|item| new.iter().all(|other| id(other) != id(item))) {
                let mut gone = named(item);
                gone.insert("$patch", "delete");
                changes.push(gone.into());
            }
            let order: Vec<Value> = new.iter().map(|item| named(item).into()).collect();
            patch.insert(&format!("$setElementOrder/{name}"), order);
        }
        if !changes.is_empty() {
            patch.insert(name, changes);
        }
    }
}

/// The JSON merge patch.
fn merge_patch(old: &Object, new: &Object) -> Object {
    let mut patch = Object::new();
    for key in old.keys().filter(|key| !new.contains_key(key)) {
        patch.insert(key, Value::NULL);
    }
    for (key, wanted) in new.iter() {
        let found = old.get(key);
        match (found.and_then(Value::as_object), wanted.as_object()) {
            _ if found == Some(wanted) => {}
            (Some(found), Some(wanted)) => {
                patch.insert(key, merge_patch(found, wanted));
            }
            _ => {
                patch.insert(key, wanted.clone());
            }
        }
    }
    patch
}

fn shown(name: &str, old: &Value, patch: &Value) -> String {
    format!("{name}: {} + {}", old.to_json_string(), patch.to_json_string())
}

#[test]
fn the_patch_from_one_object_to_another_makes_it() {
    let registry = Registry::builtin();
    let (mut strategic, mut wanted) = (Strategic::default(), BTreeSet::new());
    let (mut n_cases, mut n_different) = (0, 0);
    for (at, name) in registry.type_names().enumerate() {
        let ty = registry.type_named(name).expect("it was just named");
        let TypeKind::Struct(body) = &ty.kind else { panic!("{name} is no struct") };
        let lists: Vec<_> = body.fields.iter().filter(|field| merges(field)).collect();
        wanted.extend(lists.iter().map(|field| (name.to_owned(), field.name.clone())));
        for case in 0..cases(if lists.is_empty() { 2 } else { 40 }) {
            let mut generator = Generator::new(at as u64 * 10_000 + case, false);
            let old = generator.value(&ty);
            let new = generator.changed(&ty, &old, 0);
            n_cases += 1;
            n_different += u64::from(old != new);
            let (from, to) = (old.as_object().expect("a struct"), new.as_object().expect("a struct"));
            let patch: Value = strategic.objects(Some(&ty), from, to).into();
            let mut result = old.clone();
            let outcome = strategic::apply(&mut result, patch.clone(), &ty);
            assert_eq!(outcome, Ok(()), "{}", shown(name, &old, &patch));
            assert_eq!(result, new, "{}", shown(name, &old, &patch));
            // Doing it again changes nothing.
            strategic::apply(&mut result, patch.clone(), &ty).expect("it was applied before");
            assert_eq!(result, new, "twice {}", shown(name, &old, &patch));

            let patch: Value = merge_patch(from, to).into();
            let mut result = old.clone();
            merge::apply(&mut result, patch.clone());
            assert_eq!(result, new, "{}", shown(name, &old, &patch));
        }
    }
    assert!(n_different * 2 > n_cases, "{n_different} of {n_cases} differ");
    let missed: Vec<_> = wanted.difference(&strategic.lists).collect();
    assert!(missed.is_empty() && wanted.len() > 50, "{} lists, never merged: {missed:?}", wanted.len());
}
