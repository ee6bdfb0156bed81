//! The limits as the checks read them: resolved over all scopes, the control mode and the equity.
//!
//! [`Caps::resolve`] runs at the start, at a change of limits and at a change of mode, and looks
//! at every pair of strategy and instrument. [`Caps::on_equity`] runs when equity is counted anew
//! and looks at every strategy and every instrument. A check then reads one number.

use bot4_types::instrument::Amount;
use bot4_types::{ControlMode, InstrumentId, InstrumentTable, StrategyId};
use serde::{Deserialize, Serialize};

use crate::equity::EquityPoint;
use crate::money::{base_amount, mul_div};
use crate::scopes::{LimitBook, ScopeLimits, tightest};

/// No limit: above every value that a check compares.
pub const UNBOUNDED: Amount = Amount::MAX;
/// Nothing increases: below every value.
pub const CLOSED: Amount = -1;

/// A limit as a share of equity, an amount, or both; zero: none.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Bound {
    equity_e4: i64,
    value: Amount,
}

impl Bound {
    fn tightest(of: &[(i64, Amount)]) -> Self {
        let mut bound = Self::default();
        for (e4, value) in of {
            bound.equity_e4 = tightest(&[bound.equity_e4, *e4]);
            bound.value = tightest(&[bound.value, *value]);
        }
        bound
    }

    /// The amount with this equity, of which an increase may use `share_e4`.
    fn cap(self, equity: Option<Amount>, share_e4: i64) -> Amount {
        let by_equity = match (self.equity_e4, equity) {
            (0, _) => UNBOUNDED,
            (_, None) => return CLOSED,
            (e4, Some(equity)) => mul_div(equity.max(0), i128::from(e4), 10_000),
        };
        share(by_equity.min(if self.value == 0 { UNBOUNDED } else { self.value }), share_e4)
    }
}

/// `share_e4` of `cap`, rounded down; no limit stays none.
fn share(cap: Amount, share_e4: i64) -> Amount {
    if cap == UNBOUNDED { cap } else { mul_div(cap, i128::from(share_e4), 10_000) }
}

/// What binds one order of a strategy in an instrument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCaps {
    /// Largest value of an order that increases.
    pub increase_value: Amount,
    /// Largest value of an order that only reduces: the mode does not make it smaller.
    pub reduce_value: Amount,
    /// Largest quantity of an order that increases, quantity units.
    pub increase_qty: i64,
    /// Largest quantity of an order that only reduces.
    pub reduce_qty: i64,
    /// Farthest price, 10^-4.
    pub collar_e4: i64,
}

/// What binds the account in one instrument.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct InstrumentCaps {
    bound: Bound,
    /// Largest worst-case position.
    pub position: Amount,
    /// Open orders, the venue's own limit apart.
    pub open_orders: u32,
    /// Maintenance margin, 10^-4 of exposure.
    pub maintenance_e4: i64,
}

/// What binds one strategy, or the account over all strategies.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct GroupCaps {
    bounds: [Bound; 3],
    /// Largest worst-case position in one instrument (a strategy's).
    pub position: Amount,
    /// Largest worst-case gross exposure.
    pub gross: Amount,
    /// Largest worst-case net exposure.
    pub net: Amount,
    /// Open orders.
    pub open_orders: u32,
}

impl GroupCaps {
    fn new(rows: &[&ScopeLimits], open_orders: u32) -> Self {
        let bound = |of: fn(&ScopeLimits) -> (i64, Amount)| {
            rows.iter()
                .map(|r| of(r))
                .fold(Bound::default(), |b, new| Bound::tightest(&[(b.equity_e4, b.value), new]))
        };
        let bounds = [
            bound(|r| (r.position_equity_e4, r.position_value_max)),
            bound(|r| (r.gross_equity_e4, r.gross_value_max)),
            bound(|r| (r.net_equity_e4, r.net_value_max)),
        ];
        Self { bounds, position: CLOSED, gross: CLOSED, net: CLOSED, open_orders }
    }

    fn on_equity(&mut self, equity: Option<Amount>, share_e4: i64) {
        [self.position, self.gross, self.net] = self.bounds.map(|b| b.cap(equity, share_e4));
    }
}

/// The resolved limits. See the module's text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Caps {
    orders: Box<[OrderCaps]>,
    instruments: Box<[InstrumentCaps]>,
    strategies: Box<[GroupCaps]>,
    account: GroupCaps,
    leverage: Bound,
    margin_distance_e4: i64,
    daily_loss: Bound,
    drawdown_e4: i64,
    share_e4: i64,
    /// Largest worst-case gross exposure by leverage.
    pub leverage_value: Amount,
    /// Largest maintenance margin of all exposure, in 10^-4 of the reporting asset's unit.
    pub margin_e4: Amount,
    /// The day's loss is at its limit.
    pub daily_loss_is_over: bool,
    /// The fall from the highest equity is at its limit.
    pub drawdown_is_over: bool,
}

impl Caps {
    /// Resolves `book` for `mode`; nothing may increase before [`Self::on_equity`]. Allocates
    /// once.
    #[must_use]
    pub fn new(book: &LimitBook, table: &InstrumentTable, mode: ControlMode) -> Self {
        let (strategies, instruments) = (book.strategies.len(), book.instruments.len());
        let mut caps = Self {
            orders: vec![OrderCaps::default(); strategies * instruments].into_boxed_slice(),
            instruments: vec![InstrumentCaps::default(); instruments].into_boxed_slice(),
            strategies: vec![GroupCaps::default(); strategies].into_boxed_slice(),
            account: GroupCaps::default(),
            leverage: Bound::default(),
            margin_distance_e4: 0,
            daily_loss: Bound::default(),
            drawdown_e4: 0,
            share_e4: 0,
            leverage_value: CLOSED,
            margin_e4: CLOSED,
            daily_loss_is_over: false,
            drawdown_is_over: false,
        };
        caps.resolve(book, table, mode, &EquityPoint::default());
        caps
    }

    /// Resolves all scopes anew.
    pub fn resolve(
        &mut self,
        book: &LimitBook,
        table: &InstrumentTable,
        mode: ControlMode,
        point: &EquityPoint,
    ) {
        let (account, venue) = (&book.account, &book.venue);
        self.share_e4 = account.share_e4(mode);
        self.leverage = Bound { equity_e4: account.leverage_e4, value: 0 };
        self.margin_distance_e4 = account.margin_distance_e4;
        self.daily_loss =
            Bound { equity_e4: account.daily_loss_e4, value: account.daily_loss_value_max };
        self.drawdown_e4 = account.drawdown_e4;
        let own = ScopeLimits {
            gross_equity_e4: account.gross_equity_e4,
            gross_value_max: account.gross_value_max,
            net_equity_e4: account.net_equity_e4,
            net_value_max: account.net_value_max,
            ..ScopeLimits::default()
        };
        let open = tightest(&[account.open_orders_max, venue.open_orders_max]);
        self.account = GroupCaps::new(&[&own, venue], open);
        for (caps, row) in self.strategies.iter_mut().zip(&book.strategies) {
            *caps = GroupCaps::new(&[row], tightest(&[open, row.open_orders_max]));
        }
        for (caps, row) in self.instruments.iter_mut().zip(&book.instruments) {
            let rows = [
                (account.position_equity_e4, account.position_value_max),
                (venue.position_equity_e4, venue.position_value_max),
                (row.position_equity_e4, row.position_value_max),
            ];
            let most = [account.open_orders_instrument_max, row.open_orders_max];
            let maintenance_e4 = match row.maintenance_e4 {
                0 => account.maintenance_e4,
                own => own,
            };
            let bound = Bound::tightest(&rows);
            let open_orders = tightest(&most);
            *caps = InstrumentCaps { bound, position: CLOSED, open_orders, maintenance_e4 };
        }
        self.resolve_orders(book, table);
        self.on_equity(point);
    }

    fn resolve_orders(&mut self, book: &LimitBook, table: &InstrumentTable) {
        let (account, venue) = (&book.account, &book.venue);
        let instruments = book.instruments.len();
        for (s, strategy) in book.strategies.iter().enumerate() {
            for (i, (row, instrument)) in book.instruments.iter().zip(table.all()).enumerate() {
                let reduce_value = tightest(&[
                    account.order_value_max,
                    venue.order_value_max,
                    strategy.order_value_max,
                    row.order_value_max,
                ]);
                let base = tightest(&[
                    account.order_base_max,
                    venue.order_base_max,
                    strategy.order_base_max,
                    row.order_base_max,
                ]);
                let most = if base == 0 { UNBOUNDED } else { base / base_amount(instrument, 1) };
                let qty = |most| i64::try_from(most).unwrap_or(i64::MAX);
                self.orders[s * instruments + i] = OrderCaps {
                    increase_value: share(reduce_value, self.share_e4),
                    reduce_value,
                    increase_qty: qty(share(most, self.share_e4)),
                    reduce_qty: qty(most),
                    collar_e4: tightest(&[
                        account.collar_e4,
                        venue.collar_e4,
                        strategy.collar_e4,
                        row.collar_e4,
                    ]),
                };
            }
        }
    }

    /// Works the amounts out again for another equity.
    pub fn on_equity(&mut self, point: &EquityPoint) {
        let (equity, share_e4) = (point.equity, self.share_e4);
        for caps in &mut self.instruments {
            caps.position = caps.bound.cap(equity, share_e4);
        }
        for caps in &mut self.strategies {
            caps.on_equity(equity, share_e4);
        }
        self.account.on_equity(equity, share_e4);
        self.leverage_value = self.leverage.cap(equity, share_e4);
        let distance_e4 = i128::from(self.margin_distance_e4);
        self.margin_e4 = equity.map_or(CLOSED, |e| {
            mul_div(mul_div(e.max(0), 100_000_000, distance_e4), i128::from(share_e4), 10_000)
        });
        let loss_max = self.daily_loss_max(point);
        self.daily_loss_is_over = equity.is_some() && point.daily_loss >= loss_max.max(1);
        self.drawdown_is_over = point.drawdown_e4 >= self.drawdown_e4;
    }

    /// The day's loss at which nothing increases any more.
    #[must_use]
    pub fn daily_loss_max(&self, point: &EquityPoint) -> Amount {
        self.daily_loss.cap(Some(point.day_open), self.share_e4)
    }

    /// The fall from the highest equity at which nothing increases any more, 10^-4.
    #[must_use]
    pub const fn drawdown_max_e4(&self) -> i64 {
        self.drawdown_e4
    }

    /// What binds one order.
    #[must_use]
    pub fn order(&self, strategy: StrategyId, instrument: InstrumentId) -> Option<&OrderCaps> {
        let (at, all) = (instrument.index(), self.instruments.len());
        if at >= all {
            return None;
        }
        self.orders.get(usize::from(strategy.0) * all + at)
    }

    /// What binds the account in `instrument`.
    #[must_use]
    pub fn instrument(&self, instrument: InstrumentId) -> Option<&InstrumentCaps> {
        self.instruments.get(instrument.index())
    }

    /// What binds `strategy`.
    #[must_use]
    pub fn strategy(&self, strategy: StrategyId) -> Option<&GroupCaps> {
        self.strategies.get(usize::from(strategy.0))
    }

    /// What binds the account over all strategies and instruments.
    #[must_use]
    pub const fn account(&self) -> &GroupCaps {
        &self.account
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{RiskLimits, units};
    use crate::scopes::Scopes;
    use bot4_types::{Instrument, Symbol};

    fn table() -> InstrumentTable {
        let mut table = InstrumentTable::new();
        let symbol = |s| Symbol::new(s).expect("short");
        for asset in ["A", "USDT"] {
            table.asset(symbol(asset)).expect("room");
        }
        for name in ["AUSDT", "BUSDT"] {
            table.push(Instrument::bare(InstrumentId(0), symbol(name), 8)).expect("room");
        }
        table
    }

    fn resolved(scopes: &Scopes, mode: ControlMode, equity: Option<Amount>) -> Caps {
        let book = LimitBook::new(&RiskLimits::default(), scopes, 2, 2);
        let mut caps = Caps::new(&book, &table(), mode);
        let day_open = equity.unwrap_or(0);
        caps.on_equity(&EquityPoint { equity, peak: day_open, day_open, ..EquityPoint::default() });
        caps
    }

    #[test]
    fn the_tighter_of_all_scopes_wins() {
        let row = |order_value_max, position_value_max| ScopeLimits {
            order_value_max,
            position_value_max,
            ..ScopeLimits::default()
        };
        let scopes = Scopes {
            venue: row(units(900), units(1_800)),
            strategies: vec![row(units(500), 0), row(0, units(100))],
            instruments: vec![row(units(700), 0), row(0, units(300))],
        };
        let caps = resolved(&scopes, ControlMode::FullAuto, Some(units(100_000)));
        let value = |s, i| caps.order(StrategyId(s), InstrumentId(i)).expect("a row").reduce_value;
        assert_eq!([value(0, 0), value(0, 1)], [units(500), units(500)]);
        assert_eq!([value(1, 0), value(1, 1)], [units(700), units(900)]);
        let position = |i| caps.instrument(InstrumentId(i)).expect("a row").position;
        // Two per cent of equity are 2,000.
        assert_eq!([position(0), position(1)], [units(1_800), units(300)]);
        assert_eq!(caps.strategy(StrategyId(0)).expect("a row").position, UNBOUNDED);
        assert_eq!(caps.strategy(StrategyId(1)).expect("a row").position, units(100));
        assert!(caps.order(StrategyId(2), InstrumentId(0)).is_none());
        assert!(caps.order(StrategyId(0), InstrumentId(2)).is_none());
    }

    #[test]
    fn a_mode_takes_its_share_of_what_increases() {
        let at = |mode| resolved(&Scopes::default(), mode, Some(units(100_000)));
        for (mode, percent) in [
            (ControlMode::FullAuto, 100),
            (ControlMode::SemiAuto, 75),
            (ControlMode::Manual, 50),
            (ControlMode::Emergency, 0),
        ] {
            let caps = at(mode);
            assert_eq!(caps.instruments[0].position, units(20 * percent));
            assert_eq!(caps.leverage_value, units(1_000 * percent));
            assert_eq!(caps.orders[0].increase_value, units(1_000 * percent));
            assert_eq!(caps.orders[0].reduce_value, units(100_000));
        }
    }

    #[test]
    fn without_equity_nothing_increases() {
        let caps = resolved(&Scopes::default(), ControlMode::FullAuto, None);
        assert_eq!(caps.instruments[0].position, CLOSED);
        assert_eq!((caps.account.gross, caps.leverage_value), (CLOSED, CLOSED));
    }

    #[test]
    fn losses_are_compared_once() {
        let mut caps = resolved(&Scopes::default(), ControlMode::FullAuto, Some(units(100)));
        let mut at = |daily_loss, drawdown_e4| {
            let equity = Some(units(90));
            let point = EquityPoint {
                equity,
                daily_loss,
                drawdown_e4,
                day_open: units(100),
                ..EquityPoint::default()
            };
            caps.on_equity(&point);
            (caps.daily_loss_is_over, caps.drawdown_is_over)
        };
        assert_eq!(at(units(2) - 1, 1_499), (false, false));
        assert_eq!(at(units(2), 1_499), (true, false));
        assert_eq!(at(0, 1_500), (false, true));
    }
}
