//! Parsing: text of a frame to the event that travels to the book, block given back.

use std::hint::black_box;
use std::rc::Rc;

use bot4_types::{
    ConnId, FrameKind, Instrument, InstrumentId, InstrumentTable, MarketBody, MarketEvent, Nanos,
    Symbol, Trail,
};
use bot4_venues::binance::market::BinanceMarket;
use bot4_venues::{BlockPool, Input, MarketDecoder, Sink};

use crate::case::Case;
use crate::texts::{Feed, SYMBOL};
use crate::typed::{self, SerdeJson};

/// Which reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// serde_json, typed and borrowing: the baseline.
    SerdeTyped,
    /// The engine's general reader: simd-json tape on a scratch copy.
    Tape,
    /// The engine's decoder as it runs: the scanner first.
    Scanner,
}

/// One reader over one feed.
pub struct Parse {
    reader: Reader,
    decoder: BinanceMarket,
    sink: Sink,
    feed: Rc<Feed>,
    next: usize,
}

impl Parse {
    /// `reader` over `feed`. Allocates what the decoder will ever need.
    ///
    /// # Panics
    /// Never: the one symbol fits the table.
    #[must_use]
    pub fn new(reader: Reader, feed: &Rc<Feed>) -> Self {
        let mut table = InstrumentTable::new();
        let symbol = Symbol::new(SYMBOL).expect("a short symbol");
        table.push(Instrument::bare(InstrumentId(0), symbol, 8)).expect("an empty table has room");
        let mut decoder = BinanceMarket::new(&table);
        if reader != Reader::SerdeTyped {
            decoder.start();
        }
        let sink = Sink::new(BlockPool::new([4, 2, 1]));
        Self { reader, decoder, sink, feed: Rc::clone(feed), next: 0 }
    }

    /// Reads the next message of the feed.
    ///
    /// # Panics
    /// When a message is not read: every reader must read every message.
    #[inline]
    pub fn read_next(&mut self) -> MarketEvent {
        let (bytes, len) = self.feed.at(self.next);
        self.next = if self.next + 1 == self.feed.len() { 0 } else { self.next + 1 };
        let trail = Trail::start(Nanos(1));
        if self.reader == Reader::SerdeTyped {
            let event =
                typed::read::<SerdeJson>(black_box(&bytes[..len]), trail, &mut self.sink.pool);
            return event.expect("the baseline reads every message");
        }
        let input = Input {
            bytes: black_box(bytes),
            len,
            conn: ConnId(0),
            kind: FrameKind::Market,
            trail,
            instrument: None,
        };
        let read = match self.reader {
            Reader::Tape => self.decoder.decode_generally(input, &mut self.sink),
            _ => self.decoder.decode(input, &mut self.sink),
        };
        assert!(read.is_ok(), "the decoder reads every message: {read:?}");
        self.sink.drain().next().expect("one event a message")
    }

    /// Gives the block of `event` back to the pool.
    #[inline]
    pub fn give_back(&mut self, event: MarketEvent) {
        if let MarketBody::Depth { block, .. } | MarketBody::Snapshot { block, .. } = event.body {
            self.sink.pool.give_back(block);
        }
    }

    /// Messages that needed the general reader.
    #[must_use]
    pub fn fallbacks(&self) -> u64 {
        self.decoder.fallbacks()
    }
}

impl Case for Parse {
    #[inline]
    fn call(&mut self) {
        let event = self.read_next();
        self.give_back(black_box(event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts;

    fn told(case: &mut Parse) -> String {
        let event = case.read_next();
        let counted = match &event.body {
            MarketBody::Depth { first, last, bids, asks, block, .. } => {
                let levels = &block.levels()[..(bids + asks) as usize];
                format!("{first}..{last} {bids}/{asks} {levels:?}")
            }
            body => format!("{body:?}"),
        };
        let text = format!("{} {counted}", event.venue_ms);
        case.give_back(event);
        text
    }

    #[test]
    fn all_readers_read_the_same() {
        let mut feeds = vec![texts::depth(20, 20, 1), texts::depth(5, 100, 2), texts::trade(20, 3)];
        feeds.push(texts::quote(20, 4));
        match texts::recorded(2_000) {
            Some(feed) => feeds.push(feed),
            None => println!("skipped: no shared data"),
        }
        for feed in feeds.into_iter().map(Rc::new) {
            let mut cases = [Reader::SerdeTyped, Reader::Tape, Reader::Scanner]
                .map(|reader| Parse::new(reader, &feed));
            for _ in 0..feed.len() {
                let [typed, tape, scanner] = cases.each_mut().map(told);
                assert_eq!(typed, scanner);
                assert_eq!(tape, scanner);
            }
            assert_eq!(cases[2].fallbacks(), 0, "the scanner is what is measured");
        }
    }
}
