//! Judges what one subscriber got, knowing nothing of the server: it is the
//! published stream from a join point on, byte for byte, less gaps that start
//! where a stream may be left and end at a join point; and none of it is older
//! than it may be.

use crate::content::{Epoch, Kind};
use crate::link::Handed;
use crate::ts::{self, PACKET, Strict};
use nearlight::base::Instant;
use nearlight::limits::LAG_TICK;
use std::time::Duration;

/// The story moves in steps: that much may pass before a tick is heard.
const SLACK: Duration = Duration::from_millis(12);
/// What a reader that keeps up waits at most, for bytes published after it came.
const PROMPT: Duration = Duration::from_millis(45);
/// Bytes by which a place in a `raw` stream is known.
const NEEDLE: usize = 16;

/// What is promised to one subscriber.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise {
    pub(crate) max_lag: Duration,
    /// It asked for the newest join point, however old.
    pub(crate) last_key: bool,
    /// It may start anywhere.
    pub(crate) live: bool,
    /// It reads at once whatever comes: it must never miss anything.
    pub(crate) fast: bool,
    pub(crate) joined: Instant,
    /// Its kernel's queue takes everything: how old it may be when more is put
    /// behind it.
    pub(crate) queue: Option<Duration>,
}

/// The verdict so far.
pub(crate) struct Judge {
    promise: Promise,
    kind: Kind,
    /// Which epoch it got, once a byte has said so.
    pub(crate) epoch: Option<usize>,
    /// The next position expected.
    pub(crate) at: usize,
    /// Gaps seen, and bytes missing in them.
    pub(crate) gaps: u64,
    pub(crate) skipped: u64,
    /// Part of a packet or frame.
    partial: Vec<u8>,
    /// Empty frames since a gap: where they belong, the next one tells.
    empties: usize,
    prefix: Vec<[u8; PACKET]>,
    strict: Strict,
    /// When bytes that were too old were handed over: excused if the stream is
    /// left right behind the picture or frame that they belong to.
    late: Option<(Instant, String)>,
}

type Verdict = Result<(), String>;

impl Judge {
    pub(crate) fn new(kind: Kind, promise: Promise) -> Self {
        Self {
            promise,
            kind,
            epoch: None,
            at: 0,
            gaps: 0,
            skipped: 0,
            partial: Vec::new(),
            empties: 0,
            prefix: Vec::new(),
            strict: Strict::default(),
            late: None,
        }
    }

    /// The next bytes of a plain stream, all handed over at `handed`.
    pub(crate) fn bytes(&mut self, bytes: &[u8], handed: Handed, epochs: &[Epoch]) -> Verdict {
        self.partial.extend_from_slice(bytes);
        match self.kind {
            Kind::Raw => return self.raw(handed, epochs),
            Kind::Ts | Kind::Lines | Kind::Len32 => {}
        }
        let all = std::mem::take(&mut self.partial);
        let mut rest = all.as_slice();
        while let Some(len) = unit(self.kind, rest) {
            let (now, later) = rest.split_at(len);
            match self.kind {
                Kind::Ts => self.packet(now, handed, epochs)?,
                Kind::Lines | Kind::Len32 | Kind::Raw => self.frame(now, handed, epochs)?,
            }
            rest = later;
        }
        self.partial = rest.to_vec();
        Ok(())
    }

    /// One WebSocket message.
    pub(crate) fn message(&mut self, payload: &[u8], handed: Handed, epochs: &[Epoch]) -> Verdict {
        match self.kind {
            Kind::Ts => {
                if payload.is_empty() || !payload.len().is_multiple_of(PACKET) {
                    return Err(format!("a message of {} bytes is no packets", payload.len()));
                }
                for (n, packet) in payload.chunks(PACKET).enumerate() {
                    self.packet(packet, handed, epochs)?;
                    let start = self.at.checked_sub(PACKET);
                    let epoch = self.epoch.map(|epoch| &epochs[epoch]);
                    if n > 0
                        && self.prefix.is_empty()
                        && let (Some(start), Some(epoch)) = (start, epoch)
                        && epoch.starts.binary_search(&start).is_ok()
                    {
                        return Err("a picture starts within a message".to_owned());
                    }
                }
                Ok(())
            }
            Kind::Lines => self.frame(&[payload, b"\n"].concat(), handed, epochs),
            Kind::Len32 => {
                let prefix = (payload.len() as u32).to_be_bytes();
                self.frame(&[&prefix, payload].concat(), handed, epochs)
            }
            Kind::Raw => self.bytes(payload, handed, epochs),
        }
    }

    /// Up to where it has got the stream, as far as bytes tell.
    pub(crate) fn known(&self) -> usize {
        self.at + self.partial.len() + 4 * self.empties
    }

    /// The stream has ended in an orderly way.
    pub(crate) fn over(&self, epochs: &[Epoch]) -> Verdict {
        if !self.partial.is_empty() && self.kind != Kind::Raw {
            return Err(format!("ends within a frame, {} bytes into it", self.partial.len()));
        }
        let Some(epoch) = self.epoch.map(|epoch| &epochs[epoch]) else {
            return Ok(());
        };
        if self.known() >= epoch.whole() || epoch.was_cut {
            return Ok(());
        }
        let may_leave = match self.kind {
            Kind::Ts => epoch.starts.binary_search(&self.at).is_ok(),
            Kind::Lines | Kind::Len32 | Kind::Raw => true,
        };
        if self.promise.fast || !may_leave {
            let whole = epoch.whole();
            return Err(format!("ends at {} of {whole}, not left at a good place", self.at));
        }
        Ok(())
    }

    fn packet(&mut self, packet: &[u8], handed: Handed, epochs: &[Epoch]) -> Verdict {
        self.strict.feed(packet).map_err(|why| format!("at {}: {why}", self.at))?;
        if let Some(epoch) = self.epoch
            && self.prefix.is_empty()
            && epochs[epoch].bytes.get(self.at..self.at + PACKET) == Some(packet)
        {
            return self.goes_on(PACKET, handed, &epochs[epoch]);
        }
        let bytes: [u8; PACKET] = packet.try_into().expect("a whole packet");
        if ts::announces(packet) {
            if self.prefix.iter().any(|one| ts::is_table(one) && !ts::announces(one)) {
                // It was moved on again with nothing sent in between.
                self.prefix.clear();
            }
            self.prefix.push(bytes);
            return Ok(());
        }
        let number = ts::number(packet).ok_or("a packet that nobody made")?;
        let (id, at) = ((number >> 32) as usize, (number & 0xFFFF_FFFF) as usize * PACKET);
        let original = epochs.get(id).and_then(|epoch| epoch.bytes.get(at..at + PACKET));
        let original = original.ok_or("a packet that was never published")?;
        let starts_live = self.epoch.is_none() && self.promise.live && self.prefix.is_empty();
        if ts::is_table(packet) && !starts_live {
            let same = (0..PACKET).all(|n| n == 3 || packet[n] == original[n]);
            self.prefix.push(bytes);
            return same.then_some(()).ok_or("a table that was never published".to_owned());
        }
        if original != packet {
            return Err(format!("packet {at} differs from what was published"));
        }
        self.joins(id, at, epochs)?;
        self.at = at;
        self.goes_on(PACKET, handed, &epochs[id])
    }

    /// A TS subscriber starts or resumes at `at`.
    fn joins(&mut self, id: usize, at: usize, epochs: &[Epoch]) -> Verdict {
        let prefix = std::mem::take(&mut self.prefix);
        let announced = prefix.iter().filter(|one| ts::announces(*one)).count();
        let tables = prefix.len() - announced;
        let epoch = &epochs[id];
        if self.epoch.is_none() && self.promise.live && prefix.is_empty() {
            self.epoch = Some(id);
            return Ok(());
        }
        if epoch.keys.binary_search(&at).is_err() {
            return Err(format!("joins at {at}, which is no join point (from {})", self.at));
        }
        if tables != 2 {
            return Err(format!("joins at {at} with {tables} tables"));
        }
        let Some(before) = self.epoch.replace(id) else {
            // Or it was moved on before its first byte.
            return Ok(());
        };
        if announced < 3 {
            return Err(format!("resumes at {at} with {announced} announcements"));
        }
        if before != id || at < self.at {
            return Err(format!("jumps back, from {before}:{} to {id}:{at}", self.at));
        }
        if epoch.starts.binary_search(&self.at).is_err() {
            return Err(format!("left at {}, in the middle of a picture", self.at));
        }
        self.jumped(at)
    }

    fn frame(&mut self, frame: &[u8], handed: Handed, epochs: &[Epoch]) -> Verdict {
        if self.kind == Kind::Len32 && frame == [0; 4] {
            // All of these look alike.
            self.empties += 1;
            return Ok(());
        }
        let mut expected = vec![0; 4 * self.empties];
        expected.extend_from_slice(frame);
        if let Some(id) = self.epoch
            && starts_with(&epochs[id].bytes, self.at, &expected)
        {
            self.empties = 0;
            return self.goes_on(expected.len(), handed, &epochs[id]);
        }
        let named = name(self.kind, frame);
        let (id, number) = named.ok_or_else(|| format!("at {}: whose frame?", self.at))?;
        let epoch = epochs.get(id).ok_or("a frame of no epoch")?;
        let start = |n: usize| if n == 0 { 0 } else { epoch.ends[n - 1] };
        // Some of the empty ones may stand before the gap, the rest behind it.
        let empties = std::mem::take(&mut self.empties);
        let (before, at) = (0..=empties)
            .filter_map(|before| Some((before, start(number.checked_sub(empties - before)?))))
            .find(|(before, at)| {
                let known = self.epoch.map(|known| &epochs[known].bytes);
                let left =
                    known.is_none_or(|bytes| starts_with(bytes, self.at, &expected[..4 * before]));
                left && starts_with(&epoch.bytes, *at, &expected[4 * before..])
            })
            .ok_or_else(|| format!("frame {number} differs from what was published"))?;
        self.at += 4 * before;
        if let Some(known) = self.epoch.replace(id) {
            if known != id || at < self.at {
                return Err(format!("jumps back, from {known}:{} to {id}:{at}", self.at));
            }
            self.jumped(at)?;
        }
        self.at = at;
        self.goes_on(expected.len() - 4 * before, handed, epoch)
    }

    fn raw(&mut self, handed: Handed, epochs: &[Epoch]) -> Verdict {
        let all = std::mem::take(&mut self.partial);
        let mut rest = all.as_slice();
        if let Some(id) = self.epoch {
            let ahead = epochs[id].bytes.get(self.at..).unwrap_or_default();
            let same = ahead.iter().zip(rest).take_while(|(a, b)| a == b).count();
            if same > 0 {
                self.goes_on(same, handed, &epochs[id])?;
            }
            rest = &rest[same..];
        }
        if rest.len() < NEEDLE {
            self.partial = rest.to_vec();
            return Ok(());
        }
        let from = if self.epoch.is_some() { self.at } else { 0 };
        let place = |epoch: &Epoch| {
            let ahead = epoch.bytes.get(from..)?;
            let at = ahead.windows(NEEDLE).position(|window| *window == rest[..NEEDLE])?;
            Some(from + at)
        };
        let known = epochs.iter().enumerate().filter(|(n, epoch)| {
            epoch.kind == Kind::Raw && self.epoch.is_none_or(|known| known == *n)
        });
        let (id, at) = known
            .filter_map(|(n, epoch)| place(epoch).map(|at| (n, at)))
            .next()
            .ok_or_else(|| format!("at {from}: bytes that nobody published"))?;
        if self.epoch.replace(id).is_some() {
            self.jumped(at)?;
        }
        self.at = at;
        self.partial = rest.to_vec();
        self.raw(handed, epochs)
    }

    /// The next `len` bytes are those that were published.
    fn goes_on(&mut self, len: usize, handed: Handed, epoch: &Epoch) -> Verdict {
        let (start, end) = (self.at, self.at + len);
        self.at = end;
        let arrival = epoch.arrival(end).ok_or("bytes that have not arrived yet")?;
        let begins = match self.kind {
            Kind::Ts => epoch.starts.binary_search(&start).is_ok(),
            Kind::Lines | Kind::Len32 | Kind::Raw => true,
        };
        if begins && let Some((when, what)) = self.late.take() {
            // With nothing behind it to skip to, the rest is sent all the same.
            let was_known = arrival + LAG_TICK + SLACK < when;
            let is_near = self.kind == Kind::Raw && len < 64 * 1024;
            if was_known && !is_near {
                return Err(what);
            }
        }
        let age = handed.at.since(arrival);
        let gop = if self.kind == Kind::Ts { epoch.gop(handed.at) } else { Duration::ZERO };
        let joins = if self.promise.last_key { gop } else { Duration::ZERO };
        let bound = self.promise.max_lag + gop + joins + LAG_TICK + SLACK;
        if age > bound {
            let what = format!("{start}..{end} handed over {age:?} old, bound {bound:?}");
            self.late = Some((handed.at, what));
        }
        if self.promise.queue.is_some_and(|bound| handed.behind > bound) {
            // However new it is, what follows must have been left out.
            let what = format!("{start}..{end} put behind bytes {:?} old", handed.behind);
            self.late = Some((Instant::from_nanos(u64::MAX), what));
        }
        if self.promise.fast && arrival > self.promise.joined && age > PROMPT {
            return Err(format!("a reader that keeps up got {start}..{end} {age:?} late"));
        }
        Ok(())
    }

    fn jumped(&mut self, to: usize) -> Verdict {
        if self.promise.fast {
            return Err(format!("a reader that keeps up was taken from {} to {to}", self.at));
        }
        self.gaps += 1;
        self.skipped += (to - self.at) as u64;
        self.late = None;
        Ok(())
    }
}

/// Bytes of the packet or frame at the front, if it is complete.
fn unit(kind: Kind, bytes: &[u8]) -> Option<usize> {
    let len = match kind {
        Kind::Ts => PACKET,
        Kind::Lines => bytes.iter().position(|byte| *byte == b'\n')? + 1,
        Kind::Len32 => 4 + u32::from_be_bytes(*bytes.first_chunk()?) as usize,
        Kind::Raw => bytes.len(),
    };
    (bytes.len() >= len).then_some(len)
}

/// The epoch and number that a frame says it is.
fn name(kind: Kind, frame: &[u8]) -> Option<(usize, usize)> {
    match kind {
        Kind::Lines => {
            let text = std::str::from_utf8(frame).ok()?;
            let (id, number) = text.split_once(' ')?.0.split_once('.')?;
            Some((id.parse().ok()?, number.parse().ok()?))
        }
        Kind::Len32 => {
            let id = frame.get(4..12)?.try_into().ok()?;
            let number = frame.get(12..20)?.try_into().ok()?;
            Some((u64::from_be_bytes(id) as usize, u64::from_be_bytes(number) as usize))
        }
        Kind::Ts | Kind::Raw => None,
    }
}

fn starts_with(bytes: &[u8], at: usize, with: &[u8]) -> bool {
    bytes.get(at..at + with.len()) == Some(with)
}
