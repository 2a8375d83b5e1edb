//! Which cores a thread may run on, and pinning it to one.
#![expect(unsafe_code, reason = "sched_getaffinity(2) and sched_setaffinity(2)")]

use super::error::{SysError, SysResult};
use crate::limits::CPUS;
use std::io;

/// One word of a CPU mask, which is an array of them of any length.
type Word = libc::c_ulong;
const WORD_BITS: usize = Word::BITS as usize;
/// Words of a mask to start with: 1024 cpus, what cpu_set_t has.
const WORDS: usize = 1024 / WORD_BITS;

/// The cores that this thread may run on, in order: what cgroup, taskset and
/// earlier pinning leave of the machine's.
///
/// # Errors
/// The kernel's.
pub fn allowed_cpus() -> SysResult<Vec<usize>> {
    let mut mask: Vec<Word> = vec![0; WORDS];
    loop {
        // SAFETY: 0 is this thread, and the call writes at most the mask's
        // bytes.
        let done =
            unsafe { libc::sched_getaffinity(0, size_of_val(&mask[..]), mask.as_mut_ptr().cast()) };
        if done != -1 {
            return Ok(members(&mask));
        }
        let error = SysError::last("sched_getaffinity", "");
        // EINVAL says that the kernel's own mask is longer.
        if error.kind() != io::ErrorKind::InvalidInput || mask.len() * WORD_BITS >= CPUS {
            return Err(error);
        }
        mask.resize(2 * mask.len(), 0);
    }
}

/// Lets this thread run on `cpu` alone. It can only narrow: pin each thread
/// once, and start threads from one that is not pinned.
///
/// # Errors
/// `cpu 7 is not allowed here; allowed: 0-1`, or the kernel's.
pub fn pin_to(cpu: usize) -> SysResult<()> {
    check(cpu)?;
    let mut mask: Vec<Word> = vec![0; cpu / WORD_BITS + 1];
    mask[cpu / WORD_BITS] |= 1 << (cpu % WORD_BITS);
    // SAFETY: 0 is this thread, and the call reads at most the mask's bytes.
    let done = unsafe { libc::sched_setaffinity(0, size_of_val(&mask[..]), mask.as_ptr().cast()) };
    if done == -1 {
        return Err(SysError::last("pin", format!("cpu {cpu}")));
    }
    Ok(())
}

/// Whether [`pin_to`] may be asked for `cpu`.
///
/// # Errors
/// `cpu 7 is not allowed here; allowed: 0-1`, or the kernel's.
pub fn check(cpu: usize) -> SysResult<()> {
    let allowed = allowed_cpus()?;
    if !allowed.contains(&cpu) {
        let why = format!("cpu {cpu} is not allowed here; allowed: {}", format_cpus(&allowed));
        return Err(SysError::refused("pin", format!("cpu {cpu}"), why));
    }
    Ok(())
}

/// Writes cores as the kernel does and `--cpus` reads them: `0-3,8`.
pub fn format_cpus(cpus: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &cpu in cpus {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => runs.push((cpu, cpu)),
        }
    }
    let runs: Vec<String> = runs
        .iter()
        .map(
            |(first, last)| {
                if first == last { first.to_string() } else { format!("{first}-{last}") }
            },
        )
        .collect();
    runs.join(",")
}

fn members(mask: &[Word]) -> Vec<usize> {
    (0..mask.len() * WORD_BITS)
        .filter(|cpu| mask[cpu / WORD_BITS] & (1 << (cpu % WORD_BITS)) != 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_written_short() {
        for (cpus, text) in
            [(&[][..], ""), (&[3], "3"), (&[0, 1], "0-1"), (&[0, 1, 2, 5, 7, 8], "0-2,5,7-8")]
        {
            assert_eq!(format_cpus(cpus), text);
        }
    }

    #[test]
    fn masks_of_any_length_are_read() {
        let mut mask = vec![0; 40];
        mask[0] = 0b1001;
        mask[39] = 1 << (WORD_BITS - 1);
        assert_eq!(members(&mask), [0, 3, 40 * WORD_BITS - 1]);
    }

    #[test]
    fn a_thread_is_pinned_to_an_allowed_cpu_alone() {
        let thread = std::thread::spawn(|| {
            let allowed = allowed_cpus().unwrap();
            let text = pin_to(60_000).unwrap_err().to_string();
            assert_eq!(
                text,
                format!(
                    "pin cpu 60000: cpu 60000 is not allowed here; allowed: {}",
                    format_cpus(&allowed)
                )
            );
            let last = *allowed.last().unwrap();
            pin_to(last).unwrap();
            assert_eq!(allowed_cpus().unwrap(), [last]);
        });
        thread.join().unwrap();
    }
}
