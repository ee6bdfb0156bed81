//! Queries: exchange information, books, orders, trades, the account.

use serde_json::{Value, json};

use super::api::{Call, Outcome};
use super::api_trade::OrderName;
use super::feed::snapshot_text;
use super::params::Params;
use crate::decimal::{text, wide_text};
use crate::error::ApiError;
use crate::orders::{Order, OwnTrade};

/// Most levels a side that `depth` gives.
const DEPTH_MAX: u64 = 5_000;

impl Call<'_> {
    pub(crate) fn exchange_info(&mut self, params: &Params) -> Outcome {
        let mut wanted = Vec::new();
        if let Some(symbol) = params.text_if_sent("symbol")? {
            wanted.push(self.listed_market_of(symbol)?);
        }
        for symbol in params.value("symbols").and_then(Value::as_array).into_iter().flatten() {
            wanted.push(self.listed_market_of(symbol.as_str().unwrap_or_default())?);
        }
        self.charge(20)?;
        if wanted.is_empty() {
            wanted = (0..self.exchange.markets.len()).collect();
            wanted.retain(|m| self.exchange.markets[*m].spec.is_listed());
        }
        let symbols: Vec<Value> =
            wanted.into_iter().map(|m| self.exchange.markets[m].spec.info()).collect();
        let info = json!({
            "timezone": "UTC", "serverTime": self.time(),
            "rateLimits": self.exchange.limits.rules().info(),
            "exchangeFilters": [], "symbols": symbols, "sors": [],
        });
        Ok(info.to_string())
    }

    /// As `market_of`, for lists: one that is not listed is unknown.
    fn listed_market_of(&self, symbol: &str) -> Result<usize, ApiError> {
        let market = self.market_of(symbol)?;
        let listed = self.exchange.markets[market].spec.is_listed();
        if listed { Ok(market) } else { Err(ApiError::new(-1121, "Invalid symbol.")) }
    }

    pub(crate) fn depth(&mut self, params: &Params) -> Outcome {
        let symbol = params.text("symbol")?;
        let limit = params.integer("limit")?.unwrap_or(100).min(DEPTH_MAX);
        if limit == 0 {
            return Err(ApiError::illegal("limit", "^[1-9][0-9]{0,3}$"));
        }
        let market = self.market_of(symbol)?;
        self.charge(match limit {
            0..=100 => 5,
            101..=500 => 25,
            501..=1000 => 50,
            _ => 250,
        })?;
        let limit = limit as usize;
        Ok(match self.recorded {
            Some(books) => books[market].snapshot_text(limit),
            None => snapshot_text(&self.exchange.markets[market].book, limit),
        })
    }

    pub(crate) fn order_status(&mut self, params: &Params) -> Outcome {
        let symbol = params.text("symbol")?;
        let name = OrderName::read(params)?;
        self.authorize(params, false)?;
        let market = self.market_of(symbol)?;
        self.charge(4)?;
        let order = self.named(&name, market)?;
        order
            .map(|o| o.queried(self.session.scale))
            .ok_or_else(|| ApiError::new(-2013, "Order does not exist."))
    }

    pub(crate) fn open_orders(&mut self, params: &Params) -> Outcome {
        let symbol = params.text_if_sent("symbol")?;
        self.authorize(params, false)?;
        let market = symbol.map(|s| self.market_of(s)).transpose()?;
        self.charge(if market.is_some() { 6 } else { 80 })?;
        let orders = self.exchange.orders.open(market);
        Ok(list(orders.map(|o| o.queried(self.session.scale))))
    }

    pub(crate) fn all_orders(&mut self, params: &Params) -> Outcome {
        let symbol = params.text("symbol")?;
        let from = params.integer("orderId")?;
        let span = Span::read(params)?;
        self.authorize(params, false)?;
        let market = self.market_of(symbol)?;
        self.charge(20)?;
        let fits = |o: &&Order| {
            o.market == market
                && from.is_none_or(|id| o.id >= id)
                && span.holds(o.created_ms, self.session.scale)
        };
        let orders: Vec<&Order> = self.exchange.orders.all().filter(fits).collect();
        let oldest_first = from.is_some() || span.start.is_some();
        let chosen = span.choose(&orders, oldest_first);
        Ok(list(chosen.iter().map(|o| o.queried(self.session.scale))))
    }

    pub(crate) fn my_trades(&mut self, params: &Params) -> Outcome {
        let symbol = params.text("symbol")?;
        let order = params.integer("orderId")?;
        let from = params.integer("fromId")?;
        let span = Span::read(params)?;
        self.authorize(params, false)?;
        let market = self.market_of(symbol)?;
        self.charge(if order.is_some() { 5 } else { 20 })?;
        let fits = |t: &&OwnTrade| {
            order.is_none_or(|id| t.order == id)
                && from.is_none_or(|id| t.id >= id)
                && span.holds(t.time_ms, self.session.scale)
        };
        let trades: Vec<&OwnTrade> = self.exchange.orders.trades(market).filter(fits).collect();
        let oldest_first = from.is_some() || span.start.is_some();
        let chosen = span.choose(&trades, oldest_first);
        Ok(list(chosen.iter().map(|t| t.queried(self.session.scale))))
    }

    pub(crate) fn account_status(&mut self, params: &Params) -> Outcome {
        let omit_zero = params.flag("omitZeroBalances")?.unwrap_or(false);
        self.authorize(params, false)?;
        self.charge(20)?;
        let fees = self.exchange.fees();
        let balances: Vec<Value> = self
            .exchange
            .account
            .assets()
            .iter()
            .filter(|(_, b)| !omit_zero || b.free != 0 || b.locked != 0)
            .map(|(asset, b)| {
                json!({"asset": asset, "free": wide_text(b.free), "locked": wide_text(b.locked)})
            })
            .collect();
        let status = json!({
            // The old integer fields are in basis points.
            "makerCommission": fees.maker_e8 / 10_000, "takerCommission": fees.taker_e8 / 10_000,
            "buyerCommission": 0, "sellerCommission": 0,
            "canTrade": true, "canWithdraw": true, "canDeposit": true,
            "commissionRates": {
                "maker": text(fees.maker_e8), "taker": text(fees.taker_e8),
                "buyer": text(0), "seller": text(0),
            },
            "brokered": false, "requireSelfTradePrevention": false, "preventSor": false,
            "updateTime": self.exchange.account.updated_ms() * self.session.scale,
            "accountType": "SPOT", "balances": balances, "permissions": ["SPOT"], "uid": 1,
        });
        Ok(status.to_string())
    }

    pub(crate) fn order_limits(&mut self, params: &Params) -> Outcome {
        self.authorize(params, false)?;
        self.charge(40)?;
        let used: Vec<Value> =
            serde_json::from_str(&self.exchange.limits.used(true, self.now_ms)).unwrap_or_default();
        let orders = used.into_iter().filter(|limit| limit["rateLimitType"] == "ORDERS");
        Ok(Value::Array(orders.collect()).to_string())
    }
}

/// `startTime`, `endTime` and `limit` of a history query.
struct Span {
    start: Option<u64>,
    end: Option<u64>,
    limit: usize,
}

impl Span {
    fn read(params: &Params) -> Result<Self, ApiError> {
        Ok(Self {
            start: params.integer("startTime")?,
            end: params.integer("endTime")?,
            limit: params.integer("limit")?.unwrap_or(500).min(1000) as usize,
        })
    }

    fn holds(&self, time_ms: u64, scale: u64) -> bool {
        let time = time_ms * scale;
        self.start.is_none_or(|start| time >= start) && self.end.is_none_or(|end| time <= end)
    }

    /// At most `limit` entries: the oldest where a start is given, else the newest; in order.
    fn choose<'a, T>(&self, entries: &'a [T], oldest_first: bool) -> &'a [T] {
        let excess = entries.len().saturating_sub(self.limit);
        if oldest_first { &entries[..entries.len() - excess] } else { &entries[excess..] }
    }
}

fn list(entries: impl Iterator<Item = String>) -> String {
    let entries: Vec<String> = entries.collect();
    format!("[{}]", entries.join(","))
}
