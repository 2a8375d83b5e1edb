//! Publishes a stream from a program of your own: connect, send frames on an
//! open-loop schedule, finish.
//!
//! ```text
//! nearlight serve
//! cargo run -p lightmeter --example publish -- http://127.0.0.1:8080/hello
//! curl -N http://127.0.0.1:8080/hello
//! ```
//!
//! Where to start reading: `src/client/publish.rs` is the other side of every
//! call below; `src/client/pace/mod.rs` says why the schedule never slips; the
//! server's half begins in `src/reactor/mod.rs`.

use std::error::Error;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nearlight::client::pace::{FramePacer, Wait, sleep_until};
use nearlight::client::probe::Stamp;
use nearlight::client::{ClientOptions, Publisher, Target, random};
use nearlight::sys::clock::Clock;

/// A line ten times a second, for ten seconds.
const INTERVAL: Duration = Duration::from_millis(100);
const LINES: u64 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1);
    let url = url.unwrap_or_else(|| "http://127.0.0.1:8080/hello".to_owned());
    let target: Target = url.parse()?;
    // Every call that waits looks at this; a signal handler would set it.
    let stop = AtomicBool::new(false);

    let mut publisher = Publisher::open(&target, &ClientOptions::default(), &stop)?;
    let mut pacer = FramePacer::new(INTERVAL);
    let (token, start) = (random(), Clock::now());
    loop {
        let (seq, at) = pacer.due();
        if seq == LINES {
            break;
        }
        let intended = start + at;
        sleep_until(intended, Wait::Sleep, &stop);

        // The stamp lets a subscriber on this host tell how long it took.
        let mut line = format!("line {seq} ").into_bytes();
        let stamp = Stamp { token, seq, intended, sent: Clock::now() };
        stamp.write_bytes(&mut line);
        line.push(b'\n');
        publisher.send(&line, &stop)?;
    }
    // Over HTTP this is the last chunk and the server's answer: all arrived.
    publisher.finish()?;
    Ok(())
}
