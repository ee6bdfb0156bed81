//! The account's JSON: orders by the channel's names and by those of REST, fills, balances,
//! refusals.
//!
//! Sources: protocol sheet, chapters A.4 and A.7, and the venue's documented answers. Ids are UUIDs
//! that carry the exchange's numbers in their last part.

use std::fmt::Write as _;

use crate::account::Balance;
use crate::decimal::ONE;
use crate::dialect::text::{rfc3339, trimmed_text, wide_text};
use crate::error::ApiError;
use crate::exchange::Exchange;
use crate::matching::{Side, Tif};
use crate::orders::{Kind, Order, OwnTrade, Status};

use super::account::Denied;

/// Bits of the last part of a UUID.
const LAST_PART: u64 = (1 << 48) - 1;

/// The id of the order with this number.
pub fn uuid(number: u64) -> String {
    mixed(number, number)
}

/// A UUID that ends with `number`; the rest follows from `seed`.
fn mixed(seed: u64, number: u64) -> String {
    let mix = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        mix >> 32,
        (mix >> 16) & 0xFFFF,
        (mix >> 4) & 0xFFF,
        (mix >> 20) & 0xFFF,
        number & LAST_PART
    )
}

/// The number of the order with this id.
pub fn order_number(id: &str) -> Option<u64> {
    let number = u64::from_str_radix(id.rsplit('-').next()?, 16).ok()?;
    (uuid(number) == id).then_some(number)
}

/// The id of a fill: trades are numbered by market.
pub fn trade_uuid(trade: &OwnTrade) -> String {
    let seed = trade.symbol.bytes().fold(trade.id, |h, b| h.rotate_left(7) ^ u64::from(b));
    mixed(seed, trade.id)
}

fn side(side: Side) -> &'static str {
    if side == Side::Buy { "BUY" } else { "SELL" }
}

/// A taken order.
pub fn placed(id: &str, symbol: &str, of: Side, client: &str) -> String {
    format!(
        concat!(
            r#"{{"success":true,"failure_reason":"UNKNOWN_FAILURE_REASON","order_id":"{id}","#,
            r#""success_response":{{"order_id":"{id}","product_id":"{symbol}","side":"{side}","#,
            r#""client_order_id":"{client}"}},"order_configuration":null}}"#
        ),
        id = id,
        symbol = symbol,
        side = side(of),
        client = client
    )
}

/// A refused order. What the venue's look ahead finds is told under another name.
pub fn refused(error: Denied) -> String {
    let (error, preview) = match error.starts_with("PREVIEW_") {
        true => ("UNKNOWN_FAILURE_REASON", error),
        false => (error, "UNKNOWN_PREVIEW_FAILURE_REASON"),
    };
    format!(
        concat!(
            r#"{{"success":false,"failure_reason":"UNKNOWN_FAILURE_REASON","order_id":"","#,
            r#""error_response":{{"error":"{error}","message":"","error_details":"","#,
            r#""preview_failure_reason":"{preview}","#,
            r#""new_order_failure_reason":"{error}"}},"order_configuration":null}}"#
        ),
        error = error,
        preview = preview
    )
}

/// What became of one cancel.
pub fn canceled(id: &str, done: bool) -> String {
    let why = if done { "UNKNOWN_CANCEL_FAILURE_REASON" } else { "UNKNOWN_CANCEL_ORDER" };
    format!(r#"{{"success":{done},"failure_reason":"{why}","order_id":"{id}"}}"#)
}

/// The answer to an edit.
pub fn edited(refused: Option<Denied>) -> String {
    let errors = refused.map_or_else(String::new, |reason| {
        format!(
            concat!(
                r#"{{"edit_failure_reason":"{}","#,
                r#""preview_failure_reason":"UNKNOWN_PREVIEW_FAILURE_REASON"}}"#
            ),
            reason
        )
    });
    format!(r#"{{"success":{},"errors":[{errors}]}}"#, refused.is_none())
}

/// A refusal of an edit in this venue's words.
pub fn not_edited(error: &ApiError) -> Denied {
    let has = |part: &str| error.msg.contains(part);
    match error.code {
        -1013 if has("PRICE") => "INVALID_EDITED_PRICE",
        -1013 => "INVALID_EDITED_SIZE",
        _ => "COMMANDER_REJECTED_EDIT_ORDER",
    }
}

/// A refusal of the exchange in this venue's words; whether what the order waits for is a rise.
pub fn denied(error: &ApiError, rises: bool) -> Denied {
    let has = |part: &str| error.msg.contains(part);
    match error.code {
        -2010 if has("insufficient balance") => "INSUFFICIENT_FUND",
        -2010 if has("trigger immediately") => match rises {
            true => "PREVIEW_STOP_PRICE_BELOW_LAST_TRADE_PRICE",
            false => "PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE",
        },
        -2010 if has("immediately match") => "INVALID_LIMIT_PRICE_POST_ONLY",
        -1121 => "INVALID_PRODUCT_ID",
        _ if has("Market is closed") => "UNTRADABLE_PRODUCT",
        _ if has("PRICE") => "INVALID_PRICE_PRECISION",
        _ if has("LOT_SIZE") => "INVALID_SIZE_PRECISION",
        _ if has("NOTIONAL") => "INVALID_QUOTE_SIZE_TOO_SMALL",
        _ => "INVALID_REQUEST",
    }
}

/// What both forms of an order say.
struct Facts {
    id: String,
    status: &'static str,
    tif: &'static str,
    kind: &'static str,
    stop: String,
    trigger: &'static str,
    average: String,
    fees: String,
    fills: usize,
    percent: String,
    created: String,
}

fn facts(exchange: &Exchange, order: &Order) -> Facts {
    let since = |t: &&OwnTrade| t.time_ms >= order.created_ms;
    let own = exchange.orders.trades(order.market).rev().take_while(since);
    let (mut fees, mut fills) = (0, 0);
    own.filter(|t| t.order == order.id)
        .for_each(|t| (fees, fills) = (fees + t.commission, fills + 1));
    let one = i128::from(ONE);
    let average = match order.filled {
        0 => "0".to_owned(),
        filled => wide_text(order.quote * one / i128::from(filled)),
    };
    let percent = i128::from(order.filled) * 100 * one / i128::from(order.qty.max(1));
    Facts {
        id: uuid(order.id),
        status: match order.status {
            Status::New | Status::PartiallyFilled => "OPEN",
            Status::Filled => "FILLED",
            Status::Canceled | Status::Expired | Status::ExpiredInMatch => "CANCELLED",
        },
        tif: match (order.kind, order.tif) {
            (Kind::Market, _) | (_, Tif::Ioc) => "IMMEDIATE_OR_CANCEL",
            (_, Tif::Fok) => "FILL_OR_KILL",
            (_, Tif::Gtc) => "GOOD_UNTIL_CANCELLED",
        },
        kind: match order.kind {
            Kind::Market => "Market",
            kind if kind.waits() => "Stop Limit",
            _ => "Limit",
        },
        stop: if order.stop > 0 { trimmed_text(order.stop) } else { String::new() },
        trigger: match (order.stop, order.waiting) {
            (0, _) => "INVALID_ORDER_TYPE",
            (_, true) => "STOP_PENDING",
            (_, false) => "STOP_TRIGGERED",
        },
        average,
        fees: wide_text(fees),
        fills,
        percent: wide_text(percent),
        created: rfc3339(order.created_ms * 1_000_000, 6),
    }
}

/// An order as the channel `user` tells it: every value is a text.
pub fn channel_row(exchange: &Exchange, order: &Order) -> String {
    let f = facts(exchange, order);
    let mut out = String::with_capacity(1_000);
    let _ = write!(
        out,
        concat!(
            r#"{{"avg_price":"{}","cancel_reason":"","client_order_id":"{}","#,
            r#""completion_percentage":"{}","contract_expiry_type":"UNKNOWN_CONTRACT_EXPIRY_TYPE","#,
            r#""cumulative_quantity":"{}","filled_value":"{}","leaves_quantity":"{}","#,
            r#""limit_price":"{}","number_of_fills":"{}","order_id":"{}","order_side":"{}","#,
            r#""order_type":"{}","outstanding_hold_amount":"{}","post_only":"{}","#,
            r#""product_id":"{}","product_type":"SPOT","reject_reason":"","#
        ),
        f.average,
        order.client_id,
        f.percent,
        trimmed_text(order.filled),
        wide_text(order.quote),
        trimmed_text(order.left()),
        trimmed_text(order.price),
        f.fills,
        f.id,
        side(order.side),
        f.kind,
        wide_text(order.locked),
        order.kind == Kind::LimitMaker,
        order.symbol
    );
    let _ = write!(
        out,
        concat!(
            r#""retail_portfolio_id":"018c4b12","risk_managed_by":"UNKNOWN_RISK_MANAGEMENT_TYPE","#,
            r#""status":"{}","stop_price":"{}","time_in_force":"{}","total_fees":"{}","#,
            r#""total_value_after_fees":"{}","trigger_status":"{}","#,
            r#""creation_time":"{}","end_time":"0001-01-01T00:00:00Z","#,
            r#""start_time":"0001-01-01T00:00:00Z"}}"#
        ),
        f.status,
        f.stop,
        f.tif,
        f.fees,
        wide_text(order.quote),
        f.trigger,
        f.created
    );
    out
}

/// An order as REST lists it.
pub fn listed(exchange: &Exchange, order: &Order) -> String {
    let f = facts(exchange, order);
    format!(
        concat!(
            r#"{{"order_id":"{}","product_id":"{}","user_id":"u","order_configuration":"#,
            r#"{{"limit_limit_gtc":{{"base_size":"{}","limit_price":"{}"}}}},"#,
            r#""side":"{}","client_order_id":"{}","status":"{}","time_in_force":"{}","#,
            r#""created_time":"{}","completion_percentage":"{}","filled_size":"{}","#,
            r#""average_filled_price":"{}","fee":"","number_of_fills":"{}","filled_value":"{}","#,
            r#""pending_cancel":false,"size_in_quote":false,"total_fees":"{}","#,
            r#""size_inclusive_of_fees":false,"trigger_status":"{}","#,
            r#""order_type":"{}","reject_reason":"REJECT_REASON_UNSPECIFIED","settled":{},"#,
            r#""product_type":"SPOT","reject_message":"","cancel_message":"","#,
            r#""order_placement_source":"RETAIL_ADVANCED","outstanding_hold_amount":"{}"}}"#
        ),
        f.id,
        order.symbol,
        trimmed_text(order.qty),
        trimmed_text(order.price),
        side(order.side),
        order.client_id,
        f.status,
        f.tif,
        f.created,
        f.percent,
        trimmed_text(order.filled),
        f.average,
        f.fills,
        wide_text(order.quote),
        f.fees,
        f.trigger,
        f.kind.to_uppercase().replace(' ', "_"),
        !order.status.is_open(),
        wide_text(order.locked)
    )
}

/// One fill.
pub fn fill(trade: &OwnTrade) -> String {
    let (id, time) = (trade_uuid(trade), rfc3339(trade.time_ms * 1_000_000, 6));
    format!(
        concat!(
            r#"{{"entry_id":"{id}","trade_id":"{id}","order_id":"{order}","trade_time":"{time}","#,
            r#""trade_type":"FILL","price":"{price}","size":"{size}","commission":"{fee}","#,
            r#""product_id":"{symbol}","sequence_timestamp":"{time}","#,
            r#""liquidity_indicator":"{liquidity}","size_in_quote":false,"user_id":"u","#,
            r#""side":"{side}","retail_portfolio_id":"018c4b12"}}"#
        ),
        id = id,
        order = uuid(trade.order),
        time = time,
        price = trimmed_text(trade.price),
        size = trimmed_text(trade.qty),
        fee = wide_text(trade.commission),
        symbol = trade.symbol,
        liquidity = if trade.maker { "MAKER" } else { "TAKER" },
        side = if trade.buyer { "BUY" } else { "SELL" }
    )
}

/// One asset of the account.
pub fn wallet(asset: &str, balance: &Balance) -> String {
    let (free, hold) = (wide_text(balance.free), wide_text(balance.locked));
    format!(
        concat!(
            r#"{{"uuid":"8bfc20d7-{asset}","name":"{asset} Wallet","currency":"{asset}","#,
            r#""available_balance":{{"value":"{free}","currency":"{asset}"}},"default":false,"#,
            r#""active":true,"created_at":"2021-05-31T09:59:59Z","deleted_at":null,"#,
            r#""type":"ACCOUNT_TYPE_CRYPTO","ready":true,"#,
            r#""hold":{{"value":"{hold}","currency":"{asset}"}},"retail_portfolio_id":"018c4b12"}}"#
        ),
        asset = asset,
        free = free,
        hold = hold
    )
}
