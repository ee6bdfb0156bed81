//! Telemetry: what a run tells about itself, on the cold side.
//!
//! ```text
//! every lane --add, record--> shared words (bot4-lanes::metrics)
//!                                  |
//!                                  | read once a second, never written
//!                                  v
//!                          .----------------. deltas  .--------------.   bot4 latency
//!                          | TelemetryAgent |-------->| latency.hlog |--> show | diff | plot
//!          DumpLine ------>'----------------'         '--------------'   (crate::show, plot)
//!                                  |
//!   host::collect ----.            | totals at the end
//!   agents' finals ---+--> report::RunReport --> JSON (--report FILE) and a table
//! ```
//!
//! * [`agent`] writes interval histograms: one line a tag and second, HdrHistogram log format,
//!   V2 with compressed payloads, bounds 1 ns to 60 s, three digits.
//! * [`hist`] turns the lanes' log-linear counts into HdrHistograms and summaries.
//! * [`report`] is the run report, field by field the contract of the command line.
//! * [`mod@show`] reads histogram logs back: `bot4 latency show` and `diff`; [`slowest`] names the
//!   stage that takes the most time, [`bars`] and [`mod@plot`] draw.
//! * [`shared`] is the counters file as other processes read it: `bot4 top`, `bot4 watch`.
//! * [`host`] says what machine the figures come from; a figure without its host is no figure.
//!
//! **Coordinated omission.** A run answers what comes; it paces nobody. So there is no expected
//! interval to correct by: a late answer does not keep the venue from sending, and every message
//! behind a stall has its own `t0` and counts its own wait. What would still be left out is the
//! wait before `t0`. A kernel's receive stamp includes it; where there is none, `t0` is the read,
//! and the longest that a lane did not read is in the report beside it (`gap_ns_max`). A read that
//! brings several messages has one stamp, that of its last byte: the wait of those before it is
//! longer than what is shown, by the lane's gap at most.
//!
//! Invariant: nothing here is on the way of a tick. Readers load relaxed words that have one
//! writer each; a summary taken while lanes run is consistent per word, and exact once they
//! stopped. Precision: a value stands for its bucket's middle, at most 1/256 off; the maximum is
//! exact. The telemetry lane may allocate, and must never stop the engine: a full disk costs
//! dumps, counted in `telemetry_write_errors`, and nothing else.

pub mod agent;
pub mod bars;
pub mod hist;
pub mod host;
mod log;
mod logfile;
pub mod plot;
pub mod report;
pub mod shared;
pub mod show;
pub mod slowest;

pub use agent::{DumpLine, Dumped, TelemetryAgent, TelemetryConfig};
pub use hist::{Summary, latency_summaries};
pub use plot::plot;
pub use report::RunReport;
pub use show::{ShowError, diff, show};
pub use slowest::Slowest;
