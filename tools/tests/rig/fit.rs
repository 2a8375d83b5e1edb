//! The straight line through measured against true, and quantiles.

use nearlight::client::hist::interval_ranks;

/// A line by least squares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fit {
    /// How much the measured grows for each nanosecond of the true.
    pub(crate) slope: f64,
    /// What is measured of a hold of nothing, nanoseconds: the path itself.
    pub(crate) offset: f64,
}

impl Fit {
    /// How far a point is from the line, up or down.
    pub(crate) fn distance(&self, (x, y): (f64, f64)) -> f64 {
        (y - self.offset - self.slope * x).abs()
    }
}

/// Fits a line to (true, measured); `None` without two different holds.
pub(crate) fn line(points: &[(f64, f64)]) -> Option<Fit> {
    let n = points.len() as f64;
    let mean_x = points.iter().map(|p| p.0).sum::<f64>() / n;
    let mean_y = points.iter().map(|p| p.1).sum::<f64>() / n;
    let mut squares = 0.0;
    let mut products = 0.0;
    for (x, y) in points {
        squares += (x - mean_x) * (x - mean_x);
        products += (x - mean_x) * (y - mean_y);
    }
    if squares <= 0.0 || !squares.is_finite() {
        return None;
    }
    let slope = products / squares;
    Some(Fit { slope, offset: mean_y - slope * mean_x })
}

/// The value of rank `ceil(q n)`; `None` of nothing.
pub(crate) fn quantile(mut values: Vec<f64>, q: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (q * values.len() as f64 - 1e-6).ceil().max(1.0) as usize;
    values.get(rank - 1).copied()
}

/// The least, the median and the most.
pub(crate) fn spread(values: &[f64]) -> Option<(f64, f64, f64)> {
    let at = |q| quantile(values.to_vec(), q);
    Some((at(0.0)?, at(0.5)?, at(1.0)?))
}

/// An interval that holds the true median with a probability of 95 % or more,
/// and the median in its middle: order statistics, whatever the distribution.
/// `None` below six values.
pub(crate) fn median_interval(mut values: Vec<f64>) -> Option<(f64, f64, f64)> {
    values.sort_by(f64::total_cmp);
    let (low, high) = interval_ranks(values.len() as u64, 0.5)?;
    let at = |rank: u64| values.get(usize::try_from(rank).ok()?.checked_sub(1)?).copied();
    Some((at(low)?, quantile(values.clone(), 0.5)?, at(high)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_through_noise() {
        let points: Vec<(f64, f64)> = (0..1_000)
            .map(|i| (f64::from(i), 40.0 + 0.998 * f64::from(i) + f64::from(i % 3 - 1)))
            .collect();
        let fit = line(&points).unwrap();
        assert!((fit.slope - 0.998).abs() < 1e-5, "{fit:?}");
        assert!((fit.offset - 40.0).abs() < 0.01, "{fit:?}");
        assert!((fit.distance((500.0, 40.0 + 499.0 + 7.0)) - 7.0).abs() < 0.01, "{fit:?}");
        assert_eq!(line(&[(1.0, 2.0), (1.0, 3.0)]), None);
        assert_eq!(line(&[]), None);
    }

    #[test]
    fn quantiles_are_ranks() {
        let values: Vec<f64> = (1..=1_000).rev().map(f64::from).collect();
        assert_eq!(quantile(values.clone(), 0.99), Some(990.0));
        assert_eq!(spread(&values), Some((1.0, 500.0, 1000.0)));
        assert_eq!(quantile(Vec::new(), 0.5), None);
        let interval = median_interval((1..=21).map(f64::from).collect());
        assert_eq!(interval, Some((5.0, 11.0, 17.0)));
        assert_eq!(median_interval(vec![1.0; 5]), None);
    }
}
