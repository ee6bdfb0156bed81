//! The helper thread: listens at the control socket, watches the triggers and what risk latches,
//! raises the halt, and keeps the guard and the service manager fed.
//!
//! It may be slow; it is never in an order's way. It raises the halt before anything that can
//! block, so that a full disk or a slow client cannot hold it up.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bot4_lanes::{Clock, Control, Counters, Metrics, Phase, Total};
use bot4_risk::latch::LatchKind;
use bot4_telemetry::DumpLine;

use super::account;
use super::admission::Admission;
use super::clients::Clients;
use super::dumps::Dumps;
use super::guard::GuardFeed;
use super::latch::{By, Latch, LatchRecord, name_of};
use super::message::Sayer;
use super::notify::{Seen, ServiceManager};
use super::orders::Board;
use super::path::SOCKET;
use super::refusal::{COUNTERS, DROPPED, Refused, Why};
use super::status::About;
use super::trigger::Triggers;

mod obey;

/// Between two looks at triggers and latches; a request wakes at once.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Requests that are served between two looks.
const SERVED_MAX: usize = 32;

/// What the helper works with.
pub struct Inputs {
    /// The run's folder: the socket lies there.
    pub folder: PathBuf,
    /// What the status tells of the run.
    pub about: About,
    /// The engine's clock.
    pub clock: Clock,
    /// The kill word.
    pub control: Control,
    /// Counters of all agents.
    pub metrics: Metrics,
    /// To the telemetry lane.
    pub dumps: DumpLine,
    /// To the control lane, which passes it on to risk and the journal.
    pub commands: Sayer,
    /// Parent orders.
    pub board: Board,
    /// A stop closes what is held, whoever asks for it.
    pub flatten_on_kill: bool,
    /// The account's latch.
    pub latch: Latch,
    /// The guard, where there is one.
    pub guard: Option<GuardFeed>,
}

/// The running helper. Dropping it ends the thread; the guard then takes the run for dead unless
/// [`finish`](Self::finish) was called.
pub struct Helper {
    end: Arc<AtomicBool>,
    in_order: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Helper {
    /// Opens the socket and starts the thread.
    ///
    /// # Errors
    /// When the socket, the signal handler or the thread cannot be had.
    pub fn start(inputs: Inputs) -> std::io::Result<Self> {
        let (end, in_order) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let mut desk = Desk::new(inputs, end.clone(), in_order.clone())?;
        let work = move || desk.run();
        let thread = std::thread::Builder::new().name("operator".to_owned()).spawn(work)?;
        Ok(Self { end, in_order, thread: Some(thread) })
    }

    /// Ends. `clear`: nothing of the run is open at the venue, so its guard may go.
    pub fn finish(self, clear: bool) {
        // Relaxed: the release of the drop below publishes it.
        self.in_order.store(clear, Ordering::Relaxed);
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // Release: pairs with the acquire in the thread's loop.
        self.end.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Desk {
    inputs: Inputs,
    triggers: Triggers,
    dumps: Dumps,
    clients: Clients,
    admission: Admission,
    counters: Counters,
    end: Arc<AtomicBool>,
    in_order: Arc<AtomicBool>,
    risk_latches: [u64; LatchKind::ALL.len()],
    drift_causes: account::Causes,
    /// Counters of risk's latches and of the control lane's looks.
    latched: [Total; LatchKind::ALL.len()],
    looks: Total,
    fresh_looks: Total,
    trading_after: Total,
    manager: ServiceManager,
}

impl Desk {
    fn new(
        inputs: Inputs,
        end: Arc<AtomicBool>,
        in_order: Arc<AtomicBool>,
    ) -> std::io::Result<Self> {
        // Before the socket is there: nobody can have asked this engine for anything yet.
        let admission = Admission::new(inputs.clock.now());
        let clients = Clients::listen(&inputs.folder)?;
        let triggers = Triggers::watch()?;
        let risk_latches = [0; LatchKind::ALL.len()];
        let metrics = &inputs.metrics;
        let latched =
            LatchKind::ALL.map(|kind| metrics.find("risk", &format!("latched_{}", kind.name())));
        let of_control = |name| metrics.find("control", name);
        let (looks, fresh_looks) = (of_control("looks"), of_control("fresh_looks"));
        let trading_after = of_control("trading_after_ms");
        Ok(Self {
            triggers,
            dumps: Dumps::new(inputs.dumps.clone()),
            clients,
            admission,
            counters: metrics.counters("admin", COUNTERS),
            end,
            in_order,
            risk_latches,
            drift_causes: account::Causes::default(),
            latched,
            looks,
            fresh_looks,
            trading_after,
            manager: ServiceManager::of_this_process(),
            inputs,
        })
    }

    fn run(&mut self) {
        // Acquire: pairs with the release of the handle's drop.
        while !self.end.load(Ordering::Acquire) {
            self.clients.wait(LOOK_EVERY);
            self.inputs.board.hear();
            self.look();
            for _ in 0..SERVED_MAX {
                let now = self.inputs.clock.now();
                let Some((client, line)) = self.clients.next(now) else { break };
                self.serve(client, line);
            }
            self.counters.add(DROPPED, self.clients.take_dropped());
            self.look_at_dumps();
        }
        let _ = std::fs::remove_file(self.inputs.folder.join(SOCKET));
        // Relaxed: `end` was read with acquire after it was written.
        if self.in_order.load(Ordering::Relaxed)
            && let Some(guard) = &mut self.inputs.guard
        {
            guard.closed();
        }
    }

    /// Triggers, latches of risk, the guard's beat.
    fn look(&mut self) {
        if let Some((by, reason)) = self.triggers.pulled() {
            self.halt(by, &reason, self.inputs.flatten_on_kill);
        }
        let raised = self.raised();
        if raised != self.risk_latches {
            let new = LatchKind::ALL
                .iter()
                .filter(|k| raised[**k as usize] > self.risk_latches[**k as usize]);
            let drift = raised[LatchKind::Drift as usize];
            let drifted = drift > self.risk_latches[LatchKind::Drift as usize];
            let names: Vec<_> = new.map(|k| k.name()).collect();
            self.risk_latches = raised;
            // Positions that contradict the venue are not for a machine to close.
            let flatten = self.inputs.flatten_on_kill && drift == 0;
            let (about, m) = (&self.inputs.about, &self.inputs.metrics);
            let why = drifted.then(|| self.drift_causes.newest(about, m)).flatten();
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            let reason = format!("risk latched: {}{why}", names.join(", "));
            let latched = names.iter().map(|name| (*name).to_owned()).collect();
            self.halt_for(By::Risk, &reason, flatten, latched);
        }
        let (now, looks) = (self.inputs.clock.now(), self.looks.value());
        if let Some(guard) = &mut self.inputs.guard {
            guard.beat(now, looks);
        }
        let control = &self.inputs.control;
        self.manager.look(&Seen {
            now,
            ready: self.trading_after.value() > 0,
            fresh_looks: self.fresh_looks.value(),
            phase: control.phase(),
            failed: control.has_failed(),
        });
    }

    /// Wishes for a dump, and those that were granted.
    fn look_at_dumps(&mut self) {
        let now = self.inputs.clock.now();
        let mut told = Vec::new();
        if self.triggers.dump_wanted() {
            told.extend(self.dumps.ask(None, now));
        }
        told.extend(self.dumps.look(now));
        for (client, answer) in told {
            match (client, answer) {
                (Some(client), answer) => self.reply(client, answer, |r, dump| r.dump = dump),
                (None, Ok(dump)) => crate::tell!(
                    "{} latency histograms (by SIGUSR2) written to {}",
                    dump["lines"],
                    dump["file"].as_str().unwrap_or("?")
                ),
                (None, Err(why)) => crate::tell!("warning: no latency histograms (SIGUSR2): {why}"),
            }
        }
    }

    /// Raises the halt; the first reason stays. The wish to close what is held may come later.
    fn halt(&mut self, by: By, reason: &str, flatten: bool) {
        self.halt_for(by, reason, flatten, Vec::new());
    }

    /// The same, because risk `latched`.
    fn halt_for(&mut self, by: By, reason: &str, flatten: bool, latched: Vec<String>) {
        let phase = self.inputs.control.phase();
        // Behind a fault nobody knows what is held: the word would not show the wish anyway.
        if flatten && phase != Phase::Flatten && !self.inputs.control.has_failed() {
            self.inputs.control.flatten();
            crate::tell!("what is held is closed (by {}): {reason}", name_of(by));
        }
        let standing = phase.is_stopped() && self.inputs.latch.standing().is_some();
        if standing && latched.is_empty() {
            return;
        }
        if !standing {
            self.inputs.control.halt();
            crate::tell!("trading is stopped (by {}): {reason}", name_of(by));
        }
        let record = LatchRecord {
            by,
            reason: reason.to_owned(),
            at_ms: self.unix_ms(),
            run: self.inputs.about.run.clone(),
            latched,
        };
        self.write_down(Some(record));
    }

    /// The stop outlives the process.
    fn write_down(&mut self, record: Option<LatchRecord>) {
        let written = record.map_or(Ok(()), |record| self.inputs.latch.set(record));
        if let Err(e) = written {
            crate::tell!("warning: the stop is in force, but could not be written down: {e}");
        }
    }

    /// How often risk has raised each of its latches.
    fn raised(&self) -> [u64; LatchKind::ALL.len()] {
        LatchKind::ALL.map(|kind| self.latched[kind as usize].value())
    }

    /// Ends the halt, if a person may end it.
    fn resume(&mut self, reason: &str) -> Result<(), Refused> {
        let refused = |text: String| Err(Refused::new(Why::NotResumable, text));
        if self.inputs.control.has_failed() {
            let text = "a lane failed: this process will not trade again; start a new run after a \
                        look at its report";
            return refused(text.to_owned());
        }
        if self.triggers.kill_file_stands() {
            let file = self.triggers.kill_file().display();
            return refused(format!("{file} exists: remove it first"));
        }
        let news = "risk has latched just now: look at `bot4 status` again";
        if self.raised() != self.risk_latches {
            return refused(news.to_owned());
        }
        let (at_ms, stood) = (self.unix_ms(), self.inputs.latch.standing().cloned());
        if let Err(e) = self.inputs.latch.clear(reason, at_ms) {
            return refused(format!("the latch cannot be removed: {e}; the stop stays"));
        }
        // The disk may have taken its time: what stood stands again, and what is new beside it.
        if self.raised() != self.risk_latches {
            self.write_down(stood);
            self.look();
            return refused(news.to_owned());
        }
        self.drift_causes.accept(&self.inputs.metrics);
        self.inputs.control.end_halt();
        crate::tell!("trading goes on: {reason}");
        Ok(())
    }
}

/// The socket of the run in `folder` is there: an engine listens, or was killed.
#[must_use]
pub fn has_socket(folder: &Path) -> bool {
    folder.join(SOCKET).exists()
}

#[cfg(test)]
mod tests;
