//! Command line to plan: what is accepted, what is refused and in which words,
//! who wins, and that no input panics.

mod command_line;
mod file;
mod urls;

use super::*;
use crate::options::{TABLE, Transport};
use crate::protocol::{Join, Policy};
use crate::reactor::plan::{Listen, Service};
use std::ffi::OsString;
use std::time::Duration;

fn run(args: &str) -> Result<Command, String> {
    let args = args.split_whitespace().map(OsString::from);
    parse(args).map_err(|usage| usage.to_string())
}

fn plan(args: &str) -> Plan {
    match run(args) {
        Ok(Command::Serve(serve)) => serve.plan,
        other => panic!("{args}: {other:?}"),
    }
}

fn refused(args: &str) -> String {
    match run(args) {
        Err(why) => why,
        Ok(command) => panic!("{args}: {command:?}"),
    }
}

fn socket(text: &str) -> SocketOptions {
    let mut options = SocketOptions::default();
    for pair in text.split_whitespace() {
        let (key, value) = pair.split_once('=').expect("key=value");
        assert_eq!(options.set(key, Some(value)), Ok(true));
    }
    options
}

fn asked(listen: &Listen) -> String {
    let pairs: Vec<String> =
        listen.socket.asked().map(|(row, value)| format!("{}={value}", row.name)).collect();
    pairs.join(" ")
}
