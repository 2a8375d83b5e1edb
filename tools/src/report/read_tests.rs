//! Saved runs as they are, and as nobody should have written them.

use super::*;

const PROBE: &str = r#"{"type":"probe","kind":"udp","host":"h","seq":SEQ,"warm_up":false,
    "status":"answered","due_ns":1,"sent_ns":2,"left_ns":null,"came_ns":null,"received_ns":9,
    "rtt_ns":7,"network_ns":null,"ttl":null,"why":null}"#;

fn probe(seq: u64) -> String {
    PROBE.replace("SEQ", &seq.to_string()).replace("\n    ", "")
}

/// A document on one line, of a run that could not be made.
fn doc() -> String {
    let doc = crate::ping::doc::of_failure("usage", "no host");
    serde_json::to_string(&doc).expect("JSON")
}

fn wrong(text: &str) -> (u64, String) {
    match read(text.as_bytes(), BOUNDS) {
        Ok(saved) => panic!("read as {saved:?}"),
        Err(wrong) => wrong,
    }
}

#[test]
fn a_document_alone_and_one_behind_probes() {
    let alone = read(doc().as_bytes(), BOUNDS).expect("a document");
    assert!(matches!(alone.doc, Document::Ping(_)) && alone.probes.is_empty());
    assert_eq!(alone.doc.text(), "no host\n");
    let text = format!("{}\n\n{}\r\n{}\n\n", probe(0), probe(1), doc());
    let saved = read(text.as_bytes(), BOUNDS).expect("a run");
    let numbers: Vec<u64> = saved.probes.iter().map(|probe| probe.seq).collect();
    assert_eq!((numbers, saved.stride), (vec![0, 1], 1));
    assert_eq!(saved.probes[1].rtt_ns, Some(7));
}

#[test]
fn what_was_given_up_and_came_is_there_once() {
    let lost = |seq| probe(seq).replace("answered", "lost");
    let late = probe(1).replace("answered", "late");
    let text = [probe(0), lost(1), lost(2), late, doc()].join("\n");
    let saved = read(text.as_bytes(), BOUNDS).expect("a run");
    let found: Vec<_> = saved.probes.iter().map(|probe| (probe.seq, &*probe.status)).collect();
    assert_eq!(found, [(0, "answered"), (2, "lost"), (1, "late")]);
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let (good, doc) = (probe(0), doc());
    let newer = doc.replace("ping/1", "ping/2");
    for (text, line, part) in [
        (String::new(), 1, "empty"),
        ("\n\n".to_owned(), 3, "without the document"),
        (format!("{good}\n"), 2, "without the document"),
        ("hello".to_owned(), 1, "expected a probe or a document of lightmeter, as JSON"),
        ("{\n\"schema\":1}".to_owned(), 1, "`jq -c .`"),
        (doc[..99].to_owned(), 1, "cut short?"),
        ("[]".to_owned(), 1, "as JSON"),
        ("{}".to_owned(), 1, "with a 'type', or a document, with a 'schema'"),
        ("{\"schema\":7}".to_owned(), 1, "expected a string"),
        (format!("{good}\n{newer}"), 2, "newer than this lightmeter"),
        (format!("{good}\n{doc}\n{good}\n"), 3, "nothing comes after the document"),
        (format!("{doc}\nx"), 2, "nothing comes after the document"),
        (good.replace("udp", "carrier pigeon"), 1, "the kind 'carrier pigeon'"),
        (good.replace("answered", "eaten"), 1, "the status 'eaten'"),
        (good.replace("\"seq\":0", "\"seq\":-1"), 1, "not as a probe is: invalid value"),
        (good.replace("\"seq\":0", "\"seq\":1.5"), 1, "not as a probe is: invalid type"),
        (good.replace("\"seq\":0,", ""), 1, "missing field `seq`"),
        (good.replace("\"ttl\":null", "\"ttl\":256"), 1, "u8"),
        (good.replace("\"h\"", &format!("\"{}\"", "h".repeat(1000))), 1, "more than 1024 bytes"),
        (doc.replace("\"series\":[]", "\"series\":[{}]"), 1, "not as nearlight.lightmeter.ping/1"),
        (doc.replace("\"lines_dropped\":0", "\"lines_dropped\":18446744073709551616"), 1, "u64"),
        (
            doc.replace("\"lines_dropped\"", "\"more\":1,\"lines_dropped\""),
            1,
            "unknown field `more`",
        ),
    ] {
        let (at, error) = wrong(&text);
        assert_eq!(at, line, "{text}: {error}");
        assert!(error.contains(part), "{text}: {error}");
        assert!(!error.contains(" at line "), "{error}");
    }
}

#[test]
fn a_line_without_end_is_given_up() {
    let endless = std::io::repeat(b'{');
    let (line, error) = read(BufReader::new(endless), BOUNDS).expect_err("no end");
    assert_eq!((line, error.as_str()), (1, "longer than 16M: no saved run"));
    let deep = "[".repeat(LINE_BYTES - 1);
    assert!(wrong(&deep).1.contains("as JSON"));
    let nested = format!("{{\"schema\":{deep}");
    assert!(wrong(&nested[..LINE_BYTES]).1.contains("as JSON"));
}

#[test]
fn a_file_without_end_is_given_up() {
    let bounds = Bounds { bytes: 1 << 20, probes: 1000 };
    let forever = |seq: u64| Forever { line: format!("{}\n", probe(seq)).into_bytes(), at: 0 };
    let (line, error) = read(forever(0), bounds).expect_err("no end");
    assert_eq!((line, error.as_str()), (1001, "too many probes that all have the same number"));
    let (line, error) = read(forever(4), bounds).expect_err("no end");
    let each = forever(4).line.len() as u64;
    assert_eq!(
        (line, error.as_str()),
        ((1 << 20) / each + 1, "more than 1M by here: no saved run")
    );
}

/// The same line, again and again.
struct Forever {
    line: Vec<u8>,
    at: usize,
}

impl Read for Forever {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let taken = self.line[self.at..].iter().zip(into).map(|(from, to)| *to = *from).count();
        self.consume(taken);
        Ok(taken)
    }
}

impl BufRead for Forever {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        Ok(&self.line[self.at..])
    }

    fn consume(&mut self, bytes: usize) {
        self.at = (self.at + bytes) % self.line.len();
    }
}

#[test]
fn too_many_probes_are_thinned_evenly() {
    let mut text: String = (0..5000).map(|seq| probe(seq) + "\n").collect();
    text.push_str(&doc());
    let saved = read(text.as_bytes(), Bounds { probes: 1000, ..BOUNDS }).expect("a run");
    assert_eq!((saved.probes.len(), saved.stride), (625, 8));
    assert!(saved.probes.iter().zip((0..).step_by(8)).all(|(probe, seq)| probe.seq == seq));
}

#[test]
fn nothing_that_is_cut_or_spoilt_is_a_panic() {
    let text = format!("{}\n{}\n", probe(0), doc());
    for cut in 0..text.len() - 2 {
        assert!(read(&text.as_bytes()[..cut], BOUNDS).is_err(), "{cut}");
    }
    let mut x = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..5000 {
        let mut bytes = text.clone().into_bytes();
        for _ in 0..3 {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            let place = (x >> 8) as usize % bytes.len();
            bytes[place] = x as u8;
        }
        if let Ok(saved) = read(&bytes[..], BOUNDS) {
            let _ = super::super::plain(&saved.doc.text());
        }
    }
}
