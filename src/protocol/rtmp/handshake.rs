//! The plain handshake (RTMP 1.0, 5.2): each side sends a version byte and a
//! packet of 1536 bytes, then the other's packet back.
//!
//! Bytes 4 to 7 of our packet are zero, as there. Programs take a version in
//! their place for a handshake with digests, which Adobe's own software spoke;
//! reading zeros, they fall back to this one.

use crate::protocol::Refusal;

/// The one version of RTMP.
pub(super) const VERSION: u8 = 3;
/// Bytes of C1, S1, C2 and S2.
pub(super) const PACKET: usize = 1536;

/// How far one side's handshake has come; both sides hear the same.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Handshake {
    /// Bytes heard: version, packet, and our packet back.
    heard: usize,
}

/// The version byte and our packet: C0 and C1, S0 and S1.
pub(super) fn hello(out: &mut Vec<u8>) {
    out.push(VERSION);
    out.extend([0; 8]);
    // Any bytes will do; these tell our packet from zeros.
    out.extend((8..PACKET).map(|at| ((at * 167) >> 3) as u8));
}

impl Handshake {
    const END: usize = 1 + 2 * PACKET;

    pub(super) const fn is_over(&self) -> bool {
        self.heard == Self::END
    }

    /// Takes the next of the peer's bytes; answers how many. `out` gets the
    /// peer's packet back while it comes, behind our own. What comes back of
    /// ours is not compared: clients that speak with digests change it.
    ///
    /// # Errors
    /// The version byte is another one: this is no RTMP.
    pub(super) fn handle_bytes(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        is_server: bool,
    ) -> Result<usize, (Refusal, String)> {
        let mut used = 0;
        if let (0, Some(version)) = (self.heard, input.first()) {
            if *version != VERSION {
                return Err((Refusal::WrongProtocol, foreign(*version)));
            }
            if is_server {
                hello(out);
            }
            self.heard = 1;
            used = 1;
        }
        let rest = input.get(used..).unwrap_or_default();
        let packet = rest.len().min((1 + PACKET).saturating_sub(self.heard));
        out.extend(rest.iter().take(packet));
        let taken = rest.len().min(Self::END - self.heard);
        self.heard += taken;
        Ok(used + taken)
    }
}

/// What to say of a peer whose first byte is not RTMP's.
fn foreign(first: u8) -> String {
    match first {
        0x16 => "TLS on an RTMP port; use rtmp:// instead of rtmps:// or https://".to_owned(),
        b'A'..=b'Z' => "an HTTP request on an RTMP port; use the http:// listener's".to_owned(),
        other => format!("RTMP begins with byte 3, not with {other}"),
    }
}
