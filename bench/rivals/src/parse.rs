//! sonic-rs into the same typed structs as the baseline of the parsers ([`bot4_bench::typed`]).

use std::hint::black_box;
use std::rc::Rc;

use bot4_bench::case::Case;
use bot4_bench::parse::{Parse, Reader};
use bot4_bench::texts::Feed;
use bot4_bench::typed::{self, Json};
use bot4_types::{MarketBody, MarketEvent, Nanos, Trail};
use bot4_venues::BlockPool;
use serde::Deserialize;

/// sonic-rs.
struct SonicJson;

impl Json for SonicJson {
    fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Option<T> {
        sonic_rs::from_slice(text).ok()
    }
}

/// Our decoder as it runs.
pub fn ours(feed: &Rc<Feed>) -> Parse {
    Parse::new(Reader::Scanner, feed)
}

/// One call reads the next message of the feed.
pub struct Sonic {
    feed: Rc<Feed>,
    pool: BlockPool,
    next: usize,
}

impl Sonic {
    /// A reader at the start of `feed`.
    pub fn new(feed: &Rc<Feed>) -> Self {
        Self { feed: Rc::clone(feed), pool: BlockPool::new([4, 2, 1]), next: 0 }
    }

    fn read_next(&mut self) -> Option<MarketEvent> {
        let (bytes, len) = self.feed.at(self.next);
        self.next = if self.next + 1 == self.feed.len() { 0 } else { self.next + 1 };
        let text = black_box(&bytes[..len]);
        typed::read::<SonicJson>(text, Trail::start(Nanos(1)), &mut self.pool)
    }
}

impl Case for Sonic {
    #[inline]
    fn call(&mut self) {
        let event = self.read_next().expect("every message is read: checked beforehand");
        if let MarketBody::Depth { block, .. } = black_box(event).body {
            self.pool.give_back(block);
        }
    }
}

fn told(event: &MarketEvent) -> String {
    match &event.body {
        MarketBody::Depth { first, last, bids, asks, block, .. } => {
            let levels = &block.levels()[..(bids + asks) as usize];
            format!("{first}..{last} {bids}/{asks} {levels:?}")
        }
        body => format!("{} {body:?}", event.venue_ms),
    }
}

/// The rival reads every message of `feed` as we do.
///
/// # Errors
/// The first message where it does not.
pub fn agree(feed: &Rc<Feed>) -> Result<(), String> {
    let (mut own, mut sonic) = (ours(feed), Sonic::new(feed));
    for n in 0..feed.len() {
        let mine = own.read_next();
        let Some(theirs) = sonic.read_next() else { return Err(format!("message {n} not read")) };
        let (a, b) = (told(&mine), told(&theirs));
        own.give_back(mine);
        if let MarketBody::Depth { block, .. } = theirs.body {
            sonic.pool.give_back(block);
        }
        if a != b {
            return Err(format!("message {n} differs: {a} and {b}"));
        }
    }
    Ok(())
}
