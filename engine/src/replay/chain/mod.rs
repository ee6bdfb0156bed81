//! Replay of the whole chain: raw frames to decisions, on one thread, with the agents of the run.
//!
//! ```text
//!  capture: frames --> parse.i --> book.j --> signal --> risk --its log--> == the run's journal?
//!  journal: turns: what each turn of each of them saw, and when            ^
//!           reports and commands that risk consumed, in order -------------'
//! ```
//! Rings and agents are those of the run ([`crate::run::chain`]); their gates are forced to what
//! the turn records say ([`bot4_lanes::gate`]). A turn runs as soon as its rings hold what its
//! record says it saw, so the agents take turns in any order that the data allow and reach the
//! same states (a Kahn network: no turn can take away what another one waits for). When no
//! turn can run and the capture does not end there, the run and its replay have parted: the turn
//! and the link it waits for are named. Orders, sockets and the journal's disk are not replayed:
//! what they led to is what risk was told.
//!
//! Memory: the rings, and what the journal holds of one lane ahead of another.

pub mod compare;
pub mod frames;
pub mod inputs;
pub mod report;
pub mod tape;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use bot4_journal::Reader;
use bot4_lanes::recorded::BEAT;
use bot4_lanes::topology::Topology;
use bot4_lanes::{Agent, Clock, Control, Fault, Metrics, Phase, Probe, Rx, TurnGate, Tx};
use bot4_types::{
    ApprovedOrder, ExecMsg, LogEntry, Nanos, Resync, RiskCommand, RouterReport, TurnRecord,
};

use super::inputs::RunInputs;
use super::report::{FirstDifference, Place};
use crate::run::chain::{Parts, build, place_of};
use crate::run::rings::Rings;
use crate::run::sharding::{ShardRow, read_rows};
use crate::topology as t;
use compare::Comparison;
use frames::FrameFeed;
use inputs::ChainInputs;
use report::ChainReport;
use tape::Tape;

/// By how much the records of two agents of a killed run may end apart, with room for a lane that
/// was held between its look at the clock and at its rings.
const RAGGED: Nanos = BEAT;

/// Why nothing goes on.
#[derive(Debug)]
enum Stop {
    /// The run and its replay have parted.
    Differs(FirstDifference),
    /// The agent's records or frames end here.
    Over,
}

/// One agent of the chain and the turns it has to run.
struct Actor {
    role: &'static str,
    lane: u8,
    agent: Box<dyn Agent>,
    gate: TurnGate,
    /// The turn that comes next, once read.
    next: Option<TurnRecord>,
    /// Its number; the records before it have run.
    turns: u32,
    /// When the last one that has run began.
    last: Nanos,
    over: bool,
}

/// What stands for the agents that are not replayed.
struct World {
    frames: Vec<FrameFeed>,
    resync: Vec<Rx<Resync>>,
    /// By venue.
    reports: Vec<Tx<ExecMsg>>,
    commands: Tx<RiskCommand>,
    /// By venue.
    approved: Vec<Rx<ApprovedOrder>>,
    parents: Rx<RouterReport>,
    log: Rx<LogEntry>,
}

/// A replay under way.
struct Chain {
    actors: Vec<Actor>,
    world: World,
    tape: Tape,
    topology: Topology,
    comparison: Comparison,
    probe: Probe,
    report: ChainReport,
}

/// Replays the chain of a run whose journal lies at `journal` and whose capture lies in the run's
/// `folder`. `closed`: the run ended in order, so that nothing may be missing.
///
/// # Errors
/// A sentence, when there is nothing to replay. What differs is in the report.
pub fn verify(
    inputs: &RunInputs,
    chain: &ChainInputs,
    journal: &Path,
    folder: &Path,
    closed: bool,
) -> Result<ChainReport, String> {
    let clock = Clock::start();
    let start = clock.now();
    let reader = Reader::open(journal).map_err(|e| format!("cannot read the journal: {e}"))?;
    let mut replay = Chain::new(inputs, chain, reader, folder, closed)?;
    let outcome = replay.run().and_then(|()| replay.finish(closed));
    let mut report = replay.report;
    if let Err(Stop::Differs(difference)) = outcome {
        report.difference = Some(difference);
    }
    report.records = replay.comparison.compared();
    report.hash = replay.comparison.hash();
    report.frames = replay.world.frames.iter().map(FrameFeed::fed).sum();
    report.seconds = clock.now().since(start).0 as f64 / 1e9;
    Ok(report)
}

impl Chain {
    fn new(
        inputs: &RunInputs,
        chain: &ChainInputs,
        reader: Reader,
        folder: &Path,
        closed: bool,
    ) -> Result<Self, String> {
        let (venues, plant) = chain.known()?;
        let risk = inputs.risk_config().map_err(|e| e.to_string())?;
        let strategies: Vec<_> = chain.strategies.iter().map(|row| row.0).collect();
        if venues.len() != risk.table.venues_len() {
            let (named, traded) = (venues.len(), risk.table.venues_len());
            return Err(format!("the capture names {named} venues, its instruments {traded}"));
        }
        let wires = wires_of(&chain.shards);
        let shape = t::Shape { wires, venues: venues.len(), captured: true };
        let shards = read_rows(&chain.shards, risk.table.all().len(), wires)?;
        let control = Control::new();
        let parts = Parts {
            low_priority: &[],
            venues: &venues,
            table: &risk.table,
            shards: &shards,
            control: &control,
            risk: &risk,
            strategies: &strategies,
            routing: &chain.routing(),
            plant,
            log_stall_ns_max: bot4_journal::agent::STALL_NS_MAX,
            tee: None,
        };
        let metrics = Metrics::in_memory();
        let mut rings = Rings::scaled(chain.ring_divisor).forced();
        let mut actors = Vec::new();
        for role in in_data_order(shape.chain()) {
            rings.open_gate();
            let agent = build(role, &parts, &metrics, &mut rings).map_err(|e| e.to_string())?;
            let gate = rings.close_gate().unwrap_or_default();
            let lane = t::LOG_TURNS + place_of(role).unwrap_or_default() as u8;
            let (next, turns, last, over) = (None, 0, Nanos::ZERO, false);
            actors.push(Actor { role, lane, agent, gate, next, turns, last, over });
        }
        Ok(Self {
            actors,
            world: World::new(&shape, &mut rings, folder)?,
            tape: Tape::new(reader, risk.table.clone()),
            topology: t::topology_of(shape),
            comparison: Comparison::new(closed),
            probe: Probe::logical(),
            report: ChainReport::default(),
        })
    }

    /// Runs turns until none can run, those nearest to the decisions first: what parts from the
    /// run is met as soon as it can be.
    fn run(&mut self) -> Result<(), Stop> {
        while self.run_one()? {}
        Ok(())
    }

    /// Runs one turn of one agent. False when none can run.
    fn run_one(&mut self) -> Result<bool, Stop> {
        for i in (0..self.actors.len()).rev() {
            match self.step(i) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(Stop::Over) => self.actors[i].over = true,
                Err(differs) => return Err(differs),
            }
        }
        Ok(false)
    }

    /// Runs the next turn of agent `i`, if it can run now.
    fn step(&mut self, i: usize) -> Result<bool, Stop> {
        let Some(record) = self.next_turn(i)? else { return Ok(false) };
        let phase = Phase::from_raw(record.phase()).unwrap_or(Phase::Run);
        let ends = self.feed(i, &record);
        let actor = &mut self.actors[i];
        if record.is_start() {
            let started = actor.agent.start(record.now);
            let refused = |fault| actor.differs(format!("{} did not start: {fault}", actor.role));
            started.map_err(refused)?;
            actor.done();
            return Ok(true);
        }
        if actor.gate.lacking(&record.samples).any(|link| !ends.iter().any(|end| end == link)) {
            return Ok(false);
        }
        actor.gate.force(&record.samples, phase);
        self.probe.set(record.now);
        let probe = &mut self.probe;
        let outcome = catch_unwind(AssertUnwindSafe(|| actor.agent.work(record.now, probe)));
        self.report.turns += 1;
        self.report.messages += actor.gate.moved();
        self.after(i, &record, outcome.map_err(|_| ()))?;
        self.actors[i].done();
        Ok(true)
    }

    /// The next turn of agent `i`.
    fn next_turn(&mut self, i: usize) -> Result<Option<TurnRecord>, Stop> {
        let actor = &mut self.actors[i];
        if actor.over {
            return Ok(None);
        }
        if actor.next.is_none() {
            let Some(record) = self.tape.next_turn(actor.lane) else { return Err(Stop::Over) };
            if record.seq != actor.turns {
                let (from, role) = (actor.turns, actor.role);
                let to = record.seq.wrapping_sub(1);
                let what = format!("turns {from} to {to} of {role} are lost: they were not kept");
                return Err(actor.differs(what));
            }
            actor.next = Some(record);
        }
        Ok(actor.next)
    }

    /// Gives agent `i` what comes from outside the chain for this turn. Links that have no more
    /// to give.
    fn feed(&mut self, i: usize, record: &TurnRecord) -> Vec<String> {
        let mut ends = Vec::new();
        if let Some(feed) = self.world.frames.get_mut(i) {
            // The frames link is the first of a parser's.
            if !feed.fill(usize::from(record.samples[0])) {
                ends.push(frames::link(i));
            }
        }
        if i == self.actors.len() - 1 {
            self.feed_risk(record, &mut ends);
        }
        ends
    }

    /// Gives risk the reports and commands that its turn saw, and notes the links that have no
    /// more to give in `ends`.
    fn feed_risk(&mut self, record: &TurnRecord, ends: &mut Vec<String>) {
        let Some(risk) = self.actors.last() else { return };
        for (v, link) in self.world.reports.iter_mut().enumerate() {
            let name = t::reports(v);
            while risk.gate.lacking(&record.samples).any(|lacks| lacks == name) {
                let Some(message) = self.tape.next_report(v) else {
                    ends.push(name);
                    break;
                };
                if link.push(message).is_err() {
                    break;
                }
            }
        }
        while risk.gate.lacking(&record.samples).any(|lacks| lacks == "commands") {
            let Some(command) = self.tape.next_command() else {
                return ends.push("commands".to_owned());
            };
            if self.world.commands.push(command).is_err() {
                return;
            }
        }
    }

    /// Judges a turn that has run.
    fn after(
        &mut self,
        i: usize,
        record: &TurnRecord,
        outcome: Result<Result<usize, Fault>, ()>,
    ) -> Result<(), Stop> {
        self.world.drain();
        while let Some(entry) = self.world.log.pop() {
            self.comparison.take(&entry, &mut self.tape).map_err(Stop::Differs)?;
        }
        let actor = &mut self.actors[i];
        if let Some(link) = actor.gate.starved() {
            let told = self.world.frames.get(i).and_then(FrameFeed::broken);
            return match told {
                Some(what) => Err(actor.differs(format!(
                    "turn {} of {} took more from {link} than is there: {what}",
                    record.seq, actor.role
                ))),
                None => Err(Stop::Over),
            };
        }
        match outcome {
            // A fault of the run may have come from what is not replayed, as a stalled reader.
            _ if record.is_fault() => Err(Stop::Over),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(fault)) => {
                Err(actor.differs(format!("turn {} ends in a fault: {fault}", record.seq)))
            }
            Err(()) => Err(actor.differs(format!("turn {} of {} panics", record.seq, actor.role))),
        }
    }

    /// Nothing can run any more: is it because the capture ends?
    fn finish(&mut self, closed: bool) -> Result<(), Stop> {
        let waiting = |i: usize| Some((i, self.waits(i)?));
        let first = (0..self.actors.len()).filter_map(waiting).min_by_key(|(_, (r, _))| r.now);
        let rest = self.comparison.rest(&mut self.tape);
        self.report.unverified = rest.as_ref().map_or(0, |(_, records)| *records);
        let waits = first.as_ref().map_or_else(String::new, |(i, (record, link))| {
            let (seq, role) = (record.seq, self.actors[*i].role);
            format!(": turn {seq} of {role} saw more on {link} than comes out")
        });
        let recorded = rest.as_ref().map(|(entry, _)| compare::told(entry));
        match (&first, &rest) {
            (Some((i, _)), _) if !self.leads_to_an_end(*i) => {
                let what = format!("the chain stands still{waits}");
                Err(self.actors[*i].differs_from(what, recorded))
            }
            (_, Some((entry, _))) if closed => {
                let place = Some(Place { lane: entry.lane, seq: entry.seq, at: None });
                let what = format!("the run wrote a record that does not come out{waits}");
                Err(Stop::Differs(FirstDifference { place, what, recorded, came_out: None }))
            }
            _ => Ok(()),
        }
    }

    /// The turn that agent `i` cannot run and the link it waits for.
    fn waits(&self, i: usize) -> Option<(TurnRecord, String)> {
        let actor = &self.actors[i];
        let record = actor.next.filter(|_| !actor.over)?;
        let link = actor.gate.lacks(&record.samples)?;
        Some((record, link.to_owned()))
    }

    /// Agent `i` waits for one whose records or frames end, directly or by way of others. What a
    /// turn saw was made by turns that began before it: an agent that ran on for longer than
    /// [`RAGGED`] behind the turn that waits for it has made all it ever will.
    fn leads_to_an_end(&self, i: usize) -> bool {
        let mut reached = vec![i];
        let mut at = 0;
        while let Some(&i) = reached.get(at) {
            at += 1;
            let Some((record, link)) = self.waits(i) else { continue };
            let Some(row) = self.topology.links.iter().find(|l| l.name == link) else { continue };
            let role = self.actors[i].role;
            let peer = if row.from == role { row.to } else { row.from };
            // What is not replayed gives whatever there is, and `feed` tells when it ends.
            let Some(place) = self.actors.iter().position(|a| a.role == peer) else { continue };
            let peer = &self.actors[place];
            if peer.over && peer.last <= record.now + RAGGED {
                return true;
            }
            if !peer.over && !reached.contains(&place) {
                reached.push(place);
            }
        }
        false
    }
}

/// Connections that the rows of a capture name.
fn wires_of(rows: &[ShardRow]) -> usize {
    let named = rows.iter().flat_map(|row| &row.conns).map(|conn| usize::from(*conn) + 1);
    named.max().unwrap_or(t::WIRES).max(t::WIRES)
}

/// The agents of a chain from the frames to the decisions: every parser by its connection, then
/// the others. Risk is the last.
fn in_data_order(chain: &[&'static str]) -> Vec<&'static str> {
    let (parsers, others): (Vec<_>, Vec<_>) =
        chain.iter().copied().partition(|role| t::PARSE.contains(role));
    [parsers, others].concat()
}

impl Actor {
    fn done(&mut self) {
        self.last = self.next.take().map_or(self.last, |record| record.now);
        self.turns += 1;
    }

    /// The run and its replay part at the turn that comes next.
    fn differs(&self, what: String) -> Stop {
        self.differs_from(what, None)
    }

    /// As [`differs`](Self::differs); what risk wrote next was `recorded`.
    fn differs_from(&self, what: String, recorded: Option<String>) -> Stop {
        let place = Some(Place { lane: self.lane, seq: u64::from(self.turns), at: None });
        Stop::Differs(FirstDifference { place, what, recorded, came_out: None })
    }
}

impl World {
    fn new(shape: &t::Shape, rings: &mut Rings, folder: &Path) -> Result<Self, String> {
        let feed = |i: usize| FrameFeed::open(i, rings, folder);
        let frames = (0..shape.wires).map(feed).collect::<Result<_, _>>()?;
        let mut resync = Vec::new();
        for j in 0..t::BOOKS {
            resync.extend(rings.each_rx(shape.wires, |i| format!("resync[{j}][{i}]")));
        }
        Ok(Self {
            frames,
            resync,
            reports: rings.each_tx(shape.venues, t::reports),
            commands: rings.tx("commands"),
            approved: rings.each_rx(shape.venues, t::approved),
            parents: rings.rx("parents"),
            log: rings.rx("log[risk]"),
        })
    }

    /// Takes what the chain sends to agents that are not replayed.
    fn drain(&mut self) {
        self.frames.iter_mut().for_each(FrameFeed::take_slots);
        for rx in &mut self.resync {
            while rx.pop().is_some() {}
        }
        for rx in &mut self.approved {
            while rx.pop().is_some() {}
        }
        while self.parents.pop().is_some() {}
    }
}
