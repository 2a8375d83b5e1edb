//! What the control group grants: a part of the machine's time, and which
//! cores. Both versions of cgroup are read, each level up to the mount, for the
//! tightest one counts. Sources: cgroups(7), Documentation/admin-guide/
//! cgroup-v2.rst and Documentation/scheduler/sched-bwc.rst of Linux.

use std::path::{Path, PathBuf};

use super::finding::{Finding, Fix, Seal};
use super::host::read;

/// Levels that are looked at: nobody nests deeper.
const LEVELS: usize = 32;

/// Where our group is, from its own level up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Levels {
    is_v2: bool,
    folders: Vec<PathBuf>,
}

/// A bound on processor time, in microseconds a period.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Quota {
    micros: u64,
    period: u64,
    /// Periods in which the group was stopped, so far.
    stopped: u64,
    /// The folder whose bound it is.
    folder: PathBuf,
    is_v2: bool,
}

impl Quota {
    fn cores(&self) -> f64 {
        self.micros as f64 / self.period as f64
    }

    /// The file and what is to be written to it for no bound at all.
    fn lift(&self) -> String {
        let (value, name) =
            if self.is_v2 { ("max", "cpu.max") } else { ("-1", "cpu.cfs_quota_us") };
        format!("echo {value} | sudo tee {}", self.folder.join(name).display())
    }
}

/// The bound on processor time, asked and judged; `cores` are how many cores
/// this process may use.
pub(super) fn look(seal: Seal, cores: usize) -> Finding {
    let tightest = levels_here("cpu").and_then(|levels| tightest(&levels, read_in));
    judge(tightest.as_ref(), seal, cores)
}

/// The cores of our cpuset, as a list; `None` where nobody tells.
pub(super) fn granted() -> Option<String> {
    let levels = levels_here("cpuset")?;
    let name = if levels.is_v2 { "cpuset.cpus.effective" } else { "cpuset.effective_cpus" };
    levels.folders.iter().find_map(|folder| read_in(folder, name))
}

fn levels_here(controller: &str) -> Option<Levels> {
    levels(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?, controller)
}

fn read_in(folder: &Path, name: &str) -> Option<String> {
    read(folder.join(name).to_str()?)
}

/// Where our group of `controller` is, by `/proc/self/cgroup` and
/// `/proc/self/mountinfo`: version 1 if it is mounted with that controller,
/// for a controller is in one version alone.
fn levels(cgroup: &str, mountinfo: &str, controller: &str) -> Option<Levels> {
    let has = |list: &str, word: &str| list.split(',').any(|item| item == word);
    let groups: Vec<(&str, &str)> =
        cgroup.lines().filter_map(|line| line.split_once(':')?.1.split_once(':')).collect();
    let mounts = || mountinfo.lines().filter_map(mount);
    let v1 = groups.iter().find(|(list, _)| has(list, controller)).and_then(|(_, path)| {
        let mount = mounts().find(|mount| mount.kind == "cgroup" && has(mount.options, controller));
        Some((mount?, *path, false))
    });
    let v2 = || {
        let (_, path) = groups.iter().find(|(list, _)| list.is_empty())?;
        Some((mounts().find(|mount| mount.kind == "cgroup2")?, *path, true))
    };
    let (mount, path, is_v2) = v1.or_else(v2)?;
    // What is mounted may be a part of the tree, which `path` starts with.
    let below = path.strip_prefix(mount.root.trim_end_matches('/')).unwrap_or(path);
    let top = Path::new(mount.point);
    // Components, for a path that ends in a slash is not the same path.
    let own: PathBuf = top.join(below.trim_start_matches('/')).components().collect();
    let folders =
        own.ancestors().take(LEVELS).take_while(|folder| folder.starts_with(top)).map(Into::into);
    Some(Levels { is_v2, folders: folders.collect() })
}

/// One line of mountinfo, proc(5).
struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

fn mount(line: &str) -> Option<Mount<'_>> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    let mut after = after.split(' ');
    Some(Mount {
        root: before.next()?,
        point: before.next()?,
        kind: after.next()?,
        options: after.nth(1)?,
    })
}

/// The tightest bound of all levels; `read` answers the text of a file.
fn tightest(levels: &Levels, read: impl Fn(&Path, &str) -> Option<String>) -> Option<Quota> {
    let is_v2 = levels.is_v2;
    let bound = |folder: &PathBuf| -> Option<Quota> {
        let (micros, period) = if is_v2 {
            let text = read(folder, "cpu.max")?;
            let (micros, period) = text.split_once(' ')?;
            (micros.parse().ok()?, period.trim().parse().ok()?)
        } else {
            let number = |name| read(folder, name)?.trim().parse().ok();
            (number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?)
        };
        let stat = read(folder, "cpu.stat").unwrap_or_default();
        let stopped = stat.lines().find_map(|line| line.strip_prefix("nr_throttled "));
        let stopped = stopped.and_then(|count| count.trim().parse().ok()).unwrap_or_default();
        (period > 0).then(|| Quota { micros, period, stopped, folder: folder.clone(), is_v2 })
    };
    levels.folders.iter().filter_map(bound).min_by(|a, b| a.cores().total_cmp(&b.cores()))
}

fn judge(quota: Option<&Quota>, seal: Seal, cores: usize) -> Finding {
    const TOPIC: &str = "cpu_quota";
    let Some(quota) = quota else {
        return Finding::ok(TOPIC, "none", "no control group stops a thread that spins");
    };
    let value =
        format!("{:.2} cores of {cores}, stopped {} times so far", quota.cores(), quota.stopped);
    let fix = if seal == Seal::Container {
        Fix::Here("start the container without --cpus (Kubernetes: without limits.cpu)".to_owned())
    } else {
        Fix::Machine(quota.lift())
    };
    if quota.cores() < cores as f64 || quota.stopped > 0 {
        let meaning = format!(
            "who uses it up stands still for the rest of each {} ms: don't spin, expect long tails",
            quota.period.div_ceil(1000)
        );
        return Finding::limit(TOPIC, value, meaning).fix(fix);
    }
    Finding::note(TOPIC, value, "as much as our cores have: nobody is stopped").fix(fix)
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
