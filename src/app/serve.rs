//! `nearlight serve`: binds everything, says where, and runs.

use super::hints;
use crate::config::{self, Serve, Usage};
use crate::protocol::Policy;
use crate::reactor::Shard;
use crate::reactor::plan::{Plan, Service};
use crate::relay::Directory;
use crate::sys::affinity;
use crate::sys::process::{INTERRUPT, Signals, TERMINATE, give_back_large_blocks, raise_nofile};
use std::io::{self, Write};
use std::sync::Arc;

/// Serves until it is told to stop.
///
/// # Errors
/// What could not be bound, set or pinned; or a broken event loop.
pub fn run(serve: &Serve) -> Result<(), Box<dyn std::error::Error>> {
    // Before any thread starts: the mask is inherited.
    let signals = Signals::new(&[TERMINATE, INTERRUPT])?;
    super::log::start(serve.level)?;
    let directory = Arc::new(Directory::default());
    let mut shard = prepare(&serve.plan, directory, Some(signals))?;
    tell(&shard, &serve.plan)?;
    shard.run()?;
    log::info!("done");
    log::logger().flush();
    Ok(())
}

/// A shard, bound and pinned.
///
/// # Errors
/// As [`run`].
pub fn prepare(
    plan: &Plan,
    directory: Arc<Directory>,
    signals: Option<Signals>,
) -> Result<Shard, Box<dyn std::error::Error>> {
    refuse_what_is_to_come(plan)?;
    give_back_large_blocks();
    if let Err(why) = raise_nofile() {
        log::warn!("the limit on open files stays as it is: {why}");
    }
    let shard = Shard::bind(plan, directory, signals)?;
    if let Some(cpu) = plan.cpus.first() {
        affinity::pin_to(*cpu).map_err(|why| Usage(why.to_string()))?;
    }
    Ok(shard)
}

/// What the command line has words for and the server does not do yet is
/// refused, rather than read and forgotten.
fn refuse_what_is_to_come(plan: &Plan) -> Result<(), Usage> {
    let refuse = |what: &str| Err(Usage(format!("{what} is not there yet; leave it out")));
    if plan.cpus.len() > 1 {
        return refuse("--cpus with several cores (a shard for each)");
    }
    for listen in &plan.listeners {
        if listen.ask.policy == Some(Policy::Wait) {
            return refuse(&format!("{}: policy=wait", listen.url));
        }
        if listen.ask.coalesce.is_some_and(|span| !span.is_zero()) {
            return refuse(&format!("{}: coalesce", listen.url));
        }
    }
    Ok(())
}

/// `listening` lines and `ready` on stdout, everything else on stderr.
fn tell(shard: &Shard, plan: &Plan) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for site in shard.listening() {
        writeln!(out, "listening {}", config::url::with_port(&site.url, site.addr.port()))?;
    }
    for site in shard.listening() {
        hints::print(site);
        let publishes = matches!(
            site.service,
            Service::Http | Service::TcpPublish { .. } | Service::UdpPublish { .. }
        );
        if publishes && !site.addr.ip().is_loopback() {
            log::warn!("{}: anyone who reaches it can publish", site.url);
        }
    }
    for push in &plan.pushes {
        hints::push(push);
    }
    writeln!(out, "ready")?;
    out.flush()
}
