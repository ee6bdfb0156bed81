//! The account's messages, mutated: an error or rows, never a panic, and nothing of a damaged
//! message stays behind to change how the next whole one is read.

use std::time::{Duration, Instant};

use bot4_types::rng::SplitMix64;
use bot4_types::{Instrument, InstrumentId, InstrumentTable, Symbol};
use bot4_venues::account::{Rows, Told};
use bot4_venues::{DecodeError, bybit, kraken, okx};

use super::common::edited;
use super::common::mutate::reshape;
use super::from_env;

/// Whole messages of a connection; those of Kraken in an order in which each is whole.
const BYBIT: [&str; 4] = [
    r#"{"id":"1","topic":"execution","creationTime":1,"data":[{"category":"spot","symbol":"BTCUSDT","execFee":"0.1","feeCurrency":"USDT","execId":"5","execPrice":"2","execQty":"1","execType":"Trade","isMaker":true,"orderId":"9","orderLinkId":"x","side":"Buy","execTime":"60000"}]}"#,
    r#"{"id":"1","topic":"order","creationTime":1,"data":[{"category":"spot","symbol":"BTCUSDT","orderId":"9","orderLinkId":"x","orderStatus":"PartiallyFilled","rejectReason":"","cancelType":"UNKNOWN","cumExecQty":"0.5"}]}"#,
    r#"{"id":"1","topic":"order","creationTime":1,"data":[{"category":"spot","symbol":"BTCUSDT","orderId":"8","orderLinkId":"y","orderStatus":"Untriggered","stopOrderType":"tpslOrder","triggerPrice":"3","price":"2","qty":"1","rejectReason":"","cancelType":"UNKNOWN","cumExecQty":"0"}]}"#,
    r#"{"reqId":"41","retCode":0,"retMsg":"OK","op":"order.create","data":{},"retExtInfo":{},"header":{"X-Bapi-Limit":"10","X-Bapi-Limit-Status":"9","X-Bapi-Limit-Reset-Timestamp":"1764401421682","Timenow":"1764401421683"},"connId":"c"}"#,
];
const OKX: [&str; 2] = [
    r#"{"arg":{"channel":"orders","instType":"SPOT"},"data":[{"instType":"SPOT","instId":"BTC-USDT","ordId":"7","clOrdId":"x","state":"partially_filled","accFillSz":"0.5","cancelSource":"","tradeId":"3","fillPx":"2","fillSz":"0.5","fillFee":"-0.1","fillFeeCcy":"USDT","fillTime":"60000","execType":"M","side":"buy"}]}"#,
    r#"{"arg":{"channel":"account"},"data":[{"details":[{"cashBal":"1.5","ccy":"BTC","frozenBal":"0.5"}],"uTime":"1"}]}"#,
];
const KRAKEN: [&str; 7] = [
    r#"{"channel":"executions","type":"snapshot","data":[],"sequence":1}"#,
    r#"{"channel":"executions","type":"update","data":[{"order_id":"AHOJQ8-1E72C-8M2VQH","symbol":"BTC/USD","order_qty":81.36256082,"cum_cost":0.0000000,"exec_type":"pending_new","side":"buy","cl_ord_id":"x","order_status":"pending_new","timestamp":"2024-05-18T12:01:56.165888Z"}],"sequence":2}"#,
    r#"{"channel":"executions","type":"update","data":[{"order_id":"AHOJQ8-1E72C-8M2VQH","exec_id":"TJE7HC-DKBTI-5BFVKE","exec_type":"trade","symbol":"BTC/USD","side":"buy","last_qty":1e-08,"last_price":2.5,"liquidity_ind":"m","order_status":"partially_filled","timestamp":"2024-05-18T12:59:33.480251Z","fees":[{"asset":"USD","qty":0.05083}]}],"sequence":3}"#,
    r#"{"channel":"executions","type":"update","data":[{"timestamp":"2024-05-18T12:58:51.121515Z","order_status":"canceled","exec_type":"canceled","order_id":"AHOJQ8-1E72C-8M2VQH","reason":"User requested"}],"sequence":4}"#,
    r#"{"channel":"executions","type":"update","data":[{"order_id":"AHOJQ8-1E72C-8M2VQI","symbol":"BTC/USD","order_qty":1.5,"exec_type":"pending_new","side":"sell","order_type":"stop-loss-limit","cl_ord_id":"y","triggers":{"price":0.2,"price_type":"static","reference":"last","status":"untriggered"},"stop_price":0.2,"limit_price":0.1,"trigger":"last","order_status":"pending_new","timestamp":"2024-05-18T12:01:56.165888Z"}],"sequence":5}"#,
    r#"{"channel":"executions","type":"update","data":[{"timestamp":"2024-05-18T12:58:51.121515Z","order_status":"triggered","exec_type":"status","triggers":{"price":0.2,"status":"triggered"},"order_id":"AHOJQ8-1E72C-8M2VQI"}],"sequence":6}"#,
    r#"{"method":"add_order","req_id":0,"result":{"order_id":"OPS23M-VS41G-DDE5Z2","cl_ord_id":"x"},"success":true,"time_in":"2024-05-18T12:05:50.293682Z","time_out":"2024-05-18T12:05:50.300542Z"}"#,
];
/// Whole pages of each venue, by what they are about.
const PAGES: [&str; 6] = [
    r#"{"retCode":0,"retMsg":"OK","result":{"nextPageCursor":"a%3A1","category":"spot","list":[{"symbol":"BTCUSDT","orderId":"9","orderLinkId":"x","orderStatus":"New","cumExecQty":"0"}]},"time":5}"#,
    r#"{"code":"0","data":[{"instId":"BTC-USDT","tradeId":"3","ordId":"7","clOrdId":"","billId":"9","fillPx":"2","fillSz":"1","side":"buy","execType":"T","feeCcy":"BTC","fee":"-0.1","fillTime":"60000"}],"msg":""}"#,
    r#"{"error":[],"result":{"open":{"OQCLML-BW3P3-BUCMWZ":{"cl_ord_id":"x","status":"open","descr":{"pair":"XBTUSD"},"vol":"1.25","vol_exec":"0.5"}}}}"#,
    r#"{"error":[],"result":{"open":{"OQCLML-BW3P3-BUCMWX":{"cl_ord_id":"y","status":"open","descr":{"pair":"XBTUSD","ordertype":"stop-loss-limit","price":"0.2","price2":"0.1"},"vol":"1.25","vol_exec":"0","misc":"stopped"}}}}"#,
    r#"{"error":[],"result":{"trades":{"THVRQM-33VKH-UCI7BS":{"ordertxid":"OQCLML-BW3P3-BUCMWZ","pair":"XXBTZUSD","time":1688667796.8802,"type":"buy","price":"30010.0","fee":"0","vol":"0.02","maker":true}},"count":1}}"#,
    r#"{"error":[],"result":{"ZUSD":{"balance":"25435.21","hold_trade":8249.76}}}"#,
];

type Read = Result<Told, DecodeError>;

/// All decoders, so that one run of messages passes through each.
struct Decoders {
    bybit: bybit::private::PrivateDecoder,
    okx: okx::private::PrivateDecoder,
    kraken: kraken::private::PrivateDecoder,
}

impl Decoders {
    fn new(table: &InstrumentTable) -> Self {
        Self {
            bybit: bybit::private::PrivateDecoder::new(table),
            okx: okx::private::PrivateDecoder::new(table),
            kraken: kraken::private::PrivateDecoder::new(table),
        }
    }

    fn message(&mut self, text: &[u8]) {
        let _ = self.bybit.decode(text);
        let _ = self.okx.decode(text);
        let _ = self.kraken.decode(text);
    }

    fn page(&mut self, text: &[u8]) {
        use kraken::private::PageKind as K;
        use okx::private::PageKind as O;
        let _ = self.bybit.page(1, 200, 1, text);
        for kind in [O::Orders, O::Fills, O::Other] {
            let _ = self.okx.page(1, kind, 200, text);
        }
        for kind in [K::Token, K::Orders, K::Fills, K::Balances, K::Other] {
            let _ = self.kraken.page(1, kind, 200, text);
        }
    }

    /// What the whole messages tell, of a connection that begins.
    fn whole(&mut self) -> Vec<(Read, String)> {
        let told = |read: Read, rows: &Rows| (read, format!("{rows:?}"));
        let mut all = Vec::new();
        for text in BYBIT {
            let read = self.bybit.decode(text.as_bytes());
            all.push(told(read, &self.bybit.rows));
        }
        for text in OKX {
            let read = self.okx.decode(text.as_bytes());
            all.push(told(read, &self.okx.rows));
        }
        self.kraken.begin();
        for text in KRAKEN {
            let read = self.kraken.decode(text.as_bytes());
            all.push(told(read, &self.kraken.rows));
        }
        all
    }
}

fn table() -> InstrumentTable {
    let mut table = InstrumentTable::new();
    let symbol = |name| Symbol::new(name).expect("short");
    for (n, name) in ["BTCUSDT", "BTC-USDT", "BTC/USD"].into_iter().enumerate() {
        let mut i = Instrument::bare(InstrumentId(n as u16), symbol(name), 2);
        i.qty_decimals = 8;
        i.base = table.asset(symbol("BTC")).expect("room");
        i.quote = table.asset(symbol(if n == 2 { "USD" } else { "USDT" })).expect("room");
        table.push(i).expect("room");
    }
    table
}

fn damaged(rng: &mut SplitMix64, text: &str) -> Vec<u8> {
    let mut text = text.as_bytes().to_vec();
    (0..rng.below(3)).for_each(|_| reshape(rng, &mut text));
    let count = rng.below(4);
    let edits: Vec<_> = (0..count)
        .map(|_| (rng.next_u64() as usize, rng.next_u64() as u8, rng.next_u64() as u8))
        .collect();
    edited(&text, &edits)
}

/// `BOT4_FUZZ_SECONDS` for all venues together, half a second by default.
#[test]
#[expect(clippy::disallowed_methods, reason = "how long to go on is no matter of the decoders")]
fn messages_of_the_account() {
    let (first, table) = (from_env("BOT4_FUZZ_SEED", 1), table());
    let length = Duration::from_millis(500 * from_env("BOT4_FUZZ_SECONDS", 1));
    let whole = Decoders::new(&table).whole();
    assert!(whole.iter().all(|(read, _)| read.is_ok()), "{whole:?}");
    let (end, mut seed) = (Instant::now() + length, first);
    while seed == first || Instant::now() < end {
        let run = std::panic::catch_unwind(|| {
            let (mut rng, mut decoders) = (SplitMix64::new(seed), Decoders::new(&table));
            for _ in 0..32 {
                let all = BYBIT.iter().chain(&OKX).chain(&KRAKEN);
                let text = *all.clone().nth(rng.below(all.count() as u64) as usize).expect("one");
                decoders.message(&damaged(&mut rng, text));
                let page = PAGES[rng.below(PAGES.len() as u64) as usize];
                decoders.page(&damaged(&mut rng, page));
            }
            decoders.whole() == whole
        });
        assert!(matches!(run, Ok(true)), "BOT4_FUZZ_SEED={seed}: {run:?}");
        seed += 1;
    }
    println!("messages of accounts: {} messages and pages", (seed - first) * 64);
}
