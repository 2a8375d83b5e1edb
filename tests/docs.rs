//! Keeps the documents true: what `README.md` quotes is accepted by the program,
//! what it tabulates is what the program says, links lead somewhere, and what
//! `ARCHITECTURE.md` names exists; and what the server says of itself is what
//! `METRICS.md` lists.

use nearlight::base::{Histogram, Position, Totals};
use nearlight::client::Target;
use nearlight::config::{self, Command};
use nearlight::framing::Kind;
use nearlight::limits;
use nearlight::protocol::Name;
use nearlight::protocol::http::Page;
use nearlight::report::{
    Counts, Delivered, ListenerCounts, Over, PublisherSnapshot, Server, Snapshot, StreamSnapshot,
    SubscriberSnapshot, Vitals, render,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

const README_LINES: usize = 200;
const DOCUMENTS: [&str; 7] = [
    "README.md",
    "MEASURING.md",
    "METRICS.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
];
/// Where lightmeter's commands say in their help what they take.
const TOOLS: [(&str, &str); 8] = [
    ("ping", "tools/src/ping/options.rs"),
    ("load", "tools/src/load/options.rs"),
    ("ab", "tools/src/ab/options.rs"),
    ("sweep", "tools/src/sweep/options.rs"),
    ("publish", "tools/src/publish.rs"),
    ("subscribe", "tools/src/subscribe.rs"),
    ("report", "tools/src/report/mod.rs"),
    ("doctor", "tools/src/doctor/mod.rs"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// Fails with every complaint, one a line.
fn expect_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} found:\n{}", complaints.len(), complaints.join("\n"));
}

/// A text taken apart.
#[derive(Default)]
struct Parts<'a> {
    /// The lines inside fences marked `sh`.
    shell: Vec<&'a str>,
    /// What is in no fence.
    prose: String,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Self {
        let (mut fence, mut parts) = (None, Self::default());
        for line in text.lines() {
            let mark = line.trim_start().strip_prefix("```");
            match (fence, mark) {
                (None, Some(kind)) => fence = Some(kind),
                (Some(_), Some(_)) => fence = None,
                (Some("sh"), None) => parts.shell.push(line),
                (Some(_), None) => {}
                (None, None) => parts.prose.extend([line, "\n"]),
            }
        }
        assert!(fence.is_none(), "a fence is not closed");
        parts
    }
}

/// What stands between backticks in a text without fences.
fn quoted(prose: &str) -> Vec<&str> {
    prose.split('`').skip(1).step_by(2).collect()
}

/// The words of a command line as a POSIX shell splits it, comment left out.
fn shell_words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut started, mut quote) = (Vec::new(), String::new(), false, false);
    for c in line.chars() {
        match c {
            '\'' => (quote, started) = (!quote, true),
            ' ' if !quote => {
                if std::mem::take(&mut started) {
                    words.push(std::mem::take(&mut word));
                }
            }
            '#' if !quote && !started => break,
            c => {
                assert!(quote || !"&|;<>*?$()\"\\".contains(c), "not quoted for a shell: {line}");
                word.push(c);
                started = true;
            }
        }
    }
    assert!(!quote, "an open quote: {line}");
    if started {
        words.push(word);
    }
    words
}

/// Every command line of `program` in what users read, as words after its name.
fn commands(program: &str) -> Vec<Vec<String>> {
    let text = ["README.md", "MEASURING.md"].map(read).join("\n");
    let parts = Parts::of(&text);
    let lines = parts.shell.iter().copied().chain(quoted(&parts.prose));
    let starts = [format!("{program} "), format!("taskset -c 1 {program} ")];
    let mut found = Vec::new();
    for line in lines {
        if let Some(rest) = starts.iter().find_map(|start| line.strip_prefix(start.as_str())) {
            found.push(shell_words(rest));
        }
    }
    found
}

#[test]
fn the_readme_is_short_enough_to_be_read() {
    let lines = read("README.md").lines().count();
    assert!(lines <= README_LINES, "README.md:1: {lines} lines, at most {README_LINES}");
}

#[test]
fn the_readmes_options_are_the_programs() {
    let text = read("README.md");
    let (_, rest) = text.split_once("<!-- options -->\n").expect("the marker before the table");
    let (table, _) = rest.split_once("<!-- /options -->").expect("the marker after the table");
    let told = config::options_markdown();
    let differs = table.lines().zip(told.lines()).find(|(old, new)| old != new);
    assert!(
        table == told,
        "README.md: the options table is not what `nearlight options --markdown` prints; put that \
         between the markers. First difference: {differs:?}"
    );
}

#[test]
fn every_nearlight_line_of_the_readme_is_accepted() {
    let lines = commands("nearlight");
    assert!(lines.iter().filter(|words| words[0] == "serve").count() >= 4, "too few: {lines:?}");
    let mut complaints = Vec::new();
    for words in &lines {
        if let Err(why) = config::parse(words.iter().map(OsString::from)) {
            complaints.push(format!("README.md: nearlight {}: {why}", words.join(" ")));
        }
    }
    expect_none(&complaints);
}

#[test]
fn the_first_command_of_the_readme_is_the_demo() {
    let text = read("README.md");
    let shell = Parts::of(&text).shell;
    let words = shell_words(shell[0]);
    assert_eq!(words[..4], ["cargo", "run", "--release", "--"]);
    let parsed = config::parse(words[4..].iter().map(OsString::from));
    assert!(matches!(parsed, Ok(Command::Demo(_))), "{parsed:?}");
    assert!(shell[1].starts_with("tests/run ") && root().join("tests/run").is_file());
}

#[test]
fn every_lightmeter_line_of_the_readme_has_known_words() {
    let lines = commands("lightmeter");
    assert!(lines.len() >= 4, "too few: {lines:?}");
    let mut complaints = Vec::new();
    for words in &lines {
        let Some((_, path)) = TOOLS.iter().find(|(name, _)| *name == words[0]) else {
            complaints.push(format!("README.md: lightmeter {}: no such command", words[0]));
            continue;
        };
        let source = read(path);
        let help = source.split("const HELP: &str = \"").nth(1).expect("a help text");
        let help = &help[..help.find("\";").expect("its end")];
        let known: BTreeSet<&str> =
            help.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').collect();
        for word in &words[1..] {
            let is_wrong = if word.starts_with('-') {
                !known.contains(word.as_str())
            } else {
                word.contains("://") && word.parse::<Target>().is_err()
            };
            if is_wrong {
                complaints.push(format!("README.md: lightmeter {}: '{word}'", words.join(" ")));
            }
        }
    }
    expect_none(&complaints);
}

/// The anchor that a heading gets: lower case, words joined, the rest left out.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn has_anchor(path: &str, wanted: &str) -> bool {
    let text = read(path);
    let prose = Parts::of(&text).prose;
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).any(|found| found == wanted)
}

#[test]
fn links_lead_somewhere() {
    let mut complaints = Vec::new();
    let mut count = 0;
    for document in DOCUMENTS {
        let text = read(document);
        let prose = Parts::of(&text).prose;
        let inline = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let listed = prose.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: "));
        for target in inline.chain(listed.map(|(_, target)| target)) {
            if target.starts_with("https://") {
                continue;
            }
            count += 1;
            let (path, wanted) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { document } else { path };
            if !root().join(path).exists() {
                complaints.push(format!("{document}: link to '{target}': there is no {path}"));
            } else if !wanted.is_empty() && !has_anchor(path, wanted) {
                complaints.push(format!("{document}: link to '{target}': no such heading"));
            }
        }
    }
    assert!(count > 10, "only {count} links found: the search is blind");
    expect_none(&complaints);
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Every word of the source below `folder`.
fn words_of(folder: &Path, words: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder of the source") {
        let path = entry.expect("an entry of the folder").path();
        if path.is_dir() {
            words_of(&path, words);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).expect("source is UTF-8");
            words.extend(text.split(|c| !is_word(c)).map(str::to_owned));
        }
    }
}

/// Whether a quoted word names a file or folder of the project.
fn is_path(word: &str) -> bool {
    let tops = ["src/", "tools/", "tests/", "benches/", ".ci/"];
    let ends = [".md", ".rs", ".toml", ".lock"];
    let is_plain = word.chars().all(|c| is_word(c) || "./-".contains(c));
    is_plain
        && (tops.iter().any(|top| word.starts_with(top))
            || ends.iter().any(|end| word.ends_with(end)))
}

/// The parts of `NAME`, `Type` or `Type::item`, if a quoted word is one.
fn item(word: &str) -> Option<Vec<&str>> {
    let plain = word.split('<').next().unwrap_or(word);
    let parts: Vec<&str> = plain.split("::").collect();
    let is_item = parts.iter().all(|part| !part.is_empty() && part.chars().all(is_word));
    let is_named = parts.len() > 1 || plain.starts_with(|c: char| c.is_ascii_uppercase());
    (is_item && is_named).then_some(parts)
}

#[test]
fn what_the_architecture_names_exists() {
    let text = read("ARCHITECTURE.md");
    let prose = Parts::of(&text).prose;
    let mut known = BTreeSet::new();
    words_of(&root().join("src"), &mut known);
    let (mut complaints, mut count) = (Vec::new(), 0);
    for word in quoted(&prose) {
        if is_path(word) {
            count += 1;
            if !root().join(word).exists() {
                complaints.push(format!("ARCHITECTURE.md: `{word}`: there is no such file"));
            }
        } else if let Some(parts) = item(word) {
            count += 1;
            for part in parts.iter().filter(|part| **part != "nearlight") {
                if !known.contains(*part) {
                    complaints.push(format!("ARCHITECTURE.md: `{word}`: nothing is called {part}"));
                }
            }
        }
    }
    assert!(count > 100, "only {count} names found: the search is blind");
    expect_none(&complaints);
}

/// Each direct dependency has a row that says what for.
#[test]
fn every_dependency_is_argued_for() {
    let architecture = read("ARCHITECTURE.md");
    let rows: Vec<&str> = architecture.lines().filter(|line| line.starts_with("| `")).collect();
    let mut complaints = Vec::new();
    for manifest in ["Cargo.toml", "tools/Cargo.toml"] {
        let text = read(manifest);
        let mut is_listing = false;
        for line in text.lines() {
            if line.starts_with('[') {
                is_listing = line.ends_with("dependencies]");
            } else if let Some((name, _)) = line.split_once(" = ").filter(|_| is_listing) {
                let cell = format!("`{name}`");
                let is_told = rows
                    .iter()
                    .any(|row| row.split('|').nth(1).is_some_and(|first| first.contains(&cell)));
                if name != "nearlight" && !is_told {
                    complaints.push(format!("{manifest}: {name}: no row in ARCHITECTURE.md"));
                }
            }
        }
    }
    expect_none(&complaints);
}

#[test]
fn the_checks_see_what_is_wrong() {
    let words = shell_words("serve --listen 'tcp://:1?a=b&c' # why");
    assert_eq!(words, ["serve", "--listen", "tcp://:1?a=b&c"]);
    assert_eq!(anchor("What the compiler proves"), "what-the-compiler-proves");
    assert_eq!(anchor("Bird's eye"), "birds-eye");
    assert!(is_path("src/ring/mod.rs") && !is_path("scheme://addr") && !is_path("a/b"));
    assert_eq!(item("Slab::get_mut"), Some(vec!["Slab", "get_mut"]));
    assert_eq!(item("Gather<'a>"), Some(vec!["Gather"]));
    assert_eq!(item("max_lag"), None);
    let parts = Parts::of("a `b`\n```sh\nc\n```\n`d`\n```text\n`e`\n```\n");
    assert_eq!((parts.shell, quoted(&parts.prose)), (vec!["c"], vec!["b", "d"]));
}

/// A server with a stream and a subscriber of each sort: everything that pages say
/// is in what is made of it.
fn told(page: &Page) -> String {
    let name = Name::parse("cam").expect("a name");
    let peer = ([192, 0, 2, 1], 9).into();
    let mut residence = Histogram::default();
    residence.record(Duration::from_micros(5));
    let mut total = Totals::default();
    total.add(&residence);
    let second = Duration::from_secs(1);
    let subscriber = SubscriberSnapshot {
        stream: name.clone(),
        peer,
        over: Over::Tcp.label(),
        state: "live",
        behind_bytes: 0,
        lag: Duration::ZERO,
        age: Some(second),
        rtt: Some(second),
        counts: Some(Counts { sent_bytes: 1, skips: 1, skipped_bytes: 1, skipped_time: second }),
        residence: Some(Box::new(residence)),
    };
    let stream = StreamSnapshot {
        name: name.clone(),
        epoch: 1,
        is_here: true,
        kind: Kind::Ts,
        publisher: Some(PublisherSnapshot { peer, over: Over::Tcp, age: second }),
        subscribers: 1,
        by_transport: [1, 0, 0, 0, 0],
        waiting: 0,
        behind: 0,
        worst_lag: Duration::ZERO,
        position: Position::ZERO,
        window_bytes: 1,
        recent: Some((1, second)),
        frames: 1,
        received_bytes: 1,
        moved_bytes: 0,
        newest_frame_age: Some(second),
        continuity_errors: 0,
        garbage_bytes: 0,
        delivered: Delivered::default(),
        residence: total,
        is_stamped: true,
    };
    let shard = Snapshot {
        streams: vec![stream],
        subscribers: vec![subscriber],
        calls: vec![("recv", 1, 0)],
        listeners: vec![ListenerCounts::default()],
        ..Snapshot::default()
    };
    let number = Some(1);
    let vitals = Vitals {
        started: 1,
        cpu: second,
        resident_bytes: number,
        open_fds: number,
        max_fds: number,
    };
    let server = Server { listeners: vec!["tcp://127.0.0.1:1".to_owned()], vitals: Some(vitals) };
    render(page, &[shard], &[], &server).expect("there is such a page").1
}

/// The rows of the tables below a heading of `METRICS.md`: the cells of each.
fn table(heading: &str) -> Vec<Vec<String>> {
    let text = read("METRICS.md");
    let (_, rest) = text.split_once(&format!("\n## {heading}\n")).expect("the heading");
    let section = rest.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let cells = |row: &str| -> Vec<String> {
        row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    rows.map(cells).collect()
}

/// Fails if one list lacks what the other has.
fn expect_same(told: &BTreeSet<String>, listed: &[String]) {
    let known: BTreeSet<String> = listed.iter().cloned().collect();
    let mut complaints: Vec<String> =
        told.difference(&known).map(|one| format!("METRICS.md: says nothing of {one}")).collect();
    complaints.extend(known.difference(told).map(|one| format!("METRICS.md: nobody says {one}")));
    if known.len() < listed.len() {
        complaints.push("METRICS.md: something is listed twice".to_owned());
    }
    expect_none(&complaints);
}

#[test]
fn every_metric_is_listed_with_its_type_and_labels() {
    let page = told(&Page::Metrics);
    let mut told = BTreeSet::new();
    let mut family = ("", "");
    let mut labels = BTreeSet::new();
    for line in page.lines().chain(["# HELP end"]) {
        if line.starts_with("# HELP ") {
            let names: Vec<&str> = labels.iter().copied().collect();
            told.insert(format!("{} {} {}", family.0, family.1, names.join(",")));
            labels.clear();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            family = rest.split_once(' ').expect("a name and a type");
        } else {
            let (_, rest) = line.split_once(family.0).expect("a sample of its family");
            let list = rest.split_once('{').map_or("", |(_, list)| list);
            labels.extend(list.split(',').filter_map(|pair| pair.split_once('=').map(|of| of.0)));
            labels.remove("le");
        }
    }
    told.remove("  ");
    assert!(told.len() > 50, "only {} metrics: the search is blind", told.len());
    let row = |cells: &Vec<String>| {
        let plain: Vec<String> = cells.iter().map(|cell| cell.replace(['`', ' '], "")).collect();
        let mut labels: Vec<&str> = plain[2].split(',').collect();
        labels.sort_unstable();
        format!("{} {} {}", plain[0], plain[1], labels.join(","))
    };
    expect_same(&told, &table("Metrics").iter().map(row).collect::<Vec<_>>());
}

/// The fields of a value of JSON and their types, those within objects as
/// `outer.inner`.
fn fields(of: &Value, path: &str, found: &mut BTreeSet<String>) {
    for (key, value) in of.as_object().into_iter().flatten() {
        let kind = match value {
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
            Value::Number(_) | Value::Null => "number",
            Value::Bool(_) => "bool",
        };
        found.insert(format!("{path}{key} {kind}"));
        fields(value, &format!("{path}{key}."), found);
    }
}

#[test]
fn every_field_of_the_api_is_listed_with_its_type() {
    let name = Name::parse("cam").expect("a name");
    let json = |page| serde_json::from_str::<Value>(&told(&page)).expect("it is JSON");
    let all = json(Page::Subscribers);
    let bound = format!("tells of {} subscribers", limits::SUBSCRIBERS_TOLD);
    assert!(read("METRICS.md").contains(&bound), "METRICS.md: '{bound}' is not there");
    assert_eq!(all[0], json(Page::Stream(name)), "one, or one of all");
    let row = |cells: &Vec<String>| format!("{} {}", cells[0].replace('`', ""), cells[1]);
    let of = |heading| table(heading).iter().map(row).collect::<Vec<_>>();
    let mut told = BTreeSet::new();
    fields(&all[0], "", &mut told);
    expect_same(&told, &of("Fields of a stream"));
    let mut told = BTreeSet::new();
    fields(&all[0]["subscriber_list"][0], "", &mut told);
    // Those are the same as above.
    told.retain(|field| !field.starts_with("residence_ns."));
    expect_same(&told, &of("Fields of a subscriber"));
    let mut plain = json(Page::Streams);
    let list = all[0]["subscriber_list"].clone();
    plain[0].as_object_mut().expect("an object").insert("subscriber_list".to_owned(), list);
    assert_eq!(plain, all, "who gets it is said only if asked");
}
