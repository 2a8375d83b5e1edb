//! `lightmeter report`: a saved run shows what the run itself showed.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use super::peer::{self, SOON};
use super::ping::ctrl_c;
use super::{check, code, lightmeter, object, piped, run, text, told};

/// A file of this name in a folder of this test's.
fn file(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("report");
    fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// Runs a ping that saves, and compares what it and the report of it print.
#[track_caller]
fn same(name: &str, words: &str) -> (String, String) {
    let file = file(name);
    let output = run(&format!("ping {words} --save {}", file.display()));
    let printed = text(&output);
    let again = run(&format!("report {}", file.display()));
    assert_eq!((code(&again), told(&again)), (0, String::new()));
    let again = text(&again);
    let (header, summary) = again.split_once('\n').unwrap();
    assert!(printed.starts_with(&format!("{header}\n")), "{printed}\n--\n{again}");
    assert!(printed.ends_with(summary), "{printed}\n--\n{again}");
    assert!(summary.len() > 100, "{summary}");
    (printed, again)
}

#[test]
fn byte_for_byte() {
    let (address, _seen) = peer::echo();
    let (printed, again) = same("all", &format!("{address} -c 20 -i 4ms"));
    assert_eq!(printed, again, "nothing but header and summary");
    same("verbose", &format!("{address} -c 20 -i 4ms -v"));
    let (printed, again) = same("quiet", &format!("tcp {address} -c 400 -i 1ms -q --pace spin"));
    assert_eq!(printed, again);
    assert!(again.contains("99 of 100 within"), "{again}");
    let (printed, again) = same("lines", &format!("udp {address} -c 20 -i 2ms"));
    assert_eq!(printed.lines().count(), again.lines().count() + 20 + 50, "a line for each probe");
    let (other, _too) = peer::echo();
    same("hosts", &format!("udp {address} {other} localhost:{} -4 -c 5 -i 2ms", address.port()));
    let closed = peer::closed();
    same("closed", &format!("{closed} -c 5 -i 5ms"));
    let loss = peer::udp(|n, probe| if n % 3 == 0 { vec![] } else { vec![probe.to_vec(); 2] });
    same("loss", &format!("udp {loss} -c 30 -i 2ms -W 30ms --timestamp user"));
    same("late", &format!("tcp {address} -c 400 -i 10us"));
}

#[test]
fn pictures_and_files_byte_for_byte() {
    let loss = peer::udp(|n, probe| if n % 7 == 0 { vec![] } else { vec![probe.to_vec()] });
    let saved = file("pictured");
    let formats = ["svg", "csv", "hgrm", "hlog"];
    let options = |by: &str| {
        let option =
            |format: &&str| format!("--{format} {}", file(&format!("{by}.{format}")).display());
        formats.iter().map(option).collect::<Vec<_>>().join(" ")
    };
    let words =
        format!("ping udp {loss} -q -c 40 -i 2ms -W 30ms --plot --save {}", saved.display());
    let printed = text(&run(&format!("{words} {}", options("run"))));
    let again = run(&format!("report {} --plot {}", saved.display(), options("report")));
    assert_eq!((code(&again), text(&again)), (0, printed), "{}", told(&again));
    assert!(text(&again).contains("p99"), "a picture: {}", text(&again));
    for format in formats {
        let of = |by: &str| fs::read(file(&format!("{by}.{format}"))).unwrap();
        assert!(of("run").len() > 300 && of("run") == of("report"), "{format}");
    }
    // A document has no probes, and there is one picture of one run.
    let saved = saved.display();
    let json = run(&format!("report {saved} --json"));
    let plotted = piped("report - --plot", &json.stdout);
    assert_eq!(code(&plotted), 1);
    assert!(told(&plotted).contains("no probes to draw"), "{}", told(&plotted));
    assert_eq!(code(&run(&format!("report {saved} {saved} --plot"))), 2);
}

#[test]
fn after_ctrl_c_too() {
    let (address, seen) = peer::echo();
    let file = file("ctrl-c");
    let words = format!("ping udp {address} -q -i 2ms --save {}", file.display());
    let child = lightmeter(&words).spawn().unwrap();
    (0..60).for_each(|_| seen.recv_timeout(SOON).unwrap());
    let printed = text(&ctrl_c(child));
    let again = run(&format!("report {}", file.display()));
    assert_eq!(text(&again), printed);
}

#[test]
fn what_json_printed_is_a_saved_run() {
    let (address, _seen) = peer::echo();
    for option in ["--json", "--json-lines"] {
        let output = run(&format!("ping udp {address} -c 20 -i 2ms {option}"));
        let file = file(&format!("printed{option}"));
        fs::write(&file, &output.stdout).unwrap();
        let again = run(&format!("report --json {}", file.display()));
        object("ping", &again);
        assert_eq!(text(&again).lines().last(), text(&output).lines().last());
        let shown = run(&format!("report {}", file.display()));
        assert!(text(&shown).contains("half of the replies came within"), "{}", text(&shown));
    }
}

#[test]
fn a_stream_is_shown_again() {
    let address = peer::server(|mut stream| drop(stream.write_all(&[7; 100_000])));
    let output = run(&format!("ping stream tcp://{address} --json"));
    let file = file("stream");
    fs::write(&file, &output.stdout).unwrap();
    let shown = text(&run(&format!("report {}", file.display())));
    assert!(shown.starts_with(&format!("stream tcp://{address}: ")), "{shown}");
    assert!(shown.contains("100000 bytes in "), "{shown}");
    let again = run(&format!("report --json {}", file.display()));
    assert_eq!(again.stdout, output.stdout);
}

#[test]
fn standard_input_and_several_files() {
    let (address, _seen) = peer::echo();
    let (_, shown) = same("one", &format!("udp {address} -c 20 -i 2ms"));
    let one = file("one");
    let saved = fs::read(&one).unwrap();
    let output = piped("report -", &saved);
    assert_eq!((code(&output), text(&output)), (0, shown.clone()));
    let missing = file("missing");
    let _ = fs::remove_file(&missing);
    let words = format!("report {0} {1} - {0}", one.display(), missing.display());
    let output = piped(&words, &saved);
    let (one, input) = (one.display(), "standard input");
    let heading = |name: &dyn std::fmt::Display| format!("==> {name} <==\n{shown}");
    let wanted = [heading(&one), heading(&input), heading(&one)].join("\n");
    assert_eq!((code(&output), text(&output)), (1, wanted), "the others are shown");
    assert!(told(&output).contains("missing: No such file"), "{}", told(&output));
}

#[test]
fn every_schema_is_printed() {
    for name in ["ping", "probe", "stream", "load", "ab", "sweep", "subscribe", "doctor"] {
        let output = run(&format!("report --schema {name}"));
        assert_eq!(code(&output), 0);
        let path = format!("{}/schemas/{name}.json", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(text(&output), fs::read_to_string(path).unwrap());
    }
    for (words, part) in [("--schema pong", "is none of ping, probe"), ("", "of what?")] {
        let output = run(&format!("report {words}"));
        assert_eq!((code(&output), text(&output)), (2, String::new()));
        assert!(told(&output).contains(part), "{}", told(&output));
    }
}

#[test]
fn what_is_no_run_is_refused_with_its_line() {
    let (address, _seen) = peer::echo();
    let saved = run(&format!("ping udp {address} -c 5 -i 2ms --json-lines"));
    let saved = text(&saved);
    let newer = saved.replace("lightmeter.ping/1", "lightmeter.ping/2");
    let cut = saved.trim_end().rsplit_once('\n').unwrap().0;
    let lines = saved.lines().count();
    let doctor = run("doctor --json");
    check("doctor", &serde_json::from_slice(&doctor.stdout).unwrap());
    for (bytes, place, part) in [
        (&b""[..], "1".to_owned(), "cut short"),
        (b"\xff\xfe\n", "1".to_owned(), "expected a probe or a document"),
        (b"PING 127.0.0.1 (127.0.0.1) 56 bytes", "1".to_owned(), "expected a probe"),
        (newer.as_bytes(), lines.to_string(), "newer than this lightmeter"),
        (cut.as_bytes(), lines.to_string(), "without the document"),
        (&doctor.stdout, "1".to_owned(), "'nearlight.lightmeter.doctor/1', expected one of"),
        (&[b'{'; 17 << 20], "1".to_owned(), "longer than 16M"),
    ] {
        let output = piped("report -", bytes);
        assert_eq!((code(&output), text(&output)), (1, String::new()));
        let told = told(&output);
        let wanted = format!("lightmeter report: standard input:{place}: ");
        assert!(told.starts_with(&wanted) && told.contains(part), "{told}");
    }
    let folder = run(&format!("report {}", env!("CARGO_TARGET_TMPDIR")));
    assert_eq!(code(&folder), 1);
    assert!(told(&folder).contains("Is a directory"), "{}", told(&folder));
}
