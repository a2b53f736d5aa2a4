//! Laws of strategic merge and of apply, over every list with a merge key, a list type or both that the tables know: the
//! patch from one list to another makes the other, applying twice is applying once, and un-applying restores. Here are
//! short lists in every order; the modules have random objects.

#[path = "merging/applies.rs"]
mod applies;
#[path = "support/generate.rs"]
mod generate;
#[path = "merging/patches.rs"]
mod patches;

use std::sync::Arc;

use apimachinery::apply::{FieldManager, Set, Versions};
use apimachinery::patch::strategic;
use apimachinery::schema::{Field, List, ListType, Scalar, Type, TypeKind, TypeRef};
use apimachinery::{Object, Value};
use kinds::Registry;

/// Orders of up to three items; each is merged into each.
const ORDERS: [&[usize]; 7] = [&[], &[0], &[1], &[0, 1], &[1, 0], &[0, 1, 2], &[2, 0]];

/// Calls `check` with each list field of each type, and says how many there were.
fn each_list(
    wanted: impl Fn(&Field, &List) -> bool,
    mut check: impl FnMut(&TypeRef, &Field, &List),
) -> usize {
    let registry = Registry::builtin();
    let mut n = 0;
    for name in registry.type_names() {
        let ty = registry.type_named(name).unwrap();
        let TypeKind::Struct(body) = &ty.kind else { continue };
        for field in &body.fields {
            let of = Arc::clone(field.ty.get());
            let TypeKind::List(list) = &of.kind else { continue };
            if wanted(field, list) {
                n += 1;
                check(&ty, field, list);
            }
        }
    }
    n
}

fn scalar(ty: &Type, n: usize) -> Value {
    match ty.kind {
        TypeKind::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Float64) => i64::try_from(n).unwrap().into(),
        _ => format!("v{n}").into(),
    }
}

/// The items of a list: scalars, or objects with the keys alone.
fn items(list: &List, keys: &[&str], order: &[usize]) -> Vec<Value> {
    let element = list.element.get();
    let item = |n: usize| match &element.kind {
        TypeKind::Struct(body) => {
            let mut object = Object::new();
            for key in keys {
                object.insert(key, scalar(body.field(key).expect("a key is a field").ty.get(), n));
            }
            object.into()
        }
        _ => scalar(element, n),
    };
    order.iter().map(|n| item(*n)).collect()
}

fn object(members: Vec<(String, Value)>) -> Value {
    members.into_iter().collect()
}

/// The strategic patch that makes `b` of `a`.
fn difference(field: &Field, a: &[Value], b: &[Value]) -> Value {
    let key = field.patch_merge_key.as_str();
    let added = b.iter().filter(|item| !a.contains(item)).cloned();
    let removed = a.iter().filter(|item| !b.contains(item));
    let mut members = Vec::new();
    if key.is_empty() {
        let removed: Vec<Value> = removed.cloned().collect();
        if !removed.is_empty() {
            members.push((format!("$deleteFromPrimitiveList/{}", field.name), removed.into()));
        }
        members.push((field.name.clone(), added.collect::<Vec<_>>().into()));
    } else {
        let deleted = removed.map(|item| {
            object(vec![(key.into(), item.get(key).unwrap().clone()), ("$patch".into(), "delete".into())])
        });
        members.push((field.name.clone(), added.chain(deleted).collect::<Vec<_>>().into()));
    }
    if !b.is_empty() {
        members.push((format!("$setElementOrder/{}", field.name), b.to_vec().into()));
    }
    object(members)
}

#[test]
fn the_patch_to_another_list_makes_it() {
    let merged = |field: &Field, _: &List| field.patch_strategy.split(',').any(|s| s == "merge");
    let n = each_list(merged, |ty, field, list| {
        let keys = [field.patch_merge_key.as_str()];
        for (a, b) in ORDERS.iter().flat_map(|a| ORDERS.iter().map(move |b| (a, b))) {
            let (a, b) = (items(list, &keys, a), items(list, &keys, b));
            let patch = difference(field, &a, &b);
            let mut result = object(vec![(field.name.clone(), a.clone().into())]);
            strategic::apply(&mut result, patch.clone(), ty).unwrap();
            let shown = format!(
                "{}.{}: {} + {}",
                ty.name,
                field.name,
                Value::from(a).to_json_string(),
                patch.to_json_string()
            );
            assert_eq!(result.array_at(&[&field.name]), b, "{shown}");
        }
    });
    assert!(n > 50, "{n}");
}

/// There is one version.
#[derive(Debug)]
pub(crate) struct OneVersion;

impl Versions for OneVersion {
    fn convert(&self, _: &Value, _: &str) -> Option<(Value, TypeRef)> {
        None
    }
}

fn applied(ty: &TypeRef, live: Option<&Value>, field: &Field, items: &[Value], manager: &str) -> Value {
    let typed = |mut members: Vec<(String, Value)>| {
        members.extend([("apiVersion".into(), "v1".into()), ("kind".into(), "Test".into())]);
        object(members)
    };
    let sent = typed(vec![(field.name.clone(), items.to_vec().into())]);
    let manager_of = FieldManager {
        api_version: "v1",
        kind: "Test",
        ty,
        custom: true,
        subresource: "",
        reset: &Set::new(),
        versions: &OneVersion,
        empty: &typed(Vec::new()),
        now: apimachinery::time::parse_time("2026-01-02T03:04:05Z").unwrap(),
    };
    manager_of.apply(live, &sent, manager, false).unwrap().object
}

#[test]
fn applying_twice_is_once_and_unapplying_restores() {
    let merged =
        |field: &Field, list: &List| list.list_type != ListType::Atomic && field.name != "managedFields";
    let registry = Registry::builtin();
    let metadata = registry.type_named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta").unwrap();
    let n = each_list(merged, |ty, field, list| {
        // An object needs metadata, for its managers.
        let mut body = apimachinery::schema::Struct::default();
        for (name, ty) in [("metadata", &metadata), (field.name.as_str(), field.ty.get())] {
            body.by_name.insert(name.to_owned(), body.fields.len());
            body.fields.push(Field {
                name: name.to_owned(),
                ty: apimachinery::schema::Lazy::ready(Arc::clone(ty)),
                required: false,
                pointer: false,
                omitempty: true,
                omitzero: false,
                nullable: false,
                proto: 0,
                patch_strategy: String::new(),
                patch_merge_key: String::new(),
                default: None,
                enum_values: Vec::new(),
            });
        }
        let root = Arc::new(Type { name: ty.name.clone(), kind: TypeKind::Struct(body) });
        let keys: Vec<&str> = match &list.list_type {
            ListType::Map(keys) => keys.iter().map(|key| key.name.as_str()).collect(),
            _ => Vec::new(),
        };
        let shown = format!("{}.{}", ty.name, field.name);
        let of = |order: &[usize]| items(list, &keys, order);
        let once = applied(&root, None, field, &of(&[0, 1]), "a");
        assert_eq!(applied(&root, Some(&once), field, &of(&[0, 1]), "a"), once, "{shown}");
        let both = applied(&root, Some(&once), field, &of(&[1, 2]), "b");
        assert_eq!(both.array_at(&[&field.name]).len(), 3, "{shown}");
        let without = applied(&root, Some(&both), field, &of(&[]), "b");
        assert_eq!(without.array_at(&[&field.name]), once.array_at(&[&field.name]), "{shown}");
    });
    assert!(n > 80, "{n}");
}
