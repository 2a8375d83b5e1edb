//! The arguments of `lightmeter ab`.

use std::ffi::OsString;

use lexopt::prelude::{Long, Short, Value};

use crate::args;
use crate::output::Output;
use crate::paired::options::{Common, Flag};
use crate::paired::probe::Route;
use crate::paired::setting::{DEFAULT, Setting};
use crate::paired::{Arm, Plan};

pub(crate) const HELP: &str = "\
lightmeter ab A B [options]

Whether B is slower or faster than A: both are measured in turns, A twice, and
what A differs from itself by is the floor below which nothing is claimed.

A and B are two targets,
  HOST[:PORT]      echo on one TCP connection (port 7007)
  udp:HOST:PORT    echo of datagrams
  icmp:HOST        ICMP echo
or two settings of `nearlight serve`, each given to private servers on loopback:
  nodelay=0        one, or several with commas: nodelay=0,cc=reno
  default          none

  --rounds N       rounds; each starts every arm afresh (60)
  --probes N       probes of an arm in a round (200; fewer on slow targets)
  -i DUR           time between two probes (250us; 10ms away from this machine)
  -s SIZE          bytes in a probe, from 16 (64)
  --kind KIND      relay (a stream through the server: of settings the usual),
                   echo (on one TCP connection), tcp (making one) or udp
  --metric Q       what is compared: p50, p90 or p99 (p50)
  --resolve PCT    a difference that may not be missed, such as 5%: if one could
                   have been, the run says so and ends with 3 (20%)
  --seed N         draws the orders; the same again in the same order
  --server PATH    the nearlight binary (beside lightmeter, or in $PATH)
  --server-cpu N   the core of the servers
  --cpu N          the core of the probes
  --plot, --ascii, --svg FILE, --png FILE   a picture: which share of the probes of
                   each arm took less than how long
  -q               no progress
  --json           one object instead of text; times are integers of nanoseconds

  lightmeter ab nodelay=1 nodelay=0 -s 1316
  lightmeter ab idle=block idle=spin
  lightmeter ab 10.0.0.1 10.0.0.2 --resolve 5%

Exit codes: 0 B is not slower, 1 B is slower, 2 wrong usage or nothing to
measure, 3 nothing can be said, or what could is not valid. Ctrl-C gives the
verdict of the rounds so far.
";

/// Options for a picture; there is one that fits.
const PICTURES: [&str; 4] = ["plot", "ascii", "svg", "png"];

/// What the words ask for.
pub(crate) enum Asked {
    Help,
    Compare(Options),
}

/// The options, defaults filled in.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) plan: Plan,
    /// The effect that has to be seen, 0.05 being 5 %.
    pub(crate) resolve: Option<f64>,
    pub(crate) is_json: bool,
    pub(crate) is_quiet: bool,
    pub(crate) output: Output,
}

/// Reads the words after `ab`; looks hosts up.
///
/// # Errors
/// Says which is wrong, and what was expected.
pub(crate) fn parse(words: Vec<OsString>) -> Result<Asked, String> {
    let mut parser = lexopt::Parser::from_args(words);
    let (mut common, mut resolve, mut names) = (Common::default(), None, Vec::new());
    let mut output = Output::default();
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        if let Some(flag) = Flag::of(&argument) {
            common.take(flag, &mut parser)?;
            continue;
        }
        match argument {
            Short('h') | Long("help") => return Ok(Asked::Help),
            Long("resolve") => {
                resolve = Some(args::value(&mut parser, "--resolve", percent)?);
            }
            Value(word) => names.push(word.to_string_lossy().into_owned()),
            Long(name) if PICTURES.contains(&name) => {
                let option = format!("--{name}");
                output.take(&option, &mut parser)?;
            }
            Short(_) | Long(_) => {
                let error = argument.unexpected();
                return Err(format!("{error}; lightmeter ab --help lists the options"));
            }
        }
    }
    let arms = arms(&names, &common)?;
    let pace = common.pace(&arms);
    Ok(Asked::Compare(Options {
        plan: common.plan(arms, vec![pace])?,
        resolve,
        is_json: common.json,
        is_quiet: common.quiet,
        output,
    }))
}

fn arms(names: &[String], common: &Common) -> Result<Vec<Arm>, String> {
    let [a, b] = names else {
        return Err(match names {
            [] => "what? lightmeter ab A B, or --help".to_owned(),
            [a] => format!("with what? lightmeter ab {a} B, or --help"),
            [_, _, extra, ..] => format!("'{extra}' is one too many: A and B are two"),
            [_, _] => String::new(),
        });
    };
    let is_setting = |text: &String| text == DEFAULT || text.contains('=');
    if is_setting(a) != is_setting(b) {
        let (setting, target) = if is_setting(a) { (a, b) } else { (b, a) };
        return Err(format!(
            "'{setting}' is a setting and '{target}' a target: both have to be of one sort"
        ));
    }
    let arm = |text: &String| {
        if is_setting(text) {
            Setting::parse(text).map(Arm::Server)
        } else {
            Route::resolve(text, common.kind()).map(|route| Arm::Peer(text.clone(), route))
        }
    };
    Ok(vec![arm(a)?, arm(b)?])
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').trim_end().parse::<f64>();
    match number {
        Ok(number) if number > 0.0 && number <= 1000.0 => Ok(number / 100.0),
        Ok(_) | Err(_) => Err(format!("'{text}' is not a difference in percent, such as 5%")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paired::Metric;
    use std::time::Duration;

    fn options(words: &str) -> Result<Options, String> {
        match parse(words.split_whitespace().map(OsString::from).collect())? {
            Asked::Compare(options) => Ok(options),
            Asked::Help => Err("help".to_owned()),
        }
    }

    #[test]
    fn targets_need_no_server() {
        let asked =
            options("127.0.0.1:7 udp:127.0.0.1:9 -i 1ms -s 1316 --resolve 5%").expect("right");
        assert_eq!((asked.plan.program, asked.resolve), (None, Some(0.05)));
        assert_eq!(asked.plan.paces[0].interval, Duration::from_millis(1));
        assert_eq!((asked.plan.rounds, asked.plan.probes), (60, 200));
        assert_eq!(asked.plan.arms[1].to_string(), "udp:127.0.0.1:9");
        let asked = options("127.0.0.1 127.0.0.1 --metric p99 --seed 7 --rounds 9 -q --json");
        let asked = asked.expect("right");
        assert_eq!((asked.plan.metric, asked.plan.seed, asked.plan.rounds), (Metric::P99, 7, 9));
        assert!(asked.is_quiet && asked.is_json);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (words, part) in [
            ("", "what?"),
            ("default", "with what?"),
            ("a=1 b=2 c=3", "'c=3' is one too many"),
            ("default 127.0.0.1", "'default' is a setting and '127.0.0.1' a target"),
            ("a=1 b", "both have to be of one sort"),
            ("nodelay=1 nodelay=1,nodelay=0", "set twice"),
            ("127.0.0.1 [::1", "without ']'"),
            ("default default --rounds 0", "--rounds: '0'"),
            ("default default --rounds 1001", "1000 is the most"),
            ("default default --rounds 5 --server /bin/true", "6 are the fewest"),
            ("default default --kind icmp", "never reaches a server"),
            ("default coalesce=1ms --kind echo --server /bin/true", "coalesce is of streams"),
            ("default default --metric p42", "'p42' is not p50"),
            ("default default --resolve none", "not a difference in percent"),
            ("default default --flood", "--flood"),
            ("default default --server /nonexistent", "there is no file"),
            ("default default --cpu 60000 --server /bin/true", "--cpu: "),
        ] {
            let error = options(words).expect_err(words);
            assert!(error.contains(part), "{words}: {error}");
        }
    }
}
