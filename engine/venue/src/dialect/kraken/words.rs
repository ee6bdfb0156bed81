//! Kraken's answers and the texts that the generated and the recorded market share.

use std::fmt::Write as _;

use crate::dialect::text::{quoted, rfc3339};

use super::{Channel, Wish};

/// Once a second.
pub const HEARTBEAT: &str = r#"{"channel":"heartbeat"}"#;
/// What the proxy in front of the venue says before it goes away; no JSON.
pub const PROXY: &str = "CloudFlare WebSocket proxy restarting";
/// From the arrival of a request to its answer, ns.
const ANSWER_NS: u64 = 45_000;

pub fn status(system: &str, connection_id: u64) -> String {
    format!(
        concat!(
            r#"{{"channel":"status","type":"update","data":[{{"version":"2.0.10","#,
            r#""system":"{}","api_version":"v2","connection_id":{}}}]}}"#
        ),
        system, connection_id
    )
}

pub fn id_text(id: Option<i64>) -> String {
    id.map(|id| format!(r#","req_id":{id}"#)).unwrap_or_default()
}

pub fn times(now_ns: u64) -> String {
    let (time_in, time_out) = (rfc3339(now_ns, 6), rfc3339(now_ns + ANSWER_NS, 6));
    format!(r#""time_in":"{time_in}","time_out":"{time_out}""#)
}

pub fn pong(id: Option<i64>, now_ns: u64) -> String {
    format!(r#"{{"method":"pong"{},{}}}"#, id_text(id), times(now_ns))
}

pub fn refusal(method: &str, id: Option<i64>, error: &str, symbol: &str, now_ns: u64) -> String {
    let mut out = format!(r#"{{"error":{}"#, quoted(error));
    if !method.is_empty() {
        let _ = write!(out, r#","method":{}"#, quoted(method));
    }
    let _ = write!(out, r#"{},"success":false"#, id_text(id));
    if !symbol.is_empty() {
        let _ = write!(out, r#","symbol":{}"#, quoted(symbol));
    }
    let _ = write!(out, ",{}}}", times(now_ns));
    out
}

pub fn subscribed(method: &str, wish: &Wish, id: Option<i64>, now_ns: u64) -> String {
    let name = wish.channel.name();
    let mut result = format!(r#"{{"channel":"{name}""#);
    match wish.channel {
        Channel::Book => _ = write!(result, r#","depth":{}"#, wish.depth),
        Channel::Ticker => {
            let trigger = if wish.on_quotes { "bbo" } else { "trades" };
            let _ = write!(result, r#","event_trigger":"{trigger}""#);
        }
        _ => {}
    }
    if method == "subscribe" {
        let _ = write!(result, r#","snapshot":{}"#, wish.snapshot);
    }
    if wish.channel == Channel::Instrument {
        result.push_str(r#","warnings":["tick_size is deprecated, use price_increment"]"#);
    } else if !wish.symbol.is_empty() {
        let _ = write!(result, r#","symbol":{}"#, quoted(wish.symbol));
    }
    let (id, times) = (id_text(id), times(now_ns));
    format!(r#"{{"method":"{method}"{id},"result":{result}}},"success":true,{times}}}"#)
}

/// A book message; `levels` are complete lists.
pub fn book(kind: &str, symbol: &str, levels: [&str; 2], checksum: u32, changed_ns: u64) -> String {
    let time = rfc3339(changed_ns, 6);
    format!(
        concat!(
            r#"{{"channel":"book","type":"{}","data":[{{"symbol":"{}","bids":[{}],"asks":[{}],"#,
            r#""checksum":{},"timestamp":"{}"}}]}}"#
        ),
        kind, symbol, levels[0], levels[1], checksum, time
    )
}

/// Appends `{"price":78858.8,"qty":0.00000000}`.
pub fn push_level(out: &mut String, price: &str, qty: &str) {
    if !out.is_empty() {
        out.push(',');
    }
    let _ = write!(out, r#"{{"price":{price},"qty":{qty}}}"#);
}

/// The digits of a number as the checksum takes them: without point and leading zeros.
pub fn push_checked(out: &mut String, number: &str) {
    let digits = number.bytes().filter(|b| *b != b'.').skip_while(|b| *b == b'0');
    out.extend(digits.map(char::from));
}

/// One pair of the instrument channel.
pub struct Pair<'a> {
    pub symbol: &'a str,
    pub price_digits: u32,
    pub qty_digits: u32,
    pub tick: String,
    pub lot: String,
    pub is_open: bool,
}

/// The snapshot of the instrument channel.
pub fn instruments(pairs: &[Pair]) -> String {
    let mut assets: Vec<&str> = Vec::new();
    let mut listed = String::new();
    for pair in pairs {
        let (base, quote) = pair.symbol.split_once('/').unwrap_or((pair.symbol, "USD"));
        for asset in [base, quote] {
            if !assets.contains(&asset) {
                assets.push(asset);
            }
        }
        if !listed.is_empty() {
            listed.push(',');
        }
        let (symbol, tick, lot) = (pair.symbol, &pair.tick, &pair.lot);
        let status = if pair.is_open { "online" } else { "cancel_only" };
        let _ = write!(
            listed,
            concat!(
                r#"{{"symbol":"{}","base":"{}","quote":"{}","status":"{}","#,
                r#""qty_precision":{},"qty_increment":{},"price_precision":{},"#,
                r#""cost_precision":5,"marginable":false,"has_index":true,"cost_min":0.50,"#,
                r#""tick_size":{},"price_increment":{},"qty_min":{}}}"#
            ),
            symbol, base, quote, status, pair.qty_digits, lot, pair.price_digits, tick, tick, lot
        );
    }
    let asset = |id: &&str| {
        let money = matches!(*id, "USD" | "EUR" | "GBP" | "CHF");
        let (precision, shown) = if money { (4, 2) } else { (10, 5) };
        format!(
            concat!(
                r#"{{"id":"{}","status":"enabled","precision":{},"precision_display":{},"#,
                r#""borrowable":true,"collateral_value":1.00,"margin_rate":0.020000}}"#
            ),
            id, precision, shown
        )
    };
    let assets = assets.iter().map(asset).collect::<Vec<_>>().join(",");
    format!(
        r#"{{"channel":"instrument","type":"snapshot","data":{{"assets":[{assets}],"pairs":[{listed}]}}}}"#
    )
}
