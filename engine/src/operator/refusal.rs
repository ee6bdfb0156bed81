//! Why a request was refused: a kind with a counter, and a text that says what and how to mend it.

use std::fmt;

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Why {
    /// The peer is another user than the engine's.
    NotOwner,
    /// The request is longer than one may be.
    TooLong,
    /// What came is no request.
    NoRequest,
    /// The asker may read only.
    ReadOnly,
    /// More requests than the engine serves.
    TooMany,
    /// An act without number and time.
    Unstamped,
    /// An act whose time is not now.
    Stale,
    /// An act that was obeyed or refused before.
    Replayed,
    /// No reason, or one that cannot be kept.
    Reason,
    /// The words name nothing that is there.
    NoSuch,
    /// Trading is stopped.
    Stopped,
    /// Trading cannot be resumed.
    NotResumable,
    /// This run cannot do it.
    NotHere,
    /// The run is ending.
    Ending,
}

/// Counters of the refusals, by `Why as usize`, and of what was served.
pub const COUNTERS: &[&str] = &[
    "refused_not_owner",
    "refused_too_long",
    "refused_no_request",
    "refused_read_only",
    "refused_too_many",
    "refused_unstamped",
    "refused_stale",
    "refused_replayed",
    "refused_reason",
    "refused_no_such",
    "refused_stopped",
    "refused_not_resumable",
    "refused_not_here",
    "refused_ending",
    "reads",
    "acts",
    "clients_dropped",
];
/// Requests to read that were answered, acts that were done, and clients that were dropped because
/// they said nothing or took no answer.
pub const READS: usize = COUNTERS.len() - 3;
/// See [`READS`].
pub const ACTS: usize = COUNTERS.len() - 2;
/// See [`READS`].
pub const DROPPED: usize = COUNTERS.len() - 1;

impl Why {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 14] = [
        Self::NotOwner,
        Self::TooLong,
        Self::NoRequest,
        Self::ReadOnly,
        Self::TooMany,
        Self::Unstamped,
        Self::Stale,
        Self::Replayed,
        Self::Reason,
        Self::NoSuch,
        Self::Stopped,
        Self::NotResumable,
        Self::NotHere,
        Self::Ending,
    ];

    /// The name in answers, counters and the journal.
    #[must_use]
    pub fn name(self) -> &'static str {
        COUNTERS[self as usize].trim_start_matches("refused_")
    }
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its kind.
    pub why: Why,
    /// What was refused and how to mend it.
    pub text: String,
}

impl Refused {
    /// A refusal of this kind.
    #[must_use]
    pub fn new(why: Why, text: impl Into<String>) -> Self {
        Self { why, text: text.into() }
    }

    /// The words name nothing: `text` says what can be named.
    #[must_use]
    pub fn no_such(text: impl Into<String>) -> Self {
        Self::new(Why::NoSuch, text)
    }
}

/// What names nothing is told as a sentence by whoever reads names.
impl From<String> for Refused {
    fn from(text: String) -> Self {
        Self::no_such(text)
    }
}

impl From<&str> for Refused {
    fn from(text: &str) -> Self {
        Self::no_such(text)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_counter() {
        for (n, why) in Why::ALL.iter().enumerate() {
            assert_eq!(*why as usize, n);
            assert!(COUNTERS[n].starts_with("refused_") && why.name().len() <= 16, "{why:?}");
        }
        assert_eq!(Why::Replayed.name(), "replayed");
        assert_eq!((Why::ALL.len(), COUNTERS[ACTS]), (READS, "acts"));
    }
}
