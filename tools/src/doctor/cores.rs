//! The cores: how many there are for us, which of them are halves of one, how
//! their frequency and their sleep change what a wake-up takes. Sources:
//! Documentation/admin-guide/{cputopology.rst,kernel-parameters.txt} and
//! Documentation/admin-guide/pm/{cpufreq,cpuidle,intel_pstate}.rst of Linux.

use std::collections::BTreeSet;
use std::time::Duration;

use nearlight::sys::affinity::{allowed_cpus, format_cpus};

use super::clock::span;
use super::finding::{Finding, Fix};
use super::host::{cores, read};

const SYSFS: &str = "/sys/devices/system/cpu";
/// With fewer cores than this, a server, its prober and everything else can't
/// have one each.
const ENOUGH: usize = 4;
/// Sleep that a core leaves this fast is not seen beside a wake-up.
const LIGHT_SLEEP: Duration = Duration::from_micros(10);
/// Sleep that takes longer to leave is most of a short round trip.
const DEEP_SLEEP: Duration = Duration::from_micros(100);
/// Sleep states that the kernel numbers at most, linux/cpuidle.h.
const SLEEPS: usize = 10;

/// Everything of this file, asked and judged; `granted` are the cores of our
/// cpuset, where it is known.
pub(super) fn look(granted: Option<&str>) -> Vec<Finding> {
    let allowed = allowed_cpus().unwrap_or_default();
    let online = cores(&read(&format!("{SYSFS}/online")).unwrap_or_default());
    let siblings: Vec<Vec<usize>> = allowed
        .iter()
        .filter_map(|cpu| read(&format!("{SYSFS}/cpu{cpu}/topology/thread_siblings_list")))
        .map(|list| cores(&list))
        .collect();
    let isolated = read(&format!("{SYSFS}/isolated"));
    let governors: Vec<String> = allowed
        .iter()
        .filter_map(|cpu| read(&format!("{SYSFS}/cpu{cpu}/cpufreq/scaling_governor")))
        .collect();
    vec![
        count(&allowed, &online, &cores(granted.unwrap_or_default()), &siblings),
        smt(&allowed, &siblings),
        isolation(isolated.as_deref(), &allowed),
        governor(&governors),
        idle(&sleeps(allowed.first().copied().unwrap_or_default())),
    ]
}

/// How many cores this process may use, and which.
fn count(
    allowed: &[usize],
    online: &[usize],
    granted: &[usize],
    siblings: &[Vec<usize>],
) -> Finding {
    const TOPIC: &str = "cores";
    let value = format!("{} of {} ({})", allowed.len(), online.len(), format_cpus(allowed));
    // Those that taskset may give us, for the cpuset has them.
    let more = granted.iter().any(|cpu| !allowed.contains(cpu));
    if allowed.len() >= ENOUGH {
        return Finding::ok(TOPIC, value, "server and prober can have cores of their own");
    }
    let finding = if allowed.len() <= 1 {
        Finding::limit(TOPIC, value, "server, prober and all else take turns on one core")
    } else {
        Finding::note(TOPIC, value, "server, prober and all else share them: pin both apart")
    };
    if more {
        return finding.fix(Fix::Here(format!("taskset -pc {} $$", format_cpus(granted))));
    }
    let [first, .., last] = allowed else {
        return finding;
    };
    let other = apart(*first, allowed, siblings).unwrap_or(*last);
    finding.fix(Fix::Here(format!(
        "nearlight serve --cpus {first} & taskset -c {other} lightmeter ping 127.0.0.1"
    )))
}

/// A core that is not a half of the same one as `first`.
fn apart(first: usize, allowed: &[usize], siblings: &[Vec<usize>]) -> Option<usize> {
    let own = siblings.iter().find(|group| group.contains(&first))?;
    allowed.iter().rev().find(|cpu| !own.contains(cpu)).copied()
}

/// Which of the allowed cores are hardware threads of one.
fn smt(allowed: &[usize], siblings: &[Vec<usize>]) -> Finding {
    const TOPIC: &str = "smt";
    if siblings.is_empty() {
        return Finding::unknown(TOPIC);
    }
    let whole: BTreeSet<&Vec<usize>> = siblings.iter().collect();
    if whole.iter().all(|group| group.len() == 1) {
        return Finding::ok(TOPIC, "none", "no core shares its units with another");
    }
    let value = format!("{} threads of {} cores", allowed.len(), whole.len());
    let firsts: Vec<usize> = whole
        .iter()
        .filter_map(|group| group.iter().find(|cpu| allowed.contains(cpu)).copied())
        .collect();
    let is_strangers = whole.iter().any(|group| group.iter().any(|cpu| !allowed.contains(cpu)));
    if is_strangers {
        let meaning = "the other half of a core is not ours: who works there slows the probe";
        return Finding::note(TOPIC, value, meaning);
    }
    if firsts.len() == 1 {
        let meaning = "all our cores are halves of one: server and prober slow each other";
        return Finding::limit(TOPIC, value, meaning);
    }
    Finding::note(TOPIC, value, "two busy halves of one core slow each other")
        .fix(Fix::Here(format!("taskset -pc {} $$", format_cpus(&firsts))))
}

/// Cores that the scheduler leaves alone.
fn isolation(isolated: Option<&str>, allowed: &[usize]) -> Finding {
    const TOPIC: &str = "isolated_cores";
    let Some(isolated) = isolated else {
        return Finding::unknown(TOPIC);
    };
    match (cores(isolated).last(), allowed) {
        (Some(last), _) => {
            let meaning = format!("nobody else runs there: taskset -c {last} lightmeter ...");
            Finding::ok(TOPIC, isolated, meaning)
        }
        (None, [_, .., last]) => {
            let line = format!(
                "add isolcpus={last} nohz_full={last} to the kernel's command line and boot"
            );
            Finding::note(TOPIC, "none", "others may run on the core that measures")
                .fix(Fix::Machine(line))
        }
        (None, _) => Finding::ok(TOPIC, "none", "with one core there is none to spare"),
    }
}

/// How the frequency of the allowed cores is chosen.
fn governor(governors: &[String]) -> Finding {
    const TOPIC: &str = "governor";
    let names: BTreeSet<&str> = governors.iter().map(String::as_str).collect();
    let value = names.iter().copied().collect::<Vec<_>>().join(", ");
    if names.is_empty() {
        return Finding::ok(TOPIC, "none", "the kernel here does not change the frequency");
    }
    if names.iter().all(|name| *name == "performance") {
        return Finding::ok(TOPIC, value, "the frequency stays high");
    }
    let meaning = "the frequency follows the load: the rarer the probe, the slower its core";
    Finding::limit(TOPIC, value, meaning).fix(Fix::Machine(format!(
        "echo performance | sudo tee {SYSFS}/cpu*/cpufreq/scaling_governor"
    )))
}

/// One sleep state of a core.
#[derive(Clone, Debug)]
struct SleepState {
    number: usize,
    name: String,
    /// How long it takes to leave.
    exit: Duration,
    is_off: bool,
}

fn sleeps(cpu: usize) -> Vec<SleepState> {
    let state = |number| {
        let field = |name| read(&format!("{SYSFS}/cpu{cpu}/cpuidle/state{number}/{name}"));
        Some(SleepState {
            number,
            name: field("name")?,
            exit: Duration::from_micros(field("latency")?.parse().ok()?),
            is_off: field("disable")? != "0",
        })
    };
    (0..SLEEPS).map_while(state).collect()
}

/// How deeply an idle core sleeps.
fn idle(states: &[SleepState]) -> Finding {
    const TOPIC: &str = "idle_states";
    let Some(deepest) = states.iter().filter(|state| !state.is_off).max_by_key(|state| state.exit)
    else {
        return Finding::ok(TOPIC, "none", "the kernel here puts no core into deeper sleep");
    };
    let value = format!("{}, {} to leave", deepest.name, span(deepest.exit));
    if deepest.exit <= LIGHT_SLEEP {
        return Finding::ok(TOPIC, value, "an idle core wakes fast");
    }
    let deep: String = states
        .iter()
        .filter(|state| !state.is_off && state.exit > LIGHT_SLEEP)
        .map(|state| state.number.to_string())
        .collect();
    let line = format!("echo 1 | sudo tee {SYSFS}/cpu*/cpuidle/state[{deep}]/disable");
    let meaning = "after a pause the first packet waits for that: rare probes are slower";
    let finding = if deepest.exit <= DEEP_SLEEP {
        Finding::note(TOPIC, value, meaning)
    } else {
        Finding::limit(TOPIC, value, meaning)
    };
    finding.fix(Fix::Machine(line))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn line(finding: &Finding) -> String {
        finding.fix.as_ref().map_or_else(String::new, |fix| fix.line(Default::default()))
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn few_cores_are_to_be_pinned_and_one_is_a_limit() {
        let alone = [vec![0], vec![1]];
        let two = count(&[0, 1], &[0, 1], &[], &alone);
        assert_eq!((two.verdict, two.value.as_str()), (Verdict::Note, "2 of 2 (0-1)"));
        assert!(line(&two).contains("--cpus 0 & taskset -c 1 "), "{}", line(&two));
        // Of two cores with two halves each, the other core and not the other half.
        let halves = [vec![0, 2], vec![1, 3], vec![0, 2]];
        let three = count(&[0, 1, 2], &[0, 1, 2, 3], &[], &halves);
        assert!(line(&three).contains("taskset -c 1 "), "{}", line(&three));
        let one = count(&[3], &[0, 1, 2, 3], &[0, 1, 2, 3], &alone);
        assert_eq!((one.verdict, line(&one).as_str()), (Verdict::Limit, "taskset -pc 0-3 $$"));
        assert_eq!(count(&[0], &[0], &[0], &alone).fix, None);
        assert_eq!(count(&[0, 1, 2, 3], &[0, 1, 2, 3], &[], &[]).verdict, Verdict::Ok);
    }

    #[test]
    fn halves_of_one_core() {
        assert_eq!(smt(&[0, 1], &[vec![0], vec![1]]).verdict, Verdict::Ok);
        assert_eq!(smt(&[0, 1], &[vec![0, 1], vec![0, 1]]).verdict, Verdict::Limit);
        let four = smt(&[0, 1, 2, 3], &[vec![0, 2], vec![1, 3], vec![0, 2], vec![1, 3]]);
        assert_eq!(
            (four.value.as_str(), line(&four).as_str()),
            ("4 threads of 2 cores", "taskset -pc 0-1 $$")
        );
        let strangers = smt(&[0, 1], &[vec![0, 2], vec![1, 3]]);
        assert_eq!((strangers.verdict, strangers.fix.is_some()), (Verdict::Note, false));
        assert_eq!(smt(&[0], &[]).value, "unknown");
    }

    #[test]
    fn isolated_cores_are_offered_or_missed() {
        let offered = isolation(Some("2-3"), &[0, 1]);
        assert_eq!(offered.verdict, Verdict::Ok);
        assert!(offered.meaning.contains("taskset -c 3"), "{}", offered.meaning);
        let missed = isolation(Some(""), &[0, 1]);
        assert_eq!(missed.verdict, Verdict::Note);
        assert!(line(&missed).contains("isolcpus=1 "), "{}", line(&missed));
        assert_eq!(isolation(Some(""), &[0]).verdict, Verdict::Ok);
        assert_eq!(isolation(None, &[0, 1]).value, "unknown");
    }

    #[test]
    fn governors_of_other_hosts() {
        assert_eq!(governor(&[]).verdict, Verdict::Ok);
        assert_eq!(governor(&names(&["performance"; 8])).verdict, Verdict::Ok);
        for other in ["powersave", "schedutil", "ondemand", "conservative"] {
            let found = governor(&names(&["performance", other]));
            assert_eq!(found.verdict, Verdict::Limit);
            assert_eq!(
                line(&found),
                "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
            );
        }
    }

    #[test]
    fn deep_sleep_is_what_can_still_be_entered() {
        let state = |number, name: &str, exit, is_off| SleepState {
            number,
            name: name.to_owned(),
            exit: Duration::from_micros(exit),
            is_off,
        };
        let laptop = [
            state(0, "POLL", 0, false),
            state(1, "C1", 2, false),
            state(2, "C6", 133, false),
            state(3, "C10", 890, true),
        ];
        let found = idle(&laptop);
        assert_eq!((found.verdict, found.value.as_str()), (Verdict::Limit, "C6, 133 µs to leave"));
        assert!(line(&found).ends_with("state[2]/disable"), "{}", line(&found));
        assert_eq!(idle(&laptop[..2]).verdict, Verdict::Ok);
        assert_eq!(idle(&[]).verdict, Verdict::Ok);
    }
}
