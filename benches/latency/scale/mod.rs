//! What grows with what: cost by subscribers (`slope`) and by streams
//! (`scale`), turn times with more to do than can be done (`overload`), and
//! what a second shard brings and costs (`shards`); and where the time of it all
//! goes (`profile`).

mod crowd;
mod datagrams;
pub(crate) mod floors;
mod hop;
mod overload;
mod page;
mod profile;
mod relayed;
mod rounds;
mod shards;
mod slope;
mod streams;
mod table;

use crate::report::Format;
use crate::rows::Setup;
use nearlight::sys::process::raise_nofile;
use std::error::Error;
use std::path::Path;
use std::time::Duration;
use table::Findings;

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Cost per subscriber.
    Slope,
    /// Cost per stream.
    Streams,
    /// Turn times.
    Overload,
    /// Two shards.
    Shards,
    /// Where the time goes.
    Profile,
}

impl What {
    /// As the command line has it.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "slope" => Some(Self::Slope),
            "scale" => Some(Self::Streams),
            "overload" => Some(Self::Overload),
            "shards" => Some(Self::Shards),
            "profile" => Some(Self::Profile),
            _ => None,
        }
    }
}

/// How.
pub(crate) struct Manner<'a> {
    /// Small and short: to see whether it works, or coarse.
    pub(crate) is_quick: bool,
    /// How tables are written.
    pub(crate) format: Format,
    /// Where everything goes, for programs.
    pub(crate) json: Option<&'a Path>,
    /// Only arms whose title has this.
    pub(crate) only: &'a str,
}

impl Manner<'_> {
    /// How long frames are counted in a run.
    const fn span(&self) -> Duration {
        Duration::from_millis(if self.is_quick { 200 } else { 1000 })
    }
}

/// Measures and prints.
///
/// # Errors
/// A process that doesn't start, or a connection that breaks.
pub(crate) fn run(what: What, setup: &Setup, manner: &Manner<'_>) -> Result<(), Box<dyn Error>> {
    raise_nofile()?;
    println!(
        "load on CPU {}, server and floors on CPU {}, cc={}, {} rounds, arms in turn; intervals \
         hold the median with 95 %",
        setup.load_cpu, setup.server_cpu, setup.cc, setup.rounds
    );
    match what {
        What::Slope => slope::run(setup, manner),
        What::Streams => streams::run(setup, manner),
        What::Overload => overload::run(setup, manner),
        What::Shards => shards::run(setup, manner),
        What::Profile => profile::run(setup, manner),
    }
}

/// What stands below every table.
fn note(findings: &Findings) {
    println!();
    println!(
        "Ratios: median over rounds [95 % interval of it]. busy: share of a core that the process \
         under test took.\nThe host took {:.2} % of the machine's time.",
        100.0 * findings.steal()
    );
}
