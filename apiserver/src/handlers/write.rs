//! POST, PUT and PATCH, of objects and their subresources.

use std::sync::Arc;

use apimachinery::{Status, Value};
use bytes::Bytes;
use http::{StatusCode, header};

use super::body::read_body;
use super::render;
use crate::negotiate::{self, PatchType, Scope};
use crate::registry::create::Written;
use crate::registry::decode::{Expected, decode};
use crate::registry::managed::{Applied, Managers};
use crate::registry::options::WriteOptions;
use crate::registry::patch::{self, Into, Patch, Read};
use crate::registry::prepare::Context;
use crate::registry::update::{Change, Target, check_name};
use crate::registry::{Registry, Resource, scale};
use crate::response::{Body, Response};
use crate::seams::{Special, SpecialRequest};
use crate::server::{ApiServer, Call};

/// Reads a body as an object of the served version, with its defaults.
fn read_object(
    registry: &Registry,
    resource: &Resource,
    call: &mut Call,
    bytes: &Bytes,
    options: &WriteOptions,
) -> Result<Value, Status> {
    let encoding = negotiate::input(call.header(header::CONTENT_TYPE))?;
    let gvk = resource.info.gvk();
    let expected = Expected {
        kinds: registry.kinds(),
        gvk: &gvk,
        ty: resource.info.ty.get(),
        custom: resource.definition(),
    };
    let mut object = decode(&expected, bytes, encoding, options.field_validation, &mut call.warnings)?;
    crate::registry::managed::keep_reset(&mut object);
    registry.complete(resource, &mut object);
    Ok(object)
}

fn target<'a>(resource: &'a Resource, call: &'a Call) -> Target<'a> {
    Target {
        resource,
        namespace: &call.info.namespace,
        name: &call.info.name,
        subresource: &call.info.subresource,
    }
}

/// POST of an object.
pub(crate) async fn create(
    server: &Arc<ApiServer>,
    resource: &Arc<Resource>,
    call: &mut Call,
    body: Body,
) -> Result<Response, Status> {
    super::output(call, Scope::Object)?;
    let options = WriteOptions::create(&call.query)?;
    let bytes = read_body(body).await?;
    let registry = server.registry();
    let object = read_object(registry, resource, call, &bytes, &options)?;
    let agent = call.user_agent().to_owned();
    let mut warnings = std::mem::take(&mut call.warnings);
    let mut context = Context {
        user: &call.user,
        user_agent: &agent,
        options: &options,
        admit: true,
        warnings: &mut warnings,
    };
    let outcome = registry.create(resource, &call.info.namespace, object, &mut context).await;
    call.warnings = warnings;
    answer(server, resource, call, &outcome?)
}

fn answer(
    server: &Arc<ApiServer>,
    resource: &Arc<Resource>,
    call: &Call,
    written: &Written,
) -> Result<Response, Status> {
    let code = if written.created { StatusCode::CREATED } else { StatusCode::OK };
    render::object(server, resource, call, &written.text, written.revision, code)
}

/// PUT of an object or subresource.
pub(crate) async fn update(
    server: &Arc<ApiServer>,
    resource: &Arc<Resource>,
    call: &mut Call,
    body: Body,
) -> Result<Response, Status> {
    super::output(call, Scope::Object)?;
    let options = WriteOptions::update(&call.query)?;
    let bytes = read_body(body).await?;
    let registry = server.registry();
    if call.info.subresource == "scale" {
        let encoding = negotiate::input(call.header(header::CONTENT_TYPE))?;
        let (gvk, ty) = (scale::gvk(), scale_type(registry)?);
        let expected = Expected { kinds: registry.kinds(), gvk: &gvk, ty: &ty, custom: None };
        let sent = decode(&expected, &bytes, encoding, options.field_validation, &mut call.warnings)?;
        let name = call.info.name.clone();
        scale::check(&sent, &name)?;
        let change: Change<'_> = Box::new(move |live, _| {
            let mut object = live.cloned().unwrap_or_default();
            scale::take(&mut object, &sent, places(resource));
            Ok(object)
        });
        return scaled(server, resource, call, &options, Replicas::Changed(change)).await;
    }
    let object = read_object(registry, resource, call, &bytes, &options)?;
    let agent = call.user_agent().to_owned();
    let mut warnings = std::mem::take(&mut call.warnings);
    let mut context = Context {
        user: &call.user,
        user_agent: &agent,
        options: &options,
        admit: true,
        warnings: &mut warnings,
    };
    let outcome = registry.replace(target(resource, call), object, &mut context).await;
    call.warnings = warnings;
    answer(server, resource, call, &outcome?)
}

/// PATCH of an object or subresource.
pub(crate) async fn patch(
    server: &Arc<ApiServer>,
    resource: &Arc<Resource>,
    call: &mut Call,
    body: Body,
) -> Result<Response, Status> {
    super::output(call, Scope::Object)?;
    let kind = negotiate::patch_type(call.header(header::CONTENT_TYPE), resource.info.custom)?;
    let options = WriteOptions::patch(&call.query, kind)?;
    let bytes = read_body(body).await?;
    let registry = Arc::clone(server.registry());
    let read = match patch::read(kind, &bytes) {
        Ok(read) => read,
        Err(status) => return Err(unreadable(&registry, &target(resource, call), kind, status).await?),
    };
    if call.info.subresource == "scale" {
        let replicas = match &read.patch {
            Patch::Apply(sent) => Replicas::Applied(sent.clone()),
            _ => Replicas::Changed(patch_scale(&registry, resource, call, &options, &read)?),
        };
        return scaled(server, resource, call, &options, replicas).await;
    }
    if kind == PatchType::ApplyYaml {
        return apply(server, resource, call, &options, read).await;
    }
    let agent = call.user_agent().to_owned();
    let mut warnings = std::mem::take(&mut call.warnings);
    let mut context = Context {
        user: &call.user,
        user_agent: &agent,
        options: &options,
        admit: true,
        warnings: &mut warnings,
    };
    let (gvk, manager, now) = (resource.info.gvk(), context.manager(), registry.now());
    let target = target(resource, call);
    let validation = options.field_validation;
    let mut warned = false;
    let change: Change<'_> = Box::new(|live, warnings| {
        let Some(live) = live else { return Ok(Value::NULL) };
        let into = Into { gvk: &gvk, ty: resource.info.ty.get(), custom: resource.definition() };
        // Warnings of a second attempt are those of the first.
        let mut again = Vec::new();
        let texts = if std::mem::replace(&mut warned, true) { &mut again } else { warnings };
        let mut object = registry.apply_patch(into, &read, live, validation, texts)?;
        check_name(&target, &object)?;
        crate::registry::object::match_namespace(resource, &mut object, target.namespace)?;
        registry.complete(resource, &mut object);
        Managers { registry: &registry, resource, subresource: target.subresource, now }.updated(
            live,
            &mut object,
            &manager,
        );
        Ok(object)
    });
    let outcome = registry.update(target, change, &mut context).await;
    call.warnings = warnings;
    answer(server, resource, call, &outcome?)
}

/// Why a patch that cannot be read is refused: it is read only when there is something to patch.
async fn unreadable(
    registry: &Registry,
    target: &Target<'_>,
    kind: PatchType,
    status: Status,
) -> Result<Status, Status> {
    if kind == PatchType::ApplyYaml && target.subresource.is_empty() {
        return Ok(status);
    }
    registry.linearize().await?;
    Ok(if registry.view().get(&target.key()).is_none() { target.not_found() } else { status })
}

fn scale_type(registry: &Registry) -> Result<apimachinery::schema::TypeRef, Status> {
    let gvk = scale::gvk();
    registry
        .kinds()
        .type_of(&gvk.group, &gvk.version, &gvk.kind)
        .ok_or_else(|| Status::internal("the tables have no Scale"))
}

fn places(resource: &Resource) -> scale::Places<'_> {
    resource.definition().and_then(|definition| definition.scale.as_ref())
}

fn patch_scale<'a>(
    registry: &'a Arc<Registry>,
    resource: &'a Resource,
    call: &Call,
    options: &'a WriteOptions,
    read: &'a Read,
) -> Result<Change<'a>, Status> {
    let ty = scale_type(registry)?;
    let name = call.info.name.clone();
    Ok(Box::new(move |live, warnings| {
        let Some(live) = live else { return Ok(Value::NULL) };
        scale::check_shown(live, places(resource))?;
        let shown = crate::registry::scale_managed::scale_of(live, places(resource));
        let gvk = scale::gvk();
        let into = Into { gvk: &gvk, ty: &ty, custom: None };
        let sent = registry.apply_patch(into, read, &shown, options.field_validation, warnings)?;
        scale::check(&sent, &name)?;
        let mut object = live.clone();
        scale::take(&mut object, &sent, places(resource));
        Ok(object)
    }))
}

/// How replicas are set: by a change of the workload, or by what is applied to its Scale.
enum Replicas<'a> {
    Changed(Change<'a>),
    Applied(Value),
}

/// Runs a change of replicas and answers with the Scale.
async fn scaled(
    server: &Arc<ApiServer>,
    resource: &Arc<Resource>,
    call: &mut Call,
    options: &WriteOptions,
    mut replicas: Replicas<'_>,
) -> Result<Response, Status> {
    let registry = server.registry();
    let agent = call.user_agent().to_owned();
    let mut warnings = std::mem::take(&mut call.warnings);
    let mut context =
        Context { user: &call.user, user_agent: &agent, options, admit: true, warnings: &mut warnings };
    let (manager, now) = (context.manager(), registry.now());
    let managers = Managers { registry, resource, subresource: "scale", now };
    let owned: Change<'_> = Box::new(|live, warnings| match (live, &mut replicas) {
        (None, _) => Ok(Value::NULL),
        (Some(live), Replicas::Applied(sent)) => managers.scale_applied(live, sent, &manager, options.force),
        (Some(live), Replicas::Changed(change)) => {
            let mut object = change(Some(live), warnings)?;
            managers.scale_updated(live, &mut object, &manager)?;
            Ok(object)
        }
    });
    let outcome = registry.update(target(resource, call), owned, &mut context).await;
    call.warnings = warnings;
    let value = registry.written_value(&outcome?);
    render::foreign(server, call, &scale::of(&value, places(resource)), &scale::gvk(), StatusCode::OK)
}

/// GET of a scale.
pub(crate) async fn get_scale(
    server: &Arc<ApiServer>,
    resource: &Arc<Resource>,
    call: &Call,
) -> Result<Response, Status> {
    let registry = server.registry();
    registry.linearize().await?;
    let target = target(resource, call);
    let entry = registry.view().get(&target.key()).ok_or_else(|| target.not_found())?;
    let object = registry
        .decoded(resource, &entry)
        .ok_or_else(|| Status::internal("the stored object cannot be decoded"))?;
    scale::check_shown(&object, places(resource))?;
    render::foreign(server, call, &scale::of(&object, places(resource)), &scale::gvk(), StatusCode::OK)
}

/// Server-side apply: creates or changes.
async fn apply(
    server: &Arc<ApiServer>,
    resource: &Arc<Resource>,
    call: &mut Call,
    options: &WriteOptions,
    read: Read,
) -> Result<Response, Status> {
    let Patch::Apply(sent) = read.patch else {
        return Err(Status::internal("only an apply patch is applied"));
    };
    let registry = server.registry();
    let agent = call.user_agent().to_owned();
    let mut warnings = std::mem::take(&mut call.warnings);
    let mut context =
        Context { user: &call.user, user_agent: &agent, options, admit: true, warnings: &mut warnings };
    // Making an object is another right than changing one.
    let create = || {
        let attributes = server.attributes(&call.info, &call.query, Arc::clone(&call.user));
        server.authorize(&crate::seams::Attributes { verb: "create".into(), ..attributes })
    };
    let patch = Applied { sent, problems: read.problems };
    let outcome = registry.apply(target(resource, call), patch, &create, &mut context).await;
    call.warnings = warnings;
    answer(server, resource, call, &outcome?)
}

/// POST to what is answered by code: reviews, tokens, bindings, evictions.
pub(crate) async fn special(
    server: &Arc<ApiServer>,
    resource: &Arc<Resource>,
    call: &mut Call,
    body: Body,
    special: Arc<dyn Special>,
) -> Result<Response, Status> {
    super::output(call, Scope::Object)?;
    let options = WriteOptions::create(&call.query)?;
    let bytes = read_body(body).await?;
    let registry = server.registry();
    let gvk = match resource.info.subresource(&call.info.subresource) {
        Some(subresource) => subresource.kind.clone(),
        None => resource.info.gvk(),
    };
    let ty = registry
        .kinds()
        .type_of(&gvk.group, &gvk.version, &gvk.kind)
        .ok_or_else(|| Status::internal(format!("the tables have no {}", gvk.kind)))?;
    let encoding = negotiate::input(call.header(header::CONTENT_TYPE))?;
    let expected = Expected { kinds: registry.kinds(), gvk: &gvk, ty: &ty, custom: None };
    let mut object = decode(&expected, &bytes, encoding, options.field_validation, &mut call.warnings)?;
    kinds::normalise::normalise(&ty, &mut object);
    let defaults = kinds::defaults::Context { now: registry.now().as_second() };
    kinds::defaults::apply_defaults(&gvk.group, &gvk.version, &gvk.kind, &mut object, &defaults);
    let namespace = apimachinery::meta::namespace(&object).to_owned();
    if !namespace.is_empty() && !call.info.namespace.is_empty() && namespace != call.info.namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    // Whoever asks owns the fields of the question, as of any object.
    let agent = call.user_agent().to_owned();
    let context = Context {
        user: &call.user,
        user_agent: &agent,
        options: &options,
        admit: false,
        warnings: &mut call.warnings,
    };
    let manager = context.manager();
    let managers = Managers { registry, resource, subresource: &call.info.subresource, now: registry.now() };
    managers.created_of(&gvk, &ty, &mut object, &manager);
    let managed = object.at(&["metadata", "managedFields"]).cloned();
    let mut answer = special
        .create(SpecialRequest {
            user: &call.user,
            namespace: &call.info.namespace,
            name: if call.info.subresource.is_empty() { "" } else { &call.info.name },
            object,
            dry_run: options.dry_run,
            now: registry.now(),
        })
        .await?;
    // The two reviews of oneself answer with an object of their own, not with the question.
    let own = matches!(gvk.kind.as_str(), "SelfSubjectReview" | "SelfSubjectRulesReview");
    if let Some(managed) = managed
        && apimachinery::meta::kind(&answer) == gvk.kind
        && !own
    {
        answer.set_at(&["metadata", "managedFields"], managed);
        kinds::normalise::normalise(&ty, &mut answer);
    }
    let shown = kinds::Gvk {
        kind: apimachinery::meta::kind(&answer).to_owned(),
        ..if apimachinery::meta::kind(&answer) == "Status" {
            kinds::Gvk::new("", "v1", "Status")
        } else {
            gvk
        }
    };
    render::foreign(server, call, &answer, &shown, StatusCode::CREATED)
}
