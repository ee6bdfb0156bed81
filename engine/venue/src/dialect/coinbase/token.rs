//! Tokens as the venue looks at them: JWTs signed by the account's key (Ed25519), a new one for
//! every message.
//!
//! Sources: protocol sheet, chapter A.5; RFC 7519.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::Value;

use crate::dialect::Keys;

/// Longest life of a token, s.
const LIFE_S: u64 = 120;
/// Clocks may differ by this much, s.
const SKEW_S: u64 = 5;

/// Tokens that were used, by their nonces, and when they end, s: none is taken twice.
#[derive(Default)]
pub struct Used(BTreeMap<String, u64>);

impl Used {
    /// Notes a good token; false when it was used before.
    pub fn note(&mut self, token: &str, now_s: u64) -> bool {
        self.0.retain(|_, end_s| *end_s > now_s);
        let read = |part: Option<&str>| -> Option<Value> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part?).ok()?).ok()
        };
        let mut parts = token.split('.');
        let (head, claims) = (read(parts.next()), read(parts.next()));
        let nonce = head.as_ref().and_then(|head| head["nonce"].as_str());
        let end_s = claims.as_ref().and_then(|claims| claims["exp"].as_u64());
        let (Some(nonce), Some(end_s)) = (nonce, end_s) else { return false };
        self.0.insert(nonce.to_owned(), end_s).is_none()
    }
}

/// Why `token` is not good for `uri` (method, host and path; empty for a WebSocket) at `now_s`.
pub fn refusal(token: &str, keys: &Keys, uri: &str, now_s: u64) -> Option<&'static str> {
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Some("not three parts");
    };
    let read = |part: &str| -> Option<Value> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
    };
    let (Some(head), Some(claims)) = (read(header), read(payload)) else {
        return Some("not JSON");
    };
    if head["alg"] != "EdDSA" || head["typ"] != "JWT" || head["nonce"].as_str().is_none() {
        return Some("header");
    }
    if head["kid"] != *keys.api_key || claims["sub"] != *keys.api_key || claims["iss"] != "cdp" {
        return Some("names");
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    let signed = token.rsplit_once('.').map_or("", |(signed, _)| signed);
    let key = UnparsedPublicKey::new(&ED25519, keys.public_key);
    if key.verify(signed.as_bytes(), &signature).is_err() {
        return Some("signature");
    }
    let (Some(from), Some(to)) = (claims["nbf"].as_u64(), claims["exp"].as_u64()) else {
        return Some("times");
    };
    if from > now_s + SKEW_S || to <= now_s || to.saturating_sub(from) > LIFE_S {
        return Some("expired");
    }
    (claims["uri"].as_str().unwrap_or("") != uri).then_some("uri")
}
