//! Children of the tools: a server that is measured is told to rest while
//! another one is, told to end when all is done, and never outlives whoever
//! started it, whatever becomes of that; and none is deaf to signals because
//! its parent takes them through a descriptor ([`super::process::Signals`]).
#![expect(unsafe_code, reason = "kill(2); prctl(2) and the signal mask between fork and exec")]

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// What a child can be told, signal(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// SIGINT: end, as by Ctrl-C.
    Interrupt,
    /// SIGTERM: end, in good order. One that rests hears it when it goes on.
    End,
    /// SIGSTOP: run no more, whatever it does, until told to go on.
    Rest,
    /// SIGCONT: go on.
    GoOn,
}

/// Tells a child something, kill(2). The child must not have been waited for:
/// its id might belong to another process. One that has ended hears nothing.
pub fn tell(child: &Child, what: Tell) {
    let Ok(id) = libc::pid_t::try_from(child.id()) else {
        return;
    };
    let signal = match what {
        Tell::Interrupt => libc::SIGINT,
        Tell::End => libc::SIGTERM,
        Tell::Rest => libc::SIGSTOP,
        Tell::GoOn => libc::SIGCONT,
    };
    // SAFETY: kill touches no memory; the id is that of a child that we hold
    // unreaped, so it can't have been given to another process.
    unsafe {
        libc::kill(id, signal);
    }
}

/// Has the child of `command` killed when the thread that starts it ends,
/// PR_SET_PDEATHSIG in prctl(2): by SIGKILL, which reaches one that rests too.
/// Start it from the main thread, so that it lives as long as the process. The
/// kernel forgets this for a program with capabilities of its own.
pub fn end_with_this_thread(command: &mut Command) {
    let parent = std::process::id();
    let bind = move || {
        let signal = libc::SIGKILL as libc::c_ulong;
        // SAFETY: PR_SET_PDEATHSIG takes one number and touches no memory.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) } == -1 {
            return Err(io::Error::last_os_error());
        }
        // A parent that ended before that call sends no signal any more.
        if std::os::unix::process::parent_id() == parent {
            Ok(())
        } else {
            Err(io::Error::from(io::ErrorKind::NotFound))
        }
    };
    // SAFETY: what runs between fork and exec calls prctl and getppid alone,
    // which are async-signal-safe, and allocates nothing: both errors are
    // plain numbers.
    unsafe {
        command.pre_exec(bind);
    }
}

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
    use std::io::{Read, Write};
    use std::os::unix::process::ExitStatusExt;
    use std::process::Stdio;

    /// `cat`, which answers as long as it runs.
    fn cat() -> Command {
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    /// The letter behind the name in proc_pid_stat(5): `T` is stopped.
    fn state(id: u32) -> Option<char> {
        let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        text.rsplit_once(") ")?.1.chars().next()
    }

    #[test]
    fn a_child_rests_goes_on_and_ends() {
        let mut child = cat().spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut output = child.stdout.take().unwrap();
        let mut echo = [0; 1];
        input.write_all(b"a").unwrap();
        output.read_exact(&mut echo).unwrap();
        tell(&child, Tell::Rest);
        while state(child.id()) != Some('T') {}
        tell(&child, Tell::GoOn);
        input.write_all(b"b").unwrap();
        output.read_exact(&mut echo).unwrap();
        assert_eq!(&echo, b"b");
        tell(&child, Tell::End);
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
    }

    #[test]
    fn a_child_ends_with_the_thread_that_started_it_even_at_rest() {
        let started = std::thread::spawn(|| {
            let mut command = cat();
            end_with_this_thread(&mut command);
            let child = command.spawn().unwrap();
            tell(&child, Tell::Rest);
            child
        });
        let mut child = started.join().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    }

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
