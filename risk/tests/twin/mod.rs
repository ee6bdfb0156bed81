//! The gate written down plainly: it keeps everything that ever happened and works every decision
//! out from the whole list. No tables, no sums, nothing remembered but the inputs.

mod amends;
mod breakers;
pub mod draw;
mod instruments;
mod judge;
mod orders;
mod statistics;

use bot4_lanes::Phase;
use bot4_risk::breaker::BreakerLimits;
use bot4_risk::money::AMOUNT_SANE;
use bot4_risk::{LimitBook, Upkeep};
use bot4_types::instrument::Amount;
use bot4_types::{
    AssetId, BookState, ControlMode, InstrumentTable, Mark, Nanos, OrderAction, OrderId,
    OrderIntent, OrderKind, OrderReport, Price, Qty, RefuseReason, ReportKind, RiskCommand,
    notional,
};

pub use breakers::NaiveBreakers;
pub use orders::Known;
pub use statistics::Lean;

use instruments::Closing;
use orders::{Rate, Step};
use statistics::NaiveStatistics;

/// The reporting asset of the tests' table.
pub const USDT: AssetId = AssetId(2);

/// What is worst, in quantity, by instrument and side: of the account or of one strategy.
pub type Worst = Vec<[i128; 2]>;

/// Gross, net by side, and margin in 10^-4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub gross: Amount,
    pub net: [Amount; 2],
    pub margin_e4: Amount,
}

/// The gate. See the module's text.
pub struct NaiveGate {
    pub table: InstrumentTable,
    pub book: LimitBook,
    pub mode: ControlMode,
    pub phase: Phase,
    pub now: Nanos,
    pub session: bool,
    pub marks: Vec<Mark>,
    pub orders: Vec<Known>,
    pub breakers: NaiveBreakers,
    pub statistics: NaiveStatistics,
    closings: Vec<Closing>,
    /// Fills in the order in which they were booked, with their strategy.
    booked: Vec<(u8, OrderReport)>,
    pub equity: Option<Amount>,
    pub equity_at: Nanos,
    pub peak: Amount,
    pub day_open: Amount,
    /// Trading is stopped until a person ends it; the second: by a fall from the peak.
    pub latched: bool,
    fell: bool,
    phase_seen: Phase,
    balances: Vec<(AssetId, Amount)>,
    order_last: OrderId,
    by_strategy: Vec<Rate>,
    by_instrument: Vec<Rate>,
    total: Rate,
    cancels: Rate,
    weight: Rate,
}

type Verdict = Result<(), RefuseReason>;

fn ensure(holds: bool, reason: RefuseReason) -> Verdict {
    if holds { Ok(()) } else { Err(reason) }
}

/// It trades at any price, now or when it is triggered.
fn market(kind: OrderKind) -> bool {
    matches!(kind, OrderKind::Market | OrderKind::StopLoss | OrderKind::TakeProfit)
}

/// The smallest that is not zero, else `none`.
fn least<T: Copy + Ord + Default>(limits: &[T], none: T) -> T {
    limits.iter().copied().filter(|l| *l != T::default()).min().unwrap_or(none)
}

/// The microprice; of a spread above one per cent, whichever of bid, ask and last trade lies
/// between the other two.
fn worth(mark: &Mark) -> i64 {
    let mut three = [mark.bid, mark.ask, mark.last_trade];
    three.sort_unstable();
    let wide = mark.bid > 0 && mark.ask - mark.bid > mark.bid / 100;
    if wide { three[1] } else { mark.micro }
}

impl NaiveGate {
    pub fn new(
        table: &InstrumentTable,
        book: &LimitBook,
        breakers: &BreakerLimits,
        balances: &[(AssetId, Amount)],
    ) -> Self {
        let (strategies, instruments) = (book.strategies.len(), table.all().len());
        let mut gate = Self {
            table: table.clone(),
            book: book.clone(),
            mode: ControlMode::FullAuto,
            phase: Phase::Run,
            now: Nanos::ZERO,
            session: false,
            marks: vec![Mark::default(); instruments],
            orders: Vec::new(),
            breakers: NaiveBreakers::new(breakers, strategies, instruments),
            statistics: NaiveStatistics::new(instruments, &book.account.statistics),
            closings: vec![Closing::default(); instruments],
            booked: Vec::new(),
            equity: None,
            equity_at: Nanos::ZERO,
            peak: 0,
            day_open: 0,
            latched: false,
            fell: false,
            phase_seen: Phase::Run,
            balances: balances.to_vec(),
            order_last: OrderId(0),
            by_strategy: vec![Rate::default(); strategies],
            by_instrument: vec![Rate::default(); instruments],
            total: Rate::default(),
            cancels: Rate::default(),
            weight: Rate::default(),
        };
        gate.set_rates();
        gate
    }

    pub fn set_book(&mut self, book: &LimitBook) {
        self.book = book.clone();
        if let Some(breakers) = &book.breakers {
            self.breakers.reconfigure(breakers, self.now);
        }
        self.set_rates();
    }

    fn set_rates(&mut self) {
        let (a, now) = (&self.book.account, self.now);
        let rule = |rate: &mut Rate, per_s, burst, own| {
            let step = Step::Rule(least(&[per_s, own], 0), least(&[burst, own], 0));
            rate.0.push((now, step));
        };
        for (rate, row) in self.by_strategy.iter_mut().zip(&self.book.strategies) {
            rule(rate, a.strategy_orders_per_s, a.strategy_orders_burst, row.orders_per_s);
        }
        for (rate, row) in self.by_instrument.iter_mut().zip(&self.book.instruments) {
            rule(rate, 1_000_000, 1_000_000, row.orders_per_s);
        }
        rule(&mut self.total, a.orders_per_s, a.orders_burst, self.book.venue.orders_per_s);
        rule(&mut self.cancels, a.cancels_per_s, a.cancels_burst, 0);
        rule(&mut self.weight, a.weight_per_s, a.weight_burst, 0);
    }

    /// What was approved, for orders and rates; and the number that was used up either way.
    pub fn commit(&mut self, intent: &OrderIntent, approved: bool) {
        let place = intent.action == OrderAction::Place;
        if place {
            self.order_last = self.order_last.max(intent.order);
        }
        let trims = self.trims(intent);
        if approved && intent.action == OrderAction::Amend {
            self.amend(intent);
            self.follow(intent.instrument.index());
        }
        let take = |rate: &mut Rate, n, now| rate.0.push((now, Step::Take(n)));
        let (now, a) = (self.now, self.book.account);
        match (approved, intent.action != OrderAction::Cancel && !trims) {
            (false, _) => {}
            (true, true) => {
                if place {
                    self.orders.push(Known::new(intent));
                    self.breakers.approve(intent, now);
                    self.follow(intent.instrument.index());
                }
                take(&mut self.by_strategy[usize::from(intent.strategy.0)], 1, now);
                take(&mut self.by_instrument[intent.instrument.index()], 1, now);
                take(&mut self.total, 1, now);
                take(&mut self.weight, a.weight_place, now);
            }
            (true, false) => {
                take(&mut self.cancels, 1, now);
                take(&mut self.weight, a.weight_cancel, now);
            }
        }
    }

    pub fn on_mark(&mut self, mark: &Mark) {
        let i = mark.instrument.index();
        self.marks[i] = *mark;
        let quote = self.table.all()[i].quote;
        let rate = if quote == USDT { 1.0 } else { self.price(usize::from(quote.0)) as f64 / 1e8 };
        self.statistics.on_mark(i, self.price(i) as f64 / 1e16 * rate);
    }

    pub fn on_report(&mut self, report: &OrderReport) {
        let at = self.orders.iter().position(|o| o.intent.order == report.order);
        let at = at.expect("an approved one");
        let (news, intent) = (self.orders[at].is_news(report), self.orders[at].intent);
        let before = self.realized(&intent);
        let is_fill = news && report.kind == ReportKind::Fill;
        if is_fill {
            self.booked.push((intent.strategy.0, *report));
        }
        self.orders[at].hear(report);
        let i = intent.instrument.index();
        self.follow(i);
        if news {
            let quote = self.table.all()[i].quote;
            let realized = self.in_usdt(quote, self.realized(&intent) - before);
            let fee = if is_fill { self.in_usdt(report.fee_asset, report.fee) } else { 0 };
            self.breakers.on_report(report, &intent, [realized, fee], self.now);
        }
        self.closings[i].settle(&mut self.table, &self.orders);
        self.breakers.heard(self.is_settled(), self.now);
    }

    pub fn on_session(&mut self, ready: bool) {
        self.session = ready;
        self.breakers.session(ready, self.now);
        self.breakers.heard(self.is_settled(), self.now);
    }

    /// No order is of unknown fate.
    fn is_settled(&self) -> bool {
        !self.orders.iter().any(|o| o.standing().unknown)
    }

    /// What the strategy of `intent` has realised in its instrument, at average cost.
    fn realized(&self, intent: &OrderIntent) -> Amount {
        let (mut held, mut cost, mut realized) = (0i128, 0i128, 0i128);
        let own = |(strategy, fill): &&(u8, OrderReport)| {
            (*strategy, fill.instrument) == (intent.strategy.0, intent.instrument)
        };
        for (_, fill) in self.booked.iter().filter(own) {
            let sign = i128::from(fill.side.sign());
            let closed = if held.signum() == -sign {
                held.abs().min(i128::from(fill.last_qty.0))
            } else {
                0
            };
            if closed > 0 {
                let part = if closed == held.abs() { cost } else { cost * closed / held.abs() };
                realized -= sign * i128::from(fill.last_price.0) * closed + part;
                cost -= part;
            }
            let opened = Qty(fill.last_qty.0 - closed as i64);
            cost += sign * notional(Price(fill.last_price.0), opened);
            held += sign * i128::from(fill.last_qty.0);
        }
        realized
    }

    /// What is held of instrument `i`, and what may still be bought and sold of it.
    fn holding(&self, i: usize) -> (i128, [i128; 2]) {
        let (mut held, mut leaves) = (0, [0; 2]);
        for order in self.orders.iter().filter(|o| o.intent.instrument.index() == i) {
            let side = order.intent.side;
            held += i128::from(side.sign()) * order.standing().filled;
            leaves[side.index()] += order.standing().leaves;
        }
        (held, leaves)
    }

    fn follow(&mut self, i: usize) {
        let (held, leaves) = self.holding(i);
        self.statistics.follow(i, held, leaves);
    }

    pub fn on_upkeep(&mut self, upkeep: Upkeep) {
        let live = |mark: &Mark| {
            if mark.state == BookState::Live { worth(mark) as f64 } else { f64::NAN }
        };
        let prices: Vec<f64> = self.marks.iter().map(live).collect();
        let held: Vec<_> = (0..prices.len()).map(|i| self.holding(i)).collect();
        self.statistics.maintain(upkeep, self.now, &prices, &held);
    }

    pub fn on_command(&mut self, command: &RiskCommand) {
        if let RiskCommand::BreakerReset { scope } = command {
            self.breakers.reset(*scope, self.now);
        }
        let Some(instrument) = command.instrument() else { return };
        let closing = &mut self.closings[instrument.index()];
        closing.obey(command);
        if matches!(command, RiskCommand::Rules { .. }) {
            closing.settle(&mut self.table, &self.orders);
        }
    }

    /// Equity as the account's balances at the marks, when it is due.
    pub fn count_equity(&mut self) {
        let age = self.now.since(self.equity_at).0;
        if self.equity.is_some() && age < self.book.account.equity_age_ns_max {
            return;
        }
        let worth = |asset: u8| self.in_usdt(AssetId(asset), self.balance(AssetId(asset)));
        let equity = worth(0) + worth(1) + worth(2);
        if self.equity.is_none() {
            self.day_open = equity;
        }
        (self.equity, self.equity_at) = (Some(equity), self.now);
        self.peak = self.peak.max(equity);
        if self.judge_fall().is_err() {
            (self.latched, self.fell) = (true, true);
        }
    }

    /// The phase as the core sees it at an intent: when a person ends a stop, what latched is
    /// accepted. True when one has.
    pub fn see_phase(&mut self) -> bool {
        let stopped = matches!(self.phase_seen, Phase::Kill | Phase::Flatten);
        let ended = stopped && self.phase == Phase::Run;
        if ended {
            if let (true, Some(equity)) = (self.fell, self.equity) {
                self.peak = equity;
            }
            (self.latched, self.fell) = (false, false);
        }
        self.phase_seen = self.phase;
        ended
    }

    fn price(&self, instrument: usize) -> i128 {
        i128::from(worth(&self.marks[instrument]))
    }

    /// Assets 0 and 1 are the bases of instruments 0 and 1. Rounded down.
    fn in_usdt(&self, asset: AssetId, amount: Amount) -> Amount {
        if asset == USDT {
            return amount;
        }
        (amount * self.price(usize::from(asset.0))).div_euclid(100_000_000)
    }

    pub fn balance(&self, asset: AssetId) -> Amount {
        let mut sum: Amount =
            self.balances.iter().filter(|(a, _)| *a == asset).map(|(_, amount)| amount).sum();
        for order in &self.orders {
            let instrument = &self.table.all()[order.intent.instrument.index()];
            let sign = i128::from(order.intent.side.sign());
            for fill in order.fills() {
                let (qty, price) = (i128::from(fill.last_qty.0), i128::from(fill.last_price.0));
                if instrument.base == asset {
                    sum += sign * qty * 100_000_000;
                }
                if instrument.quote == asset {
                    sum -= sign * qty * price;
                }
                if fill.fee_asset == asset {
                    sum -= fill.fee;
                }
            }
        }
        sum
    }

    /// The worst case in quantity: of `strategy`, or of all.
    pub fn worst(&self, strategy: Option<u8>) -> Worst {
        let mut worst = vec![[0; 2]; self.table.all().len()];
        for order in &self.orders {
            if strategy.is_some_and(|s| s != order.intent.strategy.0) {
                continue;
            }
            let (at, side) = (order.intent.instrument.index(), order.intent.side);
            let standing = order.standing();
            worst[at][side.index()] += standing.filled + standing.leaves;
            worst[at][side.opposite().index()] -= standing.filled;
        }
        worst
    }

    /// `qty` of `instrument` at `price` in the reporting asset; mad ones count as none.
    fn value(&self, instrument: usize, qty: i128, price: i128) -> Option<Amount> {
        let value = i128::from(i64::try_from(qty).ok()?).checked_mul(price)?;
        let value = (value.abs() <= AMOUNT_SANE).then_some(value)?;
        Some(self.in_usdt(self.table.all()[instrument].quote, value))
            .filter(|v| v.abs() <= AMOUNT_SANE)
    }

    pub fn sums(&self, worst: &Worst) -> Sums {
        let mut sums = Sums::default();
        for (i, sides) in worst.iter().enumerate() {
            let value = sides.map(|qty| self.value(i, qty, self.price(i)).unwrap_or(AMOUNT_SANE));
            let gross = value[0].max(value[1]).max(0);
            sums.gross += gross;
            sums.net[0] += value[0];
            sums.net[1] += value[1];
            sums.margin_e4 += gross * self.maintenance(i);
        }
        sums
    }

    fn maintenance(&self, instrument: usize) -> i128 {
        let own = self.book.instruments[instrument].maintenance_e4;
        i128::from(if own == 0 { self.book.account.maintenance_e4 } else { own })
    }

    /// A limit in the mode at hand: a share of equity, an amount, or none.
    pub fn cap(&self, shares_e4: &[i64], amounts: &[Amount]) -> Amount {
        let share_e4 = least(shares_e4, 0);
        let by_equity = match (share_e4, self.equity) {
            (0, _) => Amount::MAX,
            (_, None) => return -1,
            (e4, Some(equity)) => equity.max(0) * i128::from(e4) / 10_000,
        };
        self.in_mode(by_equity.min(least(amounts, Amount::MAX)))
    }

    fn in_mode(&self, cap: Amount) -> Amount {
        let share = i128::from(self.book.account.share_e4(self.mode));
        if cap == Amount::MAX { cap } else { cap * share / 10_000 }
    }
}
