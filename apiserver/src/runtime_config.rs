//! `--runtime-config`: which group versions and resources are served besides, or instead of, what is on by default.
//!
//! `api/all`, `api/ga`, `api/beta` and `api/alpha` speak of all versions of that maturity, `group/version` (`v1` for the
//! legacy group) of one, `group/version/resource` of one resource; what is said more closely wins. Mirrors upstream's
//! resource configuration.

use std::collections::BTreeMap;

use component::run::ConfigError;
use kinds::ResourceInfo;

const GROUPS: [&str; 4] = ["api/all", "api/alpha", "api/beta", "api/ga"];

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct RuntimeConfig(BTreeMap<String, bool>);

impl RuntimeConfig {
    /// Every API there is.
    pub fn everything() -> Self {
        Self([("api/all".to_owned(), true)].into())
    }

    /// Reads the flag; a key that names nothing is refused.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let kinds = kinds::Registry::builtin();
        let asked = component::config::parse_bool_map(text).map_err(ConfigError)?;
        let known = |key: &str| {
            GROUPS.contains(&key)
                || kinds.resources().iter().any(|r| key == r.api_version() || key == resource_key(r))
        };
        match asked.iter().find(|(key, _)| !known(key)) {
            Some((key, _)) => Err(ConfigError(format!("--runtime-config: nothing is called {key:?}"))),
            None => Ok(Self(asked.into_iter().collect())),
        }
    }

    /// Whether a resource is served.
    pub(crate) fn serves(&self, info: &ResourceInfo) -> bool {
        if self.0.is_empty() {
            return info.served_by_default;
        }
        let said = |key: &str| self.0.get(key).copied();
        said(&resource_key(info))
            .or_else(|| said(&info.api_version()))
            .or_else(|| said(maturity(&info.version)))
            .or_else(|| said("api/all"))
            .unwrap_or(info.served_by_default)
    }
}

fn resource_key(info: &ResourceInfo) -> String {
    format!("{}/{}", info.api_version(), info.plural)
}

fn maturity(version: &str) -> &'static str {
    match version {
        v if v.contains("alpha") => "api/alpha",
        v if v.contains("beta") => "api/beta",
        _ => "api/ga",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(flag: &str, api_version: &str, kind: &str, served: bool) {
        let kinds = kinds::Registry::builtin();
        let (group, version) = kinds::registry::split_api_version(api_version);
        let info = kinds.kind(group, version, kind).unwrap();
        assert_eq!(RuntimeConfig::parse(flag).unwrap().serves(&info), served, "{flag}");
    }

    #[test]
    fn the_closest_word_counts() {
        let (version, kind) = ("resource.k8s.io/v1beta1", "ResourceClaim");
        check("", version, kind, false);
        check("api/all=true", version, kind, true);
        check("api/alpha=true", version, kind, false);
        check("api/beta=true", version, kind, true);
        check("api/all=true,resource.k8s.io/v1beta1=false", version, kind, false);
        check("api/all=false,resource.k8s.io/v1beta1/resourceclaims=true", version, kind, true);
        check("api/ga=false", "v1", "Pod", false);
        check("v1=true,api/ga=false", "v1", "Pod", true);
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for flag in ["api/some=true", "batch/v7=true", "v1/podds=true"] {
            assert!(RuntimeConfig::parse(flag).is_err(), "{flag}");
        }
    }
}
