//! Who gets a stream: one object of JSON for each subscriber.

use super::page;
use crate::base::{Histogram, Position};
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

/// One subscriber, at one moment.
#[derive(Clone, Debug)]
pub struct SubscriberSnapshot {
    /// Its address.
    pub peer: SocketAddr,
    /// How it gets the stream: `tcp`, `http`, `websocket`, `udp`.
    pub over: &'static str,
    /// Where it stands: `live`, `behind`, `skipping` what it has missed, `waiting`
    /// for a join point.
    pub state: &'static str,
    /// The next byte that it will be sent.
    pub position: Position,
    /// For how long that byte has been due.
    pub lag: Duration,
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

/// A list of subscribers of a stream whose newest frame ends at `head`.
pub(super) fn list(text: &mut String, subscribers: &[SubscriberSnapshot], head: Position) {
    text.push('[');
    for (n, one) in subscribers.iter().enumerate() {
        let comma = if n == 0 { "" } else { "," };
        let _ = write!(
            text,
            "{comma}\n{{\"peer\":\"{}\",\"over\":\"{}\",\"state\":\"{}\",\"behind_bytes\":{},\
             \"lag_ns\":{},",
            one.peer,
            one.over,
            one.state,
            head.0.saturating_sub(one.position.0),
            one.lag.as_nanos(),
        );
        if let Some(counts) = &one.counts {
            let _ = write!(
                text,
                "\"sent_bytes\":{},\"skips\":{},\"skipped_bytes\":{},\"skipped_ns\":{},",
                counts.sent_bytes,
                counts.skips,
                counts.skipped_bytes,
                counts.skipped_time.as_nanos(),
            );
        }
        let residence = one.residence.as_deref().cloned().unwrap_or_default();
        let _ = write!(text, "\"residence_ns\":{}}}", page::quantiles(&residence));
    }
    text.push_str("\n]");
}
