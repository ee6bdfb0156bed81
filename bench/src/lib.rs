//! What the hot stages cost, each beside a named baseline measured in the same run.
//!
//! ```text
//!   parse ---.                                  .--> benches/*.rs    criterion: mean of a loop
//!   book  ---+--> roster: groups of cases ------|
//!   gate  ---|    (first case is the baseline)  '--> bin/latency     percentiles of single calls
//!   ring  ---|                                       and ratios over interleaved rounds
//!   seen  ---|
//!   kernels -'
//! ```
//!
//! A [`Case`] is one operation that can be called again and again. Everything that the operation
//! needs and does not cost (fresh order numbers, a book put back to the start of its trace, an
//! echoing thread) happens outside the stamps, in `enter`, `ready`, `settle` and `leave`.
//! The same values are measured by both tools:
//!
//! * **criterion** (`cargo bench -p bot4-bench`) tells the mean of a loop of calls with its
//!   confidence. Each of its samples is a mean over thousands of calls: it says nothing about
//!   percentiles.
//! * **`latency`** stamps single calls. Where a call takes 20 ns or less the two stamps would be
//!   most of what is seen, so batches of 64 are stamped and the table says so: a percentile is
//!   then one of batch means. The cost of an empty pair of stamps is printed as the floor; it is
//!   contained in every percentile and not subtracted. The stamps (`rdtsc`) do not serialise: the
//!   processor may overlap the edges of a call with them by some nanoseconds; and where the
//!   counter advances in steps (10 ns on some AMD hosts) single calls do too. `loop ns` is the
//!   mean of back-to-back calls without stamps between them, in 64 short loops: the lower
//!   tenth of a round's loops, then the median round. It leaves out what the scheduler takes;
//!   percentiles and the largest value keep it in.
//!
//! **Read ratios, not nanoseconds.** A shared machine moves by a factor of two between runs, two
//! threads by four with the place the host gives them. `latency` therefore runs all cases of a
//! group in turn, round after round; a ratio is the median over the rounds of (baseline's loop /
//! case's loop), printed with the lowest and the highest round. Above one is faster than the
//! baseline.
//!
//! Baselines: serde_json with borrowed typed structs (parse), two `BTreeMap`s (book), two stamps of
//! the lanes' clock, and a gate of a mutex, hash maps and floats (gate), crossbeam-channel
//! `bounded` (rings), hdrhistogram (histogram), a locked count (counters), `recv` (receive stamp),
//! the copy of a ready record (log entry), a
//! `BufWriter` over a file (journal), plain loops (kernels). The readers and the books of a group
//! are held to the same results by tests before their speed is of interest.
//!
//! How the inputs look: [`texts`] prints market messages in the venue's shape (and takes a real
//! mix from `shared/recordings` beside the project when it is there), [`trace`] draws a book's
//! life with the locality of a large coin, [`gate`] builds a small account.
//!
//! Records of earlier runs: `bench/record/<machine>/<date>.csv`, written by `latency --record`.
//! Use the `dist` profile for figures that are kept.

pub mod batch;
pub mod book;
pub mod book_risk;
pub mod breaker;
pub mod case;
pub mod dialect;
pub mod flow;
pub mod gate;
pub mod hops;
pub mod journal;
pub mod kernels;
pub mod machine;
pub mod order_path;
pub mod parents;
pub mod parse;
pub mod plain_gate;
pub mod received;
pub mod recording;
pub mod report;
pub mod ring;
pub mod roster;
pub mod runner;
pub mod shapes;
pub mod shown;
pub mod texts;
pub mod trace;
pub mod trip;
pub mod turn;
pub mod typed;

pub use case::Case;
pub use roster::{Group, Named};
