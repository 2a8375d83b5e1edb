//! Files that a test's output must equal byte for byte. `BLESS=1 cargo test -p
//! lightmeter` writes them anew, to be looked at before they are committed.

use std::path::Path;
use std::{env, fs};

/// Compares with the file of that name beside this one.
#[track_caller]
pub(crate) fn check(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if env::var_os("BLESS").is_some() {
        fs::write(&path, found).unwrap();
        return;
    }
    let wanted = fs::read_to_string(&path).unwrap_or_else(|why| panic!("{name}: {why}"));
    if found != wanted {
        let at = found.lines().zip(wanted.lines()).position(|(a, b)| a != b);
        let line = at.unwrap_or_else(|| found.lines().count().min(wanted.lines().count()));
        let show = |text: &str| text.lines().nth(line).unwrap_or("(ends here)").to_owned();
        panic!(
            "{name} differs from line {} on:\n  found  {}\n  wanted {}\n\
             If it is meant to, BLESS=1 writes it anew.",
            line + 1,
            show(found),
            show(&wanted)
        );
    }
}
