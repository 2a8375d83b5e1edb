//! `lightmeter ab` and `lightmeter sweep` as scripts see them: verdicts, exit
//! codes, documents that keep to their schemas, and no server left behind.
//!
//! `cargo test -p lightmeter --test paired`; words choose checks by their names.
//! The server that is measured is this program, started with the words of
//! `nearlight serve`: so the tests need no other package's binary.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

#[path = "../schema/mod.rs"]
mod schema;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::panic::catch_unwind;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::thread;
use std::time::Duration;

use nearlight::sys::child::{Tell, tell};
use nearlight::sys::clock::Clock;
use nearlight::{app, config};
use serde_json::Value;

const CHECKS: &[(&str, fn())] = &[
    ("one setting against itself", one_setting_against_itself),
    ("a slower target", a_slower_target),
    ("a sweep", a_sweep),
    ("a refused setting", a_refused_setting),
    ("a server that goes away", a_server_that_goes_away),
    ("no server", no_server),
    ("all but one rest", all_but_one_rest),
    ("ctrl-c", ctrl_c),
    ("a killed lightmeter", a_killed_lightmeter),
];

/// What is enough to see that it works.
const SHORT: &str = "--rounds 9 --probes 20 -i 500us -q";
/// A setting whose server ends as soon as it is ready.
const DOOMED: &str = "--cc=doomed";

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    if words.first().is_some_and(|word| word == "serve") {
        return serve(&words);
    }
    let is_chosen = |name: &str| {
        let mut wanted = words.iter().filter_map(|word| word.to_str());
        let mut wanted = wanted.by_ref().filter(|word| !word.starts_with("--")).peekable();
        wanted.peek().is_none() || wanted.any(|word| name.contains(word))
    };
    let (mut passed, mut failed) = (0, 0);
    for (name, check) in CHECKS.iter().filter(|(name, _)| is_chosen(name)) {
        if words.iter().any(|word| word == "--list") {
            println!("{name}: test");
            continue;
        }
        // A check that ends in a panic has said why.
        let is_right = catch_unwind(check).is_ok();
        println!("test {name} ... {}", if is_right { "ok" } else { "FAILED" });
        *(if is_right { &mut passed } else { &mut failed }) += 1;
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {verdict}. {passed} passed; {failed} failed");
    ExitCode::from(u8::from(failed > 0))
}

/// The server: the library's, with the exit codes of its binary.
fn serve(words: &[OsString]) -> ExitCode {
    if words.iter().any(|word| word == DOOMED) {
        for scheme in ["tcp", "tcp", "tcp", "udp"] {
            println!("listening {scheme}://127.0.0.1:1?echo");
        }
        println!("ready");
        eprintln!("nearlight: the roof fell in");
        return ExitCode::FAILURE;
    }
    match config::parse(words.iter().cloned()) {
        Ok(config::Command::Serve(serve)) => match app::serve::run(&serve) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("nearlight: {why}");
                ExitCode::FAILURE
            }
        },
        Ok(_) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("nearlight: {why}");
            ExitCode::from(2)
        }
    }
}

/// `lightmeter` with `words`, and this program as its server.
fn lightmeter(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lightmeter"));
    command.args(words.split_whitespace()).arg("--server").arg(std::env::current_exe().unwrap());
    command
}

fn run(words: &str) -> Output {
    lightmeter(words).output().unwrap()
}

fn error(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The document that is all of standard output, which keeps to its schema.
#[track_caller]
fn document(output: &[u8]) -> Value {
    let document: Value = serde_json::from_slice(output).unwrap();
    let schema = match document["schema"].as_str() {
        Some("nearlight.lightmeter.ab/1") => include_str!("../../schemas/ab.json"),
        Some("nearlight.lightmeter.sweep/1") => include_str!("../../schemas/sweep.json"),
        other => panic!("schema {other:?}"),
    };
    let schema: Value = serde_json::from_str(schema).unwrap();
    let complaints = schema::complaints(&document, &schema, &schema, "");
    assert!(complaints.is_empty(), "{complaints:#?}");
    document
}

/// The document of a run that must end with one of `codes`; or with 3, where
/// this machine says of itself that it is too busy.
#[track_caller]
fn measured(words: &str, codes: &[i32]) -> Value {
    let output = run(words);
    let object = document(&output.stdout);
    let code = output.status.code().unwrap();
    assert_eq!(object["exit_code"], code);
    let is_busy = object["reasons"].to_string().contains("too busy");
    assert!(codes.contains(&code) || (code == 3 && is_busy), "{code}: {}", error(&output));
    object
}

fn one_setting_against_itself() {
    // With so few rounds anything may come out but a broken run.
    let words = format!("ab default default --seed 5 --resolve 1000% --json {SHORT}");
    let object = measured(&words, &[0, 1, 3]);
    assert_eq!(object["config"]["seed"], 5);
    let rounds = object["result"]["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 9);
    for round in rounds {
        let arms = round["arms"].as_array().unwrap();
        assert!(arms.iter().all(|arm| arm["received"] == 20 && arm["p50_ns"].is_u64()), "{round}");
        assert_eq!((arms.len(), &arms[0]["p99_ns"]), (3, &Value::Null));
    }
    let text = run(&format!("ab default nodelay=0 {SHORT}"));
    let text = String::from_utf8(text.stdout).unwrap();
    for part in
        ["ab default nodelay=0: p50 of relay, 64 bytes every 500us\n", "\nB to A ", "\nA again"]
    {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains('\x1b'), "no control sequences in a pipe");
}

/// UDP echo that holds each datagram for a while, until this process ends.
fn held_echo(hold: Duration) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((bytes, from)) = socket.recv_from(&mut buffer) {
            let until = Clock::now() + hold;
            while Clock::now() < until {}
            socket.send_to(&buffer[..bytes], from).unwrap();
        }
    });
    address
}

fn a_slower_target() {
    let [fast, slow] = [0, 2].map(|millis| held_echo(Duration::from_millis(millis)));
    let short = "--rounds 9 --probes 10 -i 4ms -q --json";
    let object = measured(&format!("ab udp:{fast} udp:{slow} {short}"), &[1]);
    assert_eq!(object["result"]["comparisons"][0]["verdict"], "slower", "{object}");
    assert_eq!(object["config"]["server"], Value::Null, "no server was started");
    let object = measured(&format!("ab udp:{slow} udp:{fast} {short}"), &[0]);
    assert_eq!(object["result"]["comparisons"][0]["verdict"], "faster", "{object}");
}

fn a_sweep() {
    let words = "sweep nodelay=0,1 --sweep size=64,1316 idle=default,adaptive";
    let object = measured(&format!("{words} --json {SHORT}"), &[0]);
    let groups = object["groups"].as_array().unwrap();
    assert_eq!((groups.len(), &groups[1]["size"]), (2, &Value::from(1316)));
    for group in groups {
        let whats =
            group["arms"].as_array().unwrap().iter().map(|arm| arm["what"].as_str().unwrap());
        let whats: Vec<&str> = whats.collect();
        assert_eq!(
            whats,
            [
                "nodelay=0",
                "nodelay=0",
                "nodelay=0,idle=adaptive",
                "nodelay=1",
                "nodelay=1,idle=adaptive"
            ]
        );
        assert_eq!(group["rounds"].as_array().unwrap().len(), 9);
    }
    assert!(object["sentence"].is_string());
}

fn a_refused_setting() {
    for (words, setting, part) in [
        ("ab default nodelay=2", "nodelay=2", "is not on, off, 1 or 0"),
        ("ab default nodlay=1", "nodlay=1", "did you mean 'nodelay'?"),
        ("sweep idle=block,fast", "idle=fast", "is not block, spin"),
    ] {
        let output = run(&format!("{words} --json"));
        assert_eq!(output.status.code(), Some(2), "{words}");
        let object = document(&output.stdout);
        let message = object["error"]["message"].as_str().unwrap();
        assert!(message.starts_with(setting) && message.contains(part), "{message}");
        assert!(error(&output).contains(message));
    }
    let output = run("sweep nodelay=1 --json");
    assert_eq!(
        (output.status.code(), &document(&output.stdout)["error"]["kind"]),
        (Some(2), &"usage".into())
    );
}

fn a_server_that_goes_away() {
    let output = run("ab default cc=doomed");
    assert_eq!(output.status.code(), Some(2));
    let error = error(&output);
    assert!(error.contains("cc=doomed: ") && error.contains("the roof fell in"), "{error}");
}

fn no_server() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lightmeter"));
    let output =
        command.args(["ab", "default", "default", "--server", "/nonexistent"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(error(&output).contains("there is no file '/nonexistent'"), "{}", error(&output));
}

/// The processes that `id` has started.
fn children(id: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
    text.unwrap_or_default().split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

/// Its state, a letter of proc_pid_stat(5).
fn state(id: u32) -> Option<char> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    text.rsplit_once(") ")?.1.chars().next()
}

/// Whether it runs, or rests; one that has ended may not be buried yet.
fn is_alive(id: u32) -> bool {
    state(id).is_some_and(|state| !['Z', 'X'].contains(&state))
}

#[track_caller]
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Clock::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Clock::now() < until, "waited 20 s for {what}");
        thread::yield_now();
    }
}

/// A `lightmeter` that doesn't outlive a check that fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

/// A long run, and the servers of a round of it.
fn long_run() -> (Running, Vec<u32>) {
    let mut command =
        lightmeter("ab default idle=spin --rounds 1000 --probes 400 -i 1ms --json -q");
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
    let run = Running(command.spawn().unwrap());
    let mut servers = Vec::new();
    wait_for("three servers", || {
        servers = children(run.0.id());
        servers.len() == 3
    });
    (run, servers)
}

fn all_but_one_rest() {
    let (run, _) = long_run();
    // In one round, each of three has its turn while the two others rest.
    let mut seen = (Vec::new(), BTreeSet::new());
    wait_for("a turn of each", || {
        let servers = children(run.0.id());
        let resting: Vec<u32> =
            servers.iter().copied().filter(|&id| state(id) == Some('T')).collect();
        if seen.0 != servers {
            seen = (servers, BTreeSet::new());
        }
        if resting.len() == 2 {
            seen.1.insert(resting);
        }
        seen.1.len() == 3
    });
}

fn ctrl_c() {
    let (mut run, servers) = long_run();
    let start = Clock::now();
    tell(&run.0, Tell::Interrupt);
    let mut text = Vec::new();
    run.0.stdout.take().unwrap().read_to_end(&mut text).unwrap();
    let code = run.0.wait().unwrap().code();
    let object = document(&text);
    assert_eq!(object["interrupted"], true);
    assert_eq!(object["exit_code"].as_i64(), code.map(i64::from));
    assert!(object["result"]["rounds"].as_array().unwrap().len() < 1000);
    assert!(!servers.into_iter().any(is_alive), "a server was left behind");
    assert!(Clock::now().since(start) < Duration::from_secs(10), "it went on with other rounds");
}

fn a_killed_lightmeter() {
    let (mut run, servers) = long_run();
    run.0.kill().unwrap();
    run.0.wait().unwrap();
    wait_for("the end of all servers", || !servers.iter().any(|&id| is_alive(id)));
}
