//! A step: the same path, held 200 us and 850 us. How much of the 650 us each
//! tool reports, and how far two blocks of the same hold are apart (the floor
//! below which nothing can be told here).

use std::time::Duration;

use nearlight::client::ping::{Kind, Wait};
use nearlight::sys::clock::Clock;

use crate::rig::fit::{quantile, spread};
use crate::rig::link::Link;
use crate::rig::probe;
use crate::rig::responder::{Manners, Responder};
use crate::{Options, met, others, us};

const LOW: Duration = Duration::from_micros(200);
const HIGH: Duration = Duration::from_micros(850);
/// Rounds, each of low, low and high.
const ROUNDS: usize = 20;
/// Probes of a block, a few milliseconds apart: what all three tools can do.
const PROBES: u32 = 200;
const MS: u32 = 3;
/// Goal, nanoseconds, or twice the floor.
const GOAL: f64 = 2_000.0;

/// Who measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    /// Ours, as it says: network RTT, and user RTT.
    Ours(Wait),
    Ping,
    PingUser,
    Fping,
}

/// One block: what was reported, in one or two figures, from when to when.
struct Block {
    reported: Vec<(&'static str, f64)>,
    from: u64,
    to: u64,
}

impl Tool {
    fn name(self) -> String {
        match self {
            Self::Ours(pace) => format!("lightmeter icmp, {}", pace.name()),
            Self::Ping => "ping".to_owned(),
            Self::PingUser => "ping -U".to_owned(),
            Self::Fping => "fping".to_owned(),
        }
    }
}

/// Ours, and which of the others are here.
fn present() -> Vec<Tool> {
    let mut tools = vec![Tool::Ours(Wait::Spin), Tool::Ours(Wait::Sleep)];
    if others::is_there("ping") {
        tools.extend([Tool::Ping, Tool::PingUser]);
    }
    if others::is_there("fping") {
        tools.push(Tool::Fping);
    }
    tools
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let tools = present();
    let rounds = if options.quick { 3 } else { ROUNDS };
    println!(
        "{rounds} rounds of hold {} us, the same again, {} us; {PROBES} probes a block, {MS} ms \
         apart, p50 of each block. Error: reported step less true step. F: 95th percentile of \
         the same hold against itself. Goal: median error within {} us or 2F",
        LOW.as_micros(),
        HIGH.as_micros(),
        us(GOAL)
    );
    println!("{}; {}", others::version("ping", "-V"), others::version("fping", "-v"));
    let link = Link::device()?;
    let host = link.target(false);
    let manners = Manners { cpu: Some(options.responder), ..Manners::default() };
    let responder = Responder::start(link, manners, 1 << 20);
    let mut blocks: Vec<Vec<[Block; 3]>> = tools.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (tool, of_tool) in tools.iter().zip(&mut blocks) {
            let block = |hold| {
                responder.hold(hold);
                measure(options, *tool, host)
            };
            of_tool.push([block(LOW)?, block(LOW)?, block(HIGH)?]);
        }
    }
    let seen = responder.finish()?;
    // What the holds of a block really were.
    let truth = |block: &Block| {
        let within = |at: u64| (block.from..block.to).contains(&at);
        let holds = seen.iter().filter(|seen| within(seen.came.as_nanos()));
        quantile(holds.filter_map(|s| Some(s.hold()?.as_nanos() as f64)).collect(), 0.5)
    };
    println!("| tool | figure | error us: least, median, most | F us | goal |");
    println!("|---|---|---|---|---|");
    for (tool, of_tool) in tools.iter().zip(&blocks) {
        for figure in 0..of_tool[0][0].reported.len() {
            let mut errors = Vec::new();
            let mut same = Vec::new();
            for [low, again, high] in of_tool {
                let off = |block: &Block| Some(block.reported[figure].1 - truth(block)?);
                let (Some(low), Some(again), Some(high)) = (off(low), off(again), off(high)) else {
                    return Err("a block without a hold".to_owned());
                };
                errors.push(high - (low + again) / 2.0);
                same.push((again - low).abs());
            }
            let floor = quantile(same, 0.95).unwrap_or(f64::NAN);
            let (least, median, most) = spread(&errors).unwrap_or_default();
            let goal = if matches!(tool, Tool::Ours(_)) {
                met(median.abs() <= GOAL.max(2.0 * floor))
            } else {
                "-"
            };
            let name = tool.name();
            println!(
                "| {name} | {} | {}, {}, {} | {} | {goal} |",
                of_tool[0][0].reported[figure].0,
                us(least),
                us(median),
                us(most),
                us(floor)
            );
        }
    }
    Ok(())
}

fn measure(options: &Options, tool: Tool, host: std::net::SocketAddr) -> Result<Block, String> {
    let name = host.ip().to_string();
    let from = Clock::now().as_nanos();
    let reported = match tool {
        Tool::Ours(pace) => {
            let interval = Duration::from_millis(u64::from(MS));
            let mut plan = probe::plan(Kind::Icmp, host, u64::from(PROBES), interval);
            (plan.warm_up, plan.pace) = (10, pace);
            let all = probe::run(&plan, Some(options.prober))?;
            let mut times = Vec::new();
            for (figure, hist) in
                [("network RTT", &all[0].counts.network), ("user RTT", &all[0].counts.rtt)]
            {
                let p50 = hist.quantile(0.5).ok_or("no reply")?;
                times.push((figure, p50.as_nanos() as f64));
            }
            times
        }
        Tool::Ping | Tool::PingUser | Tool::Fping => {
            let times = probe::on(Some(options.prober), || match tool {
                Tool::Fping => others::fping(&name, MS, PROBES),
                Tool::PingUser => others::ping(&name, &["-U"], MS, PROBES),
                Tool::Ping | Tool::Ours(_) => others::ping(&name, &[], MS, PROBES),
            })??;
            vec![("time", quantile(times, 0.5).ok_or("no time from it")?)]
        }
    };
    Ok(Block { reported, from, to: Clock::now().as_nanos() })
}
