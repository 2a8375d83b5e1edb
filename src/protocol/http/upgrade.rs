//! The opening handshake of WebSocket, RFC 6455 4.2.

use super::Denied;
use super::head::Fields;
use crate::protocol::Refusal;
use sha1_smol::Sha1;

/// What the key is hashed with, RFC 6455 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The value of `Sec-WebSocket-Accept` if a `GET` asks for WebSocket.
///
/// # Errors
/// The handshake is malformed, or of another version than 13.
pub(super) fn websocket(fields: &Fields<'_, '_>) -> Result<Option<String>, Denied> {
    if !fields.has_token("upgrade", "websocket") {
        return Ok(None);
    }
    let bad = |text: &str| (Refusal::BadRequest, text.to_owned());
    if !fields.has_token("connection", "upgrade") {
        return Err(bad("Upgrade: websocket needs Connection: Upgrade"));
    }
    if fields.one("sec-websocket-version")? != Some("13") {
        return Err((
            Refusal::WebSocketVersion,
            "only Sec-WebSocket-Version 13 is spoken".to_owned(),
        ));
    }
    match fields.one("sec-websocket-key")? {
        Some(key) if is_key(key) => Ok(Some(accept(key))),
        _ => Err(bad("Sec-WebSocket-Key must be 16 bytes in base64")),
    }
}

/// 16 bytes in base64 (RFC 4648 4): 22 characters and two of padding.
fn is_key(key: &str) -> bool {
    key.strip_suffix("==")
        .is_some_and(|text| text.len() == 22 && text.bytes().all(|byte| ALPHABET.contains(&byte)))
}

/// RFC 6455 4.2.2, item 5.4.
pub(crate) fn accept(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(GUID);
    base64(&hash.digest().bytes())
}

/// Base64 with padding, RFC 4648 4.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for i in 0..4 {
            if i <= group.len() {
                let sextet = (bits >> (18 - 6 * i)) & 0x3f;
                text.push(char::from(ALPHABET[sextet as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_is_that_of_rfc_6455() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(is_key("dGhlIHNhbXBsZSBub25jZQ=="));
        for wrong in [
            "",
            "==",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZ===",
            "dGhlIHNhbXBsZSBub25j ZQ==",
        ] {
            assert!(!is_key(wrong), "{wrong}");
        }
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
