//! A snapshot for tests.

use std::collections::BTreeMap;

use bot4_telemetry::hist::Summary;
use bot4_telemetry::shared::layout::LinkPlate;
use bot4_telemetry::shared::snapshot::{
    Against, Book, Breakers, Equity, KillSwitch, Lane, Latency, Level, Line, Link, Memory, Orders,
    Pnl, Position, Risk, Run, Snapshot, Venue,
};

fn text(s: &str) -> String {
    s.to_owned()
}

fn counts(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    of.iter().map(|(name, n)| (text(name), *n)).collect()
}

/// Two lanes, one link, a line that is down, two books, a half open breaker.
pub fn snapshot() -> Snapshot {
    Snapshot {
        run: Run {
            id: text("1-2"),
            venue: text("binance"),
            asset: text("USDT"),
            uptime_ms: 61_000,
            ..Run::default()
        },
        now_ns: 1_000_000_000,
        kill: KillSwitch { phase: text("run"), mode: text("full_auto"), ..KillSwitch::default() },
        lanes: vec![lane("tick", 0, 100), lane("wire", 1, 125)],
        links: vec![Link { plate: frames(), high_water: 256 }],
        venues: vec![Venue { name: text("binance"), ready: true, sent: 40, ..Venue::default() }],
        lines: vec![Line {
            name: text("wire.0"),
            venue: text("binance"),
            used: true,
            messages: 1_000,
            ..Line::default()
        }],
        books: vec![book("BTCUSDT", "live"), book("ETHUSDT", "stale")],
        orders: Orders {
            by_state: counts(&[("live", 3), ("partially_filled", 1), ("unknown", 0)]),
            refused_by: counts(&[("collar", 2)]),
            checked: 90,
            ..Orders::default()
        },
        risk: risk(),
        memory: Memory { shed: text("none"), ..Memory::default() },
        latency: [latency("msg_parse", 1_500), latency("tick_to_trade", 18_500)].into(),
        ..Snapshot::default()
    }
}

fn frames() -> LinkPlate {
    LinkPlate {
        name: text("frames[0]"),
        from: text("wire.0"),
        to: text("parse.0"),
        capacity: 512,
        when_full: text("stop-input"),
        feedback: false,
    }
}

fn lane(name: &str, cpu: u32, busy: u64) -> Lane {
    Lane {
        name: text(name),
        cpu: Some(cpu),
        agents: vec![text("control"), text("journal")],
        busy_ns: busy,
        idle_ns: 1_000 - busy,
        turns: 7,
        ..Lane::default()
    }
}

fn book(symbol: &str, state: &str) -> Book {
    let level = |price: &str| vec![Level { price: text(price), qty: text("0.5") }];
    Book {
        symbol: text(symbol),
        state: text(state),
        reason: text(if state == "live" { "none" } else { "gap" }),
        bids: level("61000.10"),
        asks: level("61000.20"),
        age_ms: Some(40),
        ..Book::default()
    }
}

fn risk() -> Risk {
    let pnl = Pnl { realized: Some(3.0), unrealized: Some(-1.0), fees: Some(0.5), funding: None };
    Risk {
        equity: Equity { now: Some(10_000.5), ..Equity::default() },
        pnl,
        gross: Against { value: Some(250.0), limit: Some(1_000.0) },
        positions: vec![Position {
            symbol: text("BTCUSDT"),
            qty: text("0.01"),
            ..Position::default()
        }],
        breakers: Breakers {
            global: text("half_open"),
            unwell: vec![text("strategy:1")],
            all: 5,
            ..Breakers::default()
        },
        ..Risk::default()
    }
}

fn latency(tag: &str, p50: u64) -> (String, Latency) {
    let (p90, p99, p999, mean) = (p50, p50, p50, p50);
    let summary = Summary { count: 9, p50, p90, p99, p999, max: 2 * p50, mean };
    (text(tag), Latency { summary, curve: vec![(50.0, p50)], ..Latency::default() })
}
