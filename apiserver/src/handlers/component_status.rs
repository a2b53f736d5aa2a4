//! ComponentStatus, deprecated since 1.19: nothing is stored, each read asks the scheduler, the controller manager and the
//! store whether they are well. Not here: watches, which upstream does not have for it either.

use std::sync::Arc;

use apimachinery::{Status, Value};
use http::StatusCode;
use tokio::net::TcpStream;

use super::proxy::{self, Destination, Scheme};
use super::{listing, render};
use crate::negotiate::{Form, Scope};
use crate::registry::Resource;
use crate::registry::options::ListOptions;
use crate::registry::selection::Selection;
use crate::response::{Body, Response};
use crate::server::{ApiServer, Call};
use crate::value;

/// Where the components of this host answer for their health.
const COMPONENTS: [(&str, u16); 2] = [("scheduler", 10_259), ("controller-manager", 10_257)];
const STORE: &str = "etcd-0";
const HOST: &str = "127.0.0.1";

/// `get` and `list`.
pub(crate) async fn answer(
    server: &Arc<ApiServer>,
    resource: &Arc<Resource>,
    call: &Call,
) -> Result<Response, Status> {
    if call.info.verb == "get" {
        let output = super::output(call, Scope::Object)?;
        let name = call.info.name.as_str();
        let found = match COMPONENTS.iter().find(|(component, _)| *component == name) {
            Some((name, port)) => component(server, call, name, *port).await,
            None if name == STORE => store(server).await,
            // Upstream names the kind in the singular here.
            None => return Err(Status::not_found(resource.group(), &resource.info.singular, name)),
        };
        let mut found = found;
        crate::registry::object::set_type(&mut found, &resource.info.gvk());
        return render::value(server, resource, call, found, output, StatusCode::OK);
    }
    let output = super::output(call, Scope::List)?;
    // Upstream knows neither labels nor fields of these: a selector lets all of them through, or none.
    let options = ListOptions::parse(&call.query, false)?;
    let selection = Selection::parse(resource, &options.label_selector, &options.field_selector)?;
    let mut items = Vec::new();
    if selection.matches_bare() {
        for (name, port) in COMPONENTS {
            items.push(component(server, call, name, port).await);
        }
        items.push(store(server).await);
    }
    let meta = Value::object();
    let (list, gvk) = match output.form {
        Form::Table(version) => (
            crate::table::of_list(server, resource, call, &items, meta, version)?,
            kinds::Gvk::new("meta.k8s.io", version, "Table"),
        ),
        Form::Partial(version, _) => {
            let gvk = kinds::Gvk::new("meta.k8s.io", version, "PartialObjectMetadataList");
            let items = items.iter().map(|item| crate::table::partial(item, version)).collect();
            (listing::list_value(&gvk, meta, items), gvk)
        }
        Form::Object => {
            let gvk = kinds::Gvk { kind: resource.info.list_kind.clone(), ..resource.info.gvk() };
            (listing::list_value(&gvk, meta, items), gvk)
        }
    };
    let body = render::encode(server, &list, output, &gvk)?;
    Ok(render::finish(call, StatusCode::OK, output.encoding, body))
}

fn status_of(name: &str, health: Result<String, String>) -> Value {
    let (status, message) = match health {
        Ok(message) => ("True", message),
        Err(message) => ("False", message),
    };
    value!({
        "metadata": { "name": (name) },
        "conditions": [{ "type": "Healthy", "status": (status), "message": (message) }],
    })
}

/// A component answers `ok` at its health port.
async fn component(server: &Arc<ApiServer>, call: &Call, name: &str, port: u16) -> Value {
    let shown = format!("Get \"https://{HOST}:{port}/healthz\"");
    let health = async {
        // Looked at first: a port that nobody listens on is told of as upstream tells it.
        TcpStream::connect((HOST, port)).await.map_err(|error| {
            let why = match error.kind() {
                std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
                _ => error.to_string(),
            };
            format!("{shown}: dial tcp {HOST}:{port}: connect: {why}")
        })?;
        let to = Destination { scheme: Scheme::Https, host: HOST.into(), port, path: "/healthz".into() };
        let answer = proxy::fetch(server, call, Body::empty(), to).await;
        let answer = answer.map_err(|status| format!("{shown}: {}", status.message))?;
        match answer.status() {
            StatusCode::OK => Ok("ok".to_owned()),
            other => Err(format!("unexpected status: {}", other.as_u16())),
        }
    };
    status_of(name, health.await)
}

/// The store is well when it can say what is newest.
async fn store(server: &Arc<ApiServer>) -> Value {
    let health = server.registry().linearize().await;
    status_of(STORE, health.map(|_| "ok".to_owned()).map_err(|status| status.message))
}
