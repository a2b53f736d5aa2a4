//! GET of one object and of a list.

use std::sync::Arc;

use apimachinery::Status;
use http::StatusCode;

use super::{listing, render};
use crate::negotiate::{Form, Scope};
use crate::registry::options::{ListOptions, parse_revision};
use crate::registry::selection::Selection;
use crate::registry::{Resource, keys};
use crate::response::Response;
use crate::server::{ApiServer, Call};

/// One object; `status` is shown with the rest.
pub(crate) async fn get(
    server: &Arc<ApiServer>,
    resource: &Arc<Resource>,
    call: &Call,
) -> Result<Response, Status> {
    let registry = server.registry();
    let revision = parse_revision(call.query.text("resourceVersion")).map_err(Status::plain_error)?;
    match revision {
        None => {
            registry.linearize().await?;
        }
        Some(0) => {}
        Some(revision) => registry.wait_for_revision(revision).await?,
    }
    // Negotiated first: a wrong Accept is refused whether or not the object is there.
    super::output(call, Scope::Object)?;
    let key = keys::key(&resource.prefix, &call.info.namespace, &call.info.name);
    let entry = registry
        .view()
        .get(&key)
        .ok_or_else(|| Status::not_found(resource.group(), resource.plural(), &call.info.name))?;
    if resource.info.custom {
        let form = registry
            .form(resource, &entry)
            .ok_or_else(|| Status::internal("the stored object cannot be decoded"))?;
        return render::served(server, resource, call, &form.text, Some(entry.mod_revision), StatusCode::OK);
    }
    render::object(server, resource, call, &entry.value, Some(entry.mod_revision), StatusCode::OK)
}

/// A list.
pub(crate) async fn list(
    server: &Arc<ApiServer>,
    resource: &Arc<Resource>,
    call: &Call,
) -> Result<Response, Status> {
    let output = super::output(call, Scope::List)?;
    let options = ListOptions::parse(&call.query, false)?;
    let selection = Selection::parse(resource, &options.label_selector, &options.field_selector)?;
    if output.form == Form::Partial("v1", false) || output.form == Form::Partial("v1beta1", false) {
        return Err(Status::new(
            406,
            "NotAcceptable",
            format!(
                "you requested PartialObjectMetadata, but the requested object is a list (*{}.{})",
                render::internal(resource),
                resource.info.list_kind
            ),
        ));
    }
    if let Form::Table(_) = output.form {
        crate::table::check_include(call)?;
    }
    let page = server.registry().list(resource, &call.info.namespace, &options, &selection).await?;
    listing::answer(server, resource, call, output, page)
}
