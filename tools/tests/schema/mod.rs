//! Checks an object against one of `tools/schemas`: the part of JSON Schema
//! (draft 2020-12) that those are written in. A word that it doesn't know is a
//! panic, so that no rule of a schema goes unchecked.

use serde_json::Value;

/// Words that say something to people alone.
const PROSE: [&str; 4] = ["$schema", "$id", "title", "description"];

/// What is wrong with `value`, each complaint with its place; nothing if it is
/// as `schema` says. `root` holds what `$ref` leads to.
pub(crate) fn complaints(value: &Value, schema: &Value, root: &Value, at: &str) -> Vec<String> {
    let rules = schema.as_object().expect("a schema is an object");
    let mut found = Vec::new();
    for (word, rule) in rules.iter().filter(|(word, _)| !PROSE.contains(&word.as_str())) {
        let holds = match word.as_str() {
            "$defs" => true,
            "$ref" => {
                let path = rule.as_str().expect("a reference").trim_start_matches('#');
                let target = root.pointer(path).unwrap_or_else(|| panic!("{rule} leads nowhere"));
                found.extend(complaints(value, target, root, at));
                true
            }
            "oneOf" => {
                let all = rule.as_array().expect("a list of schemas");
                let fits = |schema| complaints(value, schema, root, at).is_empty();
                all.iter().filter(|schema| fits(schema)).count() == 1
            }
            "anyOf" => {
                let all = rule.as_array().expect("a list of schemas");
                all.iter().any(|schema| complaints(value, schema, root, at).is_empty())
            }
            "const" => value == rule,
            "enum" => rule.as_array().expect("a list").contains(value),
            "type" => {
                let one = std::slice::from_ref(rule);
                let names = rule.as_array().map_or(one, Vec::as_slice);
                names.iter().any(|name| is_a(value, name.as_str().expect("the name of a type")))
            }
            "minimum" => value.as_f64().is_none_or(|number| number >= number_of(rule)),
            "exclusiveMinimum" => value.as_f64().is_none_or(|number| number > number_of(rule)),
            "maximum" => value.as_f64().is_none_or(|number| number <= number_of(rule)),
            "minItems" => length(value).is_none_or(|length| length >= number_of(rule)),
            "maxItems" => length(value).is_none_or(|length| length <= number_of(rule)),
            "required" => {
                let keys = rule.as_array().expect("a list of keys");
                let has = |key: &Value| value.get(key.as_str().expect("a key")).is_some();
                !value.is_object() || keys.iter().all(has)
            }
            "additionalProperties" => {
                assert_eq!(rule, &Value::Bool(false), "closed objects alone are known");
                let known = rules["properties"].as_object().expect("properties");
                value.as_object().is_none_or(|object| object.keys().all(|k| known.contains_key(k)))
            }
            "properties" => {
                for (key, schema) in rule.as_object().expect("properties") {
                    if let Some(inner) = value.get(key) {
                        found.extend(complaints(inner, schema, root, &format!("{at}/{key}")));
                    }
                }
                true
            }
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(complaints(item, rule, root, &format!("{at}/{n}")));
                }
                true
            }
            unknown => panic!("'{unknown}' is a word that this check does not know"),
        };
        if !holds {
            found.push(format!("{at}: not as '{word}': {rule} says: {value}"));
        }
    }
    found
}

fn is_a(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        unknown => panic!("'{unknown}' is no type"),
    }
}

fn number_of(rule: &Value) -> f64 {
    rule.as_f64().expect("a number")
}

fn length(value: &Value) -> Option<f64> {
    value.as_array().map(|items| items.len() as f64)
}
