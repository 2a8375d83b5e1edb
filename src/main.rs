//! The `nearlight` binary: arguments in, exit code out.

use nearlight::app;
use nearlight::config::{self, Command, Usage};
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let outcome = match config::parse(std::env::args_os().skip(1)) {
        Ok(command) => run(command),
        Err(usage) => Err(usage.into()),
    };
    let Err(why) = outcome else {
        return ExitCode::SUCCESS;
    };
    log::logger().flush();
    // Not eprintln, which panics where nobody reads.
    let _unread = writeln!(io::stderr(), "nearlight: {why}");
    let is_usage = why.is::<Usage>();
    ExitCode::from(if is_usage { Usage::EXIT_CODE } else { 1 })
}

fn run(command: Command) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    match command {
        Command::Serve(serve) => {
            drop(out);
            app::serve::run(&serve)
        }
        Command::Options(format) => Ok(config::run_options(format, &mut out)?),
        Command::Check { file } => Ok(writeln!(out, "{}", config::run_check(&file)?)?),
        Command::Help(text) => Ok(out.write_all(text.as_bytes())?),
        Command::Version => Ok(writeln!(out, "nearlight {}", env!("CARGO_PKG_VERSION"))?),
        Command::Demo(demo) => {
            drop(out);
            app::demo::run(&demo)
        }
    }
}
