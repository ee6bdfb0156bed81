//! Coinbase's envelope, acknowledgements and product lists.

use std::collections::{BTreeMap, BTreeSet};

use crate::dialect::text::{go_time, quoted, rfc3339};

/// The service was up for so long when the venue started, ns: counters do not begin at 0.
pub const UP_BEFORE_NS: u64 = 41_666_405_645_000;
/// An unknown product.
pub const NOT_FOUND: &str = r#"{"error":"NOT_FOUND","error_details":"valid product_id is required","message":"valid product_id is required"}"#;

pub fn error(message: &str) -> String {
    format!(r#"{{"type":"error","message":{}}}"#, quoted(message))
}

/// Messages of `level2` are called otherwise.
pub fn data_channel(channel: &str) -> &str {
    if channel == "level2" { "l2_data" } else { channel }
}

pub fn envelope(channel: &str, number: u64, events: &str, now_ns: u64) -> String {
    let time = short_time(now_ns, 9);
    format!(
        r#"{{"channel":"{channel}","timestamp":"{time}","sequence_num":{number},"events":[{events}]}}"#
    )
}

/// RFC 3339 as Go writes it: no zeros at the end of the fraction.
pub fn short_time(ns: u64, digits: u32) -> String {
    let time = rfc3339(ns, digits);
    let cut = time.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    format!("{cut}Z")
}

pub fn subscriptions(listing: &BTreeMap<&str, BTreeSet<&str>>) -> String {
    let channels = listing.iter().map(|(channel, products)| {
        let products: Vec<String> = products.iter().map(|product| quoted(product)).collect();
        format!(r#""{channel}":[{}]"#, products.join(","))
    });
    format!(r#"{{"subscriptions":{{{}}}}}"#, channels.collect::<Vec<_>>().join(","))
}

pub fn heartbeat(now_ns: u64, up_ns: u64) -> String {
    let (time, counter) = (go_time(now_ns, up_ns), up_ns / 1_000_000_000);
    format!(r#"{{"current_time":"{time}","heartbeat_counter":{counter}}}"#)
}

/// One product as listed.
pub struct Product {
    pub id: String,
    pub price: String,
    pub volume: String,
    pub tick: String,
    pub lot: String,
    pub high: String,
    pub low: String,
    pub change: String,
    pub is_open: bool,
}

impl Product {
    pub fn text(&self) -> String {
        let Self { id, price, volume, tick, lot, high, low, change, is_open } = self;
        let (base, quote) = id.split_once('-').unwrap_or((id, "USD"));
        let (base_name, quote_name) = match (base, quote) {
            ("BTC", "USD") => ("Bitcoin", "US Dollar"),
            ("ETH", "USD") => ("Ethereum", "US Dollar"),
            _ => (base, quote),
        };
        let alias = if quote == "USD" { format!("\"{base}-USDC\"") } else { String::new() };
        format!(
            concat!(
                r#"{{"product_id":"{id}","price":"{price}","price_percentage_change_24h":"{change}","#,
                r#""volume_24h":"{volume}","volume_percentage_change_24h":"0","#,
                r#""base_increment":"{lot}","quote_increment":"{tick}","quote_min_size":"1","#,
                r#""quote_max_size":"150000000","base_min_size":"{lot}","base_max_size":"100000","#,
                r#""base_name":"{base_name}","quote_name":"{quote_name}","watched":false,"#,
                r#""is_disabled":false,"new":false,"status":"online","cancel_only":false,"#,
                r#""limit_only":false,"post_only":false,"trading_disabled":{disabled},"#,
                r#""auction_mode":false,"product_type":"SPOT","quote_currency_id":"{quote}","#,
                r#""base_currency_id":"{base}","fcm_trading_session_details":null,"#,
                r#""mid_market_price":"","alias":"","alias_to":[{alias}],"#,
                r#""base_display_symbol":"{base}","quote_display_symbol":"{quote}","#,
                r#""view_only":false,"price_increment":"{tick}","display_name":"{id}","#,
                r#""product_venue":"CBE","approximate_quote_24h_volume":"0","#,
                r#""new_at":"2023-01-01T00:00:00Z","market_cap":"","base_cbrn":"","#,
                r#""quote_cbrn":"","product_cbrn":"","icon_color":"","icon_url":"","#,
                r#""display_name_overwrite":"","is_alpha_testing":false,"about_description":"","#,
                r#""best_bid_price":"","best_ask_price":"","high_24h":"{high}","low_24h":"{low}"}}"#
            ),
            id = id,
            disabled = !is_open,
            price = price,
            change = change,
            volume = volume,
            lot = lot,
            tick = tick,
            base_name = base_name,
            quote_name = quote_name,
            quote = quote,
            base = base,
            alias = alias,
            high = high,
            low = low,
        )
    }
}
