//! `lightmeter publish`: a file, a pipe or the generated picture to a server,
//! paced, with the sender's own delay told at the end.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use lexopt::prelude::{Long, Short, Value};
use nearlight::base::units::parse_size;
use nearlight::client::pace::{Pacing, Wait};
use nearlight::client::report::format_latency;
use nearlight::client::{
    ClientError, ClientOptions, ClientResult, Feed, Published, Publisher, Show, Target,
    publish_picture, publish_reader, random,
};
use nearlight::sys::clock::Clock;

use crate::stop::Stop;
use crate::{DONE, FAILED, USAGE, args, out};

const HELP: &str = "\
lightmeter publish URL [FILE | - | --demo] [options]

Publishes to tcp://ADDR:PORT, udp://ADDR:PORT or http://ADDR:PORT/NAME: a file,
standard input (-, and where it is no terminal), or a picture with a running
clock and probe stamps, which `lightmeter subscribe` reads (--demo).

  --pcr          send by the clock in the MPEG-TS (a FILE of MPEG-TS: always)
  --rate SIZE    bytes a second, such as 500K; with --pcr, where there is no
                 clock (500K)
  --seconds DUR  end after this long

Without --pcr and --rate, as fast as the input comes and the server reads.
Exit codes: 0 done, 1 the server refused or broke off, 2 wrong usage.
";

/// For `--pcr` without `--rate`: 4 Mbit/s, and a little.
const FALLBACK_RATE: u64 = 500 * 1024;
/// What every MPEG-TS packet begins with.
const TS_SYNC: u8 = 0x47;

enum Source {
    File(String),
    Input,
    Demo,
}

struct Options {
    target: Target,
    source: Source,
    pcr: bool,
    rate: Option<u64>,
    seconds: Option<Duration>,
}

/// Runs it with the words after `publish`; returns the exit code.
pub(crate) fn main(words: Vec<OsString>) -> u8 {
    let options = match parse(words) {
        Ok(Some(options)) => options,
        Ok(None) => {
            out::text(HELP);
            return DONE;
        }
        Err(error) => {
            eprintln!("lightmeter publish: {error}");
            return USAGE;
        }
    };
    // Opened first: a missing file must not take the stream's name.
    let input = match open(&options) {
        Ok(input) => input,
        Err(error) => {
            eprintln!("lightmeter publish: {error}");
            return USAGE;
        }
    };
    let stop = Stop::new();
    let flag = stop.flag();
    let target = options.target.clone();
    let seconds = options.seconds;
    let started = Clock::now();
    let thread = thread::spawn(move || publish(&target, input, &flag));
    match stop.wait(thread, seconds.map(|span| started + span)) {
        Some(Ok(published)) => {
            let took = Clock::now().since(started);
            eprintln!("{}", summary(&options.target, &published, took));
            DONE
        }
        Some(Err(error)) => {
            eprintln!("lightmeter publish: {error}");
            if matches!(error, ClientError::Target(_)) { USAGE } else { FAILED }
        }
        None => FAILED,
    }
}

fn parse(words: Vec<OsString>) -> Result<Option<Options>, String> {
    let mut parser = lexopt::Parser::from_args(words);
    let (mut names, mut demo, mut pcr) = (Vec::new(), false, false);
    let (mut rate, mut seconds) = (None, None);
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("demo") => demo = true,
            Long("pcr") => pcr = true,
            Long("rate") => rate = Some(args::value(&mut parser, "--rate", parse_size)?),
            Long("seconds") => {
                seconds = Some(args::value(&mut parser, "--seconds", args::duration)?);
            }
            Value(word) => names.push(word.to_string_lossy().into_owned()),
            Short(_) | Long(_) => {
                let error = argument.unexpected();
                return Err(format!("{error}; lightmeter publish --help lists the options"));
            }
        }
    }
    let mut names = names.into_iter();
    let url = names.next().ok_or("where to? lightmeter publish URL, or --help")?;
    let source = match (names.next(), demo) {
        (Some(file), true) => return Err(format!("either {file} or --demo")),
        (None, true) => Source::Demo,
        (Some(name), false) if name != "-" => Source::File(name),
        (None, false) if std::io::stdin().is_terminal() => {
            return Err("what? a FILE, - for standard input, or --demo".to_owned());
        }
        (_, false) => Source::Input,
    };
    if let Some(extra) = names.next() {
        return Err(format!("'{extra}' is one name too many"));
    }
    Ok(Some(Options {
        target: url.parse().map_err(|error: ClientError| error.to_string())?,
        source,
        pcr,
        rate,
        seconds: seconds.filter(|span| !span.is_zero()),
    }))
}

/// What is published, opened.
enum Input {
    Picture,
    Bytes(Box<dyn Read + Send>, Pacing),
}

fn open(options: &Options) -> Result<Input, String> {
    let fallback = options.rate.unwrap_or(FALLBACK_RATE);
    let asked = match (options.pcr, options.rate) {
        (true, _) => Some(Pacing::Pcr { fallback }),
        (false, Some(rate)) => Some(Pacing::Rate(rate)),
        (false, None) => None,
    };
    match &options.source {
        Source::Demo => Ok(Input::Picture),
        Source::Input => {
            // Read by a thread of its own, so that Ctrl-C ends a silent pipe.
            let feed = Feed::start(std::io::stdin()).map_err(|error| error.to_string())?;
            Ok(Input::Bytes(Box::new(feed), asked.unwrap_or(Pacing::Asap)))
        }
        Source::File(path) => {
            let failed = |error| format!("{path}: {error}");
            let mut file = BufReader::new(File::open(path).map_err(failed)?);
            let first = file.fill_buf().map_err(failed)?.first().copied();
            let pacing = match (asked, first) {
                (Some(pacing), _) => pacing,
                (None, Some(TS_SYNC)) => Pacing::Pcr { fallback },
                (None, _) => Pacing::Asap,
            };
            Ok(Input::Bytes(Box::new(file), pacing))
        }
    }
}

fn publish(target: &Target, input: Input, stop: &AtomicBool) -> ClientResult<Published> {
    let mut publisher = Publisher::open(target, &ClientOptions::default(), stop)?;
    let published = match input {
        Input::Picture => {
            let mut show = Show::default();
            show.token = Some(random());
            publish_picture(&mut publisher, &show, stop)?
        }
        Input::Bytes(mut source, pacing) => {
            publish_reader(&mut publisher, &mut source, pacing, Wait::Sleep, stop)?
        }
    };
    publisher.finish()?;
    Ok(published)
}

fn summary(target: &Target, published: &Published, took: Duration) -> String {
    let late = &published.late;
    let span = |value: Option<Duration>| value.map_or_else(|| "—".to_owned(), format_latency);
    format!(
        "published to {target}: {} bytes in {} sends, {:.1} s; sent after their time by: p50 {}, \
         p99 {}, max {}",
        published.bytes,
        published.sends,
        took.as_secs_f64(),
        span(late.quantile(0.5)),
        span(late.quantile(0.99)),
        span(late.max()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("", "where to?"),
            ("nothing --demo", "no scheme"),
            ("tcp://a:1 file --demo", "either file or --demo"),
            ("tcp://a:1 a b", "'b' is one name too many"),
            ("tcp://a:1 a --rate fast", "--rate: 'fast' is not a size"),
            ("tcp://a:1 a --loud", "--loud"),
        ] {
            let error = parse(words(text)).err().expect(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn pacing_follows_what_is_asked_for_and_what_the_file_is() {
        let pacing = |text: &str| {
            let options = parse(words(text)).expect(text).expect("options");
            match open(&options).expect(text) {
                Input::Picture => None,
                Input::Bytes(_, pacing) => Some(pacing),
            }
        };
        let path = std::env::temp_dir().join(format!("publish-{}", std::process::id()));
        std::fs::write(&path, [TS_SYNC; 188]).expect("written");
        let file = path.to_str().expect("UTF-8").to_owned();
        assert_eq!(pacing("tcp://a:1 --demo"), None);
        let by_clock = Pacing::Pcr { fallback: FALLBACK_RATE };
        assert_eq!(pacing(&format!("tcp://a:1 {file}")), Some(by_clock));
        let at_rate = format!("tcp://a:1 {file} --rate 1K");
        assert_eq!(pacing(&at_rate), Some(Pacing::Rate(1024)));
        std::fs::write(&path, b"text").expect("written");
        assert_eq!(pacing(&format!("tcp://a:1 {file}")), Some(Pacing::Asap));
        std::fs::remove_file(&path).expect("removed");
    }
}
