//! Cost per copy as streams grow: one publisher and one subscriber each, over
//! HTTP, a frame on every stream at once. The floor has as many pairs of
//! connections: `epoll_wait`, and a `recv` and a `send` for each.

use super::crowd::{Layout, Run, Way};
use super::floors::Bare;
use super::table::{Findings, Table, ratio_json};
use super::{Manner, rounds};
use crate::report::ratio;
use crate::rows::Setup;
use crate::stats::Ratio;
use serde_json::json;
use std::error::Error;

/// Streams.
const SIZES: [usize; 4] = [1, 10, 100, 1000];
/// The ratio to the floor of the most streams, over that of the fewest.
const GOAL: f64 = 1.10;

/// Measures every size.
///
/// # Errors
/// A process that doesn't start, or a connection that breaks.
pub(crate) fn run(setup: &Setup, manner: &Manner<'_>) -> Result<(), Box<dyn Error>> {
    println!(
        "\nstreams of one HTTP publisher and one subscriber each, a frame of 1316 bytes on all of \
         them at once: CPU of the process under test for one delivered copy"
    );
    let mut findings = Findings::new("scale", setup);
    let table = Table::begin(
        manner.format,
        &[
            ("streams", 5),
            ("frames/s of each", 6),
            ("floor us/copy", 6),
            ("server us/copy", 6),
            ("server/floor", 18),
            ("floor/floor", 18),
            ("last copy after us floor, server", 16),
            ("busy % floor, server", 8),
            ("missing", 5),
        ],
    );
    let mut ratios = Vec::new();
    for count in SIZES.into_iter().filter(|count| !manner.is_quick || *count <= 100) {
        let layout = Layout { way: Way::Http, streams: count, receivers: 1, burst: 1 };
        let urls = [format!("http://127.0.0.1:0?framing=ts&cc={}", setup.cc)];
        let floor = rounds::Arm::Floor(Bare::Streams(count));
        let server = rounds::server(&urls, setup);
        let pace = rounds::pace(&server, layout, manner.span(), setup)?;
        let runs = rounds::alternate(&[floor.clone(), server, floor], layout, pace, setup)?;
        let hertz = 1.0 / pace.interval.as_secs_f64();
        ratios.push(row(count, hertz, &runs, &table, &mut findings));
    }
    if let (Some(fewest), Some(most)) = (ratios.first(), ratios.last()) {
        let growth = Ratio::of(fewest.iter().zip(most).map(|(one, all)| all / one).collect());
        println!(
            "\nserver/floor of the most streams over that of one: {} (goal: within {GOAL})",
            ratio(growth)
        );
        findings.push(json!({"growth": ratio_json(growth), "goal": GOAL}));
    }
    super::note(&findings);
    findings.write(manner.json)
}

/// Writes a row; answers the server's cost over the floor's, round by round.
fn row(
    count: usize,
    hertz: f64,
    runs: &[Vec<Run>],
    table: &Table,
    findings: &mut Findings,
) -> Vec<f64> {
    let [first, server, second] = runs else { return Vec::new() };
    let floors = (&first[..], &second[..]);
    let to_floor = rounds::ratio_to_both(server, floors, Run::cpu_per_copy);
    let control = rounds::ratio(second, first, Run::cpu_per_copy);
    let last = |run: &Run| run.last_p50().unwrap_or(f64::NAN);
    let costs = [first, server].map(|runs| rounds::middle(runs, Run::cpu_per_copy));
    let lasts = [first, server].map(|runs| rounds::middle(runs, last));
    let busy = [first, server].map(|runs| rounds::middle(runs, Run::busy));
    let missing: u64 = runs.iter().flatten().map(|run| run.missing).sum();
    table.row(&[
        count.to_string(),
        format!("{hertz:.0}"),
        format!("{:.2}", costs[0]),
        format!("{:.2}", costs[1]),
        ratio(to_floor),
        ratio(control),
        format!("{:.0}, {:.0}", lasts[0], lasts[1]),
        format!("{:.0}, {:.0}", 100.0 * busy[0], 100.0 * busy[1]),
        missing.to_string(),
    ]);
    findings.push(json!({
        "streams": count,
        "hertz": hertz,
        "floor_us": costs[0],
        "server_us": costs[1],
        "server_to_floor": ratio_json(to_floor),
        "floor_to_floor": ratio_json(control),
        "last_us": lasts,
        "busy": busy,
        "missing": missing,
    }));
    (0..server.len())
        .map(|n| {
            let floor = (first[n].cpu_per_copy() + second[n].cpu_per_copy()) / 2.0;
            server[n].cpu_per_copy() / floor
        })
        .collect()
}
