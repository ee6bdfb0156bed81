//! Answers, events and pages of the account. Source: the Bybit sheet, chapters 4 to 8.
//!
//! [`PrivateDecoder::decode`] reads a message of the trade or of the private connection,
//! [`PrivateDecoder::page`] an answer over REST; the rows lie in [`PrivateDecoder::rows`] until the
//! next one. Only spot is read: rows of other categories are left out. The answer to an order says
//! no more than that the request was taken; the order's state comes as an event.

use bot4_types::{DoneReason, InstrumentTable};

use super::errors::refusal;
use super::trade_id::trade_number;
use crate::account::{
    FillRow, FillWords, Names, OrderRow, OrderWords, Refusal, RowState, Rows, Told, amount_or_zero,
    side_of,
};
use crate::json::{Fields, FieldsExt, Node, Scratch, object_of, text_of};
use crate::market::DecodeError;

/// Longest message in bytes; a page of a hundred fills has some 80 kB.
const LEN_MAX: usize = 1024 * 1024;
/// New orders pause when no more than this many are left of the limit: cancels share it.
const LEFT_MIN: u32 = 2;

type Read<T> = Result<T, DecodeError>;

/// The limit of new orders as an answer told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Granted in a second.
    pub most: u32,
    /// Left of the present one.
    pub left: u32,
    /// The venue's time of the answer, Unix ms.
    pub now_ms: i64,
}

/// Reads the account's messages.
pub struct PrivateDecoder {
    scratch: Scratch,
    names: Names,
    /// The rows of the last message.
    pub rows: Rows,
    /// The limit of new orders, where an answer told it since it was looked for.
    pub limit: Option<Limit>,
}

impl PrivateDecoder {
    /// A decoder for the instruments and assets of `table`. Allocates.
    #[must_use]
    pub fn new(table: &InstrumentTable) -> Self {
        Self {
            scratch: Scratch::new(LEN_MAX),
            names: Names::new(table),
            rows: Rows::with_room(),
            limit: None,
        }
    }

    /// Reads a message of a connection.
    ///
    /// # Errors
    /// [`DecodeError`]: it cannot be trusted in any part. The caller must treat it as lost.
    pub fn decode(&mut self, text: &[u8]) -> Read<Told> {
        let Self { scratch, names, rows, limit } = self;
        rows.clear();
        scratch.read(text, |root| {
            let root = object_of(root)?;
            match (root.get("topic").and_then(text_of), root.has("retCode")) {
                (Some(topic), _) => event(topic, &root, names, rows).map(|()| Told::default()),
                (None, true) => trade_answer(&root, limit),
                (None, false) => private_answer(&root),
            }
        })
    }

    /// Reads the answer to the REST request `id`, which came with the HTTP `status` at the venue's
    /// time `now_ms`.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn page(&mut self, id: u64, status: u16, now_ms: i64, text: &[u8]) -> Read<Told> {
        let Self { scratch, names, rows, .. } = self;
        rows.clear();
        if status != 200 {
            let code = if status == 403 { 403 } else { -1 };
            let answer = Some((id, refusal(code, 0, now_ms, false)));
            return Ok(Told { answer, ..Told::default() });
        }
        scratch.read(text, |root| {
            let root = object_of(root)?;
            let now_ms = root.signed("time").unwrap_or(0);
            let refused = refusal(root.signed("retCode")?, 0, now_ms, false);
            let mut told = Told { answer: Some((id, refused)), ..Told::default() };
            if refused.is_some() {
                return Ok(told);
            }
            told.server_ms = Some(now_ms).filter(|ms| *ms > 0);
            let result = root.fields("result").ok_or(DecodeError::Schema)?;
            if let Ok(list) = result.list("list") {
                for row in list.iter() {
                    page_row(row, result.get("category").and_then(text_of), names, rows)?;
                }
                if !list.is_empty() {
                    rows.cursor.push_str(result.word("nextPageCursor"));
                }
            }
            told.more = !rows.cursor.is_empty();
            Ok(told)
        })
    }
}

/// An answer of the trade connection.
fn trade_answer(root: &Fields<'_, '_>, limit: &mut Option<Limit>) -> Read<Told> {
    let op = root.text("op")?;
    let header = root.fields("header");
    let number = |name: &str| {
        let text = header.as_ref().and_then(|h| h.get(name)).and_then(text_of)?;
        text.parse::<i64>().ok()
    };
    let reset_ms = number("X-Bapi-Limit-Reset-Timestamp").unwrap_or(0);
    let now_ms = number("Timenow").unwrap_or(0);
    let code = root.signed("retCode")?;
    let places = op == "order.create";
    let mut told = Told { leaving: code == 10_019, ..Told::default() };
    told.answer = id_of(root, "reqId").map(|id| (id, refusal(code, reset_ms, now_ms, places)));
    let count = |name| number(name).and_then(|n| u32::try_from(n).ok());
    let left = count("X-Bapi-Limit-Status");
    if let (true, Some(most), Some(left)) = (places, count("X-Bapi-Limit"), left) {
        *limit = Some(Limit { most, left, now_ms });
    }
    if places && left.is_some_and(|left| left < LEFT_MIN) && reset_ms > 0 {
        told.pause_until_ms = Some(reset_ms);
    }
    Ok(told)
}

/// An answer of the private connection; a refused logon is a refused key.
fn private_answer(root: &Fields<'_, '_>) -> Read<Told> {
    let op = root.text("op")?;
    let mut told = Told::default();
    if matches!(op, "ping" | "pong") {
        return Ok(told);
    }
    let refused = (!root.truth("success")?).then_some(match op {
        "auth" => Refusal::Session,
        _ => Refusal::Refused(DoneReason::Other),
    });
    told.answer = id_of(root, "req_id").map(|id| (id, refused));
    // Not told which request: nothing that is waiting can be trusted.
    told.leaving = told.answer.is_none() && refused.is_some();
    Ok(told)
}

fn id_of(root: &Fields<'_, '_>, key: &str) -> Option<u64> {
    root.get(key).and_then(text_of)?.parse().ok()
}

fn event(topic: &str, root: &Fields<'_, '_>, names: &mut Names, rows: &mut Rows) -> Read<()> {
    let kind = topic.split_once('.').map_or(topic, |(kind, _)| kind);
    if !matches!(kind, "order" | "execution" | "wallet") {
        return Ok(());
    }
    for row in root.list("data")?.iter() {
        let fields = object_of(row)?;
        if kind == "wallet" {
            wallet(&fields, names, rows)?;
        } else if fields.text("category")? == "spot" {
            spot_row(&fields, names, rows)?;
        }
    }
    Ok(())
}

/// A row of a page: a wallet, or an order or a fill of `category`.
fn page_row(
    row: Node<'_, '_>,
    category: Option<&str>,
    names: &mut Names,
    rows: &mut Rows,
) -> Read<()> {
    let fields = object_of(row)?;
    if fields.has("coin") {
        return wallet(&fields, names, rows);
    }
    if category == Some("spot") && fields.has("orderId") {
        return spot_row(&fields, names, rows);
    }
    Ok(())
}

fn spot_row(f: &Fields<'_, '_>, names: &mut Names, rows: &mut Rows) -> Read<()> {
    if f.has("execId") {
        if let Some(fill) = fill(f, names)? {
            rows.fills.push(fill);
        }
    } else if f.has("orderStatus") {
        rows.orders.push(order(f, names)?);
    }
    Ok(())
}

fn order(f: &Fields<'_, '_>, names: &mut Names) -> Read<OrderRow> {
    let mut row = names.order(&OrderWords {
        symbol: f.text("symbol")?,
        order: f.text("orderId")?,
        client: f.word("orderLinkId"),
        executed: f.word("cumExecQty"),
    })?;
    (row.state, row.reason) =
        state(f.text("orderStatus")?, f.word("rejectReason"), f.word("cancelType"))?;
    row.terms = names.terms(f.text("symbol")?, [f.word("price"), f.word("qty")]);
    Ok(row)
}

/// The state of an order and why it ended. "Cancelled" is also how the venue ends the rest of an
/// IOC order and how it refuses a post-only order that would take.
fn state(status: &str, reject: &str, cancel: &str) -> Read<(RowState, DoneReason)> {
    use {DoneReason as D, RowState as S};
    Ok(match (status, reject) {
        ("New" | "PartiallyFilled" | "Triggered", _) => (S::Open, D::None),
        ("Untriggered", _) => (S::Untriggered, D::None),
        ("Filled", _) => (S::Filled, D::None),
        (_, "EC_PostOnlyWillTakeLiquidity") => (S::Rejected, D::WouldTake),
        ("Rejected", _) => (S::Rejected, D::Other),
        (_, "EC_NoImmediateQtyToFill" | "EC_NoEnoughQtyToFill") => (S::Expired, D::None),
        ("Cancelled" | "PartiallyFilledCanceled" | "Deactivated", _) => match cancel {
            "CancelBySmp" => (S::Expired, D::SelfTrade),
            _ => (S::Canceled, D::None),
        },
        _ => return Err(DecodeError::Schema),
    })
}

/// A fill of an instrument of the table; funding and the like are none.
fn fill(f: &Fields<'_, '_>, names: &mut Names) -> Read<Option<FillRow>> {
    if f.text("execType")? != "Trade" {
        return Ok(None);
    }
    let id = f.text("execId")?;
    names.fill(&FillWords {
        symbol: f.text("symbol")?,
        trade_id: trade_number(id.as_bytes()).ok_or(DecodeError::Schema)?,
        order: f.text("orderId")?,
        client: f.word("orderLinkId"),
        side: side_of(f.text("side")?, ["Buy", "Sell"])?,
        price: f.text("execPrice")?,
        qty: f.text("execQty")?,
        fee: amount_or_zero(f.word("execFee"))?,
        fee_asset: f.word("feeCurrency"),
        maker: f.truth("isMaker")?,
        time_ms: f.word("execTime").parse().map_err(|_| DecodeError::Schema)?,
    })
}

fn wallet(f: &Fields<'_, '_>, names: &Names, rows: &mut Rows) -> Read<()> {
    names.balances(&f.list("coin")?, ["coin", "walletBalance", "locked"], rows)
}

#[cfg(test)]
#[path = "private_tests.rs"]
mod tests;
