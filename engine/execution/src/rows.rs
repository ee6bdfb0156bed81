//! From the rows of private messages to facts: the same for every venue that tells rows.

use bot4_types::{Price, Qty, RunEpoch};
use bot4_venues::account::{FillRow, OrderRow, Refusal, RowState, Rows, Told};
use bot4_venues::client_text::ClientText;

use crate::gateway::{Fact, Failure, OrderKey, VenueState};
use crate::order::{FillFact, Terms};

/// How `client`, or else the venue's number, names an order of the run `epoch`.
#[must_use]
pub fn key_of(client: &ClientText, venue_order: u64, epoch: RunEpoch) -> OrderKey {
    match client.own() {
        Some((run, order)) if run == epoch => OrderKey::Own(order),
        None if client.is_empty() => OrderKey::Venue(venue_order),
        _ => OrderKey::Foreign(*client),
    }
}

/// Appends what a message told: its rows, fills before the states that count them, and behind them
/// what came beside, for the answer completes what the rows tell.
pub fn tell(rows: &Rows, told: &Told, epoch: RunEpoch, facts: &mut Vec<Fact>) {
    facts.extend(rows.fills.iter().map(|fill| filled(fill, epoch)));
    for order in &rows.orders {
        facts.extend(termed(order, epoch));
        facts.push(stated(order, epoch));
    }
    facts.extend(rows.balances.iter().map(|b| Fact::Balance {
        asset: b.asset,
        free: b.free,
        locked: b.locked,
    }));
    facts.extend(told.server_ms.map(Fact::Time));
    facts.extend(told.pause_until_ms.map(Fact::Pause));
    facts.extend(told.answer.map(|(id, refused)| match refused {
        None if told.more => Fact::More { id },
        None => Fact::Answered { id },
        Some(refusal) => Fact::Failed { id, failure: failure_of(refusal) },
    }));
    facts.extend(told.leaving.then_some(Fact::Leaving));
}

const fn failure_of(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Refused(reason) => Failure::Refused(reason),
        Refusal::OutcomeUnknown => Failure::OutcomeUnknown,
        Refusal::NotFound => Failure::NotFound,
        Refusal::Limited { until_ms, orders_only } => Failure::Limited { until_ms, orders_only },
        Refusal::Session => Failure::Session,
    }
}

fn filled(row: &FillRow, epoch: RunEpoch) -> Fact {
    let fill = FillFact {
        trade_id: row.trade_id,
        qty: Qty(row.qty),
        price: Price(row.price),
        fee: row.fee,
        fee_asset: row.fee_asset,
        maker: row.maker,
    };
    let key = key_of(&row.client, row.venue_order, epoch);
    Fact::Fill { key, venue_order: row.venue_order, instrument: row.instrument, fill }
}

/// The terms of an open order, where the message states them.
fn termed(row: &OrderRow, epoch: RunEpoch) -> Option<Fact> {
    let (price, qty) = row.terms.filter(|_| row.state == RowState::Open)?;
    Some(Fact::Terms {
        key: key_of(&row.client, row.venue_order, epoch),
        venue_order: row.venue_order,
        terms: Terms { price: Price(price), qty: Qty(qty) },
    })
}

fn stated(row: &OrderRow, epoch: RunEpoch) -> Fact {
    Fact::Order {
        key: key_of(&row.client, row.venue_order, epoch),
        venue_order: row.venue_order,
        state: match row.state {
            RowState::Open => VenueState::Open,
            RowState::Untriggered => VenueState::Untriggered,
            RowState::Filled => VenueState::Filled,
            RowState::Canceled => VenueState::Canceled,
            RowState::Expired => VenueState::Expired,
            RowState::Rejected => VenueState::Rejected,
        },
        cum_qty: Qty(row.executed),
        reason: row.reason,
    }
}
