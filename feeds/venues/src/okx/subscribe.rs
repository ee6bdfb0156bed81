//! Subscriptions, the text ping and the limits: what the wire agent needs.
//!
//! All channels are public and share one connection. The snapshot of a book comes with its
//! subscription; to get a new one the channel is left and taken again. Source: the OKX sheet,
//! chapters 1 to 3.

use bot4_types::{Instrument, Nanos};

use super::{ARGS_LEN_MAX, CONNECTS_PER_5MIN, STREAM_PATH};
use crate::json::write_text;
use crate::session::{ConnectionLimits, KeepAlive, MarketSession};

/// The channels of one instrument: book changes each 100 ms, best quotes and trades at once.
pub const CHANNELS: [&str; 3] = ["books", "bbo-tbt", "trades"];

/// Bytes of the arguments of one message at most: many short messages would use up the hourly
/// number, one long one is refused whole when one of its arguments is.
const MESSAGE_ARGS_LEN: usize = 4 * 1_024;
/// Longest argument of a usual instrument in bytes.
const ARG_LEN: usize = 64;
/// How often the text ping goes out. The venue cuts after 30 s of silence; a ping that is lost
/// leaves time for a second one.
const PING_EVERY: Nanos = Nanos::from_secs(14);
/// Control messages a second. The venue counts 480 an hour: at most one instrument (two
/// messages) is taken anew in a second.
const MESSAGES_PER_S: u32 = 2;

/// Market data connections of OKX.
#[derive(Clone, Copy, Debug, Default)]
pub struct OkxSession;

impl MarketSession for OkxSession {
    fn stream_path(&self, _: &[Instrument]) -> String {
        STREAM_PATH.to_owned()
    }

    fn on_open(&self, instruments: &[Instrument], out: &mut Vec<Vec<u8>>) {
        let all = instruments.iter().flat_map(|i| CHANNELS.map(|channel| (channel, i)));
        messages("subscribe", all, out);
    }

    fn resubscribe(&self, instrument: &Instrument, out: &mut Vec<Vec<u8>>) {
        for op in ["unsubscribe", "subscribe"] {
            messages(op, [(CHANNELS[0], instrument)].into_iter(), out);
        }
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        Some(KeepAlive { every: PING_EVERY, text: b"ping" })
    }

    fn limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            life: Nanos::ZERO,
            connects_per_5min: CONNECTS_PER_5MIN,
            messages_per_s: MESSAGES_PER_S,
            streams_max: (ARGS_LEN_MAX / ARG_LEN) as u32,
        }
    }

    fn snapshot_path(&self) -> Option<String> {
        None
    }

    fn is_shutdown_notice(&self, text: &[u8]) -> bool {
        // Keys in the order of the documentation and in the order of captures.
        text.starts_with(br#"{"event":"notice""#)
            && text.windows(NOTICE_CODE.len()).any(|w| w == NOTICE_CODE)
    }
}

/// The notice that the connection will be closed for an upgrade, about a minute ahead.
const NOTICE_CODE: &[u8] = br#""code":"64008""#;

/// Appends as few messages as their size allows.
fn messages<'a>(
    op: &str,
    args: impl Iterator<Item = (&'static str, &'a Instrument)>,
    out: &mut Vec<Vec<u8>>,
) {
    let head = format!("{{\"op\":\"{op}\",\"args\":[").into_bytes();
    let mut text = head.clone();
    for (channel, instrument) in args {
        if text.len() > head.len() + MESSAGE_ARGS_LEN {
            close(&mut text);
            out.push(core::mem::replace(&mut text, head.clone()));
        }
        text.extend_from_slice(b"{\"channel\":");
        write_text(channel, &mut text);
        text.extend_from_slice(b",\"instId\":");
        write_text(instrument.symbol.as_str(), &mut text);
        text.extend_from_slice(b"},");
    }
    if text.len() > head.len() {
        close(&mut text);
        out.push(text);
    }
}

/// The last comma becomes the end.
fn close(text: &mut Vec<u8>) {
    text.pop();
    text.extend_from_slice(b"]}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{InstrumentId, Symbol};

    fn bare(id: u16, name: &str) -> Instrument {
        Instrument::bare(InstrumentId(id), Symbol::new(name).expect("short"), 8)
    }

    #[test]
    fn channels_are_named_in_few_messages() {
        let mut out = Vec::new();
        OkxSession.on_open(&[bare(0, "BTC-USDT"), bare(1, "ETH-USDT-SWAP")], &mut out);
        let expected = r#"{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"},{"channel":"bbo-tbt","instId":"BTC-USDT"},{"channel":"trades","instId":"BTC-USDT"},{"channel":"books","instId":"ETH-USDT-SWAP"},{"channel":"bbo-tbt","instId":"ETH-USDT-SWAP"},{"channel":"trades","instId":"ETH-USDT-SWAP"}]}"#;
        assert_eq!(out, [expected.as_bytes()]);
        let many: Vec<Instrument> = (0..250).map(|i| bare(i, &format!("A{i}-USDT"))).collect();
        out.clear();
        OkxSession.on_open(&many, &mut out);
        let count: usize = out.iter().map(|m| m.split(|b| *b == b'}').count() - 2).sum();
        assert_eq!(count, 750);
        assert!(out.len() < 20 && out.iter().all(|m| m.len() < MESSAGE_ARGS_LEN + 200));
        out.clear();
        OkxSession.on_open(&[], &mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn a_book_is_left_and_taken_again() {
        let mut out = Vec::new();
        OkxSession.resubscribe(&bare(0, "BTC-USDT"), &mut out);
        let arg = r#""args":[{"channel":"books","instId":"BTC-USDT"}]}"#;
        let texts: Vec<String> =
            ["unsubscribe", "subscribe"].map(|op| format!(r#"{{"op":"{op}",{arg}"#)).into();
        assert_eq!(out, texts.iter().map(|t| t.as_bytes()).collect::<Vec<_>>());
    }

    #[test]
    fn the_upgrade_notice_is_known_in_either_order_of_keys() {
        for text in [
            r#"{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. Please reconnect.","connId":"a4d3ae55"}"#,
            r#"{"event":"notice","msg":"The connection will soon be closed.","code":"64008"}"#,
        ] {
            assert!(OkxSession.is_shutdown_notice(text.as_bytes()));
        }
        for text in
            [r#"{"event":"notice","code":"64000"}"#, "pong", r#"{"event":"error","code":"64008"}"#]
        {
            assert!(!OkxSession.is_shutdown_notice(text.as_bytes()));
        }
    }
}
