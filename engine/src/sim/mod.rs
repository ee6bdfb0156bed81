//! The simulator: the engine's own agents and rings, stepped on one thread in logical time
//! against the simulated venue over the memory network. Network, clock and the journal's disk
//! jobs are twins; everything else is what runs live.
//!
//! ```text
//! seed --> stepper: picks who works next, moves time
//!            |-- wire, parse, book, signal, risk, journal, execution, telemetry   (the real ones)
//!            '-- venue agent: simulated venue on the other end of the memory network
//! ```
//!
//! The same seed gives the same run: two runs must leave journals with equal content.

mod venue_agent;

use std::any::Any;
use std::path::Path;

use bot4_execution::ExecutionAgent;
use bot4_journal::{JournalAgent, content_hash};
use bot4_lanes::{Agent, Clock, Control, Fault, Metrics, Stepper};
use bot4_risk::RiskAgent;
use bot4_types::instrument::Amount;
use bot4_types::{RunEpoch, Wall};
use bot4_wire::transport::memory::Network;

use crate::config::{self, Config};
use crate::run::access::{Access, Net};
use crate::run::dirs::RunDir;
use crate::run::outcome::Opening;
use crate::run::plan::Plan;
use crate::run::wiring;
use venue_agent::VenueAgent;

/// Unix time at which simulated time begins.
const ORIGIN_UNIX_NS: i64 = 1_700_000_000_000_000_000;
/// Longest step: with twelve agents each is cycled about every 240 microseconds.
const STEP_NS_MAX: u64 = 40_000;
/// Share of the steps that trade; the rest drains.
const TRADING_TENTHS: u64 = 9;

type Failure = Box<dyn std::error::Error>;

/// What a simulated run did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimEnd {
    /// Its seed.
    pub seed: u64,
    /// Steps taken.
    pub steps: u64,
    /// Simulated time in milliseconds.
    pub sim_ms: u64,
    /// New orders sent.
    pub orders: u64,
    /// Fills booked.
    pub fills: u64,
    /// Orders open or unknown at the end.
    pub open: u64,
    /// Journal records.
    pub records: u64,
    /// Hash over the journal's content.
    pub journal_hash: u128,
    /// Hash over risk's decisions.
    pub decision_hash: u64,
    /// What does not agree with the venue at the end, as sentences.
    pub unsafe_findings: Vec<String>,
    /// The first fault of an agent.
    pub fault: Option<Fault>,
}

/// Runs `steps` steps from `seed`; the journal goes into `dir`.
///
/// # Errors
/// When the machine cannot be built.
pub fn run(seed: u64, steps: u64, dir: &Path) -> Result<SimEnd, Failure> {
    let mut config = config::demo()?;
    config.seed = seed;
    let network = Network::new(seed);
    let wall = Wall { origin_unix_ns: ORIGIN_UNIX_NS };
    let (venue, keys) = VenueAgent::new(seed, &network, wall)?;
    let opening = opening(&config, &venue, wall)?;
    let access = Access {
        market: "wss://venue.sim".to_owned(),
        api: "wss://venue.sim/ws-api/v3".to_owned(),
        api_key: keys.api_key,
        key_text: keys.private_key,
        key_path: "the simulator".to_owned(),
        net: Net::Memory(network),
    };
    let (control, metrics) = (Control::new(), Metrics::in_memory());
    let mut agents = build(&config, &opening, &access, &control, &metrics, dir)?;
    agents.push(Box::new(venue));
    let mut stepper = Stepper::new(agents, seed, STEP_NS_MAX);
    stepper.start()?;
    let mut fault = None;
    for step in 0..steps {
        if step == steps / 10 * TRADING_TENTHS {
            control.drain();
        }
        if let Err(f) = stepper.step() {
            fault = Some(f);
            break;
        }
    }
    let (steps, now) = (stepper.steps(), stepper.now());
    let finals = Finals::of(stepper.finish())?;
    let end = SimEnd {
        seed,
        steps,
        sim_ms: now.millis(),
        orders: metrics.total_of("execution", "orders_sent"),
        journal_hash: 0,
        fault,
        ..finals.end(&opening)
    };
    let journal_hash = content_hash(&dir.join("journal"))?;
    Ok(SimEnd { journal_hash, ..end })
}

fn build(
    config: &Config,
    opening: &Opening,
    access: &Access,
    control: &Control,
    metrics: &Metrics,
    dir: &Path,
) -> Result<Vec<Box<dyn Agent>>, Failure> {
    let plan = Plan::of(config)?;
    let dir = RunDir { id: "sim".to_owned(), path: dir.to_owned(), epoch: RunEpoch(1) };
    let inputs = wiring::Inputs {
        config,
        plan: &plan,
        clock: &Clock::monotonic(),
        control,
        dir: &dir,
        access,
        opening,
        latency_dir: None,
        journal_helper: false,
    };
    wiring::agents(&inputs, metrics)
}

fn opening(config: &Config, venue: &VenueAgent, wall: Wall) -> Result<Opening, Failure> {
    let mut info = venue.exchange_info(&config.venue.symbols)?;
    let equity_asset =
        info.table.asset(config.risk.equity_asset).map_err(|e| format!("equity asset: {e:?}"))?;
    let balances = venue
        .balances()
        .into_iter()
        .filter_map(|(name, amount)| Some((info.table.find_asset(name.as_bytes())?, amount)))
        .collect();
    let start_ms = ORIGIN_UNIX_NS / 1_000_000;
    let (notes, seed) = (Vec::new(), config.seed);
    Ok(Opening { info, wall, balances, equity_asset, start_ms, notes, seed })
}

/// The agents whose final state matters.
struct Finals {
    execution: Box<ExecutionAgent>,
    risk: Box<RiskAgent>,
    journal: Box<JournalAgent>,
    venue: Box<VenueAgent>,
}

impl Finals {
    fn of(agents: Vec<Box<dyn Agent>>) -> Result<Self, Failure> {
        let (mut execution, mut risk, mut journal, mut venue) = (None, None, None, None);
        for agent in agents {
            let role = agent.role();
            let any: Box<dyn Any> = agent;
            match role {
                "execution" => execution = any.downcast().ok(),
                "risk" => risk = any.downcast().ok(),
                "journal" => journal = any.downcast().ok(),
                "venue" => venue = any.downcast().ok(),
                _ => {}
            }
        }
        match (execution, risk, journal, venue) {
            (Some(execution), Some(risk), Some(journal), Some(venue)) => {
                Ok(Self { execution, risk, journal, venue })
            }
            _ => Err("an agent did not come back".into()),
        }
    }

    /// The end state, with every difference from the venue's own account.
    fn end(mut self, opening: &Opening) -> SimEnd {
        let (open, unknown) = self.execution.open_and_unknown();
        let mut findings = Vec::new();
        if open == 0 && unknown == 0 {
            for (name, theirs) in self.venue.balances() {
                let Some(asset) = opening.info.table.find_asset(name.as_bytes()) else { continue };
                let ours = self.risk.expected_balance(asset);
                if ours != theirs {
                    findings.push(format!("balance of {name}: ours {ours}, the venue's {theirs}"));
                }
            }
        }
        let desk = self.execution.desk_counts();
        if desk.overfills > 0 || desk.foreign_fills > 0 {
            findings.push(format!(
                "{} overfills, {} foreign fills",
                desk.overfills, desk.foreign_fills
            ));
        }
        let journal = self.journal.stats();
        if journal.lost > 0 {
            findings.push(format!("{} journal records lost", journal.lost));
        }
        SimEnd {
            seed: 0,
            steps: 0,
            sim_ms: 0,
            orders: 0,
            fills: self.risk.fills_applied(),
            open: open as u64,
            records: journal.records,
            journal_hash: 0,
            decision_hash: self.risk.decision_hash(),
            unsafe_findings: findings,
            fault: None,
        }
    }
}

/// A balance of the venue in the engine's amounts.
const fn amount(units_e8: i128) -> Amount {
    units_e8 * 100_000_000
}
