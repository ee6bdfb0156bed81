//! The newest state of every instrument, and a strategy's window on it.

use bot4_portfolio::{Caps, Stake};
use bot4_types::{
    BookState, Headroom, Instrument, InstrumentId, InstrumentRules, InstrumentTable, Level, Nanos,
    Qty, Side, Top, Trail,
};

use crate::features::{FeatureRow, Features};
use crate::rules::PRICE_MAX;
use crate::slot::Open;

/// Largest quantity that a worth is turned into; leaves room for sums and doublings.
const QTY_MAX: i64 = i64::MAX / 8;

/// Instruments, their newest tops and their features.
#[derive(Debug)]
pub struct Market {
    table: InstrumentTable,
    rows: Vec<Row>,
    pub(crate) features: Features,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    top: Top,
    /// What risk leaves for sizing, once it told.
    headroom: Option<Headroom>,
    /// Live, two-sided and uncrossed: may be shown.
    usable: bool,
}

/// What a top means for those who look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// May be shown to strategies.
    Usable,
    /// Live, but one-sided or crossed by a quote newer than the book: wait for the next.
    Unusable,
    /// Not live.
    Dead,
}

impl Market {
    /// A market without tops. Allocates; nothing later does.
    pub(crate) fn new(table: InstrumentTable, features: Features) -> Self {
        let empty = |id| Row { top: nothing(id), headroom: None, usable: false };
        let rows = table.all().iter().map(|i| empty(i.id)).collect();
        Self { table, rows, features }
    }

    /// All instruments.
    #[must_use]
    pub const fn table(&self) -> &InstrumentTable {
        &self.table
    }

    /// An instrument has other rules.
    pub(crate) fn bind(&mut self, rules: &InstrumentRules) {
        self.table.bind(rules);
    }

    /// Takes `top`; `None` when its instrument is not in the table.
    pub(crate) fn apply(&mut self, top: &Top) -> Option<Seen> {
        let row = self.rows.get_mut(top.instrument.index())?;
        row.top = *top;
        row.usable = false;
        if top.state != BookState::Live {
            return Some(Seen::Dead);
        }
        let (bid, ask) = (top.quote_bid, top.quote_ask);
        let priced = 0 < bid.price && bid.price < ask.price && ask.price <= PRICE_MAX;
        let whole = priced && bid.qty > 0 && ask.qty > 0;
        row.usable = whole;
        if !whole {
            return Some(Seen::Unusable);
        }
        self.features.feed(top.instrument.index(), bid, ask);
        Some(Seen::Usable)
    }

    /// The newest top of `instrument` if it may be traded on.
    #[must_use]
    pub fn top(&self, instrument: InstrumentId) -> Option<&Top> {
        self.rows.get(instrument.index()).filter(|r| r.usable).map(|r| &r.top)
    }

    /// Takes what risk leaves for sizing.
    pub(crate) fn leave(&mut self, headroom: &Headroom) {
        if let Some(row) = self.rows.get_mut(headroom.instrument.index()) {
            row.headroom = Some(*headroom);
        }
    }

    /// What risk leaves for sizing in `instrument`, as it told last, at most 100 ms ago while its
    /// link has room; `None` before the first time.
    #[must_use]
    pub fn headroom(&self, instrument: InstrumentId) -> Option<&Headroom> {
        self.rows.get(instrument.index())?.headroom.as_ref()
    }

    /// The features of `instrument` as of its last usable top; all zero where there is none.
    #[must_use]
    pub fn features(&self, instrument: InstrumentId) -> FeatureRow {
        self.features.row(instrument.index())
    }
}

fn nothing(instrument: InstrumentId) -> Top {
    Top {
        trail: Trail::default(),
        id: 0,
        venue_ms: 0,
        bids: Default::default(),
        asks: Default::default(),
        quote_bid: Level::default(),
        quote_ask: Level::default(),
        quote_id: 0,
        instrument,
        state: BookState::Waiting,
        reason: Default::default(),
    }
}

/// What a strategy sees of one instrument: always a live, two-sided, uncrossed top.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    now: Nanos,
    market: &'a Market,
    instrument: &'a Instrument,
    top: &'a Top,
    position: Qty,
    quotes: [Option<Open>; 2],
    taking: bool,
}

impl<'a> View<'a> {
    /// The view of `instrument`, if its top may be traded on.
    pub(crate) fn new(
        market: &'a Market,
        instrument: InstrumentId,
        now: Nanos,
        position: Qty,
        quotes: [Option<Open>; 2],
        taking: bool,
    ) -> Option<Self> {
        let top = market.top(instrument)?;
        let instrument = market.table.get(instrument)?;
        Some(Self { now, market, instrument, top, position, quotes, taking })
    }

    /// The time of this turn.
    #[must_use]
    pub const fn now(&self) -> Nanos {
        self.now
    }

    /// The instrument and its rules.
    #[must_use]
    pub const fn instrument(&self) -> &'a Instrument {
        self.instrument
    }

    /// The whole top.
    #[must_use]
    pub const fn top(&self) -> &'a Top {
        self.top
    }

    /// Best bid, by the newest of book and best-quote stream.
    #[must_use]
    pub const fn bid(&self) -> Level {
        self.top.quote_bid
    }

    /// Best ask, by the newest of book and best-quote stream.
    #[must_use]
    pub const fn ask(&self) -> Level {
        self.top.quote_ask
    }

    /// The features, up to date with the top except within
    /// [`Strategy::on_trade`](crate::Strategy::on_trade), where they are those of the last turn.
    #[must_use]
    pub fn features(&self) -> FeatureRow {
        self.market.features(self.instrument.id)
    }

    /// This strategy's net position in the instrument.
    #[must_use]
    pub const fn position(&self) -> Qty {
        self.position
    }

    /// This strategy's order on `side` that rests or is on its way.
    #[must_use]
    pub const fn quote(&self, side: Side) -> Option<Open> {
        self.quotes[side.index()]
    }

    /// A take of this strategy is on its way.
    #[must_use]
    pub const fn is_taking(&self) -> bool {
        self.taking
    }

    /// All instruments, for strategies that look at several. Tops are `None` unless live.
    #[must_use]
    pub const fn market(&self) -> &'a Market {
        self.market
    }

    /// The quantity that is worth `value` whole units of the quote asset (for example USDT) at
    /// the middle of the touch, on lot; zero when that is less than a lot.
    #[must_use]
    pub fn qty_worth(&self, value: f64) -> Qty {
        let i = self.instrument;
        let middle = 0.5 * (self.bid().price as f64 + self.ask().price as f64);
        let scale = 10f64.powi(i32::from(i.price_decimals) + i32::from(i.qty_decimals));
        Qty(((value * scale / middle) as i64).min(QTY_MAX)).to_lot(i.lot)
    }

    /// What risk leaves for sizing in this instrument; `None` before it told.
    #[must_use]
    pub fn headroom(&self) -> Option<&'a Headroom> {
        self.market.headroom(self.instrument.id)
    }

    /// The quantity to **hold** on `side`, whole lots, by a quarter of Kelly's fraction under every
    /// cap of [`bot4_portfolio::sizing`]; zero without an edge and before risk told its headroom.
    ///
    /// `edge` is the expected return over the strategy's own horizon as a share of the price, fees
    /// deducted, `variance` that of the return over the same horizon ([`Self::variance_over`] when
    /// the strategy knows none). What the strategy holds on `side` already counts as room: it asks
    /// for a position, not for a trade. `minimum` is the least worth of it in the reporting asset.
    #[must_use]
    pub fn kelly_qty(&self, side: Side, edge: f64, variance: f64, minimum: f64) -> Qty {
        let Some(room) = self.headroom() else { return Qty(0) };
        let held = (side.sign() * self.position.0).max(0) as f64 * room.unit_value;
        let unit_shortfall = room.unit_shortfall[side.index()];
        let caps = Caps {
            equity: room.equity,
            position: room.position[side.index()] + held,
            shortfall: room.shortfall + held * unit_shortfall,
            unit_shortfall,
            correlation: room.correlation_of(side),
            correlation_max: room.correlation_max,
            drawdown_scale: room.drawdown_scale,
            minimum,
        };
        Stake { edge, variance }.qty(&caps, room.unit_value, self.instrument.lot)
    }

    /// Variance of the return over `horizon` by risk's one-second volatility and the square root of
    /// time; not a number, which sizes nothing, before risk told.
    #[must_use]
    pub fn variance_over(&self, horizon: Nanos) -> f64 {
        let sigma = self.headroom().map_or(f64::NAN, |room| room.sigma);
        sigma * sigma * (horizon.0 as f64 / 1e9)
    }
}
