//! Owner references: who controls an object, adoption of orphans, release of what no longer matches.
//!
//! The rules are ControllerRefManager's: never touch an object that another controller has, adopt only while alive,
//! and check every reference by uid.

use client::{Client, Error, Meta, OwnerReference, Patch, Resource, ResourceType};
use serde_json::json;

/// The reference that marks an object as controlled by `owner`.
pub fn controller_ref(ty: &ResourceType, owner: &Meta) -> OwnerReference {
    OwnerReference {
        api_version: ty.api_version(),
        kind: ty.kind.into(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// What a controller does about an object that it might own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is ours.
    Owned,
    /// An orphan that matches: take it.
    Adopt,
    /// Ours, but it does not match any more: let it go.
    Release,
    /// Somebody else's, or of no interest.
    Ignore,
}

/// Decides. `matches` is the selector's word on the object.
pub fn claim(owner: &Meta, object: &Meta, matches: bool) -> Claim {
    match object.controller() {
        Some(reference) if reference.uid != owner.uid => Claim::Ignore,
        Some(_) if matches => Claim::Owned,
        // An owner that goes away leaves its objects to the garbage collector.
        Some(_) if owner.deleting() => Claim::Ignore,
        Some(_) => Claim::Release,
        None if !matches || owner.deleting() || object.deleting() => Claim::Ignore,
        None => Claim::Adopt,
    }
}

/// Adds the controller reference; refused by the server when the object was replaced since.
pub async fn adopt<T: Resource>(
    client: &Client,
    owner_type: &ResourceType,
    owner: &Meta,
    object: &Meta,
) -> Result<T, Error> {
    let patch = Patch::Strategic(json!({
        "metadata": {"ownerReferences": [controller_ref(owner_type, owner)], "uid": object.uid},
    }));
    client.patch(&T::TYPE, &object.namespace, &object.name, "", &patch).await
}

/// Removes the controller reference. An object that is gone, or another by now, needs no release: `None`.
pub async fn release<T: Resource>(client: &Client, owner: &Meta, object: &Meta) -> Result<Option<T>, Error> {
    let patch = Patch::Strategic(json!({
        "metadata": {
            "ownerReferences": [{"$patch": "delete", "uid": owner.uid}],
            "uid": object.uid,
        },
    }));
    match client.patch(&T::TYPE, &object.namespace, &object.name, "", &patch).await {
        Ok(object) => Ok(Some(object)),
        Err(e) if e.is_not_found() || e.is_invalid() || e.is_conflict() => Ok(None),
        Err(e) => Err(e),
    }
}

/// Reads the owner live: a cache may not know yet that it was deleted and made anew, and its orphans are not ours then.
pub async fn may_adopt(client: &Client, ty: &ResourceType, owner: &Meta) -> Result<bool, Error> {
    match client.get::<client::PartialObject>(ty, &owner.namespace, &owner.name).await {
        Ok(live) => Ok(live.metadata.uid == owner.uid && !live.metadata.deleting()),
        Err(e) if e.is_not_found() => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(uid: &str, deleting: bool) -> Meta {
        let deletion_timestamp = deleting.then_some(Default::default());
        Meta { uid: uid.into(), deletion_timestamp, ..Meta::default() }
    }

    #[track_caller]
    fn check(owner_deleting: bool, controller: Option<&str>, deleting: bool, matches: bool, expected: Claim) {
        let mut object = meta("object", deleting);
        if let Some(uid) = controller {
            let owner = meta(uid, false);
            object.owner_references.push(controller_ref(&client::resources::REPLICA_SETS, &owner));
        }
        assert_eq!(claim(&meta("me", owner_deleting), &object, matches), expected);
    }

    #[test]
    fn claims() {
        check(false, Some("me"), false, true, Claim::Owned);
        check(false, Some("me"), true, true, Claim::Owned);
        check(false, Some("me"), false, false, Claim::Release);
        check(true, Some("me"), false, false, Claim::Ignore);
        check(false, Some("other"), false, true, Claim::Ignore);
        check(false, None, false, true, Claim::Adopt);
        check(false, None, false, false, Claim::Ignore);
        check(false, None, true, true, Claim::Ignore);
        check(true, None, false, true, Claim::Ignore);
    }
}
