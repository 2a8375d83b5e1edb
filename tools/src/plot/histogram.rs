//! The share of samples in each bin of latency. An outline has no line where a
//! bin is empty, so that a single far sample is seen.

use super::axis::{Axis, Scale};
use super::chart::{Bar, Chart, Curve, Spot, about};
use super::data::{Labels, Values};
use super::percentiles::median;
use super::text::{NAME, clean, count, latency};

/// Bins of a histogram, at most: more are hard to tell from noise.
const BINS: usize = 80;
/// Columns of the picture that a bin is wide, at least.
const COLUMNS: usize = 4;

pub(super) fn chart(values: &[Values], labels: &Labels, columns: usize) -> Chart {
    let low = values.iter().filter_map(|v| v.sorted().first()).min();
    let high = values.iter().filter_map(|v| v.sorted().last()).max();
    let x = match low.zip(high) {
        Some((low, high)) => Axis::latency(&labels.quantity, *low, *high, None),
        None => Axis::empty(&labels.quantity),
    };
    let most = values.iter().map(|v| v.sorted().len()).max().unwrap_or(0);
    let edges = edges(&x, bins(most).min(columns / COLUMNS));
    let curves: Vec<Curve> = values.iter().map(|v| curve(v, &x, &edges)).collect();
    let bars = curves.iter().flat_map(|c| c.areas.iter().flatten());
    let highest = bars.map(|bar| bar.high).fold(0.0, f64::max);
    let to = if highest > 0.0 { (highest * 1.05).min(1.0) } else { 1.0 };
    let y = Axis::share("samples per bin", to);
    let nothing = (most == 0).then(|| "no samples".to_owned());
    let mut notes = Vec::new();
    if most > 0 {
        let kind = if x.scale == Scale::Log { "equal ratio" } else { "equal width" };
        let bins = count(edges.len().saturating_sub(1) as u64);
        notes.push(format!("Bins: {bins}, of {kind}; an empty one has no outline."));
    }
    let (title, caption) = (labels.title.clone(), labels.caption.clone());
    Chart { title, caption, notes, summary: String::new(), x, y, curves, nothing }
}

/// How many bins n samples are spread over: twice the cube root of n (Rice's
/// rule).
fn bins(n: usize) -> usize {
    ((2.0 * (n as f64).cbrt()) as usize).clamp(8, BINS)
}

/// Where bins begin and end, equal on the axis. A nanosecond isn't cut: edges
/// lie between whole ones.
fn edges(x: &Axis, bins: usize) -> Vec<f64> {
    let bins = bins.max(1);
    let mut edges: Vec<f64> =
        (0..=bins).map(|i| x.value(i as f64 / bins as f64).round() - 0.5).collect();
    edges.dedup();
    edges
}

fn curve(values: &Values, x: &Axis, edges: &[f64]) -> Curve {
    let sorted = values.sorted();
    let n = sorted.len().max(1) as f64;
    let mut curve = Curve { name: clean(values.name(), NAME), ..Curve::default() };
    let bars: Vec<Bar> = edges
        .windows(2)
        .enumerate()
        .map(|(i, edge)| {
            // The first and the last also hold what lies beyond them.
            let before = if i == 0 { 0 } else { below(sorted, edge[0]) };
            let last = i + 2 == edges.len();
            let until = if last { sorted.len() } else { below(sorted, edge[1]) };
            let high = (until - before) as f64 / n;
            Bar { left: edge[0].max(x.from), right: edge[1].min(x.to), low: 0.0, high }
        })
        .collect();
    for run in bars.split(|bar| bar.high == 0.0).filter(|run| !run.is_empty()) {
        curve.lines.push(outline(run));
        curve.areas.push(run.to_vec());
    }
    let median = median(sorted).map(|median| format!("median {}", latency(median)));
    curve.about = about(sorted.len(), &[median]);
    curve
}

/// Samples below an edge.
fn below(sorted: &[u64], edge: f64) -> usize {
    sorted.partition_point(|ns| (*ns as f64) < edge)
}

/// The line around bars that touch, without their foot.
fn outline(bars: &[Bar]) -> Vec<Spot> {
    let (Some(first), Some(last)) = (bars.first(), bars.last()) else {
        return Vec::new();
    };
    let tops = bars
        .iter()
        .flat_map(|bar| [Spot { x: bar.left, y: bar.high }, Spot { x: bar.right, y: bar.high }]);
    let start = Spot { x: first.left, y: 0.0 };
    let end = Spot { x: last.right, y: 0.0 };
    [start].into_iter().chain(tops).chain([end]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(ns: Vec<u64>, columns: usize) -> Vec<f64> {
        let labels = Labels { quantity: "rtt".to_owned(), ..Labels::default() };
        let chart = chart(&[Values::new("a", ns)], &labels, columns);
        chart.curves[0].areas.iter().flatten().map(|bar| bar.high).collect()
    }

    #[test]
    fn every_sample_is_in_one_bin() {
        for ns in [vec![7; 50], (0..1_000).collect(), vec![0, 1, u64::MAX], vec![5]] {
            for columns in [1, 40, 800] {
                let sum: f64 = shares(ns.clone(), columns).iter().sum();
                assert!((sum - 1.0).abs() < 1e-9, "{sum} in {columns}");
            }
        }
        assert!(shares(Vec::new(), 100).is_empty());
    }

    #[test]
    fn a_far_sample_has_an_area_of_its_own() {
        let mut ns: Vec<u64> = (0..500).map(|i| 20_000 + i).collect();
        ns.push(900_000);
        let labels = Labels::default();
        let chart = chart(&[Values::new("a", ns)], &labels, 800);
        assert_eq!(chart.curves[0].areas.len(), 2);
        assert_eq!(chart.curves[0].lines.len(), 2);
        assert_eq!(chart.x.scale, Scale::Log);
    }
}
