//! A small venue and a step to look at, for the checkers' tests.

use bot4_lanes::Phase;
use bot4_types::instrument::Amount;
use bot4_types::{
    ApprovedOrder, BookState, Cause, ClientId, ExecMsg, Instrument, InstrumentId, InstrumentTable,
    LogEntry, LogKind, Nanos, OrderAction, OrderId, OrderIntent, OrderKind, OrderReport,
    OrderState, Price, Qty, ReportKind, RunEpoch, Side, StrategyId, Symbol, Tif, Trail,
};
use bot4_venue::account::{Account, Fees};
use bot4_venue::exchange::{Exchange, Market, Ticket};
use bot4_venue::limits::{LimitRules, Limits};
use bot4_venue::matching::{Book, Stp};
use bot4_venue::rng::Rng;
use bot4_venue::symbol::SymbolSpec;

use super::super::tap::Seen;
use super::{Checker, ParentLine, View, WholeBook};

pub(in crate::sim) const ONE: i64 = 100_000_000;

/// Everything a [`View`] borrows.
pub(in crate::sim) struct Fixture {
    pub seen: Seen,
    pub venue: Exchange,
    pub books: Vec<BookState>,
    pub whole: Vec<WholeBook>,
    pub table: InstrumentTable,
    pub role: &'static str,
    pub now: Nanos,
    pub journaled: u64,
    pub phase: Phase,
    pub equity: Option<Amount>,
    pub waits_ended: Option<OrderId>,
    pub parents: Vec<ParentLine>,
    /// The venue's orders that count as new.
    pub fresh: Vec<u64>,
}

impl Fixture {
    /// One market without orders, everything allowed.
    pub fn new() -> Self {
        let mut table = InstrumentTable::new();
        let name = |s| Symbol::new(s).expect("short");
        let (base, quote) = (table.asset(name("BTC")), table.asset(name("USDT")));
        let bare = Instrument::bare(InstrumentId(0), name("BTCUSDT"), 8);
        let (base, quote) = (base.expect("room"), quote.expect("room"));
        table.push(Instrument { base, quote, ..bare }).expect("room");
        let spec = SymbolSpec::new("BTC", "USDT", ONE / 100, ONE / 100_000);
        let book = Book::new(1);
        let market = Market { spec, book, trade_id: 0, agg_id: 0, last_price: 100 * ONE };
        let money = |a: &str| (a.to_owned(), i128::from(1_000 * ONE));
        let account = Account::new(&[money("BTC"), money("USDT")]);
        let (limits, fees) = (Limits::new(LimitRules::HIGH), Fees { maker_e8: 0, taker_e8: 0 });
        Self {
            seen: Seen::default(),
            venue: Exchange::new(vec![market], account, limits, fees, Rng::new(1)),
            books: vec![BookState::Live],
            whole: Vec::new(),
            table,
            role: "risk",
            now: Nanos(1),
            journaled: u64::MAX,
            phase: Phase::Run,
            equity: Some(1_000_000 * 10i128.pow(16)),
            waits_ended: None,
            parents: Vec::new(),
            fresh: Vec::new(),
        }
    }

    /// Lets `checker` look, then forgets what left.
    pub fn look(&mut self, checker: &mut dyn Checker) -> Result<(), String> {
        let orders: Vec<_> =
            self.fresh.iter().filter_map(|id| self.venue.orders.by_id(*id)).collect();
        let answer = checker.look(&View {
            role: self.role,
            now: self.now,
            seen: &self.seen,
            venue: &self.venue,
            new_orders: &orders,
            others: false,
            books: &self.books,
            whole: &self.whole,
            journaled: self.journaled,
            phase: self.phase,
            equity: self.equity,
            waits_ended: self.waits_ended,
            parents: &self.parents,
            table: &self.table,
        });
        self.seen = Seen::default();
        self.fresh.clear();
        answer
    }

    /// Places order `id` at the venue as [`intent`] says it.
    pub fn place(&mut self, id: u64) -> u64 {
        let ticket = Ticket {
            market: 0,
            side: bot4_venue::matching::Side::Buy,
            kind: bot4_venue::orders::Kind::Limit,
            tif: bot4_venue::matching::Tif::Gtc,
            price: Some(intent(id).price.0),
            qty: intent(id).qty.0,
            client_id: Some(ClientId::new(RunEpoch(1), OrderId(id)).as_str().to_owned()),
            stp: Stp::None,
        };
        let placed = self.venue.place(ticket, 1).expect("it passes the filters");
        self.fresh.push(placed);
        placed
    }

    /// Risk approved order `id` under `record`.
    #[expect(clippy::disallowed_methods, reason = "a test stands in for the gate")]
    pub fn approve(&mut self, id: u64, record: u64) {
        self.seen.approved.push(ApprovedOrder::seal(intent(id), record));
    }

    /// Risk approved an amend of order `id` to the terms it has.
    #[expect(clippy::disallowed_methods, reason = "a test stands in for the gate")]
    pub fn amend(&mut self, id: u64) {
        let amend = OrderIntent { action: OrderAction::Amend, ..intent(id) };
        self.seen.approved.push(ApprovedOrder::seal(amend, 1));
    }

    /// Risk logged `entry`.
    pub fn risk(&mut self, kind: LogKind, fill: impl FnOnce(&mut bot4_types::log::Writer<'_>)) {
        self.seen.risk_log.push(numbered(LogEntry::new(kind, self.now, fill), &self.seen.risk_log));
    }

    /// Execution sent order `id`.
    pub fn send(&mut self, id: u64) {
        let entry = LogEntry::new(LogKind::Sent, self.now, |w| w.u64(id));
        self.seen.execution_log.push(numbered(entry, &self.seen.execution_log));
    }

    /// Execution reported.
    pub fn report(&mut self, report: OrderReport) {
        self.seen.reports.push(ExecMsg::Order(report));
    }
}

fn numbered(mut entry: LogEntry, log: &[LogEntry]) -> LogEntry {
    entry.seq = log.len() as u64 + 1;
    entry
}

/// Buy one at 90.
pub(crate) fn intent(id: u64) -> OrderIntent {
    OrderIntent {
        trail: Trail::default(),
        order: OrderId(id),
        price: Price(90 * ONE),
        qty: Qty(ONE),
        stop_ticks: 1,
        instrument: InstrumentId(0),
        strategy: StrategyId(0),
        cause: Cause::Market,
        expires: Nanos::MAX,
        action: OrderAction::Place,
        kind: OrderKind::Limit,
        tif: Tif::Gtc,
        trigger: bot4_types::Price(0),
        until: bot4_types::Nanos::MAX,
        reduce_only: false,
        side: Side::Buy,
        parent: bot4_types::ParentId::NONE,
    }
}

/// A report of order `id` of [`intent`].
pub(in crate::sim) fn report(
    id: u64,
    kind: ReportKind,
    state: OrderState,
    cum: i64,
) -> OrderReport {
    let first = OrderReport::first(&intent(id), kind, state);
    OrderReport { at: Nanos(1), cum_qty: Qty(cum), maker: true, ..first }
}
