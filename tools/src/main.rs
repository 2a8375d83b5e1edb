//! lightmeter: latency tools that say what they measured. This file picks the
//! subcommand; each has a file of its own.

mod ab;
mod args;
mod doctor;
mod host;
mod live;
mod load;
mod out;
mod output;
mod paired;
mod ping;
mod publish;
mod report;
mod server;
mod stop;
mod subscribe;
mod sweep;

use std::process::ExitCode;

const HELP: &str = "\
lightmeter: measures latency, side by side and honestly

  lightmeter ping [KIND] HOST[:PORT]
                               round-trip times, all kinds side by side
  lightmeter load [HOST]       latency while streaming
  lightmeter ab A B            two targets or settings: which is slower, if any
  lightmeter sweep KEY=V,V...  which setting of a server is the fastest
  lightmeter publish URL [FILE | - | --demo]
                               a stream to a server, paced
  lightmeter subscribe URL     a stream from a server: one-way latency, loss
  lightmeter report FILE...    what a saved run showed; the schemas of all JSON
  lightmeter doctor            what limits measuring on this host, and the fix

lightmeter COMMAND --help says more. Exit codes: 0 done, 1 no reply or failed
while running, 2 wrong usage, no such host or not permitted, 3 not valid.
";

/// What a subcommand comes to.
pub(crate) const DONE: u8 = 0;
/// No reply, or failed while running.
pub(crate) const FAILED: u8 = 1;
/// Wrong usage, no such host, not permitted.
pub(crate) const USAGE: u8 = 2;
/// Replies came, and the measurement is not valid.
pub(crate) const INVALID: u8 = 3;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let command = words.next().unwrap_or_default();
    ExitCode::from(match command.to_str() {
        Some("ab") => ab::main(words.collect()),
        Some("ping") => ping::main(words.collect()),
        Some("load") => load::main(words.collect()),
        Some("publish") => publish::main(words.collect()),
        Some("sweep") => sweep::main(words.collect()),
        Some("subscribe") => subscribe::main(words.collect()),
        Some("report") => report::main(words.collect()),
        Some("doctor") => doctor::main(words.collect()),
        Some("-h" | "--help" | "help") => {
            out::text(HELP);
            DONE
        }
        Some("-V" | "--version") => {
            out::line(concat!("lightmeter ", env!("CARGO_PKG_VERSION")));
            DONE
        }
        Some("") => {
            eprint!("{HELP}");
            USAGE
        }
        _ => {
            let command = command.display();
            eprintln!(
                "lightmeter: there is no command '{command}'; there are ping, load, ab, sweep, report, \
                 doctor, publish, subscribe"
            );
            USAGE
        }
    })
}
