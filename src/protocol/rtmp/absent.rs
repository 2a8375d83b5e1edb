//! RTMP left out of the build: the same names, of which there can be no value,
//! so that whoever uses them needs no feature of its own.

use super::{Answer, Denied, Event, Purpose};
use crate::base::Instant;
use crate::protocol::Refusal;
use std::convert::Infallible;

/// The server's side of a connection that can't be.
#[derive(Debug)]
pub struct Session(Infallible);

impl Session {
    /// There is none.
    pub const fn new(_now: Instant) -> Option<Self> {
        None
    }

    /// Never called.
    ///
    /// # Errors
    /// None.
    pub fn handle_bytes<'a>(
        &'a mut self,
        _input: &'a [u8],
        _now: Instant,
    ) -> Result<(usize, Option<Event<'a>>), Denied> {
        match self.0 {}
    }

    /// Never called.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        match self.0 {}
    }

    /// Never called.
    pub const fn has_left(&self) -> bool {
        match self.0 {}
    }

    /// Never called.
    pub fn output(&mut self) -> &mut Vec<u8> {
        match self.0 {}
    }

    /// Never called.
    pub fn publish_granted(&mut self) {
        match self.0 {}
    }

    /// Never called.
    pub fn play_granted(&mut self) {
        match self.0 {}
    }

    /// Never called.
    pub fn refused(&mut self, _why: Refusal, _text: &str) {
        match self.0 {}
    }

    /// Never called.
    pub fn play_ended(&mut self) {
        match self.0 {}
    }
}

/// The client's side of a connection that can't be.
#[derive(Debug)]
pub struct Caller(Infallible);

impl Caller {
    /// There is none.
    pub const fn new(
        _purpose: Purpose,
        _url: &str,
        _app: &str,
        _key: &str,
        _now: Instant,
    ) -> Option<Self> {
        None
    }

    /// Never called.
    ///
    /// # Errors
    /// None.
    pub fn handle_bytes<'a>(
        &'a mut self,
        _input: &'a [u8],
        _now: Instant,
    ) -> Result<(usize, Option<Answer<'a>>), Denied> {
        match self.0 {}
    }

    /// Never called.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        match self.0 {}
    }

    /// Never called.
    pub fn output(&mut self) -> &mut Vec<u8> {
        match self.0 {}
    }

    /// Never called.
    pub fn finish(&mut self) {
        match self.0 {}
    }
}
