//! Bybit over REST, outside the lanes.

use bot4_types::InstrumentTable;
use bot4_venues::account::{RowState, Rows, Told};
use bot4_venues::bybit::orders::{self, DEAD_MAN_S, Encoder, FILLS_SPAN_MS, FillsOf, Kept};
use bot4_venues::bybit::private::PrivateDecoder;
use bot4_venues::market::DecodeError;
use bot4_venues::secret::SecretKeys;

use super::cold_rest::{Asked, RestDialect, Span};

/// Fills are asked for by so many ms: less than the venue allows, so that the last question, which
/// names no end, reaches beyond now.
const FILLS_STEP_MS: i64 = FILLS_SPAN_MS - 86_400_000;

/// The dialect.
pub struct BybitRest {
    encoder: Encoder,
    decoder: PrivateDecoder,
    /// When the last request was written, the venue's Unix ms.
    asked_ms: i64,
}

impl BybitRest {
    /// The dialect with these keys.
    #[must_use]
    pub fn new(keys: SecretKeys) -> Self {
        let decoder = PrivateDecoder::new(&InstrumentTable::new());
        Self { encoder: Encoder::new(keys), decoder, asked_ms: 0 }
    }
}

impl RestDialect for BybitRest {
    fn write(&mut self, asked: Asked<'_>, cursor: &str, now_ms: i64, out: &mut Vec<u8>) {
        self.asked_ms = now_ms;
        match asked {
            Asked::Time => orders::server_time(out),
            Asked::Balances => self.encoder.balances(now_ms, out),
            Asked::OpenOrders => self.encoder.open_orders(cursor, now_ms, out),
            // The venue lists fills by instrument, and no pages of ended orders are asked for.
            Asked::Fills(None, _) | Asked::Ended(_) => {}
            Asked::Fills(Some(symbol), Span { from_ms, to_ms }) => {
                let of = match to_ms {
                    Some(to_ms) => FillsOf::Within(symbol, from_ms, to_ms),
                    None => FillsOf::Since(symbol, from_ms),
                };
                self.encoder.fills(of, cursor, now_ms, out);
            }
            Asked::Order(_, client, ended) => {
                self.encoder.order_status(&client.0, ended, now_ms, out);
            }
            Asked::Cancel(order) => {
                let waits = order.state == RowState::Untriggered;
                let kept = if waits { Kept::Waiting } else { Kept::Active };
                let named = (order.client.as_bytes(), kept);
                self.encoder.cancel_by_rest(&order.symbol, named, now_ms, out);
            }
            Asked::DeadMan => self.encoder.set_dead_man(DEAD_MAN_S, now_ms, out),
        }
    }

    fn read_by(&mut self, table: &InstrumentTable) {
        self.decoder = PrivateDecoder::new(table);
    }

    fn read(&mut self, _: Asked<'_>, status: u16, body: &[u8]) -> Result<Told, DecodeError> {
        self.decoder.page(0, status, self.asked_ms, body)
    }

    fn rows(&self) -> &Rows {
        &self.decoder.rows
    }

    fn fill_spans(&self, mut from_ms: i64, now_ms: i64) -> Vec<Span> {
        let mut spans = Vec::new();
        while now_ms - from_ms >= FILLS_STEP_MS {
            spans.push(Span { from_ms, to_ms: Some(from_ms + FILLS_STEP_MS) });
            from_ms += FILLS_STEP_MS;
        }
        spans.push(Span { from_ms, to_ms: None });
        spans
    }

    fn refusal_text(&self, body: &[u8]) -> (i64, String) {
        let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        // A refused signature is told together with what was signed, the key's name in it.
        let text = value["retMsg"].as_str().unwrap_or_default();
        let text = text.split("origin_string").next().unwrap_or_default().to_owned();
        (value["retCode"].as_i64().unwrap_or(-1), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_venues::secret::Scheme;

    #[test]
    fn fills_are_asked_for_without_a_gap_until_beyond_now() {
        let keys = SecretKeys::read("key", "secret", Scheme::Sha256Hex).expect("keys");
        let rest = BybitRest::new(keys);
        for days in 0..30 {
            let (from, now) = (1_000, 1_000 + days * 86_400_000 + 5);
            let spans = rest.fill_spans(from, now);
            let (last, bounded) = spans.split_last().expect("one at least");
            let mut at = from;
            for span in bounded {
                assert_eq!(span.from_ms, at);
                at = span.to_ms.expect("bounded");
                assert!(at - span.from_ms <= FILLS_SPAN_MS && at <= now);
            }
            assert_eq!(*last, Span { from_ms: at, to_ms: None });
            assert!(at + FILLS_SPAN_MS > now);
        }
    }
}
