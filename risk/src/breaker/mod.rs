//! Circuit breakers: what fails again and again is left alone for a while, then tried carefully.
//!
//! ```text
//!              failures in the window >= errors_max
//!    .--------.  and calls >= calls_min           .--------.
//!    | closed | --------------------------------> |  open  | <---.
//!    '--------'                                   '--------'     |
//!        ^                                            | timeout  | a probe
//!        | successes_to_close probes succeed          v + jitter | fails
//!        |                                        .-----------.  |
//!        '--------------------------------------- | half-open | -'
//!                                                 '-----------' at most probes_max at a time
//! ```
//!
//! * **One machine.** [`status`] holds the transitions as pure functions. [`Breaker`] applies
//!   them to a shared atomic word, [`Machine`] to plain memory of one owner; a property test
//!   holds the two to the same answers.
//! * **Cold components** (REST, snapshots, queries), asked by several threads, use [`Breaker`]s
//!   of a [`Registry`]: no lock, one load for a permit while all is well.
//! * **The risk lane** uses [`Breakers`]: one machine per strategy and instrument and one for the
//!   venue, driven by the turn's time alone, so that a replay takes the same decisions.
//! * **The venue's word is stronger than a timeout**: see [`healing`].
//! * **Trips heal** by themselves. What needs a person is a latch and lives elsewhere.
//!
//! The global state is derived ([`global_state`]) and never stored: it cannot disagree.

mod calls;
mod clock;
mod config;
mod event;
mod fates;
mod healing;
mod jitter;
mod limits;
mod machine;
mod monitor;
mod permit;
mod registry;
mod set;
mod shared;
mod status;
#[cfg(loom)]
pub mod sync;
#[cfg(not(loom))]
mod sync;
mod window;

pub use bot4_types::BreakerScope;
pub use clock::Clock;
pub use config::{BreakerConfig, BreakerConfigError, Unjudged, WINDOW_CALLS_MAX};
pub use event::{Change, Delivered, Event, Events};
pub use jitter::{Jitter, NoJitter, SeededJitter};
pub use limits::{BreakerLimitError, BreakerLimits};
pub use machine::{Machine, Ticket};
pub use monitor::{Monitor, TripCause};
pub use permit::Permit;
pub use registry::{Registry, Spec};
pub use set::{Booked, BreakerCounts, BreakerLevel, Breakers};
pub use shared::Breaker;
pub use status::{Refusal, State, Verdict};

/// The state of many breakers together: open when more than half of `total` are open, half-open
/// while any of them recovers, closed otherwise.
#[must_use]
pub const fn global_state(total: usize, open: usize, half_open: usize) -> State {
    if open * 2 > total {
        State::Open
    } else if half_open > 0 {
        State::HalfOpen
    } else {
        State::Closed
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
