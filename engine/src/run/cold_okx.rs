//! OKX over REST, outside the lanes.

use bot4_types::InstrumentTable;
use bot4_venues::account::{Rows, Told};
use bot4_venues::market::DecodeError;
use bot4_venues::okx::orders::{self, Encoder, FILLS_KEPT_MS};
use bot4_venues::okx::private::{PageKind, PrivateDecoder};
use bot4_venues::secret::SecretKeys;

use super::cold_rest::{Asked, OFF_S, RestDialect, Span};

/// Older fills are looked for in the archive, ms: well within what the list of the newest ones has.
const ARCHIVED_MS: i64 = FILLS_KEPT_MS - 86_400_000;

/// The dialect.
pub struct OkxRest {
    encoder: Encoder,
    decoder: PrivateDecoder,
}

impl OkxRest {
    /// The dialect with these keys.
    #[must_use]
    pub fn new(keys: SecretKeys) -> Self {
        // No order is placed from here, so no instrument needs its code.
        let encoder = Encoder::new(keys, Vec::new());
        Self { encoder, decoder: PrivateDecoder::new(&InstrumentTable::new()) }
    }
}

impl RestDialect for OkxRest {
    fn write(&mut self, asked: Asked<'_>, cursor: &str, now_ms: i64, out: &mut Vec<u8>) {
        match asked {
            Asked::Time => orders::server_time(out),
            Asked::Balances => self.encoder.balances(now_ms, out),
            Asked::OpenOrders => self.encoder.open_orders(cursor, now_ms, out),
            // The venue lists fills by instrument, and no pages of ended orders are asked for.
            Asked::Fills(None, _) | Asked::Ended(_) => {}
            Asked::Fills(Some(symbol), Span { from_ms, to_ms: Some(to_ms) }) => {
                self.encoder.fills_archived(symbol, (from_ms, to_ms), cursor, now_ms, out);
            }
            Asked::Fills(Some(symbol), Span { from_ms, to_ms: None }) => {
                self.encoder.fills_since(symbol, from_ms, cursor, now_ms, out);
            }
            Asked::Order(symbol, client, _) => {
                self.encoder.order_status(symbol, &client.0, now_ms, out);
            }
            Asked::Cancel(order) => {
                self.encoder.cancel_by_rest(&order.symbol, order.venue_order, now_ms, out);
            }
            Asked::DeadMan => self.encoder.dead_man(OFF_S, now_ms, out),
        }
    }

    fn read_by(&mut self, table: &InstrumentTable) {
        self.decoder = PrivateDecoder::new(table);
    }

    fn read(&mut self, asked: Asked<'_>, status: u16, body: &[u8]) -> Result<Told, DecodeError> {
        let kind = match asked {
            Asked::OpenOrders | Asked::Order(..) => PageKind::Orders,
            Asked::Fills(..) => PageKind::Fills,
            _ => PageKind::Other,
        };
        self.decoder.page(0, kind, status, body)
    }

    fn rows(&self) -> &Rows {
        &self.decoder.rows
    }

    /// The archive, then the newest ones; each bound is in both, for whichever counts it.
    fn fill_spans(&self, from_ms: i64, now_ms: i64) -> Vec<Span> {
        let cut_ms = now_ms - ARCHIVED_MS;
        if from_ms >= cut_ms {
            return vec![Span { from_ms, to_ms: None }];
        }
        let older = Span { from_ms, to_ms: Some(cut_ms + 1) };
        vec![older, Span { from_ms: cut_ms - 1, to_ms: None }]
    }

    fn refusal_text(&self, body: &[u8]) -> (i64, String) {
        let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let part = &value["data"][0];
        let word = |whole: &str, of_part: &str| {
            let part = part[of_part].as_str().filter(|text| !text.is_empty());
            part.or_else(|| value[whole].as_str()).unwrap_or_default().to_owned()
        };
        (word("code", "sCode").parse().unwrap_or(-1), word("msg", "sMsg"))
    }
}
