//! The agent's rules one by one: gates, replacement, back-off, staleness, causes.

mod rig;

use bot4_lanes::{Rx, Tx, ring};
use bot4_signals::{Actions, SignalConfig, Strategy, Verdict, View};
use bot4_types::{
    AccountReport, Cause, InstrumentId, InstrumentNews, InstrumentRules, Level, Nanos, OrderAction,
    OrderId, OrderKind, OrderState, Price, Qty, RefuseReason, ReportKind, Side, Stage, StaleReason,
    StrategyId, Tif, TopMsg, TradePrint, Trail,
};
use rig::{ONE, Rig};

const BID: i64 = 60_000 * ONE;
const ASK: i64 = BID + ONE;

#[derive(Clone, Copy, Debug)]
enum Do {
    Quote(Side, i64, i64),
    Pull(Side),
    Take(Side, i64, i64),
    TakeElsewhere(u16, i64, i64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Heard {
    Top(u16),
    Trade(u64),
    Report(bool),
    Timer(u16),
    Stale(u16, StaleReason),
    Verdict(Verdict),
}

/// Does what it is told at the next top, and tells what it hears.
struct Puppet {
    todo: Rx<Do>,
    heard: Tx<Heard>,
}

impl Puppet {
    fn hear(&mut self, what: Heard) {
        self.heard.push(what).expect("room");
    }
}

impl Strategy for Puppet {
    fn name(&self) -> &'static str {
        "puppet"
    }

    fn on_top(&mut self, view: &View<'_>, orders: &mut Actions<'_>) {
        self.hear(Heard::Top(view.instrument().id.0));
        while let Some(order) = self.todo.pop() {
            let verdict = match order {
                Do::Quote(side, price, qty) => orders.quote(side, Price(price), Qty(qty)),
                Do::Take(side, price, qty) => orders.take(side, Qty(qty), Price(price)),
                Do::TakeElsewhere(i, price, qty) => orders
                    .on(InstrumentId(i))
                    .expect("known")
                    .take(Side::Buy, Qty(qty), Price(price)),
                Do::Pull(side) => {
                    orders.pull(side);
                    Verdict::Accepted
                }
            };
            self.hear(Heard::Verdict(verdict));
        }
    }

    fn on_trade(&mut self, _: &View<'_>, trade: &TradePrint, _: &mut Actions<'_>) {
        self.hear(Heard::Trade(trade.id));
    }

    fn on_report(&mut self, _: &AccountReport, view: Option<&View<'_>>, _: &mut Actions<'_>) {
        self.hear(Heard::Report(view.is_some()));
    }

    fn on_timer(&mut self, view: &View<'_>, _: &mut Actions<'_>) {
        self.hear(Heard::Timer(view.instrument().id.0));
    }

    fn on_stale(&mut self, instrument: InstrumentId, reason: StaleReason) {
        self.hear(Heard::Stale(instrument.0, reason));
    }
}

struct Strings {
    todo: Tx<Do>,
    heard: Rx<Heard>,
}

impl Strings {
    fn heard(&mut self) -> Vec<Heard> {
        std::iter::from_fn(|| self.heard.pop()).collect()
    }

    /// The verdicts since the last look.
    fn verdicts(&mut self) -> Vec<Verdict> {
        let verdict = |h| if let Heard::Verdict(v) = h { Some(v) } else { None };
        self.heard().into_iter().filter_map(verdict).collect()
    }
}

fn puppet() -> (Box<dyn Strategy>, Strings) {
    let ((todo, todo_rx), (heard_tx, heard)) = (ring(64), ring(1_024));
    (Box::new(Puppet { todo: todo_rx, heard: heard_tx }), Strings { todo, heard })
}

/// A ready rig with one puppet.
fn stage() -> (Rig, Strings) {
    let (puppet, strings) = puppet();
    (Rig::ready(vec![puppet]), strings)
}

/// Tells the puppet what to do, and lets it by a top.
fn order(rig: &mut Rig, strings: &mut Strings, what: Do) {
    strings.todo.push(what).expect("room");
    rig.top(0, BID, ASK);
    rig.turn();
}

#[test]
fn a_quote_is_placed_with_everything_it_needs() {
    let (mut rig, mut strings) = stage();
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID + 7, 123_456));
    let intent = rig.only();
    rig::assert_lawful(&intent, rig.now);
    assert_eq!((intent.order, intent.action), (OrderId(1), OrderAction::Place));
    assert_eq!((intent.price, intent.qty), (Price(BID), Qty(123_000)));
    assert_eq!((intent.kind, intent.tif), (OrderKind::LimitMaker, Tif::Gtc));
    assert_eq!((intent.cause, intent.side), (Cause::Market, Side::Buy));
    assert_eq!(intent.expires, rig.now + Nanos::from_millis(50));
    assert_eq!(intent.stop_ticks, 180_000); // three percent of the price
    assert_eq!(intent.trail.t0, Nanos(rig.now.0 - 1_000));
    assert_eq!(intent.trail.span(Stage::Signal), 1_000);
    // The same wish again sends nothing, before and after the venue's answer.
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID, 123_000));
    rig.ack(&intent);
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID, 123_000));
    assert!(rig.sent().is_empty());
    assert_eq!(rig.agent.router().open_orders(), 1);
}

#[test]
fn nothing_is_placed_before_the_session_is_ready() {
    let (puppet, mut strings) = puppet();
    let mut rig = Rig::new(vec![puppet], 64);
    let quote = Do::Quote(Side::Buy, BID, 100_000);
    order(&mut rig, &mut strings, quote);
    assert_eq!(strings.verdicts(), [Verdict::Closed]);
    rig.session(true);
    order(&mut rig, &mut strings, quote);
    let first = rig.only();
    rig.ack(&first);
    rig.canceled(&first);
    rig.session(false);
    order(&mut rig, &mut strings, quote);
    assert!(rig.sent().is_empty());
    rig.session(true);
    order(&mut rig, &mut strings, quote);
    assert_eq!(rig.only().order, OrderId(2));
    assert_eq!(rig.count("blocked_closed"), 2);
}

#[test]
fn a_closed_instrument_is_withdrawn_and_opens_with_its_new_rules() {
    let (mut rig, mut strings) = stage();
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID + 7, 123_456));
    let old = rig.only();
    rig.ack(&old);
    let mut rules = InstrumentRules::of(&rig::table().all()[0]);
    (rules.tick, rules.lot) = (ONE, 100_000);
    let news = |change, open| InstrumentNews { rules, change, open, paused: false, shed: false };
    rig.account.push(AccountReport::Instrument(news(1, false))).expect("room");
    rig.turn();
    let cancel = rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, old.order));
    let told = rig.books.pop().map(|o| (o.instrument, o.tick, o.paused));
    assert_eq!(told, Some((InstrumentId(0), ONE, false)));
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID, 123_456));
    assert_eq!(strings.verdicts().last(), Some(&Verdict::Closed));
    rig.canceled(&old);
    rig.account.push(AccountReport::Instrument(news(1, true))).expect("room");
    rig.turn();
    assert!(rig.books.pop().is_none(), "the book has heard of this change");
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID - ONE / 2, 123_456));
    let new = rig.only();
    assert_eq!((new.price, new.qty), (Price(BID - ONE), Qty(100_000)));
    assert_eq!(rig.count("instruments_closed"), 1);
}

/// A refusal by a circuit breaker, of all of them together even, withdraws nothing; a quote that is
/// wanted no more is cancelled all the same.
#[test]
fn a_quote_rests_under_an_open_breaker_as_long_as_it_is_wanted() {
    let (mut rig, mut strings) = stage();
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID, 100_000));
    let quote = rig.only();
    rig.ack(&quote);
    order(&mut rig, &mut strings, Do::Quote(Side::Sell, ASK, 100_000));
    let other = rig.only();
    let refused = AccountReport::Refused {
        order: other.order,
        action: OrderAction::Place,
        instrument: other.instrument,
        strategy: other.strategy,
        reason: bot4_types::RefuseReason::BreakerGlobal,
    };
    rig.account.push(refused).expect("room");
    rig.turn();
    assert!(rig.sent().is_empty(), "it stays where it is");
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID - ONE, 100_000));
    let cancel = rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, quote.order));
}

#[test]
fn a_replacement_is_cancel_then_report_then_place() {
    let (mut rig, mut strings) = stage();
    order(&mut rig, &mut strings, Do::Quote(Side::Sell, ASK, 100_000));
    let old = rig.only();
    // Before the ack nothing can be cancelled.
    order(&mut rig, &mut strings, Do::Quote(Side::Sell, ASK + ONE, 100_000));
    assert!(rig.sent().is_empty());
    rig.ack(&old);
    let cancel = rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, old.order));
    assert_eq!(cancel.cause, Cause::Report); // it waited for the ack
    rig.after(5);
    assert!(rig.sent().is_empty(), "two alive");
    rig.canceled(&old);
    assert!(rig.sent().is_empty(), "a fresh decision is preferred at first");
    rig.after(49);
    assert!(rig.sent().is_empty());
    rig.after(1);
    let new = rig.only();
    assert_eq!((new.action, new.price), (OrderAction::Place, Price(ASK + ONE)));
    assert_eq!(new.cause, Cause::Report);
    assert_eq!(rig.count("quotes_replaced"), 1);
}

#[test]
fn a_fresh_decision_overtakes_the_waiting_one_and_is_caused_by_the_market() {
    let (mut rig, mut strings) = stage();
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID, 100_000));
    let old = rig.only();
    rig.ack(&old);
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID - ONE, 100_000));
    assert_eq!(rig.only().cause, Cause::Market);
    rig.canceled(&old);
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID - 2 * ONE, 100_000));
    let new = rig.only();
    assert_eq!((new.price, new.cause), (Price(BID - 2 * ONE), Cause::Market));
}

#[test]
fn a_waiting_wish_grows_too_old() {
    let (mut rig, mut strings) = stage();
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID, 100_000));
    let old = rig.only();
    rig.ack(&old);
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID - ONE, 100_000));
    assert_eq!(rig.only().action, OrderAction::Cancel);
    rig.after(600);
    rig.canceled(&old);
    rig.after(100);
    assert!(rig.sent().is_empty());
    assert_eq!(rig.count("wishes_expired"), 1);
}

/// A replay does not know of turns that call themselves empty: what time alone does counts.
#[test]
fn a_turn_in_which_time_alone_changed_something_is_not_empty() {
    let (mut rig, mut strings) = stage();
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID, 100_000));
    let first = rig.only();
    rig.ack(&first);
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID - ONE, 100_000));
    assert_eq!(rig.only().action, OrderAction::Cancel);
    assert_eq!((rig.turn(), rig.turn()), (0, 0), "it waits for the cancel");
    rig.now = rig.now + Nanos::from_millis(499);
    rig.turn(); // A round of timers.
    assert_eq!(rig.turn(), 0);
    rig.canceled(&first);
    rig.now = rig.now + Nanos::from_millis(1);
    assert_eq!((rig.turn(), rig.turn()), (1, 0), "the wish has expired");
    assert_eq!((rig.sent().len(), rig.count("wishes_expired")), (0, 1));
}

#[test]
fn a_fill_spends_the_wish() {
    let (mut rig, mut strings) = stage();
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID, 100_000));
    let intent = rig.only();
    rig.ack(&intent);
    let filled = OrderState::Filled;
    let full = rig::report(&intent, ReportKind::Fill, filled, intent.qty, Qty(100_000), rig.now);
    rig.account.push(full).expect("room");
    rig.after(1_000);
    rig.report(&intent, ReportKind::Done, filled); // the order's last words
    assert!(rig.sent().is_empty());
    assert_eq!((rig.count("signal_fills"), rig.count("account_late")), (1, 1));
    assert_eq!(rig.agent.router().open_orders(), 0);
}

#[test]
fn refusals_pause_the_slot_longer_each_time() {
    let (mut rig, mut strings) = stage();
    let quote = Do::Quote(Side::Buy, BID, 100_000);
    for pause in [20, 40, 80, 160, 320, 640, 1_280, 1_280] {
        order(&mut rig, &mut strings, quote);
        let intent = rig.only();
        let refused = AccountReport::Refused {
            order: intent.order,
            action: OrderAction::Place,
            instrument: intent.instrument,
            strategy: intent.strategy,
            reason: RefuseReason::Rate,
        };
        rig.account.push(refused).expect("room");
        rig.after(0);
        strings.heard();
        rig.now = rig.now + Nanos::from_millis(pause - 1);
        order(&mut rig, &mut strings, quote);
        assert_eq!(strings.verdicts(), [Verdict::BackOff], "after {pause} ms");
        rig.now = rig.now + Nanos::from_millis(1);
    }
    order(&mut rig, &mut strings, quote);
    let intent = rig.only();
    rig.ack(&intent); // success forgets the failures
    rig.report(&intent, ReportKind::Done, OrderState::Rejected);
    rig.now = rig.now + Nanos::from_millis(20);
    order(&mut rig, &mut strings, quote);
    assert_eq!(rig.sent().len(), 1);
}

#[test]
fn a_book_that_is_not_live_loses_its_quotes_and_nobody_sees_it() {
    let (mut rig, mut strings) = stage();
    rig.top(1, BID, ASK);
    rig.turn();
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID, 100_000));
    let intent = rig.only();
    rig.ack(&intent);
    strings.heard();
    rig.stale(0);
    rig.top(1, BID, ASK);
    strings.todo.push(Do::TakeElsewhere(0, ASK, 100_000)).expect("room");
    rig.turn();
    let cancel = rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, intent.order));
    rig.stale(0);
    rig.report(&intent, ReportKind::CancelSent, OrderState::PendingCancel);
    rig.after(100);
    assert_eq!(
        strings.heard(),
        [
            Heard::Stale(0, StaleReason::Gap),
            Heard::Top(1),
            Heard::Verdict(Verdict::Closed),
            Heard::Report(false),
            Heard::Timer(1),
        ]
    );
    // Live again: features start afresh, quotes may come back after the old one is gone.
    rig.canceled(&intent);
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID, 100_000));
    assert_eq!(rig.only().action, OrderAction::Place);
    assert_eq!(rig.agent.market().features(InstrumentId(0)).updates, 1);
    assert_eq!(rig.count("books_gone_stale"), 1);
}

#[test]
fn one_sided_crossed_and_absurd_tops_are_shown_to_nobody() {
    let (mut rig, mut strings) = stage();
    let level = |price, qty| Level { price, qty };
    rig.top_sized(0, level(BID, 0), level(ASK, ONE));
    rig.turn();
    rig.top_sized(0, level(ASK, ONE), level(ASK, ONE));
    rig.turn();
    rig.top_sized(0, level(BID, ONE), level(i64::MAX, ONE));
    rig.turn();
    rig.top(9, BID, ASK); // not in the table
    rig.turn();
    rig.after(100); // timers see them no more than tops do
    assert!(strings.heard().is_empty());
    assert_eq!((rig.count("tops_unusable"), rig.count("signal_foreign")), (3, 1));
}

#[test]
fn draining_cancels_what_rests_and_places_nothing() {
    let (mut rig, mut strings) = stage();
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID, 100_000));
    order(&mut rig, &mut strings, Do::Quote(Side::Sell, ASK, 100_000));
    let (bid, ask) = (rig.intents.pop().expect("bid"), rig.intents.pop().expect("ask"));
    rig.ack(&bid);
    rig.control.drain();
    strings.heard();
    order(&mut rig, &mut strings, Do::Quote(Side::Sell, ASK + ONE, 100_000));
    let cancel = rig.only();
    assert_eq!((cancel.order, cancel.cause), (bid.order, Cause::Operator));
    assert!(strings.heard().is_empty(), "strategies are not asked any more");
    rig.ack(&ask); // was on its way; goes as soon as it rests
    assert_eq!(rig.only().order, ask.order);
    rig.canceled(&bid);
    rig.canceled(&ask);
    rig.after(1_000);
    assert!(rig.sent().is_empty());
    assert_eq!(rig.agent.router().open_orders(), 0);
}

/// Wants a bid and a take in every call it gets.
struct Stubborn;

impl Stubborn {
    fn insist(orders: &mut Actions<'_>) {
        orders.quote(Side::Buy, Price(BID), Qty(100_000));
        orders.take(Side::Buy, Qty(100_000), Price(ASK));
    }
}

impl Strategy for Stubborn {
    fn name(&self) -> &'static str {
        "stubborn"
    }

    fn on_top(&mut self, _: &View<'_>, orders: &mut Actions<'_>) {
        Self::insist(orders);
    }

    fn on_report(&mut self, _: &AccountReport, _: Option<&View<'_>>, orders: &mut Actions<'_>) {
        Self::insist(orders);
    }
}

#[test]
fn a_strategy_that_answers_reports_cannot_place_while_stopping_or_blind() {
    let stops: [fn(&mut Rig); 3] =
        [|rig| rig.control.drain(), |rig| rig.control.kill(), |rig| rig.stale(0)];
    for stop in stops {
        let mut rig = Rig::ready(vec![Box::new(Stubborn)]);
        rig.top(0, BID, ASK);
        rig.turn();
        let (quote, take) = (rig.intents.pop().expect("bid"), rig.intents.pop().expect("take"));
        rig.ack(&quote);
        stop(&mut rig);
        rig.turn();
        rig.canceled(&quote);
        rig.report(&take, ReportKind::Done, OrderState::Expired);
        rig.session(true);
        rig.after(1_000);
        let sent = rig.sent();
        assert!(!sent.is_empty() && sent.iter().all(|i| i.action == OrderAction::Cancel));
        assert_eq!(rig.agent.router().open_orders(), 0);
    }
}

#[test]
fn a_take_pulls_quotes_of_other_strategies_out_of_its_way() {
    let ((maker, mut maker_strings), (taker, mut taker_strings)) = (puppet(), puppet());
    let mut rig = Rig::ready(vec![maker, taker]);
    order(&mut rig, &mut maker_strings, Do::Quote(Side::Sell, ASK, 100_000));
    let quote = rig.only();
    rig.ack(&quote);
    order(&mut rig, &mut taker_strings, Do::Take(Side::Buy, ASK + ONE, 50_000));
    let cancel = rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, quote.order));
    order(&mut rig, &mut taker_strings, Do::Take(Side::Buy, ASK, 50_000));
    assert_eq!(taker_strings.verdicts(), [Verdict::Accepted, Verdict::Busy]);
    rig.canceled(&quote);
    let take = rig.only();
    assert_eq!((take.kind, take.tif), (OrderKind::Limit, Tif::Ioc));
    assert_eq!((take.strategy, take.price), (StrategyId(1), Price(ASK + ONE)));
    assert_eq!(take.cause, Cause::Report);
    // A quote into a take on its way waits for it.
    order(&mut rig, &mut maker_strings, Do::Quote(Side::Sell, ASK, 100_000));
    assert!(rig.sent().is_empty());
    rig.report(&take, ReportKind::Done, OrderState::Expired);
    assert_eq!(rig.only().price, Price(ASK));
}

#[test]
fn without_room_wishes_wait_and_takes_expire() {
    let (puppet, mut strings) = puppet();
    let mut rig = Rig::with(SignalConfig::new(vec![puppet], OrderId(1)), 1);
    rig.session(true);
    for what in [
        Do::Quote(Side::Buy, BID, 100_000),
        Do::Quote(Side::Sell, ASK, 100_000),
        Do::TakeElsewhere(1, ASK, 100_000),
    ] {
        strings.todo.push(what).expect("room");
    }
    rig.top(1, BID, ASK);
    rig.top(0, BID, ASK);
    rig.turn();
    assert_eq!(rig.only().side, Side::Buy);
    rig.top(0, BID, ASK);
    rig.turn();
    let second = rig.intents.peek().copied().expect("sent when room came");
    assert_eq!((second.side, second.cause), (Side::Sell, Cause::Market));
    strings.heard();
    rig.after(50);
    assert!(strings.heard().is_empty(), "no input without room");
    assert_eq!(rig.sent().len(), 1);
    rig.turn();
    assert!(rig.sent().is_empty());
    assert_eq!(rig.count("wishes_expired"), 1);
}

#[test]
fn a_cancel_without_answer_is_repeated_and_a_refused_one_retried() {
    let (mut rig, mut strings) = stage();
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID, 100_000));
    let intent = rig.only();
    rig.ack(&intent);
    order(&mut rig, &mut strings, Do::Pull(Side::Buy));
    assert_eq!(rig.only().action, OrderAction::Cancel);
    rig.after(999);
    assert!(rig.sent().is_empty());
    rig.after(1);
    assert_eq!(rig.only().action, OrderAction::Cancel);
    rig.report(&intent, ReportKind::CancelRejected, OrderState::Live);
    assert!(rig.sent().is_empty());
    rig.after(20);
    assert_eq!(rig.only().action, OrderAction::Cancel);
    let not_open = AccountReport::Refused {
        order: intent.order,
        action: OrderAction::Cancel,
        instrument: intent.instrument,
        strategy: intent.strategy,
        reason: RefuseReason::NotOpen,
    };
    rig.account.push(not_open).expect("room");
    rig.after(0);
    assert_eq!(rig.agent.router().open_orders(), 0);
}

#[test]
fn an_order_of_unknown_fate_keeps_its_slot_until_it_is_known() {
    let (mut rig, mut strings) = stage();
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID, 100_000));
    let intent = rig.only();
    rig.report(&intent, ReportKind::Lost, OrderState::Unknown);
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID - ONE, 100_000));
    assert_eq!(rig.only().action, OrderAction::Cancel);
    rig.after(500);
    assert!(rig.sent().is_empty());
    // Part of it filled: that says nothing about the rest.
    rig.report(&intent, ReportKind::Fill, OrderState::Unknown);
    assert!(rig.sent().is_empty());
    rig.report(&intent, ReportKind::Found, OrderState::Live);
    let again = rig.only();
    assert_eq!((again.action, again.order), (OrderAction::Cancel, intent.order));
    rig.canceled(&intent);
    order(&mut rig, &mut strings, Do::Quote(Side::Buy, BID - ONE, 100_000));
    assert_eq!(rig.only().action, OrderAction::Place);
}

#[test]
fn trades_reach_strategies_of_live_books_only() {
    let (mut rig, mut strings) = stage();
    let trade = |id, i| {
        TopMsg::Trade(TradePrint {
            trail: Trail::start(Nanos(7)),
            id,
            price: BID,
            qty: 5,
            venue_ms: 0,
            missed: 2,
            instrument: InstrumentId(i),
            aggressor: Side::Buy,
        })
    };
    rig.tops.push(trade(1, 0)).expect("room"); // no top yet
    rig.top(0, BID, ASK);
    rig.tops.push(trade(2, 0)).expect("room");
    rig.tops.push(trade(3, 77)).expect("room"); // not in the table
    rig.turn();
    assert_eq!(strings.heard(), [Heard::Trade(2), Heard::Top(0)]);
    assert_eq!((rig.count("trades_in"), rig.count("trades_missed")), (3, 6));
}

#[test]
fn too_many_strategies_are_refused_at_start() {
    use bot4_lanes::{Agent, Control, Metrics};
    let strategies = (0..33).map(|_| puppet().0).collect();
    let ports = bot4_signals::SignalPorts {
        tops: vec![],
        account: ring(1).1,
        intents: ring(1).0,
        books: vec![],
        control: Control::new(),
    };
    let config = SignalConfig::new(strategies, OrderId(1));
    let mut agent =
        bot4_signals::SignalAgent::new(config, rig::table(), ports, &Metrics::in_memory());
    assert!(agent.start(Nanos::ZERO).is_err_and(|f| f.what.contains("33")));
}
