//! What lightmeter reports against what is known, as far as it must hold on any
//! machine, however busy: every count exactly, every order of times, and what no
//! disturbance can make smaller. `cargo bench -p lightmeter --bench truth` says
//! how near the figures come on a quiet one.
//!
//! In a network of the test's own where that can be had, else, and with fewer
//! faults, over loopback.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

#[allow(dead_code, reason = "the benchmark has use for the rest")]
mod rig;

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nearlight::client::ping::{IcmpDoor, Kind, Plan, Wait};
use rig::faults::{self, Trial};
use rig::link::Link;
use rig::place::{self, Place};
use rig::probe::{self, Pair};
use rig::responder::{Manners, Responder};
use rig::script::{Random, Receiver, Step};
use serde_json::Value;

/// Runs `test`, which is called `name`, in a network of its own; says so if
/// there is none to be had.
fn in_a_network(name: &str, test: impl FnOnce()) {
    let words = ["--exact", name, "--nocapture", "--test-threads=1"].map(Into::into);
    match place::enter(words, false) {
        Place::Within => test(),
        Place::Done(output) => {
            let (out, err) = (&output.stdout, &output.stderr);
            let said = [out, err].map(|text| String::from_utf8_lossy(text).into_owned()).concat();
            assert!(said.contains("1 passed") || !output.status.success(), "not run: {said}");
            assert!(output.status.success(), "within: {}", said.replace('\n', "\n| "));
        }
        Place::Nowhere(why) => eprintln!("not run: {why}"),
    }
}

fn trial(kind: Kind, receiver: Receiver) -> Trial {
    Trial {
        kind,
        v6: false,
        door: None,
        receiver,
        size: 56,
        pace: Wait::Sleep,
        probes: 3_000,
        interval: Duration::from_micros(1_500),
        // Longer than a busy machine keeps anybody waiting.
        wait: Duration::from_millis(1_500),
        cpus: None,
    }
}

#[track_caller]
fn expect_as_scripted(trial: &Trial, link: Link, seed: u64) {
    let (found, wanted) = faults::hold(trial, link, seed).unwrap();
    assert_eq!(found, wanted, "seed {seed}, {trial:?}");
    let kinds = [wanted.lost, wanted.late, wanted.duplicates, wanted.reordered, wanted.forged];
    assert!(!kinds.contains(&0), "a script without some fault shows little: {wanted:?}");
}

#[test]
fn faults_over_loopback_are_told_apart() {
    let link = Link::socket().unwrap();
    expect_as_scripted(&trial(Kind::Udp, Receiver::Before), link, 1);
}

#[test]
fn faults_of_icmp_are_told_apart() {
    in_a_network("faults_of_icmp_are_told_apart", || {
        let raw = Trial { door: Some(IcmpDoor::Raw), ..trial(Kind::Icmp, Receiver::RawV4) };
        expect_as_scripted(&raw, Link::device().unwrap(), 2);
    });
}

#[test]
fn faults_of_icmp6_are_told_apart() {
    in_a_network("faults_of_icmp6_are_told_apart", || {
        let raw =
            Trial { v6: true, door: Some(IcmpDoor::Raw), ..trial(Kind::Icmp, Receiver::AtSocket) };
        expect_as_scripted(&raw, Link::device().unwrap(), 3);
    });
}

#[test]
fn faults_of_udp_are_told_apart() {
    in_a_network("faults_of_udp_are_told_apart", || {
        let udp = trial(Kind::Udp, Receiver::Before);
        expect_as_scripted(&udp, Link::device().unwrap(), 4);
    });
}

#[test]
fn errors_about_one_session_are_no_errors_of_another() {
    in_a_network("errors_about_one_session_are_no_errors_of_another", || {
        let link = Link::device().unwrap();
        let interval = Duration::from_millis(2);
        let mut plan = probe::plan(Kind::Icmp, link.target(false), 300, interval);
        plan.ways.push(plan.ways[0].clone());
        plan.door = Some(IcmpDoor::Raw);
        // Both have a probe of the same number out; only one's is refused.
        let steps =
            (0..400).map(|i| if i % 3 == 0 { Step::Refuse(8 + 16 * (i % 2)) } else { Step::ECHO });
        let manners = Manners { steps: steps.collect(), ..Manners::default() };
        let responder = Responder::start(link, manners, 1_000);
        responder.hold(Duration::from_millis(5));
        let all = probe::run(&plan, None).unwrap();
        responder.finish().unwrap();
        let [refused, other] = [0, 1].map(|way| &all[way].counts);
        assert_eq!((refused.errors, refused.received, refused.forged), (100, 200, 0));
        assert_eq!((other.errors, other.received, other.forged), (0, 300, 0));
    });
}

/// Holds of 1 to 16 ms in any order; the pairs by hold.
fn held(kind: Kind, link: Link) -> Vec<(f64, f64)> {
    let holds = [1, 2, 4, 8, 16].map(|ms| Step::Hold(Duration::from_millis(ms)));
    let interval = Duration::from_micros(4_700);
    let mut plan = probe::plan(kind, link.target(false), 400, interval);
    plan.wait = Duration::from_secs(10);
    let mut steps: Vec<Step> = holds.into_iter().cycle().take(500).collect();
    Random(7).shuffle(&mut steps);
    let script = steps.clone();
    let responder = Responder::start(link, Manners { steps, ..Manners::default() }, 1_000);
    let all = probe::run(&plan, None).unwrap();
    let seen = responder.finish().unwrap();
    let counts = &all[0].counts;
    assert_eq!((counts.received, counts.lost, counts.dropped_here), (400, 0, 0), "{kind}");
    let pairs = probe::pairs(&plan, &all[0], &seen);
    let stamped = pairs.iter().filter(|pair| pair.network.is_some()).count();
    // The kernel turns stamping on in the background.
    assert!(stamped >= 350, "{kind}: {stamped} of {} have both stamps", pairs.len());
    for Pair { hold, network, user } in &pairs {
        assert!(network.is_none_or(|network| *hold <= network && network <= *user), "{pairs:?}");
        assert!(hold < user);
    }
    let least = |step: &Step| {
        let of = |(at, _): &(usize, &Pair)| script[at + plan.warm_up as usize] == *step;
        let pairs = pairs.iter().enumerate().filter(of).map(|(_, pair)| *pair);
        let added = pairs.filter_map(|pair| Some((pair.hold, pair.network?)));
        added.min_by(|a, b| (a.1 - a.0).total_cmp(&(b.1 - b.0))).unwrap()
    };
    holds.iter().map(least).collect()
}

/// Disturbances only ever add to a time. What is added least is the path, the
/// same for every hold; 0.2 ms of it more for one than for another are 1 %.
fn expect_slope_of_one(kind: Kind, link: Link) {
    let least = held(kind, link);
    let fit = rig::fit::line(&least).unwrap();
    assert!((0.95..1.05).contains(&fit.slope), "{kind}: {fit:?} through {least:?}");
}

#[test]
fn a_hold_is_reported_as_long_as_it_was_over_loopback() {
    expect_slope_of_one(Kind::Udp, Link::socket().unwrap());
}

#[test]
fn a_hold_is_reported_as_long_as_it_was() {
    in_a_network("a_hold_is_reported_as_long_as_it_was", || {
        expect_slope_of_one(Kind::Icmp, Link::device().unwrap());
        expect_slope_of_one(Kind::Udp, Link::device().unwrap());
    });
}

#[test]
fn a_responder_that_stands_still_holds_up_no_probe() {
    let link = Link::socket().unwrap();
    let interval = Duration::from_millis(1);
    let plan = Plan { warm_up: 0, ..probe::plan(Kind::Udp, link.target(false), 1_500, interval) };
    let stall = Some((Duration::from_millis(500), Duration::from_millis(200)));
    let responder = Responder::start(link, Manners { stall, ..Manners::default() }, 2_000);
    let all = probe::run(&plan, None).unwrap();
    responder.finish().unwrap();
    let (series, counts) = (&all[0], &all[0].counts);
    assert_eq!((series.scheduled, counts.sent, counts.received), (1_500, 1_500, 1_500));
    for (at, record) in (0..).zip(&series.records) {
        assert_eq!(record.intended, series.start + interval * at, "a schedule is not moved");
    }
    let p99 = counts.response.quantile(0.99).unwrap();
    assert!(p99 >= Duration::from_millis(150), "{p99:?}");
}

#[test]
fn a_prober_that_was_stopped_sends_all_and_admits_it() {
    let link = Link::socket().unwrap();
    let target = link.target(false);
    let responder = Responder::start(link, Manners::default(), 2_000);
    let mut child = Command::new(env!("CARGO_BIN_EXE_lightmeter"))
        .args(["ping", "udp", &target.to_string(), "-c", "1500", "-i", "1ms", "--json-lines"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.contains("\"probe\""), "{line}");
    let signal = |name: &str| {
        let script = format!("kill -{name} {}", child.id());
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    };
    signal("STOP");
    // A second in which nothing is to happen, and nobody to tell us of it.
    let (_keep, never) = mpsc::channel::<()>();
    never.recv_timeout(Duration::from_secs(1)).unwrap_err();
    signal("CONT");
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3), "{rest}");
    let doc: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    let series = &doc["series"][0];
    assert_eq!((&series["scheduled"], &series["sent"]), (&1500.into(), &1500.into()));
    assert_eq!(doc["validity"]["state"], "invalid");
    let reason = doc["validity"]["invalid"][0].as_str().unwrap();
    assert!(reason.contains("fell behind"), "{reason}");
    for figure in ["send_lateness", "response_time"] {
        assert!(series[figure]["max_ns"].as_u64().unwrap() > 900_000_000, "{figure}: {series}");
    }
    responder.finish().unwrap();
}
