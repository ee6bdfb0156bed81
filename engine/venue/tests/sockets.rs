//! Every dialect over real sockets and TLS: subscriptions, plain requests, and the faults that
//! only a socket can show.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use std::io::{Read, Write};

use bot4_venue::VenueOptions;
use common::wire::{Running, Socket, connect, now_ms, open_tls, pause, text};
use serde_json::{Value, json};
use tungstenite::{Error, Message};

fn venue(name: &str) -> Running {
    Running::start(VenueOptions { venue: name.to_owned(), ..VenueOptions::default() })
}

fn say(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).unwrap();
}

/// Two plain requests on one connection: the bodies.
fn get(venue: &Running, paths: [&str; 2]) -> [Value; 2] {
    let host = venue.ready.rest.strip_prefix("https://").unwrap().to_owned();
    let mut stream = open_tls(&host, &venue.ready.ca);
    paths.map(|path| {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n").unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    })
}

/// Reads texts until one holds this piece.
fn until(socket: &mut Socket, piece: &str) -> Value {
    for _ in 0..10_000 {
        if let Message::Text(text) = socket.read().unwrap()
            && text.contains(piece)
        {
            return serde_json::from_str(&text).unwrap();
        }
    }
    panic!("{piece} does not come");
}

#[test]
fn every_dialect_speaks_over_tls() {
    let kraken = r#"{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"]}}"#;
    let okx = r#"{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}"#;
    let bybit = r#"{"op":"subscribe","args":["orderbook.50.BTCUSDT"]}"#;
    let coinbase = r#"{"type":"subscribe","channel":"level2","product_ids":["BTC-USD"]}"#;
    let usdm = r#"{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":1}"#;
    for (name, ask, piece, paths) in [
        ("kraken", kraken, "checksum", Some(["/0/public/Time", "/0/public/Time"])),
        (
            "okx",
            okx,
            "prevSeqId",
            Some(["/api/v5/public/instruments?instType=SPOT", "/api/v5/public/time"]),
        ),
        (
            "bybit",
            bybit,
            "delta",
            Some(["/v5/market/instruments-info?category=spot", "/v5/market/time"]),
        ),
        (
            "coinbase",
            coinbase,
            "new_quantity",
            Some([
                "/api/v3/brokerage/market/products",
                "/api/v3/brokerage/market/products/BTC-USD",
            ]),
        ),
        (
            "binance-usdm",
            usdm,
            "depthUpdate",
            Some(["/fapi/v1/exchangeInfo", "/fapi/v1/depth?symbol=BTCUSDT&limit=1000"]),
        ),
    ] {
        let venue = venue(name);
        let path = if name == "binance-usdm" { "/ws" } else { "" };
        let mut socket = connect(&format!("{}{path}", venue.ready.market), &venue.ready.ca);
        say(&mut socket, ask);
        until(&mut socket, piece);
        assert_eq!(venue.ready.rest.is_empty(), paths.is_none());
        if let Some(paths) = paths {
            let [first, second] = get(&venue, paths);
            assert!(first.is_object() && second.is_object());
        }
        venue.end();
    }
}

#[test]
fn an_outage_refuses_connections_and_says_when_it_is_over() {
    let venue = venue("okx");
    let (market, ca) = (venue.ready.market.clone(), venue.ready.ca.clone());
    let mut control = connect(&venue.ready.control, &ca);
    let mut line = connect(&market, &ca);
    say(&mut line, r#"{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}"#);
    until(&mut line, "prevSeqId");
    say(&mut control, "outage 1s");
    assert_eq!(text(&mut control)["done"], "outage 1s");
    // The line ends without a close frame.
    let end = std::iter::repeat_with(|| line.read()).find(Result::is_err).unwrap().unwrap_err();
    assert!(!matches!(end, Error::ConnectionClosed), "{end}");
    let host = market.strip_prefix("wss://").unwrap().split('/').next().unwrap().to_owned();
    let until_ms = now_ms() + 20_000;
    // The port closes a moment after the lines.
    let refused = (0..50).any(|_| {
        let refused = common::wire::is_refused(&host);
        if !refused {
            pause();
        }
        refused
    });
    let back = text(&mut control);
    assert_eq!(back["back"], "outage");
    assert!(refused || now_ms() > until_ms - 19_000, "the port was closed in between");
    let mut again = connect(&market, &ca);
    say(&mut again, "ping");
    assert!(matches!(again.read().unwrap(), Message::Text(text) if text == "pong"));
    say(&mut control, "status");
    assert_eq!(text(&mut control)["markets"], json!(1));
    venue.end();
}

#[test]
fn a_reset_a_stall_and_a_close_look_different_from_outside() {
    let venue = venue("kraken");
    let ca = venue.ready.ca.clone();
    let mut control = connect(&venue.ready.control, &ca);
    let open = || {
        let mut socket = connect(&venue.ready.market, &ca);
        say(&mut socket, r#"{"method":"ping"}"#);
        until(&mut socket, "pong");
        socket
    };
    let mut strike = |fault: &str| {
        say(&mut control, fault);
        assert_eq!(text(&mut control)["done"], fault);
    };
    let end = |socket: &mut Socket| {
        std::iter::repeat_with(|| socket.read()).find(Result::is_err).unwrap().unwrap_err()
    };
    let mut socket = open();
    strike("reset 1");
    match end(&mut socket) {
        Error::Io(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        other => panic!("{other}"),
    }
    let mut socket = open();
    strike("close 1011 1");
    let frame = loop {
        if let Message::Close(frame) = socket.read().unwrap() {
            break frame.unwrap();
        }
    };
    assert_eq!(u16::from(frame.code), 1011);
    drop(socket);
    // Stalled: bytes arrived, but they never become a message, and nothing ends.
    let mut socket = open();
    socket.get_ref().sock.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
    strike("stall 1");
    for _ in 0..3 {
        match socket.read() {
            Err(Error::Io(error)) => {
                let kind = error.kind();
                assert!(matches!(kind, std::io::ErrorKind::WouldBlock), "{error}");
            }
            Ok(other) => assert!(other.is_text(), "{other:?}"),
            Err(other) => panic!("{other}"),
        }
        pause();
    }
    venue.end();
}
