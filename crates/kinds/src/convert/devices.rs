//! Claims and slices of `resource.k8s.io/v1beta1`, whose later versions moved fields: an exact request into a struct of
//! its own, a device out of its `basic` one. Mirrors upstream's conversion to and from the internal types.

use apimachinery::{Object, Value};

/// What a request of v1beta1 says of the one device that it is for.
const EXACT: [&str; 7] =
    ["deviceClassName", "selectors", "allocationMode", "count", "adminAccess", "tolerations", "capacity"];

/// Whether a version is the one with the old shape.
pub(super) fn is_old(version: &str) -> bool {
    version == "v1beta1"
}

/// An object of one of the kinds; `old` is the shape that it is to have.
pub(super) fn convert(value: Value, old: bool) -> Value {
    match value.str_at(&["kind"]) {
        Some("ResourceSlice") => slice(value, old),
        _ => claim(value, old),
    }
}

/// A ResourceClaim or ResourceClaimTemplate.
fn claim(mut value: Value, old: bool) -> Value {
    let spec: &[&str] = match value.str_at(&["kind"]) {
        Some("ResourceClaimTemplate") => &["spec", "spec", "devices", "requests"],
        _ => &["spec", "devices", "requests"],
    };
    for request in value.at_mut(spec).and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(request) = request.as_object_mut() else { continue };
        match old {
            true => {
                let exact = request.remove("exactly").and_then(Value::into_object).unwrap_or_default();
                request.extend(exact);
            }
            false => {
                let exact = taken(request, &EXACT);
                if !exact.is_empty() {
                    request.insert("exactly", exact);
                }
            }
        }
    }
    value
}

/// The members that say anything, out of the object.
fn taken(object: &mut Object, names: &[&str]) -> Object {
    let mut taken = Object::new();
    for name in names {
        if let Some(value) =
            object.remove(name).filter(|value| !value.is_null() && value.as_str() != Some(""))
        {
            taken.insert(name, value);
        }
    }
    taken
}

/// A ResourceSlice.
fn slice(mut value: Value, old: bool) -> Value {
    let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) else { return value };
    // The old version has plain fields where the new ones have pointers: what is zero is not there.
    if !old && spec.get("nodeName").and_then(Value::as_str) == Some("") {
        spec.remove("nodeName");
    }
    if !old && spec.get("allNodes").and_then(Value::as_bool) == Some(false) {
        spec.remove("allNodes");
    }
    for device in spec.get_mut("devices").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(members) = device.as_object_mut() else { continue };
        let name = members.remove("name");
        let mut converted = Object::new();
        converted.extend(name.map(|name| ("name", name)));
        match old {
            true => {
                converted.insert("basic", std::mem::take(members));
            }
            false => {
                converted.extend(members.remove("basic").and_then(Value::into_object).unwrap_or_default())
            }
        }
        *device = converted.into();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Gvk;

    #[track_caller]
    fn check(kind: &str, old: &str, new: &str) {
        let both = [("v1beta1", old), ("v1", new)].map(|(version, spec)| {
            let text =
                format!(r#"{{"kind":"{kind}","apiVersion":"resource.k8s.io/{version}","spec":{spec}}}"#);
            Value::from_json(text.as_bytes()).unwrap()
        });
        let [old, new] = &both;
        for (from, to, version) in [(old, new, "v1"), (new, old, "v1beta1"), (new, new, "v1")] {
            let converted =
                crate::convert::convert(from.clone(), &Gvk::new("resource.k8s.io", version, kind));
            assert_eq!(converted.to_json_string(), to.to_json_string(), "{version}");
        }
    }

    #[test]
    fn requests_become_exact_ones() {
        let old = r#"{"devices":{"requests":[{"name":"a","deviceClassName":"c","count":2},{"name":"b","firstAvailable":[{"name":"s"}]}]}}"#;
        let new = r#"{"devices":{"requests":[{"name":"a","exactly":{"deviceClassName":"c","count":2}},{"name":"b","firstAvailable":[{"name":"s"}]}]}}"#;
        check("ResourceClaim", old, new);
        let inside = |spec: &str| format!(r#"{{"metadata":{{}},"spec":{spec}}}"#);
        check("ResourceClaimTemplate", &inside(old), &inside(new));
        check("ResourceClaim", "{}", "{}");
    }

    #[test]
    fn devices_leave_their_wrapper() {
        check(
            "ResourceSlice",
            r#"{"driver":"d","nodeName":"n","devices":[{"name":"a","basic":{"attributes":{"x":{"int":1}}}},{"name":"b","basic":{}}]}"#,
            r#"{"driver":"d","nodeName":"n","devices":[{"name":"a","attributes":{"x":{"int":1}}},{"name":"b"}]}"#,
        );
        let spec = r#"{"kind":"ResourceSlice","apiVersion":"resource.k8s.io/v1beta1","spec":{"nodeName":"","allNodes":false}}"#;
        let spec = Value::from_json(spec.as_bytes()).unwrap();
        assert_eq!(slice(spec, false).get("spec"), Some(&Value::object()));
    }
}
