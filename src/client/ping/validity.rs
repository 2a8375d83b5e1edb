//! Whether a run may be believed, and what is to be said against it.

use std::time::Duration;

use crate::client::report::format_latency;

use super::{Plan, Series};

/// More of the probes than this, sent later than the next one was due, are no
/// longer the schedule that was asked for.
const LATE_SHARE: f64 = 0.05;
/// And so many of them: one pause of the machine in a run of ten probes is noise.
const LATE_LEAST: u64 = 10;
/// What reading two clocks one after the other may be wrong by. Steering,
/// adjtimex(2), moves both of them alike.
const READING: Duration = Duration::from_millis(1);

/// What to make of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    /// Why it is not what was asked for: exit code 3.
    pub invalid: Vec<String>,
    /// What it suffered from, and is still worth reading.
    pub degraded: Vec<String>,
}

impl Validity {
    /// `ok`, `degraded` or `invalid`.
    pub const fn word(&self) -> &'static str {
        if !self.invalid.is_empty() {
            "invalid"
        } else if !self.degraded.is_empty() {
            "degraded"
        } else {
            "ok"
        }
    }
}

/// Judges the series of one measurement.
pub fn validity(plan: &Plan, all: &[Series]) -> Validity {
    let mut validity = Validity::default();
    for series in all.iter().filter(|series| series.counts.sent > 0) {
        schedule(plan, series, &mut validity);
        stamps(series, &mut validity);
        let dropped = series.counts.dropped_here;
        if dropped > 0 {
            validity.degraded.push(format!(
                "{}: {dropped} packets were dropped here, for want of room in our own receive \
                 buffer or for a wrong checksum: not all that is lost was lost on the way",
                series.way.kind
            ));
        }
    }
    validity
}

fn schedule(plan: &Plan, series: &Series, validity: &mut Validity) {
    let (kind, counts) = (series.way.kind, &series.counts);
    if let Some(failure) = &series.failure {
        validity.invalid.push(format!("{kind}: it ended before its time: {failure}"));
    } else if counts.sent != series.scheduled {
        validity.invalid.push(format!(
            "{kind}: {} probes were due and {} were sent",
            series.scheduled, counts.sent
        ));
    }
    let Some(worst) = counts.lateness.max().filter(|worst| *worst > plan.interval) else {
        return;
    };
    let late = counts.lateness.above(plan.interval);
    let text = format!(
        "{kind}: this machine fell behind: {late} of {} probes were sent more than an interval \
         late, up to {}; response time has it, user RTT does not",
        counts.sent,
        format_latency(worst)
    );
    if late >= LATE_LEAST && late as f64 > LATE_SHARE * counts.sent as f64 {
        validity.invalid.push(text);
    } else {
        validity.degraded.push(text);
    }
}

fn stamps(series: &Series, validity: &mut Validity) {
    let (kind, counts) = (series.way.kind, &series.counts);
    if counts.network.count() == 0 || counts.stamped_sent == 0 {
        return;
    }
    let stepped = Duration::from_nanos(series.clock_stepped.unsigned_abs());
    if stepped > READING {
        validity.invalid.push(format!(
            "{kind}: the clock was set by {} meanwhile, and the kernel's stamps are of that \
             clock: network RTT may be wrong, user RTT is not",
            format_latency(stepped)
        ));
    }
    let missing = counts.received.saturating_sub(counts.network.count());
    if missing > 0 {
        validity.degraded.push(format!(
            "{kind}: {missing} of {} replies have no network RTT: a stamp of the kernel's is \
             missing",
            counts.received
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ping::{Counts, Family, Kind, Target, Way};

    fn series(n: u64, late: u64) -> (Plan, Series) {
        let way = Way::to(Kind::Udp, Target::resolve("127.0.0.1", Family::V4).unwrap());
        let mut plan = Plan::new(vec![way.clone()]);
        plan.interval = Duration::from_millis(10);
        let mut counts = Counts { sent: n, received: n, stamped_sent: n, ..Counts::default() };
        for i in 0..n {
            let lateness = if i < late { 11_000 } else { 9_000 };
            counts.lateness.record(Duration::from_micros(lateness));
            counts.network.record(Duration::from_micros(5));
        }
        let mut series = Series::failed(way, super::super::PingError::NotInstalled);
        series.failure = None;
        series.counts = counts;
        series.scheduled = n;
        (plan, series)
    }

    #[test]
    fn a_run_on_time_is_ok() {
        let (plan, series) = series(100, 0);
        let validity = validity(&plan, &[series]);
        assert_eq!((validity.word(), &validity), ("ok", &Validity::default()));
    }

    #[test]
    fn a_few_late_probes_degrade_and_many_invalidate() {
        for (late, word) in [(1, "degraded"), (9, "degraded"), (10, "invalid")] {
            let (plan, series) = series(100, late);
            let validity = validity(&plan, &[series]);
            assert_eq!(validity.word(), word, "{late}");
            let said = validity.degraded.iter().chain(&validity.invalid).next().unwrap();
            assert!(said.contains(&format!("{late} of 100")), "{said}");
        }
    }

    #[test]
    fn what_was_not_sent_a_set_clock_and_lost_stamps_are_told() {
        let (plan, mut one) = series(100, 0);
        one.scheduled = 101;
        assert_eq!(validity(&plan, &[one]).word(), "invalid");
        let (plan, mut one) = series(100, 0);
        one.clock_stepped = -1_000_000_000;
        assert!(validity(&plan, &[one]).invalid[0].contains("clock was set by 1.00 s"));
        let (plan, mut one) = series(100, 0);
        one.clock_stepped = 400_000;
        assert_eq!(validity(&plan, &[one]).word(), "ok", "that is reading them");
        let (plan, mut one) = series(100, 0);
        one.counts.received = 103;
        one.counts.dropped_here = 4;
        let told = validity(&plan, &[one]);
        assert_eq!((told.word(), told.degraded.len()), ("degraded", 2));
    }
}
