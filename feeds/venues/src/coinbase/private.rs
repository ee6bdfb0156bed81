//! The account's channel, and answers over REST. Source: the Coinbase sheet, chapters A.2 to A.4
//! and A.7.
//!
//! [`PrivateDecoder::decode`] reads a message of the account's connection, whose numbers must have
//! no hole: behind one nothing is trusted, and the connection is made anew. It tells states and
//! cumulative quantities; fills come from pages alone. [`PrivateDecoder::page`] reads an answer
//! over REST. The rows lie in [`PrivateDecoder::rows`] until the next one. The venue's ids of
//! orders are texts, the engine's are numbers: [`OrderIds`] leads back.

use std::collections::{BTreeMap, VecDeque};

use bot4_types::{DoneReason, InstrumentTable, instrument::AMOUNT_DECIMALS, instrument::Amount};

use super::errors::{of_cancel, of_edit, of_order, of_preview, of_status};
use super::orders::PAGE;
use crate::account::{
    BalanceRow, FillRow, FillWords, Names, OrderRow, OrderWords, Refusal, RowState, Rows, Told,
    side_of, venue_number,
};
use crate::client_text::ClientText;
use crate::json::{Fields, FieldsExt, Node, Scratch, object_of};
use crate::market::DecodeError;
use crate::number::{amount, rfc3339_ms};

/// Longest message in bytes; a page of a hundred orders has some 150 kB.
const LEN_MAX: usize = 1024 * 1024;
/// Ids that are remembered: the open orders, and as many that have ended.
const IDS_MAX: usize = 2 * bot4_types::limits::ORDERS_OPEN_MAX;

type Read<T> = Result<T, DecodeError>;

/// What an answer over REST is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageKind {
    /// A new order: taken or refused.
    Placed,
    /// A cancel of one or several.
    Canceled,
    /// An edit.
    Edited,
    /// Orders.
    Orders,
    /// Fills.
    Fills,
    /// Balances.
    Accounts,
    /// The clock.
    Time,
}

/// The venue's ids of orders by the numbers that stand for them, the latest of them.
#[derive(Debug, Default)]
pub struct OrderIds {
    by_number: BTreeMap<u64, ClientText>,
    oldest: VecDeque<u64>,
}

impl OrderIds {
    /// Remembers `id`; one that is longer than any id of the venue is not.
    pub fn note(&mut self, id: &str) {
        let Some(text) = ClientText::new(id).filter(|text| !text.is_empty()) else { return };
        let number = venue_number(id);
        if self.by_number.insert(number, text).is_some() {
            return;
        }
        self.oldest.push_back(number);
        if self.oldest.len() > IDS_MAX
            && let Some(gone) = self.oldest.pop_front()
        {
            self.by_number.remove(&gone);
        }
    }

    /// The id that `number` stands for.
    #[must_use]
    pub fn of(&self, number: u64) -> Option<&str> {
        self.by_number.get(&number).map(ClientText::as_str)
    }
}

/// Reads the account's messages.
pub struct PrivateDecoder {
    scratch: Scratch,
    names: Names,
    /// The rows of the last message.
    pub rows: Rows,
    /// The ids of orders that were told.
    pub ids: OrderIds,
    /// The order that the last [`PageKind::Placed`] named: its number and its client id.
    pub placed: Option<(u64, ClientText)>,
    /// Heartbeats that were told.
    pub beats: u64,
    /// The number of the connection's next message; none is known at its beginning.
    due: Option<u64>,
    /// Requests that acknowledgements answer: heartbeats, then the account's channel.
    channels: [Option<u64>; 2],
}

/// The channels in the order of their requests.
const CHANNELS: [&str; 2] = ["heartbeats", "user"];

impl PrivateDecoder {
    /// A decoder for the instruments and assets of `table`. Allocates.
    #[must_use]
    pub fn new(table: &InstrumentTable) -> Self {
        Self {
            scratch: Scratch::new(LEN_MAX),
            names: Names::new(table),
            rows: Rows::with_room(),
            ids: OrderIds::default(),
            placed: None,
            beats: 0,
            due: None,
            channels: [None; 2],
        }
    }

    /// Other instruments and assets from now on; ids of orders stay known.
    pub fn read_by(&mut self, table: &InstrumentTable) {
        self.names = Names::new(table);
    }

    /// The request `id` for channel `part` of [`CHANNELS`] is on its way; the first one begins a
    /// connection.
    pub fn expect(&mut self, part: usize, id: u64) {
        if part == 0 {
            (self.due, self.channels) = (None, [None; 2]);
        }
        if let Some(channel) = self.channels.get_mut(part) {
            *channel = Some(id);
        }
    }

    /// Reads a message of the connection.
    ///
    /// # Errors
    /// [`DecodeError`]: it cannot be trusted in any part. The caller must treat it as lost.
    pub fn decode(&mut self, text: &[u8]) -> Read<Told> {
        let Self { scratch, names, rows, ids, beats, due, channels, .. } = self;
        rows.clear();
        scratch.read(text, |root| {
            let root = object_of(root)?;
            if !root.has("channel") && root.text("type")? == "error" {
                return Ok(refused(&root, channels));
            }
            let (channel, number) = (root.text("channel")?, root.unsigned("sequence_num")?);
            match *due {
                Some(next) if number > next => {
                    return Ok(Told { leaving: true, ..Told::default() });
                }
                Some(next) if number < next => return Ok(Told::default()),
                _ => *due = Some(number.saturating_add(1)),
            }
            let mut told = Told::default();
            for event in root.list("events")?.iter() {
                let event = object_of(event)?;
                match channel {
                    "user" => orders_of(&event, "orders", names, ids, rows)?,
                    "subscriptions" => told.answer = acknowledged(&event, channels),
                    "heartbeats" => *beats += 1,
                    _ => {}
                }
            }
            Ok(told)
        })
    }

    /// Reads the answer to the REST request `id` about `kind`, which came with the HTTP `status`.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn page(&mut self, id: u64, kind: PageKind, status: u16, text: &[u8]) -> Read<Told> {
        let Self { scratch, names, rows, ids, placed, .. } = self;
        rows.clear();
        *placed = None;
        if let Some(refusal) = of_status(status) {
            return Ok(Told { answer: Some((id, Some(refusal))), ..Told::default() });
        }
        if status == 400 {
            // The venue's own words, or somebody's between.
            let ours = scratch.read(text, |root| Ok(object_of(root)?.has("error")));
            let refused = Refusal::Refused(DoneReason::Other);
            let refusal = if ours == Ok(true) { refused } else { Refusal::OutcomeUnknown };
            return Ok(Told { answer: Some((id, Some(refusal))), ..Told::default() });
        }
        scratch.read(text, |root| {
            let root = object_of(root)?;
            let mut told = Told { answer: Some((id, None)), ..Told::default() };
            match kind {
                PageKind::Placed => {
                    let refusal = taken(&root, ids, placed)?;
                    told.answer = Some((id, refusal));
                }
                PageKind::Canceled => told.answer = Some((id, canceled(&root)?)),
                PageKind::Edited => told.answer = Some((id, edited(&root)?)),
                PageKind::Orders => {
                    orders_of(&root, "orders", names, ids, rows)?;
                    told.more = goes_on(&root, true, rows);
                }
                PageKind::Fills => {
                    for row in root.list("fills")?.iter() {
                        let f = object_of(row)?;
                        rows.fills.extend(fill(&f, names, ids)?);
                    }
                    let full = root.list("fills")?.len() >= PAGE;
                    told.more = goes_on(&root, full, rows);
                }
                PageKind::Accounts => {
                    for row in root.list("accounts")?.iter() {
                        rows.balances.extend(account(row, names)?);
                    }
                    told.more = goes_on(&root, true, rows);
                }
                PageKind::Time => {
                    let ms = root.text("epochMillis")?.parse();
                    told.server_ms = Some(ms.map_err(|_| DecodeError::Schema)?);
                }
            }
            Ok(told)
        })
    }
}

/// An error of the connection: the request that waits for its answer is refused. The texts are not
/// documented; what is refused here is the token or what it may see.
fn refused(root: &Fields<'_, '_>, channels: &mut [Option<u64>; 2]) -> Told {
    let mut told = Told::default();
    let waiting = channels.iter_mut().find_map(Option::take);
    told.answer = waiting.map(|id| {
        let limited = root.word("message").contains("rate limit");
        let refusal = if limited { Refusal::OutcomeUnknown } else { Refusal::Session };
        (id, Some(refusal))
    });
    // Nobody waits: what it is about is not known, and nothing can be trusted.
    told.leaving = told.answer.is_none();
    told
}

/// The request that is answered by a list of all that is subscribed.
fn acknowledged(
    event: &Fields<'_, '_>,
    channels: &mut [Option<u64>; 2],
) -> Option<(u64, Option<Refusal>)> {
    let list = event.fields("subscriptions")?;
    let granted = |at: &usize| channels[*at].is_some() && list.has(CHANNELS[*at]);
    let at = (0..CHANNELS.len()).find(granted)?;
    channels[at].take().map(|id| (id, None))
}

/// Why a new order was refused; where it was taken it is named.
fn taken(
    root: &Fields<'_, '_>,
    ids: &mut OrderIds,
    placed: &mut Option<(u64, ClientText)>,
) -> Read<Option<Refusal>> {
    if !root.truth("success")? {
        let why = root.fields("error_response");
        let word = |key: &str| why.as_ref().map_or("", |why| why.word(key));
        let (error, preview) = (word("error"), word("preview_failure_reason"));
        let error = if error.is_empty() { root.word("failure_reason") } else { error };
        let before = of_preview(error).or_else(|| of_preview(preview));
        return Ok(Some(before.unwrap_or_else(|| of_order(error))));
    }
    let order = root.fields("success_response").ok_or(DecodeError::Schema)?;
    let id = order.text("order_id")?;
    ids.note(id);
    let client = ClientText::new(order.word("client_order_id")).unwrap_or(ClientText::EMPTY);
    *placed = Some((venue_number(id), client));
    Ok(None)
}

/// Why a cancel was refused; one of several, where not all went through.
fn canceled(root: &Fields<'_, '_>) -> Read<Option<Refusal>> {
    let mut worst = None;
    for result in root.list("results")?.iter() {
        let result = object_of(result)?;
        if !result.truth("success")? {
            let refusal = of_cancel(result.word("failure_reason"));
            if worst != Some(Refusal::OutcomeUnknown) {
                worst = Some(refusal);
            }
        }
    }
    Ok(worst)
}

/// Why an edit was refused. Taken, it may still be on its way: the order's terms tell.
fn edited(root: &Fields<'_, '_>) -> Read<Option<Refusal>> {
    if root.truth("success")? {
        return Ok(None);
    }
    let list = root.list("errors").ok().and_then(|errors| errors.iter().next());
    let first = list.map(object_of).transpose()?;
    Ok(Some(of_edit(first.as_ref().map_or("", |error| error.word("edit_failure_reason")))))
}

/// Whether another page follows, and where.
fn goes_on(root: &Fields<'_, '_>, full: bool, rows: &mut Rows) -> bool {
    let more = root.truth("has_next").unwrap_or(full);
    if more {
        rows.cursor.push_str(root.word("cursor"));
    }
    !rows.cursor.is_empty()
}

fn orders_of(
    f: &Fields<'_, '_>,
    key: &str,
    names: &mut Names,
    ids: &mut OrderIds,
    rows: &mut Rows,
) -> Read<()> {
    for row in f.list(key)?.iter() {
        let f = object_of(row)?;
        // Futures and other things that are not traded here.
        if matches!(f.word("product_type"), "" | "SPOT" | "UNKNOWN_PRODUCT_TYPE") {
            rows.orders.push(order(&f, names, ids)?);
        }
    }
    Ok(())
}

/// An order, by the names of the channel or by those of REST.
fn order(f: &Fields<'_, '_>, names: &mut Names, ids: &mut OrderIds) -> Read<OrderRow> {
    let id = f.text("order_id")?;
    ids.note(id);
    let executed = match f.word("cumulative_quantity") {
        "" => f.word("filled_size"),
        text => text,
    };
    let mut row = names.order(&OrderWords {
        symbol: f.text("product_id")?,
        order: id,
        client: f.word("client_order_id"),
        executed,
    })?;
    (row.state, row.reason) = state(f, row.executed)?;
    row.terms = terms(f, names, row.executed);
    Ok(row)
}

/// Limit price and whole quantity. The channel tells what is left; lists over REST tell the last
/// edit, or else what the order was placed with.
fn terms(f: &Fields<'_, '_>, names: &mut Names, executed: i64) -> Option<(i64, i64)> {
    let symbol = f.text("product_id").ok()?;
    if f.has("leaves_quantity") {
        let told = [f.word("limit_price"), f.word("leaves_quantity")];
        let (price, left) = names.terms(symbol, told)?;
        return Some((price, left.checked_add(executed)?));
    }
    let edits = f.list("edit_history").ok();
    if let Some(last) = edits.and_then(|edits| edits.iter().last()) {
        let last = object_of(last).ok()?;
        return names.terms(symbol, [last.word("price"), last.word("size")]);
    }
    let (_, placed) = f.fields("order_configuration")?.iter().next()?;
    let placed = object_of(placed).ok()?;
    names.terms(symbol, [placed.word("limit_price"), placed.word("base_size")])
}

/// The state of an order and why it ended. What is left of an order that may not rest has expired.
fn state(f: &Fields<'_, '_>, executed: i64) -> Read<(RowState, DoneReason)> {
    use {DoneReason as D, RowState as S};
    let at_once = matches!(f.word("time_in_force"), "IMMEDIATE_OR_CANCEL" | "FILL_OR_KILL");
    Ok(match f.text("status")? {
        "PENDING" | "QUEUED" | "OPEN" | "CANCEL_QUEUED" | "EDIT_QUEUED" => {
            let waits = executed == 0 && f.word("trigger_status") == "STOP_PENDING";
            (if waits { S::Untriggered } else { S::Open }, D::None)
        }
        "FILLED" => (S::Filled, D::None),
        "CANCELLED" if at_once => (S::Expired, D::None),
        "CANCELLED" => (S::Canceled, D::None),
        "EXPIRED" => (S::Expired, D::None),
        "FAILED" if executed > 0 => (S::Canceled, D::Other),
        "FAILED" if f.word("reject_reason").contains("POST_ONLY") => (S::Rejected, D::WouldTake),
        "FAILED" => (S::Rejected, D::Other),
        _ => return Err(DecodeError::Schema),
    })
}

/// A fill of an instrument of the table. Adjustments of the venue are none, and neither are fills
/// whose size is in quote units, which no order of ours makes.
fn fill(f: &Fields<'_, '_>, names: &mut Names, ids: &mut OrderIds) -> Read<Option<FillRow>> {
    if !matches!(f.word("trade_type"), "" | "FILL") || f.truth("size_in_quote").unwrap_or(false) {
        return Ok(None);
    }
    let (symbol, id) = (f.text("product_id")?, f.text("order_id")?);
    ids.note(id);
    names.fill(&FillWords {
        symbol,
        trade_id: venue_number(f.text("trade_id")?),
        order: id,
        client: "",
        side: side_of(f.text("side")?, ["BUY", "SELL"])?,
        price: f.text("price")?,
        qty: f.text("size")?,
        fee: charge(f.word("commission"))?,
        // Fees are taken in what is paid with.
        fee_asset: symbol.split_once('-').map_or("", |(_, quote)| quote),
        maker: f.word("liquidity_indicator") == "MAKER",
        time_ms: rfc3339_ms(f.text("trade_time")?.as_bytes()).ok_or(DecodeError::Schema)?,
    })
}

/// A charge; what is finer than an amount can hold is rounded up.
fn charge(text: &str) -> Read<Amount> {
    let Some((whole, fraction)) = text.split_once('.') else {
        return if text.is_empty() { Ok(0) } else { amount(text) };
    };
    let places = usize::from(AMOUNT_DECIMALS);
    if fraction.len() <= places || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return amount(text);
    }
    let kept = amount(&text[..whole.len() + 1 + places])?;
    let finer = fraction[places..].bytes().any(|b| b != b'0');
    Ok(if finer { kept + 1 } else { kept })
}

/// The balance of an account whose asset is in the table.
fn account(row: Node<'_, '_>, names: &Names) -> Read<Option<BalanceRow>> {
    let f = object_of(row)?;
    let asset = names.asset(f.text("currency")?);
    if asset == bot4_types::AssetId::NONE {
        return Ok(None);
    }
    let of = |key: &str| {
        let part = f.fields(key).ok_or(DecodeError::Schema)?;
        amount(part.text("value")?)
    };
    Ok(Some(BalanceRow { asset, free: of("available_balance")?, locked: of("hold")? }))
}

#[cfg(test)]
#[path = "private_tests.rs"]
mod tests;
