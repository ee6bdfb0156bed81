//! Coinbase over REST, outside the lanes.

use bot4_types::InstrumentTable;
use bot4_venues::account::{Rows, Told};
use bot4_venues::coinbase::orders::{Encoder, FillsOf, OrdersOf, server_time};
use bot4_venues::coinbase::private::{PageKind, PrivateDecoder};
use bot4_venues::coinbase::token::TokenKeys;
use bot4_venues::market::DecodeError;

use super::cold_rest::{Asked, RestDialect};

/// The dialect.
pub struct CoinbaseRest {
    encoder: Encoder,
    decoder: PrivateDecoder,
}

impl CoinbaseRest {
    /// The dialect with these keys for the REST host `host`, as its `Host` header names it.
    #[must_use]
    pub fn new(keys: TokenKeys, host: &str) -> Self {
        let decoder = PrivateDecoder::new(&InstrumentTable::new());
        Self { encoder: Encoder::new(keys, host), decoder }
    }
}

impl RestDialect for CoinbaseRest {
    fn write(&mut self, asked: Asked<'_>, cursor: &str, now_ms: i64, out: &mut Vec<u8>) {
        match asked {
            Asked::Time => server_time(out),
            Asked::Balances => self.encoder.balances(cursor, now_ms, out),
            Asked::OpenOrders => self.encoder.orders(OrdersOf::Open, cursor, now_ms, out),
            // The venue lists fills by instrument, and no pages of ended orders are asked for.
            Asked::Fills(None, _) | Asked::Ended(_) => {}
            Asked::Fills(Some(symbol), span) => {
                self.encoder.fills(FillsOf::Since(symbol, span.from_ms), cursor, now_ms, out);
            }
            // By its client id no order can be asked for: it is among the latest.
            Asked::Order(symbol, ..) => {
                self.encoder.orders(OrdersOf::Latest(symbol), cursor, now_ms, out);
            }
            // An order is cancelled that was listed here; its id is known.
            Asked::Cancel(order) => {
                let id = self.decoder.ids.of(order.venue_order).unwrap_or_default();
                self.encoder.cancel(core::iter::once(id), now_ms, out);
            }
            // There is none, and the configuration says so.
            Asked::DeadMan => server_time(out),
        }
    }

    fn searches(&self) -> bool {
        true
    }

    fn read_by(&mut self, table: &InstrumentTable) {
        self.decoder.read_by(table);
    }

    fn read(&mut self, asked: Asked<'_>, status: u16, body: &[u8]) -> Result<Told, DecodeError> {
        let kind = match asked {
            Asked::Time | Asked::DeadMan => PageKind::Time,
            Asked::Balances => PageKind::Accounts,
            Asked::OpenOrders | Asked::Ended(_) | Asked::Order(..) => PageKind::Orders,
            Asked::Fills(..) => PageKind::Fills,
            Asked::Cancel(_) => PageKind::Canceled,
        };
        self.decoder.page(0, kind, status, body)
    }

    fn rows(&self) -> &Rows {
        &self.decoder.rows
    }

    fn refusal_text(&self, body: &[u8]) -> (i64, String) {
        let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let word = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let why = value["results"][0]["failure_reason"].as_str().unwrap_or_default();
        match value {
            // A refused token is told in plain text.
            serde_json::Value::Null => (-1, String::from_utf8_lossy(body).trim().to_owned()),
            _ => (-1, format!("{} {}{why}", word("error"), word("message"))),
        }
    }
}
