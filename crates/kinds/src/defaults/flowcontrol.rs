//! Defaults of priority and fairness.

use apimachinery::Value;

use super::{at, has, set};

pub(super) fn defaults(kind: &str, value: &mut Value) {
    let spec = at(value, "spec");
    match kind {
        "FlowSchema" if spec.get("matchingPrecedence").and_then(Value::as_i64).unwrap_or(0) == 0 => {
            spec.set_at(&["matchingPrecedence"], 1000);
        }
        "PriorityLevelConfiguration" => {
            if has(spec, "exempt") {
                let exempt = at(spec, "exempt");
                set(exempt, "nominalConcurrencyShares", 0);
                set(exempt, "lendablePercent", 0);
            }
            if has(spec, "limited") {
                limited(at(spec, "limited"));
            }
        }
        _ => {}
    }
}

fn limited(limited: &mut Value) {
    set(limited, "nominalConcurrencyShares", 30);
    set(limited, "lendablePercent", 0);
    let response = at(limited, "limitResponse");
    if has(response, "queuing") {
        let queuing = at(response, "queuing");
        // Zero means unset: these are plain numbers in Go.
        for (key, default) in [("queues", 64), ("handSize", 8), ("queueLengthLimit", 50)] {
            if queuing.get(key).and_then(Value::as_i64).unwrap_or(0) == 0 {
                queuing.set_at(&[key], default);
            }
        }
    }
}
