//! What the kernel says of this process, for the pages: asked for when a page is
//! made, by the thread that makes it.

use crate::report::Vitals;
use crate::sys::clock::{Clock, Stamp};
use std::fs;

/// Looks at the process, which began to serve at `started`. What `/proc` does not
/// say is left out.
pub(super) fn look(started: Stamp) -> Vitals {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    // The look itself has one open.
    let open = fs::read_dir("/proc/self/fd").map(|list| list.count().saturating_sub(1) as u64);
    Vitals {
        started: started.as_nanos(),
        cpu: Clock::cpu(),
        resident_bytes: number(&status, "VmRSS:").map(|kib| kib * 1024),
        open_fds: open.ok(),
        max_fds: number(&limits, "Max open files"),
    }
}

/// The first number behind `key` at the start of a line (proc(5)).
fn number(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_descriptors_and_used_time() {
        let before = look(Clock::stamp());
        let _more = fs::File::open("/proc/self/status").unwrap();
        let after = look(Clock::stamp());
        assert!(after.resident_bytes > Some(100_000), "{after:?}");
        assert!((Some(4)..after.max_fds).contains(&after.open_fds), "{after:?}");
        assert!(before.cpu < after.cpu && before.started < after.started);
        assert_eq!(number("VmPeak:\t  5 kB\nVmRSS:\t  7 kB\n", "VmRSS:"), Some(7));
        assert_eq!(number("Max open files   unlimited  1024  files\n", "Max open files"), None);
    }
}
