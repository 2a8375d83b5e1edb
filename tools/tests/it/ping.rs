//! `lightmeter ping --json` and `--json-lines`.

use std::process::{Child, Output};

use nearlight::sys::child::{Tell, tell};
use nearlight::sys::clock::Clock;
use serde_json::Value;

use super::peer::{self, SOON};
use super::{check, code, lightmeter, object, run, text, told};

/// Its exit code and its document, which agree.
#[track_caller]
fn ping(words: &str) -> (i32, Value) {
    let output = run(&format!("ping --json {words}"));
    (code(&output), object("ping", &output))
}

/// Fails unless replies came: with 0, or 3 where this machine fell behind the
/// schedule and the document says so.
#[track_caller]
fn replied(code: i32, doc: &Value) {
    let is_invalid = doc["validity"]["state"] == "invalid";
    assert_eq!(code, if is_invalid { 3 } else { 0 }, "{doc}");
    let behind = |reason: &Value| reason.as_str().unwrap().contains("fell behind");
    assert!(doc["validity"]["invalid"].as_array().unwrap().iter().all(behind), "{doc}");
    assert!(doc["received"].as_u64() > Some(0), "{doc}");
}

#[test]
fn each_kind_alone() {
    let (address, _seen) = peer::echo();
    for kind in ["tcp", "udp", "echo"] {
        let (code, doc) = ping(&format!("{kind} {address} -c 40 -i 1ms"));
        replied(code, &doc);
        assert_eq!((doc["sent"].as_u64(), doc["received"].as_u64()), (Some(40), Some(40)));
        let series = &doc["series"][0];
        assert_eq!((doc["series"].as_array().unwrap().len(), &series["kind"]), (1, &kind.into()));
        assert!(doc["rtt"]["p90_ns"].as_u64() > doc["rtt"]["min_ns"].as_u64());
        assert!(series["network_rtt"]["p50_ns"].as_u64() <= series["rtt"]["p50_ns"].as_u64());
        assert!(doc["error"].is_null(), "{doc}");
    }
}

#[test]
fn through_a_relay() {
    let (publish, subscribe) = peer::relay();
    let (code, doc) = ping(&format!("relay tcp://{publish} tcp://{subscribe} -c 40 -i 2ms"));
    replied(code, &doc);
    assert_eq!((&doc["received"], &doc["series"][0]["kind"]), (&40.into(), &"relay".into()));
}

/// What needs a permission or a program: that it can't be had is an object too.
#[test]
fn icmp_and_the_systems() {
    for words in ["icmp 127.0.0.1", "icmp ::1", "icmp 127.0.0.1 127.0.0.2", "system 127.0.0.1"] {
        let (code, doc) = ping(&format!("{words} -c 5 -i 5ms"));
        if doc["error"].is_null() {
            replied(code, &doc);
            assert_eq!(doc["received"].as_u64(), Some(5), "{words}: {doc}");
            continue;
        }
        let kind = doc["error"]["kind"].as_str().unwrap();
        assert!(["permission", "not_installed", "unreachable", "system_ping"].contains(&kind));
        assert_ne!(code, 0, "{doc}");
    }
}

#[test]
fn all_side_by_side() {
    let (address, _seen) = peer::echo();
    let (code, doc) = ping(&format!("{address} -c 30 -i 4ms"));
    replied(code, &doc);
    let kinds: Vec<_> = doc["series"].as_array().unwrap().iter().map(|s| &s["kind"]).collect();
    assert_eq!(kinds, ["system", "icmp", "tcp", "udp", "echo"]);
    assert_eq!(doc["verdict"]["echoes"].as_array().unwrap().len(), 3);
}

#[test]
fn several_hosts() {
    let ((one, _seen), (other, _too)) = (peer::echo(), peer::echo());
    let (code, doc) = ping(&format!("udp {one} {other} -c 5 -i 2ms"));
    replied(code, &doc);
    assert_eq!(doc["config"]["hosts"].as_array().unwrap().len(), 2);
    assert_eq!(doc["series"][1]["host"], other.to_string());
}

#[test]
fn nobody_there() {
    let closed = peer::closed();
    for (words, kind) in [
        (format!("tcp {closed}"), "refused"),
        (format!("udp {closed}"), "refused"),
        (format!("echo {closed}"), "refused"),
        (format!("relay tcp://{closed} tcp://{closed}"), "refused"),
    ] {
        let (code, doc) = ping(&format!("{words} -c 3 -i 5ms"));
        assert_eq!((code, &doc["error"]["kind"]), (1, &kind.into()), "{words}: {doc}");
    }
    let (code, doc) = ping("no.such.host.invalid");
    assert_eq!((code, &doc["error"]["kind"]), (2, &"resolve".into()));
    assert!(doc["host"].is_null() && doc["series"].as_array().unwrap().is_empty());
}

#[test]
fn the_systems_ping_is_missing() {
    let output = lightmeter("ping system 127.0.0.1 -c 1 --json").env("PATH", "").output().unwrap();
    let doc = object("ping", &output);
    assert_eq!((code(&output), &doc["error"]["kind"]), (2, &"not_installed".into()));
    let (address, _seen) = peer::echo();
    let words = format!("ping {address} -c 5 -i 5ms --json");
    let output = lightmeter(&words).env("PATH", "").output().unwrap();
    let doc = object("ping", &output);
    replied(code(&output), &doc);
    assert_eq!(doc["series"][0]["error"]["kind"], "not_installed");
}

#[test]
fn wrong_usage() {
    for words in [
        "",
        "tcp",
        "a b",
        "127.0.0.1 -c 0",
        "127.0.0.1 -c",
        "127.0.0.1 -c -1",
        "127.0.0.1 -i 0",
        "127.0.0.1 -s 0",
        "127.0.0.1 -s 65508",
        "127.0.0.1 --cpu 99999",
        "127.0.0.1 --flood",
        "127.0.0.1:0",
        "8.8.8.8 -i 1ms",
        "relay tcp://127.0.0.1:1",
        "127.0.0.1 --save",
    ] {
        let (code, doc) = ping(words);
        assert_eq!(code, 2, "{words}: {doc}");
        let kind = doc["error"]["kind"].as_str().unwrap();
        assert!(["usage", "resolve"].contains(&kind), "{words}: {doc}");
        assert!(!doc["error"]["message"].as_str().unwrap().is_empty());
    }
}

#[test]
fn silence_is_loss() {
    let address = peer::udp(|_, _| Vec::new());
    let (code, doc) = ping(&format!("udp {address} -c 5 -i 2ms -W 50ms"));
    assert_eq!((code, doc["lost"].as_u64()), (1, Some(5)), "{doc}");
    assert_eq!(doc["series"][0]["loss_run"], 5);
}

/// Every fate at once: lost, twice, forged.
#[test]
fn a_deadline_with_fewer_than_asked_for() {
    let address = peer::udp(|number, probe| match number % 10 {
        3 => Vec::new(),
        5 => vec![probe.to_vec(), probe.to_vec()],
        7 => vec![b"nonsense".to_vec(), probe.to_vec()],
        _ => vec![probe.to_vec()],
    });
    let words = format!("udp {address} -c 100000 -i 2ms -W 20ms -w 400ms");
    let (code, doc) = ping(&words);
    assert_eq!(code, 1, "fewer than -c: {doc}");
    let series = &doc["series"][0];
    for key in ["lost", "duplicates", "forged"] {
        assert!(series[key].as_u64() > Some(0), "{key}: {series}");
    }
    assert_eq!(series["scheduled"], series["sent"]);
}

#[test]
fn a_schedule_that_is_not_kept_is_not_valid() {
    let (address, _seen) = peer::echo();
    // A connection takes longer than the 10 us until the next.
    let (code, doc) = ping(&format!("tcp {address} -c 400 -i 10us"));
    assert_eq!((code, &doc["validity"]["state"]), (3, &"invalid".into()), "{doc}");
    assert!(!doc["validity"]["invalid"].as_array().unwrap().is_empty());
}

/// Ends it with Ctrl-C.
pub(crate) fn ctrl_c(child: Child) -> Output {
    tell(&child, Tell::Interrupt);
    child.wait_with_output().unwrap()
}

#[test]
fn ctrl_c_in_the_middle() {
    let (address, seen) = peer::echo();
    let child = lightmeter(&format!("ping udp {address} -i 2ms --json")).spawn().unwrap();
    (0..60).for_each(|_| seen.recv_timeout(SOON).unwrap());
    let output = ctrl_c(child);
    let doc = object("ping", &output);
    replied(code(&output), &doc);
    assert_eq!(doc["config"]["count"], Value::Null);
    assert_eq!(doc["series"][0]["scheduled"], doc["sent"]);
}

#[test]
fn ctrl_c_before_anything_answers() {
    let (address, _queued, _listener) = peer::full();
    let words = format!("ping echo {address} -W 60 --json");
    let child = lightmeter(&words).spawn().unwrap();
    wait_until_it_blocks_signals(&child);
    let output = ctrl_c(child);
    let doc = object("ping", &output);
    assert_eq!((code(&output), &doc["error"]["kind"]), (1, &"stopped".into()), "{doc}");
}

/// From then on a signal doesn't kill it: proc(5), the mask of SIGINT.
pub(crate) fn wait_until_it_blocks_signals(child: &Child) {
    let path = format!("/proc/{}/status", child.id());
    let end = Clock::now() + SOON;
    loop {
        let status = std::fs::read_to_string(&path).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        if u64::from_str_radix(mask.trim(), 16).unwrap() & 2 != 0 {
            return;
        }
        assert!(Clock::now() < end, "SIGINT is not blocked: {status}");
        std::thread::yield_now();
    }
}

#[test]
fn sigterm_ends_it_the_same() {
    let (address, seen) = peer::echo();
    let child = lightmeter(&format!("ping {address} -c 100000 -i 5ms --json")).spawn().unwrap();
    (0..30).for_each(|_| seen.recv_timeout(SOON).unwrap());
    tell(&child, Tell::End);
    let output = child.wait_with_output().unwrap();
    let doc = object("ping", &output);
    replied(code(&output), &doc);
    let system = &doc["series"][0];
    if system["error"].is_null() {
        // It was asked for its totals, not killed: it does not block signals.
        // How far it had come by then is its own affair.
        assert_eq!(system["lost"], 0, "{system}");
    }
}

/// Checks all lines but the last, which is the document.
#[track_caller]
pub(crate) fn lines(output: &Output) -> (Vec<Value>, Value) {
    let mut all: Vec<Value> =
        text(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let doc = all.pop().unwrap();
    check("ping", &doc);
    let schema: Value = serde_json::from_str(include_str!("../../schemas/probe.json")).unwrap();
    for probe in &all {
        let complaints = super::schema::complaints(probe, &schema, &schema, "");
        assert!(complaints.is_empty(), "{}\n{probe}", complaints.join("\n"));
    }
    (all, doc)
}

#[test]
fn a_line_for_each_probe() {
    // Lost, answered twice, and answered when it was given up.
    let address = peer::udp(|number, probe| match number {
        10 => Vec::new(),
        11 => vec![probe.to_vec(), probe.to_vec()],
        _ => vec![probe.to_vec()],
    });
    let output = run(&format!("ping udp {address} -c 30 -i 2ms -W 100ms --warm-up 2 --json-lines"));
    let (probes, doc) = lines(&output);
    replied(code(&output), &doc);
    let count = |status: &str| probes.iter().filter(|probe| probe["status"] == status).count();
    assert_eq!((count("answered"), count("lost"), count("duplicate")), (31, 1, 1));
    assert_eq!((doc["received"].as_u64(), doc["lost"].as_u64()), (Some(29), Some(1)));
    assert_eq!(probes.iter().filter(|probe| probe["warm_up"] == true).count(), 2);
    let first = &probes[0];
    let at = |key: &str| first[key].as_u64().unwrap();
    assert_eq!(at("received_ns") - at("sent_ns"), at("rtt_ns"));
    assert!(at("due_ns") <= at("sent_ns"));
}

#[test]
fn refusals_have_lines_too() {
    let closed = peer::closed();
    let output = run(&format!("ping tcp {closed} -c 3 -i 5ms --warm-up 1 --json-lines"));
    let (probes, doc) = lines(&output);
    assert_eq!((code(&output), probes.len()), (1, 4), "{doc}");
    for probe in &probes {
        assert_eq!(probe["status"], "refused");
        assert!(probe["why"].as_str().unwrap().contains("nothing listens"), "{probe}");
    }
    let failed = run("ping --json-lines tcp no.such.host.invalid");
    let (probes, doc) = lines(&failed);
    assert_eq!((probes.len(), &doc["error"]["kind"]), (0, &"resolve".into()), "{}", told(&failed));
}

#[test]
fn lines_end_with_the_document_after_ctrl_c() {
    let (address, seen) = peer::echo();
    let child = lightmeter(&format!("ping udp {address} -i 2ms --json-lines")).spawn().unwrap();
    (0..60).for_each(|_| seen.recv_timeout(SOON).unwrap());
    let (probes, doc) = lines(&ctrl_c(child));
    let counted = probes.iter().filter(|probe| probe["warm_up"] == false).count() as u64;
    assert_eq!(doc["received"].as_u64(), Some(counted));
}
