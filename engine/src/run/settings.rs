//! Sizes: what each role needs of its lane's arena, as a sum with one line per user, and how
//! configuration words become the crates' own.

use bot4_alloc::huge::Rung;
use bot4_risk::lots::LOTS_MAX;
use bot4_signals::Strategy;
use bot4_signals::strategy::{
    EmaCross, EmaCrossParams, MarketMaker, MarketMakerParams, Worked, WorkedParams,
};
use bot4_types::limits::{BLOCK_LEVELS, FRAME_LARGE, FRAME_SMALL, STRATEGIES_MAX};
use bot4_types::{Nanos, ParentOrder, Side, StrategyId};

use super::capture::RING_BYTES;
use crate::config::schema::HugePages;
use crate::config::worked::WorkedConfig;
use crate::config::{Config, StrategyConfig};
use crate::topology as t;

/// Small frame slots of a wire agent: what the frames link holds, and half as many to fill.
pub const SLOTS_SMALL: usize = t::FRAMES + t::FRAMES / 2;
/// Large frame slots of a wire agent: snapshots of two instruments at a time.
pub const SLOTS_LARGE: usize = 2;
/// Level blocks of a parse agent by class: what all market rings and books' buffers can hold at a
/// time of the small class, bursts of the middle one, snapshots of the large one.
pub const BLOCKS: [usize; 3] = [4_096, 256, 6];

const MIB: usize = 1024 * 1024;

/// Bytes of arena for `role` in a run of `instruments`.
#[must_use]
pub fn memory_of(role: &str, instruments: usize) -> usize {
    let shard = instruments.div_ceil(t::BOOKS);
    let exact = match role {
        role if role.starts_with("wire.") => {
            // jemalloc rounds a 64 KiB slot with its padding up to 80 KiB.
            SLOTS_SMALL * (FRAME_SMALL / 4 * 5)
                + SLOTS_LARGE * (FRAME_LARGE / 4 * 5)
                // TLS and WebSocket buffers of two connections.
                + 4 * MIB
        }
        role if role.starts_with("parse.") => {
            let blocks = BLOCKS.iter().zip(BLOCK_LEVELS).map(|(n, levels)| n * levels * 16);
            blocks.sum::<usize>()
                + t::BOOKS * t::MARKET * 96 // market rings
                + 48 * MIB // scratch of the general JSON reader: copy, tape and index of a frame
        }
        "book.0" | "book.1" => {
            shard * 9 * MIB // ladder, buffered updates, quotes of an instrument
                + t::TOPS * 264 + t::MARKS * 48
                + 2 * MIB
        }
        "signal" => 4 * MIB + instruments * 64 * 1024,
        "risk" => {
            let columns = instruments.next_multiple_of(8);
            6 * MIB
                + MIB // the breakers' table of orders and their windows
                + columns * (columns + bot4_portfolio::HISTORY) * 8 // covariances and scenarios
                + t::LOG * 256
                + t::APPROVED * 112
                + t::ACCOUNT * 208
                + instruments * (STRATEGIES_MAX + 1) * LOTS_MAX * 32 // lots of each position
        }
        role if role.starts_with("execution") => {
            12 * MIB // order table, private message, scratch of the JSON reader
                + t::LOG * 256 + t::REPORTS * 144
                + 4 * MIB // TLS and WebSocket buffers
                + instruments * 2_048 * 8 // booked trade ids
        }
        "journal" => 4 * MIB,
        "telemetry" => 12 * MIB,
        _ => 2 * MIB,
    };
    // Size classes round up by a quarter at most.
    exact / 4 * 5
}

/// Bytes of arena for `role` that a captured run needs beside [`memory_of`].
#[must_use]
pub fn capture_memory_of(role: &str) -> usize {
    let frames = if t::PARSE.contains(&role) { RING_BYTES / 4 * 5 } else { 0 };
    let turns = if t::CHAIN.contains(&role) { t::TURNS * 256 / 4 * 5 } else { 0 };
    frames + turns
}

/// The highest rung that the configuration allows.
#[must_use]
pub const fn rung_of(pages: HugePages) -> Rung {
    match pages {
        HugePages::Best | HugePages::Hugetlb => Rung::HugeTlb,
        HugePages::Thp => Rung::Thp,
        HugePages::None => Rung::Plain,
    }
}

/// Accounts in a run's ledger: one for each strategy, then the operator's, whose orders are no
/// strategy's.
#[must_use]
pub const fn accounts_of(config: &Config) -> usize {
    config.strategies.len() + 1
}

/// On whose account an operator's orders are: the last.
#[must_use]
pub const fn operator_of(config: &Config) -> StrategyId {
    StrategyId(config.strategies.len() as u8)
}

/// The strategies in order.
#[must_use]
pub fn strategies_of(config: &Config) -> Vec<Box<dyn Strategy>> {
    config.strategies.iter().map(strategy_of).collect()
}

/// The strategy with these parameters.
#[must_use]
pub fn strategy_of(config: &StrategyConfig) -> Box<dyn Strategy> {
    match *config {
        StrategyConfig::MarketMaker {
            quote_notional,
            spread_share,
            position_max_notional,
            requote_ticks,
            quote_life_min,
            amend,
        } => Box::new(MarketMaker::new(MarketMakerParams {
            quote_worth: quote_notional,
            spread_share,
            position_worth_max: position_max_notional,
            requote_ticks: f64::from(requote_ticks),
            life_min: Nanos(quote_life_min.as_nanos() as u64),
            amend,
            ..MarketMakerParams::default()
        })),
        StrategyConfig::Worked(worked) => Box::new(Worked::new(worked_params(&worked))),
        StrategyConfig::EmaCross { notional, band_share, cooldown, kelly } => {
            Box::new(EmaCross::new(EmaCrossParams {
                position_worth: notional,
                band_share,
                pause: Nanos(cooldown.as_nanos() as u64),
                kelly,
                ..EmaCrossParams::default()
            }))
        }
    }
}

/// Parameters of a strategy that works parent orders.
fn worked_params(c: &WorkedConfig) -> WorkedParams {
    let ns = |d: std::time::Duration| Nanos(d.as_nanos() as u64);
    let usual = WorkedParams::of(c.algo);
    WorkedParams {
        order: ParentOrder {
            side: if c.sells { Side::Sell } else { Side::Buy },
            over: ns(c.over),
            deadline: c.deadline,
            urgency: c.urgency,
            rate_e4: c.rate_e4,
            peg: c.peg,
            offset_ticks: c.offset_ticks,
            amends: c.amend,
            curve: c.curve,
            ..usual.order
        },
        worth: c.notional,
        display_worth: c.display_notional,
        limit_bps: c.limit_pct.map(|pct| pct * 100.0),
        symbol: c.symbol,
        repeat: c.repeat.map(ns),
    }
}
