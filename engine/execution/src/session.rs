//! The session's way from connecting to trading, and what the venue says on it.

use bot4_lanes::{Fault, Phase, Probe};
use bot4_types::{DoneReason, ExecMsg, Nanos, OrderId};
use bot4_wire::ConnError;

use crate::agent::{ExecutionAgent, MESSAGES, NOT_UNDERSTOOD, RECONNECTS, SESSION_READY};
use crate::desk::Question;
use crate::desk_input::DeskInput;
use crate::gateway::{Act, Fact, Failure, Named, OrderKey, Page, VenueState, Way};
use crate::link::{Heard, SessionState, Step};
use crate::requests::{Pending, Purpose};

/// Messages of the venue in a turn.
const BATCH: usize = 32;
/// A logon, subscription or recovery question without answer for this long ends the connection.
const SESSION_PATIENCE: Nanos = Nanos::from_secs(3);
/// Questions over HTTPS under way at a time: twice as many as are carried at once.
const REST_AT_ONCE: usize = 8;

impl ExecutionAgent {
    /// Drives the connection and takes in what the venue says.
    pub(crate) fn hear(&mut self, now: Nanos, probe: &Probe) -> Result<usize, Fault> {
        self.heed(now);
        // Connecting costs weight, too: while the venue forbids requests the link stays down.
        let down = self.link.state() == SessionState::Down;
        if !(down && self.budget.is_blocked(self.wall.unix_ms(now))) {
            match self.link.poll(now) {
                Ok(true) => self.log_on(now, probe),
                Ok(false) => {}
                Err(error) => self.lose(now, &error),
            }
        }
        let mut done = 0;
        while done < BATCH && self.may_hear() {
            match self.receive(now, probe) {
                Ok(true) => done += 1,
                Ok(false) => break,
                Err(error) => {
                    self.lose(now, &error);
                    break;
                }
            }
        }
        self.check_patience(now);
        self.go_on(now, probe);
        Ok(done)
    }

    /// The reports of the last message have left, and whatever the next one tells finds room in
    /// the log. A halting agent goes on without records: its cancels need the answers.
    fn may_hear(&self) -> bool {
        let recorded = self.ports.log.room() >= self.message_records || self.is_halting();
        self.desk.has_room() && recorded
    }

    fn unanswered(&mut self, order: OrderId, now: Nanos) {
        self.feed(DeskInput::Unanswered(order), now);
    }

    fn receive(&mut self, now: Nanos, probe: &Probe) -> Result<bool, ConnError> {
        let mut stamp = || probe.stamp();
        let heard = self.link.receive(now, &mut self.buffers, &mut stamp)?;
        self.facts.clear();
        let (understood, t0) = match heard {
            None => return Ok(false),
            Some(Heard::Message { leg, len, t0 }) => {
                (self.gateway.decode(self.buffers[leg].bytes(len), &mut self.facts), t0)
            }
            Some(Heard::Page(answer)) => {
                // An answer to a session that is gone tells nothing any more.
                let Some(purpose) = self.link.requests.purpose(answer.id) else { return Ok(true) };
                let (id, status, text) = (answer.id, answer.status, answer.body.as_slice());
                let now_ms = self.wall.unix_ms(now);
                let page = Page { id, purpose, status, now_ms, text };
                let understood = self.gateway.decode_page(&page, &mut self.facts);
                self.note_granted(&answer, now);
                (understood, now)
            }
        };
        self.counters.add(MESSAGES, 1);
        if understood.is_err() {
            // A damaged message is a lost one: reconcile over a new connection.
            self.counters.add(NOT_UNDERSTOOD, 1);
            return Err(ConnError::ClosedByPeer(None));
        }
        self.listing = self.is_list();
        for i in 0..self.facts.len() {
            let fact = self.facts[i];
            self.apply(fact, now, probe, t0)?;
        }
        Ok(true)
    }

    fn apply(&mut self, fact: Fact, now: Nanos, probe: &Probe, t0: Nanos) -> Result<(), ConnError> {
        match fact {
            Fact::Answered { id } => {
                if let Some(pending) = self.link.requests.answered(id) {
                    self.answered(pending, now, probe, t0);
                }
            }
            Fact::Failed { id, failure } => {
                if let Some(pending) = self.link.requests.answered(id) {
                    self.failed(pending, failure, now, probe, t0)?;
                }
            }
            Fact::More { id } => {
                if let Some(pending) = self.link.requests.answered(id) {
                    self.first_asked(pending);
                    self.ask_on(pending.purpose, now, probe);
                }
            }
            Fact::Pause(until_ms) => self.pause_orders(until_ms, now),
            Fact::Order {
                key,
                venue_order,
                state: VenueState::Open | VenueState::Untriggered,
                cum_qty,
                ..
            } if self.listing => {
                self.feed(DeskInput::Listed { key, venue_order, cum_qty }, now);
            }
            Fact::Order { key, venue_order, state, cum_qty, reason } => {
                let told = DeskInput::State { key, venue_order, state, cum_qty, reason };
                self.feed(told, now);
                if let OrderKey::Own(order) = key {
                    self.ask_for_fills(order, now, probe);
                }
            }
            // Of no use but to an amend on its way: no record is spent on the others.
            Fact::Terms { key, venue_order, terms } => {
                if !self.listing && self.desk.awaits_terms(key) {
                    self.feed(DeskInput::Terms { key, venue_order, terms }, now);
                }
            }
            Fact::Fill { key, venue_order, instrument, fill } => {
                self.feed(DeskInput::Fill { key, venue_order, instrument, fill }, now);
            }
            Fact::Balance { asset, free, locked } => {
                self.desk.tell(ExecMsg::Balance { at: now, asset, free, locked });
            }
            Fact::Time(ms) => self.venue_ms = Some(ms),
            Fact::Usage(usage) => {
                let unanswered = self.under_way();
                self.budget.observe(self.wall.unix_ms(now), &usage, unanswered);
            }
            Fact::Leaving => return Err(ConnError::ClosedByPeer(None)),
        }
        Ok(())
    }

    fn answered(&mut self, pending: Pending, now: Nanos, probe: &Probe, t0: Nanos) {
        self.note_answer(&pending, true, t0, now);
        match pending.purpose {
            Purpose::Place(_) => self.latencies.ack.record(t0.since(pending.stamp).0),
            // Each connection has its own.
            Purpose::Logon(_) if self.link.requests.any(|p| matches!(p, Purpose::Logon(_))) => {}
            Purpose::Logon(_) => self.subscribe(now, probe),
            Purpose::Subscribe if self.link.requests.any(|p| *p == Purpose::Subscribe) => {}
            Purpose::Subscribe => self.recover(),
            Purpose::Status(order) | Purpose::Replacement(order) => {
                self.asked_since(&pending);
                self.unanswered(order, now);
            }
            Purpose::FillsOf(order) => {
                self.feed(DeskInput::FillsTold(order), now);
                self.ask_for_fills(order, now, probe);
            }
            Purpose::FillsAfter(instrument, _) => {
                // A full page is asked on behind its own end: it may hold nothing of ours.
                let ids = self.facts.iter().filter_map(|f| match f {
                    Fact::Fill { fill, .. } => Some(fill.trade_id),
                    _ => None,
                });
                let (fills, last) = ids.fold((0, 0), |(n, last), id| (n + 1, id.max(last)));
                if fills >= self.gateway.fills_limit() {
                    self.link.to_ask.push(Step::FillsAfter(instrument, last));
                }
            }
            Purpose::Time => {
                if let Some(ms) = self.venue_ms.take() {
                    self.feed(DeskInput::VenueTime(pending.sent, ms), now);
                    self.wall.learned(pending.sent, now, ms);
                }
                // The logon was refused for its time.
                if self.link.state() == SessionState::LoggingOn {
                    self.log_on(now, probe);
                }
            }
            Purpose::Balances
            | Purpose::Whose(..)
            | Purpose::ListOpen(_)
            | Purpose::Cancel(_)
            | Purpose::Amend(_)
            | Purpose::CancelAll(_) => {}
            Purpose::DeadMan => {
                self.dead_man_fed = Some(pending.sent);
                self.tell_session(now);
            }
        }
    }

    /// A question that goes on was sent first then: an order that came in behind its first part is
    /// in none of the later ones.
    fn first_asked(&mut self, pending: Pending) {
        if let Purpose::Status(order) = pending.purpose
            && !self.asked_first.iter().any(|(of, _)| *of == order)
        {
            self.asked_first.push((order, pending.sent));
        }
    }

    /// When the question that has come to its end was sent, its first part.
    fn asked_since(&mut self, pending: &Pending) -> Nanos {
        let Purpose::Status(order) = pending.purpose else { return pending.sent };
        let at = self.asked_first.iter().position(|(of, _)| *of == order);
        at.map_or(pending.sent, |at| self.asked_first.swap_remove(at).1)
    }

    /// Asks the same again, for its next part.
    fn ask_on(&mut self, purpose: Purpose, now: Nanos, probe: &Probe) {
        let step = match purpose {
            Purpose::Status(order) => Step::Order(Question::Status(order)),
            Purpose::Replacement(order) => Step::Order(Question::Replacement(order)),
            Purpose::FillsOf(order) => Step::Order(Question::Fills(order)),
            Purpose::FillsAfter(instrument, after) => Step::FillsAfter(instrument, after),
            _ => Step::Balances,
        };
        match step {
            Step::Order(question) if self.link.is_ready() => {
                if !self.ask(question, now, probe) {
                    self.unanswered(question.order(), now);
                }
            }
            step => self.link.to_ask.push(step),
        }
    }

    fn failed(
        &mut self,
        pending: Pending,
        failure: Failure,
        now: Nanos,
        probe: &Probe,
        t0: Nanos,
    ) -> Result<(), ConnError> {
        if let Failure::Limited { until_ms, orders_only } = failure {
            self.limited(&pending.purpose, until_ms, orders_only, now);
        }
        self.note_answer(&pending, false, t0, now);
        if is_untimely(failure) {
            self.wall.doubt();
        }
        let again = matches!(failure, Failure::Limited { .. })
            && self.link.state() == SessionState::Recovering;
        match pending.purpose {
            Purpose::Place(order) => {
                self.latencies.ack.record(t0.since(pending.stamp).0);
                self.feed(DeskInput::PlaceFailed(order, failure), now);
            }
            Purpose::Cancel(order) => {
                self.feed_and_ask(DeskInput::CancelFailed(order, failure), now, probe);
            }
            Purpose::Amend(order) => {
                self.feed_and_ask(DeskInput::AmendFailed(order, failure), now, probe);
            }
            Purpose::Replacement(order) if failure == Failure::NotFound => {
                self.feed_and_ask(DeskInput::NoReplacement(order, pending.sent), now, probe);
            }
            Purpose::Status(order) if failure == Failure::NotFound => {
                let since = self.asked_since(&pending);
                self.feed(DeskInput::NotFound(order, since), now);
            }
            Purpose::Status(order) | Purpose::Replacement(order) | Purpose::FillsOf(order) => {
                self.asked_since(&pending);
                self.unanswered(order, now);
                if again {
                    self.ask_on(pending.purpose, now, probe);
                }
            }
            // One of the two clocks has stepped; the venue tells the time without a session.
            Purpose::Logon(_) if is_untimely(failure) && self.mends_clock(now, probe) => {}
            // Subscribed already: that is what was wanted. Any other refusal leaves us deaf.
            Purpose::Subscribe if failure == Failure::Refused(DoneReason::None) => {
                self.answered(pending, now, probe, t0);
            }
            Purpose::Logon(_) | Purpose::Subscribe => return Err(refused()),
            Purpose::Balances if again => self.link.to_ask.push(Step::Balances),
            Purpose::FillsAfter(instrument, after) if again => {
                self.link.to_ask.push(Step::FillsAfter(instrument, after));
            }
            Purpose::Balances | Purpose::FillsAfter(..) => {
                if self.link.state() == SessionState::Recovering {
                    return Err(ConnError::ClosedByPeer(None));
                }
            }
            // "Unknown order" is the answer when nothing was open.
            Purpose::CancelAll(_) | Purpose::Time | Purpose::DeadMan | Purpose::ListOpen(_) => {}
            // Asked for again, a few times.
            Purpose::Whose(..) => {}
        }
        // Whatever was asked: a session whose key is not accepted any more is none.
        if failure == Failure::Session { Err(refused()) } else { Ok(()) }
    }

    /// Changes the desk by `input`, and asks what comes up.
    fn feed_and_ask(&mut self, input: DeskInput, now: Nanos, probe: &Probe) {
        self.questions.clear();
        self.feed(input, now);
        if let Some(question) = self.questions.pop()
            && !self.ask(question, now, probe)
        {
            self.unanswered(question.order(), now);
        }
    }

    fn log_on(&mut self, now: Nanos, probe: &Probe) {
        let ways = self.gateway.logons();
        if ways.is_empty() {
            return self.subscribe(now, probe);
        }
        self.link.set_state(SessionState::LoggingOn);
        let now_ms = self.wall.unix_ms(now);
        for way in ways {
            let id = self.link.requests.next_id();
            self.link.out.clear();
            self.gateway.logon(*way, id, now_ms, &mut self.link.out);
            self.link.send(Purpose::Logon(*way), now, || probe.stamp());
        }
    }

    fn subscribe(&mut self, now: Nanos, probe: &Probe) {
        self.link.set_state(SessionState::Subscribing);
        let now_ms = self.wall.unix_ms(now);
        for part in 0..self.gateway.subscriptions() {
            let id = self.link.requests.next_id();
            self.link.out.clear();
            self.gateway.subscribe(part, id, now_ms, &mut self.link.out);
            self.link.send(Purpose::Subscribe, now, || probe.stamp());
        }
    }

    /// Starts recovery: first the states of all orders that have not ended, so that their venue
    /// numbers are known, then fills and balances.
    fn recover(&mut self) {
        self.link.set_state(SessionState::Recovering);
        self.link.recovery_asked = false;
        self.link.to_ask.clear();
        let to_ask = &mut self.link.to_ask;
        self.desk.ask_open(|question| to_ask.push(Step::Order(question)));
    }

    /// Sends the next recovery questions, as far as budget and connection take them; the session
    /// is ready when none is left unanswered.
    fn go_on(&mut self, now: Nanos, probe: &Probe) {
        if self.link.state() != SessionState::Recovering {
            return;
        }
        for _ in 0..BATCH {
            let Some(step) = self.link.to_ask.pop() else { break };
            if !self.take(step, now, probe) {
                self.link.to_ask.push(step);
                return;
            }
        }
        let asked = |p: &Purpose| {
            use Purpose as P;
            p.is_question() && !matches!(p, P::Time | P::ListOpen(_))
        };
        if !self.link.to_ask.is_empty() || self.link.requests.any(asked) {
            return;
        }
        if self.link.recovery_asked {
            self.link.set_state(SessionState::Ready);
            self.counters.set(SESSION_READY, 1);
            self.tell_session(now);
            return;
        }
        self.link.recovery_asked = true;
        self.plan_fills_and_balances();
    }

    /// Fills that the states just told count but nobody heard, all fills since the last booked
    /// trade of each instrument, and the balances behind them.
    fn plan_fills_and_balances(&mut self) {
        let to_ask = &mut self.link.to_ask;
        to_ask.push(Step::Balances);
        for instrument in self.table.own() {
            let after = self.desk.trades().highest(instrument.id);
            if after > 0 {
                to_ask.push(Step::FillsAfter(instrument.id, after));
            }
        }
        let lacking = self.desk.lacking_fills();
        to_ask.extend(lacking.map(|id| Step::Order(Question::Fills(id))));
    }

    /// False when the step must be tried again.
    fn take(&mut self, step: Step, now: Nanos, probe: &Probe) -> bool {
        let question = match step {
            Step::Order(question) => return self.ask(question, now, probe),
            other => other,
        };
        let now_ms = self.wall.unix_ms(now);
        let asked = match question {
            Step::FillsAfter(instrument, after) => Purpose::FillsAfter(instrument, after),
            _ => Purpose::Balances,
        };
        if !self.may_ask(&asked, now)
            || !self.budget.try_take_urgent(now_ms, self.gateway.cost_query())
            || !self.gateway.permits(&Act::Ask(&asked, false), now_ms)
        {
            return false;
        }
        self.link.out.clear();
        let id = self.link.requests.next_id();
        let out = &mut self.link.out;
        let purpose = match question {
            Step::FillsAfter(instrument, after) => {
                let Some(instrument) = self.table.get(instrument) else { return true };
                self.gateway.fills_after(id, instrument, after, now_ms, out);
                Purpose::FillsAfter(instrument.id, after)
            }
            _ => {
                self.gateway.balances(id, now_ms, out);
                Purpose::Balances
            }
        };
        self.link.send(purpose, now, || probe.stamp())
    }

    /// Asks the questions that the clock brings up.
    pub(crate) fn ask_by_clock(&mut self, now: Nanos, probe: &Probe) {
        self.ask_all(DeskInput::Clock(BATCH as u16), now, probe);
    }

    /// Asks the questions that `input` brings up.
    pub(crate) fn ask_all(&mut self, input: DeskInput, now: Nanos, probe: &Probe) {
        self.questions.clear();
        self.feed(input, now);
        let questions = core::mem::take(&mut self.questions);
        for question in &questions {
            if !self.ask(*question, now, probe) {
                self.unanswered(question.order(), now);
            }
        }
        self.questions = questions;
    }

    pub(crate) fn ask(&mut self, question: Question, now: Nanos, probe: &Probe) -> bool {
        let now_ms = self.wall.unix_ms(now);
        let id = question.order();
        let Some(order) = self.desk.order(id).copied() else { return true };
        let (mut venue_order, mut client) = (order.venue_order, order.client);
        let quiet = order.is_quiet();
        let Some(instrument) = self.table.get(order.instrument).copied() else { return true };
        let purpose = match question {
            Question::Status(_) => Purpose::Status(id),
            Question::Fills(_) => Purpose::FillsOf(id),
            Question::Replacement(_) => {
                // Told since, or known not to be: nothing is to be asked.
                let Some(replacement) = order.replacement() else { return false };
                (venue_order, client) = (0, replacement);
                Purpose::Replacement(id)
            }
        };
        if !self.may_ask(&purpose, now) {
            return false;
        }
        let cost = match question {
            Question::Status(_) | Question::Replacement(_) => self.gateway.cost_status(),
            Question::Fills(_) => self.gateway.cost_query(),
        };
        // A mere comparison leaves half of the budget to the rest.
        let leisure = quiet && self.link.is_ready();
        let granted = if leisure {
            self.budget.try_take_idle(now_ms, cost)
        } else {
            self.budget.try_take_urgent(now_ms, cost)
        };
        if !granted || !self.gateway.permits(&Act::Ask(&purpose, leisure), now_ms) {
            return false;
        }
        let first = !self.goes_on(id);
        let state = !matches!(question, Question::Fills(_));
        if first && state && self.desk.needs_time(&order, now) {
            self.ask_time_of_proof(now, probe);
        }
        self.link.out.clear();
        let request = self.link.requests.next_id();
        let named = Named { instrument: &instrument, venue_order, client };
        self.gateway.hold(self.ports.control.phase() != Phase::Run);
        match question {
            Question::Status(_) | Question::Replacement(_) => {
                self.gateway.status(request, &named, now_ms, &mut self.link.out);
            }
            Question::Fills(_) => {
                self.gateway.fills_of(request, &named, now_ms, &mut self.link.out);
            }
        }
        self.link.send(purpose, now, || probe.stamp())
    }

    /// A question by this way may be sent now: over HTTPS only while few are under way, so that
    /// none grows old in a queue and a cancel finds it short, and not while the venue wants fewer.
    pub(crate) fn may_ask(&self, purpose: &Purpose, now: Nanos) -> bool {
        let way = self.gateway.ways();
        let is_rest = |purpose: &Purpose| way(purpose) == Way::Rest;
        let free = self.link.has_line(purpose) && !self.is_paused(purpose, now);
        !is_rest(purpose) || (free && self.link.requests.count(is_rest) < REST_AT_ONCE)
    }

    /// A session that does not get on is given up; questions that stay unanswered may be asked
    /// again.
    fn check_patience(&mut self, now: Nanos) {
        let limit = Nanos(now.0.saturating_sub(SESSION_PATIENCE.0));
        while let Some(pending) = self.link.requests.overdue(limit) {
            // The clock asks for an order that was sent or is being cancelled.
            if let Purpose::Status(order) | Purpose::Replacement(order) | Purpose::FillsOf(order) =
                pending.purpose
            {
                self.unanswered(order, now);
            }
            if !self.link.is_ready() {
                self.lose(now, &ConnError::Silent);
                return;
            }
        }
        // A step that could not even be sent has no answer to wait for.
        let opening =
            matches!(self.link.state(), SessionState::LoggingOn | SessionState::Subscribing);
        if opening && self.link.requests.is_empty() {
            self.lose(now, &ConnError::NotOpen);
        }
    }

    /// The connection is over: every order that may have reached the venue is unknown.
    pub(crate) fn lose(&mut self, now: Nanos, error: &ConnError) {
        self.link.drop_connection(now, error);
        self.asked_first.clear();
        self.counters.add(RECONNECTS, 1);
        self.counters.set(SESSION_READY, 0);
        self.tell_session(now);
        // Approved orders that were waiting end with this, so none of them may leave later.
        self.drop_waiting_amends(None, now, DoneReason::NoSession);
        self.waiting.clear();
        self.counted.clear();
        self.feed(DeskInput::AllLost, now);
    }
}

/// Refused because its time is not within the venue's window.
fn is_untimely(failure: Failure) -> bool {
    failure == Failure::Refused(DoneReason::Window)
}

/// A logon that was refused counts as a refusal of the connection: retry slowly.
fn refused() -> ConnError {
    ConnError::Handshake(bot4_wire::HandshakeError::Refused { status: 401, retry_after_s: None })
}
