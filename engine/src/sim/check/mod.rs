//! What must hold after every step. One file a checker; each looks at what left in the step, at
//! the venue's own books and at the agents, and each has a test with a planted violation.
//!
//! | file | invariant |
//! |---|---|
//! | `ids` | one client order id names one order of the venue, and what an amend made of it |
//! | `approvals` | what reaches the venue was approved as it is, journaled before, sent once |
//! | `fills` | cumulative quantity is monotone and at most ordered, a trade is booked once |
//! | `truth` | every booked fill is a trade of the venue, to the unit |
//! | `endings` | an order ends only by the venue's evidence |
//! | `exposure` | the worst case stays within its limit, by our log and by the venue's books |
//! | `books` | a live book that has the venue's newest update holds the venue's levels |
//! | `stale` | no order is priced off a book that is not live |
//! | `halt` | nothing new leaves once the engine stops |
//! | `depth` | links stay within their capacity, no record is dropped |
//! | `time` | time never goes back |
//! | `waiting` | an order that waits to be sent has not ended |
//! | `parents` | a parent order is exact, and never filled beyond its total |

mod approvals;
mod books;
mod depth;
mod endings;
mod exposure;
mod fills;
mod halt;
mod ids;
mod parents;
mod stale;
mod time;
mod truth;
mod waiting;

use bot4_lanes::Phase;
use bot4_types::instrument::Amount;
use bot4_types::log::{Body, Reader};
use bot4_types::{
    BookState, ClientId, ExecMsg, InstrumentTable, Level, LogEntry, LogKind, Nanos, OrderId,
    OrderReport,
};
use bot4_venue::exchange::Exchange;
use bot4_venue::orders::Order;

use super::tap::Seen;
pub use parents::{ParentLine, Parents};

/// What a checker may look at after a step.
pub struct View<'a> {
    /// Who worked.
    pub role: &'static str,
    /// Logical time.
    pub now: Nanos,
    /// What left in the step.
    pub seen: &'a Seen,
    /// The venue.
    pub venue: &'a Exchange,
    /// Orders that the venue took in this step.
    pub new_orders: &'a [&'a Order],
    /// Another program has acted on the account.
    pub others: bool,
    /// Trust in each instrument's book, by index.
    pub books: &'a [BookState],
    /// Live books with the venue's newest update.
    pub whole: &'a [WholeBook],
    /// Last record of risk that the journal has.
    pub journaled: u64,
    /// What the control word allows.
    pub phase: Phase,
    /// Value of the account by risk's last count, in the reporting asset.
    pub equity: Option<Amount>,
    /// An order that waits in execution although it has ended.
    pub waits_ended: Option<OrderId>,
    /// Parent orders, when the router worked in this step.
    pub parents: &'a [ParentLine],
    /// Instruments.
    pub table: &'a InstrumentTable,
}

/// The levels of a live book at the venue's newest update.
pub struct WholeBook {
    /// The venue's number of the market.
    pub market: usize,
    /// Bids and asks, best first, at most [`Self::DEPTH`] of each.
    pub sides: [Vec<Level>; 2],
}

impl WholeBook {
    /// Levels a side that are compared: fewer than any snapshot has.
    pub const DEPTH: usize = 100;
}

/// One invariant.
pub trait Checker {
    /// Its name in findings.
    fn name(&self) -> &'static str;

    /// Looks at one step.
    ///
    /// # Errors
    /// A sentence that says what does not hold.
    fn look(&mut self, view: &View<'_>) -> Result<(), String>;
}

/// Limits that the checkers hold the run to.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Largest position, 10^-4 of equity.
    pub position_e4: i64,
    /// Oldest mark an order may be decided on.
    pub mark_age_max: Nanos,
}

/// What client ids of other programs on the account begin with.
pub const OTHERS: &str = "web_";

/// All checkers.
pub struct Checks {
    checkers: Vec<Box<dyn Checker>>,
    parents: Parents,
    next_order: u64,
    /// Another program has acted on the account.
    pub others: bool,
    /// Looks taken, all checkers together.
    pub looks: u64,
    /// Books compared level by level.
    pub books_compared: u64,
}

impl Checks {
    /// Every checker; the venue's next order has number `next_order`.
    #[must_use]
    pub fn new(instruments: usize, bounds: Bounds, next_order: u64) -> Self {
        let checkers: Vec<Box<dyn Checker>> = vec![
            Box::new(ids::Ids::default()),
            Box::new(approvals::Approvals::default()),
            Box::new(fills::Fills::default()),
            Box::new(truth::Truth),
            Box::new(endings::Endings::default()),
            Box::new(exposure::ExposureCheck::new(instruments, bounds.position_e4)),
            Box::new(books::Books),
            Box::new(stale::Stale::new(instruments, bounds.mark_age_max)),
            Box::new(halt::Halt::default()),
            Box::new(depth::Depth::default()),
            Box::new(time::Time::default()),
            Box::new(waiting::Waiting),
        ];
        let parents = Parents::default();
        Self { checkers, parents, next_order, others: false, looks: 0, books_compared: 0 }
    }

    /// Looks at a step; `view.new_orders` is filled in here.
    ///
    /// # Errors
    /// The first thing that does not hold, with its checker's name.
    pub fn look(&mut self, view: &View<'_>) -> Result<(), String> {
        let from = self.next_order;
        self.next_order = view.venue.ids.order;
        let new = (from..self.next_order).filter_map(|id| view.venue.orders.by_id(id));
        let (others, new): (Vec<&Order>, _) = new.partition(|o| o.client_id.starts_with(OTHERS));
        self.others |= !others.is_empty();
        let view = View { new_orders: &new, others: self.others, ..*view };
        self.looks += 1 + self.checkers.len() as u64;
        self.books_compared += view.whole.len() as u64;
        let told = |name, what| format!("{name}: {what}");
        self.checkers.iter_mut().try_for_each(|c| c.look(&view).map_err(|e| told(c.name(), e)))?;
        let parents = &mut self.parents;
        parents.look(&view).map_err(|e| told(parents.name(), e))
    }

    /// Parents whose account differs from what their children filled.
    #[must_use]
    pub fn differing_parents(&self, lines: &[ParentLine]) -> Vec<String> {
        self.parents.differing(lines)
    }
}

/// Our number of a venue's order.
fn own(order: &Order) -> Option<OrderId> {
    ClientId::parse(order.client_id.as_bytes()).map(|(_, id)| id)
}

/// The order reports of the step.
fn reports<'a>(view: &View<'a>) -> impl Iterator<Item = &'a OrderReport> {
    view.seen.reports.iter().filter_map(|m| match m {
        ExecMsg::Order(report) => Some(report),
        _ => None,
    })
}

/// The body of `entry` when it is of `kind`.
fn body<T: Body>(entry: &LogEntry, kind: LogKind) -> Option<T> {
    (entry.kind == kind as u8).then(|| T::read(&mut Reader::over(entry.body()))).flatten()
}

/// The orders handed to the socket in the step.
fn sent<'a>(view: &View<'a>) -> impl Iterator<Item = OrderId> + use<'a> {
    let log = view.seen.execution_log.iter();
    log.filter(|e| e.kind == LogKind::Sent as u8)
        .filter_map(|e| Reader::over(e.body()).u64().map(OrderId))
}

#[cfg(test)]
pub(crate) mod fixture;
