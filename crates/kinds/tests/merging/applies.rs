//! Laws of server-side apply for random objects of every kind: applying twice is applying once, un-applying restores, what
//! several apply stays until the last of them lets go, and whoever forces has his way.

use std::sync::Arc;

use apimachinery::apply::{Applied, ApplyError, FieldManager, Set};
use apimachinery::schema::{ListType, MapType, Type, TypeKind, TypeRef};
use apimachinery::{Object, Value};
use kinds::{Registry, ResourceInfo};

use crate::OneVersion;
use crate::generate::{Dice, Generator, cases};

/// The metadata that managers own.
const METADATA: [&str; 4] = ["labels", "annotations", "finalizers", "ownerReferences"];

/// A kind under test.
struct Kind {
    info: Arc<ResourceInfo>,
    metadata: TypeRef,
}

impl Kind {
    fn ty(&self) -> &TypeRef {
        self.info.ty.get()
    }

    /// An object of this kind around the members of another.
    fn dress(&self, mut object: Object, metadata: Object) -> Value {
        let mut named = Object::new();
        named.insert("name", "x");
        named.extend(metadata.into_iter().filter(|(key, _)| METADATA.contains(&key.as_str())));
        object.insert("apiVersion", self.info.api_version());
        object.insert("kind", self.info.kind.as_str());
        object.insert("metadata", named);
        object.into()
    }

    fn drawn(&self, generator: &mut Generator) -> Value {
        let object = generator.value(self.ty()).into_object().expect("a kind is a struct");
        let metadata = generator.value(&self.metadata).into_object().expect("a struct");
        self.dress(object, metadata)
    }

    /// As it was but for some changes.
    fn changed(&self, generator: &mut Generator, object: &Value) -> Value {
        let changed = generator.changed(self.ty(), object, 0).into_object().expect("a kind is a struct");
        let metadata = object.get("metadata").expect("an object has metadata");
        let metadata = generator.changed(&self.metadata, metadata, 0).into_object().expect("a struct");
        self.dress(changed, metadata)
    }

    fn nothing(&self) -> Value {
        self.dress(Object::new(), Object::new())
    }

    fn apply(
        &self,
        live: Option<&Value>,
        sent: &Value,
        by: &str,
        force: bool,
    ) -> Result<Applied, ApplyError> {
        let manager = FieldManager {
            api_version: &self.info.api_version(),
            kind: &self.info.kind,
            ty: self.ty(),
            custom: false,
            subresource: "",
            reset: &Set::new(),
            versions: &OneVersion,
            empty: &self.nothing(),
            now: apimachinery::time::parse_time("2026-01-02T03:04:05Z").expect("a time"),
        };
        manager.apply(live, sent, by, force)
    }

    #[track_caller]
    fn applied(&self, live: Option<&Value>, sent: &Value, by: &str) -> Value {
        match self.apply(live, sent, by, false) {
            Ok(applied) => applied.object,
            Err(error) => panic!("{}: {error} {}", self.info.kind, sent.to_json_string()),
        }
    }

    #[track_caller]
    fn forced(&self, live: &Value, sent: &Value, by: &str) -> Value {
        self.apply(Some(live), sent, by, true).expect("force has no conflicts").object
    }
}

/// Without nulls and what is empty, and without who owns it.
fn bare(value: &Value) -> Option<Value> {
    if let Some(object) = value.as_object() {
        let members = object.iter().filter(|(key, _)| *key != "managedFields");
        let kept: Object =
            members.filter_map(|(key, member)| Some((key.to_owned(), bare(member)?))).collect();
        return (!kept.is_empty()).then(|| kept.into());
    }
    if let Some(items) = value.as_array() {
        let kept: Vec<Value> = items.iter().filter_map(bare).collect();
        return (!kept.is_empty()).then(|| kept.into());
    }
    (!value.is_null()).then(|| value.clone())
}

/// The same with members and lists in one order: who applies a list says how it is ordered.
fn sorted(value: &Value) -> Value {
    if let Some(object) = value.as_object() {
        return object.sorted().into_iter().map(|(key, member)| (key, sorted(member))).collect();
    }
    let Some(items) = value.as_array() else { return value.clone() };
    let mut items: Vec<Value> = items.iter().map(sorted).collect();
    items.sort_by_key(Value::to_json_string);
    items.into()
}

fn managers(object: &Value) -> String {
    object.at(&["metadata", "managedFields"]).map(Value::to_json_string).unwrap_or_default()
}

/// Whether apply takes a value of the type as a whole.
fn is_leaf(ty: &Type) -> bool {
    match &ty.kind {
        TypeKind::Scalar(_) | TypeKind::Any => true,
        TypeKind::Struct(body) => body.atomic,
        TypeKind::Map { list_type, .. } => *list_type == MapType::Atomic,
        TypeKind::List(list) => list.list_type == ListType::Atomic,
    }
}

/// Some of `theirs`, as it is, and what `wanted` has beside it: nothing in the result contradicts `theirs`.
fn beside(dice: &mut Dice, ty: &Type, theirs: Option<&Value>, wanted: &Value) -> Option<Value> {
    let Some(theirs) = theirs else { return Some(wanted.clone()) };
    if is_leaf(ty) {
        return dice.one_in(2).then(|| theirs.clone());
    }
    if let Some(wanted) = wanted.as_object() {
        let mut object = Object::new();
        for (key, member) in wanted.iter() {
            let below = match &ty.kind {
                TypeKind::Struct(body) => body.field(key).expect("drawn from the type").ty.get(),
                TypeKind::Map { value, .. } => value.get(),
                _ => panic!("{} is no object", ty.name),
            };
            if let Some(member) = beside(dice, below, theirs.get(key), member) {
                object.insert(key, member);
            }
        }
        return (!object.is_empty()).then(|| object.into());
    }
    let TypeKind::List(list) = &ty.kind else { panic!("{} is no list", ty.name) };
    let keys: Vec<&str> = match &list.list_type {
        ListType::Map(keys) => keys.iter().map(|key| key.name.as_str()).collect(),
        _ => Vec::new(),
    };
    let same = |a: &Value, b: &Value| {
        if keys.is_empty() { a == b } else { keys.iter().all(|key| a.get(key) == b.get(key)) }
    };
    let wanted = wanted.as_array().expect("drawn from the type");
    let theirs = theirs.as_array().expect("drawn from the type");
    let mut items = Vec::new();
    for item in theirs {
        let Some(other) = wanted.iter().find(|other| same(item, other)) else { continue };
        let mut shared = match is_leaf(list.element.get()) {
            true => item.clone(),
            false => beside(dice, list.element.get(), Some(item), other).unwrap_or_else(Value::object),
        };
        for key in &keys {
            shared.set_at(&[key], item.get(key).expect("an element has its keys").clone());
        }
        items.push(shared);
    }
    items.extend(wanted.iter().filter(|item| theirs.iter().all(|other| !same(item, other))).cloned());
    (!items.is_empty()).then(|| items.into())
}

/// Calls `check` with each kind, some objects of it and what else to draw.
fn each_object(seed: u64, n: u64, mut check: impl FnMut(&Kind, &Value, &mut Generator)) {
    let registry = Registry::builtin();
    let metadata = registry.type_named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta").expect("metav1");
    let mut n_kinds = 0;
    for (at, info) in registry.resources().iter().enumerate() {
        let kind = Kind { info: Arc::clone(info), metadata: Arc::clone(&metadata) };
        n_kinds += 1;
        for case in 0..cases(n) {
            let mut generator = Generator::new(seed + at as u64 * 10_000 + case, false);
            let object = kind.drawn(&mut generator);
            check(&kind, &object, &mut generator);
        }
    }
    assert!(n_kinds > 80, "{n_kinds}");
}

#[test]
fn applying_twice_is_applying_once() {
    each_object(1, 6, |kind, object, _| {
        let once = kind.applied(None, object, "a");
        assert_eq!(bare(&once), bare(object), "{}", kind.info.kind);
        let twice = kind.apply(Some(&once), object, "a", false).expect("nobody else owns anything");
        assert!(!twice.changed && twice.object == once, "{}: {}", kind.info.kind, object.to_json_string());
        let without = kind.applied(Some(&once), &kind.nothing(), "a");
        assert_eq!(bare(&without), bare(&kind.nothing()), "{}: {}", kind.info.kind, object.to_json_string());
    });
}

#[test]
fn unapplying_restores_what_was_there_before() {
    let (mut n_shared, mut n_cases) = (0, 0);
    each_object(2, 6, |kind, object, generator| {
        let one = kind.applied(None, object, "a");
        let drawn = match generator.dice.one_in(2) {
            true => kind.drawn(generator),
            false => kind.changed(generator, object),
        };
        let other = beside(&mut generator.dice, kind.ty(), Some(object), &drawn);
        let mut other = other.and_then(Value::into_object).unwrap_or_default();
        let metadata = other.remove("metadata").and_then(Value::into_object).unwrap_or_default();
        let other = kind.dress(other, metadata);
        let told =
            || format!("{}: {} and {}", kind.info.kind, object.to_json_string(), other.to_json_string());
        let both = kind.applied(Some(&one), &other, "b");
        assert_eq!(kind.applied(Some(&both), &other, "b"), both, "{}", told());
        let without = kind.applied(Some(&both), &kind.nothing(), "b");
        assert_eq!(bare(&without), bare(&one), "{}", told());
        assert_eq!(managers(&without), managers(&one), "{}", told());
        // What both apply stays when either lets go.
        let theirs = kind.applied(Some(&both), &kind.nothing(), "a");
        assert_eq!(bare(&theirs).map(|v| sorted(&v)), bare(&other).map(|v| sorted(&v)), "{}", told());
        n_cases += 1;
        n_shared += u32::from(bare(&other) != bare(&kind.nothing()));
    });
    assert!(n_shared * 2 > n_cases, "{n_shared} of {n_cases}");
}

#[test]
fn conflicts_are_refused_or_forced() {
    let mut n_conflicts = 0;
    each_object(3, 6, |kind, object, generator| {
        let one = kind.applied(None, object, "a");
        let other = kind.changed(generator, object);
        let told =
            || format!("{}: {} and {}", kind.info.kind, object.to_json_string(), other.to_json_string());
        match kind.apply(Some(&one), &other, "b", false) {
            Ok(_) => {}
            Err(ApplyError::Conflicts(conflicts)) => {
                n_conflicts += 1;
                assert!(!conflicts.is_empty(), "{}", told());
                for conflict in &conflicts {
                    assert!(conflict.manager.to_string().starts_with("\"a\""), "{conflict:?} {}", told());
                }
            }
            Err(error) => panic!("{error} {}", told()),
        }
        let forced = kind.forced(&one, &other, "b");
        let again = kind.apply(Some(&forced), &other, "b", false).expect("all of it is b's");
        assert!(!again.changed && again.object == forced, "{}", told());
        // The first one forces back, the other lets go: all is as it was.
        let back = kind.forced(&forced, object, "a");
        let back = kind.applied(Some(&back), &kind.nothing(), "b");
        assert_eq!(bare(&back).map(|v| sorted(&v)), bare(&one).map(|v| sorted(&v)), "{}", told());
    });
    assert!(n_conflicts > 200, "{n_conflicts}");
}
