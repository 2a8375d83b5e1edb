//! `lightmeter` as programs see it, in every situation they may meet: what it
//! prints as JSON is as its schema says, exit codes are as documented, and a
//! saved run shows the same again.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod compare;
mod peer;
mod ping;
mod report;
#[path = "../schema/mod.rs"]
mod schema;
mod stream;
mod trouble;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// `lightmeter` with these words, and nobody at its standard input.
fn lightmeter(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lightmeter"));
    command
        .args(words.split_whitespace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(words: &str) -> Output {
    lightmeter(words).output().unwrap()
}

/// Given by standard input.
fn piped(words: &str, input: &[u8]) -> Output {
    let mut command = lightmeter(words);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("killed: {}", told(output)))
}

/// Standard output.
fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Standard error.
fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The object that is all of standard output: one line, as the schema says.
#[track_caller]
fn object(name: &str, output: &Output) -> Value {
    let text = text(output);
    assert_eq!(text.lines().count(), 1, "{text}{}", told(output));
    let object = serde_json::from_str(&text).unwrap();
    check(name, &object);
    object
}

/// Fails if the object is not as its schema says, which the program prints.
#[track_caller]
fn check(name: &str, object: &Value) {
    let schema = run(&format!("report --schema {name}"));
    assert_eq!(code(&schema), 0, "{}", told(&schema));
    let schema: Value = serde_json::from_slice(&schema.stdout).unwrap();
    let complaints = schema::complaints(object, &schema, &schema, "");
    assert!(complaints.is_empty(), "{}\n{object}", complaints.join("\n"));
}
