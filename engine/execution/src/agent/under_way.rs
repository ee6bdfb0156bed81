//! What the requests without answer are: what they cost, and whether a message answers a list.

use bot4_types::OrderId;
use bot4_venues::limits::Cost;

use super::ExecutionAgent;
use crate::gateway::{AmendWay, Fact, OpenLists};
use crate::requests::Purpose;

impl ExecutionAgent {
    /// A question about `order` goes on: with its first part the venue was asked for its time.
    pub(crate) fn goes_on(&self, order: OrderId) -> bool {
        self.asked_first.iter().any(|(of, _)| *of == order)
    }

    /// The message just read is a list of open orders.
    pub(crate) fn is_list(&self) -> bool {
        self.facts.iter().any(|fact| match fact {
            Fact::Answered { id } => {
                matches!(self.link.requests.purpose(*id), Some(Purpose::ListOpen(_)))
            }
            _ => false,
        })
    }

    /// What is on its way to the venue, beside what this message answers: its counts may lack it.
    pub(crate) fn under_way(&self) -> Cost {
        let answered = self.facts.iter().find_map(|fact| match fact {
            Fact::Answered { id } | Fact::Failed { id, .. } | Fact::More { id } => Some(*id),
            _ => None,
        });
        let others = self.link.requests.iter().filter(|p| Some(p.id) != answered);
        others.map(|p| self.cost_of(&p.purpose)).fold(Cost::default(), |sum, cost| Cost {
            orders: sum.orders.saturating_add(cost.orders),
            weight: sum.weight.saturating_add(cost.weight),
        })
    }

    fn cost_of(&self, purpose: &Purpose) -> Cost {
        let gateway = &self.gateway;
        match purpose {
            Purpose::Place(_) => gateway.cost_place(),
            // Trimmed in place it counts as no order; the dearer way is what may have to be paid.
            Purpose::Amend(_) => gateway.cost_amend(AmendWay::Replace),
            Purpose::Status(_) | Purpose::Replacement(_) | Purpose::Whose(..) => {
                gateway.cost_status()
            }
            Purpose::FillsOf(_) | Purpose::FillsAfter(..) | Purpose::Balances => {
                gateway.cost_query()
            }
            Purpose::ListOpen(None) => gateway.cost_list(OpenLists::OfAccount),
            Purpose::ListOpen(Some(_)) => gateway.cost_list(OpenLists::OfEach),
            Purpose::Cancel(_) | Purpose::CancelAll(_) | Purpose::Time => gateway.cost_cancel(),
            Purpose::Logon(_) | Purpose::Subscribe | Purpose::DeadMan => Cost::default(),
        }
    }
}
