//! Axes: where a value lies between the two ends, and at which values ticks
//! stand. Ticks are at 1, 2 and 5 times powers of ten; the densest set whose
//! labels don't touch is taken.

use super::text::{count, number};

/// How values are laid along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    Log,
}

/// What the ticks say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wording {
    /// The value over this one. The unit is in the axis' title.
    Over(f64),
    /// Nanoseconds, each with the unit that suits it.
    Latency,
    /// The percentile p where the value is 1/(1-p).
    Percentile,
}

/// One side of a plot.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    /// What it measures, with the unit if the ticks don't say it.
    pub(super) title: String,
    pub(super) scale: Scale,
    pub(super) wording: Wording,
    /// Below `to`; above zero if the scale is logarithmic.
    pub(super) from: f64,
    pub(super) to: f64,
}

/// A value worth naming.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: String,
}

/// The room that ticks have, in whatever the picture is measured in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// From one end of the axis to the other.
    pub(super) length: f64,
    /// A label's extent along the axis, for each of its characters.
    pub(super) glyph: f64,
    /// Between two labels.
    pub(super) gap: f64,
}

/// A figure of latencies is logarithmic from this ratio of the largest to the
/// smallest on: below, ticks of equal distance are easier to read.
const SPREAD: f64 = 10.0;
/// A logarithmic axis shorter than this ratio has too few of 1, 2 and 5.
const NARROW: f64 = 4.0;
/// A linear axis starts at zero if the largest is this many times the smallest.
const FROM_ZERO: f64 = 3.0;

impl Axis {
    /// Latencies from `low` to `high` nanoseconds. `scale` is chosen by their
    /// spread unless given.
    pub(super) fn latency(quantity: &str, low: u64, high: u64, scale: Option<Scale>) -> Self {
        let (low, high) = (low as f64, high.max(low) as f64);
        let spread = high / low.max(1.0);
        let scale = scale.unwrap_or(if spread >= SPREAD { Scale::Log } else { Scale::Linear });
        match scale {
            Scale::Linear => {
                let start = if high > FROM_ZERO * low { 0.0 } else { low };
                let (from, to) = even_bounds(start, high);
                let (per, unit) = latency_unit(to);
                let title = format!("{quantity} ({unit})");
                Self { title, scale, wording: Wording::Over(per), from, to }
            }
            Scale::Log => {
                let low = low.max(1.0);
                let high = high.max(low);
                let (from, to) = if spread < NARROW {
                    let (from, to) = even_bounds(low, high);
                    (from.max(low / 1.25), to)
                } else {
                    let air = spread.powf(0.03).max(1.05);
                    ((low / air).max(1.0), high * air)
                };
                let title = format!("{quantity} (log scale)");
                Self { title, scale, wording: Wording::Latency, from, to }
            }
        }
    }

    /// Latencies where there are none.
    pub(super) fn empty(quantity: &str) -> Self {
        Self::latency(quantity, 0, 1_000, Some(Scale::Linear))
    }

    /// Seconds, in the unit that suits their span.
    pub(super) fn time(title: &str, from: f64, to: f64) -> Self {
        let to = if to > from { to } else { from + from.abs().max(1.0) * 1e-3 };
        let units =
            [(3600.0, 7200.0, "h"), (60.0, 600.0, "min"), (1.0, 1.0, "s"), (1e-3, 1e-3, "ms")];
        let suits = units.iter().find(|(_, least, _)| to - from >= *least);
        let (per, unit) = suits.map_or((1e-6, "µs"), |(per, _, unit)| (*per, *unit));
        let title = format!("{title} ({unit})");
        Self { title, scale: Scale::Linear, wording: Wording::Over(per), from, to }
    }

    /// Shares from nothing to `to`, at most 1, in percent.
    pub(super) fn share(title: &str, to: f64) -> Self {
        let title = format!("{title} (%)");
        Self { title, scale: Scale::Linear, wording: Wording::Over(0.01), from: 0.0, to }
    }

    /// Percentiles from 0 % on, by how rare what lies beyond them is: up to one
    /// in `to`.
    pub(super) fn percentile(to: f64) -> Self {
        let title = "percentile".to_owned();
        let to = to.max(10.0);
        Self { title, scale: Scale::Log, wording: Wording::Percentile, from: 1.0, to }
    }

    /// Where a value lies: 0 is the start, 1 the end; what is beyond them lies
    /// on them.
    pub(super) fn place(&self, value: f64) -> f64 {
        let place = match self.scale {
            Scale::Linear => (value - self.from) / (self.to - self.from),
            Scale::Log => {
                let ratio = value.max(self.from) / self.from;
                ratio.ln() / (self.to / self.from).ln()
            }
        };
        if place.is_finite() { place.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The value that lies at `place`, between 0 and 1.
    pub(super) fn value(&self, place: f64) -> f64 {
        match self.scale {
            Scale::Linear => self.from + place * (self.to - self.from),
            Scale::Log => self.from * ((self.to / self.from).ln() * place).exp(),
        }
    }

    /// As many ticks as there is room for.
    pub(super) fn ticks(&self, room: Room) -> Vec<Tick> {
        let percentiles = self.wording == Wording::Percentile;
        let even = self.scale == Scale::Linear || (self.to < NARROW * self.from && !percentiles);
        let tries = 40;
        let fits = |ticks: &Vec<Tick>| self.fits(ticks, room);
        let found = if even {
            (0..tries).map(|nth| self.even_ticks(nth)).find(fits)
        } else if percentiles {
            (0..tries).map(|nth| self.percentile_ticks(nth)).find(fits)
        } else {
            (0..tries).map(|nth| self.log_ticks(nth)).find(fits)
        };
        found.unwrap_or_default()
    }

    /// Whether no two labels touch.
    fn fits(&self, ticks: &[Tick], room: Room) -> bool {
        let extent = |tick: &Tick| tick.label.chars().count() as f64 * room.glyph;
        ticks.windows(2).all(|pair| {
            let apart = (self.place(pair[1].at) - self.place(pair[0].at)) * room.length;
            apart >= room.gap + (extent(&pair[0]) + extent(&pair[1])) / 2.0
        })
    }

    /// Ticks at equal steps: the `nth` choice has a step that is so many times
    /// the next larger.
    fn even_ticks(&self, nth: u32) -> Vec<Tick> {
        let per = match self.wording {
            Wording::Over(per) => per,
            Wording::Latency | Wording::Percentile => latency_unit(self.to).0,
        };
        let (from, to) = (self.from / per, self.to / per);
        let step = nth_step((to - from) / 50.0, nth);
        let decimals = decimals(step);
        let (first, last) = ((from / step - 1e-6).ceil(), (to / step + 1e-6).floor());
        if !(0.0..=100.0).contains(&(last - first)) {
            return Vec::new();
        }
        let unit = match self.wording {
            Wording::Latency => format!(" {}", latency_unit(self.to).1),
            Wording::Over(_) | Wording::Percentile => String::new(),
        };
        (0..=(last - first) as u32)
            .map(|i| {
                let at = (first + f64::from(i)) * step;
                Tick { at: at * per, label: number(at, decimals) + &unit }
            })
            .collect()
    }

    /// Ticks at 1, 2 and 5 of each power of ten, then at each power, then at
    /// every second, third, and so on.
    fn log_ticks(&self, nth: u32) -> Vec<Tick> {
        let steps: &[f64] = if nth == 0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let stride = nth.max(1) as i32;
        powers(self.from, self.to)
            .filter(|power| power % stride == 0)
            .flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)))
            .filter(|at| self.holds(*at))
            .map(|at| Tick { at, label: latency_label(at) })
            .collect()
    }

    /// Ticks at 0, 50, 90, 95, 99, 99.5, 99.9 and so on, then at fewer.
    fn percentile_ticks(&self, nth: u32) -> Vec<Tick> {
        let steps: &[f64] = if nth == 0 { &[1.0, 2.0] } else { &[1.0] };
        let stride = nth.saturating_sub(1).max(1) as i32;
        let mut ticks: Vec<Tick> = powers(self.from, self.to)
            .filter(|power| power % stride == 0)
            .flat_map(|power| steps.iter().map(move |step| (power, *step)))
            .map(|(power, step)| {
                let at = step * 10f64.powi(power);
                Tick { at, label: percentile_label(power, step > 1.0) }
            })
            .filter(|tick| self.holds(tick.at))
            .collect();
        if nth == 1 {
            ticks.insert(1, Tick { at: 2.0, label: "50%".to_owned() });
        }
        ticks
    }

    fn holds(&self, value: f64) -> bool {
        value >= self.from * (1.0 - 1e-9) && value <= self.to * (1.0 + 1e-9)
    }
}

/// The powers of ten whose multiples may lie between two values.
fn powers(from: f64, to: f64) -> std::ops::RangeInclusive<i32> {
    (from.log10() + 1e-9).floor() as i32..=(to.log10() + 1e-9).floor() as i32
}

/// Bounds of whole nanoseconds, at multiples of a step, with a little air on
/// both sides.
fn even_bounds(low: f64, high: f64) -> (f64, f64) {
    let span = (high - low).max(high * 0.05).max(1.0);
    let step = nth_step(span / 5.0, 0).max(1.0);
    let air = if low > 0.0 { span * 0.02 } else { 0.0 };
    let from = ((low - air) / step).floor() * step;
    let to = ((high + span * 0.02) / step).ceil() * step;
    (from.max(0.0), to)
}

/// 1, 2 or 5 times a power of ten: the smallest no smaller than `least`, and
/// the `nth` one after it.
fn nth_step(least: f64, nth: u32) -> f64 {
    if !(least.is_finite() && least > 0.0) {
        return 1.0;
    }
    let power = least.log10().floor();
    let rest = least / 10f64.powf(power);
    let first = [1.0, 2.0, 5.0].iter().position(|step| *step >= rest - 1e-9).unwrap_or(3);
    let index = first + nth as usize;
    [1.0, 2.0, 5.0][index % 3] * 10f64.powi(power as i32 + (index / 3) as i32)
}

/// Decimals that tell multiples of a step apart.
fn decimals(step: f64) -> usize {
    (-(step.log10() + 1e-9).floor()).clamp(0.0, 12.0) as usize
}

/// Nanoseconds to a unit, and its name, for values up to `largest`.
fn latency_unit(largest: f64) -> (f64, &'static str) {
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")];
    *units.iter().find(|(per, _)| largest >= *per).unwrap_or(&(1.0, "ns"))
}

/// A round number of nanoseconds: `500 ns`, `20 µs`.
fn latency_label(ns: f64) -> String {
    let (per, unit) = latency_unit(ns * (1.0 + 1e-9));
    format!("{} {unit}", count((ns / per).round() as u64))
}

/// The percentile beyond which one of 10^power lies, or one of twice that.
fn percentile_label(power: i32, halved: bool) -> String {
    let last = if halved { "5" } else { "" };
    let nines = "9".repeat(power.max(0) as usize);
    let digits = match (power, halved) {
        (0, false) => "0".to_owned(),
        (0, true) => "50".to_owned(),
        (1, false) => "90".to_owned(),
        (_, _) => nines + last,
    };
    let (whole, rest) = digits.split_at(digits.len().min(2));
    if rest.is_empty() { format!("{whole}%") } else { format!("{whole}.{rest}%") }
}

#[cfg(test)]
#[path = "axis_tests.rs"]
mod tests;
