//! Everything that changes the desk, as values that can be recorded and fed again.
//!
//! The agent changes the desk through [`Desk::apply`](crate::desk::Desk::apply) alone and writes
//! each input to its log as it applies it, before any report of it can leave. Fed to a fresh
//! desk, the same inputs make the same reports. Cost: one record an input.

use bot4_types::log::{Body, Reader, Writer};
use bot4_types::{
    AssetId, DoneReason, InstrumentId, Nanos, OrderId, OrderIntent, Price, Qty, RunEpoch, VenueId,
};
use bot4_venues::client_text::{CLIENT_TEXT_MAX, ClientText};

use crate::foreign::Declared;
use crate::gateway::{Failure, OrderKey, VenueState};
use crate::order::{FillFact, Terms};

/// One input of the desk. The time is that of its record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DeskInput {
    /// What the desk was made with; always the first.
    Start {
        /// Orders it holds.
        orders: u32,
        /// Instruments of the run.
        instruments: u16,
        /// Names the run in client order ids.
        epoch: RunEpoch,
        /// How long the venue may hold a request.
        window: Nanos,
        /// Whose orders may be there beside ours.
        declared: Declared,
        /// At which venue.
        venue: VenueId,
        /// The venue tells its time when it is asked.
        tells_time: bool,
    },
    /// Risk approved this; a placement is held from now on. A cancel changes nothing yet.
    Take(OrderIntent),
    /// The order was handed to the socket; the venue refuses it when it arrives after this time of
    /// its clock, Unix ms.
    Sent(OrderId, i64),
    /// The order will not be sent.
    NotSent(OrderId, DoneReason),
    /// A cancel of the order was handed to the socket.
    CancelSent(OrderId),
    /// The venue told the state of an order.
    State {
        /// Which.
        key: OrderKey,
        /// The venue's number.
        venue_order: u64,
        /// Its state.
        state: VenueState,
        /// Filled so far.
        cum_qty: Qty,
        /// Why it ended.
        reason: DoneReason,
    },
    /// The venue told a fill.
    Fill {
        /// Of which order.
        key: OrderKey,
        /// The venue's number of the order.
        venue_order: u64,
        /// Of which instrument.
        instrument: InstrumentId,
        /// The fill.
        fill: FillFact,
    },
    /// A placement failed.
    PlaceFailed(OrderId, Failure),
    /// A cancel failed.
    CancelFailed(OrderId, Failure),
    /// "Does not exist" was the answer to a question sent at this time.
    NotFound(OrderId, Nanos),
    /// The same of the replacement of an order.
    NoReplacement(OrderId, Nanos),
    /// A question was not answered.
    Unanswered(OrderId),
    /// The connection is gone.
    AllLost,
    /// The clock: what should be asked? At most this many questions. Recorded when it asked any.
    Clock(u16),
    /// Ended orders past their retention are forgotten. Recorded when there were any.
    Purge,
    /// So many inputs before this one found no room in the log: a replay ends here.
    Unrecorded(u64),
    /// An amend of the order was handed to the socket.
    AmendSent {
        /// Of which order.
        order: OrderId,
        /// What it asks for.
        terms: Terms,
        /// The venue cancels the order and places another one.
        replaces: bool,
        /// The venue refuses it when it arrives after this time of its clock, Unix ms.
        deadline_ms: i64,
    },
    /// An approved amend will not be sent.
    AmendNotSent(OrderId, DoneReason),
    /// An amend failed.
    AmendFailed(OrderId, Failure),
    /// The venue told the terms of an order of which an amend is on its way.
    Terms {
        /// Which.
        key: OrderKey,
        /// The venue's number.
        venue_order: u64,
        /// Its terms.
        terms: Terms,
    },
    /// Orders at rest that were silent for longest are compared with the venue's word, so many at
    /// most. Recorded when it asked for any.
    Compare(u16),
    /// A list of open orders names this one.
    Listed {
        /// Which.
        key: OrderKey,
        /// The venue's number.
        venue_order: u64,
        /// Filled so far.
        cum_qty: Qty,
    },
    /// The question for the fills of an order is answered: what it tells was fed before.
    FillsTold(OrderId),
    /// The venue cannot be asked whose the order of this number is, or does not say.
    Nameless(u64),
    /// Asked at this time for its clock, the venue told it, Unix ms.
    VenueTime(Nanos, i64),
}

fn put_key(key: OrderKey, w: &mut Writer<'_>) {
    let (kind, number) = match key {
        OrderKey::Own(id) => (0, id.0),
        OrderKey::Venue(number) => (1, number),
        OrderKey::Foreign(client) => (3, client.as_bytes().len() as u64),
    };
    w.u8(kind);
    w.u64(number);
    if let OrderKey::Foreign(client) = key {
        w.bytes(client.as_bytes());
    }
}

fn take_key(r: &mut Reader<'_>) -> Option<OrderKey> {
    let (kind, number) = (r.u8()?, r.u64()?);
    Some(match kind {
        0 => OrderKey::Own(OrderId(number)),
        1 => OrderKey::Venue(number),
        // As earlier versions wrote it.
        2 => OrderKey::Foreign(ClientText::EMPTY),
        3 => {
            let mut text = [0; CLIENT_TEXT_MAX];
            let text = text.get_mut(..usize::try_from(number).ok()?)?;
            for byte in &mut *text {
                *byte = r.u8()?;
            }
            OrderKey::Foreign(ClientText::new(core::str::from_utf8(text).ok()?)?)
        }
        _ => return None,
    })
}

fn put_failure(failure: Failure, w: &mut Writer<'_>) {
    let (kind, reason, until, orders) = match failure {
        Failure::Refused(reason) => (0, reason, 0, false),
        Failure::OutcomeUnknown => (1, DoneReason::None, 0, false),
        Failure::NotFound => (2, DoneReason::None, 0, false),
        Failure::Limited { until_ms, orders_only } => (3, DoneReason::None, until_ms, orders_only),
        Failure::Session => (4, DoneReason::None, 0, false),
    };
    w.u8(kind);
    w.u8(reason as u8);
    w.i64(until);
    w.u8(u8::from(orders));
}

fn take_failure(r: &mut Reader<'_>) -> Option<Failure> {
    let (kind, reason) = (r.u8()?, DoneReason::from_raw(r.u8()?)?);
    let (until_ms, orders_only) = (r.i64()?, r.u8()? != 0);
    Some(match kind {
        0 => Failure::Refused(reason),
        1 => Failure::OutcomeUnknown,
        2 => Failure::NotFound,
        3 => Failure::Limited { until_ms, orders_only },
        4 => Failure::Session,
        _ => return None,
    })
}

const STATES: [VenueState; 6] = [
    VenueState::Open,
    VenueState::Filled,
    VenueState::Canceled,
    VenueState::Expired,
    VenueState::Rejected,
    VenueState::Untriggered,
];

fn put_fill(fill: &FillFact, w: &mut Writer<'_>) {
    w.u64(fill.trade_id);
    w.i64(fill.qty.0);
    w.i64(fill.price.0);
    w.i128(fill.fee);
    w.u8(fill.fee_asset.0);
    w.u8(u8::from(fill.maker));
}

fn take_fill(r: &mut Reader<'_>) -> Option<FillFact> {
    Some(FillFact {
        trade_id: r.u64()?,
        qty: Qty(r.i64()?),
        price: Price(r.i64()?),
        fee: r.i128()?,
        fee_asset: AssetId(r.u8()?),
        maker: r.u8()? != 0,
    })
}

fn put_terms(terms: Terms, w: &mut Writer<'_>) {
    w.i64(terms.price.0);
    w.i64(terms.qty.0);
}

fn take_terms(r: &mut Reader<'_>) -> Option<Terms> {
    Some(Terms { price: Price(r.i64()?), qty: Qty(r.i64()?) })
}

/// An input about one order alone.
fn put_order(tag: u8, order: OrderId, w: &mut Writer<'_>) {
    w.u8(tag);
    w.u64(order.0);
}

impl DeskInput {
    /// Fills, amends, comparisons and the venue's time; nothing for the others.
    fn write_more(&self, w: &mut Writer<'_>) {
        match *self {
            Self::AmendSent { order, terms, replaces, deadline_ms } => {
                put_order(15, order, w);
                put_terms(terms, w);
                w.u8(u8::from(replaces));
                w.i64(deadline_ms);
            }
            Self::AmendNotSent(order, reason) => {
                put_order(16, order, w);
                w.u8(reason as u8);
            }
            Self::AmendFailed(order, failure) => {
                put_order(17, order, w);
                put_failure(failure, w);
            }
            Self::Terms { key, venue_order, terms } => {
                w.u8(18);
                put_key(key, w);
                w.u64(venue_order);
                put_terms(terms, w);
            }
            Self::NoReplacement(order, asked_at) => {
                put_order(22, order, w);
                w.u64(asked_at.0);
            }
            Self::Compare(max) => {
                w.u8(19);
                w.u16(max);
            }
            Self::Listed { key, venue_order, cum_qty } => {
                w.u8(20);
                put_key(key, w);
                w.u64(venue_order);
                w.i64(cum_qty.0);
            }
            Self::VenueTime(asked_at, ms) => {
                w.u8(21);
                w.u64(asked_at.0);
                w.i64(ms);
            }
            Self::FillsTold(order) => put_order(23, order, w),
            Self::Nameless(number) => {
                w.u8(24);
                w.u64(number);
            }
            Self::Fill { key, venue_order, instrument, ref fill } => {
                w.u8(6);
                put_key(key, w);
                w.u64(venue_order);
                w.u16(instrument.0);
                put_fill(fill, w);
            }
            _ => {}
        }
    }
}

impl Body for DeskInput {
    fn write(&self, w: &mut Writer<'_>) {
        match *self {
            Self::Start { orders, instruments, epoch, window, ref declared, venue, tells_time } => {
                w.u8(0);
                w.u32(orders);
                w.u16(instruments);
                w.u32(epoch.0);
                w.u64(window.0);
                declared.write(w);
                w.u8(venue.0);
                w.u8(u8::from(tells_time));
            }
            Self::Take(ref intent) => {
                w.u8(1);
                intent.write(w);
            }
            Self::Sent(order, deadline_ms) => {
                put_order(2, order, w);
                w.i64(deadline_ms);
            }
            Self::NotSent(order, reason) => {
                put_order(3, order, w);
                w.u8(reason as u8);
            }
            Self::CancelSent(order) => put_order(4, order, w),
            Self::State { key, venue_order, state, cum_qty, reason } => {
                w.u8(5);
                put_key(key, w);
                w.u64(venue_order);
                w.u8(STATES.iter().position(|s| *s == state).unwrap_or(0) as u8);
                w.i64(cum_qty.0);
                w.u8(reason as u8);
            }
            Self::PlaceFailed(order, failure) => {
                put_order(7, order, w);
                put_failure(failure, w);
            }
            Self::CancelFailed(order, failure) => {
                put_order(8, order, w);
                put_failure(failure, w);
            }
            Self::NotFound(order, asked_at) => {
                put_order(9, order, w);
                w.u64(asked_at.0);
            }
            Self::Unanswered(order) => put_order(10, order, w),
            Self::AllLost => w.u8(11),
            Self::Clock(max) => {
                w.u8(12);
                w.u16(max);
            }
            Self::Purge => w.u8(13),
            Self::Unrecorded(count) => {
                w.u8(14);
                w.u64(count);
            }
            Self::AmendSent { .. }
            | Self::AmendNotSent(..)
            | Self::AmendFailed(..)
            | Self::NoReplacement(..)
            | Self::Terms { .. }
            | Self::Fill { .. }
            | Self::Compare(_)
            | Self::Listed { .. }
            | Self::FillsTold(_)
            | Self::Nameless(_)
            | Self::VenueTime(..) => self.write_more(w),
        }
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        Some(match r.u8()? {
            0 => Self::Start {
                orders: r.u32()?,
                instruments: r.u16()?,
                epoch: RunEpoch(r.u32()?),
                window: Nanos(r.u64()?),
                declared: Declared::read(r)?,
                // Journals of earlier versions know one.
                venue: VenueId(r.u8().unwrap_or(0)),
                tells_time: r.u8().unwrap_or(0) != 0,
            },
            1 => Self::Take(OrderIntent::read(r)?),
            // Earlier versions did not say until when.
            2 => Self::Sent(OrderId(r.u64()?), r.i64().unwrap_or(i64::MIN)),
            3 => Self::NotSent(OrderId(r.u64()?), DoneReason::from_raw(r.u8()?)?),
            4 => Self::CancelSent(OrderId(r.u64()?)),
            5 => Self::State {
                key: take_key(r)?,
                venue_order: r.u64()?,
                state: *STATES.get(usize::from(r.u8()?))?,
                cum_qty: Qty(r.i64()?),
                reason: DoneReason::from_raw(r.u8()?)?,
            },
            6 => Self::Fill {
                key: take_key(r)?,
                venue_order: r.u64()?,
                instrument: InstrumentId(r.u16()?),
                fill: take_fill(r)?,
            },
            7 => Self::PlaceFailed(OrderId(r.u64()?), take_failure(r)?),
            8 => Self::CancelFailed(OrderId(r.u64()?), take_failure(r)?),
            9 => Self::NotFound(OrderId(r.u64()?), Nanos(r.u64()?)),
            10 => Self::Unanswered(OrderId(r.u64()?)),
            11 => Self::AllLost,
            12 => Self::Clock(r.u16()?),
            13 => Self::Purge,
            14 => Self::Unrecorded(r.u64()?),
            15 => Self::AmendSent {
                order: OrderId(r.u64()?),
                terms: take_terms(r)?,
                replaces: r.u8()? != 0,
                deadline_ms: r.i64().unwrap_or(i64::MIN),
            },
            16 => Self::AmendNotSent(OrderId(r.u64()?), DoneReason::from_raw(r.u8()?)?),
            17 => Self::AmendFailed(OrderId(r.u64()?), take_failure(r)?),
            18 => Self::Terms { key: take_key(r)?, venue_order: r.u64()?, terms: take_terms(r)? },
            19 => Self::Compare(r.u16()?),
            20 => Self::Listed { key: take_key(r)?, venue_order: r.u64()?, cum_qty: Qty(r.i64()?) },
            21 => Self::VenueTime(Nanos(r.u64()?), r.i64()?),
            22 => Self::NoReplacement(OrderId(r.u64()?), Nanos(r.u64()?)),
            23 => Self::FillsTold(OrderId(r.u64()?)),
            24 => Self::Nameless(r.u64()?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::log::{LogEntry, LogKind};
    use bot4_types::{Cause, OrderAction, OrderKind, Side, StrategyId, Tif, Trail};
    use proptest::prelude::*;

    fn intent(order: u64) -> OrderIntent {
        OrderIntent {
            trail: Trail::default(),
            order: OrderId(order),
            price: Price(7),
            qty: Qty(8),
            stop_ticks: -3,
            instrument: InstrumentId(1),
            strategy: StrategyId(2),
            cause: Cause::Timer,
            expires: Nanos(99),
            action: OrderAction::Place,
            kind: OrderKind::Limit,
            tif: Tif::Gtc,
            trigger: bot4_types::Price(0),
            until: bot4_types::Nanos::MAX,
            reduce_only: false,
            side: Side::Sell,
            parent: bot4_types::ParentId::NONE,
        }
    }

    fn every(n: u64, big: i128) -> Vec<DeskInput> {
        let order = OrderId(n);
        let fill = FillFact {
            trade_id: n,
            qty: Qty(-4),
            price: Price(5),
            fee: big,
            fee_asset: AssetId(3),
            maker: true,
        };
        let failures = [
            Failure::Refused(DoneReason::RateLimit),
            Failure::OutcomeUnknown,
            Failure::NotFound,
            Failure::Limited { until_ms: -5, orders_only: true },
            Failure::Session,
        ];
        let mut all = vec![
            DeskInput::Start {
                orders: 3,
                instruments: 4,
                epoch: RunEpoch(5),
                window: Nanos(n),
                declared: Declared::of(["web_", "x"]).expect("short"),
                venue: VenueId(1),
                tells_time: true,
            },
            DeskInput::Take(intent(n)),
            DeskInput::Sent(order, n as i64),
            DeskInput::Compare(3),
            DeskInput::VenueTime(Nanos(n), -1),
            DeskInput::NotSent(order, DoneReason::Killed),
            DeskInput::CancelSent(order),
            DeskInput::NotFound(order, Nanos(1)),
            DeskInput::NoReplacement(order, Nanos(n)),
            DeskInput::Unanswered(order),
            DeskInput::FillsTold(order),
            DeskInput::Nameless(n),
            DeskInput::AllLost,
            DeskInput::Clock(32),
            DeskInput::Purge,
            DeskInput::Unrecorded(n),
            DeskInput::AmendSent {
                order,
                terms: Terms { price: Price(-1), qty: Qty(n as i64) },
                replaces: n.is_multiple_of(2),
                deadline_ms: n as i64,
            },
            DeskInput::AmendNotSent(order, DoneReason::Window),
        ];
        for failure in failures {
            all.push(DeskInput::PlaceFailed(order, failure));
            all.push(DeskInput::CancelFailed(order, failure));
            all.push(DeskInput::AmendFailed(order, failure));
        }
        let other =
            OrderKey::Foreign(ClientText::new(&"w".repeat(36)).expect("as long as it may be"));
        for key in [OrderKey::Own(order), OrderKey::Venue(n), other] {
            let instrument = InstrumentId(2);
            all.push(DeskInput::Fill { key, venue_order: n, instrument, fill });
            let terms = Terms { price: Price(5), qty: Qty(-6) };
            all.push(DeskInput::Terms { key, venue_order: n, terms });
            all.push(DeskInput::Listed { key, venue_order: n, cum_qty: Qty(6) });
            for state in STATES {
                let (cum_qty, reason) = (Qty(6), DoneReason::Expired);
                all.push(DeskInput::State { key, venue_order: n, state, cum_qty, reason });
            }
        }
        all
    }

    proptest! {
        #[test]
        fn every_input_reads_back(n in any::<u64>(), big in any::<i128>()) {
            for input in every(n, big) {
                let entry = LogEntry::new(LogKind::Desk, Nanos(1), |w| input.write(w));
                let mut r = Reader::over(entry.body());
                prop_assert_eq!(DeskInput::read(&mut r), Some(input));
                prop_assert!(r.rest().is_empty());
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..240),
        ) {
            let _ = DeskInput::read(&mut Reader::over(&bytes));
        }
    }
}
