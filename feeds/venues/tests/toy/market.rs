//! Market messages: books and trades by a scanner, everything else by the general reader.

use bot4_simd::{Look, TextKernels};
use bot4_types::{InstrumentId, InstrumentTable, Side};
use bot4_venues::json::Scratch;
use bot4_venues::scan::{Cursor, Scanner, scan_at};
use bot4_venues::stage::{Scanned, Trade, block_for, count_byte, stage, stage_trade};
use bot4_venues::symbols::{Listed, SymbolTable};
use bot4_venues::{DecodeError, Decoded, Input, MarketDecoder, Sink};

use super::market_json::{Reader, body};

/// Longest message of the general reader.
const FALLBACK_LEN_MAX: usize = 64 * 1024;

/// Decodes market messages of the toy venue.
pub struct ToyMarket {
    kernels: TextKernels,
    symbols: SymbolTable,
    scratch: Scratch,
    fallbacks: u64,
}

impl Scanner for ToyMarket {
    #[inline(always)]
    fn scan<L: Look>(&mut self, look: L, input: &Input<'_>, sink: &mut Sink) -> Scanned {
        let mut c = Cursor::new(look, input.bytes, input.len);
        c.expect(b"{\"t\":\"")?;
        let kind = c.name()?;
        c.expect(b",\"s\":\"")?;
        let listed = self.symbols.find(c.name()?)?;
        match kind {
            b"book" => scan_book(c, &listed, input, sink),
            b"trade" => scan_trade(c, &listed, input, sink),
            _ => None,
        }
    }
}

impl ToyMarket {
    /// A decoder for the instruments of `table`, its scanner by `kernels`.
    pub fn new(table: &InstrumentTable, kernels: TextKernels) -> Self {
        let (symbols, scratch) = (SymbolTable::new(table), Scratch::new(FALLBACK_LEN_MAX));
        Self { kernels, symbols, scratch, fallbacks: 0 }
    }
}

#[inline(always)]
fn scan_book<L: Look>(
    mut c: Cursor<'_, L>,
    listed: &Listed,
    input: &Input<'_>,
    sink: &mut Sink,
) -> Scanned {
    c.expect(b",\"n\":")?;
    let last = c.integer()?;
    c.expect(b",\"ts\":")?;
    let time_ms = c.signed()?;
    let is_snapshot = c.take(b",\"full\":true");
    // Each level has a bracket of its own; two are of the lists.
    let mut block = match block_for(count_byte(input.text(), b'['), sink)? {
        Ok(block) => block,
        Err(e) => return Some(Err(e)),
    };
    let places = block.levels_mut();
    let mut fill = || {
        let (price, qty) = (listed.price_decimals, listed.qty_decimals);
        c.expect(b",\"b\":[")?;
        let bids = c.levels(price, qty, places)?;
        c.expect(b",\"a\":[")?;
        let asks = c.levels(price, qty, places.get_mut(bids..)?)?;
        c.expect(b"}")?;
        c.finish()?;
        Some((bids as u32, asks as u32))
    };
    let Some((bids, asks)) = fill() else {
        sink.pool.give_back(block);
        return None;
    };
    let staged = stage(sink, input, listed, time_ms, body(is_snapshot, last, (block, bids, asks)));
    Some(staged.map(|()| Decoded::Events))
}

#[inline(always)]
fn scan_trade<L: Look>(
    mut c: Cursor<'_, L>,
    listed: &Listed,
    input: &Input<'_>,
    sink: &mut Sink,
) -> Scanned {
    c.expect(b",\"id\":")?;
    let id = c.integer()?;
    c.expect(b",\"p\":\"")?;
    let price = c.decimal(listed.price_decimals)?;
    c.expect(b",\"q\":\"")?;
    let qty = c.decimal(listed.qty_decimals)?;
    c.expect(b",\"side\":\"")?;
    let aggressor = match c.name()? {
        b"buy" => Side::Buy,
        b"sell" => Side::Sell,
        _ => return None,
    };
    c.expect(b",\"ts\":")?;
    let ms = c.signed()?;
    c.expect(b"}")?;
    c.finish()?;
    Some(stage_trade(Trade { id, price, qty, aggressor, ms }.pair(), listed, input, sink))
}

impl MarketDecoder for ToyMarket {
    fn start(&mut self) {
        self.scratch.warm_up();
    }

    fn decode(&mut self, input: Input<'_>, sink: &mut Sink) -> Result<Decoded, DecodeError> {
        if !sink.has_room() {
            return Err(DecodeError::Full);
        }
        if let Some(answer) = scan_at(self.kernels, self, &input, sink) {
            return answer;
        }
        self.fallbacks += 1;
        self.decode_generally(input, sink)
    }

    fn decode_generally(
        &mut self,
        input: Input<'_>,
        sink: &mut Sink,
    ) -> Result<Decoded, DecodeError> {
        let Self { symbols, scratch, .. } = self;
        let mut reader = Reader { input: &input, symbols, sink };
        scratch.read(input.text(), |root| reader.read(root))
    }

    fn suspect(&self, text: &[u8]) -> Option<InstrumentId> {
        let rest = text.strip_prefix(b"{\"t\":\"book\",\"s\":\"")?;
        let len = rest.iter().position(|b| *b == b'"')?;
        self.symbols.find_any_case(&rest[..len]).map(|listed| listed.id)
    }

    fn fallbacks(&self) -> u64 {
        self.fallbacks
    }

    fn kernels(&self) -> TextKernels {
        self.kernels
    }
}
