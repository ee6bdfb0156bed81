//! Log records: what the journal keeps of a lane's inputs and decisions.
//!
//! A record is a fixed 256-byte message on the ring and a length-prefixed one in the journal.
//! Bodies are little-endian and explicit, so the bytes are the same on every machine and any
//! version can tell what it does not know.

use crate::book::{BookState, Mark};
use crate::id::{AssetId, InstrumentId, OrderId, StrategyId, VenueId};
use crate::instrument::Amount;
use crate::order::{
    Cause, DoneReason, ExecMsg, OrderAction, OrderIntent, OrderKind, OrderReport, OrderState,
    RefuseReason, ReportKind, Tif,
};
use crate::parent::ParentId;
use crate::price::{Price, Qty, Side};
use crate::time::Nanos;
use crate::trail::Trail;
use serde::{Deserialize, Serialize};

/// Bytes of body in a record.
pub const BODY_MAX: usize = 232;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum LogKind {
    /// Text about the run: version, configuration hash, instruments (UTF-8).
    Run = 1,
    /// An intent consumed by risk.
    Intent = 2,
    /// A refusal: the intent's order and the reason.
    Refused = 3,
    /// An approval: the order; the write-ahead record of DESIGN's order truth.
    Approved = 4,
    /// A report consumed by risk.
    Report = 5,
    /// A mark used by risk.
    Mark = 6,
    /// The turn's `now` and the hashes of all decisions and inputs before it, written before the
    /// inputs of a turn that consumed any.
    Turn = 7,
    /// Execution handed an order or cancel to the socket.
    Sent = 8,
    /// Execution learned something from the venue: a report it made.
    Learned = 9,
    /// A balance stated by the venue.
    Balance = 10,
    /// Kill word, drain or mode changed, as consumed by the lane.
    Control = 11,
    /// Something that changed execution's desk, as it was applied; the codec is execution's.
    Desk = 12,
    /// Turns of one agent of the chain, packed; see [`crate::turn`].
    Turns = 13,
    /// A command of the control lane, consumed by risk; see [`crate::command`].
    Command = 14,
    /// Risk brought its statistics up to date from the marks recorded before: what it did.
    Statistics = 15,
    /// Risk drew a point of the equity curve from the marks recorded before it.
    Equity = 16,
    /// Where a parent order stands; see [`crate::parent`].
    Parent = 17,
    /// What became of a command on orders; see [`crate::work`].
    OrderCommand = 18,
    /// Execution read the venue's answer to a request: the order, what was asked, when it was read.
    Answered = 19,
    /// What a person or a program asked of the engine from outside; see [`crate::act`].
    Act = 20,
}

impl LogKind {
    /// The kind whose `repr` is `raw`.
    #[must_use]
    pub const fn from_raw(raw: u8) -> Option<Self> {
        Some(match raw {
            1 => Self::Run,
            2 => Self::Intent,
            3 => Self::Refused,
            4 => Self::Approved,
            5 => Self::Report,
            6 => Self::Mark,
            7 => Self::Turn,
            8 => Self::Sent,
            9 => Self::Learned,
            10 => Self::Balance,
            11 => Self::Control,
            12 => Self::Desk,
            13 => Self::Turns,
            14 => Self::Command,
            15 => Self::Statistics,
            16 => Self::Equity,
            17 => Self::Parent,
            18 => Self::OrderCommand,
            19 => Self::Answered,
            20 => Self::Act,
            _ => return None,
        })
    }

    /// The name used in dumps.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Intent => "intent",
            Self::Refused => "refused",
            Self::Approved => "approved",
            Self::Report => "report",
            Self::Mark => "mark",
            Self::Turn => "turn",
            Self::Sent => "sent",
            Self::Learned => "learned",
            Self::Balance => "balance",
            Self::Control => "control",
            Self::Desk => "desk",
            Self::Turns => "turns",
            Self::Statistics => "statistics",
            Self::Command => "command",
            Self::Equity => "equity",
            Self::Parent => "parent",
            Self::OrderCommand => "order_command",
            Self::Answered => "answered",
            Self::Act => "act",
        }
    }
}

/// One record: any lane → journal.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct LogEntry {
    /// Sequence within its lane, from 1.
    pub seq: u64,
    /// The `now` of the turn that wrote it.
    pub at: Nanos,
    /// [`LogKind`] as raw value.
    pub kind: u8,
    /// Index of the writing lane's log link.
    pub lane: u8,
    /// Bytes of `body` in use.
    pub len: u16,
    reserved: u32,
    /// The body.
    pub body: [u8; BODY_MAX],
}

const _: () = assert!(size_of::<LogEntry>() == 256);

impl LogEntry {
    /// A record of `kind` whose body `fill` writes. `seq` and `lane` are set by the log writer.
    #[must_use]
    pub fn new(kind: LogKind, at: Nanos, fill: impl FnOnce(&mut Writer<'_>)) -> Self {
        let mut entry = Self {
            seq: 0,
            at,
            kind: kind as u8,
            lane: 0,
            len: 0,
            reserved: 0,
            body: [0; BODY_MAX],
        };
        let mut w = Writer { out: &mut entry.body, at: 0 };
        fill(&mut w);
        entry.len = w.at as u16;
        entry
    }

    /// A record of `kind` with raw `body`, cut at [`BODY_MAX`].
    #[must_use]
    pub fn raw(kind: LogKind, at: Nanos, body: &[u8]) -> Self {
        Self::new(kind, at, |w| w.bytes(&body[..body.len().min(BODY_MAX)]))
    }

    /// The body in use.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body[..usize::from(self.len).min(BODY_MAX)]
    }
}

impl core::fmt::Debug for LogEntry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let name = LogKind::from_raw(self.kind).map_or("?", LogKind::name);
        write!(f, "LogEntry({name} lane {} seq {} len {})", self.lane, self.seq, self.len)
    }
}

/// Writes a body. Every write is bounds-checked: a body that would not fit is a bug and panics.
pub struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

macro_rules! put {
    ($($name:ident $ty:ty),+) => { $(
        #[doc = concat!("Appends a `", stringify!($ty), "`, little-endian.")]
        pub fn $name(&mut self, v: $ty) { self.bytes(&v.to_le_bytes()); }
    )+ };
}

impl<'a> Writer<'a> {
    /// A writer over `out`.
    pub const fn over(out: &'a mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    /// Bytes written so far.
    #[must_use]
    pub const fn written(&self) -> usize {
        self.at
    }

    /// Appends raw bytes.
    pub fn bytes(&mut self, v: &[u8]) {
        self.out[self.at..self.at + v.len()].copy_from_slice(v);
        self.at += v.len();
    }

    put!(u8 u8, u16 u16, u32 u32, u64 u64, i32 i32, i64 i64, i128 i128);
}

/// Reads a body; every read past the end is `None`, never a panic.
pub struct Reader<'a> {
    rest: &'a [u8],
}

macro_rules! take {
    ($($name:ident $ty:ty),+) => { $(
        #[doc = concat!("Takes a `", stringify!($ty), "`, little-endian.")]
        pub fn $name(&mut self) -> Option<$ty> {
            let (head, rest) = self.rest.split_first_chunk::<{ size_of::<$ty>() }>()?;
            self.rest = rest;
            Some(<$ty>::from_le_bytes(*head))
        }
    )+ };
}

impl<'a> Reader<'a> {
    /// A reader over `body`.
    #[must_use]
    pub const fn over(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// Bytes not read yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    take!(u8 u8, u16 u16, u32 u32, u64 u64, i32 i32, i64 i64, i128 i128);
}

/// A value with an explicit body layout.
pub trait Body: Sized {
    /// Writes the value.
    fn write(&self, w: &mut Writer<'_>);
    /// Reads the value; `None` when the bytes are not one.
    fn read(r: &mut Reader<'_>) -> Option<Self>;
}

impl Body for Trail {
    fn write(&self, w: &mut Writer<'_>) {
        w.u64(self.t0.0);
        for b in self.border_ns {
            w.u32(b);
        }
        w.u32(self.read_ns);
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        let mut trail = Self::start(Nanos(r.u64()?));
        for border in &mut trail.border_ns {
            *border = r.u32()?;
        }
        trail.read_ns = r.u32()?;
        Some(trail)
    }
}

impl Body for OrderIntent {
    fn write(&self, w: &mut Writer<'_>) {
        self.trail.write(w);
        w.u64(self.order.0);
        w.i64(self.price.0);
        w.i64(self.qty.0);
        w.i32(self.stop_ticks);
        w.u16(self.instrument.0);
        w.u8(self.strategy.0);
        w.u8(self.cause as u8);
        w.u64(self.expires.0);
        w.u8(self.action as u8);
        w.u8(self.kind as u8);
        w.u8(self.tif as u8);
        w.u8(self.side as u8);
        // Left out where it says nothing, as in journals of before: they come out as they were.
        let plain = self.trigger == Price(0) && self.until == Nanos::MAX && !self.reduce_only;
        if plain && self.parent == ParentId::NONE {
            return;
        }
        w.i64(self.trigger.0);
        w.u64(self.until.0);
        w.u8(u8::from(self.reduce_only));
        w.u32(self.parent.0);
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        let plain = Self {
            trail: Trail::read(r)?,
            order: OrderId(r.u64()?),
            price: Price(r.i64()?),
            qty: Qty(r.i64()?),
            trigger: Price(0),
            stop_ticks: r.i32()?,
            instrument: InstrumentId(r.u16()?),
            strategy: StrategyId(r.u8()?),
            cause: Cause::from_raw(r.u8()?)?,
            expires: Nanos(r.u64()?),
            action: OrderAction::from_raw(r.u8()?)?,
            kind: OrderKind::from_raw(r.u8()?)?,
            tif: Tif::from_raw(r.u8()?)?,
            until: Nanos::MAX,
            reduce_only: false,
            side: Side::from_raw(r.u8()?)?,
            parent: ParentId::NONE,
        };
        // A plain order ends here.
        if r.rest().is_empty() {
            return Some(plain);
        }
        let (trigger, until) = (Price(r.i64()?), Nanos(r.u64()?));
        let reduce_only = r.u8()? != 0;
        let parent = ParentId(r.u32()?);
        Some(Self { trigger, until, reduce_only, parent, ..plain })
    }
}

impl Body for OrderReport {
    fn write(&self, w: &mut Writer<'_>) {
        w.u64(self.at.0);
        w.u64(self.order.0);
        w.u64(self.venue_order);
        w.i64(self.price.0);
        w.i64(self.qty.0);
        w.i64(self.cum_qty.0);
        w.i64(self.last_qty.0);
        w.i64(self.last_price.0);
        w.u64(self.trade_id);
        w.i128(self.fee);
        w.u32(self.seq);
        w.u16(self.instrument.0);
        w.u8(self.strategy.0);
        w.u8(self.fee_asset.0);
        w.u8(self.kind as u8);
        w.u8(self.state as u8);
        w.u8(self.reason as u8);
        w.u8(self.side as u8);
        w.u8(u8::from(self.maker));
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            at: Nanos(r.u64()?),
            order: OrderId(r.u64()?),
            venue_order: r.u64()?,
            price: Price(r.i64()?),
            qty: Qty(r.i64()?),
            cum_qty: Qty(r.i64()?),
            last_qty: Qty(r.i64()?),
            last_price: Price(r.i64()?),
            trade_id: r.u64()?,
            fee: r.i128()?,
            seq: r.u32()?,
            instrument: InstrumentId(r.u16()?),
            strategy: StrategyId(r.u8()?),
            fee_asset: AssetId(r.u8()?),
            kind: ReportKind::from_raw(r.u8()?)?,
            state: OrderState::from_raw(r.u8()?)?,
            reason: DoneReason::from_raw(r.u8()?)?,
            side: Side::from_raw(r.u8()?)?,
            maker: r.u8()? != 0,
        })
    }
}

impl Body for ExecMsg {
    fn write(&self, w: &mut Writer<'_>) {
        match self {
            Self::Order(report) => {
                w.u8(0);
                report.write(w);
            }
            Self::Balance { at, asset, free, locked } => {
                w.u8(1);
                w.u64(at.0);
                w.u8(asset.0);
                w.i128(*free);
                w.i128(*locked);
            }
            Self::Session { at, venue, ready } => {
                w.u8(2);
                w.u64(at.0);
                // One byte for both: the first venue's is what runs of one venue always wrote.
                w.u8(u8::from(*ready) | venue.0 << 1);
            }
            Self::Funding { at, id, instrument, asset, amount } => {
                w.u8(3);
                w.u64(at.0);
                w.u64(*id);
                w.u16(instrument.0);
                w.u8(asset.0);
                w.i128(*amount);
            }
            Self::Foreign { at, venue, venue_order, trade_id, declared } => {
                w.u8(4);
                w.u64(at.0);
                w.u64(*venue_order);
                w.u64(*trade_id);
                w.u8(venue.0);
                w.u8(u8::from(*declared));
            }
        }
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        Some(match r.u8()? {
            0 => Self::Order(OrderReport::read(r)?),
            1 => {
                let at = Nanos(r.u64()?);
                let asset = AssetId(r.u8()?);
                let free: Amount = r.i128()?;
                Self::Balance { at, asset, free, locked: r.i128()? }
            }
            2 => {
                let (at, word) = (Nanos(r.u64()?), r.u8()?);
                Self::Session { at, venue: VenueId(word >> 1), ready: word & 1 != 0 }
            }
            3 => Self::Funding {
                at: Nanos(r.u64()?),
                id: r.u64()?,
                instrument: InstrumentId(r.u16()?),
                asset: AssetId(r.u8()?),
                amount: r.i128()?,
            },
            4 => Self::Foreign {
                at: Nanos(r.u64()?),
                venue_order: r.u64()?,
                trade_id: r.u64()?,
                venue: VenueId(r.u8()?),
                declared: r.u8()? != 0,
            },
            _ => return None,
        })
    }
}

impl Body for Mark {
    fn write(&self, w: &mut Writer<'_>) {
        w.i64(self.bid);
        w.i64(self.ask);
        w.i64(self.micro);
        w.i64(self.last_trade);
        w.u64(self.at.0);
        w.u16(self.instrument.0);
        w.u8(self.state as u8);
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            bid: r.i64()?,
            ask: r.i64()?,
            micro: r.i64()?,
            last_trade: r.i64()?,
            at: Nanos(r.u64()?),
            instrument: InstrumentId(r.u16()?),
            state: match r.u8()? {
                0 => BookState::Waiting,
                1 => BookState::Syncing,
                2 => BookState::Live,
                3 => BookState::Stale,
                _ => return None,
            },
        })
    }
}

/// A refusal as a record body: the order and the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The order that was to be placed or cancelled.
    pub order: OrderId,
    /// Why not.
    pub reason: RefuseReason,
}

impl Body for Refusal {
    fn write(&self, w: &mut Writer<'_>) {
        w.u64(self.order.0);
        w.u8(self.reason as u8);
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        Some(Self { order: OrderId(r.u64()?), reason: RefuseReason::from_raw(r.u8()?)? })
    }
}

/// A point of the equity curve as a record body, amounts of the reporting asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EquityRecord {
    /// Value of all balances.
    pub equity: Amount,
    /// Highest so far, in earlier runs too.
    pub peak: Amount,
    /// Equity at the beginning of the day.
    pub day_open: Amount,
    /// UTC day, days since 1970-01-01.
    pub day: i64,
}

impl Body for EquityRecord {
    fn write(&self, w: &mut Writer<'_>) {
        w.i128(self.equity);
        w.i128(self.peak);
        w.i128(self.day_open);
        w.i64(self.day);
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        let (equity, peak, day_open) = (r.i128()?, r.i128()?, r.i128()?);
        Some(Self { equity, peak, day_open, day: r.i64()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn report(order: u64, cum: i64, fee: i128) -> OrderReport {
        OrderReport {
            at: Nanos(5),
            order: OrderId(order),
            venue_order: 77,
            price: Price(100),
            qty: Qty(10),
            cum_qty: Qty(cum),
            last_qty: Qty(1),
            last_price: Price(99),
            trade_id: 3,
            fee,
            seq: 2,
            instrument: InstrumentId(1),
            strategy: StrategyId(2),
            fee_asset: AssetId(3),
            kind: ReportKind::Fill,
            state: OrderState::PartiallyFilled,
            reason: DoneReason::None,
            side: Side::Sell,
            maker: true,
        }
    }

    proptest! {
        #[test]
        fn bodies_read_back(order in any::<u64>(), cum in any::<i64>(), fee in any::<i128>()) {
            let msg = ExecMsg::Order(report(order, cum, fee));
            let (instrument, asset) = (InstrumentId(3), AssetId(1));
            let paid = ExecMsg::Funding { at: Nanos(2), id: order, instrument, asset, amount: fee };
            for msg in [msg, paid] {
                let entry = LogEntry::new(LogKind::Report, Nanos(1), |w| msg.write(w));
                prop_assert_eq!(ExecMsg::read(&mut Reader::over(entry.body())), Some(msg));
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..256),
        ) {
            let _ = OrderIntent::read(&mut Reader::over(&bytes));
            let _ = ExecMsg::read(&mut Reader::over(&bytes));
            let _ = Mark::read(&mut Reader::over(&bytes));
            let _ = Refusal::read(&mut Reader::over(&bytes));
        }
    }
}
