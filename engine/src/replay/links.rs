//! What one lane says it sent and the other says it took, compared message by message.
//!
//! A link is a queue, so the k-th message sent is the k-th one taken, whatever the order of the
//! two lanes' records in the file. Memory: what the file holds of one lane ahead of the other,
//! which the rings bound.

use std::collections::VecDeque;

/// A record on one side of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Side {
    seq: u64,
    bytes: Vec<u8>,
}

/// The k-th message differs: sequences of the record that sent it and of the one that took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// In the writing lane.
    pub sent: u64,
    /// In the reading lane.
    pub taken: u64,
}

/// One link.
#[derive(Debug, Default)]
pub struct LinkCheck {
    sent: VecDeque<Side>,
    taken: VecDeque<Side>,
    compared: u64,
}

impl LinkCheck {
    /// The writing lane's record `seq` says that it sent `bytes`.
    ///
    /// # Errors
    /// When the reading lane took something else.
    pub fn sent(&mut self, seq: u64, bytes: &[u8]) -> Result<(), Mismatch> {
        self.sent.push_back(Side { seq, bytes: bytes.to_vec() });
        self.pair()
    }

    /// The reading lane's record `seq` says that it took `bytes`.
    ///
    /// # Errors
    /// When the writing lane sent something else.
    pub fn taken(&mut self, seq: u64, bytes: &[u8]) -> Result<(), Mismatch> {
        self.taken.push_back(Side { seq, bytes: bytes.to_vec() });
        self.pair()
    }

    /// Messages that were the same on both sides.
    #[must_use]
    pub const fn compared(&self) -> u64 {
        self.compared
    }

    /// Record of the reading lane that took a message which no record says was sent.
    #[must_use]
    pub fn taken_unsent(&self) -> Option<u64> {
        self.taken.front().map(|side| side.seq)
    }

    /// Messages sent and not taken.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.sent.len()
    }

    fn pair(&mut self) -> Result<(), Mismatch> {
        if self.sent.is_empty() || self.taken.is_empty() {
            return Ok(());
        }
        let (Some(sent), Some(taken)) = (self.sent.pop_front(), self.taken.pop_front()) else {
            return Ok(());
        };
        if sent.bytes != taken.bytes {
            return Err(Mismatch { sent: sent.seq, taken: taken.seq });
        }
        self.compared += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_lanes_in_the_file_does_not_matter_that_of_the_messages_does() {
        let mut link = LinkCheck::default();
        assert_eq!(link.taken(4, b"a"), Ok(()));
        assert_eq!(link.taken_unsent(), Some(4));
        assert_eq!(link.sent(1, b"a"), Ok(()));
        assert_eq!(link.sent(2, b"b"), Ok(()));
        assert_eq!(link.sent(3, b"c"), Ok(()));
        assert_eq!((link.compared(), link.in_flight(), link.taken_unsent()), (1, 2, None));
        assert_eq!(link.taken(9, b"c"), Err(Mismatch { sent: 2, taken: 9 }));
    }
}
