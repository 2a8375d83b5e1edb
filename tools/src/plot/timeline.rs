//! Latency over time. A lost probe is a gap in its line and a tick on the time
//! axis. What is too dense to draw is not thinned but summed up: for each
//! column of the picture the band from the smallest to the largest, and a line
//! through the medians.

use super::axis::Axis;
use super::chart::{Bar, Chart, Curve, Spot, about};
use super::data::{Labels, Sample, Series};
use super::percentiles::median;
use super::text::{NAME, clean, count, latency};

/// Samples of a series that are drawn one by one.
pub(super) const ONE_BY_ONE: usize = 2_000;
/// Samples to a column of the picture that are drawn one by one, where columns
/// are few.
const TO_A_COLUMN: usize = 3;
/// Times beyond this are taken to be it, so that differences of times are
/// numbers: thirty thousand years.
const FAR: f64 = 1e12;

pub(super) fn chart(series: &[Series], labels: &Labels, columns: usize) -> Chart {
    let ordered: Vec<Vec<Sample>> = series.iter().map(in_order).collect();
    let all = || ordered.iter().flatten();
    let from = all().map(|s| s.at).fold(f64::INFINITY, f64::min);
    let to = all().map(|s| s.at).fold(f64::NEG_INFINITY, f64::max);
    let (from, to) = if from <= to { (from, to) } else { (0.0, 1.0) };
    // A run that starts a little after its start is shown from its start.
    let from = if from > 0.0 && from < to * 0.2 { 0.0 } else { from };
    let x = Axis::time("time since the start", from, to);
    let answers = || all().filter_map(|s| s.ns);
    let y = match (answers().min(), answers().max()) {
        (Some(low), Some(high)) => Axis::latency(&labels.quantity, low, high, None),
        _ => Axis::empty(&labels.quantity),
    };
    let mut notes = Vec::new();
    let mut curves = Vec::new();
    let dense = |samples: &[Sample]| samples.len() > ONE_BY_ONE.min(TO_A_COLUMN * columns);
    for (series, samples) in series.iter().zip(&ordered) {
        let mut curve = if dense(samples) {
            summed_up(samples, &x, columns)
        } else {
            one_by_one(samples, &x, columns)
        };
        let lost = samples.iter().filter(|s| s.ns.is_none()).count();
        let losses = (lost > 0).then(|| format!("{} lost", count(lost as u64)));
        curve.name = clean(&series.name, NAME);
        let mut answers: Vec<u64> = samples.iter().filter_map(|s| s.ns).collect();
        answers.sort_unstable();
        let median = median(&answers).map(|median| format!("median {}", latency(median)));
        curve.about = about(samples.len(), &[losses, median]);
        curves.push(curve);
    }
    if ordered.iter().any(|samples| dense(samples)) {
        let each = latency(((x.to - x.from) / columns as f64 * 1e9) as u64);
        notes.push(format!(
            "The band is from the smallest to the largest in each {each}, the line the median."
        ));
    }
    if all().any(|s| s.ns.is_none()) {
        let gap = if notes.is_empty() {
            "its line has a gap."
        } else {
            "where all of them were lost, the line has a gap."
        };
        notes.push(format!("A red tick under the plot is a lost probe; {gap}"));
    }
    let nothing = match (all().next(), answers().next()) {
        (None, _) => Some("no samples".to_owned()),
        (Some(_), None) => Some("every probe was lost".to_owned()),
        (Some(_), Some(_)) => None,
    };
    let (title, caption) = (labels.title.clone(), labels.caption.clone());
    Chart { title, caption, notes, summary: String::new(), x, y, curves, nothing }
}

/// The samples by time; those at no time are left out.
fn in_order(series: &Series) -> Vec<Sample> {
    let at_a_time = series.samples.iter().filter(|s| s.at.is_finite());
    let mut samples: Vec<Sample> =
        at_a_time.map(|s| Sample { at: s.at.clamp(-FAR, FAR), ..*s }).collect();
    if !samples.is_sorted_by(|a, b| a.at <= b.at) {
        samples.sort_by(|a, b| a.at.total_cmp(&b.at));
    }
    samples
}

/// The column in which a time lies.
fn column(x: &Axis, at: f64, columns: usize) -> usize {
    ((x.place(at) * columns as f64) as usize).min(columns - 1)
}

/// Every sample a point of a line, every run of losses a gap.
fn one_by_one(samples: &[Sample], x: &Axis, columns: usize) -> Curve {
    let mut curve = Curve::default();
    for run in samples.split(|s| s.ns.is_none()) {
        let line = run.iter().filter_map(|s| Some(Spot { x: s.at, y: s.ns? as f64 }));
        push_line(&mut curve, line.collect());
    }
    let mut last = None;
    for lost in samples.iter().filter(|s| s.ns.is_none()) {
        let here = Some(column(x, lost.at, columns));
        if here != last {
            curve.lost.push(lost.at);
            last = here;
        }
    }
    curve
}

/// The range and the median of each column; a column without an answer is a
/// gap, one without a probe is passed over.
fn summed_up(samples: &[Sample], x: &Axis, columns: usize) -> Curve {
    let mut curve = Curve::default();
    let (mut line, mut area): (Vec<Spot>, Vec<Bar>) = (Vec::new(), Vec::new());
    let edge = |column: usize| x.value(column as f64 / columns as f64);
    for chunk in samples.chunk_by(|a, b| column(x, a.at, columns) == column(x, b.at, columns)) {
        let here = column(x, chunk[0].at, columns);
        let (left, right) = (edge(here), edge(here + 1));
        let mut answers: Vec<u64> = chunk.iter().filter_map(|s| s.ns).collect();
        if answers.len() < chunk.len() {
            curve.lost.push((left + right) / 2.0);
        }
        let (Some(low), Some(high)) = (answers.iter().min(), answers.iter().max()) else {
            push_line(&mut curve, std::mem::take(&mut line));
            push_area(&mut curve, std::mem::take(&mut area));
            continue;
        };
        let bar = Bar { left, right, low: *low as f64, high: *high as f64 };
        if area.last().is_some_and(|last| last.right != left) {
            push_area(&mut curve, std::mem::take(&mut area));
        }
        area.push(bar);
        let middle = (answers.len() - 1) / 2;
        let (_, median, _) = answers.select_nth_unstable(middle);
        line.push(Spot { x: (left + right) / 2.0, y: *median as f64 });
    }
    push_line(&mut curve, line);
    push_area(&mut curve, area);
    curve
}

fn push_line(curve: &mut Curve, line: Vec<Spot>) {
    match line.len() {
        0 => {}
        1 => curve.dots.extend(line),
        _ => curve.lines.push(line),
    }
}

fn push_area(curve: &mut Curve, area: Vec<Bar>) {
    if !area.is_empty() {
        curve.areas.push(area);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(samples: Vec<Sample>, columns: usize) -> Chart {
        let series = Series { name: "a".to_owned(), samples };
        chart(&[series], &Labels::default(), columns)
    }

    fn sample(at: f64, ns: impl Into<Option<u64>>) -> Sample {
        Sample { at, ns: ns.into() }
    }

    #[test]
    fn a_loss_is_a_gap_and_a_tick_and_a_lone_answer_a_dot() {
        let samples = [(0, Some(5)), (1, Some(6)), (2, None), (3, Some(7)), (4, None), (5, None)];
        let samples = samples.map(|(at, ns)| sample(f64::from(at), ns));
        let chart = of(samples.to_vec(), 800);
        let curve = &chart.curves[0];
        assert_eq!(curve.lines, [[Spot { x: 0.0, y: 5.0 }, Spot { x: 1.0, y: 6.0 }]]);
        assert_eq!(curve.dots, [Spot { x: 3.0, y: 7.0 }]);
        assert_eq!(curve.lost, [2.0, 4.0, 5.0]);
        assert_eq!(curve.about, "n 6 · 3 lost");
        assert!(curve.areas.is_empty());
    }

    #[test]
    fn order_does_not_matter_and_what_has_no_time_is_left_out() {
        let mut samples = vec![sample(2.0, 7), sample(f64::NAN, 1), sample(0.0, 5)];
        samples.extend([sample(1.0, None), sample(f64::INFINITY, None)]);
        let chart = of(samples, 800);
        assert_eq!(chart.curves[0].dots, [Spot { x: 0.0, y: 5.0 }, Spot { x: 2.0, y: 7.0 }]);
        assert_eq!(chart.curves[0].lost, [1.0]);
        assert_eq!((chart.x.from, chart.x.to), (0.0, 2.0));
    }

    #[test]
    fn the_band_and_the_median_are_those_of_the_samples() {
        let (n, columns) = (6_000, 20);
        let ns = |i: usize| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let samples: Vec<Sample> = (0..n).map(|i| sample(i as f64, ns(i))).collect();
        let chart = of(samples, columns);
        let curve = &chart.curves[0];
        assert_eq!((curve.areas.len(), curve.areas[0].len()), (1, columns));
        assert_eq!((curve.lines.len(), curve.lines[0].len()), (1, columns));
        for (bar, spot) in curve.areas[0].iter().zip(&curve.lines[0]) {
            let inside = |i: &usize| (bar.left..bar.right).contains(&(*i as f64));
            let mut there: Vec<u64> = (0..n).filter(inside).map(ns).collect();
            if bar.right == chart.x.to {
                there.push(ns(n - 1));
            }
            there.sort_unstable();
            assert_eq!(bar.low, there[0] as f64);
            assert_eq!(bar.high, there[there.len() - 1] as f64);
            assert_eq!(spot.y, there[(there.len() - 1) / 2] as f64);
        }
        assert!(chart.notes[0].starts_with("The band is"), "{:?}", chart.notes);
    }

    #[test]
    fn a_column_without_an_answer_is_a_gap_one_without_a_probe_is_not() {
        let answered = |from: usize, to: usize| (from..to).map(|i| sample(i as f64, 10));
        let lost = (3_000..3_400).map(|i| sample(f64::from(i), None));
        let samples = answered(0, 3_000).chain(lost).chain(answered(3_400, 5_000));
        let chart = of(samples.chain(answered(8_000, 10_001)).collect(), 100);
        let curve = &chart.curves[0];
        // Lost from column 30 to 33, silent from 50 to 79.
        assert_eq!(curve.lines.iter().map(Vec::len).collect::<Vec<_>>(), [30, 36]);
        assert_eq!(curve.areas.iter().map(Vec::len).collect::<Vec<_>>(), [30, 16, 20]);
        assert_eq!(curve.lost.len(), 4);
        assert_eq!(curve.about, "n 7,001 · 400 lost · median 0.010 µs");
    }

    #[test]
    fn few_are_drawn_one_by_one() {
        let few: Vec<Sample> = (0..ONE_BY_ONE).map(|i| sample(i as f64, i as u64)).collect();
        assert_eq!(of(few.clone(), 840).curves[0].lines[0].len(), ONE_BY_ONE);
        let more = [few, vec![sample(2e3, 1)]].concat();
        assert_eq!(of(more, 840).curves[0].areas.len(), 1);
    }

    #[test]
    fn losses_in_one_column_are_one_tick() {
        let samples: Vec<Sample> = (0..1_200).map(|i| sample(f64::from(i), None)).collect();
        let chart = of(samples, 500);
        assert_eq!(chart.curves[0].lost.len(), 500);
        assert_eq!(chart.nothing.as_deref(), Some("every probe was lost"));
    }
}
