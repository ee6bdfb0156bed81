//! The run report: the contract between a run and everyone who reads its result.
//!
//! Field names and nesting are those of the command-line contract; fields may be added, none may
//! be renamed or dropped. Counts are numbers. Money is exact decimal text, never a float: a
//! reader parses it as a decimal.

use std::collections::BTreeMap;
use std::fmt::Write;

use bot4_types::trail::Stage;
use serde::{Deserialize, Serialize};

use crate::hist::Summary;
use crate::slowest::Slowest;

/// A run's result. `--report FILE` writes it as JSON, the terminal shows
/// [`to_table`](Self::to_table).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Which program.
    pub bot4: Program,
    /// On which machine.
    pub host: Host,
    /// The lanes.
    pub lanes: Vec<LaneLine>,
    /// Wall time of the run in seconds.
    pub duration_s: f64,
    /// What came from the market.
    pub market: Market,
    /// Line A and line B, where instruments come by two connections; else empty.
    #[serde(default)]
    pub lines: Vec<MarketLine>,
    /// Each book at the end, as `bot4 book --json` prints it.
    #[serde(default)]
    pub books: Vec<serde_json::Value>,
    /// Own orders.
    pub orders: Orders,
    /// Fills.
    pub fills: Fills,
    /// The gate's work.
    pub risk: Risk,
    /// What differs from the venue at the end; all zero in a sound run.
    pub reconcile: Reconcile,
    /// Profit and loss.
    pub pnl: Pnl,
    /// The same profit, first-in-first-out.
    #[serde(default)]
    pub pnl_fifo: Gain,
    /// What the account was worth.
    #[serde(default)]
    pub equity: Equity,
    /// Guarded stops.
    #[serde(default)]
    pub stops: Stops,
    /// Parent orders, as `bot4 order list --json` prints them.
    #[serde(default)]
    pub parents: Vec<serde_json::Value>,
    /// Latency by stage and tag.
    pub latency_ns: BTreeMap<String, Summary>,
    /// What was given up under pressure, as `bot4 status --json` tells it.
    #[serde(default)]
    pub shedding: serde_json::Value,
    /// What `t0` is: `kernel` (receive stamp) or `user` (stamp right after the read).
    pub t0_source: String,
    /// Allocations of parse, book, signal, router and risk after warm-up; zero is promised.
    pub hot_allocations: u64,
    /// Allocations of wire and execution after warm-up: buffers of the TLS library.
    pub io_allocations: u64,
    /// The journal's work.
    pub journal: Journal,
    /// By venue, in a run of several; what the fields above count over all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub venues: Vec<VenueLine>,
}

/// Version and commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Version of the package.
    pub version: String,
    /// Commit it was built from, or `unknown`.
    pub git: String,
}

/// The machine a run ran on; see [`crate::host::collect`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// CPU model.
    pub cpu: String,
    /// Number of CPUs the process may use.
    pub cpus: u32,
    /// Kernel release.
    pub kernel: String,
    /// What lies under the arenas: `hugetlb`, `thp` or `none`.
    pub huge_pages: String,
    /// CPUs isolated from the scheduler.
    pub isolated: Vec<u32>,
    /// Hardware performance counters exist.
    pub hw_counters: bool,
    /// `invariant`, or `fallback` where the engine runs on `CLOCK_MONOTONIC`.
    pub tsc: String,
    /// The instruction set that numeric kernels run on: `avx512`, `avx2` or `scalar`.
    #[serde(default)]
    pub simd: String,
    /// The CPUs the process may use.
    #[serde(default)]
    pub allowed: Vec<u32>,
    /// The engine held `/dev/cpu_dma_latency` to the end, by itself or inherited: `held`, or
    /// `not held`, which leaves it to others.
    #[serde(default)]
    pub cpu_dma_latency: String,
    /// How `hw_counters` was found out.
    #[serde(default)]
    pub hw_counters_how: String,
}

/// One lane.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LaneLine {
    /// Thread name.
    pub name: String,
    /// Roles of its agents, in turn order.
    pub agents: Vec<String>,
    /// CPU it is pinned to; null when it is not pinned.
    pub cpu: Option<u32>,
    /// Turns that did something, in percent of all turns' time.
    pub busy_pct: f64,
    /// Turns that could not pass on what they had, in percent.
    pub backpressured_pct: f64,
    /// Looks at the lane's own words (stop, seal, heartbeat), in percent.
    #[serde(default)]
    pub housekeeping_pct: f64,
    /// Longest time between two turns after warm-up, ns: parks and what the scheduler took.
    #[serde(default)]
    pub gap_ns_max: u64,
    /// Longest turn after warm-up, ns.
    #[serde(default)]
    pub turn_ns_max: u64,
    /// Page faults after warm-up served without the disk; zero is promised of compute lanes.
    #[serde(default)]
    pub minor_faults_after_seal: u64,
    /// Page faults after warm-up that waited for the disk.
    #[serde(default)]
    pub major_faults_after_seal: u64,
    /// System calls after warm-up, where `--seccomp-compute` looked for them.
    #[serde(default)]
    pub forbidden_syscalls: u64,
    /// Times the lane's thread waited (parked, blocked) after warm-up.
    #[serde(default)]
    pub switches_voluntary_after_seal: u64,
    /// Times the scheduler took the CPU away after warm-up.
    #[serde(default)]
    pub switches_forced_after_seal: u64,
}

/// Market data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Market {
    /// Messages parsed.
    pub messages: u64,
    /// Levels applied to books.
    pub levels: u64,
    /// Trades.
    pub trades: u64,
    /// Sequence gaps.
    pub gaps: u64,
    /// Fresh starts of books.
    pub resyncs: u64,
    /// Time books were stale, summed over instruments, milliseconds.
    pub stale_ms: u64,
}

/// One of two lines that carry the same instruments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarketLine {
    /// `a` or `b`.
    pub line: String,
    /// Book updates it brought first.
    pub wins: u64,
    /// Book updates it brought second.
    pub lates: u64,
    /// Holes of the other line that it filled.
    pub gaps_filled: u64,
    /// How much later its second copies came, on average, microseconds.
    pub lag_us_mean: u64,
    /// The same, at most.
    pub lag_us_max: u64,
}

/// Own orders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// New orders handed to the socket (no cancels).
    pub sent: u64,
    /// Accepted by the venue.
    pub acked: u64,
    /// Refused by the venue.
    pub rejected: u64,
    /// Cancelled.
    pub canceled: u64,
    /// Completely filled.
    pub filled: u64,
    /// Of unknown fate at the end.
    pub unknown: u64,
    /// Open at the end.
    pub open_at_end: u64,
    /// Words of the venue that contradict what was known of an order; zero at a sane venue.
    #[serde(default)]
    pub contradictions: u64,
}

/// Fills.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fills {
    /// Booked.
    pub applied: u64,
    /// Seen again and not booked.
    pub duplicates_dropped: u64,
    /// Of the account's last run, which did not come to book them.
    pub late: u64,
}

/// The gate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Risk {
    /// Intents checked.
    pub checked: u64,
    /// Approved.
    pub approved: u64,
    /// Refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// The control mode at the end.
    #[serde(default)]
    pub mode: String,
    /// Commands of the control lane.
    #[serde(default)]
    pub commands: u64,
    /// Changes of limits that were taken.
    #[serde(default)]
    pub limits_changed: u64,
    /// Times that latches were raised, by kind; those that never were are left out.
    #[serde(default)]
    pub latched: BTreeMap<String, u64>,
    /// Circuit breakers at the end, and what opened them.
    #[serde(default)]
    pub breakers: serde_json::Value,
    /// What the book could lose within an hour at the end: volatility, value at risk and expected
    /// shortfall at 99 per cent, the latter also with all that is open, and heat; in the reporting
    /// asset.
    #[serde(default)]
    pub loss: serde_json::Value,
    /// The highest of each.
    #[serde(default)]
    pub loss_max: serde_json::Value,
    /// Orders that closed what was held at a stop.
    #[serde(default)]
    pub flatten_orders: u64,
}

/// Differences from the venue's own account at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconcile {
    /// Orders.
    pub orders_differ: u64,
    /// Positions.
    pub positions_differ: u64,
    /// Balances.
    pub balances_differ: u64,
}

/// One venue of a run of several: its order entry, and how its account compares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VenueLine {
    /// The venue's name.
    pub name: String,
    /// Orders accepted.
    pub acked: u64,
    /// Orders refused by the venue.
    pub rejected: u64,
    /// Orders cancelled.
    pub canceled: u64,
    /// Orders filled.
    pub filled: u64,
    /// Orders that never left.
    pub not_sent: u64,
    /// Fills booked.
    pub fills: u64,
    /// Orders open at the end.
    pub open_at_end: u64,
    /// Orders of unknown fate at the end.
    pub unknown: u64,
    /// Connections of order entry that came up.
    pub connects: u64,
    /// Connections of order entry that were lost or refused.
    pub losses: u64,
    /// Differences from the venue's own account; null where it could not be asked.
    pub reconcile: Option<Reconcile>,
}

/// Profit and loss as exact decimal text in the quote asset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pnl {
    /// Of closed positions, fees not deducted.
    pub realized: String,
    /// Of open positions at the last mark.
    pub unrealized: String,
    /// Fees paid.
    pub fees: String,
    /// Funding received; what was paid counts negative.
    #[serde(default)]
    pub funding: String,
}

/// Profit as exact decimal text in the quote asset, fees not deducted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gain {
    /// Of closed positions.
    pub realized: String,
    /// Of open positions at the last mark.
    pub unrealized: String,
}

/// The equity curve of the run as exact decimal text in the quote asset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Equity {
    /// First value.
    pub open: String,
    /// Last value.
    pub close: String,
    /// Highest value, in earlier runs of the account too where they are known.
    pub peak: String,
    /// Deepest fall from the peak, per cent of it.
    pub drawdown_pct: f64,
    /// Held assets that no path of instruments values: they count nothing.
    pub unvalued: Vec<String>,
}

/// Guarded stops.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stops {
    /// Crossed by the market: the position was closed.
    pub triggered: u64,
    /// Positions too small to be closed.
    pub dust: u64,
    /// Stops and targets that the venue triggered.
    pub native: u64,
    /// Targets that were taken from here.
    pub targets: u64,
    /// Exits that a venue refused for want of balance, asked for again with less.
    pub exits_cut: u64,
}

/// The journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Records written.
    pub records: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Records lost; zero is promised.
    pub lost: u64,
}

impl RunReport {
    /// As pretty JSON with a final newline.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Invariant: only text keys and plain values, which always serialise.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// As plain aligned text for a terminal.
    #[must_use]
    pub fn to_table(&self) -> String {
        let mut out = String::new();
        self.write_head(&mut out);
        self.write_trading(&mut out);
        out.push_str(&latency_table(&self.latency_ns));
        if let Some(slowest) = Slowest::of(&self.latency_ns) {
            let _ = writeln!(out, "\n{slowest}");
        }
        let _ = writeln!(
            out,
            "\nt0 by {} · hot allocations {} · io allocations {} · journal {} records, {} bytes, {} lost",
            self.t0_source,
            self.hot_allocations,
            self.io_allocations,
            self.journal.records,
            self.journal.bytes,
            self.journal.lost,
        );
        out
    }

    fn write_head(&self, out: &mut String) {
        let h = &self.host;
        let isolated = if h.isolated.is_empty() { "none".into() } else { list(&h.isolated) };
        let _ = writeln!(out, "bot4 {} ({})", self.bot4.version, self.bot4.git);
        let _ = writeln!(
            out,
            "host      {} · {} CPUs · Linux {} · huge pages {} · isolated {isolated} · tsc {} · SIMD {} · hardware counters {}",
            h.cpu,
            h.cpus,
            h.kernel,
            h.huge_pages,
            h.tsc,
            h.simd,
            if h.hw_counters { "yes" } else { "no" },
        );
        let rows = self.lanes.iter().map(|l| {
            let cpu = l.cpu.map_or_else(|| "-".into(), |c| c.to_string());
            let (busy, back) = (percent(l.busy_pct), percent(l.backpressured_pct));
            let faults = (l.minor_faults_after_seal + l.major_faults_after_seal).to_string();
            let (gap, turn) =
                ((l.gap_ns_max / 1_000).to_string(), (l.turn_ns_max / 1_000).to_string());
            vec![l.name.clone(), cpu, busy, back, gap, turn, faults, l.agents.join(" ")]
        });
        let head =
            ["lane", "cpu", "busy %", "held %", "max gap us", "max turn us", "faults", "agents"];
        out.push_str(&aligned(&head, rows, &[1, 2, 3, 4, 5, 6]));
    }

    fn write_trading(&self, out: &mut String) {
        let (m, o, f) = (&self.market, &self.orders, &self.fills);
        let (r, c, p) = (&self.risk, &self.reconcile, &self.pnl);
        let per_s = if self.duration_s > 0.0 { m.messages as f64 / self.duration_s } else { 0.0 };
        let refused: Vec<_> = r.refused.iter().map(|(why, n)| format!("{why} {n}")).collect();
        let refused_sum: u64 = r.refused.values().sum();
        let told = |n| format!(" · {n} contradictions");
        let contradictions = (o.contradictions > 0).then(|| told(o.contradictions));
        let _ = write!(
            out,
            "\nran       {:.1} s\n\
             market    {} messages ({per_s:.0}/s) · {} levels · {} trades · {} gaps · {} resyncs · stale {} ms\n\
             risk      {} checked · {} approved · {refused_sum} refused{}{}\n\
             orders    {} sent · {} acked · {} rejected · {} canceled · {} filled · {} unknown · {} open at end{}\n\
             fills     {} applied · {} duplicates dropped\n\
             reconcile {} orders · {} positions · {} balances differ\n\
             pnl       realized {} · unrealized {} · fees {}\n\
             equity    {} to {} · peak {} · drawdown {:.2} % · {} stops triggered\n\n",
            self.duration_s,
            m.messages,
            m.levels,
            m.trades,
            m.gaps,
            m.resyncs,
            m.stale_ms,
            r.checked,
            r.approved,
            if refused.is_empty() { "" } else { ": " },
            refused.join(", "),
            o.sent,
            o.acked,
            o.rejected,
            o.canceled,
            o.filled,
            o.unknown,
            o.open_at_end,
            contradictions.unwrap_or_default(),
            f.applied,
            f.duplicates_dropped,
            c.orders_differ,
            c.positions_differ,
            c.balances_differ,
            p.realized,
            p.unrealized,
            p.fees,
            self.equity.open,
            self.equity.close,
            self.equity.peak,
            self.equity.drawdown_pct,
            self.stops.triggered,
        );
    }
}

fn percent(value: f64) -> String {
    format!("{value:.1}")
}

fn list(cpus: &[u32]) -> String {
    cpus.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// Place of `tag` in tables: the stages in the order of a tick's way, their sum, then the rest
/// by name.
fn place(tag: &str) -> usize {
    let stages = Stage::ALL.iter().map(|s| s.name());
    stages.chain(["tick_to_trade", "ack"]).position(|name| name == tag).unwrap_or(usize::MAX)
}

/// Summaries as an aligned table, in nanoseconds, stages in the order of a tick's way.
#[must_use]
pub fn latency_table(summaries: &BTreeMap<String, Summary>) -> String {
    let mut tags: Vec<_> = summaries.iter().collect();
    tags.sort_by_key(|(tag, _)| (place(tag), tag.as_str()));
    let rows = tags.into_iter().map(|(tag, s)| {
        let numbers = s.fields().map(|(_, value)| value.to_string());
        std::iter::once(tag.clone()).chain(numbers).collect()
    });
    let head = ["latency ns", "count", "p50", "p90", "p99", "p999", "max"];
    aligned(&head, rows, &[1, 2, 3, 4, 5, 6])
}

/// `rows` under `head`, columns padded to their widest cell; the columns of `right` hold
/// numbers and are aligned to the right.
pub(crate) fn aligned(
    head: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
    right: &[usize],
) -> String {
    let mut lines = vec![head.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>()];
    lines.extend(rows);
    let width = |column: usize| {
        lines.iter().filter_map(|l| l.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let mut out = String::new();
    for line in &lines {
        let mut text = String::new();
        for (i, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let gap = if i == 0 { "" } else { "  " };
            let _ = if right.contains(&i) {
                write!(text, "{gap}{cell:>width$}")
            } else {
                write!(text, "{gap}{cell:<width$}")
            };
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
