//! What the helper does with a request: lets it in, obeys it, answers with the status, and leaves
//! who asked for what, and why, in the journal.

use bot4_lanes::{Clock, Counters, Phase};
use bot4_types::{ActAbout, ParentAction, ParentCommand, RiskCommand};
use serde_json::{Value, json};

use super::{Desk, Inputs};
use crate::operator::admission::Peer;
use crate::operator::clients::Client;
use crate::operator::commands::CommandText;
use crate::operator::latch::{By, name_of};
use crate::operator::message::{Asked, ForControl, Reply, Request, checked_reason};
use crate::operator::orders::OrderText;
use crate::operator::refusal::{ACTS, COUNTERS, DROPPED, READS, Refused, Why};
use crate::operator::{scope, status};
use crate::run::start_mode;

impl Desk {
    /// One client: a line in, a line out.
    pub(super) fn serve(&mut self, client: Client, line: Result<Vec<u8>, Refused>) {
        let asked = line.and_then(|line| Asked::read(&line));
        let dump = asked.as_ref().is_ok_and(|asked| asked.request == Request::LatencyDump);
        let done = asked.and_then(|asked| self.judge(&asked, client.peer));
        if dump && done.is_ok() {
            // Its answer comes with the dump.
            let now = self.inputs.clock.now();
            if let Some((Some(client), answer)) = self.dumps.ask(Some(client), now) {
                self.reply(client, answer, |reply, dump| reply.dump = dump);
            }
            return;
        }
        self.reply(client, done, |reply, orders| reply.orders = orders);
    }

    /// Answers a client; `put` says where in the answer that belongs which is told beside the
    /// status.
    pub(super) fn reply(
        &self,
        mut client: Client,
        done: Result<Value, Refused>,
        put: impl FnOnce(&mut Reply, Value),
    ) {
        let why = done.as_ref().err().map(|refused| refused.why);
        if let Some(why) = why {
            self.counters.add(why as usize, 1);
        }
        // Whoever is none of ours, or asks too much, costs and learns nothing.
        let turned_away =
            matches!(why, Some(Why::NotOwner | Why::TooMany | Why::TooLong | Why::NoRequest));
        let status = if turned_away { Value::Null } else { self.status() };
        let refused = why.map(|why| why.name().to_owned());
        let (told, error) = done.map_or_else(|e| (Value::Null, Some(e.text)), |told| (told, None));
        let (orders, dump) = (Value::Null, Value::Null);
        let mut reply = Reply { error, refused, status, orders, dump };
        put(&mut reply, told);
        if let Ok(mut text) = serde_json::to_vec(&reply) {
            text.push(b'\n');
            // A client that went away has nothing to hear.
            self.counters.add(DROPPED, u64::from(!client.answer(&text)));
        }
    }

    fn status(&self) -> Value {
        let Inputs { about, control, metrics, latch, board, commands, .. } = &self.inputs;
        let mut status = status::of(about, control, metrics, latch.standing());
        status["parents"] = board.list(true);
        status["limits"] = serde_json::to_value(commands.limits()).unwrap_or_default();
        status["admin"] = admin_of(&self.counters);
        status
    }

    /// Lets a request in, obeys it, and leaves the evidence.
    fn judge(&mut self, asked: &Asked, peer: Peer) -> Result<Value, Refused> {
        let now_ms = unix_ms();
        self.admission.admit(asked, self.inputs.clock.now(), now_ms)?;
        let done = self.obey(asked, peer);
        if asked.request.is_read() {
            self.counters.add(READS, 1);
            return done;
        }
        self.counters.add(ACTS, u64::from(done.is_ok()));
        // What the limits came to, the control lane knows and writes.
        let handed_on = matches!(asked.request, Request::LimitsReload { .. }) && done.is_ok();
        if !handed_on {
            let outcome = done.as_ref().map_or_else(|e| e.why.name(), |_| "done");
            let parts = about_of(asked, peer, outcome).parts(&text_of(asked));
            // The run ends: so does its journal.
            let _ = self.inputs.commands.say(ForControl::Evidence(parts));
        }
        done
    }

    /// Does what is asked; what is told beside the status.
    fn obey(&mut self, asked: &Asked, peer: Peer) -> Result<Value, Refused> {
        match &asked.request {
            Request::Order { order, reason } => return self.begin(order, reason),
            Request::OrderCommand { command, reason } => return self.give(command, reason),
            Request::OrderList => return Ok(self.inputs.board.list_all()),
            Request::LimitsReload { reason } => {
                let reason = reason.as_deref().map(kept).transpose()?;
                let by = about_of(asked, peer, "asked");
                self.tell(ForControl::Limits { reason, by, mark: asked.mark() })?;
            }
            other => self.obey_plainly(other)?,
        }
        Ok(Value::Null)
    }

    /// Begins a parent order; its name.
    fn begin(&mut self, text: &OrderText, reason: &str) -> Result<Value, Refused> {
        let reason = kept(reason)?;
        if self.inputs.control.phase() != Phase::Run {
            return Err(stopped());
        }
        let order = self.inputs.board.begin(text)?;
        self.command(RiskCommand::Parent(ParentCommand::Begin(order)))?;
        let (side, size, symbol) = (&text.side, &text.size, &text.symbol);
        let what = format!("parent {}: {} {side} {size} {symbol}", order.id, text.algo);
        self.note(&what, &reason);
        Ok(json!(order.id.to_string()))
    }

    /// Gives a command on orders; its name.
    fn give(&mut self, text: &CommandText, reason: &str) -> Result<Value, Refused> {
        let reason = kept(reason)?;
        if self.inputs.control.phase() != Phase::Run {
            return Err(stopped());
        }
        let work = self.inputs.board.command(text)?;
        self.command(RiskCommand::Work(work))?;
        let about = text.of.as_deref().unwrap_or(&text.symbol);
        self.note(&format!("order {}: {} {about}", work.id, work.kind.name()), &reason);
        Ok(json!(work.id.to_string()))
    }

    fn obey_plainly(&mut self, request: &Request) -> Result<(), Refused> {
        match request {
            Request::Status
            | Request::Order { .. }
            | Request::OrderCommand { .. }
            | Request::LimitsReload { .. }
            | Request::LatencyDump
            | Request::OrderList => Ok(()),
            Request::JournalRotate { reason } => {
                let reason = kept(reason)?;
                self.inputs.control.rotations().ring();
                self.note("a new journal segment", &reason);
                Ok(())
            }
            Request::OrderAct { id, action, reason } => {
                let reason = kept(reason)?;
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
                let reason = kept(reason)?;
                self.resume(&reason)
            }
            Request::AcceptBalance { symbol, reason } => {
                let reason = kept(reason)?;
                let instrument = scope::instrument(symbol, &self.inputs.about.symbols)?;
                self.command(RiskCommand::AcceptBalance { instrument })?;
                self.note(&format!("balance accepted: {symbol}"), &reason);
                Ok(())
            }
            Request::Mode { mode, reason } => {
                let reason = kept(reason)?;
                let known = start_mode::named(mode);
                let command = known.ok_or_else(|| scope::no_mode(mode))?;
                self.command(RiskCommand::OperatorMode(command))?;
                self.note(&format!("control mode {mode}"), &reason);
                Ok(())
            }
            Request::BreakerReset { scope, reason } => {
                let reason = kept(reason)?;
                let about = &self.inputs.about;
                let which = scope::parse(scope, about.strategies, &about.symbols)?;
                self.command(RiskCommand::BreakerReset { scope: which })?;
                self.note(&format!("breaker reset: {scope}"), &reason);
                Ok(())
            }
        }
    }

    fn command(&self, command: RiskCommand) -> Result<(), Refused> {
        self.tell(ForControl::Risk(command))
    }

    fn tell(&self, what: ForControl) -> Result<(), Refused> {
        let ended = "the run is ending: nothing was changed";
        let heard = self.inputs.commands.say(what);
        heard.then_some(()).ok_or_else(|| Refused::new(Why::Ending, ended))
    }

    /// Tells and keeps what a person said.
    fn note(&self, what: &str, reason: &str) {
        crate::tell!("{what} (by {}): {reason}", name_of(By::Operator));
        let said = json!({"said": {"what": what, "reason": reason, "at_ms": self.unix_ms(),
                                   "run": self.inputs.about.run}});
        if let Err(e) = self.inputs.latch.note(&said) {
            crate::tell!("warning: {what} is in force, but could not be written down: {e}");
        }
    }

    pub(super) fn unix_ms(&self) -> i64 {
        self.inputs.clock.wall().unix_ms(self.inputs.clock.now())
    }
}

/// Unix time in ms, by the machine's clock of this moment: an act's time is judged by it, and the
/// engine's own mapping is as old as the run.
pub(super) fn unix_ms() -> i64 {
    let clock = Clock::monotonic();
    clock.wall().unix_ms(clock.now())
}

fn kept(reason: impl AsRef<str>) -> Result<String, Refused> {
    checked_reason(reason.as_ref()).map_err(|e| Refused::new(Why::Reason, e))
}

fn stopped() -> Refused {
    let text =
        "trading is stopped: nothing was begun; `bot4 resume --reason \"...\"` ends the stop";
    Refused::new(Why::Stopped, text)
}

fn about_of(asked: &Asked, peer: Peer, outcome: &str) -> ActAbout {
    let (nonce, at_ms) = asked.stamp.map_or((0, 0), |stamp| (stamp.nonce, stamp.at_ms));
    ActAbout::new((peer.uid, peer.pid), nonce, at_ms, [asked.request.name(), outcome])
}

/// What and why, on one line.
fn text_of(asked: &Asked) -> String {
    let text = format!("{}: {}", asked.request.about(), asked.request.reason());
    let text = asked.mark() + text.trim_start_matches(": ");
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What was served and refused. Refusals that never were are left out.
fn admin_of(counters: &Counters) -> Value {
    let of = |why: &Why| (why.name().to_owned(), counters.value(*why as usize));
    let refused = Why::ALL.iter().map(of).filter(|(_, n)| *n > 0);
    let refused: serde_json::Map<_, _> = refused.map(|(name, n)| (name, n.into())).collect();
    let count = |at: usize| (COUNTERS[at].to_owned(), Value::from(counters.value(at)));
    let mut told: serde_json::Map<_, _> = [READS, ACTS, DROPPED].map(count).into_iter().collect();
    told.insert("refused".to_owned(), refused.into());
    told.into()
}
