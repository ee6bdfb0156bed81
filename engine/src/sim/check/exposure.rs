//! The worst case of every instrument stays within its share of equity: position, what is open,
//! on its way or of unknown fate. Twice: by risk's own log when it approves, computed without
//! its ledger, and by the venue's trades and open orders.

use std::collections::BTreeMap;

use bot4_types::instrument::Amount;
use bot4_types::log::{Body, Reader};
use bot4_types::{
    ExecMsg, Instrument, LogEntry, LogKind, Mark, OrderAction, OrderId, OrderIntent, OrderReport,
    ReportKind, Side,
};
use bot4_venue::matching;

use super::{Checker, View, body};

/// The equity may have been counted anew since the approval: one per cent.
const SLACK_LOG_E4: i128 = 10_100;
/// At the venue prices and equity move after the approval: what is there is valued at the lowest
/// price so far and held against the highest equity, and one per cent.
const SLACK_VENUE_E4: i128 = 10_100;

/// Positions and open quantity by our log and by the venue.
pub struct ExposureCheck {
    position_e4: i64,
    orders: BTreeMap<OrderId, Open>,
    instruments: Vec<Held>,
    equity_max: Option<Amount>,
}

#[derive(Clone, Copy)]
struct Open {
    instrument: usize,
    side: Side,
    qty: i64,
    /// Whole quantity by an amend that is approved and not over.
    amend: Option<i64>,
    cum: i64,
}

impl Open {
    /// What may still fill: the worse of both terms.
    fn left(&self) -> i128 {
        i128::from((self.qty.max(self.amend.unwrap_or(0)) - self.cum).max(0))
    }
}

#[derive(Clone, Copy, Default)]
struct Held {
    position: i128,
    mark: i64,
    venue_position: i128,
    venue_trade: u64,
    venue_price_min: Option<i64>,
}

impl ExposureCheck {
    /// For so many instruments and a limit in 10^-4 of equity.
    #[must_use]
    pub fn new(instruments: usize, position_e4: i64) -> Self {
        let instruments = vec![Held::default(); instruments];
        Self { position_e4, orders: BTreeMap::new(), instruments, equity_max: None }
    }

    fn limit(&self, equity: Option<Amount>, slack_e4: i128) -> Amount {
        equity.map_or(0, |e| e * i128::from(self.position_e4) * slack_e4 / 100_000_000)
    }

    fn log(&mut self, entry: &LogEntry, view: &View<'_>) -> Result<(), String> {
        if let Some(mark) = body::<Mark>(entry, LogKind::Mark)
            && let Some(held) = self.instruments.get_mut(mark.instrument.index())
        {
            held.mark = if mark.micro > 0 { mark.micro } else { mark.bid.midpoint(mark.ask) };
        }
        if let Some(ExecMsg::Order(report)) = body::<ExecMsg>(entry, LogKind::Report) {
            self.reported(&report);
        }
        if entry.kind != LogKind::Approved as u8 {
            return Ok(());
        }
        match OrderIntent::read(&mut Reader::over(entry.body())) {
            Some(intent) if intent.action != OrderAction::Cancel => self.approved(&intent, view),
            _ => Ok(()),
        }
    }

    fn reported(&mut self, report: &OrderReport) {
        if report.kind == ReportKind::Fill
            && let Some(held) = self.instruments.get_mut(report.instrument.index())
        {
            held.position += i128::from(report.side.sign() * report.last_qty.0);
        }
        if report.state.is_terminal() {
            self.orders.remove(&report.order);
        } else if let Some(open) = self.orders.get_mut(&report.order) {
            (open.qty, open.cum) = (report.qty.0, report.cum_qty.0);
            if matches!(report.kind, ReportKind::Amended | ReportKind::AmendRejected) {
                open.amend = None;
            }
        }
    }

    fn approved(&mut self, intent: &OrderIntent, view: &View<'_>) -> Result<(), String> {
        let (at, side) = (intent.instrument.index(), intent.side);
        if intent.action == OrderAction::Amend {
            let Some(open) = self.orders.get_mut(&intent.order) else { return Ok(()) };
            let grows = intent.qty.0 > open.qty;
            open.amend = Some(intent.qty.0);
            if !grows {
                return Ok(());
            }
        } else {
            let (qty, amend, cum) = (intent.qty.0, None, 0);
            self.orders.insert(intent.order, Open { instrument: at, side, qty, amend, cum });
        }
        let (Some(held), Some(instrument)) =
            (self.instruments.get(at), view.table.get(intent.instrument))
        else {
            return Err(format!("an unknown instrument was approved: {intent:?}"));
        };
        let same = self.orders.values().filter(|o| o.instrument == at && o.side == side);
        let left: i128 = same.map(Open::left).sum();
        let worst = held.position * i128::from(side.sign()) + left;
        let value = value_of(instrument, worst, held.mark.max(intent.price.0));
        let limit = self.limit(view.equity, SLACK_LOG_E4);
        if value > limit {
            return Err(format!("worst case {value} is above {limit}: {intent:?}"));
        }
        Ok(())
    }

    fn venue(&mut self, view: &View<'_>) -> Result<(), String> {
        self.equity_max = self.equity_max.max(view.equity);
        let limit = self.limit(self.equity_max, SLACK_VENUE_E4);
        for (instrument, held) in view.table.all().iter().zip(&mut self.instruments) {
            let Some(market) = view.venue.market(instrument.symbol.as_str()) else { continue };
            let (last, trades) = (held.venue_trade, view.venue.orders.trades(market).rev());
            for trade in trades.take_while(|t| t.id > last) {
                held.venue_trade = held.venue_trade.max(trade.id);
                let qty = i128::from(trade.qty);
                held.venue_position += if trade.buyer { qty } else { -qty };
            }
            let last_price = view.venue.markets[market].last_price;
            let price = held.venue_price_min.map_or(last_price, |p| p.min(last_price));
            held.venue_price_min = Some(price);
            for side in [matching::Side::Buy, matching::Side::Sell] {
                let open = view.venue.orders.open(Some(market)).filter(|o| o.side == side);
                let left: i128 = open.map(|o| i128::from(o.left())).sum();
                let sign = if side == matching::Side::Buy { 1 } else { -1 };
                let value = value_of(instrument, held.venue_position * sign + left, price);
                if left > 0 && value > limit {
                    return Err(format!(
                        "{} {side:?} is worth {value} at the venue, above {limit}: position {}, \
                         open {left}, price {price}",
                        instrument.symbol, held.venue_position
                    ));
                }
            }
        }
        Ok(())
    }
}

fn value_of(instrument: &Instrument, qty: i128, price: i64) -> Amount {
    instrument.quote_amount(qty.max(0) * i128::from(price))
}

impl Checker for ExposureCheck {
    fn name(&self) -> &'static str {
        "exposure"
    }

    fn look(&mut self, view: &View<'_>) -> Result<(), String> {
        for entry in &view.seen.risk_log {
            self.log(entry, view)?;
        }
        // The venue's books are not ours alone once somebody else is there.
        if view.role == "venue" && !view.others { self.venue(view) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, ONE, intent, report};
    use super::*;
    use bot4_types::{OrderState, Qty};

    /// A limit of one and a half orders: 135 of a million.
    fn fixture() -> (Fixture, ExposureCheck) {
        let mut fixture = Fixture::new();
        fixture.equity = Some(13_500 * 10i128.pow(16));
        (fixture, ExposureCheck::new(1, 100))
    }

    fn approve(fixture: &mut Fixture, id: u64) {
        fixture.risk(LogKind::Approved, |w| intent(id).write(w));
    }

    #[test]
    fn a_second_order_is_one_too_many_until_the_first_has_ended() {
        let (mut fixture, mut check) = fixture();
        approve(&mut fixture, 1);
        assert_eq!(fixture.look(&mut check), Ok(()));
        let mut second = check.orders.clone();
        approve(&mut fixture, 2);
        assert!(fixture.look(&mut check).is_err());
        std::mem::swap(&mut check.orders, &mut second);
        let lost = report(1, ReportKind::Lost, OrderState::Unknown, 0);
        fixture.risk(LogKind::Report, |w| ExecMsg::Order(lost).write(w));
        approve(&mut fixture, 3);
        assert!(fixture.look(&mut check).is_err(), "an unknown order counts");
    }

    #[test]
    fn a_held_position_counts_and_an_ended_order_does_not() {
        let (mut fixture, mut check) = fixture();
        approve(&mut fixture, 1);
        let done = report(1, ReportKind::Done, OrderState::Canceled, 0);
        fixture.risk(LogKind::Report, |w| ExecMsg::Order(done).write(w));
        approve(&mut fixture, 2);
        assert_eq!(fixture.look(&mut check), Ok(()));
        let fill = report(2, ReportKind::Fill, OrderState::Filled, ONE);
        let fill = OrderReport { last_qty: Qty(ONE), ..fill };
        fixture.risk(LogKind::Report, |w| ExecMsg::Order(fill).write(w));
        approve(&mut fixture, 3);
        assert!(fixture.look(&mut check).is_err());
    }

    #[test]
    fn the_venues_open_orders_count() {
        let (mut fixture, mut check) = fixture();
        fixture.role = "venue";
        fixture.place(1);
        assert_eq!(fixture.look(&mut check), Ok(()));
        fixture.place(2);
        assert!(fixture.look(&mut check).is_err_and(|e| e.contains("at the venue")));
    }
}
