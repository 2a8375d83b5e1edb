//! Subscribes to a stream from a program of your own: what comes goes to
//! standard output, what its probe stamps say goes to standard error.
//!
//! ```text
//! nearlight serve
//! lightmeter publish http://127.0.0.1:8080/cam --demo
//! cargo run -p lightmeter --example subscribe -- http://127.0.0.1:8080/cam | ffplay -
//! ```
//!
//! Where to start reading: `src/client/subscribe.rs` is the other side of every
//! call below; `src/client/probe/reader.rs` finds the stamps; what the server
//! does to let a subscriber in begins in `src/relay/mod.rs`.

use std::error::Error;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nearlight::client::probe::{Form, ProbeReader};
use nearlight::client::report::format_latency;
use nearlight::client::{ClientOptions, Subscriber, Target, subscribe};
use nearlight::sys::clock::Clock;

/// How long to listen.
const TIME: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1);
    let url = url.unwrap_or_else(|| "http://127.0.0.1:8080/cam?wait=10s".to_owned());
    let target: Target = url.parse()?;
    // Every call that waits looks at this; a signal handler would set it.
    let stop = AtomicBool::new(false);

    let mut subscriber = Subscriber::open(&target, &ClientOptions::default(), &stop)?;
    let mut probe = ProbeReader::new(Form::Bytes, None);
    let until = Some(Clock::now() + TIME);
    let mut out = std::io::stdout().lock();
    let received = subscribe(&mut subscriber, &mut out, Some(&mut probe), until, &stop)?;
    subscriber.leave()?;

    let show = |value: Option<Duration>| value.map_or_else(|| "—".to_owned(), format_latency);
    let (hist, tally) = (probe.hist(), probe.tally());
    eprintln!(
        "{} bytes; {} stamps: p50 {}, p99 {}, max {}; lost {}, reordered {}",
        received.bytes,
        hist.count(),
        show(hist.quantile(0.5)),
        show(hist.quantile(0.99)),
        show(hist.max()),
        tally.lost,
        tally.reordered,
    );
    Ok(())
}
