//! Packs the tables of `tables/` into one interned blob, so that a server that starts parses no text: strings once, an
//! index of type names, and bodies that are decoded when a type is first used. The reader is `src/blob.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[path = "build/parse.rs"]
mod parse;

use parse::{Group, TypeBody, TypeText};

fn main() {
    println!("cargo::rerun-if-changed=tables");
    println!("cargo::rerun-if-changed=build");
    let tables = Path::new("tables");
    let mut paths: Vec<_> = fs::read_dir(tables)
        .expect("the tables are part of the repository")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|e| e == "kinds"))
        .collect();
    paths.sort();
    let mut groups: Vec<Group> = paths
        .iter()
        .map(|path| {
            parse::parse(&path.display().to_string(), &fs::read_to_string(path).expect("a readable table"))
        })
        .collect();
    groups.sort_by_key(|g| g.order);
    let features =
        parse::parse_features(&fs::read_to_string(tables.join("features")).expect("the table of features"));
    let columns =
        parse::parse_columns(&fs::read_to_string(tables.join("columns")).expect("the table of columns"));
    let blob = Packer::default().pack(&groups, &features, &columns);
    let out = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("tables.bin"), blob).expect("a writable OUT_DIR");
}

#[derive(Default)]
struct Packer {
    strings: Vec<String>,
    ids: BTreeMap<String, u32>,
    body: Vec<u8>,
}

impl Packer {
    /// Layout: seven little-endian `u32` counts and offsets, then strings, the index of types and the body.
    fn pack(mut self, groups: &[Group], features: &[parse::Feature], columns: &[parse::Columns]) -> Vec<u8> {
        let mut index: Vec<(String, u32)> = Vec::new();
        for group in groups {
            for ty in &group.types {
                index.push((format!("{}.{}", group.package, ty.name), self.at()));
                self.type_body(&group.package, ty);
            }
        }
        index.sort();
        let groups_at = self.at();
        self.number(groups.len());
        for group in groups {
            self.group(group);
        }
        let features_at = self.at();
        self.number(features.len());
        for feature in features {
            self.string(&feature.name);
            self.number(feature.changes.len());
            for change in &feature.changes {
                self.number(change.minor as usize);
                self.string(&change.stage);
                self.body.push(u8::from(change.default) | u8::from(change.locked) << 1);
            }
        }
        let columns_at = self.at();
        self.number(columns.len());
        for table in columns {
            self.string(&table.group);
            self.string(&table.plural);
            self.number(table.columns.len());
            for column in &table.columns {
                for text in column {
                    self.string(text);
                }
            }
        }
        let index: Vec<(u32, u32)> = index.iter().map(|(name, at)| (self.id(name), *at)).collect();
        self.finish(&index, [groups_at, features_at, columns_at])
    }

    fn finish(self, index: &[(u32, u32)], sections: [u32; 3]) -> Vec<u8> {
        let mut text = Vec::new();
        let mut ends = Vec::new();
        for string in &self.strings {
            text.extend_from_slice(string.as_bytes());
            ends.push(u32::try_from(text.len()).expect("small tables"));
        }
        let mut out = Vec::new();
        let count = |n: usize| u32::try_from(n).expect("small tables").to_le_bytes();
        for number in [ends.len(), text.len(), index.len(), self.body.len()] {
            out.extend_from_slice(&count(number));
        }
        for section in sections {
            out.extend_from_slice(&section.to_le_bytes());
        }
        for end in ends {
            out.extend_from_slice(&end.to_le_bytes());
        }
        for (name, at) in index {
            out.extend_from_slice(&name.to_le_bytes());
            out.extend_from_slice(&at.to_le_bytes());
        }
        out.extend_from_slice(&text);
        out.extend_from_slice(&self.body);
        out
    }

    fn at(&self) -> u32 {
        u32::try_from(self.body.len()).expect("small tables")
    }

    fn id(&mut self, text: &str) -> u32 {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let id = u32::try_from(self.strings.len()).expect("small tables");
        self.strings.push(text.to_owned());
        self.ids.insert(text.to_owned(), id);
        id
    }

    /// A LEB128 number.
    fn number(&mut self, number: usize) {
        let mut rest = number;
        while rest >= 0x80 {
            self.body.push(u8::try_from(rest & 0x7f).expect("seven bits") | 0x80);
            rest >>= 7;
        }
        self.body.push(u8::try_from(rest).expect("seven bits"));
    }

    fn string(&mut self, text: &str) {
        let id = self.id(text);
        self.number(id as usize);
    }

    fn strings(&mut self, texts: &[String]) {
        self.number(texts.len());
        for text in texts {
            self.string(text);
        }
    }

    fn group(&mut self, group: &Group) {
        self.string(&group.name);
        self.string(&group.version);
        self.string(&group.package);
        self.body.push(u8::from(group.order.is_some()));
        self.number(group.resources.len());
        for resource in &group.resources {
            for text in [
                &resource.plural,
                &resource.kind,
                &resource.singular,
                &resource.of,
                &resource.stored,
                &resource.hash,
            ] {
                self.string(text);
            }
            self.body.push(u8::from(resource.namespaced) | u8::from(resource.served_by_default) << 1);
            self.strings(&resource.short_names);
            self.strings(&resource.categories);
            self.strings(&resource.verbs);
            self.number(resource.subresources.len());
            for sub in &resource.subresources {
                for text in [&sub.name, &sub.kind, &sub.of] {
                    self.string(text);
                }
                self.strings(&sub.verbs);
            }
        }
    }

    fn type_body(&mut self, package: &str, ty: &TypeBody) {
        self.string(&ty.proto);
        self.body.push(u8::from(ty.atomic));
        self.string(&ty.union);
        self.number(ty.fields.len());
        for field in &ty.fields {
            self.string(&field.name);
            self.number(field.proto as usize);
            let flags = [
                field.pointer,
                field.always,
                field.omitzero,
                field.required,
                field.map_atomic,
                field.map_granular,
            ];
            self.body.push(flags.iter().enumerate().map(|(bit, on)| u8::from(*on) << bit).sum());
            for text in [&field.list, &field.patch, &field.merge, &field.default, &field.shows] {
                self.string(text);
            }
            self.type_text(package, &field.ty);
        }
    }

    /// Prefix notation; the tags are those of `src/blob.rs`.
    fn type_text(&mut self, package: &str, ty: &TypeText) {
        match ty {
            TypeText::List(element) => {
                self.body.push(1);
                self.type_text(package, element);
            }
            TypeText::Map(key, value) => {
                self.body.push(2);
                self.string(key);
                self.type_text(package, value);
            }
            TypeText::Named(name, target) => {
                self.body.push(3);
                self.string(name);
                self.type_text(package, target);
            }
            TypeText::Struct(name) => {
                self.body.push(4);
                let name = if name.contains('.') { name.clone() } else { format!("{package}.{name}") };
                self.string(&name);
            }
            TypeText::Scalar(word) => {
                self.body.push(5);
                self.string(word);
            }
        }
    }
}
