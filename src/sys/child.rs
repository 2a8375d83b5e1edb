//! Signals of a child process: a program that takes signals through a
//! descriptor ([`super::process::Signals`]) blocks them, and what it starts
//! would inherit that and be deaf to them.
#![expect(unsafe_code, reason = "pthread_sigmask between fork and exec")]

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Has a command start with no signal blocked, whatever this thread blocks.
pub fn unblock_signals(command: &mut Command) -> &mut Command {
    // SAFETY: `clear_mask` allocates nothing, takes no lock and makes calls
    // that signal-safety(7) lists, so it may run between fork and exec.
    unsafe { command.pre_exec(clear_mask) }
}

fn clear_mask() -> io::Result<()> {
    let mut none = MaybeUninit::uninit();
    // SAFETY: the call writes all of the sigset_t.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: the call reads the set, which was just made; null asks for no old
    // mask.
    let code =
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) };
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{INTERRUPT, Signals, TERMINATE};

    #[test]
    fn a_child_hears_what_its_parent_blocks() {
        let blocked = |unblock: bool| {
            let mut command = Command::new("cat");
            command.arg("/proc/self/status");
            if unblock {
                unblock_signals(&mut command);
            }
            let output = command.output().unwrap();
            let status = String::from_utf8(output.stdout).unwrap();
            let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
            u64::from_str_radix(mask.trim(), 16).unwrap()
        };
        // A thread of its own: the mask dies with it.
        let thread = std::thread::spawn(move || {
            let _signals = Signals::new(&[INTERRUPT, TERMINATE]).unwrap();
            let bit = |signal: i32| 1 << (signal - 1);
            assert_eq!(blocked(false), bit(INTERRUPT) | bit(TERMINATE));
            assert_eq!(blocked(true), 0);
        });
        thread.join().unwrap();
    }
}
