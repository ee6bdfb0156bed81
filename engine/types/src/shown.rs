//! What books and risk show of themselves in shared memory, word by word: for those who watch from
//! another process. Nothing decides by it.
//!
//! Amounts are shown in 10^-8 of the reporting asset as 64-bit integers, saturated; [`NONE`] is
//! "not known" or "no such limit".

use crate::book::{BookState, StaleReason};
use crate::instrument::{AMOUNT_DECIMALS, Amount};
use crate::market::Level;
use crate::time::Nanos;

/// Levels of each side of a book.
pub const LEVELS: usize = 10;
/// Words of a [`BookShown`].
pub const BOOK_WORDS: usize = 4 + 4 * LEVELS;
/// Words of a [`PositionShown`].
pub const POSITION_WORDS: usize = 3;
/// Words of an [`AccountShown`].
pub const ACCOUNT_WORDS: usize = 11;
/// Not known, or no limit.
pub const NONE: u64 = i64::MIN as u64;
/// 10^-8 of an asset in units of an [`Amount`].
const E8: Amount = 10i128.pow(AMOUNT_DECIMALS as u32 - 8);

/// `amount` in 10^-8, rounded down and saturated; [`NONE`] for none.
#[must_use]
pub fn e8(amount: Option<Amount>) -> u64 {
    let Some(amount) = amount else { return NONE };
    let most = Amount::from(i64::MAX);
    (amount.div_euclid(E8).clamp(-most, most) as i64) as u64
}

/// The word as an amount in whole units; for eyes, hence a float.
#[must_use]
pub fn amount(word: u64) -> Option<f64> {
    (word != NONE).then(|| word as i64 as f64 / 1e8)
}

/// A book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookShown {
    /// How far it may be trusted.
    pub state: BookState,
    /// Why it is stale.
    pub reason: StaleReason,
    /// The venue's number of its newest update.
    pub update_id: u64,
    /// When it was shown.
    pub at: Nanos,
    /// Best bids, best first; quantity zero where there is no level.
    pub bids: [Level; LEVELS],
    /// Best asks.
    pub asks: [Level; LEVELS],
}

impl BookShown {
    /// As words.
    #[must_use]
    pub fn words(&self) -> [u64; BOOK_WORDS] {
        let mut words = [0; BOOK_WORDS];
        let head = [self.state as u64, self.reason as u64, self.update_id, self.at.0];
        words[..4].copy_from_slice(&head);
        for (pair, level) in words[4..].chunks_exact_mut(2).zip(self.bids.iter().chain(&self.asks))
        {
            pair.copy_from_slice(&[level.price as u64, level.qty as u64]);
        }
        words
    }

    /// From words; none when they are no book.
    #[must_use]
    pub fn of(words: &[u64]) -> Option<Self> {
        let words: &[u64; BOOK_WORDS] = words.try_into().ok()?;
        let level =
            |i: usize| Level { price: words[4 + 2 * i] as i64, qty: words[5 + 2 * i] as i64 };
        Some(Self {
            state: *STATES.get(usize::try_from(words[0]).ok()?)?,
            reason: *REASONS.get(usize::try_from(words[1]).ok()?)?,
            update_id: words[2],
            at: Nanos(words[3]),
            bids: core::array::from_fn(level),
            asks: core::array::from_fn(|i| level(LEVELS + i)),
        })
    }
}

const STATES: [BookState; 4] =
    [BookState::Waiting, BookState::Syncing, BookState::Live, BookState::Stale];
const REASONS: [StaleReason; 10] = [
    StaleReason::None,
    StaleReason::Gap,
    StaleReason::Crossed,
    StaleReason::Damaged,
    StaleReason::Line,
    StaleReason::Capacity,
    StaleReason::Horizon,
    StaleReason::Checksum,
    StaleReason::Rules,
    StaleReason::Shed,
];

impl BookState {
    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        ["waiting", "syncing", "live", "stale"][self as usize]
    }
}

impl StaleReason {
    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        const NAMES: [&str; 10] = [
            "none", "gap", "crossed", "damaged", "line", "capacity", "horizon", "checksum",
            "rules", "shed",
        ];
        NAMES[self as usize]
    }
}

/// The account's position in an instrument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PositionShown {
    /// Net quantity by fills, quantity units.
    pub qty: i64,
    /// Value if everything of the worse side fills.
    pub worst: Option<Amount>,
    /// Its limit.
    pub worst_max: Option<Amount>,
}

impl PositionShown {
    /// As words.
    #[must_use]
    pub fn words(&self) -> [u64; POSITION_WORDS] {
        [self.qty as u64, e8(self.worst), e8(self.worst_max)]
    }
}

/// The account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountShown {
    /// Worst-case gross exposure and its limit.
    pub gross: [Option<Amount>; 2],
    /// Worst-case net exposure, the larger direction, and its limit.
    pub net: [Option<Amount>; 2],
    /// Limit of the day's loss.
    pub daily_loss_max: Option<Amount>,
    /// Limit of the fall from the peak, 10^-4.
    pub drawdown_max_e4: i64,
    /// Limit of open orders.
    pub open_orders_max: u32,
    /// Profit of closed positions, fees not deducted.
    pub realized: Option<Amount>,
    /// Profit of open positions.
    pub unrealized: Option<Amount>,
    /// Fees paid.
    pub fees: Option<Amount>,
    /// Funding received.
    pub funding: Option<Amount>,
}

impl AccountShown {
    /// As words, in the order of the fields.
    #[must_use]
    pub fn words(&self) -> [u64; ACCOUNT_WORDS] {
        let ([gross, gross_max], [net, net_max]) = (self.gross.map(e8), self.net.map(e8));
        let (loss, drawdown) = (e8(self.daily_loss_max), self.drawdown_max_e4 as u64);
        let earned = [self.realized, self.unrealized, self.fees, self.funding].map(e8);
        let [realized, unrealized, fees, funding] = earned;
        let orders = self.open_orders_max.into();
        let limits = [gross, gross_max, net, net_max, loss, drawdown, orders];
        let mut words = [0; ACCOUNT_WORDS];
        words[..7].copy_from_slice(&limits);
        words[7..].copy_from_slice(&[realized, unrealized, fees, funding]);
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_reads_back_and_nonsense_does_not() {
        let level = |n: i64| Level { price: 100 + n, qty: n };
        let book = BookShown {
            state: BookState::Stale,
            reason: StaleReason::Shed,
            update_id: 7,
            at: Nanos(9),
            bids: core::array::from_fn(|i| level(i as i64)),
            asks: core::array::from_fn(|i| level(-(i as i64))),
        };
        let mut words = book.words();
        assert_eq!(BookShown::of(&words), Some(book));
        assert_eq!(BookShown::of(&words[1..]), None);
        words[1] = 99;
        assert_eq!(BookShown::of(&words), None);
        assert!(STATES.iter().enumerate().all(|(i, s)| *s as usize == i && !s.name().is_empty()));
        assert!(REASONS.iter().enumerate().all(|(i, r)| *r as usize == i && !r.name().is_empty()));
    }

    #[test]
    fn amounts_are_signed_and_what_is_not_known_is_no_zero() {
        let one = 10i128.pow(16);
        assert_eq!(amount(e8(Some(-one / 4))), Some(-0.25));
        assert_eq!(amount(e8(Some(-1))), Some(-1e-8), "rounded down");
        assert_eq!(amount(e8(None)), None);
        assert!(amount(e8(Some(Amount::MAX))).is_some_and(|most| most > 9e10));
        assert!(amount(e8(Some(Amount::MIN))).is_some_and(|least| least < -9e10));
        let account = AccountShown {
            gross: [Some(one), None],
            open_orders_max: 5,
            funding: Some(2 * one),
            ..AccountShown::default()
        };
        let words = account.words();
        assert_eq!((amount(words[0]), words[1], words[6]), (Some(1.0), NONE, 5));
        assert_eq!(amount(words[10]), Some(2.0));
    }
}
