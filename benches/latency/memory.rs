//! What subscribers cost that do nothing: memory of each, CPU of all, and
//! whether every one of them is served when at last a frame comes.

use crate::child::Process;
use crate::frame::{self, Shape};
use crate::rows::{self, Setup};
use nearlight::sys::clock::Clock;
use nearlight::sys::process::raise_nofile;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// As many as are asked for.
const SUBSCRIBERS: usize = 18_000;
/// Descriptors that either process needs for itself.
const RESERVE: u64 = 64;
/// For which CPU time is counted.
const REST: Duration = Duration::from_secs(5);
/// Within which everybody must have its frame.
const PATIENCE: Duration = Duration::from_secs(90);

/// Measures and prints.
///
/// # Errors
/// The server can't be started, or a subscriber gets nothing.
pub(crate) fn run(setup: &Setup, is_quick: bool) -> Result<(), Box<dyn Error>> {
    let limit = raise_nofile()?.saturating_sub(RESERVE);
    let most = if is_quick { SUBSCRIBERS / 10 } else { SUBSCRIBERS };
    let wanted = usize::try_from(limit).map_or(most, |limit| limit.min(most));
    let urls = [
        "tcp://127.0.0.1:0?publish=bench&framing=len32&timeout=5m",
        "tcp://127.0.0.1:0?subscribe=bench&max_lag=1m",
        "http://127.0.0.1:0",
    ];
    let mut args: Vec<String> = ["serve", "-q", "--cpus"].map(str::to_owned).into_iter().collect();
    args.push(setup.server_cpu.to_string());
    args.extend(urls.iter().flat_map(|url| ["--listen".to_owned(), (*url).to_owned()]));
    let server = Process::server(&args)?;
    println!("idle TCP subscribers on one shard, --idle block");
    println!();
    rows::loaded(setup, || measure(&server, wanted))
}

fn measure(server: &Process, wanted: usize) -> io::Result<()> {
    let [publish, subscribe, http] = server.addrs[..] else {
        return Err(ErrorKind::AddrNotAvailable.into());
    };
    let mut conns = Vec::new();
    connect(&mut conns, 1, subscribe)?;
    let mut publisher = TcpStream::connect(publish)?;
    publisher.set_nodelay(true)?;
    // One subscriber and one frame first, so that what the stream itself
    // needs is in the figure that is subtracted.
    serve(&mut publisher, &mut conns, 1)?;
    let before = server.anonymous();
    connect(&mut conns, wanted - 1, subscribe)?;
    settle(http, wanted)?;
    let idle = server.anonymous();
    let spread = serve(&mut publisher, &mut conns, 2)?;
    let after = server.anonymous();
    let (cpu, sleeps) = (server.usage().cpu, server.sleeps());
    std::thread::park_timeout(REST);
    let (cpu, sleeps) = (server.usage().cpu - cpu, server.sleeps() - sleeps);
    let again = serve(&mut publisher, &mut conns, 3)?;

    let each = |bytes: u64| bytes.saturating_sub(before) as f64 / (wanted - 1) as f64;
    println!("subscribers                    {wanted}");
    println!("served by one frame            {wanted} (all)");
    println!(
        "memory of an idle one          {:.0} B  ((RssAnon of N - RssAnon of 1) / (N - 1))",
        each(idle)
    );
    println!(
        "memory of one with a frame     {:.0} B  (its residence histogram is there then)",
        each(after)
    );
    println!(
        "RssAnon                        {} KiB with 1, {} KiB with all",
        before / 1024,
        after / 1024
    );
    println!(
        "CPU while idle                 {:.3} % of a core, {:.1} wake-ups/s, over {} s",
        100.0 * cpu.as_secs_f64() / REST.as_secs_f64(),
        sleeps as f64 / REST.as_secs_f64(),
        REST.as_secs()
    );
    println!(
        "one frame to all of them       {:.1} ms, first time {:.1} ms (send to last receipt)",
        ms(again),
        ms(spread)
    );
    Ok(())
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// Waits until all have been accepted and made subscribers.
fn settle(http: SocketAddr, wanted: usize) -> io::Result<()> {
    let start = Clock::now();
    let line = format!("nearlight_subscribers{{stream=\"bench\",transport=\"tcp\"}} {wanted}\n");
    loop {
        let mut page = TcpStream::connect(http)?;
        write!(page, "GET /metrics HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        page.read_to_string(&mut text)?;
        if text.contains(&line) {
            return Ok(());
        }
        if Clock::now().since(start) > PATIENCE {
            let told = text.lines().find(|line| line.starts_with("nearlight_subscribers{"));
            return Err(io::Error::other(format!("of {wanted} there are {told:?}")));
        }
    }
}

fn connect(conns: &mut Vec<TcpStream>, more: usize, addr: SocketAddr) -> io::Result<()> {
    for _ in 0..more {
        let conn = TcpStream::connect(addr)?;
        conn.set_nonblocking(true)?;
        conns.push(conn);
    }
    Ok(())
}

/// Sends frames numbered from `first << 32` until everybody has one of them;
/// answers how long the last such frame took to reach the last. Several are
/// sent only while connections are still being accepted.
fn serve(publisher: &mut TcpStream, conns: &mut [TcpStream], first: u64) -> io::Result<Duration> {
    let start = Clock::now();
    let mut number = first << 32;
    loop {
        let mut bytes = Vec::new();
        frame::write(Shape::Small, number, &mut bytes);
        let sent = Clock::now();
        publisher.write_all(&bytes)?;
        let mut left = conns.len();
        while left > 0 && Clock::now().since(sent) < Duration::from_secs(1) {
            left = 0;
            for conn in conns.iter_mut() {
                left += usize::from(!has(conn, number)?);
            }
        }
        if left == 0 {
            return Ok(Clock::now().since(sent));
        }
        if Clock::now().since(start) > PATIENCE {
            return Err(io::Error::other(format!("{left} subscribers got nothing")));
        }
        number += 1;
    }
}

/// Looks at what has arrived without taking it, until it is the frame wanted:
/// older ones are taken. The wanted one stays, so that asking twice is well.
fn has(conn: &mut TcpStream, number: u64) -> io::Result<bool> {
    let mut bytes = [0; 64];
    loop {
        match conn.peek(&mut bytes) {
            Ok(64) => {}
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => return Ok(false),
            Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(why) => return Err(why),
        }
        let found = u64::from_be_bytes(bytes[8..16].try_into().expect("eight bytes"));
        if found >= number {
            return Ok(found == number);
        }
        conn.read_exact(&mut bytes)?;
    }
}
