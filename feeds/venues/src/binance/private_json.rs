//! Walks a private message. See [`super::private`] for what comes out.

use bot4_types::text::DecimalError;
use bot4_types::text::parse_units;
use bot4_types::{AssetId, DoneReason, OrderKind, Side, Symbol, Tif};
use simd_json::prelude::*;

use super::WIRE_DECIMALS;
use super::errors::{ApiError, ErrorKind};
use super::private::{
    AccountTrade, ApiMessage, ApiResult, Balance, Execution, ExecutionReport, Fill, Lists, Names,
    OrderView, Response, VenueStatus,
};
use crate::client_text::ClientText;
use crate::json::{Fields, FieldsExt, List, Node, text_of};
use crate::limits::{RateLimits, Usage};
use crate::market::DecodeError;
use crate::number::{amount, unix_ms};

type Read<T> = Result<T, DecodeError>;

/// Reads a message; its lists are left in `lists`.
pub(super) fn read(
    root: Node<'_, '_>,
    names: &mut Names,
    lists: &mut Lists,
) -> Read<ApiMessage<'static>> {
    let root = root.as_object().ok_or(DecodeError::Schema)?;
    if root.has("status") {
        return response(&root, names, lists).map(ApiMessage::Response);
    }
    // Today's wrapper, that of the retired user streams, or none.
    let wrapped = root.fields("event").or_else(|| root.fields("data"));
    event(&wrapped.unwrap_or(root), names, lists)
}

fn event(
    fields: &Fields<'_, '_>,
    names: &mut Names,
    lists: &mut Lists,
) -> Read<ApiMessage<'static>> {
    match fields.text("e")? {
        "executionReport" => execution(fields, names).map(ApiMessage::Execution),
        "outboundAccountPosition" => {
            balances(&fields.list("B")?, ["a", "f", "l"], names, lists)?;
            Ok(ApiMessage::AccountPosition { event_ms: time(fields, "E")?, balances: &[] })
        }
        "balanceUpdate" | "externalLockUpdate" => Ok(ApiMessage::BalanceUpdate {
            event_ms: time(fields, "E")?,
            asset: asset(fields.text("a")?, names),
            delta: amount(fields.text("d")?)?,
        }),
        "eventStreamTerminated" => Ok(ApiMessage::Terminated),
        "serverShutdown" => Ok(ApiMessage::ServerShutdown),
        _ => Ok(ApiMessage::Other),
    }
}

fn response(
    root: &Fields<'_, '_>,
    names: &mut Names,
    lists: &mut Lists,
) -> Read<Response<'static>> {
    let status = u16::try_from(root.unsigned("status")?).map_err(|_| DecodeError::Schema)?;
    let outcome = match (root.get("result"), root.fields("error")) {
        (Some(value), None) => Ok(result(value, names, lists)?),
        (None, Some(fields)) => match half_replaced(status, &fields, names)? {
            Some(half) => Ok(half),
            None => Err(error(status, &fields)),
        },
        // Neither: a gateway's failure, or a text that was cut. Nothing is proven.
        _ => Err(ApiError::new(status.max(500), 0, "", 0)),
    };
    let id = root.get("id").and_then(|v| v.as_u64());
    Ok(Response { id, status, outcome, usage: usage(root) })
}

/// A cancel-replace whose cancel went through and whose new order was refused, if that is certain.
fn half_replaced(
    status: u16,
    fields: &Fields<'_, '_>,
    names: &mut Names,
) -> Read<Option<ApiResult<'static>>> {
    let Some(data) = fields.fields("data").filter(|_| status == 409) else { return Ok(None) };
    let word = |key: &str| data.get(key).and_then(text_of).unwrap_or("");
    let (canceled, refused) = (data.fields("cancelResponse"), data.fields("newOrderResponse"));
    let halves = (word("cancelResult"), word("newOrderResult"));
    let (("SUCCESS", "FAILURE"), Some(canceled), Some(refused)) = (halves, canceled, refused)
    else {
        return Ok(None);
    };
    let why = error(400, &refused);
    if why.kind == ErrorKind::OutcomeUnknown {
        return Ok(None);
    }
    Ok(Some(ApiResult::HalfReplaced(order(&canceled, "origClientOrderId", names)?, why)))
}

fn error(status: u16, fields: &Fields<'_, '_>) -> ApiError {
    let code = fields.signed("code").ok().and_then(|c| i32::try_from(c).ok()).unwrap_or(0);
    let msg = fields.text("msg").unwrap_or("");
    let data = fields.fields("data");
    let retry = data.and_then(|d| d.signed("retryAfter").ok()).unwrap_or(0);
    let mut error = ApiError::new(status, code, msg, retry);
    // A cancel-replace that went half way is not a refusal; one whose cancel failed is, and the
    // order may have just ended.
    match (status, code) {
        (409, _) => error.kind = ErrorKind::OutcomeUnknown,
        (400, -2022) => error.kind = ErrorKind::UnknownOrder,
        _ => {}
    }
    error
}

fn result(value: Node<'_, '_>, names: &mut Names, lists: &mut Lists) -> Read<ApiResult<'static>> {
    if let Some(list) = value.as_array() {
        return list_result(&list, names, lists);
    }
    let Some(fields) = value.as_object() else { return Ok(ApiResult::Other) };
    if let Some(amended) = fields.fields("amendedOrder") {
        return order(&amended, "clientOrderId", names).map(ApiResult::Amended);
    }
    if fields.has("cancelResult") {
        return replaced(&fields, names, lists);
    }
    if fields.has("origClientOrderId") && fields.has("orderId") {
        return order(&fields, "origClientOrderId", names).map(ApiResult::Canceled);
    }
    if fields.has("clientOrderId") && fields.has("orderId") {
        let view = order(&fields, "clientOrderId", names)?;
        if fields.has("isWorking") || fields.has("updateTime") {
            return Ok(ApiResult::OrderStatus(view));
        }
        fills(&fields, &view, names, lists)?;
        return Ok(ApiResult::Placed(view, &[]));
    }
    if let Ok(list) = fields.list("balances") {
        balances(&list, ["asset", "free", "locked"], names, lists)?;
        return Ok(ApiResult::Account(&[]));
    }
    if let Ok(subscription) = fields.unsigned("subscriptionId") {
        return Ok(ApiResult::Subscribed { subscription });
    }
    if let Some(since) = fields.get("authorizedSince") {
        return Ok(ApiResult::Session { authorized: since.as_u64().is_some() });
    }
    if fields.has("serverTime") && !fields.has("symbols") {
        return Ok(ApiResult::ServerTime(time(&fields, "serverTime")?));
    }
    Ok(ApiResult::Other)
}

/// Both halves of a cancel-replace went through; what went half way is an error.
fn replaced(
    fields: &Fields<'_, '_>,
    names: &mut Names,
    lists: &mut Lists,
) -> Read<ApiResult<'static>> {
    let half = |key| fields.fields(key).ok_or(DecodeError::Schema);
    let (canceled, placed) = (half("cancelResponse")?, half("newOrderResponse")?);
    let old = order(&canceled, "origClientOrderId", names)?;
    let new = order(&placed, "clientOrderId", names)?;
    fills(&placed, &new, names, lists)?;
    Ok(ApiResult::Replaced(old, new, &[]))
}

fn list_result(
    list: &List<'_, '_>,
    names: &mut Names,
    lists: &mut Lists,
) -> Read<ApiResult<'static>> {
    lists.orders.clear();
    lists.trades.clear();
    let Some(first) = list.iter().next() else { return Ok(ApiResult::EmptyList) };
    let Some(first) = first.as_object() else { return Ok(ApiResult::Other) };
    if first.has("isBuyer") {
        for entry in list.iter() {
            let fields = entry.as_object().ok_or(DecodeError::Schema)?;
            lists.trades.push(trade(&fields, names)?);
        }
        return Ok(ApiResult::Trades(&[]));
    }
    if list.iter().filter_map(|e| e.as_object()).any(|e| e.has("orderReports")) {
        return canceled_lists(list, names, lists);
    }
    if !first.has("orderId") {
        return Ok(ApiResult::Other);
    }
    let canceled = first.has("origClientOrderId");
    let key = if canceled { "origClientOrderId" } else { "clientOrderId" };
    for entry in list.iter() {
        let fields = entry.as_object().ok_or(DecodeError::Schema)?;
        lists.orders.push(order(&fields, key, names)?);
    }
    Ok(if canceled { ApiResult::CanceledAll(&[]) } else { ApiResult::OpenOrders(&[]) })
}

/// A cancel of all met order lists: their orders are reported inside.
fn canceled_lists(
    list: &List<'_, '_>,
    names: &mut Names,
    lists: &mut Lists,
) -> Read<ApiResult<'static>> {
    for entry in list.iter() {
        let fields = entry.as_object().ok_or(DecodeError::Schema)?;
        let Ok(reports) = fields.list("orderReports") else {
            lists.orders.push(order(&fields, "origClientOrderId", names)?);
            continue;
        };
        for report in reports.iter() {
            let fields = report.as_object().ok_or(DecodeError::Schema)?;
            lists.orders.push(order(&fields, "origClientOrderId", names)?);
        }
    }
    Ok(ApiResult::CanceledAll(&[]))
}

fn order(fields: &Fields<'_, '_>, client_key: &str, names: &mut Names) -> Read<OrderView> {
    let scale = Scale::of(fields.text("symbol")?, names)?;
    let optional = |key: &str, decimals| match fields.get(key).and_then(text_of) {
        Some(text) => units(text, decimals),
        None => Ok(0),
    };
    let word = |key: &str| fields.get(key).and_then(text_of);
    let status = word("status").map_or(VenueStatus::New, status);
    let kind = word("type").and_then(kind);
    // An order that works says since when, in answers, or that it does, asked for its state.
    let works = fields.signed("workingTime").is_ok_and(|t| t > 0)
        && fields.truth("isWorking").unwrap_or(true);
    Ok(OrderView {
        instrument: scale.instrument,
        symbol: scale.symbol,
        venue_order: number_or_text(fields, "orderId")?,
        client: client(fields.text(client_key)?)?,
        status,
        kind,
        tif: word("timeInForce").and_then(tif),
        side: word("side").map(side).transpose()?,
        price: optional("price", scale.price)?,
        // An amended order names it otherwise than all others.
        qty: optional(if fields.has("origQty") { "origQty" } else { "qty" }, scale.qty)?,
        executed: optional("executedQty", scale.qty)?,
        waits: !works && kind.is_some_and(OrderKind::is_triggered),
        cum_quote: cum_quote(fields)?,
        time_ms: first_time(fields, ["transactTime", "updateTime", "time"]),
    })
}

/// Old orders state a negative amount: not known.
fn cum_quote(fields: &Fields<'_, '_>) -> Read<Option<i128>> {
    match fields.get("cummulativeQuoteQty").and_then(text_of) {
        Some(text) => Ok(Some(amount(text)?).filter(|a| *a >= 0)),
        None => Ok(None),
    }
}

fn fills(
    fields: &Fields<'_, '_>,
    view: &OrderView,
    names: &mut Names,
    lists: &mut Lists,
) -> Read<()> {
    lists.fills.clear();
    let Ok(list) = fields.list("fills") else { return Ok(()) };
    let scale = Scale::of(view.symbol.as_str(), names)?;
    for entry in list.iter() {
        let fill = entry.as_object().ok_or(DecodeError::Schema)?;
        lists.fills.push(Fill {
            trade_id: fill.unsigned("tradeId")?,
            price: units(fill.text("price")?, scale.price)?,
            qty: units(fill.text("qty")?, scale.qty)?,
            fee: amount(fill.text("commission")?)?,
            fee_asset: asset(fill.text("commissionAsset")?, names),
        });
    }
    Ok(())
}

fn trade(fields: &Fields<'_, '_>, names: &mut Names) -> Read<AccountTrade> {
    let scale = Scale::of(fields.text("symbol")?, names)?;
    Ok(AccountTrade {
        instrument: scale.instrument,
        trade_id: fields.unsigned("id")?,
        venue_order: number_or_text(fields, "orderId")?,
        price: units(fields.text("price")?, scale.price)?,
        qty: units(fields.text("qty")?, scale.qty)?,
        quote: amount(fields.text("quoteQty")?)?,
        fee: amount(fields.text("commission")?)?,
        fee_asset: asset(fields.text("commissionAsset")?, names),
        side: if fields.truth("isBuyer")? { Side::Buy } else { Side::Sell },
        maker: fields.truth("isMaker")?,
        time_ms: time(fields, "time")?,
    })
}

fn balances(list: &List<'_, '_>, keys: [&str; 3], names: &Names, lists: &mut Lists) -> Read<()> {
    lists.balances.clear();
    for entry in list.iter() {
        let fields = entry.as_object().ok_or(DecodeError::Schema)?;
        let text = fields.text(keys[0])?;
        // A name too long to hold cannot be in the table of this run.
        let Some(name) = Symbol::new(text) else { continue };
        lists.balances.push(Balance {
            asset: asset(text, names),
            name,
            free: amount(fields.text(keys[1])?)?,
            locked: amount(fields.text(keys[2])?)?,
        });
    }
    Ok(())
}

fn execution(f: &Fields<'_, '_>, names: &mut Names) -> Read<ExecutionReport> {
    let scale = Scale::of(f.text("s")?, names)?;
    let status = status(f.text("X")?);
    let execution = execution_type(f.text("x")?);
    let is_trade = execution == Execution::Trade;
    let trade_id = f.signed("t")?;
    // Outside trades these fields hold leftovers: they must not reach the ledger.
    let of_trade = |key: &str, decimals| {
        if is_trade { units(f.text(key)?, decimals) } else { Ok(0) }
    };
    if is_trade && trade_id < 0 {
        return Err(DecodeError::Schema);
    }
    let fee_asset = f.get("N").and_then(text_of).map_or(AssetId::NONE, |n| asset(n, names));
    Ok(ExecutionReport {
        event_ms: time(f, "E")?,
        transact_ms: time(f, "T")?,
        instrument: scale.instrument,
        symbol: scale.symbol,
        client: client(f.text("c")?)?,
        original_client: client(f.text("C")?)?,
        side: side(f.text("S")?)?,
        kind: kind(f.text("o")?),
        tif: tif(f.text("f")?),
        qty: units(f.text("q")?, scale.qty)?,
        price: units(f.text("p")?, scale.price)?,
        execution,
        status,
        reason: reason(f, execution, status),
        venue_order: f.unsigned("i")?,
        last_qty: of_trade("l", scale.qty)?,
        cum_qty: units(f.text("z")?, scale.qty)?,
        last_price: of_trade("L", scale.price)?,
        fee: if is_trade { amount(f.text("n")?)? } else { 0 },
        fee_asset: if is_trade { fee_asset } else { AssetId::NONE },
        trade_id: if is_trade { u64::try_from(trade_id).ok() } else { None },
        execution_id: f.unsigned("I")?,
        working: f.truth("w")?,
        maker: f.truth("m")?,
        cum_quote: amount(f.text("Z")?)?,
        last_quote: if is_trade { amount(f.text("Y")?)? } else { 0 },
    })
}

fn reason(f: &Fields<'_, '_>, execution: Execution, status: VenueStatus) -> DoneReason {
    let word = |key: &str| f.get(key).and_then(text_of).unwrap_or("NONE");
    match word("r") {
        "INSUFFICIENT_BALANCES" => DoneReason::Balance,
        "WOULD_MATCH_IMMEDIATELY" => DoneReason::WouldTake,
        _ if execution == Execution::TradePrevention => DoneReason::SelfTrade,
        _ if status == VenueStatus::ExpiredInMatch => DoneReason::SelfTrade,
        "NONE" => match word("eR") {
            "EXECUTION_RULE_PRICE_RANGE_EXCEEDED" => DoneReason::Filter,
            "EXCHANGE_CANCELED" | "REJECTED" => DoneReason::Other,
            _ => DoneReason::None,
        },
        _ => DoneReason::Other,
    }
}

fn usage(root: &Fields<'_, '_>) -> Usage {
    let mut usage = Usage::default();
    let Ok(list) = root.list("rateLimits") else { return usage };
    for fields in list.iter().filter_map(|e| e.as_object()) {
        let word = |key: &str| fields.get(key).and_then(text_of).unwrap_or("");
        let small = |key: &str| fields.unsigned(key).ok().and_then(|n| u32::try_from(n).ok());
        let limit = small("limit").unwrap_or(0);
        match (word("rateLimitType"), word("interval"), small("intervalNum")) {
            ("ORDERS", "SECOND", Some(10)) => {
                usage.orders_10s = small("count");
                usage.limits.orders_10s = limit;
            }
            ("ORDERS", "DAY", Some(1)) => {
                usage.orders_day = small("count");
                usage.limits.orders_day = limit;
            }
            ("REQUEST_WEIGHT", "MINUTE", Some(1)) => {
                usage.weight_minute = small("count");
                usage.limits.weight_minute = limit;
            }
            _ => {}
        }
    }
    usage
}

/// The limits in exchangeInfo's list, which has the same shape without counts.
pub(super) fn limits(root: &Fields<'_, '_>) -> RateLimits {
    usage(root).limits
}

/// Decimals and identity of a symbol.
struct Scale {
    instrument: Option<bot4_types::InstrumentId>,
    symbol: Symbol,
    price: u8,
    qty: u8,
}

impl Scale {
    fn of(text: &str, names: &mut Names) -> Read<Self> {
        let symbol = Symbol::new(text).ok_or(DecodeError::UnknownSymbol)?;
        Ok(match names.symbols.find(text.as_bytes()) {
            Some(listed) => Self {
                instrument: Some(listed.id),
                symbol,
                price: listed.price_decimals,
                qty: listed.qty_decimals,
            },
            None => Self { instrument: None, symbol, price: WIRE_DECIMALS, qty: WIRE_DECIMALS },
        })
    }
}

fn units(text: &str, decimals: u8) -> Read<i64> {
    parse_units(text.as_bytes(), decimals).map_err(DecodeError::Number)
}

fn asset(name: &str, names: &Names) -> AssetId {
    names.table.find_asset(name.as_bytes()).unwrap_or(AssetId::NONE)
}

fn client(text: &str) -> Read<ClientText> {
    ClientText::new(text).ok_or(DecodeError::Schema)
}

fn time(fields: &Fields<'_, '_>, key: &str) -> Read<i64> {
    fields.signed(key).map(unix_ms)
}

fn first_time(fields: &Fields<'_, '_>, keys: [&str; 3]) -> i64 {
    keys.iter().find_map(|k| time(fields, k).ok()).unwrap_or(0)
}

/// Some interfaces of the venue print order numbers as text.
fn number_or_text(fields: &Fields<'_, '_>, key: &str) -> Read<u64> {
    let value = fields.get(key).ok_or(DecodeError::Schema)?;
    let number = value.as_u64().or_else(|| text_of(value).and_then(|t| t.parse().ok()));
    number.ok_or(DecodeError::Number(DecimalError::BadCharacter))
}

fn side(word: &str) -> Read<Side> {
    match word {
        "BUY" => Ok(Side::Buy),
        "SELL" => Ok(Side::Sell),
        _ => Err(DecodeError::Schema),
    }
}

fn kind(word: &str) -> Option<OrderKind> {
    match word {
        "LIMIT" => Some(OrderKind::Limit),
        "MARKET" => Some(OrderKind::Market),
        "LIMIT_MAKER" => Some(OrderKind::LimitMaker),
        "STOP_LOSS" => Some(OrderKind::StopLoss),
        "STOP_LOSS_LIMIT" => Some(OrderKind::StopLossLimit),
        "TAKE_PROFIT" => Some(OrderKind::TakeProfit),
        "TAKE_PROFIT_LIMIT" => Some(OrderKind::TakeProfitLimit),
        _ => None,
    }
}

fn tif(word: &str) -> Option<Tif> {
    match word {
        "GTC" => Some(Tif::Gtc),
        "IOC" => Some(Tif::Ioc),
        "FOK" => Some(Tif::Fok),
        _ => None,
    }
}

fn status(word: &str) -> VenueStatus {
    match word {
        "NEW" => VenueStatus::New,
        "PENDING_NEW" => VenueStatus::PendingNew,
        "PARTIALLY_FILLED" => VenueStatus::PartiallyFilled,
        "FILLED" => VenueStatus::Filled,
        "CANCELED" => VenueStatus::Canceled,
        "REJECTED" => VenueStatus::Rejected,
        "EXPIRED" => VenueStatus::Expired,
        "EXPIRED_IN_MATCH" => VenueStatus::ExpiredInMatch,
        _ => VenueStatus::Unknown,
    }
}

fn execution_type(word: &str) -> Execution {
    match word {
        "NEW" => Execution::New,
        "CANCELED" => Execution::Canceled,
        "REPLACED" => Execution::Replaced,
        "REJECTED" => Execution::Rejected,
        "TRADE" => Execution::Trade,
        "EXPIRED" => Execution::Expired,
        "TRADE_PREVENTION" => Execution::TradePrevention,
        _ => Execution::Unknown,
    }
}
