//! The process under test: the server, or a floor. It says where it listens,
//! and the kernel says what it has used.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::ops::Add;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What the scheduler says of threads; nothing where it keeps no schedstat.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Time on a CPU, to the nanosecond; without schedstat in ticks of 10 ms.
    pub(crate) cpu: Duration,
    /// Time spent waiting for a CPU that somebody else had.
    pub(crate) waited: Duration,
}

impl Usage {
    /// Of the calling thread.
    pub(crate) fn of_this_thread() -> Self {
        Self::read(Path::new("/proc/thread-self/schedstat"))
    }

    /// Two numbers of nanoseconds, sched-stats.txt of the kernel.
    fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap_or_default();
        let mut nanos = text.split_whitespace().map_while(|field| field.parse().ok());
        let mut next = || Duration::from_nanos(nanos.next().unwrap_or(0));
        Self { cpu: next(), waited: next() }
    }

    /// What was used since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            waited: self.waited.saturating_sub(earlier.waited),
        }
    }
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, waited: self.waited + other.waited }
    }
}

/// A running process that is ended when this is dropped.
pub(crate) struct Process {
    child: Child,
    /// Where it listens, in the order of its arguments.
    pub(crate) addrs: Vec<SocketAddr>,
}

impl Process {
    /// Starts `program` and waits until it listens.
    ///
    /// # Errors
    /// It can't be started, or ends instead of listening.
    pub(crate) fn start(program: &Path, args: &[String]) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .env("RUST_BACKTRACE", "0")
            .spawn()
            .map_err(|why| format!("{}: {why}", program.display()))?;
        let out = child.stdout.take().expect("stdout is piped");
        let mut process = Self { child, addrs: Vec::new() };
        for line in BufReader::new(out).lines() {
            let line = line?;
            if line == "ready" {
                return Ok(process);
            }
            let addr = line.strip_prefix("listening ").and_then(address);
            process.addrs.push(addr.ok_or_else(|| format!("no address in '{line}'"))?);
        }
        let status = process.child.wait()?;
        Err(format!("{} {}: {status} before it was ready", program.display(), args.join(" "))
            .into())
    }

    /// A program of others, that says nothing of where it listens.
    pub(crate) const fn of(child: Child) -> Self {
        Self { child, addrs: Vec::new() }
    }

    /// The server's release binary of this build.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub(crate) fn server(args: &[String]) -> Result<Self, Box<dyn Error>> {
        Self::start(Path::new(env!("CARGO_BIN_EXE_nearlight")), args)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What its threads together have used so far.
    pub(crate) fn usage(&self) -> Usage {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id())).into_iter().flatten();
        let mut usage = Usage::default();
        for task in tasks.flatten() {
            usage = usage + Usage::read(&task.path().join("schedstat"));
        }
        if usage.cpu.is_zero() {
            usage.cpu = self.ticks();
        }
        usage
    }

    fn ticks(&self) -> Duration {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        // Fields 14 and 15, proc_pid_stat(5); the name before may hold blanks.
        let after = text.rsplit_once(')').map_or("", |(_, after)| after);
        let used = after.split_whitespace().skip(11).take(2);
        Duration::from_millis(10 * used.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>())
    }

    /// Its anonymous memory, in bytes.
    pub(crate) fn anonymous(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        1024 * kib.unwrap_or(0)
    }

    /// How often its threads gave up the CPU of themselves: wake-ups.
    pub(crate) fn sleeps(&self) -> u64 {
        self.switches("voluntary_ctxt_switches:")
    }

    /// How often the CPU was taken from its threads.
    pub(crate) fn preemptions(&self) -> u64 {
        self.switches("nonvoluntary_ctxt_switches:")
    }

    fn switches(&self, what: &str) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id())).into_iter().flatten();
        tasks
            .flatten()
            .filter_map(|task| {
                let text = fs::read_to_string(task.path().join("status")).ok()?;
                let count = text.lines().find_map(|line| line.strip_prefix(what));
                count?.trim().parse::<u64>().ok()
            })
            .sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already; all it leaves then is its exit status.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// The address in `tcp://127.0.0.1:1234?key=value`.
fn address(url: &str) -> Option<SocketAddr> {
    let (_, rest) = url.split_once("://")?;
    rest.split(['?', '/']).next()?.parse().ok()
}

/// What `/proc/stat` says of all CPUs together, in ticks: (stolen, all).
pub(crate) fn stolen() -> (u64, u64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let fields: Vec<u64> =
        line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal, proc_stat(5).
    (fields.get(7).copied().unwrap_or(0), fields.iter().take(8).sum())
}
