//! Commands by name: begun for a person or a strategy, followed until nothing comes of them any
//! more, taken back.
//!
//! A command is worked as wishes of its strategy's slots, like anything that the strategy wishes
//! itself; what happens to their orders says what became of it. One that changes the same slots
//! takes the place of the one before, which is then no longer followed, but is told ended when the
//! slot is free. The newest [`COMMANDS_MAX`] are known. Cost: a look a turn at each that is not
//! over, and nothing while there is none.

use bot4_types::{
    Cause, CommandId, Nanos, OrderId, OrderReport, OrderState, OrderWork, Price, Qty, RefuseReason,
    ReportKind, StrategyId, Terms, WorkKind, WorkRefusal, WorkReport, WorkState,
};

mod words;

use self::words::{blank, described, refusal_of, slots_of};
use super::{Key, OtherLeg, PARTS, Router, STOP};
use crate::actions::{Actions, Exit, Turn};
use crate::command::{Command, Linked, LinkedCommand, OrderCommand, Take, TakeCommand};
use crate::slot::{OrderSlot, Origin, SlotState};

/// Commands that are remembered.
const COMMANDS_MAX: usize = 256;

/// A command and what became of it.
#[derive(Clone, Copy, Debug)]
struct Row {
    report: WorkReport,
    command: Command,
    /// The slots that it is about.
    slots: [Option<usize>; 2],
    /// A newer one is about the same slots.
    replaced: bool,
    /// How its newest order ended.
    ended: Option<OrderState>,
    /// Not told yet.
    fresh: bool,
}

/// The table. Fixed after [`reserve`](Self::reserve).
#[derive(Debug, Default)]
pub(crate) struct Commands {
    rows: Vec<Row>,
    by_strategy: u32,
}

impl Commands {
    /// Allocates; nothing later does.
    pub(super) fn reserve(&mut self) {
        self.rows = Vec::with_capacity(COMMANDS_MAX);
    }

    fn find(&self, id: CommandId) -> Option<usize> {
        self.rows.iter().rposition(|row| row.report.id == id)
    }

    /// Adds `row`; the oldest of which nothing comes any more and that was told makes room. False:
    /// there is none.
    fn insert(&mut self, row: Row) -> bool {
        if self.rows.len() == COMMANDS_MAX {
            let gone = |r: &Row| !r.fresh && (r.report.state.is_over() || r.replaced);
            let Some(at) = self.rows.iter().position(gone) else { return false };
            self.rows.remove(at);
        }
        self.rows.push(row);
        true
    }

    /// Those that are followed and about slot `at`.
    fn about(&mut self, at: usize) -> impl Iterator<Item = &mut Row> {
        let followed = move |row: &&mut Row| {
            !row.replaced && !row.report.state.is_over() && row.slots.contains(&Some(at))
        };
        self.rows.iter_mut().filter(followed)
    }
}

impl Router {
    /// Does what a person says, or tells why not.
    pub(crate) fn work(&mut self, work: &OrderWork, turn: Turn<'_>) {
        let origin = Origin::other(Cause::Operator);
        let key = (work.strategy, work.instrument);
        match self.made_of(work, key, origin, turn) {
            Ok((command, undo_of)) => {
                let _ = self.command(key, command, (work.id, undo_of), origin, turn);
            }
            Err(refusal) => {
                let terms = Terms { price: work.price, qty: work.qty };
                let report = WorkReport {
                    side: work.side,
                    kind: work.kind,
                    to: (work.qty.0 > 0).then_some(terms),
                    trigger: work.trigger,
                    other: work.other,
                    state: WorkState::Refused,
                    refusal,
                    undo_of: work.of,
                    ..blank(work.id, key, turn.now)
                };
                let cancel = OrderCommand { side: work.side, from: None, to: None };
                let command = Command::Order(cancel);
                let (slots, replaced, ended, fresh) = ([None; 2], false, None, true);
                self.changes += 1;
                let row = Row { report, command, slots, replaced, ended, fresh };
                let _ = self.commands.insert(row);
            }
        }
    }

    /// Begins `command` of a strategy.
    pub(crate) fn command_of_strategy(
        &mut self,
        key: Key,
        command: Command,
        origin: Origin,
        turn: Turn<'_>,
    ) -> Result<CommandId, WorkRefusal> {
        let ids = (self.next_command(), CommandId::NONE);
        self.command(key, command, ids, origin, turn)
    }

    /// Takes back the command called `of` of a strategy, by a command of its own.
    pub(crate) fn undo_of_strategy(
        &mut self,
        strategy: StrategyId,
        of: CommandId,
        origin: Origin,
        turn: Turn<'_>,
    ) -> Result<CommandId, WorkRefusal> {
        let (key, command) = self.undoing(strategy, of, origin, turn)?;
        let ids = (self.next_command(), of);
        self.command(key, command, ids, origin, turn)
    }

    /// What became of a command, while that is known.
    pub(crate) fn command_report(&self, id: CommandId) -> Option<WorkReport> {
        self.commands.find(id).map(|n| self.commands.rows[n].report)
    }

    fn next_command(&mut self) -> CommandId {
        self.commands.by_strategy += 1;
        CommandId::by_strategy(self.commands.by_strategy)
    }

    /// Begins `command` under the first of `ids`; the second is the one that it takes back.
    fn command(
        &mut self,
        key: Key,
        command: Command,
        (id, undo_of): (CommandId, CommandId),
        origin: Origin,
        turn: Turn<'_>,
    ) -> Result<CommandId, WorkRefusal> {
        let pair = self.pair(key).ok_or(WorkRefusal::Closed)?;
        let command = self.as_it_will_rest(command, key.1);
        let slots = slots_of(pair, &command);
        let begun = blank(id, key, turn.now);
        let report = WorkReport { undo_of, ..described(&command, begun) };
        let (replaced, ended, fresh) = (false, None, true);
        if !self.commands.insert(Row { report, command, slots, replaced, ended, fresh }) {
            return Err(WorkRefusal::Full);
        }
        self.changes += 1;
        let verdict = command.execute(&mut Actions::new(self, turn, origin, key.0, key.1));
        let refusal = refusal_of(verdict);
        let Some(n) = self.commands.find(id) else { return Err(WorkRefusal::Full) };
        if refusal != WorkRefusal::None {
            let report = &mut self.commands.rows[n].report;
            (report.state, report.refusal) = (WorkState::Refused, refusal);
            return Err(refusal);
        }
        let shares = |row: &Row| row.slots.iter().flatten().any(|at| slots.contains(&Some(*at)));
        for row in self.commands.rows[..n].iter_mut().filter(|row| shares(row)) {
            row.replaced |= !row.report.state.is_over();
        }
        Ok(id)
    }

    /// What `work` asks for, and which command it takes back.
    fn made_of(
        &mut self,
        w: &OrderWork,
        key: Key,
        origin: Origin,
        turn: Turn<'_>,
    ) -> Result<(Command, CommandId), WorkRefusal> {
        let terms = Terms { price: w.price, qty: w.qty };
        let Terms { price, qty } = terms;
        let exits = Exit { stop: w.trigger, target: w.other };
        let take = |how| Command::Take(TakeCommand { side: w.side, qty, limit: price, how });
        let linked = |order| Command::Linked(LinkedCommand::new(order));
        let made = match w.kind {
            WorkKind::Place => {
                self.vacant(key, w.side.index())?;
                let (side, from, to) = (w.side, None, Some(terms));
                Command::Order(OrderCommand { side, from, to })
            }
            WorkKind::Take => take(Take::Ioc),
            WorkKind::TakeWhole => take(Take::Whole),
            WorkKind::Market => {
                let limit = match price.0 {
                    0 => self.closing_price(key.1, w.side, self.config.flatten_slip_bps),
                    _ => price,
                };
                Command::Take(TakeCommand { side: w.side, qty, limit, how: Take::Market })
            }
            WorkKind::Stop | WorkKind::Target => {
                self.vacant(key, STOP)?;
                let (side, trigger, limit) = (w.side, w.trigger, price);
                linked(match w.kind {
                    WorkKind::Stop => Linked::Stop { side, trigger, limit, qty },
                    _ => Linked::Target { side, trigger, limit, qty },
                })
            }
            WorkKind::Oco => {
                let other = match w.trigger.0 {
                    0 => OtherLeg::Quote { price: w.other },
                    _ => OtherLeg::Stop { side: w.other_side, trigger: w.trigger, limit: w.other },
                };
                linked(Linked::Oco(super::Oco { side: w.side, price, qty, other }))
            }
            WorkKind::Bracket => linked(Linked::Bracket { side: w.side, qty, limit: price, exits }),
            WorkKind::Amend | WorkKind::Cancel | WorkKind::Withdraw => {
                return Ok((self.about_another(w, key)?, CommandId::NONE));
            }
            WorkKind::Undo => {
                let (_, command) = self.undoing(w.strategy, w.of, origin, turn)?;
                return Ok((command, w.of));
            }
        };
        Ok((made, CommandId::NONE))
    }

    /// Nothing rests in the slot `part` of `key`, and nothing is wished there.
    fn vacant(&self, key: Key, part: usize) -> Result<(), WorkRefusal> {
        let pair = self.pair(key).ok_or(WorkRefusal::Closed)?;
        if self.is_idle(pair * PARTS + part) { Ok(()) } else { Err(WorkRefusal::Busy) }
    }

    fn is_idle(&self, at: usize) -> bool {
        self.slots[at].state == SlotState::Free && self.slots[at].wish.is_none()
    }

    /// An amend or cancel of what another command made.
    fn about_another(&self, w: &OrderWork, key: Key) -> Result<Command, WorkRefusal> {
        let row = self.commands.find(w.of).map(|n| self.commands.rows[n]);
        let own = |row: &Row| (row.report.strategy, row.report.instrument) == key;
        let row = row.filter(own).ok_or(WorkRefusal::Unknown)?;
        if row.report.state.is_over() {
            return Err(WorkRefusal::NothingRests);
        }
        match (row.command, w.kind) {
            (Command::Order(before), kind) => {
                let rests = self.quotes(key)[before.side.index()];
                let rests = rests.filter(|open| !open.closing).ok_or(WorkRefusal::NothingRests)?;
                let or = |new: i64, old: i64| if new > 0 { new } else { old };
                let to = Terms {
                    price: Price(or(w.price.0, rests.price.0)),
                    qty: Qty(or(w.qty.0, rests.qty.0)),
                };
                let from = Some(Terms { price: rests.price, qty: rests.qty });
                let to = (kind == WorkKind::Amend).then_some(to);
                Ok(Command::Order(OrderCommand { side: before.side, from, to }))
            }
            (Command::Linked(linked), WorkKind::Cancel | WorkKind::Withdraw)
                if !linked.withdraws && !matches!(linked.order, Linked::Bracket { .. }) =>
            {
                Ok(Command::Linked(linked.undo()))
            }
            _ => Err(WorkRefusal::NothingRests),
        }
    }

    /// What takes back the command called `of`, where it may be.
    fn undoing(
        &mut self,
        strategy: StrategyId,
        of: CommandId,
        origin: Origin,
        turn: Turn<'_>,
    ) -> Result<(Key, Command), WorkRefusal> {
        let row = self.commands.find(of).map(|n| self.commands.rows[n]);
        let row = row.filter(|row| row.report.strategy == strategy).ok_or(WorkRefusal::Unknown)?;
        let key = (row.report.strategy, row.report.instrument);
        let may = self.could_undo(&row, origin, turn);
        let back = row.command.undo().filter(|_| may).ok_or(WorkRefusal::NotUndoable)?;
        Ok((key, back))
    }

    fn could_undo(&mut self, row: &Row, origin: Origin, turn: Turn<'_>) -> bool {
        let (strategy, instrument) = (row.report.strategy, row.report.instrument);
        let orders = Actions::new(self, turn, origin, strategy, instrument);
        row.report.state == WorkState::Done && row.command.can_undo(&orders)
    }

    /// Execution tells of the order of slot `at`.
    pub(super) fn command_reported(&mut self, at: usize, report: &OrderReport) {
        for row in self.commands.about(at) {
            row.report.order = report.order;
            if report.kind == ReportKind::Fill {
                row.report.filled.0 = row.report.filled.0.saturating_add(report.last_qty.0);
            }
            if report.state.is_terminal() {
                row.ended = Some(report.state);
                row.report.reason = report.reason;
            }
        }
    }

    /// The gate refused the order of slot `at`.
    pub(super) fn command_refused(&mut self, at: usize, reason: RefuseReason) {
        let order = self.slots[at].order;
        for row in self.commands.about(at) {
            row.report.order = order;
            row.report.gate = Some(reason);
            row.ended = Some(OrderState::NotSent);
        }
    }

    /// Looks at each command that is followed. Called each turn.
    pub(super) fn follow_commands(&mut self, turn: Turn<'_>) {
        for n in 0..self.commands.rows.len() {
            let row = self.commands.rows[n];
            if row.replaced || row.report.state.is_over() {
                continue;
            }
            let state = self.state_of(&row);
            let order = self.order_of(&row);
            let origin = Origin::other(Cause::Timer);
            let now_done = Row { report: WorkReport { state, ..row.report }, ..row };
            let can_undo = self.could_undo(&now_done, origin, turn);
            let known = &mut self.commands.rows[n].report;
            let same = (known.state, known.can_undo) == (state, can_undo);
            known.order = if order.0 > 0 { order } else { known.order };
            if same {
                continue;
            }
            (known.state, known.can_undo, known.at) = (state, can_undo, turn.now);
            self.changes += 1;
            self.commands.rows[n].fresh = true;
            self.settle_others(n, turn.now);
        }
    }

    /// The command of row `n` has come to something: what it takes back is undone, and what it
    /// replaced has ended when nothing rests there.
    fn settle_others(&mut self, n: usize, now: Nanos) {
        let row = self.commands.rows[n];
        let state = row.report.state;
        if state == WorkState::Done
            && let Some(of) = self.commands.find(row.report.undo_of)
        {
            self.end_row(of, WorkState::Undone, now);
        }
        let freed = row.slots.iter().flatten().all(|at| self.is_idle(*at));
        let places =
            state.is_over() || (state == WorkState::Done && !row.command.leaves_something());
        if !freed || !places {
            return;
        }
        for other in 0..n {
            let before = &self.commands.rows[other];
            let shares = before.slots.iter().flatten().any(|at| row.slots.contains(&Some(*at)));
            if shares && before.replaced && !before.report.state.is_over() {
                self.end_row(other, WorkState::Ended, now);
            }
        }
    }

    fn end_row(&mut self, n: usize, state: WorkState, now: Nanos) {
        let row = &mut self.commands.rows[n];
        if row.report.state.is_over() {
            return;
        }
        (row.report.state, row.report.can_undo, row.report.at) = (state, false, now);
        row.fresh = true;
        self.changes += 1;
    }

    fn order_of(&self, row: &Row) -> OrderId {
        let there = |at: &&usize| self.slots[**at].state != SlotState::Free;
        let at = row.slots.iter().flatten().find(there);
        at.map_or(OrderId(0), |at| self.slots[*at].order)
    }

    /// What became of the command of `row` by what its slots hold.
    fn state_of(&self, row: &Row) -> WorkState {
        let slots = || row.slots.iter().flatten().map(|at| &self.slots[*at]);
        let idle = row.slots.iter().flatten().all(|at| self.is_idle(*at));
        let over = || match row.ended {
            Some(OrderState::Filled) => WorkState::Filled,
            Some(OrderState::Rejected | OrderState::NotSent) => WorkState::Rejected,
            _ => WorkState::Ended,
        };
        let linked = (row.report.strategy, row.report.instrument);
        let stands = match row.command {
            Command::Order(OrderCommand { to: None, .. })
            | Command::Linked(LinkedCommand { withdraws: true, .. }) => {
                return match (idle, row.ended) {
                    (true, Some(OrderState::Filled)) => WorkState::Filled,
                    (true, _) => WorkState::Done,
                    (false, _) => WorkState::Working,
                };
            }
            Command::Order(OrderCommand { to: Some(to), .. }) => slots().all(|slot| {
                let rests = slot.state == SlotState::Live && slot.amend.is_none();
                rests && (slot.price, slot.qty) == (to.price, to.qty)
            }),
            Command::Linked(LinkedCommand { order, .. }) => {
                let armed = |slot: &OrderSlot| {
                    let here = slot.wish.is_some_and(|w| w.style.waits() && !w.native);
                    slot.state == SlotState::Live || (slot.state == SlotState::Free && here)
                };
                let together = !matches!(order, Linked::Oco(_)) || self.has_link(linked);
                let waits = !matches!(order, Linked::Bracket { .. });
                waits && together && slots().all(armed)
            }
            Command::Take(_) => false,
        };
        match (idle, stands) {
            (true, _) => over(),
            (false, true) => WorkState::Done,
            (false, false) => row.report.state,
        }
    }

    /// Hands what is new of commands to `tell` until it has no room; how many it took.
    pub(crate) fn tell_commands(&mut self, mut tell: impl FnMut(WorkReport) -> bool) -> usize {
        let mut told = 0;
        for row in self.commands.rows.iter_mut().filter(|row| row.fresh) {
            if !tell(row.report) {
                break;
            }
            row.fresh = false;
            told += 1;
        }
        told
    }
}
