//! What delivering costs: CPU time per gigabit. First a source that sends a
//! whole video frame at once, as an encoder does that writes to TCP; then the
//! same bytes in pieces of 1316, spread over the frame's time, as they come
//! from one that paces, where a relay may gather a little before it sends.

use crate::Options;
use crate::contest::{self, Contender, Event, Metric};
use crate::frame::{Layout, Shape};
use crate::load::Pace;
use crate::peer::{self, Peer};
use crate::rows::Setup;
use crate::service::Idle;
use crate::table::Table;
use crate::{network, output};
use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Video frames a second.
const HERTZ: u32 = 25;
/// Of a video frame that is sent at once: 20,116 bytes, 4 Mbit/s.
const PACKETS: usize = 107;
/// Pieces of 1316 bytes of one that is spread: 4.2 Mbit/s. And four times as
/// many, so that a millisecond holds more than one.
const PIECES: [u32; 2] = [16, 64];
const SUBSCRIBERS: [usize; 3] = [10, 50, 200];
const ROUNDS: usize = 6;
/// How long the server may gather.
const GATHERING: [Contender; 2] = [
    Contender::Server { idle: Idle::Block, key: "coalesce=1ms" },
    Contender::Server { idle: Idle::Block, key: "coalesce=5ms" },
];

/// Measures and prints both tables.
///
/// # Errors
/// The server can't be started, or a connection breaks.
pub(crate) fn run(setup: &Setup, options: &Options) -> Result<(), Box<dyn Error>> {
    let mut setup = setup.clone();
    if options.is_bench && !options.quick {
        setup.rounds = options.rounds.unwrap_or(ROUNDS);
    }
    println!(
        "CPU time of the process under test per delivered Gbit, all asleep when idle, on CPU {}; \
         load on CPU {}; cc={} on our ends, {} by default on the peers'",
        setup.server_cpu,
        setup.load_cpu,
        setup.cc,
        network::default_cc()
    );
    let mut tables = Vec::new();
    for (is_spread, title) in [(false, "in bursts"), (true, "in pieces")] {
        let (events, notes) = if is_spread { pieces(&setup, options) } else { bursts(options) };
        if events.is_empty() {
            continue;
        }
        println!("\na source that sends {title}\n");
        let mut table = Table::begin(&setup, options.format, [Metric::Cpu, Metric::P50]);
        for event in events {
            table.add(contest::hold(event, &setup)?);
        }
        table.end(&notes);
        tables.push(table.json());
    }
    output::write(options, &format!("[{}]\n", tables.join(",\n")))
}

/// A frame of video at once, to everybody.
fn bursts(options: &Options) -> (Vec<Event>, Vec<String>) {
    let layout = Layout::packets(PACKETS);
    let others = contest::peers();
    let event = |subscribers| {
        let title = format!("bursts {HERTZ}x{} B 1->{subscribers}", layout.len());
        let pace = pace(HERTZ, options);
        let event = Event { title, layout, subscribers, pace, contenders: Vec::new() };
        event.between_floors(&others)
    };
    let mut events: Vec<Event> = SUBSCRIBERS.map(event).into();
    choose(&mut events, options);
    (events, peer::notes(&Peer::ALL))
}

/// The same in pieces, to few at two speeds and to some at the lower.
fn pieces(setup: &Setup, options: &Options) -> (Vec<Event>, Vec<String>) {
    let mut events: Vec<Event> = Vec::new();
    for (count, subscribers) in [(PIECES[0], 10), (PIECES[0], 50), (PIECES[1], 10)] {
        let mut event = contest::relay(Shape::Ts, subscribers, pace(HERTZ * count, options));
        event.title = format!("pieces {}", event.title);
        events.push(event);
    }
    choose(&mut events, options);
    let mut notes = Vec::new();
    let Some(first) = events.first() else {
        return (events, notes);
    };
    let mut others = Vec::new();
    for contender in GATHERING {
        let Contender::Server { idle, key } = contender else { continue };
        match refusal(&first.server_args(idle, key, setup)) {
            Some(why) => notes.push(format!("{}: refused: {why}", contender.name())),
            None => others.push(contender),
        }
    }
    others.extend(contest::peers().into_iter().filter(|peer| {
        matches!(peer, Contender::Peer(Peer::Icecast | Peer::TokioCurrent | Peer::TokioMulti))
    }));
    let events = events.into_iter().map(|event| event.between_floors(&others)).collect();
    notes.extend(peer::notes(&[Peer::Icecast, Peer::TokioCurrent, Peer::TokioMulti]));
    (events, notes)
}

/// Those whose title says what was asked for; to see that it works, one.
fn choose(events: &mut Vec<Event>, options: &Options) {
    events.retain(|event| event.title.to_lowercase().contains(&options.only));
    events.truncate(if options.is_bench { events.len() } else { 1 });
}

fn pace(hertz: u32, options: &Options) -> Pace {
    let (warm_up, span) = match (options.is_bench, options.quick) {
        (true, false) => (200, 1200),
        (true, true) => (80, 400),
        (false, _) => (40, 120),
    };
    let span = options.seconds.map_or(Duration::from_millis(span), Duration::from_secs);
    Pace::new(hertz, Duration::from_millis(warm_up), span)
}

/// What the server says against its arguments, if anything.
fn refusal(args: &[String]) -> Option<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nearlight"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(why) => return Some(why.to_string()),
    };
    let mut first = String::new();
    let listens = child
        .stdout
        .take()
        .is_some_and(|out| BufReader::new(out).read_line(&mut first).is_ok_and(|len| len > 0));
    // One that is refused has ended already, and has no more to say.
    let _gone = child.kill();
    let mut said = String::new();
    let heard = child.stderr.take().map(|mut err| err.read_to_string(&mut said));
    let _status = child.wait();
    let said = said.trim().replace('\n', " ");
    (!listens).then(|| if heard.is_some() { said } else { "no reason given".to_owned() })
}
