//! Keys and signatures of requests.
//!
//! HMAC-SHA-256 (hex) for secret keys, Ed25519 (base64) for key pairs; only the latter can open
//! a session. The payload is the sorted `name=value` list without percent-encoding that
//! [`super::orders`] writes. Signing allocates nothing. Cost: HMAC 0.3 us, Ed25519 24 us.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

/// Why a key cannot be used. Never contains key material.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// Nothing there.
    Empty,
    /// A PEM frame with another label than `PRIVATE KEY`: a public, encrypted or PKCS#1 key.
    WrongPem,
    /// The text between the PEM lines, or the bare text, is not base64.
    NotBase64,
    /// The bytes are not a PKCS#8 Ed25519 private key.
    NotEd25519,
    /// The bytes are neither an Ed25519 nor a P-256 private key.
    NotTokenKey,
    /// The API key holds a character that no API key has.
    BadApiKey,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the key is empty",
            Self::WrongPem => {
                "the PEM block is not `PRIVATE KEY` (PKCS#8, not encrypted); convert it with \
                 `openssl pkcs8 -topk8 -nocrypt`"
            }
            Self::NotBase64 => "the key is not base64",
            Self::NotEd25519 => "the key is not an Ed25519 private key in PKCS#8",
            Self::NotTokenKey => {
                "the key is neither Ed25519 (base64 of 32 or 64 bytes, or PKCS#8) nor P-256 (PEM)"
            }
            Self::BadApiKey => "the API key may hold only letters, digits, `-` and `_`",
        })
    }
}

impl std::error::Error for KeyError {}

/// Signs request payloads.
pub enum Signer {
    /// A secret shared with the venue. Cannot open a session: every request is signed.
    Hmac(hmac::Key),
    /// A key pair whose public half the venue knows.
    Ed25519(Ed25519KeyPair),
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hmac(_) => "Hmac(..)",
            Self::Ed25519(_) => "Ed25519(..)",
        })
    }
}

impl Signer {
    /// A signer with an HMAC secret.
    ///
    /// # Errors
    /// [`KeyError::Empty`].
    pub fn hmac(secret: &str) -> Result<Self, KeyError> {
        let secret = secret.trim();
        if secret.is_empty() {
            return Err(KeyError::Empty);
        }
        Ok(Self::Hmac(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())))
    }

    /// A signer with an Ed25519 key: PKCS#8, as PEM or as its base64 alone.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn ed25519(text: &str) -> Result<Self, KeyError> {
        let body = pem_body(text)?;
        let der = BASE64.decode(&*body).map(Zeroizing::new).map_err(|_| KeyError::NotBase64)?;
        // Keys written by common tools carry no public half (PKCS#8 version 1).
        let pair =
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| KeyError::NotEd25519)?;
        Ok(Self::Ed25519(pair))
    }

    /// The public half of an Ed25519 key, for showing and tests.
    #[must_use]
    pub fn public_key(&self) -> Option<&[u8]> {
        match self {
            Self::Hmac(_) => None,
            Self::Ed25519(pair) => Some(pair.public_key().as_ref()),
        }
    }

    /// Requests can be sent unsigned after one signed logon.
    #[must_use]
    pub const fn opens_sessions(&self) -> bool {
        matches!(self, Self::Ed25519(_))
    }

    /// Appends the signature of `payload` as the venue wants it: hex or base64.
    pub fn sign(&self, payload: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Hmac(key) => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                for byte in hmac::sign(key, payload).as_ref() {
                    out.push(HEX[usize::from(byte >> 4)]);
                    out.push(HEX[usize::from(byte & 15)]);
                }
            }
            Self::Ed25519(pair) => {
                let signature = pair.sign(payload);
                let mut text = [0; 88];
                // 64 bytes are always 88 digits of base64.
                let n = BASE64.encode_slice(signature.as_ref(), &mut text).unwrap_or(0);
                out.extend_from_slice(&text[..n]);
            }
        }
    }
}

/// An API key with its signer.
pub struct Credentials {
    /// The key's public name.
    pub api_key: String,
    /// Signs with its private part.
    pub signer: Signer,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?})", self.signer)
    }
}

impl Credentials {
    /// Credentials of `api_key`.
    ///
    /// # Errors
    /// [`KeyError::Empty`], [`KeyError::BadApiKey`].
    pub fn new(api_key: &str, signer: Signer) -> Result<Self, KeyError> {
        let api_key = api_key.trim();
        if api_key.is_empty() {
            return Err(KeyError::Empty);
        }
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if !api_key.bytes().all(legal) {
            return Err(KeyError::BadApiKey);
        }
        Ok(Self { api_key: api_key.to_owned(), signer })
    }
}

/// The base64 of a key given as PEM or bare, without blanks and line ends.
fn pem_body(text: &str) -> Result<Zeroizing<String>, KeyError> {
    const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
    const END: &str = "-----END PRIVATE KEY-----";
    let text = text.trim();
    let body = if text.starts_with("-----") {
        let inner = text.strip_prefix(BEGIN).ok_or(KeyError::WrongPem)?;
        &inner[..inner.find(END).ok_or(KeyError::WrongPem)?]
    } else {
        text
    };
    // Room for all of it at once: a text that grows leaves its beginning behind.
    let mut bare = Zeroizing::new(String::with_capacity(body.len()));
    body.split_ascii_whitespace().for_each(|part| bare.push_str(part));
    if bare.is_empty() { Err(KeyError::Empty) } else { Ok(bare) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";
    const HMAC_KEY: &str = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
    const ED_KEY: &str = "4yNzx3yWC5bS6YTwEkSRaC0nRmSQIIStAUOh1b6kqaBrTLIhjCpI5lJH8q8R8WNO";
    /// Published in the venue's documentation, worthless by that.
    const PKCS8: &str = "MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u";

    fn signed(signer: &Signer, payload: &str) -> String {
        let mut out = Vec::new();
        signer.sign(payload.as_bytes(), &mut out);
        String::from_utf8(out).expect("ascii")
    }

    #[test]
    fn neither_half_of_credentials_is_shown() {
        let told = |signer| format!("{:?}", Credentials::new(HMAC_KEY, signer).expect("good"));
        assert_eq!(told(Signer::hmac(SECRET).expect("key")), "Credentials(Hmac(..))");
        assert_eq!(told(Signer::ed25519(PKCS8).expect("key")), "Credentials(Ed25519(..))");
    }

    #[test]
    fn hmac_vectors() {
        let signer = Signer::hmac(SECRET).expect("key");
        let payload = format!(
            "apiKey={HMAC_KEY}&price=52000.00&quantity=0.01000000&recvWindow=100&side=SELL\
             &symbol=BTCUSDT&timeInForce=GTC&timestamp=1645423376532&type=LIMIT"
        );
        let expected = "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24";
        assert_eq!(signed(&signer, &payload), expected);
        let payload = format!(
            "apiKey={HMAC_KEY}&price=0.10000000&quantity=1.00000000&recvWindow=5000&side=BUY\
             &symbol=１２３４５６&timeInForce=GTC&timestamp=1645423376532&type=LIMIT"
        );
        let expected = "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd";
        assert_eq!(signed(&signer, &payload), expected);
    }

    #[test]
    fn ed25519_vectors() {
        let signer = Signer::ed25519(PKCS8).expect("key");
        let message = "A\u{1}EXAMPLE\u{1}SPOT\u{1}1\u{1}20240627-11:17:25.223";
        assert_eq!(
            signed(&signer, message),
            "4MHXelVVcpkdwuLbl6n73HQUXUf1dse2PCgT1DYqW9w8AVZ1RACFGM+5UdlGPrQHrgtS3CvsRURC1oj73j8gCA=="
        );
        let payload = format!(
            "apiKey={ED_KEY}&price=52000.00&quantity=0.01000000&recvWindow=100&side=SELL\
             &symbol=BTCUSDT&timeInForce=GTC&timestamp=1645423376532&type=LIMIT"
        );
        assert_eq!(
            signed(&signer, &payload),
            "82wlF5RobwT7JZehRQgOaupNEm5GrAqJj5tqZeCCE6ZxkhlUbWBThOx00q3FVnCKn882P+9p85phztjk4bOMAQ=="
        );
        let payload = format!("apiKey={ED_KEY}&recvWindow=5000&timestamp=1649729878532");
        assert_eq!(
            signed(&signer, &payload),
            "61dXDnlk+m1Gbva0mKlRSc70BnAPjz0x/c40jKDUOjbL8RfBCxbm2MYZz0C2jGNByv62j6Hg9iX9lEwDmIxBBg=="
        );
    }

    #[test]
    fn keys_are_accepted_as_pem_and_refused_with_a_reason() {
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{PKCS8}\n-----END PRIVATE KEY-----\n");
        let signer = Signer::ed25519(&pem).expect("key");
        let public = signer.public_key().expect("pair");
        assert_eq!((public[0], public[31]), (0x19, 0x0d));
        let public_pem = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----";
        let refused = |text: &str| Signer::ed25519(text).err();
        assert_eq!(refused(public_pem), Some(KeyError::WrongPem));
        assert_eq!(refused("not base64!"), Some(KeyError::NotBase64));
        assert_eq!(refused("AAAA"), Some(KeyError::NotEd25519));
        assert_eq!(refused("  "), Some(KeyError::Empty));
        assert_eq!(Signer::hmac(" ").err(), Some(KeyError::Empty));
        let credentials = Credentials::new("a\"b", signer);
        assert_eq!(credentials.err(), Some(KeyError::BadApiKey));
    }
}
