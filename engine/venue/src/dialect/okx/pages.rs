//! Signed questions and requests over REST: orders, fills, balances, cancels, the dead-man switch.
//!
//! Sources: protocol sheet, chapters 5 to 7. Lists come the newest first, page by page.

use serde_json::Value;

use crate::dialect::own::fills_by;
use crate::dialect::text::unix_ms;
use crate::dialect::{Ask, Desk, Page, parameter};
use crate::exchange::Exchange;
use crate::orders::{Order, OwnTrade};

use super::account::{Account, Denied, cancel};
use super::account_words::{Row, detail, execution, wallet};

/// Rows of a page at most.
const ROWS_MAX: usize = 100;
/// How far back the list of fills goes, and that of the archive, ms.
const FILLS_KEPT_MS: u64 = 3 * 86_400_000;
const FILLS_ARCHIVED_MS: u64 = 90 * 86_400_000;
/// How long a request's stamp is good, ms.
const STAMP_MS: u64 = 30_000;
/// The dead-man switch's bounds, s.
const DEAD_MAN_S: std::ops::RangeInclusive<u64> = 10..=120;

impl Account {
    /// The answer to a request about the account; `None` when it is about something else.
    pub fn page(&mut self, desk: &mut Desk, ask: &Ask<'_>) -> Option<Page> {
        let known = [
            "/api/v5/trade/order",
            "/api/v5/trade/orders-pending",
            "/api/v5/trade/fills",
            "/api/v5/trade/fills-history",
            "/api/v5/account/balance",
            "/api/v5/trade/cancel-order",
            "/api/v5/trade/cancel-all-after",
        ];
        if !known.contains(&ask.path) {
            return None;
        }
        let refusal = |status, (code, msg): Denied| Page {
            status,
            body: format!(r#"{{"code":"{code}","data":[],"msg":"{msg}"}}"#),
        };
        if let Err(denied) = self.permit(ask, desk.now_ms()) {
            return Some(refusal(401, denied));
        }
        let outcome = match ask.method {
            "GET" => self.question(desk.exchange, ask, desk.now_ns / 1_000_000),
            _ => self.order(desk, ask),
        };
        Some(match outcome {
            Ok(rows) => Page::ok(format!(r#"{{"code":"0","data":[{rows}],"msg":""}}"#)),
            Err(denied) => refusal(200, denied),
        })
    }

    fn permit(&self, ask: &Ask<'_>, now_ms: u64) -> Result<(), Denied> {
        let stamp = ask.header("ok-access-timestamp");
        let mark = if ask.query.is_empty() { "" } else { "?" };
        let (method, path, query, body) = (ask.method, ask.path, ask.query, ask.body);
        let text = format!("{stamp}{method}{path}{mark}{query}{body}");
        let (key, phrase) = (ask.header("ok-access-key"), ask.header("ok-access-passphrase"));
        self.check(key, phrase, &text, ask.header("ok-access-sign")).map_err(|[_, d]| d)?;
        let stamp = unix_ms(stamp).ok_or((50_112, "Invalid OK-ACCESS-TIMESTAMP"))?;
        if stamp.abs_diff(now_ms) > STAMP_MS {
            return Err((50_102, "Timestamp request expired"));
        }
        Ok(())
    }

    fn question(&self, exchange: &Exchange, ask: &Ask<'_>, now_ms: u64) -> Result<String, Denied> {
        match ask.path {
            "/api/v5/account/balance" => {
                let details = exchange.account.assets().iter().map(|(a, b)| detail(a, b));
                Ok(wallet(&details.collect::<Vec<_>>().join(","), now_ms))
            }
            "/api/v5/trade/order" => self.one_order(exchange, ask.query),
            "/api/v5/trade/orders-pending" => {
                let limit = limit(ask.query)?;
                let after = number(ask.query, "after");
                let wanted =
                    |o: &&Order| o.status.is_open() && after.is_none_or(|after| o.id < after);
                let found = exchange.orders.all().rev().filter(wanted).take(limit);
                Ok(found.map(|o| Row::of(o).text(None)).collect::<Vec<_>>().join(","))
            }
            "/api/v5/trade/fills" => {
                fills(exchange, ask.query, now_ms.saturating_sub(FILLS_KEPT_MS))
            }
            "/api/v5/trade/fills-history" if parameter(ask.query, "instType").is_none() => {
                Err((50_014, "Parameter instType can not be empty."))
            }
            "/api/v5/trade/fills-history" => {
                fills(exchange, ask.query, now_ms.saturating_sub(FILLS_ARCHIVED_MS))
            }
            _ => Err((50_115, "Invalid request method.")),
        }
    }

    fn one_order(&self, exchange: &Exchange, query: &str) -> Result<String, Denied> {
        let symbol = parameter(query, "instId").unwrap_or_default();
        let (id, client) = (number(query, "ordId"), parameter(query, "clOrdId"));
        let order = match (id, &client) {
            (Some(id), _) => exchange.orders.by_id(id),
            (None, Some(client)) => exchange.orders.by_client(client),
            (None, None) => return Err((51_000, "Parameter ordId error")),
        };
        if let Some(order) = order.filter(|o| o.symbol == symbol) {
            return Ok(Row::of(order).text(None));
        }
        let refused = match (id, &client) {
            (Some(id), _) => self.refused.by_id(id),
            (None, client) => client.as_ref().and_then(|client| self.refused.by_client(client)),
        };
        refused.map(|r| r.row.clone()).ok_or((51_603, "Order does not exist"))
    }

    fn order(&mut self, desk: &mut Desk, ask: &Ask<'_>) -> Result<String, Denied> {
        let body: Value =
            serde_json::from_str(ask.body).map_err(|_| (50_002, "JSON syntax error"))?;
        let now_ms = desk.now_ms();
        match ask.path {
            "/api/v5/trade/cancel-order" => {
                let id = cancel(desk.exchange, &body, now_ms)?;
                Ok(format!(
                    r#"{{"clOrdId":"","ordId":"{id}","sCode":"0","sMsg":"","ts":"{now_ms}"}}"#
                ))
            }
            "/api/v5/trade/cancel-all-after" => {
                let seconds = body["timeOut"].as_str().and_then(|text| text.parse::<u64>().ok());
                let trigger_ms = match seconds {
                    Some(0) => None,
                    Some(s) if DEAD_MAN_S.contains(&s) => Some(now_ms + s * 1_000),
                    _ => return Err((51_000, "Parameter timeOut error")),
                };
                self.dead_man_ns = trigger_ms.map(|ms| ms * 1_000_000);
                let trigger = trigger_ms.unwrap_or(0);
                Ok(format!(r#"{{"triggerTime":"{trigger}","tag":"","ts":"{now_ms}"}}"#))
            }
            _ => Err((50_115, "Invalid request method.")),
        }
    }
}

fn number(query: &str, name: &str) -> Option<u64> {
    parameter(query, name).and_then(|text| text.parse().ok())
}

fn limit(query: &str) -> Result<usize, Denied> {
    match parameter(query, "limit").map(|text| text.parse::<usize>()) {
        None => Ok(ROWS_MAX),
        Some(Ok(limit)) if (1..=ROWS_MAX).contains(&limit) => Ok(limit),
        Some(_) => Err((51_000, "Parameter limit error")),
    }
}

/// Bills are numbered by time, and within a millisecond by trade.
fn bill(trade: &OwnTrade) -> u64 {
    trade.time_ms * 1_000_000 + trade.id % 1_000_000
}

/// A page of fills, none older than `oldest_ms`.
fn fills(exchange: &Exchange, query: &str, oldest_ms: u64) -> Result<String, Denied> {
    let limit = limit(query)?;
    let symbol = parameter(query, "instId");
    let (order, begin, end) =
        (number(query, "ordId"), number(query, "begin"), number(query, "end"));
    let after = number(query, "after");
    let wanted = |t: &&OwnTrade| {
        symbol.as_ref().is_none_or(|symbol| *symbol == t.symbol)
            && order.is_none_or(|order| order == t.order)
            && t.time_ms >= begin.unwrap_or(0).max(oldest_ms)
            && end.is_none_or(|ms| t.time_ms <= ms)
            && after.is_none_or(|after| bill(t) < after)
    };
    let found = fills_by(exchange, wanted, bill);
    let rows = found
        .iter()
        .take(limit)
        .filter_map(|t| Some(execution(t, exchange.orders.by_id(t.order)?, bill(t))));
    Ok(rows.collect::<Vec<_>>().join(","))
}
