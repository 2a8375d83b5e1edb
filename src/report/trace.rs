//! The last turns of every shard, as a trace that Perfetto and Chrome open
//! (the Trace Event Format, JSON): a row for each shard, a slice for each turn,
//! and in it one for each phase that had something to do.

use super::Phase;
use crate::base::Instant;
use std::fmt::Write;
use std::time::Duration;

/// One turn, in ticks of a clock that costs little to read. A cache line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(align(64))]
pub struct TurnRecord {
    /// When it began.
    pub start: u64,
    /// How long each phase took.
    pub spans: [u32; Phase::ALL.len()],
    /// Bytes received from publishers.
    pub received: u32,
    /// Bytes sent to subscribers on connections.
    pub sent: u32,
    /// Sends to them.
    pub sends: u16,
    /// What the poll told.
    pub events: u16,
    /// Phases that ran out of their budget, a bit each.
    pub exhausted: u16,
}

const _: () = assert!(size_of::<TurnRecord>() == 64);

/// The last turns of one shard, oldest first.
#[derive(Clone, Debug)]
pub struct Turns {
    /// Which shard.
    pub shard: usize,
    /// The turns.
    pub records: Vec<TurnRecord>,
    /// Two moments, each in ticks and on the monotonic clock.
    pub clock: [(u64, Instant); 2],
}

impl Turns {
    /// Nanoseconds of a tick.
    fn scale(&self) -> f64 {
        let [(from, start), (to, end)] = self.clock;
        let ticks = to.saturating_sub(from).max(1);
        end.since(start).as_nanos() as f64 / ticks as f64
    }

    /// When a turn began, in nanoseconds of the monotonic clock.
    fn start(&self, record: &TurnRecord, scale: f64) -> f64 {
        let (ticks, at) = self.clock[0];
        at.as_nanos() as f64 + (record.start as f64 - ticks as f64) * scale
    }
}

/// The trace of several shards.
pub fn trace(shards: &[Turns]) -> String {
    let mut text = String::from("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n");
    for turns in shards {
        let (shard, scale) = (turns.shard, turns.scale());
        let _ = writeln!(
            text,
            "{{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":{shard},\
             \"args\":{{\"name\":\"shard {shard}\"}}}},"
        );
        for record in &turns.records {
            turn(&mut text, shard, turns.start(record, scale), scale, record);
        }
    }
    // No comma behind the last: there is always one more.
    text.push_str("{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"args\":{\"name\":\"nearlight\"}}\n]}\n");
    text
}

fn turn(text: &mut String, shard: usize, start: f64, scale: f64, record: &TurnRecord) {
    let total: u64 = record.spans.iter().map(|span| u64::from(*span)).sum();
    let mut budgets = String::new();
    for (n, phase) in Phase::ALL.iter().enumerate() {
        if record.exhausted & (1 << n) != 0 {
            let comma = if budgets.is_empty() { "" } else { "," };
            let _ = write!(budgets, "{comma}\"{}\"", phase.label());
        }
    }
    slice(text, "turn", shard, start, total as f64 * scale);
    let _ = writeln!(
        text,
        ",\"args\":{{\"events\":{},\"received_bytes\":{},\"sends\":{},\"sent_bytes\":{},\
         \"budgets_exhausted\":[{budgets}]}}}},",
        record.events, record.received, record.sends, record.sent
    );
    let mut at = start;
    for (phase, span) in Phase::ALL.iter().zip(record.spans) {
        let long = f64::from(span) * scale;
        if span > 0 {
            slice(text, phase.label(), shard, at, long);
            text.push_str("},\n");
        }
        at += long;
    }
}

/// The front of a slice, all but its end; times in microseconds.
fn slice(text: &mut String, name: &str, shard: usize, start: f64, long: f64) {
    let _ = write!(
        text,
        "{{\"name\":\"{name}\",\"ph\":\"X\",\"pid\":1,\"tid\":{shard},\"ts\":{:.3},\"dur\":{:.3}",
        start / 1e3,
        long / 1e3
    );
}

/// How long the whole turn took that a part `q` of these is not longer than.
pub fn longest(turns: &Turns, q: f64) -> Option<Duration> {
    let mut spans: Vec<u64> = turns
        .records
        .iter()
        .map(|record| record.spans.iter().map(|span| u64::from(*span)).sum())
        .collect();
    spans.sort_unstable();
    let at = ((spans.len() as f64 * q).ceil() as usize).saturating_sub(1);
    let ticks = *spans.get(at)?;
    Some(Duration::from_nanos((ticks as f64 * turns.scale()) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_a_slice_with_its_phases_in_it() {
        let mut record = TurnRecord { start: 3000, received: 7, sends: 2, ..TurnRecord::default() };
        record.spans[Phase::TcpIngest as usize] = 10;
        record.spans[Phase::Fanout as usize] = 30;
        record.exhausted = 1 << Phase::Fanout as u16;
        let at = |nanos| Instant::from_nanos(nanos);
        // Two nanoseconds a tick.
        let clock = [(1000, at(10_000)), (2000, at(12_000))];
        let turns = Turns { shard: 1, records: vec![record], clock };
        assert_eq!(longest(&turns, 0.999), Some(Duration::from_nanos(80)));
        let text = trace(&[turns]);
        let slices: Vec<&str> = text.lines().filter(|line| line.contains("\"X\"")).collect();
        let wanted = [
            ("turn", "14.000", "0.080"),
            ("tcp_ingest", "14.000", "0.020"),
            ("fanout", "14.020", "0.060"),
        ];
        assert_eq!(slices.len(), wanted.len(), "{text}");
        for (slice, (name, ts, dur)) in slices.iter().zip(wanted) {
            let front = format!(
                "{{\"name\":\"{name}\",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":{ts},\"dur\":{dur}"
            );
            assert!(slice.starts_with(&front), "{slice}");
        }
        assert!(slices[0].contains("\"budgets_exhausted\":[\"fanout\"]"), "{}", slices[0]);
    }
}
