//! A network of the run's own: the program runs itself again in one.

use std::env;
use std::ffi::OsString;
use std::process::{Command, Output, Stdio};

/// What tells the run within that it is within.
const MARK: &str = "LIGHTMETER_TRUTH_NETWORK";
/// The interface towards the responder.
pub(crate) const DEVICE: &str = "truth0";

/// Where a run stands.
pub(crate) enum Place {
    /// In a network of its own, whose loopback is up.
    Within,
    /// It was done by another process, in a network of its own.
    Done(Output),
    /// There is no such network to be had, and why.
    Nowhere(String),
}

/// Runs this program again in a network of its own with `words`, unless this is
/// that run. What it prints is shown if `shown`, else it is in the output.
pub(crate) fn enter(words: impl IntoIterator<Item = OsString>, shown: bool) -> Place {
    if env::var_os(MARK).is_some() {
        return Place::Within;
    }
    let ways = [&["--net"][..], &["--map-root-user", "--net"][..]];
    let Some(way) = ways.into_iter().find(|way| works(way)) else {
        return Place::Nowhere(
            "no network of our own: root, or user namespaces, and /dev/net/tun, unshare \
             (util-linux) and ip (iproute2) are needed"
                .to_owned(),
        );
    };
    let program = match env::current_exe() {
        Ok(program) => program,
        Err(why) => return Place::Nowhere(why.to_string()),
    };
    let mut command = unshare(way, "ip link set lo up && exec \"$0\" \"$@\"");
    command.arg(program).args(words).env(MARK, "1");
    if shown {
        command.stdout(Stdio::inherit()).stderr(Stdio::inherit());
    }
    match command.output() {
        Ok(output) => Place::Done(output),
        Err(why) => Place::Nowhere(format!("unshare: {why}")),
    }
}

/// Gives the interface its addresses, and queues that hold what a responder
/// that stands still leaves.
pub(crate) fn raise(ours: &[&str]) -> Result<(), String> {
    let mut script = format!("ip link set {DEVICE} txqueuelen 20000 up");
    for address in ours {
        script.push_str(&format!(" && ip addr add {address} dev {DEVICE} nodad"));
    }
    let output = Command::new("sh").args(["-c", &script]).output();
    let output = output.map_err(|why| format!("sh: {why}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{script}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

fn works(way: &[&str]) -> bool {
    let script = format!("ip link set lo up && ip tuntap add dev {DEVICE} mode tun");
    unshare(way, &script).output().is_ok_and(|output| output.status.success())
}

fn unshare(way: &[&str], script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(way).args(["--", "sh", "-c", script]);
    command
}
