//! Schemas and types say the same: what the one refuses, so does the other; and
//! what is taken is shown, whatever it says. On runs that were saved.

use serde_json::{Map, Value, json};

use super::super::Document;
use super::ALL;
use crate::ping::lines::Probe;

#[path = "../../tests/schema/mod.rs"]
mod schema;

const RUNS: [(&str, &str); 6] = [
    ("ping", include_str!("../../tests/runs/ping.json")),
    ("probe", include_str!("../../tests/runs/probe.json")),
    ("stream", include_str!("../../tests/runs/stream.json")),
    ("load", include_str!("../../tests/runs/load.json")),
    ("ab", include_str!("../../tests/runs/ab.json")),
    ("sweep", include_str!("../../tests/runs/sweep.json")),
];

fn of(name: &str) -> Value {
    serde_json::from_str(super::named(name).expect("a name")).expect("JSON")
}

/// Every object schema within.
fn objects<'a>(schema: &'a Value, found: &mut Vec<&'a Map<String, Value>>) {
    match schema {
        Value::Object(rules) => {
            let sort = rules.get("type");
            if sort == Some(&json!("object")) || sort == Some(&json!(["object", "null"])) {
                found.push(rules);
            }
            rules.values().for_each(|rule| objects(rule, found));
        }
        Value::Array(rules) => rules.iter().for_each(|rule| objects(rule, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_key_is_described_and_no_other_is_let_in() {
    for (name, _) in ALL {
        let schema = of(name);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["$id"], format!("nearlight.lightmeter.{name}/1"));
        let mut found = Vec::new();
        objects(&schema, &mut found);
        assert!(!found.is_empty());
        for rules in found {
            let keys = rules["properties"].as_object().expect("properties");
            let listed = rules["required"].as_array().expect("required keys");
            assert_eq!(rules["additionalProperties"], false, "{name}: {rules:?}");
            assert_eq!(listed.len(), keys.len(), "{name}: {listed:?}: may be null, not missing");
            for (key, rule) in keys {
                assert!(listed.contains(&json!(key)), "{name}: {key}");
                let described = |rule: &Value| rule["description"].as_str().map(str::to_owned);
                let path = rule["$ref"].as_str().unwrap_or("#/nothing").trim_start_matches('#');
                let about = described(rule).or_else(|| schema.pointer(path).and_then(described));
                let about = about.unwrap_or_else(|| panic!("{name}: {key} is not described"));
                let is_time = key.ends_with("_ns");
                assert!(!is_time || about.contains("nanoseconds"), "{name}: {key}: {about}");
            }
        }
    }
}

/// The engine's words for what went wrong, which nothing else holds to a list.
#[test]
fn every_word_of_an_error_is_in_the_schema() {
    let ping = of("ping");
    let known = ping.pointer("/$defs/failure/properties/kind/enum").expect("a list");
    let known = known.as_array().expect("a list");
    for source in [
        include_str!("../../../src/client/ping/error.rs"),
        include_str!("../../../src/client/ping/complaint.rs"),
    ] {
        let (_, body) = source.split_once("fn word(").expect("the words");
        let (body, _) = body.split_once("\n    }\n").expect("their end");
        let words: Vec<&str> =
            body.split("=> \"").skip(1).filter_map(|w| w.split('"').next()).collect();
        assert!(words.len() > 4, "{words:?}");
        for word in words {
            assert!(known.contains(&json!(word)), "{word}");
        }
    }
}

/// Whether the types take it; then it is shown, too.
fn is_read(name: &str, value: &Value) -> bool {
    let json = value.to_string();
    if name == "probe" {
        return serde_json::from_str::<Probe>(&json).is_ok_and(|probe| probe.check().is_ok());
    }
    let document = Document::read(&format!("nearlight.lightmeter.{name}/1"), json.as_bytes());
    document.is_ok_and(|document| !document.text().contains('\0'))
}

/// All places in a value.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(keys) => {
            keys.iter().for_each(|(key, inner)| places(inner, &format!("{at}/{key}"), found));
        }
        // The first stands for all.
        Value::Array(items) => {
            items.iter().take(1).for_each(|inner| places(inner, &format!("{at}/0"), found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn replaced(good: &Value, place: &str, other: Value) -> Value {
    let mut bad = good.clone();
    *bad.pointer_mut(place).expect("a place") = other;
    bad
}

#[test]
fn what_the_schemas_refuse_the_types_refuse_too() {
    for (name, run) in RUNS {
        let good: Value = serde_json::from_str(run).expect("JSON");
        let schema = of(name);
        let complaints = |value: &Value| schema::complaints(value, &schema, &schema, "");
        assert_eq!(complaints(&good), Vec::<String>::new(), "{good}");
        assert!(is_read(name, &good), "{good}");
        let mut all = Vec::new();
        places(&good, "", &mut all);
        assert!(all.len() > 15, "{name}: {}", all.len());
        for place in all.iter().filter(|place| !place.is_empty()) {
            let here = good.pointer(place).expect("a place");
            let others = [
                json!(null),
                json!(true),
                json!(1.5),
                json!([[]]),
                // Types take a missing key for null, so none is missing here.
                json!({ "more": 1 }),
            ];
            for other in others.into_iter().filter(|other| other != here) {
                let bad = replaced(&good, place, other.clone());
                let complaints = complaints(&bad);
                let is_read = is_read(name, &bad);
                assert_eq!(is_read, complaints.is_empty(), "{name}{place} {other}: {complaints:?}");
            }
            if here.is_object() {
                let mut bad = good.clone();
                bad.pointer_mut(place).expect("a place")["more"] = json!(1);
                assert!(!complaints(&bad).is_empty() && !is_read(name, &bad), "{name}{place}");
            }
        }
    }
}

#[test]
fn whatever_a_document_says_is_shown() {
    for (name, run) in RUNS.into_iter().filter(|(name, _)| *name != "probe") {
        let good: Value = serde_json::from_str(run).expect("JSON");
        let mut all = Vec::new();
        places(&good, "", &mut all);
        let mut shown = 0;
        for place in all.iter().filter(|place| !place.is_empty()) {
            for other in [
                json!([]),
                json!(""),
                json!("ü\u{1b}[2J\n"),
                json!(0),
                json!(u64::MAX),
                json!(i64::MIN),
                json!(1e308),
                json!(-0.0),
                json!(null),
            ] {
                shown += u64::from(is_read(name, &replaced(&good, place, other)));
            }
        }
        assert!(shown > 50, "{name}: {shown}");
    }
}
