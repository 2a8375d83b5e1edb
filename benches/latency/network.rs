//! A network of the benchmark's own. Other servers take the machine's default
//! congestion control, which may be BBR, and there is no telling them
//! otherwise; in a network namespace that default is ours to set, and goes
//! with it, however the run ends.

use std::error::Error;
use std::fs;
use std::process::{Command, ExitStatus};
use std::{env, io};

/// What tells the run within that it is within.
const MARK: &str = "NEARLIGHT_BENCH_NETWORK";
const DEFAULT: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

/// Where a run stands.
pub(crate) enum Place {
    /// It was done by another process, in a network of its own, and ended so.
    Done(ExitStatus),
    /// Go on here.
    Here,
}

/// Runs `mode` of this program again in a network of its own, unless this is
/// it, or none can be had, which is said then.
///
/// # Errors
/// It can't be started.
pub(crate) fn enter(cc: &str, mode: &str) -> Result<Place, Box<dyn Error>> {
    if is_within() {
        fs::write(DEFAULT, cc).map_err(|why| format!("{DEFAULT}: {why}"))?;
        return Ok(Place::Here);
    }
    let ways = [&["--net"][..], &["--map-root-user", "--net"][..]];
    let Some(way) = ways.into_iter().find(|way| works(way)) else {
        println!(
            "no network of our own (unshare --net, ip link: root, or user namespaces, and \
             util-linux and iproute2 are needed): peers run with the machine's default"
        );
        return Ok(Place::Here);
    };
    let status = unshare(way, "ip link set lo up && exec \"$0\" \"$@\"")
        .arg(env::current_exe()?)
        .args(env::args_os().skip(1))
        .arg(mode)
        .env(MARK, "1")
        .status()?;
    Ok(Place::Done(status))
}

/// Whether this is the run within.
pub(crate) fn is_within() -> bool {
    env::var_os(MARK).is_some()
}

/// The congestion control of sockets that ask for none.
pub(crate) fn default_cc() -> String {
    fs::read_to_string(DEFAULT).unwrap_or_else(|why| why.to_string()).trim().to_owned()
}

fn works(way: &[&str]) -> bool {
    let output: io::Result<_> =
        unshare(way, &format!("ip link set lo up && test -w {DEFAULT}")).output();
    output.is_ok_and(|output| output.status.success())
}

fn unshare(way: &[&str], script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(way).args(["--", "sh", "-c", script]);
    command
}
