//! From the words of the file to a [`Snapshot`].

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bot4_types::shown::{self, BookShown};
use bot4_types::text::units_to_string;
use bot4_types::{ControlMode, OrderState, RefuseReason};

use super::layout::{ACCOUNT, At, DEPTHS, InstrumentPlate, LinePlate, Row, link_role};
use super::reader::Reader;
use super::snapshot::{
    Against, Book, Breakers, Equity, KillSwitch, Lane, Latency, Level, Line, Link, Market, Memory,
    Orders, Pnl, Position, Risk, Run, STALE_AFTER_MS, Snapshot, Venue,
};
use crate::hist::{Counts, Summary, by_tag};

/// Percentiles of a latency curve.
const CURVE: [f64; 14] =
    [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99, 99.999, 100.0];
/// Phases by number, as the status names them.
const PHASES: [&str; 5] = ["run", "drain", "kill", "pause", "kill"];
const KILL: u64 = 2;
const FLATTEN: u64 = 4;
const BREAKER_STATES: [&str; 3] = ["closed", "half_open", "open"];
const CAUSES: [&str; 5] = ["losses", "loss", "rejects", "errors", "latency"];
const MEASURES: [&str; 5] = ["volatility", "value_at_risk", "shortfall", "shortfall_worst", "heat"];
const LATCHES: [&str; 3] = ["drawdown", "drift", "runaway"];
const PAGES: [&str; 3] = ["none", "thp", "hugetlb"];
const LEVELS: [&str; 4] = ["normal", "warn", "stop_new_orders", "cancel_and_stop"];

/// The snapshot now.
pub(super) fn of(reader: &Reader) -> Snapshot {
    let n = Named(by_role(reader));
    let now_ns = reader.head(At::BeatNs);
    let wall = wall_ms();
    let beat_age_ms = wall.saturating_sub(reader.head(At::BeatMs));
    Snapshot {
        run: run(reader, &n, wall),
        now_ns,
        beat_age_ms,
        stale: beat_age_ms > STALE_AFTER_MS,
        kill: kill(reader, &n),
        lanes: lanes(reader, &n),
        links: links(reader, &n),
        venues: venues(reader, &n),
        lines: reader.table.plate.lines.iter().map(|plate| line(plate, &n)).collect(),
        books: books(reader, now_ns),
        market: market(&n),
        orders: orders(&n),
        risk: risk(reader, &n),
        memory: memory(reader, &n),
        latency: latency(reader),
        counters: n.0,
    }
}

/// Unix ms by the operating system's clock.
#[expect(clippy::disallowed_methods, reason = "a reader is not part of an engine")]
pub(super) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Counters by role and name.
struct Named(BTreeMap<String, BTreeMap<String, u64>>);

impl Named {
    /// The counter of exactly this role.
    fn of(&self, role: &str, name: &str) -> u64 {
        self.0.get(role).and_then(|names| names.get(name)).copied().unwrap_or(0)
    }

    /// The sum over all roles that begin with `role`.
    fn sum(&self, role: &str, name: &str) -> u64 {
        let matching = self.0.iter().filter(|(of, _)| of.starts_with(role));
        matching.filter_map(|(_, names)| names.get(name)).sum()
    }

    /// A gauge of risk in 10^-8; `u64::MAX` is not known.
    fn e8(&self, name: &str) -> Option<f64> {
        let e8 = self.0.get("risk")?.get(&format!("{name}_e8")).copied()?;
        (e8 != u64::MAX).then(|| e8 as f64 / 1e8)
    }

    /// Those of `names` that `prefix` makes counters of `role`, without zeros.
    fn counts(&self, role: &str, prefix: &str, names: &[&str]) -> BTreeMap<String, u64> {
        let each = names.iter().map(|n| ((*n).to_owned(), self.sum(role, &format!("{prefix}{n}"))));
        each.filter(|(_, count)| *count > 0).collect()
    }
}

fn by_role(reader: &Reader) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut roles: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for row in &reader.table.rows {
        let Row::Counters { role, at, names } = row else { continue };
        let of = roles.entry(role.clone()).or_default();
        for (i, name) in names.iter().enumerate() {
            // A role may register twice: one set for each venue.
            *of.entry(name.clone()).or_default() += reader.word(at + i);
        }
    }
    roles
}

fn run(reader: &Reader, n: &Named, now_ms: u64) -> Run {
    let plate = &reader.table.plate;
    let venues: Vec<_> = plate.venues.iter().map(|v| v.name.as_str()).collect();
    let started_ms = reader.head(At::StartedMs);
    Run {
        id: plate.run.clone(),
        account: plate.account.clone(),
        venue: venues.join("+"),
        version: plate.version.clone(),
        pid: u32::try_from(reader.head(At::Pid)).unwrap_or(0),
        started_ms: started_ms as i64,
        uptime_ms: now_ms.saturating_sub(started_ms),
        asset: plate.asset.clone(),
        sealed: n.of("control", "sealed") > 0,
    }
}

fn kill(reader: &Reader, n: &Named) -> KillSwitch {
    let phase = reader.head(At::Phase);
    let stopped = phase == KILL || phase == FLATTEN;
    let name = usize::try_from(phase).ok().and_then(|p| PHASES.get(p)).unwrap_or(&"?");
    let mode = u8::try_from(n.of("risk", "control_mode")).ok().and_then(ControlMode::from_raw);
    KillSwitch {
        phase: (*name).to_owned(),
        stopped,
        resumable: stopped && reader.head(At::Failed) == 0,
        flatten: phase == FLATTEN,
        mode: mode.map_or("?", ControlMode::name).to_owned(),
        latched: n.counts("risk", "latched_", &LATCHES),
    }
}

fn lanes(reader: &Reader, n: &Named) -> Vec<Lane> {
    let of = |plate: &super::layout::LanePlate| {
        let count = |name| n.of(&plate.name, name);
        Lane {
            name: plate.name.clone(),
            cpu: plate.cpu,
            agents: plate.agents.clone(),
            idle: plate.idle.clone(),
            turns: count("turns"),
            busy_ns: count("busy_ns"),
            idle_ns: count("idle_ns"),
            backpressured_ns: count("backpressured_ns"),
            housekeeping_ns: count("housekeeping_ns"),
            gap_ns_max: count("gap_ns_max"),
            turn_ns_max: count("turn_ns_max"),
            faults: count("faults"),
            wrong_cpu: count("wrong_cpu") > 0,
        }
    };
    reader.table.plate.lanes.iter().map(of).collect()
}

fn links(reader: &Reader, n: &Named) -> Vec<Link> {
    let of = |plate: &super::layout::LinkPlate| {
        let seen = DEPTHS.map(|names| n.of(&link_role(&plate.name), names[0]));
        Link { plate: plate.clone(), high_water: seen[0].max(seen[1]) }
    };
    reader.table.plate.links.iter().map(of).collect()
}

fn venues(reader: &Reader, n: &Named) -> Vec<Venue> {
    let of = |plate: &super::layout::VenuePlate| {
        let count = |name| n.of(&plate.role, name);
        Venue {
            name: plate.name.clone(),
            ready: count("session_ready") > 0,
            sent: count("orders_sent"),
            open: count("orders_open"),
            unknown: count("orders_unknown"),
            reconnects: count("reconnects"),
            cancels_put_off: count("cancels_put_off"),
            dead_man_unfed: count("dead_man_unfed"),
        }
    };
    reader.table.plate.venues.iter().map(of).collect()
}

fn line(plate: &LinePlate, n: &Named) -> Line {
    let count = |name| n.of(&plate.wire, name);
    let rtt = count("rtt_ns");
    Line {
        name: plate.wire.clone(),
        venue: plate.venue.clone(),
        used: plate.used,
        up: count("line_ups") > count("line_downs"),
        messages: count("messages"),
        bytes: count("bytes"),
        reconnects: count("reconnects"),
        handovers: count("handovers"),
        rtt_ns: (rtt > 0).then_some(rtt),
        backlog_us: count("backlog_us"),
        down_ms: count("stale_ms"),
        decode_errors: n.of(&plate.parse, "decode_errors"),
    }
}

fn books(reader: &Reader, now_ns: u64) -> Vec<Book> {
    reader.table.plate.instruments.iter().map(|plate| book(reader, plate, now_ns)).collect()
}

fn book(reader: &Reader, plate: &InstrumentPlate, now_ns: u64) -> Book {
    let symbol = plate.label.clone();
    let role = reader.block_role("book.", &symbol).unwrap_or_default().to_owned();
    let shown = reader.block("book.", &symbol).and_then(|words| BookShown::of(&words));
    let Some(shown) = shown else {
        let (state, reason) = ("waiting".to_owned(), "none".to_owned());
        return Book { symbol, role, state, reason, ..Book::default() };
    };
    let levels = |side: &[bot4_types::Level]| {
        let held = side.iter().filter(|level| level.qty != 0);
        held.map(|level| Level {
            price: units_to_string(level.price, plate.price_decimals),
            qty: units_to_string(level.qty, plate.qty_decimals),
        })
        .collect()
    };
    Book {
        symbol,
        role,
        state: shown.state.name().to_owned(),
        reason: shown.reason.name().to_owned(),
        update_id: shown.update_id,
        age_ms: Some(now_ns.saturating_sub(shown.at.0) / 1_000_000),
        bids: levels(&shown.bids),
        asks: levels(&shown.asks),
    }
}

fn market(n: &Named) -> Market {
    Market {
        messages: n.sum("parse.", "messages"),
        levels: n.sum("parse.", "levels"),
        trades: n.sum("parse.", "trades"),
        gaps: n.sum("book.", "gaps"),
        resyncs: n.sum("book.", "resyncs"),
        books_live: n.sum("book.", "lives").saturating_sub(n.sum("book.", "life_ends")),
    }
}

fn orders(n: &Named) -> Orders {
    let state = |s: &OrderState| {
        let count = n.sum("execution", &format!("state_{}", s.name()));
        (s.name().to_owned(), count)
    };
    let refused = RefuseReason::ALL.iter().map(|r| (r.name().to_owned(), n.of("risk", r.name())));
    Orders {
        by_state: OrderState::ALL.iter().map(state).collect(),
        sent: n.sum("execution", "orders_sent"),
        open: n.sum("execution", "orders_open"),
        unknown: n.sum("execution", "orders_unknown"),
        checked: n.of("risk", "intents_checked"),
        approved: n.of("risk", "orders_approved"),
        refused: n.of("risk", "intents_refused"),
        refused_by: refused.filter(|(_, count)| *count > 0).collect(),
        fills: n.of("risk", "fills_applied"),
        parents: n.of("signal", "parents_alive"),
    }
}

fn risk(reader: &Reader, n: &Named) -> Risk {
    let words = reader.block("risk", ACCOUNT).unwrap_or_default();
    let word = |at: usize| words.get(at).copied();
    let amount = |at: usize| word(at).and_then(shown::amount);
    let count = |at: usize| word(at).filter(|w| *w != shown::NONE).map(|w| w as f64);
    let pair = |at: usize| Against { value: amount(at), limit: amount(at + 1) };
    let known = !words.is_empty();
    let drawdown = known.then(|| n.of("risk", "drawdown_e4") as f64 / 100.0);
    let open = known.then(|| n.of("risk", "orders_open") as f64);
    Risk {
        equity: Equity {
            now: n.e8("equity"),
            peak: n.e8("equity_peak"),
            day_open: n.e8("equity_day_open"),
        },
        pnl: Pnl {
            realized: amount(7),
            unrealized: amount(8),
            fees: amount(9),
            funding: amount(10),
        },
        gross: pair(0),
        net: pair(2),
        daily_loss: Against { value: n.e8("daily_loss").filter(|_| known), limit: amount(4) },
        drawdown_pct: Against { value: drawdown, limit: count(5).map(|e4| e4 / 100.0) },
        open_orders: Against { value: open, limit: count(6) },
        positions: positions(reader),
        breakers: breakers(reader, n),
        loss: MEASURES.iter().map(|name| ((*name).to_owned(), n.e8(name))).collect(),
        drift: n.of("risk", "drift"),
    }
}

fn positions(reader: &Reader) -> Vec<Position> {
    let of = |plate: &InstrumentPlate| {
        let words = reader.block("risk", &plate.label).unwrap_or_default();
        let word = |at: usize| words.get(at).copied();
        let amount = |at: usize| word(at).and_then(shown::amount);
        Position {
            symbol: plate.label.clone(),
            qty: units_to_string(word(0).unwrap_or(0) as i64, plate.qty_decimals),
            worst: Against { value: amount(1), limit: amount(2) },
        }
    };
    reader.table.plate.instruments.iter().map(of).collect()
}

fn breakers(reader: &Reader, n: &Named) -> Breakers {
    let count = |name| n.of("risk", name);
    let global = usize::try_from(count("breaker_global")).unwrap_or(usize::MAX);
    Breakers {
        global: BREAKER_STATES[global.min(2)].to_owned(),
        all: count("breakers_all"),
        open: count("breakers_open"),
        half_open: count("breakers_half_open"),
        unwell: unwell(reader, n),
        causes: n.counts("risk", "breaker_cause_", &CAUSES),
    }
}

/// Names of the breakers that are not closed, as the status names them.
fn unwell(reader: &Reader, n: &Named) -> Vec<String> {
    let plate = &reader.table.plate;
    let has = |what: &str, bit: usize| {
        n.of("risk", &format!("breakers_unwell_{what}")) >> (bit % 64) & 1 == 1
    };
    let strategies = (0..plate.strategies).filter(|s| has("strategies", *s));
    let mut names: Vec<String> = strategies.map(|s| format!("strategy:{}", s + 1)).collect();
    let ill = plate.instruments.iter().enumerate();
    let ill = ill.filter(|(i, _)| has(&(i / 64).to_string(), *i));
    names.extend(ill.map(|(_, instrument)| instrument.label.clone()));
    let several = plate.venues.len() > 1;
    for (_, venue) in plate.venues.iter().enumerate().filter(|(v, _)| has("venue", *v)) {
        names.push(if several { format!("venue:{}", venue.name) } else { "venue".to_owned() });
    }
    names
}

fn memory(reader: &Reader, n: &Named) -> Memory {
    let plate = &reader.table.plate;
    let gauge = |name| n.of("control", name);
    let level = usize::try_from(gauge("memory_level")).unwrap_or(0).min(LEVELS.len() - 1);
    let limited = gauge("memory_limit_bytes") > 0;
    let pages = usize::try_from(gauge("pages_rung")).unwrap_or(0).min(PAGES.len() - 1);
    let rung = usize::try_from(n.of("shedding", "shed_rung")).unwrap_or(0);
    let shed = rung.checked_sub(1).and_then(|at| plate.rungs.get(at));
    Memory {
        level: LEVELS[level].to_owned(),
        used_bytes: limited.then(|| gauge("memory_used_bytes")),
        limit_bytes: limited.then(|| gauge("memory_limit_bytes")),
        pages: PAGES[pages].to_owned(),
        shed: shed.map_or("none", String::as_str).to_owned(),
        hot_allocations: reader.head(At::HotAllocations),
        io_allocations: reader.head(At::IoAllocations),
    }
}

fn latency(reader: &Reader) -> BTreeMap<String, Latency> {
    let each = reader.table.rows.iter().filter_map(|row| match row {
        Row::Histogram { tag, at } => Some((tag.as_str(), reader.counts(*at))),
        _ => None,
    });
    by_tag(each).into_iter().map(|(tag, counts)| (tag.to_owned(), of_stage(&counts))).collect()
}

fn of_stage(counts: &Counts) -> Latency {
    let (hdr, max) = (counts.hdr(), counts.max());
    let value = |p: f64| if p >= 100.0 { max } else { hdr.value_at_quantile(p / 100.0).min(max) };
    let curve = CURVE.iter().map(|p| (*p, value(*p))).collect();
    Latency { summary: Summary::of(&hdr, max), curve, coarse: counts.coarse() }
}
