//! Faults of every kind, far past the wrap of ICMP's 16-bit sequence number:
//! each count must be what the script says, to the last one.

use std::fs;
use std::time::Duration;

use nearlight::client::ping::{IcmpDoor, Kind, Wait};
use nearlight::limits::WAIT_MARGIN;

use crate::Options;
use crate::rig::faults::{self, Trial};
use crate::rig::link::Link;
use crate::rig::script::Receiver;

const PROBES: u64 = 100_000;
const INTERVAL: Duration = Duration::from_micros(150);
/// Between few probes, so that there is time for some to be late.
const QUICK: Duration = Duration::from_millis(1);
/// A probe without reply for this long is lost; late answers come after more.
const WAIT: Duration = Duration::from_millis(400);
/// Who may have a datagram ICMP socket.
const RANGE: &str = "/proc/sys/net/ipv4/ping_group_range";

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    fs::write(RANGE, "0 0").map_err(|why| format!("{RANGE}: {why}"))?;
    let raw = Some(IcmpDoor::Raw);
    let datagram = Some(IcmpDoor::Datagram);
    let trials = [
        ("icmp v4, raw", Kind::Icmp, false, 56, raw, Receiver::RawV4),
        ("icmp v4, datagram", Kind::Icmp, false, 56, datagram, Receiver::Before),
        ("icmp v6, raw", Kind::Icmp, true, 56, raw, Receiver::AtSocket),
        ("udp v4", Kind::Udp, false, 56, None, Receiver::Before),
        ("udp v6, 200 bytes", Kind::Udp, true, 200, None, Receiver::AtSocket),
    ];
    let probes = options.probes(PROBES);
    let interval = if options.quick { QUICK } else { INTERVAL };
    println!("{probes} probes of each, {interval:?} apart, something wrong with a third");
    println!(
        "| probes | sent | received | lost | late | doubled | overtaken | by at most | refused | \
         forged | dropped here | all as scripted |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    let mut wrong = 0;
    for (seed, (name, kind, v6, size, door, receiver)) in (1..).zip(trials) {
        let trial = Trial {
            kind,
            v6,
            door,
            receiver,
            size,
            pace: Wait::Hybrid(WAIT_MARGIN),
            probes,
            interval,
            wait: WAIT,
            cpus: Some((options.prober, options.responder)),
        };
        let (found, wanted) = faults::hold(&trial, Link::device()?, seed)?;
        println!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            found.sent,
            found.received,
            found.lost,
            found.late,
            found.duplicates,
            found.reordered,
            found.reorder_extent,
            found.errors,
            found.forged,
            found.dropped_here,
            if found == wanted { "yes" } else { "NO" }
        );
        if found != wanted {
            println!("wanted {wanted:?}");
            wrong += 1;
        }
    }
    if wrong > 0 { Err(format!("{wrong} trials are not as scripted")) } else { Ok(()) }
}
