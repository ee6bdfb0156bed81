//! Market messages as text: drawn in the venue's shape, or real ones from a recording.
//!
//! Many different messages of a kind are used in turn, so that no branch predictor learns one
//! message by heart.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;

use bot4_types::limits::FRAME_PADDING;
use bot4_types::rng::SplitMix64;

/// The one symbol of all texts.
pub const SYMBOL: &str = "BTCUSDT";

/// Messages, each followed by the padding that a slot has.
#[derive(Clone, Debug, Default)]
pub struct Feed {
    messages: Vec<(Vec<u8>, usize)>,
}

impl Feed {
    /// Adds a message.
    pub fn push(&mut self, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(text.len() + FRAME_PADDING, 0);
        self.messages.push((bytes, text.len()));
    }

    /// Number of messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// There is no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Message `index` with its padding, and its length.
    ///
    /// # Panics
    /// When there is no such message.
    #[must_use]
    #[inline]
    pub fn at(&self, index: usize) -> (&[u8], usize) {
        let (bytes, len) = &self.messages[index];
        (bytes, *len)
    }

    /// Mean length of a message in bytes.
    #[must_use]
    pub fn len_mean(&self) -> usize {
        self.messages.iter().map(|(_, len)| len).sum::<usize>() / self.messages.len().max(1)
    }
}

/// `count` changes of the book with `levels` levels each, half a side; 37 % of them removals.
#[must_use]
pub fn depth(count: usize, levels: usize, seed: u64) -> Feed {
    let (mut rng, mut feed, mut id) = (SplitMix64::new(seed), Feed::default(), 50_093_239_189);
    for n in 0..count {
        let mut text = format!(
            "{{\"stream\":\"btcusdt@depth@100ms\",\"data\":{{\"e\":\"depthUpdate\",\"E\":{},\
             \"s\":\"{SYMBOL}\",\"U\":{},\"u\":{},\"b\":[",
            1_723_161_255_208 + 100 * n as u64,
            id + 1,
            id + levels as u64,
        );
        id += levels as u64;
        let bids = levels / 2;
        side(&mut text, bids, 61_837, &mut rng);
        text.push_str("],\"a\":[");
        side(&mut text, levels - bids, 61_838, &mut rng);
        text.push_str("]}}");
        feed.push(&text);
    }
    feed
}

fn side(text: &mut String, levels: usize, near: u64, rng: &mut SplitMix64) {
    for n in 0..levels {
        let comma = if n == 0 { "" } else { "," };
        let price = price(near + rng.below(60), rng);
        let qty = if rng.below(100) < 37 { "0.00000000".to_owned() } else { qty(rng) };
        let _ = write!(text, "{comma}[\"{price}\",\"{qty}\"]");
    }
}

fn price(whole: u64, rng: &mut SplitMix64) -> String {
    format!("{whole}.{:02}000000", rng.below(100))
}

/// Five decimals, mostly below one coin, as the lot of the pair has it.
fn qty(rng: &mut SplitMix64) -> String {
    let whole = if rng.below(4) == 0 { rng.below(20) } else { 0 };
    format!("{whole}.{:05}000", 1 + rng.below(99_999))
}

/// `count` trades.
#[must_use]
pub fn trade(count: usize, seed: u64) -> Feed {
    let (mut rng, mut feed) = (SplitMix64::new(seed), Feed::default());
    for n in 0..count as u64 {
        let (price, qty) = (price(61_800 + rng.below(60), &mut rng), qty(&mut rng));
        let (at, maker) = (1_723_161_255_208 + n, rng.below(2) == 0);
        feed.push(&format!(
            "{{\"stream\":\"btcusdt@trade\",\"data\":{{\"e\":\"trade\",\"E\":{at},\
             \"s\":\"{SYMBOL}\",\"t\":{},\"p\":\"{price}\",\"q\":\"{qty}\",\"T\":{at},\
             \"m\":{maker},\"M\":true}}}}",
            3_719_000_000 + n,
        ));
    }
    feed
}

/// `count` best quotes.
#[must_use]
pub fn quote(count: usize, seed: u64) -> Feed {
    let (mut rng, mut feed) = (SplitMix64::new(seed), Feed::default());
    for n in 0..count as u64 {
        let (bid, ask) = (price(61_837, &mut rng), price(61_838, &mut rng));
        let (bid_qty, ask_qty) = (qty(&mut rng), qty(&mut rng));
        feed.push(&format!(
            "{{\"stream\":\"btcusdt@bookTicker\",\"data\":{{\"u\":{},\"s\":\"{SYMBOL}\",\
             \"b\":\"{bid}\",\"B\":\"{bid_qty}\",\"a\":\"{ask}\",\"A\":\"{ask_qty}\"}}}}",
            50_093_239_212 + n,
        ));
    }
    feed
}

/// The first `count` stream messages of a recorded hour of BTCUSDT (changes, trades and quotes as
/// they came), when the folder `shared` lies beside the project.
#[must_use]
pub fn recorded(count: usize) -> Option<Feed> {
    let path = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/recordings/binance_spot_btcusdt_20240808/btcusdt_20240808.gz"
    ));
    let mut feed = Feed::default();
    let messages = recorded_lines(path)?.filter(|text| text.starts_with("{\"stream\":"));
    messages.take(count).for_each(|text| feed.push(&text));
    (!feed.is_empty()).then_some(feed)
}

/// The messages of a packed recording whose lines begin with a receive time; `None` when there is
/// no such file.
#[must_use]
pub fn recorded_lines(path: &Path) -> Option<impl Iterator<Item = String> + use<>> {
    let lines = BufReader::new(flate2::read::GzDecoder::new(std::fs::File::open(path).ok()?));
    let texts = lines.lines().map_while(Result::ok);
    Some(texts.filter_map(|line| line.split_once(' ').map(|(_, text)| text.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_json_and_reproducible() {
        for feed in [depth(9, 20, 1), depth(3, 100, 1), trade(9, 1), quote(9, 1)] {
            for n in 0..feed.len() {
                let (bytes, len) = feed.at(n);
                assert_eq!(bytes.len(), len + FRAME_PADDING);
                let value: Result<serde_json::Value, _> = serde_json::from_slice(&bytes[..len]);
                assert!(value.is_ok(), "{}", String::from_utf8_lossy(&bytes[..len]));
            }
        }
        assert_eq!(depth(2, 20, 5).at(1), depth(2, 20, 5).at(1));
        assert_ne!(depth(2, 20, 5).at(1).0, depth(2, 20, 6).at(1).0);
    }
}
