//! The venues' messages as typed structs that borrow from the text: what an event needs of them.

pub use bot4_venues::stage::Sides;
use serde::Deserialize;
use sonic_rs::LazyValue;

/// How the rival reads the numbers of levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// From their text by the plain decimal reader.
    Text,
    /// Bare ones as binary floating point, rounded to units: faster, and what is beyond 15 digits
    /// or of the text's own zeros is lost.
    Float,
}

/// One message of sonic-rs.
pub fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Option<T> {
    sonic_rs::from_slice(text).ok()
}

#[derive(Deserialize)]
pub struct Message<T> {
    pub data: T,
}

#[derive(Deserialize)]
pub struct Combined<T> {
    pub data: T,
}

#[derive(Deserialize)]
pub struct BinanceDepth<'a> {
    #[serde(rename = "E")]
    pub time: i64,
    #[serde(rename = "s")]
    pub symbol: &'a str,
    #[serde(rename = "U")]
    pub first: u64,
    #[serde(rename = "u")]
    pub last: u64,
    #[serde(rename = "b", borrow)]
    pub bids: Vec<(&'a str, &'a str)>,
    #[serde(rename = "a", borrow)]
    pub asks: Vec<(&'a str, &'a str)>,
}

#[derive(Deserialize)]
pub struct BinanceTrade<'a> {
    #[serde(rename = "E")]
    pub time: i64,
    #[serde(rename = "s")]
    pub symbol: &'a str,
    #[serde(rename = "t")]
    pub id: u64,
    #[serde(rename = "p")]
    pub price: &'a str,
    #[serde(rename = "q")]
    pub qty: &'a str,
    #[serde(rename = "m")]
    pub buyer_is_maker: bool,
}

#[derive(Deserialize)]
pub struct BinanceQuote<'a> {
    #[serde(rename = "u")]
    pub id: u64,
    #[serde(rename = "s")]
    pub symbol: &'a str,
    #[serde(rename = "b")]
    pub bid: &'a str,
    #[serde(rename = "B")]
    pub bid_qty: &'a str,
    #[serde(rename = "a")]
    pub ask: &'a str,
    #[serde(rename = "A")]
    pub ask_qty: &'a str,
    #[serde(rename = "E", default)]
    pub time: i64,
}

#[derive(Deserialize)]
pub struct KrakenBook<'a, L> {
    pub symbol: &'a str,
    pub bids: Vec<L>,
    pub asks: Vec<L>,
    pub checksum: u32,
    pub timestamp: &'a str,
}

#[derive(Deserialize)]
pub struct TextLevel<'a> {
    #[serde(borrow)]
    pub price: LazyValue<'a>,
    #[serde(borrow)]
    pub qty: LazyValue<'a>,
}

#[derive(Deserialize)]
pub struct FloatLevel {
    pub price: f64,
    pub qty: f64,
}

#[derive(Deserialize)]
pub struct KrakenTrade<'a> {
    pub symbol: &'a str,
    pub side: &'a str,
    #[serde(borrow)]
    pub price: LazyValue<'a>,
    #[serde(borrow)]
    pub qty: LazyValue<'a>,
    #[serde(rename = "trade_id")]
    pub id: u64,
    pub timestamp: &'a str,
}

#[derive(Deserialize)]
pub struct BybitBook<'a> {
    #[serde(rename = "s")]
    pub symbol: &'a str,
    #[serde(rename = "b", borrow)]
    pub bids: Vec<(&'a str, &'a str)>,
    #[serde(rename = "a", borrow)]
    pub asks: Vec<(&'a str, &'a str)>,
    #[serde(rename = "u")]
    pub update: u64,
}

#[derive(Deserialize)]
pub struct BybitTrade<'a> {
    #[serde(rename = "i")]
    pub id: &'a str,
    #[serde(rename = "T")]
    pub time: i64,
    #[serde(rename = "p")]
    pub price: &'a str,
    #[serde(rename = "v")]
    pub qty: &'a str,
    #[serde(rename = "S")]
    pub side: &'a str,
    #[serde(rename = "s")]
    pub symbol: &'a str,
}

#[derive(Deserialize)]
pub struct Okx<'a, T> {
    #[serde(borrow)]
    pub arg: OkxArg<'a>,
    pub data: [T; 1],
}

#[derive(Deserialize)]
pub struct OkxArg<'a> {
    #[serde(rename = "instId")]
    pub symbol: &'a str,
}

/// Price, quantity, what is obsolete, count of orders.
type OkxLevel<'a> = (&'a str, &'a str, &'a str, &'a str);

#[derive(Deserialize)]
pub struct OkxBook<'a> {
    #[serde(borrow)]
    pub asks: Vec<OkxLevel<'a>>,
    #[serde(borrow)]
    pub bids: Vec<OkxLevel<'a>>,
    pub ts: &'a str,
    pub checksum: i64,
    #[serde(rename = "seqId")]
    pub last: u64,
    #[serde(rename = "prevSeqId")]
    pub prev: i64,
}

#[derive(Deserialize)]
pub struct OkxTrade<'a> {
    #[serde(rename = "instId")]
    pub symbol: &'a str,
    #[serde(rename = "tradeId")]
    pub id: &'a str,
    #[serde(rename = "px")]
    pub price: &'a str,
    #[serde(rename = "sz")]
    pub qty: &'a str,
    pub side: &'a str,
    pub ts: &'a str,
}

#[derive(Deserialize)]
pub struct OkxQuote<'a> {
    #[serde(borrow)]
    pub asks: [OkxLevel<'a>; 1],
    #[serde(borrow)]
    pub bids: [OkxLevel<'a>; 1],
    pub ts: &'a str,
    #[serde(rename = "seqId")]
    pub id: u64,
}

#[derive(Deserialize)]
pub struct Coinbase<'a, T> {
    pub timestamp: &'a str,
    #[serde(rename = "sequence_num")]
    pub sequence: u64,
    pub events: [T; 1],
}

#[derive(Deserialize)]
pub struct CoinbaseBook<'a> {
    #[serde(rename = "product_id")]
    pub symbol: &'a str,
    #[serde(borrow)]
    pub updates: Vec<CoinbaseUpdate<'a>>,
}

#[derive(Deserialize)]
pub struct CoinbaseUpdate<'a> {
    pub side: &'a str,
    #[serde(rename = "price_level")]
    pub price: &'a str,
    #[serde(rename = "new_quantity")]
    pub qty: &'a str,
}

#[derive(Deserialize)]
pub struct CoinbaseTrades<'a> {
    #[serde(borrow)]
    pub trades: [CoinbaseTrade<'a>; 1],
}

#[derive(Deserialize)]
pub struct CoinbaseTrade<'a> {
    #[serde(rename = "product_id")]
    pub symbol: &'a str,
    #[serde(rename = "trade_id")]
    pub id: &'a str,
    pub price: &'a str,
    #[serde(rename = "size")]
    pub qty: &'a str,
    pub time: &'a str,
    pub side: &'a str,
}
