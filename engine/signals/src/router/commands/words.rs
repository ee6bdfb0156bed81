//! Commands as they are told: which slots they are about, what will rest, why not.

use bot4_types::{
    CommandId, DoneReason, InstrumentId, Nanos, OrderId, Price, Qty, Side, Terms, WorkKind,
    WorkRefusal, WorkReport, WorkState,
};

use super::super::{Key, Oco, OtherLeg, PARTS, Router, STOP, TAKE};
use crate::actions::Verdict;
use crate::command::{Command, Linked, LinkedCommand, OrderCommand, Take, TakeCommand};
use crate::rules;

impl Router {
    /// The command with the prices and quantities that will rest: on tick and on lot.
    pub(super) fn as_it_will_rest(&self, command: Command, instrument: InstrumentId) -> Command {
        let Some(rules) = self.table.get(instrument) else { return command };
        let shaped = |side: Side, price: Price, qty: Qty| {
            // What has no shape is refused by its own name later.
            rules::shape(rules, side, price, qty).unwrap_or((price, qty))
        };
        match command {
            Command::Order(order) => {
                let to = order.to.map(|to| shaped(order.side, to.price, to.qty));
                let to = to.map(|(price, qty)| Terms { price, qty });
                Command::Order(OrderCommand { to, ..order })
            }
            Command::Linked(LinkedCommand { order: Linked::Oco(oco), withdraws }) => {
                let (price, _) = shaped(oco.side, oco.price, oco.qty);
                let other = match oco.other {
                    OtherLeg::Quote { price } => {
                        let side = oco.side.opposite();
                        OtherLeg::Quote { price: shaped(side, price, oco.qty).0 }
                    }
                    OtherLeg::Stop { side, trigger, limit } => {
                        OtherLeg::Stop { side, trigger: trigger.to_tick(rules.tick, side), limit }
                    }
                };
                let order = Linked::Oco(Oco { price, other, ..oco });
                Command::Linked(LinkedCommand { order, withdraws })
            }
            Command::Linked(LinkedCommand { order, withdraws }) => {
                let on_tick = |trigger: Price, side| trigger.to_tick(rules.tick, side);
                let order = match order {
                    Linked::Stop { side, trigger, limit, qty } => {
                        Linked::Stop { side, trigger: on_tick(trigger, side), limit, qty }
                    }
                    Linked::Target { side, trigger, limit, qty } => {
                        Linked::Target { side, trigger: on_tick(trigger, side), limit, qty }
                    }
                    other => other,
                };
                Command::Linked(LinkedCommand { order, withdraws })
            }
            take @ Command::Take(_) => take,
        }
    }
}

/// The slots that `command` is about.
pub(super) fn slots_of(pair: usize, command: &Command) -> [Option<usize>; 2] {
    let at = |part: usize| Some(pair * PARTS + part);
    match command {
        Command::Order(order) => [at(order.side.index()), None],
        Command::Take(_) => [at(TAKE), None],
        Command::Linked(linked) => match linked.order {
            Linked::Stop { .. } | Linked::Target { .. } => [at(STOP), None],
            Linked::Bracket { .. } => [at(TAKE), None],
            Linked::Oco(oco) => {
                let other = match oco.other {
                    OtherLeg::Quote { .. } => oco.side.opposite().index(),
                    OtherLeg::Stop { .. } => STOP,
                };
                [at(oco.side.index()), at(other)]
            }
        },
    }
}

/// Nothing known of the command yet.
pub(super) const fn blank(id: CommandId, (strategy, instrument): Key, now: Nanos) -> WorkReport {
    WorkReport {
        id,
        strategy,
        instrument,
        kind: WorkKind::Place,
        side: Side::Buy,
        from: None,
        to: None,
        trigger: Price(0),
        other: Price(0),
        state: WorkState::Working,
        refusal: WorkRefusal::None,
        gate: None,
        reason: DoneReason::None,
        order: OrderId(0),
        filled: Qty(0),
        undo_of: CommandId::NONE,
        can_undo: false,
        began: now,
        at: now,
    }
}

/// `report` with what `command` asks for.
pub(super) fn described(command: &Command, report: WorkReport) -> WorkReport {
    let terms = |price, qty| Some(Terms { price, qty });
    match *command {
        Command::Order(OrderCommand { side, from, to }) => {
            let kind = match (from, to) {
                (_, None) => WorkKind::Cancel,
                (None, Some(_)) => WorkKind::Place,
                (Some(_), Some(_)) => WorkKind::Amend,
            };
            WorkReport { kind, side, from, to, ..report }
        }
        Command::Take(TakeCommand { side, qty, limit, how }) => {
            let kind = match how {
                Take::Ioc => WorkKind::Take,
                Take::Whole => WorkKind::TakeWhole,
                Take::Market => WorkKind::Market,
            };
            WorkReport { kind, side, to: terms(limit, qty), ..report }
        }
        Command::Linked(LinkedCommand { order, withdraws }) => {
            let (kind, side, price, qty, trigger, other) = match order {
                Linked::Stop { side, trigger, limit, qty } => {
                    (WorkKind::Stop, side, limit, qty, trigger, Price(0))
                }
                Linked::Target { side, trigger, limit, qty } => {
                    (WorkKind::Target, side, limit, qty, trigger, Price(0))
                }
                Linked::Bracket { side, qty, limit, exits } => {
                    (WorkKind::Bracket, side, limit, qty, exits.stop, exits.target)
                }
                Linked::Oco(oco) => {
                    let (trigger, other) = match oco.other {
                        OtherLeg::Quote { price } => (Price(0), price),
                        OtherLeg::Stop { trigger, limit, .. } => (trigger, limit),
                    };
                    (WorkKind::Oco, oco.side, oco.price, oco.qty, trigger, other)
                }
            };
            let described = WorkReport { kind, side, trigger, other, ..report };
            match withdraws {
                true => {
                    WorkReport { kind: WorkKind::Withdraw, from: terms(price, qty), ..described }
                }
                false => WorkReport { to: terms(price, qty), ..described },
            }
        }
    }
}

/// Why a wish was not taken, as commands tell it.
pub(super) const fn refusal_of(verdict: Verdict) -> WorkRefusal {
    match verdict {
        Verdict::Accepted => WorkRefusal::None,
        Verdict::Busy => WorkRefusal::Busy,
        Verdict::Closed => WorkRefusal::Closed,
        Verdict::Stopped => WorkRefusal::Stopped,
        Verdict::BackOff => WorkRefusal::BackOff,
        Verdict::PriceBounds => WorkRefusal::PriceBounds,
        Verdict::SizeMin => WorkRefusal::SizeMin,
        Verdict::SizeMax => WorkRefusal::SizeMax,
        Verdict::NotionalMin => WorkRefusal::NotionalMin,
        Verdict::NotionalMax => WorkRefusal::NotionalMax,
        Verdict::NothingHeld => WorkRefusal::NothingHeld,
    }
}
