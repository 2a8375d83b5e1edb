//! The rules, each a pure function from text to complaints that say
//! `file:line: what; what to do`. Forbidden words are written in two halves,
//! or this file would break its own rules.

use super::lexer::{Source, is_word, item_end, test_items, test_modules, words};
use std::collections::BTreeSet;

/// Who may import whom: a layer, and the layers below it that it may name.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("limits", &[]),
    ("ring", &["base", "limits"]),
    ("framing", &["base", "limits"]),
    ("protocol", &["framing", "base", "limits"]),
    ("relay", &["protocol", "ring", "framing", "base", "limits"]),
    ("media", &["framing", "base", "limits"]),
    ("report", &["protocol", "framing", "base", "limits"]),
    ("page", &[]),
    ("sys", &["base", "limits"]),
    (
        "reactor",
        &[
            "media", "page", "report", "options", "sys", "relay", "protocol", "ring", "framing",
            "base", "limits",
        ],
    ),
    ("options", &["sys", "base", "limits"]),
    ("client", &["protocol", "framing", "sys", "base", "limits"]),
];
/// Layers that see everything.
const TOP_LAYERS: &[&str] = &["config", "app", "main", "lib"];
/// Files that may hold `unsafe`, beside all of `src/sys/`.
const UNSAFE_FILES: &[&str] =
    &["src/ring/segment.rs", "tests/no_alloc.rs", "tools/tests/rig/tun.rs"];
/// The file that reads clocks.
const CLOCK_FILE: &str = "src/sys/clock.rs";
/// The parts whose size is bounded together: what a shard runs.
const CORE: &[&str] = &["base", "ring", "relay", "reactor", "sys"];
/// Of those parts, what clients alone run.
const CLIENTS: &[&str] = &[
    "src/sys/child.rs",
    "src/sys/doctor.rs",
    "src/sys/icmp.rs",
    "src/sys/poll.rs",
    "src/sys/stamps.rs",
];
/// Lines of those parts that hold code, tests left out: what one person reads
/// in a day or two.
pub(crate) const CORE_LINES: usize = 10_300;
/// Lines of a function: what a screen holds.
pub(crate) const FUNCTION_LINES: usize = 70;
/// Lines of a file.
pub(crate) const FILE_LINES: usize = 600;
/// Direct dependencies of the root package, each argued for in
/// `ARCHITECTURE.md`.
pub(crate) const DEPENDENCIES: &[&str] = &[
    "httparse",
    "lexopt",
    "libc",
    "log",
    "mio",
    "sha1_smol",
    "simple_logger",
    "slab",
    "socket2",
    "toml",
];
/// What tests and benches of the root package may use beside those.
pub(crate) const DEV_DEPENDENCIES: &[&str] = &["criterion", "loom", "proptest", "serde_json"];
/// Packages that are an async runtime, or the heart of one.
const RUNTIMES: &[&str] = &[
    "async-executor",
    "async-global-executor",
    "async-std",
    "futures-executor",
    "glommio",
    "monoio",
    "smol",
    "tokio",
];

/// Every file says what it is: `//!` before any code.
pub(crate) fn undocumented(source: &Source) -> Vec<String> {
    let mut offset = 0;
    for line in source.text.split_inclusive('\n') {
        if line.starts_with("//!") {
            return Vec::new();
        }
        let code = source.code[offset..offset + line.len()].trim();
        if !code.is_empty() && !code.starts_with("#!") {
            break;
        }
        offset += line.len();
    }
    let what = "no //! before the code; say what the file is and why it is so";
    vec![format!("{}:1: {what}", source.path)]
}

/// Imports that the table of layers does not grant. Tests may reach up.
pub(crate) fn forbidden_imports(source: &Source) -> Vec<String> {
    let Some(layer) = source.layer() else {
        return Vec::new();
    };
    let top = TOP_LAYERS.contains(&layer);
    let row = LAYERS.iter().find(|(name, _)| *name == layer);
    if row.is_none() && !top {
        let what = format!("layer '{layer}' is not in the table; add its row to LAYERS");
        return vec![source.complaint(0, &what)];
    }
    let granted = row.map_or(&[][..], |(_, granted)| granted);
    let tests = test_items(&source.code);
    let mut complaints = Vec::new();
    for (at, word) in words(&source.code) {
        let after = source.code[at + word.len()..].trim_start();
        let Some(after) = after.strip_prefix("::") else {
            continue;
        };
        if tests.iter().any(|(start, end)| (*start..*end).contains(&at)) {
            continue;
        }
        if word == "mio" && layer != "reactor" {
            let what = "mio named outside the reactor; go through sys, or move this up";
            complaints.push(source.complaint(at, what));
        }
        if word == "super" && climbs_out(source, at) && !top {
            let what = "super:: climbs to the crate's root; write crate:: to show the layer";
            complaints.push(source.complaint(at, what));
        }
        if (word != "crate" && word != "nearlight") || top {
            continue;
        }
        for target in first_segments(after) {
            if target != layer && target != "self" && !granted.contains(&target) {
                let what = format!(
                    "{layer} may not import {target}, only [{}]; move the shared part down",
                    granted.join(" ")
                );
                complaints.push(source.complaint(at, &what));
            }
        }
    }
    complaints
}

/// The modules that a path such as `crate::a::b` or `crate::{a, b::{c}}`
/// names first, given what stands after its first `::`.
fn first_segments(after: &str) -> Vec<&str> {
    let after = after.trim_start();
    let first = |text| words(text).first().map(|(_, word)| *word);
    let Some(group) = after.strip_prefix('{') else {
        return first(after).into_iter().collect();
    };
    let (mut depth, mut fresh, mut found) = (0usize, true, Vec::new());
    for (at, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => break,
            b'}' => depth -= 1,
            b',' if depth == 0 => fresh = true,
            byte if fresh && is_word(byte) => {
                fresh = false;
                found.extend(first(&group[at..]));
            }
            _ => {}
        }
    }
    found
}

/// Whether the `super` at `at` is the one of its chain that reaches the root.
fn climbs_out(source: &Source, at: usize) -> bool {
    let module = source.path.trim_end_matches("/mod.rs");
    let depth = module.split('/').count() - 1;
    let before: String = source.code[..at].split_whitespace().collect();
    let chain = before.len() - before.trim_end_matches("super::").len();
    1 + chain / "super::".len() == depth
}

/// `unsafe` where it has no business.
pub(crate) fn misplaced_unsafe(source: &Source) -> Vec<String> {
    if source.path.starts_with("src/sys/") || UNSAFE_FILES.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let what = "unsafe outside src/sys/; wrap it safely there and call that";
    words(&source.code)
        .iter()
        .filter(|(_, word)| *word == "unsafe")
        .map(|(at, _)| source.complaint(*at, what))
        .collect()
}

/// Functions longer than the bound, counted from `fn` to the closing brace in
/// lines that hold code: a comment more must never cost a split.
pub(crate) fn long_functions(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for (at, word) in words(&source.code) {
        let after = source.code[at + word.len()..].trim_start();
        if word != "fn" || !after.bytes().next().is_some_and(is_word) {
            continue;
        }
        let (end, body) = item_end(&source.code, at);
        let code = source.code[at..end].lines();
        let lines = code.filter(|line| !line.trim().is_empty()).count();
        if body && lines > FUNCTION_LINES {
            let what = format!("function of {lines} lines, at most {FUNCTION_LINES}; split it");
            complaints.push(source.complaint(at, &what));
        }
    }
    complaints
}

/// A file longer than the bound.
pub(crate) fn long_files(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    if lines <= FILE_LINES {
        return Vec::new();
    }
    let what = format!("file of {lines} lines, at most {FILE_LINES}; split it by what it is about");
    vec![format!("{}:{lines}: {what}", source.path)]
}

/// Reads of a clock outside the one file that does it.
pub(crate) fn clock_reads(source: &Source) -> Vec<String> {
    if source.path == CLOCK_FILE {
        return Vec::new();
    }
    let mut squeezed = String::new();
    let mut offsets = Vec::new();
    for (offset, character) in source.code.char_indices() {
        if !character.is_whitespace() {
            squeezed.push(character);
            offsets.resize(squeezed.len(), offset);
        }
    }
    ["Instant::now", "SystemTime::now", "clock_gettime"]
        .iter()
        .flat_map(|read| squeezed.match_indices(read))
        .map(|(at, read)| {
            let what = format!("{read} outside {CLOCK_FILE}; take the time as an argument");
            source.complaint(offsets[at], &what)
        })
        .collect()
}

/// Whether the file holds tests alone, by its name or by how another declares
/// it.
pub(crate) fn is_for_tests(path: &str, declared: &[String]) -> bool {
    path.ends_with("/tests.rs")
        || path.contains("/tests/")
        || declared.iter().any(|test| path.starts_with(test))
}

/// Lines of the core that hold code, its tests left out. Comments are free, as
/// in a function.
pub(crate) fn core_lines(sources: &[Source]) -> usize {
    let declared: Vec<String> = sources.iter().flat_map(test_modules).collect();
    let of_code = |code: &str| code.lines().filter(|line| !line.trim().is_empty()).count();
    sources
        .iter()
        .filter(|source| source.layer().is_some_and(|layer| CORE.contains(&layer)))
        .filter(|source| !CLIENTS.contains(&source.path.as_str()))
        .filter(|source| !is_for_tests(&source.path, &declared))
        .map(|source| {
            let tested: usize = test_items(&source.code)
                .iter()
                .map(|(start, end)| of_code(&source.code[*start..*end]))
                .sum();
            of_code(&source.code).saturating_sub(tested)
        })
        .sum()
}

/// Names in the manifest's tables called `kind`, under `[target.*]` too.
fn dependencies(manifest: &str, kind: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut here = false;
    let targeted = format!(".{kind}");
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            let table = header.trim_end_matches(']');
            let is_kind = |table: &str| table == kind || table.ends_with(&targeted);
            here = is_kind(table);
            let alone = table.rsplit_once('.').filter(|(table, _)| is_kind(table));
            found.extend(alone.map(|(_, name)| name.to_owned()));
        } else if here && line.contains('=') {
            let name = line.split(['=', '.']).next().unwrap_or("").trim();
            let shape = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if !name.is_empty() && name.chars().all(shape) {
                found.insert(name.to_owned());
            }
        }
    }
    found
}

/// Direct dependencies that are not on the list; and, if `whole`, what the
/// list names in vain.
pub(crate) fn strange_dependencies(
    manifest: &str,
    kind: &str,
    listed: &[&str],
    whole: bool,
) -> Vec<String> {
    let found = dependencies(manifest, kind);
    let strange = found.iter().filter(|name| !listed.contains(&name.as_str())).map(|name| {
        format!(
            "Cargo.toml:1: {name} in [{kind}] is not on the list; \
                 argue for it in ARCHITECTURE.md and add it there and in tests/tidy, or drop it"
        )
    });
    let missing = listed
        .iter()
        .filter(|name| whole && !found.contains(**name))
        .map(|name| {
            format!(
                "Cargo.toml:1: {name} is listed but not in [{kind}]; drop it from the list in tests/tidy"
            )
        });
    strange.chain(missing).collect()
}

/// Async runtimes among the packages of a lock file.
pub(crate) fn runtimes(lock: &str) -> Vec<String> {
    let what = "is an async runtime; find what pulls it in with `cargo tree -i` and drop that";
    lock.lines()
        .enumerate()
        .filter_map(|(at, line)| {
            let name = line.strip_prefix("name = \"")?.strip_suffix('"')?;
            RUNTIMES.contains(&name).then(|| format!("Cargo.lock:{}: {name} {what}", at + 1))
        })
        .collect()
}

/// Text that ties the project to one machine, or says that it isn't finished.
pub(crate) fn unfit_for_others(path: &str, text: &str) -> Vec<String> {
    let paths = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let hosts = [
        concat!("index.", "crates.io"),
        concat!("static.", "crates.io"),
        concat!("spar", "se+http"),
        concat!("regis", "try+http"),
        concat!("artif", "actory"),
    ];
    let marks = [concat!("FIX", "ME"), concat!("X", "XX")];
    let mut complaints = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let mut complain = |needle: &str, what: &str| {
            complaints.push(format!("{path}:{}: '{needle}': {what}", at + 1));
        };
        for needle in paths {
            let continues = |byte: u8| is_word(byte) || byte == b'.' || byte == b'-';
            let starts = |(at, _)| !line[..at].bytes().next_back().is_some_and(continues);
            if line.match_indices(needle).any(starts) {
                complain(needle, "one machine's own path; make it relative");
            }
        }
        for needle in hosts {
            if line.contains(needle) {
                complain(needle, "a registry's host; leave that to cargo's configuration");
            }
        }
        for needle in marks {
            if words(line).iter().any(|(_, word)| *word == needle) {
                complain(needle, "unfinished; finish it");
            }
        }
    }
    complaints
}

/// Stubs, and tests that don't run.
pub(crate) fn stubs(source: &Source) -> Vec<String> {
    let needles = [
        (concat!("to", "do!"), "write the code"),
        (concat!("unimpl", "emented!"), "write the code"),
        (concat!("#[ig", "nore"), "make the test run, or delete it"),
    ];
    let mut complaints = Vec::new();
    for (needle, remedy) in needles {
        for (at, _) in source.code.match_indices(needle) {
            complaints.push(source.complaint(at, &format!("{needle}; {remedy}")));
        }
    }
    complaints
}
