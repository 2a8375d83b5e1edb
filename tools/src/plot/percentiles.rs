//! Latency over percentile, on HdrHistogram's axis: the rarer what lies beyond
//! a percentile, the further right. A curve goes as far as its number of
//! samples has something to say; the largest sample is a mark of its own at
//! 1 - 1/n, for it is no percentile.

use super::axis::Axis;
use super::chart::{Chart, Curve, Spot, about, thin};
use super::data::{Labels, Values};
use super::text::{NAME, clean, latency};
use nearlight::client::hist::samples_needed;

/// Percentiles that have a name.
const NAMED: [(f64, &str); 7] = [
    (0.999_999, "p99.9999"),
    (0.999_99, "p99.999"),
    (0.999_9, "p99.99"),
    (0.999, "p99.9"),
    (0.99, "p99"),
    (0.9, "p90"),
    (0.5, "p50"),
];

pub(super) fn chart(values: &[Values], labels: &Labels, columns: usize) -> Chart {
    let most = values.iter().map(|v| v.sorted().len()).max().unwrap_or(0);
    let x = Axis::percentile(most as f64 * 1.15);
    let curves: Vec<Curve> = values.iter().map(|v| curve(v, &x, columns)).collect();
    let spots = || curves.iter().flat_map(|c| c.lines.iter().flatten().chain(&c.rings));
    let low = spots().map(|s| s.y).fold(f64::INFINITY, f64::min);
    let high = spots().map(|s| s.y).fold(0.0, f64::max);
    let low = if low.is_finite() { low } else { 0.0 };
    let y = match most {
        0 => Axis::empty(&labels.quantity),
        _ => Axis::latency(&labels.quantity, low as u64, high as u64, None),
    };
    let notes = if most == 0 {
        Vec::new()
    } else {
        vec![
            "A line ends where n says nothing about higher percentiles (95% confidence).".into(),
            "A ring is the largest sample.".into(),
        ]
    };
    let nothing = (most == 0).then(|| "no samples".to_owned());
    let (title, caption) = (labels.title.clone(), labels.caption.clone());
    Chart { title, caption, notes, summary: String::new(), x, y, curves, nothing }
}

fn curve(values: &Values, x: &Axis, columns: usize) -> Curve {
    let sorted = values.sorted();
    let mut curve = Curve { name: clean(values.name(), NAME), ..Curve::default() };
    if let Some(top) = highest(sorted.len()) {
        // As much can be said about what is rarely undercut.
        let (first, last) = (x.place(1.0 / top), x.place(1.0 / (1.0 - top)));
        let spots: Vec<Spot> = (0..=columns)
            .filter_map(|i| {
                let place = first + (last - first) * i as f64 / columns as f64;
                let rarity = x.value(place);
                let q = (1.0 - 1.0 / rarity).clamp(1.0 - top, top);
                Some(Spot { x: rarity, y: quantile(sorted, q)? as f64 })
            })
            .collect();
        curve.lines.push(thin(&spots));
    }
    if let Some(max) = sorted.last() {
        curve.rings.push(Spot { x: sorted.len() as f64, y: *max as f64 });
    }
    let highest_named = NAMED
        .iter()
        .find_map(|(q, name)| Some(format!("{name} {}", latency(supported_quantile(sorted, *q)?))));
    let max = sorted.last().map(|max| format!("max {}", latency(*max)));
    curve.about = about(sorted.len(), &[highest_named, max]);
    curve
}

/// The median, if there are enough samples to speak of it.
pub(super) fn median(sorted: &[u64]) -> Option<u64> {
    supported_quantile(sorted, 0.5)
}

/// The q-quantile, if n says something about it.
fn supported_quantile(sorted: &[u64], q: f64) -> Option<u64> {
    (samples_needed(q)? <= sorted.len() as u64).then(|| quantile(sorted, q))?
}

/// The q-quantile of what was sampled, by nearest rank.
fn quantile(sorted: &[u64], q: f64) -> Option<u64> {
    // Less a hair, as `Hist::quantile`: the rank of 0.99 of 300 is 297.
    let rank = (q * sorted.len() as f64 - 1e-6).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

/// The highest quantile that n samples say something about: the inverse of
/// [`samples_needed`]. `None` if there is none above the median.
pub(super) fn highest(n: usize) -> Option<f64> {
    let supports = |q: f64| samples_needed(q).is_some_and(|needed| needed <= n as u64);
    let q = (0.05f64.ln() / n as f64).exp();
    let found = [0.0, 1e-12, 1e-9].iter().map(|hair| q - (1.0 - q) * hair).find(|q| supports(*q));
    found.filter(|q| *q >= 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_percentile_is_the_last_that_n_supports() {
        assert_eq!(highest(0), None);
        assert_eq!(highest(4), None);
        for n in [5, 6, 29, 299, 2_994, 2_995, 29_956, 1_000_000, 50_000_000] {
            let q = highest(n).expect("more than the median");
            assert!(samples_needed(q).is_some_and(|needed| needed <= n as u64), "{n}: {q}");
            let beyond = 1.0 - (1.0 - q) * 0.99;
            assert!(samples_needed(beyond).is_some_and(|needed| needed > n as u64), "{n}: {q}");
        }
    }

    #[test]
    fn a_curve_ends_there_and_the_largest_stands_alone() {
        let values = Values::new("a", (1..=1_000).collect());
        let x = Axis::percentile(1_000.0);
        let curve = curve(&values, &x, 400);
        let end = curve.lines[0].last().copied().expect("a line");
        // 299 samples are needed for p99, 1,000 carry to 0.05^(1/1000).
        assert!((end.x - 1.0 / (1.0 - 0.05f64.powf(1e-3))).abs() < 1e-3, "{end:?}");
        assert_eq!(end.y, 998.0);
        assert_eq!(curve.rings, [Spot { x: 1_000.0, y: 1_000.0 }]);
        assert_eq!(curve.about, "n 1,000 · p99 0.990 µs · max 1.00 µs");
    }

    #[test]
    fn four_samples_have_a_largest_and_no_percentile() {
        let x = Axis::percentile(10.0);
        let curve = curve(&Values::new("a", vec![4, 3, 2, 1]), &x, 400);
        assert!(curve.lines.is_empty());
        assert_eq!(curve.rings.len(), 1);
        assert_eq!(curve.about, "n 4 · max 0.004 µs");
        assert_eq!(median(&[1, 2, 3, 4]), None);
        assert_eq!(median(&[1, 2, 3, 4, 5]), Some(3));
    }
}
