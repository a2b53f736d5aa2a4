//! DELETE of one object and of a collection.

use std::sync::Arc;

use apimachinery::{ParseOptions, Status, Value, meta};
use http::{StatusCode, header};

use super::body::read_body;
use super::{listing, render};
use crate::negotiate::{self, Encoding, Scope};
use crate::registry::Resource;
use crate::registry::options::{DeleteOptions, ListOptions, WriteOptions};
use crate::registry::prepare::Context;
use crate::registry::selection::{Selection, split_key};
use crate::registry::update::Target;
use crate::response::{Body, Response, bad_request};
use crate::server::{ApiServer, Call};

/// The options of the request: from its body when there is one.
async fn delete_options(server: &ApiServer, call: &Call, body: Body) -> Result<DeleteOptions, Status> {
    let bytes = read_body(body).await?;
    if bytes.is_empty() {
        return DeleteOptions::parse(&call.query, None);
    }
    let parse = |error: &dyn std::fmt::Display| bad_request(error.to_string());
    let value = match negotiate::input(call.header(header::CONTENT_TYPE))? {
        Encoding::Json => {
            Value::parse_json(&bytes, &ParseOptions::default())
                .map_err(|e| parse(&format!("couldn't get version/kind; json parse error: {e}")))?
                .value
        }
        Encoding::Yaml => Value::parse_yaml(&bytes, &ParseOptions::default()).map_err(|e| parse(&e))?.value,
        Encoding::Protobuf => server.registry().decode_delete_options(&bytes)?,
    };
    DeleteOptions::parse(&call.query, Some(&value))
}

/// Deletes one object.
pub(crate) async fn delete(
    server: &Arc<ApiServer>,
    resource: &Arc<Resource>,
    call: &mut Call,
    body: Body,
) -> Result<Response, Status> {
    super::output(call, Scope::Object)?;
    let options = delete_options(server, call, body).await?;
    let strategy = server.registry().strategy(resource);
    if let Some(why) = strategy.and_then(|strategy| strategy.keeps(&call.info.name)) {
        return Err(Status::forbidden(resource.group(), resource.plural(), &call.info.name, why));
    }
    let write = WriteOptions { dry_run: options.dry_run, ..WriteOptions::own() };
    let agent = call.user_agent().to_owned();
    let mut context = Context {
        user: &call.user,
        user_agent: &agent,
        options: &write,
        admit: true,
        warnings: &mut call.warnings,
    };
    let target = Target { resource, namespace: &call.info.namespace, name: &call.info.name, subresource: "" };
    let deleted = server.registry().delete(target, &options, &mut context).await?;
    if !deleted.show_object {
        let uid = meta::uid(&deleted.object);
        let status = Status::success(resource.group(), resource.plural(), &call.info.name, uid);
        return render::status(server, call, &status);
    }
    let code = match options.orphan_dependents {
        Some(false) if !deleted.gone => StatusCode::ACCEPTED,
        _ => StatusCode::OK,
    };
    let mut object = deleted.object;
    let text = server.registry().encode(resource, &mut object)?;
    render::object(server, resource, call, &text, deleted.revision, code)
}

/// Deletes everything that a list would show, and answers with that list.
pub(crate) async fn delete_collection(
    server: &Arc<ApiServer>,
    resource: &Arc<Resource>,
    call: &mut Call,
    body: Body,
) -> Result<Response, Status> {
    let output = super::output(call, Scope::List)?;
    let list = ListOptions::parse(&call.query, false)?;
    let selection = Selection::parse(resource, &list.label_selector, &list.field_selector)?;
    let options = delete_options(server, call, body).await?;
    let registry = server.registry();
    let page = registry.list(resource, &call.info.namespace, &list, &selection).await?;
    let write = WriteOptions { dry_run: options.dry_run, ..WriteOptions::own() };
    let agent = call.user_agent().to_owned();
    for entry in &page.entries {
        let (namespace, name) = split_key(&resource.prefix, &entry.key, resource.info.namespaced);
        let mut context = Context {
            user: &call.user,
            user_agent: &agent,
            options: &write,
            admit: true,
            warnings: &mut call.warnings,
        };
        let target = Target { resource, namespace, name, subresource: "" };
        match registry.delete(target, &options, &mut context).await {
            // Somebody else was faster: it is gone, which is what was asked for.
            Err(status) if status.is_not_found() => {}
            other => {
                other?;
            }
        }
    }
    listing::answer(server, resource, call, output, page)
}
