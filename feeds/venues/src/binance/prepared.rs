//! New orders from prepared text: what no order of its kind changes is written once, before the
//! first; numbers and the client id are set in between.
//!
//! The pieces are cut from what the general encoder writes, which stays the twin: the same bytes
//! for every order (test below). Cost: nine copies and four numbers, no search, no escape.

use bot4_types::{Instrument, InstrumentTable, OrderKind, Side, Symbol, Tif};

use crate::place::Place;

/// Orders that are prepared: side, type and time in force.
const FORMS: usize = 10;
/// Decimals of which a power of ten fits.
const DECIMALS_MAX: u8 = 18;

const HEAD: &[u8] = b"{\"id\":";
const CLIENT: &[u8] = b",\"method\":\"order.place\",\"params\":{\"newClientOrderId\":\"";
const PRICE: &[u8] = b"\",\"newOrderRespType\":\"FULL\",\"price\":\"";
const QTY_ALONE: &[u8] = b"\",\"newOrderRespType\":\"FULL\",\"quantity\":\"";
const QTY: &[u8] = b"\",\"quantity\":\"";

/// What comes behind the quantity: up to the time, and behind the time.
#[derive(Debug, Default)]
struct Tail {
    text: Box<[u8]>,
    time_at: usize,
}

#[derive(Debug)]
struct Lines {
    symbol: Symbol,
    tails: [Tail; FORMS],
}

/// The prepared text of all instruments, by their ids.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    lines: Vec<Option<Lines>>,
}

impl Prepared {
    /// Prepares every instrument of `table`; `write` is the general encoder.
    pub(super) fn of(
        table: &InstrumentTable,
        mut write: impl FnMut(&Place<'_>, &mut Vec<u8>),
    ) -> Self {
        let prepare = |instrument: &Instrument| Lines::of(instrument, &mut write);
        Self { lines: table.all().iter().map(prepare).collect() }
    }

    /// Appends `order`; false, and nothing appended, where its kind is not prepared.
    pub(super) fn write(&self, order: &Place<'_>, out: &mut Vec<u8>) -> bool {
        let i = order.instrument;
        let Some(form) = form_of(order.side, order.kind, order.tif) else { return false };
        let Some(Some(lines)) = self.lines.get(i.id.index()) else { return false };
        if lines.symbol != i.symbol || i.price_decimals.max(i.qty_decimals) > DECIMALS_MAX {
            return false;
        }
        let tail = &lines.tails[form];
        out.extend_from_slice(HEAD);
        whole(order.id, out);
        out.extend_from_slice(CLIENT);
        out.extend_from_slice(&order.client.0);
        if order.kind.is_market() {
            out.extend_from_slice(QTY_ALONE);
        } else {
            out.extend_from_slice(PRICE);
            decimal(order.price, i.price_decimals, out);
            out.extend_from_slice(QTY);
        }
        decimal(order.qty, i.qty_decimals, out);
        out.extend_from_slice(&tail.text[..tail.time_at]);
        whole(u64::try_from(order.now_ms).unwrap_or(0), out);
        out.extend_from_slice(&tail.text[tail.time_at..]);
        true
    }
}

impl Lines {
    fn of(
        instrument: &Instrument,
        write: &mut impl FnMut(&Place<'_>, &mut Vec<u8>),
    ) -> Option<Self> {
        let mut tails: [Tail; FORMS] = Default::default();
        for side in [Side::Buy, Side::Sell] {
            for (kind, tif) in KINDS {
                let tail = Tail::of(instrument, side, kind, tif, write)?;
                tails[form_of(side, kind, tif)?] = tail;
            }
        }
        Some(Self { symbol: instrument.symbol, tails })
    }
}

impl Tail {
    /// Cut from an order at time 1.
    fn of(
        instrument: &Instrument,
        side: Side,
        kind: OrderKind,
        tif: Tif,
        write: &mut impl FnMut(&Place<'_>, &mut Vec<u8>),
    ) -> Option<Self> {
        let (client, mut text) = (bot4_types::ClientId([b'0'; 16]), Vec::new());
        let (id, price, trigger, qty, now_ms) = (1, 1, 0, 1, 1);
        let sample = Place { id, instrument, client, side, kind, tif, price, trigger, qty, now_ms };
        write(&sample, &mut text);
        const TIME: &[u8] = b"\"timestamp\":";
        let find = |what: &[u8]| text.windows(what.len()).position(|w| w == what);
        let from = find(b"\",\"recvWindow\"")?;
        // The symbol, which the venue chose, lies before it.
        let time = text.windows(TIME.len()).rposition(|w| w == TIME)? + TIME.len();
        text.remove(time);
        let time_at = time - from;
        Some(Self { text: text.split_off(from).into_boxed_slice(), time_at })
    }
}

const KINDS: [(OrderKind, Tif); 5] = [
    (OrderKind::Limit, Tif::Gtc),
    (OrderKind::Limit, Tif::Ioc),
    (OrderKind::Limit, Tif::Fok),
    (OrderKind::LimitMaker, Tif::Gtc),
    (OrderKind::Market, Tif::Gtc),
];

/// The place of its tail; `None` for orders that wait for a trigger.
const fn form_of(side: Side, kind: OrderKind, tif: Tif) -> Option<usize> {
    let kind = match (kind, tif) {
        (OrderKind::Limit, Tif::Gtc | Tif::Gtd) => 0,
        (OrderKind::Limit, Tif::Ioc) => 1,
        (OrderKind::Limit, Tif::Fok) => 2,
        (OrderKind::LimitMaker, _) => 3,
        (OrderKind::Market, _) => 4,
        _ => return None,
    };
    Some(match side {
        Side::Buy => kind,
        Side::Sell => kind + FORMS / 2,
    })
}

/// Digits are written from the end.
struct Digits {
    text: [u8; 24],
    at: usize,
}

impl Digits {
    const fn new() -> Self {
        Self { text: [b'0'; 24], at: 24 }
    }

    fn push(&mut self, byte: u8) {
        self.at -= 1;
        self.text[self.at] = byte;
    }

    /// The digits of `value`, `least` of them at least.
    fn number(&mut self, mut value: u64, least: usize) {
        let end = self.at;
        while value > 0 || end - self.at < least {
            self.push(b'0' + (value % 10) as u8);
            value /= 10;
        }
    }
}

fn whole(value: u64, out: &mut Vec<u8>) {
    let mut digits = Digits::new();
    digits.number(value, 1);
    out.extend_from_slice(&digits.text[digits.at..]);
}

/// Units as decimal text without zeros behind the last significant decimal.
fn decimal(units: i64, mut decimals: u8, out: &mut Vec<u8>) {
    let (mut digits, size) = (Digits::new(), units.unsigned_abs());
    let one = 10u64.pow(u32::from(decimals));
    let (int, mut part) = (size / one, size % one);
    if part > 0 {
        while part.is_multiple_of(10) {
            (part, decimals) = (part / 10, decimals - 1);
        }
        digits.number(part, usize::from(decimals));
        digits.push(b'.');
    }
    digits.number(int, 1);
    if units < 0 {
        digits.push(b'-');
    }
    out.extend_from_slice(&digits.text[digits.at..]);
}
