//! `nearlight demo`: the main job by itself. The server on loopback, a
//! generated video published into it, subscribers over every transport, and a
//! live table of what each sees.

use crate::app::host::Host;
use crate::app::pings::Pings;
use crate::client::probe::{Form, ProbeReader};
use crate::client::report::{Row, Screen, Table};
use crate::client::{
    self, ClientOptions, ClientResult, Event, Publisher, Show, Subscriber, Target,
};
use crate::config::Demo;
use crate::options::{SocketOptions, Transport};
use crate::protocol::Name;
use crate::reactor::plan::{Listen, Plan, Push, Service};
use crate::sys::clock::Clock;
use crate::sys::process::{INTERRUPT, Signals, TERMINATE};
use crate::sys::wait::wait_readable;
use log::LevelFilter;
use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The demo's stream.
const STREAM: &str = "live";
/// How long it runs where nobody can press Ctrl-C.
const SECONDS: u64 = 10;
/// The table is drawn this often on a terminal, and elsewhere.
const REDRAW: Duration = Duration::from_millis(250);
const REPRINT: Duration = Duration::from_secs(2);
/// The port that the stream is pushed to, for players on UDP.
const PUSH_PORT: u16 = 5004;

/// Where the demo's listeners are.
struct Places {
    http: SocketAddr,
    publish: SocketAddr,
    subscribe: SocketAddr,
    udp: SocketAddr,
    echo: SocketAddr,
}

/// One subscriber, as the table shows it.
struct Path {
    label: &'static str,
    target: Target,
    reader: Mutex<ProbeReader>,
    failure: Mutex<Option<String>>,
}

/// Runs the demo.
///
/// # Errors
/// What could not be started; or which path brought nothing.
pub fn run(demo: &Demo) -> Result<(), Box<dyn Error>> {
    // Before the signals are blocked, and those before any thread starts: the
    // mask is inherited.
    let pings = Pings::start();
    let signals = Signals::new(&[TERMINATE, INTERRUPT])?;
    // Lines about each connection would tear the table.
    super::log::start(if demo.level == LevelFilter::Info {
        LevelFilter::Warn
    } else {
        demo.level
    })?;
    let is_terminal = io::stdout().is_terminal();
    let seconds = demo.seconds.unwrap_or(if is_terminal { 0 } else { SECONDS });
    let mut host = Host::start(&plan(demo)?)?;
    let at: Vec<SocketAddr> = host.sites().iter().map(|site| site.addr).collect();
    let [http, publish, subscribe, udp, echo, _udp_echo] = at[..] else {
        return Err("not every listener was bound".into());
    };
    let places = Places { http, publish, subscribe, udp, echo };
    let stop = AtomicBool::new(false);
    let outcome = show(&places, &pings, seconds, (&signals, host.over()), &stop);
    // The server goes last: its clients have ended.
    host.drain();
    host.join()?;
    outcome
}

/// The default ports, or free ones where taken.
fn plan(demo: &Demo) -> Result<Plan, Box<dyn Error>> {
    let name = Name::parse(STREAM)?;
    let tcp = |port| if TcpListener::bind(at(port)).is_ok() { port } else { 0 };
    let udp = |port| if UdpSocket::bind(at(port)).is_ok() { port } else { 0 };
    let listen = |scheme: &str, port: u16, service: Service| {
        let mut socket = demo.socket.clone();
        let transport = if scheme == "udp" { Transport::Udp } else { Transport::Tcp };
        socket.merge_under(&SocketOptions::defaults(transport, service.publishes()));
        Listen {
            url: format!("{scheme}://{}", at(port)),
            addr: at(port),
            service,
            ask: demo.ask.clone(),
            socket: socket.only_for(transport),
        }
    };
    let subscribe = Service::UdpSubscribe { name: name.clone(), handshake: true };
    Ok(Plan {
        listeners: vec![
            listen("http", tcp(8080), Service::Http),
            listen("tcp", tcp(9000), Service::TcpPublish { name: name.clone() }),
            listen("tcp", tcp(9001), Service::TcpSubscribe { name: name.clone() }),
            listen("udp", udp(9001), subscribe),
            listen("tcp", tcp(7007), Service::TcpEcho),
            listen("udp", udp(7007), Service::UdpEcho),
        ],
        pushes: vec![Push {
            url: format!("udp://{}?stream={STREAM}", at(PUSH_PORT)),
            to: at(PUSH_PORT),
            name,
            iface: None,
            ask: demo.ask.clone(),
            socket: demo.socket.only_for(Transport::Udp),
        }],
        dials: Vec::new(),
        cpus: demo.cpus.clone(),
        idle: demo.idle,
        allow_hosts: Vec::new(),
    })
}

const fn at(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// The client side: publisher, subscribers, table.
fn show(
    places: &Places,
    pings: &Pings,
    seconds: u64,
    ends: (&Signals, BorrowedFd<'_>),
    stop: &AtomicBool,
) -> Result<(), Box<dyn Error>> {
    introduce(places)?;
    let paths = paths(places)?;
    let publish: Target = format!("tcp://{}", places.publish).parse()?;
    let token = client::random();
    thread::scope(|scope| {
        for path in &paths {
            scope.spawn(|| watch(path, stop));
        }
        scope.spawn(|| {
            let outcome = publish_video(&publish, token, stop);
            if let Err(why) = outcome {
                log::error!("publisher: {why}");
                stop.store(true, Ordering::Relaxed);
            }
        });
        let watcher = scope.spawn(|| pings.watch(stop));
        let drawn = draw(&paths, pings, seconds, ends, stop);
        stop.store(true, Ordering::Relaxed);
        let _panicked = watcher.join();
        drawn
    })?;
    let mut out = io::stdout().lock();
    for line in pings.notes() {
        writeln!(out, "{line}")?;
    }
    drop(out);
    verdict(&paths)
}

fn publish_video(target: &Target, token: u64, stop: &AtomicBool) -> ClientResult<()> {
    let mut publisher = Publisher::open(target, &ClientOptions::default(), stop)?;
    let show = Show { token: Some(token), ..Show::default() };
    client::publish_picture(&mut publisher, &show, stop)?;
    publisher.finish()
}

fn paths(places: &Places) -> Result<Vec<Path>, Box<dyn Error>> {
    let http = places.http;
    let targets = [
        ("tcp → tcp", format!("tcp://{}", places.subscribe)),
        ("tcp → http", format!("http://{http}/{STREAM}.ts?wait=10s")),
        ("tcp → websocket", format!("ws://{http}/{STREAM}?wait=10s")),
        ("tcp → udp", format!("udp://{}", places.udp)),
    ];
    let path = |(label, url): (&'static str, String)| {
        let reader = Mutex::new(ProbeReader::new(Form::Ts, None));
        Ok(Path { label, target: url.parse()?, reader, failure: Mutex::new(None) })
    };
    targets.into_iter().map(path).collect()
}

/// A subscriber's thread.
fn watch(path: &Path, stop: &AtomicBool) {
    if let Err(why) = follow(path, stop)
        && !stop.load(Ordering::Relaxed)
    {
        *path.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_string());
    }
}

fn follow(path: &Path, stop: &AtomicBool) -> ClientResult<()> {
    let mut subscriber = Subscriber::open(&path.target, &ClientOptions::default(), stop)?;
    let is_datagram = subscriber.is_datagram();
    while !stop.load(Ordering::Relaxed) {
        match subscriber.receive()? {
            Event::Bytes(bytes) => {
                let now = Clock::now();
                let mut reader = path.reader.lock().unwrap_or_else(PoisonError::into_inner);
                if is_datagram {
                    reader.handle_datagram(bytes, now);
                } else {
                    reader.handle_bytes(bytes, now);
                }
            }
            Event::Idle => {}
            Event::End => break,
        }
    }
    subscriber.leave()
}

/// Draws the table until the time is up or somebody says stop.
fn draw(
    paths: &[Path],
    pings: &Pings,
    seconds: u64,
    (signals, over): (&Signals, BorrowedFd<'_>),
    stop: &AtomicBool,
) -> io::Result<()> {
    let stdout = io::stdout();
    let screen = Screen::detect(&stdout);
    let pause = if screen == Screen::Plain { REPRINT } else { REDRAW };
    let mut table = Table::new(screen);
    let start = Clock::now();
    let end = (seconds > 0).then(|| start + Duration::from_secs(seconds));
    let mut next = start + pause;
    loop {
        let wake = end.map_or(next, |end| end.min(next));
        let pause = wake.since(Clock::now());
        let [told, over] = wait_readable([Some(signals.as_fd()), Some(over)], pause)?;
        let goes_on = !told && !over && !stop.load(Ordering::Relaxed);
        let ran = Clock::now().since(start).as_secs();
        let title = format!("nearlight demo, {ran} s: one-way latency per video frame, last byte");
        let mut rows: Vec<Row> = paths.iter().map(row).collect();
        rows.extend(pings.rows());
        table.draw(&title, &rows, &mut stdout.lock())?;
        if !goes_on || end.is_some_and(|end| Clock::now() >= end) {
            break;
        }
        next = next + pause;
    }
    Ok(())
}

fn row(path: &Path) -> Row {
    let reader = path.reader.lock().unwrap_or_else(PoisonError::into_inner);
    Row::of(path.label, &reader)
}

/// What the demo is, and what to paste to see it.
fn introduce(places: &Places) -> io::Result<()> {
    let (http, tcp, echo) = (places.http, places.subscribe, places.echo);
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "nearlight demo: a 25 fps video with a running clock, about 4 Mbit/s, through the server.\n\
         See it; the picture's clock against the one of another player shows the delay:\n  \
         ffplay -fflags nobuffer -flags low_delay -framedrop -f mpegts tcp://{tcp}\n  \
         ffplay -fflags nobuffer -flags low_delay -framedrop http://{http}/{STREAM}.ts\n  \
         ffplay -fflags nobuffer -flags low_delay -framedrop udp://@:{PUSH_PORT}\n  \
         curl -N -o live.ts http://{http}/{STREAM}.ts\n  \
         browser: http://{http}/ lists what is live\n  \
         lightmeter ping {echo} compares it with the network\n"
    )?;
    out.flush()
}

/// Fails if a path brought nothing.
fn verdict(paths: &[Path]) -> Result<(), Box<dyn Error>> {
    let mut silent = Vec::new();
    for path in paths {
        let failure = path.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let frames = row(path).n;
        match &*failure {
            Some(why) => silent.push(format!("{}: {why}", path.label)),
            None if frames == 0 => silent.push(format!("{}: no frame came", path.label)),
            None => {}
        }
    }
    if silent.is_empty() { Ok(()) } else { Err(silent.join("; ").into()) }
}
