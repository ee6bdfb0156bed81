//! sonic-rs on the book changes of the other dialects, into typed structs that borrow from the
//! text. What the books do not need (names, `seq`, the publisher's time) is passed over, and the
//! time of Kraken's text is not converted, which both favours the rival.

use std::hint::black_box;
use std::rc::Rc;

use bot4_bench::case::Case;
use bot4_bench::dialect::{Change, Dialect};
use bot4_bench::parse::Reader;
use bot4_bench::texts::Feed;
use bot4_types::text::parse_units;
use bot4_types::{Level, LevelBlock};
use bot4_venues::BlockPool;
use serde::Deserialize;
use sonic_rs::LazyValue;

/// How the rival reads the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// From their text by the plain decimal reader.
    Text,
    /// Bare ones as binary floating point, rounded to units: faster, and what is beyond 15 digits
    /// or of the text's own zeros is lost.
    Float,
}

#[derive(Deserialize)]
struct Message<T> {
    data: T,
}

#[derive(Deserialize)]
struct KrakenBook<'a, L> {
    symbol: &'a str,
    bids: Vec<L>,
    asks: Vec<L>,
    checksum: u32,
    timestamp: &'a str,
}

#[derive(Deserialize)]
struct TextLevel<'a> {
    #[serde(borrow)]
    price: LazyValue<'a>,
    #[serde(borrow)]
    qty: LazyValue<'a>,
}

#[derive(Deserialize)]
struct FloatLevel {
    price: f64,
    qty: f64,
}

#[derive(Deserialize)]
struct BybitBook<'a> {
    #[serde(rename = "s")]
    symbol: &'a str,
    #[serde(rename = "b", borrow)]
    bids: Vec<(&'a str, &'a str)>,
    #[serde(rename = "a", borrow)]
    asks: Vec<(&'a str, &'a str)>,
    #[serde(rename = "u")]
    update: u64,
}

/// One call reads the next change of the feed.
pub struct Sonic {
    dialect: Dialect,
    numbers: Numbers,
    feed: Rc<Feed>,
    pool: BlockPool,
    next: usize,
}

impl Sonic {
    /// A reader at the start of `feed`.
    pub fn new(dialect: Dialect, numbers: Numbers, feed: &Rc<Feed>) -> Self {
        let pool = BlockPool::new([4, 2, 1]);
        Self { dialect, numbers, feed: Rc::clone(feed), pool, next: 0 }
    }

    fn read_next(&mut self) -> Option<(LevelBlock, usize)> {
        let feed = Rc::clone(&self.feed);
        let (bytes, len) = feed.at(self.next);
        self.next = if self.next + 1 == feed.len() { 0 } else { self.next + 1 };
        let text = black_box(&bytes[..len]);
        let (p, q) = self.dialect.decimals();
        let units = |price: &str, qty: &str| {
            let price = parse_units(price.as_bytes(), p).ok()?;
            Some(Level { price, qty: parse_units(qty.as_bytes(), q).ok()? })
        };
        match (self.dialect, self.numbers) {
            (Dialect::Kraken, Numbers::Text) => {
                type Book<'a> = KrakenBook<'a, TextLevel<'a>>;
                let Message { data: [book] } =
                    sonic_rs::from_slice::<Message<[Book<'_>; 1]>>(text).ok()?;
                black_box((book.symbol, book.checksum, book.timestamp));
                let level = |l: &TextLevel<'_>| units(l.price.as_raw_str(), l.qty.as_raw_str());
                fill(&mut self.pool, &book.bids, &book.asks, level)
            }
            (Dialect::Kraken, Numbers::Float) => {
                type Book<'a> = KrakenBook<'a, FloatLevel>;
                let Message { data: [book] } =
                    sonic_rs::from_slice::<Message<[Book<'_>; 1]>>(text).ok()?;
                black_box((book.symbol, book.checksum, book.timestamp));
                let [p, q] = [p, q].map(|d| 10f64.powi(i32::from(d)));
                let units = |value: f64, unit: f64| (value * unit).round() as i64;
                let level =
                    |l: &FloatLevel| Some(Level { price: units(l.price, p), qty: units(l.qty, q) });
                fill(&mut self.pool, &book.bids, &book.asks, level)
            }
            (Dialect::Bybit, _) => {
                let Message { data } = sonic_rs::from_slice::<Message<BybitBook<'_>>>(text).ok()?;
                black_box((data.symbol, data.update));
                fill(&mut self.pool, &data.bids, &data.asks, |(price, qty)| units(price, qty))
            }
        }
    }
}

fn fill<L>(
    pool: &mut BlockPool,
    bids: &[L],
    asks: &[L],
    level: impl Fn(&L) -> Option<Level>,
) -> Option<(LevelBlock, usize)> {
    let count = bids.len() + asks.len();
    let mut block = pool.take(count)?;
    for (place, read) in block.levels_mut().iter_mut().zip(bids.iter().chain(asks)) {
        *place = level(read)?;
    }
    Some((block, count))
}

impl Case for Sonic {
    #[inline]
    fn call(&mut self) {
        let read = self.read_next().expect("every message is read: checked beforehand");
        self.pool.give_back(black_box(read).0);
    }
}

/// The rival reads every level of `feed` as we do.
///
/// # Errors
/// The first message where it does not.
pub fn agree(dialect: Dialect, numbers: Numbers, feed: &Rc<Feed>) -> Result<(), String> {
    let mut own = Change::new(dialect, Reader::Scanner, feed);
    let mut sonic = Sonic::new(dialect, numbers, feed);
    for n in 0..feed.len() {
        let (mine, count) = own.read_next();
        let Some((theirs, told)) = sonic.read_next() else {
            return Err(format!("message {n} of {dialect:?} not read"));
        };
        let same = count == told && mine.levels()[..count] == theirs.levels()[..count];
        own.give_back(mine);
        sonic.pool.give_back(theirs);
        if !same {
            return Err(format!("message {n} of {dialect:?} differs"));
        }
    }
    Ok(())
}
