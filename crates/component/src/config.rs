//! Configuration files: YAML with `apiVersion` and `kind`, unknown keys refused with their path.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::run::ConfigError;

/// Reads a component's configuration file. `T` must `deny_unknown_fields`; its field names are upstream's.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| ConfigError(format!("configuration file {}: {e}", path.display())))?;
    parse(&text).map_err(|e| ConfigError(format!("configuration file {}: {}", path.display(), e.0)))
}

/// As [`load`], from text.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, ConfigError> {
    serde_saphyr::from_str(text).map_err(|e| ConfigError(e.to_string()))
}

/// Parses `--feature-gates` and `--runtime-config` style lists: `a=true,b=false`.
pub fn parse_bool_map(text: &str) -> Result<Vec<(String, bool)>, String> {
    text.split(',')
        .filter(|part| !part.trim().is_empty())
        .map(|part| {
            let (name, value) =
                part.split_once('=').ok_or_else(|| format!("missing bool value for {part}"))?;
            match value.trim() {
                "true" | "1" | "t" | "T" | "TRUE" | "True" => Ok((name.trim().to_owned(), true)),
                "false" | "0" | "f" | "F" | "FALSE" | "False" => Ok((name.trim().to_owned(), false)),
                other => Err(format!("invalid value of {}={other}, err: not a bool", name.trim())),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[allow(dead_code, reason = "only its name matters")]
        port: u16,
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        let error = parse::<Sample>("port: 1\nprot: 2\n").unwrap_err();
        assert!(error.0.contains("prot"), "{error}");
    }

    #[test]
    fn bool_maps() {
        assert_eq!(parse_bool_map("A=true,B=0").unwrap(), [("A".to_owned(), true), ("B".to_owned(), false)]);
        assert!(parse_bool_map("A").is_err());
        assert!(parse_bool_map("A=maybe").is_err());
    }
}
