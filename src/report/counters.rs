//! What a shard counts: plain numbers, bumped by its own thread.

use super::{DialFailure, Phase};
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
    /// Connections freed of those.
    pub closed: Counter,
    /// Connections made, to pull or push a stream.
    pub dialed: Counter,
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
    /// Bytes of those.
    pub datagrams_sent_bytes: Counter,
    /// Datagrams not sent because the kernel had no room (EAGAIN, ENOBUFS) or
    /// refused them.
    pub datagrams_dropped: Counter,
    /// Tokens sent to those who ask to join over UDP.
    pub udp_tokens: Counter,
    /// Datagrams that ask for nothing: too short, or an answer themselves.
    pub udp_ignored: Counter,
    /// Frames larger than a datagram, refused on UDP.
    pub frames_too_large: Counter,
    /// Datagrams that the kernel dropped before we read them (SO_RXQ_OVFL).
    pub kernel_drops: Counter,
    /// Ring segments that had to be allocated.
    pub segments_allocated: Counter,
    exhausted: [Counter; Phase::ALL.len()],
    refused: [Counter; Refusal::ALL.len()],
    dial_failures: [Counter; DialFailure::ALL.len()],
}

impl Counters {
    /// Those without a label: name, what it counts, and how many so far.
    pub fn rows(&self) -> [(&'static str, &'static str, u64); 21] {
        [
            ("turns", "Turns of the loop", self.turns),
            ("polls", "Times the poll was asked", self.polls),
            ("accepted", "Connections accepted", self.accepted),
            ("closed", "Connections freed of those accepted", self.closed),
            ("dialed", "Connections made to pull or push a stream", self.dialed),
            ("accept_failures", "Accepts without descriptor or memory", self.accept_failures),
            ("lag_closes", "Subscribers ended for their lag", self.lag_closes),
            ("skips", "Jumps forward of subscribers", self.skips),
            ("lapped", "Times a shard was too slow for another one's stream", self.lapped),
            ("sends", "Send calls for TCP subscribers", self.sends),
            ("sent_bytes", "Bytes sent to TCP subscribers", self.sent_bytes),
            ("receives", "Receive calls on publishers", self.receives),
            ("received_bytes", "Bytes received from publishers", self.received_bytes),
            ("datagrams_sent", "Datagrams sent", self.datagrams_sent),
            ("datagrams_sent_bytes", "Bytes of datagrams sent", self.datagrams_sent_bytes),
            ("datagrams_dropped", "Datagrams the kernel did not take", self.datagrams_dropped),
            ("udp_tokens", "Tokens sent to those who ask to join", self.udp_tokens),
            (
                "udp_ignored",
                "Datagrams too short to ask for anything, or no request",
                self.udp_ignored,
            ),
            ("frames_too_large", "Frames larger than a datagram", self.frames_too_large),
            ("kernel_drops", "Datagrams lost before they were read", self.kernel_drops),
            ("segments_allocated", "Ring segments allocated", self.segments_allocated),
        ]
        .map(|(name, help, counter)| (name, help, counter.get()))
    }

    fn all(&mut self) -> [&mut Counter; 21] {
        [
            &mut self.turns,
            &mut self.polls,
            &mut self.accepted,
            &mut self.closed,
            &mut self.dialed,
            &mut self.accept_failures,
            &mut self.lag_closes,
            &mut self.skips,
            &mut self.lapped,
            &mut self.sends,
            &mut self.sent_bytes,
            &mut self.receives,
            &mut self.received_bytes,
            &mut self.datagrams_sent,
            &mut self.datagrams_sent_bytes,
            &mut self.datagrams_dropped,
            &mut self.udp_tokens,
            &mut self.udp_ignored,
            &mut self.frames_too_large,
            &mut self.kernel_drops,
            &mut self.segments_allocated,
        ]
    }

    /// Bytes received from publishers, sends to subscribers on connections, and
    /// the bytes of those.
    pub const fn traffic(&self) -> [u64; 3] {
        [self.received_bytes.get(), self.sends.get(), self.sent_bytes.get()]
    }

    /// Datagrams sent, their bytes, those not sent, and jumps forward: what
    /// sending a stream over UDP counts.
    pub const fn datagrams(&self) -> [u64; 4] {
        let (sent, dropped) = (self.datagrams_sent.get(), self.datagrams_dropped.get());
        [sent, self.datagrams_sent_bytes.get(), dropped, self.skips.get()]
    }

    /// Counts what another shard has counted, too.
    pub fn add(&mut self, other: &Self) {
        let add = |mine: &mut Counter, theirs: u64| mine.add(theirs);
        for (mine, (_, _, theirs)) in self.all().into_iter().zip(other.rows()) {
            add(mine, theirs);
        }
        let lists = self.exhausted.iter_mut().chain(&mut self.refused);
        let lists = lists.chain(&mut self.dial_failures);
        let others = other.exhausted.iter().chain(&other.refused).chain(&other.dial_failures);
        for (mine, theirs) in lists.zip(others) {
            add(mine, theirs.get());
        }
    }

    /// Counts a phase that ran out of its budget and goes on in the next turn.
    pub fn exhaust(&mut self, phase: Phase) {
        self.exhausted[phase as usize].bump();
    }

    /// How often each phase ran out of its budget.
    pub fn exhausted(&self) -> impl Iterator<Item = (Phase, u64)> {
        Phase::ALL.into_iter().zip(self.exhausted.iter().map(|counter| counter.get()))
    }

    /// Counts a refusal by its reason.
    pub fn refuse(&mut self, why: Refusal) {
        if let Some(n) = Refusal::ALL.iter().position(|reason| *reason == why) {
            self.refused[n].bump();
        }
    }

    /// Counts an attempt to pull or push, or the end of a connection for that.
    pub fn fail_dial(&mut self, why: DialFailure) {
        self.dial_failures[why as usize].bump();
    }

    /// Failures to pull or push by reason.
    pub fn dial_failures(&self) -> impl Iterator<Item = (DialFailure, u64)> {
        DialFailure::ALL.into_iter().zip(self.dial_failures.iter().map(|counter| counter.get()))
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
        one.exhaust(Phase::Fanout);
        one.refuse(Refusal::Busy);
        let rows = one.rows();
        assert!(rows.iter().zip(1..).all(|((_, _, count), n)| *count == n), "{rows:?}");
        let mut sum = one.clone();
        sum.add(&one);
        let doubled = one.rows().map(|(name, help, count)| (name, help, 2 * count));
        assert_eq!(sum.rows(), doubled);
        let of = |phase| sum.exhausted().find(|(found, _)| *found == phase).unwrap().1;
        assert_eq!((of(Phase::Fanout), of(Phase::Reap)), (2, 0));
        assert!(Phase::ALL.iter().enumerate().all(|(n, phase)| *phase as usize == n));
        assert_eq!(sum.refusals().map(|(_, count)| count).sum::<u64>(), 2);
    }
}
