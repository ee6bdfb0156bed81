//! The cold session at Bybit: signed requests over REST.

use bot4_lanes::Clock;
use bot4_types::{InstrumentTable, Symbol, Wall};
use bot4_venues::account::{BalanceRow, FillRow, OrderRow, Refusal, Told};
use bot4_venues::bybit::orders::{self, DEAD_MAN_S, Encoder, FillsOf};
use bot4_venues::bybit::private::PrivateDecoder;
use bot4_venues::catalogue::Catalogue;
use bot4_venues::registry::Venue;
use bot4_venues::secret::Scheme;

use super::access::Access;
use super::catalogue;
use super::cold::{ColdError, ColdVenue, measured};
use super::rest::RestClient;

/// Pages of one question at most: a bound on a venue that never says "last page".
const PAGES_MAX: usize = 10_000;

/// Signed requests.
pub struct BybitCold {
    access: Access,
    rest: RestClient,
    clock: Clock,
    wall: Wall,
    encoder: Encoder,
    out: Vec<u8>,
}

impl BybitCold {
    /// Measures the venue's clock.
    ///
    /// # Errors
    /// See [`ColdError`].
    pub fn open(clock: &Clock, access: &Access) -> Result<Self, ColdError> {
        let encoder = Encoder::new(access.secret_keys(Scheme::Sha256Hex)?);
        let (rest, access) = (RestClient::of(access)?, access.without_keys());
        let wall = clock.wall();
        let mut cold = Self { access, rest, clock: clock.clone(), wall, encoder, out: Vec::new() };
        let clock = cold.clock.clone();
        let mut decoder = PrivateDecoder::new(&InstrumentTable::new());
        cold.wall = measured(&clock, || {
            let what = "the time";
            let told = cold.ask(what, &mut decoder, |_, _, out| orders::server_time(out))?;
            told.server_ms.ok_or(ColdError::Answer(what))
        })?;
        Ok(cold)
    }

    /// Sends one request and reads its answer; its rows lie in `decoder`.
    fn ask(
        &mut self,
        what: &'static str,
        decoder: &mut PrivateDecoder,
        write: impl FnOnce(&mut Encoder, i64, &mut Vec<u8>),
    ) -> Result<Told, ColdError> {
        self.out.clear();
        write(&mut self.encoder, self.wall.unix_ms(self.clock.now()), &mut self.out);
        let (status, body) = self.rest.ask(&self.out)?;
        let told = decoder.page(0, status, &body).map_err(|_| ColdError::Answer(what))?;
        match told.answer {
            Some((_, None)) => Ok(told),
            Some((_, Some(Refusal::OutcomeUnknown))) if status != 200 => Err(ColdError::Rest(
                what.to_owned(),
                format!("the venue answered with status {status}"),
            )),
            _ => {
                let (code, text) = refusal_text(&body);
                Err(ColdError::Denied(what, code, text))
            }
        }
    }

    /// Asks page by page; `take` gets each page's rows.
    fn pages(
        &mut self,
        what: &'static str,
        table: &InstrumentTable,
        mut write: impl FnMut(&mut Encoder, &str, i64, &mut Vec<u8>),
        mut take: impl FnMut(&PrivateDecoder),
    ) -> Result<(), ColdError> {
        let mut decoder = PrivateDecoder::new(table);
        let mut cursor = String::new();
        for _ in 0..PAGES_MAX {
            let told = self.ask(what, &mut decoder, |e, now, out| write(e, &cursor, now, out))?;
            take(&decoder);
            if !told.more {
                return Ok(());
            }
            cursor.clone_from(&decoder.cursor);
        }
        Err(ColdError::Answer(what))
    }
}

impl ColdVenue for BybitCold {
    fn wall(&self) -> Wall {
        self.wall
    }

    fn instruments(&mut self, symbols: &[String]) -> Result<Catalogue, ColdError> {
        // Listed over REST: no connection is made, so no seed is drawn from.
        catalogue::read(&self.clock, &self.access, Venue::Bybit, symbols, 0)
    }

    fn balances(&mut self, table: &InstrumentTable) -> Result<Vec<BalanceRow>, ColdError> {
        let mut rows = Vec::new();
        let write = |e: &mut Encoder, _: &str, now, out: &mut Vec<u8>| e.balances(now, out);
        self.pages("the balances", table, write, |d| rows.extend_from_slice(&d.rows.balances))?;
        Ok(rows)
    }

    fn open_orders(&mut self, table: &InstrumentTable) -> Result<Vec<OrderRow>, ColdError> {
        let mut rows = Vec::new();
        let write = |e: &mut Encoder, cursor: &str, now, out: &mut Vec<u8>| {
            e.open_orders(cursor, now, out);
        };
        self.pages("the open orders", table, write, |d| rows.extend_from_slice(&d.rows.orders))?;
        Ok(rows)
    }

    fn cancel_order(&mut self, order: &OrderRow, table: &InstrumentTable) -> Result<(), ColdError> {
        let mut decoder = PrivateDecoder::new(table);
        let told = self.ask("a cancel", &mut decoder, |e, now, out| {
            e.cancel_by_rest(&order.symbol, order.client.as_bytes(), now, out);
        });
        match told {
            Err(ColdError::Denied(_, 110_001 | 170_213, _)) | Ok(_) => Ok(()),
            Err(e) => Err(e),
        }
    }

    fn cancel_all(&mut self, symbol: &Symbol, table: &InstrumentTable) -> Result<(), ColdError> {
        let mut decoder = PrivateDecoder::new(table);
        let write = |e: &mut Encoder, now, out: &mut Vec<u8>| e.cancel_all(symbol, now, out);
        self.ask("a cancel of all", &mut decoder, write).map(|_| ())
    }

    fn trades_since(
        &mut self,
        symbol: &Symbol,
        start_ms: i64,
        table: &InstrumentTable,
    ) -> Result<Vec<FillRow>, ColdError> {
        let mut rows: Vec<FillRow> = Vec::new();
        let write = |e: &mut Encoder, cursor: &str, now, out: &mut Vec<u8>| {
            e.fills(FillsOf::Since(symbol, start_ms), cursor, now, out);
        };
        self.pages("the fills", table, write, |d| rows.extend_from_slice(&d.rows.fills))?;
        Ok(rows)
    }

    fn set_dead_man(&mut self) -> Result<(), ColdError> {
        let mut decoder = PrivateDecoder::new(&InstrumentTable::new());
        let what = "the dead-man switch; where the account has none, dead_man must say so";
        self.ask(what, &mut decoder, |e, now, out| e.set_dead_man(DEAD_MAN_S, now, out))?;
        Ok(())
    }
}

/// Code and text of a refusal, for a person.
fn refusal_text(body: &[u8]) -> (i64, String) {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = value["retMsg"].as_str().unwrap_or_default().to_owned();
    (value["retCode"].as_i64().unwrap_or(-1), text)
}
