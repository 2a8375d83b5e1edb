//! Slow subscribers beside fast ones: 4 Mbit/s of MPEG-TS to twenty, ten of
//! which read at half that rate for a while. How old is what the slow ones
//! get, is it still a stream that a decoder likes, do the fast ones notice,
//! and does the server's memory grow?
//!
//! The ten are there all the time, and read everything before and after, so
//! that the number of subscribers makes no difference.

use crate::child::Process;
use crate::picture::{Continuity, Feed};
use crate::report;
use crate::rows::{self, Setup};
use crate::stats::Ratio;
use nearlight::client::hist::Hist;
use nearlight::client::probe::Stamp;
use nearlight::limits::MAX_LAG;
use nearlight::sys::clock::Clock;
use socket2::{Domain, SockRef, Socket, Type};
use std::error::Error;
use std::io::{self, ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const FAST: usize = 10;
const SLOW: usize = 10;
/// So that what the kernels hold for a slow reader is little beside max-lag.
const RECEIVE_BUFFER: usize = 32 * 1024;
const PACKET: usize = 188;
/// Bytes that a slow one takes at a time.
const SIP: usize = 4 * 1024;
/// Latencies are summed up in windows of this.
const WINDOW: Duration = Duration::from_secs(1);

/// Seconds of each part: calm, slow, calm.
#[derive(Clone, Copy)]
struct Parts {
    calm: u64,
    slow: u64,
}

/// What came out.
struct Found {
    /// Latency of the fast ones, second by second.
    windows: Vec<Hist>,
    readers: Vec<Reader>,
    /// Of the server: before, most while some are slow, after.
    memory: [u64; 3],
    /// Bytes per second that are published.
    rate: u64,
}

/// Measures and prints.
///
/// # Errors
/// The server can't be started, or a connection breaks.
pub(crate) fn run(setup: &Setup, is_quick: bool) -> Result<(), Box<dyn Error>> {
    let parts = if is_quick { Parts { calm: 2, slow: 5 } } else { Parts { calm: 6, slow: 20 } };
    let cc = &setup.cc;
    let urls = [
        format!("tcp://127.0.0.1:0?publish=bench&framing=ts&cc={cc}"),
        format!("tcp://127.0.0.1:0?subscribe=bench&cc={cc}"),
    ];
    let mut args: Vec<String> = ["serve", "-q", "--idle", "spin"].map(str::to_owned).into();
    args.extend(["--cpus".to_owned(), setup.server_cpu.to_string()]);
    args.extend(urls.into_iter().flat_map(|url| ["--listen".to_owned(), url]));
    let server = Process::server(&args)?;
    let found = rows::loaded(setup, || measure(&server, parts, cc))?;
    print(&found, parts);
    Ok(())
}

fn measure(server: &Process, parts: Parts, cc: &str) -> io::Result<Found> {
    let [publish, subscribe] = server.addrs[..] else {
        return Err(ErrorKind::AddrNotAvailable.into());
    };
    let mut readers = Vec::new();
    for n in 0..FAST + SLOW {
        readers.push(Reader::connect(subscribe, (n >= FAST).then_some(RECEIVE_BUFFER))?);
    }
    let mut publisher = TcpStream::connect(publish)?;
    publisher.set_nodelay(true)?;
    publisher.set_nonblocking(true)?;
    SockRef::from(&publisher).set_tcp_congestion(cc.as_bytes())?;
    let mut feed = Feed::new(Clock::now());
    let seconds = 2 * parts.calm + parts.slow;
    let mut windows = vec![Hist::new(); seconds as usize];
    let mut memory = [0; 3];
    // Two seconds first that nothing counts, for everybody to join in.
    let start = Clock::now() + 2 * WINDOW;
    let slow_from = start + Duration::from_secs(parts.calm);
    let slow_until = slow_from + Duration::from_secs(parts.slow);
    let end = start + Duration::from_secs(seconds);
    let mut next_look = slow_from;
    loop {
        let now = Clock::now();
        if now >= end {
            memory[2] = server.anonymous();
            return Ok(Found { windows, readers, memory, rate: feed.rate() });
        }
        feed.send(&mut publisher, now)?;
        if now >= next_look {
            next_look = next_look + WINDOW;
            let used = server.anonymous();
            memory[0] = if memory[0] == 0 { used } else { memory[0] };
            memory[1] = memory[1].max(used);
        }
        let window =
            (now >= start).then(|| (now.since(start).as_nanos() / WINDOW.as_nanos()) as usize);
        let (fast, slow) = readers.split_at_mut(FAST);
        for reader in fast {
            reader.read(usize::MAX, window.and_then(|window| windows.get_mut(window)))?;
        }
        let is_slow = now >= slow_from && now < slow_until;
        let allowed = (feed.rate() as f64 / 2.0 * now.since(slow_from).as_secs_f64()) as u64;
        for reader in slow {
            reader.turn(is_slow, allowed)?;
        }
    }
}

/// One subscriber.
struct Reader {
    stream: TcpStream,
    bytes: Box<[u8]>,
    filled: usize,
    /// Bytes read while slow.
    sipped: u64,
    /// Age of the oldest data read while slow.
    oldest: Duration,
    is_slow: bool,
    continuity: Continuity,
}

impl Reader {
    fn connect(addr: SocketAddr, receive_buffer: Option<usize>) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.connect(&addr.into())?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            stream: socket.into(),
            bytes: vec![0; 64 * 1024].into_boxed_slice(),
            filled: 0,
            sipped: 0,
            oldest: Duration::ZERO,
            is_slow: false,
            continuity: Continuity::default(),
        })
    }

    /// Reads all there is, or while slow a sip if `allowed` bytes are more
    /// than it has had.
    fn turn(&mut self, is_slow: bool, allowed: u64) -> io::Result<()> {
        self.is_slow = is_slow;
        if !is_slow {
            return self.read(usize::MAX, None);
        }
        if self.sipped + SIP as u64 <= allowed {
            self.sipped += self.read_once(SIP, None)? as u64;
        }
        Ok(())
    }

    fn read(&mut self, most: usize, hist: Option<&mut Hist>) -> io::Result<()> {
        self.read_once(most, hist).map(|_| ())
    }

    /// One receive of at most `most` bytes; answers how many there were.
    fn read_once(&mut self, most: usize, mut hist: Option<&mut Hist>) -> io::Result<usize> {
        let end = self.bytes.len().min(self.filled.saturating_add(most));
        let len = match self.stream.read(&mut self.bytes[self.filled..end]) {
            Ok(0) => {
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "a subscriber was ended"));
            }
            Ok(len) => len,
            Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(why) => return Err(why),
        };
        let now = Clock::now();
        self.filled += len;
        let (packets, rest) = self.bytes[..self.filled].as_chunks::<PACKET>();
        for packet in packets {
            let Some(stamp) = Stamp::find_ts(packet) else {
                self.continuity.take(packet)?;
                continue;
            };
            let age = now.since(stamp.intended);
            if let Some(hist) = &mut hist {
                hist.record(age);
            }
            if self.is_slow {
                self.oldest = self.oldest.max(age);
            }
        }
        let (whole, left) = (packets.len() * PACKET, rest.len());
        self.bytes.copy_within(whole..whole + left, 0);
        self.filled = left;
        Ok(len)
    }
}

fn print(found: &Found, parts: Parts) {
    let slow = &found.readers[FAST..];
    let oldest = |pick: fn(Duration, Duration) -> Duration| {
        slow.iter().map(|reader| reader.oldest).reduce(pick).unwrap_or_default()
    };
    let skips: Vec<String> = slow.iter().map(|r| r.continuity.skips.to_string()).collect();
    let breaks: u64 = found.readers.iter().map(|reader| reader.continuity.breaks).sum();
    let strays: u64 = found.readers.iter().map(|reader| reader.continuity.strays).sum();
    let sipped: u64 = slow.iter().map(|reader| reader.sipped).sum();
    let share = sipped as f64 / (found.rate * parts.slow * SLOW as u64) as f64;
    println!(
        "{FAST} fast and {SLOW} slow subscribers of {:.1} Mbit/s; the slow read half of it for {} s, \
         SO_RCVBUF={}K, max_lag={} ms",
        found.rate as f64 * 8.0 / 1e6,
        parts.slow,
        RECEIVE_BUFFER / 1024,
        MAX_LAG.as_millis()
    );
    println!();
    println!("what the slow ones read          {:.1} % of the stream", 100.0 * share);
    println!(
        "age of their oldest data at read {} ms worst of all, {} ms best of the ten",
        oldest(Duration::max).as_millis(),
        oldest(Duration::min).as_millis()
    );
    println!("skips of each                    {}", skips.join(" "));
    println!("continuity errors of all twenty  {breaks}");
    println!("skips not to a key picture       {strays}");
    println!("latency of the fast ones         {}", compare(found, parts));
    println!(
        "RssAnon of the server            {} KiB before, {} KiB at most meanwhile, {} KiB after",
        found.memory[0] / 1024,
        found.memory[1] / 1024,
        found.memory[2] / 1024
    );
}

/// The fast ones' medians with slow ones against without, second by second,
/// and without against without.
fn compare(found: &Found, parts: Parts) -> String {
    let (calm, slow) = (parts.calm as usize, parts.slow as usize);
    let medians: Vec<f64> = found
        .windows
        .iter()
        .map(|hist| hist.quantile(0.5).map_or(f64::NAN, |p50| p50.as_secs_f64() * 1e6))
        .collect();
    let (before, rest) = medians.split_at(calm);
    let (during, after) = rest.split_at(slow);
    let quotients = |over: &[f64], under: &[f64]| -> Vec<f64> {
        over.iter().zip(under).map(|(over, under)| over / under).collect()
    };
    let mut with = quotients(&during[..calm], before);
    with.extend(quotients(&during[slow - calm..], after));
    let merged = |windows: &[Hist]| {
        let mut all = Hist::new();
        windows.iter().for_each(|hist| all.merge(hist));
        format!("{} / {} us", report::micros(all.quantile(0.5)), report::micros(all.quantile(0.99)))
    };
    format!(
        "p50 / p99 {} before, {} meanwhile, {} after;\n\
         {:33}p50 with/without {}, after/before {}",
        merged(&found.windows[..calm]),
        merged(&found.windows[calm..calm + slow]),
        merged(&found.windows[calm + slow..]),
        "",
        report::ratio(Ratio::of(with)),
        report::ratio(Ratio::of(quotients(after, before))),
    )
}
