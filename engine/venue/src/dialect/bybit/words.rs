//! Bybit's answers, topics and instrument lists.

use std::fmt::Write as _;

use crate::dialect::text::{digits_of, fixed, fixed_text, trimmed, trimmed_text};
use crate::exchange::Exchange;
use crate::symbol::SymbolSpec;

use super::Product;

/// What a topic is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Book(usize),
    Trade,
    Ticker,
}

/// A topic of a generated market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Topic {
    pub market: usize,
    pub kind: Kind,
}

impl Topic {
    pub fn parse(topic: &str, product: Product, exchange: &Exchange) -> Option<Self> {
        let (head, symbol) = topic.rsplit_once('.')?;
        let kind = match head {
            "orderbook.1" => Kind::Book(1),
            "orderbook.50" => Kind::Book(50),
            "orderbook.200" => Kind::Book(200),
            "orderbook.1000" => Kind::Book(1000),
            "publicTrade" => Kind::Trade,
            "tickers" => Kind::Ticker,
            _ => return None,
        };
        Some(Self { market: exchange.market(&product.market(symbol))?, kind })
    }
}

/// The answer to a request, `>` written as the venue writes it.
pub fn answer(
    success: bool,
    msg: &str,
    conn_id: &str,
    req_id: Option<&str>,
    op: &str,
    product: Product,
) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string().replace('>', "\\u003e");
    // Linear connections always show the field.
    let req_id = match (req_id, product) {
        (None, Product::Spot) => String::new(),
        (id, _) => format!(r#","req_id":{}"#, quoted(id.unwrap_or(""))),
    };
    format!(
        r#"{{"success":{success},"ret_msg":{},"conn_id":"{conn_id}"{req_id},"op":{}}}"#,
        quoted(msg),
        quoted(op)
    )
}

/// Appends a price or quantity: spot without zeros at the end, linear with all digits.
pub fn push_number(out: &mut String, value: i64, digits: Option<u32>) {
    match digits {
        Some(digits) => fixed(out, value, digits),
        None => trimmed(out, value),
    }
}

/// Digits of prices and quantities, where they are fixed.
pub fn digits(spec: &SymbolSpec, product: Product) -> [Option<u32>; 2] {
    match product {
        Product::Spot => [None, None],
        // Contracts print at least two digits of the price.
        Product::Linear => [Some(digits_of(spec.finest.0).max(2)), Some(digits_of(spec.finest.1))],
    }
}

/// Appends `["price","size"]` entries; a removal's size is `0`.
pub fn push_levels(
    out: &mut String,
    levels: impl Iterator<Item = (i64, i64)>,
    digits: [Option<u32>; 2],
) {
    for (n, (price, qty)) in levels.enumerate() {
        out.push_str(if n == 0 { "[\"" } else { ",[\"" });
        push_number(out, price, digits[0]);
        out.push_str("\",\"");
        if qty == 0 {
            out.push('0')
        } else {
            push_number(out, qty, digits[1])
        }
        out.push_str("\"]");
    }
}

/// One instrument as listed.
pub struct Instrument {
    pub symbol: String,
    pub base: String,
    pub quote: String,
    pub tick: String,
    pub lot: String,
    pub price_scale: u32,
    pub is_open: bool,
}

impl Instrument {
    fn status(&self) -> &'static str {
        if self.is_open { "Trading" } else { "Closed" }
    }
}

pub fn instruments(exchange: &Exchange, product: Product) -> Vec<Instrument> {
    let listed = exchange.markets.iter().map(|market| &market.spec);
    let of_product =
        listed.filter(|spec| spec.is_listed() && Product::of_market(&spec.name).0 == product);
    let list = of_product.map(|spec| {
        let price_scale = digits(spec, product)[0].unwrap_or(digits_of(spec.tick));
        let tick = match product {
            Product::Spot => trimmed_text(spec.tick),
            Product::Linear => fixed_text(spec.tick, price_scale),
        };
        Instrument {
            symbol: Product::of_market(&spec.name).1.to_owned(),
            base: spec.base.clone(),
            quote: spec.quote.clone(),
            tick,
            lot: trimmed_text(spec.lot),
            price_scale,
            is_open: spec.is_open(),
        }
    });
    list.collect()
}

/// The answer of `/v5/market/instruments-info`.
pub fn instruments_page(product: Product, list: &[Instrument], now_ms: u64) -> String {
    let mut out = String::new();
    for (n, at) in list.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        match product {
            Product::Spot => push_spot(&mut out, n, at),
            Product::Linear => push_linear(&mut out, at),
        }
    }
    let cursor = if product == Product::Linear { r#","nextPageCursor":"""# } else { "" };
    let category = product.name();
    format!(
        concat!(
            r#"{{"retCode":0,"retMsg":"OK","result":{{"category":"{}","list":[{}]{}}},"#,
            r#""retExtInfo":{{}},"time":{}}}"#
        ),
        category, out, cursor, now_ms
    )
}

fn push_spot(out: &mut String, n: usize, at: &Instrument) {
    let Instrument { symbol, base, quote, tick, lot, .. } = at;
    let _ = write!(
        out,
        concat!(
            r#"{{"symbolId":{},"symbol":"{}","baseCoin":"{}","quoteCoin":"{}","innovation":"0","#,
            r#""status":"{}","marginTrading":"utaOnly","stTag":"0","#,
            r#""lotSizeFilter":{{"basePrecision":"{}","quotePrecision":"0.0000001","#,
            r#""minOrderQty":"{}","maxOrderQty":"1000000","minOrderAmt":"5","#,
            r#""maxOrderAmt":"8000000","maxLimitOrderQty":"1000000","#,
            r#""maxMarketOrderQty":"500000","postOnlyMaxLimitOrderSize":"5000000"}},"#,
            r#""priceFilter":{{"tickSize":"{}"}},"riskParameters":{{"#,
            r#""priceLimitRatioX":"0.005","priceLimitRatioY":"0.01"}},"symbolType":"","#,
            r#""xstockMultiplier":"1"}}"#
        ),
        9 + n,
        symbol,
        base,
        quote,
        at.status(),
        lot,
        lot,
        tick
    );
}

fn push_linear(out: &mut String, at: &Instrument) {
    let Instrument { symbol, base, quote, tick, lot, price_scale, .. } = at;
    let _ = write!(
        out,
        concat!(
            r#"{{"symbol":"{}","contractType":"LinearPerpetual","status":"{}","#,
            r#""baseCoin":"{}","quoteCoin":"{}","launchTime":"1585526400000","#,
            r#""deliveryTime":"0","deliveryFeeRate":"","priceScale":"{}","#,
            r#""leverageFilter":{{"minLeverage":"1","maxLeverage":"100.00","#,
            r#""leverageStep":"0.01"}},"priceFilter":{{"minPrice":"{}","#,
            r#""maxPrice":"1999999.80","tickSize":"{}"}},"#,
            r#""lotSizeFilter":{{"maxOrderQty":"1000000","minOrderQty":"{}","qtyStep":"{}","#,
            r#""postOnlyMaxOrderQty":"1000000","maxMktOrderQty":"100000","#,
            r#""minNotionalValue":"5"}},"unifiedMarginTrade":true,"fundingInterval":480,"#,
            r#""settleCoin":"{}"}}"#
        ),
        symbol,
        at.status(),
        base,
        quote,
        price_scale,
        tick,
        tick,
        lot,
        lot,
        quote
    );
}

/// The answer of `/v5/market/time`.
pub fn time(now_ns: u64) -> String {
    let (second, ms) = (now_ns / 1_000_000_000, now_ns / 1_000_000);
    format!(
        concat!(
            r#"{{"retCode":0,"retMsg":"OK","result":{{"timeSecond":"{}","timeNano":"{}"}},"#,
            r#""retExtInfo":{{}},"time":{}}}"#
        ),
        second, now_ns, ms
    )
}

/// A refused plain request.
pub fn failure(code: u32, msg: &str, now_ms: u64) -> String {
    format!(
        r#"{{"retCode":{code},"retMsg":"{msg}","result":{{}},"retExtInfo":{{}},"time":{now_ms}}}"#
    )
}
