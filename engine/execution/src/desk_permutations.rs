//! Any legal interleaving of the same venue events ends in the same state.
//!
//! The venue's answers and its events travel apart, messages are repeated, and status answers come
//! in between; only what is causal keeps its order: an answer follows its request, and a status
//! answer tells what was so when it was given. The fills that are told make the account; here
//! they are compared with what the venue did.

use super::*;
use crate::order::FillFact;
use bot4_types::rng::SplitMix64;
use bot4_types::{AssetId, OrderKind, Price};
use proptest::prelude::*;

/// What the venue did with the order.
#[derive(Clone, Debug)]
struct Deeds {
    /// Trade ids and quantities.
    fills: Vec<(u64, i64)>,
    /// How it ended.
    end: VenueState,
    /// A cancel was sent, and refused if the end was another.
    cancel: bool,
    /// It waited for a trigger, and was triggered if anything filled or this says so.
    stop: Option<bool>,
}

#[derive(Clone, Copy, Debug)]
enum Word {
    State(VenueState, i64),
    Fill(u64, i64),
    CancelRefused,
    /// The connection broke: everything is asked for.
    Lost,
    /// Asked for its state, the venue answers.
    Status(VenueState, i64),
    Unanswered,
}

const QTY: i64 = 12;

fn deeds() -> impl Strategy<Value = Deeds> {
    let ends = prop_oneof![
        Just(VenueState::Filled),
        Just(VenueState::Canceled),
        Just(VenueState::Expired),
    ];
    let stops = prop_oneof![Just(None), any::<bool>().prop_map(Some)];
    (proptest::collection::vec(1i64..5, 0..4), ends, any::<bool>(), stops).prop_map(
        |(mut parts, end, cancel, stop)| {
            if end == VenueState::Filled {
                parts.push(QTY - parts.iter().sum::<i64>().min(QTY));
            }
            let mut left = QTY;
            let mut fills = Vec::new();
            for qty in parts {
                let qty = qty.min(left);
                left -= qty;
                if qty > 0 {
                    fills.push((100 + fills.len() as u64, qty));
                }
            }
            let full = fills.iter().map(|(_, q)| q).sum::<i64>() == QTY;
            let end = if full { VenueState::Filled } else { end };
            let stop = stop.map(|triggered| triggered || !fills.is_empty());
            Deeds { fills, end, cancel: cancel || end == VenueState::Canceled, stop }
        },
    )
}

impl Deeds {
    fn filled(&self) -> i64 {
        self.fills.iter().map(|(_, q)| q).sum()
    }

    /// Everything that the venue tells of it, each word as often as it likes, in any order; what
    /// was so in between may be told at any time, too.
    fn words(&self, rng: &mut SplitMix64) -> Vec<Word> {
        let mut words = vec![Word::State(self.end, self.filled())];
        if self.stop.is_some() {
            words.push(Word::State(VenueState::Untriggered, 0));
            words.push(Word::Status(VenueState::Untriggered, 0));
        }
        if self.stop != Some(false) {
            words.push(Word::State(VenueState::Open, 0));
        }
        let mut cum = 0;
        for (id, qty) in &self.fills {
            cum += qty;
            words.push(Word::Fill(*id, *qty));
            if cum < QTY {
                words.push(Word::State(VenueState::Open, cum));
                words.push(Word::Status(VenueState::Open, cum));
            }
        }
        words.push(Word::Status(self.end, self.filled()));
        words.push(Word::Unanswered);
        if self.cancel && self.end != VenueState::Canceled {
            words.push(Word::CancelRefused);
        }
        if rng.below(2) == 0 {
            words.push(Word::Lost);
        }
        for _ in 0..rng.below(6) {
            words.push(words[rng.below(words.len() as u64) as usize]);
        }
        for i in (1..words.len()).rev() {
            words.swap(i, rng.below(i as u64 + 1) as usize);
        }
        words
    }

    /// Tells `words` to a fresh desk and gives back its last report, booked trades and counts.
    fn told(&self, words: &[Word]) -> (OrderState, i64, Vec<(u64, i64)>, DeskCounts) {
        let mut desk = Desk::new(8, 1, RunEpoch(1), Nanos::from_secs(1));
        let (id, mut now) = (OrderId(1), Nanos(1));
        let mut intent = OrderIntent { qty: Qty(QTY), ..crate::order::test_intent() };
        if self.stop.is_some() {
            (intent.kind, intent.trigger) = (OrderKind::StopLossLimit, Price(90));
        }
        desk.admit(&intent, now).expect("room");
        desk.sent(id, i64::MIN, now);
        if self.cancel {
            desk.cancel_sent(id, now);
        }
        for word in words {
            now = now + Nanos::from_millis(10);
            self.tell(&mut desk, *word, now);
        }
        let (state, cum) = desk.order(id).map(|o| (o.state, o.cum_qty.0)).expect("remembered");
        let mut booked: Vec<(u64, i64)> = Vec::new();
        let told = desk
            .outbox()
            .iter()
            .filter(|m| matches!(m, ExecMsg::Order(r) if r.kind == ReportKind::Triggered));
        // Told at most once, of what waited and was triggered; before the first fill.
        let triggered = told.count();
        assert!(triggered <= usize::from(self.stop == Some(true)), "{triggered} triggers");
        assert!(self.stop.is_none() || self.fills.is_empty() || triggered == 1);
        for message in desk.outbox().drain(..) {
            if let ExecMsg::Order(r) = message
                && r.kind == ReportKind::Fill
            {
                booked.push((r.trade_id, r.last_qty.0));
            }
        }
        booked.sort_unstable();
        (state, cum, booked, desk.counts)
    }

    fn tell(&self, desk: &mut Desk, word: Word, now: Nanos) {
        let (id, key) = (OrderId(1), OrderKey::Own(OrderId(1)));
        let state = |desk: &mut Desk, state, cum| {
            desk.state_told(key, 7, state, Qty(cum), DoneReason::None, now);
        };
        match word {
            Word::State(told, cum) => state(desk, told, cum),
            Word::Status(told, cum) => {
                if let Some(order) = desk.table.find(id) {
                    order.asking = true;
                }
                state(desk, told, cum);
            }
            Word::Fill(trade_id, qty) => {
                let (price, fee_asset) = (Price(100), AssetId(0));
                let fill =
                    FillFact { trade_id, qty: Qty(qty), price, fee: 1, fee_asset, maker: true };
                desk.fill_told(key, 7, InstrumentId(0), fill, now);
            }
            Word::CancelRefused => {
                desk.cancel_failed(id, Failure::Refused(DoneReason::None), now);
            }
            Word::Lost => desk.all_lost(now),
            Word::Unanswered => desk.unanswered(id),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_interleaving_ends_in_the_same_state(deeds in deeds(), seed in any::<u64>()) {
        let mut rng = SplitMix64::new(seed);
        let wanted = match deeds.end {
            VenueState::Filled => OrderState::Filled,
            VenueState::Canceled => OrderState::Canceled,
            _ => OrderState::Expired,
        };
        for _ in 0..3 {
            let words = deeds.words(&mut rng);
            let (state, cum, booked, counts) = deeds.told(&words);
            prop_assert_eq!(state, wanted, "{:?}", words);
            prop_assert_eq!(cum, deeds.filled());
            prop_assert_eq!(&booked, &deeds.fills);
            prop_assert_eq!((counts.contradictions, counts.overfills), (0, 0), "{:?}", words);
            let endings = counts.filled + counts.canceled + counts.expired;
            prop_assert_eq!(endings, 1);
        }
    }
}

#[test]
fn a_rest_that_would_take_after_an_amend_has_expired() {
    let key = OrderKey::Own(OrderId(1));
    for (rests, wanted) in [(false, OrderState::Rejected), (true, OrderState::Expired)] {
        let mut desk = Desk::new(64, 1, RunEpoch(1), Nanos::from_secs(1));
        desk.admit(&crate::order::test_intent(), Nanos(1)).expect("room");
        desk.sent(OrderId(1), i64::MIN, Nanos(2));
        if rests {
            desk.state_told(key, 7, VenueState::Open, Qty(0), DoneReason::None, Nanos(3));
        }
        let (state, reason) = (VenueState::Rejected, DoneReason::WouldTake);
        desk.state_told(key, 7, state, Qty(0), reason, Nanos(3));
        let last = desk.outbox().drain(..).next_back();
        assert!(matches!(last, Some(ExecMsg::Order(r)) if r.state == wanted), "{last:?}");
    }
}
