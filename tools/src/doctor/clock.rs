//! The clock and the timers: which counter the kernel reads, what a read costs,
//! how late a thread is woken, how often a spinning one is put aside. Sources:
//! Documentation/timers/timekeeping.rst of Linux, prctl(2), clock_getres(2).

use std::time::Duration;

use nearlight::client::report::format_latency;
use nearlight::sys::doctor::timer_resolution;

use super::finding::{Finding, Fix};
use super::host::read;
use super::measure::{Measured, Sleep, Spin};

const SYSFS: &str = "/sys/devices/system/clocksource/clocksource0";
/// Counters that a program reads without entering the kernel, best first.
const FAST: [&str; 7] = [
    "tsc",
    "arch_sys_counter",
    "riscv_clocksource",
    "timebase",
    "tod",
    "kvm-clock",
    "hyperv_clocksource_tsc_page",
];
/// Devices outside the processor, or an exit to the hypervisor for each read;
/// jiffies move with the tick alone.
const SLOW: [&str; 6] =
    ["hpet", "acpi_pm", "hyperv_clocksource_msr", "jiffies", "refined-jiffies", "pit"];
/// A read within this goes unnoticed in any round trip; one beyond `DEAR` is
/// part of the smallest.
const CHEAP: Duration = Duration::from_nanos(100);
const DEAR: Duration = Duration::from_micros(1);
/// What a thread gets that asked for nothing: prctl(2), PR_SET_TIMERSLACK.
const USUAL_SLACK: Duration = Duration::from_micros(50);
/// Lateness may be a tenth of the interval; more, and the schedule is in the
/// numbers.
const INTERVALS: u32 = 10;
/// Paced by sleep, intervals from this long on are common.
const COMMON: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_millis(10);
/// Gaps below this are interrupts; beyond `STOLEN` another thread or guest ran.
const INTERRUPT: Duration = Duration::from_micros(50);
const STOLEN: Duration = Duration::from_millis(1);

/// Everything of this file, judged.
pub(super) fn look(measured: &Measured) -> Vec<Finding> {
    let current = read(&format!("{SYSFS}/current_clocksource"));
    let available = read(&format!("{SYSFS}/available_clocksource"));
    vec![
        interruptions(&measured.spin),
        oversleep(&measured.exact),
        clock_source(current.as_deref(), available.as_deref().unwrap_or_default()),
        clock_cost(&measured.spin),
        resolution(timer_resolution().ok()),
        timer_slack(&measured.given, &measured.exact),
    ]
}

/// A span as people read it, below a microsecond too.
pub(super) fn span(value: Duration) -> String {
    if value < Duration::from_micros(1) {
        format!("{} ns", value.as_nanos())
    } else {
        format_latency(value)
    }
}

/// The counter behind the clock, and what else there is.
fn clock_source(current: Option<&str>, available: &str) -> Finding {
    const TOPIC: &str = "clock_source";
    let Some(current) = current else {
        return Finding::unknown(TOPIC);
    };
    if FAST.contains(&current) {
        return Finding::ok(TOPIC, current, "read without entering the kernel");
    }
    let finding = if SLOW.contains(&current) {
        let meaning = "each look at the clock is slow, or the clock is coarse";
        Finding::limit(TOPIC, current, meaning)
    } else {
        Finding::note(TOPIC, current, "reading it may take a system call: see clock_cost")
    };
    let better = FAST.iter().find(|name| available.split_whitespace().any(|have| have == **name));
    match better {
        Some(name) => {
            let line = format!("echo {name} | sudo tee {SYSFS}/current_clocksource");
            finding.fix(Fix::Machine(line))
        }
        None => finding,
    }
}

/// What one look at the clock costs, and how finely it moves.
fn clock_cost(spin: &Spin) -> Finding {
    const TOPIC: &str = "clock_cost";
    let p50 = spin.cost.p50;
    let step = spin.step.map_or_else(|| "unknown".to_owned(), span);
    let p99 = spin.cost.p99.map_or_else(|| "unknown".to_owned(), span);
    let value = format!("{} a read, p99 {p99}, least step {step}", span(p50));
    // A clock that stands still between reads has steps longer than a read.
    let is_coarse = spin.step.is_none_or(|step| step > DEAR.max(spin.cost.p50 * 2));
    if is_coarse {
        Finding::limit(TOPIC, value, "the clock moves in steps: shorter times are all alike")
    } else if p50 > DEAR {
        Finding::limit(TOPIC, value, "several reads are in every round trip")
    } else if p50 > CHEAP {
        Finding::note(TOPIC, value, "it adds to the shortest round trips")
    } else {
        Finding::ok(TOPIC, value, "too little to be seen in a round trip")
    }
}

/// What the kernel rounds timers up to.
fn resolution(of: Option<Duration>) -> Finding {
    const TOPIC: &str = "timer_resolution";
    match of {
        Some(length) if length <= Duration::from_micros(1) => {
            Finding::ok(TOPIC, span(length), "high-resolution timers")
        }
        Some(length) => {
            Finding::limit(TOPIC, span(length), "timed waits end with the tick: pace by spinning")
                .fix(Fix::Machine("take highres=off off the kernel's command line and boot".into()))
        }
        None => Finding::unknown(TOPIC),
    }
}

/// How late threads may be woken, to gather wake-ups.
fn timer_slack(given: &Sleep, exact: &Sleep) -> Finding {
    const TOPIC: &str = "timer_slack";
    let (Some(inherited), Some(asked)) = (given.slack, exact.slack) else {
        return Finding::unknown(TOPIC);
    };
    let value = format!("{}, {} while measuring", span(inherited), span(asked));
    if asked > Duration::from_micros(1) {
        return Finding::limit(TOPIC, value, "exact wake-ups are refused: sleep pacing is late");
    }
    if inherited > USUAL_SLACK {
        let line = format!("echo {} > /proc/$$/timerslack_ns", USUAL_SLACK.as_nanos());
        return Finding::note(TOPIC, value, "the system's ping and other programs wake late")
            .fix(Fix::Here(line));
    }
    Finding::ok(TOPIC, value, "the first is what the system's ping has")
}

/// How late timed waits end, although exact wake-ups were asked for.
fn oversleep(exact: &Sleep) -> Finding {
    const TOPIC: &str = "oversleep";
    let Some(late) = exact.late else {
        return Finding::unknown(TOPIC);
    };
    let (name, worst) = late.p99.map_or(("max", late.max), |p99| ("p99", p99));
    let value = format!(
        "p50 {}, {name} {}, max {} (n {})",
        span(late.p50),
        span(worst),
        span(late.max),
        late.count
    );
    let shortest = worst * INTERVALS;
    if shortest <= COMMON {
        return Finding::ok(TOPIC, value, "pacing by sleep holds from intervals of 1 ms");
    }
    let meaning =
        format!("below intervals of {}, pacing by sleep is seen in the numbers", span(shortest));
    let finding = if shortest <= LONG {
        Finding::note(TOPIC, value, meaning)
    } else {
        Finding::limit(TOPIC, value, meaning)
    };
    finding.fix(Fix::Here("lightmeter ping --pace hybrid".to_owned()))
}

/// How often, and for how long, a thread that spins is put aside.
fn interruptions(spin: &Spin) -> Finding {
    const TOPIC: &str = "interruptions";
    if spin.gaps == 0 {
        return Finding::ok(TOPIC, "none", "a spinning thread has its core to itself");
    }
    let share = 100.0 * spin.away.as_secs_f64() / spin.lasted.as_secs_f64().max(1e-9);
    let value = format!(
        "{} in {}, {share:.2} % of it, longest {}",
        spin.gaps,
        span(spin.lasted),
        span(spin.longest)
    );
    if spin.longest <= INTERRUPT {
        Finding::ok(TOPIC, value, "short enough to be interrupts")
    } else if spin.longest <= STOLEN {
        Finding::note(TOPIC, value, "a spinning thread is put aside for that long: seen in tails")
    } else {
        Finding::limit(TOPIC, value, "others run on this core: seen in every tail, p99 and max")
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::super::measure::Spread;
    use super::*;

    const fn us(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn clock_sources_of_other_hosts() {
        for (current, available, verdict, better) in [
            ("tsc", "tsc kvm-clock", Verdict::Ok, None),
            ("kvm-clock", "kvm-clock tsc acpi_pm", Verdict::Ok, None),
            ("arch_sys_counter", "arch_sys_counter", Verdict::Ok, None),
            ("hpet", "hpet acpi_pm", Verdict::Limit, None),
            ("hpet", "tsc hpet acpi_pm", Verdict::Limit, Some("tsc")),
            ("xen", "xen tsc hpet acpi_pm", Verdict::Note, Some("tsc")),
            ("acpi_pm", "hyperv_clocksource_tsc_page acpi_pm", Verdict::Limit, Some("hyperv_")),
            ("jiffies", "jiffies", Verdict::Limit, None),
        ] {
            let found = clock_source(Some(current), available);
            assert_eq!(found.verdict, verdict, "{current}");
            let line = found.fix.map(|fix| fix.line(Default::default()));
            assert_eq!(line.is_some(), better.is_some(), "{current}: {line:?}");
            if let (Some(line), Some(better)) = (line, better) {
                assert!(line.starts_with(&format!("echo {better}")), "{line}");
                assert!(line.ends_with(&format!(" | sudo tee {SYSFS}/current_clocksource")));
            }
        }
        assert_eq!(clock_source(None, "").value, "unknown");
    }

    #[test]
    fn dear_and_coarse_clocks() {
        let clock = |p50: u64, step: u64| {
            let nanos = Duration::from_nanos;
            let cost = Spread { p50: nanos(p50), ..Spread::default() };
            clock_cost(&Spin { cost, step: Some(nanos(step)), ..Spin::default() }).verdict
        };
        assert_eq!(clock(28, 20), Verdict::Ok);
        assert_eq!(clock(250, 200), Verdict::Note);
        assert_eq!(clock(1_400, 1_300), Verdict::Limit, "hpet");
        assert_eq!(clock(0, 4_000_000), Verdict::Limit, "jiffies");
        assert_eq!(clock_cost(&Spin::default()).verdict, Verdict::Limit, "a clock that stands");
        assert_eq!(resolution(Some(Duration::from_nanos(1))).verdict, Verdict::Ok);
        assert_eq!(resolution(Some(us(4_000))).verdict, Verdict::Limit);
    }

    #[test]
    fn slack_is_what_others_have_and_we_should_not() {
        let sleep = |slack| Sleep { slack: Some(slack), late: None };
        let ns = Duration::from_nanos(1);
        assert_eq!(timer_slack(&sleep(us(50)), &sleep(ns)).verdict, Verdict::Ok);
        let wide = timer_slack(&sleep(us(100_000)), &sleep(ns));
        let line = "echo 50000 > /proc/$$/timerslack_ns".to_owned();
        assert_eq!((wide.verdict, wide.fix), (Verdict::Note, Some(Fix::Here(line))));
        assert_eq!(timer_slack(&sleep(us(50)), &sleep(us(50))).verdict, Verdict::Limit);
    }

    #[test]
    fn oversleep_says_from_which_interval_on_sleeping_will_do() {
        let late = |p99, max| {
            let spread = Spread { count: 320, p50: us(5), p99, max, ..Spread::default() };
            oversleep(&Sleep { slack: None, late: Some(spread) })
        };
        assert_eq!(late(Some(us(60)), us(900)).verdict, Verdict::Ok);
        let note = late(Some(us(400)), us(900));
        assert_eq!(note.verdict, Verdict::Note);
        assert!(note.meaning.contains("intervals of 4.00 ms"), "{}", note.meaning);
        assert_eq!(late(Some(us(1_500)), us(1_500)).verdict, Verdict::Limit);
        // Too few waits for a p99: the maximum stands for it, by its own name.
        let few = late(None, us(2_000));
        assert_eq!(few.verdict, Verdict::Limit);
        assert!(!few.value.contains("p99"), "{}", few.value);
    }

    #[test]
    fn gaps_are_interrupts_or_others() {
        let spin = |longest| {
            let lasted = us(400_000);
            Spin { gaps: 9, longest, away: longest, lasted, ..Spin::default() }
        };
        assert_eq!(interruptions(&Spin::default()).verdict, Verdict::Ok);
        assert_eq!(interruptions(&spin(us(30))).verdict, Verdict::Ok);
        assert_eq!(interruptions(&spin(us(300))).verdict, Verdict::Note);
        let stolen = interruptions(&spin(us(4_000)));
        assert_eq!(stolen.verdict, Verdict::Limit);
        assert!(stolen.value.contains("1.00 % of it, longest 4.00 ms"), "{}", stolen.value);
    }
}
