//! One run: build, trade under faults, heal, drain, compare.

mod rest;

use std::collections::BTreeMap;
use std::path::Path;

use bot4_book::BookAgent;
use bot4_execution::ExecutionAgent;
use bot4_feeds::parse_agent::ParseAgent;
use bot4_feeds::wire_agent::WireAgent;
use bot4_journal::JournalAgent;
use bot4_journal::hash::Fnv128;
use bot4_lanes::{Control, Journaled, Metrics};
use bot4_risk::RiskAgent;
use bot4_signals::SignalAgent;
use bot4_types::{
    BookState, Instrument, LogEntry, LogKind, Nanos, OrderId, ParentReport, Side, VenueId, Wall,
};
use bot4_venues::secret_text::SecretText;
use bot4_wire::transport::memory::Network;

use super::audit::Auditor;
use super::check::{Bounds, Checks, ParentLine, View, WholeBook};
use super::disk::MemoryDisk;
use super::faults::{Act, FaultDriver};
use super::floor::{Floor, Stop};
use super::machine::{self, Bomb, Machine};
use super::opening::opening;
use super::session::Session;
use super::statements::Statements;
use super::swarm::Swarm;
use super::tap::{Plant, Seen, Taps};
use super::venue_agent::VenueAgent;
use super::{Options, Runs, SimEnd};
use crate::config;
use crate::run::access::{Access, Keys, Net};
use crate::run::capture::{CaptureSink, Streams};
use crate::run::guard::Guards;
use crate::run::outcome::Opening;
use crate::run::settings;
use crate::run::site::Site;
use crate::run::wiring::Rings;
use crate::topology as t;

/// Unix time at which simulated time begins.
pub(super) const ORIGIN_UNIX_NS: i64 = 1_700_000_000_000_000_000;
/// After the last fault everything is live again within this time: the longest pause between
/// two attempts to connect, a session's patience, a snapshot, and as much again.
const HEAL_MAX: Nanos = Nanos::from_secs(15);
/// After the order to stop nothing is open within this time.
const DRAIN_MAX: Nanos = Nanos::from_secs(15);
/// Hot agents have warmed up by then.
const WARM_AFTER: Nanos = Nanos::from_secs(1);
/// Steps between two looks at whether a phase is over.
const LOOK_EVERY: u64 = 128;
/// Time without the venue in which everything in flight comes home: a frame may wait 100 ms for
/// a level block.
const HOMECOMING: Nanos = Nanos::from_millis(400);

pub(super) type Failure = Box<dyn std::error::Error>;

/// Plays `options`. Needs no files.
///
/// # Errors
/// When the machine cannot be built.
pub fn play(options: &Options) -> Result<SimEnd, Failure> {
    Run::build(options, None)?.play(options)
}

/// Plays `options` as a run that is captured; journal and capture are left in `dir`.
///
/// # Errors
/// As [`play_into`].
pub fn play_captured(options: &Options, dir: &Path) -> Result<SimEnd, Failure> {
    let run = Run::build(options, Some(CaptureSink::new(dir.to_owned())))?;
    let disk = run.disk.clone();
    let end = run.play(options)?;
    disk.write_to(&dir.join("journal"))?;
    Ok(end)
}

/// Plays a calm run of `steps` steps from `seed` and leaves its journal in `dir`.
///
/// # Errors
/// When the machine cannot be built or the journal not be written.
pub fn run(seed: u64, steps: u64, dir: &Path) -> Result<SimEnd, Failure> {
    play_into(&Options::calm(seed, steps), dir)
}

/// Plays `options` and leaves the journal in `dir`.
///
/// # Errors
/// When the machine cannot be built or the journal not be written.
pub fn play_into(options: &Options, dir: &Path) -> Result<SimEnd, Failure> {
    let run = Run::build(options, None)?;
    let disk = run.disk.clone();
    let end = run.play(options)?;
    disk.write_to(&dir.join("journal"))?;
    Ok(end)
}

/// Why the phases ended early.
enum Ended {
    /// A finding is noted.
    Found,
    Stopped(Stop),
}

struct Run {
    floor: Floor,
    taps: Taps,
    seen: Seen,
    faults: FaultDriver,
    statements: Statements,
    checks: Checks,
    auditor: Auditor,
    /// Orders of others are declared.
    declared: bool,
    control: Control,
    journaled: Journaled,
    metrics: Metrics,
    disk: MemoryDisk,
    opening: Opening,
    capture: Option<Streams>,
    books: Vec<BookState>,
    /// Newest update of each book that was compared with the venue's.
    compared: Vec<u64>,
    logged: [Fnv128; 2],
    sealed: bool,
    end: SimEnd,
}

impl Run {
    fn build(options: &Options, capture: Option<CaptureSink>) -> Result<Self, Failure> {
        let swarm = drawn(options);
        let mut config = config::demo()?;
        config.seed = options.seed;
        config.capture = capture.is_some();
        swarm.apply(&mut config);
        if let Some(bps) = options.stop_bps {
            config.stops = vec![bps; config.strategies.len()];
        }
        let network = Network::new(options.seed);
        let wall = Wall { origin_unix_ns: ORIGIN_UNIX_NS };
        let (venue, keys) = VenueAgent::new(options.seed, &swarm, &network, wall)?;
        let opening = opening(&config, &swarm, &venue, wall)?;
        let access = Access {
            market: "wss://venue.sim".to_owned(),
            api: Some("wss://venue.sim/ws-api/v3".to_owned()),
            rest: None,
            keys: Some(Keys {
                api_key: keys.api_key,
                key_text: SecretText::new(keys.private_key),
                key_path: "the simulator".to_owned(),
                nonces: Default::default(),
            }),
            net: Net::Memory(network.clone()),
            guards: Guards::default(),
            hurried: false,
        };
        let (control, metrics) = (Control::new(), machine::spare_metrics());
        let disk = MemoryDisk::new(config.segment_bytes);
        let mut rings = Rings::scaled(swarm.ring_divisor).gated(capture.is_some());
        let statements = Statements::new(rings.tx("commands"), swarm.declared);
        let (taps, journaled) = (Taps::cut(&mut rings, options.plant), rings.journaled());
        let instruments = opening.info.table.all().len();
        let bounds = Bounds {
            position_e4: config.risk.limits.position_equity_e4,
            mark_age_max: Nanos(config.risk.limits.mark_age_ns_max),
        };
        let checks = Checks::new(instruments, bounds, venue.exchange().ids.order);
        let sink = capture.as_ref();
        let site = Site { id: VenueId(0), config: config.venue.clone(), access };
        let any_order = swarm.any_order;
        let machine = Machine { config: &config, any_order, opening: &opening, site: &site, sink };
        let mut agents = machine.build(&control, &metrics, &disk, rings)?;
        agents.push(Box::new(venue));
        if options.plant == Some(Plant::Panic) {
            agents.push(Box::new(Bomb(options.steps / 100)));
        }
        Ok(Self {
            floor: Floor::new(agents, options.seed, swarm.step_ns_max),
            taps,
            seen: Seen::default(),
            faults: FaultDriver::new(network, disk.clone(), swarm.faults, swarm.script),
            statements,
            checks,
            auditor: Auditor::default(),
            declared: swarm.declared,
            control,
            journaled,
            metrics,
            disk,
            opening,
            capture: capture.map(CaptureSink::open).transpose()?,
            books: vec![BookState::Waiting; instruments],
            compared: vec![0; instruments],
            logged: [Fnv128::default(); 2],
            sealed: false,
            end: SimEnd { seed: options.seed, ..SimEnd::default() },
        })
    }

    fn play(mut self, options: &Options) -> Result<SimEnd, Failure> {
        self.floor.start()?;
        let over = self.trade(options).and_then(|()| self.heal()).and_then(|()| self.drain());
        self.end.stop = over.err().and_then(|ended| match ended {
            Ended::Found => None,
            Ended::Stopped(stop) => Some(stop),
        });
        let metrics = self.metrics.clone();
        let end = self.finish(options.seed);
        machine::spare(metrics);
        Ok(end)
    }

    /// One step of one agent, and everything that must be looked at after it.
    fn step(&mut self) -> Result<(), Ended> {
        let role = self.floor.step().map_err(Ended::Stopped)?;
        let now = self.floor.now();
        self.taps.carry(&mut self.seen);
        self.auditor.note(&self.seen, now);
        self.note(role);
        if let Some(capture) = &mut self.capture {
            capture.turn(now);
        }
        let sent = |e: &&LogEntry| e.kind == LogKind::Sent as u8;
        let sent = self.seen.execution_log.iter().filter(sent).count();
        let execution = match role {
            "execution" => self.floor.agent_mut::<ExecutionAgent>(role),
            _ => None,
        };
        let (waiting, waits_ended) = execution.map_or((0, None), ExecutionAgent::waiting);
        self.faults.after(role, sent, waiting);
        let floor = &mut self.floor;
        self.faults.strike(now, &mut |act| perform(act, floor));
        if !self.sealed && now > WARM_AFTER {
            self.sealed = true;
            self.floor.seal();
        }
        if let Some(venue) = self.floor.agent::<VenueAgent>("venue") {
            self.statements.turn(now, venue, &self.opening.info.table);
        }
        self.look(role, waits_ended)
    }

    /// Keeps up with the books' states and the log's hash.
    fn note(&mut self, role: &str) {
        if role.starts_with("book.")
            && let Some(book) = self.floor.agent::<BookAgent>(role)
        {
            for instrument in self.opening.info.table.all() {
                if let Some(state) = book.state(instrument.id) {
                    self.books[instrument.id.index()] = state;
                }
            }
        }
        for (hash, log) in
            self.logged.iter_mut().zip([&self.seen.risk_log, &self.seen.execution_log])
        {
            log.iter().for_each(|entry| take_in(hash, entry));
        }
    }

    /// Live books that have the venue's newest update, once for each update.
    fn whole_books(&mut self, role: &str) -> Vec<WholeBook> {
        let (Some(book), Some(venue)) =
            (self.floor.agent::<BookAgent>(role), self.floor.agent::<VenueAgent>("venue"))
        else {
            return Vec::new();
        };
        let (exchange, compared) = (venue.exchange(), &mut self.compared);
        let whole = |instrument: &Instrument| {
            let id = book.update_id(instrument.id)?;
            let market = exchange.market(instrument.symbol.as_str())?;
            let newest = exchange.markets[market].book.update_id();
            let live = book.state(instrument.id) == Some(BookState::Live);
            let last = compared.get_mut(instrument.id.index())?;
            if !live || id != newest || id == std::mem::replace(last, id) {
                return None;
            }
            let ladder = book.ladder(instrument.id)?;
            let side = |side| ladder.iter(side).take(WholeBook::DEPTH).collect();
            Some(WholeBook { market, sides: [side(Side::Buy), side(Side::Sell)] })
        };
        self.opening.info.table.all().iter().filter_map(whole).collect()
    }

    fn look(&mut self, role: &'static str, waits_ended: Option<OrderId>) -> Result<(), Ended> {
        let whole = if role.starts_with("book.") { self.whole_books(role) } else { Vec::new() };
        let parents = if role == "signal" { self.parents() } else { Vec::new() };
        let (Some(venue), Some(risk)) =
            (self.floor.agent::<VenueAgent>("venue"), self.floor.agent::<RiskAgent>("risk"))
        else {
            return Ok(());
        };
        let looked = self.checks.look(&View {
            role,
            now: self.floor.now(),
            seen: &self.seen,
            venue: venue.exchange(),
            new_orders: &[],
            others: false,
            books: &self.books,
            whole: &whole,
            journaled: self.journaled.get(t::LOG_RISK),
            phase: self.control.phase(),
            equity: risk.core().equity(),
            waits_ended,
            parents: &parents,
            table: &self.opening.info.table,
        });
        looked.map_err(|what| {
            let at = self.floor.steps();
            self.end.unsafe_findings.push(format!("step {at}: {what}"));
            Ended::Found
        })
    }

    /// Parent orders as the router has them.
    fn parents(&self) -> Vec<ParentLine> {
        let Some(signal) = self.floor.agent::<SignalAgent>("signal") else { return Vec::new() };
        let (router, now) = (signal.router(), self.floor.now());
        let line =
            |report: ParentReport| ParentLine { report, open: router.open_of_parent(report.id) };
        router.parents(now).map(line).collect()
    }

    fn trade(&mut self, options: &Options) -> Result<(), Ended> {
        for _ in 0..options.steps {
            self.step()?;
        }
        Ok(())
    }

    /// No fault any more: everything must come up again.
    fn heal(&mut self) -> Result<(), Ended> {
        self.faults.calm_down();
        self.floor.release();
        let mut from = self.floor.now();
        while self.floor.now().since(from) < HEAL_MAX {
            for _ in 0..LOOK_EVERY {
                self.step()?;
            }
            if self.is_live() {
                self.end.heal_ms = self.floor.now().since(from).millis();
                return Ok(());
            }
            if let Some(until) = self.held_until() {
                let span = until.since(self.floor.now());
                self.floor.skip(span);
                from = from + span;
            }
        }
        let ready = self.floor.agent::<RiskAgent>("risk").is_some_and(|r| r.core().session_ready());
        self.end.late_findings.push(format!(
            "15 s after the last fault: order session {}, books {:?} {}",
            if ready { "ready" } else { "not ready" },
            self.books,
            self.differing().join(", ")
        ));
        Err(Ended::Found)
    }

    /// A storm of faults may have cost all the connections that order entry allows itself.
    fn held_until(&self) -> Option<Nanos> {
        let execution = self.floor.agent::<ExecutionAgent>("execution")?;
        execution.held_until(self.floor.now())
    }

    fn is_live(&self) -> bool {
        let ready = self.floor.agent::<RiskAgent>("risk").is_some_and(|r| r.core().session_ready());
        ready && self.books.iter().all(|s| *s == BookState::Live) && self.differing().is_empty()
    }

    /// The engine stops: everything open must end and be accounted for.
    fn drain(&mut self) -> Result<(), Ended> {
        self.control.drain();
        let from = self.floor.now();
        let mut why = String::new();
        while self.floor.now().since(from) < DRAIN_MAX {
            for _ in 0..LOOK_EVERY {
                self.step()?;
            }
            match self.unrest() {
                None => {
                    self.end.drain_ms = self.floor.now().since(from).millis();
                    self.compare();
                    return Ok(());
                }
                Some(what) => why = what,
            }
        }
        self.end.late_findings.push(format!("15 s after the order to stop: {why}"));
        Err(Ended::Found)
    }

    /// Brings everything home, closes the agents and takes the last figures.
    fn finish(mut self, seed: u64) -> SimEnd {
        let clean = self.end.is_clean();
        let now = self.floor.now();
        if clean {
            self.floor.hold("venue", Nanos::MAX);
            self.faults.sever();
            while self.floor.now().since(now) < HOMECOMING && self.step().is_ok() {}
        }
        for (role, allocations) in self.floor.hot_allocations().filter(|(_, n)| *n > 0) {
            self.end.leaks.push(format!("{role} allocated {allocations} times after its warm-up"));
        }
        let steps = self.floor.steps();
        self.floor.close();
        self.carry_logs();
        if let Some(Err(e)) = self.capture.take().map(|capture| capture.finish(now)) {
            self.end.unsafe_findings.push(format!("the capture is not whole: {e}"));
        }
        if clean {
            self.count_buffers();
        }
        self.read_journal();
        let faults: BTreeMap<_, _> =
            self.faults.struck.iter().map(|(kind, n)| (kind.name(), *n)).collect();
        let execution = self.floor.agent_mut::<ExecutionAgent>("execution");
        let open = execution.map_or((0, 0), ExecutionAgent::open_and_unknown).0;
        let risk = self.floor.agent::<RiskAgent>("risk");
        SimEnd {
            seed,
            steps,
            sim_ms: now.millis(),
            orders: self.metrics.total_of("execution", "orders_sent"),
            fills: risk.map_or(0, RiskAgent::fills_applied),
            stops: self.metrics.total_of("signal", "stops_triggered"),
            parents: self.metrics.total_of("signal", "parents_begun"),
            children: self.metrics.total_of("signal", "children_placed"),
            kinds: super::KINDS.map(|name| (name, self.metrics.total_of("signal", name))).into(),
            held: risk.map_or(0, |risk| self.held(risk)),
            open: open as u64,
            decision_hash: risk.map_or(0, RiskAgent::decision_hash),
            looks: self.checks.looks,
            books_compared: self.checks.books_compared,
            faults,
            ..self.end
        }
    }

    fn held(&self, risk: &RiskAgent) -> u64 {
        let strategies = 0..bot4_types::limits::STRATEGIES_MAX as u8;
        let table = &self.opening.info.table;
        let of = |s| table.all().iter().filter(move |i| risk.strategy_position(s, i.id).0 != 0);
        strategies.map(|s| of(bot4_types::StrategyId(s)).count() as u64).sum()
    }

    /// What the agents logged last is in the taps: the journal closed without it.
    fn carry_logs(&mut self) {
        self.taps.carry(&mut self.seen);
        self.note("");
    }

    /// Every frame slot and level block came home.
    fn count_buffers(&mut self) {
        for role in t::WIRE {
            let Some((free, total)) = self.floor.agent::<WireAgent>(role).map(WireAgent::slots)
            else {
                continue;
            };
            if free != total {
                self.end.leaks.push(format!("{role}: {free} of {total} slots came home"));
            }
        }
        for role in t::PARSE {
            let free = self.floor.agent::<ParseAgent>(role).map(ParseAgent::blocks_free);
            if let Some(free) = free.filter(|free| *free != settings::BLOCKS) {
                let what = format!("{role}: blocks {free:?} of {:?}", settings::BLOCKS);
                self.end.leaks.push(what);
            }
        }
    }

    /// The journal holds exactly what was logged.
    fn read_journal(&mut self) {
        let Some(journal) = self.floor.agent::<JournalAgent>("journal") else { return };
        let (stats, mut lanes) = (journal.stats(), [Fnv128::default(); 2]);
        let read = self.disk.read(|entry| {
            if let Some(hash) = lanes.get_mut(usize::from(entry.lane)) {
                take_in(hash, entry);
            }
        });
        self.end.records = stats.records;
        let findings = &mut self.end.unsafe_findings;
        match read {
            Err(what) => findings.push(what),
            Ok(records) if records != stats.records => {
                findings.push(format!("{records} of {} records in the journal", stats.records));
            }
            Ok(_) => {}
        }
        if stats.lost > 0 {
            findings.push(format!("{} journal records lost", stats.lost));
        }
        if self.taps.is_empty() && lanes != self.logged {
            findings.push("the journal does not hold what was logged".to_owned());
        }
        let mut hash = Fnv128::default();
        lanes.iter().for_each(|lane| hash.write(&lane.value().to_le_bytes()));
        self.end.journal_hash = hash.value();
    }
}

/// What the seed of `options` draws.
fn drawn(options: &Options) -> Swarm {
    let swarm = match options.kind {
        Runs::Calm => Swarm::calm(),
        Runs::Swarm => Swarm::drawn(options.seed, options.steps),
        Runs::Session => Session::drawn(options.seed).swarm,
    };
    swarm.with_parents(options.parents).with_kinds(options.kinds)
}

fn perform(act: Act, floor: &mut Floor) {
    match act {
        Act::Hold(role, until) => floor.hold(role, until),
        Act::Pause(span) => floor.skip(span),
        Act::WallStep(ms) => {
            if let Some(venue) = floor.agent_mut::<VenueAgent>("venue") {
                venue.step_wall(ms);
            }
        }
    }
}

fn take_in(hash: &mut Fnv128, entry: &LogEntry) {
    hash.write(&entry.seq.to_le_bytes());
    hash.write(&entry.at.0.to_le_bytes());
    hash.write(&[entry.kind, entry.lane]);
    hash.write(entry.body());
}
