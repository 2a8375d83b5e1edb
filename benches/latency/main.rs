//! Latency of the server against a floor, side by side in one run:
//!
//! ```text
//! cargo bench --bench latency                      every row, under 3 minutes
//! cargo bench --bench latency -- --quick           the same, coarse, under 20 s
//! cargo bench --bench latency -- --only relay      rows whose title says so
//! cargo bench --bench latency -- idle-memory       memory and CPU of idle subscribers
//! cargo bench --bench latency -- lag               slow subscribers beside fast ones
//! cargo bench --bench latency -- syscalls          system calls per frame (needs strace)
//! cargo bench --bench latency -- peers             latency beside other servers'
//! cargo bench --bench latency -- cpu               CPU per delivered Gbit, beside others'
//! cargo bench --bench latency -- slope             cost per subscriber, TCP and UDP, 11 minutes
//! cargo bench --bench latency -- scale             cost per stream, 3 minutes
//! cargo bench --bench latency -- overload          turn times, 2 minutes
//! cargo bench --bench latency -- shards            a second shard, 1 minute
//! cargo bench --bench latency -- profile           where the time goes (needs perf)
//!     --rounds N --seconds S --rate HZ --json FILE --markdown
//! ```
//!
//! The load generator has one core, the process under test another. Without
//! `--bench`, which cargo bench gives and cargo test does not, one short round
//! shows that it works, and measures nothing.

mod child;
mod contest;
mod cpu;
mod floor;
mod frame;
mod lag;
mod load;
mod memory;
mod network;
mod output;
mod peer;
mod peers;
mod picture;
mod report;
mod rows;
mod scale;
mod service;
mod stats;
mod syscalls;
mod table;

use load::Pace;
use nearlight::sys::affinity;
use report::Format;
use rows::Setup;
use service::Service;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Rows,
    Syscalls,
    Scale(scale::What),
    IdleMemory,
    Lag,
    Peers,
    Cpu,
}

/// How.
struct Options {
    mode: Mode,
    is_bench: bool,
    quick: bool,
    rounds: Option<usize>,
    seconds: Option<u64>,
    rate: u32,
    only: String,
    json: Option<PathBuf>,
    format: Format,
}

impl Options {
    fn manner(&self) -> scale::Manner<'_> {
        scale::Manner {
            is_quick: self.quick || !self.is_bench,
            format: self.format,
            json: self.json.as_deref(),
            only: &self.only,
        }
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.first().map(String::as_str) {
        Some("--floor") => as_floor(&args[1..]),
        Some("--bare") => scale::floors::run(&args[1..]),
        _ => parse(&args).map_err(Into::into).and_then(|options| match options {
            Some(options) => run(&options),
            None => Ok(()),
        }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("latency: {why}");
            ExitCode::FAILURE
        }
    }
}

fn as_floor(args: &[String]) -> Result<(), Box<dyn Error>> {
    let floor = Service::of_floor_args(args).ok_or("--floor is for the benchmark's own use")?;
    let (service, idle, cpu, cc) = floor;
    floor::run(service, idle, cpu, cc)
}

/// `Ok(None)`: there is nothing to do.
fn parse(args: &[String]) -> Result<Option<Options>, String> {
    let mut options = Options {
        mode: Mode::Rows,
        is_bench: false,
        quick: false,
        rounds: None,
        seconds: None,
        rate: 2000,
        only: String::new(),
        json: None,
        format: Format::Text,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        let number =
            |text: &String| text.parse::<u32>().map_err(|_| format!("{arg} {text}: no number"));
        match arg.as_str() {
            "--bench" => options.is_bench = true,
            "--test" => options.is_bench = false,
            "--list" => return Ok(None),
            "--quick" => options.quick = true,
            "--markdown" => options.format = Format::Markdown,
            "--rounds" => options.rounds = Some(number(value()?)? as usize),
            "--seconds" => options.seconds = Some(u64::from(number(value()?)?)),
            "--rate" => options.rate = number(value()?)?,
            "--only" => options.only = value()?.to_lowercase(),
            "--json" => options.json = Some(value()?.into()),
            "syscalls" => options.mode = Mode::Syscalls,
            "idle-memory" => options.mode = Mode::IdleMemory,
            "lag" => options.mode = Mode::Lag,
            "peers" => options.mode = Mode::Peers,
            "cpu" => options.mode = Mode::Cpu,
            other => match scale::What::parse(other) {
                Some(what) => options.mode = Mode::Scale(what),
                None => {
                    return Err(format!("{other}: unknown; the file's head says what there is"));
                }
            },
        }
    }
    if options.rounds == Some(0) || !(1..=100_000).contains(&options.rate) {
        return Err("--rounds counts from 1, --rate from 1 to 100000".to_owned());
    }
    Ok(Some(options))
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    stats::verify()?;
    let setup = setup(options)?;
    if !options.is_bench && !network::is_within() {
        println!("a short run that shows that it works, and measures nothing: --bench measures");
    }
    match options.mode {
        Mode::Rows if options.is_bench => measure(options, &setup),
        // To see that it works, what needs no other program to look on.
        Mode::Rows => {
            measure(options, &setup)?;
            beside_others(&setup, options, Mode::Peers)?;
            beside_others(&setup, options, Mode::Cpu)
        }
        Mode::Syscalls => syscalls::run(&setup, options.format),
        Mode::Scale(what) => scale::run(what, &setup, &options.manner()),
        Mode::IdleMemory => memory::run(&setup, options.quick),
        Mode::Lag => lag::run(&setup, options.quick),
        mode @ (Mode::Peers | Mode::Cpu) => beside_others(&setup, options, mode),
    }
}

/// Runs what other servers take part in, in a network of its own.
fn beside_others(setup: &Setup, options: &Options, mode: Mode) -> Result<(), Box<dyn Error>> {
    peer::wire::verify()?;
    let is_cpu = mode == Mode::Cpu;
    match network::enter(&setup.cc, if is_cpu { "cpu" } else { "peers" })? {
        network::Place::Here if is_cpu => cpu::run(setup, options),
        network::Place::Here => peers::run(setup, options),
        network::Place::Done(status) if status.success() => Ok(()),
        network::Place::Done(status) => {
            Err(format!("the run in a network of its own: {status}").into())
        }
    }
}

fn measure(options: &Options, setup: &Setup) -> Result<(), Box<dyn Error>> {
    let mut report = report::Report::new(setup, options.format);
    report.begin();
    for row in rows::rows() {
        if row.title().to_lowercase().contains(&options.only) {
            report.add(rows::measure(row, setup)?);
        }
    }
    report.end();
    if let Some(file) = &options.json {
        std::fs::write(file, report.json()).map_err(|why| format!("{}: {why}", file.display()))?;
    }
    Ok(())
}

/// Cores, congestion control, and how long.
fn setup(options: &Options) -> Result<Setup, Box<dyn Error>> {
    let cpus = affinity::allowed_cpus()?;
    let [load_cpu, .., server_cpu] = cpus[..] else {
        return Err("two cores are needed: one for the load, one for the server".into());
    };
    let (rounds, warm_up, span) = match (options.is_bench, options.quick) {
        (true, false) => (9, 100, 400),
        (true, true) => (5, 10, 60),
        // A look at whether it works.
        (false, _) => (1, 5, 10),
    };
    Ok(Setup {
        load_cpu,
        server_cpu,
        cc: congestion_control()?,
        rounds: options.rounds.unwrap_or(rounds),
        pace: Pace::new(
            options.rate,
            Duration::from_millis(warm_up),
            options.seconds.map_or(Duration::from_millis(span), Duration::from_secs),
        ),
    })
}

/// `reno`, or another that is not BBR, which misbehaves in virtual machines.
fn congestion_control() -> Result<String, Box<dyn Error>> {
    let path = "/proc/sys/net/ipv4/tcp_available_congestion_control";
    let text = std::fs::read_to_string(path).map_err(|why| format!("{path}: {why}"))?;
    let names: Vec<&str> = text.split_whitespace().collect();
    let chosen = ["reno", "cubic"].iter().find(|name| names.contains(name));
    let chosen = chosen.or_else(|| names.iter().find(|name| !name.starts_with("bbr")));
    Ok((*chosen.ok_or("no congestion control but BBR here")?).to_owned())
}
