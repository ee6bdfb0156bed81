//! `order.amend.keepPriority` and `order.cancelReplace` (protocol sheet, 6.4 and 6.5).

use super::api::{Call, Outcome};
use super::api_trade::OrderName;
use super::params::Params;
use crate::error::ApiError;

/// Parameters of a cancel-replace beside those of the new order.
const REPLACE_KNOWN: [&str; 6] = [
    "cancelOrderId",
    "cancelOrigClientOrderId",
    "cancelNewClientOrderId",
    "cancelRestrictions",
    "cancelReplaceMode",
    "orderRateLimitExceededMode",
];

impl Call<'_> {
    pub(crate) fn amend(&mut self, params: &Params) -> Outcome {
        let symbol = params.text("symbol")?;
        let named = OrderName::read(params)?;
        let qty = params.decimal("newQty")?.ok_or_else(|| ApiError::missing("newQty"))?;
        let client_id = params.client_id("newClientOrderId")?.map(str::to_owned);
        self.authorize(params, false)?;
        let market = self.market_of(symbol)?;
        let qty = qty.exact("newQty")?;
        self.charge(4)?;
        let order = self.named(&named, market)?;
        let unknown = || ApiError::new(-2038, "Unknown order sent.");
        let (id, before) = order.map(|o| (o.id, o.client_id.clone())).ok_or_else(unknown)?;
        let execution = self.exchange.amend(id, qty, client_id, self.now_ms)?;
        let order = self.exchange.orders.by_id(id).ok_or_else(unknown)?;
        Ok(format!(
            r#"{{"transactTime":{},"executionId":{execution},"amendedOrder":{}}}"#,
            self.time(),
            order.amended(&before, self.session.scale)
        ))
    }

    pub(crate) fn cancel_replace(&mut self, params: &Params) -> Outcome {
        let mode = params.text("cancelReplaceMode")?;
        let stops = match mode {
            "STOP_ON_FAILURE" => true,
            "ALLOW_FAILURE" => false,
            _ => return Err(ApiError::new(-1146, "Invalid cancelReplaceMode.")),
        };
        let named = OrderName::read_as(params, "cancelOrderId", "cancelOrigClientOrderId")?;
        let only = params.text_if_sent("cancelRestrictions")?;
        if only.is_some_and(|o| !matches!(o, "ONLY_NEW" | "ONLY_PARTIALLY_FILLED")) {
            return Err(ApiError::new(-1145, "Invalid cancelRestrictions"));
        }
        let cancel_id = params.client_id("cancelNewClientOrderId")?.map(str::to_owned);
        let (ticket, detail) = self.ticket(params, &REPLACE_KNOWN)?;
        if ticket.kind.waits() {
            // The real venue takes them; nothing here needs that.
            return Err(ApiError::new(-1116, "Invalid orderType."));
        }
        // Filters are judged before anything happens, with the place of the old order free.
        self.exchange.filtered(&ticket, 1)?;
        let canceled = self.cancel_named(&named, ticket.market, only, cancel_id);
        let placed = match (&canceled, stops) {
            (Err(_), true) => None,
            _ => Some(self.place_ticket(ticket, None, detail)),
        };
        both(canceled, placed)
    }
}

/// The answer to both halves; `None` for a new order that was not tried.
fn both(canceled: Outcome, placed: Option<Outcome>) -> Outcome {
    let word = |ok: bool| if ok { "SUCCESS" } else { "FAILURE" };
    let (cancel_ok, new_ok) = (canceled.is_ok(), matches!(placed, Some(Ok(_))));
    let new_word = if placed.is_none() { "NOT_ATTEMPTED" } else { word(new_ok) };
    let text = |half: Outcome| half.unwrap_or_else(|e| refusal(&e));
    let data = format!(
        concat!(
            r#"{{"cancelResult":"{}","newOrderResult":"{}","#,
            r#""cancelResponse":{},"newOrderResponse":{}}}"#
        ),
        word(cancel_ok),
        new_word,
        text(canceled),
        placed.map_or_else(|| "null".to_owned(), text)
    );
    let (status, code, msg) = match (cancel_ok, new_ok) {
        (true, true) => return Ok(data),
        (false, false) => (400, -2022, "Order cancel-replace failed."),
        _ => (409, -2021, "Order cancel-replace partially failed."),
    };
    Err(ApiError { status, code, msg: msg.to_owned(), data: Some(data) })
}

fn refusal(error: &ApiError) -> String {
    format!(r#"{{"code":{},"msg":{}}}"#, error.code, serde_json::Value::from(error.msg.as_str()))
}
