//! Instrument lists and API answers of the futures venue.

use serde_json::{Value, json};

use crate::dialect::text::{digits_of, fixed_text};
use crate::exchange::Exchange;

/// One contract as listed.
pub struct Contract {
    pub symbol: String,
    pub base: String,
    pub quote: String,
    pub tick: String,
    pub lot: String,
    pub price_digits: u32,
    pub qty_digits: u32,
    pub is_open: bool,
}

/// Contracts print at least two digits of the price.
pub fn price_digits(tick: i64) -> u32 {
    digits_of(tick).max(2)
}

pub fn contracts(exchange: &Exchange) -> Vec<Contract> {
    let listed = exchange.markets.iter().filter(|market| market.spec.is_listed());
    let listed = listed.map(|market| {
        let spec = &market.spec;
        let (price_digits, qty_digits) = (price_digits(spec.tick), digits_of(spec.lot));
        Contract {
            symbol: spec.name.clone(),
            base: spec.base.clone(),
            quote: spec.quote.clone(),
            tick: fixed_text(spec.tick, price_digits),
            lot: fixed_text(spec.lot, qty_digits),
            price_digits,
            qty_digits,
            is_open: spec.is_open(),
        }
    });
    listed.collect()
}

/// The answer of `/fapi/v1/exchangeInfo`.
pub fn exchange_info(contracts: &[Contract], now_ms: u64) -> String {
    let symbols: Vec<Value> = contracts.iter().map(contract).collect();
    let assets: Vec<Value> = ["USDT", "BNB"]
        .into_iter()
        .map(
            |asset| json!({"asset": asset, "marginAvailable": true, "autoAssetExchange": "-10000"}),
        )
        .collect();
    json!({
        "timezone": "UTC", "serverTime": now_ms, "futuresType": "U_MARGINED",
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1,
             "limit": 2400},
            {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
        ],
        "exchangeFilters": [], "assets": assets, "symbols": symbols,
    })
    .to_string()
}

fn contract(at: &Contract) -> Value {
    json!({
        "symbol": at.symbol, "pair": at.symbol, "contractType": "PERPETUAL",
        "deliveryDate": 4_133_404_800_000_u64, "onboardDate": 1_569_398_400_000_u64,
        "status": if at.is_open { "TRADING" } else { "SETTLING" }, "maintMarginPercent": "2.5000", "requiredMarginPercent": "5.0000",
        "baseAsset": at.base, "quoteAsset": at.quote, "marginAsset": at.quote,
        "pricePrecision": at.price_digits, "quantityPrecision": at.qty_digits,
        "baseAssetPrecision": 8, "quotePrecision": 8, "underlyingType": "COIN",
        "underlyingSubType": ["PoW"], "triggerProtect": "0.0500", "liquidationFee": "0.012500",
        "marketTakeBound": "0.05", "maxMoveOrderLimit": 10000,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": at.tick, "maxPrice": "4529764",
             "tickSize": at.tick},
            {"filterType": "LOT_SIZE", "minQty": at.lot, "maxQty": "1000000",
             "stepSize": at.lot},
            {"filterType": "MARKET_LOT_SIZE", "minQty": at.lot, "maxQty": "100000",
             "stepSize": at.lot},
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 10},
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
            {"filterType": "PERCENT_PRICE", "multiplierUp": "1.0500",
             "multiplierDown": "0.9500", "multiplierDecimal": "4"},
        ],
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT",
                       "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
    })
}

/// An answer on the WebSocket API.
pub fn api_answer(id: &Value, outcome: Result<String, (i32, &'static str)>) -> String {
    let limits = concat!(
        r#""rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","#,
        r#""intervalNum":1,"limit":2400,"count":20}]"#
    );
    match outcome {
        Ok(result) => format!(r#"{{"id":{id},"status":200,"result":{result},{limits}}}"#),
        Err((code, msg)) => format!(
            r#"{{"id":{id},"status":400,"error":{{"code":{code},"msg":"{msg}"}},{limits}}}"#
        ),
    }
}
