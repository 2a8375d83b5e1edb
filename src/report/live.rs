//! What open pages are told twice a second: what each stream and each shard did
//! lately, as one object of JSON. A snapshot counts since its stream began, so
//! this remembers the last minute of them.
//!
//! ```json
//! {"at_us": 1, "server": {…}, "shards": […], "listeners": […],
//!  "streams": […], "more": 0, "stream": {…}}
//! ```
//!
//! Spans are in nanoseconds (`_ns`), `at_us` is `CLOCK_MONOTONIC` in microseconds,
//! rates are of the last two seconds, medians of the last ten, 99th percentiles of
//! the last minute. A quantile without the samples for it is null. `stream` is the
//! one that the page shows, null while it is not live.

use super::page::merged;
use super::{Counters, Snapshot, StreamSnapshot};
use crate::base::{Instant, Totals};
use crate::limits::{NEWS_BYTES, NEWS_LONG, NEWS_RATE, NEWS_SHORT, NEWS_STEP};
use crate::protocol::Name;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

/// What has been seen of a server lately.
#[derive(Debug, Default)]
pub struct Live {
    /// Its listeners, as an array of JSON.
    listeners: String,
    streams: BTreeMap<Name, Recent>,
    shards: BTreeMap<usize, Recent>,
    server: Recent,
    /// The streams at the last look.
    merged: Vec<StreamSnapshot>,
    /// What everybody is told, without the closing brace.
    common: String,
}

/// What has been seen of one thing lately.
#[derive(Debug, Default)]
struct Recent {
    epoch: u64,
    looks: usize,
    seen: Instant,
    /// Counts, at the last few looks.
    counts: VecDeque<(Instant, [u64; 2])>,
    /// Spans, at every [`NEWS_STEP`]th of the last looks.
    marks: VecDeque<Totals>,
}

impl Recent {
    /// What it has counted by now.
    fn look(&mut self, epoch: u64, spans: &Totals, counts: [u64; 2], now: Instant) {
        if epoch != self.epoch {
            *self = Self { epoch, ..Self::default() };
        }
        self.seen = now;
        if self.looks.is_multiple_of(NEWS_STEP) {
            self.marks.push_back(spans.clone());
            if self.marks.len() > NEWS_LONG / NEWS_STEP {
                self.marks.pop_front();
            }
        }
        self.looks += 1;
        self.counts.push_back((now, counts));
        if self.counts.len() > NEWS_RATE + 1 {
            self.counts.pop_front();
        }
    }

    /// How fast each count grows, a second; none before the second look.
    fn rates(&self) -> [f64; 2] {
        let (Some((from, old)), Some((to, new))) = (self.counts.front(), self.counts.back()) else {
            return [0.0; 2];
        };
        let span = to.since(*from).as_secs_f64();
        let rate = |n: usize| new[n].saturating_sub(old[n]) as f64 / span;
        if span > 0.0 { [rate(0), rate(1)] } else { [0.0; 2] }
    }

    /// The median of a short time, and an outer quantile of a long one.
    fn quantiles(&self, spans: &Totals) -> String {
        let steps = NEWS_SHORT / NEWS_STEP;
        let short = self.marks.get(self.marks.len().saturating_sub(steps));
        let of = |older: Option<&Totals>, q: f64| {
            let span = older.and_then(|older| spans.since(older).quantile(q));
            span.map_or("null".to_owned(), |span| span.as_nanos().to_string())
        };
        format!("{{\"p50\":{},\"p99\":{}}}", of(short, 0.5), of(self.marks.front(), 0.99))
    }
}

impl Live {
    /// Of a server with these listeners, an array of JSON.
    pub fn of(listeners: &str) -> Self {
        Self { listeners: listeners.to_owned(), ..Self::default() }
    }

    /// Takes in what every shard says now.
    pub fn look(&mut self, shards: &[Snapshot], now: Instant) {
        let mut counters = Counters::default();
        shards.iter().for_each(|shard| counters.add(&shard.counters));
        let sent = counters.sent_bytes.get() + counters.datagrams_sent_bytes.get();
        let counts = [counters.received_bytes.get(), sent];
        self.server.look(0, &Totals::default(), counts, now);
        for shard in shards {
            let recent = self.shards.entry(shard.shard).or_default();
            let busy = u64::try_from(shard.turn_times.sum().as_nanos()).unwrap_or(u64::MAX);
            recent.look(0, &shard.turn_times, [busy, 0], now);
        }
        self.merged = merged(shards);
        for stream in &self.merged {
            let recent = self.streams.entry(stream.name.clone()).or_default();
            recent.look(stream.epoch, &stream.residence, [stream.received_bytes, 0], now);
        }
        self.streams.retain(|_, recent| recent.seen == now);
        self.common = self.common(shards, &counters, now);
    }

    /// What everybody is told.
    fn common(&self, shards: &[Snapshot], counters: &Counters, now: Instant) -> String {
        let mut text = format!("{{\"at_us\":{},", now.as_nanos() / 1000);
        let [received, sent] = self.server.rates();
        let refused: u64 = counters.refusals().map(|(_, count)| count).sum();
        let _ = write!(
            text,
            "\"server\":{{\"connections\":{},\"received_bytes_per_s\":{received:.0},\
             \"sent_bytes_per_s\":{sent:.0},\"skips\":{},\"lag_closes\":{},\"drops\":{},\"refused\":{refused}}},\
             \"shards\":[",
            counters.accepted.get().saturating_sub(counters.closed.get()),
            counters.skips.get(),
            counters.lag_closes.get(),
            counters.datagrams_dropped.get() + counters.kernel_drops.get(),
        );
        for (n, shard) in shards.iter().enumerate() {
            let Some(recent) = self.shards.get(&shard.shard) else { continue };
            let _ = write!(
                text,
                "{}{{\"shard\":{},\"load\":{:.4},\"turn_ns\":{}}}",
                if n == 0 { "" } else { "," },
                shard.shard,
                (recent.rates()[0] / 1e9).min(1.0),
                recent.quantiles(&shard.turn_times),
            );
        }
        let _ = write!(text, "],\"listeners\":{},\"streams\":[", self.listeners);
        let end = text.len() + NEWS_BYTES;
        let mut told = 0;
        for stream in &self.merged {
            if text.len() > end {
                break;
            }
            text.push_str(if told == 0 { "{" } else { ",{" });
            self.fields(&mut text, stream);
            text.push('}');
            told += 1;
        }
        let _ = write!(text, "],\"more\":{}", self.merged.len() - told);
        text
    }

    fn fields(&self, text: &mut String, stream: &StreamSnapshot) {
        let recent = self.streams.get(&stream.name);
        let age = stream.newest_frame_age.map(|age| age.as_nanos());
        let _ = write!(
            text,
            "\"name\":\"{}\",\"epoch\":{},\"framing\":\"{}\",\"subscribers\":{},\"behind\":{},\
             \"worst_lag_ns\":{},\"skips\":{},\"datagrams_dropped\":{},\"lag_closes\":{},\
             \"rate_bytes_per_s\":{:.0},\"newest_frame_age_ns\":{},\"continuity_errors\":{},\
             \"residence_from\":\"{}\",\"residence_ns\":{}",
            stream.name,
            stream.epoch,
            stream.kind.label(),
            stream.by_transport.iter().sum::<usize>(),
            stream.behind,
            stream.worst_lag.as_nanos(),
            stream.delivered.skips,
            stream.delivered.dropped_datagrams,
            stream.delivered.lag_closes,
            recent.map_or(0.0, |recent| recent.rates()[0]),
            age.map_or("null".to_owned(), |age| age.to_string()),
            stream.continuity_errors,
            if stream.is_stamped { "kernel" } else { "ingest" },
            recent.map_or_else(
                || "{\"p50\":null,\"p99\":null}".to_owned(),
                |recent| recent.quantiles(&stream.residence)
            ),
        );
    }

    /// What a page is told that shows this stream, or none.
    pub fn message(&self, shown: Option<&Name>) -> String {
        let mut text = self.common.clone();
        if let Some(name) = shown {
            text.push_str(",\"stream\":");
            match self.merged.iter().find(|stream| stream.name == *name) {
                Some(stream) => {
                    text.push('{');
                    self.fields(&mut text, stream);
                    text.push('}');
                }
                None => text.push_str("null"),
            }
        }
        text.push('}');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(tick: u64) -> Instant {
        Instant::from_nanos(1_000_000_000 + tick * 500_000_000)
    }

    fn spans(count: u32, micros: u64) -> Totals {
        let mut spans = Totals::default();
        spans.record_all(Duration::from_micros(micros), count);
        spans
    }

    #[test]
    fn rates_are_of_the_last_two_seconds() {
        let mut recent = Recent::default();
        assert_eq!(recent.rates(), [0.0; 2]);
        // A thousand a look, then nothing.
        for tick in 0..10 {
            recent.look(1, &Totals::default(), [1000 * tick.min(5), 7], at(tick));
        }
        assert_eq!(recent.rates(), [0.0; 2], "nothing for two seconds");
        recent.look(1, &Totals::default(), [9000, 7], at(10));
        assert_eq!(recent.rates(), [2000.0, 0.0]);
        recent.look(2, &Totals::default(), [5, 5], at(11));
        assert_eq!(recent.rates(), [0.0; 2], "another life of it");
    }

    #[test]
    fn medians_are_of_ten_seconds_and_outer_quantiles_of_a_minute() {
        let (mut recent, mut all) = (Recent::default(), Totals::default());
        let mut look = |tick: u64, more: &Totals| {
            all.add(more);
            recent.look(1, &all, [0; 2], at(tick));
            let said: serde_json::Value = serde_json::from_str(&recent.quantiles(&all)).unwrap();
            let micros = |key: &str| said[key].as_u64().map(|nanos| nanos / 1000);
            (micros("p50"), micros("p99"))
        };
        assert_eq!(look(0, &Totals::default()), (None, None));
        // Two a second in 1,000 of 10 us, for a minute.
        let (slow, fast) = (spans(2, 5000), spans(500, 10));
        for tick in 1..=2 * 60 {
            let (p50, p99) = look(tick, &fast);
            assert!(p50.is_some_and(|micros| (10..13).contains(&micros)), "{p50:?}");
            assert_eq!(p99.is_some(), tick >= 2, "it needs 1,000 samples");
        }
        for tick in 121..=140 {
            look(tick, &slow);
        }
        let (p50, p99) = look(141, &slow);
        assert!(p50.is_some_and(|micros| micros >= 5000), "{p50:?}: all that came in ten seconds");
        assert!(p99.is_some_and(|micros| micros < 13), "{p99:?}: less than a 100th of a minute");
    }

    #[test]
    fn what_is_told_is_bounded_and_says_how_much_is_left_out() {
        let longest = |n: usize| format!("{n:0>255}");
        let streams = (0..300).map(|n| {
            let mut stream = crate::report::page::tests::stream(&longest(n), 1, true, 1);
            stream.residence = spans(1, 1);
            stream
        });
        let shard = Snapshot { streams: streams.collect(), ..Snapshot::default() };
        let mut live = Live::of("[]");
        live.look(&[shard], at(0));
        let shown = Name::parse(&longest(299)).unwrap();
        let text = live.message(Some(&shown));
        assert!(text.len() < crate::limits::QUEUED_BYTES / 2, "{}", text.len());
        let said: serde_json::Value = serde_json::from_str(&text).unwrap();
        let told = said["streams"].as_array().unwrap().len();
        assert_eq!(Some(300 - told as u64), said["more"].as_u64());
        assert!(told > 30 && told < 300, "{told}");
        assert_eq!(said["stream"]["name"], shown.as_str(), "though it is left out of the list");
        let other = Name::parse("other").unwrap();
        assert!(live.message(Some(&other)).ends_with(",\"stream\":null}"));
        assert!(!live.message(None).contains("\"stream\":"));
    }
}
