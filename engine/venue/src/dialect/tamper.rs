//! Faults of single depth messages: lost, repeated, swapped, damaged.
//!
//! They work on the finished text, so that one piece of code serves every dialect, generated or
//! recorded, and the venue's own books and sequences stay right: what is wrong is the message.

use std::collections::{BTreeMap, VecDeque};

use crate::venue::{ConnId, Out, Text};

/// What happens to a depth message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DepthFault {
    /// It is never sent.
    Lose,
    /// It is sent twice.
    Repeat,
    /// It is sent after the one that follows it.
    Swap,
    /// A quantity in it is another one.
    Damage,
    /// Its checksum is wrong.
    Checksum,
    /// It holds a bid far above every ask.
    Cross,
    /// Its second half is missing.
    Broken,
}

/// A fault that waits for its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strike {
    /// The market's name as the venue writes it; `*` for any.
    pub symbol: String,
    /// What happens.
    pub fault: DepthFault,
    /// Only to what this connection hears; `None`: to what everybody hears.
    pub conn: Option<ConnId>,
}

impl Strike {
    fn hits(&self, conn: ConnId) -> bool {
        self.conn.is_none_or(|only| only == conn)
    }
}

/// Faults that wait for depth messages, and messages held back by one.
#[derive(Debug, Default)]
pub struct DataFaults {
    waiting: Vec<Strike>,
    held: BTreeMap<String, Vec<(ConnId, Text)>>,
}

impl DataFaults {
    /// Adds a fault; it strikes the market's next depth message.
    pub fn add(&mut self, strike: Strike) {
        self.waiting.push(strike);
    }

    /// The oldest fault that waits for this market, whoever listens to it.
    pub fn take(&mut self, symbol: &str) -> Option<Strike> {
        let at = self.waiting.iter().position(|s| s.symbol == symbol || s.symbol == "*")?;
        Some(self.waiting.remove(at))
    }

    /// Passes a depth message of `symbol` on, or what a waiting fault makes of it.
    pub fn pass(
        &mut self,
        symbol: &str,
        told: Vec<(ConnId, Text)>,
        out: &mut VecDeque<(ConnId, Out)>,
    ) {
        let strike = self.waiting.iter().position(|s| {
            (s.symbol == symbol || s.symbol == "*") && told.iter().any(|&(conn, _)| s.hits(conn))
        });
        let strike = strike.map(|at| self.waiting.remove(at));
        self.pass_with(symbol, told, strike.as_ref(), out);
    }

    /// As [`DataFaults::pass`], with a fault that was taken before.
    pub fn pass_with(
        &mut self,
        symbol: &str,
        told: Vec<(ConnId, Text)>,
        strike: Option<&Strike>,
        out: &mut VecDeque<(ConnId, Out)>,
    ) {
        if told.is_empty() {
            return;
        }
        let held = self.held.remove(symbol);
        for (conn, text) in told {
            let mut send = |text: Text| out.push_back((conn, Out::Text(text)));
            match strike.filter(|s| s.hits(conn)).map(|s| s.fault) {
                None => send(text),
                Some(DepthFault::Lose) => {}
                Some(DepthFault::Repeat) => {
                    send(text.clone());
                    send(text);
                }
                Some(DepthFault::Swap) => {
                    self.held.entry(symbol.to_owned()).or_default().push((conn, text));
                }
                Some(fault) => send(tampered(text.as_str(), fault).into()),
            }
        }
        for (conn, text) in held.into_iter().flatten() {
            out.push_back((conn, Out::Text(text)));
        }
    }
}

/// The text after a fault that changes texts; as it was where it holds nothing to change.
#[must_use]
pub fn tampered(text: &str, fault: DepthFault) -> String {
    let changed = match fault {
        DepthFault::Damage => damaged(text),
        DepthFault::Checksum => with_wrong_checksum(text),
        DepthFault::Cross => crossed(text),
        DepthFault::Broken => {
            let half = (0..=text.len() / 2).rev().find(|&at| text.is_char_boundary(at));
            Some(text[..half.unwrap_or(0)].to_owned())
        }
        DepthFault::Lose | DepthFault::Repeat | DepthFault::Swap => None,
    };
    changed.unwrap_or_else(|| text.to_owned())
}

/// The first level's quantity gets another first digit.
fn damaged(text: &str) -> Option<String> {
    let at = first_qty(text)?;
    let mut out = text.to_owned();
    out.replace_range(at..=at, other_digit(text.as_bytes()[at]));
    Some(out)
}

fn first_qty(text: &str) -> Option<usize> {
    for key in ["\"qty\":", "\"new_quantity\":\""] {
        if let Some(at) = text.find(key) {
            return Some(at + key.len());
        }
    }
    let level = text.find("[[\"")? + 3;
    let gap = text[level..].find("\",\"")?;
    Some(level + gap + 3)
}

/// Never zero, and never the same.
fn other_digit(digit: u8) -> &'static str {
    ["1", "2", "3", "4", "5", "6", "7", "8", "9", "8"][usize::from(digit.wrapping_sub(b'0')) % 10]
}

fn with_wrong_checksum(text: &str) -> Option<String> {
    let key = "\"checksum\":";
    let start = text.find(key)? + key.len();
    let length = text[start..].find(|c: char| c != '-' && !c.is_ascii_digit())?;
    let wrong = text[start..start + length].parse::<i64>().ok()? ^ 1;
    Some(format!("{}{wrong}{}", &text[..start], &text[start + length..]))
}

/// A bid at the first price with a 9 before it: above everything on the other side.
fn crossed(text: &str) -> Option<String> {
    if let Some(at) = text.find("\"updates\":[{") {
        let start = at + "\"updates\":[".len();
        let end = start + text[start..].find('}')? + 1;
        let level = damaged(&text[start..end])?.replace("\"offer\"", "\"bid\"");
        let level = level.replacen("\"price_level\":\"", "\"price_level\":\"9", 1);
        return Some(format!("{}{level},{}", &text[..start], &text[start..]));
    }
    let bids = ["\"bids\":[", "\"b\":["].into_iter().find_map(|k| Some(text.find(k)? + k.len()))?;
    let objects = text.find("[{\"price\":").map(|at| (at + 1, '}', "{\"price\":"));
    let (start, close, head) =
        objects.or_else(|| text.find("[[\"").map(|at| (at + 1, ']', "[\"")))?;
    let end = start + text[start..].find(close)? + 1;
    let level = &text[start..end];
    // The level alone lies in no list: the list's bracket makes its quantity findable.
    let level = damaged(&format!("[{level}"))?.split_off(1);
    let level = level.replacen(head, &format!("{head}9"), 1);
    let comma = if text[bids..].starts_with(']') { "" } else { "," };
    Some(format!("{}{level}{comma}{}", &text[..bids], &text[bids..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KRAKEN: &str = concat!(
        r#"{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[],"#,
        r#""asks":[{"price":78866.8,"qty":0.50000000}],"checksum":7}]}"#
    );
    const BYBIT: &str = r#"{"data":{"s":"X","b":[["65140.4","0.8"]],"a":[],"u":2,"seq":9}}"#;
    const OKX: &str =
        r#"{"data":[{"asks":[],"bids":[["5","9","0","1"]],"checksum":-5,"seqId":1}]}"#;
    const COINBASE: &str = concat!(
        r#"{"events":[{"type":"update","updates":[{"side":"offer","event_time":"T","#,
        r#""price_level":"10.5","new_quantity":"0"}]}]}"#
    );

    #[test]
    fn texts_change_where_they_should() {
        let changed = |text, fault| tampered(text, fault);
        assert!(changed(KRAKEN, DepthFault::Damage).contains(r#""qty":1.50000000"#));
        assert!(changed(BYBIT, DepthFault::Damage).contains(r#"["65140.4","1.8"]"#));
        assert!(changed(COINBASE, DepthFault::Damage).contains(r#""new_quantity":"1""#));
        assert!(changed(KRAKEN, DepthFault::Checksum).contains(r#""checksum":6"#));
        assert!(changed(OKX, DepthFault::Checksum).contains(r#""checksum":-6"#));
        assert!(
            changed(KRAKEN, DepthFault::Cross).contains(
                r#""bids":[{"price":978866.8,"qty":1.50000000}],"asks":[{"price":78866.8"#
            )
        );
        assert!(
            changed(BYBIT, DepthFault::Cross)
                .contains(r#""b":[["965140.4","1.8"],["65140.4","0.8"]]"#)
        );
        let okx = changed(OKX, DepthFault::Cross);
        assert!(okx.contains(r#""bids":[["95","8","0","1"],["5","9","0","1"]]"#), "{okx}");
        assert!(changed(COINBASE, DepthFault::Cross).contains(
            r#"[{"side":"bid","event_time":"T","price_level":"910.5","new_quantity":"1"},{"side":"#
        ));
        for text in [KRAKEN, BYBIT, OKX, COINBASE] {
            for fault in [DepthFault::Damage, DepthFault::Cross] {
                let value: serde_json::Value = serde_json::from_str(&changed(text, fault)).unwrap();
                assert_ne!(value.to_string(), text);
            }
            let broken = changed(text, DepthFault::Broken);
            assert!(serde_json::from_str::<serde_json::Value>(&broken).is_err());
        }
    }

    #[test]
    fn a_swap_lets_the_next_one_pass_and_a_line_is_hit_alone() {
        let mut faults = DataFaults::default();
        let mut out = VecDeque::new();
        let swap = Strike { symbol: "X".to_owned(), fault: DepthFault::Swap, conn: None };
        faults.add(swap);
        let lose = Strike { symbol: "Y".to_owned(), fault: DepthFault::Lose, conn: Some(2) };
        faults.add(lose);
        for text in ["a", "b", "c"] {
            faults.pass("X", vec![(1, text.into())], &mut out);
        }
        faults.pass("Y", vec![(1, "d".into()), (2, "d".into())], &mut out);
        let said: Vec<_> = out
            .into_iter()
            .map(|(conn, out)| match out {
                Out::Text(text) => (conn, text.to_string()),
                other => panic!("{other:?}"),
            })
            .collect();
        let expected = [(1, "b"), (1, "a"), (1, "c"), (1, "d")];
        assert_eq!(said, expected.map(|(conn, text)| (conn, text.to_owned())));
    }
}
