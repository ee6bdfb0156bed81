//! The control agent: supervises the lanes from the main thread, decides when the run is ready
//! and when it ends, and stops it in order.
//!
//! ```text
//! starting --lanes run, books, session ready--> running --time, signal--> draining --> stopping
//!     '------------ a lane fails, patience ends ---------'---- fault, kill -------^
//! ```

use std::collections::VecDeque;
use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use bot4_alloc::pressure::Level;
use bot4_lanes::usage;
use bot4_lanes::watch::STALL_AFTER;
use bot4_lanes::{Agent, Control, Counters, Fault, LaneHandle, LaneState, Metrics};
use bot4_lanes::{LogTx, Probe, Rx, StallWatch, Tx};
use bot4_types::{ActPart, Nanos, RiskCommand, RouterReport};
use indicatif::{ProgressBar, ProgressStyle};

use super::balances::Balances;
use super::child::VenueChild;
use super::disk::{DiskNews, DiskWatch};
use super::memory::MemoryWatch;
use super::refresh::Refresh;
use super::reload::Reload;
use super::shedding::ShedWatch;
use crate::log;
use crate::operator::account::News;
use crate::operator::message::{Hearer, LimitsTold};
use crate::operator::status::About;

mod heard;

/// Between two looks: the control lane parks in between.
const LOOK_EVERY: Nanos = Nanos::from_millis(5);
/// From the start until the books are live and the session is ready.
const START_PATIENCE: Nanos = Nanos::from_secs(30);
/// From ready to the seal: caches and buffers reach their size.
const WARM_UP: Nanos = Nanos::from_secs(1);
/// From the drain to the stop, at most: cancels and last reports.
const DRAIN_PATIENCE: Nanos = Nanos::from_secs(10);
/// The drain must have held for this long: reports in flight have arrived.
const DRAIN_SETTLE: Nanos = Nanos::from_millis(200);
const LINE_EVERY: Nanos = Nanos::from_millis(200);

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its time was over or it was asked to stop, and everything drained.
    InOrder,
    /// It was stopped, but something did not drain in time.
    Undrained,
    /// It never became ready.
    NotReady(String),
    /// A lane or agent failed; the kill is latched.
    Failed(Vec<Fault>),
}

/// What the control agent works with.
pub struct Inputs {
    /// The kill word.
    pub control: Control,
    /// Counters of all agents.
    pub metrics: Metrics,
    /// Set by SIGINT and SIGTERM.
    pub stop: Arc<AtomicBool>,
    /// How long to trade.
    pub length: Option<Duration>,
    /// Books to wait for.
    pub instruments: u64,
    /// The CPU of each lane by plan.
    pub planned: Vec<(String, usize)>,
    /// Lanes that may hang without danger to an order: cold roles only.
    pub cold: Vec<String>,
    /// Pages of 2 MiB that hold all arenas.
    pub huge_pages: usize,
    /// The time to wake that the CPUs were to be held at, microseconds.
    pub cpu_dma_latency_us: Option<u32>,
    /// The journal's disk.
    pub disk: DiskWatch,
    /// This process's memory.
    pub memory: MemoryWatch,
    /// What is given up under pressure.
    pub shedding: ShedWatch,
    /// Each venue's instruments, read again.
    pub refresh: Vec<Refresh>,
    /// Each account's balances, read again.
    pub balances: Vec<Balances>,
    /// The run as its status tells it.
    pub about: About,
    /// The configuration file, read again.
    pub reload: Option<Reload>,
    /// What a person says.
    pub said: Hearer,
    /// Where parent orders stand and what became of commands, for whoever asks.
    pub parents: Sender<RouterReport>,
    /// Where to say that all lanes run.
    pub ready_file: Option<PathBuf>,
    /// Venues, each with an order entry of its own.
    pub venues: u64,
    /// The embedded venues.
    pub children: Vec<VenueChild>,
}

/// The control agent's ends of links.
pub struct ControlLinks {
    /// To risk.
    pub commands: Tx<RiskCommand>,
    /// From the router.
    pub parents: Rx<RouterReport>,
    /// To the journal, behind what the run starts from.
    pub log: Option<LogTx>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Starting,
    WarmingUp { seal_at: Nanos },
    Running,
    Draining { until: Nanos, drained_since: Option<Nanos> },
    Stopping,
}

/// The control agent.
pub struct ControlAgent {
    inputs: Inputs,
    lanes: Vec<LaneHandle>,
    links: Option<ControlLinks>,
    watch: StallWatch,
    stage: Stage,
    started: Nanos,
    ready_at: Option<Nanos>,
    traded_for: Nanos,
    look_at: Nanos,
    line_at: Nanos,
    announced: bool,
    line: Option<ProgressBar>,
    ending: Option<Ending>,
    pauses: Pauses,
    breakers_open: bool,
    news: News,
    /// Who asked for what: on its way to the journal.
    evidence: VecDeque<ActPart>,
    /// What came of readings, and how many changes risk must have taken before each is told.
    limits_due: VecDeque<(LimitsTold, u64)>,
    /// How many of them it refused.
    limits_refused: u64,
    counters: Counters,
}

/// The gauge of all breakers together while more than half are open.
const GLOBAL_OPEN: u64 = 2;

/// Looks, the guard's proof of life; when trading was allowed, counted from the lanes' start;
/// whether warm-up is over (gauge); looks at which every lane was fresh: the service manager's; and
/// lines that the log had no room for.
const COUNTERS: &[&str] =
    &["looks", "trading_after_ms", "sealed", "fresh_looks", "log_lines_dropped"];
const TRADING_AFTER_MS: usize = 1;
const SEALED: usize = 2;
const FRESH_LOOKS: usize = 3;
const LOG_DROPPED: usize = 4;
/// A lane that has not beaten for longer, a cold one too, is not fresh.
const FRESH_FOR: Nanos = Nanos::from_secs(1);

/// Trips that heal and stand now.
#[derive(Clone, Copy, Debug, Default)]
struct Pauses {
    disk: bool,
    memory: bool,
}

impl ControlAgent {
    /// An agent that supervises the lanes it is given by [`attach`](Self::attach).
    #[must_use]
    pub fn new(inputs: Inputs) -> Self {
        Self {
            counters: inputs.metrics.counters("control", COUNTERS),
            inputs,
            lanes: Vec::new(),
            links: None,
            watch: StallWatch::new(0, STALL_AFTER),
            stage: Stage::Starting,
            started: Nanos::ZERO,
            ready_at: None,
            traded_for: Nanos::ZERO,
            look_at: Nanos::ZERO,
            line_at: Nanos::ZERO,
            announced: false,
            line: None,
            ending: None,
            pauses: Pauses::default(),
            breakers_open: false,
            news: News::default(),
            evidence: VecDeque::new(),
            limits_due: VecDeque::new(),
            limits_refused: 0,
        }
    }

    /// Gives the agent its lanes, its own among them, and its links.
    pub fn attach(&mut self, lanes: Vec<LaneHandle>, links: ControlLinks) {
        self.links = Some(links);
        self.watch = StallWatch::new(lanes.len(), STALL_AFTER);
        self.lanes = lanes;
    }

    /// How the run ended.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.ending.clone().unwrap_or(Ending::InOrder)
    }

    /// From ready until now.
    fn traded(&self, now: Nanos) -> Nanos {
        self.ready_at.map_or(Nanos::ZERO, |at| now.since(at))
    }

    /// From ready to the end of trading.
    #[must_use]
    pub const fn traded_for(&self) -> Nanos {
        self.traded_for
    }

    /// Times the embedded venues were started again.
    #[must_use]
    pub fn venue_restarts(&self) -> u32 {
        self.inputs.children.iter().map(|c| c.restarts).sum()
    }

    /// Takes the embedded venues, so that they outlive the lanes.
    pub fn take_children(&mut self) -> Vec<VenueChild> {
        std::mem::take(&mut self.inputs.children)
    }

    fn look(&mut self, now: Nanos) {
        self.counters.add(0, 1);
        self.counters.set(LOG_DROPPED, log::dropped());
        self.supervise_child(now);
        self.announce();
        let mut faults: Vec<Fault> = self.lanes.iter().flat_map(LaneHandle::faults).collect();
        faults.extend(self.stalled(now));
        self.counters.add(FRESH_LOOKS, u64::from(self.all_fresh(now)));
        let failed = self.lanes.iter().any(|l| l.state() == LaneState::Failed);
        if !faults.is_empty() || failed {
            self.inputs.control.kill();
            // Faults that come while the run ends are told too.
            let told = matches!(&self.ending, Some(Ending::Failed(f)) if f.len() >= faults.len());
            if !told {
                self.ending = Some(Ending::Failed(faults));
            }
            if !self.is_ending() {
                self.drain(now);
            }
        }
        self.watch_disk(now);
        self.watch_memory(now);
        self.watch_pressure(now);
        self.watch_instruments(now);
        self.watch_account(now);
        self.watch_config(now);
        self.pass_on_said();
        self.pass_on_evidence(now);
        self.pass_on_parents(now);
        self.watch_breakers();
        if self.inputs.control.has_failed() && !self.is_ending() {
            // An agent latched it and goes on, as the journal does in trouble. A halt that a
            // person or risk asked for is not that: the engine stays up.
            self.ending = Some(Ending::Failed(Vec::new()));
            self.drain(now);
        }
        if self.inputs.stop.load(Ordering::Acquire) && !self.is_ending() {
            self.drain(now);
        }
        match self.stage {
            Stage::Starting => self.await_ready(now),
            Stage::WarmingUp { seal_at } if now >= seal_at => {
                self.lanes.iter().for_each(LaneHandle::seal);
                self.counters.set(SEALED, 1);
                self.stage = Stage::Running;
            }
            Stage::WarmingUp { .. } | Stage::Running => {
                let over = self
                    .inputs
                    .length
                    .zip(self.ready_at)
                    .is_some_and(|(length, at)| now.since(at).0 >= length.as_nanos() as u64);
                if over {
                    self.drain(now);
                }
            }
            Stage::Draining { until, drained_since } => self.watch_drain(now, until, drained_since),
            Stage::Stopping => {}
        }
    }

    /// A lane that does not turn any more is a safety halt: what it was about to do, nobody knows.
    fn stalled(&mut self, now: Nanos) -> Option<Fault> {
        let cold = &self.inputs.cold;
        let beats = self.lanes.iter().map(|lane| {
            let watched =
                lane.state() == LaneState::Running && !cold.iter().any(|c| c == lane.name());
            watched.then(|| lane.heartbeat())
        });
        let runnable = |i: usize| self.lanes.get(i).and_then(|l| usage::runnable_for(l.tid()));
        let (lane, silent) = self.watch.look(now, beats, runnable)?;
        let lane = self.lanes.get(lane).map_or("", LaneHandle::name);
        Some(Fault {
            role: "control",
            what: format!(
                "lane {lane} has not turned for {} ms while this process ran: an agent hangs",
                silent.millis()
            ),
        })
    }

    fn all_fresh(&self, now: Nanos) -> bool {
        let running = self.lanes.iter().filter(|lane| lane.state() == LaneState::Running);
        running.map(|lane| now.since(lane.heartbeat())).all(|age| age < FRESH_FOR)
    }

    /// Warns of a filling disk; a full one pauses new orders until there is room again.
    fn watch_disk(&mut self, now: Nanos) {
        let Some(news) = self.inputs.disk.look(now) else { return };
        self.say(&news.to_string());
        self.pauses.disk = matches!(news, DiskNews::Full(_));
        self.pause_or_resume();
    }

    /// One bit of the control word for all that heal: it falls when none of them stands.
    fn pause_or_resume(&self) {
        if self.pauses.disk || self.pauses.memory {
            self.inputs.control.pause();
        } else {
            self.inputs.control.resume();
        }
    }

    /// Memory pressure: pauses new orders while it is high, ends the run before it runs out.
    fn watch_memory(&mut self, now: Nanos) {
        let Some(news) = self.inputs.memory.look(now) else { return };
        if let Some(pause) = news.pause {
            self.pauses.memory = pause;
            self.pause_or_resume();
        }
        self.say(&news.what);
        if news.level == Level::CancelAndStop && !self.is_ending() {
            self.ending = Some(Ending::Failed(vec![Fault { role: "control", what: news.what }]));
            self.drain(now);
        }
    }

    /// What is given up while lanes cannot keep up, or memory is short.
    fn watch_pressure(&mut self, now: Nanos) {
        let Inputs { shedding, metrics, memory, .. } = &mut self.inputs;
        let Some(links) = self.links.as_mut().filter(|_| self.ready_at.is_some()) else { return };
        if let Some(news) = shedding.look(now, metrics, memory.level(), &mut links.commands) {
            self.say(&news);
        }
    }

    /// Instruments whose rules changed: risk is told of each.
    fn watch_instruments(&mut self, now: Nanos) {
        let filtered = self.inputs.metrics.total_of("risk", "orders_filtered");
        for at in 0..self.inputs.refresh.len() {
            let refresh = &mut self.inputs.refresh[at];
            refresh.note_filtered(filtered, now);
            let news = refresh.look();
            if let Some(commands) = self.links.as_mut().map(|links| &mut links.commands) {
                refresh.pass_on(commands);
            }
            if let Some(what) = news {
                self.say(&format!("warning: {what}"));
            }
        }
    }

    /// What the venue says of the account: risk compares it, a person hears what comes of it.
    fn watch_account(&mut self, now: Nanos) {
        let suspects = self.inputs.metrics.total_of("risk", "balances_suspect");
        let mut told = Vec::new();
        for balances in &mut self.inputs.balances {
            told.extend(balances.look(suspects, now).map(|what| format!("warning: {what}")));
            if let Some(commands) = self.links.as_mut().map(|links| &mut links.commands) {
                balances.pass_on(commands);
            }
        }
        told.extend(self.news.look(&self.inputs.about, &self.inputs.metrics));
        told.iter().for_each(|what| self.say(what));
    }

    /// More than half of risk's breakers are open: nothing increases until they recover.
    fn watch_breakers(&mut self) {
        let open = self.inputs.metrics.total_of("risk", "breaker_global") == GLOBAL_OPEN;
        if std::mem::replace(&mut self.breakers_open, open) == open {
            return;
        }
        self.say(if open {
            "warning: more than half of the circuit breakers are open: no new orders but such that \
             reduce, until they recover; `bot4 status` says which"
        } else {
            "the circuit breakers recover: new orders are possible again"
        });
    }

    /// Tells a person.
    fn say(&self, text: &str) {
        crate::tell!("{text}");
    }

    fn is_ending(&self) -> bool {
        matches!(self.stage, Stage::Draining { .. } | Stage::Stopping)
    }

    /// Looks after the embedded venues. A venue that cannot be started again ends the run in order:
    /// control itself must go on, nobody else drains and stops the lanes.
    fn supervise_child(&mut self, now: Nanos) {
        let supervised = self.inputs.children.iter_mut().map(|child| child.supervise(now));
        let Some(e) = supervised.filter_map(Result::err).last() else { return };
        if !self.is_ending() {
            let what = format!("the embedded venue cannot be started again: {e}");
            self.ending = Some(Ending::Failed(vec![Fault { role: "control", what }]));
            self.inputs.control.kill();
            self.drain(now);
        }
    }

    fn await_ready(&mut self, now: Nanos) {
        let books = self.inputs.metrics.total_of("book.", "snapshots");
        let session = self.inputs.metrics.total_of("execution", "session_ready");
        // What the ready file says of trading is added to what it says of the lanes.
        if self.announced && books >= self.inputs.instruments && session >= self.inputs.venues {
            self.ready_at = Some(now);
            self.announce_trading(now);
            self.stage = Stage::WarmingUp { seal_at: now + WARM_UP };
        } else if now.since(self.started) > START_PATIENCE {
            let what = format!(
                "not ready within 30 s: {books} of {} books synchronised, order entry {}{}",
                self.inputs.instruments,
                if session >= self.inputs.venues { "ready" } else { "not ready" },
                if self.announced { "" } else { ", not all lanes run" }
            );
            self.ending = Some(Ending::NotReady(what));
            self.drain(now);
        }
    }

    fn drain(&mut self, now: Nanos) {
        self.inputs.control.drain();
        self.traded_for = self.traded(now);
        self.stage = Stage::Draining { until: now + DRAIN_PATIENCE, drained_since: None };
    }

    fn watch_drain(&mut self, now: Nanos, until: Nanos, drained_since: Option<Nanos>) {
        let drained = self.inputs.metrics.total_of("execution", "drained");
        let drained = drained >= self.inputs.venues;
        let since = drained.then(|| drained_since.unwrap_or(now));
        self.stage = Stage::Draining { until, drained_since: since };
        let settled = since.is_some_and(|s| now.since(s) >= DRAIN_SETTLE);
        if settled || now >= until {
            if !settled && self.ending.is_none() {
                self.ending = Some(Ending::Undrained);
            }
            self.stage = Stage::Stopping;
            if let Some(line) = self.line.take() {
                log::beside(None);
                line.finish_and_clear();
            }
            self.lanes.iter().for_each(LaneHandle::stop);
        }
    }

    /// Says in the ready file that orders may leave, and how long after the lanes' start.
    fn announce_trading(&self, now: Nanos) {
        // Zero would say "not yet": the other lanes may have been ready before the first look.
        let after_ms = now.since(self.started).millis().max(1);
        self.counters.set(TRADING_AFTER_MS, after_ms);
        let Some(path) = &self.inputs.ready_file else { return };
        let known = std::fs::read_to_string(path).ok();
        let known = known.and_then(|text| serde_json::from_str(&text).ok());
        let mut told: serde_json::Value = known.unwrap_or_else(|| serde_json::json!({}));
        told["trading_after_ms"] = after_ms.into();
        if let Err(e) = write_whole(path, &told.to_string()) {
            crate::tell!("warning: cannot write {}: {e}", path.display());
        }
    }

    /// Writes the ready file once every lane runs.
    fn announce(&mut self) {
        let running = self.lanes.iter().all(|l| l.state() == LaneState::Running);
        if self.announced || !running {
            return;
        }
        self.announced = true;
        let Some(path) = &self.inputs.ready_file else { return };
        let cpu_of = |name: &str| {
            self.inputs.planned.iter().find(|(lane, _)| lane == name).map(|(_, cpu)| *cpu)
        };
        let lanes: Vec<serde_json::Value> = self
            .lanes
            .iter()
            .map(|l| {
                let hot = !self.inputs.cold.iter().any(|cold| cold == l.name());
                serde_json::json!({"name": l.name(), "tid": l.tid(), "cpu": cpu_of(l.name()),
                                   "cpu_seen": l.cpu(), "hot": hot})
            })
            .collect();
        let text = serde_json::json!({"pid": std::process::id(), "lanes": lanes,
                                      "huge_pages": self.inputs.huge_pages,
                                      "cpu_dma_latency_us": self.inputs.cpu_dma_latency_us})
        .to_string();
        if let Err(e) = write_whole(path, &text) {
            crate::tell!("warning: cannot write {}: {e}", path.display());
        }
    }

    /// The live line, on a terminal only.
    fn show(&mut self, now: Nanos) {
        if now < self.line_at || self.is_ending() || self.inputs.shedding.gives_up_history() {
            return;
        }
        self.line_at = now + LINE_EVERY;
        let Some(line) = &self.line else { return };
        let m = &self.inputs.metrics;
        let state = match self.stage {
            Stage::Starting => "synchronising",
            _ if self.inputs.control.phase().is_stopped() => "stopped by a kill",
            _ => "trading",
        };
        line.set_message(format!(
            "{state} {:>5.1} s  {} messages  {} orders  {} fills  {} open",
            self.traded(now).millis() as f64 / 1_000.0,
            m.total_of("parse.", "messages"),
            m.total_of("execution", "orders_sent"),
            m.total_of("signal", "signal_fills"),
            m.total_of("execution", "orders_open"),
        ));
        line.tick();
    }
}

/// Writes a file that nobody can see half written.
fn write_whole(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    let part = path.with_extension("part");
    std::fs::File::create(&part)?.write_all(text.as_bytes())?;
    std::fs::rename(&part, path)
}

impl Agent for ControlAgent {
    fn role(&self) -> &'static str {
        "control"
    }

    fn start(&mut self, now: Nanos) -> Result<(), Fault> {
        self.started = now;
        if std::io::stderr().is_terminal() {
            let line = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {msg}");
            line.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            log::beside(Some(line.clone()));
            self.line = Some(line);
        }
        Ok(())
    }

    fn work(&mut self, now: Nanos, _probe: &mut Probe) -> Result<usize, Fault> {
        if now < self.look_at {
            return Ok(0);
        }
        self.look_at = now + LOOK_EVERY;
        self.look(now);
        self.show(now);
        // A look is not work: the control lane parks between looks.
        Ok(0)
    }
}
