//! Random values of the tables' types, the same on every run: objects as clients might send them, and changes to them.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

use apimachinery::schema::{Field, List, ListType, Scalar, Struct, Type, TypeKind};
use apimachinery::{Object, Value};
use kinds::scalar::{Moment, encode_base64, format_time};

/// How often the long form repeats what the normal one does once.
const LONG_FACTOR: u64 = 30;
/// Structs and lists deeper than this are left out.
const DEPTH_MAX: usize = 7;

/// How many cases run: `normal`, and more of them in the long form.
pub fn cases(normal: u64) -> u64 {
    let long = std::env::var_os("GANTRY_TEST_LONG").is_some_and(|value| !value.is_empty() && value != "0");
    if long { normal * LONG_FACTOR } else { normal }
}

/// Small and the same on every run.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % sides as u64).expect("below a usize")
    }

    pub fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len())]
    }
}

/// The key that strategic merge tells a list's elements apart by, and those that apply does.
pub fn keys_of<'t>(field: Option<&'t Field>, list: &'t List) -> Vec<&'t str> {
    let mut keys: Vec<&str> = match &list.list_type {
        ListType::Map(keys) => keys.iter().map(|key| key.name.as_str()).collect(),
        _ => Vec::new(),
    };
    if let Some(field) = field
        && !field.patch_merge_key.is_empty()
        && !keys.contains(&field.patch_merge_key.as_str())
    {
        keys.push(&field.patch_merge_key);
    }
    keys
}

/// Whether a strategic patch merges this list.
pub fn merges(field: &Field) -> bool {
    field.patch_strategy.split(',').any(|word| word == "merge")
}

/// Makes values.
pub struct Generator {
    pub dice: Dice,
    /// Whether empty lists and maps, zero values and nulls come up.
    pub hollow: bool,
}

impl Generator {
    pub fn new(seed: u64, hollow: bool) -> Self {
        Self { dice: Dice::new(seed), hollow }
    }

    pub fn value(&mut self, ty: &Type) -> Value {
        self.of(ty, None, 0)
    }

    /// A value of a type in a struct `owner`.
    pub fn of(&mut self, ty: &Type, owner: Option<&Type>, depth: usize) -> Value {
        match &ty.kind {
            TypeKind::Scalar(kind) => self.scalar(*kind),
            TypeKind::Struct(body) => self.structure(ty, body, depth).into(),
            TypeKind::Any => self.any(ty, owner, depth),
            TypeKind::List(list) => self.list(None, list, owner, depth).into(),
            TypeKind::Map { value, .. } => {
                let mut object = Object::new();
                for _ in 0..self.length(depth) {
                    let key = format!("k{}", self.dice.roll(6));
                    let item = self.of(value.get(), owner, depth + 1);
                    object.insert(&key, item);
                }
                object.into()
            }
        }
    }

    fn length(&mut self, depth: usize) -> usize {
        let least = usize::from(!self.hollow);
        least + self.dice.roll(if depth > 4 { 2 } else { 4 })
    }

    fn structure(&mut self, ty: &Type, body: &Struct, depth: usize) -> Object {
        let mut object = Object::new();
        for field in &body.fields {
            if depth < DEPTH_MAX && self.dice.one_in(2 + depth) {
                let value = self.field(ty, field, depth);
                object.insert(&field.name, value);
            }
        }
        if object.is_empty()
            && !self.hollow
            && let Some(field) = body.fields.iter().find(|f| plain(f))
        {
            let value = self.field(ty, field, depth);
            object.insert(&field.name, value);
        }
        object
    }

    /// A value of a field.
    pub fn field(&mut self, owner: &Type, field: &Field, depth: usize) -> Value {
        if self.hollow && self.dice.one_in(12) {
            return Value::NULL;
        }
        match &field.ty.get().kind {
            TypeKind::List(list) => self.list(Some(field), list, Some(owner), depth).into(),
            _ => self.of(field.ty.get(), Some(owner), depth + 1),
        }
    }

    fn list(&mut self, field: Option<&Field>, list: &List, owner: Option<&Type>, depth: usize) -> Vec<Value> {
        let mut items = Vec::new();
        for _ in 0..self.length(depth) {
            let item = self.element(field, list, owner, depth);
            push_distinct(&mut items, item, field, list);
        }
        items
    }

    /// One element of a list, with what tells it from others.
    fn element(&mut self, field: Option<&Field>, list: &List, owner: Option<&Type>, depth: usize) -> Value {
        let element = list.element.get();
        let mut item = self.of(element, owner, depth + 1);
        if let (TypeKind::Struct(body), Some(members)) = (&element.kind, item.as_object_mut()) {
            for key in keys_of(field, list) {
                let of = body.field(key).expect("a key is a field").ty.get();
                let value = match &of.kind {
                    TypeKind::Scalar(Scalar::Int32 | Scalar::Int64) => {
                        (1 + self.dice.roll(5)).to_string().parse::<i64>().expect("digits").into()
                    }
                    _ => Value::from(format!("v{}", self.dice.roll(5))),
                };
                members.insert(key, value);
            }
        }
        item
    }

    fn any(&mut self, ty: &Type, owner: Option<&Type>, depth: usize) -> Value {
        let schema = owner.filter(|_| ty.name.contains("PropsOr") && self.dice.one_in(2));
        if let Some(owner) = schema
            && let TypeKind::Struct(body) = &owner.kind
        {
            return self.structure(owner, body, depth + 1).into();
        }
        match ty.name.as_str() {
            "v1.JSONSchemaPropsOrBool" => self.dice.one_in(2).into(),
            "v1.JSONSchemaPropsOrStringArray" => vec!["a".into(), "b".into()].into(),
            "v1.JSONSchemaPropsOrArray" => vec![Value::object(), Value::object()].into(),
            // Raw extensions are objects; a JSON of a schema may be anything.
            _ => Value::from_json(self.dice.pick(&[r#"{"a":[1,"b",{"c":1.5}]}"#, r#"{"d":"e"}"#]).as_bytes())
                .expect("JSON"),
        }
    }

    fn scalar(&mut self, kind: Scalar) -> Value {
        let zero = self.hollow && self.dice.one_in(8);
        match kind {
            Scalar::String if zero => "".into(),
            Scalar::String => {
                format!("{}{}", self.dice.pick(&["v", "é", "\"\\\u{1}"]), self.dice.roll(100)).into()
            }
            Scalar::Bool => (!self.hollow || self.dice.one_in(2)).into(),
            Scalar::Int32 if zero => (*self.dice.pick(&[0, i64::from(i32::MIN), i64::from(i32::MAX)])).into(),
            Scalar::Int64 if zero => (*self.dice.pick(&[0, i64::MIN, i64::MAX])).into(),
            Scalar::Int32 | Scalar::Int64 => self.number().into(),
            Scalar::Float64 => (*self.dice.pick(&[0.5, -2.25, 1e300, 3.0])).into(),
            Scalar::Bytes if zero => "".into(),
            Scalar::Bytes => encode_base64(self.dice.roll(100_000).to_string().as_bytes()).into(),
            Scalar::Time | Scalar::MicroTime => {
                let micro = kind == Scalar::MicroTime;
                let seconds = self.number() * 40_000;
                let nanos =
                    if micro { u32::try_from(self.dice.roll(1_000_000)).expect("small") * 1000 } else { 0 };
                format_time(Moment { seconds, nanos }, micro).into()
            }
            Scalar::Duration => (*self.dice.pick(&["1m0s", "-2ns", "1.5s"])).into(),
            Scalar::Quantity => (*self.dice.pick(&["500m", "2Gi", "-3", "1e3", "7k"])).into(),
            Scalar::IntOrString if self.dice.one_in(2) => "25%".into(),
            Scalar::IntOrString => self.number().into(),
            Scalar::FieldsV1 => Value::from_json(br#"{"f:a":{"k:{\"x\":1}":{}}}"#).expect("JSON"),
        }
    }

    /// Not zero.
    fn number(&mut self) -> i64 {
        let number = i64::try_from(self.dice.roll(100_000)).expect("small") - 50_000;
        if number == 0 { 1 } else { number }
    }

    /// Another value of the type, alike in most.
    pub fn changed(&mut self, ty: &Type, value: &Value, depth: usize) -> Value {
        match (&ty.kind, value.as_object()) {
            (TypeKind::Struct(body), Some(members)) => {
                let mut object = Object::new();
                for field in &body.fields {
                    let member = match members.get(&field.name) {
                        None => {
                            (depth < DEPTH_MAX && self.dice.one_in(8)).then(|| self.field(ty, field, depth))
                        }
                        Some(_) if self.dice.one_in(6) => None,
                        Some(member) => Some(self.changed_field(ty, field, member, depth)),
                    };
                    if let Some(member) = member {
                        object.insert(&field.name, member);
                    }
                }
                object.into()
            }
            (TypeKind::Map { value: target, .. }, Some(members)) => {
                let mut object = Object::new();
                for (key, member) in members.iter() {
                    if !self.dice.one_in(4) {
                        let member = self.changed(target.get(), member, depth + 1);
                        object.insert(key, member);
                    }
                }
                if self.dice.one_in(2) {
                    let member = self.of(target.get(), None, depth + 1);
                    object.insert(&format!("k{}", self.dice.roll(6)), member);
                }
                object.into()
            }
            _ if self.dice.one_in(2) => value.clone(),
            _ => self.of(ty, None, depth),
        }
    }

    fn changed_field(&mut self, owner: &Type, field: &Field, member: &Value, depth: usize) -> Value {
        let (TypeKind::List(list), Some(items)) = (&field.ty.get().kind, member.as_array()) else {
            return match &field.ty.get().kind {
                TypeKind::Struct(_) | TypeKind::Map { .. } => self.changed(field.ty.get(), member, depth + 1),
                _ if self.dice.one_in(2) => member.clone(),
                _ => self.field(owner, field, depth),
            };
        };
        let keys = keys_of(Some(field), list);
        let mut changed: Vec<Value> = Vec::new();
        for item in items {
            if self.dice.one_in(4) {
                continue;
            }
            let mut other = self.changed(list.element.get(), item, depth + 1);
            if let Some(members) = other.as_object_mut() {
                for key in &keys {
                    members.insert(key, item.get(key).expect("an element has its keys").clone());
                }
            }
            push_distinct(&mut changed, other, Some(field), list);
        }
        for _ in 0..self.dice.roll(3) {
            let item = self.element(Some(field), list, Some(owner), depth);
            push_distinct(&mut changed, item, Some(field), list);
        }
        if changed.len() > 1 && self.dice.one_in(2) {
            let places = changed.len();
            changed.swap(self.dice.roll(places), 0);
        }
        if changed.is_empty() {
            return self.list(Some(field), list, Some(owner), depth).into();
        }
        changed.into()
    }
}

/// What fills a struct that would be empty.
fn plain(field: &Field) -> bool {
    matches!(field.ty.get().kind, TypeKind::Scalar(_))
}

/// Adds an element unless one like it is there: sets have no doubles, nor have keys.
fn push_distinct(items: &mut Vec<Value>, item: Value, field: Option<&Field>, list: &List) {
    let keys = keys_of(field, list);
    let merge_key = field.map_or("", |field| field.patch_merge_key.as_str());
    let identity = |value: &Value| -> Vec<Value> {
        match () {
            () if !merge_key.is_empty() => vec![value.get(merge_key).expect("a key is there").clone()],
            () if keys.is_empty() => vec![value.clone()],
            () => keys.iter().map(|key| value.get(key).expect("a key is there").clone()).collect(),
        }
    };
    let own = identity(&item);
    if items.iter().all(|other| identity(other) != own) {
        items.push(item);
    }
}
