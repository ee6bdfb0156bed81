//! The decisions, check by check, in the order of the roster.

use bot4_lanes::Phase;
use bot4_risk::ScopeLimits;
use bot4_risk::money::AMOUNT_SANE;
use bot4_types::instrument::Amount;
use bot4_types::{
    AssetId, BookState, Cause, ControlMode, Instrument, OrderAction, OrderIntent, OrderKind,
    RefuseReason, Side, Tif,
};

use super::{Known, Lean, NaiveGate, Verdict, Worst, ensure, least, market};

impl NaiveGate {
    /// What the gate must answer.
    pub fn judge(&self, intent: &OrderIntent, lean: Lean) -> Verdict {
        if intent.action == OrderAction::Cancel {
            return self.judge_cancel(intent);
        }
        if self.trims(intent) {
            return self.judge_trim(intent);
        }
        let (at, side) = (intent.instrument.index(), intent.side.index());
        let known = at < self.table.all().len();
        let strategy = usize::from(intent.strategy.0);
        let listed = known && strategy < self.by_strategy.len();
        let held = |strategy| if known { self.worst(strategy)[at][side] } else { 0 };
        let own_before = if listed { held(Some(intent.strategy.0)) } else { 0 };
        let added = self.added(intent);
        let (after, own_after) = (held(None) + added, own_before + added);
        let reduces = after <= 0 && own_after <= 0;
        self.may_place(intent, reduces)?;
        ensure(listed, RefuseReason::UnknownInstrument)?;
        self.judge_shape(intent, reduces)?;
        if !reduces {
            ensure(own_after <= 0 || intent.stop_ticks > 0, RefuseReason::MissingStop)?;
        }
        self.judge_rates(intent)?;
        if intent.action == OrderAction::Place {
            self.judge_open(intent)?;
        }
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
        self.judge_balance(intent)?;
        if reduces || after <= 0 {
            return Ok(());
        }
        let (a, equity) = (&self.book.account, self.equity.map_or(f64::NAN, |e| e as f64 / 1e16));
        let share = a.share_e4(self.mode) as f64 / 1e4;
        self.statistics.judge(intent, &a.statistics, equity, share, lean)
    }

    fn may_place(&self, intent: &OrderIntent, reduces: bool) -> Verdict {
        self.may_run(intent, reduces)?;
        let increases = match self.mode {
            ControlMode::Emergency => false,
            ControlMode::Manual => intent.cause == Cause::Operator,
            _ => true,
        };
        ensure(reduces || increases, RefuseReason::Mode)?;
        if reduces {
            return Ok(());
        }
        self.breakers.judge(intent, self.now)?;
        let closing = self.closings.get(intent.instrument.index());
        ensure(closing.is_none_or(|c| !c.shed), RefuseReason::Shed)
    }

    /// What the control word allows.
    pub(super) fn may_run(&self, intent: &OrderIntent, reduces: bool) -> Verdict {
        let closes = reduces && intent.cause == Cause::Operator;
        match self.phase {
            Phase::Flatten => ensure(closes, RefuseReason::Killed)?,
            Phase::Kill => return Err(RefuseReason::Killed),
            _ => ensure(!self.latched, RefuseReason::Killed)?,
        }
        let runs = matches!(self.phase, Phase::Run | Phase::Flatten);
        ensure(runs, RefuseReason::Draining)
    }

    /// Session, number, time, book, price and size.
    fn judge_shape(&self, intent: &OrderIntent, reduces: bool) -> Verdict {
        let (i, a) = (intent.instrument.index(), &self.book.account);
        let (instrument, mark) = (&self.table.all()[i], &self.marks[i]);
        self.closings[i].check()?;
        ensure(instrument.tradable, RefuseReason::NotTradable)?;
        ensure(self.session, RefuseReason::Session)?;
        match intent.action {
            OrderAction::Amend => self.judge_amended(intent)?,
            _ => ensure(intent.order > self.order_last, RefuseReason::DuplicateId)?,
        }
        ensure(reduces || !self.turns(intent), RefuseReason::ReduceOnly)?;
        let dated = intent.tif == Tif::Gtd && intent.until <= self.now;
        ensure(self.now < intent.expires && !dated, RefuseReason::Expired)?;
        let bookless = reduces && intent.cause != Cause::Market;
        ensure(bookless || mark.state == BookState::Live, RefuseReason::BookNotLive)?;
        let age = self.now.since(mark.at).0;
        ensure(bookless || age <= a.mark_age_ns_max, RefuseReason::BookStale)?;
        self.judge_price(intent)?;
        if intent.action == OrderAction::Place {
            self.judge_trigger(intent)?;
        }
        let price = i128::from(intent.price.0);
        let collar = self.rows(intent).map(|r| r.collar_e4);
        let collar = least(&[collar[0], collar[1], collar[2], a.collar_e4], 0);
        let near = |reference: i64| {
            let reference = i128::from(reference);
            (price - reference).abs() * 10_000 <= reference * i128::from(collar)
        };
        let collared = match intent.kind.is_triggered() {
            true => near(intent.trigger.0),
            false => near(mark.micro) && near(mark.last_trade),
        };
        ensure(collared, RefuseReason::PriceCollar)?;
        self.judge_size(intent)?;
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

    /// The venue's filters of prices; a market order carries none to the venue.
    fn judge_price(&self, intent: &OrderIntent) -> Verdict {
        let i = intent.instrument.index();
        let (instrument, mark, price) = (&self.table.all()[i], &self.marks[i], intent.price.0);
        ensure(price > 0, RefuseReason::PriceBounds)?;
        if market(intent.kind) {
            return Ok(());
        }
        ensure(price % instrument.tick == 0, RefuseReason::Tick)?;
        let (low, high) = (instrument.price_min.0, instrument.price_max.0);
        ensure(price >= low && (high == 0 || price <= high), RefuseReason::PriceBounds)?;
        let band = match intent.side {
            Side::Buy => instrument.band_buy,
            Side::Sell => instrument.band_sell,
        };
        let inside = |reference: i64| {
            let times = |e4: i64| i128::from(reference) * i128::from(e4);
            let price = i128::from(price) * 10_000;
            (band.up_e4 == 0 || price <= times(band.up_e4))
                && (band.down_e4 == 0 || price >= times(band.down_e4))
        };
        ensure(inside(mark.micro) && inside(mark.last_trade), RefuseReason::PriceBounds)
    }

    /// The venue's filters of quantity and value.
    pub(super) fn judge_size(&self, intent: &OrderIntent) -> Verdict {
        let instrument = &self.table.all()[intent.instrument.index()];
        let (qty, market) = (intent.qty, market(intent.kind));
        let plain = (instrument.lot, instrument.qty_min, instrument.qty_max);
        let of_market =
            (instrument.market_lot, instrument.market_qty_min, instrument.market_qty_max);
        for (lot, min, max) in [plain].into_iter().chain(market.then_some(of_market)) {
            ensure(qty.0 > 0 && qty >= min, RefuseReason::SizeMin)?;
            ensure(max.0 == 0 || qty <= max, RefuseReason::SizeMax)?;
            ensure(lot == 0 || qty.0 % lot == 0, RefuseReason::Lot)?;
        }
        let value = i128::from(qty.0) * i128::from(intent.price.0);
        let (min, max) = (instrument.notional_min, instrument.notional_max);
        let bound_below = !market || instrument.notional_min_market;
        let bound_above = max > 0 && (!market || instrument.notional_max_market);
        ensure(!bound_below || value >= min, RefuseReason::NotionalMin)?;
        ensure(!bound_above || value <= max, RefuseReason::NotionalMax)
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
        let venues = self.table.all()[intent.instrument.index()].orders_open_max;
        let resting = open(&|o| o.intent.instrument == intent.instrument);
        let fits = resting < here
            && (venues == 0 || resting < venues)
            && open(&|o| o.intent.strategy == intent.strategy) < own
            && open(&|_| true) < all;
        ensure(fits, RefuseReason::OpenOrders)
    }

    fn judge_self_trade(&self, intent: &OrderIntent) -> Verdict {
        let meets = |o: &Known| {
            let market = market(intent.kind) || market(o.intent.kind);
            let crosses = o.prices().any(|price| match intent.side {
                Side::Buy => intent.price >= price,
                Side::Sell => intent.price <= price,
            });
            o.intent.instrument == intent.instrument
                && o.intent.side != intent.side
                && !o.standing().ended
                && !o.waits()
                && (market || crosses)
        };
        let waits = intent.action == OrderAction::Place && intent.kind.is_triggered();
        ensure(waits || !self.orders.iter().any(meets), RefuseReason::SelfTrade)
    }

    /// The order may only reduce, or one beside it may, and all of them together could take the
    /// strategy's position beyond zero.
    fn turns(&self, intent: &OrderIntent) -> bool {
        let beside = self.orders.iter().any(|o| {
            let same = (o.intent.strategy, o.intent.instrument, o.intent.side)
                == (intent.strategy, intent.instrument, intent.side);
            same && o.intent.reduce_only && !o.standing().ended
        });
        let strategy = Some(intent.strategy.0);
        let worst = self.worst(strategy)[intent.instrument.index()][intent.side.index()];
        (intent.reduce_only || beside) && worst + self.added(intent) > 0
    }

    /// Kinds that wait have a trigger that is still to be reached; no others have one.
    fn judge_trigger(&self, intent: &OrderIntent) -> Verdict {
        let (i, at) = (intent.instrument.index(), intent.trigger.0);
        let (instrument, mark) = (&self.table.all()[i], &self.marks[i]);
        let last = if mark.last_trade > 0 { mark.last_trade } else { mark.micro };
        let waits = match (intent.kind, intent.side) {
            (OrderKind::StopLoss | OrderKind::StopLossLimit, Side::Buy)
            | (OrderKind::TakeProfit | OrderKind::TakeProfitLimit, Side::Sell) => at > last,
            (OrderKind::StopLoss | OrderKind::StopLossLimit, Side::Sell)
            | (OrderKind::TakeProfit | OrderKind::TakeProfitLimit, Side::Buy) => at < last,
            _ => return ensure(at == 0, RefuseReason::Trigger),
        };
        let (low, high) = (instrument.price_min.0, instrument.price_max.0);
        let inside = at > 0 && at % instrument.tick == 0 && at >= low && (high == 0 || at <= high);
        ensure(inside && (waits || last <= 0), RefuseReason::Trigger)
    }

    fn judge_exposure(&self, intent: &OrderIntent, after: i128, own_after: i128) -> Verdict {
        let (i, side) = (intent.instrument.index(), intent.side.index());
        let (a, [venue, strategy, row]) = (&self.book.account, self.rows(intent));
        let dear = self.price(i).max(intent.price.max(intent.trigger).0.into());
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
        let added = worth(self.added(intent)).ok_or(RefuseReason::Net)?;
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

    pub(super) fn judge_fall(&self) -> Verdict {
        let fall_e8 = (self.peak - self.equity.unwrap_or(0)) * 10_000;
        let limit = i128::from(self.book.account.drawdown_e4) - 1;
        ensure(fall_e8 <= limit * self.peak, RefuseReason::Drawdown)
    }

    fn judge_balance(&self, intent: &OrderIntent) -> Verdict {
        let instrument = self.table.all()[intent.instrument.index()];
        let asset = if intent.side == Side::Buy { instrument.quote } else { instrument.base };
        let paid = |o: &Known| {
            let (paid, amount) = self.reserved(o);
            if paid == asset { amount } else { 0 }
        };
        let reserved: Amount = self.orders.iter().map(paid).sum();
        let needed = self.needed(intent);
        ensure(needed <= self.balance(asset) - reserved, RefuseReason::Balance)
    }

    pub(super) fn reserve(&self, intent: &OrderIntent, leaves: i128) -> (AssetId, Amount) {
        let instrument: &Instrument = &self.table.all()[intent.instrument.index()];
        if intent.side == Side::Sell {
            return (instrument.base, leaves * 100_000_000);
        }
        let up = |value: i128, by: i128, of: i128| (value * by + of - 1) / of;
        let a = &self.book.account;
        let price = match market(intent.kind) {
            true => {
                let price = intent.price.max(intent.trigger).0.into();
                up(price, i128::from(10_000 + a.market_slippage_e4), 10_000)
            }
            false => intent.price.0.into(),
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
