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
use bot4_journal::{JournalAgent, JournalConfig};
use bot4_lanes::{
    Agent, Clock, Control, Journaled, Lane, LaneHandle, LaneSpec, LaneThread, LogTx, Metrics, Rx,
    Tx, ring,
};
use bot4_risk::{RiskAgent, RiskConfig, RiskPorts};
use bot4_signals::{SignalAgent, SignalConfig, SignalPorts};
use bot4_telemetry::{TelemetryAgent, TelemetryConfig};
use bot4_types::{Instrument, OrderId};
use bot4_wire::{Endpoint, WsConfig};

use super::cold::{connector_of, credentials_of};
use super::control::ControlAgent;
use super::dirs::RunDir;
use super::outcome::Opening;
use super::plan::Plan;
use super::settings;
use crate::config::Config;
use crate::config::resolve::Remote;
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
    /// Endpoints and keys.
    pub remote: &'a Remote,
    /// Instruments and balances at the start.
    pub opening: &'a Opening,
    /// Where histogram dumps go.
    pub latency_dir: Option<PathBuf>,
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
}

/// Builds the machine.
///
/// # Errors
/// What cannot be built, with its mend.
pub fn wire(inputs: &Inputs<'_>) -> Result<Wired, Failure> {
    let metrics = Metrics::in_memory();
    let mut rings = Rings::default();
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
        });
    }
    let (clock, control) = (inputs.clock.clone(), inputs.control.clone());
    Ok(Wired { metrics, lanes, clock, control })
}

impl Wired {
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
        for thread in threads {
            agents.extend(thread.join());
        }
        Ok(Ended { agents, metrics: self.metrics, rung })
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
#[derive(Default)]
struct Rings {
    ends: BTreeMap<String, Box<dyn std::any::Any>>,
}

impl Rings {
    fn both<T: Send + 'static>(&mut self, name: &str) -> (Option<Tx<T>>, Option<Rx<T>>) {
        let waiting = self.ends.remove(name);
        match waiting.map(|end| end.downcast::<(Option<Tx<T>>, Option<Rx<T>>)>()) {
            Some(Ok(pair)) => *pair,
            _ => {
                let table = t::topology();
                let row = table.links.iter().find(|l| l.name == name);
                let capacity = row.map_or(1, |l| l.capacity);
                let (tx, rx) = ring(capacity);
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

    fn each_tx<T: Send + 'static>(&mut self, n: usize, name: impl Fn(usize) -> String) -> Vec<Tx<T>> {
        (0..n).map(|i| self.tx(&name(i))).collect()
    }

    fn each_rx<T: Send + 'static>(&mut self, n: usize, name: impl Fn(usize) -> String) -> Vec<Rx<T>> {
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
