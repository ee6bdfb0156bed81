//! What assets are worth in the reporting asset, by the marks that were handed in.
//!
//! Only marks given by [`Valuation::on_mark`] count, so a valuation is a function of recorded
//! inputs. An asset is converted along a path of at most [`HOPS_MAX`] instruments. Paths are found
//! once, at the start, over the instruments of all venues: the shortest first, then those that do
//! without one or all of its instruments; the first whose marks are all there is used. Among equals
//! the lower instrument numbers win, so equal tables have equal paths. In a run of several venues
//! those of the asset's own venue come first, and a path whose books are live before one whose are
//! not.
//!
//! Each hop rounds in the direction asked for: [`Valuation::value`] never to more equity,
//! [`Valuation::value_up`] never to less exposure. Cost: a multiplication and a division a hop.

use bot4_types::instrument::Amount;
use bot4_types::{AssetId, BookState, Instrument, InstrumentId, InstrumentTable, Mark, Price};
use serde::{Deserialize, Serialize};

use crate::money::{mul_div_ceil, mul_div_floor, power_of_ten};

/// Instruments on the longest path.
pub const HOPS_MAX: usize = 3;
/// Paths kept of an asset: the shortest and those that replace it while a mark is missing.
pub const PATHS_MAX: usize = 5;

/// One conversion on a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// By whose price.
    pub instrument: InstrumentId,
    /// What comes in is the base asset and goes out as quote asset; else the other way round.
    pub from_base: bool,
}

/// A way from an asset to the reporting asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Path {
    hops: [Hop; HOPS_MAX],
    len: u8,
}

impl Path {
    fn hops(&self) -> &[Hop] {
        &self.hops[..usize::from(self.len)]
    }

    fn with(mut self, hop: Hop) -> Option<Self> {
        *self.hops.get_mut(usize::from(self.len))? = hop;
        self.len += 1;
        Some(self)
    }
}

/// The paths of an asset, best first. The reporting asset has one of no hop.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Route {
    paths: [Path; PATHS_MAX],
    count: u8,
}

impl Route {
    fn paths(&self) -> &[Path] {
        &self.paths[..usize::from(self.count)]
    }

    fn add(&mut self, path: Option<Path>) {
        let Some(path) = path.filter(|p| !self.paths().contains(p)) else { return };
        if let Some(place) = self.paths.get_mut(usize::from(self.count)) {
            *place = path;
            self.count += 1;
        }
    }
}

/// Where a conversion rounds to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    Down,
    Up,
}

/// Paths and marks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Valuation {
    routes: Box<[Route]>,
    marks: Box<[Mark]>,
    price_scales: Box<[i128]>,
    /// There are several venues: one may be down while another tells the price.
    several: bool,
}

/// A spread above this share of the bid, one per cent, says little of what a thing is worth.
const WIDE_PER: i64 = 100;

/// The one price of a mark: microprice, else the middle, else the last trade.
///
/// A book that is empty on one side but for a far level would put a microprice, which leans to the
/// thin side, anywhere: equity's peak would be taken there, and the way back be called a drawdown.
/// So where the spread is wider than one per cent, the price is the median of bid, ask and last
/// trade.
#[must_use]
pub fn mark_price(mark: &Mark) -> Option<Price> {
    let quoted = mark.bid > 0 && mark.ask > 0;
    let wide = quoted && mark.ask.saturating_sub(mark.bid) > mark.bid / WIDE_PER;
    if wide && mark.last_trade > 0 {
        return Some(Price(mark.last_trade.clamp(mark.bid, mark.ask)));
    }
    let middle = || quoted.then(|| mark.bid.midpoint(mark.ask));
    let price = if mark.micro > 0 && !wide { Some(mark.micro) } else { middle() };
    price.or((mark.last_trade > 0).then_some(mark.last_trade)).map(Price)
}

impl Valuation {
    /// Paths over `table` to the reporting asset `quote`. Allocates once.
    #[must_use]
    pub fn new(table: &InstrumentTable, quote: AssetId) -> Self {
        let route = |i| route(table, AssetId(i as u8), quote);
        Self {
            routes: (0..table.assets_len()).map(route).collect(),
            marks: vec![Mark::default(); table.all().len()].into_boxed_slice(),
            price_scales: table.all().iter().map(|i| power_of_ten(i.price_decimals)).collect(),
            several: table.venues_len() > 1,
        }
    }

    /// Takes in a mark; one of an unknown instrument is dropped.
    pub fn on_mark(&mut self, mark: &Mark) {
        if let Some(held) = self.marks.get_mut(mark.instrument.index()) {
            *held = *mark;
        }
    }

    /// The newest mark that was handed in.
    #[must_use]
    pub fn mark(&self, instrument: InstrumentId) -> Option<&Mark> {
        self.marks.get(instrument.index())
    }

    /// The instruments by whose marks `asset` may be valued, those of its best path first; one
    /// that several paths use comes several times.
    pub fn instruments_of(&self, asset: AssetId) -> impl Iterator<Item = InstrumentId> + '_ {
        let route = self.routes.get(usize::from(asset.0));
        let paths = route.into_iter().flat_map(Route::paths);
        paths.flat_map(|p| p.hops().iter().map(|hop| hop.instrument))
    }

    /// The hops of the best path of `asset`; empty for the reporting asset, `None` without a path.
    #[must_use]
    pub fn path(&self, asset: AssetId) -> Option<&[Hop]> {
        self.routes.get(usize::from(asset.0))?.paths().first().map(Path::hops)
    }

    /// There is a way to value `asset`, though its marks may not be there yet.
    #[must_use]
    pub fn has_route(&self, asset: AssetId) -> bool {
        self.path(asset).is_some()
    }

    /// `amount` of `asset` in the reporting asset, rounded down; `None` without a path whose
    /// marks are there.
    #[must_use]
    pub fn value(&self, asset: AssetId, amount: Amount) -> Option<Amount> {
        self.convert(asset, amount, Round::Down)
    }

    /// As [`value`](Self::value), rounded up: for exposures and what is owed.
    #[must_use]
    pub fn value_up(&self, asset: AssetId, amount: Amount) -> Option<Amount> {
        self.convert(asset, amount, Round::Up)
    }

    fn convert(&self, asset: AssetId, amount: Amount, round: Round) -> Option<Amount> {
        let route = self.routes.get(usize::from(asset.0))?;
        let live = |path: &&Path| path.hops().iter().all(|hop| self.is_live(hop.instrument));
        let of = |path: &Path| self.along(path, amount, round);
        let now = || route.paths().iter().filter(live).find_map(of);
        let first = if self.several { now() } else { None };
        first.or_else(|| route.paths().iter().find_map(of))
    }

    fn along(&self, path: &Path, amount: Amount, round: Round) -> Option<Amount> {
        path.hops().iter().try_fold(amount, |amount, hop| {
            let (price, scale) = self.price(hop.instrument)?;
            let (by, over) = if hop.from_base { (price, scale) } else { (scale, price) };
            Some(match round {
                Round::Down => mul_div_floor(amount, by, over),
                Round::Up => mul_div_ceil(amount, by, over),
            })
        })
    }

    fn is_live(&self, instrument: InstrumentId) -> bool {
        self.mark(instrument).is_some_and(|mark| mark.state == BookState::Live)
    }

    fn price(&self, instrument: InstrumentId) -> Option<(i128, i128)> {
        let price = mark_price(self.marks.get(instrument.index())?)?;
        Some((i128::from(price.0), *self.price_scales.get(instrument.index())?))
    }
}

/// The shortest path of `asset`, then the shortest that use none of its instruments, or not one
/// of them.
fn route(table: &InstrumentTable, asset: AssetId, quote: AssetId) -> Route {
    let mut route = Route::default();
    let best = shortest(table, asset, quote, &[]);
    route.add(best);
    let used: Vec<InstrumentId> =
        best.iter().flat_map(|p| p.hops().iter().map(|h| h.instrument)).collect();
    if !used.is_empty() {
        route.add(shortest(table, asset, quote, &used));
    }
    for instrument in &used {
        route.add(shortest(table, asset, quote, &[*instrument]));
    }
    route
}

/// The shortest path from `from` to `to` over instruments that are not in `without`: a search by
/// breadth, over those of the asset's own venue first, in the order of instrument numbers. An asset
/// is worth the same at every venue.
fn shortest(
    table: &InstrumentTable,
    from: AssetId,
    to: AssetId,
    without: &[InstrumentId],
) -> Option<Path> {
    let venue = table.venue_of(from).unwrap_or_default();
    let (from, to) = (table.namesake(from), table.namesake(to));
    if from == to {
        return Some(Path::default());
    }
    let mut reached = vec![from];
    let mut front = vec![(from, Path::default())];
    for _ in 0..HOPS_MAX {
        let mut next = Vec::new();
        for (asset, path) in front {
            let usable = |own: bool| {
                let of = move |i: &&Instrument| (i.venue == venue) == own;
                table.all().iter().filter(of).filter(|i| !without.contains(&i.id))
            };
            for i in usable(true).chain(usable(false)) {
                let (base, quote) = (table.namesake(i.base), table.namesake(i.quote));
                let there = match asset {
                    a if a == base => quote,
                    a if a == quote => base,
                    _ => continue,
                };
                let hop = Hop { instrument: i.id, from_base: asset == base };
                let Some(path) = path.with(hop) else { continue };
                if there == to {
                    return Some(path);
                }
                if !reached.contains(&there) {
                    reached.push(there);
                    next.push((there, path));
                }
            }
        }
        front = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::units;
    use bot4_types::Symbol;
    use proptest::prelude::*;

    const ONE: i64 = 100_000_000;

    /// A table of the pairs, each `base/quote`, and the number of an asset by name.
    fn table(pairs: &[&str]) -> InstrumentTable {
        let mut table = InstrumentTable::new();
        let name = |s: &str| Symbol::new(s).expect("short");
        for pair in pairs {
            let (base, quote) = pair.split_once('/').expect("a pair");
            let base = table.asset(name(base)).expect("room");
            let quote = table.asset(name(quote)).expect("room");
            let bare = Instrument::bare(InstrumentId(0), name(pair), 8);
            table.push(Instrument { base, quote, ..bare }).expect("room");
        }
        table
    }

    fn asset(table: &InstrumentTable, name: &str) -> AssetId {
        table.find_asset(name.as_bytes()).expect("known")
    }

    fn mark(instrument: u16, micro: i64) -> Mark {
        Mark { instrument: InstrumentId(instrument), micro, ..Mark::default() }
    }

    #[test]
    fn assets_are_valued_either_way_round() {
        let mut table = table(&["BTC/USDT", "USDT/EUR"]);
        let doge = table.asset(Symbol::new("DOGE").expect("short")).expect("room");
        let [btc, usdt, eur] = ["BTC", "USDT", "EUR"].map(|n| asset(&table, n));
        let mut v = Valuation::new(&table, usdt);
        assert_eq!(v.value(btc, units(2)), None);
        v.on_mark(&mark(0, 50_000 * ONE));
        v.on_mark(&mark(1, ONE / 2));
        v.on_mark(&mark(9, 1));
        assert_eq!(v.value(btc, units(2)), Some(units(100_000)));
        assert_eq!(v.value(usdt, units(3)), Some(units(3)));
        assert_eq!(v.value(eur, units(1)), Some(units(2)));
        assert_eq!((v.value(doge, units(1)), v.has_route(doge)), (None, false));
        assert_eq!(v.instruments_of(eur).collect::<Vec<_>>(), [InstrumentId(1)]);
        assert_eq!((v.path(usdt), v.path(doge)), (Some(&[][..]), None));
    }

    #[test]
    fn a_path_of_three_hops_is_found_and_one_of_four_is_not() {
        let table = table(&["A/B", "C/B", "C/D", "D/E"]);
        let at = |to| Valuation::new(&table, asset(&table, to));
        let mut v = at("D");
        for (i, price) in [(0, 3 * ONE), (1, 2 * ONE), (2, 5 * ONE)] {
            assert_eq!(v.value(asset(&table, "A"), units(4)), None);
            v.on_mark(&mark(i, price));
        }
        // 4 A = 12 B = 6 C = 30 D.
        assert_eq!(v.value(asset(&table, "A"), units(4)), Some(units(30)));
        assert!(!at("E").has_route(asset(&table, "A")));
        assert!(at("E").has_route(asset(&table, "B")));
    }

    #[test]
    fn the_shortest_path_is_used_and_another_while_its_mark_is_missing() {
        let table = table(&["A/BTC", "BTC/USDT", "A/USDT"]);
        let (a, usdt) = (asset(&table, "A"), asset(&table, "USDT"));
        let mut v = Valuation::new(&table, usdt);
        assert_eq!(v.path(a).map(|hops| hops[0].instrument), Some(InstrumentId(2)));
        v.on_mark(&mark(0, ONE / 1_000));
        v.on_mark(&mark(1, 50_000 * ONE));
        assert_eq!(v.value(a, units(1)), Some(units(50)));
        v.on_mark(&mark(2, 51 * ONE));
        assert_eq!(v.value(a, units(1)), Some(units(51)));
        v.on_mark(&mark(2, 0));
        assert_eq!(v.value(a, units(1)), Some(units(50)), "a book that lost its prices");
    }

    #[test]
    fn an_asset_is_valued_at_its_own_venue_while_that_is_live() {
        let name = |text: &str| Symbol::new(text).expect("short");
        let (one, two) = (table(&["BTC/USDT"]), table(&["BTC/USDT"]));
        let both = InstrumentTable::joined(&[(name("one"), &one), (name("two"), &two)]);
        let both = both.expect("room");
        let btc = both.all()[1].base;
        let mut v = Valuation::new(&both, both.all()[0].quote);
        let live = |i, micro, state| Mark { state, ..mark(i, micro) };
        v.on_mark(&live(0, 50_000 * ONE, BookState::Live));
        assert_eq!(
            v.value(btc, units(1)),
            Some(units(50_000)),
            "the other one's while none is here"
        );
        v.on_mark(&live(1, 50_010 * ONE, BookState::Live));
        assert_eq!(v.value(btc, units(1)), Some(units(50_010)));
        v.on_mark(&live(1, 50_020 * ONE, BookState::Stale));
        assert_eq!(v.value(btc, units(1)), Some(units(50_000)), "a book that stands still");
        v.on_mark(&live(0, 49_000 * ONE, BookState::Stale));
        assert_eq!(v.value(btc, units(1)), Some(units(50_020)), "all of them: its own");
        assert_eq!(v.value(both.all()[1].quote, units(3)), Some(units(3)));
    }

    #[test]
    fn a_mark_without_microprice_falls_back() {
        let mark = Mark { bid: 1_000, ask: 1_004, last_trade: 9, ..Mark::default() };
        assert_eq!(mark_price(&mark), Some(Price(1_002)));
        assert_eq!(mark_price(&Mark { ask: 0, ..mark }), Some(Price(9)));
        assert_eq!(mark_price(&Mark::default()), None);
    }

    #[test]
    fn a_book_with_one_far_level_does_not_move_the_price() {
        let near = Mark { bid: 15_000, ask: 15_001, micro: 15_001, ..Mark::default() };
        let thin = Mark { ask: 102_200, micro: 101_000, last_trade: 15_002, ..near };
        assert_eq!(mark_price(&near), Some(Price(15_001)));
        assert_eq!(mark_price(&thin), Some(Price(15_002)));
        assert_eq!(mark_price(&Mark { last_trade: 14_000, ..thin }), Some(Price(15_000)));
        assert_eq!(mark_price(&Mark { last_trade: 0, ..thin }), Some(Price(58_600)), "the middle");
        // One per cent is not wide; a hair more is.
        let edge = Mark { ask: 15_150, micro: 15_149, last_trade: 15_010, ..near };
        assert_eq!(mark_price(&edge), Some(Price(15_149)));
        assert_eq!(mark_price(&Mark { ask: 15_151, ..edge }), Some(Price(15_010)));
    }

    proptest! {
        /// Against every simple path, tried one by one: the kept one is as short as any.
        #[test]
        fn no_path_is_shorter_than_the_one_kept(
            edges in proptest::collection::vec((0u8..7, 0u8..7), 1..12),
        ) {
            let pairs: Vec<String> =
                edges.iter().enumerate().map(|(n, (a, b))| format!("{a}/{b}{n}")).collect();
            let mut table = InstrumentTable::new();
            for i in 0..7 {
                table.asset(Symbol::new(&format!("X{i}")).expect("short")).expect("room");
            }
            for (pair, (base, quote)) in pairs.iter().zip(&edges) {
                let symbol = Symbol::new(pair).expect("short");
                let bare = Instrument::bare(InstrumentId(0), symbol, 8);
                let (base, quote) = (AssetId(*base), AssetId(*quote));
                table.push(Instrument { base, quote, ..bare }).expect("room");
            }
            let v = Valuation::new(&table, AssetId(0));
            for from in 0..7 {
                let kept = v.path(AssetId(from)).map(<[Hop]>::len);
                prop_assert_eq!(kept, (0..=HOPS_MAX).find(|n| reaches(&edges, from, *n)));
                for path in v.routes[usize::from(from)].paths() {
                    let end = path.hops().iter().fold(AssetId(from), |at, hop| {
                        let i = table.get(hop.instrument).expect("known");
                        let (here, there) =
                            if hop.from_base { (i.base, i.quote) } else { (i.quote, i.base) };
                        assert_eq!(at, here, "hops follow each other");
                        there
                    });
                    prop_assert_eq!(end, AssetId(0));
                }
            }
        }

        /// Rounding down and up enclose the exact value, and differ by little.
        #[test]
        fn conversions_round_in_their_direction(
            amount in -(1i128 << 60)..(1i128 << 60), p in 1i64..1 << 40, q in 1i64..1 << 40,
        ) {
            let table = table(&["A/B", "C/B"]);
            let mut v = Valuation::new(&table, asset(&table, "C"));
            v.on_mark(&mark(0, p));
            v.on_mark(&mark(1, q));
            let a = asset(&table, "A");
            let (low, high) = (v.value(a, amount), v.value_up(a, amount));
            let (low, high) = (low.expect("marks"), high.expect("marks"));
            let (p, q) = (i128::from(p), i128::from(q));
            let exact_low = (amount * p).div_euclid(q);
            prop_assert!(low <= exact_low && exact_low <= high, "{low} {exact_low} {high}");
            prop_assert!(high - low <= 2 + i128::from(ONE) / q + 1);
        }
    }

    fn reaches(edges: &[(u8, u8)], from: u8, hops: usize) -> bool {
        if hops == 0 {
            return from == 0;
        }
        edges.iter().any(|(a, b)| {
            (*a == from && reaches(edges, *b, hops - 1))
                || (*b == from && reaches(edges, *a, hops - 1))
        })
    }
}
