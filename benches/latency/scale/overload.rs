//! How long turns take while more is offered than can be sent: TCP readers,
//! some that never read, and UDP, all of one stream. The turns are those of the
//! server's own flight recorder (`/api/turns`), the last 4,096 of each run.
//!
//! A turn that is interrupted is long whatever the server does. So a loop that
//! does nothing but look at the clock for as long as a turn may take runs on
//! the same core before and after: what it takes is this machine's share.

use super::Manner;
use super::crowd;
use super::page;
use super::rounds;
use super::table::{Findings, Table};
use crate::child::{Process, Usage};
use crate::frame::{self, Shape};
use crate::rows::{self, Setup};
use crate::stats::Ratio;
use nearlight::base::Instant;
use nearlight::client::hist::Hist;
use nearlight::sys::affinity;
use nearlight::sys::clock::Clock;
use serde_json::json;
use socket2::SockRef;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

/// The goal for 999 turns of 1,000.
const GOAL: Duration = Duration::from_micros(500);
/// What the loop that does nothing does nothing for: a phase's budget.
const IDLE_TURN: Duration = Duration::from_micros(250);
/// Before turns are asked for.
const WARM_UP: Duration = Duration::from_millis(1500);
/// From one write of the publisher to the next.
const INTERVAL: Duration = Duration::from_micros(500);
/// Frames of each write: 42 MB/s.
const BURST: u64 = 16;
/// What a stalled subscriber's kernel takes.
const STALLED_BUFFER: usize = 32 * 1024;

/// Who is sent the stream.
#[derive(Clone, Copy)]
pub(super) struct Mix {
    pub(super) title: &'static str,
    /// Over TCP, reading.
    pub(super) tcp: usize,
    /// Over TCP, not reading.
    pub(super) stalled: usize,
    /// Over UDP.
    pub(super) udp: usize,
}

const MIXES: [Mix; 3] = [
    Mix { title: "200 TCP", tcp: 200, stalled: 0, udp: 0 },
    Mix { title: "200 UDP", tcp: 0, stalled: 0, udp: 200 },
    Mix { title: "100 TCP, 50 stalled, 50 UDP", tcp: 100, stalled: 50, udp: 50 },
];

/// What a run has found.
#[derive(Default)]
struct Found {
    turns: Hist,
    /// 999 of 1,000 turns of each round, in microseconds.
    p999: Vec<f64>,
    /// Turns above the goal, by the phase that took longest in them.
    long: BTreeMap<String, u64>,
    usage: Usage,
    span: Duration,
    preempted: u64,
    offered: u64,
    delivered: u64,
    closed: u64,
    exhausted: BTreeMap<String, u64>,
    skips: u64,
    /// The same of a loop that does nothing.
    idle: Hist,
    idle_p999: Vec<f64>,
}

/// Measures every mix.
///
/// # Errors
/// A process that doesn't start, or a page that is not what it should be.
pub(crate) fn run(setup: &Setup, manner: &Manner<'_>) -> Result<(), Box<dyn Error>> {
    println!(
        "\nturns of a server that is offered more than it can send: {} frames of 1316 bytes every \
         {} us, to each",
        BURST,
        INTERVAL.as_micros()
    );
    let mut findings = Findings::new("overload", setup);
    let table = Table::begin(
        manner.format,
        &[
            ("subscribers", 28),
            ("busy %", 5),
            ("offered, delivered MB/s", 12),
            ("skips, closed", 12),
            ("turns", 6),
            ("p50 / p99 / p99.9 / max us", 26),
            ("p99.9 by round", 20),
            ("empty loop p99.9 by round", 20),
            ("above goal, by phase", 44),
            ("waited %, switched off", 14),
        ],
    );
    for mix in MIXES.into_iter().filter(|mix| mix.title.to_lowercase().contains(manner.only)) {
        let mut found = Found::default();
        for _ in 0..setup.rounds {
            found.idle(setup)?;
            found.round(mix, setup)?;
        }
        found.idle(setup)?;
        found.row(mix, &table, &mut findings);
    }
    println!();
    println!(
        "goal: 999 of 1,000 turns within {} us. An empty loop looks at the clock for {} us again \
         and again on the same core: what exceeds that is time it did not have. waited: for the \
         CPU, which others had; switched off: how often.",
        GOAL.as_micros(),
        IDLE_TURN.as_micros()
    );
    super::note(&findings);
    findings.write(manner.json)
}

impl Found {
    /// One run of the server, in a fresh process.
    fn round(&mut self, mix: Mix, setup: &Setup) -> Result<(), Box<dyn Error>> {
        let cc = &setup.cc;
        let urls = [
            format!("tcp://127.0.0.1:0?publish=bench&framing=len32&cc={cc}"),
            format!("tcp://127.0.0.1:0?subscribe=bench&cc={cc}"),
            "udp://127.0.0.1:0?subscribe=bench&handshake=off".to_owned(),
            "http://127.0.0.1:0".to_owned(),
        ];
        let process = rounds::start(&rounds::server(&urls, setup), setup)?;
        let http = *process.addrs.last().ok_or("no HTTP listener")?;
        let mut load = Load::default();
        let trace = rows::loaded(setup, || {
            load.connect(mix, &process.addrs, cc)?;
            load.run(&process, || page::get(http, "/api/turns"))
        })?;
        let metrics = page::get(http, "/metrics")?;
        self.add(&page::turns(&trace)?);
        self.usage = self.usage + load.usage;
        self.span += load.span;
        self.preempted += load.preempted;
        self.offered += load.offered * (mix.tcp + mix.stalled + mix.udp) as u64;
        self.delivered += load.delivered;
        self.closed += load.closed;
        self.skips += page::sum(&metrics, "nearlight_skips_total");
        for (phase, count) in page::by_label(&metrics, "nearlight_budget_exhausted_total") {
            *self.exhausted.entry(phase).or_default() += count;
        }
        Ok(())
    }

    fn add(&mut self, turns: &[page::Turn]) {
        let mut hist = Hist::new();
        for turn in turns {
            hist.record(turn.span);
            if turn.span > GOAL {
                *self.long.entry(turn.longest.clone()).or_default() += 1;
            }
        }
        self.p999.extend(hist.quantile(0.999).map(micros));
        self.turns.merge(&hist);
    }

    /// As many turns of a loop that does nothing, on the server's core.
    fn idle(&mut self, setup: &Setup) -> Result<(), Box<dyn Error>> {
        let cpu = setup.server_cpu;
        let hist = thread::spawn(move || {
            affinity::pin_to(cpu)?;
            let mut hist = Hist::new();
            for _ in 0..4096 {
                let start = Clock::now();
                let mut now = start;
                while now.since(start) < IDLE_TURN {
                    now = Clock::now();
                }
                hist.record(now.since(start));
            }
            Ok::<_, nearlight::sys::error::SysError>(hist)
        });
        let hist = hist.join().map_err(|_| "the empty loop panicked")??;
        self.idle_p999.extend(hist.quantile(0.999).map(micros));
        self.idle.merge(&hist);
        Ok(())
    }

    fn row(&self, mix: Mix, table: &Table, findings: &mut Findings) {
        let seconds = self.span.as_secs_f64();
        let mega = |bytes: u64| bytes as f64 / seconds / 1e6;
        let busy = self.usage.cpu.as_secs_f64() / seconds;
        let waited = self.usage.waited.as_secs_f64() / seconds;
        let quantile = |q| self.turns.quantile(q).map(micros);
        let text = |value: Option<f64>| value.map_or("-".to_owned(), |us| format!("{us:.0}"));
        let round = |values: &[f64]| {
            let ratio = Ratio::of(values.to_vec());
            ratio.map_or("-".to_owned(), |r| format!("{:.0} [{:.0}-{:.0}]", r.mid, r.low, r.high))
        };
        let list: Vec<String> =
            self.long.iter().map(|(phase, count)| format!("{phase} {count}")).collect();
        table.row(&[
            mix.title.to_owned(),
            format!("{:.0}", 100.0 * busy),
            format!("{:.0}, {:.0}", mega(self.offered), mega(self.delivered)),
            format!("{}, {}", self.skips, self.closed),
            self.turns.count().to_string(),
            [quantile(0.5), quantile(0.99), quantile(0.999), self.turns.max().map(micros)]
                .map(text)
                .join(" / "),
            round(&self.p999),
            round(&self.idle_p999),
            if list.is_empty() { "none".to_owned() } else { list.join(", ") },
            format!("{:.1}, {}", 100.0 * waited, self.preempted),
        ]);
        findings.push(json!({
            "subscribers": mix.title,
            "busy": busy,
            "offered_mb_s": mega(self.offered),
            "delivered_mb_s": mega(self.delivered),
            "turns": self.turns.count(),
            "p50_us": quantile(0.5),
            "p99_us": quantile(0.99),
            "p999_us": quantile(0.999),
            "p999_by_round_us": self.p999,
            "empty_loop_p999_us": self.idle.quantile(0.999).map(micros),
            "empty_loop_p999_by_round_us": self.idle_p999,
            "goal_us": micros(GOAL),
            "above_goal_by_phase": self.long,
            "waited": waited,
            "switched_off": self.preempted,
            "budgets_exhausted": self.exhausted,
            "skips": self.skips,
            "closed": self.closed,
        }));
    }
}

fn micros(span: Duration) -> f64 {
    span.as_secs_f64() * 1e6
}

/// Publisher and subscribers, on one core.
#[derive(Default)]
pub(super) struct Load {
    publisher: Option<TcpStream>,
    tcp: Vec<TcpStream>,
    stalled: Vec<TcpStream>,
    udp: Vec<UdpSocket>,
    /// Of the process under test.
    pub(super) usage: Usage,
    /// How long that counted.
    pub(super) span: Duration,
    preempted: u64,
    offered: u64,
    /// Bytes.
    pub(super) delivered: u64,
    /// Subscribers whom the server has closed.
    pub(super) closed: u64,
}

impl Load {
    pub(super) fn connect(&mut self, mix: Mix, addrs: &[SocketAddr], cc: &str) -> io::Result<()> {
        let [publish, subscribe, udp, ..] = *addrs else {
            return Err(ErrorKind::AddrNotAvailable.into());
        };
        for n in 0..mix.tcp + mix.stalled {
            let conn = crowd::tcp(subscribe, cc)?;
            conn.set_nonblocking(true)?;
            if n < mix.tcp {
                self.tcp.push(conn);
            } else {
                SockRef::from(&conn).set_recv_buffer_size(STALLED_BUFFER)?;
                self.stalled.push(conn);
            }
        }
        for _ in 0..mix.udp {
            let socket = crowd::udp(udp, false)?;
            socket.set_nonblocking(true)?;
            self.udp.push(socket);
        }
        self.publisher = Some(crowd::tcp(publish, cc)?);
        Ok(())
    }

    /// Publishes and reads until `ask`, which is called in a thread of its own
    /// when the server is warm, has its answer. What the asking costs doesn't
    /// count.
    pub(super) fn run(
        &mut self,
        process: &Process,
        ask: impl FnOnce() -> io::Result<String> + Send,
    ) -> io::Result<String> {
        let start = Clock::now();
        let before = (process.usage(), process.preemptions());
        self.drive(|now| now.since(start) > WARM_UP)?;
        self.usage = process.usage().since(before.0);
        self.preempted = process.preemptions() - before.1;
        self.span = Clock::now().since(start);
        let counted = (self.offered, self.delivered);
        thread::scope(|scope| {
            let asked = scope.spawn(ask);
            self.drive(|_| asked.is_finished())?;
            (self.offered, self.delivered) = counted;
            asked.join().map_err(|_| io::Error::other("the asker panicked"))?
        })
    }

    fn drive(&mut self, is_over: impl Fn(Instant) -> bool) -> io::Result<()> {
        let mut scratch = vec![0; 256 * 1024];
        let write = burst();
        let mut due = Clock::now();
        loop {
            let now = Clock::now();
            if is_over(now) {
                return Ok(());
            }
            if now >= due {
                let publisher = self.publisher.as_mut().ok_or(ErrorKind::NotConnected)?;
                publisher.write_all(&write)?;
                self.offered += write.len() as u64;
                // What could not be sent in time is not made up for.
                due = (due + INTERVAL).max(now);
            }
            self.delivered += self.read(&mut scratch)?;
        }
    }

    /// Once from each that reads; answers the bytes. Who is closed is counted
    /// and gone.
    fn read(&mut self, scratch: &mut [u8]) -> io::Result<u64> {
        let mut bytes = 0;
        let before = self.tcp.len();
        self.tcp.retain_mut(|conn| match taken(conn.read(scratch)) {
            Ok(len) => {
                bytes += len;
                true
            }
            Err(_) => false,
        });
        self.closed += (before - self.tcp.len()) as u64;
        for socket in &self.udp {
            // As many as come between two looks.
            for _ in 0..BURST {
                match taken(socket.recv(scratch))? {
                    0 => break,
                    len => bytes += len,
                }
            }
        }
        Ok(bytes)
    }
}

/// How many bytes; an end is an error.
fn taken(outcome: io::Result<usize>) -> io::Result<u64> {
    match outcome {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(len) => Ok(len as u64),
        Err(why) if why.kind() == ErrorKind::WouldBlock => Ok(0),
        Err(why) => Err(why),
    }
}

/// What the publisher writes at once: frames of `len32`, as long as seven
/// packets.
fn burst() -> Vec<u8> {
    let mut write = Vec::new();
    for n in 0..BURST {
        let mut payload = Vec::new();
        frame::write(Shape::Ts, n, &mut payload);
        payload.truncate(Shape::Ts.len() - 4);
        write.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        write.extend_from_slice(&payload);
    }
    write
}
