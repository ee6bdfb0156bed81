//! Identifiers. Small integers on rings, text only at the venue's edge.

use core::fmt;
use serde::{Deserialize, Serialize};

/// Index of an instrument in the run's [`crate::InstrumentTable`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[repr(transparent)]
pub struct InstrumentId(pub u16);

impl InstrumentId {
    /// As a table index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Index of a venue in a run, in the order of the configuration.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[repr(transparent)]
pub struct VenueId(pub u8);

impl VenueId {
    /// As a table index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Index of a strategy in the run's roster.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[repr(transparent)]
pub struct StrategyId(pub u8);

/// Index of an asset in the run's asset table.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[repr(transparent)]
pub struct AssetId(pub u8);

impl AssetId {
    /// No asset (a fee of zero, for example).
    pub const NONE: Self = Self(u8::MAX);
}

/// Index of a market-data connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct ConnId(pub u16);

/// The engine's own order number: unique within a run, assigned by the router when it creates
/// the intent, in increasing order. Zero is no order.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[repr(transparent)]
pub struct OrderId(pub u64);

/// Names a run in every client order id, so that a restarted engine recognises its own orders.
/// Thirty bits: six base-32 digits.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[repr(transparent)]
pub struct RunEpoch(pub u32);

/// An id of things that an operator or a strategy begins, numbered apart: a 32-bit word whose
/// upper bit says which, and a letter for each in its text.
macro_rules! by_whom {
    ($(#[$doc:meta])* $name:ident, operator $operator:literal, strategy $strategy:literal) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize,
        )]
        #[repr(transparent)]
        pub struct $name(pub u32);

        impl $name {
            /// None.
            pub const NONE: Self = Self(0);
            const BY_STRATEGY: u32 = 1 << 31;

            /// The operator's `n`-th, from 1.
            #[must_use]
            pub const fn by_operator(n: u32) -> Self {
                Self(n & !Self::BY_STRATEGY)
            }

            /// The `n`-th of the strategies, from 1.
            #[must_use]
            pub const fn by_strategy(n: u32) -> Self {
                Self(n | Self::BY_STRATEGY)
            }

            /// It is a strategy's.
            #[must_use]
            pub const fn is_by_strategy(self) -> bool {
                self.0 & Self::BY_STRATEGY != 0
            }

            /// The id written in `text`, as `Display` writes it: a letter for whose it is, and its
            /// number.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let n = text.get(1..)?.parse().ok().filter(|n| (1..Self::BY_STRATEGY).contains(n))?;
                match text.chars().next()? {
                    $operator => Some(Self::by_operator(n)),
                    $strategy => Some(Self::by_strategy(n)),
                    _ => None,
                }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                let by = if self.is_by_strategy() { $strategy } else { $operator };
                write!(f, "{by}{}", self.0 & !Self::BY_STRATEGY)
            }
        }
    };
}
pub(crate) use by_whom;

/// Digits of the client id's base 32: lower-case letters and digits without `i l o u`.
const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A client order id as text: `b4`, six base-32 digits of the run epoch, one of the revision,
/// seven of the order number. Sixteen alphanumerics, legal at every venue. A revision tells an
/// order from the one that replaced it at the venue: both are the same order here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct ClientId(pub [u8; 16]);

impl ClientId {
    /// Revisions that an order can have beside its first form.
    pub const REVISIONS_MAX: u8 = 31;

    /// The client id of `order`, below 2^35, in run `epoch`.
    #[must_use]
    pub fn new(epoch: RunEpoch, order: OrderId) -> Self {
        let mut text = *b"b400000000000000";
        let mut e = epoch.0;
        for digit in text[2..8].iter_mut().rev() {
            *digit = BASE32[(e & 31) as usize];
            e >>= 5;
        }
        let mut o = order.0;
        for digit in text[9..16].iter_mut().rev() {
            *digit = BASE32[(o & 31) as usize];
            o >>= 5;
        }
        Self(text)
    }

    /// The id of the same order in another revision; `None` above
    /// [`REVISIONS_MAX`](Self::REVISIONS_MAX).
    #[must_use]
    pub fn revised(mut self, revision: u8) -> Option<Self> {
        self.0[8] = *BASE32.get(usize::from(revision))?;
        Some(self)
    }

    /// The run epoch and order number written in `text`, or `None` when `text` is not an id of
    /// this engine (a foreign order).
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<(RunEpoch, OrderId)> {
        if text.len() != 16 || &text[..2] != b"b4" {
            return None;
        }
        let number = |digits: &[u8]| {
            digits.iter().try_fold(0u64, |acc, d| {
                BASE32.iter().position(|b| b == d).map(|v| (acc << 5) | v as u64)
            })
        };
        number(&text[8..9])?;
        Some((RunEpoch(number(&text[2..8])? as u32), OrderId(number(&text[9..16])?)))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or("?")
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Longest venue symbol or asset name in bytes.
pub const SYMBOL_LEN_MAX: usize = 31;

/// A venue's name for an instrument or an asset, held in place (no allocation), UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Symbol {
    len: u8,
    text: [u8; SYMBOL_LEN_MAX],
}

impl Symbol {
    /// The symbol with this text, or `None` when it is empty or longer than
    /// [`SYMBOL_LEN_MAX`] bytes.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.is_empty() || bytes.len() > SYMBOL_LEN_MAX {
            return None;
        }
        let mut held = [0; SYMBOL_LEN_MAX];
        held[..bytes.len()].copy_from_slice(bytes);
        Some(Self { len: bytes.len() as u8, text: held })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or("?")
    }

    /// The text as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..self.len as usize]
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn client_ids_read_back(
            epoch in 0u32..1 << 30, order in 0u64..1 << 35, revision in 0u8..40,
        ) {
            let id = ClientId::new(RunEpoch(epoch), OrderId(order));
            prop_assert_eq!(id.revised(0), Some(id));
            let Some(revised) = id.revised(revision) else {
                prop_assert!(revision > ClientId::REVISIONS_MAX);
                return Ok(());
            };
            prop_assert_eq!(revised == id, revision == 0);
            prop_assert!(revised.0.iter().all(u8::is_ascii_alphanumeric));
            prop_assert_eq!(ClientId::parse(&revised.0), Some((RunEpoch(epoch), OrderId(order))));
        }

        #[test]
        fn client_ids_sort_like_order_numbers(a in 0u64..1 << 35, b in 0u64..1 << 35) {
            let text = |o| ClientId::new(RunEpoch(7), OrderId(o));
            prop_assert_eq!(a.cmp(&b), text(a).cmp(&text(b)));
        }
    }

    #[test]
    fn foreign_ids_are_recognised() {
        assert_eq!(ClientId::parse(b"web_5440a9bd3e68"), None);
        assert_eq!(ClientId::parse(b"b4o0000000000000"), None);
        assert_eq!(ClientId::parse(b"b4000000o0000001"), None);
        assert_eq!(ClientId::parse(b"b4"), None);
    }

    #[test]
    fn symbols_hold_any_utf8_up_to_their_length() {
        assert_eq!(
            Symbol::new("１２３４５６").map(|s| s.as_str().to_owned()).as_deref(),
            Some("１２３４５６")
        );
        assert!(Symbol::new("").is_none());
        assert!(Symbol::new(&"X".repeat(32)).is_none());
    }
}
