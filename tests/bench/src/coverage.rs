//! What `cargo xtask coverage` walks: every operation of upstream's OpenAPI v2, against our server in this process.
//!
//! An operation is served when each of its media types is taken and given, when each of its parameters is looked at, and
//! when methods that its path does not have are refused. What objects mean is not asked here: most requests name objects
//! that do not exist, and it is the manner of the refusal that tells.

pub mod discovery;
pub mod parameters;
pub mod spec;
pub mod walk;

/// What upstream describes and we do not serve: the whole list, each with its reason. None is GA or on by default.
pub const EXCUSED: [(Excused, &str); 5] = [
    (Excused::MediaType("application/cbor"), "alpha, gate CBORServingAndStorage"),
    (Excused::MediaType("application/cbor-seq"), "alpha, gate CBORServingAndStorage"),
    (Excused::MediaType("application/apply-patch+cbor"), "alpha, gate CBORServingAndStorage"),
    (Excused::Parameter("shardSelector"), "alpha, gate ShardedListAndWatch"),
    (
        Excused::Parameter("ignoreStoreReadErrorWithClusterBreakingPotential"),
        "alpha, gate AllowUnsafeMalformedObjectDeletion",
    ),
];

/// A row of [`EXCUSED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excused {
    MediaType(&'static str),
    Parameter(&'static str),
}

/// Why a media type is excused.
pub fn excused_type(name: &str) -> Option<&'static str> {
    let row = EXCUSED.iter().find(|(what, _)| matches!(what, Excused::MediaType(known) if *known == name));
    row.map(|(_, why)| *why)
}

/// Why a parameter is excused.
pub fn excused_parameter(name: &str) -> Option<&'static str> {
    let row = EXCUSED.iter().find(|(what, _)| matches!(what, Excused::Parameter(known) if *known == name));
    row.map(|(_, why)| *why)
}
