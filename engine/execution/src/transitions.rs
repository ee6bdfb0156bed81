//! The one table of an order's life: what each event makes of each state.
//!
//! An event is a deed of our own (sent, asked to cancel) or the venue's word about the order. What
//! the table calls [`Step::Invalid`] contradicts what is known: it changes no state, it is counted,
//! and [`Step::Doubt`] is a contradiction about an order that may be open, which makes its fate
//! unknown so that the venue is asked. Money outranks the table: a fill is booked in every state.
//!
//! "Journaled" is no state but the guard of the first edge: the agent hands an approved order to
//! the socket only when the journal has its approval.
//!
//! What is legal in any order: the venue's answers and its events travel apart, so an acceptance
//! may come after a fill or an ending, an ending twice, a refused cancel after the order is gone.
//! What is not: an ending other than the one before, a refusal of what was accepted, a word about
//! an order that never left. Cost: one load from 208 bytes.

use bot4_types::OrderState;

/// What happens to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Event {
    /// It was handed to the socket.
    Sent = 0,
    /// It will not be handed to the socket.
    NotSent,
    /// A cancel was handed to the socket.
    CancelSent,
    /// An amend was handed to the socket.
    AmendSent,
    /// The venue says that it is open, as answer or event.
    Acked,
    /// The venue says that it is open, asked for its state.
    Found,
    /// A fill that leaves a rest.
    Fill,
    /// The fill that completes it.
    FillWhole,
    /// The cancel was refused.
    CancelRefused,
    /// The amend is over, done or refused.
    AmendOver,
    /// The venue says that it is filled.
    Filled,
    /// The venue says that it is cancelled.
    Canceled,
    /// The venue ended it.
    Expired,
    /// The venue refused it.
    Rejected,
    /// What became of it cannot be known at present.
    Lost,
    /// The market reached its trigger: it works from now on.
    Triggered,
}

/// Number of events.
pub const EVENTS: usize = Event::Triggered as usize + 1;
/// Number of states.
pub const STATES: usize = OrderState::ALL.len();

/// What an event makes of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The order is in this state now.
    To(OrderState),
    /// It is open at the venue: waiting for its trigger, live, filled in part, or with an amend
    /// that is not over.
    Open,
    /// Nothing new.
    Stay,
    /// A contradiction about an order that may be open: its fate is unknown.
    Doubt,
    /// A contradiction about an order that is not: it stays as it is.
    Invalid,
}

/// What `event` makes of an order in `state`.
#[must_use]
pub const fn step(state: OrderState, event: Event) -> Step {
    TABLE[state as usize][event as usize]
}

const ST: Step = Step::Stay;
const OP: Step = Step::Open;
const DO: Step = Step::Doubt;
const XX: Step = Step::Invalid;
const SE: Step = Step::To(OrderState::Sent);
const PF: Step = Step::To(OrderState::PartiallyFilled);
const PC: Step = Step::To(OrderState::PendingCancel);
const PR: Step = Step::To(OrderState::PendingReplace);
const UN: Step = Step::To(OrderState::Unknown);
const FI: Step = Step::To(OrderState::Filled);
const CA: Step = Step::To(OrderState::Canceled);
const EX: Step = Step::To(OrderState::Expired);
const RE: Step = Step::To(OrderState::Rejected);
const NS: Step = Step::To(OrderState::NotSent);

/// Rows in the order of the states' raw values, columns in the order of the events.
#[rustfmt::skip]
const TABLE: [[Step; EVENTS]; STATES] = [
    //              sent not  canc amnd ack  fnd  fill whol cref amov fild canc expi reje lost trig
    /* approved */ [SE,  NS,  XX,  XX,  XX,  XX,  XX,  XX,  XX,  ST,  XX,  XX,  XX,  XX,  NS,  XX],
    /* sent     */ [XX,  XX,  PC,  XX,  OP,  OP,  PF,  FI,  ST,  ST,  FI,  CA,  EX,  RE,  UN,  OP],
    /* live     */ [XX,  XX,  PC,  PR,  ST,  ST,  PF,  FI,  ST,  ST,  FI,  CA,  EX,  DO,  UN,  ST],
    /* partfill */ [XX,  XX,  PC,  PR,  ST,  ST,  PF,  FI,  ST,  ST,  FI,  CA,  EX,  DO,  UN,  ST],
    /* pcancel  */ [XX,  XX,  PC,  XX,  ST,  OP,  ST,  FI,  OP,  ST,  FI,  CA,  EX,  RE,  UN,  ST],
    /* unknown  */ [XX,  XX,  ST,  XX,  OP,  OP,  ST,  FI,  ST,  ST,  FI,  CA,  EX,  RE,  ST,  ST],
    /* filled   */ [XX,  XX,  ST,  XX,  ST,  ST,  XX,  XX,  ST,  ST,  ST,  XX,  XX,  XX,  ST,  ST],
    /* canceled */ [XX,  XX,  ST,  XX,  ST,  ST,  XX,  XX,  ST,  ST,  XX,  ST,  XX,  XX,  ST,  ST],
    /* expired  */ [XX,  XX,  ST,  XX,  ST,  ST,  XX,  XX,  ST,  ST,  XX,  XX,  ST,  XX,  ST,  ST],
    /* rejected */ [XX,  XX,  ST,  XX,  XX,  XX,  XX,  XX,  ST,  ST,  XX,  XX,  XX,  ST,  ST,  XX],
    /* not sent */ [XX,  ST,  XX,  XX,  XX,  XX,  XX,  XX,  XX,  ST,  XX,  XX,  XX,  XX,  ST,  XX],
    /* preplace */ [XX,  XX,  PC,  XX,  ST,  OP,  ST,  FI,  ST,  OP,  FI,  CA,  EX,  DO,  UN,  ST],
    /* untrigg  */ [XX,  XX,  PC,  XX,  ST,  ST,  PF,  FI,  ST,  ST,  FI,  CA,  EX,  DO,  UN,  OP],
];

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Event; EVENTS] = [
        Event::Sent,
        Event::NotSent,
        Event::CancelSent,
        Event::AmendSent,
        Event::Acked,
        Event::Found,
        Event::Fill,
        Event::FillWhole,
        Event::CancelRefused,
        Event::AmendOver,
        Event::Filled,
        Event::Canceled,
        Event::Expired,
        Event::Rejected,
        Event::Lost,
        Event::Triggered,
    ];

    fn cells() -> impl Iterator<Item = (OrderState, Event, Step)> {
        let row = |s: &OrderState| ALL.map(|e| (*s, e, step(*s, e)));
        OrderState::ALL.iter().flat_map(row)
    }

    /// The rows stand where the states' raw values say, the columns where the events are.
    #[test]
    fn rows_and_columns_are_where_they_are_read() {
        for (i, state) in OrderState::ALL.iter().enumerate() {
            assert_eq!(*state as usize, i);
        }
        for (i, event) in ALL.iter().enumerate() {
            assert_eq!(*event as usize, i);
        }
        assert_eq!(step(OrderState::Approved, Event::Sent), SE);
        assert_eq!(step(OrderState::PendingReplace, Event::AmendOver), OP);
        assert_eq!(step(OrderState::Unknown, Event::CancelSent), ST);
    }

    #[test]
    fn an_ended_order_stays_ended() {
        for (state, event, step) in cells().filter(|(s, _, _)| s.is_terminal()) {
            assert!(matches!(step, Step::Stay | Step::Invalid), "{state:?} {event:?} {step:?}");
        }
    }

    /// What may be open ends by the venue's word alone; only what never left may end by ours.
    #[test]
    fn nothing_ends_by_our_own_deed_once_it_was_sent() {
        let ours = [Event::Sent, Event::NotSent, Event::CancelSent, Event::AmendSent, Event::Lost];
        for (state, event, step) in cells().filter(|(_, e, _)| ours.contains(e)) {
            if let Step::To(next) = step {
                let never_left = state == OrderState::Approved && next == OrderState::NotSent;
                assert!(!next.is_terminal() || never_left, "{state:?} {event:?}");
            }
        }
    }

    /// From every state that may be open, the venue's word leads to every ending it can tell, and
    /// a loss to unknown: no state is a dead end.
    #[test]
    fn no_open_state_is_a_dead_end() {
        let open = OrderState::ALL.iter().filter(|s| !s.is_terminal());
        for state in open.filter(|s| **s != OrderState::Approved) {
            assert_eq!(step(*state, Event::Filled), FI);
            assert_eq!(step(*state, Event::FillWhole), FI);
            assert_eq!(step(*state, Event::Canceled), CA);
            assert_eq!(step(*state, Event::Expired), EX);
            assert!(matches!(step(*state, Event::Lost), UN | ST));
            assert!(matches!(step(*state, Event::Rejected), RE | DO), "{state:?}");
        }
        assert_eq!(step(OrderState::Unknown, Event::Found), OP);
        assert_eq!(step(OrderState::Untriggered, Event::Triggered), OP);
    }

    /// An event that is told twice is no contradiction: after it led somewhere, it stays there.
    #[test]
    fn what_is_told_twice_contradicts_nothing() {
        let words = [Event::Acked, Event::Found, Event::Filled, Event::Canceled, Event::Expired];
        for (state, event, step_) in cells().filter(|(_, e, _)| words.contains(e)) {
            if let Step::To(next) = step_ {
                assert_eq!(step(next, event), ST, "{state:?} {event:?}");
            }
        }
        assert_eq!(step(OrderState::Rejected, Event::Rejected), ST);
    }
}
