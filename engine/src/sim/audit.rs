//! The audit at the end of a run: every order and fill that execution told of, against the
//! simulated venue's own order table and trades. Written apart from the checkers, which look at
//! single steps: what both miss would have to be missed twice.
//!
//! It also keeps how long orders were of unknown fate, in logical time.

use std::collections::{BTreeMap, BTreeSet};

use bot4_types::instrument::Amount;
use bot4_types::log::Reader;
use bot4_types::{
    ClientId, ExecMsg, InstrumentId, InstrumentTable, LogEntry, LogKind, Nanos, OrderAction,
    OrderId, OrderReport, OrderState, ReportKind,
};
use bot4_venue::exchange::Exchange;
use bot4_venue::orders::Status;

use super::amount;
use super::tap::Seen;

/// What was found at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Orders that were held against the venue's table, ours and the venue's together.
    pub orders: u64,
    /// The venue's fills that were looked for.
    pub fills: u64,
    /// Orders whose last state is not the venue's.
    pub wrong_endings: u64,
    /// Fills of the venue that were not booked, or booked otherwise.
    pub fills_missed: u64,
    /// Fills booked more than once, or that the venue does not have.
    pub fills_doubled: u64,
    /// Orders that were sent twice or stand twice in the venue's table.
    pub orders_doubled: u64,
    /// How long each order of unknown fate was so, ns of logical time.
    pub unknown_ns: Vec<u64>,
    /// What is wrong, as sentences.
    pub findings: Vec<String>,
}

type Booked = (OrderId, i64, i64, Amount);

/// Collects during the run. See the module.
#[derive(Default)]
pub struct Auditor {
    told: BTreeMap<OrderId, (OrderState, i64)>,
    booked: BTreeMap<(InstrumentId, u64), Vec<Booked>>,
    sent: BTreeMap<OrderId, u64>,
    /// Approved amends: each may replace the order once by another one of its name.
    amends: BTreeMap<OrderId, u64>,
    unknown_since: BTreeMap<OrderId, Nanos>,
    unknown_ns: Vec<u64>,
}

impl Auditor {
    /// Takes in what left in a step at `now`.
    pub fn note(&mut self, seen: &Seen, now: Nanos) {
        let approved = seen.approved.iter().map(|approved| approved.intent());
        for intent in approved.filter(|intent| intent.action == OrderAction::Amend) {
            *self.amends.entry(intent.order).or_default() += 1;
        }
        for message in &seen.reports {
            if let ExecMsg::Order(report) = message {
                self.take(report, now);
            }
        }
        let sent = |entry: &&LogEntry| entry.kind == LogKind::Sent as u8;
        for entry in seen.execution_log.iter().filter(sent) {
            if let Some(id) = Reader::over(entry.body()).u64() {
                *self.sent.entry(OrderId(id)).or_default() += 1;
            }
        }
    }

    fn take(&mut self, report: &OrderReport, now: Nanos) {
        self.told.insert(report.order, (report.state, report.cum_qty.0));
        if report.kind == ReportKind::Fill {
            let fill = (report.order, report.last_qty.0, report.last_price.0, report.fee);
            self.booked.entry((report.instrument, report.trade_id)).or_default().push(fill);
        }
        if report.state == OrderState::Unknown {
            self.unknown_since.entry(report.order).or_insert(now);
        } else if let Some(since) = self.unknown_since.remove(&report.order) {
            self.unknown_ns.push(now.since(since).0);
        }
    }

    /// Holds everything against `venue`, which is at rest.
    #[must_use]
    pub fn judge(self, venue: &Exchange, table: &InstrumentTable) -> Audit {
        let mut audit = Audit { unknown_ns: self.unknown_ns.clone(), ..Audit::default() };
        self.judge_orders(venue, &mut audit);
        self.judge_fills(venue, table, &mut audit);
        audit
    }

    fn judge_orders(&self, venue: &Exchange, audit: &mut Audit) {
        let mut theirs: BTreeMap<OrderId, (Status, i64)> = BTreeMap::new();
        let mut amends = self.amends.clone();
        // Oldest first: the last of a name is the order.
        for order in venue.orders.all() {
            let Some((_, id)) = ClientId::parse(order.client_id.as_bytes()) else { continue };
            let Some(before) = theirs.insert(id, (order.status, order.filled)) else { continue };
            let replaced = amends.get_mut(&id).filter(|left| **left > 0);
            match replaced.filter(|_| before == (Status::Canceled, 0)) {
                Some(left) => *left -= 1,
                None => {
                    audit.orders_doubled += 1;
                    audit.findings.push(format!("the venue has order {} twice", id.0));
                }
            }
        }
        for (id, _) in self.sent.iter().filter(|(_, times)| **times > 1) {
            audit.orders_doubled += 1;
            audit.findings.push(format!("order {} was sent more than once", id.0));
        }
        let all: BTreeSet<OrderId> = self.told.keys().chain(theirs.keys()).copied().collect();
        audit.orders = all.len() as u64;
        for id in all {
            let (ours, theirs) = (self.told.get(&id), theirs.get(&id));
            if !same_end(ours, theirs) {
                audit.wrong_endings += 1;
                audit.findings.push(format!("order {}: ours {ours:?}, theirs {theirs:?}", id.0));
            }
        }
    }

    fn judge_fills(mut self, venue: &Exchange, table: &InstrumentTable, audit: &mut Audit) {
        for instrument in table.all() {
            let Some(market) = venue.market(instrument.symbol.as_str()) else { continue };
            for trade in venue.orders.trades(market) {
                let order = venue.orders.by_id(trade.order);
                let own = order.and_then(|o| ClientId::parse(o.client_id.as_bytes()));
                let Some((_, own)) = own else { continue };
                audit.fills += 1;
                let theirs = (own, trade.qty, trade.price, amount(trade.commission));
                let ours = self.booked.remove(&(instrument.id, trade.id)).unwrap_or_default();
                if !ours.contains(&theirs) {
                    audit.fills_missed += 1;
                    audit.findings.push(format!("fill {theirs:?} is not booked: {ours:?}"));
                }
                audit.fills_doubled += (ours.len() as u64).saturating_sub(1);
                if ours.len() > 1 {
                    audit.findings.push(format!("fill {theirs:?} is booked as {ours:?}"));
                }
            }
        }
        for (key, fills) in &self.booked {
            audit.fills_doubled += fills.len() as u64;
            audit.findings.push(format!("the venue has no fill {key:?}: {fills:?}"));
        }
    }
}

/// Does our last word of an order say what the venue's table says?
fn same_end(ours: Option<&(OrderState, i64)>, theirs: Option<&(Status, i64)>) -> bool {
    let Some(&(state, cum)) = ours else { return false };
    match (state, theirs) {
        (OrderState::NotSent | OrderState::Rejected, None) => cum == 0,
        (OrderState::Filled, Some(&(Status::Filled, filled)))
        | (OrderState::Canceled, Some(&(Status::Canceled, filled)))
        | (OrderState::Expired, Some(&(Status::Expired | Status::ExpiredInMatch, filled))) => {
            cum == filled
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::fixture::{Fixture, ONE, report};
    use super::*;
    use bot4_types::{Price, Qty};
    use bot4_venue::exchange::CrowdOrder;
    use bot4_venue::matching::Side;

    fn fill(trade_id: u64, qty: i64) -> OrderReport {
        OrderReport {
            last_qty: Qty(qty),
            last_price: Price(90 * ONE),
            trade_id,
            ..report(1, ReportKind::Fill, OrderState::Filled, ONE)
        }
    }

    /// An order that the venue filled, told as `reports`.
    fn judged(reports: &[OrderReport]) -> Audit {
        let mut fixture = Fixture::new();
        fixture.place(1);
        let order = CrowdOrder { side: Side::Sell, price: None, qty: ONE, rests: false };
        fixture.venue.crowd(0, order, 2);
        let mut auditor = Auditor::default();
        for (n, report) in reports.iter().enumerate() {
            fixture.report(*report);
            auditor.note(&fixture.seen, Nanos(10 * n as u64));
            fixture.seen = Seen::default();
        }
        auditor.judge(&fixture.venue, &fixture.table)
    }

    #[test]
    fn a_true_life_passes_and_its_doubt_is_timed() {
        let lost = report(1, ReportKind::Lost, OrderState::Unknown, 0);
        let audit = judged(&[lost, lost, fill(1, ONE)]);
        let expected = Audit { orders: 1, fills: 1, unknown_ns: vec![20], ..Audit::default() };
        assert_eq!(audit, expected);
    }

    #[test]
    fn only_an_amend_makes_two_orders_of_a_name() {
        let doubled = |amended: bool| {
            let (mut fixture, mut auditor) = (Fixture::new(), Auditor::default());
            let first = fixture.place(1);
            if amended {
                fixture.amend(1);
            }
            fixture.venue.cancel(first, None, 2);
            fixture.place(1);
            auditor.note(&fixture.seen, Nanos(1));
            auditor.judge(&fixture.venue, &fixture.table).orders_doubled
        };
        assert_eq!((doubled(false), doubled(true)), (1, 0));
    }

    #[test]
    fn each_kind_of_untruth_is_found() {
        let ended = |state| report(1, ReportKind::Done, state, ONE);
        let count = |audit: Audit| {
            (audit.wrong_endings, audit.fills_missed, audit.fills_doubled, audit.orders_doubled)
        };
        assert_eq!(count(judged(&[])), (1, 1, 0, 0), "never told of");
        assert_eq!(count(judged(&[fill(1, ONE), ended(OrderState::Canceled)])), (1, 0, 0, 0));
        assert_eq!(count(judged(&[fill(1, ONE), ended(OrderState::Unknown)])), (1, 0, 0, 0));
        assert_eq!(count(judged(&[fill(1, ONE), fill(1, ONE)])), (0, 0, 1, 0));
        assert_eq!(count(judged(&[fill(1, ONE), fill(2, ONE)])), (0, 0, 1, 0), "invented");
        assert_eq!(count(judged(&[fill(1, ONE / 2)])), (0, 1, 0, 0), "bent");
    }
}
