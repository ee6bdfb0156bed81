//! The ledger against its naive twin: lives of orders, doubled and out of order, compared after
//! every single report.

mod common;

use bot4_risk::naive::{NaiveLedger, NaiveState};
use bot4_risk::{Ledger, RiskLimits};
use bot4_types::rng::SplitMix64;
use bot4_types::{
    AssetId, HeldPosition, InstrumentId, OrderIntent, OrderKind, OrderReport, OrderState, Qty,
    ReportKind, Side, StrategyId,
};
use common::{Life, ONE, STRATEGIES, balances, disturb, fill, place, report, table};
use proptest::prelude::*;

/// The ledger's answers in the twin's form; zeros left out on both sides by `without_zeros`.
fn state_of(ledger: &Ledger) -> NaiveState {
    let mut state = NaiveState {
        fills: ledger.counts().fills,
        open: ledger.open_orders(),
        unknown: ledger.unknown_orders(),
        ..NaiveState::default()
    };
    for instrument in ledger.table().all() {
        let total = ledger.total(instrument.id).expect("known");
        let mut sum = 0;
        for s in (0..STRATEGIES).map(|s| StrategyId(s as u8)) {
            let position = ledger.position(s, instrument.id).0;
            sum += i128::from(position);
            state.positions.insert((s, instrument.id), i128::from(position));
        }
        assert_eq!(total.position.qty, sum, "the account holds what its strategies hold");
        for side in [Side::Buy, Side::Sell] {
            state.leaves.insert((instrument.id, side), total.leaves[side.index()]);
        }
    }
    for asset in (0..3).map(AssetId) {
        state.balances.insert(asset, ledger.expected_balance(asset));
        state.reserved.insert(asset, ledger.reserved(asset));
        state.fees.insert(asset, ledger.fees(asset));
    }
    without_zeros(state)
}

fn without_zeros(mut state: NaiveState) -> NaiveState {
    state.positions.retain(|_, v| *v != 0);
    state.leaves.retain(|_, v| *v != 0);
    state.balances.retain(|_, v| *v != 0);
    state.reserved.retain(|_, v| *v != 0);
    state.fees.retain(|_, v| *v != 0);
    state
}

fn orders(rng: &mut SplitMix64, count: u64) -> Vec<OrderIntent> {
    let mut draw = |id| {
        let side = if rng.below(2) == 0 { Side::Buy } else { Side::Sell };
        let price = 90 * ONE + rng.below(20) as i64 * ONE;
        let qty = 1 + rng.below(5 * ONE as u64) as i64;
        let mut intent = place(id, rng.below(2) as u16, side, price, qty);
        if rng.below(4) == 0 {
            let kinds = [OrderKind::Market, OrderKind::StopLoss, OrderKind::TakeProfitLimit];
            intent.kind = kinds[rng.below(3) as usize];
        }
        intent
    };
    (1..=count).map(&mut draw).collect()
}

proptest! {
    #![proptest_config(common::cases(300))]

    #[test]
    fn equals_the_twin_after_every_report(
        seed in any::<u64>(), count in 1u64..20, reach in 1u64..60,
    ) {
        let mut rng = SplitMix64::new(seed);
        let limits = RiskLimits::default();
        let mut ledger = Ledger::new(&table(), STRATEGIES, &balances(), &limits);
        let mut twin = NaiveLedger::new(&table(), &balances(), &limits);
        let (mut told, mut trade) = (Vec::new(), 0);
        for intent in orders(&mut rng, count) {
            prop_assert!(ledger.approve(&intent));
            twin.approve(&intent);
            told.extend(Life::draw(&intent, &mut rng, &mut trade));
        }
        prop_assert_eq!(state_of(&ledger), without_zeros(twin.state()));
        let disturbed = disturb(&told, &mut rng, reach);
        for report in &disturbed {
            ledger.on_report(report);
            twin.on_report(report);
            prop_assert_eq!(state_of(&ledger), without_zeros(twin.state()));
        }
        let fills = |r: &&OrderReport| r.kind == ReportKind::Fill;
        let doubled = disturbed.iter().filter(fills).count() - told.iter().filter(fills).count();
        prop_assert_eq!(ledger.counts().duplicates, doubled as u64);
        prop_assert_eq!(ledger.counts().drift(), 0);
        prop_assert_eq!(ledger.settling_orders(), 0, "every fill was told in the end");
    }

}

proptest! {
    #![proptest_config(common::cases(6))]

    /// Slots and fill nodes are recycled many times over; the sums still agree.
    #[test]
    fn long_runs_recycle_without_a_trace(seed in any::<u64>()) {
        let mut rng = SplitMix64::new(seed);
        let limits = RiskLimits::default();
        let mut ledger = Ledger::new(&table(), STRATEGIES, &balances(), &limits);
        let (mut base, mut fills) = (0i128, 0u64);
        for id in 1..=12_000u64 {
            let intent = place(id, 0, Side::Buy, 100 * ONE, 1 + rng.below(1_000) as i64);
            prop_assert!(ledger.approve(&intent));
            let half = intent.qty.0 / 2;
            let mut cum = 0;
            for (i, last) in [half, intent.qty.0 - half].into_iter().enumerate() {
                if last > 0 {
                    cum += last;
                    let fill = fill(&intent, i as u32 + 1, last, cum, id * 2 + i as u64);
                    prop_assert!(ledger.on_report(&fill));
                    prop_assert!(!ledger.on_report(&fill), "doubled");
                    fills += 1;
                }
            }
            base += i128::from(intent.qty.0);
        }
        prop_assert_eq!(ledger.total(InstrumentId(0)).map(|e| e.position.qty), Some(base));
        prop_assert_eq!((ledger.counts().fills, ledger.counts().duplicates), (fills, fills));
        prop_assert_eq!((ledger.open_orders(), ledger.reserved(common::USDT)), (0, 0));
    }
}

fn ledger_with(intent: &OrderIntent) -> Ledger {
    let mut ledger = Ledger::new(&table(), STRATEGIES, &balances(), &RiskLimits::default());
    assert!(ledger.approve(intent));
    ledger
}

#[test]
fn a_reservation_is_freed_by_a_terminal_report_alone() {
    let buy = place(1, 0, Side::Buy, 100 * ONE, ONE);
    let mut ledger = ledger_with(&buy);
    let reserved = bot4_risk::units(100) + bot4_risk::units(1) / 10;
    assert_eq!(ledger.reserved(common::USDT), reserved);
    for (seq, kind, state) in [
        (1, ReportKind::Sent, OrderState::Sent),
        (2, ReportKind::Lost, OrderState::Unknown),
        (3, ReportKind::CancelSent, OrderState::PendingCancel),
    ] {
        ledger.on_report(&report(&buy, seq, kind, state, 0));
        assert_eq!(ledger.reserved(common::USDT), reserved);
    }
    ledger.on_report(&report(&buy, 4, ReportKind::Done, OrderState::NotSent, 0));
    assert_eq!((ledger.reserved(common::USDT), ledger.open_orders()), (0, 0));
}

#[test]
fn an_ended_order_holds_what_its_missing_fills_need() {
    let sell = place(1, 0, Side::Sell, 100 * ONE, 10 * ONE);
    let mut ledger = ledger_with(&sell);
    ledger.on_report(&report(&sell, 3, ReportKind::Done, OrderState::Canceled, 4 * ONE));
    assert_eq!((ledger.open_orders(), ledger.settling_orders()), (0, 1));
    assert_eq!(ledger.reserved(AssetId(0)), bot4_risk::units(4));
    ledger.on_report(&fill(&sell, 2, 4 * ONE, 4 * ONE, 9));
    assert_eq!((ledger.settling_orders(), ledger.reserved(AssetId(0))), (0, 0));
    assert_eq!(ledger.counts().drift(), 0);
}

#[test]
fn what_does_not_fit_is_counted() {
    let buy = place(5, 0, Side::Buy, 100 * ONE, ONE);
    let mut ledger = ledger_with(&buy);
    // The same quantity under another trade id: the cumulative quantity exposes it.
    assert!(ledger.on_report(&fill(&buy, 1, ONE / 2, ONE / 2, 1)));
    assert!(!ledger.on_report(&fill(&buy, 2, ONE / 2, ONE / 2, 77)));
    assert_eq!(ledger.counts().duplicates, 1);
    // More than was ordered, with the venue's own cumulative quantity behind it: booked, drift.
    assert!(ledger.on_report(&fill(&buy, 3, ONE, ONE + ONE / 2, 2)));
    assert_eq!(ledger.counts().overfills, 1);
    assert_eq!(ledger.position(StrategyId(1), InstrumentId(0)).0, ONE + ONE / 2);
    // After an end that called it complete.
    assert!(ledger.on_report(&fill(&buy, 4, ONE, 2 * ONE + ONE / 2, 3)));
    assert_eq!(ledger.counts().after_done, 1);
    // An order this run never approved: booked once.
    let stranger = place(900, 1, Side::Sell, 100 * ONE, ONE);
    assert!(ledger.on_report(&fill(&stranger, 1, ONE, ONE, 4)));
    assert!(!ledger.on_report(&fill(&stranger, 1, ONE, ONE, 4)));
    assert_eq!((ledger.counts().orphans, ledger.counts().duplicates), (1, 2));
    // Numbers that are none, and a report of the wrong side.
    let mut bad = fill(&buy, 5, ONE, 4 * ONE, 5);
    bad.last_price.0 = -1;
    assert!(!ledger.on_report(&bad));
    bad.side = Side::Sell;
    assert!(!ledger.on_report(&bad));
    assert_eq!(ledger.counts().invalid, 2);
}

#[test]
fn a_start_balance_is_taken_from_the_venue_only_before_anything_moved() {
    let limits = RiskLimits::default();
    let mut ledger = Ledger::new(&table(), STRATEGIES, &balances()[1..], &limits);
    ledger.on_balance(AssetId(0), 7, 3);
    ledger.on_balance(AssetId(0), 100, 100);
    ledger.on_balance(AssetId(1), 1, 1);
    assert_eq!(ledger.expected_balance(AssetId(0)), 10);
    assert_eq!(ledger.expected_balance(AssetId(1)), bot4_risk::units(50));
    assert_eq!(ledger.venue_balance(AssetId(1)), Some((1, 1)));
}

/// The venue leaves empty balances out, so the bought asset may be named first by the event that
/// follows a fill, and that event may overtake the fill: the balance holds it already.
#[test]
fn a_balance_told_after_the_first_approval_is_no_start() {
    let limits = RiskLimits::default();
    let mut ledger = Ledger::new(&table(), STRATEGIES, &balances()[1..], &limits);
    let buy = place(1, 0, Side::Buy, 100 * ONE, ONE);
    assert!(ledger.approve(&buy));
    let held = bot4_risk::units(1) - bot4_risk::units(1) / 1_000;
    ledger.on_balance(AssetId(0), held, 0);
    assert!(ledger.on_report(&fill(&buy, 1, ONE, ONE, 1)));
    assert_eq!(ledger.expected_balance(AssetId(0)), held);
}

/// A discount may be paid with an asset that no instrument of the run trades. The fill is real.
#[test]
fn a_fill_whose_fee_asset_is_not_in_the_table_is_booked() {
    let buy = place(1, 0, Side::Buy, 100 * ONE, ONE);
    let mut ledger = ledger_with(&buy);
    let paid = OrderReport { fee_asset: AssetId::NONE, fee: 5, ..fill(&buy, 1, ONE, ONE, 1) };
    assert!(ledger.on_report(&paid));
    assert_eq!(ledger.position(StrategyId(1), InstrumentId(0)).0, ONE);
    assert_eq!(ledger.expected_balance(AssetId(0)), bot4_risk::units(51));
    assert_eq!((ledger.counts().fees_elsewhere, ledger.counts().invalid), (1, 0));
    assert_eq!((ledger.counts().drift(), ledger.settling_orders()), (0, 0));
}

/// Profit of the account in quote units at `price`, by both costs, and cash less cost.
fn profits(ledger: &Ledger, price: i64) -> Vec<[i128; 4]> {
    let of = |i: &bot4_types::Instrument| {
        let average = ledger.total(i.id).expect("known").position;
        let fifo = *ledger.fifo(i.id).expect("known");
        let price = bot4_types::Price(price);
        [
            average.realized + average.unrealized(price),
            fifo.realized + fifo.unrealized(price),
            average.realized - average.cost,
            fifo.realized - fifo.cost,
        ]
    };
    ledger.table().all().iter().map(of).collect()
}

proptest! {
    #![proptest_config(common::cases(200))]

    /// Any order and any repetition of the same reports: the same holdings, and the same profit
    /// at a mark by either cost. Only its split into realised and open follows the order.
    #[test]
    fn the_order_of_reports_changes_no_holding_and_no_profit(
        seed in any::<u64>(), count in 1u64..20, price in 1i64..200,
    ) {
        let mut rng = SplitMix64::new(seed);
        let limits = RiskLimits::default();
        let fresh = || Ledger::new(&table(), STRATEGIES, &balances(), &limits);
        let (mut plain, mut shuffled) = (fresh(), fresh());
        let (mut told, mut trade) = (Vec::new(), 0);
        for intent in orders(&mut rng, count) {
            prop_assert!(plain.approve(&intent) && shuffled.approve(&intent));
            told.extend(Life::draw(&intent, &mut rng, &mut trade));
        }
        told.iter().for_each(|report| { plain.on_report(report); });
        let reach = told.len() as u64 + 1;
        for report in disturb(&told, &mut rng, reach) {
            shuffled.on_report(&report);
            for [average, fifo, paid_average, paid_fifo] in profits(&shuffled, price * ONE) {
                prop_assert_eq!((average, paid_average), (fifo, paid_fifo));
            }
        }
        prop_assert_eq!(state_of(&plain), state_of(&shuffled));
        prop_assert_eq!(profits(&plain, price * ONE), profits(&shuffled, price * ONE));
        for s in (0..STRATEGIES).map(|s| StrategyId(s as u8)) {
            for i in [InstrumentId(0), InstrumentId(1)] {
                let fifo = shuffled.strategy_fifo(s, i).expect("known");
                prop_assert_eq!(fifo.qty, i128::from(shuffled.position(s, i).0));
            }
        }
    }
}

#[test]
fn first_in_first_out_and_average_cost_split_profit_differently() {
    let mut ledger = Ledger::new(&table(), STRATEGIES, &balances(), &RiskLimits::default());
    let mut fill_at = |id, side, price| {
        let intent = place(id, 0, side, price * ONE, ONE);
        assert!(ledger.approve(&intent) && ledger.on_report(&fill(&intent, 1, ONE, ONE, id)));
    };
    fill_at(2, Side::Buy, 100);
    fill_at(4, Side::Buy, 110);
    fill_at(6, Side::Sell, 120);
    let one = i128::from(ONE) * i128::from(ONE);
    let average = ledger.total(InstrumentId(0)).expect("known").position;
    let fifo = ledger.strategy_fifo(StrategyId(0), InstrumentId(0)).expect("known");
    assert_eq!((average.realized, average.cost), (15 * one, 105 * one));
    assert_eq!((fifo.realized, fifo.cost), (20 * one, 110 * one));
    assert_eq!(ledger.strategy_fifo(StrategyId(1), InstrumentId(0)).map(|f| f.qty), Some(0));
}

#[test]
fn funding_is_booked_once_in_cash_and_apart_from_fills() {
    let mut ledger = Ledger::new(&table(), STRATEGIES, &balances(), &RiskLimits::default());
    let before = ledger.expected_balance(common::USDT);
    let mut paid = |i, id, asset, amount| ledger.on_funding(InstrumentId(i), id, asset, amount);
    assert!(paid(0, 7, common::USDT, -5));
    assert!(!paid(0, 7, common::USDT, -5), "doubled");
    assert!(paid(1, 7, common::USDT, 2), "another instrument's number");
    assert!(!paid(9, 8, common::USDT, 1), "no such instrument");
    assert!(!paid(0, 9, AssetId(9), 1), "no such asset");
    assert!(!paid(0, 9, common::USDT, i128::MAX), "no number");
    assert_eq!(ledger.expected_balance(common::USDT), before - 3);
    assert_eq!((ledger.funding(common::USDT), ledger.fees(common::USDT)), (-3, 0));
    let counts = ledger.counts();
    assert_eq!((counts.fundings, counts.fundings_doubled, counts.invalid), (2, 1, 3));
    assert_eq!(ledger.total(InstrumentId(0)).map(|e| e.position.qty), Some(0));
}

#[test]
fn what_is_held_from_an_earlier_run_counts_at_its_cost() {
    let one = i128::from(ONE) * i128::from(ONE);
    let held = |strategy, qty: i64, cost| HeldPosition {
        strategy: StrategyId(strategy),
        instrument: InstrumentId(0),
        qty: Qty(qty),
        cost,
    };
    let mut ledger = Ledger::new(&table(), STRATEGIES, &balances(), &RiskLimits::default());
    let before = ledger.expected_balance(AssetId(0));
    ledger.take_over(&[held(0, 3 * ONE, 270 * one + 1), held(1, -ONE, -110 * one)]);
    assert_eq!(ledger.expected_balance(AssetId(0)), before, "the start holds it already");
    assert_eq!(ledger.position(StrategyId(0), InstrumentId(0)), Qty(3 * ONE));
    assert_eq!(
        ledger.total(InstrumentId(0)).map(|e| e.worst(Side::Buy)),
        Some(2 * i128::from(ONE))
    );
    let sell = place(2, 0, Side::Sell, 100 * ONE, 3 * ONE);
    assert!(ledger.approve(&sell) && ledger.on_report(&fill(&sell, 1, 3 * ONE, 3 * ONE, 1)));
    let own = ledger.exposure(StrategyId(0), InstrumentId(0)).expect("known").position;
    let fifo = *ledger.strategy_fifo(StrategyId(0), InstrumentId(0)).expect("known");
    assert_eq!((own.qty, own.cost, own.realized), (0, 0, 30 * one - 1));
    assert_eq!((fifo.qty, fifo.cost, fifo.realized), (0, 0, 30 * one - 1));
}
