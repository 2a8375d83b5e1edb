//! How long a dialer waits after a failure: longer each time, and never in step
//! with others.

use crate::limits::{DIAL_PAUSE, DIAL_PAUSE_MAX};
use std::time::Duration;

/// Failures in a row, and what they come to.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A connection has ended that lasted so long: one that lasted begins anew.
    pub(super) fn lasted(&mut self, span: Duration) {
        if span >= DIAL_PAUSE_MAX {
            self.failures = 0;
        }
    }

    /// All went well.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row so far.
    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    /// The pause after one more failure: half of it is drawn, so that many who
    /// lost the same target don't come back to it at once.
    pub(super) fn fail(&mut self, random: u32) -> Duration {
        let most = DIAL_PAUSE * 2_u32.saturating_pow(self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        let half = most.min(DIAL_PAUSE_MAX) / 2;
        half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_most_and_half_of_it_is_drawn() {
        let mut backoff = Backoff::default();
        let mut most = DIAL_PAUSE;
        for n in 0..100 {
            assert_eq!(backoff.failures(), n);
            let mut twin = Backoff { failures: n };
            assert_eq!(twin.fail(0), most / 2);
            assert_eq!(backoff.fail(u32::MAX), most);
            most = (2 * most).min(DIAL_PAUSE_MAX);
        }
        assert_eq!(most, DIAL_PAUSE_MAX);
        assert!(Backoff { failures: u32::MAX }.fail(7) <= DIAL_PAUSE_MAX);
    }

    #[test]
    fn a_connection_that_lasted_begins_anew_and_a_short_one_does_not() {
        let mut backoff = Backoff { failures: 9 };
        backoff.lasted(DIAL_PAUSE_MAX - Duration::from_nanos(1));
        assert_eq!(backoff.failures(), 9);
        backoff.lasted(DIAL_PAUSE_MAX);
        assert_eq!(backoff.fail(u32::MAX), DIAL_PAUSE);
    }
}
