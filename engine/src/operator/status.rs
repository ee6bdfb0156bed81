//! The status of a running engine as JSON: what a person asks first when called at night.

use bot4_lanes::{Control, Metrics, Phase};
use serde_json::{Value, json};

use super::latch::LatchRecord;

/// What does not change while a run lasts.
#[derive(Clone, Debug)]
pub struct About {
    /// The run's name.
    pub run: String,
    /// Venue and account, the key only as a hash.
    pub account: String,
    /// The venue's name.
    pub venue: &'static str,
    /// Instruments.
    pub instruments: u64,
}

/// The status now.
#[must_use]
pub fn of(about: &About, control: &Control, m: &Metrics, latch: Option<&LatchRecord>) -> Value {
    let phase = control.phase();
    let resumable = phase == Phase::Kill && !control.has_failed();
    json!({
        "run": about.run,
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
        "account": about.account,
        "venue": about.venue,
        "phase": name_of(phase),
        "resumable": resumable,
        "latch": latch,
        "session_ready": m.total_of("execution", "session_ready") > 0,
        "instruments": about.instruments,
        "books_live": m.total_of("book.", "live_books"),
        "market": {"messages": m.total_of("parse.", "messages"), "gaps": m.total_of("book.", "gaps"),
                   "resyncs": m.total_of("book.", "resyncs")},
        "orders": {"sent": m.total_of("execution", "orders_sent"),
                   "open": m.total_of("execution", "orders_open"),
                   "unknown": m.total_of("execution", "orders_unknown")},
        "fills": m.total_of("risk", "fills_applied"),
        "refused": m.total_of("risk", "intents_refused"),
        "drift": m.total_of("risk", "drift"),
    })
}

/// The name of a phase.
#[must_use]
pub const fn name_of(phase: Phase) -> &'static str {
    match phase {
        Phase::Run => "run",
        Phase::Pause => "pause",
        Phase::Drain => "drain",
        Phase::Kill => "kill",
    }
}
