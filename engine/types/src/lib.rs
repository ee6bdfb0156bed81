//! The words that every other crate shares: identifiers, integer money, instruments and the
//! messages that travel on rings. No behaviour that needs a clock, a socket or an allocation on
//! the hot path lives here.
//!
//! ```text
//! Frame --parse--> MarketEvent --book--> Top, TradePrint, Mark --router--> OrderIntent
//!                                                                  |--risk--> ApprovedOrder
//!        OrderReport <--execution-- venue                          '<-------- AccountReport
//! ```
//!
//! * **Money is integer.** [`Price`] and [`Qty`] count units of 10^-decimals, with the decimals
//!   held by the [`Instrument`]. Notional is `i128`. Floats never enter this crate's arithmetic.
//! * **Rounding is directed** and lives in [`price`]: a bid rounds down, an ask rounds up, a size
//!   rounds towards zero, so that rounding can never add risk.
//! * **Each stage adds proof.** An [`order::ApprovedOrder`] has one construction site, the risk
//!   gate; the lint configuration refuses a second one.
//! * **Every message carries its [`Trail`]**: the stamp at which the causing bytes were received
//!   and the stamp of each stage border since, so the stages of an order sum to its
//!   tick-to-trade.

pub mod act;
pub mod book;
pub mod book_rules;
pub mod command;
pub mod headroom;
pub mod id;
pub mod instrument;
pub mod limits;
pub mod log;
pub mod market;
pub mod order;
pub mod parent;
pub mod price;
pub mod rng;
pub mod rules;
pub mod shards;
pub mod shown;
pub mod stamps;
pub mod table;
pub mod text;
pub mod time;
pub mod trail;
pub mod turn;
pub mod work;

pub use act::{ActAbout, ActPart};
pub use book::{BookState, Mark, Resync, ResyncReason, StaleReason, Top, TopMsg, TradePrint};
pub use book_rules::{BookRules, ChecksumRule, SequenceRule, SnapshotSource, SnapshotSums};
pub use command::{BookOrder, BreakerScope, InstrumentNews, PauseReason, RiskCommand};
pub use headroom::Headroom;
pub use id::{
    AssetId, ClientId, ConnId, InstrumentId, OrderId, RunEpoch, StrategyId, Symbol, VenueId,
};
pub use instrument::{Instrument, InstrumentTable};
pub use log::{LogEntry, LogKind};
pub use market::{Frame, FrameKind, Level, LevelBlock, MarketBody, MarketEvent, Slot};
pub use order::{
    AccountReport, ApprovedOrder, Cause, ControlMode, DoneReason, ExecMsg, HeldPosition,
    OrderAction, OrderIntent, OrderKind, OrderReport, OrderState, RefuseReason, ReportKind, Terms,
    Tif,
};
pub use parent::{
    Algo, Deadline, ParentAction, ParentCommand, ParentEnd, ParentId, ParentOrder, ParentRefusal,
    ParentReport, ParentState, Peg, Urgency,
};
pub use price::{Price, Qty, Side, notional};
pub use rules::InstrumentRules;
pub use shards::{LINES_MAX, Shards};
pub use stamps::{AnsweredRecord, SentRecord};
pub use time::{Nanos, Wall};
pub use trail::{Stage, Trail};
pub use turn::TurnRecord;
pub use work::{CommandId, OrderWork, RouterReport, WorkKind, WorkRefusal, WorkReport, WorkState};
