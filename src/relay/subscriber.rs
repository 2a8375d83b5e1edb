//! One subscriber: where it starts, how far behind it is, and how it skips.
//!
//! ```text
//! New ──▶ Awaiting ──join point──▶ Sending ──lag > bound──▶ Leaving ──┐
//!            ▲                                                        │
//!            └────────── a frame may be left here, the rest skipped ──┘
//! ```
//!
//! *Leaving* goes on to the next place where the stream may be left (in a TS,
//! before a video PES), so that a decoder never sees half a picture; the few
//! segments that takes are held for it, so that the window need not be.

use super::egress::{Form, Messages, Source, Within, flush_end, gathers_until};
use super::held::Held;
use super::settings::Settings;
use crate::base::{Instant, Micros, Position};
use crate::framing::{Framing, Kind, Trim};
use crate::limits::{FLUSH_BYTES, FLUSH_SLICES, LEAVING_TIME, PLAIN_SLICES};
use crate::protocol::{Join, Policy};
use crate::ring::{Cursor, Gather, JoinPoint, SegRef, Window};
use std::sync::Arc;
use std::time::Duration;

/// What a stream's framing means for its subscribers.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// How frames are found.
    pub kind: Kind,
    /// Any frame is a join point.
    pub anywhere: bool,
    /// What of a frame is no payload in messages.
    pub trim: Trim,
}

impl Cut {
    /// What a framing means, as far as it is decided.
    pub fn of(framing: &Framing) -> Self {
        Self { kind: framing.kind(), anywhere: framing.joins_anywhere(), trim: framing.trim() }
    }
}

/// What the lag check decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Within its bound, or nothing can be done yet.
    Fine,
    /// It leaves the stream at the next place where it may.
    Skips {
        /// How far behind it was.
        lag: Duration,
    },
    /// It can't leave yet, for too much is held for others.
    Crowded {
        /// How far behind it was.
        lag: Duration,
    },
    /// It is to be ended.
    Close {
        /// How far behind it was.
        lag: Duration,
    },
}

/// Exact counts of what one subscriber got and missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscriberStats {
    /// Bytes the kernel took, headers included.
    pub sent_bytes: u64,
    /// Jumps forward.
    pub skips: u64,
    /// Stream bytes jumped over.
    pub skipped_bytes: u64,
    /// Stream time jumped over.
    pub skipped_time: Duration,
}

#[derive(Debug)]
enum Place {
    New,
    /// Nothing is sent until a join point at the cursor or later is known;
    /// `left` says when the bytes there had arrived, for one that skips.
    Awaiting {
        left: Option<Instant>,
    },
    Sending,
    Leaving(Box<Leaving>),
}

#[derive(Debug)]
struct Leaving {
    until: Position,
    /// When the first byte that is skipped arrived.
    arrival: Instant,
    /// When it began to leave.
    since: Instant,
    held: Vec<SegRef>,
}

/// A subscriber's place in a stream and its bounds.
#[derive(Debug)]
pub struct Subscriber {
    cursor: Cursor,
    place: Place,
    /// Sent before the byte at the cursor.
    prefix: Option<Box<Prefix>>,
    within: Within,
    form: Form,
    join: Join,
    policy: Option<Policy>,
    max_lag: Micros,
    /// How long frames may gather before they are sent.
    coalesce: Micros,
    /// It was here before the stream: any frame will do means the first.
    is_early: bool,
    /// It has been at the head since it started or skipped.
    is_current: bool,
    /// Raised for `last-key` until it first reaches the head.
    bound: Micros,
    /// Time of the last join or skip.
    since: Instant,
    /// Within its bound until then, about: then its kernel's queue is looked at.
    due: Instant,
    /// Bytes the kernel took.
    sent_bytes: u64,
    /// What it has not got, once there is any.
    missed: Option<Box<Missed>>,
}

/// What is sent before the stream's bytes.
#[derive(Debug)]
struct Prefix {
    bytes: Arc<[u8]>,
    /// How much of it is out.
    sent: usize,
}

/// What was jumped over.
#[derive(Debug, Default)]
struct Missed {
    skips: u64,
    bytes: u64,
    time: Duration,
}

impl Subscriber {
    /// A subscriber that has not started.
    pub fn new(settings: &Settings, form: Form, now: Instant) -> Self {
        Self {
            cursor: Cursor::new(Position::ZERO),
            place: Place::New,
            prefix: None,
            within: Within::default(),
            form,
            join: settings.join,
            policy: settings.policy,
            max_lag: settings.max_lag.into(),
            coalesce: Micros::default(),
            is_early: false,
            is_current: false,
            bound: settings.max_lag.into(),
            since: now,
            due: now + settings.max_lag / 4,
            sent_bytes: 0,
            missed: None,
        }
    }

    /// In which form it gets them.
    pub const fn form(&self) -> Form {
        self.form
    }

    /// Counts of what it got and missed.
    pub fn stats(&self) -> SubscriberStats {
        let nothing = Missed::default();
        let Missed { skips, bytes, time } = self.missed.as_deref().unwrap_or(&nothing);
        SubscriberStats {
            sent_bytes: self.sent_bytes,
            skips: *skips,
            skipped_bytes: *bytes,
            skipped_time: *time,
        }
    }

    /// The same, for one that was here before the stream: where any frame will
    /// do, it starts at the first.
    pub fn early(settings: &Settings, form: Form, now: Instant) -> Self {
        Self { is_early: true, ..Self::new(settings, form, now) }
    }

    /// Frames may gather for so long before they are sent to it.
    pub fn set_coalesce(&mut self, span: Duration) {
        self.coalesce = span.into();
    }

    /// Until when what is there for it gathers; `None`: it is to be sent. What
    /// was there before it was at the head waits for nothing, nor does a full
    /// flush.
    pub fn gathers_until(&self, window: &Window, now: Instant) -> Option<Instant> {
        // Asked for each send, and seldom so.
        if self.coalesce == Micros::default() {
            return None;
        }
        if !self.is_current || !self.at_boundary() || !matches!(self.place, Place::Sending) {
            return None;
        }
        gathers_until(window, self.cursor.at(), FLUSH_BYTES, self.coalesce.get(), now)
    }

    /// The next byte of the stream that it will be sent.
    pub fn position(&self) -> Position {
        self.cursor.at()
    }

    /// True if it waits for a join point.
    pub fn is_waiting(&self) -> bool {
        matches!(self.place, Place::New | Place::Awaiting { .. })
    }

    /// True while it leaves the stream, or waits to resume: a skip is under way.
    pub fn is_skipping(&self) -> bool {
        self.has_left() || matches!(self.place, Place::Leaving(_))
    }

    /// True if everything up to `head` is with the kernel.
    pub fn is_at(&self, head: Position) -> bool {
        matches!(self.place, Place::Sending) && self.cursor.at() >= head && self.prefix.is_none()
    }

    /// True between messages: other bytes may be sent now.
    pub fn at_boundary(&self) -> bool {
        self.within.at_boundary() && self.prefix.as_ref().is_none_or(|prefix| prefix.sent == 0)
    }

    /// The segments held for it.
    pub fn held(&self) -> &[SegRef] {
        match &self.place {
            Place::Leaving(leaving) => &leaving.held,
            Place::New | Place::Awaiting { .. } | Place::Sending => &[],
        }
    }

    /// Since when it has been leaving, and where what is held for it begins.
    pub fn leaving(&self) -> Option<(Instant, Position)> {
        let Place::Leaving(leaving) = &self.place else { return None };
        Some((leaving.since, leaving.held.first()?.base()))
    }

    /// Starts or resumes it if there is a join point for it; answers whether
    /// it has something to send to.
    pub fn begin(&mut self, window: &Window, cut: Cut, now: Instant) -> bool {
        let left = match self.place {
            Place::New => return self.first_join(window, cut, now),
            Place::Awaiting { left } => left,
            Place::Sending | Place::Leaving(_) => return true,
        };
        let from = self.cursor.at();
        if cut.anywhere {
            let first = self.first_frame(window).filter(|_| left.is_none());
            let to = first.unwrap_or_else(|| window.head()).max(from);
            self.resume_at(window, to, None, left, now);
            return true;
        }
        // Who was here before the stream gets it from its first join point on.
        let first = window.join_from(from).filter(|_| self.is_early && left.is_none());
        let newest = window.newest_join().filter(|join| join.position >= from);
        let Some(join) = first.or(newest) else {
            return false;
        };
        let prefix = if left.is_some() { &join.resume } else { &join.fresh };
        let prefix = Arc::clone(prefix);
        self.resume_at(window, join.position, Some(prefix), left, now);
        true
    }

    /// Starts a new subscriber; answers whether it need not wait for what comes
    /// next.
    fn first_join(&mut self, window: &Window, cut: Cut, now: Instant) -> bool {
        let newest = window.newest_join();
        // Without its headers nothing of an FLV can be understood.
        let headers = newest.filter(|_| cut.kind == Kind::Flv).map(|join| Arc::clone(&join.fresh));
        let starts_live = cut.kind != Kind::Flv || headers.is_some();
        if cut.anywhere || (self.join == Join::Live && starts_live) {
            let at = self.first_frame(window).unwrap_or_else(|| window.head());
            self.start_at(at, headers, now);
            return true;
        }
        let first = window
            .join_from(window.floor())
            .filter(|join| self.is_early && now.since(join.arrival) <= self.max_lag.get());
        let start = first.or(newest).filter(|join| match self.join {
            Join::Auto => now.since(join.arrival) <= self.max_lag.get(),
            Join::LastKey => true,
            Join::NextKey | Join::Live => false,
        });
        if let Some(JoinPoint { position, arrival, fresh, .. }) = start {
            let age = now.since(*arrival);
            self.start_at(*position, Some(Arc::clone(fresh)), now);
            self.bound = self.max_lag.max(age.into());
            return true;
        }
        let from = newest.map_or(Position::ZERO, |join| join.position + 1);
        self.cursor.jump(from);
        self.place = Place::Awaiting { left: None };
        false
    }

    /// The first frame kept, for one that was here before the stream.
    fn first_frame(&self, window: &Window) -> Option<Position> {
        window.leave_from(window.floor()).filter(|_| self.is_early)
    }

    fn start_at(&mut self, at: Position, prefix: Option<Arc<[u8]>>, now: Instant) {
        self.cursor.jump(at);
        let prefix = prefix.filter(|bytes| !bytes.is_empty());
        self.prefix =
            prefix.map(|bytes| Box::new(Prefix { bytes: self.form.first(bytes), sent: 0 }));
        self.place = Place::Sending;
        self.since = now;
        self.due = now + self.max_lag.get() / 4;
        self.bound = self.max_lag;
        self.is_current = false;
    }

    fn resume_at(
        &mut self,
        window: &Window,
        at: Position,
        prefix: Option<Arc<[u8]>>,
        left: Option<Instant>,
        now: Instant,
    ) {
        let from = self.cursor.at();
        if let Some(left) = left
            && (at > from || prefix.is_some())
        {
            let missed = self.missed.get_or_insert_default();
            missed.skips += 1;
            missed.bytes += at.since(from);
            missed.time += window.arrival(at).unwrap_or(now).since(left);
        }
        self.start_at(at, prefix, now);
    }

    /// Whether it is sent the stream's own bytes, next, and nothing else: what
    /// everybody at its position is sent.
    pub const fn takes_plain(&self) -> bool {
        matches!((self.form, &self.place, &self.prefix), (Form::Plain, Place::Sending, None))
    }

    /// Lists the messages of the next flush; nothing for the plain form.
    pub fn plan(&self, window: &Window, cut: Cut, messages: &mut Messages) {
        if self.form != Form::Plain {
            let (source, target) = self.source(window);
            let form = (self.form, self.form.trim(cut.trim));
            messages.plan(source, self.cursor.at(), target, self.within, form);
        }
    }

    /// Slices that a flush can fill: bytes of the ring lie in two segments,
    /// rarely in more; messages have headers between them.
    pub const fn flush_slices(&self) -> usize {
        match self.form {
            Form::Plain => PLAIN_SLICES,
            Form::WebSocket | Form::Rtmp(_) | Form::Chunked => FLUSH_SLICES,
        }
    }

    /// The next bytes to hand to the kernel: what is there now, at most about
    /// `FLUSH_BYTES`.
    pub fn gather<'a>(
        &'a self,
        window: &'a Window,
        messages: &'a Messages,
        list: &mut Gather<'a, '_>,
    ) {
        let (source, target) = self.source(window);
        if let Some(prefix) = &self.prefix {
            list.push(prefix.bytes.get(prefix.sent..).unwrap_or_default());
        }
        match self.form {
            Form::Plain => {
                source.gather(self.cursor.at(), flush_end(self.cursor.at(), target), list);
            }
            Form::WebSocket | Form::Rtmp(_) | Form::Chunked => {
                messages.gather(source, self.within, list)
            }
        }
    }

    /// The kernel took `sent` of the bytes gathered. Answers the segments that
    /// are held for it no longer.
    pub fn sent(&mut self, sent: usize, messages: &Messages) -> Vec<SegRef> {
        self.sent_bytes += sent as u64;
        let mut rest = sent;
        if let Some(prefix) = &mut self.prefix {
            let step = rest.min(prefix.bytes.len() - prefix.sent);
            prefix.sent += step;
            rest -= step;
            if prefix.sent < prefix.bytes.len() {
                return Vec::new();
            }
            self.prefix = None;
        }
        match self.form {
            Form::Plain => self.cursor.advance(rest as u64),
            Form::WebSocket | Form::Rtmp(_) | Form::Chunked => {
                let mut at = self.cursor.at();
                messages.advance(rest as u64, &mut at, &mut self.within);
                self.cursor.jump(at);
            }
        }
        match &mut self.place {
            Place::Leaving(leaving) if self.cursor.at() >= leaving.until => {
                let (left, held) = (Some(leaving.arrival), std::mem::take(&mut leaving.held));
                self.place = Place::Awaiting { left };
                held
            }
            Place::New | Place::Awaiting { .. } | Place::Sending | Place::Leaving(_) => Vec::new(),
        }
    }

    /// Says that it has caught up: a raised bound falls back.
    pub fn reached_head(&mut self) {
        self.bound = self.max_lag;
        self.is_current = true;
    }

    /// Whether it has caught up since it started or skipped: what it is sent is
    /// no burst of what was there before.
    pub const fn is_current(&self) -> bool {
        self.is_current
    }

    /// Whether the kernel's queue must be known before more is put behind it: the
    /// kernel may take all that is sent and be late with it.
    pub fn minds_queue(&self, now: Instant) -> bool {
        self.has_left() || now > self.due
    }

    /// When to look again at a queue whose oldest byte has been due for `lag`:
    /// nothing can be past the bound before the rest of that has gone by.
    fn due_after(&self, lag: Duration, now: Instant) -> Instant {
        let bound = self.max_lag.nanos();
        let rest = bound.saturating_sub(u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX));
        now + Duration::from_nanos((rest / 4 * 3).max(bound / 4))
    }

    /// Whether it has left the stream, to resume at a join point ahead.
    pub fn has_left(&self) -> bool {
        matches!(self.place, Place::Awaiting { left: Some(_), .. })
    }

    /// Whether it has left the stream, and what the kernel still has for it is
    /// so old that what came next would be past its bound again.
    pub fn is_held_back(&self, window: &Window, unacked: usize, now: Instant) -> bool {
        self.has_left() && unacked > 0 && self.age(window, unacked, now) > self.max_lag.get()
    }

    /// How far behind it is, `unacked` bytes of the kernel's queue included.
    pub fn lag(&self, window: &Window, unacked: usize, now: Instant) -> Duration {
        if self.is_waiting() || self.cursor.at() - unacked as u64 >= window.head() {
            return Duration::ZERO;
        }
        self.age(window, unacked, now)
    }

    /// For how long the byte `unacked` before the cursor has been due.
    fn age(&self, window: &Window, unacked: usize, now: Instant) -> Duration {
        let at = self.cursor.at() - unacked as u64;
        // What is held for it may have left the window.
        let held = || self.held().iter().flat_map(SegRef::frames).find(|frame| frame.end > at);
        let arrived = window.arrival(at).or_else(|| held().map(|frame| frame.arrival));
        now.since(arrived.unwrap_or(self.since).max(self.since))
    }

    /// Looks at its lag and acts on it. `held` is what is held for all the
    /// subscribers of the stream.
    pub fn check(
        &mut self,
        window: &Window,
        cut: Cut,
        unacked: usize,
        held: &mut Held,
        now: Instant,
    ) -> Verdict {
        let lag = self.lag(window, unacked, now);
        if let Place::Leaving(leaving) = &self.place
            && now.since(leaving.since) > LEAVING_TIME
        {
            return Verdict::Close { lag };
        }
        if lag <= self.bound.get() || !matches!(self.place, Place::Sending) {
            self.due = self.due_after(lag, now);
            return Verdict::Fine;
        }
        if self.closes(cut) {
            return Verdict::Close { lag };
        }
        // Without a place to leave at there is nothing to skip yet.
        match window.leave_from(self.next_boundary()) {
            Some(until) => {
                let verdict = self.leave(window, until, lag, held, now);
                held.is_crowded |= matches!(verdict, Verdict::Crowded { .. });
                verdict
            }
            None => Verdict::Fine,
        }
    }

    /// Its oldest bytes are about to leave the window: it leaves now, whatever
    /// its lag.
    pub fn evict(&mut self, window: &Window, cut: Cut, held: &mut Held, now: Instant) -> Verdict {
        let head = cut.anywhere.then(|| window.head());
        self.leave_now(window, cut, head, held, now)
    }

    /// What comes after this window comes after a gap: it leaves, if need be in
    /// the middle of a picture that nobody will have the rest of.
    pub fn lapse(&mut self, window: &Window, cut: Cut, held: &mut Held, now: Instant) -> Verdict {
        self.leave_now(window, cut, Some(window.head()), held, now)
    }

    /// Leaves where it may or, if that is not known, at `or`.
    fn leave_now(
        &mut self,
        window: &Window,
        cut: Cut,
        or: Option<Position>,
        held: &mut Held,
        now: Instant,
    ) -> Verdict {
        if !matches!(self.place, Place::Sending) {
            return Verdict::Fine;
        }
        let lag = self.lag(window, 0, now);
        if self.closes(cut) {
            return Verdict::Close { lag };
        }
        match window.leave_from(self.next_boundary()).or(or) {
            Some(until) => match self.leave(window, until, lag, held, now) {
                // It can't wait for room.
                Verdict::Crowded { lag } => Verdict::Close { lag },
                verdict @ (Verdict::Fine | Verdict::Skips { .. } | Verdict::Close { .. }) => {
                    verdict
                }
            },
            None => Verdict::Close { lag },
        }
    }

    /// Whether it is ended, rather than moved on: so for `raw`, unless asked.
    fn closes(&self, cut: Cut) -> bool {
        let usual = if cut.kind == Kind::Raw { Policy::Close } else { Policy::Skip };
        self.policy.unwrap_or(usual) == Policy::Close
    }

    /// From where on it may leave: a message that has begun goes on to its end.
    fn next_boundary(&self) -> Position {
        let at = self.cursor.at();
        if self.within.at_boundary() { at } else { at + 1 }
    }

    /// Goes on to `until` and leaves the stream there.
    fn leave(
        &mut self,
        window: &Window,
        until: Position,
        lag: Duration,
        held: &mut Held,
        now: Instant,
    ) -> Verdict {
        let at = self.cursor.at();
        let arrival = window.arrival(until).unwrap_or(now);
        if until == at && self.at_boundary() {
            self.prefix = None;
            self.place = Place::Awaiting { left: Some(arrival) };
            return Verdict::Skips { lag };
        }
        let segments = window.hold(at, until);
        if !held.take(&segments) {
            return Verdict::Crowded { lag };
        }
        self.place =
            Place::Leaving(Box::new(Leaving { until, arrival, since: now, held: segments }));
        Verdict::Skips { lag }
    }

    fn source<'a>(&'a self, window: &'a Window) -> (Source<'a>, Position) {
        match &self.place {
            Place::Leaving(leaving) => (Source::Held(&leaving.held), leaving.until),
            Place::Sending => (Source::Window(window), window.head()),
            // Nothing to send: the range is empty.
            Place::New | Place::Awaiting { .. } => (Source::Window(window), self.cursor.at()),
        }
    }
}
