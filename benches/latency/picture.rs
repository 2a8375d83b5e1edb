//! The test picture as load: sent at an even rate with a stamp in every 1316
//! bytes, and what a decoder would have to say about what comes out.

use nearlight::base::Instant;
use nearlight::client::picture::{Detail, Picture};
use nearlight::client::probe::Stamp;
use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;

const PACKET: usize = 188;
/// Packets of the picture before each packet with a stamp.
const PACKETS: usize = 6;

/// Sends the picture's packets when they are due.
pub(crate) struct Feed {
    picture: Picture,
    start: Instant,
    frame: u64,
    bytes: Vec<u8>,
    /// Of this frame.
    sent: usize,
    stamps: u64,
    published: u64,
    scratch: Vec<u8>,
}

impl Feed {
    /// A feed whose first picture is due at `start`.
    pub(crate) fn new(start: Instant) -> Self {
        let mut picture = Picture::new(Detail::Full);
        let mut bytes = Vec::new();
        picture.frame(0, 0, &mut bytes);
        Self {
            picture,
            start,
            frame: 0,
            bytes,
            sent: 0,
            stamps: 0,
            published: 0,
            scratch: Vec::new(),
        }
    }

    /// Bytes per second, stamps included, of all pictures but the one at hand.
    pub(crate) fn rate(&self) -> u64 {
        let nanos = Picture::FRAME_TIME.as_nanos() * u128::from(self.frame.max(1));
        (u128::from(self.published) * 1_000_000_000 / nanos) as u64
    }

    /// Sends a piece if it is due: each picture is spread evenly over its time.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn send(&mut self, to: &mut TcpStream, now: Instant) -> io::Result<()> {
        let part = Picture::FRAME_TIME.mul_f64(self.sent as f64 / self.bytes.len() as f64);
        let frame = Picture::FRAME_TIME * u32::try_from(self.frame).unwrap_or(u32::MAX);
        let due = self.start + frame + part;
        if now < due {
            return Ok(());
        }
        let end = self.bytes.len().min(self.sent + PACKETS * PACKET);
        self.scratch.clear();
        self.scratch.extend_from_slice(&self.bytes[self.sent..end]);
        let stamp = Stamp { token: 0, seq: self.stamps, intended: due, sent: now };
        stamp.write_ts(&mut self.scratch);
        let mut rest = &self.scratch[..];
        while !rest.is_empty() {
            match to.write(rest) {
                Ok(len) => rest = &rest[len..],
                Err(why) if why.kind() == ErrorKind::WouldBlock => {}
                Err(why) => return Err(why),
            }
        }
        self.stamps += 1;
        self.sent = end;
        self.published += self.scratch.len() as u64;
        if self.sent == self.bytes.len() {
            (self.frame, self.sent) = (self.frame + 1, 0);
            self.bytes.clear();
            let clock = self.frame * Picture::FRAME_TIME.as_millis() as u64;
            self.picture.frame(self.frame, clock, &mut self.bytes);
        }
        Ok(())
    }
}

/// A packet as far as it matters here, ISO/IEC 13818-1 2.4.3.
struct Header {
    pid: u16,
    counter: u8,
    has_payload: bool,
    starts_unit: bool,
    is_discontinuous: bool,
    is_random_access: bool,
}

impl Header {
    fn of(packet: &[u8; PACKET]) -> Self {
        let has_field = packet[3] & 0x20 != 0 && packet[4] > 0;
        let flags = if has_field { packet[5] } else { 0 };
        Self {
            pid: u16::from_be_bytes([packet[1] & 0x1f, packet[2]]),
            counter: packet[3] & 15,
            has_payload: packet[3] & 0x10 != 0,
            starts_unit: packet[1] & 0x40 != 0,
            is_discontinuous: flags & 0x80 != 0,
            is_random_access: flags & 0x40 != 0,
        }
    }
}

/// Continuity counters of every PID, read as a decoder reads them.
#[derive(Default)]
pub(crate) struct Continuity {
    counters: Vec<(u16, u8)>,
    /// A discontinuity was announced on the video; its next payload is to be
    /// the start of a key picture.
    expects_key: bool,
    /// Announced discontinuities of the video.
    pub(crate) skips: u64,
    /// Jumps that nobody announced.
    pub(crate) breaks: u64,
    /// Announced ones that were not followed by a key picture.
    pub(crate) strays: u64,
}

impl Continuity {
    /// The PIDs of [`Picture`]'s video.
    const VIDEO: u16 = 0x100;

    /// The next packet.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn take(&mut self, packet: &[u8; PACKET]) -> io::Result<()> {
        if packet[0] != 0x47 {
            return Err(io::Error::other("bytes that are no packet"));
        }
        let header = Header::of(packet);
        let known = self.counters.iter_mut().find(|(pid, _)| *pid == header.pid);
        if let Some((_, last)) = known {
            let step = u8::from(header.has_payload);
            let is_next = header.counter == (*last + step) & 15;
            self.breaks += u64::from(!is_next && !header.is_discontinuous);
            *last = header.counter;
        } else {
            self.counters.push((header.pid, header.counter));
        }
        if header.pid == Self::VIDEO {
            if header.is_discontinuous {
                self.skips += 1;
                self.expects_key = true;
            }
            if header.has_payload && std::mem::take(&mut self.expects_key) {
                let is_key = header.starts_unit && header.is_random_access;
                self.strays += u64::from(!is_key);
            }
        }
        Ok(())
    }
}
