//! A live book that has the venue's newest update holds the venue's levels: same prices, same
//! quantities, from the touch on.

use bot4_types::Level;
use bot4_venue::matching::Side;

use super::{Checker, View, WholeBook};

/// Nothing to remember.
pub struct Books;

impl Checker for Books {
    fn name(&self) -> &'static str {
        "books"
    }

    fn look(&mut self, view: &View<'_>) -> Result<(), String> {
        for whole in view.whole {
            let Some(market) = view.venue.markets.get(whole.market) else { continue };
            for (side, ours) in [Side::Buy, Side::Sell].into_iter().zip(&whole.sides) {
                let levels = market.book.levels(side).map(|(price, qty)| Level { price, qty });
                let theirs: Vec<Level> = levels.take(WholeBook::DEPTH).collect();
                if let Some(n) = differs(ours, &theirs) {
                    let near = |levels: &[Level]| {
                        let levels = levels.iter().skip(n.saturating_sub(2)).take(5);
                        levels.map(|l| (l.price, l.qty)).collect::<Vec<_>>()
                    };
                    return Err(format!(
                        "{} {side:?} differs at level {n} of {}: ours {:?}, the venue's {:?}",
                        market.spec.name,
                        market.book.level_count(side),
                        near(ours),
                        near(&theirs)
                    ));
                }
            }
        }
        Ok(())
    }
}

/// The first level that is not the same.
fn differs(ours: &[Level], theirs: &[Level]) -> Option<usize> {
    (0..ours.len().max(theirs.len())).find(|n| ours.get(*n) != theirs.get(*n))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, ONE};
    use super::*;

    #[test]
    fn a_wrong_and_a_missing_level_are_found() {
        let mut fixture = Fixture::new();
        fixture.place(1);
        let whole = |bids| vec![WholeBook { market: 0, sides: [bids, Vec::new()] }];
        let level = Level { price: 90 * ONE, qty: ONE };
        fixture.whole = whole(vec![level]);
        assert_eq!(fixture.look(&mut Books), Ok(()));
        fixture.whole = whole(vec![Level { qty: ONE + 1, ..level }]);
        assert!(fixture.look(&mut Books).is_err());
        fixture.whole = whole(Vec::new());
        assert!(fixture.look(&mut Books).is_err());
    }
}
