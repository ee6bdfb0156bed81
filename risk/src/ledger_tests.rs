//! The ledger's edges, one by one; what reports do to its sums is held against the naive twin in
//! `tests/ledger_twin.rs`.

use super::*;
use bot4_types::{DoneReason, Nanos, OrderAction, Symbol, Tif, Trail, VenueId};

const ONE: i64 = 100_000_000;
const STRATEGIES: usize = 2;

/// AAAUSDT and BBBUSDT; the second counts its quantity in whole units.
fn table() -> InstrumentTable {
    let mut table = InstrumentTable::new();
    let name = |s: &str| Symbol::new(s).expect("short");
    let assets = ["AAA", "BBB", "USDT"].map(|a| table.asset(name(a)).expect("room"));
    for (symbol, base, qty_decimals) in [("AAAUSDT", assets[0], 8), ("BBBUSDT", assets[1], 0)] {
        let bare = Instrument::bare(InstrumentId(0), name(symbol), 8);
        let row = Instrument { base, quote: assets[2], qty_decimals, ..bare };
        table.push(row).expect("room");
    }
    table
}

fn ledger() -> Ledger {
    Ledger::new(&table(), STRATEGIES, &[], &RiskLimits::default())
}

fn place(order: u64, strategy: u8, side: Side) -> OrderIntent {
    OrderIntent {
        trail: Trail::default(),
        order: OrderId(order),
        price: Price(100 * ONE),
        qty: Qty(ONE),
        stop_ticks: 1,
        instrument: InstrumentId(0),
        strategy: StrategyId(strategy),
        cause: bot4_types::Cause::Market,
        expires: Nanos::MAX,
        action: OrderAction::Place,
        kind: bot4_types::OrderKind::Limit,
        tif: Tif::Gtc,
        trigger: bot4_types::Price(0),
        until: bot4_types::Nanos::MAX,
        reduce_only: false,
        side,
        parent: bot4_types::ParentId::NONE,
    }
}

fn told(intent: &OrderIntent, seq: u32, kind: ReportKind, state: OrderState) -> OrderReport {
    let slot = OrderSlot::new(intent.order, intent.instrument, intent.strategy, intent.side);
    let price = intent.price;
    OrderReport { seq, kind, state, price, ..crate::checks::fixture::lost(&slot) }
}

fn filled(intent: &OrderIntent, seq: u32, trade_id: u64) -> OrderReport {
    OrderReport {
        cum_qty: intent.qty,
        last_qty: intent.qty,
        last_price: intent.price,
        trade_id,
        ..told(intent, seq, ReportKind::Fill, OrderState::Filled)
    }
}

#[test]
fn a_full_table_and_no_quantity_are_not_approved() {
    let mut ledger = ledger();
    let nothing = OrderIntent { qty: Qty(0), ..place(1, 0, Side::Buy) };
    assert!(!ledger.approve(&nothing));
    let unknown = OrderIntent { instrument: InstrumentId(2), ..place(1, 0, Side::Buy) };
    assert!(!ledger.approve(&unknown));
    for order in 1..=ORDERS_OPEN_MAX as u64 {
        assert!(ledger.has_room() && ledger.approve(&place(order, 0, Side::Buy)));
    }
    let next = place(ORDERS_OPEN_MAX as u64 + 1, 0, Side::Buy);
    assert!(!ledger.has_room() && !ledger.approve(&next));
    let first = place(1, 0, Side::Buy);
    ledger.on_report(&told(&first, 1, ReportKind::Done, OrderState::Rejected));
    assert!(ledger.has_room() && ledger.approve(&next));
}

#[test]
fn open_orders_are_those_of_their_strategy() {
    let mut ledger = ledger();
    let (first, second) = (place(1, 0, Side::Buy), place(2, 0, Side::Sell));
    assert!(ledger.is_at_rest(InstrumentId(0)));
    assert!(ledger.approve(&first) && ledger.approve(&second));
    let of = |ledger: &Ledger| [0, 1, 2].map(|s| ledger.open_orders_of(StrategyId(s)));
    assert_eq!(of(&ledger), [2, 0, 0]);
    assert!(!ledger.is_at_rest(InstrumentId(0)) && ledger.is_at_rest(InstrumentId(1)));
    ledger.on_report(&told(&first, 1, ReportKind::Done, OrderState::Rejected));
    assert_eq!((of(&ledger), ledger.is_at_rest(InstrumentId(0))), ([1, 0, 0], false));
    ledger.on_report(&told(&second, 1, ReportKind::Done, OrderState::Rejected));
    assert_eq!((of(&ledger), ledger.is_at_rest(InstrumentId(0))), ([0, 0, 0], true));
}

#[test]
fn what_is_news() {
    use OrderState as S;
    use ReportKind as K;
    let mut ledger = ledger();
    let buy = place(1, 0, Side::Buy);
    assert!(ledger.approve(&buy));
    let mut news = |seq, kind, state| {
        let told = ledger.on_report(&told(&buy, seq, kind, state));
        (told, ledger.order(buy.order).expect("known").state, ledger.open_orders())
    };
    assert_eq!(news(2, K::Acked, S::Live), (true, S::Live, 1));
    assert_eq!(news(2, K::Acked, S::Live), (false, S::Live, 1), "doubled");
    assert_eq!(news(2, K::CancelSent, S::PendingCancel), (false, S::Live, 1), "no later");
    assert_eq!(news(1, K::Sent, S::Sent), (false, S::Live, 1), "earlier");
    assert_eq!(news(3, K::Lost, S::Unknown), (true, S::Unknown, 1));
    assert_eq!(news(1, K::Done, S::Canceled), (true, S::Canceled, 0), "an end counts at any time");
    assert_eq!(news(2, K::Done, S::Expired), (false, S::Canceled, 0), "it ended once");
    assert_eq!(news(9, K::Acked, S::Live), (true, S::Canceled, 0), "and stays ended");
}

#[test]
fn a_report_that_contradicts_its_order_is_invalid() {
    let mut ledger = ledger();
    let buy = place(1, 0, Side::Buy);
    assert!(ledger.approve(&buy));
    let ack = told(&buy, 1, ReportKind::Acked, OrderState::Live);
    assert!(!ledger.on_report(&OrderReport { side: Side::Sell, ..ack }));
    assert!(!ledger.on_report(&OrderReport { instrument: InstrumentId(1), ..ack }));
    assert_eq!((ledger.counts().invalid, ledger.counts().drift()), (2, 2));
    assert!(ledger.on_report(&ack));
}

#[test]
fn only_numbers_that_can_be_are_booked() {
    let limit = 1i64 << 55;
    let good = |change: fn(&mut OrderReport)| {
        let mut ledger = ledger();
        let mut report = filled(&place(9, 0, Side::Buy), 1, 1);
        change(&mut report);
        let booked = ledger.on_report(&report);
        assert_eq!(ledger.counts().invalid, u64::from(!booked));
        booked
    };
    assert!(good(|_| ()));
    assert!(!good(|r| r.last_qty.0 = 0) && !good(|r| r.last_qty.0 = -1));
    assert!(!good(|r| r.last_price.0 = 0) && !good(|r| r.last_price.0 = -1));
    assert!(good(|r| r.fee = AMOUNT_SANE - 1) && !good(|r| r.fee = AMOUNT_SANE));
    assert!(good(|r| r.fee = 1 - AMOUNT_SANE) && !good(|r| r.fee = -AMOUNT_SANE));
    // 2^55 at 2^55 is 2^110, what is too much.
    assert_eq!(i128::from(limit) * i128::from(limit), AMOUNT_SANE);
    assert!(!good(|r| (r.last_qty.0, r.last_price.0) = (1 << 55, 1 << 55)));
    assert!(good(|r| (r.last_qty.0, r.last_price.0) = (1 << 55, (1 << 55) - 1)));
    // In whole units so many are too many, at whatever price.
    assert!(!good(|r| {
        (r.instrument, r.last_qty.0, r.last_price.0) = (InstrumentId(1), i64::MAX, 1);
    }));
    assert!(!good(|r| r.instrument = InstrumentId(2)));
}

/// Proven by the venue's list, a fill behind its order's end is no drift, and is booked once,
/// whether its order is remembered or not.
#[test]
fn a_proven_fill_behind_its_orders_end_is_booked_and_is_no_drift() {
    let mut ledger = ledger();
    let order = place(5, 0, Side::Buy);
    assert!(ledger.approve(&order));
    ledger.on_report(&told(&order, 1, ReportKind::Done, OrderState::Canceled));
    let late = |id, trade| {
        let report = filled(&place(id, 0, Side::Buy), 2, trade);
        OrderReport { reason: DoneReason::Late, state: OrderState::Canceled, ..report }
    };
    // Number 4 was forgotten.
    for report in [late(5, 1), late(4, 1)] {
        assert!(ledger.on_report(&report) && !ledger.on_report(&report), "booked once");
    }
    let counts = ledger.counts();
    assert_eq!((counts.late_fills, counts.late_strangers, counts.drift()), (2, 1, 0));
    let held = ledger.exposure(StrategyId(0), InstrumentId(0)).map(|e| e.position.qty);
    assert_eq!(held, Some(2 * i128::from(ONE)));
    let unproven = OrderReport { reason: DoneReason::None, ..late(5, 2) };
    let unproven = OrderReport { cum_qty: Qty(2 * ONE), seq: 9, ..unproven };
    assert!(ledger.on_report(&unproven));
    assert!(ledger.counts().drift() > 0, "proven by nothing");
}

#[test]
fn fills_of_strangers_are_booked_once_and_of_forgotten_orders_never() {
    let mut ledger = ledger();
    assert!(ledger.approve(&place(5, 0, Side::Buy)));
    let stranger = |order, trade| filled(&place(order, 1, Side::Buy), 1, trade);
    assert!(!ledger.on_report(&stranger(3, 1)), "of an order before the last approved");
    assert_eq!((ledger.counts().strays, ledger.counts().orphans), (1, 0));
    assert!(ledger.on_report(&stranger(0, 1)) && ledger.on_report(&stranger(0, 2)));
    assert!(ledger.on_report(&stranger(6, 1)));
    for (order, trade) in [(0, 1), (0, 2), (6, 1)] {
        assert!(!ledger.on_report(&stranger(order, trade)), "doubled");
    }
    assert_eq!((ledger.counts().orphans, ledger.counts().duplicates), (3, 3));
    assert_eq!(ledger.counts().fills, 3);
    let ack = told(&place(7, 0, Side::Buy), 1, ReportKind::Acked, OrderState::Live);
    assert!(!ledger.on_report(&ack));
    // One of a strategy that is not in this run moves the account alone.
    assert!(ledger.on_report(&filled(&place(8, STRATEGIES as u8, Side::Buy), 1, 1)));
    assert_eq!(ledger.total(InstrumentId(0)).map(|e| e.position.qty), Some(4 * i128::from(ONE)));
    assert_eq!(ledger.position(StrategyId(1), InstrumentId(0)), Qty(3 * ONE));
    assert!(ledger.exposure(StrategyId(0), InstrumentId(2)).is_none());
}

#[test]
fn a_fee_elsewhere_is_one_that_was_paid() {
    let mut ledger = ledger();
    let free =
        OrderReport { fee_asset: AssetId::NONE, fee: 0, ..filled(&place(1, 0, Side::Buy), 1, 1) };
    assert!(ledger.on_report(&free));
    assert_eq!(ledger.counts().fees_elsewhere, 0);
    ledger.on_balance(AssetId(9), 1, 1);
    assert_eq!(ledger.counts().invalid, 1, "no such asset");
}

#[test]
fn unknown_orders_count_by_side_until_they_are_found() {
    let mut ledger = ledger();
    let (buy, sell) = (place(1, 0, Side::Buy), place(2, 1, Side::Sell));
    assert!(ledger.approve(&buy) && ledger.approve(&sell));
    let of = |ledger: &Ledger| {
        let own = |s| ledger.exposure(StrategyId(s), InstrumentId(0)).expect("known").unknown;
        (ledger.total(InstrumentId(0)).expect("known").unknown, own(0), own(1))
    };
    for intent in [&buy, &sell] {
        ledger.on_report(&told(intent, 1, ReportKind::Lost, OrderState::Unknown));
    }
    assert_eq!((of(&ledger), ledger.unknown_orders()), (([1, 1], [1, 0], [0, 1]), 2));
    ledger.on_report(&told(&buy, 2, ReportKind::Found, OrderState::Live));
    assert_eq!((of(&ledger), ledger.unknown_orders()), (([0, 1], [0, 0], [0, 1]), 1));
    ledger.on_report(&told(&sell, 2, ReportKind::Done, OrderState::Canceled));
    assert_eq!((of(&ledger), ledger.unknown_orders()), (([0, 0], [0, 0], [0, 0]), 0));
}

#[test]
fn one_venue_in_doubt_leaves_the_others_certain() {
    let mut table = table();
    let other = Instrument { venue: VenueId(1), ..table.all()[1] };
    table
        .push(Instrument { symbol: Symbol::new("CCCUSDT").expect("short"), ..other })
        .expect("room");
    let mut ledger = Ledger::new(&table, STRATEGIES, &[], &RiskLimits::default());
    let certain = |ledger: &Ledger| [0, 1].map(|v| ledger.is_certain_at(VenueId(v)));
    let there = OrderIntent { instrument: InstrumentId(2), ..place(1, 0, Side::Buy) };
    let here = place(2, 0, Side::Buy);
    assert!(ledger.approve(&there) && ledger.approve(&here));
    assert_eq!(certain(&ledger), [true; 2]);
    ledger.on_report(&told(&there, 1, ReportKind::Lost, OrderState::Unknown));
    assert_eq!(certain(&ledger), [true, false], "an order of unknown fate");
    ledger.on_report(&told(&there, 2, ReportKind::Done, OrderState::Canceled));
    assert_eq!(certain(&ledger), [true; 2]);
    // It ended, and a fill of it is still to come.
    let ended =
        OrderReport { cum_qty: Qty(7), ..told(&here, 1, ReportKind::Done, OrderState::Canceled) };
    ledger.on_report(&ended);
    assert_eq!((certain(&ledger), ledger.settling_orders()), ([false, true], 1));
}

#[test]
fn funding_is_remembered_payment_by_payment() {
    let mut ledger = ledger();
    let mut pay = |id| ledger.on_funding(InstrumentId(0), id, AssetId(2), 1);
    assert!(pay(1) && pay(2) && pay(3));
    assert!(!pay(1) && !pay(2) && !pay(3));
    let kept = FUNDINGS_KEPT as u64;
    assert!((4..=kept + 1).all(&mut pay), "the first is forgotten by now");
    assert!(!pay(2) && !pay(kept + 1) && pay(1));
    assert!(!ledger.on_funding(InstrumentId(0), 0, AssetId(2), AMOUNT_SANE));
    assert!(ledger.on_funding(InstrumentId(0), 0, AssetId(2), 1 - AMOUNT_SANE));
}

#[test]
fn each_strategy_has_its_own_lots() {
    let mut ledger = ledger();
    let held = |strategy, instrument, qty| HeldPosition {
        strategy: StrategyId(strategy),
        instrument: InstrumentId(instrument),
        qty: Qty(qty),
        cost: i128::from(qty) * 7,
    };
    ledger.take_over(&[held(0, 0, 3), held(1, 0, 4), held(1, 1, 5), held(2, 0, 6), held(0, 2, 7)]);
    let own = |s, i| ledger.strategy_fifo(StrategyId(s), InstrumentId(i)).map(|f| f.qty);
    assert_eq!([own(0, 0), own(0, 1), own(1, 0), own(1, 1)], [3, 0, 4, 5].map(Some));
    assert_eq!([own(2, 0), own(0, 2)], [None; 2]);
    let all = |i| ledger.fifo(InstrumentId(i)).map(|f| (f.qty, f.cost));
    assert_eq!([all(0), all(1), all(2)], [Some((7, 49)), Some((5, 35)), None]);
    assert_eq!(ledger.lots_merged(), 0);
    for n in 0..=LOTS_MAX as u64 {
        let intent = OrderIntent { price: Price(n as i64 + 1), ..place(n + 1, 0, Side::Buy) };
        assert!(ledger.on_report(&filled(&intent, 1, n)));
    }
    assert_eq!(ledger.lots_merged(), 4, "the account's two and the strategy's two last");
}

#[test]
fn rules_bind_only_where_they_fit() {
    let mut ledger = ledger();
    let mut rules = InstrumentRules::of(ledger.table().get(InstrumentId(0)).expect("known"));
    rules.tick = 5;
    assert!(ledger.bind(&rules));
    assert_eq!(ledger.table().get(InstrumentId(0)).map(|i| i.tick), Some(5));
    rules.price_decimals += 1;
    assert!(!ledger.bind(&rules));
}

#[test]
fn quantities_beyond_the_wire_are_clamped_to_its_ends() {
    let most = i128::from(i64::MAX);
    assert_eq!([clamped(most), clamped(most + 1)], [Qty(i64::MAX); 2]);
    assert_eq!([clamped(-most - 1), clamped(-most - 2)], [Qty(i64::MIN); 2]);
    assert_eq!((clamped(0), clamped(-3)), (Qty(0), Qty(-3)));
}

/// The venue has an order open that had ended: each such word is something to explain.
#[test]
fn an_ended_order_that_is_open_at_the_venue_is_drift() {
    let mut ledger = ledger();
    let buy = place(1, 0, Side::Buy);
    assert!(ledger.approve(&buy));
    assert!(ledger.on_report(&told(&buy, 1, ReportKind::Done, OrderState::Rejected)));
    for n in 1..=3u32 {
        let word = told(&buy, 1 + n, ReportKind::Contradicted, OrderState::Rejected);
        assert!(ledger.on_report(&word));
        assert!(!ledger.on_report(&word), "a word counts once");
        assert_eq!((ledger.counts().contradicted, ledger.counts().drift()), (n.into(), n.into()));
    }
}

#[test]
fn an_open_amend_reserves_the_dearer_terms() {
    let mut ledger = ledger();
    let buy = place(1, 0, Side::Buy);
    let usdt = AssetId(2);
    assert!(ledger.approve(&buy));
    let one = ledger.reserved(usdt);
    assert!(one > 0);
    assert!(ledger.amend(&OrderIntent { qty: Qty(3 * ONE), ..buy }));
    assert_eq!(ledger.reserved(usdt), 3 * one, "more is wanted");
    assert!(ledger.on_report(&told(&buy, 1, ReportKind::AmendRejected, OrderState::Live)));
    assert_eq!(ledger.reserved(usdt), one);
    assert!(ledger.amend(&OrderIntent { qty: Qty(ONE / 2), ..buy }));
    assert_eq!(ledger.reserved(usdt), one, "less is wanted and not granted yet");
    assert!(ledger.on_report(&told(&buy, 2, ReportKind::Done, OrderState::Canceled)));
    assert_eq!(ledger.reserved(usdt), 0, "an end frees both");
}
