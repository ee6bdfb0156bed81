//! What a reader of the counters file sees at one time: plain owned values.
//!
//! Counts only grow while a run lasts; who wants rates takes two snapshots and divides by the
//! difference of [`Snapshot::now_ns`]. Amounts are for eyes and graphs, hence floats, in the
//! reporting asset ([`Run::asset`]); prices and quantities are exact decimal text with the venue's
//! digits. What is not known is `None`, never a zero that looks like a value.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::layout::LinkPlate;
use crate::hist::{Coarse, Summary};

/// Everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The run.
    pub run: Run,
    /// The engine's monotonic clock at the last beat, ns: for rates between two snapshots.
    pub now_ns: u64,
    /// Age of the last beat, ms. The engine beats ten times a second.
    pub beat_age_ms: u64,
    /// No beat for [`STALE_AFTER_MS`]: the engine hangs, is stopped, or the machine is starved.
    pub stale: bool,
    /// Whether it trades.
    pub kill: KillSwitch,
    /// The lanes in order; the first is the main thread.
    pub lanes: Vec<Lane>,
    /// The links in the order of the engine's table.
    pub links: Vec<Link>,
    /// Order entry by venue.
    pub venues: Vec<Venue>,
    /// Market connections.
    pub lines: Vec<Line>,
    /// Books in the order of the instruments.
    pub books: Vec<Book>,
    /// Market data over all lines.
    pub market: Market,
    /// Own orders over all venues.
    pub orders: Orders,
    /// Equity, profit, exposure, breakers.
    pub risk: Risk,
    /// Memory.
    pub memory: Memory,
    /// Latency by stage or message tag.
    pub latency: BTreeMap<String, Latency>,
    /// Every counter as it lies in the file: by role, then by name.
    pub counters: BTreeMap<String, BTreeMap<String, u64>>,
}

/// A run without a beat for so long is shown as stale, ms.
pub const STALE_AFTER_MS: u64 = 2_000;

/// The run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its name, as `bot4 status` tells it.
    pub id: String,
    /// Venue and account, the key only as a hash.
    pub account: String,
    /// The venues, joined by `+`.
    pub venue: String,
    /// The program's version.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// When the counters began, Unix ms.
    pub started_ms: i64,
    /// Since then, ms.
    pub uptime_ms: u64,
    /// The asset that amounts are told in.
    pub asset: String,
    /// Warm-up is over.
    pub sealed: bool,
}

/// The kill switch and what stands behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillSwitch {
    /// `run`, `pause`, `drain` or `kill`.
    pub phase: String,
    /// Trading is stopped until a person ends it.
    pub stopped: bool,
    /// `bot4 resume` can end the stop in this process.
    pub resumable: bool,
    /// The stop also closes what is held.
    pub flatten: bool,
    /// The control mode: `emergency`, `manual`, `semi_auto` or `full_auto`.
    pub mode: String,
    /// Times that latches of risk were raised, by kind.
    pub latched: BTreeMap<String, u64>,
}

/// A lane. Times are since its start; all of them together are its lifetime.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// Thread name.
    pub name: String,
    /// The CPU it is pinned to; none where it is not pinned.
    pub cpu: Option<u32>,
    /// Roles of its agents in turn order.
    pub agents: Vec<String>,
    /// How it waits.
    pub idle: String,
    /// Turns.
    pub turns: u64,
    /// Time of turns that did something, ns.
    pub busy_ns: u64,
    /// Time of turns without work and of waiting after them, ns.
    pub idle_ns: u64,
    /// Time of turns that could not pass on what they had, ns.
    pub backpressured_ns: u64,
    /// Time of looks at the lane's own words, ns.
    pub housekeeping_ns: u64,
    /// Longest time between two turns since warm-up, ns.
    pub gap_ns_max: u64,
    /// Longest turn since warm-up, ns.
    pub turn_ns_max: u64,
    /// Faults of its agents.
    pub faults: u64,
    /// The affinity mask read back was another CPU.
    pub wrong_cpu: bool,
}

/// A link between two agents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What does not change while the run lasts; its fields stand beside the others in JSON.
    #[serde(flatten)]
    pub plate: LinkPlate,
    /// The most messages that ever waited in it.
    pub high_water: u64,
}

/// Order entry at a venue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Venue {
    /// Its name.
    pub name: String,
    /// The session takes orders.
    pub ready: bool,
    /// New orders handed to the socket.
    pub sent: u64,
    /// Orders that are not ended.
    pub open: u64,
    /// Orders of unknown fate.
    pub unknown: u64,
    /// Sessions that were opened again.
    pub reconnects: u64,
    /// Cancels that waited for the venue's rate limit.
    pub cancels_put_off: u64,
    /// The venue's dead-man switch could not be fed in time.
    pub dead_man_unfed: u64,
}

/// A market connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its agent's role, `wire.0`.
    pub name: String,
    /// The venue.
    pub venue: String,
    /// It carries instruments of this run.
    pub used: bool,
    /// The stream is open.
    pub up: bool,
    /// Messages received.
    pub messages: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Streams opened after the first was lost.
    pub reconnects: u64,
    /// Connections replaced without a gap.
    pub handovers: u64,
    /// Last round trip of a ping, ns; none before the first.
    pub rtt_ns: Option<u64>,
    /// Age of the oldest message that the parser has not taken, µs.
    pub backlog_us: u64,
    /// Time without a stream since the first, ms.
    pub down_ms: u64,
    /// Messages that the parser could not read.
    pub decode_errors: u64,
}

/// A book.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    /// The instrument: its symbol, or `venue:symbol` in a run of several venues.
    pub symbol: String,
    /// The agent that keeps it.
    pub role: String,
    /// `waiting`, `syncing`, `live` or `stale`.
    pub state: String,
    /// Why it is stale; `none` where it is not.
    pub reason: String,
    /// The venue's number of its newest update.
    pub update_id: u64,
    /// Age of what is shown here, ms; none before the first.
    pub age_ms: Option<u64>,
    /// Best bids, best first, ten at most.
    pub bids: Vec<Level>,
    /// Best asks, best first.
    pub asks: Vec<Level>,
}

/// A price level as exact decimal text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Price.
    pub price: String,
    /// Quantity.
    pub qty: String,
}

/// Market data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Market {
    /// Messages parsed.
    pub messages: u64,
    /// Levels received.
    pub levels: u64,
    /// Trades.
    pub trades: u64,
    /// Holes found in numberings.
    pub gaps: u64,
    /// Fresh starts of books.
    pub resyncs: u64,
    /// Books that are live now.
    pub books_live: u64,
}

/// Own orders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// Orders by state, every state named: of those that have not ended how many there are now
    /// (`approved`, `sent`, `live`, ...), of the rest how many ended so (`filled`, `canceled`,
    /// ...).
    pub by_state: BTreeMap<String, u64>,
    /// New orders handed to the socket.
    pub sent: u64,
    /// Orders that are not ended.
    pub open: u64,
    /// Orders of unknown fate.
    pub unknown: u64,
    /// Intents that risk judged.
    pub checked: u64,
    /// New orders that risk approved.
    pub approved: u64,
    /// Intents that risk refused.
    pub refused: u64,
    /// Refusals by reason; reasons that refused nothing are left out.
    pub refused_by: BTreeMap<String, u64>,
    /// Fills booked.
    pub fills: u64,
    /// Parent orders alive.
    pub parents: u64,
}

/// How risk is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Risk {
    /// Equity.
    pub equity: Equity,
    /// Profit and loss.
    pub pnl: Pnl,
    /// Worst-case gross exposure of the account against its limit.
    pub gross: Against,
    /// Worst-case net exposure of the account, the larger direction, against its limit.
    pub net: Against,
    /// The day's loss against its limit.
    pub daily_loss: Against,
    /// Fall from the peak in per cent against its limit.
    pub drawdown_pct: Against,
    /// Open orders of the account against their limit.
    pub open_orders: Against,
    /// By instrument, in their order.
    pub positions: Vec<Position>,
    /// Circuit breakers.
    pub breakers: Breakers,
    /// What the book can lose within an hour: `volatility`, `value_at_risk`, `shortfall`,
    /// `shortfall_worst`, `heat`.
    pub loss: BTreeMap<String, Option<f64>>,
    /// What a person must explain.
    pub drift: u64,
}

/// A value and its limit; no limit is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Against {
    /// The value; `None` where it is not known (yet).
    pub value: Option<f64>,
    /// The limit.
    pub limit: Option<f64>,
}

/// Equity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Equity {
    /// Now.
    pub now: Option<f64>,
    /// The highest.
    pub peak: Option<f64>,
    /// At the beginning of the day (UTC).
    pub day_open: Option<f64>,
}

/// Profit and loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pnl {
    /// Of closed positions, fees not deducted.
    pub realized: Option<f64>,
    /// Of open positions at the last marks.
    pub unrealized: Option<f64>,
    /// Fees paid.
    pub fees: Option<f64>,
    /// Funding received; what was paid counts negative.
    pub funding: Option<f64>,
}

/// A position against its limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// The instrument, as [`Book::symbol`].
    pub symbol: String,
    /// Net quantity by fills, base asset, exact.
    pub qty: String,
    /// Worst case if everything of one side fills, against the limit, in the reporting asset.
    pub worst: Against,
}

/// Circuit breakers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breakers {
    /// All together: `closed`, `half_open` or `open`.
    pub global: String,
    /// How many there are.
    pub all: u64,
    /// Open ones.
    pub open: u64,
    /// Recovering ones.
    pub half_open: u64,
    /// Names of those that are not closed: `strategy:1`, a symbol, `venue`.
    pub unwell: Vec<String>,
    /// What opened those of strategies so far.
    pub causes: BTreeMap<String, u64>,
}

/// Memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Of the control group: `normal`, `warn`, `stop_new_orders` or `cancel_and_stop`.
    pub level: String,
    /// Used by the control group, bytes; none without a limit.
    pub used_bytes: Option<u64>,
    /// Its limit, bytes.
    pub limit_bytes: Option<u64>,
    /// What lies under the lanes' arenas, the lowest of all: `hugetlb`, `thp` or `none`.
    pub pages: String,
    /// How much is given up under pressure: `none` or the rung's name.
    pub shed: String,
    /// Allocations of parse, book, signal, router and risk since warm-up; zero is promised.
    pub hot_allocations: u64,
    /// Allocations of wire and execution since warm-up.
    pub io_allocations: u64,
}

/// A latency distribution.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Count, quantiles and maximum, ns.
    pub summary: Summary,
    /// The percentile curve: percentile (0 to 100) and ns, ascending.
    pub curve: Vec<(f64, u64)>,
    /// The same in few buckets, each of which only grows: what Prometheus is given.
    #[serde(default)]
    pub coarse: Coarse,
}
