//! The agents from a frame to a decision, made from what a journal can hold: a run and the replay
//! of its capture make them here, and nowhere else.

use bot4_book::{BookAgent, BookConfig, BookPorts};
use bot4_feeds::Tee;
use bot4_feeds::parse_agent::{ParseAgent, ParsePorts};
use bot4_lanes::{Agent, Control, LogTx, Metrics};
use bot4_risk::{RiskAgent, RiskConfig, RiskPorts};
use bot4_signals::{Exits, SignalAgent, SignalConfig, SignalPorts, Strategy};
use bot4_types::{ConnId, Instrument, InstrumentTable, OrderId, Shards, VenueId};
use bot4_venues::registry::Venue;

use super::plant::Plant;
use super::rings::Rings;
use super::settings;
use crate::config::{Config, StrategyConfig};
use crate::topology as t;

type Failure = Box<dyn std::error::Error>;

/// How far the router may go, as configured. In hundredths of a percent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routing {
    /// Distance of protective stops, by strategy; the router's own where none is said.
    pub stop_bps: Vec<u32>,
    /// Targets and native exits, by strategy.
    pub exits: Vec<Exits>,
    /// How far through the touch positions are closed when trading is stopped; the router's own
    /// where it is not said.
    pub flatten_slip_bps: Option<u32>,
    /// Taker fees by venue, 10^-8 of the price; the router's own where none is said. They order
    /// venues, so a run of one does without.
    pub taker_e8: Vec<i64>,
}

impl Routing {
    /// That of `config`.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let flatten_slip_bps = Some(config.risk.flatten_slip_bps);
        let taker_e8 = config.venues().map(|v| v.taker_e8).collect();
        let (stop_bps, exits) = (config.stops.clone(), config.exits.clone());
        Self { stop_bps, exits, flatten_slip_bps, taker_e8 }
    }
}

/// What the chain is made from.
pub struct Parts<'a> {
    /// Whose markets, in the order of the table's venues.
    pub venues: &'a [Venue],
    /// Instruments and assets.
    pub table: &'a InstrumentTable,
    /// Which lanes and connections serve each instrument.
    pub shards: &'a Shards,
    /// The control word.
    pub control: &'a Control,
    /// What risk starts from.
    pub risk: &'a RiskConfig,
    /// Strategies in order.
    pub strategies: &'a [StrategyConfig],
    /// Distances of stops and of what closes positions.
    pub routing: &'a Routing,
    /// A planted mistake: a test aid.
    pub plant: Option<Plant>,
    /// Instruments that are given up first under pressure, by index.
    pub low_priority: &'a [bool],
    /// How long the journal may wait for its disk, ns.
    pub log_stall_ns_max: u64,
    /// Makes the copy of the frames that a parser takes.
    pub tee: Option<&'a dyn Fn(usize) -> Tee>,
}

impl Parts<'_> {
    /// The venue whose data wire lane `index` carries.
    fn venue_of_wire(&self, index: usize) -> VenueId {
        let mut carried = self.shards.carried_by(ConnId(index as u16));
        let first = carried.next().and_then(|id| self.table.get(id));
        first.map_or(VenueId(0), |i| i.venue)
    }
}

/// The place of `role` in the chain, if it is in it.
#[must_use]
pub fn place_of(role: &str) -> Option<usize> {
    t::CHAIN.iter().position(|r| *r == role)
}

/// Makes the agent `role` of the chain over `rings`.
///
/// # Errors
/// When the venue is not in this build or the limits make no sense.
///
/// # Panics
/// When `role` is not in the chain.
pub fn build(
    role: &str,
    parts: &Parts<'_>,
    metrics: &Metrics,
    rings: &mut Rings,
) -> Result<Box<dyn Agent>, Failure> {
    Ok(match role {
        role if t::PARSE.contains(&role) => {
            let index = t::PARSE.iter().position(|r| *r == role).unwrap_or_default();
            Box::new(parse_agent(index, parts, metrics, rings)?)
        }
        "book.0" => Box::new(book_agent(0, parts, metrics, rings)),
        "book.1" => Box::new(book_agent(1, parts, metrics, rings)),
        "signal" => Box::new(signal_agent(parts, metrics, rings)),
        "risk" => Box::new(risk_agent(parts, metrics, rings)?),
        other => unreachable!("role {other} is not in the chain"),
    })
}

fn parse_agent(
    index: usize,
    parts: &Parts<'_>,
    metrics: &Metrics,
    rings: &mut Rings,
) -> Result<ParseAgent, Failure> {
    let venue = parts.venue_of_wire(index);
    let decoder = parts.venues[venue.index()].market_decoder(&parts.table.seen_from(venue))?;
    let ports = ParsePorts {
        frames: rings.rx(&format!("frames[{index}]")),
        slots: rings.tx(&format!("slots[{index}]")),
        market: rings.each_tx(t::BOOKS, |j| format!("market[{index}][{j}]")),
        blocks: rings.each_rx(t::BOOKS, |j| format!("blocks[{j}][{index}]")),
    };
    let agent = ParseAgent::new(ports, decoder, metrics, index)
        .with_blocks(settings::BLOCKS)
        .with_shedding(parts.control.shedding().clone(), parts.low_priority.into())
        .with_shards(parts.shards.clone());
    Ok(match parts.tee {
        Some(tee) => agent.with_tee(tee(index)),
        None => agent,
    })
}

fn book_agent(index: usize, parts: &Parts<'_>, metrics: &Metrics, rings: &mut Rings) -> BookAgent {
    let wires = parts.shards.wires();
    let ports = BookPorts {
        market: rings.each_rx(wires, |i| format!("market[{i}][{index}]")),
        blocks: rings.each_tx(wires, |i| format!("blocks[{index}][{i}]")),
        resync: rings.each_tx(wires, |i| format!("resync[{index}][{i}]")),
        tops: rings.tx(&format!("tops[{index}]")),
        marks: rings.tx(&format!("marks[{index}]")),
        orders: Some(rings.rx(&format!("books[{index}]"))),
    };
    let of_venue = |i: &Instrument| (i.id, parts.venues[i.venue.index()].rules());
    let others = parts.table.all().iter().filter(|i| i.venue != VenueId(0)).map(of_venue);
    let (rules, rules_for) = (parts.venues[0].rules(), others.collect());
    let config = BookConfig { rules, rules_for, ..BookConfig::default() };
    BookAgent::new(index, parts.shards, parts.table, config, ports, metrics)
}

fn signal_agent(parts: &Parts<'_>, metrics: &Metrics, rings: &mut Rings) -> SignalAgent {
    let ports = SignalPorts {
        tops: rings.each_rx(t::BOOKS, |j| format!("tops[{j}]")),
        account: rings.rx("account"),
        intents: rings.tx("intents"),
        books: rings.each_tx(t::BOOKS, |j| format!("books[{j}]")),
        control: rings.control(parts.control),
    };
    let planted = |strategy: Box<dyn Strategy>| match parts.plant {
        Some(plant) => plant.into_strategy(strategy),
        None => strategy,
    };
    let strategies = parts.strategies.iter().map(settings::strategy_of).map(planted).collect();
    let held = parts.risk.recovered.held_after(&parts.risk.held);
    let stops = parts.routing.stop_bps.clone();
    let exits = parts.routing.exits.clone();
    let mut config =
        SignalConfig { held, stops, exits, ..SignalConfig::new(strategies, OrderId(1)) };
    if let Some(bps) = parts.routing.flatten_slip_bps {
        config.routing.flatten_slip_bps = bps;
    }
    for (own, configured) in config.routing.taker_e8.iter_mut().zip(&parts.routing.taker_e8) {
        *own = *configured;
    }
    let parents = rings.tx("parents");
    SignalAgent::new(config, parts.table.clone(), ports, metrics).with_parents(parents)
}

fn risk_agent(
    parts: &Parts<'_>,
    metrics: &Metrics,
    rings: &mut Rings,
) -> Result<RiskAgent, Failure> {
    let venues = parts.table.venues_len();
    let ports = RiskPorts {
        marks: rings.each_rx(t::BOOKS, |j| format!("marks[{j}]")),
        reports: rings.each_rx(venues, t::reports),
        intents: rings.rx("intents"),
        approved: rings.each_tx(venues, t::approved),
        account: rings.tx("account"),
        log: LogTx::new(rings.tx("log[risk]"), t::LOG_RISK),
        commands: rings.rx("commands"),
        control: rings.control(parts.control),
    };
    let agent = RiskAgent::new(parts.risk.clone(), ports, metrics)?;
    Ok(agent.with_log_stall(parts.log_stall_ns_max))
}
