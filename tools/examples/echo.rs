//! Measures round-trip times from a program of your own: ICMP, TCP echo and
//! UDP echo, interleaved, and the sentence that compares them.
//!
//! ```text
//! nearlight serve
//! cargo run -p lightmeter --example echo -- 127.0.0.1
//! ```
//!
//! Where to start reading: `src/client/ping/mod.rs` draws the map;
//! `src/client/ping/pinger.rs` is the loop on one screen; what the server does
//! with an echo begins in `src/protocol/echo.rs`.

use std::error::Error;
use std::time::Duration;

use nearlight::client::ping::{Event, Family, Kind, Pinger, Plan, Quantiles, Target, Way, verdict};
use nearlight::client::report::format_latency;
use nearlight::sys::clock::Clock;

fn main() -> Result<(), Box<dyn Error>> {
    let host = std::env::args().nth(1);
    let host = host.unwrap_or_else(|| "127.0.0.1".to_owned());
    let target = Target::resolve(&host, Family::Any)?;
    let ways = [Kind::Icmp, Kind::Echo, Kind::Udp].map(|kind| Way::to(kind, target.clone()));
    let plan =
        Plan { count: Some(100), interval: Duration::from_millis(20), ..Plan::new(ways.to_vec()) };

    let mut pinger = Pinger::start(&plan);
    loop {
        // Sends and listens inside; comes back when there is something to
        // tell, and after a tenth of a second at the latest.
        match pinger.next(Clock::now() + Duration::from_millis(100)) {
            Event::Done => break,
            Event::Reply(answer) if answer.warm_up => {
                eprintln!("{} answers", plan.ways[answer.way].kind);
            }
            Event::Reply(_) | Event::Lost { .. } | Event::Trouble { .. } => {}
            Event::Failed { .. } | Event::Quiet => {}
        }
    }

    let series = pinger.finish();
    for one in &series {
        let rtt = Quantiles::of(&one.counts.rtt);
        let p50 = rtt.p50.map_or_else(|| "—".to_owned(), format_latency);
        let max = rtt.max.map_or_else(|| "—".to_owned(), format_latency);
        println!("{:<6} n {:>3}  p50 {p50}  max {max}", one.way.kind, rtt.count);
        if let Some(why) = &one.failure {
            println!("       {why}");
        }
    }
    println!("{}", verdict(&series).sentence);
    Ok(())
}
