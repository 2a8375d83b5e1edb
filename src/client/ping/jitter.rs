//! The four things that are called jitter, each by its own name.

use std::time::Duration;

/// Variation of round-trip times, kept as they come.
#[derive(Clone, Debug, Default)]
pub struct Jitter {
    last: Option<(u64, f64)>,
    count: u64,
    steps: u64,
    step_sum: f64,
    smoothed: f64,
    /// Mean and sum of squared deviations so far, by Welford's method.
    mean: f64,
    squares: f64,
}

impl Jitter {
    /// Takes the time of probe `sequence`.
    pub(super) fn record(&mut self, sequence: u64, rtt: Duration) {
        let nanos = rtt.as_nanos() as f64;
        self.count += 1;
        let from_mean = nanos - self.mean;
        self.mean += from_mean / self.count as f64;
        self.squares += from_mean * (nanos - self.mean);
        if let Some((before, last)) = self.last {
            let step = (nanos - last).abs();
            self.smoothed += (step - self.smoothed) / 16.0;
            if sequence == before + 1 {
                self.steps += 1;
                self.step_sum += step;
            }
        }
        self.last = Some((sequence, nanos));
    }

    /// Mean of `|D(i) - D(i - 1)|` over probes that follow each other: inter-
    /// packet delay variation, RFC 3393.
    pub fn ipdv(&self) -> Option<Duration> {
        (self.steps > 0).then(|| nanos(self.step_sum / self.steps as f64))
    }

    /// The smoothed estimate of RFC 3550 section 6.4.1, `J += (|D| - J) / 16`,
    /// in units of time: not the sixteenfold integer of its appendix A.8.
    pub fn rfc3550(&self) -> Option<Duration> {
        (self.count > 1).then(|| nanos(self.smoothed))
    }

    /// Standard deviation of all of them, which ping(8) calls mdev.
    pub fn mdev(&self) -> Option<Duration> {
        (self.count > 0).then(|| nanos((self.squares / self.count as f64).sqrt()))
    }
}

fn nanos(value: f64) -> Duration {
    Duration::from_nanos(value.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: impl Iterator<Item = u64>) -> Jitter {
        let mut jitter = Jitter::default();
        (0..).zip(times).for_each(|(i, us)| jitter.record(i, Duration::from_micros(us)));
        jitter
    }

    #[test]
    fn steps_of_a_millisecond_are_a_millisecond_of_jitter() {
        let jitter = of((0..1_000).map(|i| 5_000 + 1_000 * (i % 2)));
        assert_eq!(jitter.ipdv(), Some(Duration::from_millis(1)));
        assert_eq!(jitter.rfc3550(), Some(Duration::from_millis(1)));
        assert_eq!(jitter.mdev(), Some(Duration::from_micros(500)));
    }

    #[test]
    fn a_gap_is_no_step_and_few_samples_say_nothing() {
        assert_eq!((of(0..0).mdev(), of(0..0).ipdv()), (None, None));
        let one = of(7..8);
        assert_eq!((one.mdev(), one.rfc3550()), (Some(Duration::ZERO), None));
        let mut jitter = Jitter::default();
        jitter.record(1, Duration::from_micros(10));
        jitter.record(3, Duration::from_micros(20));
        assert_eq!(jitter.ipdv(), None);
        jitter.record(4, Duration::from_micros(23));
        assert_eq!(jitter.ipdv(), Some(Duration::from_micros(3)));
    }
}
