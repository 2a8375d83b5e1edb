//! `lightmeter subscribe`: receives a stream, writes it where asked, and tells
//! how long its probe stamps took, how many were lost, how many overtaken.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lexopt::prelude::{Long, Short, Value};
use nearlight::base::Instant;
use nearlight::base::units::parse_size;
use nearlight::client::hist::Hist;
use nearlight::client::probe::{Form, ProbeReader};
use nearlight::client::report::format_latency;
use nearlight::client::{ClientError, ClientOptions, Event, Received, Scheme, Subscriber, Target};
use nearlight::sys::clock::Clock;
use serde_json::{Value as Json, json};

use crate::stop::Stop;
use crate::{DONE, FAILED, USAGE, args, out};

const HELP: &str = "\
lightmeter subscribe URL [options]

Receives from tcp://ADDR:PORT, udp://ADDR:PORT, http://ADDR:PORT/NAME or
ws://ADDR:PORT/NAME, and measures the one-way latency of the probe stamps in the
stream (`lightmeter publish --demo` puts them in; both ends on one host, for
they share its clock), their loss and their order. A line a second, then a sum.

  -o FILE        write what is received to FILE, - for standard output
  --seconds DUR  end after this long
  --rcvbuf SIZE  receive buffer of the socket, such as 4M
  --pushed       wait at a udp:// address for a stream that is pushed there
                 (a multicast group: always)
  --iface ADDR   join the multicast group on the interface with this address
  -q             the sum alone
  --json         one object instead of text; times are integers of nanoseconds

Exit codes: 0 the stream came, 1 it did not, or broke off, 2 wrong usage.
";

const SCHEMA: &str = "nearlight.lightmeter.subscribe/1";
const SECOND: Duration = Duration::from_secs(1);

struct Options {
    target: Target,
    output: Option<String>,
    seconds: Option<Duration>,
    client: ClientOptions,
    pushed: bool,
    iface: Option<Ipv4Addr>,
    quiet: bool,
    json: bool,
}

/// What came, and what its stamps say.
struct Measured {
    received: Received,
    opened: Instant,
    took: Duration,
    probe: ProbeReader,
    error: Option<ClientError>,
}

/// Runs it with the words after `subscribe`; returns the exit code.
pub(crate) fn main(words: Vec<OsString>) -> u8 {
    let wants_json = words.iter().any(|word| word == "--json");
    let prepared = parse(words).and_then(|options| match options {
        Some(options) => Ok(Some((open_output(&options)?, options))),
        None => Ok(None),
    });
    let (output, options) = match prepared {
        Ok(Some(prepared)) => prepared,
        Ok(None) => {
            out::text(HELP);
            return DONE;
        }
        Err(error) => {
            if wants_json {
                out::line(json!({ "schema": SCHEMA, "error": error }));
            }
            eprintln!("lightmeter subscribe: {error}");
            return USAGE;
        }
    };
    let stop = Stop::new();
    let flag = stop.flag();
    let until = options.seconds.map(|span| Clock::now() + span);
    let (json, taken) = (options.json, options.output.as_deref() == Some("-"));
    let url = options.target.to_string();
    let thread = thread::spawn(move || measure(&options, output, &flag));
    let Some(measured) = stop.wait(thread, until) else {
        return FAILED;
    };
    if json {
        let object = report(&url, &measured);
        if taken {
            eprintln!("{object}");
        } else {
            out::line(object);
        }
    } else if measured.error.is_none() || measured.received.bytes > 0 {
        tell(taken, &summary(&url, &measured));
    }
    match &measured.error {
        Some(error) => {
            eprintln!("lightmeter subscribe: {error}");
            if matches!(error, ClientError::Target(_)) { USAGE } else { FAILED }
        }
        None if measured.received.bytes == 0 => FAILED,
        None => DONE,
    }
}

/// Text goes to standard error where the stream has standard output.
fn tell(taken: bool, text: &str) {
    if taken {
        eprintln!("{text}");
    } else {
        out::line(text);
    }
}

fn parse(words: Vec<OsString>) -> Result<Option<Options>, String> {
    let mut parser = lexopt::Parser::from_args(words);
    let (mut url, mut output, mut seconds, mut iface) = (None, None, None, None);
    let (mut pushed, mut quiet, mut json) = (false, false, false);
    let mut client = ClientOptions::default();
    let text = |text: &str| Ok(text.to_owned());
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Short('o') | Long("output") => output = Some(args::value(&mut parser, "-o", text)?),
            Long("seconds") => {
                seconds = Some(args::value(&mut parser, "--seconds", args::duration)?);
            }
            Long("rcvbuf") => {
                let bytes = args::value(&mut parser, "--rcvbuf", parse_size)?;
                client.rcvbuf = Some(usize::try_from(bytes).unwrap_or(usize::MAX));
            }
            Long("pushed") => pushed = true,
            Long("iface") => {
                let read = |text: &str| {
                    text.parse().map_err(|_| format!("'{text}' is not an IPv4 address"))
                };
                iface = Some(args::value(&mut parser, "--iface", read)?);
            }
            Short('q') | Long("quiet") => quiet = true,
            Long("json") => json = true,
            Value(word) if url.is_none() => url = Some(word.to_string_lossy().into_owned()),
            Value(word) => return Err(format!("'{}' is one name too many", word.display())),
            Short(_) | Long(_) => {
                let error = argument.unexpected();
                return Err(format!("{error}; lightmeter subscribe --help lists the options"));
            }
        }
    }
    let url = url.ok_or("where from? lightmeter subscribe URL, or --help")?;
    let target: Target = url.parse().map_err(|error: ClientError| error.to_string())?;
    let group = target.host().parse().is_ok_and(|ip: std::net::IpAddr| ip.is_multicast());
    Ok(Some(Options {
        pushed: pushed || (group && target.scheme() == Scheme::Udp),
        target,
        output,
        seconds: seconds.filter(|span| !span.is_zero()),
        client,
        iface,
        quiet,
        json,
    }))
}

fn open_output(options: &Options) -> Result<Box<dyn Write + Send>, String> {
    Ok(match options.output.as_deref() {
        None => Box::new(io::sink()),
        // Not through std's buffer, which waits for the end of a line.
        Some("-") => {
            let fd = io::stdout().as_fd().try_clone_to_owned();
            Box::new(File::from(fd.map_err(|error| error.to_string())?))
        }
        Some(path) => Box::new(File::create(path).map_err(|error| format!("{path}: {error}"))?),
    })
}

/// The measuring thread.
fn measure(options: &Options, mut output: Box<dyn Write + Send>, stop: &AtomicBool) -> Measured {
    let mut measured = Measured {
        received: Received::default(),
        opened: Clock::now(),
        took: Duration::ZERO,
        // Stamps are found in any container, so every byte is looked at.
        probe: ProbeReader::new(Form::Bytes, None),
        error: None,
    };
    let opened = if options.pushed {
        Subscriber::pushed(&options.target, options.iface, &options.client)
    } else {
        Subscriber::open(&options.target, &options.client, stop)
    };
    let outcome = opened.and_then(|mut subscriber| {
        receive(options, &mut subscriber, &mut output, stop, &mut measured)?;
        subscriber.leave()
    });
    measured.took = Clock::now().since(measured.opened);
    measured.error = outcome.err().filter(|error| !matches!(error, ClientError::Stopped));
    measured
}

fn receive(
    options: &Options,
    subscriber: &mut Subscriber,
    output: &mut Box<dyn Write + Send>,
    stop: &AtomicBool,
    measured: &mut Measured,
) -> Result<(), ClientError> {
    let taken = options.output.as_deref() == Some("-");
    let datagrams = subscriber.is_datagram();
    let mut tick = Clock::now() + SECOND;
    while !stop.load(Ordering::Relaxed) {
        let event = subscriber.receive()?;
        let now = Clock::now();
        match event {
            Event::Bytes(bytes) => {
                if datagrams {
                    measured.probe.handle_datagram(bytes, now);
                } else {
                    measured.probe.handle_bytes(bytes, now);
                }
                measured.received.bytes += bytes.len() as u64;
                measured.received.receives += 1;
                measured.received.first.get_or_insert(now);
                if let Err(source) = output.write_all(bytes) {
                    if source.kind() == io::ErrorKind::BrokenPipe {
                        // Whoever took the stream has had enough.
                        return Ok(());
                    }
                    let what = "write what was received".to_owned();
                    return Err(ClientError::Io { what, source });
                }
            }
            Event::Idle => {}
            Event::End => {
                measured.received.ended = true;
                break;
            }
        }
        if now >= tick && !options.quiet && !options.json {
            tick = tick + SECOND;
            let seconds = now.since(measured.opened).as_secs();
            let line = format!("{seconds:>4} s  {}", latencies(measured));
            tell(taken, &line);
        }
    }
    Ok(())
}

fn latencies(measured: &Measured) -> String {
    let (hist, tally) = (measured.probe.hist(), measured.probe.tally());
    let span = |value: Option<Duration>| value.map_or_else(|| "—".to_owned(), format_latency);
    format!(
        "{:>9} bytes  {:>5} stamps  min {:>8}  p50 {:>8}  p99 {:>8}  max {:>8}  lost {}  reordered {}",
        measured.received.bytes,
        hist.count(),
        span(hist.min()),
        span(hist.quantile(0.5)),
        span(hist.quantile(0.99)),
        span(hist.max()),
        tally.lost,
        tally.reordered,
    )
}

fn summary(url: &str, measured: &Measured) -> String {
    let received = &measured.received;
    let mut text = format!("{url}: {:.1} s", measured.took.as_secs_f64());
    if let Some(first) = received.first {
        let after = format_latency(first.since(measured.opened));
        text.push_str(&format!(", first bytes after {after}"));
    }
    if received.ended {
        text.push_str(", ended by the server");
    }
    text.push('\n');
    text.push_str(latencies(measured).trim_start());
    if received.bytes == 0 {
        text.push_str("\nnothing came: is the stream being published?");
    } else if measured.probe.hist().count() == 0 {
        text.push_str(
            "\nno probe stamps in this stream: `lightmeter publish URL --demo` sends some",
        );
    }
    text
}

fn report(url: &str, measured: &Measured) -> Json {
    let (received, tally) = (&measured.received, measured.probe.tally());
    let first = received.first.map(|first| first.since(measured.opened));
    json!({
        "schema": SCHEMA,
        "tool": concat!("lightmeter ", env!("CARGO_PKG_VERSION")),
        "url": url,
        "took_ns": nanos(Some(measured.took)),
        "bytes": received.bytes,
        "receives": received.receives,
        "first_bytes_ns": nanos(first),
        "ended": received.ended,
        "received": tally.received,
        "lost": tally.lost,
        "reordered": tally.reordered,
        "duplicates": tally.duplicates,
        "latency": quantiles(measured.probe.hist()),
        "error": measured.error.as_ref().map(ToString::to_string),
    })
}

fn quantiles(hist: &Hist) -> Json {
    json!({
        "n": hist.count(),
        "min_ns": nanos(hist.min()),
        "p50_ns": nanos(hist.quantile(0.5)),
        "p90_ns": nanos(hist.quantile(0.9)),
        "p99_ns": nanos(hist.quantile(0.99)),
        "p999_ns": nanos(hist.quantile(0.999)),
        "max_ns": nanos(hist.max()),
    })
}

fn nanos(span: Option<Duration>) -> Option<u64> {
    span.map(|span| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
}
