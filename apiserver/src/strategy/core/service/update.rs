//! What an update may not change of a Service: the first address and family, whatever is added or given up beside them,
//! the class of a load balancer and the port of its health checks.

use apimachinery::{FieldError, Path, Value};

use super::{balancer_class, is_headless};
use crate::alloc::needs_health_check_port;
use crate::strategy::check::Errors;
use crate::values::{string_list, strings, text};

const ONCE_SET: &str = "may not change once set";

pub(super) fn validate(errors: &mut Errors, service: &Value, old: &Value) {
    let spec = Path::new("spec");
    let kind = |service: &Value| text(service, &["spec", "type"]).to_owned();
    let has_name = kind(service) == "ExternalName" || kind(old) == "ExternalName";
    let (now_headless, was_headless) = (is_headless(service), is_headless(old));
    let n_headless = usize::from(now_headless) + usize::from(was_headless);
    if !has_name && n_headless < 2 {
        addresses(errors, service, old, &spec);
    }
    if !has_name && n_headless == 0 {
        families(errors, service, old, &spec);
    }
    let class = |service: &Value| service.at(&["spec", "loadBalancerClass"]).cloned();
    let is_balancer = |service: &Value| kind(service) == "LoadBalancer";
    if is_balancer(service) && is_balancer(old) && class(service) != class(old) {
        let shown = class(service).unwrap_or_default();
        errors.push(FieldError::invalid(&spec.child("loadBalancerClass"), shown, ONCE_SET));
    }
    balancer_class(errors, service.get("spec").unwrap_or(&Value::NULL), &spec, &kind(service));
    let check_port = |service: &Value| service.i64_at(&["spec", "healthCheckNodePort"]).unwrap_or(0);
    if needs_health_check_port(service)
        && needs_health_check_port(old)
        && check_port(service) != check_port(old)
    {
        errors.push(FieldError::forbidden(&spec.child("healthCheckNodePort"), "field is immutable"));
    }
}

/// Whoever gives up the second of two says that one is wanted.
fn single_stack(errors: &mut Errors, service: &Value, spec: &Path, what: &str) {
    let policy = service.at(&["spec", "ipFamilyPolicy"]);
    if policy.and_then(Value::as_str) != Some("SingleStack") {
        let why = format!("must be set to 'SingleStack' when releasing the secondary {what}");
        let shown = policy.cloned().unwrap_or_default();
        errors.push(FieldError::invalid(&spec.child("ipFamilyPolicy"), shown, &why));
    }
}

fn addresses(errors: &mut Errors, service: &Value, old: &Value, spec: &Path) {
    let ips = |service: &Value| string_list(service.at(&["spec", "clusterIPs"]));
    let (now, before) = (ips(service), ips(old));
    let list = spec.child("clusterIPs");
    let mut changed = |at: usize| {
        errors.push(FieldError::invalid(&list.index(at), strings(&now), ONCE_SET));
    };
    if now.len() == before.len() {
        for at in (0..now.len()).filter(|at| now[*at] != before[*at]) {
            changed(at);
        }
        return;
    }
    if let (Some(first), Some(was)) = (now.first(), before.first())
        && first != was
    {
        changed(0);
    }
    if before.len() > now.len() {
        if now.is_empty() {
            let why = "primary clusterIP can not be unset";
            errors.push(FieldError::invalid(&list.index(0), strings(&now), why));
        }
        if now.len() == 1 {
            single_stack(errors, service, spec, "clusterIP");
        }
    }
}

fn families(errors: &mut Errors, service: &Value, old: &Value, spec: &Path) {
    let list = |service: &Value, key: &str| string_list(service.at(&["spec", key]));
    let (now, before) = (list(service, "ipFamilies"), list(old, "ipFamilies"));
    let ips = list(service, "clusterIPs");
    let first = spec.child("ipFamilies").index(0);
    // Another family in the place of one is told where the address does not fit it.
    if now.len() == before.len() {
        return;
    }
    if before.len() > now.len() && ips.is_empty() {
        errors.push(FieldError::invalid(&first, strings(&now), "primary ipFamily can not be unset"));
    }
    if let (Some(is), Some(was)) = (now.first(), before.first())
        && is != was
    {
        // Upstream shows the addresses here.
        errors.push(FieldError::invalid(&first, strings(&ips), ONCE_SET));
    }
    if before.len() > now.len() && now.len() == 1 {
        single_stack(errors, service, spec, "ipFamily");
    }
}
