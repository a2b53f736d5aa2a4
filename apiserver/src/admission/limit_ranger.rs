//! LimitRanger: the LimitRanges of a namespace give containers what they do not ask for themselves, and refuse pods and
//! claims that ask for too little or too much. Mirrors upstream's plugin; a pod's update is looked at only when it
//! resizes.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{Quantity, Status, Value};
use futures::future::BoxFuture;

use super::{forbidden, is_main};
use crate::seams::{Admission, AdmissionRequest, Objects, Operation};
use crate::strategy::check::{members, quantity};
use crate::values::text;

const ANNOTATION: [&str; 3] = ["metadata", "annotations", "kubernetes.io/limit-ranger"];

/// Amounts by the name of what is asked for.
type Amounts = BTreeMap<String, Quantity>;

#[derive(Debug)]
pub struct LimitRanger {
    objects: Arc<dyn Objects>,
}

impl LimitRanger {
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }

    fn ranges(&self, request: &AdmissionRequest<'_>) -> Vec<Arc<Value>> {
        self.objects.list("", "limitranges", request.namespace)
    }

    fn check(&self, request: &AdmissionRequest<'_>) -> Result<(), Status> {
        for range in self.ranges(request) {
            let mut problems = Vec::new();
            for limit in range.array_at(&["spec", "limits"]) {
                match (request.resource, text(limit, &["type"])) {
                    ("pods", kind @ "Container") => {
                        for list in ["containers", "initContainers"] {
                            for container in request.object.array_at(&["spec", list]) {
                                let (requests, limits) = resources(container);
                                outside(&mut problems, limit, kind, &requests, &limits);
                            }
                        }
                    }
                    ("pods", kind @ "Pod") => {
                        let spec = request.object.get("spec").unwrap_or(&Value::NULL);
                        let (requests, limits) = (of_pod(spec, "requests"), of_pod(spec, "limits"));
                        outside(&mut problems, limit, kind, &requests, &limits);
                    }
                    ("persistentvolumeclaims", kind @ "PersistentVolumeClaim") => {
                        let spec = request.object.get("spec").unwrap_or(&Value::NULL);
                        outside_claim(&mut problems, limit, kind, &resources(spec).0);
                    }
                    _ => {}
                }
            }
            let why = match problems.as_slice() {
                [] => continue,
                [one] => one.clone(),
                several => format!("[{}]", several.join(", ")),
            };
            return Err(forbidden(request, &why));
        }
        Ok(())
    }
}

impl Admission for LimitRanger {
    fn name(&self) -> &'static str {
        "LimitRanger"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        let resized =
            request.resource == "pods" && request.group.is_empty() && request.subresource == "resize";
        resized
            || is_main(request, "", "pods", &[Operation::Create])
            || is_main(request, "", "persistentvolumeclaims", &[Operation::Create, Operation::Update])
    }

    fn admit<'a>(&'a self, request: &'a mut AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        if request.resource == "pods" && request.subresource.is_empty() {
            for range in self.ranges(request) {
                fill_pod(request.object, &range);
            }
        }
        Box::pin(async { Ok(()) })
    }

    fn validate<'a>(&'a self, request: &'a AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        // What is on its way out may go.
        let going = request.old.is_some_and(|old| apimachinery::meta::deletion_timestamp(old).is_some());
        let outcome = if going { Ok(()) } else { self.check(request) };
        Box::pin(async move { outcome })
    }
}

fn amounts(value: Option<&Value>) -> Amounts {
    members(value).into_iter().filter_map(|(k, v)| Some((k.to_owned(), quantity(Some(v))?))).collect()
}

/// Requests and limits of a container, or of anything with `resources`.
fn resources(value: &Value) -> (Amounts, Amounts) {
    (amounts(value.at(&["resources", "requests"])), amounts(value.at(&["resources", "limits"])))
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let total = sum.get(name).map_or(*amount, |have| *have + *amount);
        sum.insert(name.clone(), total);
    }
}

/// What a whole pod asks for: its containers together, or an init container that needs more; what the pod says of itself
/// goes before.
fn of_pod(spec: &Value, kind: &str) -> Amounts {
    let own = |container: &Value| amounts(container.at(&["resources", kind]));
    let mut sum = Amounts::new();
    for container in spec.array_at(&["containers"]) {
        add(&mut sum, &own(container));
    }
    let (mut sidecars, mut most) = (Amounts::new(), Amounts::new());
    for container in spec.array_at(&["initContainers"]) {
        let mut need = own(container);
        if text(container, &["restartPolicy"]) == "Always" {
            add(&mut sum, &need);
            add(&mut sidecars, &need);
            need = sidecars.clone();
        } else {
            add(&mut need, &sidecars);
        }
        for (name, amount) in need {
            if most.get(&name).is_none_or(|have| *have < amount) {
                most.insert(name, amount);
            }
        }
    }
    for (name, amount) in most {
        if sum.get(&name).is_none_or(|have| *have < amount) {
            sum.insert(name, amount);
        }
    }
    sum.extend(amounts(spec.at(&["resources", kind])));
    sum
}

/// Gives the containers of a pod what they do not ask for, and notes it on the pod.
fn fill_pod(pod: &mut Value, range: &Value) {
    let mut notes = Vec::new();
    let limits: Vec<&Value> = range
        .array_at(&["spec", "limits"])
        .iter()
        .filter(|limit| text(limit, &["type"]) == "Container")
        .collect();
    for (list, what) in [("containers", "container"), ("initContainers", "init container")] {
        let containers = pod.at_mut(&["spec", list]).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            for (kind, defaults) in [("requests", "defaultRequest"), ("limits", "default")] {
                let mut set = Vec::new();
                for limit in &limits {
                    for (name, amount) in members(limit.get(defaults)) {
                        let path = ["resources", kind, name];
                        // Of several limits of a range the last counts.
                        if container.at(&path).is_none() || set.contains(&name.to_owned()) {
                            container.set_at(&path, amount.clone());
                            if !set.contains(&name.to_owned()) {
                                set.push(name.to_owned());
                            }
                        }
                    }
                }
                if !set.is_empty() {
                    set.sort();
                    let kind = kind.trim_end_matches('s');
                    let name = text(container, &["name"]);
                    notes.push(format!("{} {kind} for {what} {name}", set.join(", ")));
                }
            }
        }
    }
    if !notes.is_empty() {
        pod.set_at(&ANNOTATION, format!("LimitRanger plugin set: {}", notes.join("; ")));
    }
}

/// What of a container or pod is outside of a limit.
fn outside(problems: &mut Vec<String>, limit: &Value, kind: &str, requests: &Amounts, limits: &Amounts) {
    for (name, least) in amounts(limit.get("min")) {
        let lead = format!("minimum {name} usage per {kind} is {least}");
        match (requests.get(&name), limits.get(&name)) {
            (None, _) => problems.push(format!("{lead}.  No request is specified")),
            (Some(have), _) if *have < least => problems.push(format!("{lead}, but request is {have}")),
            (_, Some(have)) if *have < least => problems.push(format!("{lead}, but limit is {have}")),
            _ => {}
        }
    }
    for (name, most) in amounts(limit.get("max")) {
        let lead = format!("maximum {name} usage per {kind} is {most}");
        match (limits.get(&name), requests.get(&name)) {
            (None, _) => problems.push(format!("{lead}.  No limit is specified")),
            (Some(have), _) if *have > most => problems.push(format!("{lead}, but limit is {have}")),
            (_, Some(have)) if *have > most => problems.push(format!("{lead}, but request is {have}")),
            _ => {}
        }
    }
    for (name, most) in amounts(limit.get("maxLimitRequestRatio")) {
        let lead = format!("{name} max limit to request ratio per {kind} is {most}");
        let given = |list: &Amounts| list.get(&name).filter(|amount| !amount.is_zero()).map(Quantity::as_f64);
        match (given(requests), given(limits)) {
            (None, _) => {
                problems.push(format!("{lead}, but no request is specified or request is 0"));
            }
            (_, None) => problems.push(format!("{lead}, but no limit is specified or limit is 0")),
            (Some(request), Some(limit)) if limit / request > most.as_f64() => {
                problems.push(format!("{lead}, but provided ratio is {:.6}", limit / request));
            }
            _ => {}
        }
    }
}

/// What of a claim is outside of a limit.
fn outside_claim(problems: &mut Vec<String>, limit: &Value, kind: &str, requests: &Amounts) {
    for (bound, word) in [("min", "minimum"), ("max", "maximum")] {
        for (name, enforced) in amounts(limit.get(bound)) {
            let lead = format!("{word} {name} usage per {kind} is {enforced}");
            match requests.get(&name) {
                None => problems.push(format!("{lead}.  No request is specified")),
                Some(have)
                    if (bound == "min" && *have < enforced) || (bound == "max" && *have > enforced) =>
                {
                    problems.push(format!("{lead}, but request is {have}"));
                }
                Some(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::testing::yaml;
    use expect_test::{Expect, expect};

    const RANGE: &str = "spec: {limits: [{type: Container, max: {cpu: '2'}, min: {memory: 64Mi}, default: {cpu: '1'}, \
                         defaultRequest: {cpu: 500m, memory: 128Mi}, maxLimitRequestRatio: {cpu: '3'}}]}";

    #[track_caller]
    fn check_filled(pod: &str, expected: Expect) {
        let mut pod = yaml(pod);
        fill_pod(&mut pod, &yaml(RANGE));
        expected.assert_eq(&pod.to_yaml());
    }

    #[track_caller]
    fn check_outside(container: &str, expected: &[&str]) {
        let range = yaml(RANGE);
        let (requests, limits) = resources(&yaml(container));
        let mut problems = Vec::new();
        outside(&mut problems, &range.array_at(&["spec", "limits"])[0], "Container", &requests, &limits);
        assert_eq!(problems, expected);
    }

    #[test]
    fn what_is_not_asked_for_is_given() {
        check_filled(
            "spec: {containers: [{name: a}, {name: b, resources: {limits: {cpu: '2'}, requests: {cpu: '2', memory: 1Gi}}}]}",
            expect![[r#"
                metadata:
                  annotations:
                    kubernetes.io/limit-ranger: "LimitRanger plugin set: cpu, memory request for container a; cpu limit for container a"
                spec:
                  containers:
                  - name: a
                    resources:
                      limits:
                        cpu: "1"
                      requests:
                        cpu: 500m
                        memory: 128Mi
                  - name: b
                    resources:
                      limits:
                        cpu: "2"
                      requests:
                        cpu: "2"
                        memory: 1Gi
            "#]],
        );
    }

    #[test]
    fn too_little_and_too_much() {
        check_outside("resources: {requests: {cpu: 500m, memory: 1Gi}, limits: {cpu: '1'}}", &[]);
        check_outside(
            "resources: {requests: {cpu: 500m, memory: 1Mi}, limits: {cpu: '3'}}",
            &[
                "minimum memory usage per Container is 64Mi, but request is 1Mi",
                "maximum cpu usage per Container is 2, but limit is 3",
                "cpu max limit to request ratio per Container is 3, but provided ratio is 6.000000",
            ],
        );
        check_outside(
            "resources: {}",
            &[
                "minimum memory usage per Container is 64Mi.  No request is specified",
                "maximum cpu usage per Container is 2.  No limit is specified",
                "cpu max limit to request ratio per Container is 3, but no request is specified or request is 0",
            ],
        );
    }

    #[test]
    fn init_containers_count_where_they_need_more() {
        let spec = yaml(
            "{containers: [{resources: {requests: {cpu: '1'}}}, {resources: {requests: {cpu: '1'}}}], initContainers: \
             [{restartPolicy: Always, resources: {requests: {cpu: '1'}}}, {resources: {requests: {cpu: '4'}}}]}",
        );
        assert_eq!(of_pod(&spec, "requests")["cpu"].to_string(), "5");
    }
}
