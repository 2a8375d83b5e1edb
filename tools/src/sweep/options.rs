//! The arguments of `lightmeter sweep`.

use std::ffi::OsString;

use lexopt::prelude::{Long, Short, Value};

use crate::args;
use crate::paired::options::{Common, Flag};
use crate::paired::probe::Pace;
use crate::paired::{Arm, Plan};

use super::grid::{Axis, Grid};

pub(crate) const HELP: &str = "\
lightmeter sweep KEY=VALUE,VALUE... [options]

Which setting of `nearlight serve` is the fastest, if it matters: every value
with every other, each on private servers on loopback, against the first one.
The first is measured twice; what it differs from itself by is the floor below
which nothing is claimed. Ends with the line that starts the winner.

  KEY              a flag of `nearlight serve`: nodelay=0,1  idle=block,spin
  VALUE            what the flag takes; `default` leaves it out
  size=64,1316     how it is measured, all settings at each: bytes of a probe,
  interval=1ms,10ms  and the time between two

  --sweep K=V,V    the same as without --sweep
  --rounds N       rounds; each starts every server afresh (60)
  --probes N       probes of a setting in a round (200)
  -i DUR           time between two probes (250us)
  -s SIZE          bytes in a probe, from 16 (64)
  --kind KIND      relay (a stream through the server, the usual), echo (on one
                   TCP connection), tcp (making one) or udp
  --metric Q       what is compared: p50, p90 or p99 (p50)
  --seed N         draws the orders; the same again in the same order
  --server PATH    the nearlight binary (beside lightmeter, or in $PATH)
  --server-cpu N   the core of the servers
  --cpu N          the core of the probes
  -q               no progress
  --json           one object instead of text; times are integers of nanoseconds

  lightmeter sweep nodelay=0,1 idle=block,spin,adaptive
  lightmeter sweep cc=reno,cubic,bbr size=64,1316,65536

Exit codes: 0 done, 2 wrong usage or a setting that the server refuses, 3
nothing can be said, or what could is not valid. Ctrl-C gives the verdict of the
rounds so far.
";

/// What the words ask for.
pub(crate) enum Asked {
    Help,
    Sweep(Options),
}

/// The options, defaults filled in.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) plan: Plan,
    pub(crate) is_json: bool,
    pub(crate) is_quiet: bool,
}

/// Reads the words after `sweep`.
///
/// # Errors
/// Says which is wrong, and what was expected.
pub(crate) fn parse(words: Vec<OsString>) -> Result<Asked, String> {
    let mut parser = lexopt::Parser::from_args(words);
    let (mut common, mut axes) = (Common::default(), Vec::new());
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        if let Some(flag) = Flag::of(&argument) {
            common.take(flag, &mut parser)?;
            continue;
        }
        match argument {
            Short('h') | Long("help") => return Ok(Asked::Help),
            Long("sweep") => axes.push(args::value(&mut parser, "--sweep", Axis::parse)?),
            Value(word) => axes.push(Axis::parse(&word.to_string_lossy())?),
            Short(_) | Long(_) => {
                let error = argument.unexpected();
                return Err(format!("{error}; lightmeter sweep --help lists the options"));
            }
        }
    }
    if axes.is_empty() {
        return Err("what? lightmeter sweep nodelay=0,1, or --help".to_owned());
    }
    let grid = Grid::of(&axes)?;
    let paces = paces(&common, &grid);
    let arms = grid.arms.into_iter().map(Arm::Server).collect();
    let plan = common.plan(arms, paces)?;
    Ok(Asked::Sweep(Options { plan, is_json: common.json, is_quiet: common.quiet }))
}

fn paces(common: &Common, grid: &Grid) -> Vec<Pace> {
    let sizes: Vec<_> = grid.sizes.iter().copied().map(Some).collect();
    let sizes = if sizes.is_empty() { vec![None] } else { sizes };
    let intervals: Vec<_> = grid.intervals.iter().copied().map(Some).collect();
    let intervals = if intervals.is_empty() { vec![None] } else { intervals };
    let with = |size| intervals.iter().map(move |&interval| common.pace_with(size, interval));
    sizes.into_iter().flat_map(with).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn options(words: &str) -> Result<Options, String> {
        match parse(words.split_whitespace().map(OsString::from).collect())? {
            Asked::Sweep(options) => Ok(options),
            Asked::Help => Err("help".to_owned()),
        }
    }

    #[test]
    fn arms_and_groups_are_planned() {
        let asked = options("nodelay=0,1 --sweep size=64,65536 --server /bin/true").expect("right");
        let arms: Vec<String> = asked.plan.arms.iter().map(Arm::to_string).collect();
        assert_eq!(arms, ["nodelay=0", "nodelay=1"]);
        let wanted = [(64, 250), (65_536, 1250)]
            .map(|(size, micros)| Pace { size, interval: Duration::from_micros(micros) });
        assert_eq!(asked.plan.paces, wanted);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (words, part) in [
            ("", "what?"),
            ("default", "'default' is not KEY=VALUE,VALUE"),
            ("--sweep", "--sweep: missing"),
            ("--sweep nodelay", "--sweep: 'nodelay' is not"),
            ("coalesce=0,1ms --kind udp --server /bin/true", "coalesce is of streams"),
            ("nodelay=0,1 --rounds 5 --server /bin/true", "6 are the fewest"),
            ("a=0,1 size=64,1316 --rounds 6 --server /bin/true", "7 are the fewest"),
            ("nodelay=0,1 size=64K --kind udp --server /bin/true", "is the most for udp"),
            ("nodelay=0,1 --resolve 5%", "--resolve"),
        ] {
            let error = options(words).expect_err(words);
            assert!(error.contains(part), "{words}: {error}");
        }
    }
}
