//! Keys that are a secret shared with the venue, and the texts they sign: what venues other than
//! Binance use. Signing allocates nothing. Cost: 0.3 us.

use core::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::hmac;
use zeroize::Zeroizing;

use crate::binance::sign::KeyError;
use crate::secret_text::SecretText;

/// How a venue derives and writes its signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HMAC-SHA-256 by the secret's text, as hexadecimal digits (Bybit).
    Sha256Hex,
    /// HMAC-SHA-256 by the secret's text, as base64 (OKX).
    Sha256Base64,
    /// HMAC-SHA-512 by the bytes that the secret is the base64 of, as base64 (Kraken).
    Sha512Base64,
}

/// The newest nonce of a key in this process. Its sessions must not fall behind each other,
/// whatever the venue's clock told them: the venue refuses what is not above the last one.
#[derive(Clone, Debug, Default)]
pub struct Nonces(Arc<AtomicU64>);

impl Nonces {
    /// The next one: `now`, or one more than the last where that is above it.
    #[must_use]
    pub fn next(&self, now: u64) -> u64 {
        let above = |last: u64| now.max(last.saturating_add(1));
        // One word that publishes nothing else: relaxed suffices, and an update always succeeds.
        let update = |last| Some(above(last));
        let last = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
        above(last.unwrap_or_else(|last| last))
    }
}

/// The keys of an account.
pub struct SecretKeys {
    /// The key's public name.
    pub api_key: String,
    /// What some venues want beside it; empty where there is none.
    pub passphrase: SecretText,
    /// Shared by all sessions of the key, where its venue counts nonces.
    pub nonces: Nonces,
    scheme: Scheme,
    key: hmac::Key,
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKeys({:?})", self.scheme)
    }
}

impl SecretKeys {
    /// The keys of `api_key` whose file holds `text`: the secret in its first line, the passphrase
    /// in its second, where the venue has one.
    ///
    /// # Errors
    /// [`KeyError`]: nothing there, not base64, or a character that no key has.
    pub fn read(api_key: &str, text: &str, scheme: Scheme) -> Result<Self, KeyError> {
        let api_key = api_key.trim();
        let legal = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
        if !api_key.bytes().all(legal) {
            return Err(KeyError::BadApiKey);
        }
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let secret = lines.next().unwrap_or("");
        if api_key.is_empty() || secret.is_empty() {
            return Err(KeyError::Empty);
        }
        let key = match scheme {
            Scheme::Sha256Hex | Scheme::Sha256Base64 => {
                hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
            }
            Scheme::Sha512Base64 => {
                let bytes = BASE64.decode(secret).map(Zeroizing::new);
                let bytes = bytes.map_err(|_| KeyError::NotBase64)?;
                hmac::Key::new(hmac::HMAC_SHA512, &bytes)
            }
        };
        let passphrase = SecretText::new(lines.next().unwrap_or("").to_owned());
        let (api_key, nonces) = (api_key.to_owned(), Nonces::default());
        Ok(Self { api_key, passphrase, nonces, scheme, key })
    }

    /// Appends the signature of the text that `parts` make.
    pub fn sign(&self, parts: &[&[u8]], out: &mut Vec<u8>) {
        let mut context = hmac::Context::with_key(&self.key);
        parts.iter().for_each(|part| context.update(part));
        let tag = context.sign();
        if self.scheme == Scheme::Sha256Hex {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            for byte in tag.as_ref() {
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
            return;
        }
        let mut text = [0; 88];
        // 64 bytes are always 88 digits of base64, 32 bytes are 44.
        let n = BASE64.encode_slice(tag.as_ref(), &mut text).unwrap_or(0);
        out.extend_from_slice(&text[..n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(scheme: Scheme, secret: &str, parts: &[&[u8]]) -> String {
        let keys = SecretKeys::read("key", secret, scheme).expect("keys");
        let mut out = Vec::new();
        keys.sign(parts, &mut out);
        String::from_utf8(out).expect("ascii")
    }

    /// The vectors of the venues' sheets.
    #[test]
    fn vectors() {
        assert_eq!(
            signed(Scheme::Sha256Hex, "testsecret\n", &[b"GET/realtime", b"1662350400000"]),
            "b38c4f23eca76c513b6542823c0882c502bdea24e31f6d6af028af804c5c850a"
        );
        let parts: [&[u8]; 3] = [b"1704876947", b"GET", b"/users/self/verify"];
        assert_eq!(
            signed(Scheme::Sha256Base64, "testsecret", &parts),
            "Yfm6K+VXZZRVprrQgSTbCQwdP0vaOqR6Sb5WeQpb+xY="
        );
    }

    #[test]
    fn files_hold_a_secret_and_perhaps_a_passphrase() {
        let keys = SecretKeys::read(" k ", " s \n\n p p \n", Scheme::Sha256Hex).expect("keys");
        assert_eq!((keys.api_key.as_str(), keys.passphrase.expose()), ("k", "p p"));
        let error = |key, text, scheme| SecretKeys::read(key, text, scheme).err();
        assert_eq!(error("k", " \n", Scheme::Sha256Hex), Some(KeyError::Empty));
        assert_eq!(error("", "s", Scheme::Sha256Hex), Some(KeyError::Empty));
        assert_eq!(error("k\"", "s", Scheme::Sha256Hex), Some(KeyError::BadApiKey));
        assert_eq!(error("k", "!", Scheme::Sha512Base64), Some(KeyError::NotBase64));
        assert_eq!(format!("{keys:?}"), "SecretKeys(Sha256Hex)");
    }
}
