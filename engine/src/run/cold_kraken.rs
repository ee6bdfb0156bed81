//! Kraken over REST, outside the lanes. Its clock is told in whole seconds there, so it is asked on
//! a public connection.

use bot4_types::{InstrumentTable, Symbol};
use bot4_venues::account::{FillRow, Rows, Told, venue_number};
use bot4_venues::kraken::STREAM_PATH;
use bot4_venues::kraken::orders::{self, Encoder};
use bot4_venues::kraken::private::{PageKind, PrivateDecoder, pong_ms};
use bot4_venues::market::DecodeError;
use bot4_venues::secret::SecretKeys;

use super::cold_rest::{Asked, ClockByChat, OFF_S, RestDialect};

/// The dialect.
pub struct KrakenRest {
    encoder: Encoder,
    decoder: PrivateDecoder,
    table: InstrumentTable,
    /// The venue's names of the orders that were listed last, by their numbers.
    order_names: Vec<(u64, String)>,
    /// The fill that the page asked for last begins with, which the page before it ended with.
    begins_with: u64,
}

impl KrakenRest {
    /// The dialect with these keys.
    #[must_use]
    pub fn new(keys: SecretKeys) -> Self {
        let table = InstrumentTable::new();
        let decoder = PrivateDecoder::new(&table);
        let (encoder, order_names) = (Encoder::new(keys), Vec::new());
        Self { encoder, decoder, table, order_names, begins_with: 0 }
    }

    /// The venue lists the fills of all instruments together, from a whole second on, and one of a
    /// page once more in the next.
    fn keep(&mut self, symbol: Option<&Symbol>, start_ms: i64) {
        let wanted = symbol.map(|s| self.table.find(s.as_bytes()).map(|i| i.id));
        let again = self.begins_with;
        let keeps = |fill: &FillRow| {
            let one = wanted.is_none_or(|wanted| wanted == Some(fill.instrument));
            one && fill.trade_id != again && fill.time_ms >= start_ms
        };
        self.decoder.rows.fills.retain(keeps);
    }
}

impl RestDialect for KrakenRest {
    fn write(&mut self, asked: Asked<'_>, cursor: &str, now_ms: i64, out: &mut Vec<u8>) {
        match asked {
            // Never asked this way, see `clock`.
            Asked::Time => {}
            Asked::Balances => self.encoder.balances(now_ms, out),
            Asked::OpenOrders => self.encoder.open_orders(None, now_ms, out),
            Asked::Fills(_, span) => {
                self.begins_with = if cursor.is_empty() { 0 } else { venue_number(cursor) };
                self.encoder.fills_since(span.from_ms, cursor, now_ms, out);
            }
            Asked::Order(_, client, false) => {
                self.encoder.open_orders(Some(&client.0), now_ms, out);
            }
            Asked::Ended(behind) => self.encoder.closed_orders(behind, now_ms, out),
            Asked::Order(_, client, true) => self.encoder.closed_order(&client.0, now_ms, out),
            Asked::Cancel(order) => {
                let listed = self.order_names.iter().find(|(n, _)| *n == order.venue_order);
                // One that was not listed is not open any more; its client id says as much.
                let name = listed.map_or(order.client.as_str(), |(_, name)| name.as_str());
                self.encoder.cancel_by_rest(name, now_ms, out);
            }
            Asked::DeadMan => self.encoder.dead_man_by_rest(OFF_S, now_ms, out),
        }
    }

    fn clock(&self) -> Option<ClockByChat> {
        let mut ping = Vec::new();
        orders::ping(1, &mut ping);
        Some(ClockByChat { path: STREAM_PATH, ping, read: pong_ms })
    }

    fn ended_page(&self) -> usize {
        orders::PAGE
    }

    fn lists_all_fills(&self) -> bool {
        true
    }

    fn read_by(&mut self, table: &InstrumentTable) {
        self.decoder = PrivateDecoder::new(table);
        self.table = table.clone();
    }

    fn read(&mut self, asked: Asked<'_>, status: u16, body: &[u8]) -> Result<Told, DecodeError> {
        let kind = match asked {
            Asked::OpenOrders | Asked::Ended(_) | Asked::Order(..) => PageKind::Orders,
            Asked::Fills(..) => PageKind::Fills,
            Asked::Balances => PageKind::Balances,
            _ => PageKind::Other,
        };
        let told = self.decoder.page(0, kind, status, body)?;
        match asked {
            Asked::OpenOrders => self.order_names.clone_from(&self.decoder.order_names),
            Asked::Fills(symbol, span) => self.keep(symbol, span.from_ms),
            _ => {}
        }
        Ok(told)
    }

    fn rows(&self) -> &Rows {
        &self.decoder.rows
    }

    fn refusal_text(&self, body: &[u8]) -> (i64, String) {
        let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        (0, value["error"][0].as_str().unwrap_or_default().to_owned())
    }
}
