//! What becomes of each probe, decided beforehand from a seed, and what a
//! measurement must then have counted.

use std::time::Duration;

use super::packet::Forgery;

/// What the responder does with one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Answers after so long.
    Hold(Duration),
    /// Nothing.
    Drop,
    /// Answers twice.
    Twice,
    /// Answers right behind the answer to the probe so many later.
    Behind(u64),
    /// Answers when the prober has long given up.
    Late,
    /// Sends a forgery, and no answer.
    Forge(Forgery),
    /// Sends a forgery, then the answer.
    Beside(Forgery),
    /// Sends an ICMP error that quotes so many bytes of the probe.
    Refuse(usize),
}

impl Step {
    /// Answers at once.
    pub(crate) const ECHO: Self = Self::Hold(Duration::ZERO);
}

/// Who looks at what comes back, which says what reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receiver {
    /// A raw IPv4 ICMP socket, for which nobody checks checksums.
    RawV4,
    /// A raw IPv6 one, or UDP beyond 76 bytes: the socket drops what has a wrong
    /// one, and the kernel counts that with what it has no room for.
    AtSocket,
    /// A datagram ICMP socket, or UDP: what has a wrong one doesn't get to it.
    Before,
}

impl Receiver {
    /// Whether a forgery gets as far as the prober.
    const fn sees(self, forgery: Forgery) -> bool {
        match forgery {
            Forgery::Stranger => false,
            Forgery::Checksum => matches!(self, Self::RawV4),
            Forgery::Token
            | Forgery::Unsent
            | Forgery::Altered
            | Forgery::Cut
            | Forgery::Longer
            | Forgery::Header => true,
        }
    }
}

/// A generator of numbers that are the same for the same seed: SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Any number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// One of them.
    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// Puts them in any order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end as u64 + 1) as usize);
        }
    }
}

/// The mix of faults.
#[derive(Clone, Debug)]
pub(crate) struct Faults<'a> {
    /// Probes that warm up, and are answered.
    pub(crate) warm_up: u64,
    /// All of them.
    pub(crate) probes: u64,
    /// Of the last so many none is late: its answer would come after the end.
    pub(crate) tail: u64,
    /// In how many of 100 something is wrong.
    pub(crate) percent: u64,
    /// What can be forged.
    pub(crate) forgeries: &'a [Forgery],
    /// How many bytes of a probe an ICMP error may quote.
    pub(crate) quotes: &'a [usize],
}

/// Faults of every kind, in any order.
pub(crate) fn faults(seed: u64, of: &Faults<'_>) -> Vec<Step> {
    let mut random = Random(seed);
    let mut steps = vec![Step::ECHO; of.probes as usize];
    let mut sequence = of.warm_up;
    // The last few are answered, so that there is something to be behind.
    while sequence + 10 < of.probes {
        if random.below(100) < of.percent {
            let step = fault(&mut random, of, sequence);
            steps[sequence as usize] = step;
            if let Step::Behind(behind) = step {
                // Those between are answered: then it is known who overtakes.
                sequence += behind;
            }
        }
        sequence += 1;
    }
    steps
}

fn fault(random: &mut Random, of: &Faults<'_>, sequence: u64) -> Step {
    match random.below(7) {
        0 => Step::Drop,
        1 => Step::Twice,
        2 => Step::Behind(1 + random.below(8)),
        3 if sequence + of.tail < of.probes => Step::Late,
        3 | 4 => Step::Forge(random.one(of.forgeries)),
        5 if !of.quotes.is_empty() => Step::Refuse(random.one(of.quotes)),
        _ => Step::Beside(random.one(of.forgeries)),
    }
}

/// What must have been counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) lost: u64,
    pub(crate) late: u64,
    pub(crate) duplicates: u64,
    pub(crate) reordered: u64,
    pub(crate) reorder_extent: u64,
    pub(crate) errors: u64,
    pub(crate) forged: u64,
    pub(crate) dropped_here: u64,
    pub(crate) loss_run: u64,
}

/// What a script leads to, worked out from its meaning alone.
pub(crate) fn expected(steps: &[Step], warm_up: u64, receiver: Receiver) -> Expected {
    let mut expected = Expected::default();
    let mut order: Vec<u64> = Vec::new();
    let mut behind: Vec<(u64, u64)> = Vec::new();
    let mut run = 0;
    for (sequence, step) in (0..).zip(steps).skip(warm_up as usize) {
        expected.sent += 1;
        let given_up = matches!(step, Step::Drop | Step::Forge(_) | Step::Late);
        run = if given_up { run + 1 } else { 0 };
        expected.loss_run = expected.loss_run.max(run);
        match *step {
            Step::Hold(_) => order.push(sequence),
            Step::Drop => expected.lost += 1,
            Step::Twice => {
                order.push(sequence);
                expected.duplicates += 1;
            }
            Step::Behind(count) => behind.push((sequence + count, sequence)),
            Step::Late => expected.late += 1,
            Step::Forge(_) => expected.lost += 1,
            Step::Beside(_) => order.push(sequence),
            Step::Refuse(_) => expected.errors += 1,
        }
        if let Step::Forge(forgery) | Step::Beside(forgery) = *step {
            expected.forged += u64::from(receiver.sees(forgery));
            let is_dropped = (receiver, forgery) == (Receiver::AtSocket, Forgery::Checksum);
            expected.dropped_here += u64::from(is_dropped);
        }
        order.extend(behind.extract_if(.., |(after, _)| *after == sequence).map(|(_, it)| it));
    }
    let mut highest = warm_up.saturating_sub(1);
    for sequence in order {
        expected.received += 1;
        if sequence < highest {
            expected.reordered += 1;
            expected.reorder_extent = expected.reorder_extent.max(highest - sequence);
        }
        highest = highest.max(sequence);
    }
    expected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_means_what_it_says() {
        let steps = [
            Step::ECHO,
            Step::Behind(2),
            Step::Twice,
            Step::ECHO,
            Step::Drop,
            Step::Late,
            Step::Forge(Forgery::Checksum),
            Step::Beside(Forgery::Token),
            Step::Refuse(24),
        ];
        let wanted = Expected {
            sent: 8,
            received: 4,
            lost: 2,
            late: 1,
            duplicates: 1,
            reordered: 1,
            reorder_extent: 2,
            errors: 1,
            forged: 2,
            dropped_here: 0,
            loss_run: 3,
        };
        assert_eq!(expected(&steps, 1, Receiver::RawV4), wanted);
        let before = Expected { forged: 1, ..wanted };
        assert_eq!(expected(&steps, 1, Receiver::Before), before);
        let at_socket = Expected { dropped_here: 1, ..before };
        assert_eq!(expected(&steps, 1, Receiver::AtSocket), at_socket);
    }

    #[test]
    fn faults_are_the_same_for_a_seed_and_of_every_kind() {
        let of = Faults {
            warm_up: 5,
            probes: 5_000,
            tail: 1_000,
            percent: 50,
            forgeries: &Forgery::OF_PACKET,
            quotes: &[8, 24],
        };
        let steps = faults(1, &of);
        assert_eq!(steps, faults(1, &of));
        assert_ne!(steps, faults(2, &of));
        assert!(steps[..5].iter().all(|step| *step == Step::ECHO));
        assert!(!steps[4_000..].contains(&Step::Late));
        let counts = expected(&steps, of.warm_up, Receiver::RawV4);
        for count in [counts.lost, counts.late, counts.duplicates, counts.reordered] {
            assert!(count > 100, "{counts:?}");
        }
        for forgery in Forgery::OF_PACKET {
            assert!(
                steps.contains(&Step::Forge(forgery)) && steps.contains(&Step::Beside(forgery))
            );
        }
    }
}
