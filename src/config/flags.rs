//! The command line: commands and flags into types.

use super::listen::or_help;
use super::settings::{Settings, known_keys};
use super::suggest::{hint, nearest};
use super::{Command, Demo, Format, Serve, Usage, file, help};
use crate::options::Opt;
use crate::reactor::plan::Idle;
use lexopt::{Arg, Parser};
use log::LevelFilter;
use std::ffi::OsString;
use std::path::PathBuf;

const COMMANDS: [&str; 5] = ["serve", "demo", "options", "check", "help"];
/// Flags that are no settings.
const OTHER_FLAGS: [&str; 4] = ["config", "verbose", "quiet", "help"];

/// Reads the arguments after the program's name.
///
/// # Errors
/// Says what is wrong, where and what to do.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Command, Usage> {
    let mut parser = Parser::from_args(args);
    let command = match Flag::next(&mut parser)? {
        Some(Flag::Plain(text)) => text,
        Some(Flag::Help) => return Ok(Command::Help(help::overview())),
        Some(Flag::Version) => return Ok(Command::Version),
        Some(Flag::Long(name)) => {
            return Err(Usage(format!(
                "--{name}: the command comes first, such as nearlight serve --{name}"
            )));
        }
        Some(Flag::Short(letter)) => {
            return Err(Usage(format!(
                "-{letter}: the command comes first, such as nearlight serve -{letter}"
            )));
        }
        None => {
            return Err(Usage(
                "no command: nearlight serve starts a server, nearlight demo shows one at work, \
                 nearlight --help lists the rest"
                    .to_owned(),
            ));
        }
    };
    match command.as_str() {
        "serve" => serve(&mut parser),
        "demo" => demo(&mut parser),
        "options" => options(&mut parser),
        "check" => check(&mut parser),
        "help" => Ok(Command::Help(match Flag::next(&mut parser)? {
            Some(Flag::Plain(topic)) => help::of(&topic),
            _ => help::overview(),
        })),
        other => Err(Usage(format!(
            "unknown command '{other}'{}: nearlight --help lists them",
            hint(other, COMMANDS)
        ))),
    }
}

/// One argument, free of the parser that it came from.
enum Flag {
    Long(String),
    Short(char),
    Plain(String),
    Help,
    Version,
}

impl Flag {
    fn next(parser: &mut Parser) -> Result<Option<Self>, Usage> {
        Ok(match parser.next().map_err(say)? {
            None => None,
            Some(Arg::Long("help") | Arg::Short('h')) => Some(Self::Help),
            Some(Arg::Long("version") | Arg::Short('V')) => Some(Self::Version),
            Some(Arg::Long(name)) => Some(Self::Long(name.to_owned())),
            Some(Arg::Short(letter)) => Some(Self::Short(letter)),
            Some(Arg::Value(text)) => Some(Self::Plain(text_of(text)?)),
        })
    }
}

fn serve(parser: &mut Parser) -> Result<Command, Usage> {
    let mut settings = Settings::default();
    let mut config = None;
    let mut level = Level::default();
    while let Some(flag) = Flag::next(parser)? {
        match flag {
            Flag::Help => return Ok(Command::Help(help::serve())),
            Flag::Version => return Ok(Command::Version),
            Flag::Long(name) if name == "config" => config = Some(path(parser)?),
            Flag::Long(name) if level.long(&name) => {}
            Flag::Short(letter) if level.short(letter) => {}
            Flag::Long(name) => setting(parser, &mut settings, &name)?,
            Flag::Short(_) | Flag::Plain(_) => return Err(unexpected("serve", &flag)),
        }
    }
    let file = match &config {
        Some(path) => file::read(path).map_err(Usage)?,
        None => Settings::default(),
    };
    let plan = settings.settle(file).map_err(Usage)?;
    Ok(Command::Serve(Serve { plan, level: level.filter() }))
}

fn demo(parser: &mut Parser) -> Result<Command, Usage> {
    let mut settings = Settings::default();
    let mut seconds = None;
    let mut level = Level::default();
    while let Some(flag) = Flag::next(parser)? {
        match flag {
            Flag::Help => return Ok(Command::Help(help::demo())),
            Flag::Version => return Ok(Command::Version),
            Flag::Long(name) if name == "seconds" => {
                let text = value(parser)?;
                seconds = Some(text.parse().map_err(|_| {
                    Usage(format!(
                        "--seconds: '{text}' is not a number of seconds; 0 runs until Ctrl-C"
                    ))
                })?);
            }
            Flag::Long(name)
                if matches!(
                    name.replace('_', "-").as_str(),
                    "host" | "listen" | "pull" | "push" | "allow-host" | "config"
                ) =>
            {
                return Err(Usage(format!(
                    "--{name}: the demo runs on loopback ports of its own; \
                     nearlight serve takes this flag"
                )));
            }
            Flag::Long(name) if level.long(&name) => {}
            Flag::Short(letter) if level.short(letter) => {}
            Flag::Long(name) if nearest(&name, ["seconds"]).is_some() => {
                return Err(Usage(format!("unknown flag --{name}{}", hint(&name, ["seconds"]))));
            }
            Flag::Long(name) => setting(parser, &mut settings, &name)?,
            Flag::Short(_) | Flag::Plain(_) => return Err(unexpected("demo", &flag)),
        }
    }
    Ok(Command::Demo(Demo {
        seconds,
        cpus: settings.cpus.unwrap_or_default(),
        idle: settings.idle.unwrap_or(Idle::Block),
        ask: settings.ask,
        socket: settings.socket,
        level: level.filter(),
    }))
}

fn options(parser: &mut Parser) -> Result<Command, Usage> {
    let mut format = Format::Table;
    while let Some(flag) = Flag::next(parser)? {
        format = match flag {
            Flag::Help => return Ok(Command::Help(help::options())),
            Flag::Version => return Ok(Command::Version),
            Flag::Long(name) if name == "json" => Format::Json,
            Flag::Long(name) if name == "markdown" => Format::Markdown,
            Flag::Long(_) | Flag::Short(_) | Flag::Plain(_) => {
                return Err(unexpected("options", &flag));
            }
        };
    }
    Ok(Command::Options(format))
}

fn check(parser: &mut Parser) -> Result<Command, Usage> {
    let mut config = None;
    while let Some(flag) = Flag::next(parser)? {
        match flag {
            Flag::Help => return Ok(Command::Help(help::check())),
            Flag::Version => return Ok(Command::Version),
            Flag::Long(name) if name == "config" => config = Some(path(parser)?),
            Flag::Long(_) | Flag::Short(_) | Flag::Plain(_) => {
                return Err(unexpected("check", &flag));
            }
        }
    }
    let file =
        config.ok_or_else(|| Usage("which file? nearlight check --config FILE".to_owned()))?;
    Ok(Command::Check { file })
}

/// Takes the setting `--name` with its value.
fn setting(parser: &mut Parser, settings: &mut Settings, name: &str) -> Result<(), Usage> {
    let key = name.replace('-', "_");
    let takes_bare = Opt::named(&key).is_some_and(|opt| opt.row().takes_bare());
    if known_keys().all(|known| known != key) {
        return Err(unknown_flag(name));
    }
    let text = if takes_bare { optional_value(parser)? } else { Some(value(parser)?) };
    let from = format!("--{name}");
    match settings.set(&key, text.as_deref(), &from) {
        Ok(true) => Ok(()),
        Ok(false) => Err(unknown_flag(name)),
        // The flag stands in for the key that the reason begins with.
        Err(why) => Err(Usage(match why.strip_prefix(&format!("{key}: ")) {
            Some(why) => format!("{from}: {why}"),
            None => format!("{from}: {why}"),
        })),
    }
}

/// `--nodelay`, `--nodelay=off` and `--nodelay off` are alike: the next
/// argument is the value unless it is a flag. No command has plain arguments
/// that it could be mistaken for.
fn optional_value(parser: &mut Parser) -> Result<Option<String>, Usage> {
    if let Some(text) = parser.optional_value() {
        return text_of(text).map(Some);
    }
    let next =
        parser.raw_args().map_err(say)?.next_if(|text| !text.as_encoded_bytes().starts_with(b"-"));
    next.map(text_of).transpose()
}

fn value(parser: &mut Parser) -> Result<String, Usage> {
    text_of(parser.value().map_err(say)?)
}

fn path(parser: &mut Parser) -> Result<PathBuf, Usage> {
    Ok(PathBuf::from(parser.value().map_err(say)?))
}

fn text_of(text: OsString) -> Result<String, Usage> {
    text.into_string().map_err(|text| Usage(format!("'{}' is not UTF-8", text.display())))
}

fn say(error: lexopt::Error) -> Usage {
    Usage(error.to_string())
}

fn unknown_flag(name: &str) -> Usage {
    let known: Vec<String> =
        known_keys().chain(OTHER_FLAGS).map(|key| key.replace('_', "-")).collect();
    let hint = hint(name, known.iter().map(String::as_str));
    Usage(format!("unknown flag --{name}{}", or_help(&hint)))
}

fn unexpected(command: &str, flag: &Flag) -> Usage {
    let text = match flag {
        Flag::Long(name) => format!("--{name}"),
        Flag::Short(letter) => format!("-{letter}"),
        Flag::Plain(text) => format!("'{text}'"),
        Flag::Help => "--help".to_owned(),
        Flag::Version => "--version".to_owned(),
    };
    Usage(format!(
        "nearlight {command} does not take {text}: nearlight {command} --help says what it takes"
    ))
}

/// How much is logged: each `-v` says more, each `-q` less.
#[derive(Default)]
struct Level {
    steps: i32,
}

impl Level {
    fn long(&mut self, name: &str) -> bool {
        match name {
            "verbose" => self.short('v'),
            "quiet" => self.short('q'),
            _ => false,
        }
    }

    fn short(&mut self, letter: char) -> bool {
        match letter {
            'v' => self.steps += 1,
            'q' => self.steps -= 1,
            _ => return false,
        }
        true
    }

    const fn filter(&self) -> LevelFilter {
        match self.steps {
            ..=-2 => LevelFilter::Error,
            -1 => LevelFilter::Warn,
            0 => LevelFilter::Info,
            1 => LevelFilter::Debug,
            2.. => LevelFilter::Trace,
        }
    }
}
