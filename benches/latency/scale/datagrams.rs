//! Cost per UDP subscriber: bursts of seven datagrams, against a bare loop of
//! `sendto` and one of `sendmmsg` with GSO; to receivers that take datagrams
//! one by one, and to some that take them together (GRO). They read when all is
//! sent, as if they were elsewhere; one row has them read meanwhile.

use super::crowd::{Layout, Run, Way};
use super::floors::Bare;
use super::rounds::Size;
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
            ("receivers", 26),
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
    let mut fits = Vec::new();
    for gro in [false, true] {
        let mut sizes = Vec::new();
        for count in SIZES.into_iter().filter(|count| !manner.is_quick || *count <= 100) {
            sizes.push(size((count, gro, false), setup, manner, &table, findings)?);
        }
        size((100, gro, true), setup, manner, &table, findings)?;
        fits.push((gro, sizes));
    }
    println!();
    for (gro, sizes) in fits {
        fit(gro, &sizes, findings);
    }
    Ok(())
}

/// The cost of one subscriber more.
fn fit(gro: bool, sizes: &[Size], findings: &mut Findings) {
    let [first, send_to, server, second] = [0, 1, 2, 3].map(|arm| rounds::slopes(sizes, arm));
    let to_send_to = rounds::quotient(&server, &[&send_to]);
    let to_gso = rounds::quotient(&server, &[&first, &second]);
    let control = rounds::quotient(&second, &[&first]);
    let each = [&send_to, &first, &server].map(|slopes| rounds::median(slopes) / BURST as f64);
    println!(
        "slope from {} to {}{}: sendto {:.2} us, gso {:.2} us, server {:.2} us a datagram; \
         server/sendto {}: {}; server/gso {}: {}; gso/gso {}",
        sizes.first().map_or(0, |size| size.count),
        sizes.last().map_or(0, |size| size.count),
        if gro { ", GRO" } else { "" },
        each[0],
        each[1],
        each[2],
        ratio(to_send_to),
        verdict(to_send_to, GOAL_SENDTO),
        ratio(to_gso),
        verdict(to_gso, GOAL_GSO),
        ratio(control),
    );
    findings.push(json!({
        "over": "udp",
        "gro": gro,
        "slopes_us": each,
        "slope_server_to_sendto": ratio_json(to_send_to),
        "slope_server_to_gso": ratio_json(to_gso),
        "slope_gso_to_gso": ratio_json(control),
    }));
}

fn size(
    (count, gro, at_once): (usize, bool, bool),
    setup: &Setup,
    manner: &Manner<'_>,
    table: &Table,
    findings: &mut Findings,
) -> Result<Size, Box<dyn Error>> {
    let cc = &setup.cc;
    let urls = [
        format!("tcp://127.0.0.1:0?publish=bench&framing=raw&cc={cc}"),
        "udp://127.0.0.1:0?subscribe=bench&handshake=off".to_owned(),
    ];
    let layout =
        Layout { way: Way::Udp { gro, at_once }, streams: 1, receivers: count, burst: BURST };
    let (gso, send_to) = (Bare::Gso(count), Bare::SendTo(count));
    let (gso, send_to) = (rounds::Arm::Floor(gso), rounds::Arm::Floor(send_to));
    let pace = rounds::pace(&send_to, layout, manner.span(), setup)?;
    let arms = [gso.clone(), send_to, rounds::server(&urls, setup), gso];
    let runs = rounds::alternate(&arms, layout, pace, setup)?;
    let size = Size { count, runs };
    row(&size, (gro, at_once), 1.0 / pace.interval.as_secs_f64(), table, findings);
    Ok(size)
}

fn row(
    Size { count, runs }: &Size,
    (gro, at_once): (bool, bool),
    hertz: f64,
    table: &Table,
    findings: &mut Findings,
) {
    let [first, send_to, server, second] = &runs[..] else { return };
    let datagram = |run: &Run| run.cpu_per_copy() / BURST as f64;
    let last = |run: &Run| run.last_p50().unwrap_or(f64::NAN);
    let to_send_to = rounds::ratio(server, send_to, datagram);
    let to_gso = rounds::ratio_to_both(server, (first, second), datagram);
    let control = rounds::ratio(second, first, datagram);
    let middles = [send_to, first, server].map(|runs| rounds::middle(runs, datagram));
    let missing: u64 = runs.iter().flatten().map(|run| run.missing).sum();
    let busy = [send_to, server].map(|runs| rounds::middle(runs, Run::busy));
    table.row(&[
        format!(
            "{count}{}{}",
            if gro { ", GRO" } else { "" },
            if at_once { ", reading at once" } else { "" }
        ),
        format!("{hertz:.0}"),
        format!("{:.2}, {:.2}, {:.2}", middles[0], middles[1], middles[2]),
        ratio(to_send_to),
        ratio(to_gso),
        ratio(control),
        if at_once {
            format!("{:.0}, {:.0}", rounds::middle(first, last), rounds::middle(server, last))
        } else {
            "-".to_owned()
        },
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
        "reading_at_once": at_once,
        "last_us": at_once.then(|| [first, server].map(|runs| rounds::middle(runs, last))),
        "busy": busy,
        "missing": missing,
        "goals": [GOAL_SENDTO, GOAL_GSO],
    }));
}
