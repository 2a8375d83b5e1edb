//! Other people's pings, as children, and the times that they print.

use std::process::Command;

use nearlight::client::ping::{Line, read_line};

/// Whether a program can be run.
pub(crate) fn is_there(program: &str) -> bool {
    Command::new(program).arg("-v").output().is_ok()
}

/// What one says of itself.
pub(crate) fn version(program: &str, flag: &str) -> String {
    let output = Command::new(program).arg(flag).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.ok().and_then(|text| Some(text.lines().next()?.trim().to_owned())).unwrap_or_default()
}

/// Nanoseconds that iputils' ping printed, each; `flags` beside interval in
/// milliseconds and count. The first is left out: it warms up.
pub(crate) fn ping(host: &str, flags: &[&str], ms: u32, count: u32) -> Result<Vec<f64>, String> {
    let interval = format!("{:.3}", f64::from(ms) / 1e3);
    let mut command = Command::new("ping");
    command.args(["-n", "-i", &interval, "-c", &(count + 1).to_string()]).args(flags).arg(host);
    let text = said(command)?;
    let times = text.lines().filter_map(|line| match read_line(line) {
        Line::Reply(reply) => reply.time.map(|time| time.as_nanos() as f64),
        Line::Header(_)
        | Line::Trouble { .. }
        | Line::Outstanding { .. }
        | Line::Summary(_)
        | Line::Times(_)
        | Line::Complaint(_)
        | Line::Damage
        | Line::Other => None,
    });
    Ok(times.skip(1).collect())
}

/// Nanoseconds that fping printed, as its three digits have them.
pub(crate) fn fping(host: &str, ms: u32, count: u32) -> Result<Vec<f64>, String> {
    let mut command = Command::new("fping");
    command.args(["-p", &ms.to_string(), "-c", &(count + 1).to_string(), host]);
    let text = said(command)?;
    // `10.77.0.2 : [0], 64 bytes, 0.261 ms (0.261 avg, 0% loss)`
    let times = text.lines().filter_map(|line| {
        let (_, rest) = line.split_once("bytes, ")?;
        rest.split_once(" ms")?.0.parse::<f64>().ok()
    });
    Ok(times.skip(1).map(|ms| ms * 1e6).collect())
}

fn said(mut command: Command) -> Result<String, String> {
    let output = command.env("LC_ALL", "C").output();
    let output = output.map_err(|why| format!("{command:?}: {why}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
