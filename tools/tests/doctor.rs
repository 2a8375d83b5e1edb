//! `lightmeter doctor` as scripts see it: exit codes, an object that is as its
//! schema says, a fix that names what is missing here.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod schema;

use serde_json::Value;
use std::process::{Command, Output};

fn doctor(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lightmeter"));
    command.arg("doctor").args(words);
    command
}

/// The object that is all of standard output, as the schema says.
fn object(output: &Output) -> Value {
    let object = serde_json::from_slice(&output.stdout).unwrap();
    let schema: Value = serde_json::from_str(include_str!("../schemas/doctor.json")).unwrap();
    let complaints = schema::complaints(&object, &schema, &schema, "");
    assert!(complaints.is_empty(), "{}\n{object}", complaints.join("\n"));
    object
}

fn finding<'a>(object: &'a Value, topic: &str) -> &'a Value {
    let all = object["findings"].as_array().unwrap();
    all.iter().find(|finding| finding["topic"] == topic).unwrap()
}

#[test]
fn every_topic_is_told_and_the_exit_code_says_whether_all_can_be_had() {
    let output = doctor(&["--json"]).output().unwrap();
    let object = object(&output);
    let schema: Value = serde_json::from_str(include_str!("../schemas/doctor.json")).unwrap();
    for topic in schema.pointer("/$defs/finding/properties/topic/enum").unwrap().as_array().unwrap()
    {
        finding(&object, topic.as_str().unwrap());
    }
    let is_all_possible = object["impossible"].as_array().unwrap().is_empty();
    assert_eq!(output.status.code(), Some(i32::from(!is_all_possible)));
    let verdicts: Vec<&str> = object["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["verdict"].as_str().unwrap())
        .collect();
    assert!(verdicts.is_sorted(), "limit, note, ok: {verdicts:?}");
    let limits = verdicts.iter().filter(|verdict| **verdict == "limit").count() as u64;
    assert_eq!(object["limits"].as_u64(), Some(limits));
    let measured = &object["measured"];
    assert_eq!(measured["timer_slack_exact_ns"].as_u64(), Some(1));
    assert!(measured["oversleep_p50_ns"].as_u64().unwrap() > 0);
    assert!(measured["spin_ns"].as_u64() >= measured["away_ns"].as_u64());
}

#[test]
fn a_missing_ping_makes_one_kind_impossible() {
    let output = doctor(&["--json"]).env("PATH", "/nonexistent").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let object = object(&output);
    assert!(object["impossible"].as_array().unwrap().contains(&"system".into()));
    let finding = finding(&object, "system_ping");
    assert_eq!(
        (&finding["verdict"], &finding["value"]),
        (&"limit".into(), &"not installed".into())
    );
    assert!(finding["fix"].as_str().unwrap().contains("iputils"), "{finding}");
}

#[test]
fn text_is_plain_in_a_pipe_and_ends_in_a_sentence() {
    let output = doctor(&[]).env("PATH", "/nonexistent").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains('\x1b'), "no control sequences in a pipe");
    let last = text.lines().last().unwrap();
    assert!(last.contains(" what can be measured here"), "{last}");
    assert!(last.ends_with("system"), "what can't be had: {last}");
    let row = text.lines().position(|line| line.starts_with("limit  system_ping")).unwrap();
    assert!(text.lines().nth(row + 2).unwrap().trim_start().starts_with("fix: "), "{text}");
}

#[test]
fn wrong_usage_is_2_and_an_object_too() {
    for words in [&["localhost", "--json"][..], &["--json", "--fix"]] {
        let output = doctor(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert_eq!(object(&output)["error"]["kind"], "usage");
        assert!(!output.stderr.is_empty());
    }
    let help = doctor(&["--help"]).output().unwrap();
    assert_eq!(help.status.code(), Some(0));
    assert!(help.stdout.starts_with(b"lightmeter doctor"));
}

#[test]
fn the_check_of_schemas_sees_what_is_wrong() {
    let schema: Value = serde_json::from_str(include_str!("../schemas/doctor.json")).unwrap();
    let good = serde_json::json!({
        "schema": "nearlight.lightmeter.doctor/1", "tool": "t", "findings": [],
        "error": { "kind": "usage", "message": "m" },
    });
    let broken = |path: &str, value: Value| {
        let mut object = good.clone();
        object[path] = value;
        !schema::complaints(&object, &schema, &schema, "").is_empty()
    };
    assert!(schema::complaints(&good, &schema, &schema, "").is_empty());
    assert!(broken("extra", 1.into()));
    assert!(broken("tool", 1.into()));
    assert!(broken("schema", "nearlight.lightmeter.doctor/2".into()));
    assert!(broken("findings", serde_json::json!([1])));
    assert!(broken("error", serde_json::json!({ "kind": "usage" })));
}
