//! The gate written down plainly: it keeps everything that ever happened and works every decision
//! out from the whole list. No tables, no sums, nothing remembered but the inputs.

use std::collections::BTreeMap;

use bot4_lanes::Phase;
use bot4_risk::money::AMOUNT_SANE;
use bot4_risk::{LimitBook, ScopeLimits};
use bot4_types::instrument::Amount;
use bot4_types::{
    AssetId, BookState, Cause, ControlMode, Instrument, InstrumentTable, Mark, Nanos, OrderAction,
    OrderId, OrderIntent, OrderKind, OrderReport, OrderState, RefuseReason, ReportKind, Side,
};

/// The reporting asset of the tests' table.
pub const USDT: AssetId = AssetId(2);

/// An approved order and everything told of it.
pub struct Known {
    pub intent: OrderIntent,
    pub reports: Vec<OrderReport>,
}

/// What follows from an order's reports.
pub struct Standing {
    pub filled: i128,
    pub leaves: i128,
    pub ended: bool,
    pub unknown: bool,
}

impl Known {
    fn fills(&self) -> BTreeMap<u64, &OrderReport> {
        let fills = self.reports.iter().filter(|r| r.kind == ReportKind::Fill);
        fills.map(|r| (r.trade_id, r)).collect()
    }

    pub fn standing(&self) -> Standing {
        let filled = self.fills().values().map(|r| i128::from(r.last_qty.0)).sum();
        let newest = self.reports.iter().max_by_key(|r| r.seq);
        let ended = self.reports.iter().any(|r| r.state.is_terminal());
        let cum = self.reports.iter().map(|r| i128::from(r.cum_qty.0)).max().unwrap_or(0);
        let target = if ended { cum } else { cum.max(i128::from(self.intent.qty.0)) };
        let unknown = !ended && newest.is_some_and(|r| r.state == OrderState::Unknown);
        Standing { filled, leaves: target - filled, ended, unknown }
    }
}

/// A rate: everything that was taken and changed, in order.
#[derive(Clone, Default)]
pub struct Rate(Vec<(Nanos, Step)>);

#[derive(Clone)]
enum Step {
    Take(u32),
    Rule(u32, u32),
}

impl Rate {
    fn holds(&self, tokens: u32, now: Nanos) -> bool {
        let (mut level, mut at, mut per_s, mut full) = (i128::MAX / 2, Nanos::ZERO, 0i128, 0i128);
        let gain = |level: i128, from: Nanos, to: Nanos, per_s: i128, full: i128| {
            full.min(level + i128::from(to.since(from).0) * per_s)
        };
        for (i, (when, step)) in self.0.iter().enumerate() {
            if i > 0 {
                level = gain(level, at, *when, per_s, full);
            }
            at = *when;
            match *step {
                Step::Take(n) => level = (level - i128::from(n) * 1_000_000_000).max(0),
                Step::Rule(rate, burst) => {
                    (per_s, full) = (i128::from(rate), i128::from(burst) * 1_000_000_000);
                    level = level.min(full);
                }
            }
        }
        gain(level, at, now, per_s, full) >= i128::from(tokens) * 1_000_000_000
    }
}

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

/// The smallest that is not zero, else `none`.
fn least<T: Copy + Ord + Default>(limits: &[T], none: T) -> T {
    limits.iter().copied().filter(|l| *l != T::default()).min().unwrap_or(none)
}

impl NaiveGate {
    pub fn new(table: &InstrumentTable, book: &LimitBook, balances: &[(AssetId, Amount)]) -> Self {
        let mut gate = Self {
            table: table.clone(),
            book: book.clone(),
            mode: ControlMode::FullAuto,
            phase: Phase::Run,
            now: Nanos::ZERO,
            session: false,
            marks: vec![Mark::default(); table.all().len()],
            orders: Vec::new(),
            equity: None,
            equity_at: Nanos::ZERO,
            peak: 0,
            day_open: 0,
            latched: false,
            fell: false,
            phase_seen: Phase::Run,
            balances: balances.to_vec(),
            order_last: OrderId(0),
            by_strategy: vec![Rate::default(); book.strategies.len()],
            by_instrument: vec![Rate::default(); book.instruments.len()],
            total: Rate::default(),
            cancels: Rate::default(),
            weight: Rate::default(),
        };
        gate.set_rates();
        gate
    }

    pub fn set_book(&mut self, book: &LimitBook) {
        self.book = book.clone();
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
        let take = |rate: &mut Rate, n, now| rate.0.push((now, Step::Take(n)));
        let (now, a) = (self.now, &self.book.account);
        match (approved, place) {
            (false, _) => {}
            (true, true) => {
                self.orders.push(Known { intent: *intent, reports: Vec::new() });
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

    pub fn on_report(&mut self, report: &OrderReport) {
        let order = self.orders.iter_mut().find(|o| o.intent.order == report.order);
        order.expect("an approved one").reports.push(*report);
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
        let ended = self.phase_seen == Phase::Kill && self.phase == Phase::Run;
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
        i128::from(self.marks[instrument].micro)
    }

    /// Assets 0 and 1 are the bases of instruments 0 and 1.
    fn in_usdt(&self, asset: AssetId, amount: Amount) -> Amount {
        if asset == USDT {
            return amount;
        }
        amount * self.price(usize::from(asset.0)) / 100_000_000
    }

    pub fn balance(&self, asset: AssetId) -> Amount {
        let mut sum: Amount =
            self.balances.iter().filter(|(a, _)| *a == asset).map(|(_, amount)| amount).sum();
        for order in &self.orders {
            let instrument = &self.table.all()[order.intent.instrument.index()];
            let sign = i128::from(order.intent.side.sign());
            for fill in order.fills().values() {
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

    /// What the gate must answer.
    pub fn judge(&self, intent: &OrderIntent) -> Verdict {
        if intent.action == OrderAction::Cancel {
            return self.judge_cancel(intent);
        }
        let (at, side) = (intent.instrument.index(), intent.side.index());
        let known = at < self.table.all().len();
        let strategy = usize::from(intent.strategy.0);
        let listed = known && strategy < self.by_strategy.len();
        let held = |strategy| if known { self.worst(strategy)[at][side] } else { 0 };
        let own_before = if listed { held(Some(intent.strategy.0)) } else { 0 };
        let after = held(None) + i128::from(intent.qty.0);
        let own_after = own_before + i128::from(intent.qty.0);
        let reduces = after <= 0 && own_after <= 0;
        self.may_place(intent, reduces)?;
        ensure(listed, RefuseReason::UnknownInstrument)?;
        self.judge_shape(intent, reduces)?;
        if !reduces {
            ensure(own_after <= 0 || intent.stop_ticks > 0, RefuseReason::MissingStop)?;
        }
        self.judge_rates(intent)?;
        self.judge_open(intent)?;
        if !reduces {
            let here = |o: &&Known| {
                (o.intent.instrument, o.intent.side) == (intent.instrument, intent.side)
            };
            let lost = self.orders.iter().filter(here).any(|o| o.standing().unknown);
            ensure(!lost || after <= 0, RefuseReason::Unknown)?;
        }
        self.judge_self_trade(intent)?;
        if !reduces {
            self.judge_exposure(intent, after, own_after)?;
        }
        self.judge_balance(intent)
    }

    fn may_place(&self, intent: &OrderIntent, reduces: bool) -> Verdict {
        match self.phase {
            _ if self.latched => return Err(RefuseReason::Killed),
            Phase::Run => {}
            Phase::Kill => return Err(RefuseReason::Killed),
            _ => return Err(RefuseReason::Draining),
        }
        let increases = match self.mode {
            ControlMode::Emergency => false,
            ControlMode::Manual => intent.cause == Cause::Operator,
            _ => true,
        };
        ensure(reduces || increases, RefuseReason::Mode)
    }

    /// Session, number, time, book, price and size.
    fn judge_shape(&self, intent: &OrderIntent, reduces: bool) -> Verdict {
        let (i, a) = (intent.instrument.index(), &self.book.account);
        let (instrument, mark) = (&self.table.all()[i], &self.marks[i]);
        ensure(instrument.tradable, RefuseReason::NotTradable)?;
        ensure(self.session, RefuseReason::Session)?;
        ensure(intent.order > self.order_last, RefuseReason::DuplicateId)?;
        ensure(self.now < intent.expires, RefuseReason::Expired)?;
        let bookless = reduces && intent.cause != Cause::Market;
        ensure(bookless || mark.state == BookState::Live, RefuseReason::BookNotLive)?;
        let age = self.now.since(mark.at).0;
        ensure(bookless || age <= a.mark_age_ns_max, RefuseReason::BookStale)?;
        let price = i128::from(intent.price.0);
        ensure(price > 0, RefuseReason::PriceBounds)?;
        let on_tick = intent.kind == OrderKind::Market || intent.price.0 % instrument.tick == 0;
        ensure(on_tick, RefuseReason::Tick)?;
        let collar = self.rows(intent).map(|r| r.collar_e4);
        let collar = least(&[collar[0], collar[1], collar[2], a.collar_e4], 0);
        let near = |reference: i64| {
            let reference = i128::from(reference);
            (price - reference).abs() * 10_000 <= reference * i128::from(collar)
        };
        ensure(near(mark.micro) && near(mark.last_trade), RefuseReason::PriceCollar)?;
        ensure(intent.qty.0 > 0, RefuseReason::SizeMin)?;
        ensure(intent.qty.0 % instrument.lot == 0, RefuseReason::Lot)?;
        let base = self.rows(intent).map(|r| r.order_base_max);
        let base = least(&[base[0], base[1], base[2], a.order_base_max], Amount::MAX);
        let most = if base == Amount::MAX { base } else { base / 100_000_000 };
        let most = if reduces { most } else { self.in_mode(most) };
        ensure(i128::from(intent.qty.0) <= most, RefuseReason::FatSize)?;
        let worth = self.rows(intent).map(|r| r.order_value_max);
        let worth = least(&[worth[0], worth[1], worth[2], a.order_value_max], Amount::MAX);
        let worth = if reduces { worth } else { self.in_mode(worth) };
        let value = self.value(i, intent.qty.0.into(), price);
        ensure(value.is_some_and(|v| v <= worth), RefuseReason::FatNotional)
    }

    fn rows(&self, intent: &OrderIntent) -> [ScopeLimits; 3] {
        let strategy = self.book.strategies[usize::from(intent.strategy.0)];
        [self.book.venue, strategy, self.book.instruments[intent.instrument.index()]]
    }

    fn judge_rates(&self, intent: &OrderIntent) -> Verdict {
        let rates = [
            &self.total,
            &self.by_strategy[usize::from(intent.strategy.0)],
            &self.by_instrument[intent.instrument.index()],
        ];
        ensure(rates.iter().all(|r| r.holds(1, self.now)), RefuseReason::Rate)?;
        let a = &self.book.account;
        let needed = a.weight_place + a.weight_reserve;
        ensure(self.weight.holds(needed, self.now), RefuseReason::Weight)
    }

    fn judge_open(&self, intent: &OrderIntent) -> Verdict {
        let open = |of: &dyn Fn(&Known) -> bool| {
            self.orders.iter().filter(|o| of(o) && !o.standing().ended).count() as u32
        };
        let (a, [venue, strategy, row]) = (&self.book.account, self.rows(intent));
        let all = least(&[a.open_orders_max, venue.open_orders_max], 0);
        let here = least(&[a.open_orders_instrument_max, row.open_orders_max], 0);
        let own = least(&[all, strategy.open_orders_max], 0);
        let fits = open(&|o| o.intent.instrument == intent.instrument) < here
            && open(&|o| o.intent.strategy == intent.strategy) < own
            && open(&|_| true) < all;
        ensure(fits, RefuseReason::OpenOrders)
    }

    fn judge_self_trade(&self, intent: &OrderIntent) -> Verdict {
        let meets = |o: &Known| {
            let market = intent.kind == OrderKind::Market || o.intent.kind == OrderKind::Market;
            let crosses = match intent.side {
                Side::Buy => intent.price >= o.intent.price,
                Side::Sell => intent.price <= o.intent.price,
            };
            o.intent.instrument == intent.instrument
                && o.intent.side != intent.side
                && !o.standing().ended
                && (market || crosses)
        };
        ensure(!self.orders.iter().any(meets), RefuseReason::SelfTrade)
    }

    fn judge_exposure(&self, intent: &OrderIntent, after: i128, own_after: i128) -> Verdict {
        let (i, side) = (intent.instrument.index(), intent.side.index());
        let (a, [venue, strategy, row]) = (&self.book.account, self.rows(intent));
        let dear = self.price(i).max(i128::from(intent.price.0));
        let worth = |qty: i128| self.value(i, qty, dear);
        let cap = self.cap(
            &[a.position_equity_e4, venue.position_equity_e4, row.position_equity_e4],
            &[a.position_value_max, venue.position_value_max, row.position_value_max],
        );
        let own_cap = self.cap(&[strategy.position_equity_e4], &[strategy.position_value_max]);
        let within = |qty: i128, cap| qty <= 0 || worth(qty).is_some_and(|v| v <= cap);
        ensure(within(after, cap) && within(own_after, own_cap), RefuseReason::Position)?;

        let (worst, own) = (self.worst(None), self.worst(Some(intent.strategy.0)));
        let (sums, own_sums) = (self.sums(&worst), self.sums(&own));
        let grown = |worst: &Worst, after: i128| -> Option<Amount> {
            let before =
                worst[i].map(|qty| self.value(i, qty, self.price(i)).unwrap_or(AMOUNT_SANE));
            Some((worth(after)? - before[0].max(before[1]).max(0)).max(0))
        };
        let (grown, own_grown) = (grown(&worst, after), grown(&own, own_after));
        let (Some(grown), Some(own_grown)) = (grown, own_grown) else {
            return Err(RefuseReason::Gross);
        };
        let bound = |shares: &[i64], amounts: &[Amount], sum: Amount, grown: Amount| {
            grown == 0 || sum + grown <= self.cap(shares, amounts)
        };
        let gross = bound(
            &[a.gross_equity_e4, venue.gross_equity_e4],
            &[a.gross_value_max, venue.gross_value_max],
            sums.gross,
            grown,
        ) && bound(
            &[strategy.gross_equity_e4],
            &[strategy.gross_value_max],
            own_sums.gross,
            own_grown,
        );
        ensure(gross, RefuseReason::Gross)?;
        let added = worth(intent.qty.0.into()).ok_or(RefuseReason::Net)?;
        let net_cap = self
            .cap(&[a.net_equity_e4, venue.net_equity_e4], &[a.net_value_max, venue.net_value_max]);
        let own_net_cap = self.cap(&[strategy.net_equity_e4], &[strategy.net_value_max]);
        let net = sums.net[side] + added <= net_cap && own_sums.net[side] + added <= own_net_cap;
        ensure(net, RefuseReason::Net)?;
        let levered = bound(&[a.leverage_e4], &[], sums.gross, grown);
        ensure(levered, RefuseReason::Leverage)?;
        let required = sums.margin_e4 + grown * self.maintenance(i);
        let equity = self.equity.map_or(-1, |e| {
            self.in_mode(e.max(0) * 100_000_000 / i128::from(a.margin_distance_e4))
        });
        let margin = self.maintenance(i) == 0 || grown == 0 || required <= equity;
        ensure(margin, RefuseReason::Margin)?;
        self.judge_losses()
    }

    fn judge_losses(&self) -> Verdict {
        let (a, equity) = (&self.book.account, self.equity.unwrap_or(0));
        let loss = self.day_open - equity;
        let shares = match a.daily_loss_e4 {
            0 => Amount::MAX,
            e4 => self.day_open * i128::from(e4) / 10_000,
        };
        let loss_max = self.in_mode(shares.min(least(&[a.daily_loss_value_max], Amount::MAX)));
        ensure(loss < loss_max.max(1), RefuseReason::DailyLoss)?;
        self.judge_fall()
    }

    fn judge_fall(&self) -> Verdict {
        let fall_e8 = (self.peak - self.equity.unwrap_or(0)) * 10_000;
        let limit = i128::from(self.book.account.drawdown_e4) - 1;
        ensure(fall_e8 <= limit * self.peak, RefuseReason::Drawdown)
    }

    fn judge_balance(&self, intent: &OrderIntent) -> Verdict {
        let instrument = self.table.all()[intent.instrument.index()];
        let asset = if intent.side == Side::Buy { instrument.quote } else { instrument.base };
        let reserved: Amount = self
            .orders
            .iter()
            .map(|o| {
                let (paid, amount) = self.reserve(&o.intent, o.standing().leaves);
                if paid == asset { amount } else { 0 }
            })
            .sum();
        let needed = self.reserve(intent, intent.qty.0.into()).1;
        ensure(needed <= self.balance(asset) - reserved, RefuseReason::Balance)
    }

    fn reserve(&self, intent: &OrderIntent, leaves: i128) -> (AssetId, Amount) {
        let instrument: &Instrument = &self.table.all()[intent.instrument.index()];
        if intent.side == Side::Sell {
            return (instrument.base, leaves * 100_000_000);
        }
        let up = |value: i128, by: i128, of: i128| (value * by + of - 1) / of;
        let a = &self.book.account;
        let price = match intent.kind {
            OrderKind::Market => {
                up(intent.price.0.into(), i128::from(10_000 + a.market_slippage_e4), 10_000)
            }
            _ => intent.price.0.into(),
        };
        let fee = i128::from(1_000_000 + a.fee_allowance_e6);
        (instrument.quote, up(price * leaves, fee, 1_000_000))
    }

    fn judge_cancel(&self, intent: &OrderIntent) -> Verdict {
        let open = |o: &Known| {
            o.intent.order == intent.order
                && o.intent.instrument == intent.instrument
                && !o.standing().ended
        };
        ensure(self.orders.iter().any(open), RefuseReason::NotOpen)?;
        ensure(self.cancels.holds(1, self.now), RefuseReason::Rate)?;
        let weight = self.book.account.weight_cancel;
        ensure(self.weight.holds(weight, self.now), RefuseReason::Weight)
    }
}
