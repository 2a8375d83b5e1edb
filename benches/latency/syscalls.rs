//! System calls per frame, counted by strace, of the server and of its floor.
//! Both sleep when idle: of one that spins, the count says how fast it spins.
//! Times mean nothing under strace, and none are given.

use crate::child::Process;
use crate::load::{Load, Pace};
use crate::report::{self, Format};
use crate::rows::{self, Row, Setup};
use crate::service::Idle;
use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Slow enough that each frame is a turn of its own under strace.
const HERTZ: u32 = 200;
const SPAN: Duration = Duration::from_secs(1);

/// Counts every row and writes the table.
///
/// # Errors
/// No strace, or none that may look at a child.
pub(crate) fn run(setup: &Setup, format: Format) -> Result<(), Box<dyn Error>> {
    println!("system calls per frame, both sleeping when idle, {HERTZ} frames/s, by strace -c");
    println!();
    let heads = ["row", "floor", "server", "the server's calls"];
    println!("{}", report::line(format, &heads.map(str::to_owned)));
    if format == Format::Markdown {
        println!("|{}", "---|".repeat(heads.len()));
    }
    for row in rows::rows().into_iter().filter(|row| row.idle == Idle::Spin && row.key.is_empty()) {
        let row = Row { idle: Idle::Block, ..row };
        let floor = count(row, false, setup)?;
        let server = count(row, true, setup)?;
        let all = |calls: &[(String, f64)]| calls.iter().map(|(_, count)| count).sum::<f64>();
        let list: Vec<String> =
            server.iter().map(|(name, count)| format!("{name} {count:.2}")).collect();
        let cells = [
            row.service.title(),
            format!("{:.2}", all(&floor)),
            format!("{:.2}", all(&server)),
            list.join(", "),
        ];
        println!("{}", report::line(format, &cells));
    }
    Ok(())
}

/// Calls per frame by name, the most frequent first.
fn count(row: Row, is_server: bool, setup: &Setup) -> Result<Vec<(String, f64)>, Box<dyn Error>> {
    let process = rows::start(row, is_server, setup)?;
    let pace = Pace::new(HERTZ, Duration::ZERO, SPAN);
    let mut trace = None;
    rows::loaded(setup, || {
        let mut load = Load::connect(row.service, &process.addrs, &setup.cc)?;
        let tracer = Trace::attach(&process)?;
        load.run(pace, || {})?;
        trace = Some(tracer);
        Ok(())
    })?;
    let text = trace.ok_or("no trace")?.finish()?;
    Ok(parse(&text, pace.frames))
}

struct Trace {
    child: Child,
    out: BufReader<std::process::ChildStderr>,
}

impl Trace {
    /// Attaches to a process and returns once its calls are counted.
    fn attach(process: &Process) -> std::io::Result<Self> {
        let mut child = Command::new("strace")
            .args(["-f", "-c", "-S", "calls", "-U", "calls,name", "-p"])
            .arg(process.id().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut out = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut line = String::new();
        out.read_line(&mut line)?;
        if !line.contains("attached") {
            let why = format!("strace can't attach: {}", line.trim());
            return Err(std::io::Error::other(why));
        }
        Ok(Self { child, out })
    }

    /// Ends the trace; answers its summary.
    fn finish(mut self) -> Result<String, Box<dyn Error>> {
        let status = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status()?;
        if !status.success() {
            return Err("kill -INT of strace failed".into());
        }
        let mut text = String::new();
        self.out.read_to_string(&mut text)?;
        self.child.wait()?;
        Ok(text)
    }
}

/// Lines of `calls name` between two rules.
fn parse(text: &str, frames: u64) -> Vec<(String, f64)> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let count: f64 = words.next()?.parse().ok()?;
        let name = words.next().filter(|name| *name != "total")?;
        Some((name.to_owned(), count / frames as f64))
    });
    lines.collect()
}
