//! Feature gates: their stage, default and lock in the version that we speak, and in older ones for
//! `--emulation-version`.

use std::collections::BTreeMap;

use crate::blob::Blob;

/// The minor version whose gates are in force: 1.36.
pub const MINOR: u32 = 36;

/// The maturity of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Alpha,
    Beta,
    /// General availability; upstream's metrics show it as the empty text.
    Ga,
    Deprecated,
}

/// The state of a gate in one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    pub stage: Stage,
    pub default: bool,
    /// The default cannot be overridden.
    pub locked: bool,
}

/// All gates of one version, by name.
#[derive(Clone, Debug)]
pub struct Features(BTreeMap<&'static str, Gate>);

impl Features {
    /// The gates as of 1.`minor`.
    pub fn of(minor: u32) -> Self {
        let mut reader = Blob::packed().features();
        let mut gates = BTreeMap::new();
        for _ in 0..reader.number() {
            let name = reader.string();
            for _ in 0..reader.number() {
                let since = reader.number();
                let stage = match reader.string() {
                    "ALPHA" | "Alpha" => Stage::Alpha,
                    "BETA" | "Beta" => Stage::Beta,
                    "Deprecated" | "DEPRECATED" => Stage::Deprecated,
                    _ => Stage::Ga,
                };
                let flags = reader.byte();
                // The changes of a gate are in the order of their versions: the last one that counts stays.
                if u32::try_from(since).is_ok_and(|since| since <= minor) {
                    gates.insert(name, Gate { stage, default: flags & 1 != 0, locked: flags & 2 != 0 });
                }
            }
        }
        Self(gates)
    }

    pub fn gate(&self, name: &str) -> Option<Gate> {
        self.0.get(name).copied()
    }

    /// In the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Gate)> {
        self.0.iter().map(|(name, gate)| (*name, *gate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_have_the_state_of_their_version() {
        let (now, before) = (Features::of(MINOR), Features::of(31));
        let gate = |features: &Features| features.gate("AllowDNSOnlyNodeCSR").unwrap();
        assert_eq!(gate(&now), Gate { stage: Stage::Deprecated, default: false, locked: false });
        assert_eq!(Features::of(30).gate("AllowDNSOnlyNodeCSR").unwrap().stage, Stage::Ga);
        assert_eq!(gate(&before).stage, Stage::Deprecated);
        assert!(now.gate("NoSuchGate").is_none());
        assert!(now.iter().count() > 150);
    }
}
