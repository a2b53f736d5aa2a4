//! managedFields of the scale subresource: its requests see a Scale, but what they own is the workload's replicas. Mirrors
//! upstream's `ScaleHandler`.

use apimachinery::apply::{Element, FieldManager, Managed, Manager, Set, Versions};
use apimachinery::schema::TypeRef;
use apimachinery::{Status, Value};

use super::managed::Managers;
use super::scale;

const FIELDS: [&str; 2] = ["metadata", "managedFields"];

/// A Scale has one version.
#[derive(Debug)]
struct OneVersion;

impl Versions for OneVersion {
    fn convert(&self, _: &Value, _: &str) -> Option<(Value, TypeRef)> {
        None
    }
}

/// Where every built-in workload, and a Scale, has its replicas.
const REPLICAS: [&str; 2] = ["spec", "replicas"];

fn elements(path: &[&str]) -> Vec<Element> {
    path.iter().map(|key| Element::field(key)).collect()
}

/// The Scale of a workload, with the entries of those who own its replicas.
pub(crate) fn scale_of(live: &Value, places: scale::Places<'_>) -> Value {
    let mut shown = scale::of(live, places);
    let own = elements(&scale::replicas(places));
    let parent = Managed::decode(live.at(&FIELDS)).unwrap_or_default();
    let owners = parent.0.into_iter().filter(|m| m.set.has(&own)).map(|m| Manager {
        api_version: scale::gvk().api_version(),
        set: Set::of_fields(&[&REPLICAS]),
        ..m
    });
    let entries = Managed(owners.collect()).encode();
    if !entries.is_empty() {
        shown.set_at(&FIELDS, entries);
    }
    shown
}

impl Managers<'_> {
    fn places(&self) -> scale::Places<'_> {
        self.resource.definition().and_then(|definition| definition.scale.as_ref())
    }

    fn with_scale<T>(&self, then: impl FnOnce(&FieldManager<'_>) -> T) -> Result<T, Status> {
        let gvk = scale::gvk();
        let ty = self
            .registry
            .kinds
            .type_of(&gvk.group, &gvk.version, &gvk.kind)
            .ok_or_else(|| Status::internal("the tables have no Scale"))?;
        let mut empty = Value::object();
        kinds::normalise::normalise(&ty, &mut empty);
        super::object::set_type(&mut empty, &gvk);
        Ok(then(&FieldManager {
            api_version: &gvk.api_version(),
            kind: &gvk.kind,
            ty: &ty,
            custom: false,
            subresource: "scale",
            reset: &Set::new(),
            versions: &OneVersion,
            empty: &empty,
            now: self.now,
        }))
    }

    /// The workload's entries after those of its Scale have changed.
    fn take_scale_owners(&self, live: &Value, object: &mut Value, scale: &Value) {
        let parent = Managed::decode(live.at(&FIELDS)).unwrap_or_default();
        let mut owners = Managed::decode(scale.at(&FIELDS)).unwrap_or_default();
        let mut result = Managed::default();
        let path = scale::replicas(self.places());
        let (own, own_set) = (elements(&path), Set::of_fields(&[&path]));
        for mut manager in parent.0.iter().cloned() {
            if manager.set.has(&own) {
                let before = owners.0.len();
                owners.0.retain(|owner| owner.id != manager.id);
                if owners.0.len() == before {
                    manager.set = manager.set.difference(&own_set);
                }
            }
            if !manager.set.is_empty() {
                result.put(manager);
            }
        }
        let api_version = self.resource.info.api_version();
        for owner in owners.0.into_iter().filter(|owner| owner.set.has(&elements(&REPLICAS))) {
            let time = parent.find(&owner.id).and_then(|m| m.time.clone());
            result.put(Manager { api_version: api_version.clone(), set: own_set.clone(), time, ..owner });
        }
        let entries = result.encode();
        if entries.is_empty() {
            object.remove_at(&FIELDS);
        } else {
            object.set_at(&FIELDS, entries);
        }
    }

    /// A workload whose replicas were changed by update or a patch of its Scale.
    pub(crate) fn scale_updated(
        &self,
        live: &Value,
        object: &mut Value,
        manager: &str,
    ) -> Result<(), Status> {
        let before = scale_of(live, self.places());
        let mut after = scale::of(object, self.places());
        self.with_scale(|fields| fields.updated(Some(&before), &mut after, manager))?;
        self.take_scale_owners(live, object, &after);
        Ok(())
    }

    /// A workload with what is applied to its Scale.
    pub(crate) fn scale_applied(
        &self,
        live: &Value,
        sent: &Value,
        manager: &str,
        force: bool,
    ) -> Result<Value, Status> {
        let before = scale_of(live, self.places());
        let applied = self.with_scale(|fields| fields.apply(Some(&before), sent, manager, force))??;
        if self.resource.info.custom && applied.changed {
            // Upstream has no way to make a Scale of what was merged.
            return Err(Status::plain_error(format!(
                "failed to convert new object ({}) to proper version: request to convert CR to an invalid \
                 group/version: {}",
                apimachinery::apply::object_text(sent),
                scale::gvk().api_version(),
            )));
        }
        let merged = applied.object;
        scale::check(&merged, apimachinery::meta::name(live))?;
        let mut object = live.clone();
        scale::take(&mut object, &merged, self.places());
        self.take_scale_owners(live, &mut object, &merged);
        Ok(object)
    }
}
