//! Cost per subscriber as their number grows: TCP against a bare loop of one
//! `recv` and N `send`s; then UDP, in a file of its own.

use super::crowd::{Layout, Run, Way};
use super::floors::Bare;
use super::rounds::Size;
use super::table::{Findings, Table, ratio_json, verdict};
use super::{Manner, datagrams, rounds};
use crate::report::ratio;
use crate::rows::Setup;
use serde_json::json;
use std::error::Error;

/// Subscribers.
const SIZES: [usize; 4] = [10, 100, 1000, 5000];
/// Server to floor, of the cost of one subscriber more.
const GOAL: f64 = 1.05;

/// Measures TCP and UDP.
///
/// # Errors
/// A process that doesn't start, or a connection that breaks.
pub(crate) fn run(setup: &Setup, manner: &Manner<'_>) -> Result<(), Box<dyn Error>> {
    let mut findings = Findings::new("slope", setup);
    if "tcp".contains(manner.only) {
        tcp(setup, manner, &mut findings)?;
    }
    if "udp".contains(manner.only) {
        datagrams::run(setup, manner, &mut findings)?;
    }
    super::note(&findings);
    findings.write(manner.json)
}

fn tcp(setup: &Setup, manner: &Manner<'_>, findings: &mut Findings) -> Result<(), Box<dyn Error>> {
    println!("\nTCP, frames of 1316 bytes: CPU of the process under test for one delivered copy");
    let cc = &setup.cc;
    let urls = [
        format!("tcp://127.0.0.1:0?publish=bench&framing=ts&cc={cc}"),
        format!("tcp://127.0.0.1:0?subscribe=bench&join=live&cc={cc}"),
    ];
    let table = Table::begin(
        manner.format,
        &[
            ("subscribers", 5),
            ("frames/s", 6),
            ("floor us/copy", 6),
            ("server us/copy", 6),
            ("server/floor", 18),
            ("floor/floor", 18),
            ("last copy after us floor, server", 16),
            ("last, server/floor", 18),
            ("busy %", 8),
            ("missing", 5),
        ],
    );
    let mut sizes = Vec::new();
    for count in SIZES.into_iter().filter(|count| !manner.is_quick || *count <= 1000) {
        let layout = Layout { way: Way::Tcp, streams: 1, receivers: count, burst: 1 };
        let floor = rounds::Arm::Floor(Bare::Tcp(count));
        let pace = rounds::pace(&floor, layout, manner.span(), setup)?;
        let arms = [floor.clone(), rounds::server(&urls, setup), floor];
        let runs = rounds::alternate(&arms, layout, pace, setup)?;
        let size = Size { count, runs };
        row(&size, 1.0 / pace.interval.as_secs_f64(), &table, findings);
        sizes.push(size);
    }
    fit(&sizes, findings);
    Ok(())
}

fn row(size: &Size, hertz: f64, table: &Table, findings: &mut Findings) {
    let [first, server, second] = &size.runs[..] else { return };
    let floors = (&first[..], &second[..]);
    let to_floor = rounds::ratio_to_both(server, floors, Run::cpu_per_copy);
    let control = rounds::ratio(second, first, Run::cpu_per_copy);
    let last = |run: &Run| run.last_p50().unwrap_or(f64::NAN);
    let last_to_floor = rounds::ratio_to_both(server, floors, last);
    let missing: u64 = size.runs.iter().flatten().map(|run| run.missing).sum();
    let middle = |runs: &[Run], value: fn(&Run) -> f64| rounds::middle(runs, value);
    let cells = [
        size.count.to_string(),
        format!("{hertz:.0}"),
        format!("{:.2}", middle(first, Run::cpu_per_copy)),
        format!("{:.2}", middle(server, Run::cpu_per_copy)),
        ratio(to_floor),
        ratio(control),
        format!("{:.0}, {:.0}", rounds::middle(first, last), rounds::middle(server, last)),
        ratio(last_to_floor),
        format!(
            "{:.0}, {:.0}",
            100.0 * middle(first, Run::busy),
            100.0 * middle(server, Run::busy)
        ),
        missing.to_string(),
    ];
    table.row(&cells);
    findings.push(json!({
        "over": "tcp",
        "subscribers": size.count,
        "hertz": hertz,
        "floor_us": middle(first, Run::cpu_per_copy),
        "server_us": middle(server, Run::cpu_per_copy),
        "server_to_floor": ratio_json(to_floor),
        "floor_to_floor": ratio_json(control),
        "last_floor_us": rounds::middle(first, last),
        "last_server_us": rounds::middle(server, last),
        "last_server_to_floor": ratio_json(last_to_floor),
        "busy": [middle(first, Run::busy), middle(server, Run::busy)],
        "missing": missing,
    }));
}

/// The cost of one subscriber more.
fn fit(sizes: &[Size], findings: &mut Findings) {
    let [first, server, second] = [0, 1, 2].map(|arm| rounds::slopes(sizes, arm));
    let to_floor = rounds::quotient(&server, &[&first, &second]);
    let control = rounds::quotient(&second, &[&first]);
    println!(
        "\nslope from {} to {}: floor {:.2} us, server {:.2} us a subscriber; server/floor {}, \
         floor/floor {}: {}",
        sizes.first().map_or(0, |size| size.count),
        sizes.last().map_or(0, |size| size.count),
        rounds::median(&first),
        rounds::median(&server),
        ratio(to_floor),
        ratio(control),
        verdict(to_floor, GOAL),
    );
    findings.push(json!({
        "over": "tcp",
        "slope_floor_us": rounds::median(&first),
        "slope_server_us": rounds::median(&server),
        "slope_server_to_floor": ratio_json(to_floor),
        "slope_floor_to_floor": ratio_json(control),
        "goal": GOAL,
    }));
}
