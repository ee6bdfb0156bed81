//! A recorded book's flow: the changes of an hour of a large coin as level updates, read once.
//!
//! Needs the folder `shared` beside the project; without it the groups that use it are skipped
//! and say so.

use std::path::Path;

use bot4_types::{
    ConnId, FrameKind, Instrument, InstrumentId, InstrumentTable, Level, MarketBody, Nanos, Side,
    Symbol, Trail,
};
use bot4_venues::binance::market::BinanceMarket;
use bot4_venues::{BlockPool, Input, MarketDecoder, Sink};

use crate::texts::{SYMBOL, recorded_lines};

/// Decimals of prices and quantities in the flow.
pub const DECIMALS: u8 = 8;

/// A snapshot and the changes after it.
#[derive(Clone, Debug, Default)]
pub struct Flow {
    /// The levels of the recorded snapshot.
    pub start: Vec<(Side, Level)>,
    /// The changes, one after the other.
    pub changes: Vec<Vec<(Side, Level)>>,
    /// Changes that came before the snapshot, with their last ids.
    early: Vec<(u64, Vec<(Side, Level)>)>,
}

impl Flow {
    /// The recorded flow; `None` without the shared data.
    ///
    /// # Panics
    /// When the recording is not what its name says.
    #[must_use]
    pub fn recorded() -> Option<Self> {
        let folder = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../shared/recordings/binance_spot_btcusdt_20240808"
        );
        Self::read(&Path::new(folder).join("btcusdt_20240808.gz"))
    }

    fn read(path: &Path) -> Option<Self> {
        let mut table = InstrumentTable::new();
        let symbol = Symbol::new(SYMBOL).expect("a short symbol");
        let bare = Instrument::bare(InstrumentId(0), symbol, DECIMALS);
        table.push(bare).expect("an empty table has room");
        let mut decoder = BinanceMarket::new(&table);
        decoder.start();
        let mut sink = Sink::new(BlockPool::new([4, 2, 1]));
        let mut flow = Self::default();
        for text in recorded_lines(path)? {
            let input = Input {
                bytes: text.as_bytes(),
                len: text.len(),
                conn: ConnId(0),
                kind: FrameKind::Market,
                trail: Trail::start(Nanos(1)),
                instrument: Some(InstrumentId(0)),
            };
            decoder.decode(input, &mut sink).expect("a recorded message");
            let events: Vec<_> = sink.drain().collect();
            for event in events {
                flow.take(event.body, &mut sink.pool);
            }
        }
        (!flow.start.is_empty() && !flow.changes.is_empty()).then_some(flow)
    }

    fn take(&mut self, body: MarketBody, pool: &mut BlockPool) {
        let sided = |bids: u32, asks: u32, levels: &[Level]| -> Vec<(Side, Level)> {
            let (bids, asks) = levels[..(bids + asks) as usize].split_at(bids as usize);
            let buy = bids.iter().map(|level| (Side::Buy, *level));
            buy.chain(asks.iter().map(|level| (Side::Sell, *level))).collect()
        };
        match body {
            MarketBody::Depth { last, bids, asks, block, .. } => {
                let change = sided(bids, asks, block.levels());
                if self.start.is_empty() {
                    self.early.push((last, change));
                } else {
                    self.changes.push(change);
                }
                pool.give_back(block);
            }
            MarketBody::Snapshot { last, bids, asks, block, .. } => {
                self.start = sided(bids, asks, block.levels());
                // One that came before the snapshot may reach beyond it.
                let early = core::mem::take(&mut self.early).into_iter();
                self.changes.extend(early.filter(|(id, _)| *id > last).map(|(_, change)| change));
                pool.give_back(block);
            }
            MarketBody::Trades { block, .. } => pool.give_back(block),
            _ => {}
        }
    }

    /// The changes with bids and asks apart, as a message holds them.
    #[must_use]
    pub fn by_side(&self) -> Vec<[Vec<Level>; 2]> {
        let of = |change: &Vec<(Side, Level)>, side| -> Vec<Level> {
            change.iter().filter(|(s, _)| *s == side).map(|(_, level)| *level).collect()
        };
        self.changes.iter().map(|c| [Side::Buy, Side::Sell].map(|side| of(c, side))).collect()
    }

    /// Levels in all changes.
    #[must_use]
    pub fn levels(&self) -> usize {
        self.changes.iter().map(Vec::len).sum()
    }
}
