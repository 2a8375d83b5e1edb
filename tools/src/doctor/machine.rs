//! Who else uses the machine: a hypervisor's other guests, this host's other
//! programs, and limits on the process. Sources: proc(5), cpuid's hypervisor
//! bit as /proc/cpuinfo shows it, sysfs-firmware-dmi of Linux's ABI documents.

use std::time::Duration;

use nearlight::limits::CONNECTIONS;
use nearlight::sys::affinity::allowed_cpus;

use super::clock::span;
use super::finding::{Finding, Fix};
use super::host::read;

/// What firmware calls itself, and what that means.
const MAKERS: [(&str, &str); 9] = [
    ("qemu", "QEMU"),
    ("kvm", "KVM"),
    ("vmware", "VMware"),
    ("virtualbox", "VirtualBox"),
    ("microsoft corporation virtual machine", "Hyper-V"),
    ("amazon ec2", "Amazon EC2"),
    ("google compute engine", "Google Compute Engine"),
    ("hvm domu", "Xen"),
    ("parallels", "Parallels"),
];
/// What a cloud calls machines that it rents out whole.
const WHOLE: &str = ".metal";
/// Steal in percent of the machine's time: a hundredth of it is seen in p99.
const STOLEN: f64 = 1.0;
/// Descriptors that a prober of one target needs, with room.
const DESCRIPTORS: u64 = 256;

/// What tells a virtual machine.
#[derive(Clone, Copy, Debug, Default)]
struct Traces<'a> {
    cpuinfo: &'a str,
    /// Maker and product of the firmware, `/sys/class/dmi/id`.
    firmware: &'a str,
    /// `/proc/version`
    version: &'a str,
    /// `/sys/hypervisor/type`, `/proc/device-tree/hypervisor/compatible`.
    hypervisor: &'a str,
}

/// Everything of this file that is not measured, asked and judged.
pub(super) fn look() -> Vec<Finding> {
    let text = |path: &str| read(path).unwrap_or_default();
    let dmi = |name| text(&format!("/sys/class/dmi/id/{name}"));
    let firmware = format!("{} {}", dmi("sys_vendor"), dmi("product_name"));
    let hypervisor = format!(
        "{} {}",
        text("/sys/hypervisor/type"),
        text("/proc/device-tree/hypervisor/compatible")
    );
    let traces = Traces {
        cpuinfo: &text("/proc/cpuinfo"),
        firmware: &firmware,
        version: &text("/proc/version"),
        hypervisor: &hypervisor,
    };
    let cores = allowed_cpus().map_or(1, |allowed| allowed.len());
    vec![
        load(read("/proc/loadavg").as_deref(), cores),
        virtualisation(&traces),
        nofile(&text("/proc/self/limits")),
    ]
}

/// Whether this is a guest, and whose.
fn virtualisation(traces: &Traces<'_>) -> Finding {
    const TOPIC: &str = "virtualisation";
    let firmware = traces.firmware.to_lowercase();
    let named = MAKERS
        .iter()
        .find(|(mark, _)| firmware.contains(mark) && !firmware.contains(WHOLE))
        .map(|(_, name)| *name);
    let flags = traces.cpuinfo.lines().find(|line| line.starts_with("flags"));
    let has_flags = flags.is_some();
    let has_bit = flags.is_some_and(|line| line.split_whitespace().any(|f| f == "hypervisor"));
    let hypervisor = traces.hypervisor.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    let hypervisor = (!hypervisor.is_empty()).then_some(hypervisor);
    let guest = if traces.version.to_lowercase().contains("microsoft") {
        Some("WSL")
    } else if has_bit || !has_flags {
        // Processors without that bit leave firmware and device tree to tell.
        named.or(hypervisor).or(has_bit.then_some("of unknown make"))
    } else {
        hypervisor
    };
    match guest {
        Some(name) => Finding::note(
            TOPIC,
            format!("virtual machine ({name})"),
            "other guests are in the tails: compare within one run, side by side",
        ),
        None => Finding::ok(TOPIC, "none seen", "the machine is this system's own"),
    }
}

/// How many programs want to run, against the cores that we may use.
fn load(loadavg: Option<&str>, cores: usize) -> Finding {
    const TOPIC: &str = "load";
    let recent = loadavg.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    let Some(recent) = recent else {
        return Finding::unknown(TOPIC);
    };
    let value = format!("{recent:.2} on {cores} {}", if cores == 1 { "core" } else { "cores" });
    let who = Fix::Here("ps -eo pcpu,pid,args --sort=-pcpu | head".to_owned());
    let share = recent / cores.max(1) as f64;
    if share >= 1.0 {
        Finding::limit(TOPIC, value, "probes wait for a core: see who is busy, and measure later")
            .fix(who)
    } else if share >= 0.5 {
        Finding::note(TOPIC, value, "others are busy: seen in tails").fix(who)
    } else {
        Finding::ok(TOPIC, value, "cores are free")
    }
}

/// How many descriptors the process may have, `/proc/self/limits`.
fn nofile(limits: &str) -> Finding {
    const TOPIC: &str = "nofile";
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
    let number =
        |word: &&str| if **word == *"unlimited" { Some(u64::MAX) } else { word.parse().ok() };
    let [Some(soft), Some(hard)] = [words.first().and_then(number), words.get(1).and_then(number)]
    else {
        return Finding::unknown(TOPIC);
    };
    let value = format!("{soft}, may be raised to {hard}");
    let wanted = CONNECTIONS as u64;
    let raise = format!("sudo prlimit --pid $$ --nofile={wanted}:{wanted}");
    if soft < DESCRIPTORS {
        let line = if hard > soft { format!("ulimit -n {}", hard.min(wanted)) } else { raise };
        return Finding::limit(TOPIC, value, "too few for more than a few connections")
            .fix(Fix::Here(line));
    }
    if hard < wanted {
        return Finding::note(TOPIC, value, "no load of more connections than that")
            .fix(Fix::Here(raise));
    }
    Finding::ok(TOPIC, value, "room for every connection of a load test")
}

/// Time of the machine in the kernel's ticks: all of it, and what was stolen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticks {
    all: u64,
    stolen: u64,
}

impl Ticks {
    /// Of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal;
    /// a guest's time is part of user.
    fn read(stat: &str) -> Option<Self> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let fields: Vec<u64> =
            line.split_whitespace().take(8).map_while(|word| word.parse().ok()).collect();
        Some(Self { all: fields.iter().sum(), stolen: *fields.get(7)? })
    }

    /// As of now.
    pub(super) fn now() -> Option<Self> {
        Self::read(&read("/proc/stat")?)
    }

    /// In percent; `None` if the clock did not tick.
    pub(super) fn steal_since(self, earlier: Self) -> Option<f64> {
        let all = self.all.checked_sub(earlier.all).filter(|ticks| *ticks > 0)?;
        Some(100.0 * self.stolen.saturating_sub(earlier.stolen) as f64 / all as f64)
    }
}

/// Time that the hypervisor gave to others while we measured for `lasted`.
pub(super) fn steal(before: Option<Ticks>, after: Option<Ticks>, lasted: Duration) -> Finding {
    const TOPIC: &str = "steal";
    let (Some(before), Some(after)) = (before, after) else {
        return Finding::unknown(TOPIC);
    };
    let Some(percent) = after.steal_since(before) else {
        return Finding::unknown(TOPIC);
    };
    let ever = after.steal_since(Ticks { all: 0, stolen: 0 }).unwrap_or_default();
    let value = format!("{percent:.1} % of {}, {ever:.2} % since boot", span(lasted));
    if percent >= STOLEN {
        Finding::limit(TOPIC, value, "the hypervisor runs others in our time: seen from p99 on")
    } else if percent > 0.0 {
        Finding::note(TOPIC, value, "the hypervisor took some of our time: seen in tails")
    } else {
        Finding::ok(TOPIC, value, "as far as the hypervisor tells")
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn guests_are_told_by_what_each_leaves() {
        let bit = "processor\t: 0\nflags\t\t: fpu tsc hypervisor lahf_lm\n";
        let bare = "processor\t: 0\nflags\t\t: fpu tsc lahf_lm\n";
        let arm = "processor\t: 0\nFeatures\t: fp asimd\n";
        let tree = "linux,kvm\0";
        for (cpuinfo, firmware, version, hypervisor, value) in [
            (bit, "", "Linux version 6.18", "", "virtual machine (of unknown make)"),
            (bit, "QEMU Standard PC", "Linux", "", "virtual machine (QEMU)"),
            (bit, "Amazon EC2 c5.large", "Linux", "", "virtual machine (Amazon EC2)"),
            (bare, "Amazon EC2 c5.metal", "Linux", "", "none seen"),
            (
                bit,
                "Microsoft Corporation Virtual Machine",
                "Linux",
                "",
                "virtual machine (Hyper-V)",
            ),
            (bit, "", "Linux version 5.15-microsoft-standard-WSL2", "", "virtual machine (WSL)"),
            (bare, "Dell Inc. PowerEdge R740", "Linux", "", "none seen"),
            (bare, "Microsoft Corporation Surface Laptop", "Linux", "", "none seen"),
            (bare, "", "Linux", "xen", "virtual machine (xen)"),
            (arm, "", "Linux", tree, "virtual machine (linux,kvm)"),
            (arm, "QEMU KVM Virtual Machine", "Linux", "", "virtual machine (QEMU)"),
            (arm, "Amazon EC2 m6g.metal", "Linux", "", "none seen"),
            (arm, "Raspberry Pi", "Linux", "", "none seen"),
        ] {
            let traces = Traces { cpuinfo, firmware, version, hypervisor };
            assert_eq!(virtualisation(&traces).value, value, "{firmware} {version}");
        }
    }

    #[test]
    fn load_is_judged_by_the_cores() {
        assert_eq!(load(Some("0.89 1.16 0.56 2/90 20588"), 2).verdict, Verdict::Ok);
        assert_eq!(load(Some("1.20 1.16 0.56 2/90 20588"), 2).verdict, Verdict::Note);
        assert_eq!(load(Some("3.00 1.16 0.56 2/90 20588"), 2).verdict, Verdict::Limit);
        assert_eq!(load(Some("3.00 1.16 0.56 2/90 20588"), 16).verdict, Verdict::Ok);
        assert_eq!(load(Some("x"), 2).value, "unknown");
        assert_eq!(load(None, 2).value, "unknown");
    }

    #[test]
    fn descriptors() {
        let limits = |soft: &str, hard: &str| {
            nofile(&format!(
                "Limit                     Soft Limit           Hard Limit           Units     \n\
                 Max open files            {soft:<20} {hard:<20} files     \n"
            ))
        };
        assert_eq!(limits("1024", "1048576").verdict, Verdict::Ok);
        assert_eq!(limits("1024", "unlimited").verdict, Verdict::Ok);
        let low = limits("20000", "20000");
        assert_eq!(low.verdict, Verdict::Note);
        let raise = Some(Fix::Here("sudo prlimit --pid $$ --nofile=65536:65536".to_owned()));
        assert_eq!(low.fix, raise);
        assert_eq!(limits("64", "64").fix, raise);
        let least = limits("64", "4096");
        assert_eq!(least.fix, Some(Fix::Here("ulimit -n 4096".to_owned())));
        assert_eq!(nofile("").value, "unknown");
    }

    #[test]
    fn steal_is_a_share_of_the_time_between_two_looks() {
        let ticks = |idle: u64, steal: u64| {
            Ticks::read(&format!("cpu  100 0 50 {idle} 0 0 0 {steal} 0 0\ncpu0 1 2 3\n"))
        };
        let lasted = Duration::from_millis(1200);
        let since = |idle: u64, stolen: u64| {
            steal(ticks(1000, 10), ticks(1000 + idle, 10 + stolen), lasted)
        };
        assert_eq!(since(240, 0).verdict, Verdict::Ok);
        assert_eq!(since(239, 1).verdict, Verdict::Note);
        let much = since(235, 5);
        assert_eq!(much.verdict, Verdict::Limit);
        assert!(much.value.starts_with("2.1 % of 1.20 s, "), "{}", much.value);
        assert_eq!(since(0, 0).value, "unknown", "no tick between the two");
        // Kernels before 2.6.11 have no such column; some sandboxes no file.
        assert_eq!(Ticks::read("cpu  1 2 3 4 5 6 7\n"), None);
        assert_eq!(steal(None, ticks(1, 1), lasted).value, "unknown");
    }
}
