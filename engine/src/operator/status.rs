//! The status of a running engine as JSON: what a person asks first when called at night.

use bot4_lanes::{Control, Metrics, Phase};
use bot4_risk::latch::LatchKind;
use bot4_types::{ControlMode, RefuseReason};
use serde_json::{Value, json};

use super::latch::LatchRecord;
use super::{account, health};
use crate::run::shedding;
use crate::topology::EXECUTION;

/// What does not change while a run lasts.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The run's name.
    pub run: String,
    /// Venue and account, the key only as a hash.
    pub account: String,
    /// The venue's name; those of several joined by `+`.
    pub venue: String,
    /// Symbols of the instruments, or `venue:symbol`, in the order of their index.
    pub symbols: Vec<String>,
    /// Names of the assets, in the order of their index.
    pub assets: Vec<String>,
    /// Number of strategies.
    pub strategies: usize,
}

/// The status now.
#[must_use]
pub fn of(about: &About, control: &Control, m: &Metrics, latch: Option<&LatchRecord>) -> Value {
    let phase = control.phase();
    let resumable = phase.is_stopped() && !control.has_failed();
    json!({
        "run": about.run,
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
        "account": about.account,
        "venue": about.venue,
        "phase": name_of(phase),
        "resumable": resumable,
        "mode": mode_of(m),
        "latch": latch,
        "flatten": flatten_of(phase, m),
        "session_ready": m.total_of("execution", "session_ready") >= about.venues().count() as u64,
        "venues": venues_of(about, m),
        "instruments": about.symbols.len(),
        "books_live": m.total_of("book.", "lives").saturating_sub(m.total_of("book.", "life_ends")),
        "market": {"messages": m.total_of("parse.", "messages"), "gaps": m.total_of("book.", "gaps"),
                   "resyncs": m.total_of("book.", "resyncs")},
        "drained": phase.is_ending() && drained(about, m),
        "orders": {"sent": m.total_of("execution", "orders_sent"),
                   "open": m.total_of("execution", "orders_open"),
                   "unknown": m.total_of("execution", "orders_unknown")},
        "fills": m.total_of("risk", "fills_applied"),
        "refused": m.total_of("risk", "intents_refused"),
        "refused_by": refused_by(m),
        "latched": latched(m),
        "stops": {"triggered": m.total_of("signal", "stops_triggered"),
                  "dust": m.total_of("signal", "stops_dust"),
                  "native": m.total_of("signal", "stops_native"),
                  "targets": m.total_of("signal", "targets_taken"),
                  "exits_cut": m.total_of("signal", "exits_cut")},
        "shedding": shedding::status(m),
        "breakers": health::breakers(about, m),
        "equity": health::equity(m),
        "loss": health::measures(m, ""),
        "journal": {"rotations": m.total_of("journal", "journal_rotations"),
                    "segments": m.total_of("journal", "journal_segments"),
                    "records": m.total_of("journal", "journal_records")},
        "limits_changed": m.total_of("risk", "limits_changed"),
        "drift": m.total_of("risk", "drift"),
        "truth": account::status(about, m),
    })
}

impl About {
    /// Names of the venues in order.
    pub fn venues(&self) -> impl Iterator<Item = &str> {
        self.venue.split('+')
    }
}

/// No order entry holds an open order, has one waiting or under way, or a fill to prove: said by
/// each of them behind the stop.
fn drained(about: &About, m: &Metrics) -> bool {
    m.total_of("execution", "drained") >= about.venues().count() as u64
}

/// How the order entry of each venue is doing.
fn venues_of(about: &About, m: &Metrics) -> Vec<Value> {
    let of = |(name, role): (&str, &str)| {
        let count = |what| m.of_role(role, what);
        json!({"name": name, "session_ready": count("session_ready") > 0,
               "sent": count("orders_sent"), "open": count("orders_open"),
               "cancels_put_off": count("cancels_put_off"),
               "dead_man_unfed": count("dead_man_unfed"),
               "unknown": count("orders_unknown"), "reconnects": count("reconnects")})
    };
    about.venues().zip(EXECUTION).map(of).collect()
}

/// The control mode that holds.
fn mode_of(m: &Metrics) -> Option<&'static str> {
    let raw = u8::try_from(m.total_of("risk", "control_mode")).ok()?;
    ControlMode::from_raw(raw).map(ControlMode::name)
}

/// Refusals by reason; reasons that refused nothing are left out.
fn refused_by(m: &Metrics) -> Value {
    let count = |r: &RefuseReason| (r.name().to_owned(), json!(m.total_of("risk", r.name())));
    Value::Object(RefuseReason::ALL.iter().map(count).filter(|(_, n)| *n != 0).collect())
}

/// Times that latches of risk were raised; those that never were are left out.
fn latched(m: &Metrics) -> Value {
    let count = |kind: &LatchKind| {
        let n = m.total_of("risk", &format!("latched_{}", kind.name()));
        (kind.name().to_owned(), json!(n))
    };
    Value::Object(LatchKind::ALL.iter().map(count).filter(|(_, n)| *n != 0).collect())
}

/// The name of a phase.
#[must_use]
pub const fn name_of(phase: Phase) -> &'static str {
    match phase {
        Phase::Run => "run",
        Phase::Pause => "pause",
        Phase::Drain => "drain",
        Phase::Kill | Phase::Flatten => "kill",
    }
}

/// How far a stop that closes what is held has come. `left` is null before the router has begun.
fn flatten_of(phase: Phase, m: &Metrics) -> Value {
    let asked = phase == Phase::Flatten;
    let begun = asked && m.total_of("signal", "flattening") > 0;
    let count = |name| begun.then(|| m.total_of("signal", name));
    json!({"asked": asked, "left": count("flatten_left"), "dust": count("flatten_dust")})
}
