//! The helper thread: listens at the control socket, watches the triggers and what risk latches,
//! raises the halt, and keeps the guard and the service manager fed.
//!
//! It may be slow; it is never in an order's way. It raises the halt before anything that can
//! block, so that a full disk or a slow client cannot hold it up.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use bot4_lanes::{Clock, Control, Metrics, Phase, Total};
use bot4_risk::latch::LatchKind;
use bot4_telemetry::DumpLine;
use bot4_types::{ParentAction, ParentCommand, RiskCommand};
use mio::net::UnixListener;
use mio::{Events, Interest, Poll, Token};
use serde_json::{Value, json};

use super::account;
use super::commands::CommandText;
use super::dumps::Dumps;
use super::guard::GuardFeed;
use super::latch::{By, Latch, LatchRecord, name_of};
use super::message::{REQUEST_LEN_MAX, Reply, Request, checked_reason};
use super::notify::{Seen, ServiceManager};
use super::orders::{Board, OrderText};
use super::path::{SOCKET, Within};
use super::scope;
use super::status::{self, About};
use super::trigger::Triggers;
use crate::run::start_mode;

/// Between two looks at triggers and latches; a request wakes at once.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A client says its line within this, and takes the answer within this, or is dropped.
const CLIENT_PATIENCE: Duration = Duration::from_millis(500);
const LISTENER: Token = Token(0);

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
    /// To the control lane, which passes it on to risk.
    pub commands: Sender<RiskCommand>,
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
    listener: UnixListener,
    poll: Poll,
    /// Keeps the socket's short name valid.
    _within: Within,
    end: Arc<AtomicBool>,
    in_order: Arc<AtomicBool>,
    risk_latches: [u64; LatchKind::ALL.len()],
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
        let within = Within::open(&inputs.folder, SOCKET)?;
        let mut listener = UnixListener::bind(within.path())?;
        // The folder is 0700 already; the socket says so itself too.
        let owner_alone = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(within.path(), owner_alone)?;
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
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
            listener,
            poll,
            _within: within,
            end,
            in_order,
            risk_latches,
            latched,
            looks,
            fresh_looks,
            trading_after,
            manager: ServiceManager::of_this_process(),
            inputs,
        })
    }

    fn run(&mut self) {
        let mut events = Events::with_capacity(4);
        // Acquire: pairs with the release of the handle's drop.
        while !self.end.load(Ordering::Acquire) {
            // An interrupted wait is a look like any other.
            let _ = self.poll.poll(&mut events, Some(LOOK_EVERY));
            self.inputs.board.hear();
            self.look();
            while let Ok((stream, _)) = self.listener.accept() {
                self.serve(stream.into());
            }
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
        let raised = LatchKind::ALL.map(|kind| self.latched[kind as usize].value());
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
            let why = account::reason(about, m).filter(|_| drifted).map(|why| format!(": {why}"));
            let why = why.unwrap_or_default();
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
                (None, Ok(dump)) => eprintln!("latency histograms (by SIGUSR2): {dump}"),
                (None, Err(why)) => eprintln!("warning: no latency histograms (SIGUSR2): {why}"),
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
            eprintln!("what is held is closed (by {}): {reason}", name_of(by));
        }
        let standing = phase.is_stopped() && self.inputs.latch.standing().is_some();
        if standing && latched.is_empty() {
            return;
        }
        if !standing {
            self.inputs.control.halt();
            eprintln!("trading is stopped (by {}): {reason}", name_of(by));
        }
        let record = LatchRecord {
            by,
            reason: reason.to_owned(),
            at_ms: self.unix_ms(),
            run: self.inputs.about.run.clone(),
            latched,
        };
        if let Err(e) = self.inputs.latch.set(record) {
            eprintln!("warning: the stop is in force, but could not be written down: {e}");
        }
    }

    /// Ends the halt, if a person may end it.
    fn resume(&mut self, reason: &str) -> Result<(), String> {
        if self.inputs.control.has_failed() {
            return Err("a lane failed: this process will not trade again; start a new run after \
                        a look at its report"
                .to_owned());
        }
        if self.triggers.kill_file_stands() {
            let file = self.triggers.kill_file().display();
            return Err(format!("{file} exists: remove it first"));
        }
        let at_ms = self.unix_ms();
        let cleared = self.inputs.latch.clear(reason, at_ms);
        cleared.map_err(|e| format!("the latch cannot be removed: {e}; the stop stays"))?;
        self.inputs.control.end_halt();
        eprintln!("trading goes on: {reason}");
        Ok(())
    }

    /// One client: a line in, a line out.
    fn serve(&mut self, mut stream: UnixStream) {
        let asked = read_line(&mut stream).and_then(|line| {
            serde_json::from_slice(&line).map_err(|e| format!("not a request: {e}"))
        });
        if let Ok(Request::LatencyDump) = asked {
            let refused = self.dumps.ask(Some(stream), self.inputs.clock.now());
            if let Some((Some(client), answer)) = refused {
                self.reply(client, answer, |reply, dump| reply.dump = dump);
            }
            return;
        }
        let done = asked.and_then(|request| self.obey(&request));
        self.reply(stream, done, |reply, orders| reply.orders = orders);
    }

    /// Answers a client; `put` says where in the answer that belongs which is told beside the
    /// status.
    fn reply(
        &self,
        mut stream: UnixStream,
        done: Result<Value, String>,
        put: impl FnOnce(&mut Reply, Value),
    ) {
        let inputs = &self.inputs;
        let latch = inputs.latch.standing();
        let mut status = status::of(&inputs.about, &inputs.control, &inputs.metrics, latch);
        status["parents"] = inputs.board.list(true);
        let (told, error) = done.map_or_else(|e| (Value::Null, Some(e)), |told| (told, None));
        let mut reply = Reply { error, status, orders: Value::Null, dump: Value::Null };
        put(&mut reply, told);
        if let Ok(mut text) = serde_json::to_vec(&reply) {
            text.push(b'\n');
            // A client that went away has nothing to hear.
            let _ = stream.write_all(&text);
        }
    }

    /// Does what is asked; what is told beside the status.
    fn obey(&mut self, request: &Request) -> Result<Value, String> {
        match request {
            Request::Order { order, reason } => return self.begin(order, reason),
            Request::OrderCommand { command, reason } => return self.give(command, reason),
            Request::OrderList => return Ok(self.inputs.board.list_all()),
            other => self.obey_plainly(other)?,
        }
        Ok(Value::Null)
    }

    /// Begins a parent order; its name.
    fn begin(&mut self, text: &OrderText, reason: &str) -> Result<Value, String> {
        let reason = checked_reason(reason)?;
        if self.inputs.control.phase() != Phase::Run {
            return Err("trading is stopped: nothing was begun".to_owned());
        }
        let order = self.inputs.board.begin(text)?;
        self.command(RiskCommand::Parent(ParentCommand::Begin(order)))?;
        let (side, size, symbol) = (&text.side, &text.size, &text.symbol);
        let what = format!("parent {}: {} {side} {size} {symbol}", order.id, text.algo);
        self.note(&what, &reason);
        Ok(json!(order.id.to_string()))
    }

    /// Gives a command on orders; its name.
    fn give(&mut self, text: &CommandText, reason: &str) -> Result<Value, String> {
        let reason = checked_reason(reason)?;
        if self.inputs.control.phase() != Phase::Run {
            return Err("trading is stopped: nothing was begun".to_owned());
        }
        let work = self.inputs.board.command(text)?;
        self.command(RiskCommand::Work(work))?;
        let about = text.of.as_deref().unwrap_or(&text.symbol);
        self.note(&format!("order {}: {} {about}", work.id, work.kind.name()), &reason);
        Ok(json!(work.id.to_string()))
    }

    fn obey_plainly(&mut self, request: &Request) -> Result<(), String> {
        match request {
            Request::Status
            | Request::Order { .. }
            | Request::OrderCommand { .. }
            | Request::LatencyDump
            | Request::OrderList => Ok(()),
            Request::OrderAct { id, action, reason } => {
                let reason = checked_reason(reason)?;
                let which = self.inputs.board.alive(id)?;
                let known = ParentAction::ALL.iter().find(|a| a.name() == action);
                let action = *known.ok_or("choose cancel, pause or resume")?;
                self.command(RiskCommand::Parent(ParentCommand::Act { id: which, action }))?;
                self.note(&format!("parent {id}: {}", action.name()), &reason);
                Ok(())
            }
            Request::Kill { reason, flatten } => {
                // Even a bad reason stops: then ask for a better one.
                let checked = checked_reason(reason);
                let told = checked.clone().unwrap_or_else(|_| "no reason given".to_owned());
                self.halt(By::Operator, &told, *flatten || self.inputs.flatten_on_kill);
                Ok(())
            }
            Request::Resume { reason } => {
                let reason = checked_reason(reason)?;
                self.resume(&reason)
            }
            Request::AcceptBalance { symbol, reason } => {
                let reason = checked_reason(reason)?;
                let instrument = scope::instrument(symbol, &self.inputs.about.symbols)?;
                self.command(RiskCommand::AcceptBalance { instrument })?;
                self.note(&format!("balance accepted: {symbol}"), &reason);
                Ok(())
            }
            Request::Mode { mode, reason } => {
                let reason = checked_reason(reason)?;
                let known = start_mode::named(mode);
                let command = known.ok_or_else(|| scope::no_mode(mode))?;
                self.command(RiskCommand::OperatorMode(command))?;
                self.note(&format!("control mode {mode}"), &reason);
                Ok(())
            }
            Request::BreakerReset { scope, reason } => {
                let reason = checked_reason(reason)?;
                let about = &self.inputs.about;
                let which = scope::parse(scope, about.strategies, &about.symbols)?;
                self.command(RiskCommand::BreakerReset { scope: which })?;
                self.note(&format!("breaker reset: {scope}"), &reason);
                Ok(())
            }
        }
    }

    fn command(&self, command: RiskCommand) -> Result<(), String> {
        let ended = "the run is ending: nothing was changed";
        self.inputs.commands.send(command).map_err(|_| ended.to_owned())
    }

    /// Tells and keeps what a person said.
    fn note(&self, what: &str, reason: &str) {
        eprintln!("{what} (by {}): {reason}", name_of(By::Operator));
        let said = json!({"said": {"what": what, "reason": reason, "at_ms": self.unix_ms(),
                                   "run": self.inputs.about.run}});
        if let Err(e) = self.inputs.latch.note(&said) {
            eprintln!("warning: {what} is in force, but could not be written down: {e}");
        }
    }

    fn unix_ms(&self) -> i64 {
        self.inputs.clock.wall().unix_ms(self.inputs.clock.now())
    }
}

fn read_line(stream: &mut UnixStream) -> Result<Vec<u8>, String> {
    let set = stream
        .set_nonblocking(false)
        .and_then(|()| stream.set_read_timeout(Some(CLIENT_PATIENCE)))
        .and_then(|()| stream.set_write_timeout(Some(CLIENT_PATIENCE)));
    set.map_err(|e| format!("the socket: {e}"))?;
    let mut line = Vec::new();
    let mut chunk = [0; 512];
    while !line.ends_with(b"\n") {
        let n = stream.read(&mut chunk).map_err(|e| format!("no request came: {e}"))?;
        if n == 0 {
            return Err("the request has no end".to_owned());
        }
        line.extend_from_slice(&chunk[..n]);
        if line.len() > REQUEST_LEN_MAX {
            return Err(format!("the request is longer than {REQUEST_LEN_MAX} bytes"));
        }
    }
    Ok(line)
}

/// The socket of the run in `folder` is there: an engine listens, or was killed.
#[must_use]
pub fn has_socket(folder: &Path) -> bool {
    folder.join(SOCKET).exists()
}

#[cfg(test)]
#[path = "helper_tests.rs"]
mod tests;
