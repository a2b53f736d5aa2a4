//! `httpGet`: any status from 200 to 399 is success.

use futures::future::BoxFuture;

use super::{Outcome, ProbeKind, Target, port};
use crate::api::pod::{Container, Handler, HttpGetAction};
use crate::host::HttpRequest;

#[derive(Debug)]
pub(super) struct HttpGet;

impl ProbeKind for HttpGet {
    fn handles(&self, handler: &Handler) -> bool {
        handler.http_get.is_some()
    }
    fn run<'a>(&'a self, target: &'a Target<'a>, handler: &'a Handler) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let action = handler.http_get.as_ref().expect("handles() saw it");
            let request = match request(target.container, action, target.pod_ip) {
                Ok(request) => request,
                Err(problem) => return Outcome::Error(problem),
            };
            match target.agent.host.http_get(&request, target.limit).await {
                Ok(answer) if (200..400).contains(&answer.status) => Outcome::Success,
                Ok(answer) => {
                    Outcome::Failure(format!("HTTP probe failed with statuscode: {}", answer.status))
                }
                Err(e) => Outcome::Failure(format!("Get \"{}\": {e}", url(&request))),
            }
        })
    }
}

/// The request that an action means.
pub(crate) fn request(
    container: &Container,
    action: &HttpGetAction,
    pod_ip: &str,
) -> Result<HttpRequest, String> {
    let host = if action.host.is_empty() { pod_ip } else { &action.host };
    Ok(HttpRequest {
        https: action.scheme.eq_ignore_ascii_case("https"),
        host: host.to_owned(),
        port: port(container, &action.port)?,
        path: action.path.clone(),
        headers: action.http_headers.iter().map(|h| (h.name.clone(), h.value.clone())).collect(),
    })
}

fn url(request: &HttpRequest) -> String {
    let scheme = if request.https { "https" } else { "http" };
    let slash = if request.path.starts_with('/') { "" } else { "/" };
    let host = if request.host.contains(':') { format!("[{}]", request.host) } else { request.host.clone() };
    format!("{scheme}://{host}:{}{slash}{}", request.port, request.path)
}
