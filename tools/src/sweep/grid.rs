//! From `nodelay=0,1 idle=block,spin size=64,1316` to what is measured: keys of
//! the server make arms, every value with every other; keys of the probes make
//! groups, in each of which all arms are compared.

use std::time::Duration;

use nearlight::limits::{COMPARE_ARMS, COMPARE_GROUPS};

use crate::paired::options::{interval, size};
use crate::paired::setting::{Setting, check_key};

/// A key and its values, as they were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    key: String,
    values: Vec<String>,
}

impl Axis {
    /// Reads `KEY=VALUE,VALUE`.
    ///
    /// # Errors
    /// It is not that, or has a value twice.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not KEY=VALUE,VALUE, such as nodelay=0,1");
        let (key, list) = text.split_once('=').ok_or_else(wrong)?;
        let values: Vec<String> = list.split(',').map(str::to_owned).collect();
        if key.is_empty() || values.iter().any(String::is_empty) {
            return Err(wrong());
        }
        let twice = values.iter().enumerate().find(|(at, value)| values[..*at].contains(value));
        if let Some((_, value)) = twice {
            return Err(format!("{key}: '{value}' is there twice"));
        }
        Ok(Self { key: key.replace('-', "_"), values })
    }
}

/// What a sweep measures.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Grid {
    /// Settings; the first is what the others are compared with.
    pub(crate) arms: Vec<Setting>,
    /// Sizes of probes; none is the usual one.
    pub(crate) sizes: Vec<usize>,
    /// Intervals of probes; none is the usual one.
    pub(crate) intervals: Vec<Duration>,
}

impl Grid {
    /// Of all axes; the last one varies fastest.
    ///
    /// # Errors
    /// A key is there twice or can't be swept, a value of the probes is wrong,
    /// there are too many combinations or nothing to compare.
    pub(crate) fn of(axes: &[Axis]) -> Result<Self, String> {
        let mut grid = Self { arms: vec![Setting::default()], ..Self::default() };
        for (at, axis) in axes.iter().enumerate() {
            let key = &axis.key;
            if axes[..at].iter().any(|other| other.key == *key) {
                return Err(format!("{key}: it is there twice"));
            }
            match key.as_str() {
                "size" => grid.sizes = read(axis, size)?,
                "interval" => grid.intervals = read(axis, interval)?,
                _ => grid.multiply(axis)?,
            }
        }
        let groups = grid.sizes.len().max(1) * grid.intervals.len().max(1);
        if groups > COMPARE_GROUPS {
            return Err(format!("{groups} sizes and intervals; {COMPARE_GROUPS} is the most"));
        }
        if grid.arms.len() < 2 {
            return Err("nothing to compare: name a setting of the server with two values, such \
                        as nodelay=0,1; size and interval only say how it is measured"
                .to_owned());
        }
        Ok(grid)
    }

    fn multiply(&mut self, axis: &Axis) -> Result<(), String> {
        check_key(&axis.key)?;
        let count = self.arms.len() * axis.values.len();
        if count > COMPARE_ARMS {
            return Err(format!(
                "{count} combinations and more; {COMPARE_ARMS} is the most that are compared in \
                 one run: leave some values out"
            ));
        }
        let mut arms = Vec::with_capacity(count);
        for arm in &self.arms {
            for value in &axis.values {
                let mut arm = arm.clone();
                arm.set(&axis.key, value)?;
                arms.push(arm);
            }
        }
        self.arms = arms;
        Ok(())
    }
}

fn read<T>(axis: &Axis, value: fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    axis.values
        .iter()
        .map(|text| value(text).map_err(|why| format!("{}: {why}", axis.key)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(words: &str) -> Result<Grid, String> {
        let axes: Result<Vec<Axis>, String> = words.split_whitespace().map(Axis::parse).collect();
        Grid::of(&axes?)
    }

    #[test]
    fn every_value_meets_every_other() {
        let grid = grid("nodelay=0,1 size=64,1316 idle=default,spin interval=1ms").expect("right");
        let arms: Vec<String> = grid.arms.iter().map(Setting::to_string).collect();
        assert_eq!(arms, ["nodelay=0", "nodelay=0,idle=spin", "nodelay=1", "nodelay=1,idle=spin"]);
        assert_eq!(grid.sizes, [64, 1316]);
        assert_eq!(grid.intervals, [Duration::from_millis(1)]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (words, part) in [
            ("", "nothing to compare"),
            ("size=64,1316", "nothing to compare"),
            ("nodelay=0", "nothing to compare"),
            ("nodelay", "'nodelay' is not KEY=VALUE,VALUE"),
            ("nodelay=0,", "'nodelay=0,' is not"),
            ("nodelay=0,0", "'0' is there twice"),
            ("nodelay=0,1 nodelay=1", "nodelay: it is there twice"),
            ("max-lag=1s,2s max_lag=3s", "max_lag: it is there twice"),
            ("nodelay=0,1 size=8", "size: 8 is too small"),
            ("nodelay=0,1 interval=soon", "interval: 'soon'"),
            ("listen=a,b", "listen: a private server"),
            ("a=1,2,3 b=1,2,3 c=1,2,3", "27 combinations"),
            ("a=1,2 size=16,17,18,19,20 interval=1s,2s,3s,4s", "20 sizes and intervals"),
        ] {
            let error = grid(words).expect_err(words);
            assert!(error.contains(part), "{words}: {error}");
        }
    }
}
