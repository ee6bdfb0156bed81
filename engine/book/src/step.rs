//! What a book's synchronisation answers: what to do with a message.

use crate::buffer::DiffHead;

/// What to do with a diff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DepthStep {
    /// Apply its levels now, then call [`crate::BookSync::replay`] if
    /// [`crate::BookSync::is_holding`].
    Apply,
    /// Kept until a snapshot fits.
    Buffered,
    /// Kept until the other line brings what is missing before it.
    Held,
    /// Before the stream's snapshot: of no use.
    Dropped,
    /// At or before the snapshot: the book contains it.
    StaleDropped,
    /// At or before the book: a repeat.
    Duplicate,
    /// The other line was first.
    Late,
    /// Updates are missing before it: the book is stale, the diff is kept where that helps.
    Gap,
    /// The buffer was full: it starts again from this diff.
    Overflow,
    /// Its connection is down or not listened to: ignored.
    LineDown,
}

/// What to do with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotStep {
    /// Load it, then call [`crate::BookSync::replay`] until it is done.
    Adopt,
    /// It does not reach the buffered diffs; another one is asked for.
    TooOld,
    /// The book contains it: a repeat, or a second line that starts.
    Known,
    /// Nobody waits for one.
    Unwanted,
}

/// What comes next after a snapshot was loaded or a hole was filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayStep {
    /// Apply these levels of [`crate::BookSync::buffered`].
    Apply(DiffHead, usize),
    /// The snapshot contains it.
    StaleDropped,
    /// A repeat.
    Duplicate,
    /// Updates are missing within the buffer: not live, what follows the hole is kept.
    Gap,
    /// The book is live.
    Done,
}
