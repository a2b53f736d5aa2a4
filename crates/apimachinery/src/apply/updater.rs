//! Who gains and who loses fields when an object changes, and what an apply takes away. Mirrors `merge.Updater` of
//! structured-merge-diff.

use super::managed::{Id, Managed, Manager, Operation};
use super::shape::{Types, same};
use super::{
    ApplyError, Comparison, Conflict, FieldManager, NEVER_OWNED, Set, check, compare, extract, last_applied,
    merge, object_text,
};
use crate::Value;
use crate::schema::TypeRef;

/// A value in a version.
struct Versioned {
    api_version: String,
    value: Value,
    ty: TypeRef,
}

/// The merged object (`None`: nothing changes) and its managers.
type Merged = (Option<Value>, Managed);

impl FieldManager<'_> {
    fn here(&self, value: Value) -> Versioned {
        Versioned { api_version: self.api_version.into(), value, ty: self.ty.clone() }
    }

    fn convert(&self, from: &Versioned, api_version: &str) -> Option<Versioned> {
        if from.api_version == api_version {
            return Some(Versioned {
                api_version: api_version.into(),
                value: from.value.clone(),
                ty: from.ty.clone(),
            });
        }
        if api_version == self.api_version {
            let (value, _) = self.versions.convert(&from.value, api_version)?;
            return Some(self.here(value));
        }
        let (value, ty) = self.versions.convert(&from.value, api_version)?;
        Some(Versioned { api_version: api_version.into(), value, ty })
    }

    fn compare(&self, ty: &TypeRef, old: &Value, new: &Value) -> Result<Comparison, String> {
        Ok(compare::compare(self.types(), ty, old, new)?.exclude(self.reset))
    }

    /// Takes what changed from all managers but `applier`. With an applier that does not force, changes of what others
    /// own are conflicts.
    pub(super) fn retire(
        &self,
        old: &Value,
        new: &Value,
        managed: Managed,
        applier: Option<(&Id, bool)>,
    ) -> Result<(Managed, Comparison), ApplyError> {
        let failed = |why| ApplyError::Plain(format!("failed to compare objects: {why}"));
        let own = self.compare(self.ty, old, new).map_err(failed)?;
        let mut foreign: Vec<(String, Option<Comparison>)> = Vec::new();
        let mut conflicts = Vec::new();
        let mut kept = Vec::with_capacity(managed.0.len());
        for mut manager in managed.0 {
            if applier.is_some_and(|(id, _)| *id == manager.id) {
                kept.push(manager);
                continue;
            }
            let comparison = if manager.api_version == self.api_version {
                &own
            } else {
                let at = match foreign.iter().position(|(version, _)| *version == manager.api_version) {
                    Some(at) => at,
                    None => {
                        let found = self.compare_in(&manager.api_version, old, new).map_err(failed)?;
                        foreign.push((manager.api_version.clone(), found));
                        foreign.len() - 1
                    }
                };
                match &foreign[at].1 {
                    Some(comparison) => comparison,
                    // The version is not served any more: what was owned in it is forgotten.
                    None => continue,
                }
            };
            if !comparison.is_same() {
                let changed = comparison.modified.union(&comparison.added);
                let lost = manager.set.intersection(&changed);
                if !lost.is_empty() {
                    let paths = lost.paths().into_iter();
                    conflicts.extend(paths.map(|path| Conflict { manager: manager.id.clone(), path }));
                }
                manager.set = manager.set.difference(&lost).difference(&comparison.removed);
            }
            if !manager.set.is_empty() {
                kept.push(manager);
            }
        }
        if applier.is_some_and(|(_, force)| !force) && !conflicts.is_empty() {
            return Err(ApplyError::Conflicts(conflicts));
        }
        kept.retain(|manager| !manager.set.is_empty());
        Ok((Managed(kept), own))
    }

    fn compare_in(&self, api_version: &str, old: &Value, new: &Value) -> Result<Option<Comparison>, String> {
        let Some((old, ty)) = self.versions.convert(old, api_version) else { return Ok(None) };
        let Some((new, _)) = self.versions.convert(new, api_version) else { return Ok(None) };
        self.compare(&ty, &old, &new).map(Some)
    }

    /// Merges what is applied and prunes what its manager does not apply any more.
    pub(super) fn merge(
        &self,
        live: &Value,
        applied: &Value,
        managed: &Managed,
        manager: &str,
        force: bool,
    ) -> Result<Merged, ApplyError> {
        let types = self.types();
        check::check(self.ty, live, true, check::Metadata::Open).map_err(|why| {
            ApplyError::Plain(format!("failed to create typed live object ({}): {why}", object_text(live)))
        })?;
        let merged = merge::merge(types, self.ty, live, applied)
            .map_err(|why| ApplyError::Plain(format!("failed to merge config: {why}")))?;
        let id = Id::new(manager, Operation::Apply, self.api_version, self.subresource);
        let last = managed.find(&id).cloned();
        let mut set = extract::field_set(types, self.ty, applied);
        set.subtract_recursively(self.reset);
        let mut managed = managed.clone();
        managed.put(Manager {
            id: id.clone(),
            api_version: self.api_version.into(),
            set,
            time: last.as_ref().and_then(|last| last.time.clone()),
        });
        let merged = match last {
            Some(last) if !last.set.is_empty() => self.prune(merged, &managed, &last),
            _ => merged,
        };
        let (mut managed, _) = self.retire(live, &merged, managed, Some((&id, force)))?;
        // Not the comparison: another order of items is a change too.
        let changed = !same(live, &merged);
        if let Some(own) = managed.0.iter_mut().find(|m| m.id == id) {
            own.set.subtract(&Set::of_fields(NEVER_OWNED));
            if changed {
                own.time = Some(self.now_text());
            }
        }
        managed.0.retain(|m| !m.set.is_empty());
        Ok((changed.then_some(merged), managed))
    }

    /// Takes out what the manager applied last time and nobody owns now.
    fn prune(&self, merged: Value, managed: &Managed, last: &Manager) -> Value {
        let types = self.types();
        let here = self.here(merged);
        let Some(merged) = self.convert(&here, &last.api_version) else { return here.value };
        let named = |set: &Set, ty: &TypeRef| set.with_named_fields(types, Some(ty));
        let value = merge::remove(types, &merged.ty, &merged.value, &named(&last.set, &merged.ty));
        let pruned = Versioned { value, api_version: merged.api_version.clone(), ty: merged.ty.clone() };
        let pruned = self.add_back_owned(&merged, pruned, managed);
        let Some(pruned) = self.convert(&pruned, &last.api_version) else { return here.value };
        // What is gone but was not the manager's comes back.
        let set_of = |v: &Versioned| named(&extract::field_set(types, &v.ty, &v.value), &v.ty);
        let gone = set_of(&merged).difference(&set_of(&pruned)).intersection(&named(&last.set, &merged.ty));
        let value = merge::remove(types, &merged.ty, &merged.value, &gone);
        let result = Versioned { value, ..merged };
        self.convert(&result, self.api_version).map_or(here.value, |v| v.value)
    }

    /// Puts back what any manager owns, this one's new configuration included.
    fn add_back_owned(&self, merged: &Versioned, pruned: Versioned, managed: &Managed) -> Versioned {
        let mut by_version: Vec<(&str, Set)> = Vec::new();
        for manager in &managed.0 {
            match by_version.iter_mut().find(|(version, _)| *version == manager.api_version) {
                Some((_, set)) => *set = set.union(&manager.set),
                None => by_version.push((&manager.api_version, manager.set.clone())),
            }
        }
        // The pruned version first: what conversion needs must be back before the first conversion.
        by_version.sort_by_key(|(version, _)| *version != pruned.api_version);
        let mut pruned = pruned;
        for (version, owned) in by_version {
            let (Some(whole), Some(rest)) = (self.convert(merged, version), self.convert(&pruned, version))
            else {
                continue;
            };
            pruned = put_back(self.types(), whole, &rest.value, &owned);
        }
        pruned
    }

    /// A client-side apply comes before: what its annotation shows to have been applied is not in conflict.
    pub(super) fn upgrade(
        &self,
        live: &Value,
        applied: &Value,
        managed: &Managed,
        manager: &str,
        conflicts: Vec<Conflict>,
    ) -> Result<Merged, ApplyError> {
        let Some(allowed) = last_applied::owned(self, live) else {
            return Err(ApplyError::Conflicts(conflicts));
        };
        let allowed = allowed.paths();
        let left: Vec<Conflict> = conflicts.into_iter().filter(|c| !allowed.contains(&c.path)).collect();
        if !left.is_empty() {
            return Err(ApplyError::Conflicts(left));
        }
        self.merge(live, applied, managed, manager, true)
    }

    pub(super) fn compare_plain(&self, old: &Value, new: &Value) -> Option<Comparison> {
        compare::compare(self.types(), self.ty, old, new).ok()
    }

    pub(super) fn field_set(&self, value: &Value) -> Set {
        extract::field_set(self.types(), self.ty, value)
    }
}

/// `whole` without what is neither in `rest` nor owned.
fn put_back(types: Types, whole: Versioned, rest: &Value, owned: &Set) -> Versioned {
    let named = |set: &Set| set.with_named_fields(types, Some(&whole.ty));
    let all = named(&extract::field_set(types, &whole.ty, &whole.value));
    let kept = named(&extract::field_set(types, &whole.ty, rest)).union(&named(owned));
    let value = merge::remove(types, &whole.ty, &whole.value, &all.difference(&kept));
    Versioned { value, ..whole }
}
