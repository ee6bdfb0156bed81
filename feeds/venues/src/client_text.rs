//! A client order id as a venue may show it: ours or foreign, up to 36 bytes, held in place.

use core::fmt;

use bot4_types::{ClientId, OrderId, RunEpoch};

/// Longest client order id in bytes (Binance: 36; the longest among the venues planned).
pub const CLIENT_TEXT_MAX: usize = 36;

/// Client order id text. Copy, no allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClientText {
    len: u8,
    text: [u8; CLIENT_TEXT_MAX],
}

impl ClientText {
    /// No id.
    pub const EMPTY: Self = Self { len: 0, text: [0; CLIENT_TEXT_MAX] };

    /// The id with this text, or `None` when it is longer than [`CLIENT_TEXT_MAX`] bytes.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut held = Self::EMPTY;
        held.text.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        held.len = text.len() as u8;
        Some(held)
    }

    /// The text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..self.len as usize]
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or("?")
    }

    /// There is no id.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The run and order that the text names, or `None` when the order is not this engine's.
    #[must_use]
    pub fn own(&self) -> Option<(RunEpoch, OrderId)> {
        ClientId::parse(self.as_bytes())
    }
}

impl From<ClientId> for ClientText {
    fn from(id: ClientId) -> Self {
        let mut held = Self::EMPTY;
        held.text[..id.0.len()].copy_from_slice(&id.0);
        held.len = id.0.len() as u8;
        held
    }
}

impl fmt::Debug for ClientText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_ids_read_back_and_foreign_ones_are_kept() {
        let id = ClientId::new(RunEpoch(77), OrderId(123_456));
        assert_eq!(ClientText::from(id).own(), Some((RunEpoch(77), OrderId(123_456))));
        let foreign = ClientText::new("web_5440a9bd3e684127861fbc54783f70c4").expect("36 bytes");
        assert_eq!((foreign.as_bytes().len(), foreign.own()), (36, None));
        assert!(ClientText::new(&"x".repeat(37)).is_none());
        assert!(ClientText::new("").expect("short").is_empty());
    }
}
