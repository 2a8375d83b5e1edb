//! What a second shard brings and costs: how long a frame takes from one core
//! to the other, without a kernel and with real sockets, and how much two
//! shards deliver of one stream.
//!
//! There are two cores here, and a shard that spins has one for itself. So what
//! is timed runs in this process, the probe between the turns of a shard; and
//! what is delivered is measured of shards that sleep, with the load generator
//! on the core of the first of two: the second shard brings less than a core.

use super::overload::{Load, Mix};
use super::table::{Findings, Table, ratio_json, verdict};
use super::{Manner, hop, relayed, rounds};
use crate::child::Usage;
use crate::report::{micros, ratio};
use crate::rows::{self, Setup};
use crate::stats::Ratio;
use nearlight::client::hist::Hist;
use serde_json::json;
use std::error::Error;

/// Through the ring and bell, to a bare word.
const GOAL: f64 = 1.5;
/// Who is sent the stream.
const READERS: Mix = Mix { title: "200 TCP", tcp: 200, stalled: 0, udp: 0 };

/// Measures all of it.
///
/// # Errors
/// A shard or process that doesn't start, or a connection that breaks.
pub(crate) fn run(setup: &Setup, manner: &Manner<'_>) -> Result<(), Box<dyn Error>> {
    let mut findings = Findings::new("shards", setup);
    println!("\nfrom one core to the other, both spinning");
    let table = Table::begin(
        manner.format,
        &[
            ("what", 44),
            ("floor p50 / p99 us", 18),
            ("ours p50 / p99 us", 18),
            ("ours/floor p50", 18),
            ("floor/floor p50", 18),
            ("goal", 24),
        ],
    );
    let cpus = [setup.load_cpu, setup.server_cpu];
    let title = "ring and bell there and back, no kernel";
    let (words, rings) = (|| hop::words(cpus), || hop::rings(cpus));
    pair(title, setup.rounds, (words, rings), (&table, &mut findings))?;
    let mut made = 0.0;
    let bare = || relayed::bare(cpus, &setup.cc);
    let shards = || {
        let (hist, calls) = relayed::shards(cpus, &setup.cc)?;
        made = calls;
        Ok(hist)
    };
    let title = "publisher on one shard, subscriber on another";
    pair(title, setup.rounds, (bare, shards), (&table, &mut findings))?;
    println!(
        "\ncalls of the second shard on its sockets for each frame: {made:.2}. The poll, which it \
         asks after 64 looks at its bell, is not among them."
    );
    findings.push(json!({"second_shard_calls_per_frame": made}));
    delivered(setup, manner, &mut findings)?;
    super::note(&findings);
    findings.write(manner.json)
}

/// Floor, ours, floor, round after round, and what comes of it.
fn pair(
    title: &str,
    count: usize,
    (floor, mut ours): (
        impl Fn() -> Result<Hist, Box<dyn Error>>,
        impl FnMut() -> Result<Hist, Box<dyn Error>>,
    ),
    (table, findings): (&Table, &mut Findings),
) -> Result<(), Box<dyn Error>> {
    let middle = |hist: &Hist| hist.quantile(0.5).map_or(f64::NAN, |p50| p50.as_nanos() as f64);
    let (mut floors, mut all) = (Hist::new(), Hist::new());
    let (mut to_floor, mut control) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let (first, between, second) = (floor()?, ours()?, floor()?);
        to_floor.push(2.0 * middle(&between) / (middle(&first) + middle(&second)));
        control.push(middle(&second) / middle(&first));
        floors.merge(&first);
        floors.merge(&second);
        all.merge(&between);
    }
    let (to_floor, control) = (Ratio::of(to_floor), Ratio::of(control));
    let times = |hist: &Hist| {
        let [p50, p99] = [0.5, 0.99].map(|q| hist.quantile(q));
        let nanos = |time: Option<std::time::Duration>| {
            time.map_or("-".to_owned(), |time| format!("{:.3}", time.as_secs_f64() * 1e6))
        };
        format!("{} / {}", nanos(p50), nanos(p99))
    };
    table.row(&[
        title.to_owned(),
        times(&floors),
        times(&all),
        ratio(to_floor),
        ratio(control),
        verdict(to_floor, GOAL),
    ]);
    findings.push(json!({
        "what": title,
        "floor_p50_us": micros(floors.quantile(0.5)),
        "ours_p50_us": micros(all.quantile(0.5)),
        "ours_to_floor": ratio_json(to_floor),
        "floor_to_floor": ratio_json(control),
        "goal": GOAL,
    }));
    Ok(())
}

/// What an arm has delivered in all rounds.
#[derive(Default)]
struct Delivered {
    mega_bytes: Vec<f64>,
    usage: Usage,
    seconds: f64,
    closed: u64,
}

/// One shard and two, alternately, of which more is wanted than they can send.
fn delivered(
    setup: &Setup,
    manner: &Manner<'_>,
    findings: &mut Findings,
) -> Result<(), Box<dyn Error>> {
    println!("\none stream to {} subscribers, 42 MB/s to each offered", READERS.title);
    let table = Table::begin(
        manner.format,
        &[
            ("shards on CPUs", 16),
            ("MB/s delivered", 20),
            ("CPU %", 6),
            ("CPU ns/byte", 8),
            ("closed", 6),
        ],
    );
    let own = setup.server_cpu.to_string();
    let cpus = [own.clone(), format!("{own},{}", setup.load_cpu)];
    let mut arms = [Delivered::default(), Delivered::default()];
    for round in 0..setup.rounds {
        for n in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            arms[n].round(&cpus[n], setup)?;
        }
    }
    for (arm, cpus) in arms.iter().zip(&cpus) {
        let rate = Ratio::of(arm.mega_bytes.clone());
        let cpu = arm.usage.cpu.as_secs_f64();
        let bytes: f64 = arm.mega_bytes.iter().sum::<f64>() / arm.mega_bytes.len() as f64 * 1e6;
        let each = 1e9 * cpu / (bytes * arm.seconds);
        table.row(&[
            cpus.clone(),
            rate.map_or("-".to_owned(), |r| format!("{:.0} [{:.0}-{:.0}]", r.mid, r.low, r.high)),
            format!("{:.0}", 100.0 * cpu / arm.seconds),
            format!("{each:.3}"),
            arm.closed.to_string(),
        ]);
        findings.push(json!({
            "cpus": cpus,
            "delivered_mb_s": ratio_json(rate),
            "cpu": cpu / arm.seconds,
            "cpu_ns_per_byte": each,
            "closed": arm.closed,
        }));
    }
    let two = arms[1].mega_bytes.iter().zip(&arms[0].mega_bytes).map(|(two, one)| two / one);
    let gain = Ratio::of(two.collect());
    println!(
        "\ntwo shards to one: {}; the load generator has CPU {} in both, with a shard on it in \
         one: on more cores it would be more. Who is closed for being too far behind is offered \
         nothing any more, so compare where few are",
        ratio(gain),
        setup.load_cpu
    );
    findings.push(json!({"two_to_one": ratio_json(gain)}));
    Ok(())
}

impl Delivered {
    fn round(&mut self, cpus: &str, setup: &Setup) -> Result<(), Box<dyn Error>> {
        let cc = &setup.cc;
        let urls = [
            format!("tcp://127.0.0.1:0?publish=bench&framing=len32&cc={cc}"),
            format!("tcp://127.0.0.1:0?subscribe=bench&cc={cc}"),
            "udp://127.0.0.1:0?subscribe=bench&handshake=off".to_owned(),
        ];
        let process = rounds::start(&rounds::server_on(cpus, &urls), setup)?;
        let mut load = Load::default();
        rows::loaded(setup, || {
            load.connect(READERS, &process.addrs, cc)?;
            load.run(&process, || Ok(String::new()))
        })?;
        let seconds = load.span.as_secs_f64();
        self.mega_bytes.push(load.delivered as f64 / seconds / 1e6);
        self.usage = self.usage + load.usage;
        self.seconds += seconds;
        self.closed += load.closed;
        Ok(())
    }
}
