//! What a shard counts: plain numbers, bumped by its own thread.

use crate::base::Counter;
use crate::protocol::Refusal;

/// Counters of one shard.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Turns of the loop.
    pub turns: Counter,
    /// Times that the poll was asked.
    pub polls: Counter,
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
    /// Times that this shard was too slow for a stream of another one.
    pub lapped: Counter,
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
    /// Ring segments that had to be allocated.
    pub segments_allocated: Counter,
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

    fn all(&mut self) -> [&mut Counter; 10] {
        [
            &mut self.udp_ingest,
            &mut self.tcp_ingest,
            &mut self.udp_fanout,
            &mut self.fanout,
            &mut self.writers,
            &mut self.catchup,
            &mut self.control,
            &mut self.accepts,
            &mut self.timers,
            &mut self.reap,
        ]
    }
}

impl Counters {
    /// Those without a label: name, what it counts, and how many so far.
    pub fn rows(&self) -> [(&'static str, &'static str, u64); 19] {
        [
            ("turns", "Turns of the loop", self.turns),
            ("polls", "Times the poll was asked", self.polls),
            ("accepted", "Connections accepted", self.accepted),
            ("closed", "Connections freed", self.closed),
            ("accept_failures", "Accepts without descriptor or memory", self.accept_failures),
            ("lag_closes", "Subscribers ended for their lag", self.lag_closes),
            ("skips", "Jumps forward of subscribers", self.skips),
            ("lapped", "Times a shard was too slow for another one's stream", self.lapped),
            ("sends", "Send calls for TCP subscribers", self.sends),
            ("sent_bytes", "Bytes sent to TCP subscribers", self.sent_bytes),
            ("receives", "Receive calls on publishers", self.receives),
            ("received_bytes", "Bytes received from publishers", self.received_bytes),
            ("datagrams_sent", "Datagrams sent", self.datagrams_sent),
            ("datagrams_dropped", "Datagrams the kernel did not take", self.datagrams_dropped),
            ("udp_tokens", "Tokens sent to those who ask to join", self.udp_tokens),
            ("udp_ignored", "Datagrams too short to ask for anything", self.udp_ignored),
            ("frames_too_large", "Frames larger than a datagram", self.frames_too_large),
            ("kernel_drops", "Datagrams lost before they were read", self.kernel_drops),
            ("segments_allocated", "Ring segments allocated", self.segments_allocated),
        ]
        .map(|(name, help, counter)| (name, help, counter.get()))
    }

    fn all(&mut self) -> [&mut Counter; 19] {
        [
            &mut self.turns,
            &mut self.polls,
            &mut self.accepted,
            &mut self.closed,
            &mut self.accept_failures,
            &mut self.lag_closes,
            &mut self.skips,
            &mut self.lapped,
            &mut self.sends,
            &mut self.sent_bytes,
            &mut self.receives,
            &mut self.received_bytes,
            &mut self.datagrams_sent,
            &mut self.datagrams_dropped,
            &mut self.udp_tokens,
            &mut self.udp_ignored,
            &mut self.frames_too_large,
            &mut self.kernel_drops,
            &mut self.segments_allocated,
        ]
    }

    /// Counts what another shard has counted, too.
    pub fn add(&mut self, other: &Self) {
        let add = |mine: &mut Counter, theirs: u64| mine.add(theirs);
        for (mine, (_, _, theirs)) in self.all().into_iter().zip(other.rows()) {
            add(mine, theirs);
        }
        for (mine, (_, theirs)) in self.exhausted.all().into_iter().zip(other.exhausted.rows()) {
            add(mine, theirs);
        }
        for (mine, theirs) in self.refused.iter_mut().zip(other.refused) {
            add(mine, theirs.get());
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_two_shards_are_added_each_to_its_like() {
        let mut one = Counters::default();
        let fields = one.all().into_iter().enumerate();
        fields.for_each(|(n, counter)| counter.add(n as u64 + 1));
        let fields = one.exhausted.all().into_iter().enumerate();
        fields.for_each(|(n, counter)| counter.add(n as u64 + 100));
        one.refuse(Refusal::Busy);
        let rows = one.rows();
        assert!(rows.iter().zip(1..).all(|((_, _, count), n)| *count == n), "{rows:?}");
        let rows = one.exhausted.rows();
        assert!(rows.iter().zip(100..).all(|((_, count), n)| *count == n), "{rows:?}");
        let mut sum = one.clone();
        sum.add(&one);
        let doubled = one.rows().map(|(name, help, count)| (name, help, 2 * count));
        assert_eq!(sum.rows(), doubled);
        assert_eq!(sum.exhausted.rows(), one.exhausted.rows().map(|(name, n)| (name, 2 * n)));
        assert_eq!(sum.refusals().map(|(_, count)| count).sum::<u64>(), 2);
    }
}
