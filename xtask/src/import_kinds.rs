//! `cargo xtask import-kinds`: turns the facts about the Kubernetes 1.36 API into the tables that `crates/kinds`
//! reads, one text file per group version. Only facts are written (names, numbers, types, flags); no descriptions.
//!
//! The sources are upstream's OpenAPI and discovery documents, the list of Go fields (pointer, value, omitempty), the
//! protobuf numbers and the list of feature gates. The order of a struct's fields is that of its protobuf message,
//! which is the order of the Go struct, because upstream generates the one from the other.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

mod columns;
mod features;
mod resources;
mod sources;
mod types;

use sources::Sources;

/// Packages that no discovery document names but whose types travel: group, version, Go package.
const EXTRA_PACKAGES: [(&str, &str, &str); 3] = [
    ("meta.k8s.io", "v1", "apimachinery/pkg/apis/meta/v1"),
    ("admission.k8s.io", "v1", "api/admission/v1"),
    ("apidiscovery.k8s.io", "v2", "api/apidiscovery/v2"),
];

/// Reads the facts in `shared` and writes the tables to the folder `out`.
pub(crate) fn run(shared: &Path, out: &Path) -> anyhow::Result<()> {
    let sources = Sources::read(shared)?;
    fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
    remove_stale(out)?;
    let mut files = BTreeMap::new();
    for group_version in resources::group_versions(&sources)? {
        let package = types::package_of(&group_version.group, &group_version.version);
        let mut text = header();
        resources::render(&mut text, &group_version, &package);
        types::render_package(&mut text, &sources, &package)?;
        files.insert(file_name(&group_version.group, &group_version.version), text);
    }
    for (group, version, package) in EXTRA_PACKAGES {
        let mut text = header();
        writeln!(text, "group {group} {version} package={}", types::openapi_package(package))?;
        types::render_package(&mut text, &sources, package)?;
        files.insert(file_name(group, version), text);
    }
    files.insert("features".into(), features::render(&sources.features));
    files.insert("columns".into(), columns::render(&sources));
    for (name, text) in files {
        let path = out.join(&name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn header() -> String {
    "# Facts, written by `cargo xtask import-kinds`; the format is described in crates/kinds/README.md.\n"
        .into()
}

/// `apps_v1.kinds`; the legacy group is called core.
fn file_name(group: &str, version: &str) -> String {
    let group = if group.is_empty() { "core" } else { group };
    format!("{group}_{version}.kinds")
}

/// A group version that upstream dropped must not live on in the folder.
fn remove_stale(out: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(out).with_context(|| format!("listing {}", out.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "kinds") {
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}
