//! Builds rings, agents, arenas and lanes as the table and the plan say.

use std::path::PathBuf;

use bot4_alloc::arena::LaneArena;
use bot4_alloc::huge::Rung;
use bot4_alloc::seal::{self, AgentTag, Class};
use bot4_execution::{
    BinanceGateway, BybitGateway, CoinbaseGateway, ExecutionAgent, ExecutionConfig, ExecutionPorts,
    Gateway, KrakenGateway, OkxGateway, Requester,
};
use bot4_feeds::Tee;
use bot4_feeds::wire_agent::scout::{Part, Reach};
use bot4_feeds::wire_agent::{WireAgent, WireConfig, WirePorts};
use bot4_journal::store::Store;
use bot4_journal::{JournalAgent, JournalConfig, JournalWriter};
use bot4_lanes::{
    Agent, Clock, Control, Lane, LaneHandle, LaneSpec, LaneThread, LogTx, Metrics, Probe, Recorded,
    Rx, recorded, ring,
};
use bot4_risk::breaker::BreakerLimits;
use bot4_risk::{EquityStart, RiskConfig};
use bot4_telemetry::shared::Publisher;
use bot4_telemetry::{DumpLine, TelemetryAgent, TelemetryConfig};
use bot4_types::{ConnId, InstrumentTable, LogEntry, Nanos, Shards};
use bot4_venues::registry::Venue;
use bot4_venues::secret::Scheme;
use bot4_venues::{MarketSession, bybit};
use bot4_wire::http::HttpConfig;
use bot4_wire::{Endpoint, WsConfig};

use super::capture::CaptureSink;
use super::chain::{self, Parts, Routing};
use super::control::{ControlAgent, ControlLinks};
use super::courier::RestCourier;
use super::dirs::RunDir;
use super::history::LATENCY_DIR;
use super::observe::NoOrders;
use super::outcome::Opening;
use super::plan::Plan;
use super::plant::{self, Plant};
pub use super::rings::Rings;
use super::site::Site;
use super::{settings, sharding, shared, shedding};
use crate::config::Config;
use crate::replay::chain::inputs::{ChainInputs, ExitRow, StrategyRow};
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
    /// The venues, with endpoints, keys and network.
    pub sites: &'a [Site],
    /// Instruments and balances at the start.
    pub opening: &'a Opening,
    /// Where histogram dumps go.
    pub latency_dir: Option<PathBuf>,
    /// How often, unless as usual.
    pub latency_every: Option<Nanos>,
    /// Who wishes one now.
    pub dumps: DumpLine,
    /// The journal's disk jobs run on helper threads; inline in simulation.
    pub journal_helper: bool,
    /// Where raw frames go in a run that is captured.
    pub capture: Option<&'a CaptureSink>,
    /// Venue and account.
    pub account: &'a str,
    /// Counters of all agents: in a file for other processes, or in memory.
    pub metrics: Metrics,
    /// A planted mistake: a test aid.
    pub plant: Option<Plant>,
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
    links: ControlLinks,
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

/// What lies under the arenas, the lowest of all (gauge): see [`Rung`].
const PAGES: &[&str] = &["pages_rung"];

/// Builds the machine.
///
/// # Errors
/// What cannot be built, with its mend.
pub fn wire(inputs: &Inputs<'_>) -> Result<Wired, Failure> {
    let metrics = inputs.metrics.clone();
    let mut rings = Rings::scaled(1).gated(inputs.capture.is_some()).measured(&metrics);
    let mut lanes = Vec::new();
    let rung = settings::rung_of(inputs.config.huge_pages);
    for lane in &inputs.plan.placement.lanes {
        let arena = LaneArena::new(inputs.plan.arena_of(lane), rung)?;
        let _scope = arena.enter();
        let mut agents = Vec::with_capacity(lane.roles.len());
        for role in lane.roles.iter().filter(|r| **r != "control") {
            let agent = build(role, inputs, &metrics, &mut rings)?;
            agents.push((plant::into_agent(inputs.plant, agent), tag_of(role)));
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
    let lowest = lanes.iter().filter_map(|l| l.arena.as_ref().map(LaneArena::rung)).min();
    metrics.counters("control", PAGES).set(0, lowest.unwrap_or(Rung::Plain) as u64);
    let (clock, control) = (inputs.clock.clone(), inputs.control.clone());
    let links = ControlLinks {
        commands: rings.tx("commands"),
        parents: rings.rx("parents"),
        log: rings.kept("log[control]"),
    };
    Ok(Wired { metrics, lanes, clock, control, links })
}

impl Wired {
    /// Makes lanes of compute roles trap system calls after warm-up, where that is `wanted`: a
    /// test aid.
    pub fn trap_syscalls(&mut self, wanted: bool, plan: &Plan) {
        for (spec, lane) in self.lanes.iter_mut().zip(&plan.placement.lanes) {
            spec.trap_syscalls = wanted && lane.is_compute();
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
        supervisor.attach(handles, self.links);
        let threads: Vec<LaneThread> =
            lanes.into_iter().map(Lane::spawn).collect::<std::io::Result<_>>()?;
        // Best effort: what stays out shows in the lanes' fault counts.
        let _ = bot4_alloc::populate_memory();
        let main = main.with_agent(Box::new(supervisor), seal::register(Class::Cold));
        let mut agents = main.run();
        let mut stuck = Vec::new();
        for thread in threads {
            match thread.join_within(END_PATIENCE) {
                Ok(ended) => agents.extend(ended),
                Err(thread) => stuck.push(thread.handle.name().to_owned()),
            }
        }
        let agents = agents.into_iter().map(plant::out_of).map(recorded::unwrapped).collect();
        Ok(Ended { agents, metrics: self.metrics, rung, stuck })
    }
}

fn tag_of(role: &str) -> AgentTag {
    let class = match role {
        "telemetry" | "control" | "journal" => Class::Cold,
        r if r.starts_with("wire") || r.starts_with("execution") => Class::Io,
        _ => Class::Hot,
    };
    seal::register(class)
}

fn build(
    role: &str,
    inputs: &Inputs<'_>,
    metrics: &Metrics,
    rings: &mut Rings,
) -> Result<Box<dyn Agent>, Failure> {
    Ok(match role {
        role if t::WIRE.contains(&role) => {
            let index = t::WIRE.iter().position(|r| *r == role).unwrap_or_default();
            Box::new(wire_agent(index, inputs, metrics, rings)?)
        }
        role if t::EXECUTION.contains(&role) => {
            let v = t::EXECUTION.iter().position(|r| *r == role).unwrap_or_default();
            match inputs.sites[v].config.trades() {
                true => Box::new(execution_agent(v, inputs, metrics, rings)?),
                false => Box::new(no_orders(v, metrics, rings)),
            }
        }
        "journal" => Box::new(journal_agent(inputs, metrics, rings)?),
        "telemetry" => Box::new(telemetry_agent(inputs, metrics)),
        other => chained(other, inputs, metrics, rings)?,
    })
}

/// Makes an agent of the chain; one whose turns are recorded in a run that is captured.
fn chained(
    role: &str,
    inputs: &Inputs<'_>,
    metrics: &Metrics,
    rings: &mut Rings,
) -> Result<Box<dyn Agent>, Failure> {
    let venues: Vec<_> = inputs.sites.iter().map(Site::venue).collect();
    let risk = risk_config(inputs);
    let tee = inputs.capture.map(|capture| {
        let wall = inputs.opening.wall;
        let shedding = inputs.control.shedding();
        move |i: usize| {
            Tee::new(capture.link(i), wall, t::PARSE[i], metrics).with_shedding(shedding.clone())
        }
    });
    let (shards, routing) = (shards(inputs), Routing::of(inputs.config));
    let parts = Parts {
        venues: &venues,
        table: &inputs.opening.info.table,
        shards: &shards,
        control: inputs.control,
        risk: &risk,
        strategies: &inputs.config.strategies,
        routing: &routing,
        plant: inputs.plant,
        low_priority: &shedding::marked(inputs.config, &inputs.opening.info.table),
        log_stall_ns_max: inputs.config.stall_max.as_nanos() as u64,
        tee: tee.as_ref().map(|tee| tee as &dyn Fn(usize) -> Tee),
    };
    rings.open_gate();
    let agent = chain::build(role, &parts, metrics, rings)?;
    let Some(gate) = rings.close_gate() else { return Ok(agent) };
    let place = chain::place_of(role);
    let index = place.unwrap_or_else(|| unreachable!("role {role} is not in the chain"));
    let lane = t::LOG_TURNS + index as u8;
    let log = LogTx::new(rings.tx(&format!("turns[{role}]")), lane);
    let recorded = Recorded::new(agent, gate, log, index as u8, metrics);
    Ok(Box::new(recorded.with_shedding(inputs.control.shedding().clone())))
}

/// Which lanes and connections serve each instrument.
fn shards(inputs: &Inputs<'_>) -> Shards {
    sharding::shards_of(inputs.config, &inputs.opening.info.table)
}

/// Wire agents that have instruments of `site`, in order. Connection and wire lane have the same
/// number.
fn wires_in_use(shards: &Shards, table: &InstrumentTable, site: &Site) -> Vec<usize> {
    let own = |id| table.get(id).is_some_and(|i| i.venue == site.id);
    let busy = |i: &usize| shards.carried_by(ConnId(*i as u16)).any(own);
    (0..shards.wires()).filter(busy).collect()
}

/// The venue whose data wire agent `index` carries; the first where it has none.
fn site_of_wire<'a>(index: usize, shards: &Shards, inputs: &Inputs<'a>) -> &'a Site {
    let table = &inputs.opening.info.table;
    let serves = |site: &&Site| wires_in_use(shards, table, site).contains(&index);
    inputs.sites.iter().find(serves).unwrap_or(&inputs.sites[0])
}

fn wire_agent(
    index: usize,
    inputs: &Inputs<'_>,
    metrics: &Metrics,
    rings: &mut Rings,
) -> Result<WireAgent, Failure> {
    let shards = shards(inputs);
    let site = site_of_wire(index, &shards, inputs);
    let access = &site.access;
    let (connector, endpoint) = access.connector(&access.market)?;
    let snapshots = access.api.as_deref().map(Endpoint::parse).transpose()?;
    let snapshots = snapshots.unwrap_or_else(|| endpoint.clone());
    // The weight of the account's address is shared: half for the wire agents together, of which
    // snapshots may use a part, the rest for orders and questions.
    let limits = &inputs.opening.venues[site.id.index()].limits;
    let weight = limits.weight_minute / (2 * t::WIRES as u32);
    let session = site.venue().market_session(weight)?;
    let table = &inputs.opening.info.table;
    let in_use = wires_in_use(&shards, table, site);
    let carried = shards.carried_by(ConnId(index as u16)).filter_map(|id| table.get(id).copied());
    let instruments = carried.collect();
    let mut config = WireConfig {
        slots_small: settings::SLOTS_SMALL,
        slots_large: settings::SLOTS_LARGE,
        seed: inputs.config.seed.wrapping_add(10 + index as u64),
        part: part_of(index, &in_use, rings.reach(site.id.index())),
        ..WireConfig::new(index, endpoint, snapshots, instruments)
    };
    if let Some(share) = connects_share(&*session, in_use.len()) {
        config.connects_max = share;
    }
    WireAgent::check(&config, &*session).map_err(|e| format!("error: venue.symbols: {e}"))?;
    let ports = WirePorts {
        frames: rings.tx(&format!("frames[{index}]")),
        slots: rings.rx(&format!("slots[{index}]")),
        resync: rings.each_rx(t::BOOKS, |j| format!("resync[{j}][{index}]")),
    };
    Ok(WireAgent::new(config, ports, session, connector, metrics))
}

/// The share of each wire agent, and of order entry with the cold side, in the connects that the
/// venue allows an address in five minutes, if it bounds them.
fn connects_share(session: &dyn MarketSession, wires_in_use: usize) -> Option<usize> {
    let per_address = session.limits().connects_per_5min as usize;
    (per_address > 0).then_some((per_address / (wires_in_use + 1)).max(2))
}

/// After an outage the first wire agent with instruments tries to get in, the others follow.
fn part_of(index: usize, in_use: &[usize], reach: &Reach) -> Part {
    match in_use {
        [first, _, ..] if *first == index => Part::Scout(reach.clone()),
        [_, _, ..] => Part::Follower(reach.clone()),
        _ => Part::Alone,
    }
}

/// What risk starts from; the journal holds the same.
fn risk_config(inputs: &Inputs<'_>) -> RiskConfig {
    RiskConfig {
        limits: inputs.config.risk.limits,
        scopes: inputs.config.risk.scopes(&inputs.opening.info.table),
        mode: inputs.opening.past.mode.unwrap_or(inputs.config.risk.mode),
        breakers: BreakerLimits { seed: inputs.config.seed, ..inputs.config.risk.breakers },
        table: inputs.opening.info.table.clone(),
        balances: inputs.opening.balances.clone(),
        quote: inputs.opening.equity_asset,
        strategies: settings::accounts_of(inputs.config),
        operator: true,
        equity: EquityStart { wall: inputs.opening.wall, ..inputs.opening.past.equity.clone() },
        held: inputs.opening.past.held.clone(),
        recovered: inputs.opening.past.recovered.clone(),
    }
}

fn no_orders(v: usize, metrics: &Metrics, rings: &mut Rings) -> NoOrders {
    let log = LogTx::new(rings.tx(&t::log_link(v)), t::log_execution(v));
    NoOrders::new(v, rings.rx(&t::approved(v)), rings.tx(&t::reports(v)), log, metrics)
}

/// The order entry of venue `v`.
fn execution_agent(
    v: usize,
    inputs: &Inputs<'_>,
    metrics: &Metrics,
    rings: &mut Rings,
) -> Result<ExecutionAgent, Failure> {
    let (site, opening) = (&inputs.sites[v], &inputs.opening.venues[v]);
    let access = &site.access;
    let (connector, endpoint) = access.connector(access.api()?)?;
    let table = &inputs.opening.info.table.seen_from(site.id);
    let config = ExecutionConfig {
        table: table.clone(),
        epoch: inputs.dir.epoch,
        wall: opening.wall,
        limits: opening.limits,
        endpoint,
        ws: WsConfig::default(),
        seed: inputs.config.seed.wrapping_add(20 + v as u64),
        declared: inputs.config.account.declared,
        compare: Nanos(inputs.config.account.compare_orders.as_nanos() as u64),
    };
    let ports = ExecutionPorts {
        approved: rings.rx(&t::approved(v)),
        reports: rings.tx(&t::reports(v)),
        log: LogTx::new(rings.tx(&t::log_link(v)), t::log_execution(v)),
        journaled: rings.journaled(),
        risk_lane: t::LOG_RISK,
        control: inputs.control.clone(),
    };
    let venue = &site.config;
    let gateway = gateway_of(v, inputs, table)?;
    let mut agent = ExecutionAgent::new(config, ports, gateway, connector, metrics)
        .with_pause(access.guards.pause().clone());
    let wires = wires_in_use(&shards(inputs), &inputs.opening.info.table, site).len();
    if let Some(share) = connects_share(&*site.venue().market_session(1)?, wires) {
        agent = agent.with_connects_max(share);
    }
    if venue.venue == Venue::Binance {
        let (events, endpoint) = access.connector(access.api()?)?;
        return Ok(agent.with_events(events, endpoint));
    }
    if venue.venue == Venue::Coinbase {
        let (connector, endpoint) = access.rest_connector()?;
        let seed = inputs.config.seed.wrapping_add(40 + v as u64);
        let requester = Requester::new(connector, endpoint, HttpConfig::default(), seed);
        return Ok(agent.with_requester(requester));
    }
    // Kraken counts nonces: what is signed first must arrive first.
    let helpers = if venue.venue == Venue::Kraken { 1 } else { RestCourier::HELPERS };
    let agent = agent.with_courier(Box::new(RestCourier::start(access, helpers)?));
    if venue.venue != Venue::Bybit {
        return Ok(agent);
    }
    let (events, endpoint) = access.connector(access.api()?)?;
    Ok(agent.with_events(events, endpoint.with_path(bybit::PRIVATE_PATH)?))
}

/// The dialect of venue `v`, with its keys; `table` is seen from there.
fn gateway_of(
    v: usize,
    inputs: &Inputs<'_>,
    table: &InstrumentTable,
) -> Result<Box<dyn Gateway>, Failure> {
    let (site, opening) = (&inputs.sites[v], &inputs.opening.venues[v]);
    let (access, venue, epoch) = (&site.access, &site.config, inputs.dir.epoch);
    Ok(match venue.venue {
        Venue::Bybit => {
            let keys = access.secret_keys(Scheme::Sha256Hex)?;
            Box::new(BybitGateway::new(keys, table, epoch, venue.dead_man))
        }
        Venue::Kraken => {
            let keys = access.secret_keys(Scheme::Sha512Base64)?;
            Box::new(KrakenGateway::new(keys, table, epoch))
        }
        Venue::Okx => {
            let keys = access.secret_keys(Scheme::Sha256Base64)?;
            Box::new(OkxGateway::new(keys, table, opening.codes.clone(), epoch))
        }
        Venue::Coinbase => {
            let host = access.rest_host()?.authority();
            Box::new(CoinbaseGateway::new(access.token_keys()?, &host, table, epoch))
        }
        _ => {
            let gateway = BinanceGateway::new(access.credentials()?, table, epoch);
            Box::new(gateway.with_questions_apart())
        }
    })
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
    let logs = logs_by_lane(inputs, rings);
    let journaled = rings.journaled();
    let agent = match inputs.disk {
        None => JournalAgent::new(&config, logs, journaled.clone(), metrics).map_err(|e| {
            format!("error: no journal in {}: {e}\nhelp: see [journal]", config.dir.display())
        })?,
        Some(disk) => {
            let writer = JournalWriter::over(&config, &mut || disk(), None)?;
            JournalAgent::over(writer, logs, journaled.clone(), metrics)
        }
    };
    let mut agent = agent.with_control(inputs.control.clone());
    // No lane runs yet, so what the run starts from becomes the first thing in the journal.
    agent.start(now)?;
    let mut at = now;
    while journaled.get(t::LOG_RUN) < written {
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

/// The journal's links by log lane; a lane that this run has not gets a link that nobody writes.
fn logs_by_lane(inputs: &Inputs<'_>, rings: &mut Rings) -> Vec<Rx<LogEntry>> {
    let mut logs = vec![rings.rx("log[risk]"), rings.rx(&t::log_link(0)), rings.rx("log[control]")];
    if inputs.capture.is_some() {
        let chain = inputs.config.shape().chain();
        logs.extend(chain.iter().map(|role| rings.rx(&format!("turns[{role}]"))));
    }
    for v in 1..inputs.sites.len() {
        let lane = usize::from(t::log_execution(v));
        logs.resize_with(lane, || ring(1).1);
        logs.push(rings.rx(&t::log_link(v)));
    }
    logs
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
        mode_configured: inputs.config.risk.mode,
    };
    let mut log = LogTx::new(rings.tx("log[control]"), t::LOG_RUN);
    let mut document = RunInputs::of(&risk_config(inputs), &about);
    document.resumed.clone_from(&inputs.opening.past.resumed);
    document.chain = inputs.capture.map(|_| ChainInputs {
        venue: inputs.config.venue.venue.name().to_owned(),
        further: inputs.config.further.iter().map(|v| v.venue.name().to_owned()).collect(),
        taker_e8: inputs.config.venues().map(|v| v.taker_e8).collect(),
        strategies: inputs.config.strategies.iter().map(|s| StrategyRow(*s)).collect(),
        shards: sharding::rows_of(&shards(inputs)),
        ring_divisor: rings.divisor(),
        stop_bps: inputs.config.stops.clone(),
        exits: inputs.config.exits.iter().map(ExitRow::of).collect(),
        flatten_slip_bps: Some(inputs.config.risk.flatten_slip_bps),
        plant: inputs.plant.map(|p| p.name().to_owned()),
    });
    for record in document.records(now) {
        log.push(record).map_err(|_| "the run's inputs are longer than their log link")?;
    }
    let last = log.last_seq();
    // What follows is control's own.
    rings.keep("log[control]", log);
    Ok(last)
}

fn telemetry_agent(inputs: &Inputs<'_>, metrics: &Metrics) -> TelemetryAgent {
    let latency_dir =
        inputs.latency_dir.clone().unwrap_or_else(|| inputs.dir.path.join(LATENCY_DIR));
    let config = TelemetryConfig {
        latency_dir: inputs.disk.is_none().then_some(latency_dir),
        wall: inputs.opening.wall,
        interval: inputs.latency_every.unwrap_or(bot4_telemetry::agent::INTERVAL),
    };
    let shedding = inputs.control.shedding().clone();
    let agent = TelemetryAgent::new(config, metrics.clone()).with_shedding(shedding);
    let agent = agent.with_line(inputs.dumps.clone());
    if !metrics.is_shared() {
        return agent;
    }
    let (clock, control) = (inputs.clock.clone(), inputs.control.clone());
    let plate = shared::plate_of(inputs, &shards(inputs));
    agent.with_publisher(Publisher::new(metrics.clone(), plate, clock, control))
}
