//! A venue for tests of what is asked outside the lanes: it says what a test put there, and what is
//! cancelled goes only some looks later.

use bot4_types::{ClientId, DoneReason, InstrumentTable, Side, Symbol, Wall};
use bot4_venues::account::{BalanceRow, FillRow, OrderRow, RowState};
use bot4_venues::catalogue::Catalogue;
use bot4_venues::client_text::ClientText;

use super::cold::{ColdError, ColdVenue};

/// The venue. The default knows nothing.
#[derive(Debug, Default)]
pub struct ColdTwin {
    /// Every order that it knows.
    pub orders: Vec<OrderRow>,
    /// Every fill.
    pub fills: Vec<FillRow>,
    /// Looks at the list of open orders until a cancel shows.
    pub cancel_lags: usize,
    /// What was asked, in order.
    pub asked: Vec<String>,
}

impl ColdTwin {
    /// An order of the first instrument of `table`.
    pub fn order(
        table: &InstrumentTable,
        number: u64,
        client: ClientId,
        executed: i64,
    ) -> OrderRow {
        OrderRow {
            instrument: Some(table.all()[0].id),
            symbol: table.all()[0].symbol,
            venue_order: number,
            client: ClientText::from(client),
            state: RowState::Open,
            executed,
            terms: None,
            reason: DoneReason::None,
        }
    }

    /// A fill of the order with this number.
    pub fn fill(
        table: &InstrumentTable,
        venue_order: u64,
        side: Side,
        trade_id: u64,
        qty: i64,
    ) -> FillRow {
        FillRow {
            instrument: table.all()[0].id,
            trade_id,
            venue_order,
            client: ClientText::EMPTY,
            side,
            price: 100,
            qty,
            fee: 0,
            fee_asset: table.all()[0].quote,
            maker: true,
            time_ms: 1_000,
        }
    }
}

impl ColdVenue for ColdTwin {
    fn wall(&self) -> Wall {
        Wall { origin_unix_ns: 0 }
    }

    fn instruments(&mut self, _: &[String]) -> Result<Catalogue, ColdError> {
        Err(ColdError::Answer("the instruments"))
    }

    fn balances(&mut self, _: &InstrumentTable) -> Result<Vec<BalanceRow>, ColdError> {
        self.asked.push("balances".to_owned());
        Ok(Vec::new())
    }

    fn open_orders(&mut self, _: &InstrumentTable) -> Result<Vec<OrderRow>, ColdError> {
        self.asked.push("open orders".to_owned());
        let cancelled = self.asked.iter().any(|asked| asked.starts_with("cancel"));
        if cancelled && self.cancel_lags == 0 {
            self.orders.iter_mut().for_each(|order| order.state = RowState::Canceled);
        }
        self.cancel_lags -= usize::from(cancelled && self.cancel_lags > 0);
        Ok(self.orders.iter().filter(|o| o.state == RowState::Open).copied().collect())
    }

    fn find_order(
        &mut self,
        _: &Symbol,
        client: &ClientId,
        _: &InstrumentTable,
    ) -> Result<Option<OrderRow>, ColdError> {
        self.asked.push(format!("order {}", client.as_str()));
        let named = |o: &&OrderRow| o.client.as_bytes() == client.0.as_slice();
        Ok(self.orders.iter().find(named).copied())
    }

    fn cancel_order(&mut self, order: &OrderRow, _: &InstrumentTable) -> Result<(), ColdError> {
        self.asked.push(format!("cancel {}", order.venue_order));
        Ok(())
    }

    fn cancel_all(&mut self, symbol: &Symbol, _: &InstrumentTable) -> Result<(), ColdError> {
        self.asked.push(format!("cancel all of {}", symbol.as_str()));
        Ok(())
    }

    fn trades_since(
        &mut self,
        _: &Symbol,
        start_ms: i64,
        _: &InstrumentTable,
    ) -> Result<Vec<FillRow>, ColdError> {
        self.asked.push("fills".to_owned());
        Ok(self.fills.iter().filter(|fill| fill.time_ms >= start_ms).copied().collect())
    }
}
