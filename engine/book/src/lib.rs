//! Order books: from market messages in sequence to tops that may be trusted.
//!
//! ```text
//!  parse.0 --market--> .------------------------- BookAgent -------------------------.
//!  parse.1 --market--> |  the instruments of this lane                                |
//!     ^                |  .-------- Sync ---------.      .-------- Ladder ---------.  |
//!     '----blocks----- |  | waiting -> syncing    | set  | window: flat steps with |  |
//!                      |  |    -> live -> stale   |----->|   a two-level bitmap    |  |
//!  wire <---resync---- |  | lines A, B; buffer    |      | far store: sorted chunks|  |
//!                      |  '-----------------------'      '------------|------------'  |
//!                      |  TickerOracle: quotes against our tops       v               |
//!                      |  Publisher: newest top and mark, trades queued               |
//!                      '-------|-------------------------------------|----------------'
//!                              v tops -> signal                      v marks -> risk
//! ```
//!
//! * **A book shown is in sequence and uncrossed, or says that it is not.** [`BookSync`] holds the
//!   venue's rules ([`bot4_types::BookRules`]) as a pure state machine: diffs wait until a snapshot
//!   fits; a hole, a crossing, a wrong checksum, a damaged message or a lost line makes the book
//!   stale, and requests for fresh snapshots are paced. A stale state leaves before anything else
//!   of its instrument.
//! * **Two lines are one stream.** Where updates are numbered the first copy wins, a hole of one
//!   line is filled by the other, and a book whose line drops stays live by the other one.
//! * **Prices are wire-scale integers.** A [`Ladder`] keeps every level, off-tick ones too: a
//!   flat window of price steps around the touch, and a sorted far store for the rest, both
//!   preallocated. [`NaiveBook`] is the twin it is tested against.
//! * **Quantities are absolute**, zero removes, removing what is not there does nothing.
//! * **A second opinion:** [`TickerOracle`] holds every top against the venue's best-quote
//!   stream. It informs, it does not stop trading: the venue leaves quotes out under load.
//! * **Nothing waits on a slow reader.** Tops and marks are conflated by the writer, trades are
//!   dropped and counted, and level blocks go back to the parser with the turn that read them,
//!   also while a book waits for its snapshot.
//!
//! The same [`BookAgent`] serves live trading, replay and `bot4 book`, which reads
//! [`BookSummary`] values from it.

mod agent;
mod buffer;
mod checksum;
mod config;
mod far;
mod instrument;
mod ladder;
mod lines;
mod naive;
mod oracle;
mod publish;
mod report;
mod rule;
mod set;
mod shown;
mod step;
mod sync;
mod tally;
mod trades;
mod view;
mod window;

pub use agent::{BookAgent, BookPorts};
pub use buffer::DiffHead;
pub use checksum::checksum;
pub use config::BookConfig;
pub use far::Full;
pub use ladder::{FAR_LEVELS, Ladder, Levels, WINDOW_STEPS, granularity};
pub use naive::NaiveBook;
pub use oracle::{Quote, TickerOracle, Verdicts};
pub use report::{BookSummary, state_name, top20_crc32};
pub use step::{DepthStep, ReplayStep, SnapshotStep};
pub use sync::{BookSync, SyncConfig};
pub use tally::{COUNTERS, COUNTS, Count, Tally};
