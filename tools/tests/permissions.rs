//! Who may ping, and what those who may not are told: every combination of user,
//! `ping_group_range`, CAP_NET_RAW, IP version and no_new_privs, each in a network
//! of its own; and what is missing otherwise: a ping, a network, IPv6.
//!
//! It takes root to become somebody else and to make networks, setpriv and
//! unshare (util-linux) and ip (iproute2); without, every case counts as skipped.

#[path = "../../tests/gate.rs"]
mod gate;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::{env, fs, process};

use gate::{Tally, Verdict, is_chosen};
use serde_json::Value;

/// Of what nobody has; a user's own, and one to be in.
const NOBODY: u32 = 65534;
/// `net.ipv4.ping_group_range` for everybody, and for nobody: the kernel's default.
const OPEN: &str = "0 2147483647";
const CLOSED: &str = "1 0";

/// What a case has. All are in one network, whose loopback is up.
#[derive(Clone, Copy, Debug)]
struct Rights {
    root: bool,
    open: bool,
    raw: bool,
    v6: bool,
    no_new_privs: bool,
}

/// The program, where everybody can run it.
struct Stage {
    folder: PathBuf,
    program: PathBuf,
}

impl Stage {
    fn new() -> Result<Self, String> {
        let folder = env::temp_dir().join(format!("lightmeter-permissions-{}", process::id()));
        let program = folder.join("lightmeter");
        let made = fs::create_dir_all(&folder)
            .and_then(|()| fs::copy(env!("CARGO_BIN_EXE_lightmeter"), &program));
        made.map_err(|why| format!("{}: {why}", program.display()))?;
        let stage = Self { folder, program };
        let status =
            Command::new("chmod").arg("755").args([&stage.folder, &stage.program]).status();
        match status {
            Ok(status) if status.success() => Ok(stage),
            Ok(_) | Err(_) => Err(format!("chmod 755 {}", stage.folder.display())),
        }
    }

    /// Runs `script` as root in a network of its own; in it `$0` is the program.
    fn run(&self, script: &str) -> Result<Output, String> {
        let mut command = Command::new("unshare");
        command.args(["--net", "--", "sh", "-c", script]).arg(&self.program);
        let output = command.output().map_err(|why| format!("unshare: {why}"))?;
        // 101 is a panic; 126 and 127 are the shell's and setpriv's.
        match output.status.code() {
            Some(0..=3) => Ok(output),
            other => {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                Err(format!("exit code {other:?}: {}", said.trim()))
            }
        }
    }

    /// What it says as JSON to `words`, and the exit code.
    fn asked(&self, before: &str, words: &str) -> Result<(i32, Value), String> {
        let script = format!("{before} \"$0\" ping {words} -c 2 -i 10ms --warm-up 1 --json");
        let output = self.run(&script)?;
        let doc = serde_json::from_slice(&output.stdout);
        let doc = doc.map_err(|why| format!("no JSON from {words}: {why}"))?;
        Ok((output.status.code().unwrap_or(-1), doc))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.folder);
    }
}

/// What a case does, and what it comes to.
type Check = Box<dyn Fn(&Stage) -> Result<String, String>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let rights = every_right();
    let mut cases: Vec<(String, Check)> = Vec::new();
    for rights in rights {
        cases.push((rights.name(), Box::new(move |stage| rights.check(stage))));
    }
    for (name, check) in OTHERS {
        cases.push(((*name).to_owned(), Box::new(check)));
    }
    cases.retain(|(name, _)| is_chosen(name, &arguments));
    if arguments.iter().any(|word| word == "--list") {
        cases.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    let stage = Stage::new();
    let lacking = match &stage {
        Err(why) => Some(why.clone()),
        Ok(_) => lacking(),
    };
    let mut tally = Tally::default();
    for (name, check) in &cases {
        let verdict = match (&stage, &lacking) {
            (Ok(stage), None) => match check(stage) {
                Ok(what) => Verdict::Passed(what),
                Err(why) => Verdict::Failed(why),
            },
            (_, Some(why)) => Verdict::Moot(why.clone()),
            (Err(why), None) => Verdict::Failed(why.clone()),
        };
        tally.add(name, verdict);
    }
    tally.finish()
}

/// What is missing for any of it.
fn lacking() -> Option<String> {
    let script = "ip link set lo up && setpriv --reuid 65534 --regid 65534 --clear-groups true && \
                  echo '1 0' > /proc/sys/net/ipv4/ping_group_range";
    let works = Command::new("unshare").args(["--net", "--", "sh", "-c", script]).output();
    match works {
        Ok(output) if output.status.success() => None,
        Ok(_) | Err(_) => Some("it takes root, unshare, setpriv and ip".to_owned()),
    }
}

fn every_right() -> Vec<Rights> {
    let bit = |number: u32, at: u32| number >> at & 1 == 1;
    let rights = |n| Rights {
        root: bit(n, 4),
        open: bit(n, 3),
        raw: bit(n, 2),
        v6: bit(n, 1),
        no_new_privs: bit(n, 0),
    };
    (0..32).map(rights).collect()
}

impl Rights {
    fn name(self) -> String {
        let mut name = if self.root { "root" } else { "nobody" }.to_owned();
        name.push_str(if self.open { ", open range" } else { ", closed range" });
        name.push_str(if self.raw { ", CAP_NET_RAW" } else { ", no capability" });
        name.push_str(if self.v6 { ", v6" } else { ", v4" });
        name.push_str(if self.no_new_privs { ", no_new_privs" } else { "" });
        name
    }

    /// The shell's words that lead to these rights.
    fn script(self) -> String {
        let range = if self.open { OPEN } else { CLOSED };
        let mut script = format!(
            "ip link set lo up && echo '{range}' > /proc/sys/net/ipv4/ping_group_range && \
             exec setpriv"
        );
        match (self.root, self.raw) {
            (true, true) => {}
            // Root's program gets what the bounding set leaves.
            (true, false) => script.push_str(" --bounding-set -net_raw"),
            (false, _) => {
                script.push_str(&format!(" --reuid {NOBODY} --regid {NOBODY} --clear-groups"));
            }
        }
        if !self.root && self.raw {
            script.push_str(" --inh-caps +net_raw --ambient-caps +net_raw");
        }
        if self.no_new_privs {
            script.push_str(" --no-new-privs");
        }
        script.push_str(" --");
        script
    }

    fn check(self, stage: &Stage) -> Result<String, String> {
        let host = if self.v6 { "::1" } else { "127.0.0.1" };
        let (code, doc) = stage.asked(&self.script(), &format!("icmp {host}"))?;
        if !self.raw && !self.open {
            let told = refused(&doc, code, stage)?;
            expect(told, &[if self.v6 { "ICMPv6 not permitted" } else { "ICMP not permitted" }])?;
            let no_new_privs = told.contains("no_new_privs");
            if no_new_privs != self.no_new_privs {
                return Err(format!("no_new_privs is {}, and: {told}", self.no_new_privs));
            }
            return Ok("refused, with what to do".to_owned());
        }
        let wanted = if self.raw { "raw socket" } else { "datagram socket" };
        answered(&doc, code, wanted)
    }
}

/// The message, if it is one about permission that says all there is to do.
fn refused<'a>(doc: &'a Value, code: i32, stage: &Stage) -> Result<&'a str, String> {
    let told = failed(doc, code, "permission")?;
    let setcap = format!("sudo setcap cap_net_raw+ep {}", stage.program.display());
    expect(
        told,
        &[
            "SOCK_RAW:   EPERM",
            "SOCK_DGRAM: EACCES",
            "net.ipv4.ping_group_range = \"1 0\"",
            "sudo sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"",
            &setcap,
            "--cap-add NET_RAW",
            "ping tcp or ping udp",
        ],
    )?;
    Ok(told)
}

/// The message, if it failed with exit code 2 for want of `kind`.
fn failed<'a>(doc: &'a Value, code: i32, kind: &str) -> Result<&'a str, String> {
    let error = &doc["error"];
    match error["message"].as_str() {
        Some(message) if code == 2 && error["kind"] == kind => Ok(message),
        _ => Err(format!("exit code {code}, wanted 2 and '{kind}': {error}")),
    }
}

fn answered(doc: &Value, code: i32, how: &str) -> Result<String, String> {
    let series = &doc["series"][0];
    // 3 on a machine that fell behind; the replies are there all the same.
    let is_there = matches!(code, 0 | 3) && series["received"] == 2;
    match series["how"].as_str() {
        Some(found) if is_there && found == how => Ok(how.to_owned()),
        _ => Err(format!("exit code {code}, wanted replies by a {how}: {series}")),
    }
}

fn expect(text: &str, parts: &[&str]) -> Result<(), String> {
    match parts.iter().find(|part| !text.contains(**part)) {
        Some(part) => Err(format!("'{part}' is missing: {text}")),
        None => Ok(()),
    }
}

type Case = (&'static str, fn(&Stage) -> Result<String, String>);

const OTHERS: &[Case] = &[
    ("a capability of the file", file_capability),
    ("a capability of the file, no_new_privs", file_capability_in_vain),
    ("one kind of socket asked for", one_door),
    ("no ping installed", no_ping),
    ("ping without permission", ping_refused),
    ("no network", no_network),
    ("no IPv6", no_v6),
    ("no IPv6, beside v4", no_v6_beside_v4),
    ("nothing listens", nothing_listens),
];

/// As nobody, who may have no ICMP socket.
fn nobody() -> String {
    let rights = Rights { root: false, open: false, raw: false, v6: false, no_new_privs: false };
    rights.script()
}

/// A copy of the program that has a capability of its own.
fn with_capability(stage: &Stage) -> Result<PathBuf, String> {
    let copy = stage.folder.join("capable");
    fs::copy(&stage.program, &copy).map_err(|why| why.to_string())?;
    let status = Command::new("setcap").arg("cap_net_raw+ep").arg(&copy).status();
    match status {
        Ok(status) if status.success() => Ok(copy),
        Ok(_) | Err(_) => Err("setcap (libcap2-bin) can't be run".to_owned()),
    }
}

fn capable(stage: &Stage, setpriv: &str) -> Result<(i32, Value), String> {
    let program = with_capability(stage)?;
    let stage = Stage { folder: PathBuf::from("/nonexistent"), program };
    // setpriv keeps root's capabilities for itself when it changes the user; what
    // it starts has none, and is what must not gain any.
    let asked = stage.asked(&format!("{} {setpriv}", nobody()), "icmp 127.0.0.1");
    let _gone = fs::remove_file(&stage.program);
    asked
}

fn file_capability(stage: &Stage) -> Result<String, String> {
    let (code, doc) = capable(stage, "")?;
    answered(&doc, code, "raw socket")
}

fn file_capability_in_vain(stage: &Stage) -> Result<String, String> {
    let (code, doc) = capable(stage, "setpriv --no-new-privs --")?;
    expect(failed(&doc, code, "permission")?, &["no_new_privs keeps file capabilities from"])?;
    Ok("refused, with the reason".to_owned())
}

fn one_door(stage: &Stage) -> Result<String, String> {
    for (door, there, absent) in
        [("raw", "SOCK_RAW:   EPERM", "SOCK_DGRAM"), ("dgram", "SOCK_DGRAM: EACCES", "SOCK_RAW")]
    {
        let words = format!("icmp 127.0.0.1 --icmp-socket {door}");
        let (code, doc) = stage.asked(&nobody(), &words)?;
        let told = failed(&doc, code, "permission")?;
        expect(told, &[there, "fix one of"])?;
        if told.contains(absent) {
            return Err(format!("--icmp-socket {door} asked for one, and: {told}"));
        }
    }
    Ok("refused, and the other one is not named".to_owned())
}

fn no_ping(stage: &Stage) -> Result<String, String> {
    let up = "ip link set lo up && PATH=/nonexistent";
    let (code, doc) = stage.asked(up, "system 127.0.0.1")?;
    expect(failed(&doc, code, "not_installed")?, &["apt-get install iputils-ping"])?;
    // The others go on without it.
    let (code, doc) = stage.asked(up, "127.0.0.1")?;
    if doc["series"][0]["error"]["kind"] != "not_installed" || doc["series"][1]["received"] != 2 {
        return Err(format!("exit code {code}: {doc}"));
    }
    Ok("named with its package; icmp answers without it".to_owned())
}

/// The system's ping has a capability of its file, or is root's: neither counts.
fn ping_refused(stage: &Stage) -> Result<String, String> {
    if !is_installed("ping") {
        return Ok("there is no ping to be refused".to_owned());
    }
    let before = format!("{} setpriv --no-new-privs --", nobody());
    let (code, doc) = stage.asked(&before, "system 127.0.0.1")?;
    let told = doc["error"]["message"].as_str().unwrap_or_default();
    let is_told = ["not permitted", "ermission denied", "cap_net_raw"];
    if code == 2 && is_told.iter().any(|words| told.contains(words)) {
        return Ok(told.to_owned());
    }
    Err(format!("exit code {code}: {}", doc["error"]))
}

fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}

fn no_network(stage: &Stage) -> Result<String, String> {
    for kind in ["icmp", "tcp", "udp", "echo"] {
        let (code, doc) = stage.asked("", &format!("{kind} 127.0.0.1"))?;
        let told = failed(&doc, code, "unreachable")?;
        expect(told, &["no way from here", "sudo ip link set lo up"])?;
    }
    let (code, doc) = stage.asked("", "127.0.0.1")?;
    if code != 2 {
        return Err(format!("all kinds together: exit code {code}: {doc}"));
    }
    Ok("told by icmp, tcp, udp and echo, and all together".to_owned())
}

const OFF: &str = "ip link set lo up && echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 &&";

fn no_v6(stage: &Stage) -> Result<String, String> {
    for kind in ["icmp", "tcp", "udp", "echo"] {
        let (code, doc) = stage.asked(OFF, &format!("{kind} ::1"))?;
        let told = failed(&doc, code, "unreachable")?;
        expect(told, &["net.ipv6.conf.all.disable_ipv6=0", "-4"])?;
    }
    Ok("told by icmp, tcp, udp and echo".to_owned())
}

fn no_v6_beside_v4(stage: &Stage) -> Result<String, String> {
    let (code, doc) = stage.asked(OFF, "icmp ::1 127.0.0.1")?;
    let [six, four] = [&doc["series"][0], &doc["series"][1]];
    if matches!(code, 0 | 3) && six["error"]["kind"] == "unreachable" && four["received"] == 2 {
        return Ok("v4 answers, v6 says why not".to_owned());
    }
    Err(format!("exit code {code}: {doc}"))
}

fn nothing_listens(stage: &Stage) -> Result<String, String> {
    for kind in ["tcp", "udp", "echo"] {
        let (code, doc) = stage.asked("ip link set lo up &&", &format!("{kind} 127.0.0.1:9"))?;
        let series = &doc["series"][0];
        let told = format!("{} {}", series["error"]["message"], series["last_refusal"]);
        if code != 1 || !told.contains("nothing listens on 127.0.0.1:9") {
            return Err(format!("{kind}: exit code {code}: {series}"));
        }
    }
    Ok("exit code 1 by tcp, udp and echo".to_owned())
}
