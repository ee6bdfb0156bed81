//! Builds rings, agents, arenas and lanes as the table and the plan say.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bot4_alloc::arena::LaneArena;
use bot4_alloc::huge::Rung;
use bot4_alloc::seal::{self, AgentTag, Class};
use bot4_book::{BookAgent, BookConfig, BookPorts};
use bot4_execution::{BinanceGateway, ExecutionAgent, ExecutionConfig, ExecutionPorts};
use bot4_feeds::parse_agent::{ParseAgent, ParsePorts};
use bot4_feeds::wire_agent::{WireAgent, WireConfig, WirePorts};
use bot4_journal::store::Store;
use bot4_journal::{JournalAgent, JournalConfig, JournalWriter};
use bot4_lanes::{
    Agent, Clock, Control, Journaled, Lane, LaneHandle, LaneSpec, LaneThread, LogTx, Metrics,
    Probe, Rx, Tx, ring,
};
use bot4_risk::{RiskAgent, RiskConfig, RiskPorts};
use bot4_signals::{SignalAgent, SignalConfig, SignalPorts};
use bot4_telemetry::{TelemetryAgent, TelemetryConfig};
use bot4_types::{Instrument, Nanos, OrderId};
use bot4_wire::{Endpoint, WsConfig};

use super::access::Access;
use super::control::ControlAgent;
use super::dirs::RunDir;
use super::outcome::Opening;
use super::plan::Plan;
use super::settings;
use crate::config::Config;
use crate::replay::inputs::{About, RunInputs, config_hash};
use crate::topology as t;

type Failure = Box<dyn std::error::Error>;

/// What the wiring needs.
pub struct Inputs<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Topology and placement.
    pub plan: &'a Plan,
    /// The engine's clock.
    pub clock: &'a Clock,
    /// The kill word.
    pub control: &'a Control,
    /// The run's folder.
    pub dir: &'a RunDir,
    /// Endpoints, keys and network.
    pub access: &'a Access,
    /// Instruments and balances at the start.
    pub opening: &'a Opening,
    /// Where histogram dumps go.
    pub latency_dir: Option<PathBuf>,
    /// The journal's disk jobs run on helper threads; inline in simulation.
    pub journal_helper: bool,
    /// The journal's disk where it is not a directory: the simulator's twin.
    pub disk: Option<&'a dyn Fn() -> Box<dyn Store>>,
}

/// Everything built, nothing started.
pub struct Wired {
    /// Counters of all agents.
    pub metrics: Metrics,
    lanes: Vec<LaneSpec>,
    clock: Clock,
    control: Control,
}

/// What is left when all lanes have ended.
pub struct Ended {
    /// All agents, for their final state.
    pub agents: Vec<Box<dyn Agent>>,
    /// Counters of all agents.
    pub metrics: Metrics,
    /// What lies under the arenas: the lowest rung of all.
    pub rung: Rung,
    /// Lanes that did not end when asked to; their agents are not among the above.
    pub stuck: Vec<String>,
}

/// How long a lane may take to end, closing its agents included.
const END_PATIENCE: std::time::Duration = std::time::Duration::from_secs(3);

/// Builds every agent but control, in the order of the table, over `rings`: for the simulator.
///
/// # Errors
/// What cannot be built.
pub fn agents(
    inputs: &Inputs<'_>,
    metrics: &Metrics,
    mut rings: Rings,
) -> Result<Vec<Box<dyn Agent>>, Failure> {
    let roles = inputs.plan.topology.roles.iter().filter(|r| **r != "control");
    roles.map(|role| build(role, inputs, metrics, &mut rings)).collect()
}

/// Builds the machine.
///
/// # Errors
/// What cannot be built, with its mend.
pub fn wire(inputs: &Inputs<'_>) -> Result<Wired, Failure> {
    let metrics = Metrics::in_memory();
    let mut rings = Rings::scaled(1);
    let mut lanes = Vec::new();
    let rung = settings::rung_of(inputs.config.huge_pages);
    let instruments = inputs.opening.info.table.all().len();
    for lane in &inputs.plan.placement.lanes {
        let bytes = lane.roles.iter().map(|role| settings::memory_of(role, instruments)).sum();
        let arena = LaneArena::new(bytes, rung)?;
        let _scope = arena.enter();
        let mut agents = Vec::with_capacity(lane.roles.len());
        for role in lane.roles.iter().filter(|r| **r != "control") {
            let agent = build(role, inputs, &metrics, &mut rings)?;
            agents.push((agent, tag_of(role)));
        }
        lanes.push(LaneSpec {
            name: lane.name.clone(),
            cpu: Some(lane.cpu),
            idle: lane.idle,
            agents,
            arena: Some(arena),
            trap_syscalls: false,
        });
    }
    let (clock, control) = (inputs.clock.clone(), inputs.control.clone());
    Ok(Wired { metrics, lanes, clock, control })
}

impl Wired {
    /// Makes lanes of compute roles trap system calls after warm-up: a test aid.
    pub fn trap_syscalls(&mut self, plan: &Plan) {
        for (spec, lane) in self.lanes.iter_mut().zip(&plan.placement.lanes) {
            spec.trap_syscalls = lane.is_compute();
        }
    }

    /// Starts all lanes, runs the first on this thread with `supervisor` on it, and gives the
    /// agents back when all have ended.
    ///
    /// # Errors
    /// When a thread cannot be made.
    pub fn run(mut self, mut supervisor: ControlAgent) -> Result<Ended, Failure> {
        let rungs = self.lanes.iter().filter_map(|l| l.arena.as_ref().map(LaneArena::rung));
        let rung = rungs.min().unwrap_or(Rung::Plain);
        let first = self.lanes.remove(0);
        let mut lanes = Vec::new();
        for spec in self.lanes {
            lanes.push(Lane::new(spec, self.clock.clone(), self.control.clone(), &self.metrics));
        }
        let main = Lane::new(first, self.clock, self.control, &self.metrics);
        let mut handles: Vec<LaneHandle> = vec![main.handle()];
        handles.extend(lanes.iter().map(Lane::handle));
        supervisor.attach(handles);
        let threads: Vec<LaneThread> =
            lanes.into_iter().map(Lane::spawn).collect::<std::io::Result<_>>()?;
        let main = main.with_agent(Box::new(supervisor), seal::register(Class::Cold));
        let mut agents = main.run();
        let mut stuck = Vec::new();
        for thread in threads {
            match thread.join_within(END_PATIENCE) {
                Ok(ended) => agents.extend(ended),
                Err(thread) => stuck.push(thread.handle.name().to_owned()),
            }
        }
        Ok(Ended { agents, metrics: self.metrics, rung, stuck })
    }
}

fn tag_of(role: &str) -> AgentTag {
    let class = match role {
        "telemetry" | "control" | "journal" => Class::Cold,
        "execution" => Class::Io,
        r if r.starts_with("wire") => Class::Io,
        _ => Class::Hot,
    };
    seal::register(class)
}

/// Ring ends that wait for the agent that owns them. Each is made when the first of its two
/// agents is built, so its memory lies in that agent's lane; the other end is kept here by the
/// link's name.
pub struct Rings {
    ends: BTreeMap<String, Box<dyn std::any::Any>>,
    journaled: Journaled,
    divisor: usize,
}

impl Rings {
    /// No ring yet; each will have its capacity in the table divided by `divisor`.
    #[must_use]
    pub fn scaled(divisor: usize) -> Self {
        Self { ends: BTreeMap::new(), journaled: Journaled::new(), divisor }
    }

    /// Cuts link `name` in two before its agents are built: the reading end of the first half
    /// and the writing end of the second. Whoever holds them carries the messages over.
    pub fn cut<T: Send + 'static>(&mut self, name: &str) -> (Rx<T>, Tx<T>) {
        let (first_tx, first_rx) = ring(self.capacity(name));
        let (second_tx, second_rx) = ring(self.capacity(name));
        let ends: (Option<Tx<T>>, Option<Rx<T>>) = (Some(first_tx), Some(second_rx));
        self.ends.insert(name.to_owned(), Box::new(ends));
        (first_rx, second_tx)
    }

    /// What the journal will have published.
    #[must_use]
    pub fn journaled(&self) -> Journaled {
        self.journaled.clone()
    }

    fn capacity(&self, name: &str) -> usize {
        let table = t::topology();
        let row = table.links.iter().find(|l| l.name == name);
        row.map_or(1, |l| t::capacity_of(l, self.divisor))
    }

    fn both<T: Send + 'static>(&mut self, name: &str) -> (Option<Tx<T>>, Option<Rx<T>>) {
        let waiting = self.ends.remove(name);
        match waiting.map(|end| end.downcast::<(Option<Tx<T>>, Option<Rx<T>>)>()) {
            Some(Ok(pair)) => *pair,
            _ => {
                let (tx, rx) = ring(self.capacity(name));
                (Some(tx), Some(rx))
            }
        }
    }

    fn tx<T: Send + 'static>(&mut self, name: &str) -> Tx<T> {
        let (tx, rx) = self.both::<T>(name);
        self.ends.insert(name.to_owned(), Box::new((None::<Tx<T>>, rx)));
        tx.unwrap_or_else(|| unreachable!("link {name} has one writer"))
    }

    fn rx<T: Send + 'static>(&mut self, name: &str) -> Rx<T> {
        let (tx, rx) = self.both::<T>(name);
        self.ends.insert(name.to_owned(), Box::new((tx, None::<Rx<T>>)));
        rx.unwrap_or_else(|| unreachable!("link {name} has one reader"))
    }

    fn each_tx<T: Send + 'static>(
        &mut self,
        n: usize,
        name: impl Fn(usize) -> String,
    ) -> Vec<Tx<T>> {
        (0..n).map(|i| self.tx(&name(i))).collect()
    }

    fn each_rx<T: Send + 'static>(
        &mut self,
        n: usize,
        name: impl Fn(usize) -> String,
    ) -> Vec<Rx<T>> {
        (0..n).map(|i| self.rx(&name(i))).collect()
    }
}

fn build(
    role: &str,
    inputs: &Inputs<'_>,
    metrics: &Metrics,
    rings: &mut Rings,
) -> Result<Box<dyn Agent>, Failure> {
    Ok(match role {
        "wire.0" => Box::new(wire_agent(0, inputs, metrics, rings)?),
        "wire.1" => Box::new(wire_agent(1, inputs, metrics, rings)?),
        "parse.0" => Box::new(parse_agent(0, inputs, metrics, rings)?),
        "parse.1" => Box::new(parse_agent(1, inputs, metrics, rings)?),
        "book.0" => Box::new(book_agent(0, inputs, metrics, rings)),
        "book.1" => Box::new(book_agent(1, inputs, metrics, rings)),
        "signal" => Box::new(signal_agent(inputs, metrics, rings)),
        "risk" => Box::new(risk_agent(inputs, metrics, rings)?),
        "execution" => Box::new(execution_agent(inputs, metrics, rings)?),
        "journal" => Box::new(journal_agent(inputs, metrics, rings)?),
        "telemetry" => Box::new(telemetry_agent(inputs, metrics)),
        other => unreachable!("role {other} is not in the table"),
    })
}

/// Instruments whose data wire and parse lane `index` carry.
fn share(inputs: &Inputs<'_>, index: usize) -> Vec<Instrument> {
    let all = inputs.opening.info.table.all();
    all.iter().filter(|i| i.id.index() % t::WIRES == index).copied().collect()
}

fn wire_agent(
    index: usize,
    inputs: &Inputs<'_>,
    metrics: &Metrics,
    rings: &mut Rings,
) -> Result<WireAgent, Failure> {
    let (connector, endpoint) = inputs.access.connector(&inputs.access.market)?;
    let snapshots = Endpoint::parse(&inputs.access.api)?;
    // The weight of the account's address is shared: half for the wire agents together, of which
    // snapshots may use a part, the rest for orders and questions.
    let weight = inputs.opening.info.limits.weight_minute / (2 * t::WIRES as u32);
    let session = inputs.config.venue.venue.market_session(weight)?;
    let config = WireConfig {
        slots_small: settings::SLOTS_SMALL,
        slots_large: settings::SLOTS_LARGE,
        seed: inputs.config.seed.wrapping_add(10 + index as u64),
        ..WireConfig::new(index, endpoint, snapshots, share(inputs, index))
    };
    let ports = WirePorts {
        frames: rings.tx(&format!("frames[{index}]")),
        slots: rings.rx(&format!("slots[{index}]")),
        resync: rings.each_rx(t::BOOKS, |j| format!("resync[{j}][{index}]")),
    };
    Ok(WireAgent::new(config, ports, session, connector, metrics))
}

fn parse_agent(
    index: usize,
    inputs: &Inputs<'_>,
    metrics: &Metrics,
    rings: &mut Rings,
) -> Result<ParseAgent, Failure> {
    let decoder = inputs.config.venue.venue.market_decoder(&inputs.opening.info.table)?;
    let ports = ParsePorts {
        frames: rings.rx(&format!("frames[{index}]")),
        slots: rings.tx(&format!("slots[{index}]")),
        market: rings.each_tx(t::BOOKS, |j| format!("market[{index}][{j}]")),
        blocks: rings.each_rx(t::BOOKS, |j| format!("blocks[{j}][{index}]")),
    };
    Ok(ParseAgent::new(ports, decoder, metrics, index).with_blocks(settings::BLOCKS))
}

fn book_agent(
    index: usize,
    inputs: &Inputs<'_>,
    metrics: &Metrics,
    rings: &mut Rings,
) -> BookAgent {
    let ports = BookPorts {
        market: rings.each_rx(t::WIRES, |i| format!("market[{i}][{index}]")),
        blocks: rings.each_tx(t::WIRES, |i| format!("blocks[{index}][{i}]")),
        resync: rings.each_tx(t::WIRES, |i| format!("resync[{index}][{i}]")),
        tops: rings.tx(&format!("tops[{index}]")),
        marks: rings.tx(&format!("marks[{index}]")),
    };
    let table = &inputs.opening.info.table;
    let snapshot_levels = inputs.config.venue.venue.rules().snapshot_levels;
    let config = BookConfig { snapshot_levels, ..BookConfig::default() };
    BookAgent::new(index, t::BOOKS, t::WIRES, table, config, ports, metrics)
}

fn signal_agent(inputs: &Inputs<'_>, metrics: &Metrics, rings: &mut Rings) -> SignalAgent {
    let ports = SignalPorts {
        tops: rings.each_rx(t::BOOKS, |j| format!("tops[{j}]")),
        account: rings.rx("account"),
        intents: rings.tx("intents"),
        control: inputs.control.clone(),
    };
    let config = SignalConfig::new(settings::strategies_of(inputs.config), OrderId(1));
    SignalAgent::new(config, inputs.opening.info.table.clone(), ports, metrics)
}

fn risk_agent(
    inputs: &Inputs<'_>,
    metrics: &Metrics,
    rings: &mut Rings,
) -> Result<RiskAgent, Failure> {
    let ports = RiskPorts {
        marks: rings.each_rx(t::BOOKS, |j| format!("marks[{j}]")),
        reports: rings.rx("reports"),
        intents: rings.rx("intents"),
        approved: rings.tx("approved"),
        account: rings.tx("account"),
        log: LogTx::new(rings.tx("log[risk]"), t::LOG_RISK),
        control: inputs.control.clone(),
    };
    Ok(RiskAgent::new(risk_config(inputs), ports, metrics)?)
}

/// What risk starts from; the journal holds the same.
fn risk_config(inputs: &Inputs<'_>) -> RiskConfig {
    RiskConfig {
        limits: settings::limits_of(&inputs.config.risk),
        table: inputs.opening.info.table.clone(),
        balances: inputs.opening.balances.clone(),
        quote: inputs.opening.equity_asset,
        strategies: inputs.config.strategies.len().max(1),
    }
}

fn execution_agent(
    inputs: &Inputs<'_>,
    metrics: &Metrics,
    rings: &mut Rings,
) -> Result<ExecutionAgent, Failure> {
    let (connector, endpoint) = inputs.access.connector(&inputs.access.api)?;
    let table = &inputs.opening.info.table;
    let credentials = inputs.access.credentials()?;
    let gateway = BinanceGateway::new(credentials, table, inputs.dir.epoch);
    let config = ExecutionConfig {
        table: table.clone(),
        epoch: inputs.dir.epoch,
        wall: inputs.opening.wall,
        limits: inputs.opening.info.limits,
        endpoint,
        ws: WsConfig::default(),
        seed: inputs.config.seed.wrapping_add(20),
    };
    let ports = ExecutionPorts {
        approved: rings.rx("approved"),
        reports: rings.tx("reports"),
        log: LogTx::new(rings.tx("log[execution]"), t::LOG_EXECUTION),
        journaled: rings.journaled.clone(),
        risk_lane: t::LOG_RISK,
        control: inputs.control.clone(),
    };
    let gateway = Box::new(gateway);
    Ok(ExecutionAgent::new(config, ports, gateway, connector, metrics))
}

/// How long the journal may take to write what the run starts from.
const INPUTS_PATIENCE: Nanos = Nanos::from_secs(5);

fn journal_agent(
    inputs: &Inputs<'_>,
    metrics: &Metrics,
    rings: &mut Rings,
) -> Result<JournalAgent, Failure> {
    let dir = journal_dir(inputs.config, inputs.dir);
    let mut config = JournalConfig::new(dir, inputs.dir.epoch, inputs.opening.wall);
    config.segment_bytes = inputs.config.segment_bytes;
    config.helper = inputs.journal_helper;
    config.stall_ns_max = inputs.config.stall_max.as_nanos() as u64;
    // Simulated time has not begun yet.
    let now = if inputs.journal_helper { inputs.clock.now() } else { Nanos::ZERO };
    let written = record_inputs(inputs, now, rings)?;
    // By log lane: risk, execution, run.
    let logs = vec![rings.rx("log[risk]"), rings.rx("log[execution]"), rings.rx("log[control]")];
    let journaled = rings.journaled.clone();
    let agent = match inputs.disk {
        None => JournalAgent::new(&config, logs, journaled, metrics).map_err(|e| {
            format!("error: no journal in {}: {e}\nhelp: see [journal]", config.dir.display())
        })?,
        Some(disk) => {
            let writer = JournalWriter::over(&config, &mut || disk(), None)?;
            JournalAgent::over(writer, logs, journaled, metrics)
        }
    };
    let mut agent = agent.with_control(inputs.control.clone());
    // No lane runs yet, so what the run starts from becomes the first thing in the journal.
    agent.start(now)?;
    let mut at = now;
    while rings.journaled.get(t::LOG_RUN) < written {
        agent.work(at, &mut Probe::logical())?;
        if at.since(now) > INPUTS_PATIENCE {
            return Err(
                "error: the journal's disk does not take the run's inputs within 5 s".into()
            );
        }
        at = if inputs.journal_helper { inputs.clock.now() } else { at + Nanos::from_millis(1) };
    }
    Ok(agent)
}

/// Where the journal of the run in `dir` lies.
#[must_use]
pub fn journal_dir(config: &Config, dir: &RunDir) -> PathBuf {
    match &config.journal_dir {
        Some(parent) => parent.join(&dir.id),
        None => dir.path.join("journal"),
    }
}

/// Writes what the run starts from to its log link; returns the last record's sequence.
fn record_inputs(inputs: &Inputs<'_>, now: Nanos, rings: &mut Rings) -> Result<u64, Failure> {
    let about = About {
        run: &inputs.dir.id,
        epoch: inputs.dir.epoch.0,
        config_hash: config_hash(inputs.config),
        seed: inputs.config.seed,
    };
    let mut log = LogTx::new(rings.tx("log[control]"), t::LOG_RUN);
    for record in RunInputs::of(&risk_config(inputs), &about).records(now) {
        log.push(record).map_err(|_| "the run's inputs are longer than their log link")?;
    }
    Ok(log.last_seq())
}

fn telemetry_agent(inputs: &Inputs<'_>, metrics: &Metrics) -> TelemetryAgent {
    let latency_dir = inputs.latency_dir.clone().unwrap_or_else(|| inputs.dir.path.join("latency"));
    let config = TelemetryConfig {
        latency_dir: inputs.disk.is_none().then_some(latency_dir),
        wall: inputs.opening.wall,
        interval: bot4_telemetry::agent::INTERVAL,
    };
    TelemetryAgent::new(config, metrics.clone())
}
