//! Trading methods: `order.place`, `order.test`, `order.cancel`, `openOrders.cancelAll`.

use super::api::{Call, Outcome};
use super::params::{Amount, Params};
use crate::error::ApiError;
use crate::exchange::Ticket;
use crate::matching::{Side, Stp, Tif};
use crate::orders::{Detail, Kind, Order, Status};

/// Everything that `order.place` reads.
const KNOWN: [&str; 15] = [
    "symbol",
    "side",
    "type",
    "timeInForce",
    "price",
    "quantity",
    "quoteOrderQty",
    "stopPrice",
    "newClientOrderId",
    "newOrderRespType",
    "selfTradePreventionMode",
    "apiKey",
    "timestamp",
    "recvWindow",
    "signature",
];

/// Parameters that passed the checks of syntax and presence.
struct Draft<'a> {
    symbol: &'a str,
    side: &'a str,
    kind: &'a str,
    tif: Option<&'a str>,
    price: Option<Amount>,
    qty: Option<Amount>,
    client_id: Option<&'a str>,
    detail: Option<&'a str>,
    stp: Option<&'a str>,
}

impl Call<'_> {
    pub(crate) fn place(&mut self, params: &Params, test: bool) -> Outcome {
        let (ticket, detail) = self.ticket(params, &[])?;
        let stop = params.decimal("stopPrice")?.map(|p| p.exact("stopPrice")).transpose()?;
        if test {
            return Ok("{}".to_owned());
        }
        self.place_ticket(ticket, stop, detail)
    }

    /// The order that `params` ask for, as far as it can be judged without the engine; `also`
    /// are parameters of the method beside those of an order.
    pub(super) fn ticket(
        &mut self,
        params: &Params,
        also: &[&str],
    ) -> Result<(Ticket, Detail), ApiError> {
        let draft = draft(params, also)?;
        self.authorize(params, false)?;
        let market = self.market_of(draft.symbol)?;
        let (side, kind, tif, detail, stp) = enumerations(&draft)?;
        let price = draft.price.map(|p| p.exact("price")).transpose()?;
        let qty = draft.qty.ok_or_else(|| ApiError::missing("quantity"))?.exact("quantity")?;
        self.charge(1)?;
        let rules = *self.exchange.limits.rules();
        self.exchange
            .limits
            .order_room(self.now_ms)
            .map_err(|e| ApiError::exceeded(e, rules.weight_per_minute, self.now_ms))?;
        if self.recorded.is_some() {
            return Err(ApiError::new(-2010, "Market is closed."));
        }
        let client_id = draft.client_id.map(str::to_owned);
        Ok((Ticket { market, side, kind, tif, price, qty, client_id, stp }, detail))
    }

    pub(super) fn place_ticket(
        &mut self,
        ticket: Ticket,
        stop: Option<i64>,
        detail: Detail,
    ) -> Outcome {
        let id = match stop {
            Some(stop) => self.exchange.place_waiting(ticket, stop, self.now_ms)?,
            None => self.exchange.place(ticket, self.now_ms)?,
        };
        let trades = &self.exchange.changes.trades;
        let fills: Vec<String> =
            trades.iter().filter(|(_, t)| t.order == id).map(|(_, t)| t.fill()).collect();
        let order = self.exchange.orders.by_id(id);
        Ok(order
            .map(|o| o.placed(detail, &fills.join(","), self.session.scale))
            .unwrap_or_default())
    }

    pub(crate) fn cancel(&mut self, params: &Params) -> Outcome {
        let symbol = params.text("symbol")?;
        let named = OrderName::read(params)?;
        let cancel_id = params.client_id("newClientOrderId")?.map(str::to_owned);
        let only = params.text_if_sent("cancelRestrictions")?;
        self.authorize(params, false)?;
        let market = self.market_of(symbol)?;
        if only.is_some_and(|o| !matches!(o, "ONLY_NEW" | "ONLY_PARTIALLY_FILLED")) {
            return Err(ApiError::new(-1145, "Invalid cancelRestrictions"));
        }
        self.charge(1)?;
        self.cancel_named(&named, market, only, cancel_id)
    }

    pub(super) fn cancel_named(
        &mut self,
        named: &OrderName,
        market: usize,
        only: Option<&str>,
        cancel_id: Option<String>,
    ) -> Outcome {
        let unknown = || ApiError::new(-2011, "Unknown order sent.");
        let order = self.named(named, market)?.filter(|o| o.status.is_open());
        let order = order.ok_or_else(unknown)?;
        let held = match only {
            Some("ONLY_NEW") => order.status != Status::New,
            Some(_) => order.status != Status::PartiallyFilled,
            None => false,
        };
        if held {
            let msg = "Order was not canceled due to cancel restrictions.";
            return Err(ApiError::new(-2011, msg));
        }
        self.cancel_one(order.id, cancel_id).ok_or_else(unknown)
    }

    pub(crate) fn cancel_all(&mut self, params: &Params) -> Outcome {
        let symbol = params.text("symbol")?;
        self.authorize(params, false)?;
        let market = self.market_of(symbol)?;
        self.charge(1)?;
        let ids: Vec<u64> = self.exchange.orders.open(Some(market)).map(|o| o.id).collect();
        if ids.is_empty() {
            return Err(ApiError::new(-2011, "Unknown order sent."));
        }
        let reports: Vec<String> =
            ids.into_iter().filter_map(|id| self.cancel_one(id, None)).collect();
        Ok(format!("[{}]", reports.join(",")))
    }

    fn cancel_one(&mut self, id: u64, cancel_id: Option<String>) -> Option<String> {
        let cancel_id = self.exchange.cancel(id, cancel_id, self.now_ms)?;
        let order = self.exchange.orders.by_id(id)?;
        Some(order.canceled(&cancel_id, self.session.scale))
    }

    /// The order that a request names, if it exists in this market.
    pub(crate) fn named(
        &self,
        name: &OrderName,
        market: usize,
    ) -> Result<Option<&Order>, ApiError> {
        let orders = &self.exchange.orders;
        let found = match (name.id, name.client_id.as_deref()) {
            (Some(id), Some(client)) => {
                let order = orders.by_id(id);
                if order.is_some_and(|o| o.client_id != client) {
                    let msg = "Client order ID is not correct for this order ID";
                    return Err(ApiError::new(-2039, msg));
                }
                order
            }
            (Some(id), None) => orders.by_id(id),
            (None, Some(client)) => orders.by_client(client),
            (None, None) => None,
        };
        Ok(found.filter(|o| o.market == market))
    }
}

/// How a request names an order.
pub(crate) struct OrderName {
    id: Option<u64>,
    client_id: Option<String>,
}

impl OrderName {
    /// `orderId` and/or `origClientOrderId`.
    pub(crate) fn read(params: &Params) -> Result<Self, ApiError> {
        Self::read_as(params, "orderId", "origClientOrderId")
    }

    /// The same under the names that a method has for both.
    pub(super) fn read_as(params: &Params, id_name: &str, client: &str) -> Result<Self, ApiError> {
        let id = params.integer(id_name)?;
        let client_id = params.client_id(client)?.map(str::to_owned);
        if id.is_none() && client_id.is_none() {
            let msg =
                format!("Param '{client}' or '{id_name}' must be sent, but both were empty/null!");
            return Err(ApiError::new(-1102, &msg));
        }
        Ok(Self { id, client_id })
    }
}

fn draft<'a>(params: &Params<'a>, also: &[&str]) -> Result<Draft<'a>, ApiError> {
    let draft = Draft {
        symbol: params.text("symbol")?,
        side: params.text("side")?,
        kind: params.text("type")?,
        tif: params.text_if_sent("timeInForce")?,
        price: params.decimal("price")?,
        qty: params.decimal("quantity")?,
        client_id: params.client_id("newClientOrderId")?,
        detail: params.text_if_sent("newOrderRespType")?,
        stp: params.text_if_sent("selfTradePreventionMode")?,
    };
    let sent = params.names().filter(|n| *n != "returnRateLimits").count();
    let read = params.names().filter(|n| KNOWN.contains(n) || also.contains(n)).count();
    if read < sent {
        let msg = format!(
            "Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'."
        );
        return Err(ApiError::new(-1104, &msg));
    }
    let needs: &[(&str, bool)] = match draft.kind {
        "LIMIT" => &[("timeInForce", true), ("price", true), ("stopPrice", false)],
        "LIMIT_MAKER" => &[("timeInForce", false), ("price", true), ("stopPrice", false)],
        "MARKET" => &[("timeInForce", false), ("price", false), ("stopPrice", false)],
        "STOP_LOSS" | "TAKE_PROFIT" => {
            &[("timeInForce", false), ("price", false), ("stopPrice", true)]
        }
        "STOP_LOSS_LIMIT" | "TAKE_PROFIT_LIMIT" => {
            &[("timeInForce", true), ("price", true), ("stopPrice", true)]
        }
        _ => &[],
    };
    for &(name, wanted) in needs {
        match (params.has(name), wanted) {
            (false, true) => return Err(ApiError::missing(name)),
            (true, false) => {
                let msg = format!("Parameter '{name}' sent when not required.");
                return Err(ApiError::new(-1106, &msg));
            }
            _ => {}
        }
    }
    if params.has("quoteOrderQty") {
        let msg = "Quote order qty market orders are not support for this symbol.";
        return Err(ApiError::new(-1013, msg));
    }
    if draft.qty.is_none() {
        return Err(ApiError::missing("quantity"));
    }
    Ok(draft)
}

type Enumerations = (Side, Kind, Tif, Detail, Stp);

fn enumerations(draft: &Draft) -> Result<Enumerations, ApiError> {
    let side = match draft.side {
        "BUY" => Side::Buy,
        "SELL" => Side::Sell,
        _ => return Err(ApiError::new(-1117, "Invalid side.")),
    };
    let kind = match draft.kind {
        "LIMIT" => Kind::Limit,
        "LIMIT_MAKER" => Kind::LimitMaker,
        "MARKET" => Kind::Market,
        "STOP_LOSS" => Kind::StopLoss,
        "STOP_LOSS_LIMIT" => Kind::StopLossLimit,
        "TAKE_PROFIT" => Kind::TakeProfit,
        "TAKE_PROFIT_LIMIT" => Kind::TakeProfitLimit,
        _ => return Err(ApiError::new(-1116, "Invalid orderType.")),
    };
    let tif = match draft.tif {
        None | Some("GTC") => Tif::Gtc,
        Some("IOC") => Tif::Ioc,
        Some("FOK") => Tif::Fok,
        Some(_) => return Err(ApiError::new(-1115, "Invalid timeInForce.")),
    };
    let detail = match draft.detail {
        Some("ACK") => Detail::Ack,
        Some("RESULT") => Detail::Result,
        Some("FULL") => Detail::Full,
        Some(_) => return Err(ApiError::illegal("newOrderRespType", "^(ACK|RESULT|FULL)$")),
        None if kind == Kind::LimitMaker || kind.waits() => Detail::Ack,
        None => Detail::Full,
    };
    let stp = match draft.stp {
        None | Some("EXPIRE_MAKER") => Stp::ExpireMaker,
        Some("EXPIRE_TAKER") => Stp::ExpireTaker,
        Some("EXPIRE_BOTH") => Stp::ExpireBoth,
        Some("NONE") => Stp::None,
        Some(_) => {
            let msg = "This symbol does not allow the specified self-trade prevention mode.";
            return Err(ApiError::new(-1013, msg));
        }
    };
    Ok((side, kind, tif, detail, stp))
}
