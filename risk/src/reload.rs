//! Limits on their way to risk while it runs: as bytes in parts, of which the last word commits.
//!
//! The control lane encodes a whole [`LimitBook`] and sends it in parts; risk sets them aside and
//! takes nothing of them before the commit, which names length and sum. So limits change all at
//! once or not at all, and a replay that is fed the same commands changes them at the same place.
//! Rows without limits are left out. No allocation on risk's side after construction.

use bot4_types::RiskCommand;
use bot4_types::command::LIMITS_PART;
use bot4_types::log::{Reader, Writer};
use serde::{Deserialize, Serialize};

use crate::breaker::BreakerLimits;
use crate::limits::RiskLimits;
use crate::scopes::{LimitBook, ScopeLimits};
use crate::statistics::StatisticsLimits;

/// Bytes of the account's limits and of a row, with room for fields to come.
const ACCOUNT_MAX: usize = 512;
const ROW_MAX: usize = 160;

/// What a row is about, as its first byte.
const VENUE: u8 = b'v';
const STRATEGY: u8 = b's';
const INSTRUMENT: u8 = b'i';
const BREAKERS: u8 = b'b';

/// Why a change of limits was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadError {
    /// Parts are missing, doubled or not those that the commit speaks of.
    Parts,
    /// The bytes are not limits of this run.
    Bytes,
    /// A limit that cannot be meant.
    Limit(crate::limits::LimitError),
}

/// FNV-1a of 64 bits: a commit names the parts that it is of.
#[must_use]
pub fn sum_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

const fn bytes_max(book: &LimitBook) -> usize {
    // The venue and the breakers have a row, too.
    ACCOUNT_MAX + (2 + book.strategies.len() + book.instruments.len()) * ROW_MAX
}

/// `book` as bytes.
#[must_use]
pub fn encode(book: &LimitBook) -> Vec<u8> {
    let mut bytes = vec![0; bytes_max(book)];
    let mut w = Writer::over(&mut bytes);
    write_account(&mut w, &book.account);
    let mut row = |kind: u8, n: usize, limits: &ScopeLimits| {
        if *limits != ScopeLimits::default() {
            w.u8(kind);
            w.u16(n as u16);
            write_row(&mut w, limits);
        }
    };
    row(VENUE, 0, &book.venue);
    book.strategies.iter().enumerate().for_each(|(n, limits)| row(STRATEGY, n, limits));
    book.instruments.iter().enumerate().for_each(|(n, limits)| row(INSTRUMENT, n, limits));
    if let Some(breakers) = &book.breakers {
        w.u8(BREAKERS);
        w.u16(0);
        write_breakers(&mut w, breakers);
    }
    let written = w.written();
    bytes.truncate(written);
    bytes
}

/// `book` for risk: in parts, then the word that makes it hold.
#[must_use]
pub fn commands(book: &LimitBook) -> Vec<RiskCommand> {
    let whole = encode(book);
    let part = |(n, chunk): (usize, &[u8])| {
        let mut bytes = [0; LIMITS_PART];
        bytes[..chunk.len()].copy_from_slice(chunk);
        RiskCommand::LimitsPart { at: (n * LIMITS_PART) as u32, len: chunk.len() as u8, bytes }
    };
    let mut commands: Vec<_> = whole.chunks(LIMITS_PART).enumerate().map(part).collect();
    let (len, sum) = (whole.len() as u32, sum_of(&whole));
    commands.push(RiskCommand::LimitsCommit { len, sum });
    commands
}

/// Reads what [`encode`] wrote into `book`; `None` when it is not that.
fn decode(bytes: &[u8], book: &mut LimitBook) -> Option<()> {
    let mut r = Reader::over(bytes);
    book.account = read_account(&mut r)?;
    (book.venue, book.breakers) = (ScopeLimits::default(), None);
    book.strategies.fill(ScopeLimits::default());
    book.instruments.fill(ScopeLimits::default());
    while !r.rest().is_empty() {
        let (kind, n) = (r.u8()?, usize::from(r.u16()?));
        if kind == BREAKERS {
            book.breakers = Some(read_breakers(&mut r)?);
            continue;
        }
        let limits = read_row(&mut r)?;
        *match kind {
            VENUE => Some(&mut book.venue),
            STRATEGY => book.strategies.get_mut(n),
            INSTRUMENT => book.instruments.get_mut(n),
            _ => None,
        }? = limits;
    }
    Some(())
}

/// Parts set aside until they are committed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Staging {
    bytes: Box<[u8]>,
    len: usize,
    /// A part was not the next one: nothing counts before a new beginning.
    broken: bool,
    book: LimitBook,
}

impl Staging {
    /// For limits of the run of `book`. Allocates once.
    #[must_use]
    pub fn new(book: &LimitBook) -> Self {
        let bytes = vec![0; bytes_max(book)].into_boxed_slice();
        Self { bytes, len: 0, broken: false, book: book.clone() }
    }

    /// Sets a part aside; the one at zero begins anew.
    pub fn part(&mut self, at: u32, part: &[u8]) {
        let at = at as usize;
        if at == 0 {
            (self.len, self.broken) = (0, false);
        }
        let end = at.saturating_add(part.len());
        match self.bytes.get_mut(at..end) {
            Some(place) if at == self.len && !self.broken => {
                place.copy_from_slice(part);
                self.len = end;
            }
            _ => self.broken = true,
        }
    }

    /// The limits that the parts make, if they are the `len` bytes of `sum`. They are used up.
    ///
    /// # Errors
    /// See [`ReloadError`].
    pub fn commit(&mut self, len: u32, sum: u64) -> Result<&LimitBook, ReloadError> {
        let bytes = &self.bytes[..self.len];
        let whole = !self.broken && self.len == len as usize && sum_of(bytes) == sum;
        (self.len, self.broken) = (0, true);
        if !whole {
            return Err(ReloadError::Parts);
        }
        let bytes = &self.bytes[..len as usize];
        decode(bytes, &mut self.book).ok_or(ReloadError::Bytes)?;
        self.book.validate().map_err(ReloadError::Limit)?;
        Ok(&self.book)
    }
}

/// Writes and reads a struct field by field. The patterns name every field, so that one that is
/// added does not compile before it is sent, too.
macro_rules! fields {
    (
        $write:ident, $read:ident,
        $of:ident { $($field:ident $way:ident,)+ } $($inner:ident $w:ident $r:ident)?
    ) => {
        fn $write(w: &mut Writer<'_>, from: &$of) {
            let $of { $($field,)+ $($inner,)? } = from;
            $(w.$way(*$field);)+
            $($w(w, $inner);)?
        }

        fn $read(r: &mut Reader<'_>) -> Option<$of> {
            Some($of { $($field: r.$way()?,)+ $($inner: $r(r)?,)? })
        }
    };
}

fields! { write_account, read_account, RiskLimits {
    mark_age_ns_max u64,
    collar_e4 i64,
    order_value_max i128,
    order_base_max i128,
    position_equity_e4 i64,
    position_value_max i128,
    fee_allowance_e6 i64,
    market_slippage_e4 i64,
    strategy_orders_per_s u32,
    strategy_orders_burst u32,
    orders_per_s u32,
    orders_burst u32,
    cancels_per_s u32,
    cancels_burst u32,
    open_orders_instrument_max u32,
    open_orders_max u32,
    equity_age_ns_max u64,
    gross_equity_e4 i64,
    gross_value_max i128,
    net_equity_e4 i64,
    net_value_max i128,
    leverage_e4 i64,
    maintenance_e4 i64,
    margin_distance_e4 i64,
    daily_loss_e4 i64,
    daily_loss_value_max i128,
    drawdown_e4 i64,
    weight_per_s u32,
    weight_burst u32,
    weight_reserve u32,
    weight_place u32,
    weight_cancel u32,
    manual_share_e4 i64,
    semi_auto_share_e4 i64,
    runaway_intents_per_s u32,
    runaway_refused_row u32,
} statistics write_statistics read_statistics }

fields! { write_statistics, read_statistics, StatisticsLimits {
    correlation_e4 i64,
    correlation_from_e6 i64,
    shortfall_equity_e6 i64,
    heat_equity_e6 i64,
    fallback_volatility_e6 i64,
    history_min u32,
} }

fields! { write_row, read_row, ScopeLimits {
    order_value_max i128,
    order_base_max i128,
    collar_e4 i64,
    position_equity_e4 i64,
    position_value_max i128,
    gross_equity_e4 i64,
    gross_value_max i128,
    net_equity_e4 i64,
    net_value_max i128,
    open_orders_max u32,
    orders_per_s u32,
    maintenance_e4 i64,
} }

fields! { write_breakers, read_breakers, BreakerLimits {
    losses_max u32,
    loss_min i128,
    loss_max i128,
    reject_e4_max u32,
    error_e4_max u32,
    ack_p99_ns_max u64,
    calls_min u32,
    errors_max u32,
    window_ns u64,
    open_ns u64,
    jitter_e4 u32,
    successes_to_close u16,
    probes_max u16,
    seed u64,
} }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{LimitError, units};
    use crate::scopes::Scopes;
    use proptest::prelude::*;

    fn book() -> LimitBook {
        let row = |n: i64| ScopeLimits {
            order_value_max: units(n),
            net_value_max: units(n) + 1,
            open_orders_max: n as u32,
            maintenance_e4: n,
            ..ScopeLimits::default()
        };
        let scopes = Scopes {
            venue: row(1),
            strategies: vec![row(2), ScopeLimits::default(), row(3)],
            instruments: (0..64).map(row).collect(),
        };
        let account = RiskLimits { gross_value_max: units(5), ..RiskLimits::default() };
        let breakers = Some(BreakerLimits { losses_max: 7, seed: 9, ..Default::default() });
        LimitBook { breakers, ..LimitBook::new(&account, &scopes, 3, 64) }
    }

    fn empty() -> Staging {
        Staging::new(&LimitBook::new(&RiskLimits::default(), &Scopes::default(), 3, 64))
    }

    fn put(staging: &mut Staging, bytes: &[u8], size: usize) {
        for (n, part) in bytes.chunks(size).enumerate() {
            staging.part((n * size) as u32, part);
        }
    }

    #[test]
    fn limits_arrive_whole_or_not_at_all() {
        let bytes = encode(&book());
        let (len, sum) = (bytes.len() as u32, sum_of(&bytes));
        let mut staging = empty();
        put(&mut staging, &bytes, 200);
        assert_eq!(staging.commit(len, sum), Ok(&book()));
        assert_eq!(staging.commit(len, sum), Err(ReloadError::Parts), "used up");
        put(&mut staging, &bytes[..400], 200);
        assert_eq!(staging.commit(len, sum), Err(ReloadError::Parts), "some are missing");
        staging.part(0, &bytes[..200]);
        staging.part(400, &bytes[400..600]);
        staging.part(200, &bytes[200..400]);
        assert_eq!(staging.commit(len, sum), Err(ReloadError::Parts), "out of order");
        put(&mut staging, &bytes, 7);
        assert_eq!(staging.commit(len, sum ^ 1), Err(ReloadError::Parts), "of something else");
        put(&mut staging, &bytes, 7);
        assert_eq!(staging.commit(len, sum), Ok(&book()));
        staging.part(u32::MAX, &bytes);
        assert_eq!(staging.commit(len, sum), Err(ReloadError::Parts));
    }

    #[test]
    fn limits_that_cannot_be_meant_are_refused() {
        let mut bad = book();
        bad.account.collar_e4 = 0;
        let bytes = encode(&bad);
        let mut staging = empty();
        put(&mut staging, &bytes, 200);
        let answer = staging.commit(bytes.len() as u32, sum_of(&bytes));
        assert_eq!(answer, Err(ReloadError::Limit(LimitError::Collar)));
        let mut bad = book();
        bad.breakers = Some(BreakerLimits { calls_min: 0, ..Default::default() });
        let bytes = encode(&bad);
        put(&mut staging, &bytes, 200);
        let answer = staging.commit(bytes.len() as u32, sum_of(&bytes));
        assert_eq!(answer, Err(ReloadError::Limit(LimitError::Breakers)));
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..900)) {
            let mut staging = empty();
            put(&mut staging, &bytes, 200);
            let _ = staging.commit(bytes.len() as u32, sum_of(&bytes));
        }
    }

    #[test]
    fn the_longest_limits_fit() {
        let row = ScopeLimits { collar_e4: 1, ..ScopeLimits::default() };
        let scopes = Scopes { venue: row, strategies: vec![row; 32], instruments: vec![row; 256] };
        let breakers = Some(BreakerLimits::default());
        let book =
            LimitBook { breakers, ..LimitBook::new(&RiskLimits::default(), &scopes, 32, 256) };
        assert!(encode(&book).len() <= bytes_max(&book));
    }
}
