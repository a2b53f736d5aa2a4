//! Small schemas by hand, bytes of fieldsV1, laws of the set algebra, and the stories that managers tell.

use expect_test::{Expect, expect};

use super::*;
use crate::schema::Scalar;
use crate::testing::{
    any, atomic_map, atomic_structure, field, keyed, list, map, of, scalar, set, structure,
};

const NOW: &str = "2026-01-02T03:04:05Z";

fn json(text: &str) -> Value {
    Value::from_json(text.as_bytes()).unwrap()
}

/// A kind with one field of each sort.
fn thing() -> TypeRef {
    let item = structure(vec![
        field("name", scalar()),
        field("value", scalar()),
        field("proto", scalar()),
        field("inner", map(scalar())),
    ]);
    let spec = structure(vec![
        field("text", scalar()),
        field("count", of(Scalar::Int32)),
        field("flag", of(Scalar::Bool)),
        field("any", any()),
        field("map", map(scalar())),
        field("whole", atomic_map(scalar())),
        field("ref", atomic_structure(vec![field("name", scalar())])),
        field("atoms", list(scalar())),
        field("set", set(scalar())),
        field("items", keyed(item, &[("name", None), ("proto", Some("TCP"))])),
    ]);
    let metadata = structure(vec![
        field("name", scalar()),
        field("namespace", scalar()),
        field("uid", scalar()),
        field("annotations", map(scalar())),
        field("labels", map(scalar())),
        field("managedFields", list(any())),
    ]);
    structure(vec![field("metadata", metadata), field("spec", spec), field("status", map(scalar()))])
}

/// `v2` has the same type, and calls `spec.text` the same.
#[derive(Debug)]
struct TwoVersions;

impl Versions for TwoVersions {
    fn convert(&self, value: &Value, api_version: &str) -> Option<(Value, TypeRef)> {
        if !matches!(api_version, "v1" | "v2") {
            return None;
        }
        let mut value = value.clone();
        value.set_at(&["apiVersion"], api_version);
        Some((value, thing()))
    }
}

fn with<T>(custom: bool, subresource: &str, then: impl FnOnce(&FieldManager<'_>) -> T) -> T {
    let reset = Set::of_fields(if subresource == "status" { &[&["spec"]] } else { &[&["status"]] });
    then(&FieldManager {
        api_version: "v1",
        kind: "Thing",
        ty: &thing(),
        custom,
        subresource,
        reset: &reset,
        versions: &TwoVersions,
        empty: &json(r#"{"kind":"Thing","apiVersion":"v1","metadata":{},"spec":{}}"#),
        now: time::parse_time(NOW).unwrap(),
    })
}

fn object(spec: &str) -> Value {
    json(&format!(r#"{{"kind":"Thing","apiVersion":"v1","metadata":{{"name":"x"}},"spec":{spec}}}"#))
}

/// Applies; what the server would add to a new object is added.
#[track_caller]
fn apply(live: Option<&Value>, spec: &str, manager: &str, force: bool) -> Value {
    let mut applied = with(false, "", |f| f.apply(live, &object(spec), manager, force)).unwrap().object;
    applied.set_at(&["metadata", "uid"], "u");
    applied
}

#[track_caller]
fn refused(live: Option<&Value>, sent: &Value, manager: &str, expected: Expect) {
    let error = with(false, "", |f| f.apply(live, sent, manager, false)).unwrap_err();
    expected.assert_eq(&error.to_string());
}

fn update(live: Option<&Value>, spec: &str, manager: &str) -> Value {
    let mut new = object(spec);
    with(false, "", |f| f.updated(live, &mut new, manager));
    new.set_at(&["metadata", "uid"], "u");
    new
}

/// The spec, and each manager with its set.
#[track_caller]
fn check(object: &Value, expected: Expect) {
    let mut lines = vec![object.get("spec").unwrap_or(&Value::NULL).to_json_string()];
    for entry in object.array_at(&["metadata", "managedFields"]) {
        let text = |key: &str| entry.str_at(&[key]).unwrap_or("-").to_owned();
        let time = if entry.get("time").is_some() { "" } else { " (no time)" };
        let fields = entry.get("fieldsV1").unwrap().to_json_string();
        lines.push(format!("{} {}{time} {fields}", text("manager"), text("operation")));
    }
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn bytes_of_sets() {
    let text = concat!(
        r#"{"f:metadata":{"f:labels":{".":{},"f:a.b/c":{}}},"f:spec":{"f:items":{".":{},"#,
        r#""k:{\"name\":\"a\",\"port\":80}":{".":{},"f:name":{}},"k:{\"name\":\"a\",\"port\":443}":{}},"#,
        r#""f:set":{"v:1":{},"v:\"x\"":{},"v:true":{}},"f:z":{"i:0":{},"i:10":{}}}}"#
    );
    let set = Set::from_value(&json(text)).unwrap();
    assert_eq!(set.to_value().to_json_string(), text);
    assert_eq!(set.len(), 11);
    assert!(set.has(&[Element::field("metadata"), Element::field("labels")]));
    assert!(!set.has(&[Element::field("metadata")]));
    expect![[r#"
        .metadata.labels
        .metadata.labels.a.b/c
        .spec.items
        .spec.items[name="a",port=80]
        .spec.items[name="a",port=443]
        .spec.items[name="a",port=80].name
        .spec.set[=1]
        .spec.set[="x"]
        .spec.set[=true]
        .spec.z[0]
        .spec.z[10]"#]]
    .assert_eq(&set.paths().join("\n"));
    for bad in [r#"{"x":{}}"#, r#"{"f:a":1}"#, r#"{"k:[]":{}}"#, r#"{"q:a":{}}"#, "[]"] {
        assert!(Set::from_value(&json(bad)).is_none(), "{bad}");
    }
}

/// A set of paths over a small alphabet, drawn from a number.
fn drawn(seed: u64) -> Set {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = |n: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % n
    };
    let mut set = Set::new();
    for _ in 0..next(8) {
        let path: Vec<Element> = (0..=next(3))
            .map(|_| match next(4) {
                0 => Element::Index(i64::try_from(next(2)).unwrap()),
                n => Element::field(["", "a", "b", "c"][usize::try_from(n).unwrap()]),
            })
            .collect();
        set.insert(&path);
    }
    set
}

#[test]
fn laws_of_the_algebra() {
    for seed in 1..400 {
        let (a, b, c) = (drawn(seed), drawn(seed * 7 + 3), drawn(seed * 31 + 11));
        assert_eq!(a.union(&b), b.union(&a));
        assert_eq!(a.intersection(&b), b.intersection(&a));
        assert_eq!(a.union(&b).union(&c), a.union(&b.union(&c)));
        assert_eq!(a.difference(&b).union(&a.intersection(&b)), a);
        let mut rest = a.clone();
        rest.subtract(&b);
        assert_eq!(rest, a.difference(&b));
        let mut rest = a.clone();
        rest.subtract_recursively(&b);
        assert_eq!(rest, a.recursive_difference(&b));
        assert_eq!(a.difference(&b).intersection(&b), Set::new());
        assert_eq!(a.intersection(&b.union(&c)), a.intersection(&b).union(&a.intersection(&c)));
        assert_eq!(a.difference(&a), Set::new());
        assert_eq!(a.union(&b).len() + a.intersection(&b).len(), a.len() + b.len());
        // Taking away with all that is below takes no less.
        assert_eq!(a.recursive_difference(&b).difference(&a.difference(&b)), Set::new());
        assert_eq!(a.leaves().difference(&a), Set::new());
        let text = a.to_value();
        assert_eq!(Set::from_value(&text).unwrap(), a, "{}", text.to_json_string());
    }
}

#[test]
fn what_an_applied_object_owns() {
    let check_set = |custom: bool, spec: &str, expected: Expect| {
        let set = extract::field_set(Types { deduced: custom }, &thing(), &object(spec));
        let spec = set.to_value().get("f:spec").unwrap().to_json_string();
        expected.assert_eq(&spec);
    };
    check_set(
        false,
        r#"{"text":"a","map":{"k":"v"},"whole":{"k":"v"},"ref":{"name":"n"},"atoms":["a"],"set":["b","a"],"items":[{"name":"i","inner":{}}],"any":{"a":{"b":1}}}"#,
        expect![[
            r#"{"f:any":{},"f:atoms":{},"f:items":{"k:{\"name\":\"i\",\"proto\":\"TCP\"}":{".":{},"f:inner":{},"f:name":{}}},"f:map":{"f:k":{}},"f:ref":{},"f:set":{"v:\"a\"":{},"v:\"b\"":{}},"f:text":{},"f:whole":{}}"#
        ]],
    );
    // Empty lists are nothing, empty maps and nulls are something; atomic ones always are.
    check_set(
        false,
        r#"{"map":{},"set":[],"items":[],"atoms":[],"text":null}"#,
        expect![[r#"{"f:atoms":{},"f:map":{},"f:text":{}}"#]],
    );
    check_set(
        true,
        r#"{"any":{"a":{"b":1},"l":[1],"e":{}}}"#,
        expect![[r#"{"f:any":{"f:a":{".":{},"f:b":{}},"f:e":{},"f:l":{}}}"#]],
    );
    // Items with the same key are owned as one.
    check_set(
        false,
        r#"{"items":[{"name":"i","value":"1"},{"name":"i","value":"2","proto":"TCP"}]}"#,
        expect![[r#"{"f:items":{"k:{\"name\":\"i\",\"proto\":\"TCP\"}":{}}}"#]],
    );
}

#[test]
fn updates_own_what_they_change() {
    let created = update(None, r#"{"text":"a","map":{"k":"v"},"items":[{"name":"i","value":"1"}]}"#, "u");
    check(
        &created,
        expect![[r#"
            {"text":"a","map":{"k":"v"},"items":[{"name":"i","value":"1"}]}
            u Update {"f:spec":{"f:items":{".":{},"k:{\"name\":\"i\",\"proto\":\"TCP\"}":{".":{},"f:name":{},"f:value":{}}},"f:map":{".":{},"f:k":{}},"f:text":{}}}"#]],
    );
    let changed = update(Some(&created), r#"{"text":"b","map":{"k":"v"},"items":[{"name":"i"}]}"#, "w");
    check(
        &changed,
        expect![[r#"
            {"text":"b","map":{"k":"v"},"items":[{"name":"i"}]}
            u Update {"f:spec":{"f:items":{".":{},"k:{\"name\":\"i\",\"proto\":\"TCP\"}":{".":{},"f:name":{}}},"f:map":{".":{},"f:k":{}}}}
            w Update {"f:spec":{"f:text":{}}}"#]],
    );
    // Nothing changed, nobody new; the order of an atomic list counts.
    let same = update(Some(&changed), r#"{"text":"b","map":{"k":"v"},"items":[{"name":"i"}]}"#, "z");
    assert_eq!(same.at(&["metadata", "managedFields"]), changed.at(&["metadata", "managedFields"]));
}

#[test]
fn applying_less_takes_away() {
    let one = apply(None, r#"{"text":"a","map":{"k":"v","l":"w"},"set":["x","y"]}"#, "m", false);
    let two = apply(Some(&one), r#"{"map":{"k":"v"},"set":["y"]}"#, "m", false);
    check(
        &two,
        expect![[r#"
            {"map":{"k":"v"},"set":["y"]}
            m Apply {"f:spec":{"f:map":{"f:k":{}},"f:set":{"v:\"y\"":{}}}}"#]],
    );
    // What somebody else owns stays, by apply or by update.
    let shared = apply(Some(&two), r#"{"map":{"k":"v"}}"#, "n", false);
    let left = apply(Some(&shared), "{}", "m", false);
    check(
        &left,
        expect![[r#"
            {"map":{"k":"v"}}
            n Apply (no time) {"f:spec":{"f:map":{"f:k":{}}}}
            m Apply {"f:spec":{}}"#]],
    );
}

#[test]
fn conflicts() {
    let live = apply(None, r#"{"text":"a","items":[{"name":"i","value":"1"}]}"#, "m", false);
    refused(
        Some(&live),
        &object(r#"{"text":"b"}"#),
        "n",
        expect![[r#"Apply failed with 1 conflict: conflict with "m": .spec.text"#]],
    );
    let live = update(Some(&live), r#"{"text":"a","items":[{"name":"i","value":"2"}]}"#, "u");
    let both = object(r#"{"text":"b","items":[{"name":"i","value":"3"}]}"#);
    refused(
        Some(&live),
        &both,
        "n",
        expect![[r#"
            Apply failed with 2 conflicts: conflicts with "m":
            - .spec.text
            conflicts with "u" using v1:
            - .spec.items[name="i",proto="TCP"].value"#]],
    );
    let error = with(false, "", |f| f.apply(Some(&live), &both, "n", false)).unwrap_err();
    let status = Status::from(error);
    let causes = status.details.unwrap().causes;
    assert_eq!((status.code, status.reason.as_str(), causes.len()), (409, "Conflict", 2));
    assert_eq!(causes[1].message, r#"conflict with "u" using v1"#);
    assert_eq!(causes[1].field, r#".spec.items[name="i",proto="TCP"].value"#);
    let forced = apply(Some(&live), r#"{"text":"b"}"#, "n", true);
    check(
        &forced,
        expect![[r#"
            {"text":"b","items":[{"name":"i","value":"2"}]}
            m Apply {"f:spec":{"f:items":{"k:{\"name\":\"i\",\"proto\":\"TCP\"}":{".":{},"f:name":{}}}}}
            n Apply {"f:spec":{"f:text":{}}}
            u Update {"f:spec":{"f:items":{"k:{\"name\":\"i\",\"proto\":\"TCP\"}":{"f:value":{}}}}}"#]],
    );
}

#[test]
fn lists_keep_their_order() {
    let names = |object: &Value| -> Vec<String> {
        object.array_at(&["spec", "set"]).iter().map(|v| v.as_str().unwrap().to_owned()).collect()
    };
    let one = apply(None, r#"{"set":["b","a"]}"#, "m", false);
    let two = apply(Some(&one), r#"{"set":["c","a"]}"#, "n", false);
    assert_eq!(names(&two), ["b", "c", "a"]);
    let three = apply(Some(&two), r#"{"set":["a","b"]}"#, "m", false);
    assert_eq!(names(&three), ["c", "a", "b"]);
}

#[test]
fn refusals() {
    let check_text = |spec: &str, expected: Expect| refused(None, &object(spec), "m", expected);
    check_text(
        r#"{"bogus":1}"#,
        expect![
            "failed to create typed patch object (/x; /v1, Kind=Thing): .spec.bogus: field not declared in schema"
        ],
    );
    check_text(
        r#"{"text":1}"#,
        expect![
            "failed to create typed patch object (/x; /v1, Kind=Thing): .spec.text: expected string, got &value.valueUnstructured{Value:1}"
        ],
    );
    check_text(
        r#"{"count":"3","flag":"true"}"#,
        expect![[r#"
            failed to create typed patch object (/x; /v1, Kind=Thing): errors:
              .spec.count: expected numeric (int or float), got string
              .spec.flag: expected boolean, got &{true}"#]],
    );
    check_text(
        r#"{"set":["a","a"],"items":[null]}"#,
        expect![[r#"
            failed to create typed patch object (/x; /v1, Kind=Thing): errors:
              .spec.set: duplicate entries for key [="a"]
              .spec.items: element 0: associative list with keys may not have a null element"#]],
    );
    check_text(
        r#"{"map":["a"],"atoms":{"a":1}}"#,
        expect![[r#"
            failed to create typed patch object (/x; /v1, Kind=Thing): errors:
              .spec.map: expected map, got &{[a]}
              .spec.atoms: expected list, got &{map[a:1]}"#]],
    );
    let mut other = object("{}");
    other.set_at(&["apiVersion"], "g/v2");
    refused(None, &other, "m", expect!["invalid object type: g/v2, Kind=Thing"]);
    let mut managed = object("{}");
    managed.set_at(&["metadata", "managedFields"], Vec::new());
    refused(None, &managed, "m", expect!["metadata.managedFields must be nil"]);
}

#[test]
fn resets_and_objects_without_managers() {
    let live = apply(None, r#"{"text":"a"}"#, "m", false);
    let mut forgotten = object(r#"{"text":"a"}"#);
    forgotten.set_at(&["metadata", "managedFields"], vec![Value::object()]);
    with(false, "", |f| f.updated(Some(&live), &mut forgotten, "u"));
    forgotten.set_at(&["metadata", "uid"], "u");
    assert_eq!(forgotten.at(&["metadata", "managedFields"]), None);
    // Updates do not begin to track; an apply does.
    let still = update(Some(&forgotten), r#"{"text":"b"}"#, "u");
    assert_eq!(still.at(&["metadata", "managedFields"]), None);
    refused(
        Some(&still),
        &object(r#"{"text":"c"}"#),
        "m",
        expect![[r#"Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .spec.text"#]],
    );
}

#[test]
fn subresources_own_their_part() {
    let live = apply(None, r#"{"text":"a"}"#, "m", false);
    let mut new = object(r#"{"text":"b"}"#);
    new.set_at(&["status", "k"], "v");
    with(false, "status", |f| f.updated(Some(&live), &mut new, "s"));
    let entries = new.array_at(&["metadata", "managedFields"]);
    assert_eq!(entries[1].str_at(&["subresource"]), Some("status"));
    assert_eq!(entries[1].get("fieldsV1").unwrap().to_json_string(), r#"{"f:status":{".":{},"f:k":{}}}"#);
    assert_eq!(entries[0].str_at(&["manager"]), Some("m"));
}

#[test]
fn many_updaters_become_one() {
    let mut live = update(None, r#"{"map":{"k0":"v"}}"#, "u0");
    for i in 1..13 {
        let members: Vec<String> = (0..=i).map(|n| format!(r#""k{n}":"v""#)).collect();
        live = update(Some(&live), &format!(r#"{{"map":{{{}}}}}"#, members.join(",")), &format!("u{i}"));
    }
    let entries = live.array_at(&["metadata", "managedFields"]);
    assert_eq!(entries.len(), 10);
    assert_eq!(entries[0].str_at(&["manager"]), Some("ancient-changes"));
}

#[test]
fn managers_of_versions_that_are_gone_are_forgotten() {
    let mut live = apply(None, r#"{"text":"a","count":1}"#, "m", false);
    let mut entries = live.array_at(&["metadata", "managedFields"]).to_vec();
    for (name, version) in [("two", "v2"), ("gone", "v0")] {
        let mut entry = entries[0].clone();
        entry.set_at(&["manager"], name);
        entry.set_at(&["apiVersion"], version);
        entries.push(entry);
    }
    live.set_at(&["metadata", "managedFields"], entries);
    let changed = update(Some(&live), r#"{"text":"b","count":1}"#, "u");
    check(
        &changed,
        expect![[r#"
            {"text":"b","count":1}
            m Apply {"f:spec":{"f:count":{}}}
            two Apply {"f:spec":{"f:count":{}}}
            u Update {"f:spec":{"f:text":{}}}"#]],
    );
}

#[test]
fn kubectl_takes_over_from_its_former_self() {
    const LAST: &str = "kubectl.kubernetes.io/last-applied-configuration";
    let config = r#"{"kind":"Thing","apiVersion":"v1","metadata":{"name":"x"},"spec":{"text":"a"}}"#;
    let mut sent = json(config);
    sent.set_at(&["metadata", "annotations"], [(LAST, config)].into_iter().collect::<Value>());
    with(false, "", |f| f.updated(None, &mut sent, "kubectl-client-side-apply"));
    sent.set_at(&["metadata", "uid"], "u");
    refused(
        Some(&sent),
        &object(r#"{"text":"b"}"#),
        "other",
        expect![[
            r#"Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using v1: .spec.text"#
        ]],
    );
    let taken = apply(Some(&sent), r#"{"text":"b"}"#, "kubectl", false);
    assert_eq!(
        meta::annotation(&taken, LAST),
        Some(
            "{\"apiVersion\":\"v1\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"x\"},\"spec\":{\"text\":\"b\"}}\n"
        )
    );
}
