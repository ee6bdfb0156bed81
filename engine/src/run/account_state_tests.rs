use super::*;
use bot4_risk::units;
use bot4_types::Symbol;

fn table() -> (InstrumentTable, AssetId) {
    let mut table = InstrumentTable::new();
    let name = |s| Symbol::new(s).expect("short");
    let [base, quote] = ["AAA", "USDT"].map(|a| table.asset(name(a)).expect("room"));
    let bare = Instrument::bare(InstrumentId(0), name("AAAUSDT"), 8);
    table.push(Instrument { base, quote, ..bare }).expect("room");
    (table, quote)
}

fn state() -> AccountState {
    let row = PositionRow {
        place: 1,
        strategy: "ema_cross".to_owned(),
        symbol: "AAAUSDT".to_owned(),
        qty: -7,
        cost: -700,
        decimals: [8, 8],
    };
    let balances = [("AAA", 5), ("USDT", 100)];
    AccountState {
        format: FORMAT,
        run: "1-2".to_owned(),
        asset: "USDT".to_owned(),
        peak: units(200),
        day: 20_000,
        day_open: units(150),
        balances: balances.map(|(a, n)| (a.to_owned(), AmountText(units(n)))).into(),
        settled: true,
        asked_ms: [("binance".to_owned(), 7)].into(),
        positions: vec![row],
        late: Vec::new(),
        strays: Vec::new(),
        stopped: Vec::new(),
        unexplained: None,
        mode: Some(ModeRow::of(ControlMode::Manual, ControlMode::FullAuto)),
    }
}

const KINDS: &[&str] = &["market_maker", "ema_cross"];

fn past(state: &AccountState, balances: [i64; 2], kinds: &[&str]) -> Past {
    past_with(state, balances, kinds, true)
}

fn past_with(s: &AccountState, balances: [i64; 2], kinds: &[&str], follow: bool) -> Past {
    let (table, quote) = table();
    let held = [(AssetId(0), units(balances[0])), (AssetId(1), units(balances[1]))];
    s.past(&table, quote, &held, kinds, (Wall { origin_unix_ns: 3 }, follow))
}

#[test]
fn it_reads_back_and_a_changed_byte_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("accounts/x/state");
    assert_eq!(AccountState::read(&path).expect("readable"), None);
    state().write(&path).expect("written");
    state().write(&path).expect("written over");
    assert_eq!(AccountState::read(&path).expect("readable"), Some(state()));
    let mut bytes = std::fs::read(&path).expect("there");
    for at in 0..bytes.len() - 1 {
        bytes[at] ^= 1;
        std::fs::write(&path, &bytes).expect("written");
        assert!(AccountState::read(&path).is_err(), "byte {at}");
        bytes[at] ^= 1;
    }
    bytes.truncate(bytes.len() / 2);
    std::fs::write(&path, &bytes).expect("written");
    let error = AccountState::read(&path).expect_err("torn").to_string();
    assert!(error.contains("x/state") && error.contains("help:"), "{error}");
}

#[test]
fn peak_day_and_positions_are_taken_over() {
    let past = past(&state(), [5, 100], KINDS);
    let e = &past.equity;
    assert_eq!((e.peak, e.day, e.day_open), (units(200), 20_000, units(150)));
    assert_eq!((e.wall.origin_unix_ns, e.flows.len(), past.notes.len()), (3, 0, 0));
    let held = past.held[0];
    assert_eq!((held.strategy, held.qty, held.cost), (StrategyId(1), Qty(-7), -700));
}

#[test]
fn what_came_or_went_is_a_flow_only_where_the_last_balances_are_certain() {
    let moved = past(&state(), [6, 40], KINDS);
    let flows = vec![(AssetId(0), units(1)), (AssetId(1), units(-60))];
    assert_eq!(moved.equity.flows, flows);
    assert!(moved.notes[0].contains("AAA +1, USDT -60"), "{:?}", moved.notes);
    let torn = AccountState { settled: false, ..state() };
    let kept = past(&torn, [6, 40], KINDS);
    assert_eq!((kept.equity.peak, kept.equity.flows.len()), (units(200), 0));
    assert!(kept.notes[0].contains("cannot be explained"), "{:?}", kept.notes);
}

#[test]
fn money_that_no_fill_explains_is_in_doubt_until_a_person_accepts_it() {
    let past = past_with(&state(), [6, 100], KINDS, false);
    assert_eq!(past.recovered.doubts, [(AssetId(0), units(1))]);
    assert!(past.equity.flows.is_empty() && past.notes[0].contains("bot4 resume"));
    let same = past_with(&state(), [5, 100], KINDS, false);
    assert_eq!((same.recovered, same.notes.len()), (Recovered::default(), 0));
}

/// One AAA was bought for 10 in the gap, at a fee of 1 USDT: by our order, or by nobody's.
#[test]
fn fills_in_the_gap_explain_the_balances_and_are_the_strategy_s_or_nobody_s() {
    let row = GapRow {
        holder: Some((1, "ema_cross".to_owned())),
        order: 9,
        symbol: "AAAUSDT".to_owned(),
        decimals: [8, 8],
        trade_id: 4,
        buy: true,
        qty: 100_000_000,
        price: 1_000_000_000,
        fee: units(1),
        fee_asset: "USDT".to_owned(),
        maker: true,
        at_ms: 5,
    };
    let ours = AccountState { late: vec![row.clone()], ..state() };
    let found = past_with(&ours, [6, 89], KINDS, false);
    assert_eq!((found.recovered.late.len(), found.notes.len()), (1, 0), "{:?}", found.notes);
    assert!(found.recovered.doubts.is_empty() && found.recovered.stopped.is_empty());
    assert_eq!(found.held[0].qty, Qty(-7), "the next run books it itself");
    // More than a document holds are positions at once.
    let many = (0..300).map(|trade_id| GapRow { trade_id, qty: 1, ..row.clone() }).collect();
    let many = past_with(&AccountState { late: many, ..state() }, [5, 100], KINDS, true);
    assert_eq!((many.recovered.late.len(), many.held[0].qty), (LATE_MAX, Qty(-7 + 44)));

    let nobody_s = AccountState { strays: vec![GapRow { holder: None, ..row }], ..state() };
    let found = past_with(&nobody_s, [6, 89], KINDS, false);
    assert_eq!(found.recovered.stopped, [InstrumentId(0)]);
    assert!(found.recovered.doubts.is_empty() && found.recovered.late.is_empty());
    let told = &found.notes[0];
    assert!(told.contains("trade 4 bought 1 at 10") && told.contains("--instrument"), "{told}");
    let kept = AccountState { stopped: vec!["AAAUSDT".to_owned()], ..state() };
    assert_eq!(past_with(&kept, [5, 100], KINDS, false).recovered.stopped.len(), 1);
    assert_eq!(past_with(&kept, [5, 100], KINDS, true).recovered.stopped.len(), 0);
}

#[test]
fn a_strategy_that_moved_keeps_its_position_and_one_that_is_gone_is_told() {
    let moved = past(&state(), [5, 100], &["ema_cross"]);
    assert_eq!(moved.held[0].strategy, StrategyId(0));
    let gone = past(&state(), [5, 100], &["market_maker"]);
    assert!(gone.held.is_empty() && gone.notes[0].contains("no stop"), "{:?}", gone.notes);
    let other = AccountState { asset: "EUR".to_owned(), ..state() };
    let other = past(&other, [5, 100], KINDS);
    assert!(other.equity.peak == 0 && other.notes[0].contains("begins anew"));
}
