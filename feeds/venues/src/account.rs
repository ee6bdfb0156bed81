//! What private messages say about an account, without a venue's words: orders, fills, balances,
//! and what a refusal means. Shared by the venues whose answers are rows of such things.
//!
//! Prices and quantities are in the instrument's units, amounts in units of 10^-16.

use bot4_types::instrument::Amount;
use bot4_types::{AssetId, DoneReason, InstrumentId, InstrumentTable, Side, Symbol};

use crate::client_text::ClientText;
use crate::json::{FieldsExt, List, object_of};
use crate::market::DecodeError;
use crate::number::{amount, json_units, market_units};
use crate::symbols::{Listed, SymbolTable};

/// An order's state by the venue's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowState {
    /// On the book or working.
    Open,
    /// Taken, and in no book before the market reaches its trigger.
    Untriggered,
    /// Completely filled.
    Filled,
    /// Cancelled.
    Canceled,
    /// Ended by the venue.
    Expired,
    /// Refused.
    Rejected,
}

impl RowState {
    /// The order has not ended.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Untriggered)
    }
}

/// An order as a message states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderRow {
    /// Index in the table; `None` for a foreign symbol.
    pub instrument: Option<InstrumentId>,
    /// The venue's name of the instrument.
    pub symbol: Symbol,
    /// The venue's number of the order, see [`venue_number`].
    pub venue_order: u64,
    /// Its client id; empty where it has none or one that is longer than ours could be.
    pub client: ClientText,
    /// State.
    pub state: RowState,
    /// Executed so far.
    pub executed: i64,
    /// Limit price and whole quantity, where the venue takes amends and the message states them.
    pub terms: Option<(i64, i64)>,
    /// Why it ended.
    pub reason: DoneReason,
}

/// A fill of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FillRow {
    /// Index in the table.
    pub instrument: InstrumentId,
    /// Trade id.
    pub trade_id: u64,
    /// The venue's number of the order.
    pub venue_order: u64,
    /// The order's client id, where the message states it.
    pub client: ClientText,
    /// Bought or sold.
    pub side: Side,
    /// Price.
    pub price: i64,
    /// Quantity.
    pub qty: i64,
    /// Fee; negative for a rebate.
    pub fee: Amount,
    /// What the fee was paid with.
    pub fee_asset: AssetId,
    /// The order rested.
    pub maker: bool,
    /// When, Unix ms.
    pub time_ms: i64,
}

/// The absolute balance of an asset of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BalanceRow {
    /// Which.
    pub asset: AssetId,
    /// At disposal.
    pub free: Amount,
    /// Locked in open orders.
    pub locked: Amount,
}

/// What a refusal means for what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing happened, for this reason.
    Refused(DoneReason),
    /// It may have happened: only evidence tells.
    OutcomeUnknown,
    /// The venue does not know the order.
    NotFound,
    /// Too many requests: no more until this venue time, Unix ms; zero where not said.
    Limited {
        /// Until when.
        until_ms: i64,
        /// New orders alone are meant.
        orders_only: bool,
    },
    /// The key or the session is not accepted.
    Session,
}

/// What one message told beside its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The request that it answers, and how that ended.
    pub answer: Option<(u64, Option<Refusal>)>,
    /// The server goes away or wants to be left: connect again.
    pub leaving: bool,
    /// The venue's clock, Unix ms, where the message is an answer about it.
    pub server_ms: Option<i64>,
    /// The limit of new orders is used up until then, Unix ms.
    pub pause_until_ms: Option<i64>,
    /// Another page follows this one.
    pub more: bool,
}

/// The rows of the last message.
#[derive(Debug, Default)]
pub struct Rows {
    /// Orders.
    pub orders: Vec<OrderRow>,
    /// Fills, in the message's order.
    pub fills: Vec<FillRow>,
    /// Balances of assets that are in the table.
    pub balances: Vec<BalanceRow>,
    /// Where the next page begins; empty when there is none.
    pub cursor: String,
}

impl Rows {
    /// Room for the rows of the largest pages; nothing is allocated below that.
    #[must_use]
    pub fn with_room() -> Self {
        const ROWS: usize = 256;
        Self {
            orders: Vec::with_capacity(ROWS),
            fills: Vec::with_capacity(ROWS),
            balances: Vec::with_capacity(ROWS),
            cursor: String::new(),
        }
    }

    /// Forgets the rows of the last message.
    pub fn clear(&mut self) {
        self.orders.clear();
        self.fills.clear();
        self.balances.clear();
        self.cursor.clear();
    }
}

/// Decimals of quantities whose instrument is not in the table.
const FOREIGN_DECIMALS: u8 = 8;

/// The words of an order in a message; empty where it says nothing.
#[derive(Clone, Copy, Debug)]
pub struct OrderWords<'a> {
    /// The venue's name of the instrument.
    pub symbol: &'a str,
    /// The venue's name of the order.
    pub order: &'a str,
    /// Its client id.
    pub client: &'a str,
    /// Quantity executed so far.
    pub executed: &'a str,
}

/// The words of a fill in a message; empty where it says nothing.
#[derive(Clone, Copy, Debug)]
pub struct FillWords<'a> {
    /// The venue's name of the instrument.
    pub symbol: &'a str,
    /// Trade id.
    pub trade_id: u64,
    /// The venue's name of the order.
    pub order: &'a str,
    /// The order's client id.
    pub client: &'a str,
    /// Bought or sold.
    pub side: Side,
    /// Price.
    pub price: &'a str,
    /// Quantity.
    pub qty: &'a str,
    /// Fee; negative for a rebate.
    pub fee: Amount,
    /// What the fee was paid with; empty: the asset that is received.
    pub fee_asset: &'a str,
    /// The order rested.
    pub maker: bool,
    /// When, Unix ms.
    pub time_ms: i64,
}

/// The names that rows are read with.
#[derive(Debug)]
pub struct Names {
    symbols: SymbolTable,
    table: InstrumentTable,
    /// Reads a price or a quantity.
    units: fn(&str, u8) -> Result<i64, DecodeError>,
}

impl Names {
    /// The names of `table`.
    #[must_use]
    pub fn new(table: &InstrumentTable) -> Self {
        Self { symbols: SymbolTable::new(table), table: table.clone(), units: market_units }
    }

    /// As [`new`](Self::new), where the venue writes small numbers with an exponent.
    #[must_use]
    pub fn with_exponents(table: &InstrumentTable) -> Self {
        Self { units: json_units, ..Self::new(table) }
    }

    /// A quantity of the instrument called `symbol`, whether it is in the table or not.
    ///
    /// # Errors
    /// [`DecodeError`]: it is none.
    pub fn qty(&mut self, symbol: &str, text: &str) -> Result<i64, DecodeError> {
        let decimals = self.find(symbol).map_or(FOREIGN_DECIMALS, |l| l.qty_decimals);
        (self.units)(text, decimals)
    }

    /// The instrument called `symbol`.
    pub fn find(&mut self, symbol: &str) -> Option<Listed> {
        self.symbols.find(symbol.as_bytes())
    }

    /// The asset called `name`; `AssetId::NONE` when it is not in the table.
    #[must_use]
    pub fn asset(&self, name: &str) -> AssetId {
        self.table.find_asset(name.as_bytes()).unwrap_or(AssetId::NONE)
    }

    /// The row of an order by its words, open; the caller says what became of it.
    ///
    /// # Errors
    /// [`DecodeError`]: a quantity that is none, or a name that is too long.
    pub fn order(&mut self, words: &OrderWords<'_>) -> Result<OrderRow, DecodeError> {
        let listed = self.find(words.symbol);
        let executed = match words.executed {
            "" => 0,
            text => self.qty(words.symbol, text)?,
        };
        Ok(OrderRow {
            instrument: listed.map(|l| l.id),
            symbol: Symbol::new(words.symbol).ok_or(DecodeError::UnknownSymbol)?,
            venue_order: venue_number(words.order),
            client: client(words.client),
            state: RowState::Open,
            executed,
            terms: None,
            reason: DoneReason::None,
        })
    }

    /// Limit price and whole quantity of an order of `symbol`; `None` for a foreign symbol, and
    /// where the message lacks one or states it otherwise than the instrument has it.
    #[must_use]
    pub fn terms(&mut self, symbol: &str, [price, qty]: [&str; 2]) -> Option<(i64, i64)> {
        let listed = self.find(symbol)?;
        let price = (self.units)(price, listed.price_decimals).ok()?;
        let qty = (self.units)(qty, listed.qty_decimals).ok()?;
        (price > 0 && qty > 0).then_some((price, qty))
    }

    /// The row of a fill by its words; `None` where its instrument is not in the table.
    ///
    /// # Errors
    /// [`DecodeError`]: a number that is none.
    pub fn fill(&mut self, words: &FillWords<'_>) -> Result<Option<FillRow>, DecodeError> {
        let Some(listed) = self.find(words.symbol) else { return Ok(None) };
        let fee_asset = match words.fee_asset {
            "" => self.received(listed.id, words.side),
            name => self.asset(name),
        };
        Ok(Some(FillRow {
            instrument: listed.id,
            trade_id: words.trade_id,
            venue_order: venue_number(words.order),
            client: client(words.client),
            side: words.side,
            price: (self.units)(words.price, listed.price_decimals)?,
            qty: (self.units)(words.qty, listed.qty_decimals)?,
            fee: words.fee,
            fee_asset,
            maker: words.maker,
            time_ms: words.time_ms,
        }))
    }

    /// Appends a wallet's balances: `keys` name the asset, all that is held of it, and what of
    /// that is locked.
    ///
    /// # Errors
    /// [`DecodeError`]: an entry that is none.
    pub fn balances(
        &self,
        wallet: &List<'_, '_>,
        keys: [&str; 3],
        rows: &mut Rows,
    ) -> Result<(), DecodeError> {
        let [asset, all, locked] = keys;
        for entry in wallet.iter() {
            let entry = object_of(entry)?;
            let asset = self.asset(entry.text(asset)?);
            if asset == AssetId::NONE {
                continue;
            }
            let (all, locked) =
                (amount_or_zero(entry.word(all))?, amount_or_zero(entry.word(locked))?);
            rows.balances.push(BalanceRow { asset, free: all - locked, locked });
        }
        Ok(())
    }

    /// What a fee is paid with where the message does not say: the asset that is received.
    #[must_use]
    pub fn received(&self, instrument: InstrumentId, side: Side) -> AssetId {
        self.table.get(instrument).map_or(AssetId::NONE, |i| match side {
            Side::Buy => i.base,
            Side::Sell => i.quote,
        })
    }
}

/// The client id in `text`; empty when it is longer than any of ours.
#[must_use]
pub fn client(text: &str) -> ClientText {
    ClientText::new(text).unwrap_or(ClientText::EMPTY)
}

/// A venue's number of an order or a trade: the number itself, or any other text folded to 63
/// bits (FNV-1a). Never zero, which stands for "not known".
#[must_use]
pub fn venue_number(text: &str) -> u64 {
    match text.parse::<u64>() {
        Ok(number) if number > 0 => number,
        _ => {
            let folded = text.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
            });
            folded >> 1 | 1
        }
    }
}

/// An amount, zero where the message has none.
///
/// # Errors
/// [`DecodeError::Number`].
pub fn amount_or_zero(text: &str) -> Result<Amount, DecodeError> {
    if text.is_empty() { Ok(0) } else { amount(text) }
}

/// A side in one of the two words given.
///
/// # Errors
/// [`DecodeError::Schema`] for any other word.
pub fn side_of(text: &str, [buy, sell]: [&str; 2]) -> Result<Side, DecodeError> {
    match text {
        t if t == buy => Ok(Side::Buy),
        t if t == sell => Ok(Side::Sell),
        _ => Err(DecodeError::Schema),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_orders_are_kept_or_folded_and_never_zero() {
        assert_eq!(venue_number("1405980802291926784"), 1_405_980_802_291_926_784);
        let uuid = venue_number("a4c1718e-fe53-4659-a118-1f6ecce04ad9");
        assert_ne!(uuid, venue_number("a4c1718e-fe53-4659-a118-1f6ecce04ada"));
        assert_eq!(uuid, venue_number("a4c1718e-fe53-4659-a118-1f6ecce04ad9"));
        assert!(venue_number("") != 0 && venue_number("0") != 0 && uuid < 1 << 63);
    }
}
