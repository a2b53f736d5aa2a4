//! Defaults of custom resource definitions and API services.

use apimachinery::Value;

use super::{at, each, set, set_text, text};

pub(super) fn defaults(kind: &str, value: &mut Value) {
    match kind {
        "CustomResourceDefinition" => definition(value),
        "APIService" => {
            if let Some(service) = value.at_mut(&["spec", "service"]).filter(|v| v.is_object()) {
                set(service, "port", 443);
            }
        }
        _ => {}
    }
}

fn definition(value: &mut Value) {
    let mut stored = value.array_at(&["status", "storedVersions"]).to_vec();
    let spec = at(value, "spec");
    let names = at(spec, "names");
    let kind = text(names, "kind").to_owned();
    if !kind.is_empty() {
        set_text(names, "singular", &kind.to_lowercase());
        set_text(names, "listKind", &format!("{kind}List"));
    }
    set(spec, "conversion", Value::object());
    let conversion = at(spec, "conversion");
    set_text(conversion, "strategy", "None");
    if let Some(service) =
        conversion.at_mut(&["webhook", "clientConfig", "service"]).filter(|v| v.is_object())
    {
        set(service, "port", 443);
    }
    // A version that was ever written stays in the list.
    for version in each(spec, "versions").filter(|v| v.bool_at(&["storage"]) == Some(true)) {
        let name = Value::from(text(version, "name"));
        if !stored.contains(&name) {
            stored.push(name);
        }
    }
    if !stored.is_empty() {
        at(value, "status").set_at(&["storedVersions"], stored);
    }
}
