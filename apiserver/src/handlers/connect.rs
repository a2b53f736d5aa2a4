//! Connections through the server: pods' log, exec, attach, portforward and proxy, nodes' and services' proxy. This file
//! finds out where a request goes and refuses it in upstream's words; `proxy` carries the bytes.
//!
//! Upgrades are passed through as they are: the kubelet speaks the streaming protocols itself.

use std::sync::Arc;

use apimachinery::{Status, Value, meta};
use http::{HeaderValue, StatusCode, header};

use super::proxy::{self, Destination, Scheme};
use crate::registry::options::field_error;
use crate::response::{Body, Response, bad_request};
use crate::routes::Query;
use crate::seams::Objects;
use crate::server::{ApiServer, Call};

/// The kubelet's port where a node does not say.
const KUBELET_PORT: u16 = 10250;

/// The order in which a node's addresses are tried. Upstream prefers the host's name; ours need no name service.
const ADDRESS_TYPES: [&str; 5] = ["InternalIP", "ExternalIP", "Hostname", "InternalDNS", "ExternalDNS"];

/// Answers a connect subresource.
pub(crate) async fn connect(
    server: &Arc<ApiServer>,
    call: &mut Call,
    body: Body,
) -> Result<Response, Status> {
    server.registry().linearize().await?;
    let objects = server.objects();
    match (call.info.resource.as_str(), call.info.subresource.as_str()) {
        ("pods", "log") => log(server, &*objects, call, body).await,
        ("pods", "exec" | "attach" | "portforward") => stream(server, &*objects, call, body).await,
        (resource, _) => {
            let destination = match resource {
                "pods" => pod_address(&*objects, call)?,
                "nodes" => node_address(&*objects, call)?,
                _ => service_address(server, &*objects, call)?,
            };
            match to_folder(call) {
                Some(response) => Ok(response),
                None => proxy::forward(server, call, body, destination).await,
            }
        }
    }
}

/// Sends on to the same path with a slash at its end, without which links relative to the proxy's root would lead
/// elsewhere. What is to be upgraded goes through as it is.
fn to_folder(call: &Call) -> Option<Response> {
    if !call.info.tail.is_empty() || call.parts.headers.contains_key(header::UPGRADE) {
        return None;
    }
    let uri = &call.parts.uri;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    let location = HeaderValue::from_str(&format!("{}/{query}", uri.path())).ok()?;
    response.headers_mut().insert(header::LOCATION, location);
    Some(response)
}

fn pod(objects: &dyn Objects, call: &Call, name: &str) -> Result<Arc<Value>, Status> {
    objects.get("", "pods", &call.info.namespace, name).ok_or_else(|| Status::not_found("", "pods", name))
}

/// The container that a request means.
fn container(pod: &Value, wanted: &str) -> Result<String, Status> {
    let names = |list: &str| -> Vec<String> {
        let all = pod.array_at(&["spec", list]).iter();
        all.filter_map(|c| c.str_at(&["name"])).map(str::to_owned).collect()
    };
    let (containers, init, ephemeral) =
        (names("containers"), names("initContainers"), names("ephemeralContainers"));
    let pod_name = meta::name(pod);
    if !wanted.is_empty() {
        let known = containers.iter().chain(&init).chain(&ephemeral).any(|n| n == wanted);
        if !known {
            return Err(bad_request(format!("container {wanted} is not valid for pod {pod_name}")));
        }
        return Ok(wanted.to_owned());
    }
    match containers.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(bad_request(format!("a container name must be specified for pod {pod_name}"))),
        many => {
            let mut text = format!(
                "a container name must be specified for pod {pod_name}, choose one of: [{}]",
                many.join(" ")
            );
            if !init.is_empty() {
                text.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            Err(bad_request(text))
        }
    }
}

/// Where the kubelet of a node is.
fn kubelet(objects: &dyn Objects, node: &str) -> Result<Destination, Status> {
    let node = objects.get("", "nodes", "", node).ok_or_else(|| Status::not_found("", "nodes", node))?;
    let addresses = node.array_at(&["status", "addresses"]);
    let address = ADDRESS_TYPES.iter().find_map(|kind| {
        addresses.iter().find(|a| a.str_at(&["type"]) == Some(kind)).and_then(|a| a.str_at(&["address"]))
    });
    let host = address.ok_or_else(|| {
        Status::plain_error(format!("no preferred addresses found; known addresses: {}", addresses.len()))
    })?;
    let port = node.i64_at(&["status", "daemonEndpoints", "kubeletEndpoint", "Port"]);
    let port = port.and_then(|p| u16::try_from(p).ok()).filter(|p| *p != 0).unwrap_or(KUBELET_PORT);
    Ok(Destination { scheme: Scheme::Kubelet, host: host.to_owned(), port, path: String::new() })
}

/// Appends a query parameter.
fn push_query(out: &mut String, key: &str, value: &str) {
    out.push(if out.contains('?') { '&' } else { '?' });
    out.push_str(key);
    out.push('=');
    out.push_str(&escape(value));
}

/// Escapes what may not stand in a query or path segment.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// exec, attach and portforward.
async fn stream(
    server: &Arc<ApiServer>,
    objects: &dyn Objects,
    call: &mut Call,
    body: Body,
) -> Result<Response, Status> {
    let pod = pod(objects, call, &call.info.name)?;
    let (namespace, name) = (&call.info.namespace, &call.info.name);
    let mut path = match call.info.subresource.as_str() {
        "portforward" => format!("/portForward/{namespace}/{name}"),
        verb => {
            let container = container(&pod, call.query.text("container"))?;
            format!("/{verb}/{namespace}/{name}/{container}")
        }
    };
    let node = pod.str_at(&["spec", "nodeName"]).unwrap_or_default();
    if node.is_empty() {
        return Err(bad_request(format!("pod {name} does not have a host assigned")));
    }
    if !call.parts.headers.contains_key(header::UPGRADE) {
        return Err(bad_request("Upgrade request required"));
    }
    if call.info.subresource == "portforward" {
        for port in call.query.all("ports").flat_map(|p| p.split(',')) {
            push_query(&mut path, "port", port);
        }
    } else {
        for (theirs, ours) in [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")]
        {
            if call.query.flag(theirs) {
                push_query(&mut path, ours, "1");
            }
        }
        for word in call.query.all("command") {
            push_query(&mut path, "command", word);
        }
    }
    let destination = Destination { path, ..kubelet(objects, node)? };
    proxy::upgrade(server, call, body, destination).await
}

/// Options of a log request that are numbers.
const LOG_NUMBERS: [(&str, i64, &str); 3] = [
    ("tailLines", 0, "must be greater than or equal to 0"),
    ("limitBytes", 1, "must be greater than 0"),
    ("sinceSeconds", 1, "must be greater than 0"),
];

/// The streams of a log, where the gate PodLogsQuerySplitStreams lets one choose.
const LOG_STREAMS: [&str; 3] = ["All", "Stderr", "Stdout"];

fn log_query(name: &str, query: &Query, split_streams: bool) -> Result<String, Status> {
    use apimachinery::status::FieldErrorReason::{Forbidden, Invalid, NotSupported};
    let mut out = String::new();
    let mut errors = Vec::new();
    for flag in ["follow", "previous", "timestamps"] {
        if query.flag(flag) {
            push_query(&mut out, flag, "true");
        }
    }
    for (field, least, why) in LOG_NUMBERS {
        let Some(number) = query.integer(field).map_err(bad_request)? else { continue };
        if number < least {
            errors.push(field_error(Invalid, field, format!("Invalid value: {number}: {why}")));
        }
        push_query(&mut out, field, &number.to_string());
    }
    let since = query.text("sinceTime");
    if !since.is_empty() {
        if query.get("sinceSeconds").is_some() {
            let message = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified";
            errors.push(field_error(Forbidden, "[]", message));
        }
        push_query(&mut out, "sinceTime", since);
    }
    match query.get("stream") {
        Some(_) if !split_streams => {
            errors.push(field_error(Forbidden, "stream", "Forbidden: may not be specified"));
        }
        Some(stream) if !LOG_STREAMS.contains(&stream) => {
            let known = LOG_STREAMS.map(|s| format!("{s:?}")).join(", ");
            let message = format!("Unsupported value: {stream:?}: supported values: {known}");
            errors.push(field_error(NotSupported, "stream", message));
        }
        Some("All") | None => {}
        Some(stream) => {
            if query.get("tailLines").is_some() {
                let message = "Forbidden: `tailLines` and specific `stream` are mutually exclusive for now";
                errors.push(field_error(Forbidden, "tailLines", message));
            }
            push_query(&mut out, "stream", stream);
        }
    }
    if errors.is_empty() { Ok(out) } else { Err(Status::invalid("", "PodLogOptions", name, &errors)) }
}

async fn log(
    server: &Arc<ApiServer>,
    objects: &dyn Objects,
    call: &mut Call,
    body: Body,
) -> Result<Response, Status> {
    let (namespace, name) = (call.info.namespace.clone(), call.info.name.clone());
    let split_streams = server.config().features.enabled("PodLogsQuerySplitStreams");
    let query = log_query(&name, &call.query, split_streams)?;
    let pod = pod(objects, call, &name)?;
    let container = container(&pod, call.query.text("container"))?;
    let node = pod.str_at(&["spec", "nodeName"]).unwrap_or_default();
    if node.is_empty() {
        // There is nothing to read yet.
        return Ok(crate::response::with_body(StatusCode::NO_CONTENT, "text/plain", ""));
    }
    let path = format!("/containerLogs/{namespace}/{name}/{container}{query}");
    let destination = Destination { path, ..kubelet(objects, node)? };
    let mut response = proxy::fetch(server, call, body, destination).await?;
    let code = response.status();
    if code.as_u16() >= 400 {
        let text = axum::body::to_bytes(response.into_body(), 2048).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        // The kubelet's own words reach the user where upstream lets them through.
        if code == StatusCode::BAD_REQUEST {
            return Err(bad_request(text));
        }
        return Err(Status::generic_server_response(code.as_u16(), "", "", "pods/log", &name, &text));
    }
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// `[scheme:]name[:port]`, as proxied names are written.
fn split_name(text: &str) -> Option<(&str, &str, &str)> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [name] => Some(("", name, "")),
        [name, port] => Some(("", name, port)),
        [scheme @ ("" | "http" | "https"), name, port] => Some((scheme, name, port)),
        _ => None,
    }
}

fn scheme(text: &str) -> Scheme {
    if text == "https" { Scheme::Https } else { Scheme::Http }
}

/// The rest of the path with the query, as it was sent.
fn rest(call: &Call) -> String {
    let tail = if call.info.tail.is_empty() { "/" } else { call.info.tail.as_str() };
    match call.parts.uri.query() {
        Some(query) => format!("{tail}?{query}"),
        None => tail.to_owned(),
    }
}

fn pod_address(objects: &dyn Objects, call: &Call) -> Result<Destination, Status> {
    let invalid = || bad_request(format!("invalid pod request {:?}", call.info.name));
    let (scheme_text, name, port) = split_name(&call.info.name).ok_or_else(invalid)?;
    let pod = pod(objects, call, name)?;
    let port = if port.is_empty() {
        let ports = pod.array_at(&["spec", "containers"]).iter().flat_map(|c| c.array_at(&["ports"]));
        ports
            .filter_map(|p| p.i64_at(&["containerPort"]))
            .next()
            .and_then(|p| u16::try_from(p).ok())
            .unwrap_or(80)
    } else {
        port.parse().map_err(|_| invalid())?
    };
    let host = pod.str_at(&["status", "podIP"]).unwrap_or_default();
    if host.is_empty() {
        return Err(bad_request("address not allowed"));
    }
    Ok(Destination { scheme: scheme(scheme_text), host: host.to_owned(), port, path: rest(call) })
}

fn node_address(objects: &dyn Objects, call: &Call) -> Result<Destination, Status> {
    let invalid = || bad_request(format!("invalid node request {:?}", call.info.name));
    let (scheme_text, name, port) = split_name(&call.info.name).ok_or_else(invalid)?;
    let kubelet = kubelet(objects, name)?;
    let own = port.is_empty() || port == kubelet.port.to_string();
    if own {
        return Ok(Destination { path: rest(call), ..kubelet });
    }
    let port = port.parse().map_err(|_| invalid())?;
    Ok(Destination { scheme: scheme(scheme_text), port, path: rest(call), ..kubelet })
}

fn service_address(server: &ApiServer, objects: &dyn Objects, call: &Call) -> Result<Destination, Status> {
    let invalid = || bad_request(format!("invalid service request {:?}", call.info.name));
    let (scheme_text, name, port) = split_name(&call.info.name).ok_or_else(invalid)?;
    let namespace = &call.info.namespace;
    let service = objects
        .get("", "services", namespace, name)
        .ok_or_else(|| Status::not_found("", "services", name))?;
    let slices: Vec<_> = objects
        .list("discovery.k8s.io", "endpointslices", namespace)
        .into_iter()
        .filter(|slice| meta::label(slice, "kubernetes.io/service-name") == Some(name))
        .collect();
    if slices.is_empty() {
        // Upstream's words for a service whose endpoints nobody has written yet.
        return Err(Status::not_found("", "services", name));
    }
    let ports = service.array_at(&["spec", "ports"]);
    let wanted = ports.iter().find(|p| {
        let number = p.i64_at(&["port"]).map(|n| n.to_string()).unwrap_or_default();
        p.str_at(&["name"]).unwrap_or_default() == port || number == port
    });
    let wanted =
        wanted.or(ports.first().filter(|_| port.is_empty() && ports.len() == 1)).ok_or_else(|| {
            Status::service_unavailable(format!("no service port {port:?} found for service {name:?}"))
        })?;
    let port_name = wanted.str_at(&["name"]).unwrap_or_default();
    let candidates: Vec<(String, u16)> = slices
        .iter()
        .flat_map(|slice| {
            let ports = slice.array_at(&["ports"]);
            let port = ports.iter().find(|p| p.str_at(&["name"]).unwrap_or_default() == port_name);
            let port = port.and_then(|p| p.i64_at(&["port"])).and_then(|p| u16::try_from(p).ok());
            slice
                .array_at(&["endpoints"])
                .iter()
                .filter(|e| e.bool_at(&["conditions", "ready"]).unwrap_or(true))
                .flat_map(|e| e.array_at(&["addresses"]))
                .filter_map(Value::as_str)
                .filter_map(move |address| Some((address.to_owned(), port?)))
                .collect::<Vec<_>>()
        })
        .collect();
    let unavailable = || Status::service_unavailable(format!("no endpoints available for service {name:?}"));
    let at = usize::try_from(server.env().rng.below(candidates.len() as u64)).unwrap_or(0);
    let (host, port) = candidates.into_iter().nth(at).ok_or_else(unavailable)?;
    Ok(Destination { scheme: scheme(scheme_text), host, port, path: rest(call) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(containers: &str) -> Value {
        Value::from_json(
            format!(r#"{{"metadata":{{"name":"p"}},"spec":{{"containers":[{containers}]}}}}"#).as_bytes(),
        )
        .unwrap()
    }

    #[test]
    fn containers() {
        let one = pod(r#"{"name":"a"}"#);
        let two = pod(r#"{"name":"a"},{"name":"b"}"#);
        assert_eq!(container(&one, "").unwrap(), "a");
        assert_eq!(container(&two, "b").unwrap(), "b");
        assert_eq!(container(&two, "c").unwrap_err().message, "container c is not valid for pod p");
        assert_eq!(
            container(&two, "").unwrap_err().message,
            "a container name must be specified for pod p, choose one of: [a b]"
        );
    }

    #[test]
    fn log_options() {
        let query = Query::parse("follow=true&tailLines=5&sinceTime=2020-01-01T00:00:00Z");
        assert_eq!(
            log_query("p", &query, false).unwrap(),
            "?follow=true&tailLines=5&sinceTime=2020-01-01T00%3A00%3A00Z"
        );
        assert_eq!(
            log_query("p", &Query::parse("limitBytes=0"), false).unwrap_err().message,
            "PodLogOptions \"p\" is invalid: limitBytes: Invalid value: 0: must be greater than 0"
        );
    }

    #[test]
    fn streams_of_a_log() {
        let check = |query: &str, gate: bool, expected: Result<&str, &str>| {
            let found = log_query("p", &Query::parse(query), gate);
            let found = found.as_deref().map_err(|status| {
                status.message.strip_prefix("PodLogOptions \"p\" is invalid: ").unwrap_or_default()
            });
            assert_eq!(found, expected, "{query}");
        };
        check("stream=All", false, Err("stream: Forbidden: may not be specified"));
        check("stream=All", true, Ok(""));
        check("stream=Stderr", true, Ok("?stream=Stderr"));
        let known = "supported values: \"All\", \"Stderr\", \"Stdout\"";
        check("stream=x", true, Err(&format!("stream: Unsupported value: \"x\": {known}")));
        let both = "tailLines: Forbidden: `tailLines` and specific `stream` are mutually exclusive for now";
        check("stream=Stdout&tailLines=1", true, Err(both));
    }

    #[test]
    fn proxied_names() {
        assert_eq!(split_name("a"), Some(("", "a", "")));
        assert_eq!(split_name("a:80"), Some(("", "a", "80")));
        assert_eq!(split_name("https:a:443"), Some(("https", "a", "443")));
        assert_eq!(split_name("x:a:1:2"), None);
    }
}
