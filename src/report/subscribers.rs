//! Who gets a stream: one object of JSON for each subscriber.

use super::page;
use crate::base::Histogram;
use crate::limits::RATE_TIME;
use crate::protocol::Name;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

/// One subscriber, at one moment.
#[derive(Clone, Debug)]
pub struct SubscriberSnapshot {
    /// What it gets.
    pub stream: Name,
    /// Its address.
    pub peer: SocketAddr,
    /// How it gets the stream: `tcp`, `http`, `websocket`, `udp`.
    pub over: &'static str,
    /// Where it stands: `live`, `behind`, `skipping` what it has missed, `waiting`
    /// for a join point.
    pub state: &'static str,
    /// Bytes of the stream that it has not been sent, as it gets it.
    pub behind_bytes: u64,
    /// For how long that byte has been due.
    pub lag: Duration,
    /// For how long it has been one; `None` over UDP.
    pub age: Option<Duration>,
    /// Round-trip time, as its connection's kernel measures it.
    pub rtt: Option<Duration>,
    /// What it got and missed; `None` over UDP, where no one counts for each.
    pub counts: Option<Counts>,
    /// How long frames stayed for it.
    pub residence: Option<Box<Histogram>>,
}

/// What a subscriber got and missed.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Bytes the kernel took, headers included.
    pub sent_bytes: u64,
    /// Jumps forward.
    pub skips: u64,
    /// Stream bytes jumped over.
    pub skipped_bytes: u64,
    /// Stream time jumped over.
    pub skipped_time: Duration,
}

/// A list of those of the subscribers that get stream `of`.
pub(super) fn list<'a>(
    text: &mut String,
    subscribers: impl Iterator<Item = &'a SubscriberSnapshot>,
    of: &Name,
) {
    text.push('[');
    for (n, one) in subscribers.filter(|one| one.stream == *of).enumerate() {
        text.push_str(if n == 0 { "\n" } else { ",\n" });
        object(text, one);
    }
    text.push_str("\n]");
}

/// One subscriber. What is not known of it is null, or left out where nobody
/// counts.
fn object(text: &mut String, one: &SubscriberSnapshot) {
    let _ = write!(
        text,
        "{{\"peer\":\"{}\",\"transport\":\"{}\",\"state\":\"{}\",\"behind_bytes\":{},\
         \"lag_ns\":{},\"rtt_ns\":{},\"age_ns\":{},",
        one.peer,
        one.over,
        one.state,
        one.behind_bytes,
        one.lag.as_nanos(),
        page::nanos(one.rtt),
        page::nanos(one.age),
    );
    if let Some(counts) = &one.counts {
        let rate = one.age.and_then(|age| rate(counts.sent_bytes, age));
        let _ = write!(
            text,
            "\"sent_bytes\":{},\"rate_bytes_per_s\":{},\"skips\":{},\"skipped_bytes\":{},\
             \"skipped_ns\":{},",
            counts.sent_bytes,
            page::or_null(rate),
            counts.skips,
            counts.skipped_bytes,
            counts.skipped_time.as_nanos(),
        );
    }
    let residence = one.residence.as_deref().cloned().unwrap_or_default();
    let _ = write!(text, "\"residence_ns\":{}}}", page::quantiles(&residence));
}

/// Bytes a second, in whole ones; `None` of a span too short to tell.
pub(super) fn rate(bytes: u64, span: Duration) -> Option<u64> {
    (span >= RATE_TIME).then(|| (bytes as f64 / span.as_secs_f64()).round() as u64)
}
