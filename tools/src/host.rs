//! Where a measurement was made and how busy it was there: what a figure is
//! worth nothing without.

use std::fs;

use nearlight::base::Instant;
use nearlight::sys::affinity::{allowed_cpus, format_cpus};
use nearlight::sys::clock::Clock;
use serde::{Deserialize, Serialize};

/// The host, and what went on there during the measurement.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Host {
    /// `Linux 6.1.0`.
    pub(crate) kernel: String,
    /// As /proc/cpuinfo has it.
    pub(crate) cpu: String,
    /// Cores that this process may use, such as `0-3`.
    pub(crate) cores: String,
    /// `tsc` is what it should be.
    pub(crate) clock_source: Option<String>,
    /// What one reading of the clock takes.
    pub(crate) clock_ns: u64,
    /// When it began, in seconds since 1970.
    pub(crate) started: u64,
    pub(crate) took_ns: u64,
    /// The 1-minute load average at the end.
    pub(crate) load: Option<f64>,
    /// Percent of all cores' time that the hypervisor gave to others.
    pub(crate) steal_percent: Option<f64>,
    /// Times that the process was taken off a core it wanted to keep.
    pub(crate) preempted: Option<u64>,
}

/// The host at the beginning of a measurement.
pub(crate) struct Before {
    at: Instant,
    started: u64,
    steal: Option<(u64, u64)>,
    preempted: Option<u64>,
}

impl Before {
    /// Looks around.
    pub(crate) fn look() -> Self {
        let at = Clock::now();
        Self {
            at,
            started: (Clock::lead() + at.as_nanos()) / 1_000_000_000,
            steal: read("/proc/stat").as_deref().and_then(steal),
            preempted: preempted(),
        }
    }

    /// Looks again, after the measurement.
    pub(crate) fn after(self) -> Host {
        let now = read("/proc/stat").as_deref().and_then(steal);
        let stolen = self.steal.zip(now).and_then(|((stolen, all), (later, all_later))| {
            let (part, whole) = (later.saturating_sub(stolen), all_later.saturating_sub(all));
            (whole > 0).then(|| tenths(100.0 * part as f64 / whole as f64))
        });
        Host {
            kernel: read("/proc/sys/kernel/osrelease")
                .map_or_else(String::new, |release| format!("Linux {}", release.trim())),
            cpu: read("/proc/cpuinfo").as_deref().map_or_else(String::new, model),
            cores: allowed_cpus().map_or_else(|_| String::new(), |cpus| format_cpus(&cpus)),
            clock_source: clock_source(),
            clock_ns: clock_cost(),
            started: self.started,
            took_ns: Clock::now().nanos_since(self.at),
            load: read("/proc/loadavg").and_then(|text| text.split(' ').next()?.parse().ok()),
            steal_percent: stolen,
            preempted: preempted()
                .zip(self.preempted)
                .map(|(after, before)| after.saturating_sub(before)),
        }
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn clock_source() -> Option<String> {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    read(path).map(|text| text.trim().to_owned())
}

fn tenths(value: f64) -> f64 {
    (10.0 * value).round() / 10.0
}

/// The `model name` of the first core.
fn model(cpuinfo: &str) -> String {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(": ")).map_or("", |(_, name)| name).to_owned()
}

/// Stolen and all ticks of all cores, proc(5) `/proc/stat`: `cpu  user nice
/// system idle iowait irq softirq steal ...`; guest time is within user time.
fn steal(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().find(|line| line.starts_with("cpu "))?;
    let ticks: Vec<u64> =
        line.split_whitespace().skip(1).take(8).map_while(|n| n.parse().ok()).collect();
    Some((*ticks.get(7)?, ticks.iter().sum()))
}

/// Involuntary context switches of this process's first thread and those that
/// live, proc(5).
fn preempted() -> Option<u64> {
    let mut all = 0;
    for task in fs::read_dir("/proc/self/task").ok()?.flatten() {
        let status = fs::read_to_string(task.path().join("status")).ok()?;
        let line = status.lines().find_map(|l| l.strip_prefix("nonvoluntary_ctxt_switches:"))?;
        all += line.trim().parse::<u64>().ok()?;
    }
    Some(all)
}

/// Nanoseconds of one clock reading: the least of some hundreds in a row, as
/// anything more is something else.
fn clock_cost() -> u64 {
    const READINGS: u64 = 100;
    let once = || {
        let start = Clock::now();
        let end = (1..READINGS).fold(start, |_, _| Clock::now());
        end.nanos_since(start) / (READINGS - 1)
    };
    (0..20).map(|_| once()).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        let stat = "cpu  10 20 30 40 50 60 70 80 9 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n";
        assert_eq!(steal(stat), Some((80, 360)));
        assert_eq!(steal("cpu  1 2 3\n"), None);
        assert_eq!(steal(""), None);
        assert_eq!(model("processor\t: 0\nmodel name\t: A CPU @ 3 GHz\n"), "A CPU @ 3 GHz");
        assert_eq!(model(""), "");
        let host = Before::look().after();
        assert!(host.kernel.starts_with("Linux ") && !host.cores.is_empty());
        assert!(host.clock_ns > 0 && host.started > 1_700_000_000);
    }
}
