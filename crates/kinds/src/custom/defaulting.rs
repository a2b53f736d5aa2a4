//! Defaults of a structural schema: for fields that are absent, or null where null may not be. Other such nulls are
//! dropped.

use apimachinery::Value;

use super::schema::Schema;

/// Drops nulls and sets defaults, from the top down: a default's own fields get theirs too.
pub(super) fn apply(schema: &Schema, value: &mut Value) {
    walk(schema, value, false);
}

/// Sets defaults. Nulls where none may be stay, to be refused.
pub(super) fn keep_nulls(schema: &Schema, value: &mut Value) {
    walk(schema, value, true);
}

fn walk(schema: &Schema, value: &mut Value, nulls: bool) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|key, member| {
            nulls
                || !schema.properties.get(key).is_some_and(|p| p.default.is_none() && p.wrongly_null(member))
        });
        for (key, property) in &schema.properties {
            let Some(default) = &property.default else { continue };
            if object.get(key).is_none_or(|found| property.wrongly_null(found)) {
                object.insert(key, default.clone());
            }
        }
        for (key, member) in object.iter_mut() {
            let Some(below) = schema.below(key) else { continue };
            fill(below, member);
            walk(below, member, nulls);
        }
    } else if let (Some(items), Some(element)) = (value.as_array_mut(), &schema.items) {
        for item in items {
            fill(element, item);
            walk(element, item, nulls);
        }
    }
}

fn fill(schema: &Schema, value: &mut Value) {
    if schema.wrongly_null(value)
        && let Some(default) = &schema.default
    {
        *value = default.clone();
    }
}
