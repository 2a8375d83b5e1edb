//! What a shard counts: plain numbers, bumped by its own thread.

use crate::base::Counter;
use crate::protocol::Refusal;

/// Counters of one shard.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Turns of the loop.
    pub turns: Counter,
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections freed.
    pub closed: Counter,
    /// Accepts that failed for want of descriptors or memory.
    pub accept_failures: Counter,
    /// Subscribers ended because their lag passed its bound.
    pub lag_closes: Counter,
    /// Jumps forward of subscribers.
    pub skips: Counter,
    /// Send calls for TCP subscribers.
    pub sends: Counter,
    /// Bytes sent to TCP subscribers.
    pub sent_bytes: Counter,
    /// Receive calls on publishers.
    pub receives: Counter,
    /// Bytes received from publishers.
    pub received_bytes: Counter,
    /// Datagrams sent.
    pub datagrams_sent: Counter,
    /// Datagrams not sent because the kernel had no room (EAGAIN, ENOBUFS) or
    /// refused them.
    pub datagrams_dropped: Counter,
    /// Tokens sent to those who ask to join over UDP.
    pub udp_tokens: Counter,
    /// Datagrams too short to ask for anything.
    pub udp_ignored: Counter,
    /// Frames larger than a datagram, refused on UDP.
    pub frames_too_large: Counter,
    /// Datagrams that the kernel dropped before we read them (SO_RXQ_OVFL).
    pub kernel_drops: Counter,
    /// Budgets that ran out, by phase.
    pub exhausted: Exhausted,
    refused: [Counter; Refusal::ALL.len()],
}

/// How often a phase ran out of its budget and went on in the next turn.
#[derive(Clone, Debug, Default)]
pub struct Exhausted {
    /// UDP receive calls on one socket.
    pub udp_ingest: Counter,
    /// Bytes or calls on one TCP publisher.
    pub tcp_ingest: Counter,
    /// Time of the live fan-out over UDP.
    pub udp_fanout: Counter,
    /// Sends or time of the live fan-out.
    pub fanout: Counter,
    /// Sends of resumed writers.
    pub writers: Counter,
    /// Sends of catch-up bursts.
    pub catchup: Counter,
    /// Control messages.
    pub control: Counter,
    /// Accepts on one listener.
    pub accepts: Counter,
    /// Timers.
    pub timers: Counter,
    /// Connections freed.
    pub reap: Counter,
}

impl Exhausted {
    /// Every budget's name and how often it ran out.
    pub fn rows(&self) -> [(&'static str, u64); 10] {
        [
            ("udp_ingest", self.udp_ingest.get()),
            ("tcp_ingest", self.tcp_ingest.get()),
            ("udp_fanout", self.udp_fanout.get()),
            ("fanout", self.fanout.get()),
            ("writers", self.writers.get()),
            ("catchup", self.catchup.get()),
            ("control", self.control.get()),
            ("accepts", self.accepts.get()),
            ("timers", self.timers.get()),
            ("reap", self.reap.get()),
        ]
    }
}

impl Counters {
    /// Counts a refusal by its reason.
    pub fn refuse(&mut self, why: Refusal) {
        if let Some(n) = Refusal::ALL.iter().position(|reason| *reason == why) {
            self.refused[n].bump();
        }
    }

    /// Refusals by reason.
    pub fn refusals(&self) -> impl Iterator<Item = (Refusal, u64)> {
        Refusal::ALL.into_iter().zip(self.refused.iter().map(|counter| counter.get()))
    }
}
