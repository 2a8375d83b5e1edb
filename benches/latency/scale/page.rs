//! The server's own pages, asked for and read.

use serde_json::Value;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A page's body.
///
/// # Errors
/// The kernel's, or another status than 200.
pub(super) fn get(addr: SocketAddr, path: &str) -> io::Result<String> {
    let mut conn = TcpStream::connect(addr)?;
    conn.set_read_timeout(Some(Duration::from_secs(20)))?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    conn.write_all(head.as_bytes())?;
    let mut text = String::new();
    conn.read_to_string(&mut text)?;
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => Err(io::Error::other(format!("{path}: {}", text.lines().next().unwrap_or_default()))),
    }
}

/// One turn.
pub(super) struct Turn {
    /// All of it but the poll.
    pub(super) span: Duration,
    /// The phase that took longest.
    pub(super) longest: String,
}

/// The turns of `/api/turns`: a slice for each, and after it those of its
/// phases.
///
/// # Errors
/// It is something else.
pub(super) fn turns(trace: &str) -> Result<Vec<Turn>, Box<dyn Error>> {
    let trace: Value = serde_json::from_str(trace)?;
    let slices = trace["traceEvents"].as_array().ok_or("no traceEvents")?;
    let mut turns: Vec<Turn> = Vec::new();
    let mut longest = 0.0;
    for slice in slices.iter().filter(|slice| slice["ph"] == "X") {
        let name = slice["name"].as_str().ok_or("a slice without name")?;
        let micros = slice["dur"].as_f64().ok_or("a slice without length")?;
        if name == "turn" {
            let span = Duration::from_secs_f64(micros / 1e6);
            turns.push(Turn { span, longest: String::new() });
            longest = 0.0;
        } else if let Some(turn) = turns.last_mut()
            && micros > longest
        {
            (longest, turn.longest) = (micros, name.to_owned());
        }
    }
    Ok(turns)
}

/// Values of a metric by its one label, of `/metrics`.
pub(super) fn by_label(metrics: &str, name: &str) -> Vec<(String, u64)> {
    let of = |line: &str| {
        let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.split_once("} ")?;
        let label = labels.split('"').nth(1)?;
        Some((label.to_owned(), value.trim().parse().ok()?))
    };
    metrics.lines().filter_map(of).filter(|(_, value)| *value > 0).collect()
}

/// A metric without label.
pub(super) fn sum(metrics: &str, name: &str) -> u64 {
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}
