//! Log lines off the loop: a bounded queue, and a thread that writes them to
//! stderr. A full stderr pipe stops that thread, never a stream; what does not
//! fit in the queue is dropped and counted. Where nobody reads stderr any more,
//! lines are lost and the server goes on.

use crate::base::Instant;
use crate::limits::{LOG_BURST, LOG_FLUSH, LOG_LINES, LOG_PAUSE, LOG_RATE};
use crate::sys::clock::Clock;
use crate::sys::wait::wait_writable;
use log::{Level, LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;
use std::os::fd::AsFd;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;

/// Lines that did not fit in the queue since the last one that did.
static DROPPED: AtomicU64 = AtomicU64::new(0);

enum Message {
    Line(Level, String),
    /// Everything before it is written: say so.
    Flush(SyncSender<()>),
}

struct Queue {
    lines: SyncSender<Message>,
    level: LevelFilter,
}

impl Log for Queue {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.level
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = Message::Line(record.level(), record.args().to_string());
        if let Err(TrySendError::Full(_)) = self.lines.try_send(line) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {
        let (done, wait) = sync_channel(1);
        // A reader that has stalled must not keep the process.
        let until = Clock::now() + LOG_FLUSH;
        let mut message = Message::Flush(done);
        while let Err(TrySendError::Full(back)) = self.lines.try_send(message) {
            if Clock::now() > until {
                return;
            }
            message = back;
            thread::park_timeout(LOG_FLUSH / 50);
        }
        let _late = wait.recv_timeout(until.since(Clock::now()));
    }
}

/// Starts the thread and sends the process's log lines to it.
///
/// # Errors
/// A logger is set already, or no thread can be started.
pub fn start(level: LevelFilter) -> std::io::Result<()> {
    let (lines, queue) = sync_channel(LOG_LINES);
    thread::Builder::new().name("log".to_owned()).spawn(move || write(level, &queue))?;
    log::set_max_level(level);
    log::set_boxed_logger(Box::new(Queue { lines, level })).map_err(std::io::Error::other)
}

/// Lets so many lines pass, and counts the others.
struct Meter {
    is_open: bool,
    /// Room for lines, and for warnings and errors, which others must not use up.
    left: [f64; 2],
    since: Instant,
    lost: u64,
    /// When that was last told.
    told: Instant,
}

impl Meter {
    fn new(level: LevelFilter, now: Instant) -> Self {
        let is_open = level >= LevelFilter::Debug;
        Self { is_open, left: [f64::from(LOG_BURST); 2], since: now, lost: 0, told: Instant::ZERO }
    }

    fn lets_pass(&mut self, level: Level, now: Instant) -> bool {
        let more = now.since(self.since).as_secs_f64() * f64::from(LOG_RATE);
        self.left = self.left.map(|left| (left + more).min(f64::from(LOG_BURST)));
        self.since = now;
        let left = &mut self.left[usize::from(level <= Level::Warn)];
        if *left < 1.0 && !self.is_open {
            self.lost += 1;
            return false;
        }
        *left -= 1.0;
        true
    }

    /// How many have been left out since that was last told, if it is time to.
    fn told(&mut self, now: Instant, is_last: bool) -> Option<u64> {
        if self.lost == 0 || !is_last && now.since(self.told) < LOG_PAUSE {
            return None;
        }
        self.told = now;
        Some(std::mem::take(&mut self.lost))
    }
}

fn write(level: LevelFilter, queue: &Receiver<Message>) {
    let stderr = SimpleLogger::new().with_level(level).with_utc_timestamps();
    let put = |level: Level, line: &str| {
        // The logger panics where a write fails: on a full disk, say. The line is
        // lost then, and nothing else. A pipe without a reader is told before.
        if !wait_writable(std::io::stderr().as_fd()) {
            return;
        }
        let _lost = panic::catch_unwind(AssertUnwindSafe(|| {
            let args = format_args!("{line}");
            stderr.log(&Record::builder().level(level).target("nearlight").args(args).build());
        }));
    };
    let tell = |meter: &mut Meter, is_last| {
        if let Some(lost) = meter.told(Clock::now(), is_last) {
            put(Level::Warn, &format!("{lost} log lines left out (-v writes all)"));
        }
        let dropped = DROPPED.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let why = "stderr is read too slowly";
            put(Level::Warn, &format!("{dropped} log lines were dropped: {why}"));
        }
    };
    let mut meter = Meter::new(level, Clock::now());
    loop {
        let message = match meter.lost {
            0 => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            _ => queue.recv_timeout(LOG_PAUSE),
        };
        match message {
            Err(RecvTimeoutError::Disconnected) => return,
            // Nothing more: then that there was more is the last word.
            Err(RecvTimeoutError::Timeout) => tell(&mut meter, true),
            Ok(Message::Line(level, line)) => {
                let passes = meter.lets_pass(level, Clock::now());
                tell(&mut meter, false);
                if passes {
                    put(level, &line);
                }
            }
            Ok(Message::Flush(done)) => {
                tell(&mut meter, true);
                let _gone = done.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_passes_then_so_many_a_second_and_the_rest_is_counted() {
        let start = Instant::from_nanos(1);
        let mut meter = Meter::new(LevelFilter::Info, start);
        let passed = |meter: &mut Meter, level, now: Instant| {
            (0..10_000).filter(|_| meter.lets_pass(level, now)).count() as u32
        };
        assert_eq!(passed(&mut meter, Level::Info, start), LOG_BURST);
        assert_eq!(meter.told(start + LOG_PAUSE, false), Some(u64::from(10_000 - LOG_BURST)));
        assert_eq!(meter.told(start + 2 * LOG_PAUSE, true), None);
        let later = start + Duration::from_secs(3);
        assert_eq!(passed(&mut meter, Level::Info, later), 3 * LOG_RATE);
        assert_eq!(
            passed(&mut meter, Level::Warn, later),
            LOG_BURST,
            "these have room of their own"
        );
        assert_eq!(passed(&mut meter, Level::Error, start + Duration::from_secs(3600)), LOG_BURST);
        let mut open = Meter::new(LevelFilter::Debug, start);
        assert_eq!(passed(&mut open, Level::Debug, start), 10_000);
    }
}
