//! The tabs: which grids a snapshot makes.

use bot4_telemetry::Slowest;
use bot4_telemetry::shared::snapshot::{Against, Book, Lane, Level, Line, Snapshot, Venue};

use super::grid::{Cell, Column, Grid, Tone, left, right};

/// Names of the tabs in order.
pub const TABS: [&str; 7] = ["lanes", "links", "venues", "books", "risk", "orders", "latency"];

/// A snapshot and the one before it, for rates.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The newest.
    pub now: Snapshot,
    /// The one before; the run's beginning where there is none.
    pub before: Option<Snapshot>,
}

impl Seen {
    /// Seconds between both, of the engine's clock.
    fn seconds(&self) -> f64 {
        let before = self.before.as_ref().map_or(0, |b| b.now_ns);
        self.now.now_ns.saturating_sub(before) as f64 / 1e9
    }

    /// `n` of `now` more than `before`, a second.
    fn rate(&self, now: u64, before: Option<u64>) -> Option<f64> {
        let seconds = self.seconds();
        (seconds > 0.0).then(|| now.saturating_sub(before.unwrap_or(0)) as f64 / seconds)
    }
}

/// The main grid of tab `tab`.
#[must_use]
pub fn main(tab: usize, seen: &Seen) -> Grid {
    let s = &seen.now;
    match tab {
        0 => lanes(seen),
        1 => links(s),
        2 => lines(seen),
        3 => books(s),
        4 => positions(s),
        5 => states(s),
        _ => latency(s),
    }
}

/// The grid that stands beside it; `chosen` is the name of the chosen row.
#[must_use]
pub fn beside(tab: usize, seen: &Seen, chosen: &str) -> Option<Grid> {
    let s = &seen.now;
    match tab {
        0 => s.lanes.iter().find(|l| l.name == chosen && l.agents.len() > 1).map(agents),
        2 => Some(venues(s)),
        3 => Some(ladder(s.books.iter().find(|b| b.symbol == chosen))),
        4 => Some(limits(s)),
        5 => Some(refusals(s)),
        _ => None,
    }
}

fn grid(title: impl Into<String>, columns: &[Column], rows: Vec<Vec<Cell>>) -> Grid {
    Grid { title: title.into(), columns: columns.to_vec(), rows }
}

fn lanes(seen: &Seen) -> Grid {
    let columns = [
        left("lane", 21),
        right("cpu", 3),
        right("busy%", 5),
        right("held%", 5),
        right("house%", 6),
        right("turns/s", 7),
        right("gap us", 7),
        right("turn us", 7),
        right("faults", 6),
        left("agents", 24),
    ];
    let before = |lane: &Lane| {
        let all = seen.before.as_ref().map(|b| &b.lanes);
        all.and_then(|lanes| lanes.iter().find(|l| l.name == lane.name).cloned())
            .unwrap_or_default()
    };
    let rows = seen.now.lanes.iter().map(|lane| lane_row(seen, lane, &before(lane))).collect();
    grid("lanes: share of time since the last look; gaps and turns since warm-up", &columns, rows)
}

fn lane_row(seen: &Seen, lane: &Lane, before: &Lane) -> Vec<Cell> {
    let spent = |l: &Lane| l.busy_ns + l.idle_ns + l.backpressured_ns + l.housekeeping_ns;
    let all = spent(lane).saturating_sub(spent(before));
    let share = |now: u64, before: u64| {
        (all > 0).then(|| now.saturating_sub(before) as f64 * 100.0 / all as f64)
    };
    let held = share(lane.backpressured_ns, before.backpressured_ns);
    vec![
        Cell::text(&lane.name),
        Cell::number(lane.cpu.map(f64::from), 0).toned(Tone::Bad, lane.wrong_cpu),
        Cell::number(share(lane.busy_ns, before.busy_ns), 1),
        Cell::number(held, 1).toned(Tone::Warn, held.is_some_and(|h| h >= 1.0)),
        Cell::number(share(lane.housekeeping_ns, before.housekeeping_ns), 1),
        rate(seen.rate(lane.turns, Some(before.turns))),
        Cell::count(lane.gap_ns_max / 1_000),
        Cell::count(lane.turn_ns_max / 1_000),
        Cell::count(lane.faults).toned(Tone::Bad, lane.faults > 0),
        Cell::text(lane.agents.join(" ")),
    ]
}

/// What runs on a lane, in lines as long as a narrow terminal's.
fn agents(lane: &Lane) -> Grid {
    const LINE: usize = 76;
    let mut rows: Vec<String> = Vec::new();
    for agent in &lane.agents {
        match rows.last_mut().filter(|row| row.len() + 1 + agent.len() <= LINE) {
            Some(row) => *row = format!("{row} {agent}"),
            None => rows.push(agent.clone()),
        }
    }
    let rows = rows.into_iter().map(|row| vec![Cell::text(row)]).collect();
    grid(format!("on {} ({})", lane.name, lane.idle), &[left("agents", LINE as u16)], rows)
}

fn rate(value: Option<f64>) -> Cell {
    let text = value.map_or_else(|| "-".to_owned(), super::grid::short);
    Cell { text, rank: value, tone: Tone::Plain }
}

fn links(s: &Snapshot) -> Grid {
    let columns = [
        left("link", 18),
        left("from", 12),
        left("to", 12),
        right("holds", 6),
        right("deepest", 7),
        right("%", 5),
        left("when full", 13),
    ];
    let rows = s.links.iter().map(|link| {
        let (plate, high) = (&link.plate, link.high_water);
        let used = high as f64 * 100.0 / plate.capacity.max(1) as f64;
        let full = high >= plate.capacity;
        vec![
            Cell::text(&plate.name),
            Cell::text(&plate.from),
            Cell::text(if plate.feedback { format!("~{}", plate.to) } else { plate.to.clone() }),
            Cell::count(plate.capacity),
            Cell::count(high),
            Cell::number(Some(used), 1)
                .toned(if full { Tone::Bad } else { Tone::Warn }, used >= 50.0),
            Cell::text(&plate.when_full),
        ]
    });
    grid("links: the most messages that waited so far; ~ is feedback", &columns, rows.collect())
}

fn lines(seen: &Seen) -> Grid {
    let columns = [
        left("line", 8),
        left("venue", 12),
        left("state", 6),
        right("msg/s", 8),
        right("kB/s", 8),
        right("rtt us", 8),
        right("lag us", 8),
        right("reconn", 6),
        right("errors", 6),
    ];
    let before = |line: &Line| {
        let all = seen.before.as_ref().map(|b| &b.lines);
        all.and_then(|lines| lines.iter().find(|l| l.name == line.name)).cloned()
    };
    let rows = seen.now.lines.iter().filter(|line| line.used).map(|line| {
        let b = before(line);
        let bytes = seen.rate(line.bytes, b.as_ref().map(|b| b.bytes));
        vec![
            Cell::text(&line.name),
            Cell::text(&line.venue),
            Cell::text(if line.up { "up" } else { "DOWN" })
                .toned(if line.up { Tone::Good } else { Tone::Bad }, true),
            rate(seen.rate(line.messages, b.as_ref().map(|b| b.messages))),
            Cell::number(bytes.map(|b| b / 1e3), 1),
            Cell::number(line.rtt_ns.map(|ns| ns as f64 / 1e3), 0),
            Cell::count(line.backlog_us).toned(Tone::Warn, line.backlog_us > 100_000),
            Cell::count(line.reconnects),
            Cell::count(line.decode_errors).toned(Tone::Warn, line.decode_errors > 0),
        ]
    });
    grid("market connections", &columns, rows.collect())
}

fn venues(s: &Snapshot) -> Grid {
    let columns = [
        left("venue", 14),
        left("orders", 9),
        right("sent", 8),
        right("open", 6),
        right("unknown", 7),
        right("reconn", 6),
        right("put off", 7),
        right("unfed", 6),
    ];
    let row = |v: &Venue| {
        vec![
            Cell::text(&v.name),
            Cell::text(if v.ready { "ready" } else { "NOT READY" })
                .toned(if v.ready { Tone::Good } else { Tone::Bad }, true),
            Cell::count(v.sent),
            Cell::count(v.open),
            Cell::count(v.unknown).toned(Tone::Bad, v.unknown > 0),
            Cell::count(v.reconnects),
            Cell::count(v.cancels_put_off).toned(Tone::Warn, v.cancels_put_off > 0),
            Cell::count(v.dead_man_unfed).toned(Tone::Warn, v.dead_man_unfed > 0),
        ]
    };
    grid(
        "order entry; put off: cancels; unfed: the dead-man switch",
        &columns,
        s.venues.iter().map(row).collect(),
    )
}

fn books(s: &Snapshot) -> Grid {
    let columns = [
        left("instrument", 18),
        left("state", 8),
        left("why", 8),
        right("bid", 13),
        right("ask", 13),
        right("bps", 7),
        right("age ms", 6),
    ];
    let row = |b: &Book| {
        let live = b.state == "live";
        let decimals = decimals(b, |l| &l.price);
        let price = |level: Option<&Level>| {
            level.map_or_else(|| Cell::text("-"), |l| Cell::text(cut(&l.price, decimals)))
        };
        vec![
            Cell::text(&b.symbol),
            Cell::text(&b.state).toned(if live { Tone::Good } else { Tone::Warn }, true),
            Cell::text(if live { "" } else { b.reason.as_str() }),
            price(b.bids.first()),
            price(b.asks.first()),
            Cell::number(spread_bps(b), 2),
            Cell::number(b.age_ms.map(|ms| ms as f64), 0),
        ]
    };
    grid("books; the arrows choose the ladder", &columns, s.books.iter().map(row).collect())
}

/// Spread over the middle, 10^-4: for eyes, hence in floats.
fn spread_bps(book: &Book) -> Option<f64> {
    let bid: f64 = book.bids.first()?.price.parse().ok()?;
    let ask: f64 = book.asks.first()?.price.parse().ok()?;
    (bid + ask > 0.0).then(|| (ask - bid) * 20_000.0 / (bid + ask))
}

/// Decimals that some level of the book needs in what `text` tells of it; two at least.
fn decimals(book: &Book, text: impl Fn(&Level) -> &str) -> usize {
    let needed = |level: &Level| {
        text(level).split_once('.').map_or(0, |(_, part)| part.trim_end_matches('0').len())
    };
    book.bids.iter().chain(&book.asks).map(needed).max().unwrap_or(0).max(2)
}

/// A decimal text with as many decimals, of those it has: what goes are zeros.
fn cut(text: &str, decimals: usize) -> String {
    match text.split_once('.') {
        Some((whole, part)) => format!("{whole}.{}", &part[..decimals.min(part.len())]),
        None => text.to_owned(),
    }
}

fn ladder(book: Option<&Book>) -> Grid {
    let columns =
        [right("quantity", 18), right("bid", 16), right("ask", 16), right("quantity", 18)];
    let Some(book) = book else { return grid("ladder", &columns, Vec::new()) };
    let depth = book.bids.len().max(book.asks.len());
    let (price, qty) = (decimals(book, |l| &l.price), decimals(book, |l| &l.qty));
    let texts = |levels: &[Level], i: usize| {
        let both = |l: &Level| (cut(&l.price, price), cut(&l.qty, qty));
        levels.get(i).map_or_else(Default::default, both)
    };
    let rows = (0..depth).map(|i| {
        let ((bid, bid_qty), (ask, ask_qty)) = (texts(&book.bids, i), texts(&book.asks, i));
        vec![
            Cell::text(bid_qty),
            Cell::text(bid).toned(Tone::Good, true),
            Cell::text(ask).toned(Tone::Bad, true),
            Cell::text(ask_qty),
        ]
    });
    grid(format!("{} at {}", book.symbol, book.update_id), &columns, rows.collect())
}

fn positions(s: &Snapshot) -> Grid {
    let columns = [
        left("instrument", 18),
        right("held", 16),
        right("worst case", 13),
        right("limit", 13),
        right("used%", 6),
    ];
    let rows = s.risk.positions.iter().map(|p| {
        let mut row = vec![Cell::text(&p.symbol), Cell::text(&p.qty)];
        row.extend(against(p.worst));
        row
    });
    grid(format!("positions, worst case in {}", s.run.asset), &columns, rows.collect())
}

/// Value, limit and how much of it is used.
fn against(a: Against) -> [Cell; 3] {
    let used = a.value.zip(a.limit).filter(|(_, l)| *l > 0.0).map(|(v, l)| v * 100.0 / l);
    let tone = if used.is_some_and(|u| u >= 95.0) { Tone::Bad } else { Tone::Warn };
    let warn = used.is_some_and(|u| u >= 75.0);
    [
        Cell::number(a.value, 2),
        a.limit.map_or_else(|| Cell::text("none"), |l| Cell::number(Some(l), 2)),
        Cell::number(used, 1).toned(tone, warn),
    ]
}

fn limits(s: &Snapshot) -> Grid {
    let columns = [left("account", 18), right("now", 16), right("limit", 13), right("used%", 6)];
    let r = &s.risk;
    let alone = |value| Against { value, limit: None };
    let limited = [
        ("gross exposure", r.gross),
        ("net exposure", r.net),
        ("day's loss", r.daily_loss),
        ("drawdown %", r.drawdown_pct),
        ("open orders", r.open_orders),
    ];
    let plain = [
        ("equity", r.equity.now),
        ("realized", r.pnl.realized),
        ("unrealized", r.pnl.unrealized),
        ("fees", r.pnl.fees),
    ];
    let mut rows: Vec<Vec<Cell>> = limited.map(|(name, a)| row_of(name, a)).into();
    rows.extend(plain.map(|(name, value)| {
        let mut row = row_of(name, alone(value));
        row[2] = Cell::text("");
        row[3] = Cell::text("");
        row
    }));
    let b = &r.breakers;
    let unwell =
        if b.unwell.is_empty() { String::new() } else { format!(": {}", b.unwell.join(" ")) };
    let title = format!("breakers {} ({} of {} open){unwell}", b.global, b.open, b.all);
    grid(title, &columns, rows)
}

fn row_of(name: &str, a: Against) -> Vec<Cell> {
    let mut row = vec![Cell::text(name)];
    row.extend(against(a));
    row
}

fn states(s: &Snapshot) -> Grid {
    let columns = [left("state", 20), right("orders", 10)];
    let row = |(name, count): (&String, &u64)| {
        vec![
            Cell::text(name),
            Cell::count(*count).toned(Tone::Bad, name == "unknown" && *count > 0),
        ]
    };
    let o = &s.orders;
    let parents = if o.parents > 0 { format!(", {} parents", o.parents) } else { String::new() };
    let title = format!("orders: {} sent{parents}", o.sent);
    grid(title, &columns, o.by_state.iter().map(row).collect())
}

fn refusals(s: &Snapshot) -> Grid {
    let columns = [left("refused for", 24), right("intents", 10)];
    let row = |(name, count): (&String, &u64)| vec![Cell::text(name), Cell::count(*count)];
    let title = format!("risk refused {} of {}", s.orders.refused, s.orders.checked);
    grid(title, &columns, s.orders.refused_by.iter().map(row).collect())
}

/// The first parts of tags, in the order in which they are shown; others come after them.
const ORDER: [&str; 11] = [
    "tick_to_trade",
    "wire_to_parse",
    "parse",
    "book",
    "signal",
    "risk",
    "order_encode",
    "ack",
    "timer_or_fill_to_trade",
    "kernel_to_read",
    "msg_wire_to_parse",
];

fn latency(s: &Snapshot) -> Grid {
    let columns = [
        left("stage", 22),
        right("count", 7),
        right("p50 us", 8),
        right("p90 us", 8),
        right("p99 us", 8),
        right("p99.9 us", 8),
        right("max us", 8),
    ];
    let summaries = s.latency.iter().map(|(tag, l)| (tag.clone(), l.summary)).collect();
    let slowest = Slowest::of(&summaries);
    let mut tags: Vec<_> = s.latency.iter().collect();
    let place = |tag: &str| {
        let first = tag.split('.').next().unwrap_or(tag);
        ORDER.iter().position(|name| *name == first).unwrap_or(ORDER.len())
    };
    tags.sort_by_key(|(tag, _)| place(tag));
    let rows = tags.into_iter().map(|(tag, l)| {
        let m = &l.summary;
        let slow = slowest.as_ref().is_some_and(|s| s.stage == *tag);
        let times = [m.p50, m.p90, m.p99, m.p999, m.max].map(us);
        let mut row = vec![Cell::text(tag).toned(Tone::Warn, slow), Cell::count(m.count)];
        row.extend(times.map(|cell| cell.toned(Tone::Warn, slow)));
        row
    });
    let title = slowest.as_ref().map_or_else(
        || "latency since the start: nothing was measured yet".to_owned(),
        |s| format!("latency since the start; slowest stage: {}, {:.0} %", s.stage, s.share_pct),
    );
    grid(title, &columns, rows.collect())
}

/// Nanoseconds as microseconds: two decimals where they tell something.
fn us(ns: u64) -> Cell {
    let us = ns as f64 / 1e3;
    Cell::number(Some(us), if us < 1_000.0 { 2 } else { 0 })
}
