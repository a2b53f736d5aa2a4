//! Conversion between the served versions of built-in kinds. Most versions of a kind have the same shape and only change
//! their `apiVersion`; horizontal pod autoscalers, events, and claims and slices of devices have rules of their own, which
//! lose nothing on the way there and back.
//!
//! Not here: custom resources (their webhooks convert).

use apimachinery::Value;

use crate::registry::{Gvk, split_api_version};

mod autoscaler;
mod devices;
mod event;

pub use autoscaler::{v1_to_v2 as autoscaler_v1_to_v2, v2_to_v1 as autoscaler_v2_to_v1};

/// Converts an object to another version of its kind; normalise the result with that version's type.
#[must_use]
pub fn convert(value: Value, to: &Gvk) -> Value {
    let (group, version) = split_api_version(value.str_at(&["apiVersion"]).unwrap_or_default());
    let (from_group, from_version) = (group.to_owned(), version.to_owned());
    if from_group == to.group && from_version == to.version {
        return value;
    }
    let mut value = match (to.kind.as_str(), from_version.as_str(), to.version.as_str()) {
        ("HorizontalPodAutoscaler", "v1", "v2") => autoscaler_v1_to_v2(value),
        ("HorizontalPodAutoscaler", "v2", "v1") => autoscaler_v2_to_v1(value),
        ("ResourceClaim" | "ResourceClaimTemplate" | "ResourceSlice", from, to)
            if devices::is_old(from) != devices::is_old(to) =>
        {
            devices::convert(value, devices::is_old(to))
        }
        ("Event", ..) if from_group.is_empty() && to.group == "events.k8s.io" => event::rename(value, true),
        ("Event", ..) if from_group == "events.k8s.io" && to.group.is_empty() => event::rename(value, false),
        _ => value,
    };
    value.set_at(&["apiVersion"], to.api_version());
    value
}
