//! The counts of before, in a file that people can read in a diff: a line for
//! the compiler, then `title = count` for each part.

use std::env::consts::ARCH;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// What is above the counts.
const HEAD: &str = "\
# Instructions per unit of each part, as valgrind counts them. Written by
# cargo test --release --test instructions -- --bless
";

/// What was measured before, and with which compiler.
pub(crate) struct Baseline {
    compiler: String,
    counts: Vec<(String, f64)>,
}

impl Baseline {
    /// The one of the repository.
    pub(crate) fn read() -> Self {
        let text = fs::read_to_string(path()).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut pairs = lines.filter_map(|line| line.split_once(" = "));
        let compiler = pairs.next().map(|(_, value)| value.to_owned()).unwrap_or_default();
        let count = |(title, value): (&str, &str)| Some((title.to_owned(), value.parse().ok()?));
        Self { compiler, counts: pairs.filter_map(count).collect() }
    }

    /// Whether it was made by the compiler that made this.
    pub(crate) fn fits(&self) -> Result<(), String> {
        let ours = compiler();
        if self.compiler == ours {
            return Ok(());
        }
        Err(format!("the baseline is of '{}', and this is '{ours}'", self.compiler))
    }

    /// The count of a part.
    pub(crate) fn of(&self, title: &str) -> Option<f64> {
        self.counts.iter().find(|(known, _)| known == title).map(|(_, count)| *count)
    }

    /// Makes these the baseline.
    pub(crate) fn write(counts: &[(&str, f64)]) {
        let mut text = format!("{HEAD}compiler = {}\n", compiler());
        for (title, count) in counts {
            text.push_str(&format!("{title} = {count:.1}\n"));
        }
        fs::write(path(), &text).expect("the repository can be written");
        print!("{text}");
    }
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/instructions/baseline.txt")
}

/// What `rustc -V` says, and what it makes code for.
fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let root = env!("CARGO_MANIFEST_DIR");
    let said = Command::new(rustc).arg("-V").current_dir(root).output();
    let version = said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    format!("{} {ARCH}", version.unwrap_or_default())
}
