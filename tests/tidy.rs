//! Keeps the house in order: reads the source tree and checks the rules that
//! no compiler lint knows. Who may import whom, where `unsafe` and the clock
//! live, how long a function, a file and the core may be, and what the project
//! depends on.
//!
//! One test per rule, each showing all its complaints at once. The module
//! `on_bad_snippets` feeds every rule something wrong and something right that
//! looks alike, so a rule gone blind is noticed.

#[path = "tidy/lexer.rs"]
mod lexer;
#[path = "tidy/rules.rs"]
mod rules;

use lexer::Source;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files of the project, as paths from its root: what git tracks or would
/// take, or all but `target` where there is no repository.
fn files() -> Vec<String> {
    let git = Command::new("git")
        .args(["ls-files", "-co", "--exclude-standard"])
        .current_dir(root())
        .output();
    let mut found: Vec<String> = match git {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
        }
        _ => walk(),
    };
    found.sort();
    found.retain(|path| root().join(path).is_file());
    assert!(
        found.iter().any(|path| path == "src/lib.rs"),
        "src/lib.rs is not among the {} files found: tidy looks in the wrong place",
        found.len()
    );
    found
}

fn walk() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(root())];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the project") {
            let path = entry.expect("an entry of the folder").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                if name != "target" && name != ".git" {
                    folders.push(path);
                }
            } else if let Ok(inside) = path.strip_prefix(root()) {
                found.push(inside.to_string_lossy().into_owned());
            }
        }
    }
    found
}

fn sources() -> Vec<Source> {
    let tops = ["src/", "tools/", "tests/", "benches/"];
    files()
        .iter()
        .filter(|path| path.ends_with(".rs") && tops.iter().any(|top| path.starts_with(top)))
        .map(|path| Source::new(path, &read(path)))
        .collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// Fails with every complaint, one a line.
fn expect_none(complaints: &[String]) {
    let count = complaints.len();
    assert!(count == 0, "{count} found:\n{}", complaints.join("\n"));
}

fn check_each(rule: fn(&Source) -> Vec<String>) {
    let complaints: Vec<String> = sources().iter().flat_map(rule).collect();
    expect_none(&complaints);
}

#[test]
fn every_file_says_what_it_is() {
    check_each(rules::undocumented);
}

#[test]
fn layers_import_only_what_lies_below() {
    let sources = sources();
    let declared: Vec<String> = sources.iter().flat_map(lexer::test_modules).collect();
    let complaints: Vec<String> = sources
        .iter()
        .filter(|source| !rules::is_for_tests(&source.path, &declared))
        .flat_map(rules::forbidden_imports)
        .collect();
    expect_none(&complaints);
}

#[test]
fn unsafe_stays_where_it_is_argued_for() {
    check_each(rules::misplaced_unsafe);
}

#[test]
fn functions_fit_on_a_screen() {
    check_each(rules::long_functions);
}

#[test]
fn files_are_about_one_thing() {
    check_each(rules::long_files);
}

#[test]
fn one_file_reads_the_clock() {
    check_each(rules::clock_reads);
}

#[test]
fn nothing_is_a_stub() {
    check_each(rules::stubs);
}

#[test]
fn the_core_can_be_read_whole() {
    let lines = rules::core_lines(&sources());
    assert!(
        lines <= rules::CORE_LINES,
        "src/:1: base, ring, relay, reactor and sys have {lines} lines of code without tests, \
         at most {}; say the same in less, or move what isn't core up",
        rules::CORE_LINES
    );
}

#[test]
fn dependencies_are_the_listed_ones() {
    let manifest = read("Cargo.toml");
    let direct = rules::strange_dependencies(&manifest, "dependencies", rules::DEPENDENCIES, true);
    let tests =
        rules::strange_dependencies(&manifest, "dev-dependencies", rules::DEV_DEPENDENCIES, false);
    let builds = rules::strange_dependencies(&manifest, "build-dependencies", &[], false);
    expect_none(&[direct, tests, builds].concat());
}

#[test]
fn no_async_runtime_is_locked() {
    expect_none(&rules::runtimes(&read("Cargo.lock")));
}

#[test]
fn nothing_ties_the_project_to_one_machine() {
    let complaints: Vec<String> = files()
        .iter()
        .filter(|path| !path.ends_with("Cargo.lock"))
        .filter_map(|path| Some((path, fs::read_to_string(root().join(path)).ok()?)))
        .flat_map(|(path, text)| rules::unfit_for_others(path, &text))
        .collect();
    expect_none(&complaints);
}

/// Each rule on something wrong, and on its innocent lookalike.
mod on_bad_snippets {
    use super::lexer::Source;
    use super::rules;

    fn complaints(rule: fn(&Source) -> Vec<String>, path: &str, text: &str) -> Vec<String> {
        rule(&Source::new(path, text))
    }

    #[track_caller]
    fn bad(rule: fn(&Source) -> Vec<String>, path: &str, text: &str, wanted: &str) {
        let found = complaints(rule, path, text);
        assert!(
            found.len() == 1 && found[0].starts_with(path) && found[0].contains(wanted),
            "wanted one complaint with '{wanted}', got {found:#?}"
        );
    }

    #[track_caller]
    fn good(rule: fn(&Source) -> Vec<String>, path: &str, text: &str) {
        assert_eq!(complaints(rule, path, text), Vec::<String>::new());
    }

    #[test]
    fn undocumented() {
        let rule = rules::undocumented;
        bad(rule, "src/a.rs", "use std::fmt;\n//! Late.\n", ":1: no //!");
        bad(rule, "src/a.rs", "", ":1: no //!");
        bad(rule, "src/a.rs", "/// Wrong kind.\nfn f() {}\n", ":1: no //!");
        good(rule, "src/a.rs", "#![allow(x)]\n// note\n\n//! Here.\n");
    }

    #[test]
    fn imports_by_every_spelling() {
        let rule = rules::forbidden_imports;
        let ring = "src/ring/cursor.rs";
        bad(rule, ring, "\nuse crate::relay::Role;", "rs:2: ring may not import relay");
        bad(rule, ring, "fn f() { crate::sys::now() }", "import sys");
        bad(rule, ring, "use crate::{base::Position, framing::{Kind}};", "import framing");
        bad(rule, ring, "pub(crate) use nearlight :: client;", "import client");
        bad(rule, ring, "use crate::\n    {limits, config};", "import config");
        bad(rule, ring, "use super::super::relay::Role;", "super:: climbs");
        bad(rule, "src/ring/mod.rs", "use super::relay;", "super:: climbs");
        bad(rule, "src/base/time.rs", "use crate::limits;", "base may not import limits, only []");
        bad(rule, "src/limits.rs", "use crate::base::Position;", "limits may not import base");
        bad(rule, "src/sys/clock.rs", "use mio::Token;", "mio named outside");
        bad(rule, "src/main.rs", "use mio::Token;", "mio named outside");
        bad(rule, "src/novel/mod.rs", "", "not in the table");
    }

    #[test]
    fn imports_that_are_granted() {
        let rule = rules::forbidden_imports;
        let ring = "src/ring/cursor.rs";
        good(rule, ring, "use crate::{base::{Position, Instant}, limits};");
        good(rule, ring, "use super::segment::Segment; pub(in crate::ring) fn f() {}");
        good(rule, ring, "// crate::relay\nconst A: &str = \"crate::relay::B\";");
        good(rule, ring, "#[cfg(test)]\nmod tests { use crate::sys::clock; }");
        good(rule, "src/reactor/turn.rs", "use mio::Poll; use crate::sys::clock;");
        good(rule, "src/config/url.rs", "use crate::{client, reactor};");
        good(rule, "tests/it/main.rs", "use nearlight::reactor;");
    }

    #[test]
    fn misplaced_unsafe() {
        let rule = rules::misplaced_unsafe;
        bad(rule, "src/ring/pool.rs", "fn f() {\n    unsafe { g() }\n}", "rs:2: unsafe");
        bad(rule, "benches/micro.rs", "unsafe impl Send for A {}", "rs:1: unsafe");
        good(
            rule,
            "src/ring/pool.rs",
            "#![deny(unsafe_code)] // unsafe\nconst A: &str = \"unsafe\";",
        );
        good(rule, "src/ring/segment.rs", "unsafe { g() }");
        good(rule, "src/sys/socket.rs", "unsafe { g() }");
    }

    #[test]
    fn long_functions() {
        let rule = rules::long_functions;
        let of =
            |lines: usize| format!("fn f(a: [u8; 2]) {{\n{}}}\n", "    g();\n".repeat(lines - 2));
        bad(rule, "src/a.rs", &of(rules::FUNCTION_LINES + 1), "rs:1: function of 71");
        good(rule, "src/a.rs", &of(rules::FUNCTION_LINES));
        let noted = of(60).replace("g();\n", "g(\"}\", '}'); /* } */\n    // why }\n\n");
        good(rule, "src/a.rs", &noted);
        let list = "\n".repeat(99);
        good(rule, "src/a.rs", &format!("trait T {{ fn f(); {list} }} struct S(fn(u8)); {list}"));
    }

    #[test]
    fn long_files() {
        let rule = rules::long_files;
        bad(rule, "src/a.rs", &"//\n".repeat(rules::FILE_LINES + 1), "file of 601");
        good(rule, "src/a.rs", &"//\n".repeat(rules::FILE_LINES));
    }

    #[test]
    fn clock_reads() {
        let rule = rules::clock_reads;
        bad(
            rule,
            "tests/it/a.rs",
            "let t =\n  std::time::Instant\n    ::now();",
            "rs:2: Instant::now",
        );
        bad(rule, "src/a.rs", "libc::clock_gettime(0, p)", "clock_gettime");
        bad(rule, "src/a.rs", "map(SystemTime::now)", "SystemTime::now");
        good(rule, "src/sys/clock.rs", "libc::clock_gettime(0, p)");
        good(rule, "src/a.rs", "//! Not Instant::now().\nlet t = clock.now();");
    }

    #[test]
    fn core_lines() {
        let tree = [
            Source::new("src/ring/mod.rs", "//! a\nmod b;\n#[cfg(test)]\nmod model;\n"),
            Source::new("src/ring/model.rs", "//! a\n//! b\n"),
            Source::new("src/ring/b.rs", "//! a\nfn f() {}\n#[cfg(test)]\nmod tests {\n}\n"),
            Source::new("src/ring/b/tests.rs", "//! a\n"),
            Source::new("src/client/mod.rs", "//! a\n"),
        ];
        assert_eq!(rules::core_lines(&tree), 2);
    }

    #[test]
    fn strange_dependencies() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\nlibc = \"0.2\"\nlog.workspace = true\n\
                        # slab = 1\n[dependencies.mio]\nversion = \"1\"\n\
                        [target.'cfg(unix)'.dependencies]\nnix = \"1\"\n[dev-dependencies]\nloom = \"1\"\n";
        let found = |listed| rules::strange_dependencies(manifest, "dependencies", listed, true);
        assert!(found(&["libc", "log", "mio", "nix"]).is_empty());
        assert!(found(&["libc", "log", "mio"])[0].contains("nix in [dependencies] is not"));
        assert!(found(&["libc", "log", "mio", "nix", "slab"])[0].contains("slab is listed but"));
        let dev = rules::strange_dependencies(manifest, "dev-dependencies", &[], false);
        assert_eq!(dev.len(), 1, "{dev:?}");
    }

    #[test]
    fn runtimes() {
        let lock = "[[package]]\nname = \"sha1_smol\"\n[[package]]\nname = \"tokio\"\n\
                    dependencies = [\n \"smol\",\n]\n";
        let found = rules::runtimes(lock);
        assert!(found.len() == 1 && found[0].starts_with("Cargo.lock:4: tokio"), "{found:?}");
    }

    #[test]
    fn unfit_for_others() {
        let bad_lines = [
            concat!("see /ho", "me/ann/notes"),
            concat!("`/wo", "rk/target`"),
            concat!("index = \"spar", "se+https://a/\""),
            concat!("// FIX", "ME: later"),
            concat!("X", "XX"),
        ];
        for line in bad_lines {
            let found = rules::unfit_for_others("a.md", &format!("\n{line}\n"));
            assert!(found.len() == 1 && found[0].starts_with("a.md:2: "), "{line}: {found:?}");
        }
        let good = "mktemp -d nearlight.XXXXXX; src/work/of.rs; https://a.example/home/x; ./work/x";
        assert_eq!(rules::unfit_for_others("a.md", good), Vec::<String>::new());
    }

    #[test]
    fn stubs() {
        let rule = rules::stubs;
        bad(rule, "src/a.rs", concat!("fn f() { to", "do!() }"), "write the code");
        bad(rule, "src/a.rs", concat!("#[test]\n#[ig", "nore = \"slow\"]"), "rs:2: #[ig");
        good(rule, "src/a.rs", concat!("// to", "do!\nlet a = \"unimpl", "emented!\";"));
    }
}
