//! Where the time of a turn goes: perf(1) samples the server, and the floor
//! beside it, under a steady load; what the kernel takes of a delivered copy and
//! what the program does, and the functions that took most more than the floor's.
//! Beside it the phases, from the server's flight recorder, and the calls it has
//! counted.

use super::crowd::{Crowd, Layout, Run, Way};
use super::floors::Bare;
use super::rounds::{self, Arm};
use super::{Manner, page};
use crate::child::Process;
use crate::load::Pace;
use crate::rows::{self, Setup};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Samples a second, no divisor of anything that ticks.
const HERTZ: &str = "4999";
/// Functions that are shown, of the kernel and of the server.
const TOP: usize = 12;
/// For how long one is sampled.
const SPAN: Duration = Duration::from_secs(3);

/// One load.
struct Case {
    title: &'static str,
    layout: Layout,
    floor: Bare,
    urls: Vec<String>,
}

/// Samples every case whose title has what is wanted.
///
/// # Errors
/// No perf, or none that may look at a child.
pub(crate) fn run(setup: &Setup, manner: &Manner<'_>) -> Result<(), Box<dyn Error>> {
    for case in cases(&setup.cc).iter().filter(|case| case.title.contains(manner.only)) {
        let span = if manner.is_quick { SPAN / 6 } else { SPAN };
        let server = rounds::server(&case.urls, setup);
        let pace = rounds::pace(&server, case.layout, span, setup)?;
        let floor = sample(&Arm::Floor(case.floor), case.layout, pace, setup)?;
        let server = sample(&server, case.layout, pace, setup)?;
        case.show(&floor, &server);
    }
    Ok(())
}

fn cases(cc: &str) -> Vec<Case> {
    let http = "http://127.0.0.1:0".to_owned();
    let tcp = |title, receivers| Case {
        title,
        layout: Layout { way: Way::Tcp, streams: 1, receivers, burst: 1 },
        floor: Bare::Tcp(receivers),
        urls: vec![
            format!("tcp://127.0.0.1:0?publish=bench&framing=ts&cc={cc}"),
            http.clone(),
            format!("tcp://127.0.0.1:0?subscribe=bench&join=live&cc={cc}"),
        ],
    };
    let streams = |title, streams| Case {
        title,
        layout: Layout { way: Way::Http, streams, receivers: 1, burst: 1 },
        floor: Bare::Streams(streams),
        urls: vec![format!("http://127.0.0.1:0?framing=ts&cc={cc}")],
    };
    vec![
        tcp("10 tcp", 10),
        tcp("1000 tcp", 1000),
        Case {
            title: "100 udp",
            layout: Layout {
                way: Way::Udp { gro: true, at_once: false },
                streams: 1,
                receivers: 100,
                burst: 7,
            },
            floor: Bare::Gso(100),
            urls: vec![
                format!("tcp://127.0.0.1:0?publish=bench&framing=raw&cc={cc}"),
                http.clone(),
                "udp://127.0.0.1:0?subscribe=bench&handshake=off".to_owned(),
            ],
        },
        streams("1 stream", 1),
        streams("100 streams", 100),
        streams("1000 streams", 1000),
    ]
}

/// Its share of the samples in percent, whether it is the kernel's, and its name.
type Function = (f64, bool, String);

/// What one process did.
struct Sampled {
    run: Run,
    functions: Vec<Function>,
    /// The server's: its turns and its calls.
    turns: Vec<page::Turn>,
    calls: Vec<(String, f64)>,
}

impl Sampled {
    fn kernel(&self) -> f64 {
        let share = |is_kernel: bool| -> f64 {
            let own = self.functions.iter().filter(|(_, kernel, _)| *kernel == is_kernel);
            own.map(|(share, _, _)| share).sum()
        };
        share(true) / (share(true) + share(false)).max(1e-9)
    }
}

/// Runs an arm with perf attached.
fn sample(arm: &Arm, layout: Layout, pace: Pace, setup: &Setup) -> Result<Sampled, Box<dyn Error>> {
    let process = rounds::start(arm, setup)?;
    let http = match arm {
        Arm::Server(_) if layout.way == Way::Http => process.addrs.first().copied(),
        Arm::Server(_) => process.addrs.get(1).copied(),
        Arm::Floor(_) => None,
    };
    let file = std::env::temp_dir().join(format!("nearlight-perf-{}.data", process.id()));
    let frames = (pace.warm_up + pace.frames) as f64;
    let (run, turns, calls) = rows::loaded(setup, || {
        let mut crowd = Crowd::connect(layout, &process.addrs, &setup.cc)?;
        let before = http.map(calls).transpose()?.unwrap_or_default();
        let perf = Perf::attach(&process, file.clone())?;
        let run = crowd.run(pace, &process)?;
        perf.finish()?;
        let after = http.map(calls).transpose()?.unwrap_or_default();
        let turns = http.map(|http| page::get(http, "/api/turns")).transpose()?;
        let made = after.into_iter().map(|(name, count)| {
            let earlier = before.get(&name).copied().unwrap_or(0);
            (name, (count - earlier) as f64 / frames)
        });
        Ok((run, turns, made.collect::<Vec<_>>()))
    })?;
    let turns = turns.map_or(Ok(Vec::new()), |turns| page::turns(&turns))?;
    let functions = report(&file);
    // Perf may have written none.
    let _gone = fs::remove_file(&file);
    Ok(Sampled { run, functions: functions?, turns, calls })
}

fn calls(http: SocketAddr) -> io::Result<BTreeMap<String, u64>> {
    let metrics = page::get(http, "/metrics")?;
    let mut calls: BTreeMap<String, u64> =
        page::by_label(&metrics, "nearlight_calls_total").into_iter().collect();
    calls.insert("poll".to_owned(), page::sum(&metrics, "nearlight_polls_total"));
    calls.insert("(turns)".to_owned(), page::sum(&metrics, "nearlight_turns_total"));
    Ok(calls)
}

struct Perf(std::process::Child);

impl Perf {
    fn attach(process: &Process, file: PathBuf) -> io::Result<Self> {
        let child = Command::new("perf")
            .args(["record", "-q", "-e", "cpu-clock", "-F", HERTZ, "-o"])
            .arg(file)
            .args(["-p", &process.id().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        child.map(Self).map_err(|why| io::Error::other(format!("perf: {why}")))
    }

    fn finish(mut self) -> io::Result<()> {
        let status = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status()?;
        self.0.wait()?;
        if status.success() { Ok(()) } else { Err(io::Error::other("perf ended by itself")) }
    }
}

/// Functions, the dearest first.
fn report(file: &Path) -> Result<Vec<Function>, Box<dyn Error>> {
    let out = Command::new("perf")
        .args(["report", "--stdio", "-q", "-g", "none", "-F", "overhead,sym", "-i"])
        .arg(file)
        .stderr(Stdio::null())
        .output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    let functions: Vec<Function> = text.lines().filter_map(function).collect();
    if functions.is_empty() {
        return Err("perf has no samples; it may not look at other processes here".into());
    }
    Ok(functions)
}

/// `  12.34%  [k] tcp_sendmsg`
fn function(line: &str) -> Option<Function> {
    let (share, rest) = line.trim().split_once('%')?;
    let (kind, name) = rest.trim().split_once(' ')?;
    Some((share.trim().parse().ok()?, kind == "[k]", name.trim().to_owned()))
}

impl Case {
    fn show(&self, floor: &Sampled, server: &Sampled) {
        println!("\n{}: CPU us of a delivered copy", self.title);
        for (name, sampled) in [("floor", floor), ("server", server)] {
            let (each, kernel) = (sampled.run.cpu_per_copy(), sampled.kernel());
            println!(
                "  {name:<8}{each:7.2}   kernel {:.2}   program {:.2}   (busy {:.0} %)",
                each * kernel,
                each * (1.0 - kernel),
                100.0 * sampled.run.busy()
            );
        }
        let list: Vec<String> = server
            .calls
            .iter()
            .filter(|(_, count)| *count >= 0.005)
            .map(|(name, count)| format!("{name} {count:.2}"))
            .collect();
        println!("  for each frame: {}", list.join(", "));
        let mut phases: BTreeMap<&str, (u64, f64)> = BTreeMap::new();
        for turn in &server.turns {
            let (count, sum) = phases.entry(&turn.longest).or_default();
            *count += 1;
            *sum += turn.span.as_secs_f64() * 1e6;
        }
        for (phase, (count, sum)) in phases {
            println!("  {count} turns of mostly {phase}, {:.1} us each", sum / count as f64);
        }
        println!("  ns of a copy: floor, server, more than the floor");
        for is_kernel in [true, false] {
            for (name, [floor, server]) in dearer(floor, server, is_kernel).into_iter().take(TOP) {
                let mark = if is_kernel { "kernel " } else { "" };
                println!("  {floor:7.0} {server:7.0} {:7.0}   {mark}{name}", server - floor);
            }
        }
    }
}

/// Functions by how much more of a copy's nanoseconds the server spends in them
/// than the floor does.
fn dearer(floor: &Sampled, server: &Sampled, is_kernel: bool) -> Vec<(String, [f64; 2])> {
    let mut costs: BTreeMap<&str, [f64; 2]> = BTreeMap::new();
    for (n, sampled) in [floor, server].into_iter().enumerate() {
        let all: f64 = sampled.functions.iter().map(|(share, _, _)| share).sum();
        let nanos = 1000.0 * sampled.run.cpu_per_copy() / all.max(1e-9);
        for (share, _, name) in sampled.functions.iter().filter(|one| one.1 == is_kernel) {
            costs.entry(name).or_default()[n] += nanos * share;
        }
    }
    let mut list: Vec<_> = costs.into_iter().map(|(name, both)| (name.to_owned(), both)).collect();
    list.sort_by(|(_, one), (_, other)| (other[1] - other[0]).total_cmp(&(one[1] - one[0])));
    list
}
