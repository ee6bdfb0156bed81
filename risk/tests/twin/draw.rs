//! What happens in a life, drawn at random.

use bot4_risk::breaker::{BreakerLimits, BreakerScope};
use bot4_risk::{LimitBook, RiskLimits, ScopeLimits, Scopes, StatisticsLimits, units};
use bot4_types::instrument::{Amount, PriceBand};
use bot4_types::rng::SplitMix64;
use bot4_types::{
    Cause, Instrument, InstrumentId, InstrumentRules, Nanos, OrderId, OrderIntent, OrderKind,
    PauseReason, RiskCommand, Side, StrategyId, Tif,
};

use super::NaiveGate;
use crate::common::{ONE, place};

pub const STRATEGIES: usize = 3;

/// The source of everything that happens.
pub struct Draw(pub SplitMix64);

impl Draw {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0.below(n)
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    fn amount(&mut self, all: &[i64]) -> Amount {
        units(self.pick(all))
    }

    fn limits(&mut self) -> RiskLimits {
        let wide = self.one_in(2);
        let or = |wide_value: i64, value: i64| if wide { wide_value } else { value };
        RiskLimits {
            // Here everybody asks at random.
            runaway_intents_per_s: u32::MAX,
            runaway_refused_row: u32::MAX,
            mark_age_ns_max: self.pick(&[300_000_000, u64::MAX]),
            collar_e4: self.pick(&[100, 300]),
            order_value_max: self.amount(&[300, 1_000, 100_000]),
            order_base_max: self.amount(&[0, 0, 5]),
            position_equity_e4: or(10_000, self.pick(&[100, 500, 2_000])),
            position_value_max: self.amount(&[0, 1_500, 6_000]),
            strategy_orders_per_s: self.pick(&[5, 500]) as u32,
            strategy_orders_burst: self.pick(&[2, 40]) as u32,
            orders_per_s: self.pick(&[60, 1_000]) as u32,
            orders_burst: self.pick(&[8, 100]) as u32,
            cancels_per_s: self.pick(&[20, 2_000]) as u32,
            cancels_burst: self.pick(&[2, 200]) as u32,
            open_orders_instrument_max: self.pick(&[3, 20]) as u32,
            open_orders_max: self.pick(&[6, 60]) as u32,
            equity_age_ns_max: self.pick(&[1, 100_000_000]),
            gross_equity_e4: or(0, self.pick(&[500, 2_000, 0])),
            gross_value_max: self.amount(&[0, 2_500]),
            net_equity_e4: or(0, self.pick(&[300, 1_500, 0])),
            net_value_max: self.amount(&[0, 1_000]),
            leverage_e4: self.pick(&[700, 3_000, 10_000, 30_000]),
            maintenance_e4: self.pick(&[0, 1_000]),
            margin_distance_e4: self.pick(&[15_000, 400_000]),
            daily_loss_e4: self.pick(&[0, 100, 500]),
            daily_loss_value_max: self.amount(&[0, 400]),
            drawdown_e4: self.pick(&[150, 1_500]),
            weight_per_s: self.pick(&[40, 4_000]) as u32,
            weight_burst: self.pick(&[30, 400]) as u32,
            weight_reserve: self.pick(&[5, 20]) as u32,
            weight_place: self.pick(&[1, 3]) as u32,
            weight_cancel: self.pick(&[1, 4, 12]) as u32,
            statistics: self.statistics(),
            ..RiskLimits::default()
        }
    }

    fn statistics(&mut self) -> StatisticsLimits {
        StatisticsLimits {
            correlation_e4: self.pick(&[10_000, 10_000, 9_000, 4_000]),
            correlation_from_e6: self.pick(&[300, 5_000]),
            shortfall_equity_e6: self.pick(&[0, 0, 3_000, 30_000, 600_000]),
            heat_equity_e6: self.pick(&[0, 0, 2_000, 10_000, 300_000]),
            fallback_volatility_e6: 10_000,
            history_min: self.pick(&[0, 3]) as u32,
        }
    }

    /// Breakers of one life: in half of them none, so that what is behind is seen.
    pub fn breakers(&mut self) -> BreakerLimits {
        if self.one_in(2) {
            return BreakerLimits::off();
        }
        let drawn = BreakerLimits {
            losses_max: self.pick(&[0, 1, 3]) as u32,
            loss_min: self.amount(&[0, 1]),
            loss_max: self.amount(&[0, 5, 50]),
            reject_e4_max: self.pick(&[0, 2_500, 5_000]) as u32,
            error_e4_max: self.pick(&[0, 2_000, 4_000]) as u32,
            ack_p99_ns_max: self.pick(&[0, 10_000_000, 300_000_000]),
            calls_min: self.pick(&[2, 6]) as u32,
            errors_max: self.pick(&[0, 1, 3]) as u32,
            window_ns: self.pick(&[100_000_000, 60_000_000_000]),
            open_ns: self.pick(&[5_000_000, 150_000_000, 150_000_000, 4_000_000_000]),
            jitter_e4: self.pick(&[0, 5_000]) as u32,
            successes_to_close: self.pick(&[1, 2]) as u16,
            probes_max: self.pick(&[1, 2]) as u16,
            seed: self.below(u64::MAX),
        };
        if !self.one_in(6) {
            return drawn;
        }
        // Most of them open at once, and stay so until a person closes one.
        BreakerLimits {
            reject_e4_max: 1_000,
            error_e4_max: 1_000,
            calls_min: 1,
            errors_max: 1,
            open_ns: 4_000_000_000,
            ..drawn
        }
    }

    /// A person closes breakers.
    pub fn scope(&mut self) -> BreakerScope {
        match self.below(7) {
            0 => BreakerScope::All,
            1..=2 => BreakerScope::Strategy(StrategyId(self.below(STRATEGIES as u64 + 1) as u8)),
            3..=4 => BreakerScope::Instrument(InstrumentId(self.below(3) as u16)),
            _ => BreakerScope::Venue,
        }
    }

    /// An instrument's rules change, mostly back to those of `plain`, or it is paused.
    pub fn news(&mut self, plain: &Instrument) -> RiskCommand {
        let instrument = plain.id;
        match self.below(10) {
            8 => RiskCommand::Shed { instrument, on: true },
            9 => RiskCommand::Shed { instrument, on: false },
            0 => RiskCommand::Pause { instrument, why: PauseReason::Unlisted },
            1..=3 => RiskCommand::Resume { instrument },
            4 => RiskCommand::Rules { rules: self.rules(plain), resync: self.one_in(2) },
            _ => RiskCommand::Rules { rules: InstrumentRules::of(plain), resync: self.one_in(4) },
        }
    }

    /// Rules of which one binds.
    fn rules(&mut self, plain: &Instrument) -> InstrumentRules {
        let mut rules = InstrumentRules::of(plain);
        let value = |units: i128| units * i128::from(ONE) * i128::from(ONE);
        let middle = if plain.id.0 == 2 { ONE } else { 100 * ONE };
        match self.below(8) {
            0 => rules.tradable = false,
            1 => (rules.qty_min.0, rules.market_qty_max.0) = (ONE, 2 * ONE),
            2 => (rules.qty_max.0, rules.market_lot) = (3 * ONE, 3_000),
            3 => {
                rules.notional_min = value(1 + self.below(150) as i128);
                rules.notional_min_market = self.one_in(2);
            }
            4 => {
                rules.notional_max = value(1 + self.below(300) as i128);
                rules.notional_max_market = self.one_in(2);
            }
            5 => rules.orders_open_max = 1 + self.below(3) as u32,
            6 => (rules.price_min.0, rules.price_max.0) = (middle / 100 * 99, middle / 100 * 102),
            _ => {
                rules.band_buy = PriceBand { up_e4: 10_100, down_e4: 9_900 };
                rules.band_sell = PriceBand { up_e4: 10_200, down_e4: 0 };
            }
        }
        rules
    }

    fn row(&mut self, of_instrument: bool) -> ScopeLimits {
        if self.one_in(2) {
            return ScopeLimits::default();
        }
        let group = |v: i64| if of_instrument { 0 } else { v };
        let gross = self.pick(&[0, 1_500]);
        ScopeLimits {
            order_value_max: self.amount(&[0, 500]),
            order_base_max: self.amount(&[0, 0, 4]),
            collar_e4: self.pick(&[0, 150]),
            position_equity_e4: self.pick(&[0, 0, 400]),
            position_value_max: self.amount(&[0, 900]),
            gross_equity_e4: group(self.pick(&[0, 800])),
            gross_value_max: units(group(gross)),
            net_equity_e4: group(self.pick(&[0, 600])),
            net_value_max: units(group(self.pick(&[0, 700]))),
            open_orders_max: self.pick(&[0, 4]) as u32,
            orders_per_s: self.pick(&[0, 30]) as u32,
            maintenance_e4: if of_instrument { self.pick(&[0, 2_000]) } else { 0 },
        }
    }

    pub fn book(&mut self) -> LimitBook {
        let scopes = Scopes {
            venue: self.row(false),
            strategies: (0..STRATEGIES).map(|_| self.row(false)).collect(),
            instruments: (0..3).map(|_| self.row(true)).collect(),
        };
        LimitBook::new(&self.limits(), &scopes, STRATEGIES, 3)
    }

    pub fn intent(&mut self, id: u64, gate: &NaiveGate) -> OrderIntent {
        let instrument = self.below(3) as u16;
        let side = if self.one_in(2) { Side::Buy } else { Side::Sell };
        let around = gate.marks[usize::from(instrument)].micro;
        let price = around / 100 * (98 + self.below(5) as i64) / (ONE / 100) * (ONE / 100);
        let lots = if self.one_in(8) { 2_000_000 } else { 500_000 };
        let qty = (1 + self.below(lots) as i64) * 1_000;
        let qty = if instrument == 2 { qty } else { qty.min(700 * ONE) };
        let mut intent = place(id, instrument, side, price, qty);
        intent.strategy = StrategyId(self.below(STRATEGIES as u64) as u8);
        intent.cause = self.pick(Cause::ALL);
        intent.expires = gate.now + Nanos(self.below(50));
        match self.below(40) {
            0..=3 => intent.kind = OrderKind::Market,
            4 => intent.stop_ticks = 0,
            5 => intent.order = OrderId(1 + self.below(id)),
            6 => intent.qty.0 += 1,
            7 => intent.price.0 += 1,
            8 => intent.qty.0 = self.pick(&[0, -1_000, i64::MAX / 1_000 * 1_000]),
            9 => intent.instrument.0 = 3,
            10 => intent.strategy.0 = STRATEGIES as u8,
            11 => intent.price.0 = self.pick(&[0, i64::MIN, i64::MAX]),
            12..=17 => self.close_something(&mut intent, gate),
            18 => self.go_to_a_bound(&mut intent, &gate.table.all()[usize::from(instrument)]),
            _ => {}
        }
        intent.reduce_only |= self.one_in(10);
        if self.one_in(7) {
            self.wait_for_a_trigger(&mut intent, around);
        }
        if self.one_in(20) {
            (intent.tif, intent.until) = (Tif::Gtd, gate.now + Nanos(self.below(3)));
        }
        intent
    }

    /// Makes `intent` one that waits for the market to come to a price, mostly a possible one.
    fn wait_for_a_trigger(&mut self, intent: &mut OrderIntent, around: i64) {
        intent.kind = self.pick(&OrderKind::ALL[3..]);
        let away = 1 + self.below(4) as i64;
        let percent = match intent.kind.fires_above(intent.side) {
            true => 100 + away,
            false => 100 - away,
        };
        let at = around / 100 * percent / (ONE / 100) * (ONE / 100);
        intent.trigger.0 = match self.below(12) {
            0 => 0,
            1 => at + 1,
            2 => around / (ONE / 100) * (ONE / 100),
            _ => at,
        };
        if !self.one_in(4) {
            intent.price = intent.trigger;
        }
    }

    /// Puts quantity, price or value of `intent` on a bound of the venue's rules.
    fn go_to_a_bound(&mut self, intent: &mut OrderIntent, of: &Instrument) {
        let middle = if of.id.0 == 2 { ONE } else { 100 * ONE };
        let worth = |value: i128| (value / i128::from(middle)) as i64;
        let (qty, price) = match self.below(5) {
            0 => (of.qty_max.0, middle),
            1 => (of.qty_min.0, middle),
            2 => (worth(of.notional_max), middle),
            3 => (worth(of.notional_min), middle),
            _ => (intent.qty.0, self.pick(&[of.price_min.0, of.price_max.0])),
        };
        if qty > 0 && price > 0 {
            (intent.qty.0, intent.price.0) = (qty, price);
        }
    }

    /// Makes `intent` one that would close what its strategy holds, or the account.
    fn close_something(&mut self, intent: &mut OrderIntent, gate: &NaiveGate) {
        let own = !self.one_in(3);
        let worst = gate.worst(own.then_some(intent.strategy.0));
        let at = intent.instrument.index();
        let [buy, sell] = worst[at];
        (intent.side, intent.qty.0) = if buy < 0 {
            (Side::Buy, -buy as i64)
        } else {
            (Side::Sell, (-sell).max(1_000) as i64)
        };
        intent.stop_ticks = 0;
        intent.reduce_only = self.one_in(2);
        intent.price.0 = gate.marks[at].micro / (ONE / 100) * (ONE / 100);
    }
}
