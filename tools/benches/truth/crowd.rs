//! Hundreds of sessions to one host at once. ICMP's identifier has 16 bits, so
//! that some of them share one, and the kernel hands each the other's replies:
//! every session must count its own, all of them, and none of the other's.

use std::collections::BTreeMap;
use std::time::Duration;

use nearlight::client::ping::{IcmpDoor, Kind, Series, Wait};
use nearlight::sys::process::raise_nofile;

use crate::Options;
use crate::rig::link::Link;
use crate::rig::probe;
use crate::rig::responder::{Manners, Responder, Seen};

/// Of 600 numbers of 16 bits, two are the same in 94 of 100 crowds.
const SESSIONS: usize = 600;
/// Probes of each session; more than a few show no more.
const PROBES: u64 = 8;
const INTERVAL: Duration = Duration::from_secs(1);
/// Crowds without two that share an identifier before this is given up.
const TRIES: usize = 5;

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    raise_nofile().map_err(|why| why.to_string())?;
    println!("{SESSIONS} sessions, {PROBES} probes each, {INTERVAL:?} apart");
    println!("| sessions that share an identifier | received | of | heard of each other | right |");
    println!("|---|---|---|---|---|");
    let mut shown = 0;
    for _ in 0..TRIES {
        let (all, seen) = crowd(options)?;
        let shared = verify(&all, &seen)?;
        shown += usize::from(shared > 0);
        if shown == options.repeats {
            return Ok(());
        }
    }
    if shown > 0 { Ok(()) } else { Err(format!("{TRIES} crowds without a shared identifier")) }
}

fn crowd(options: &Options) -> Result<(Vec<Series>, Vec<Seen>), String> {
    let link = Link::device()?;
    let mut plan = probe::plan(Kind::Icmp, link.target(false), PROBES, INTERVAL);
    plan.warm_up = 1;
    plan.door = Some(IcmpDoor::Raw);
    plan.pace = Wait::Sleep;
    plan.ways = vec![plan.ways[0].clone(); SESSIONS];
    let manners = Manners { cpu: Some(options.responder), ..Manners::default() };
    let responder = Responder::start(link, manners, SESSIONS * 10);
    let all = probe::run(&plan, Some(options.prober));
    let seen = responder.finish()?;
    Ok((all?, seen))
}

/// How many share an identifier, if the counts are right.
fn verify(all: &[Series], seen: &[Seen]) -> Result<usize, String> {
    let mut tokens: BTreeMap<u16, BTreeMap<u64, u64>> = BTreeMap::new();
    for seen in seen {
        *tokens.entry(seen.identifier).or_default().entry(seen.token).or_default() += 1;
    }
    let sharing = tokens.values().filter(|tokens| tokens.len() > 1);
    let shared: usize = sharing.clone().map(BTreeMap::len).sum();
    // Each hears the replies to all probes of those who have its identifier.
    let wanted: u64 =
        sharing.map(|tokens| tokens.values().sum::<u64>() * (tokens.len() as u64 - 1)).sum();
    let received: u64 = all.iter().map(|series| series.counts.received).sum();
    let forged: u64 = all.iter().map(|series| series.counts.forged).sum();
    let sent = PROBES * all.len() as u64;
    let is_right = received == sent && forged == wanted;
    println!(
        "| {shared} | {received} | {sent} | {forged} of {wanted} | {} |",
        if is_right { "yes" } else { "NO" }
    );
    if is_right { Ok(shared) } else { Err("counts are not right".to_owned()) }
}
