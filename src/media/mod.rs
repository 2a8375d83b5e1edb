//! From one container into another: the same pictures and sounds, not decoded.
//!
//! Sans-IO. A [`Remux`] is fed a stream's bytes in any split and appends those
//! of the stream derived from it. Nothing is held but a tag or a picture that
//! has not come to its end: what goes in whole comes out whole, at once.
//!
//! ```text
//! FLV tags ─▶ length-prefixed NAL units ─▶ Annex B ─▶ PES ─▶ TS packets
//!          └▶ raw AAC ─▶ ADTS ─────────────────────┘   PAT, PMT, PCR
//! ```
//!
//! The other way is the same backwards. Timestamps are moved by one constant; they
//! are units of 90 kHz in a TS and milliseconds in FLV, so they are rounded on the
//! way into that, each by itself.

pub mod to_flv;
mod to_ts;

use crate::framing::{Container, Kind};
use to_flv::ToFlv;
use to_ts::ToTs;

/// One derived stream, from its source's first byte to its last.
#[derive(Debug)]
pub struct Remux {
    way: Way,
}

/// From what into what.
#[derive(Debug)]
enum Way {
    FlvToTs(Box<ToTs>),
    TsToFlv(Box<ToFlv>),
}

impl Remux {
    /// What makes a `to` of a stream whose frames are `from`; `None`: it is one
    /// already, or nobody can.
    pub fn between(from: Kind, to: Container) -> Option<Self> {
        let way = match (from, to) {
            (Kind::Flv, Container::Ts) => Way::FlvToTs(Box::default()),
            (Kind::Ts, Container::Flv) => Way::TsToFlv(Box::default()),
            (
                Kind::Auto
                | Kind::Raw
                | Kind::Ts
                | Kind::Flv
                | Kind::Lines
                | Kind::Len32
                | Kind::Datagram,
                Container::Ts | Container::Flv,
            ) => return None,
        };
        Some(Self { way })
    }

    /// Takes the source's next bytes and appends what they become to `out`.
    pub fn handle_bytes(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match &mut self.way {
            Way::FlvToTs(to_ts) => to_ts.handle_bytes(bytes, out),
            Way::TsToFlv(to_flv) => to_flv.handle_bytes(bytes, out),
        }
    }

    /// The next bytes come after a jump, and begin as a subscriber's do that
    /// joins: what was not complete is dropped, and what a decoder needs to start
    /// comes out again.
    pub fn gap(&mut self) {
        match &mut self.way {
            Way::FlvToTs(to_ts) => to_ts.gap(),
            Way::TsToFlv(to_flv) => to_flv.gap(),
        }
    }

    /// The source has ended: appends what was waiting for more.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match &mut self.way {
            // Nothing waits but a tag that was cut off.
            Way::FlvToTs(to_ts) => to_ts.gap(),
            Way::TsToFlv(to_flv) => to_flv.finish(out),
        }
    }

    /// What the source has that the container can't carry, or that we can't
    /// carry over: the newest such codec, by the name that the source has for
    /// it, such as `av01`. It is left out.
    pub fn unsupported(&self) -> Option<String> {
        match &self.way {
            Way::FlvToTs(to_ts) => to_ts.unsupported(),
            Way::TsToFlv(to_flv) => {
                to_flv.unsupported().last().map(|kind| format!("stream type {kind:#04x}"))
            }
        }
    }
}
