//! The share of samples at or below each latency: two curves that don't cross
//! are two settings of which one is better at every percentile.

use super::axis::{Axis, Scale};
use super::chart::{Chart, Curve, Spot, about, thin};
use super::data::{Labels, Values};
use super::percentiles::median;
use super::text::{NAME, clean, latency};

pub(super) fn chart(values: &[Values], labels: &Labels, columns: usize) -> Chart {
    let low = values.iter().filter_map(|v| v.sorted().first()).min();
    let high = values.iter().filter_map(|v| v.sorted().last()).max();
    let x = match low.zip(high) {
        Some((low, high)) => Axis::latency(&labels.quantity, *low, *high, Some(Scale::Log)),
        None => Axis::empty(&labels.quantity),
    };
    let y = Axis::share("samples at or below", 1.0);
    let curves: Vec<Curve> = values.iter().map(|v| curve(v, &x, columns)).collect();
    let nothing = curves.iter().all(|c| c.lines.is_empty()).then(|| "no samples".to_owned());
    let mut notes = Vec::new();
    if low == Some(&0) {
        notes.push("What took 0 ns stands at the left edge.".to_owned());
    }
    let (title, caption) = (labels.title.clone(), labels.caption.clone());
    Chart { title, caption, notes, summary: String::new(), x, y, curves, nothing }
}

fn curve(values: &Values, x: &Axis, columns: usize) -> Curve {
    let sorted = values.sorted();
    let mut lines = Vec::new();
    if !sorted.is_empty() {
        let n = sorted.len() as f64;
        let spots: Vec<Spot> = (0..=columns)
            .map(|i| {
                let latency = x.value(i as f64 / columns as f64);
                // Rounding must not leave the last sample beyond the last column.
                let below = if i == columns {
                    sorted.len()
                } else {
                    sorted.partition_point(|ns| *ns as f64 <= latency)
                };
                Spot { x: latency, y: below as f64 / n }
            })
            .collect();
        // Before its smallest sample and after its largest a curve says nothing,
        // and would lie on others that do the same.
        let first = spots.partition_point(|spot| spot.y == 0.0).saturating_sub(1);
        let last = spots.partition_point(|spot| spot.y < 1.0);
        let mut line = thin(&spots[first..=last.min(columns)]);
        if line[0].y > 0.0 {
            line.insert(0, Spot { y: 0.0, ..line[0] });
        }
        lines.push(line);
    }
    let median = median(sorted).map(|median| format!("median {}", latency(median)));
    let name = clean(values.name(), NAME);
    Curve { name, about: about(sorted.len(), &[median]), lines, ..Curve::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_no_time_is_a_rise_at_the_left_edge() {
        let chart = chart(&[Values::new("a", vec![0; 9])], &Labels::default(), 100);
        let [foot, head] = chart.curves[0].lines[0][..] else { panic!("a rise") };
        assert_eq!((chart.x.place(foot.x), foot.y, head.x, head.y), (0.0, 0.0, foot.x, 1.0));
        assert_eq!(chart.notes.len(), 1);
    }

    #[test]
    fn a_curve_climbs_from_nothing_to_all() {
        let values = [Values::new("a", vec![10_000, 20_000, 20_000, 40_000])];
        let labels = Labels { quantity: "rtt".to_owned(), ..Labels::default() };
        let chart = chart(&values, &labels, 1_000);
        let line = &chart.curves[0].lines[0];
        assert!(line.windows(2).all(|w| w[0].x < w[1].x && w[0].y <= w[1].y));
        let at = |ns: f64| line.iter().take_while(|s| s.x <= ns).last().map(|s| s.y);
        assert_eq!(at(19_900.0), Some(0.25));
        assert_eq!(at(20_200.0), Some(0.75));
        assert_eq!(line.last().map(|s| s.y), Some(1.0));
        assert_eq!(line[0].y, 0.0);
        assert!(line[0].x > 9_900.0 && line[line.len() - 1].x < 40_200.0);
        assert!(line.len() < 12, "{} points", line.len());
    }
}
