//! STAMP (RFC 8762) with `stamp-suite`, both ways round: its sender and our
//! reflector, its reflector and our sender.

use crate::program::{Outcome, Program, Stage, until};
use crate::server::serve;
use nearlight::client::ping::oneway::one_way;
use nearlight::client::ping::stamp::{Losses, Reflection, Sender, Split};
use nearlight::sys::clock::Clock;
use serde_json::Value;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(12);
/// How long a reply may take.
const REPLY: Duration = Duration::from_secs(2);

/// All its probes are answered; of what it asks for beyond the base packet our
/// reflector says that it understands padding alone; what is malformed comes
/// back too.
pub(crate) fn its_sender(stage: &Stage) -> Outcome {
    let (_server, at, _lines) =
        serve(stage, &["--listen".to_owned(), "udp://127.0.0.1:0?stamp".to_owned()])?;
    let port = at.first().and_then(|at| at.rsplit_once(':')).map_or("", |(_, port)| port);
    let ask = |name: &str, more: &str| {
        let line = format!(
            "stamp-suite -r 127.0.0.1 -p {port} -c 20 -d 10 -L 2 --output-format json {more}"
        );
        let said = stage.output(name, &line, LIMIT)?;
        let last = said.lines().last().unwrap_or_default();
        serde_json::from_str::<Value>(last).map_err(|why| format!("{name}: {why}: {said}"))
    };
    let wants = |name: &str, said: &Value, path: &str, wanted: u64| {
        let found = said.pointer(path).and_then(Value::as_u64);
        let text = format!("{name}: {path} is {found:?}, not {wanted}: {said}");
        if found == Some(wanted) { Ok(()) } else { Err(text) }
    };
    let extensions = "--ssid 77 --on-zero-ssid stop --cos --dscp 46 --extra-padding 64";
    for (name, more, tlvs, unrecognised) in [
        ("base", "", 0, 0),
        ("ptp", "-K PTP", 0, 0),
        ("extended", extensions, 40, 20),
        ("malformed", "--malformed bad-length", 0, 0),
    ] {
        let said = ask(name, more)?;
        wants(name, &said, "/packets_received", 20)?;
        wants(name, &said, "/owd/samples", 20)?;
        wants(name, &said, "/owd/clock_quality/unsynchronized", 20)?;
        let validation = "/measurements/tlv_validation";
        wants(name, &said, &format!("{validation}/observed_tlvs"), tlvs)?;
        wants(name, &said, &format!("{validation}/flags/unrecognized"), unrecognised)?;
        wants(name, &said, &format!("{validation}/flags/malformed"), 0)?;
    }
    Ok(())
}

/// It answers our probes, whatever it makes of them: the clocks are one, and
/// losses are told apart if it counts.
pub(crate) fn its_reflector(stage: &Stage) -> Outcome {
    for (name, more, split) in [
        ("stateless", "", None),
        ("stateful", "--stateful-reflector", Some(Split { up: 6, down: 3 })),
        ("ignorant", "--tlv-mode ignore", None),
        ("ptp", "-K PTP --hwtstamp off", None),
    ] {
        let socket = UdpSocket::bind("127.0.0.1:0").map_err(|why| why.to_string())?;
        let free = socket.local_addr().map_err(|why| why.to_string())?.port();
        drop(socket);
        let line = format!("stamp-suite -i -S 127.0.0.1 -o {free} {more}");
        let _reflector = Program::start(stage, name, &line)?;
        measure(SocketAddr::from(([127, 0, 0, 1], free)), split)
            .map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(())
}

/// Asks 60 times, of which some are not sent and some replies not counted.
fn measure(to: SocketAddr, split: Option<Split>) -> Outcome {
    let text = |why: std::io::Error| why.to_string();
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(text)?;
    socket.connect(to).map_err(text)?;
    // Until it listens, each try is refused or has no answer.
    socket.set_read_timeout(Some(Duration::from_millis(50))).map_err(text)?;
    until("its first answer", LIMIT, || ask(&mut Sender::new(56), &socket))?;
    socket.set_read_timeout(Some(REPLY)).map_err(text)?;
    let (mut sender, mut losses, mut stamps) = (Sender::new(56), Losses::default(), Vec::new());
    for n in 0..60 {
        if n % 10 == 4 {
            sender.probe(Clock::stamp().as_nanos());
            continue;
        }
        let reply = ask(&mut sender, &socket).ok_or(format!("no reply to probe {n}"))?;
        if reply.sequence != n {
            return Err(format!("probe {n}: {reply:?}"));
        }
        if n % 20 != 7 {
            losses.reply(&reply);
        }
        stamps.extend(reply.stamps);
    }
    let said = one_way(&stamps, Some(Duration::ZERO)).map_err(|why| why.to_string())?;
    if (said.count, said.absurd) != (54, 0) {
        return Err(format!("not all times make sense: {said:?}"));
    }
    if losses.split() == split {
        return Ok(());
    }
    Err(format!("losses are {:?}, not {split:?}", losses.split()))
}

/// Sends a probe, and answers the reply to it.
fn ask(sender: &mut Sender, socket: &UdpSocket) -> Option<Reflection> {
    socket.send(sender.probe(Clock::stamp().as_nanos())).ok()?;
    let mut packet = [0; 2048];
    let len = socket.recv(&mut packet).ok()?;
    sender.read(&packet[..len], Clock::stamp().as_nanos())
}
