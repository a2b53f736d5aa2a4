//! Defaults of dynamic resource allocation (`resource.k8s.io`).

use apimachinery::Value;

use super::{Context, at, each, has, set, set_text, text};
use crate::scalar::{Moment, format_time};

pub(super) fn defaults(version: &str, kind: &str, value: &mut Value, context: &Context) {
    match kind {
        "ResourceClaim" => {
            claim(version, at(value, "spec"));
            // What was allocated carries the tolerations of its request.
            if let Some(devices) = value.at_mut(&["status", "allocation", "devices"]) {
                each(devices, "results").for_each(tolerations);
            }
        }
        "ResourceClaimTemplate" => claim(version, at(at(value, "spec"), "spec")),
        "ResourceSlice" => {
            for device in each(at(value, "spec"), "devices") {
                // Version v1beta1 keeps a device's description one level deeper.
                match device.get_mut("basic") {
                    Some(basic) => each(basic, "taints").for_each(|taint| time_added(taint, context)),
                    None => each(device, "taints").for_each(|taint| time_added(taint, context)),
                }
            }
        }
        "DeviceTaintRule" => time_added(at(at(value, "spec"), "taint"), context),
        "ResourcePoolStatusRequest" => set(at(value, "spec"), "limit", 100),
        _ => {}
    }
}

fn claim(version: &str, spec: &mut Value) {
    for request in each(at(spec, "devices"), "requests") {
        for sub in each(request, "firstAvailable") {
            device_request(sub);
        }
        if let Some(exactly) = request.get_mut("exactly") {
            device_request(exactly);
        } else if version == "v1beta1" && !has(request, "firstAvailable") {
            // The first version has the one request's fields in place of `exactly`.
            device_request(request);
        }
    }
}

fn device_request(request: &mut Value) {
    if !request.is_object() {
        return;
    }
    set_text(request, "allocationMode", "ExactCount");
    if text(request, "allocationMode") == "ExactCount"
        && request.get("count").and_then(Value::as_i64).unwrap_or(0) == 0
    {
        request.set_at(&["count"], 1);
    }
    tolerations(request);
}

fn tolerations(holder: &mut Value) {
    for toleration in each(holder, "tolerations") {
        set_text(toleration, "operator", "Equal");
    }
}

fn time_added(taint: &mut Value, context: &Context) {
    let now = format_time(Moment { seconds: context.now, nanos: 0 }, false);
    set(taint, "timeAdded", now);
}
