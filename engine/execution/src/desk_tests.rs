//! The venue's word in any order, and more than once, gives the same account.

use super::*;
use crate::order::FillFact;
use bot4_types::{AssetId, OrderIntent, Price, ReportKind, Side, VenueId};
use bot4_venues::client_text::ClientText;
use proptest::prelude::*;

fn approved(order: u64, qty: i64) -> OrderIntent {
    OrderIntent { order: OrderId(order), qty: Qty(qty), ..crate::order::test_intent() }
}

fn desk() -> Desk {
    let mut desk = Desk::new(64, 1, RunEpoch(1), Nanos::from_secs(1));
    desk.admit(&approved(1, 10), Nanos(1)).expect("room");
    desk.sent(OrderId(1), i64::MIN, Nanos(2));
    desk
}

fn fill(trade_id: u64, qty: i64) -> FillFact {
    let (price, fee_asset) = (Price(100), AssetId(0));
    FillFact { trade_id, qty: Qty(qty), price, fee: 1, fee_asset, maker: true }
}

#[derive(Clone, Copy, Debug)]
enum Told {
    State(VenueState, i64),
    Fill(u64, i64),
}

fn tell(desk: &mut Desk, told: Told) {
    let key = OrderKey::Own(OrderId(1));
    match told {
        Told::State(state, cum) => {
            desk.state_told(key, 7, state, Qty(cum), DoneReason::None, Nanos(3));
        }
        Told::Fill(id, qty) => desk.fill_told(key, 7, InstrumentId(0), fill(id, qty), Nanos(3)),
    }
}

fn reports(desk: &mut Desk) -> Vec<OrderReport> {
    desk.outbox()
        .drain(..)
        .filter_map(|m| if let ExecMsg::Order(r) = m { Some(r) } else { None })
        .collect()
}

/// What must hold of any sequence of reports of one order.
fn check_reports(all: &[OrderReport]) {
    for (i, pair) in all.windows(2).enumerate() {
        assert_eq!(pair[1].seq, pair[0].seq + 1, "report {i}");
        assert!(pair[1].cum_qty >= pair[0].cum_qty, "cumulative quantity only grows");
    }
    let booked: i64 = all.iter().filter(|r| r.kind == ReportKind::Fill).map(|r| r.last_qty.0).sum();
    assert_eq!(booked, all.last().map_or(0, |r| r.cum_qty.0));
    // That something contradicts an ending is no second one.
    let word = |r: &&OrderReport| r.kind != ReportKind::Contradicted;
    let endings = all.iter().filter(word).filter(|r| r.state.is_terminal()).count();
    assert!(endings <= 1, "an order ends once");
}

proptest! {
    /// Every permutation, with repeats, of "acked, two fills, cancelled with 7 filled".
    #[test]
    fn any_order_and_repeats_give_one_ending(
        order in Just(vec![0usize, 1, 2, 3]).prop_shuffle(),
        repeats in proptest::collection::vec(0usize..4, 0..6),
    ) {
        let told = [
            Told::State(VenueState::Open, 0),
            Told::Fill(11, 3),
            Told::Fill(12, 4),
            Told::State(VenueState::Canceled, 7),
        ];
        let mut desk = desk();
        for i in order.iter().chain(&repeats) {
            tell(&mut desk, told[*i]);
        }
        let all = reports(&mut desk);
        check_reports(&all);
        let last = all.last().copied().expect("reports");
        prop_assert_eq!((last.state, last.cum_qty), (OrderState::Canceled, Qty(7)));
        prop_assert_eq!(desk.counts.fills, 2);
        prop_assert_eq!(desk.open(), 0);
    }

    #[test]
    fn whatever_is_told_the_reports_are_consistent(
        told in proptest::collection::vec((0u8..7, 1i64..10, 1u64..6), 0..40),
        lost_at in 0usize..40,
    ) {
        let mut desk = desk();
        let mut all = reports(&mut desk);
        for (i, (what, n, id)) in told.into_iter().enumerate() {
            if i == lost_at {
                desk.all_lost(Nanos(4));
            }
            match what {
                0 => tell(&mut desk, Told::State(VenueState::Open, n)),
                1 => tell(&mut desk, Told::State(VenueState::Filled, 10)),
                2 => tell(&mut desk, Told::State(VenueState::Canceled, n)),
                3 => tell(&mut desk, Told::State(VenueState::Expired, n)),
                4 => desk.place_failed(OrderId(1), Failure::OutcomeUnknown, Nanos(5)),
                5 => drop(desk.cancel_failed(OrderId(1), Failure::NotFound, Nanos(5))),
                _ => tell(&mut desk, Told::Fill(id, n)),
            }
            all.extend(reports(&mut desk));
        }
        let booked = all.iter().filter(|r| r.kind == ReportKind::Fill);
        let fills: i64 = booked.map(|r| r.last_qty.0).sum();
        prop_assert_eq!(fills, all.last().map_or(0, |r| r.cum_qty.0));
        for pair in all.windows(2) {
            prop_assert_eq!(pair[1].seq, pair[0].seq + 1);
        }
        let done = all.iter().filter(|r| r.kind == ReportKind::Done).count();
        prop_assert!(done <= 1);
    }
}

#[test]
fn an_ending_waits_for_its_fills_and_asks_for_them() {
    let mut desk = desk();
    tell(&mut desk, Told::State(VenueState::Open, 0));
    tell(&mut desk, Told::State(VenueState::Canceled, 7));
    tell(&mut desk, Told::Fill(11, 3));
    assert!(reports(&mut desk).iter().all(|r| !r.state.is_terminal()));
    let mut questions = Vec::new();
    desk.questions(Nanos::from_secs(1), 8, &mut questions);
    assert_eq!(questions, [Question::Fills(OrderId(1))]);
    questions.clear();
    desk.questions(Nanos::from_secs(2), 8, &mut questions);
    assert!(questions.is_empty(), "asked once until answered");
    tell(&mut desk, Told::Fill(12, 4));
    assert_eq!(reports(&mut desk).last().map(|r| r.state), Some(OrderState::Canceled));
}

#[test]
fn not_found_proves_nothing_before_the_window_is_over() {
    let mut desk = desk();
    desk.all_lost(Nanos::from_millis(10));
    desk.not_found(OrderId(1), Nanos::from_millis(1_500), Nanos::from_millis(2_500));
    assert_eq!(desk.unknown(), 1);
    desk.not_found(OrderId(1), Nanos::from_millis(2_100), Nanos::from_millis(2_500));
    let last = reports(&mut desk).pop().expect("an ending");
    assert_eq!((last.state, last.reason), (OrderState::Rejected, DoneReason::NotFound));
}

#[test]
fn silence_makes_an_order_unknown_and_evidence_finds_it() {
    let mut desk = desk();
    let mut questions = Vec::new();
    desk.questions(Nanos::from_secs(2), 8, &mut questions);
    assert_eq!(questions, [Question::Status(OrderId(1))]);
    assert_eq!(desk.unknown(), 1);
    tell(&mut desk, Told::State(VenueState::Open, 0));
    let last = reports(&mut desk).pop().expect("found");
    assert_eq!((last.kind, last.state), (ReportKind::Found, OrderState::Live));
}

#[test]
fn orders_of_others_are_told_not_booked() {
    let mut desk = desk();
    let web = OrderKey::Foreign(ClientText::new("web_1").expect("short"));
    let state = |desk: &mut Desk, key, venue_order| {
        desk.state_told(key, venue_order, VenueState::Open, Qty(0), DoneReason::None, Nanos(3));
    };
    desk.fill_told(web, 9, InstrumentId(0), fill(1, 1), Nanos(3));
    state(&mut desk, OrderKey::Venue(99), 99);
    // An order with our epoch that was never approved: another engine.
    state(&mut desk, OrderKey::Own(OrderId(2)), 100);
    assert_eq!((desk.counts.foreign_fills, desk.counts.foreign_orders), (1, 2));
    let told: Vec<_> = desk.outbox().drain(1..).collect();
    let foreign = |venue_order, trade_id| ExecMsg::Foreign {
        at: Nanos(3),
        venue: VenueId(0),
        venue_order,
        trade_id,
        declared: false,
    };
    assert_eq!(told, [foreign(9, 1), foreign(99, 0), foreign(100, 0)]);
    assert_eq!((desk.counts.fills, desk.counts.late), (0, 0));
}

#[test]
fn declared_others_are_told_as_such_their_nameless_fills_too() {
    let mut desk = desk().declaring(VenueId(1), Declared::of(["web_"]).expect("short"));
    tell(&mut desk, Told::State(VenueState::Open, 0));
    desk.outbox().clear();
    let web = OrderKey::Foreign(ClientText::new("web_1").expect("short"));
    desk.state_told(web, 9, VenueState::Open, Qty(0), DoneReason::None, Nanos(3));
    desk.fill_told(OrderKey::Venue(9), 9, InstrumentId(0), fill(1, 1), Nanos(3));
    desk.fill_told(OrderKey::Venue(10), 10, InstrumentId(0), fill(2, 1), Nanos(3));
    let declared = |m: &ExecMsg| matches!(m, ExecMsg::Foreign { declared: true, .. });
    assert_eq!(desk.outbox().iter().map(declared).collect::<Vec<_>>(), [true, true]);
    // Nobody knows yet whose order 10 is.
    let _ = desk.apply(&DeskInput::Nameless(10), Nanos(4), &mut Vec::new());
    assert_eq!(desk.outbox().iter().map(declared).collect::<Vec<_>>(), [true, true, false]);
}

#[test]
fn what_is_told_again_of_a_forgotten_order_is_nobody_elses() {
    let mut desk = desk();
    tell(&mut desk, Told::Fill(11, 10));
    tell(&mut desk, Told::State(VenueState::Filled, 10));
    assert_eq!(desk.table.purge(Nanos::from_secs(60)), 1);
    desk.outbox().clear();
    tell(&mut desk, Told::Fill(11, 10));
    tell(&mut desk, Told::State(VenueState::Filled, 10));
    desk.fill_told(OrderKey::Venue(7), 7, InstrumentId(0), fill(11, 10), Nanos(9));
    assert_eq!((desk.counts.late, desk.counts.foreign_fills), (3, 0));
    assert!(desk.outbox().is_empty());
    desk.fill_told(OrderKey::Venue(7), 7, InstrumentId(0), fill(12, 10), Nanos(9));
    assert_eq!(desk.counts.foreign_fills, 1, "a fill that nobody knows must be explained");
}

#[test]
fn a_late_fill_after_the_end_is_booked_when_it_is_listed() {
    let (mut desk, mut asked) = (desk(), Vec::new());
    tell(&mut desk, Told::State(VenueState::Canceled, 0));
    tell(&mut desk, Told::Fill(11, 3));
    assert_eq!(reports(&mut desk).pop().map(|r| r.kind), Some(ReportKind::Done));
    desk.ask_for_proofs(Nanos::from_secs(1), 8, &mut asked);
    assert_eq!(asked, [Question::Fills(OrderId(1))]);
    tell(&mut desk, Told::Fill(11, 3));
    desk.fills_told(OrderId(1), Nanos::from_secs(2));
    let last = reports(&mut desk).pop().expect("the fill");
    assert_eq!((last.kind, last.cum_qty), (ReportKind::Fill, Qty(3)));
    assert_eq!(last.state, OrderState::Canceled);
}

fn second_order(desk: &mut Desk, instrument: u16) {
    let intent =
        OrderIntent { instrument: InstrumentId(instrument), side: Side::Sell, ..approved(2, 10) };
    desk.admit(&intent, Nanos(1)).expect("room");
    desk.sent(OrderId(2), i64::MIN, Nanos(2));
}

/// Part of the order filled while nobody listened: its state alone tells the quantity.
#[test]
fn an_open_order_that_filled_unseen_is_asked_for_its_fills() {
    let mut desk = desk();
    desk.all_lost(Nanos(5));
    tell(&mut desk, Told::State(VenueState::Open, 3));
    let mut questions = Vec::new();
    desk.questions(Nanos::from_secs(1), 8, &mut questions);
    assert_eq!(questions, [Question::Fills(OrderId(1))]);
    tell(&mut desk, Told::Fill(11, 3));
    desk.unanswered(OrderId(1));
    questions.clear();
    desk.questions(Nanos::from_secs(9), 8, &mut questions);
    assert!(questions.is_empty(), "nothing is missing any more");
}

/// A fill proves that the order reached the venue, not that it still rests there.
#[test]
fn a_fill_does_not_end_the_doubt_about_an_order() {
    let mut desk = desk();
    desk.all_lost(Nanos(5));
    tell(&mut desk, Told::Fill(11, 3));
    let last = reports(&mut desk).pop().expect("the fill");
    assert_eq!((last.kind, last.state), (ReportKind::Fill, OrderState::Unknown));
    assert_eq!(desk.unknown(), 1);
    tell(&mut desk, Told::Fill(12, 7));
    let last = reports(&mut desk).pop().expect("the fill");
    assert_eq!((last.state, desk.unknown()), (OrderState::Filled, 0));
}

/// Both legs of a trade between two own orders have the same trade id.
#[test]
fn both_legs_of_a_self_trade_are_booked() {
    let mut desk = desk();
    second_order(&mut desk, 0);
    for (order, venue_order) in [(1, 7), (2, 8), (1, 7), (2, 8)] {
        let key = OrderKey::Own(OrderId(order));
        desk.fill_told(key, venue_order, InstrumentId(0), fill(11, 4), Nanos(3));
    }
    assert_eq!((desk.counts.fills, desk.trades().duplicates), (2, 2));
}

/// The venue numbers orders per symbol.
#[test]
fn a_venue_number_names_an_order_of_its_instrument_only() {
    let mut desk = Desk::new(64, 2, RunEpoch(1), Nanos::from_secs(1));
    desk.admit(&approved(1, 10), Nanos(1)).expect("room");
    desk.sent(OrderId(1), i64::MIN, Nanos(2));
    second_order(&mut desk, 1);
    let open = VenueState::Open;
    for order in [1, 2] {
        let key = OrderKey::Own(OrderId(order));
        desk.state_told(key, 7, open, Qty(0), DoneReason::None, Nanos(3));
    }
    desk.fill_told(OrderKey::Venue(7), 7, InstrumentId(1), fill(11, 4), Nanos(3));
    let last = reports(&mut desk).pop().expect("the fill");
    assert_eq!((last.order, last.instrument), (OrderId(2), InstrumentId(1)));
}

/// The venue accepted the order, so "does not exist" is no evidence: its answers lag.
#[test]
fn an_accepted_order_is_not_ended_by_not_found() {
    let mut desk = desk();
    tell(&mut desk, Told::State(VenueState::Open, 0));
    desk.not_found(OrderId(1), Nanos::from_secs(60), Nanos::from_secs(61));
    assert_eq!((desk.open(), desk.unknown()), (1, 1));
    tell(&mut desk, Told::State(VenueState::Canceled, 0));
    assert_eq!(desk.open(), 0);
}

#[test]
fn a_question_that_dies_with_the_connection_is_asked_again() {
    let mut desk = desk();
    desk.all_lost(Nanos(5));
    let mut questions = Vec::new();
    desk.questions(Nanos::from_secs(2), 8, &mut questions);
    assert_eq!(questions.len(), 1);
    desk.all_lost(Nanos::from_secs(2));
    questions.clear();
    desk.questions(Nanos::from_secs(4), 8, &mut questions);
    assert_eq!(questions.len(), 1);
}

#[test]
fn a_report_of_not_sent_is_made_once_and_never_of_a_sent_order() {
    let mut desk = desk();
    desk.not_sent(OrderId(1), Nanos(3), DoneReason::Expired);
    assert_eq!(desk.open(), 1, "it was handed to the socket");
    assert_eq!(desk.counts.contradictions, 1);
    second_order(&mut desk, 0);
    desk.admit(&approved(3, 10), Nanos(3)).expect("room");
    desk.all_lost(Nanos(4));
    desk.not_sent(OrderId(3), Nanos(5), DoneReason::NoSession);
    assert_eq!(desk.counts.not_sent, 1);
}

/// Ended orders are kept for late fills, but not at the price of refusing new ones.
#[test]
fn ended_orders_make_room_for_new_ones() {
    let mut desk = Desk::new(8, 1, RunEpoch(1), Nanos::from_secs(1));
    for id in 1..=40 {
        assert!(desk.admit(&approved(id, 10), Nanos(id)).is_ok(), "order {id}");
        if id > 4 {
            desk.not_sent(OrderId(id), Nanos(id), DoneReason::Expired);
        }
    }
    assert_eq!(desk.open(), 4);
}

/// Accepted, and then refused: one of both words is wrong, so the venue is asked.
#[test]
fn a_refusal_of_an_accepted_order_makes_it_unknown() {
    let mut desk = desk();
    tell(&mut desk, Told::State(VenueState::Open, 0));
    desk.place_failed(OrderId(1), Failure::Refused(DoneReason::Balance), Nanos(4));
    assert_eq!((desk.unknown(), desk.counts.contradictions), (1, 1));
    tell(&mut desk, Told::State(VenueState::Rejected, 0));
    assert_eq!(desk.open(), 0, "its own word ends it");
}

/// The proof of non-arrival was wrong: something may rest that nobody counts.
#[test]
fn an_ended_order_that_is_open_at_the_venue_is_reported() {
    let mut desk = desk();
    desk.place_failed(OrderId(1), Failure::Refused(DoneReason::Filter), Nanos(3));
    reports(&mut desk);
    tell(&mut desk, Told::State(VenueState::Open, 0));
    let last = reports(&mut desk).pop().expect("a report");
    assert_eq!((last.kind, last.state), (ReportKind::Contradicted, OrderState::Rejected));
    assert_eq!(desk.counts.contradictions, 1);
}

#[test]
fn fills_beyond_the_order_and_endings_that_differ_are_contradictions() {
    let mut desk = desk();
    tell(&mut desk, Told::Fill(11, 10));
    tell(&mut desk, Told::State(VenueState::Filled, 10));
    tell(&mut desk, Told::State(VenueState::Open, 0));
    assert_eq!(desk.counts.contradictions, 0, "an acceptance may come late");
    tell(&mut desk, Told::Fill(12, 1));
    assert_eq!((desk.counts.contradictions, desk.counts.overfills, desk.counts.fills), (1, 1, 2));
    tell(&mut desk, Told::State(VenueState::Canceled, 10));
    assert_eq!(desk.counts.contradictions, 2);
}

/// An open order that nobody speaks of is asked for; a silent end waits for its fills.
#[test]
fn a_silent_order_is_compared_with_the_venues_word() {
    let mut desk = desk();
    tell(&mut desk, Told::State(VenueState::Open, 0));
    let asked_at = |desk: &mut Desk, ms: u64| {
        let mut asked = Vec::new();
        desk.questions(Nanos::from_millis(ms), 8, &mut asked);
        desk.compare(Nanos::from_millis(ms), 8, &mut asked);
        asked
    };
    assert_eq!(asked_at(&mut desk, 400), []);
    assert_eq!(asked_at(&mut desk, 600), [Question::Status(OrderId(1))]);
    assert_eq!(asked_at(&mut desk, 30_000), [], "the answer is awaited");
    tell(&mut desk, Told::State(VenueState::Canceled, 4));
    assert_eq!(desk.open(), 1, "four of it were filled, and nobody heard of that");
    assert_eq!(asked_at(&mut desk, 31_000), [Question::Fills(OrderId(1))]);
    tell(&mut desk, Told::Fill(9, 4));
    assert_eq!(desk.open(), 0);
}

/// None of a hundred orders waits behind the others: the one of which nothing was heard for
/// longest is next.
#[test]
fn every_order_at_rest_has_its_turn() {
    let mut desk = Desk::new(256, 1, RunEpoch(1), Nanos::from_secs(1));
    for n in 1..=100 {
        desk.admit(&approved(n, 10), Nanos(n)).expect("room");
        desk.sent(OrderId(n), i64::MIN, Nanos(n));
        let key = OrderKey::Own(OrderId(n));
        desk.state_told(key, n, VenueState::Open, Qty(0), DoneReason::None, Nanos(n));
    }
    let mut turns: Vec<u64> = Vec::new();
    for step in 1..=200 {
        let (now, mut asked) = (Nanos::from_millis(500 + step * 100), Vec::new());
        desk.compare(now, 1, &mut asked);
        let Some(Question::Status(order)) = asked.pop() else { panic!("nothing at {step}") };
        desk.unanswered(order);
        turns.push(order.0);
    }
    let round: Vec<u64> = (1..=100).collect();
    assert_eq!((&turns[..100], &turns[100..]), (&round[..], &round[..]));
    let resting = desk.resting(Nanos::from_millis(20_500), Nanos::from_secs(9));
    assert_eq!((resting.due, resting.age_max), (10, Nanos::from_millis(9_900)));
}

fn listed(desk: &mut Desk, key: OrderKey, venue_order: u64, ms: u64) -> Outcome {
    let input = DeskInput::Listed { key, venue_order, cum_qty: Qty(2) };
    desk.apply(&input, Nanos::from_millis(ms), &mut Vec::new())
}

#[test]
fn a_list_speaks_of_what_rests_and_of_nothing_else() {
    let (mut desk, own) = (desk(), OrderKey::Own(OrderId(1)));
    assert_eq!(listed(&mut desk, own, 7, 10), Outcome::Nothing, "the answer is on its way");
    tell(&mut desk, Told::State(VenueState::Open, 0));
    assert_eq!(listed(&mut desk, own, 7, 5_000), Outcome::Changed);
    assert_eq!(desk.resting(Nanos::from_secs(6), Nanos::from_secs(2)).due, 0, "two are missing");
    let mut asked = Vec::new();
    desk.questions(Nanos::from_secs(6), 8, &mut asked);
    assert_eq!(asked, [Question::Fills(OrderId(1))], "it counts fills that nobody heard of");
    tell(&mut desk, Told::Fill(11, 2));
    desk.cancel_sent(OrderId(1), Nanos::from_secs(7));
    tell(&mut desk, Told::State(VenueState::Canceled, 2));
    desk.outbox().clear();
    assert_eq!(listed(&mut desk, own, 7, 7_100), Outcome::Nothing, "older than its end");
    assert!(desk.outbox().is_empty());
}

#[test]
fn a_listed_order_that_must_not_be_there_is_told_once() {
    let mut desk = desk();
    let foreign = |desk: &mut Desk| {
        desk.outbox()
            .drain(..)
            .filter(|m| matches!(m, ExecMsg::Foreign { declared: false, .. }))
            .count()
    };
    let web = OrderKey::Foreign(ClientText::new("web_1").expect("short"));
    listed(&mut desk, web, 99, 10);
    listed(&mut desk, web, 99, 5_000);
    assert_eq!((foreign(&mut desk), desk.counts.foreign_orders), (1, 1));
    // One of ours that ended and was forgotten rests all the same.
    tell(&mut desk, Told::State(VenueState::Canceled, 0));
    assert_eq!(desk.table.purge(Nanos::from_secs(60)), 1);
    for ms in [61_000, 66_000] {
        listed(&mut desk, OrderKey::Own(OrderId(1)), 7, ms);
    }
    assert_eq!((foreign(&mut desk), desk.counts.contradictions), (1, 1));
}

/// The venue's clock steps back between the send and the question: what our own clock takes for
/// proof is none, because the request may still be taken.
#[test]
fn a_clock_that_stepped_back_proves_nothing_until_it_has_caught_up() {
    let mut desk = Desk::new(64, 1, RunEpoch(1), Nanos::from_secs(1)).timed(true);
    desk.admit(&approved(1, 10), Nanos(1)).expect("room");
    let deadline_ms = 1_000_000;
    let apply = |desk: &mut Desk, input: DeskInput, ms: u64| {
        desk.apply(&input, Nanos::from_millis(ms), &mut Vec::new());
    };
    apply(&mut desk, DeskInput::Sent(OrderId(1), deadline_ms), 0);
    apply(&mut desk, DeskInput::PlaceFailed(OrderId(1), Failure::OutcomeUnknown), 100);
    // Asked after three seconds; by then the venue's clock went back by two of them.
    for (asked_ms, venue_ms, unknown) in
        [(3_000, deadline_ms, 1), (3_900, deadline_ms + 900, 1), (4_000, deadline_ms + 1_000, 0)]
    {
        let asked = Nanos::from_millis(asked_ms);
        apply(&mut desk, DeskInput::VenueTime(asked, venue_ms), asked_ms + 10);
        apply(&mut desk, DeskInput::NotFound(OrderId(1), asked), asked_ms + 20);
        assert_eq!(desk.unknown(), unknown, "asked at {asked_ms} ms");
    }
    let last = reports(&mut desk).pop().expect("an ending");
    assert_eq!((last.state, last.reason), (OrderState::Rejected, DoneReason::NotFound));
}

/// Where both go different ways the venue's time may be told after the denial that it came with:
/// then that is the moment of the proof. A later question's time proves nothing of an earlier one.
#[test]
fn a_denial_is_proven_by_the_time_that_was_asked_with_it() {
    let mut desk = Desk::new(64, 1, RunEpoch(1), Nanos::from_secs(1)).timed(true);
    desk.admit(&approved(1, 10), Nanos(1)).expect("room");
    let apply = |desk: &mut Desk, input: DeskInput, ms: u64| {
        desk.apply(&input, Nanos::from_millis(ms), &mut Vec::new());
        desk.unknown()
    };
    apply(&mut desk, DeskInput::Sent(OrderId(1), 1_000), 0);
    apply(&mut desk, DeskInput::PlaceFailed(OrderId(1), Failure::OutcomeUnknown), 100);
    let asked = Nanos::from_millis(3_000);
    let later = DeskInput::VenueTime(Nanos::from_millis(3_400), 9_000);
    assert_eq!(apply(&mut desk, DeskInput::NotFound(OrderId(1), asked), 3_010), 1);
    assert_eq!(apply(&mut desk, later, 3_410), 1, "told for a later question");
    let asked = Nanos::from_millis(4_000);
    assert_eq!(apply(&mut desk, DeskInput::NotFound(OrderId(1), asked), 4_010), 1);
    assert_eq!(apply(&mut desk, DeskInput::VenueTime(asked, 1_999), 4_020), 1, "not past it");
    let asked = Nanos::from_millis(4_600);
    assert_eq!(apply(&mut desk, DeskInput::NotFound(OrderId(1), asked), 4_610), 1);
    assert_eq!(apply(&mut desk, DeskInput::VenueTime(asked, 2_100), 4_620), 0);
    let last = reports(&mut desk).pop().expect("an ending");
    assert_eq!((last.state, last.reason), (OrderState::Rejected, DoneReason::NotFound));
}

/// Two endings that cannot both be: the second is evidence that our account and the venue's differ,
/// and risk hears of it.
#[test]
fn an_ending_that_contradicts_another_reaches_risk() {
    let mut desk = desk();
    tell(&mut desk, Told::State(VenueState::Canceled, 0));
    desk.outbox().clear();
    tell(&mut desk, Told::State(VenueState::Canceled, 0));
    assert!(reports(&mut desk).is_empty(), "told twice is no contradiction");
    tell(&mut desk, Told::State(VenueState::Filled, 0));
    let told = reports(&mut desk).pop().expect("told");
    assert_eq!((told.kind, told.state), (ReportKind::Contradicted, OrderState::Canceled));
    assert_eq!((desk.counts.contradictions, desk.counts.canceled, desk.counts.filled), (1, 1, 0));
}

fn waiting_desk() -> Desk {
    let mut desk = Desk::new(64, 1, RunEpoch(1), Nanos::from_secs(1));
    let kind = bot4_types::OrderKind::StopLossLimit;
    let intent = OrderIntent { kind, trigger: Price(90), ..approved(1, 10) };
    desk.admit(&intent, Nanos(1)).expect("room");
    desk.sent(OrderId(1), i64::MIN, Nanos(2));
    desk
}

fn told(desk: &mut Desk) -> Vec<(ReportKind, OrderState)> {
    reports(desk).iter().map(|r| (r.kind, r.state)).collect()
}

#[test]
fn an_order_that_waits_is_untriggered_until_the_venue_says_otherwise() {
    use OrderState as S;
    use ReportKind as K;
    let mut desk = waiting_desk();
    tell(&mut desk, Told::State(VenueState::Untriggered, 0));
    assert_eq!(told(&mut desk), [(K::Sent, S::Sent), (K::Acked, S::Untriggered)]);
    desk.all_lost(Nanos(4));
    assert_eq!(told(&mut desk), [(K::Lost, S::Unknown)]);
    tell(&mut desk, Told::State(VenueState::Untriggered, 0));
    assert_eq!(told(&mut desk), [(K::Found, S::Untriggered)]);
    tell(&mut desk, Told::State(VenueState::Open, 0));
    assert_eq!(told(&mut desk), [(K::Triggered, S::Live)]);
    tell(&mut desk, Told::State(VenueState::Untriggered, 0));
    assert_eq!(told(&mut desk), [], "late news");
    tell(&mut desk, Told::Fill(5, 10));
    assert_eq!(told(&mut desk), [(K::Fill, S::Filled)]);
    assert_eq!(desk.counts.contradictions, 0);
}

#[test]
fn a_fill_says_that_an_order_was_triggered() {
    use OrderState as S;
    use ReportKind as K;
    let mut desk = waiting_desk();
    tell(&mut desk, Told::Fill(5, 4));
    let all = [
        (K::Sent, S::Sent),
        (K::Acked, S::Untriggered),
        (K::Triggered, S::Live),
        (K::Fill, S::PartiallyFilled),
    ];
    assert_eq!(told(&mut desk), all);
    desk.cancel_sent(OrderId(1), Nanos(5));
    tell(&mut desk, Told::State(VenueState::Canceled, 4));
    assert_eq!(told(&mut desk).last(), Some(&(K::Done, S::Canceled)));
}

#[test]
fn a_refused_cancel_leaves_an_order_waiting() {
    let mut desk = waiting_desk();
    tell(&mut desk, Told::State(VenueState::Untriggered, 0));
    desk.cancel_sent(OrderId(1), Nanos(5));
    desk.cancel_failed(OrderId(1), Failure::Refused(DoneReason::Other), Nanos(6));
    let last = told(&mut desk).pop();
    assert_eq!(last, Some((ReportKind::CancelRejected, OrderState::Untriggered)));
}
