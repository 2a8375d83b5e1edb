//! `lightmeter load`, `ab` and `sweep --json`, and their text again.

use std::path::Path;

use serde_json::Value;

use super::peer;
use super::ping::{ctrl_c, wait_until_it_blocks_signals};
use super::{code, lightmeter, object, piped, run, text, told};

/// Its exit code and its document, which `report` shows.
#[track_caller]
fn measure(name: &str, words: &str) -> (i32, Value, String) {
    let output = run(&format!("{name} {words} --json"));
    let doc = object(name, &output);
    let again = piped("report - --json", &output.stdout);
    assert_eq!(again.stdout, output.stdout, "{}", told(&again));
    let shown = piped("report -", &output.stdout);
    assert_eq!(code(&shown), 0);
    (code(&output), doc, text(&shown))
}

#[test]
fn two_targets() {
    let ((a, _seen), (b, _too)) = (peer::echo(), peer::echo());
    let (code, doc, shown) = measure("ab", &format!("{a} udp:{b} --rounds 6 --probes 20 -q"));
    assert!([0, 1, 3].contains(&code), "{doc}");
    assert_eq!(doc["result"]["rounds"].as_array().unwrap().len(), 6);
    assert!(shown.ends_with(&format!("{}\n", last(&doc))), "{shown}");
}

/// The last sentence of a document.
fn last(doc: &Value) -> &str {
    doc["advice"].as_str().or(doc["sentence"].as_str()).unwrap()
}

#[test]
fn what_can_not_be_compared() {
    let closed = peer::closed();
    for words in ["", "a=1", &format!("{closed} {closed} --rounds 6"), "127.0.0.1 --flood"] {
        let (code, doc, shown) = measure("ab", words);
        assert_eq!(code, 2, "{doc}");
        assert!(shown.contains(doc["error"]["message"].as_str().unwrap()), "{shown}");
    }
    let (code, doc, _) = measure("sweep", "nodelay");
    assert_eq!((code, &doc["error"]["kind"]), (2, &"usage".into()));
    let (code, doc, _) = measure("sweep", "nodelay=0,1 --server /nonexistent");
    assert_eq!(code, 2, "{doc}");
}

/// With the server, where it was built beside this program.
#[test]
fn settings() {
    let beside = Path::new(env!("CARGO_BIN_EXE_lightmeter")).with_file_name("nearlight");
    if !beside.is_file() {
        eprintln!("not run: there is no {}", beside.display());
        return;
    }
    let (code, doc, shown) = measure("sweep", "nodelay=0,1 --rounds 6 --probes 20 -q");
    assert!([0, 3].contains(&code), "{doc}");
    assert!(shown.contains("sweep of 2 settings"), "{shown}");
}

#[test]
fn load_on_a_relay_and_on_nothing() {
    let (publish, subscribe) = peer::relay();
    let (echo, _seen) = peer::echo();
    let words = format!(
        "{echo} --publish tcp://{publish} --subscribe tcp://{subscribe} --subscribers 1 --seconds \
         500ms --idle 500ms -q"
    );
    let (code, doc, shown) = measure("load", &words);
    assert!([0, 3].contains(&code), "{doc}");
    assert_eq!(doc["phases"].as_array().unwrap().len(), 3, "{doc}");
    assert!(doc["stream"]["received_bytes"].as_u64() > Some(0), "{doc}");
    assert!(shown.starts_with(&format!("load {echo}: ")), "{shown}");
    let closed = peer::closed();
    let (code, doc, _) = measure("load", &format!("{closed} --seconds 300ms --idle 300ms -q"));
    assert_eq!(code, 1, "{doc}");
    let (full, _queued, _listener) = peer::full();
    let child = lightmeter(&format!("load {full} --json")).spawn().unwrap();
    wait_until_it_blocks_signals(&child);
    let output = ctrl_c(child);
    let doc = object("load", &output);
    assert_eq!((super::code(&output), &doc["error"]["kind"]), (1, &"stopped".into()));
    for words in ["127.0.0.1 --rate much", "no.such.host.invalid", "127.0.0.1 --server x"] {
        let (code, doc, _) = measure("load", words);
        assert_eq!(code, 2, "{words}: {doc}");
    }
}
