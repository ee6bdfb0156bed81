//! Amends in the ledger: from the approval to the report that it is over, an order counts by the
//! worse of both terms.

use bot4_types::{OrderIntent, OrderReport, ReportKind};

use super::Ledger;
use crate::orders::AmendTerms;

impl Ledger {
    /// Takes in an approved amend: until it is over the order counts by the worse of both terms.
    /// False, and nothing done, when there is no such order or an amend of it is open.
    pub fn amend(&mut self, intent: &OrderIntent) -> bool {
        let Some(place) = self.orders.find(intent.order) else { return false };
        let slot = self.orders.slot_mut(place);
        if slot.state.is_terminal() || slot.amend.is_some() || intent.qty.0 <= 0 {
            return false;
        }
        let (price, qty) = (intent.price.0, intent.qty.0);
        slot.amend = Some(AmendTerms { price, qty, after_seq: slot.seq });
        self.settle(place);
        true
    }

    /// What `report` tells of an amend: that it is over, and with which terms.
    pub(super) fn take_terms(&mut self, place: u32, report: &OrderReport) {
        let slot = self.orders.slot_mut(place);
        let amended = report.kind == ReportKind::Amended;
        if !amended && report.kind != ReportKind::AmendRejected {
            return;
        }
        if slot.amend.is_some_and(|amend| report.seq > amend.after_seq) {
            slot.amend = None;
        }
        if amended && report.seq > slot.terms_seq && report.price.0 > 0 && report.qty.0 > 0 {
            slot.terms_seq = report.seq;
            slot.own_limit = report.price.0;
            slot.reserve_price = report.price.0;
            slot.qty = report.qty.0;
        }
    }
}
