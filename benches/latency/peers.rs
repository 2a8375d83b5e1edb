//! The server beside others that relay: latency of one frame to one, ten and
//! a hundred subscribers, the same load for all.

use crate::Options;
use crate::contest::{self, Contender, Event, Metric};
use crate::frame::Shape;
use crate::load::Pace;
use crate::peer::{self, Peer};
use crate::rows::Setup;
use crate::service::Idle;
use crate::table::Table;
use crate::{network, output};
use std::error::Error;

/// Frames a second that a hundred sends each leave time for.
const SLOW: u32 = 500;
const SIZES: [usize; 3] = [1, 10, 100];
/// Alternations.
const ROUNDS: usize = 7;

/// Measures and prints.
///
/// # Errors
/// The server can't be started, or a connection breaks.
pub(crate) fn run(setup: &Setup, options: &Options) -> Result<(), Box<dyn Error>> {
    let mut setup = setup.clone();
    if options.is_bench && !options.quick {
        setup.rounds = options.rounds.unwrap_or(ROUNDS);
    }
    println!(
        "relay over TCP on CPU {}, load on CPU {}; each process fresh, pinned, sleeping when \
         idle unless it says spin; cc={} on our ends, {} by default on the peers'",
        setup.server_cpu,
        setup.load_cpu,
        setup.cc,
        network::default_cc()
    );
    println!();
    let mut table = Table::begin(&setup, options.format, [Metric::P50, Metric::P99]);
    for event in events(&setup, options) {
        table.add(contest::hold(event, &setup)?);
    }
    table.end(&peer::notes(&Peer::ALL));
    output::write(options, &format!("{}\n", table.json()))
}

fn events(setup: &Setup, options: &Options) -> Vec<Event> {
    let mut others = vec![Contender::Server { idle: Idle::Spin, key: "" }];
    others.extend(contest::peers());
    let mut events = Vec::new();
    for shape in [Shape::Small, Shape::Ts] {
        for subscribers in SIZES {
            let rate = if subscribers < 100 { options.rate } else { options.rate.min(SLOW) };
            let span = |frames: u64| setup.pace.interval.mul_f64(frames as f64);
            let pace = Pace::new(rate, span(setup.pace.warm_up), span(setup.pace.frames));
            events.push(contest::relay(shape, subscribers, pace).between_floors(&others));
        }
    }
    events.retain(|event| event.title.to_lowercase().contains(&options.only));
    // To see that it works, one of a kind is enough.
    events.truncate(if options.is_bench { events.len() } else { 2 });
    events
}
