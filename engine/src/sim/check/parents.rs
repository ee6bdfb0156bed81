//! A parent order is exact at any instant: what is filled, open and left of it makes its total, its
//! account is that of its children's slots, and nothing is filled beyond its total. In the end its
//! fills are those that the venue told of its children, to the unit.

use std::collections::BTreeMap;

use bot4_types::{LogKind, OrderAction, OrderIntent, ParentId, ParentReport, Qty};

use super::{Checker, View, body, reports};

/// A parent as the router has it, and what its children's slots may still fill.
#[derive(Clone, Copy, Debug)]
pub struct ParentLine {
    /// Its account.
    pub report: ParentReport,
    /// By the slots.
    pub open: Qty,
}

/// See the module.
#[derive(Default)]
pub struct Parents {
    /// Parent and filled quantity of each child.
    children: BTreeMap<u64, (ParentId, i64)>,
    filled: BTreeMap<ParentId, i64>,
}

impl Parents {
    /// Fills that the router's account of a parent lacks or has too many, when nothing is under way
    /// any more.
    #[must_use]
    pub fn differing(&self, lines: &[ParentLine]) -> Vec<String> {
        let told = |id| self.filled.get(&id).copied().unwrap_or(0);
        let differs = |line: &&ParentLine| line.report.filled.0 != told(line.report.id);
        lines
            .iter()
            .filter(differs)
            .map(|line| {
                let (id, own) = (line.report.id, line.report.filled.0);
                format!("parent {id}: {own} filled by its account, {} by its children", told(id))
            })
            .collect()
    }
}

impl Checker for Parents {
    fn name(&self) -> &'static str {
        "parents"
    }

    fn look(&mut self, view: &View<'_>) -> Result<(), String> {
        for entry in &view.seen.risk_log {
            let approved: Option<OrderIntent> = body(entry, LogKind::Approved);
            let placed = approved.filter(|i| i.action == OrderAction::Place);
            if let Some(child) = placed.filter(|i| i.parent != ParentId::NONE) {
                self.children.insert(child.order.0, (child.parent, 0));
            }
        }
        for report in reports(view) {
            let Some((parent, cum)) = self.children.get_mut(&report.order.0) else { continue };
            let new = (report.cum_qty.0 - *cum).max(0);
            *cum += new;
            *self.filled.entry(*parent).or_default() += new;
        }
        for line in view.parents {
            let r = &line.report;
            let told = self.filled.get(&r.id).copied().unwrap_or(0);
            if !r.is_exact() || r.over.0 != 0 {
                return Err(format!("{} is not exact: {r:?}", r.id));
            }
            if r.open != line.open {
                return Err(format!("{}: {:?} open, {:?} by its slots", r.id, r.open, line.open));
            }
            if told > r.total.0 || r.filled.0 > told {
                return Err(format!("{}: {told} filled by its children: {r:?}", r.id));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, intent};
    use super::*;
    use bot4_types::{
        Algo, InstrumentId, Nanos, ParentEnd, ParentRefusal, ParentState, Price, Side, StrategyId,
        log::Body as _,
    };

    fn line(filled: i64, open: i64, left: i64) -> ParentLine {
        let report = ParentReport {
            id: ParentId::by_strategy(1),
            strategy: StrategyId(0),
            instrument: InstrumentId(0),
            side: Side::Buy,
            algo: Algo::Twap,
            all_venues: false,
            state: ParentState::Working,
            end: ParentEnd::None,
            refusal: ParentRefusal::None,
            gate: None,
            at: Nanos(1),
            began: Nanos(1),
            until: Nanos(9),
            total: Qty(10),
            limit: Price(0),
            filled: Qty(filled),
            open: Qty(open),
            left: Qty(left),
            over: Qty(0),
            cost: 0,
            arrival_x2: 2,
            market_qty: Qty(0),
            market_cost: 0,
            children: 1,
            fills: 0,
            refused: 0,
            missed: 0,
        };
        ParentLine { report, open: Qty(open) }
    }

    fn look(checker: &mut Parents, lines: &[ParentLine]) -> Result<(), String> {
        let mut scene = Fixture::new();
        let child = OrderIntent { parent: ParentId::by_strategy(1), ..intent(2) };
        scene.risk(LogKind::Approved, |w| child.write(w));
        scene.parents = lines.to_vec();
        scene.look(checker)
    }

    #[test]
    fn an_account_that_does_not_add_up_is_found() {
        let ok = |line: ParentLine| look(&mut Parents::default(), &[line]).is_ok();
        assert!(ok(line(0, 4, 6)));
        assert!(!ok(line(0, 4, 5)), "one is missing");
        assert!(!ok(ParentLine { open: Qty(3), ..line(0, 4, 6) }), "a slot knows better");
        assert!(!ok(line(2, 2, 6)), "no child filled that");
        let mut told = Parents::default();
        told.filled.insert(ParentId::by_strategy(1), 11);
        assert!(look(&mut told, &[line(0, 4, 6)]).is_err(), "more than its total");
        assert_eq!(told.differing(&[line(0, 0, 10)]).len(), 1);
    }
}
