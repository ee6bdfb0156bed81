//! What execution asks of a venue's dialect, and what the venue can tell, without the venue's
//! words. One implementation a venue; everything else in this crate is the same for all.

use bot4_types::{
    AssetId, ClientId, DoneReason, Instrument, InstrumentId, Nanos, OrderId, OrderKind, Qty, Side,
    Tif, instrument::Amount,
};
use bot4_venues::client_text::ClientText;
use bot4_venues::limits::{Cost, Usage};
use bot4_venues::place::{Amend, Place};
use bot4_venues::session::KeepAlive;

use crate::order::{FillFact, Terms};
use crate::requests::Purpose;

/// How a request reaches the venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By the connection of order entry.
    Orders,
    /// By the connection of the account's events and of questions, where that is another one.
    Events,
    /// By a request over HTTPS, written as [`bot4_venues::rest`] has it.
    Rest,
}

/// An answer over HTTPS.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The request.
    pub id: u64,
    /// What it was for.
    pub purpose: Purpose,
    /// HTTP status; zero where there was no answer.
    pub status: u16,
    /// The venue's time when it came, Unix ms.
    pub now_ms: i64,
    /// The body.
    pub text: &'a [u8],
}

/// How the venue names an order that it tells about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKey {
    /// One of this run's orders.
    Own(OrderId),
    /// By the venue's number alone.
    Venue(u64),
    /// An order of another run or another program on the same account, by its client id.
    Foreign(ClientText),
}

/// An order's state by the venue's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VenueState {
    /// On the book or working.
    Open,
    /// Taken, and in no book before the market reaches its trigger.
    Untriggered,
    /// Completely filled.
    Filled,
    /// Cancelled.
    Canceled,
    /// Ended by the venue.
    Expired,
    /// Refused.
    Rejected,
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Refused with certainty: nothing happened.
    Refused(DoneReason),
    /// The order may exist: only evidence tells.
    OutcomeUnknown,
    /// The venue does not know the order.
    NotFound,
    /// Too many requests or orders: no more until this venue time, Unix ms.
    Limited {
        /// Until when; zero where the venue does not say.
        until_ms: i64,
        /// Only new orders are meant: cancels and questions still go.
        orders_only: bool,
    },
    /// The session's key is no longer accepted.
    Session,
}

/// One thing that the venue told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fact {
    /// A request succeeded.
    Answered {
        /// The request.
        id: u64,
    },
    /// A request failed.
    Failed {
        /// The request.
        id: u64,
        /// Why.
        failure: Failure,
    },
    /// A request was answered in part: the same must be asked on.
    More {
        /// The request.
        id: u64,
    },
    /// The state of an order.
    Order {
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
    /// The terms of an open order, told before its [`Fact::Order`]. A venue that takes amends
    /// tells them wherever it tells that an order is open.
    Terms {
        /// Which order.
        key: OrderKey,
        /// The venue's number.
        venue_order: u64,
        /// Limit price and whole quantity.
        terms: Terms,
    },
    /// A fill of an order; `Fact::Order` may come before or after it.
    Fill {
        /// Which order.
        key: OrderKey,
        /// The venue's number of the order.
        venue_order: u64,
        /// Of which instrument.
        instrument: InstrumentId,
        /// The fill.
        fill: FillFact,
    },
    /// The absolute balance of an asset.
    Balance {
        /// Which.
        asset: AssetId,
        /// Free.
        free: Amount,
        /// Locked in open orders.
        locked: Amount,
    },
    /// The venue's own counts of what this account used.
    Usage(Usage),
    /// The limit of new orders is used up until then, venue Unix ms.
    Pause(i64),
    /// The venue's clock, Unix ms; the request's `Answered` follows.
    Time(i64),
    /// The server goes away, or the event stream ended: connect again.
    Leaving,
}

/// Why a message of the venue is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotUnderstood;

/// Names an order towards the venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// Of which instrument.
    pub instrument: &'a Instrument,
    /// The venue's number, zero when unknown.
    pub venue_order: u64,
    /// Its client id.
    pub client: ClientId,
}

/// An order that rests, and what it should become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Buy or sell.
    pub side: Side,
    /// Order type.
    pub kind: OrderKind,
    /// Time in force.
    pub tif: Tif,
    /// Filled so far.
    pub filled: Qty,
    /// Its terms.
    pub from: Terms,
    /// What it should have.
    pub to: Terms,
}

impl Change {
    /// The order rests at a limit.
    #[must_use]
    pub const fn is_limit(&self) -> bool {
        matches!(self.kind, OrderKind::Limit | OrderKind::LimitMaker)
    }

    /// The change in place of an order at a venue that takes any of a limit order.
    #[must_use]
    pub fn in_place(&self) -> AmendWay {
        let leaves_some = self.to.qty > self.filled;
        if self.is_limit() && leaves_some { AmendWay::InPlace } else { AmendWay::None }
    }

    /// The request for it by the name of `order`: what stays as it is is not in it.
    #[must_use]
    pub fn request<'a>(&self, id: u64, order: &Named<'a>, now_ms: i64) -> Amend<'a> {
        let other = |from: i64, to: i64| (from != to).then_some(to);
        Amend {
            id,
            instrument: order.instrument,
            client: order.client,
            price: other(self.from.price.0, self.to.price.0),
            qty: other(self.from.qty.0, self.to.qty.0),
            now_ms,
        }
    }
}

/// How a venue changes an order that rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmendWay {
    /// It does not: cancel it and place another one.
    None,
    /// The order keeps its number, and its place in the queue where the venue grants that.
    InPlace,
    /// One request cancels it and places another one under the client id that is passed, the second
    /// only when the first found nothing filled: both together never fill more than the larger.
    Replace,
}

/// What a list of open orders, as a venue gives it, is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenLists {
    /// There is none.
    None,
    /// One instrument.
    OfEach,
    /// The whole account; its first page where there are several.
    OfAccount,
}

/// Something that is about to be sent, for what the venue counts by itself.
#[derive(Clone, Copy, Debug)]
pub enum Act<'a> {
    /// A new order of this instrument.
    Place(&'a Instrument),
    /// An amend.
    Amend(&'a Named<'a>),
    /// A cancel.
    Cancel(&'a Named<'a>),
    /// A question, asked at leisure or in doubt.
    Ask(&'a Purpose, bool),
}

/// A venue's order-entry dialect: bytes out, facts in. Pure; `now_ms` is venue time, Unix ms.
/// Each request writes exactly one message into `out`, which the caller cleared.
pub trait Gateway: Send {
    /// The ways that are logged on before anything else, each by a request of its own.
    fn logons(&self) -> &'static [Way] {
        &[Way::Orders]
    }
    /// Which way requests go; all by the one connection where a venue does not say otherwise.
    fn ways(&self) -> fn(&Purpose) -> Way {
        |_| Way::Orders
    }
    /// What each connection must hear so that the venue keeps it, and us, for alive.
    fn keep_alive(&self) -> Option<KeepAlive> {
        None
    }
    /// How often the venue's dead-man switch is fed by a request; `None` where there is none, or
    /// what keeps the connections alive feeds it.
    fn dead_man_every(&self) -> Option<Nanos> {
        None
    }
    /// What nothing waits for, such as tokens that are made ahead; called often, does little.
    fn idle(&mut self, _now_ms: i64) {}
    /// The venue has stopped to tell what it should tell again and again: its connection may be
    /// open while nobody speaks on it any more.
    fn is_silent(&mut self, _now_ms: i64) -> bool {
        false
    }
    /// From now on no order may be placed, by whatever name, or again one may: told before
    /// questions are written.
    fn hold(&mut self, _held: bool) {}
    /// Fills are told by answers alone: they are asked for as soon as a state counts more.
    fn asks_for_fills(&self) -> bool {
        false
    }
    /// The venue counts each kind of request apart: one refused for its rate says nothing of the
    /// others.
    fn counts_apart(&self) -> bool {
        false
    }
    /// Feeds the dead-man switch.
    fn feed_dead_man(&mut self, _: u64, _now_ms: i64, _out: &mut Vec<u8>) {}
    /// Counts `act` by the venue's own rules, where those are others than windows over all that is
    /// sent; false: it would be too much now, and is not counted.
    fn permits(&mut self, _: &Act<'_>, _now_ms: i64) -> bool {
        true
    }
    /// Logs `way` on, one of [`logons`](Self::logons).
    fn logon(&mut self, way: Way, id: u64, now_ms: i64, out: &mut Vec<u8>);
    /// Requests that the subscription to the account's events takes.
    fn subscriptions(&self) -> usize {
        1
    }
    /// Subscribes to the account's events, by request `part` of as many.
    fn subscribe(&mut self, part: usize, id: u64, now_ms: i64, out: &mut Vec<u8>);
    /// The venue takes orders of this kind. What it does not take never leaves.
    fn takes(&self, kind: OrderKind) -> bool {
        !kind.is_triggered()
    }
    /// Places an order of a kind that the venue [takes](Self::takes).
    fn place(&mut self, order: &Place<'_>, out: &mut Vec<u8>);
    /// What [`place`](Self::place) wrote last was not sent: there is no order of this name.
    fn not_placed(&mut self, _: &ClientId) {}
    /// The venue tells its time when it is asked.
    fn tells_time(&self) -> bool {
        true
    }
    /// How `change` can be asked for. A dialect that says nothing takes no amends: the router
    /// cancels and places.
    fn amend_way(&self, _change: &Change) -> AmendWay {
        AmendWay::None
    }
    /// Asks for `change` of an order; called only where [`amend_way`](Self::amend_way) names a way.
    fn amend(
        &mut self,
        _id: u64,
        _order: &Named<'_>,
        _change: &Change,
        _now_ms: i64,
        _out: &mut Vec<u8>,
    ) {
    }
    /// What an amend costs of the rate budget.
    fn cost_amend(&self, _way: AmendWay) -> Cost {
        self.cost_place()
    }
    /// Cancels an order. Nothing written: it cannot be named to the venue yet.
    fn cancel(&mut self, id: u64, order: &Named<'_>, now_ms: i64, out: &mut Vec<u8>);
    /// Asks for an order's state.
    fn status(&mut self, id: u64, order: &Named<'_>, now_ms: i64, out: &mut Vec<u8>);
    /// Asks for the order that the venue numbers so: whose it is. Nothing written: the venue cannot
    /// be asked, or names the order wherever it tells a fill.
    fn whose(&mut self, _: u64, _: &Instrument, _number: u64, _now_ms: i64, _out: &mut Vec<u8>) {}
    /// What a list of open orders is of, for an account of so many instruments.
    fn lists_open(&self, _instruments: usize) -> OpenLists {
        OpenLists::None
    }
    /// Asks for what is open of an instrument, or of the account.
    fn list_open(&mut self, _: u64, _: Option<&Instrument>, _now_ms: i64, _out: &mut Vec<u8>) {}
    /// What such a list costs.
    fn cost_list(&self, _: OpenLists) -> Cost {
        self.cost_query()
    }
    /// Cancels everything open of an instrument, or as much of it as one message can. Nothing
    /// written: nothing is open.
    fn cancel_all(&mut self, id: u64, instrument: &Instrument, now_ms: i64, out: &mut Vec<u8>);
    /// Asks for the venue's time.
    fn time(&mut self, id: u64, out: &mut Vec<u8>);
    /// Asks for all balances.
    fn balances(&mut self, id: u64, now_ms: i64, out: &mut Vec<u8>);
    /// Asks for the fills of an instrument after trade id `after`.
    fn fills_after(
        &mut self,
        id: u64,
        instrument: &Instrument,
        after: u64,
        now_ms: i64,
        out: &mut Vec<u8>,
    );
    /// Asks for the fills of one order.
    fn fills_of(&mut self, id: u64, order: &Named<'_>, now_ms: i64, out: &mut Vec<u8>);
    /// What a new order costs of the rate budget.
    fn cost_place(&self) -> Cost {
        Cost { orders: 1, weight: 0 }
    }
    /// What a cancel costs.
    fn cost_cancel(&self) -> Cost {
        Cost::default()
    }
    /// What a question costs.
    fn cost_query(&self) -> Cost {
        Cost::default()
    }
    /// What a question for one order costs.
    fn cost_status(&self) -> Cost {
        self.cost_query()
    }
    /// Fills in one answer at most: an answer with as many is asked on. No limit where answers say
    /// themselves that they go on.
    fn fills_limit(&self) -> usize {
        usize::MAX
    }
    /// How long the venue may hold a request before it must refuse it.
    fn window(&self) -> Nanos;
    /// Appends what `text` tells to `facts`.
    ///
    /// # Errors
    /// [`NotUnderstood`] when it is not a message of this venue; nothing is appended then.
    fn decode(&mut self, text: &[u8], facts: &mut Vec<Fact>) -> Result<(), NotUnderstood>;
    /// Appends what an answer over HTTPS tells to `facts`.
    ///
    /// # Errors
    /// As [`decode`](Self::decode); always where the venue is asked nothing that way.
    fn decode_page(&mut self, _: &Page<'_>, _: &mut Vec<Fact>) -> Result<(), NotUnderstood> {
        Err(NotUnderstood)
    }
}
