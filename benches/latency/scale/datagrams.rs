//! Cost per UDP subscriber: bursts of seven datagrams, against a bare loop of
//! `sendto` and one of `sendmmsg` with GSO; to receivers that take datagrams
//! one by one, and to some that take them together (GRO).

use super::crowd::{Layout, Run, Way};
use super::floors::Bare;
use super::table::{Findings, Table, ratio_json, verdict};
use super::{Manner, rounds};
use crate::report::ratio;
use crate::rows::Setup;
use serde_json::json;
use std::error::Error;

/// Subscribers.
const SIZES: [usize; 4] = [10, 100, 500, 1000];
/// Datagrams of a burst.
const BURST: usize = 7;
/// Server to a loop of `sendto`.
const GOAL_SENDTO: f64 = 0.4;
/// Server to `sendmmsg` with GSO.
const GOAL_GSO: f64 = 1.05;

/// Measures both kinds of receivers.
///
/// # Errors
/// A process that doesn't start, or a connection that breaks.
pub(crate) fn run(
    setup: &Setup,
    manner: &Manner<'_>,
    findings: &mut Findings,
) -> Result<(), Box<dyn Error>> {
    println!(
        "\nUDP, bursts of {BURST} datagrams of 1316 bytes: CPU of the process under test for one \
         datagram"
    );
    let table = Table::begin(
        manner.format,
        &[
            ("receivers", 10),
            ("bursts/s", 6),
            ("us/datagram sendto, gso, server", 18),
            ("server/sendto", 18),
            ("server/gso", 18),
            ("gso/gso", 18),
            ("last copy after us gso, server", 16),
            ("busy % sendto, server", 8),
            ("missing", 5),
            ("goals: sendto; gso", 30),
        ],
    );
    for gro in [false, true] {
        for count in SIZES.into_iter().filter(|count| !manner.is_quick || *count <= 100) {
            size(count, gro, setup, manner, &table, findings)?;
        }
    }
    Ok(())
}

fn size(
    count: usize,
    gro: bool,
    setup: &Setup,
    manner: &Manner<'_>,
    table: &Table,
    findings: &mut Findings,
) -> Result<(), Box<dyn Error>> {
    let cc = &setup.cc;
    let urls = [
        format!("tcp://127.0.0.1:0?publish=bench&framing=raw&cc={cc}"),
        "udp://127.0.0.1:0?subscribe=bench&handshake=off".to_owned(),
    ];
    let layout = Layout { way: Way::Udp { gro }, streams: 1, receivers: count, burst: BURST };
    let (gso, send_to) = (Bare::Gso(count), Bare::SendTo(count));
    let (gso, send_to) = (rounds::Arm::Floor(gso), rounds::Arm::Floor(send_to));
    let pace = rounds::pace(&send_to, layout, manner.span(), setup)?;
    let arms = [gso.clone(), send_to, rounds::server(&urls, setup), gso];
    let runs = rounds::alternate(&arms, layout, pace, setup)?;
    let [first, send_to, server, second] = &runs[..] else { return Ok(()) };

    let datagram = |run: &Run| run.cpu_per_copy() / BURST as f64;
    let last = |run: &Run| run.last_p50().unwrap_or(f64::NAN);
    let to_send_to = rounds::ratio(server, send_to, datagram);
    let to_gso = rounds::ratio_to_both(server, (first, second), datagram);
    let control = rounds::ratio(second, first, datagram);
    let middles = [send_to, first, server].map(|runs| rounds::middle(runs, datagram));
    let missing: u64 = runs.iter().flatten().map(|run| run.missing).sum();
    let busy = [send_to, server].map(|runs| rounds::middle(runs, Run::busy));
    let hertz = 1.0 / pace.interval.as_secs_f64();
    table.row(&[
        format!("{count}{}", if gro { ", GRO" } else { "" }),
        format!("{hertz:.0}"),
        format!("{:.2}, {:.2}, {:.2}", middles[0], middles[1], middles[2]),
        ratio(to_send_to),
        ratio(to_gso),
        ratio(control),
        format!("{:.0}, {:.0}", rounds::middle(first, last), rounds::middle(server, last)),
        format!("{:.0}, {:.0}", 100.0 * busy[0], 100.0 * busy[1]),
        missing.to_string(),
        format!("{}; {}", verdict(to_send_to, GOAL_SENDTO), verdict(to_gso, GOAL_GSO)),
    ]);
    findings.push(json!({
        "over": "udp",
        "subscribers": count,
        "gro": gro,
        "burst": BURST,
        "hertz": hertz,
        "sendto_us": middles[0],
        "gso_us": middles[1],
        "server_us": middles[2],
        "server_to_sendto": ratio_json(to_send_to),
        "server_to_gso": ratio_json(to_gso),
        "gso_to_gso": ratio_json(control),
        "last_gso_us": rounds::middle(first, last),
        "last_server_us": rounds::middle(server, last),
        "busy": busy,
        "missing": missing,
        "goals": [GOAL_SENDTO, GOAL_GSO],
    }));
    Ok(())
}
