//! From rounds to a ratio and its interval. Rounds are paired: within one,
//! the arms ran seconds apart on the same machine, so drift divides out.

/// A ratio: the median over rounds, and a 95 % interval of that median.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio {
    /// Median over rounds.
    pub(crate) mid: f64,
    /// Lower end.
    pub(crate) low: f64,
    /// Upper end.
    pub(crate) high: f64,
}

impl Ratio {
    /// The median of `ratios`, with the order statistics around it that hold
    /// the true median with a probability of at least 95 %, whatever the
    /// distribution. Below six rounds no such pair exists and the extremes
    /// are given (94 % of five rounds, 88 % of four).
    pub(crate) fn of(mut ratios: Vec<f64>) -> Option<Self> {
        ratios.sort_by(f64::total_cmp);
        let n = ratios.len();
        let cut = cut(n);
        let mid = median(&ratios)?;
        Some(Self { mid, low: ratios[cut], high: ratios[n - 1 - cut] })
    }

    /// Whether the two intervals share a value: then the difference is not
    /// resolved here.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

/// The middle of sorted values.
fn median(sorted: &[f64]) -> Option<f64> {
    let n = sorted.len();
    let upper = *sorted.get(n / 2)?;
    Some(if n.is_multiple_of(2) { (sorted[n / 2 - 1] + upper) / 2.0 } else { upper })
}

/// How many of `n` sorted values to leave out at each end: the most for which
/// `2 P(Binomial(n, 1/2) < cut)` is still at most 5 %.
fn cut(n: usize) -> usize {
    let mut term = 0.5f64.powi(n as i32);
    let mut below = 0.0;
    for k in 0..n / 2 {
        below += term;
        if 2.0 * below > 0.05 {
            return k.saturating_sub(1);
        }
        term *= (n - k) as f64 / (k + 1) as f64;
        if 2.0 * (below + term) > 0.05 {
            return k;
        }
    }
    0
}

/// Fails if the intervals are not what a table of the sign test says.
pub(crate) fn verify() -> Result<(), String> {
    // Of n rounds, the ranks that bound a 95 % interval of the median.
    for (n, rank) in [(6, 1), (8, 1), (9, 2), (11, 2), (12, 3), (15, 4), (20, 6), (25, 8)] {
        let found = cut(n) + 1;
        if found != rank {
            return Err(format!("interval of {n} rounds starts at rank {found}, not {rank}"));
        }
    }
    let ratio = Ratio::of(vec![3.0, 1.0, 2.0, 9.0, 2.5, 1.5, 1.0, 2.0, 2.2]);
    let wanted = Ratio { mid: 2.0, low: 1.0, high: 3.0 };
    if ratio != Some(wanted) {
        return Err(format!("{ratio:?} is not {wanted:?}"));
    }
    Ok(())
}
