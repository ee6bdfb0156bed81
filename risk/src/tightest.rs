//! Two books of limits: what is the tighter of both, limit by limit, and what would be looser.
//!
//! Limits that become tighter need nobody's word. One that becomes looser lets the engine risk
//! more, and a person says why. Invariant: the tighter of two books allows nothing that either
//! forbids. Where no direction is the safer one (a cancel's rate, a window), the running value
//! counts as the tighter: any change of it needs the word. Cold: allocates.

use core::fmt;

use crate::breaker::BreakerLimits;
use crate::limits::RiskLimits;
use crate::scopes::{LimitBook, ScopeLimits};
use crate::statistics::StatisticsLimits;

/// Whose limit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The account's.
    Account,
    /// The venue's.
    Venue,
    /// A strategy's, by its index.
    Strategy(usize),
    /// An instrument's, by its index.
    Instrument(usize),
    /// The circuit breakers'.
    Breakers,
}

/// A limit by its key in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Whose.
    pub whose: Whose,
    /// The key.
    pub key: &'static str,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.whose {
            Whose::Account => f.write_str(self.key),
            Whose::Venue => write!(f, "{} of the venue", self.key),
            Whose::Strategy(n) => write!(f, "{} of strategy {}", self.key, n + 1),
            Whose::Instrument(n) => write!(f, "{} of instrument {n}", self.key),
            Whose::Breakers => write!(f, "{} of the breakers", self.key),
        }
    }
}

/// How two books differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The tighter of both, limit by limit.
    pub tightest: LimitBook,
    /// What the new book has looser than the running one.
    pub looser: Vec<Limit>,
    /// What differs and holds from a start on only.
    pub fixed: Vec<Limit>,
}

/// How `new` differs from the `running` book of the same run.
#[must_use]
pub fn difference(running: &LimitBook, new: &LimitBook) -> Difference {
    let mut found = Finder { looser: Vec::new(), fixed: Vec::new(), whose: Whose::Account };
    let account = found.account(&running.account, &new.account);
    let venue = found.of(Whose::Venue).row(&running.venue, &new.venue);
    let strategies = (running.strategies.iter().zip(&new.strategies).enumerate())
        .map(|(n, (old, new))| found.of(Whose::Strategy(n)).row(old, new))
        .collect();
    let instruments = (running.instruments.iter().zip(&new.instruments).enumerate())
        .map(|(n, (old, new))| found.of(Whose::Instrument(n)).row(old, new))
        .collect();
    let breakers = match (&running.breakers, &new.breakers) {
        (Some(old), Some(new)) => Some(found.of(Whose::Breakers).breakers(old, new)),
        (old, new) => (*old).or(*new),
    };
    let tightest = LimitBook { account, venue, strategies, instruments, breakers };
    Difference { tightest, looser: found.looser, fixed: found.fixed }
}

/// Which of two values is the tighter.
#[derive(Clone, Copy)]
enum Way {
    /// The smaller.
    Smaller,
    /// The smaller; zero is no limit at all.
    SmallerOrNone,
    /// The larger.
    Larger,
    /// Nobody can say: the running one.
    Neither,
    /// None: it holds from a start on.
    Fixed,
}
use Way::{Fixed, Larger, Neither, Smaller, SmallerOrNone};

struct Finder {
    looser: Vec<Limit>,
    fixed: Vec<Limit>,
    whose: Whose,
}

impl Finder {
    const fn of(&mut self, whose: Whose) -> &mut Self {
        self.whose = whose;
        self
    }

    /// The tighter of both; notes it where that is not `new`.
    fn pick<T: Ord + Copy + Default>(&mut self, key: &'static str, way: Way, old: T, new: T) -> T {
        let none = T::default();
        let tighter = match way {
            Smaller => old.min(new),
            SmallerOrNone if old == none => new,
            SmallerOrNone if new == none => old,
            SmallerOrNone => old.min(new),
            Larger => old.max(new),
            Neither | Fixed => old,
        };
        let told = if matches!(way, Fixed) { &mut self.fixed } else { &mut self.looser };
        // One key may stand for several limits.
        let limit = Limit { whose: self.whose, key };
        if tighter != new && !told.contains(&limit) {
            told.push(limit);
        }
        tighter
    }
}

/// Picks field by field. The patterns name every field, so that one that is added does not
/// compile before somebody has said which way it is the tighter.
macro_rules! pick {
    (
        $method:ident,
        $of:ident { $($field:ident $way:ident $key:literal,)+ } $($inner:ident $by:ident)?
    ) => {
        impl Finder {
            fn $method(&mut self, old: &$of, new: &$of) -> $of {
                let $of { $($field,)+ $($inner,)? } = old;
                $(let $field = self.pick($key, $way, *$field, new.$field);)+
                $(let $inner = self.$by($inner, &new.$inner);)?
                $of { $($field,)+ $($inner,)? }
            }
        }
    };
}

pick! { account, RiskLimits {
    mark_age_ns_max Smaller "book_age_max",
    collar_e4 Smaller "collar_pct",
    order_value_max Smaller "order_notional_max",
    order_base_max SmallerOrNone "order_size_max",
    position_equity_e4 Smaller "position_pct",
    position_value_max SmallerOrNone "position_max",
    fee_allowance_e6 Fixed "fee_allowance",
    market_slippage_e4 Fixed "market_slippage",
    strategy_orders_per_s Smaller "orders_per_second",
    strategy_orders_burst Smaller "orders_per_second",
    orders_per_s Smaller "orders_per_second",
    orders_burst Smaller "orders_per_second",
    cancels_per_s Neither "cancels_per_second",
    cancels_burst Neither "cancels_per_second",
    open_orders_instrument_max Smaller "open_orders_max",
    open_orders_max Smaller "open_orders_max",
    equity_age_ns_max Smaller "equity_age_max",
    gross_equity_e4 SmallerOrNone "gross_pct",
    gross_value_max SmallerOrNone "gross_max",
    net_equity_e4 SmallerOrNone "net_pct",
    net_value_max SmallerOrNone "net_max",
    leverage_e4 Smaller "leverage_max",
    maintenance_e4 Larger "maintenance_margin_pct",
    margin_distance_e4 Larger "margin_distance",
    daily_loss_e4 SmallerOrNone "daily_loss_pct",
    daily_loss_value_max SmallerOrNone "daily_loss_max",
    drawdown_e4 Smaller "drawdown_pct",
    weight_per_s Smaller "weight_per_second",
    weight_burst Smaller "weight_burst",
    weight_reserve Larger "weight_reserve",
    weight_place Larger "order_weight",
    weight_cancel Neither "cancel_weight",
    runaway_intents_per_s Smaller "runaway_intents",
    runaway_refused_row Smaller "runaway_refused",
    manual_share_e4 Smaller "manual_pct",
    semi_auto_share_e4 Smaller "semi_auto_pct",
} statistics statistics }

pick! { statistics, StatisticsLimits {
    correlation_e4 Smaller "correlation_max",
    correlation_from_e6 Smaller "correlation_from_pct",
    shortfall_equity_e6 SmallerOrNone "shortfall_pct",
    heat_equity_e6 SmallerOrNone "heat_pct",
    fallback_volatility_e6 Fixed "fallback_volatility_pct",
    history_min Fixed "history_min",
} }

pick! { row, ScopeLimits {
    order_value_max SmallerOrNone "order_notional_max",
    order_base_max SmallerOrNone "order_size_max",
    collar_e4 SmallerOrNone "collar_pct",
    position_equity_e4 SmallerOrNone "position_pct",
    position_value_max SmallerOrNone "position_max",
    gross_equity_e4 SmallerOrNone "gross_pct",
    gross_value_max SmallerOrNone "gross_max",
    net_equity_e4 SmallerOrNone "net_pct",
    net_value_max SmallerOrNone "net_max",
    open_orders_max SmallerOrNone "open_orders_max",
    orders_per_s SmallerOrNone "orders_per_second",
    maintenance_e4 Neither "maintenance_margin_pct",
} }

pick! { breakers, BreakerLimits {
    losses_max SmallerOrNone "losses",
    loss_min Smaller "loss_min",
    loss_max SmallerOrNone "loss_max",
    reject_e4_max SmallerOrNone "reject_pct",
    error_e4_max SmallerOrNone "error_pct",
    ack_p99_ns_max SmallerOrNone "ack_p99_max",
    calls_min Smaller "calls_min",
    errors_max SmallerOrNone "errors",
    window_ns Neither "window",
    open_ns Larger "open_for",
    jitter_e4 Neither "jitter_pct",
    successes_to_close Larger "successes",
    probes_max Smaller "probes",
    seed Fixed "seed",
} }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::units;
    use crate::reload;
    use crate::scopes::Scopes;
    use proptest::prelude::*;

    fn book() -> LimitBook {
        let breakers = Some(BreakerLimits::default());
        let book = LimitBook::new(&RiskLimits::default(), &Scopes::default(), 2, 2);
        LimitBook { breakers, ..book }
    }

    #[test]
    fn tighter_needs_no_word_and_looser_is_named() {
        let (old, mut new) = (book(), book());
        assert_eq!(difference(&old, &new).tightest, old);
        new.account.order_value_max = units(10);
        new.account.gross_value_max = units(1_000);
        new.account.margin_distance_e4 += 1;
        new.strategies[1].orders_per_s = 3;
        let d = difference(&old, &new);
        assert_eq!((&d.tightest, d.looser.len()), (&new, 0), "no limit became one");
        let back = difference(&new, &old);
        assert_eq!(back.tightest, new);
        let told: Vec<_> = back.looser.iter().map(ToString::to_string).collect();
        let expected = [
            "order_notional_max",
            "gross_max",
            "margin_distance",
            "orders_per_second of strategy 2",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_book_with_both_is_taken_in_its_tighter_part() {
        let (old, mut new) = (book(), book());
        new.account.position_equity_e4 = 100;
        new.account.drawdown_e4 = 2_000;
        new.account.statistics.history_min = 5;
        new.breakers.as_mut().expect("there").open_ns = 1;
        let d = difference(&old, &new);
        assert_eq!(d.tightest.account.position_equity_e4, 100);
        assert_eq!(d.tightest.account.drawdown_e4, old.account.drawdown_e4);
        let told: Vec<_> = d.looser.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["drawdown_pct", "open_for of the breakers"]);
        assert_eq!(d.fixed, [Limit { whose: Whose::Account, key: "history_min" }]);
    }

    /// Any book: a few fields of each way drawn, the rest as usual.
    fn any_book() -> impl Strategy<Value = LimitBook> {
        (0i64..5, 1i64..5, 0u32..4, 1i64..5, 1u64..4, 0i64..5).prop_map(|(a, b, c, d, e, f)| {
            let mut book = book();
            book.account.gross_value_max = units(a);
            book.account.order_value_max = units(b);
            book.instruments[1].open_orders_max = c;
            book.account.margin_distance_e4 = 10_000 + d;
            book.account.mark_age_ns_max = e;
            book.venue.net_equity_e4 = f;
            book
        })
    }

    proptest! {
        /// The tighter of both is looser than neither, does not depend on who runs, and is its own
        /// tighter with either.
        #[test]
        fn the_tightest_is_under_both(a in any_book(), b in any_book()) {
            let d = difference(&a, &b);
            prop_assert_eq!(&d.tightest, &difference(&b, &a).tightest);
            for one in [&a, &b] {
                let again = difference(one, &d.tightest);
                prop_assert_eq!(&again.tightest, &d.tightest);
                prop_assert!(again.looser.is_empty(), "{:?}", again.looser);
            }
            prop_assert_eq!(d.looser.is_empty(), d.tightest == b);
            prop_assert!(d.tightest.validate().is_ok());
            prop_assert!(!reload::commands(&d.tightest).is_empty());
        }
    }
}
