//! Orders that are open at the venue when nothing of ours should be: before a run and after it.
//! Ours are cancelled; those of others are left alone where the configuration declares them.

use std::collections::BTreeSet;

use bot4_execution::foreign::Declared;
use bot4_types::{InstrumentTable, Symbol};
use bot4_venues::account::OrderRow;

use super::cold::{ColdError, ColdVenue};

/// What is open at the venue, but for what others have declared.
///
/// # Errors
/// See [`ColdError`].
pub fn open_orders(
    cold: &mut dyn ColdVenue,
    table: &InstrumentTable,
    declared: &Declared,
) -> Result<Leftovers, ColdError> {
    let all = cold.open_orders(table)?;
    let (others, ours) = all.into_iter().partition(|o| is_declared(o, declared));
    Ok(Leftovers { ours, others })
}

/// Orders that are open at the venue.
#[derive(Clone, Debug, Default)]
pub struct Leftovers {
    /// Ours, and those of others that nobody declared.
    pub ours: Vec<OrderRow>,
    /// Declared ones.
    pub others: Vec<OrderRow>,
}

impl Leftovers {
    /// One that is not this program's and that nobody declared.
    #[must_use]
    pub fn foreign(&self) -> Option<&OrderRow> {
        self.ours.iter().find(|o| o.client.own().is_none())
    }

    /// Those of a run that none of `runs` is: another engine of this kind left them, or has them
    /// there now.
    #[must_use]
    pub fn of_unknown_runs(&self, runs: &BTreeSet<u32>) -> Vec<&OrderRow> {
        let unknown = |o: &&OrderRow| o.client.own().is_some_and(|(run, _)| !runs.contains(&run.0));
        self.ours.iter().filter(unknown).collect()
    }

    /// Cancels [`ours`](Self::ours): all of an instrument at once where nobody else has any there.
    /// One that fails keeps none of the others from being cancelled.
    ///
    /// # Errors
    /// The first [`ColdError`].
    pub fn cancel(
        &self,
        cold: &mut dyn ColdVenue,
        table: &InstrumentTable,
    ) -> Result<(), ColdError> {
        let mut symbols: Vec<Symbol> = self.ours.iter().map(|o| o.symbol).collect();
        symbols.sort_unstable();
        symbols.dedup();
        let mut all = Ok(());
        for symbol in symbols {
            let shared = self.others.iter().any(|o| o.symbol == symbol);
            if !shared {
                all = all.and(cold.cancel_all(&symbol, table));
                continue;
            }
            for order in self.ours.iter().filter(|o| o.symbol == symbol) {
                all = all.and(cold.cancel_order(order, table));
            }
        }
        all
    }
}

fn is_declared(order: &OrderRow, declared: &Declared) -> bool {
    order.client.own().is_none() && declared.has(&order.client)
}
