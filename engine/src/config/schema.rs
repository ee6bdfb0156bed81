//! The shape of the configuration file. `deploy/config/demo.toml` explains every key.

use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::account::Account;
use super::host::Host;
use super::risk::Risk;
use super::value::{Lanes, Span};
use super::venue::Mode;
use crate::log::LogConfig;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// `[run]`.
    #[serde(default)]
    pub run: Run,
    /// `[venue]`: the one of a run.
    pub venue: Option<Spanned<Venue>>,
    /// `[[venues]]`: each of several.
    #[serde(default)]
    pub venues: Vec<Spanned<Venue>>,
    /// `[[shard]]`.
    #[serde(default, rename = "shard")]
    pub shards: Vec<Shard>,
    /// `[[instrument]]`.
    #[serde(default, rename = "instrument")]
    pub instruments: Vec<Instrument>,
    /// `[account]`.
    #[serde(default)]
    pub account: Account,
    /// `[risk]`.
    #[serde(default)]
    pub risk: Risk,
    /// `[[strategy]]`.
    #[serde(default, rename = "strategy")]
    pub strategies: Vec<Strategy>,
    /// `[journal]`.
    #[serde(default)]
    pub journal: Journal,
    /// `[memory]`.
    #[serde(default)]
    pub memory: Memory,
    /// `[host]`.
    #[serde(default)]
    pub host: Host,
    /// `[log]`.
    #[serde(default)]
    pub log: LogConfig,
}

/// `[run]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Run {
    /// How long to trade.
    #[serde(rename = "for")]
    pub length: Option<Span>,
    /// Number of lanes.
    pub lanes: Lanes,
    /// Seed of everything drawn.
    pub seed: u64,
    /// Lanes that share a core are refused.
    pub exclusive_cores: bool,
    /// How lanes wait.
    pub idle: Idle,
    /// Keep what the whole chain needs to run again.
    pub capture: bool,
    /// Work is given up under pressure, in the declared order.
    pub shed: bool,
    /// Where the counters lie that `bot4 top` and `bot4 watch` read.
    pub counters_dir: Option<Spanned<PathBuf>>,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            length: None,
            lanes: Lanes::default(),
            seed: 0,
            exclusive_cores: false,
            idle: Idle::default(),
            capture: false,
            shed: true,
            counters_dir: None,
        }
    }
}

/// `[[instrument]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instrument {
    /// Which.
    pub symbol: Spanned<String>,
    /// Whether it is given up before the others.
    pub priority: Priority,
}

/// Which instruments are given up first under pressure.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Given up when history is not enough.
    Low,
    /// Never given up.
    #[default]
    High,
}

/// How lanes that work wait when there is nothing to do.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Idle {
    /// What the host grants: spinning on a CPU of its own, else yielding.
    #[default]
    Auto,
    /// Spins; refused where a lane shares its CPU.
    Spin,
    /// Yields a few times, then parks for 50 us at a time.
    Yield,
    /// Parks at once, 1 ms at a time.
    Park,
}

/// `[venue]`, and one of `[[venues]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Venue {
    /// Which venue.
    pub name: Spanned<String>,
    /// Start the simulated venue as a child.
    #[serde(default)]
    pub embedded: bool,
    /// Trade or observe.
    pub mode: Option<Spanned<Mode>>,
    /// Symbols to trade.
    pub symbols: Spanned<Vec<String>>,
    /// Connections that carry each stream.
    pub lines: Option<Spanned<u32>>,
    /// How often the list of instruments is read again.
    pub refresh: Option<Spanned<Span>>,
    /// Market-data host.
    pub market: Option<Spanned<String>>,
    /// WebSocket API.
    pub api: Option<Spanned<String>>,
    /// REST host.
    pub rest: Option<Spanned<String>>,
    /// The only trusted authority.
    pub ca: Option<Spanned<PathBuf>>,
    /// API key.
    pub api_key: Option<Spanned<String>>,
    /// Private key file.
    pub private_key: Option<Spanned<PathBuf>>,
    /// Dead-man switch.
    pub dead_man: Option<Spanned<String>>,
    /// Taker fee of the account, per cent.
    pub taker_fee_pct: Option<Spanned<f64>>,
}

/// `[[shard]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Symbols of `[venue]`, or `venue:symbol` of `[[venues]]`.
    pub symbols: Spanned<Vec<String>>,
    /// Their wire and parse lane.
    pub wire: Option<Spanned<u32>>,
    /// Their book lane.
    pub book: Option<Spanned<u32>>,
}

/// `[[strategy]]`. One flat table for every kind, so that errors keep their place; which keys
/// belong to which kind is checked afterwards.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strategy {
    /// `market_maker`, `ema_cross`, or an execution algorithm.
    pub kind: Spanned<String>,
    /// Distance of the protective stop, per cent.
    pub stop_pct: Option<Spanned<f64>>,
    /// Distance of the target from the entry, per cent.
    pub take_profit_pct: Option<Spanned<f64>>,
    /// Which exit of a position rests at the venue: `none`, `stop` or `take_profit`.
    pub native_exit: Option<Spanned<String>>,
    /// Market maker: size of a quote in quote units.
    pub quote_notional: Option<Spanned<f64>>,
    /// Market maker: half spread as a share of the market's spread.
    pub spread_share: Option<Spanned<f64>>,
    /// Market maker: inventory in quote units at which the skew is full.
    pub position_max_notional: Option<Spanned<f64>>,
    /// Market maker: move that replaces a quote, ticks.
    pub requote_ticks: Option<Spanned<u32>>,
    /// Market maker: least life of a quote.
    pub quote_life_min: Option<Spanned<Span>>,
    /// Market maker: amend what rests where that can be, instead of cancelling and placing.
    pub amend: Option<Spanned<bool>>,
    /// Taker: size of an order in quote units. Algorithms: worth of the whole.
    pub notional: Option<Spanned<f64>>,
    /// Taker: distance of the averages that counts as a cross, as a share of the spread.
    pub band_share: Option<Spanned<f64>>,
    /// Taker: least time between two orders of an instrument.
    pub cooldown: Option<Spanned<Span>>,
    /// Taker: `fixed` or `kelly`.
    pub sizing: Option<Spanned<String>>,
    /// Algorithms: `buy` or `sell`.
    pub side: Option<Spanned<String>>,
    /// Algorithms: in this instrument alone.
    pub symbol: Option<Spanned<String>>,
    /// Algorithms: time a parent has.
    pub over: Option<Spanned<Span>>,
    /// Algorithms: from an end to the next beginning.
    pub repeat: Option<Spanned<Span>>,
    /// Algorithms: `take` or `give_up`.
    pub deadline: Option<Spanned<String>>,
    /// Algorithms: `passive`, `normal`, `aggressive`.
    pub urgency: Option<Spanned<String>>,
    /// POV: share of the market's volume, per cent.
    pub rate_pct: Option<Spanned<f64>>,
    /// Iceberg, pegged: worth of what rests at a time, quote units.
    pub display_notional: Option<Spanned<f64>>,
    /// Pegged: `mid` or `touch`.
    pub peg: Option<Spanned<String>>,
    /// Pegged: ticks away from there.
    pub offset_ticks: Option<Spanned<i32>>,
    /// Algorithms: distance of the limit from the middle at the beginning, per cent.
    pub limit_pct: Option<Spanned<f64>>,
    /// VWAP: expected volume of each of 24 equal parts.
    pub curve: Option<Spanned<Vec<u16>>>,
}

/// `[journal]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Journal {
    /// Segment size in MiB.
    pub segment_mib: Spanned<u32>,
    /// Where; default in the run's folder.
    pub dir: Option<Spanned<PathBuf>>,
    /// Silence of the disk that ends the run.
    pub stall_max: Spanned<Span>,
    /// Age from which journals of earlier runs are removed.
    pub keep: Span,
    /// What journals of earlier runs may take together, MiB.
    pub keep_mib: Spanned<u32>,
    /// Use of the journal's disk that is warned of, per cent.
    pub disk_warn_pct: Spanned<u32>,
    /// Use of the journal's disk that stops new orders, per cent; 100 for never.
    pub disk_stop_pct: Spanned<u32>,
}

impl Default for Journal {
    fn default() -> Self {
        let value = |v| Spanned::new(0..0, v);
        Self {
            segment_mib: value(16),
            dir: None,
            stall_max: Spanned::new(0..0, Span(std::time::Duration::from_millis(250))),
            keep: Span(std::time::Duration::from_secs(7 * 86_400)),
            keep_mib: value(16_384),
            disk_warn_pct: value(80),
            disk_stop_pct: value(95),
        }
    }
}

/// `[memory]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Memory {
    /// Highest rung to try.
    pub huge_pages: HugePages,
}

/// Rungs of huge pages.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum HugePages {
    /// The first the host grants.
    #[default]
    Best,
    /// Reserved huge pages first (falls back like `best`).
    Hugetlb,
    /// Transparent huge pages at best.
    Thp,
    /// Plain pages.
    None,
}
