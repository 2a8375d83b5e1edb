//! How a program joins a stream over UDP without the server becoming an
//! amplifier.
//!
//! A UDP source address can be forged, so a stream is sent only to an address
//! that has shown that it receives there: it must send back a token that was
//! sent to it. The token is derived from a secret and the address, so the
//! server keeps nothing for those who never come back, and the answer to a
//! request is never larger than the request. DTLS cookies (RFC 9147 5.1) work
//! alike.
//!
//! The token is HMAC-SHA1 (RFC 2104) cut to 16 bytes. Known attacks on SHA-1
//! find collisions of the bare hash; HMAC rests on the compression function
//! being hard to predict under a secret key, which they don't touch
//! (RFC 6194 3.3), and cutting to no less than half of the hash is sound
//! (RFC 2104 5).
//!
//! Tokens go out of date with their *epoch*, [`TOKEN_TIME`] long; that of the
//! epoch before is taken too. A subscriber that has joined keeps on using the
//! token that it joined with.

use super::Refusal;
use crate::base::Instant;
use crate::limits::{JOIN_REQUEST_BYTES, TOKEN_BYTES, TOKEN_TIME};
use sha1_smol::Sha1;
use std::hint::black_box;
use std::net::SocketAddr;

/// What a client sends back to show that it receives at its address.
pub type Token = [u8; TOKEN_BYTES];

/// Stands before the token in the datagram that leaves.
const BYE: &[u8] = b"bye";

/// What a datagram asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Too short to be anything; nothing is sent.
    Ignore,
    /// A request to join: send this back, and remember nothing.
    SendToken(Token),
    /// The token came back: it is a subscriber now. Remember the epoch and
    /// give it to later calls for the same address.
    Join {
        /// The epoch of the token that it joined with.
        epoch: u64,
    },
    /// A subscriber says that it is still there.
    KeepAlive,
    /// A subscriber leaves.
    Leave,
    /// [`Refusal::BadToken`]: it wants to leave, with a token that is not its
    /// own. Nothing is sent.
    Refused(Refusal),
}

/// Makes and checks tokens. Every shard has one with the same secret, so it
/// does not matter which shard's socket a datagram arrives at.
#[derive(Clone)]
pub struct Joiner {
    /// The hash with the inner pad already in it, RFC 2104 4.
    inner: Sha1,
    /// The hash with the outer pad already in it.
    outer: Sha1,
}

/// Whether a datagram, from where an address alone is trusted, says that it
/// leaves.
pub fn is_bye(bytes: &[u8]) -> bool {
    bytes.len() >= JOIN_REQUEST_BYTES && bytes.starts_with(BYE)
}

/// The epoch that `now` lies in.
pub fn epoch(now: Instant) -> u64 {
    now.as_nanos() / TOKEN_TIME.as_nanos() as u64
}

impl Joiner {
    /// A joiner with a secret: 32 random bytes, chosen anew at each start of
    /// the server and never sent.
    pub fn new(secret: [u8; 32]) -> Self {
        let (inner, outer) = hmac_key(&secret);
        Self { inner, outer }
    }

    /// Judges a datagram from `from` in `epoch`. `joined` is what
    /// [`Answer::Join`] said if the address is a subscriber already.
    pub fn handle_datagram(
        &self,
        bytes: &[u8],
        from: SocketAddr,
        epoch: u64,
        joined: Option<u64>,
    ) -> Answer {
        if bytes.len() < JOIN_REQUEST_BYTES {
            return Answer::Ignore;
        }
        if let Some(matched) = self.find(bytes, from, epoch, joined) {
            return match joined {
                Some(_) => Answer::KeepAlive,
                None => Answer::Join { epoch: matched },
            };
        }
        if let Some(token) = bytes.strip_prefix(BYE)
            && token.len() >= TOKEN_BYTES
        {
            return match self.find(token, from, epoch, joined) {
                Some(_) => Answer::Leave,
                None => Answer::Refused(Refusal::BadToken),
            };
        }
        Answer::SendToken(self.token(from, epoch))
    }

    /// The token of an address in an epoch.
    pub fn token(&self, address: SocketAddr, epoch: u64) -> Token {
        // The address as IPv6, mapped if need be: the same client has the same
        // token whether the socket that hears it is IPv4 or dual-stack.
        let ip = match address.ip().to_canonical() {
            std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            std::net::IpAddr::V6(v6) => v6,
        };
        let mut message = [0; 26];
        message[..16].copy_from_slice(&ip.octets());
        message[16..18].copy_from_slice(&address.port().to_be_bytes());
        message[18..].copy_from_slice(&epoch.to_be_bytes());
        let full = hmac(&self.inner, &self.outer, &message);
        let mut token = [0; TOKEN_BYTES];
        token.copy_from_slice(&full[..TOKEN_BYTES]);
        token
    }

    /// The epoch whose token `bytes` begin with, among those still taken.
    fn find(&self, bytes: &[u8], from: SocketAddr, epoch: u64, joined: Option<u64>) -> Option<u64> {
        let claimed = bytes.get(..TOKEN_BYTES)?;
        [joined, Some(epoch), epoch.checked_sub(1)]
            .into_iter()
            .flatten()
            .find(|epoch| same(claimed, &self.token(from, *epoch)))
    }
}

/// Compares in a time that does not tell where the first difference is: the
/// optimiser may not see that one difference settles it.
fn same(a: &[u8], b: &Token) -> bool {
    let difference = a.iter().zip(b).fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
    a.len() == b.len() && difference == 0
}

/// The two halves of an HMAC key of at most 64 bytes, RFC 2104 2.
fn hmac_key(key: &[u8]) -> (Sha1, Sha1) {
    let padded = |pad: u8| {
        let mut block = [pad; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        let mut hash = Sha1::new();
        hash.update(&block);
        hash
    };
    (padded(0x36), padded(0x5c))
}

fn hmac(inner: &Sha1, outer: &Sha1, message: &[u8]) -> [u8; 20] {
    let mut inner = inner.clone();
    inner.update(message);
    let mut outer = outer.clone();
    outer.update(&inner.digest().bytes());
    outer.digest().bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::testing::Random;
    use std::time::Duration;

    const REQUEST: &[u8] = b"sixteen bytes ok";

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn hmac_is_that_of_rfc_2202() {
        let of = |key: &[u8], message: &[u8]| {
            let (inner, outer) = hmac_key(key);
            hmac(&inner, &outer, message)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        assert_eq!(of(&[0x0b; 20], b"Hi There"), "b617318655057264e28bc0b6fb378c8ef146be00");
        assert_eq!(
            of(b"Jefe", b"what do ya want for nothing?"),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
        );
        assert_eq!(of(&[0xaa; 20], &[0xdd; 50]), "125d7342b9ac11cd91a39af48aa17b4f63f175d3");
    }

    #[test]
    fn join_keep_alive_leave() {
        let joiner = Joiner::new([1; 32]);
        let from = at("127.0.0.1:5000");
        let Answer::SendToken(token) = joiner.handle_datagram(REQUEST, from, 7, None) else {
            panic!("no token");
        };
        assert!(token.len() <= REQUEST.len());
        let padded = [&token[..], b"and more"].concat();
        for bytes in [&token[..], &padded] {
            assert_eq!(joiner.handle_datagram(bytes, from, 7, None), Answer::Join { epoch: 7 });
        }
        // Its token stays good for it long after it would let nobody else in.
        assert_eq!(joiner.handle_datagram(&token, from, 999, Some(7)), Answer::KeepAlive);
        let bye = [BYE, &token].concat();
        assert_eq!(joiner.handle_datagram(&bye, from, 999, Some(7)), Answer::Leave);
        assert_eq!(
            joiner.handle_datagram(&bye, from, 999, None),
            Answer::Refused(Refusal::BadToken)
        );
    }

    #[test]
    fn tokens_are_bound_to_address_port_time_and_secret() {
        let joiner = Joiner::new([1; 32]);
        let from = at("192.0.2.1:5000");
        let token = joiner.token(from, 7);
        let asks = |answer| matches!(answer, Answer::SendToken(fresh) if fresh != token);
        assert_eq!(joiner.handle_datagram(&token, from, 8, None), Answer::Join { epoch: 7 });
        assert!(asks(joiner.handle_datagram(&token, from, 9, None)));
        assert!(asks(joiner.handle_datagram(&token, from, 6, None)));
        assert!(asks(joiner.handle_datagram(&token, at("192.0.2.1:5001"), 7, None)));
        assert!(asks(joiner.handle_datagram(&token, at("192.0.2.2:5000"), 7, None)));
        assert!(asks(Joiner::new([2; 32]).handle_datagram(&token, from, 7, None)));
        assert_eq!(joiner.token(at("[::ffff:192.0.2.1]:5000"), 7), token);
        let (near, far) = (at("[2001:db8::1]:5000"), at("[2002:db8::1]:5000"));
        assert_ne!(joiner.token(near, 7), joiner.token(far, 7));
        assert_eq!(joiner.handle_datagram(&token[..15], from, 7, None), Answer::Ignore);
        let bye = [BYE, &joiner.token(at("192.0.2.2:5000"), 7)].concat();
        assert_eq!(
            joiner.handle_datagram(&bye, from, 7, Some(7)),
            Answer::Refused(Refusal::BadToken)
        );
    }

    #[test]
    fn epochs_begin_every_token_time() {
        assert_eq!(epoch(Instant::ZERO), 0);
        assert_eq!(epoch(Instant::ZERO + TOKEN_TIME), 1);
        assert_eq!(
            epoch(Instant::ZERO + TOKEN_TIME + TOKEN_TIME.saturating_sub(Duration::from_nanos(1))),
            1
        );
    }

    #[test]
    fn fuzz_nobody_guesses_and_no_answer_amplifies() {
        let joiner = Joiner::new([9; 32]);
        let from = at("[2001:db8::1]:4000");
        let other = joiner.token(at("[2001:db8::2]:4000"), 3);
        let corpus = [REQUEST.to_vec(), other.to_vec(), [BYE, &other].concat()];
        let mut random = Random::new(5);
        for _ in 0..250_000 {
            let seed = &corpus[random.below(corpus.len())];
            let input = random.mutate(seed);
            match joiner.handle_datagram(&input, from, 3, None) {
                Answer::Ignore => assert!(input.len() < JOIN_REQUEST_BYTES),
                Answer::SendToken(token) => assert!(token.len() <= input.len()),
                Answer::Refused(why) => assert_eq!(why, Refusal::BadToken),
                granted @ (Answer::Join { .. } | Answer::KeepAlive | Answer::Leave) => {
                    panic!("{granted:?} for {input:?}")
                }
            }
        }
    }
}
