//! Every kind of public message that a venue's sheet names has a golden message, which reads as is
//! said here; and every real sample is of such a kind.

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bot4_venues::Venue;
use common::corpus::{self, quiet_of};
use common::{Bench, shared};
use serde_json::Value;

/// The kinds of public messages by the sheets, as [`kind`] calls them.
const SPOT: [&str; 14] = [
    "depthUpdate",
    "trade",
    "bookTicker",
    "aggTrade",
    "kline",
    "24hrMiniTicker",
    "24hrTicker",
    "avgPrice",
    "best levels",
    "snapshot 200",
    "snapshot 429",
    "answer",
    "refusal",
    "serverShutdown",
];
const USDM: [&str; 11] = [
    "depthUpdate",
    "trade",
    "bookTicker",
    "aggTrade",
    "kline",
    "markPriceUpdate",
    "forceOrder",
    "snapshot 200",
    "answer",
    "refusal",
    "serverShutdown",
];
const KRAKEN: [&str; 18] = [
    "book snapshot",
    "book update",
    "trade snapshot",
    "trade update",
    "ticker snapshot",
    "ticker update",
    "ohlc update",
    "instrument snapshot",
    "instrument update",
    "level3 snapshot",
    "status update",
    "heartbeat",
    "answer pong",
    "answer subscribe true",
    "answer subscribe false",
    "answer unsubscribe true",
    "answer ping false",
    "plain text",
];
const BYBIT: [&str; 15] = [
    "orderbook snapshot",
    "orderbook delta",
    "orderbook.1 snapshot",
    "orderbook.1 delta",
    "orderbook.full delta",
    "publicTrade snapshot",
    "tickers snapshot",
    "tickers delta",
    "kline snapshot",
    "answer subscribe true",
    "answer subscribe false",
    "answer ping true",
    "answer pong",
    "COMMAND_RESP",
    "COMMAND_RESP in part",
];
const OKX: [&str; 21] = [
    "books snapshot",
    "books update",
    "books",
    "books-l2-tbt snapshot",
    "books-l2-tbt update",
    "books50-l2-tbt update",
    "books5",
    "bbo-tbt",
    "trades",
    "tickers",
    "index-tickers",
    "candle1m",
    "instruments",
    "status",
    "event subscribe",
    "event unsubscribe",
    "event error",
    "event notice",
    "event channel-conn-count",
    "event channel-conn-count-error",
    "plain text",
];
const COINBASE: [&str; 13] = [
    "l2_data snapshot",
    "l2_data update",
    "market_trades snapshot",
    "market_trades update",
    "ticker snapshot",
    "ticker update",
    "ticker_batch update",
    "candles snapshot",
    "candles update",
    "status snapshot",
    "heartbeats",
    "subscriptions",
    "error",
];

fn of_the_sheet(venue: Venue) -> &'static [&'static str] {
    match venue {
        Venue::Binance => &SPOT,
        Venue::BinanceUsdm => &USDM,
        Venue::Kraken => &KRAKEN,
        Venue::Bybit | Venue::BybitLinear => &BYBIT,
        Venue::Okx => &OKX,
        Venue::Coinbase => &COINBASE,
    }
}

/// What kind of message this is, told from its JSON without the decoders; `None` for messages of
/// private connections and answers of REST.
fn kind(venue: Venue, text: &str) -> Option<String> {
    let Ok(message) = serde_json::from_str::<Value>(text) else {
        return Some("plain text".to_owned());
    };
    let word = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
    let with = |head: &str, tail: &str| format!("{head} {tail}").trim().to_owned();
    match venue {
        Venue::Binance | Venue::BinanceUsdm => of_binance(&message),
        Venue::Kraken if message["channel"].is_string() => {
            Some(with(&word("channel"), &word("type")))
        }
        Venue::Kraken => {
            let success = message["success"].as_bool().map_or(String::new(), |b| b.to_string());
            Some(with(&format!("answer {}", word("method")), &success))
        }
        Venue::Bybit | Venue::BybitLinear => of_bybit(&message),
        Venue::Okx if message["event"].is_string() => Some(format!("event {}", word("event"))),
        Venue::Okx => Some(with(
            message["arg"]["channel"].as_str()?,
            message["action"].as_str().unwrap_or(""),
        )),
        Venue::Coinbase if message["channel"].is_string() => {
            let of_event = message["events"][0]["type"].as_str().unwrap_or("");
            Some(with(&word("channel"), of_event))
        }
        Venue::Coinbase => Some(word("type")),
    }
}

fn of_binance(message: &Value) -> Option<String> {
    let data = message.get("data").unwrap_or(message);
    if let Some(name) = data["e"].as_str() {
        return Some(name.to_owned());
    }
    if data["u"].is_u64() && data["B"].is_string() {
        return Some("bookTicker".to_owned());
    }
    if data.get("lastUpdateId").is_some() {
        return Some("best levels".to_owned());
    }
    if let Some(status) = message["status"].as_u64() {
        // Answers to orders are read elsewhere.
        let is_book = message["result"].get("lastUpdateId").is_some() || status == 429;
        return is_book.then(|| format!("snapshot {status}"));
    }
    let refused = message.get("error").is_some() || message.get("code").is_some();
    match message.get("result") {
        _ if refused => Some("refusal".to_owned()),
        Some(_) => Some("answer".to_owned()),
        None => None,
    }
}

fn of_bybit(message: &Value) -> Option<String> {
    let of = message["type"].as_str().unwrap_or("");
    if let Some(topic) = message["topic"].as_str() {
        let mut parts = topic.split('.');
        let (name, second) = (parts.next()?, parts.next().unwrap_or(""));
        let deep = name == "orderbook" && matches!(second, "1" | "full");
        let name = if deep { format!("{name}.{second}") } else { name.to_owned() };
        return (!of.is_empty()).then(|| format!("{name} {of}"));
    }
    let success = message["success"].as_bool().map_or(String::new(), |b| format!(" {b}"));
    match message["op"].as_str() {
        Some(op) if !op.contains('.') => Some(format!("answer {op}{success}")),
        Some(_) => None,
        None => {
            let failed = message["data"]["failTopics"].as_array().is_some_and(|l| !l.is_empty());
            (!of.is_empty()).then(|| format!("{of}{}", if failed { " in part" } else { "" }))
        }
    }
}

/// Private kinds, which no market connection brings.
fn is_private(kind: &str) -> bool {
    let heads = [
        "executionReport",
        "outboundAccountPosition",
        "balanceUpdate",
        "listStatus",
        "eventStreamTerminated",
        "executions",
        "balances",
        "answer add_order",
        "answer amend_order",
        "answer edit_order",
        "answer batch_add",
        "answer cancel",
        "answer auth",
        "event login",
        "account",
        "balance_and_position",
        "orders",
        "user",
    ];
    heads.iter().any(|head| kind.starts_with(head))
}

fn golden(venue: Venue) -> BTreeSet<String> {
    let all = corpus::all();
    let corpus = all.iter().find(|c| c.venue == venue.into()).expect("each venue has a corpus");
    let kinds = corpus.lines.iter().filter_map(|line| kind(venue, line));
    kinds.filter(|kind| !is_private(kind)).collect()
}

#[test]
fn every_kind_of_the_sheets_has_a_golden_message() {
    for venue in Venue::ALL.into_iter().filter(|venue| venue.is_in_build()) {
        let (golden, sheet) = (golden(venue), of_the_sheet(venue));
        let missing: Vec<_> = sheet.iter().filter(|kind| !golden.contains(**kind)).collect();
        assert!(missing.is_empty(), "{}: no golden message of {missing:?}", venue.name());
    }
}

#[test]
fn quiet_messages_give_what_they_say() {
    let mut others = Vec::new();
    for corpus in corpus::all() {
        let common::dialect::Dialect::Of(venue) = corpus.venue else { continue };
        for (told, text) in quiet_of(venue) {
            let (answer, events) = Bench::new(venue, &corpus.table).both(text.as_bytes(), 0);
            let found = answer.map_or_else(|e| format!("{e:?}"), |a| format!("{a:?}"));
            if found != told || events.is_empty() != (told != "Events") {
                others.push(format!("{}: {found}, not {told}: {text}", venue.name()));
            }
        }
    }
    assert!(others.is_empty(), "{others:#?}");
}

/// The messages of the sample files below `folder`, one a line or one a file.
fn samples(folder: &Path, out: &mut Vec<(PathBuf, String)>) {
    for path in std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            samples(&path, out);
            continue;
        }
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if name.starts_with("rest_") || !name.contains(".json") || name.ends_with(".gz") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a sample");
        if serde_json::from_str::<Value>(&text).is_ok() {
            out.push((path, text));
        } else {
            out.extend(text.lines().map(|line| (path.clone(), line.to_owned())));
        }
    }
}

#[test]
fn every_sample_is_of_a_kind_that_has_a_golden_message() {
    let Some(root) = shared("venues") else { return };
    for venue in [Venue::Binance, Venue::Kraken, Venue::Bybit, Venue::Okx, Venue::Coinbase] {
        let (mut all, golden) = (Vec::new(), golden(venue));
        samples(&root.join(venue.name()).join("samples"), &mut all);
        let mut public = 0;
        for (path, text) in &all {
            let Some(kind) = kind(venue, text).filter(|kind| !is_private(kind)) else { continue };
            public += 1;
            assert!(golden.contains(&kind), "{kind}: {}", path.display());
        }
        println!("{}: {public} public samples of {}", venue.name(), all.len());
        assert!(public >= 8, "{}: {public}", venue.name());
    }
}
