//! `nearlight serve`: binds everything, says where, and runs.

use super::hints;
use super::host::Host;
use crate::config::{self, Serve};
use crate::reactor::plan::Plan;
use crate::sys::process::{HANGUP, INTERRUPT, Signals, TERMINATE, TURNS};
use crate::sys::wait::wait_readable;
use std::error::Error;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Duration;

/// Serves until it is told to stop.
///
/// # Errors
/// What could not be bound, set or pinned; or a broken event loop.
pub fn run(serve: &Serve) -> Result<(), Box<dyn Error>> {
    // Before any thread starts: the mask is inherited.
    let signals = Signals::new(&[TERMINATE, INTERRUPT, HANGUP, TURNS])?;
    super::log::start(serve.level)?;
    let mut host = Host::start(&serve.plan)?;
    tell(&host, &serve.plan)?;
    loop {
        let [told, over] =
            wait_readable([Some(signals.as_fd()), Some(host.over())], Duration::MAX)?;
        while told && let Some(signal) = signals.read() {
            if signal == TURNS {
                host.dump_turns();
            } else {
                log::info!("signal {signal}");
                host.drain();
            }
        }
        if over && host.is_over()? {
            break;
        }
    }
    host.join()?;
    log::info!("done");
    log::logger().flush();
    Ok(())
}

/// `listening` lines and `ready` on stdout, everything else on stderr.
fn tell(host: &Host, plan: &Plan) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for site in host.sites() {
        writeln!(out, "listening {}", config::url::with_port(&site.url, site.addr.port()))?;
    }
    for site in host.sites() {
        hints::print(site);
        if site.service.publishes() && !site.addr.ip().is_loopback() {
            log::warn!("{}: anyone who reaches it can publish", site.url);
        }
    }
    plan.dials.iter().for_each(hints::dial);
    for push in &plan.pushes {
        hints::push(push);
    }
    writeln!(out, "ready")?;
    out.flush()
}
