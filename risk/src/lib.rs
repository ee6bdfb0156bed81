//! The gate and the ledger: no order leaves without every check, and what the account holds is
//! known to the last unit.
//!
//! ```text
//!            marks (newest kept, handed in when used)
//!              |
//!  intents --> | RiskAgent: rings, log, room, stalls                 --> approved (sealed)
//!  commands -> |   (changes of instruments, from the control lane)
//!  reports --> |   '--> RiskCore: the decisions, a pure function     --> account reports
//!  kill word-> |          |-- gate: roster of checks/<name>.rs       --> log: every input,
//!              |          |-- ledger: positions, cash, reservations      every decision,
//!              |          |-- rates: token buckets                        a point of equity
//!              |          |-- breakers: what fails is left alone       each second
//!              |          |-- valuation: paths and marks
//!              |          '-- equity: curve, peak, day, drawdown
//!              '---- replay: the same core, fed from a journal
//! ```
//!
//! * **One gate.** [`gate::judge`] runs the roster of the intent's action; only its
//!   [`gate::Approval`] can be sealed into an `ApprovedOrder`. A cancel has a short roster, not a
//!   way around it. Every reason is counted under its own name.
//! * **One ledger.** [`ledger::Ledger`] alone knows positions, cash, profit and reservations. A
//!   reservation is made at approval and freed only by proof: a fill, or a terminal report. A
//!   fill is booked once, whatever is doubled or out of order. Exposure is worst case: open,
//!   in-flight and unknown orders count in full, and never against each other.
//! * **No record, no trade.** Each approval is written ahead to the log; the order carries the
//!   record's sequence and execution waits until the journal has it.
//! * **Same inputs, same decisions.** [`risk_core::RiskCore`] reads no clock, no ring and no
//!   stamp. The agent records what it feeds it, in order; [`replay::Replayer`] feeds that to a
//!   fresh core and compares every decision and their hash.
//! * **Integer money.** Prices and quantities in wire units, amounts in `i128`. Arithmetic on
//!   data saturates or is checked: a mad number is refused, it cannot stop the lane.
//!
//! Cost of an intent: a walk over function pointers, each check O(1), and four log records. Cost
//! of a report: one lookup and a handful of additions. After construction nothing allocates.
//!
//! Every clever structure has a naive twin: [`naive::NaiveLedger`] recomputes the ledger from the
//! whole list of reports, the order table and its index are compared with maps.

pub mod agent;
pub mod aggregate;
pub mod breaker;
pub mod caps;
pub mod changes;
pub mod checks;
pub mod comparison;
pub mod config;
mod counters;
mod digest;
pub mod equity;
pub mod exposure;
pub mod gate;
mod headroom;
mod headrooms_due;
pub mod latch;
pub mod ledger;
pub mod limits;
pub mod lots;
pub mod money;
pub mod naive;
pub mod order_index;
pub mod orders;
pub mod pnl;
pub mod position;
pub mod rate;
pub mod recovered;
pub mod reload;
pub mod replay;
pub mod risk_core;
pub mod scopes;
pub mod sessions;
mod stall;
pub mod statistics;
pub mod tightest;
pub mod valuation;
mod wide;

pub use agent::{RiskAgent, RiskPorts};
pub use changes::Changes;
pub use config::{ConfigError, RiskConfig};
pub use equity::{EquityCurve, EquityPoint, EquityStart};
pub use exposure::{Counts, Exposure};
pub use gate::Approval;
pub use ledger::Ledger;
pub use limits::{LimitError, RiskLimits, units};
pub use pnl::{Gain, Pnl};
pub use recovered::{LateFill, Recovered};
pub use replay::{Decided, Difference, ReplayError, Replayer};
pub use risk_core::{Decision, RiskCore};
pub use scopes::{LimitBook, ScopeLimits, Scopes};
pub use statistics::{Statistics, StatisticsLimits, Upkeep};
