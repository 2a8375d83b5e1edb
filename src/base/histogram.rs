//! Spans of time by their order of magnitude: small enough that every
//! subscriber can have one, and filled by an addition.
//!
//! A subscriber's counts in 32 bits; what is counted for all of them, or for every
//! turn, would fill those within hours, and counts in 64 ([`Totals`]).

use std::time::Duration;

/// Buckets.
const BUCKETS: usize = 64;
/// Buckets from one power of two to the next.
const STEPS: u32 = 3;
/// The first bucket ends below 2 to this many nanoseconds, 512 ns.
const FIRST: u32 = 9;
/// Where a power of two is cut in [`STEPS`] equal ratios: its cube roots, in
/// parts of 2^16.
const CUTS: [u64; 2] = [82_570, 104_032];

/// What a bucket counts in; it stays at its largest rather than start over.
pub trait Bucket: Copy + Default + Into<u64> {
    /// So many more.
    #[must_use]
    fn plus(self, more: u64) -> Self;
}

impl Bucket for u32 {
    fn plus(self, more: u64) -> Self {
        self.saturating_add(Self::try_from(more).unwrap_or(Self::MAX))
    }
}

impl Bucket for u64 {
    fn plus(self, more: u64) -> Self {
        self.saturating_add(more)
    }
}

/// Counts of spans, each at most 26 % wide: three to a power of two, from 512 ns
/// to a second; what is shorter or longer is in the first or last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<C = u32> {
    counts: [C; BUCKETS],
    /// Nanoseconds of all spans together.
    sum: u64,
}

/// One that counts for as long as the server runs.
pub type Totals = Histogram<u64>;

impl<C: Bucket> Default for Histogram<C> {
    fn default() -> Self {
        Self { counts: [C::default(); BUCKETS], sum: 0 }
    }
}

impl<C: Bucket> Histogram<C> {
    /// Counts one span.
    pub fn record(&mut self, span: Duration) {
        self.record_all(span, 1);
    }

    /// Counts as many spans of one length.
    pub fn record_all(&mut self, span: Duration, count: u32) {
        self.put(Place::of(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)), count);
    }

    /// The same for a span whose place is known.
    pub fn put(&mut self, Place { bucket, nanos }: Place, count: u32) {
        let cell = &mut self.counts[bucket];
        *cell = cell.plus(u64::from(count));
        self.sum = self.sum.saturating_add(nanos.saturating_mul(u64::from(count)));
    }

    /// Counts what another has counted, too.
    pub fn add<D: Bucket>(&mut self, other: &Histogram<D>) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine = mine.plus(theirs.into());
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// All spans together.
    pub const fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum)
    }

    /// How many have been counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| (*count).into()).sum()
    }

    /// The span that a part `q` of all is not longer than: the end of its
    /// bucket. `None` without the samples for it: ten beyond it, at least.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 || (count as f64) * (1.0 - q) < 10.0 && q > 0.5 {
            return None;
        }
        let wanted = ((count as f64 * q).ceil() as u64).max(1);
        let mut seen = 0;
        let at = self.counts.iter().position(|here| {
            seen += (*here).into();
            seen >= wanted
        })?;
        Some(end(at))
    }

    /// For each power of two, how many spans are shorter. The last bucket has no
    /// end: its spans are in none.
    pub fn octaves(&self) -> impl Iterator<Item = (Duration, u64)> {
        let below = |at: usize| self.counts[..=at].iter().map(|count| (*count).into()).sum();
        (0..BUCKETS - 1).step_by(STEPS as usize).map(move |at| (end(at), below(at)))
    }
}

impl Totals {
    /// What has been counted since an older copy was made.
    #[must_use]
    pub fn since(&self, older: &Self) -> Self {
        let counts = std::array::from_fn(|n| self.counts[n].saturating_sub(older.counts[n]));
        Self { counts, sum: self.sum.saturating_sub(older.sum) }
    }
}

/// Where in histograms a span is counted, found once for several.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    bucket: usize,
    nanos: u64,
}

impl Place {
    /// That of a span of so many nanoseconds.
    pub fn of(nanos: u64) -> Self {
        Self { bucket: bucket(nanos), nanos }
    }
}

/// The bucket of a span.
fn bucket(nanos: u64) -> usize {
    let power = nanos.max(1).ilog2();
    if power < FIRST {
        return 0;
    }
    let part = if power >= 16 { nanos >> (power - 16) } else { nanos << (16 - power) };
    let step = CUTS.iter().filter(|cut| part >= **cut).count();
    ((power - FIRST) as usize * STEPS as usize + step + 1).min(BUCKETS - 1)
}

/// What bucket `at` is shorter than.
fn end(at: usize) -> Duration {
    let (octave, step) = (at as u32 / STEPS, at as u32 % STEPS);
    let power = 1u64 << (FIRST + octave);
    let part = if step == 0 { 1 << 16 } else { CUTS[step as usize - 1] };
    Duration::from_nanos((power * part) >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_one_another_without_a_gap() {
        assert_eq!((bucket(0), bucket(511), bucket(512)), (0, 0, 1));
        for at in 0..BUCKETS - 1 {
            let end = end(at).as_nanos() as u64;
            let wide = end / 1000 + 2;
            assert_eq!(bucket(end - wide), at, "just before {end}");
            assert_eq!(bucket(end + wide), at + 1, "just after {end}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn what_is_new_is_what_was_counted_since() {
        let mut totals = Totals::default();
        totals.record(Duration::from_micros(5));
        let older = totals.clone();
        let mut wanted = Totals::default();
        for hist in [&mut totals, &mut wanted] {
            hist.record(Duration::from_millis(7));
        }
        assert_eq!(totals.since(&older), wanted);
        assert_eq!(older.since(&totals), Totals::default(), "never below nothing");
    }

    #[test]
    fn a_quantile_is_as_exact_as_its_bucket_and_needs_its_samples() {
        let mut hist = Histogram::<u32>::default();
        assert_eq!(hist.quantile(0.5), None);
        (1..=1000).for_each(|micros| hist.record(Duration::from_micros(micros)));
        for (q, exact) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0)] {
            let found = hist.quantile(q).unwrap().as_nanos() as f64 / 1000.0;
            assert!((exact..exact * 1.27).contains(&found), "{q}: {found}");
        }
        assert_eq!(hist.quantile(0.999), None, "one sample beyond it");
        assert_eq!(hist.sum(), Duration::from_micros(500_500));
        let mut twice = hist.clone();
        twice.add(&hist);
        assert_eq!((twice.count(), twice.quantile(0.5)), (2000, hist.quantile(0.5)));
    }

    #[test]
    fn totals_go_on_where_a_subscribers_own_count_stays() {
        let (mut one, mut all) = (Histogram::<u32>::default(), Totals::default());
        for _ in 0..2 {
            one.record_all(Duration::from_micros(3), u32::MAX);
            all.record_all(Duration::from_micros(3), u32::MAX);
        }
        assert_eq!((one.count(), all.count()), (u64::from(u32::MAX), 2 * u64::from(u32::MAX)));
        all.add(&one);
        assert_eq!(all.count(), 3 * u64::from(u32::MAX));
    }

    #[test]
    fn octaves_count_all_that_is_shorter() {
        let mut hist = Histogram::<u32>::default();
        for nanos in [100, 600, 1000, 5_000_000_000] {
            hist.record(Duration::from_nanos(nanos));
        }
        let octaves: Vec<(u64, u64)> =
            hist.octaves().map(|(end, count)| (end.as_nanos() as u64, count)).collect();
        assert_eq!(octaves[..3], [(512, 1), (1024, 3), (2048, 3)]);
        assert_eq!(octaves.last(), Some(&(1 << 29, 3)));
    }
}
