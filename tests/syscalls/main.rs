//! What a frame costs in system calls, exactly: bounds that a change may not
//! loosen unseen.
//!
//! `cargo test --test syscalls`. Words choose checks by their names, `--list`
//! names them. Each load runs against two counts: the server's own, of
//! `/metrics`, and strace's, so that neither a call made past the counter nor
//! a miscount goes unseen. Frames go in lockstep, the next one when everybody
//! has the last, so the counts are the same in every run and on every machine.
//!
//! Without strace, or where it may not look at another process, its half is
//! skipped.

#[path = "../gate.rs"]
mod gate;
mod load;
#[path = "../it/server.rs"]
#[expect(dead_code, reason = "the end-to-end tests ask for more")]
mod server;
mod strace;
mod tally;
#[path = "../it/wire.rs"]
#[expect(dead_code, reason = "the end-to-end tests ask for more")]
mod wire;

use gate::{Tally, Verdict};
use load::{FRAME, Load, PIECES};
use nearlight::limits::{DATAGRAM_BATCH, MAX_LAG, SEGMENT_BYTES, UDP_CALL};
use nearlight::sys::affinity;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;
use strace::Lack;
use tally::Calls;

/// Subscribers of a fan-out.
const MANY: usize = 100;
/// Frames that are counted.
const FRAMES: usize = 50;
/// Blocks of memory for a segment: its bytes, its index of frames, and now and
/// then one for what is small.
const BLOCKS: usize = 3;
/// The send queue of a subscriber that keeps up is looked at so often.
const QUEUE_LOOKS: Duration = MAX_LAG.checked_div(4).expect("four is not zero").saturating_mul(3);

/// Who counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Server,
    Strace,
}

type Check = (&'static str, fn(By) -> Result<String, Lack>);

const CHECKS: &[Check] = &[
    ("tcp to one, spinning", |by| tcp(1, &spinning(), by)),
    ("tcp to one, sleeping", |by| tcp(1, &[], by)),
    ("tcp to 100, spinning", |by| tcp(MANY, &spinning(), by)),
    ("udp to 100, spinning", |by| udp(&spinning(), by)),
    ("udp to 100, sleeping", |by| udp(&[], by)),
    ("nothing to do, sleeping", idle),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut tally = Tally::default();
    for (name, check) in CHECKS {
        for (by, whose) in [(By::Server, "the server's count"), (By::Strace, "strace's")] {
            let name = format!("{name}, {whose}");
            if !gate::is_chosen(&name, &arguments) {
                continue;
            }
            if arguments.iter().any(|word| word == "--list") {
                println!("{name}");
                continue;
            }
            // A check that ends in a panic has said why above.
            let verdict = match catch_unwind(AssertUnwindSafe(|| check(by))) {
                Ok(Ok(what)) => Verdict::Passed(what),
                Ok(Err(Lack(why))) => Verdict::Skipped(why),
                Err(_) => Verdict::Failed("see above".to_owned()),
            };
            tally.add(&name, verdict);
        }
    }
    if arguments.iter().any(|word| word == "--list") {
        return ExitCode::SUCCESS;
    }
    tally.finish()
}

/// Has the server spin on the last of the cores that there are.
fn spinning() -> Vec<String> {
    let cpus = affinity::allowed_cpus().expect("every thread has some");
    let cpu = cpus.last().expect("this thread runs").to_string();
    ["--cpus", &cpu, "--idle", "spin"].map(str::to_owned).to_vec()
}

/// Counts the calls of some work on a server that is warm.
fn count(by: By, load: &mut Load, work: impl FnOnce(&mut Load)) -> Result<Calls, Lack> {
    match by {
        By::Server => Ok(tally::counted(load, work)),
        By::Strace => strace::counted(load, work),
    }
}

/// A frame is one receive, and one send for each subscriber.
fn tcp(subscribers: usize, more: &[String], by: By) -> Result<String, Lack> {
    let mut load = Load::tcp(subscribers, more);
    let mut span = Duration::ZERO;
    let calls = count(by, &mut load, |load| {
        ((), span) = wire::time(|| (0..FRAMES).for_each(|_| load.frame()));
    })?;
    let sends = calls.made(&["sendto", "sendmsg"]);
    assert_eq!(
        calls.made(&["recvfrom", "recvmsg"]),
        FRAMES as u64,
        "receives of {FRAMES} frames: {calls}"
    );
    assert_eq!(sends, (FRAMES * subscribers) as u64, "sends of {FRAMES} frames: {calls}");
    if more.is_empty() {
        expect_one_look(&calls, &["recvfrom", "recvmsg"]);
        // strace's coming ends a poll once.
        let polls = calls.all(&["epoll_wait", "epoll_pwait"]);
        assert!(polls <= 1 + FRAMES as u64, "a poll for a frame: {calls}");
    }
    expect_rest(&calls, &["recvfrom", "recvmsg", "sendto", "sendmsg"], subscribers, span);
    Ok(format!("{FRAMES} frames, {calls}"))
}

/// Datagrams that come together are one receive; those who get them share
/// sends, as many as fit in a call.
fn udp(more: &[String], by: By) -> Result<String, Lack> {
    let mut load = Load::udp(MANY, more);
    let calls = count(by, &mut load, |load| (0..FRAMES).for_each(|_| load.frame()))?;
    // The datagrams of a receiver are cut by the kernel: one header.
    let batch = DATAGRAM_BATCH.min(UDP_CALL / PIECES);
    let receives = calls.made(&["recvmsg", "recvmmsg"]);
    assert_eq!(receives, FRAMES as u64, "receives of {FRAMES} batches: {calls}");
    if more.is_empty() {
        expect_one_look(&calls, &["recvmsg", "recvmmsg"]);
    }
    let most = (FRAMES * MANY.div_ceil(batch)) as u64;
    assert!(calls.made(&["sendmmsg"]) <= most, "at most {most} calls of sendmmsg: {calls}");
    expect_rest(&calls, &["recvmsg", "recvmmsg", "sendmmsg"], 0, Duration::ZERO);
    Ok(format!("{FRAMES} batches, {calls}"))
}

/// A server that spins looks again and again, which is no frame's cost. One that
/// sleeps knows from the first look that there is no more.
fn expect_one_look(calls: &Calls, receives: &[&str]) {
    assert_eq!(calls.in_vain(receives), 0, "receives that found nothing: {calls}");
}

/// Nothing but what a load is made of, the poll, looks at send queues at their
/// rate, and memory for the segments of a window that is not yet full.
fn expect_rest(calls: &Calls, known: &[&str], subscribers: usize, span: Duration) {
    // One comes earlier, after its start.
    let looks = 2 + span.div_duration_f64(QUEUE_LOOKS) as usize;
    let most = (looks * subscribers) as u64;
    assert!(calls.all(&["ioctl"]) <= most, "at most {most} looks at queues: {calls}");
    let segments = 1 + FRAMES * PIECES * FRAME / SEGMENT_BYTES;
    let memory = ["mmap", "munmap", "madvise", "mprotect", "brk"];
    let blocks = (BLOCKS * segments) as u64;
    assert!(calls.all(&memory) <= blocks, "{segments} segments are {blocks} blocks: {calls}");
    let strange = calls.others(&[known, &memory, &["ioctl", "epoll_wait", "epoll_pwait"]].concat());
    assert!(strange.is_empty(), "calls that no frame needs: {strange}");
}

/// A server that sleeps makes no call, though somebody publishes and somebody
/// subscribes, until there is something.
fn idle(by: By) -> Result<String, Lack> {
    const SPAN: Duration = Duration::from_secs(1);
    let mut load = Load::tcp(1, &[]);
    // What the last frame needs afterwards, it needs within this.
    wire::measure_for(SPAN);
    match by {
        By::Server => {
            let calls = tally::counted(&mut load, |_| wire::measure_for(SPAN));
            assert!(calls.is_empty(), "in {SPAN:?}: {calls}");
        }
        By::Strace => {
            let mut seen = strace::Lines::of(&load.server)?;
            // Being looked at ends a poll once.
            wire::measure_for(SPAN / 4);
            let before = seen.read();
            wire::measure_for(SPAN);
            let within = seen.read();
            assert_eq!(before, within, "something happened in {SPAN:?}");
            load.frame();
            wire::eventually("strace sees a frame", || seen.read().contains("recv"));
            seen.finish();
        }
    }
    Ok(format!("no call in {SPAN:?}"))
}
