//! Bybit over REST, outside the lanes.

use bot4_types::InstrumentTable;
use bot4_venues::account::{Rows, Told};
use bot4_venues::bybit::orders::{self, DEAD_MAN_S, Encoder, FillsOf};
use bot4_venues::bybit::private::PrivateDecoder;
use bot4_venues::market::DecodeError;
use bot4_venues::secret::SecretKeys;

use super::cold_rest::{Asked, RestDialect};

/// The dialect.
pub struct BybitRest {
    encoder: Encoder,
    decoder: PrivateDecoder,
}

impl BybitRest {
    /// The dialect with these keys.
    #[must_use]
    pub fn new(keys: SecretKeys) -> Self {
        let decoder = PrivateDecoder::new(&InstrumentTable::new());
        Self { encoder: Encoder::new(keys), decoder }
    }
}

impl RestDialect for BybitRest {
    fn write(&mut self, asked: Asked<'_>, cursor: &str, now_ms: i64, out: &mut Vec<u8>) {
        match asked {
            Asked::Time => orders::server_time(out),
            Asked::Balances => self.encoder.balances(now_ms, out),
            Asked::OpenOrders => self.encoder.open_orders(cursor, now_ms, out),
            Asked::Fills(symbol, start_ms) => {
                self.encoder.fills(FillsOf::Since(symbol, start_ms), cursor, now_ms, out);
            }
            Asked::Order(_, client, ended) => {
                self.encoder.order_status(&client.0, ended, now_ms, out);
            }
            Asked::Cancel(order) => {
                let client = order.client.as_bytes();
                self.encoder.cancel_by_rest(&order.symbol, client, now_ms, out);
            }
            Asked::DeadMan => self.encoder.set_dead_man(DEAD_MAN_S, now_ms, out),
        }
    }

    fn read_by(&mut self, table: &InstrumentTable) {
        self.decoder = PrivateDecoder::new(table);
    }

    fn read(&mut self, _: Asked<'_>, status: u16, body: &[u8]) -> Result<Told, DecodeError> {
        self.decoder.page(0, status, body)
    }

    fn rows(&self) -> &Rows {
        &self.decoder.rows
    }

    fn refusal_text(&self, body: &[u8]) -> (i64, String) {
        let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        // A refused signature is told together with what was signed, the key's name in it.
        let text = value["retMsg"].as_str().unwrap_or_default();
        let text = text.split("origin_string").next().unwrap_or_default().to_owned();
        (value["retCode"].as_i64().unwrap_or(-1), text)
    }
}
