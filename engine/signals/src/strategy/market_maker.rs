//! A market maker: quotes both sides around the microprice, and leans both against its inventory.
//!
//! ```text
//! half   = max(half a tick, spread_share * spread, volatility_share * sigma * micro), capped
//! centre = micro - inventory * (skew_share * half + skew_volatility * sigma * micro)
//! bid    = centre - half, rounded down, below the best ask
//! ask    = centre + half, rounded up, above the best bid
//! ```
//! `inventory` is the position's worth over the limit, in -1..=1; `sigma` the realised volatility
//! of one update. Long inventory lowers both quotes: the ask comes nearer, the bid goes away, more
//! so when the market is wild (after Avellaneda and Stoikov, "High-frequency trading in a limit
//! order book", 2008, with the market's own spread in place of their fill intensity).
//!
//! Quotes are post-only. A quote stays at least `life_min` unless it stands beyond the
//! microprice, and is moved only by at least the requote threshold: queue position is worth more
//! than half a tick.

use bot4_types::{Nanos, Price, Qty, Side};

use super::Strategy;
use crate::actions::Actions;
use crate::market::View;
use crate::rules::PRICE_MAX;

/// Parameters of [`MarketMaker`]. The defaults suit a lively market of large USDT pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MarketMakerParams {
    /// Worth of one quote in whole units of the quote asset.
    pub quote_worth: f64,
    /// Worth of the largest position on either side, in the same units.
    pub position_worth_max: f64,
    /// Half spread as a share of the market's spread; below 0.5 the quotes improve the touch.
    pub spread_share: f64,
    /// Half spread for each unit of realised volatility.
    pub volatility_share: f64,
    /// Largest half spread in spreads of the market.
    pub half_spreads_max: f64,
    /// Shift at full inventory, in half spreads.
    pub skew_share: f64,
    /// Further shift at full inventory, in units of realised volatility.
    pub skew_volatility: f64,
    /// Smallest move of a quote, in ticks.
    pub requote_ticks: f64,
    /// Smallest move of a quote as a share of the market's spread.
    pub requote_share: f64,
    /// How long a quote rests at least.
    pub life_min: Nanos,
    /// What rests is amended where that can be, instead of cancelled and placed.
    pub amend: bool,
    /// Updates of the features before the first quote.
    pub warm_up: u32,
}

impl Default for MarketMakerParams {
    fn default() -> Self {
        Self {
            quote_worth: 400.0,
            position_worth_max: 4_000.0,
            spread_share: 0.35,
            volatility_share: 0.25,
            half_spreads_max: 1.0,
            skew_share: 1.0,
            skew_volatility: 1.0,
            requote_ticks: 1.0,
            requote_share: 0.1,
            life_min: Nanos::from_millis(80),
            amend: false,
            warm_up: 10,
        }
    }
}

/// What the quotes are computed from.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Situation {
    bid: i64,
    ask: i64,
    tick: i64,
    microprice: f64,
    volatility: f64,
    /// -1..=1.
    inventory: f64,
}

/// See the module's page. Has no memory of its own: everything it needs is in the view.
#[derive(Debug)]
pub struct MarketMaker {
    params: MarketMakerParams,
}

impl MarketMaker {
    /// A market maker with these parameters.
    #[must_use]
    pub const fn new(params: MarketMakerParams) -> Self {
        Self { params }
    }

    /// Bid and ask to show, before a side is left out for inventory.
    fn prices(&self, s: &Situation) -> [Price; 2] {
        let (p, tick) = (&self.params, s.tick.max(1));
        let spread = (s.ask - s.bid) as f64;
        let wild = s.volatility * s.microprice;
        let half = (0.5 * tick as f64).max(p.spread_share * spread).max(p.volatility_share * wild);
        let half = half.min((p.half_spreads_max * spread).max(0.5 * tick as f64));
        let shift = s.inventory * (p.skew_share * half + p.skew_volatility * wild);
        let centre = s.microprice - shift;
        let price = |at: f64| Price((at as i64).clamp(0, PRICE_MAX));
        let bid = price((centre - half).floor()).to_tick(tick, Side::Buy);
        let ask = price((centre + half).ceil()).to_tick(tick, Side::Sell);
        [bid.min(Price(s.ask - tick)), ask.max(Price(s.bid + tick))]
    }

    /// The position's worth over the limit, -1..=1.
    fn inventory(&self, view: &View<'_>) -> f64 {
        let limit = view.qty_worth(self.params.position_worth_max).0.max(1) as f64;
        (view.position().0 as f64 / limit).clamp(-1.0, 1.0)
    }

    fn side(&self, side: Side, price: Price, qty: Qty, view: &View<'_>, orders: &mut Actions<'_>) {
        if let Some(open) = view.quote(side).filter(|open| !open.closing) {
            let beyond = side.sign() as f64 * (open.price.0 as f64 - view.features().microprice);
            let young = view.now().since(open.since) < self.params.life_min;
            let tick = view.instrument().tick.max(1) as f64;
            let spread = (view.ask().price - view.bid().price) as f64;
            let least = (self.params.requote_ticks * tick).max(self.params.requote_share * spread);
            let near = ((price.0 - open.price.0).abs() as f64) < least;
            let enough = open.qty.0.saturating_sub(open.filled.0) >= qty.0 / 2;
            if beyond <= 0.0 && (young || near && enough) {
                return;
            }
        }
        if self.params.amend {
            orders.amend(side, price, qty);
        } else {
            orders.quote(side, price, qty);
        }
    }
}

impl Strategy for MarketMaker {
    fn name(&self) -> &'static str {
        "market_maker"
    }

    fn on_top(&mut self, view: &View<'_>, orders: &mut Actions<'_>) {
        let features = view.features();
        if features.updates < self.params.warm_up || !features.microprice.is_finite() {
            return;
        }
        let inventory = self.inventory(view);
        let prices = self.prices(&Situation {
            bid: view.bid().price,
            ask: view.ask().price,
            tick: view.instrument().tick,
            microprice: features.microprice,
            volatility: features.volatility,
            inventory,
        });
        let qty = view.qty_worth(self.params.quote_worth);
        for (side, price) in [Side::Buy, Side::Sell].into_iter().zip(prices) {
            if side.sign() as f64 * inventory >= 1.0 {
                orders.pull(side);
            } else {
                self.side(side, price, qty, view, orders);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TICK: i64 = 1_000_000;

    fn flat() -> Situation {
        let (bid, ask) = (6_000_000_000_000, 6_000_100_000_000);
        let microprice = 0.5 * (bid + ask) as f64;
        Situation { bid, ask, tick: TICK, microprice, volatility: 1e-5, inventory: 0.0 }
    }

    fn prices(s: Situation) -> [i64; 2] {
        MarketMaker::new(MarketMakerParams::default()).prices(&s).map(|p| p.0)
    }

    #[test]
    fn flat_quotes_stand_around_the_microprice_inside_the_spread() {
        let s = flat();
        let [bid, ask] = prices(s);
        assert!(s.bid < bid && bid < ask && ask < s.ask);
        assert_eq!(bid + ask, s.bid + s.ask);
    }

    #[test]
    fn inventory_leans_both_quotes_against_itself() {
        let lean = |inventory| prices(Situation { inventory, ..flat() });
        let (long, even, short) = (lean(0.8), lean(0.0), lean(-0.8));
        for side in 0..2 {
            assert!(long[side] < even[side] && even[side] < short[side]);
        }
        // The lean grows with inventory and with volatility.
        assert!(lean(1.0)[1] < lean(0.5)[1]);
        let wild = prices(Situation { inventory: 0.8, volatility: 2e-5, ..flat() });
        assert!(wild[0] < long[0]);
    }

    #[test]
    fn a_spread_of_one_tick_is_joined_or_left_never_crossed() {
        let s = Situation { bid: 100 * TICK, ask: 101 * TICK, volatility: 0.0, ..flat() };
        let at = |share: f64| {
            let microprice = s.bid as f64 + share * TICK as f64;
            prices(Situation { microprice, ..s }).map(|p| p / TICK)
        };
        assert_eq!(at(0.5), [100, 101]);
        assert_eq!(at(0.9), [100, 102]);
        assert_eq!(at(0.1), [99, 101]);
    }

    proptest! {
        #[test]
        fn quotes_are_on_tick_passive_and_apart(
            bid in 1i64..10_000_000, spread in 1i64..10_000, share in 0.0f64..=1.0,
            volatility in prop_oneof![0.0f64..1e-2, Just(f64::NAN)], inventory in -1.0f64..=1.0,
        ) {
            let (bid, ask) = (bid * TICK, (bid + spread) * TICK);
            let microprice = bid as f64 + share * (ask - bid) as f64;
            let [b, a] = prices(Situation {
                bid, ask, tick: TICK, microprice, volatility, inventory,
            });
            prop_assert_eq!((b % TICK, a % TICK), (0, 0));
            prop_assert!(b < ask && a > bid && a - b >= TICK, "{b} {a}");
        }
    }
}
