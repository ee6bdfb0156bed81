//! Answers and events of the private connection, and pages over REST. Source: the Kraken sheet,
//! chapters 1, 5 and 6.
//!
//! [`PrivateDecoder::decode`] reads a message of the connection, [`PrivateDecoder::page`] an answer
//! over REST; the rows lie in [`PrivateDecoder::rows`] until the next one.
//!
//! **Updates are partial.** The whole order is told once, later messages carry what changed: the
//! decoder remembers orders that have not ended. An order's state is told only with a quantity that
//! is known: stated, counted since the order was new, or all of it. **Every channel counts its
//! messages**: a gap means that something was lost, and the connection has to be made anew.

use std::collections::VecDeque;

use bot4_types::{AssetId, DoneReason, InstrumentTable};

use super::errors::refusal;
use super::market::PROXY_RESTARTS;
use super::pages;
use crate::account::{
    BalanceRow, FillWords, Names, OrderWords, Refusal, RowState, Rows, Told, side_of, venue_number,
};
use crate::client_text::ClientText;
use crate::json::{Fields, FieldsExt, List, Scratch, number_of, object_of, text_of};
use crate::market::DecodeError;
use crate::number::{json_amount, rfc3339_ms};

/// Longest message in bytes; a snapshot of some hundred open orders has 200 kB.
const LEN_MAX: usize = 1024 * 1024;
/// Orders that are remembered.
const KNOWN_MAX: usize = bot4_types::limits::ORDERS_OPEN_MAX;

pub(super) type Read<T> = Result<T, DecodeError>;

/// An order that was told and has not ended.
#[derive(Clone, Debug)]
struct Known {
    number: u64,
    symbol: String,
    client: ClientText,
    /// Limit price and whole quantity as the messages have them; empty where not told.
    price: String,
    qty: String,
    /// Executed so far, in units; `None` where nobody counted from the beginning.
    executed: Option<i64>,
    /// The market has not reached its trigger.
    waits: bool,
}

/// Reads the account's messages.
pub struct PrivateDecoder {
    scratch: Scratch,
    pub(super) names: Names,
    known: VecDeque<Known>,
    /// The number that each channel's next message has; none before its snapshot.
    due: [Option<u64>; 2],
    /// The rows of the last message.
    pub rows: Rows,
    /// The token of the last answer to a question for one.
    pub token: String,
    /// The venue's threshold of the rate counter, once a subscription told it.
    pub rate_max: Option<u32>,
    /// The venue's names of the orders in the last page, by their numbers.
    pub order_names: Vec<(u64, String)>,
    pub(super) pairs: super::names::Pairs,
}

/// What a page is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageKind {
    /// A token for the connection.
    Token,
    /// Orders, open or closed.
    Orders,
    /// Fills.
    Fills,
    /// Balances.
    Balances,
    /// Nothing but whether it was done.
    Other,
}

impl PrivateDecoder {
    /// A decoder for the instruments and assets of `table`. Allocates.
    #[must_use]
    pub fn new(table: &InstrumentTable) -> Self {
        Self {
            scratch: Scratch::new(LEN_MAX),
            names: Names::with_exponents(table),
            known: VecDeque::new(),
            due: [None; 2],
            rows: Rows::with_room(),
            token: String::new(),
            rate_max: None,
            order_names: Vec::new(),
            pairs: super::names::Pairs::of(table),
        }
    }

    /// A connection begins: its channels count anew, and what is open comes as a snapshot.
    pub fn begin(&mut self) {
        self.known.clear();
        self.due = [None; 2];
    }

    /// Reads a message of the connection.
    ///
    /// # Errors
    /// [`DecodeError`]: it cannot be trusted in any part. The caller must treat it as lost.
    pub fn decode(&mut self, text: &[u8]) -> Read<Told> {
        self.rows.clear();
        if text.starts_with(PROXY_RESTARTS) {
            return Ok(Told { leaving: true, ..Told::default() });
        }
        let Self { scratch, names, known, due, rows, rate_max, .. } = self;
        scratch.read_exact(text, |root| {
            let root = object_of(root)?;
            if root.has("method") || root.has("error") {
                return answer(&root, rate_max);
            }
            let channel = match root.text("channel")? {
                "executions" => 0,
                "balances" => 1,
                // Signs of life and the venue's state.
                _ => return Ok(Told::default()),
            };
            let snapshot = root.text("type")? == "snapshot";
            let sequence = root.number("sequence")?.parse().map_err(|_| DecodeError::Schema)?;
            if !in_sequence(&mut due[channel], sequence, snapshot) {
                return Ok(Told { leaving: true, ..Told::default() });
            }
            for entry in root.list("data")?.iter() {
                let f = object_of(entry)?;
                match channel {
                    0 => execution(&f, names, known, rows)?,
                    _ => balance(&f, names, rows)?,
                }
            }
            Ok(Told::default())
        })
    }

    /// Reads the answer to the REST request `id` about `kind`, which came with the HTTP `status`.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn page(&mut self, id: u64, kind: PageKind, status: u16, text: &[u8]) -> Read<Told> {
        self.rows.clear();
        self.order_names.clear();
        let of = |refused| Told { answer: Some((id, refused)), ..Told::default() };
        match status {
            200 => {}
            429 => return Ok(of(Some(Refusal::Limited { until_ms: 0, orders_only: false }))),
            _ => return Ok(of(Some(Refusal::OutcomeUnknown))),
        }
        let Self { scratch, names, rows, token, order_names, pairs, .. } = self;
        let more = scratch.read_exact(text, |root| {
            let root = object_of(root)?;
            let errors = root.list("error")?;
            if let Some(error) = errors.iter().next() {
                let error = text_of(error).ok_or(DecodeError::Schema)?;
                return Ok(Err(refusal(error)));
            }
            let Some(result) = root.fields("result") else { return Ok(Ok(false)) };
            match kind {
                PageKind::Token => {
                    token.clear();
                    token.push_str(result.text("token")?);
                }
                PageKind::Orders => pages::orders(&result, names, pairs, rows, order_names)?,
                PageKind::Fills => return pages::fills(&result, names, pairs, rows).map(Ok),
                PageKind::Balances => pages::balances(&result, names, rows)?,
                PageKind::Other => {}
            }
            Ok(Ok(false))
        })?;
        Ok(match more {
            Ok(more) => Told { more, ..of(None) },
            Err(refused) => of(Some(refused)),
        })
    }
}

/// The venue's time, Unix ms, where `text` is the answer to a ping.
#[must_use]
pub fn pong_ms(text: &[u8]) -> Option<i64> {
    PrivateDecoder::new(&InstrumentTable::new()).decode(text).ok()?.server_ms
}

/// Whether the message `sequence` may be read. One that was there already may: what it tells is
/// known by its numbers.
fn in_sequence(due: &mut Option<u64>, sequence: u64, snapshot: bool) -> bool {
    match due {
        Some(next) if sequence > *next && !snapshot => false,
        Some(next) if sequence < *next && !snapshot => true,
        _ => {
            // A number without a next one is followed by what is behind it.
            *due = Some(sequence.saturating_add(1));
            true
        }
    }
}

/// An answer to a request.
fn answer(root: &Fields<'_, '_>, rate_max: &mut Option<u32>) -> Read<Told> {
    let id = root.number("req_id").ok().and_then(|text| text.parse::<u64>().ok());
    let mut told = Told::default();
    // Newer servers say that a ping succeeded, older ones only answer.
    let fine = root.truth("success").unwrap_or(!root.has("error"));
    if fine {
        told.answer = id.map(|id| (id, None));
        if root.word("method") == "pong" {
            told.server_ms = rfc3339_ms(root.text("time_in")?.as_bytes());
        }
        let result = root.fields("result");
        if let Some(max) = result.and_then(|result| result.number("maxratecount").ok()) {
            *rate_max = max.parse().ok();
        }
        return Ok(told);
    }
    let refused = refusal(root.text("error")?);
    told.answer = id.map(|id| (id, Some(refused)));
    // Not told which request: nothing that is waiting can be trusted.
    told.leaving = told.answer.is_none();
    Ok(told)
}

/// An entry of `executions`: what happened to an order, and its state behind that.
fn execution(
    f: &Fields<'_, '_>,
    names: &mut Names,
    known: &mut VecDeque<Known>,
    rows: &mut Rows,
) -> Read<()> {
    let (order, what) = (f.text("order_id")?, f.text("exec_type")?);
    let number = venue_number(order);
    let at = known.iter().rposition(|k| k.number == number);
    let mut entry = match at {
        Some(at) => known[at].clone(),
        None => Known {
            number,
            symbol: String::new(),
            client: ClientText::EMPTY,
            price: String::new(),
            qty: String::new(),
            executed: (what == "pending_new").then_some(0),
            waits: waits_by_type(f.word("order_type")),
        },
    };
    entry.learn(f);
    let fill = what == "trade";
    entry.waits &= !fill;
    if fill {
        let fill = names.fill(&fill_words(f, order, &entry)?)?;
        // What counted from the beginning goes on counting.
        entry.executed = entry.executed.zip(fill).map(|(n, fill)| n + fill.qty);
        rows.fills.extend(fill);
    }
    if entry.symbol.is_empty() {
        // An order of before, named by its number alone: it is asked for.
        return Ok(());
    }
    let (state, reason) = state(f.text("order_status")?, f.word("reason"))?;
    let mut row = names.order(&OrderWords {
        symbol: &entry.symbol,
        order,
        client: entry.client.as_str(),
        executed: f.number("cum_qty").unwrap_or(""),
    })?;
    (row.state, row.reason) = (or_waits(state, entry.waits), reason);
    row.terms = names.terms(&entry.symbol, [&entry.price, &entry.qty]);
    let stated = f.has("cum_qty").then_some(row.executed);
    let whole = (state == RowState::Filled && !fill && !entry.qty.is_empty())
        .then(|| names.qty(&entry.symbol, &entry.qty))
        .transpose()?;
    entry.executed = stated.or(whole).or(entry.executed);
    if let Some(executed) = entry.executed {
        row.executed = executed;
        // A trade's own word for the state may be of before it.
        if !fill {
            rows.orders.push(row);
        }
    }
    let ended = state != RowState::Open && !fill;
    remember(known, at, entry, ended, fill);
    Ok(())
}

/// Puts an order back where it was, forgets one that has ended, and does not begin to know one by a
/// fill alone: the fill says all that there is of it.
fn remember(known: &mut VecDeque<Known>, at: Option<usize>, entry: Known, ended: bool, fill: bool) {
    match at {
        Some(at) if ended => _ = known.remove(at),
        Some(at) => known[at] = entry,
        None if ended || fill => {}
        None => {
            if known.len() == KNOWN_MAX {
                known.pop_front();
            }
            known.push_back(entry);
        }
    }
}

impl Known {
    /// Takes over what the message says of the order itself.
    fn learn(&mut self, f: &Fields<'_, '_>) {
        if let Ok(symbol) = f.text("symbol") {
            symbol.clone_into(&mut self.symbol);
        }
        if let Ok(client) = f.text("cl_ord_id") {
            self.client = crate::account::client(client);
        }
        if let Ok(price) = f.number("limit_price") {
            price.clone_into(&mut self.price);
        }
        if let Ok(qty) = f.number("order_qty") {
            qty.clone_into(&mut self.qty);
        }
        let trigger = f.fields("triggers").map_or("", |triggers| triggers.word("status"));
        let works = matches!(f.word("order_status"), "triggered" | "partially_filled" | "filled");
        // Once triggered it is of the type that it became.
        let became = f.has("order_type") && !waits_by_type(f.word("order_type"));
        if trigger == "triggered" || works || became {
            self.waits = false;
        } else if trigger == "untriggered" {
            self.waits = true;
        }
    }
}

/// Orders of this type wait for a trigger.
pub(super) fn waits_by_type(kind: &str) -> bool {
    ["stop-loss", "take-profit", "trailing-stop"].iter().any(|waits| kind.starts_with(waits))
}

/// The state of an order that is open, or waits for its trigger.
pub(super) const fn or_waits(state: RowState, waits: bool) -> RowState {
    match state {
        RowState::Open if waits => RowState::Untriggered,
        other => other,
    }
}

fn fill_words<'a>(f: &Fields<'a, '_>, order: &'a str, entry: &'a Known) -> Read<FillWords<'a>> {
    let mut words = FillWords {
        symbol: &entry.symbol,
        trade_id: venue_number(f.text("exec_id")?),
        order,
        client: entry.client.as_str(),
        side: side_of(f.text("side")?, ["buy", "sell"])?,
        price: f.number("last_price")?,
        qty: f.number("last_qty")?,
        fee: 0,
        fee_asset: "",
        maker: f.text("liquidity_ind")? == "m",
        time_ms: rfc3339_ms(f.text("timestamp")?.as_bytes()).ok_or(DecodeError::Schema)?,
    };
    for fee in f.list("fees")?.iter() {
        let fee = object_of(fee)?;
        let asset = fee.text("asset")?;
        // More than one asset does not occur; the first is the fee then.
        if words.fee_asset.is_empty() || words.fee_asset == asset {
            words.fee_asset = asset;
            words.fee += json_amount(fee.number("qty")?)?;
        }
    }
    Ok(words)
}

/// The state of an order and why it ended. "Canceled" is also how the venue refuses a post-only
/// order that would take, and ends the rest of an IOC order.
pub(super) fn state(status: &str, reason: &str) -> Read<(RowState, DoneReason)> {
    use {DoneReason as D, RowState as S};
    let has = |part: &str| reason.to_ascii_lowercase().contains(part);
    Ok(match status {
        "pending_new" | "new" | "partially_filled" | "triggered" | "pending" | "open" => {
            (S::Open, D::None)
        }
        "filled" | "closed" => (S::Filled, D::None),
        "canceled" if has("post only") => (S::Expired, D::WouldTake),
        "canceled" if has("self trade") => (S::Expired, D::SelfTrade),
        "canceled" if has("ioc") || has("fok") || has("immediate") || has("liquidity") => {
            (S::Expired, D::None)
        }
        "canceled" => (S::Canceled, D::None),
        "expired" => (S::Expired, D::None),
        _ => return Err(DecodeError::Schema),
    })
}

/// An entry of `balances`, of the snapshot or of the ledger: both state the whole balance. What is
/// held for open orders is part of it.
fn balance(f: &Fields<'_, '_>, names: &Names, rows: &mut Rows) -> Read<()> {
    let asset = names.asset(super::names::asset(f.text("asset")?));
    let trades = |kind: &str, id: &str| kind == "spot" && id == "main";
    if asset == AssetId::NONE
        || (f.has("wallet_id") && !trades(f.word("wallet_type"), f.word("wallet_id")))
    {
        return Ok(());
    }
    let mut balance = f.number("balance")?;
    // What lies in other wallets is not there for orders.
    for wallet in f.list("wallets").iter().flat_map(List::iter) {
        let wallet = object_of(wallet)?;
        if trades(wallet.word("type"), wallet.word("id")) {
            balance = wallet.number("balance")?;
        }
    }
    rows.balances.push(BalanceRow { asset, free: json_amount(balance)?, locked: 0 });
    Ok(())
}

/// A value that is a number, bare or as text.
pub(super) fn number_or_text<'t>(f: &Fields<'t, '_>, key: &str) -> Read<&'t str> {
    let value = f.get(key).ok_or(DecodeError::Schema)?;
    number_of(value).or_else(|| text_of(value)).ok_or(DecodeError::Schema)
}

#[cfg(test)]
#[path = "private_tests.rs"]
mod tests;
