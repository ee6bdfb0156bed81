//! Answers, events and pages of the account. Source: the OKX sheet, chapters 5 to 7.
//!
//! [`PrivateDecoder::decode`] reads a message of the private connection, [`PrivateDecoder::page`]
//! an answer over REST; the rows lie in [`PrivateDecoder::rows`] until the next one. An event of an
//! order may tell a fill as well; a page about an order states its last fill without the fee of
//! that fill, so that only the order is read there. Logon and subscriptions are answered without an
//! id: the decoder is told which request they answer.

use bot4_types::{DoneReason, InstrumentTable};

use super::errors::refusal;
use crate::account::{
    FillRow, FillWords, Names, OrderRow, OrderWords, Refusal, RowState, Rows, Told, amount_or_zero,
    side_of,
};
use crate::json::{Fields, FieldsExt, Node, Scratch, object_of, text_of};
use crate::market::DecodeError;
use crate::number::id_of;

use super::orders::PAGE;

/// Longest message in bytes; a page of a hundred orders has some 120 kB.
const LEN_MAX: usize = 1024 * 1024;
/// Channels that a subscription asks for.
const CHANNELS: u32 = 2;

type Read<T> = Result<T, DecodeError>;

/// What a page is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageKind {
    /// Orders.
    Orders,
    /// Fills.
    Fills,
    /// Balances, the clock, or nothing but a result.
    Other,
}

/// Reads the account's messages.
pub struct PrivateDecoder {
    scratch: Scratch,
    names: Names,
    /// The rows of the last message.
    pub rows: Rows,
    /// The request that the next answer to a logon is for.
    pub logon: u64,
    subscription: u64,
    channels: u32,
}

impl PrivateDecoder {
    /// A decoder for the instruments and assets of `table`. Allocates.
    #[must_use]
    pub fn new(table: &InstrumentTable) -> Self {
        Self {
            scratch: Scratch::new(LEN_MAX),
            names: Names::new(table),
            rows: Rows::with_room(),
            logon: 0,
            subscription: 0,
            channels: 0,
        }
    }

    /// The request whose channels are acknowledged from now on.
    pub fn expect_channels(&mut self, id: u64) {
        (self.subscription, self.channels) = (id, 0);
    }

    /// Reads a message of the connection.
    ///
    /// # Errors
    /// [`DecodeError`]: it cannot be trusted in any part. The caller must treat it as lost.
    pub fn decode(&mut self, text: &[u8]) -> Read<Told> {
        self.rows.clear();
        if text == b"pong" {
            return Ok(Told::default());
        }
        let Self { scratch, names, rows, logon, subscription, channels, .. } = self;
        scratch.read(text, |root| {
            let root = object_of(root)?;
            if let Some(event) = root.get("event").and_then(text_of) {
                return notice(event, &root, *logon, (*subscription, channels));
            }
            if root.has("op") {
                return answer(&root);
            }
            let arg = root.fields("arg").ok_or(DecodeError::Schema)?;
            let channel = arg.text("channel")?;
            let mut told = Told::default();
            for row in root.list("data")?.iter() {
                let f = object_of(row)?;
                match channel {
                    "account" => wallet(&f, names, rows)?,
                    "orders" if f.text("instType")? == "SPOT" => {
                        told.answer = told.answer.or(amend_of(&f));
                        if let Some(fill) = fill_of_event(&f, names)? {
                            rows.fills.push(fill);
                        }
                        rows.orders.push(order(&f, names)?);
                    }
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
        let Self { scratch, names, rows, .. } = self;
        rows.clear();
        let unknown = Told { answer: Some((id, Some(Refusal::OutcomeUnknown))), ..Told::default() };
        match status {
            429 => {
                let limited = Refusal::Limited { until_ms: 0, orders_only: false };
                return Ok(Told { answer: Some((id, Some(limited))), ..Told::default() });
            }
            // Refusals come with 400 and 401, and say why.
            200 | 400 | 401 => {}
            _ => return Ok(unknown),
        }
        scratch.read(text, |root| {
            let root = object_of(root)?;
            let data = root.list("data").ok();
            let refused = refused(&root, false)?;
            let mut told = Told { answer: Some((id, refused)), ..Told::default() };
            let Some(data) = data.filter(|_| refused.is_none()) else { return Ok(told) };
            for row in data.iter() {
                page_row(row, kind, names, rows, &mut told)?;
            }
            if data.len() < PAGE {
                rows.cursor.clear();
            }
            told.more = !rows.cursor.is_empty();
            Ok(told)
        })
    }
}

/// A message without data: what became of a logon or subscription, or that the server goes away.
fn notice(
    event: &str,
    root: &Fields<'_, '_>,
    logon: u64,
    (subscription, channels): (u64, &mut u32),
) -> Read<Told> {
    let mut told = Told::default();
    match event {
        "login" => told.answer = Some((logon, refused(root, false)?)),
        "subscribe" => {
            *channels += 1;
            told.answer = (*channels == CHANNELS).then_some((subscription, None));
        }
        "notice" => told.leaving = true,
        "error" => {
            let refused = refused(root, false)?.unwrap_or(Refusal::OutcomeUnknown);
            told.answer = match (request_id(root), refused) {
                (Some(id), _) => Some((id, Some(refused))),
                (None, Refusal::Session | Refusal::Refused(DoneReason::Window)) => {
                    Some((logon, Some(refused)))
                }
                _ => None,
            };
            // Not told which request: nothing that is waiting can be trusted.
            told.leaving = told.answer.is_none();
        }
        _ => {}
    }
    Ok(told)
}

/// The answer to a request about orders. One about several is refused where all were.
fn answer(root: &Fields<'_, '_>) -> Read<Told> {
    let op = root.text("op")?;
    let answer = request_id(root).map(|id| refused(root, op == "order").map(|why| (id, why)));
    let answer = answer.transpose()?;
    let leaving = answer.is_none();
    // That an amend was taken does not say that it is made.
    let answer = answer.filter(|(_, refused)| op != "amend-order" || refused.is_some());
    Ok(Told { answer, leaving, ..Told::default() })
}

/// How an amend ended that an event of its order tells, by the id of its request.
fn amend_of(f: &Fields<'_, '_>) -> Option<(u64, Option<Refusal>)> {
    let id = f.word("reqId").parse().ok()?;
    match f.word("amendResult") {
        "" => None,
        "0" | "1" => Some((id, None)),
        _ => Some((id, Some(Refusal::Refused(DoneReason::Other)))),
    }
}

fn request_id(root: &Fields<'_, '_>) -> Option<u64> {
    root.get("id").and_then(text_of)?.parse().ok()
}

/// Why the request was refused: the reason of its first part where the whole only says "failed".
fn refused(root: &Fields<'_, '_>, places: bool) -> Read<Option<Refusal>> {
    let number = |text: &str| text.parse::<i64>().map_err(|_| DecodeError::Schema);
    let code = number(root.text("code")?)?;
    let first = root.list("data").ok().and_then(|data| data.iter().next());
    let part = first.and_then(|row| row.as_object());
    let part = part.and_then(|row| row.get("sCode")).and_then(text_of);
    match (code, part) {
        (1, Some(part)) => Ok(refusal(number(part)?, places)),
        _ => Ok(refusal(code, places)),
    }
}

fn page_row(
    row: Node<'_, '_>,
    kind: PageKind,
    names: &mut Names,
    rows: &mut Rows,
    told: &mut Told,
) -> Read<()> {
    let f = object_of(row)?;
    let last = |key: &str, cursor: &mut String| {
        cursor.clear();
        cursor.push_str(f.word(key));
    };
    match kind {
        PageKind::Orders => {
            last("ordId", &mut rows.cursor);
            rows.orders.push(order(&f, names)?);
        }
        PageKind::Fills => {
            last("billId", &mut rows.cursor);
            rows.fills.extend(fill(&f, names, ["fee", "feeCcy"])?);
        }
        PageKind::Other if f.has("details") => wallet(&f, names, rows)?,
        PageKind::Other => {
            let ms = f.get("ts").and_then(text_of).and_then(|ts| ts.parse().ok());
            told.server_ms = ms;
        }
    }
    Ok(())
}

fn order(f: &Fields<'_, '_>, names: &mut Names) -> Read<OrderRow> {
    let mut row = names.order(&OrderWords {
        symbol: f.text("instId")?,
        order: f.text("ordId")?,
        client: f.word("clOrdId"),
        executed: f.word("accFillSz"),
    })?;
    (row.state, row.reason) = state(f.text("state")?, f.word("cancelSource"))?;
    row.terms = names.terms(f.text("instId")?, [f.word("px"), f.word("sz")]);
    Ok(row)
}

/// The state of an order and why it ended, by the venue's number of what cancelled it: the rest of
/// an FOK (13) or IOC (14) order, a post-only order that would take (31), self-trade prevention
/// (32). A post-only order that would take is no refused one: it was accepted, perhaps told live,
/// and then ended by the venue.
fn state(state: &str, source: &str) -> Read<(RowState, DoneReason)> {
    use {DoneReason as D, RowState as S};
    Ok(match (state, source) {
        ("live" | "partially_filled", _) => (S::Open, D::None),
        ("filled", _) => (S::Filled, D::None),
        ("canceled", "31") => (S::Expired, D::WouldTake),
        ("canceled", "13" | "14") => (S::Expired, D::None),
        ("canceled", "32") => (S::Expired, D::SelfTrade),
        ("canceled" | "mmp_canceled", _) => (S::Canceled, D::None),
        _ => return Err(DecodeError::Schema),
    })
}

/// The fill that an event tells, if it tells one.
fn fill_of_event(f: &Fields<'_, '_>, names: &mut Names) -> Read<Option<FillRow>> {
    if f.word("tradeId").is_empty() {
        return Ok(None);
    }
    fill(f, names, ["fillFee", "fillFeeCcy"])
}

/// A fill of an instrument of the table, by the names of the fee, which is stated as what the
/// account gets, and of the fee's asset.
fn fill(
    f: &Fields<'_, '_>,
    names: &mut Names,
    [fee, currency]: [&str; 2],
) -> Read<Option<FillRow>> {
    names.fill(&FillWords {
        symbol: f.text("instId")?,
        trade_id: id_of(f.text("tradeId")?)?,
        order: f.text("ordId")?,
        client: f.word("clOrdId"),
        side: side_of(f.text("side")?, ["buy", "sell"])?,
        price: f.text("fillPx")?,
        qty: f.text("fillSz")?,
        fee: -amount_or_zero(f.word(fee))?,
        fee_asset: f.word(currency),
        maker: f.text("execType")? == "M",
        time_ms: f.word("fillTime").parse().map_err(|_| DecodeError::Schema)?,
    })
}

fn wallet(f: &Fields<'_, '_>, names: &Names, rows: &mut Rows) -> Read<()> {
    names.balances(&f.list("details")?, ["ccy", "cashBal", "frozenBal"], rows)
}

#[cfg(test)]
#[path = "private_tests.rs"]
mod tests;
