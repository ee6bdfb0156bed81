//! What decoders share on the way from a scanned message to a staged event.
//!
//! Invariant: a level block that does not travel with an event is back in the pool. Cost: none
//! beyond the copy of an event.

use bot4_types::{InstrumentId, Level, LevelBlock, MarketBody, MarketEvent, Side};

use crate::json::{List, Node};
use crate::market::{DecodeError, Decoded, Input, Sink};
use crate::symbols::Listed;

/// A scan ends with what the message was, with an error that the general reader would meet too,
/// or with `None`: not this shape, ask the general reader.
pub type Scanned = Option<Result<Decoded, DecodeError>>;

/// Stages one event of `listed`; `venue_ms` as the venue says it, zero where it does not.
///
/// # Errors
/// [`DecodeError::Full`]; the event's block is back in the pool then.
#[inline(always)]
pub fn stage(
    sink: &mut Sink,
    input: &Input<'_>,
    listed: &Listed,
    venue_ms: i64,
    body: MarketBody,
) -> Result<(), DecodeError> {
    stage_of(sink, input, listed.id, venue_ms, body)
}

/// As [`stage`], of the instrument with this id.
///
/// # Errors
/// As [`stage`].
#[inline(always)]
pub fn stage_of(
    sink: &mut Sink,
    input: &Input<'_>,
    instrument: InstrumentId,
    venue_ms: i64,
    body: MarketBody,
) -> Result<(), DecodeError> {
    // Asked beforehand, so that the event can be written where it stays.
    if !sink.has_room() {
        give_back(sink, body);
        return Err(DecodeError::Full);
    }
    let event = MarketEvent { trail: input.trail, body, venue_ms, instrument, conn: input.conn };
    sink.push(event).map_err(|refused| {
        give_back(sink, refused.body);
        DecodeError::Full
    })
}

/// Takes the block of an event that will not travel back into the pool.
pub fn give_back(sink: &mut Sink, body: MarketBody) {
    if let MarketBody::Depth { block, .. }
    | MarketBody::Snapshot { block, .. }
    | MarketBody::Trades { block, .. } = body
    {
        sink.pool.give_back(block);
    }
}

/// Takes back what was staged beyond the first `kept` events: a message of several events counts
/// whole or not at all.
pub fn unstage(sink: &mut Sink, kept: usize) {
    while sink.len() > kept
        && let Some(event) = sink.pop()
    {
        give_back(sink, event.body);
    }
}

/// A block of at least `needed` places for a scanner; `None` where none was ever made that large,
/// so that only a count of what there really is can tell whether the message fits.
#[inline(always)]
#[must_use]
pub fn block_for(needed: usize, sink: &mut Sink) -> Option<Result<LevelBlock, DecodeError>> {
    if let Some(block) = sink.pool.take(needed) {
        return Some(Ok(block));
    }
    match sink.pool.lack(needed) {
        DecodeError::NoBlock => Some(Err(DecodeError::NoBlock)),
        _ => None,
    }
}

/// One trade of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade {
    /// Its number.
    pub id: u64,
    /// Price units.
    pub price: i64,
    /// Quantity units.
    pub qty: i64,
    /// Who took liquidity.
    pub aggressor: Side,
    /// The venue's time, Unix ms.
    pub ms: i64,
}

impl Trade {
    /// As the event of a message of one trade.
    #[must_use]
    pub const fn body(&self) -> MarketBody {
        let Self { id, price, qty, aggressor, .. } = *self;
        MarketBody::Trade { id, price, qty, aggressor }
    }

    /// As it lies in a block. The number keeps all its bits.
    #[must_use]
    pub const fn pair(&self) -> TradePair {
        let qty = if matches!(self.aggressor, Side::Sell) { -self.qty } else { self.qty };
        [Level { price: self.price, qty }, Level { price: self.id as i64, qty: self.ms }]
    }

    /// Writes trade number `at` of a [`MarketBody::Trades`]; `None` when the block is full.
    #[inline]
    pub fn write(&self, out: &mut [Level], at: usize) -> Option<()> {
        *out.get_mut(at * 2..)?.first_chunk_mut()? = self.pair();
        Some(())
    }
}

/// Both lists of a book message into one block, bids first, each level as `level` reads it; how
/// many there are of each. For general readers.
///
/// # Errors
/// That of the first bad level, or why there is no block; the block is back in the pool then.
pub fn read_sides(
    bids: &List<'_, '_>,
    asks: &List<'_, '_>,
    sink: &mut Sink,
    level: impl Fn(Node<'_, '_>) -> Result<Level, DecodeError>,
) -> Result<(LevelBlock, u32, u32), DecodeError> {
    let count = bids.len() + asks.len();
    let Some(mut block) = sink.pool.take(count) else { return Err(sink.pool.lack(count)) };
    let all = bids.iter().chain(asks.iter());
    for (place, value) in block.levels_mut().iter_mut().zip(all) {
        match level(value) {
            Ok(level) => *place = level,
            Err(e) => {
                sink.pool.give_back(block);
                return Err(e);
            }
        }
    }
    Ok((block, bids.len() as u32, asks.len() as u32))
}

/// How many bytes of `text` are `wanted`, in a shape that compiles to vector code: a byte counts
/// at most 128.
#[must_use]
pub fn count_byte(text: &[u8], wanted: u8) -> usize {
    let count = |part: &[u8]| part.iter().fold(0u8, |n, b| n.wrapping_add(u8::from(*b == wanted)));
    text.chunks(128).map(|part| usize::from(count(part))).sum()
}

/// One trade as it lies in a block: price and quantity, negative when the seller took; then number
/// and time.
pub type TradePair = [Level; 2];

/// Stages a message's only trade.
///
/// # Errors
/// [`DecodeError::Full`].
pub fn stage_trade(
    pair: TradePair,
    listed: &Listed,
    input: &Input<'_>,
    sink: &mut Sink,
) -> Result<Decoded, DecodeError> {
    let [Level { price, qty }, Level { price: id, qty: time_ms }] = pair;
    let aggressor = if qty < 0 { Side::Sell } else { Side::Buy };
    let body = MarketBody::Trade { id: id as u64, price, qty: qty.abs(), aggressor };
    stage(sink, input, listed, time_ms, body)?;
    Ok(Decoded::Events)
}

/// Stages the first `count` trades of `block`, which are of one instrument, in the order of time:
/// turned when the message has the newest first. The event's time is that of the last.
///
/// # Errors
/// [`DecodeError::Full`]; [`DecodeError::Schema`] when there is none.
pub fn stage_trades(
    mut block: LevelBlock,
    count: usize,
    listed: &Listed,
    input: &Input<'_>,
    sink: &mut Sink,
) -> Result<Decoded, DecodeError> {
    let places = &mut block.levels_mut()[..2 * count];
    let (Some(first), Some(last)) = (places.get(1).copied(), places.last().copied()) else {
        sink.pool.give_back(block);
        return Err(DecodeError::Schema);
    };
    let mut time_ms = last.qty;
    if first.price > last.price {
        places.reverse();
        places.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
        time_ms = first.qty;
    }
    let body = MarketBody::Trades { count: count as u32, block };
    stage(sink, input, listed, time_ms, body)?;
    Ok(Decoded::Events)
}

/// Fills a block from both ends, for lists that mix the sides: bids to the front, asks to the
/// back; [`Sides::finish`] then moves the asks behind the bids, both in their order.
#[derive(Debug)]
pub struct Sides<'a> {
    levels: &'a mut [Level],
    bids: usize,
    asks: usize,
}

impl<'a> Sides<'a> {
    /// Nothing filled yet.
    #[must_use]
    pub const fn new(levels: &'a mut [Level]) -> Self {
        Self { levels, bids: 0, asks: 0 }
    }

    /// Adds one level; `None` when the block is full.
    #[inline(always)]
    pub fn push(&mut self, is_bid: bool, level: Level) -> Option<()> {
        let free = self.levels.len() - self.asks;
        if self.bids == free {
            return None;
        }
        if is_bid {
            self.levels[self.bids] = level;
            self.bids += 1;
        } else {
            self.levels[free - 1] = level;
            self.asks += 1;
        }
        Some(())
    }

    /// Brings the asks behind the bids; how many there are of each.
    pub fn finish(self) -> (u32, u32) {
        let from = self.levels.len() - self.asks;
        self.levels.copy_within(from.., self.bids);
        self.levels[self.bids..self.bids + self.asks].reverse();
        (self.bids as u32, self.asks as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The naive twin keeps two lists.
        #[test]
        fn sides_come_out_in_order(
            room in 0usize..40,
            levels in proptest::collection::vec((any::<bool>(), 1i64..1_000), 0..60),
        ) {
            let mut block = vec![Level::default(); room];
            let mut sides = Sides::new(&mut block);
            let (mut bids, mut asks) = (Vec::new(), Vec::new());
            for (is_bid, price) in levels {
                let level = Level { price, qty: 1 };
                let fits = bids.len() + asks.len() < room;
                prop_assert_eq!(sides.push(is_bid, level).is_some(), fits);
                if fits {
                    if is_bid { bids.push(level) } else { asks.push(level) }
                }
            }
            let counts = sides.finish();
            prop_assert_eq!(counts, (bids.len() as u32, asks.len() as u32));
            bids.extend(asks);
            prop_assert_eq!(&block[..bids.len()], &bids[..]);
        }

        #[test]
        fn bytes_are_counted(bytes in proptest::collection::vec(0u8..3, 0..700)) {
            let twin = bytes.iter().filter(|b| **b == 1).count();
            prop_assert_eq!(count_byte(&bytes, 1), twin);
        }
    }
}
