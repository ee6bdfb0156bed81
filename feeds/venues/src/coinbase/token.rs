//! Keys, and the tokens that stand in for signatures: a token (JWT) names what it is for and is
//! good for two minutes, whatever the request's body. So some are made ahead of time, each for one
//! request, and no signature stands in an order's way. Source: the Coinbase sheet, chapter A.5.
//!
//! Cost: a token is signed in some 25 us (Ed25519) to 60 us (P-256); writing a ready one is a copy.

use core::fmt;
use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use crate::binance::sign::KeyError;
use crate::write::digits;

/// How long a token is good, s.
pub const LIFE_S: i64 = 120;
/// A token older than this is made anew when there is time for it, ms.
const RENEW_AFTER_MS: i64 = 60_000;
/// A token older than this is not used any more, ms: the rest of its life is for the way.
const USE_WITHIN_MS: i64 = 100_000;
/// Room for a token: its names make up most of it.
const TOKEN_LEN: usize = 1_024;
/// A key of P-256 in PKCS#8 is this, the length of the rest, and the key as SEC1 has it (RFC 5208,
/// RFC 5915): version 0 and the algorithm.
const P256_ALGORITHM: [u8; 24] = [
    2, 1, 0, 0x30, 0x13, 6, 7, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 2, 1, 6, 8, 0x2A, 0x86, 0x48, 0xCE,
    0x3D, 3, 1, 7,
];

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

/// The keys of an account.
pub struct TokenKeys {
    name: String,
    pair: Pair,
    random: SystemRandom,
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKeys({})", self.algorithm())
    }
}

impl TokenKeys {
    /// The key called `name` whose private part is `text`: Ed25519 as base64 of its seed, with or
    /// without the public half behind it, or as PEM in PKCS#8; P-256 as PEM, in SEC1 or PKCS#8.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read(name: &str, text: &str) -> Result<Self, KeyError> {
        let name = name.trim();
        let legal = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
        if !name.bytes().all(legal) {
            return Err(KeyError::BadApiKey);
        }
        if name.is_empty() || text.trim().is_empty() {
            return Err(KeyError::Empty);
        }
        // Downloaded as JSON, the lines of a key end in the two characters of an escape.
        let text = Zeroizing::new(text.replace("\\n", "\n"));
        let random = SystemRandom::new();
        let pair = read_pair(text.trim(), &random)?;
        Ok(Self { name: name.to_owned(), pair, random })
    }

    /// The public half, for tests.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        match &self.pair {
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
            Pair::P256(pair) => pair.public_key().as_ref(),
        }
    }

    const fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Ed25519(_) => "EdDSA",
            Pair::P256(_) => "ES256",
        }
    }

    /// Appends a token of now; `uri` is method, host and path of the request it is for, empty for
    /// a WebSocket.
    pub fn write(&self, uri: &str, now_ms: i64, out: &mut Vec<u8>) {
        let mut nonce = [0; 16];
        // Without random numbers a token is as good: the venue only wants them to differ.
        if self.random.fill(&mut nonce).is_err() {
            nonce[..8].copy_from_slice(&now_ms.to_be_bytes());
        }
        self.write_with(nonce, uri, now_ms, out);
    }

    fn write_with(&self, nonce: [u8; 16], uri: &str, now_ms: i64, out: &mut Vec<u8>) {
        let nonce: String = nonce.iter().map(|b| format!("{b:02x}")).collect();
        let (name, algorithm) = (&self.name, self.algorithm());
        let header =
            format!(r#"{{"alg":"{algorithm}","kid":"{name}","nonce":"{nonce}","typ":"JWT"}}"#);
        let now_s = u64::try_from(now_ms / 1_000).unwrap_or(0);
        let mut payload = format!(r#"{{"sub":"{name}","iss":"cdp","nbf":"#).into_bytes();
        digits(now_s, &mut payload);
        payload.extend_from_slice(b",\"exp\":");
        digits(now_s + LIFE_S.unsigned_abs(), &mut payload);
        if !uri.is_empty() {
            payload.extend_from_slice(b",\"uri\":\"");
            payload.extend_from_slice(uri.as_bytes());
            payload.push(b'"');
        }
        payload.push(b'}');
        let mut text = URL_SAFE_NO_PAD.encode(header);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut text);
        let signature = match &self.pair {
            Pair::Ed25519(pair) => Some(pair.sign(text.as_bytes())),
            Pair::P256(pair) => pair.sign(&self.random, text.as_bytes()).ok(),
        };
        text.push('.');
        // A missing signature is refused by the venue; the system had no random numbers.
        URL_SAFE_NO_PAD
            .encode_string(signature.as_ref().map_or(&[][..], |s| s.as_ref()), &mut text);
        out.extend_from_slice(text.as_bytes());
    }
}

fn read_pair(text: &str, random: &dyn SecureRandom) -> Result<Pair, KeyError> {
    let Some(label) = text.strip_prefix("-----BEGIN ") else {
        return read_seed(text);
    };
    let (label, body) = label.split_once("-----").ok_or(KeyError::WrongPem)?;
    let body = body.split_once("-----END ").ok_or(KeyError::WrongPem)?.0;
    let mut bare = Zeroizing::new(String::with_capacity(body.len()));
    body.split_ascii_whitespace().for_each(|part| bare.push_str(part));
    let der = STANDARD.decode(&*bare).map(Zeroizing::new).map_err(|_| KeyError::NotBase64)?;
    let p256 = |der: &[u8]| {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, random);
        pair.map(Pair::P256).map_err(|_| KeyError::NotTokenKey)
    };
    match label {
        "PRIVATE KEY" => match Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der) {
            Ok(pair) => Ok(Pair::Ed25519(pair)),
            Err(_) => p256(&der),
        },
        "EC PRIVATE KEY" => p256(&pkcs8(&der)),
        _ => Err(KeyError::WrongPem),
    }
}

fn read_seed(text: &str) -> Result<Pair, KeyError> {
    let bytes = STANDARD.decode(text).map(Zeroizing::new).map_err(|_| KeyError::NotBase64)?;
    let pair = match bytes.len() {
        64 => Ed25519KeyPair::from_seed_and_public_key(&bytes[..32], &bytes[32..]),
        32 => Ed25519KeyPair::from_seed_unchecked(&bytes),
        _ => return Err(KeyError::NotTokenKey),
    };
    pair.map(Pair::Ed25519).map_err(|_| KeyError::NotTokenKey)
}

/// The SEC1 key `der` in its PKCS#8 wrapping.
fn pkcs8(der: &[u8]) -> Zeroizing<Vec<u8>> {
    // Heads of tags are four bytes at most; what grows leaves its beginning behind.
    let room = P256_ALGORITHM.len() + der.len() + 8;
    let [mut inner, mut out] = [(); 2].map(|()| Zeroizing::new(Vec::with_capacity(room)));
    inner.extend_from_slice(&P256_ALGORITHM);
    tagged(4, der, &mut inner);
    tagged(0x30, &inner, &mut out);
    out
}

/// Appends a DER value: tag, length, content.
fn tagged(tag: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    match content.len() {
        n @ 0..=0x7F => out.push(n as u8),
        n @ 0x80..=0xFF => out.extend_from_slice(&[0x81, n as u8]),
        n => out.extend_from_slice(&[0x82, (n >> 8) as u8, n as u8]),
    }
    out.extend_from_slice(content);
}

/// Tokens for one method and path, kept ready, each used once.
pub struct TokenStock {
    uri: String,
    /// How many there should be.
    wanted: usize,
    /// When each was made, and its text; the oldest first.
    ready: VecDeque<(i64, Vec<u8>)>,
    /// Room of used ones.
    spare: Vec<Vec<u8>>,
    /// The one in use.
    text: Vec<u8>,
    /// Times that one had to be made while a request waited for it.
    pub late: u64,
}

impl fmt::Debug for TokenStock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenStock({} for {})", self.ready.len(), self.uri)
    }
}

impl TokenStock {
    /// An empty stock of up to `wanted` for requests of `method` to `path` at `host`.
    #[must_use]
    pub fn new(method: &str, host: &str, path: &str, wanted: usize) -> Self {
        let room = || Vec::with_capacity(TOKEN_LEN);
        Self {
            uri: format!("{method} {host}{path}"),
            wanted,
            ready: VecDeque::with_capacity(wanted),
            spare: (0..wanted).map(|_| room()).collect(),
            text: room(),
            late: 0,
        }
    }

    /// Makes one more, or one anew that is not fresh any more; true when it did.
    pub fn refill(&mut self, keys: &TokenKeys, now_ms: i64) -> bool {
        self.drop_beyond(RENEW_AFTER_MS, now_ms);
        let short = self.ready.len() < self.wanted;
        if short {
            let mut text = self.spare.pop().unwrap_or_default();
            text.clear();
            keys.write(&self.uri, now_ms, &mut text);
            self.ready.push_back((now_ms, text));
        }
        short
    }

    /// The next one's text; made on the spot where none is ready.
    pub fn take(&mut self, keys: &TokenKeys, now_ms: i64) -> &[u8] {
        self.drop_beyond(USE_WITHIN_MS, now_ms);
        match self.ready.pop_front() {
            Some((_, text)) => self.spare.push(core::mem::replace(&mut self.text, text)),
            None => {
                self.text.clear();
                keys.write(&self.uri, now_ms, &mut self.text);
                self.late += 1;
            }
        }
        &self.text
    }

    /// Forgets those that are older than this, or of the future: a clock was set back.
    fn drop_beyond(&mut self, age_ms: i64, now_ms: i64) {
        let good = |made_ms: i64| (0..age_ms).contains(&(now_ms - made_ms));
        while let Some((_, text)) = self.ready.pop_front_if(|(made_ms, _)| !good(*made_ms)) {
            self.spare.push(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};

    const SEED: &str = "8244616b4606b8400a66fd0efcbea9af1611fd2540e975b3808b20007d9bcf6e";
    const VECTOR: &str = "eyJhbGciOiJFZERTQSIsImtpZCI6ImtleS0xIiwibm9uY2UiOiIwMDExMjIzMzQ0NTU2Njc3ODg5OWFhYmJjY2RkZWVmZiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJrZXktMSIsImlzcyI6ImNkcCIsIm5iZiI6MTcwMDAwMDAwMCwiZXhwIjoxNzAwMDAwMTIwfQ.E4seQ0-5BHdOEMMRMGnRVRtXypzlpW3S3jrbuPwsFi86PDXEHp4rOB7VRM3qGylTyRz6054C5iVdeHdC0HMLAA";

    fn seed() -> Vec<u8> {
        let digits = SEED.as_bytes().chunks(2);
        let byte = |c: &[u8]| u8::from_str_radix(core::str::from_utf8(c).expect("text"), 16);
        digits.map(|c| byte(c).expect("hex")).collect()
    }

    /// The vector of the venue's sheet, from the key in each of its forms.
    #[test]
    fn the_sheets_token_comes_out() {
        let seed = seed();
        let public = Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed");
        let both = [&seed[..], public.public_key().as_ref()].concat();
        let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        let der = STANDARD.encode([&prefix[..], &seed].concat());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
        for text in [STANDARD.encode(&seed), STANDARD.encode(both), pem] {
            let keys = TokenKeys::read(" key-1 ", &text).expect("a key");
            let nonce = 0x0011_2233_4455_6677_8899_AABB_CCDD_EEFF_u128.to_be_bytes();
            let mut out = Vec::new();
            keys.write_with(nonce, "", 1_700_000_000_999, &mut out);
            assert_eq!(core::str::from_utf8(&out), Ok(VECTOR));
        }
    }

    /// A key of P-256 made for this test, in both of its PEM forms.
    #[test]
    fn p256_keys_sign_what_their_public_half_verifies() {
        let random = SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let made = made.expect("a key");
        let der = made.as_ref();
        // The inner key begins behind both lengths, the algorithm and the tag of its text.
        let inner = &der[3 + P256_ALGORITHM.len() - 1 + 2..];
        let at = der.windows(3).position(|w| w == [2, 1, 1]).expect("version 1") - 2;
        assert!(at >= der.len() - inner.len() - 2, "close to where it should be");
        assert_eq!(*pkcs8(&der[at..]), der, "the wrapping is what the library writes");
        let pem = |label: &str, der: &[u8]| {
            let body = STANDARD.encode(der);
            format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
        };
        let escaped = pem("EC PRIVATE KEY", &der[at..]).replace('\n', "\\n");
        for text in [pem("PRIVATE KEY", der), pem("EC PRIVATE KEY", &der[at..]), escaped] {
            let keys = TokenKeys::read("organizations/a/apiKeys/b", &text).expect("a key");
            let mut out = Vec::new();
            keys.write("GET host/path", 1_700_000_000_000, &mut out);
            let token = String::from_utf8(out).expect("ascii");
            let (signed, signature) = token.rsplit_once('.').expect("three parts");
            let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
            assert_eq!(signature.len(), 64, "not DER");
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, keys.public_key())
                .verify(signed.as_bytes(), &signature)
                .expect("verifies");
            let payload = URL_SAFE_NO_PAD.decode(signed.rsplit_once('.').expect("two").1);
            let payload: serde_json::Value =
                serde_json::from_slice(&payload.expect("base64")).expect("JSON");
            assert_eq!(payload["uri"], "GET host/path");
            assert_eq!(payload["exp"].as_i64(), Some(1_700_000_120));
        }
    }

    #[test]
    fn unusable_keys_are_told_apart() {
        let error = |name, text: &str| TokenKeys::read(name, text).err();
        assert_eq!(error("k", " \n"), Some(KeyError::Empty));
        assert_eq!(error("", "x"), Some(KeyError::Empty));
        assert_eq!(error("k\"", "x"), Some(KeyError::BadApiKey));
        assert_eq!(error("k", "!"), Some(KeyError::NotBase64));
        assert_eq!(error("k", &STANDARD.encode([1; 40])), Some(KeyError::NotTokenKey));
        assert_eq!(error("k", &STANDARD.encode([1; 64])), Some(KeyError::NotTokenKey));
        let public = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----";
        assert_eq!(error("k", public), Some(KeyError::WrongPem));
        let wrong = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
        assert_eq!(error("k", wrong), Some(KeyError::NotTokenKey));
    }

    #[test]
    fn tokens_are_made_ahead_used_once_and_never_near_their_end() {
        let keys = TokenKeys::read("k", &STANDARD.encode(seed())).expect("a key");
        let mut stock = TokenStock::new("POST", "h", "/p", 3);
        let start = 1_700_000_000_000;
        assert_eq!((0..9).filter(|_| stock.refill(&keys, start)).count(), 3);
        let first = stock.take(&keys, start + 99_999).to_vec();
        assert_ne!(stock.take(&keys, start + 99_999), first, "another nonce");
        assert_eq!(stock.late, 0);
        stock.take(&keys, start + 100_000);
        assert_eq!(stock.late, 1, "the third was too old");
        assert!(stock.refill(&keys, start) && stock.refill(&keys, start + 59_999));
        assert_eq!((0..9).filter(|_| stock.refill(&keys, start + 60_000)).count(), 2);
        stock.take(&keys, start);
        assert_eq!(stock.late, 2, "a clock that was set back");
        let made = UnparsedPublicKey::new(&ED25519, keys.public_key());
        let text = String::from_utf8(first).expect("ascii");
        let (signed, signature) = text.rsplit_once('.').expect("three parts");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
        made.verify(signed.as_bytes(), &signature).expect("verifies");
    }
}
