//! Packs the descriptions of types and fields for OpenAPI: those in the JSON schemas of the `k8s-openapi` crate, wherever
//! cargo keeps its source, as one compressed blob of `TYPE\tTEXT` and `TYPE#FIELD\tTEXT` lines. (Its doc comments say the
//! same, but with what rustdoc needs escaped.) A text is as its Rust literal has it, so that it has no line ends or tabs.
//!
//! Nothing of that crate's text is kept in this repository. A build that cannot find the source says so and goes on
//! without descriptions.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../Cargo.lock");
    let mut lines = Vec::new();
    match source() {
        Some(source) => walk(&source, &mut lines),
        None => println!(
            "cargo::warning=the source of k8s-openapi was not found: OpenAPI goes without descriptions"
        ),
    }
    lines.sort();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("descriptions.gz");
    let file = fs::File::create(out).expect("OUT_DIR is writable");
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::best());
    encoder.write_all(lines.join("\n").as_bytes()).expect("OUT_DIR is writable");
    encoder.finish().expect("OUT_DIR is writable");
}

/// The folder of the crate's types for our version of Kubernetes: where cargo unpacks registries, else where it says
/// that the crate is (vendored sources). Asking cargo first would fail whenever the lock file is about to change.
fn source() -> Option<PathBuf> {
    let lock = fs::read_to_string("../Cargo.lock").ok()?;
    let package = lock.split("[[package]]").find(|p| p.contains("name = \"k8s-openapi\""))?;
    let version = package.lines().find_map(|l| l.strip_prefix("version = \""))?.trim_end_matches('"');
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))?;
    let registries = fs::read_dir(home.join("registry").join("src")).into_iter().flatten().flatten();
    let unpacked = registries.map(|r| r.path().join(format!("k8s-openapi-{version}")));
    unpacked.chain(from_cargo()).map(|f| f.join("src").join("v1_36")).find(|f| f.is_dir())
}

#[allow(clippy::disallowed_methods, reason = "a build script runs cargo")]
fn from_cargo() -> Option<PathBuf> {
    let cargo = env::var_os("CARGO")?;
    let output = std::process::Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    // One path out of megabytes of JSON: looking for it beats parsing.
    let end = text.find("k8s-openapi/Cargo.toml\"")?;
    let start = text[..end].rfind('"')? + 1;
    Some(Path::new(&text[start..end]).join("k8s-openapi"))
}

fn walk(folder: &Path, lines: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, lines);
        } else if path.extension().is_some_and(|e| e == "rs")
            && let Ok(text) = fs::read_to_string(&path)
        {
            read(&text, lines);
        }
    }
}

/// How deep the members of a schema, and those of its properties, stand in the generated code.
const MEMBER: &str = "            \"";
const PROPERTY_MEMBER: &str = "                    \"";
const PROPERTY: &str = "                \"";

/// One generated file: a definition's name and the descriptions of its schema and properties.
fn read(text: &str, lines: &mut Vec<String>) {
    let Some(name) = text.lines().find_map(|l| l.strip_prefix("// Generated from definition ")) else {
        return;
    };
    let mut schema = text.lines().skip_while(|line| !line.ends_with("json_schema!({"));
    let mut field = "";
    for line in schema.by_ref().skip(1).take_while(|line| line.trim() != "})") {
        if let Some(text) = added_description(line) {
            lines.push(format!("{name}#{field}\t{text}"));
        } else if let Some(rest) = line.strip_prefix(PROPERTY_MEMBER) {
            if let Some(text) = description(rest) {
                lines.push(format!("{name}#{field}\t{text}"));
            }
        } else if let Some(rest) = line.strip_prefix(PROPERTY) {
            field = rest.split('"').next().unwrap_or_default();
        } else if let Some(text) = line.strip_prefix(MEMBER).and_then(description) {
            lines.push(format!("{name}\t{text}"));
        }
    }
}

/// A field whose type is another schema gets its description by a call.
fn added_description(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(".insert(\"description\".into(), \"")?;
    rest.strip_suffix("\".into());")
}

/// The literal of a line `description": "…",` without its quotes.
fn description(rest: &str) -> Option<&str> {
    rest.strip_prefix("description\": \"")?.strip_suffix("\",")
}
