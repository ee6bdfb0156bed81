//! The signal lane: from the top of a book to the intent to trade.
//!
//! ```text
//!  book.j --TopMsg--> .----------------------------- SignalAgent ("signal") ------------------.
//!                     | Market: newest Top of each instrument                                 |
//!                     |    '--feed--> Features: columns, lane i = instrument i (bot4-simd)    |
//!                     |                  '--View--> Strategy --Actions--> Router              |
//!                     |                             (one file each)         | slots, rules    |
//!  risk --AccountReport (drained first)----------------------------------->-'                 |
//!                     '-----------------------------------------------------|-----------------'
//!                                                                           '--OrderIntent--> risk
//! ```
//!
//! # One agent, two jobs
//! Strategies and router share the lane, the reports of the account and the moment: a strategy
//! says "I want a bid of 0.01 at 60,000" and the router must know, in the same instant, what
//! rests already and what is on its way. A ring between them would add a copy, a second place
//! where wishes can lie and grow old, and a second reader for the account link, and would buy
//! nothing: the two never run on different CPUs. So there is one agent, [`SignalAgent`] with role
//! `signal`, and [`Router`] is a plain struct inside it. Its allocations count as the agent's.
//!
//! # Wishes, not messages
//! A strategy does not send orders. Through [`Actions`] it states what should be resting
//! ([`Actions::quote`], [`Actions::pull`]) or taken now ([`Actions::take`]); the router works out
//! the intents. Invariants, each held by a property test:
//! * at most **one** order alive for each (strategy, instrument, side) of quotes and one take for
//!   each (strategy, instrument); a replacement is a cancel, then a new order *after* the old one's
//!   terminal report, or, where it is wished and can be, an amend of the one order;
//! * every price is on tick and every quantity on lot, rounded to less risk, within the venue's
//!   filters; every intent has a protective stop distance and an expiry;
//! * nothing is placed while the control word says anything but run, while the session is not
//!   ready, or on an instrument whose book is not live; then what rests is cancelled;
//! * one stop or target of its own for each (strategy, instrument), at the venue or armed here
//!   ([`Actions::stop`]), and one pair of linked orders ([`Actions::oco`]), whose second fill is
//!   given back;
//! * a position has at most one exit at the venue (`router/exits.rs`), and nothing else of its
//!   strategy on that side while it is there;
//! * every net position has a guarded stop over all of it, which the router closes by itself
//!   (`router/guard.rs`), whatever its strategy does;
//! * an order of one strategy never takes an order of another: the take pulls the quote first.
//!
//! # Stale data
//! Market callbacks and [`View`]s exist only for live, two-sided, uncrossed tops. When a book
//! stops being live its features restart, its quotes are cancelled, and strategies learn it by
//! [`Strategy::on_stale`], which gets no view and no actions.
//!
//! # A turn
//! 1. Account reports are drained, even when the intents ring is full.
//! 2. Wishes that had to wait are tried again.
//! 3. With room for intents, up to 64 messages are taken from each book; only the newest top of
//!    an instrument counts.
//! 4. Features of all instruments that moved are updated by one pass of the kernels.
//! 5. Each strategy sees each of those instruments.
//! 6. Timers.
//!
//! After [`start`](bot4_lanes::Agent::start) nothing allocates, locks, formats or calls the system.
//!
//! # Time of an order
//! An intent that a top or trade causes carries its [`Trail`](bot4_types::Trail), marked
//! `Signal` when it is pushed. An intent that had to wait for anything but room in the ring (a
//! cancel, a back-off) is caused by a report or timer, and is kept out of tick-to-trade.
//!
//! # Adding a strategy
//! One file that implements [`Strategy`] (see its example) and one line in
//! [`strategy::ROSTER`].

mod actions;
mod agent;
mod command;
pub mod counters;
mod features;
mod market;
mod parent;
mod relay;
mod router;
mod rules;
mod slot;
pub mod strategy;

pub use actions::{Actions, Exit, Verdict};
pub use agent::{SignalAgent, SignalConfig, SignalPorts};
pub use command::{Command, Linked, LinkedCommand, OrderCommand, Take, TakeCommand};
pub use features::{FeatureConfig, FeatureRow, Features};
pub use market::{Market, View};
pub use parent::{CHILDREN, PARENTS_MAX, Tally};
pub use router::{Armed, Exits, Native, Oco, OtherLeg, RouteConfig, Router};
pub use slot::Open;
pub use strategy::Strategy;
