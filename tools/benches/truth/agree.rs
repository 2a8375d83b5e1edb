//! Beside the system's ping on loopback, in alternating blocks of one interval
//! and one size: `ping`, `ping -U`, lightmeter asleep between probes, lightmeter
//! awake before each, and again from the start. Each block is held against the
//! mean of the ping blocks before and after it; so is ping itself, and what it
//! differs by from itself is what can't be told here.
//!
//! iputils' ping of 2022 is awake when it sends: in the last 10 ms before a probe
//! it looks for replies without waiting and yields (main_loop of ping_common.c).
//! Its like is `--pace hybrid`.

use std::process::Command;

use nearlight::client::ping::Wait;
use nearlight::limits::WAIT_MARGIN;
use serde_json::Value;

use crate::rig::fit::{median_interval, quantile};
use crate::rig::probe;
use crate::{Options, met, others, us};

const HOST: &str = "127.0.0.1";
/// Milliseconds between probes, and how many to a block.
const MANNERS: [(u32, u32); 4] = [(2, 500), (10, 200), (50, 40), (200, 20)];
const ROUNDS: usize = 15;
const PACES: [Wait; 2] = [Wait::Sleep, Wait::Hybrid(WAIT_MARGIN)];

/// p50 of the blocks of one round, nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Round {
    ping: f64,
    ping_user: f64,
    ours: [Figures; 2],
}

/// p50 of what lightmeter says of one block.
#[derive(Clone, Copy, Debug)]
struct Figures {
    as_ping: f64,
    user: f64,
    network: f64,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    if !others::is_there("ping") {
        println!("skipped: no ping is installed");
        return Ok(());
    }
    let rounds = if options.quick { 7 } else { ROUNDS };
    println!(
        "{}; {rounds} rounds, all on CPU {}; p50 of each block; medians over rounds, with 95 % \
         intervals; in us",
        others::version("ping", "-V"),
        options.prober
    );
    println!(
        "| every | lightmeter | figure | ping | lightmeter | lightmeter - ping | ping - ping | \
         goal |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (ms, count) in MANNERS {
        let found: Result<Vec<Round>, String> = (0..rounds + 1)
            .map(|_| probe::on(Some(options.prober), || round(ms, count))?)
            .collect();
        let found = found?;
        for (at, pace) in PACES.into_iter().enumerate() {
            let name = format!("| {ms} ms | {}", pace.name());
            report(&format!("{name} | as ping"), &found, |r| (r.ping, r.ours[at].as_ping));
            report(&format!("{name} | user RTT"), &found, |r| (r.ping_user, r.ours[at].user));
            below(&format!("{name} | network RTT"), &found, |r| (r.ping, r.ours[at].network));
        }
    }
    Ok(())
}

/// Of each round, lightmeter's block less the mean of ping's before and after.
fn differences(rounds: &[Round], of: impl Fn(&Round) -> (f64, f64)) -> Vec<f64> {
    let between = |pair: &[Round]| of(&pair[0]).1 - (of(&pair[0]).0 + of(&pair[1]).0) / 2.0;
    rounds.windows(2).map(between).collect()
}

/// Whether the median difference is within what ping differs by from itself in
/// 95 of 100 rounds.
fn report(name: &str, rounds: &[Round], of: impl Fn(&Round) -> (f64, f64)) {
    let same = rounds.windows(3).map(|three| {
        let [before, it, after] = [0, 1, 2].map(|at| of(&three[at]).0);
        (it - (before + after) / 2.0).abs()
    });
    let reach = quantile(same.collect(), 0.95).unwrap_or(f64::NAN);
    let median = |values: Vec<f64>| us(quantile(values, 0.5).unwrap_or(f64::NAN));
    let Some((low, mid, high)) = median_interval(differences(rounds, &of)) else {
        return;
    };
    println!(
        "{name} | {} | {} | {} [{}, {}] | ± {} | {} |",
        median(rounds.iter().map(|round| of(round).0).collect()),
        median(rounds.iter().map(|round| of(round).1).collect()),
        us(mid),
        us(low),
        us(high),
        us(reach),
        met(mid.abs() <= reach)
    );
}

/// Whether it is at or below ping.
fn below(name: &str, rounds: &[Round], of: impl Fn(&Round) -> (f64, f64)) {
    let median = quantile(rounds.iter().map(|round| of(round).1).collect(), 0.5);
    if let Some((low, mid, high)) = median_interval(differences(rounds, &of)) {
        println!(
            "{name} | | {} | {} [{}, {}] | at most 0 | {} |",
            us(median.unwrap_or(f64::NAN)),
            us(mid),
            us(low),
            us(high),
            met(mid <= 0.0)
        );
    }
}

fn round(ms: u32, count: u32) -> Result<Round, String> {
    let p50 = |times: Vec<f64>| quantile(times, 0.5).ok_or("no time from ping");
    Ok(Round {
        ping: p50(others::ping(HOST, &[], ms, count)?)?,
        ping_user: p50(others::ping(HOST, &["-U"], ms, count)?)?,
        ours: [lightmeter(ms, count, PACES[0])?, lightmeter(ms, count, PACES[1])?],
    })
}

/// The program as people run it, but for its pace.
fn lightmeter(ms: u32, count: u32, pace: Wait) -> Result<Figures, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lightmeter"));
    command.args(["ping", "icmp", HOST, "--json", "--warm-up", "1", "--pace", pace.name()]);
    command.args(["-i", &format!("{ms}ms"), "-c", &count.to_string()]);
    let output = command.output().map_err(|why| format!("lightmeter: {why}"))?;
    let doc: Value =
        serde_json::from_slice(&output.stdout).map_err(|why| format!("its JSON: {why}"))?;
    let figure = |name: &str| {
        let p50 = doc["series"][0][name]["p50_ns"].as_f64();
        p50.ok_or(format!("lightmeter says no {name}: {doc}"))
    };
    Ok(Figures {
        as_ping: figure("ping_rtt")?,
        user: figure("rtt")?,
        network: figure("network_rtt")?,
    })
}
