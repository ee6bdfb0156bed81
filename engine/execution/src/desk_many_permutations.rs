//! Any legal interleaving of the same venue events ends in the same state, of several orders at a
//! time, of which some are amended, refused, never arrive or fill beyond their quantity, with words
//! about orders of others in between.
//!
//! As in `permutations`; an amend is on its way from the start. The venue made it after some of
//! the fills, in place or by an order of another number; it refused it; or it made its first half
//! alone. What it tells of that comes in any order and as often as it likes, its answer may be lost
//! when the terms or a late question tell the same.

use super::*;
use crate::order::FillFact;
use crate::order::Terms;
use bot4_types::rng::SplitMix64;
use bot4_types::{AssetId, Price};
use bot4_venues::client_text::ClientText;
use proptest::prelude::*;

/// Ordered, price and quantity.
const OLD: Terms = Terms { price: Price(100), qty: Qty(12) };
/// A question asked so long after an order or its amend proves that it did not come.
const LATE: Nanos = Nanos::from_secs(5);

/// What came of an order or of its amend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Amended when so many fills were made.
    Made(usize),
    Refused,
    /// The amend never reached the venue.
    NeverCame,
    /// The order was cancelled for it, and its replacement refused.
    HalfMade,
    /// The venue refused the order.
    Rejected,
    /// The order never reached the venue.
    NeverArrived,
    /// The venue filled more than was ordered.
    Overfilled,
}

impl Fate {
    const fn amends(self) -> bool {
        matches!(self, Self::Made(_) | Self::Refused | Self::NeverCame | Self::HalfMade)
    }

    const fn arrives(self) -> bool {
        !matches!(self, Self::Rejected | Self::NeverArrived)
    }
}

#[derive(Clone, Debug)]
struct Deeds {
    new: Terms,
    replaces: bool,
    fate: Fate,
    fills: Vec<(u64, i64)>,
    end: VenueState,
    cancel: bool,
}

/// A word about the order of this number.
#[derive(Clone, Copy, Debug)]
enum Word {
    State(u64, VenueState, i64),
    Fill(u64, u64, i64),
    Terms(u64, Terms),
    AmendRefused(Failure),
    PlaceRefused,
    NotFound(Nanos),
    /// The same, asked for it. The time says when.
    Status(u64, VenueState, i64, Nanos),
    Asked(u64, Terms, Nanos),
    /// Asked for by its own name, the order that should replace it does not exist.
    NoReplacement(Nanos),
    CancelRefused,
    /// Of another program.
    Foreign(u64),
    Lost,
}

prop_compose! {
    fn deeds()(
        price in 99i64..102, qty in 4i64..20, replaces: bool,
        parts in prop::collection::vec(1i64..6, 0..5), fate in 0usize..14, expires: bool,
        cancel: bool,
    ) -> Deeds {
        let new = Terms { price: Price(price), qty: Qty(qty) };
        let fate = match fate {
            0 => Fate::Refused,
            1 => Fate::NeverCame,
            2 if replaces => Fate::HalfMade,
            3 => Fate::Rejected,
            4 => Fate::NeverArrived,
            5 => Fate::Overfilled,
            // Replaced only while nothing is filled.
            n => Fate::Made(if replaces { 0 } else { n % 4 }),
        };
        Deeds::lived(new, replaces, fate, &parts, [expires, cancel])
    }
}

impl Deeds {
    /// A life that `fate` allows: an amend of what is filled is refused, and so is one whose turn
    /// never came.
    fn lived(
        new: Terms,
        replaces: bool,
        fate: Fate,
        parts: &[i64],
        [expires, cancel]: [bool; 2],
    ) -> Self {
        let (mut fills, mut cum, mut made) = (Vec::new(), 0, fate == Fate::Made(0));
        for part in parts.iter().filter(|_| fate.arrives() && fate != Fate::HalfMade) {
            let most = if made { new.qty.0 } else { OLD.qty.0 };
            let part = (*part).min(most - cum);
            if part <= 0 {
                break;
            }
            fills.push((fills.len() as u64, part));
            cum += part;
            let turn = fate == Fate::Made(fills.len()) && cum < OLD.qty.0.min(new.qty.0);
            made |= turn;
        }
        let fate = if matches!(fate, Fate::Made(_)) && !made { Fate::Refused } else { fate };
        if fate == Fate::Overfilled {
            fills.push((fills.len() as u64, OLD.qty.0 + 1 - cum));
            cum = OLD.qty.0 + 1;
        }
        let whole = if made { new.qty.0 } else { OLD.qty.0 };
        let end = match fate {
            Fate::Rejected | Fate::NeverArrived => VenueState::Rejected,
            _ if cum >= whole => VenueState::Filled,
            Fate::HalfMade => VenueState::Canceled,
            _ if expires => VenueState::Expired,
            _ => VenueState::Canceled,
        };
        Self { new, replaces, fate, fills, end, cancel: cancel || end == VenueState::Canceled }
    }

    fn filled(&self) -> i64 {
        self.fills.iter().map(|(_, q)| q).sum()
    }

    /// What of 7 and 8 the order's number ends with when `n` fills were made.
    fn number(&self, n: usize) -> u64 {
        match self.fate {
            Fate::Made(at) if self.replaces && n >= at => 8,
            _ => 7,
        }
    }

    fn words(&self) -> Vec<Word> {
        match self.fate {
            Fate::Rejected => return vec![Word::PlaceRefused, Word::NotFound(LATE)],
            Fate::NeverArrived => return vec![Word::NotFound(LATE), Word::NotFound(Nanos(9))],
            _ => {}
        }
        let last = self.number(self.fills.len());
        let mut words = vec![
            Word::State(7, VenueState::Open, 0),
            Word::Terms(7, OLD),
            Word::State(last, self.end, self.filled()),
            Word::Status(last, self.end, self.filled(), LATE),
        ];
        match self.fate {
            Fate::Made(at) => {
                words.push(Word::Terms(self.number(at), self.new));
                words.push(Word::Asked(self.number(at), self.new, LATE));
                if self.replaces {
                    words.push(Word::State(7, VenueState::Canceled, 0));
                    words.push(Word::State(8, VenueState::Open, 0));
                }
            }
            Fate::Refused => {
                words.push(Word::AmendRefused(Failure::Refused(DoneReason::Other)));
                words.push(Word::AmendRefused(Failure::NotFound));
            }
            Fate::NeverCame if self.replaces => {
                words.push(Word::NoReplacement(LATE));
                words.push(Word::NoReplacement(Nanos(9)));
            }
            Fate::NeverCame => words.push(Word::Asked(7, OLD, LATE)),
            Fate::HalfMade => {
                words.push(Word::AmendRefused(Failure::Refused(DoneReason::Balance)));
            }
            _ => {}
        }
        let whole = if matches!(self.fate, Fate::Made(_)) { self.new.qty.0 } else { OLD.qty.0 };
        let mut cum = 0;
        for (n, (id, qty)) in self.fills.iter().enumerate() {
            cum += qty;
            let number = self.number(n);
            words.push(Word::Fill(number, *id, *qty));
            if cum < whole {
                words.push(Word::State(number, VenueState::Open, cum));
                words.push(Word::Status(number, VenueState::Open, cum, Nanos(0)));
            }
        }
        if self.cancel && self.end != VenueState::Canceled {
            words.push(Word::CancelRefused);
        }
        words
    }

    /// The order is on its way, or rests with its amend on its way.
    fn begin(&self, desk: &mut Desk, id: OrderId) {
        let test = crate::order::test_intent();
        let intent = OrderIntent { order: id, qty: OLD.qty, price: OLD.price, ..test };
        desk.admit(&intent, Nanos(1)).expect("room");
        desk.sent(id, i64::MIN, Nanos(1));
        if self.fate.amends() {
            tell(desk, id, Word::State(7, VenueState::Open, 0), Nanos(2));
            desk.amend_sent(id, self.new, self.replaces, i64::MIN, Nanos(3));
        }
        if self.cancel {
            desk.cancel_sent(id, Nanos(4));
        }
    }

    fn check(&self, order: &Order, booked: &[(u64, i64)]) -> Result<(), TestCaseError> {
        let wanted = match self.end {
            VenueState::Filled => OrderState::Filled,
            VenueState::Canceled => OrderState::Canceled,
            VenueState::Rejected => OrderState::Rejected,
            _ => OrderState::Expired,
        };
        prop_assert_eq!((order.state, order.cum_qty), (wanted, Qty(self.filled())));
        prop_assert_eq!((booked, order.amend), (self.fills.as_slice(), None));
        if self.replaces && matches!(self.fate, Fate::Made(_)) {
            let terms = Terms { price: order.price, qty: order.qty };
            prop_assert_eq!((order.venue_order, terms), (numbered(order.id, 8), self.new));
        }
        Ok(())
    }
}

/// The venue's number `number` of an order: each has its own.
const fn numbered(id: OrderId, number: u64) -> u64 {
    10 * id.0 + number
}

/// All words about all orders in some order, some of them more than once.
fn shuffled(all: &[Deeds], rng: &mut SplitMix64) -> Vec<(OrderId, Word)> {
    let mut words: Vec<_> = (1..)
        .zip(all)
        .flat_map(|(id, deeds)| deeds.words().into_iter().map(move |word| (OrderId(id), word)))
        .collect();
    for n in 0..rng.below(3) {
        words.push((OrderId(0), Word::Foreign(n)));
    }
    for _ in 0..rng.below(2) {
        words.push((OrderId(0), Word::Lost));
    }
    for _ in 0..rng.below(8) {
        words.push(words[rng.below(words.len() as u64) as usize]);
    }
    for i in (1..words.len()).rev() {
        words.swap(i, rng.below(i as u64 + 1) as usize);
    }
    words
}

fn ask(desk: &mut Desk, id: OrderId, at: Nanos) {
    if let Some(order) = desk.table.find(id) {
        (order.asking, order.asked_at) = (true, at);
    }
}

fn tell(desk: &mut Desk, id: OrderId, word: Word, now: Nanos) {
    let (own, none) = (OrderKey::Own(id), DoneReason::None);
    match word {
        Word::State(number, state, cum) => {
            desk.state_told(own, numbered(id, number), state, Qty(cum), none, now);
        }
        Word::Status(number, state, cum, at) => {
            ask(desk, id, at);
            desk.state_told(own, numbered(id, number), state, Qty(cum), none, now);
        }
        Word::Terms(number, terms) => desk.terms_told(own, numbered(id, number), terms, now),
        Word::Asked(number, terms, at) => {
            ask(desk, id, at);
            desk.terms_told(own, numbered(id, number), terms, now);
        }
        Word::Fill(number, trade, qty) => {
            let (trade_id, price, fee_asset) = (1_000 * id.0 + trade, Price(100), AssetId(0));
            let fill = FillFact { trade_id, qty: Qty(qty), price, fee: 1, fee_asset, maker: true };
            desk.fill_told(own, numbered(id, number), InstrumentId(0), fill, now);
        }
        Word::NoReplacement(asked_at) => _ = desk.no_replacement(id, asked_at, now),
        Word::AmendRefused(failure) => _ = desk.amend_failed(id, failure, now),
        Word::PlaceRefused => desk.place_failed(id, Failure::Refused(DoneReason::Filter), now),
        Word::NotFound(asked_at) => desk.not_found(id, asked_at, now),
        Word::CancelRefused => _ = desk.cancel_failed(id, Failure::Refused(none), now),
        Word::Foreign(n) => {
            let name = ClientText::new("web_1").expect("short");
            desk.state_told(OrderKey::Foreign(name), 900 + n, VenueState::Open, Qty(0), none, now);
        }
        Word::Lost => desk.all_lost(now),
    }
}

/// A desk that was told `words`, and its booked trades by order.
fn told(all: &[Deeds], words: &[(OrderId, Word)]) -> (Desk, Vec<Vec<(u64, i64)>>) {
    let mut desk = Desk::new(8, 1, RunEpoch(1), Nanos::from_secs(1));
    for (id, deeds) in (1..).zip(all) {
        deeds.begin(&mut desk, OrderId(id));
    }
    let mut now = Nanos(10);
    for (id, word) in words {
        now = now + Nanos::from_millis(10);
        tell(&mut desk, *id, *word, now);
    }
    let mut booked = vec![Vec::new(); all.len()];
    for message in desk.outbox().drain(..) {
        if let ExecMsg::Order(r) = message
            && r.kind == ReportKind::Fill
        {
            booked[r.order.0 as usize - 1].push((r.trade_id % 1_000, r.last_qty.0));
        }
    }
    booked.iter_mut().for_each(|trades| trades.sort_unstable());
    (desk, booked)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_interleaving_about_several_orders_ends_in_the_same_state(
        all in prop::collection::vec(deeds(), 1..4), seed in any::<u64>(),
    ) {
        let mut rng = SplitMix64::new(seed);
        for _ in 0..2 {
            let words = shuffled(&all, &mut rng);
            let (mut desk, booked) = told(&all, &words);
            for ((id, deeds), booked) in (1..).zip(&all).zip(&booked) {
                let order = *desk.order(OrderId(id)).expect("remembered");
                if let Err(e) = deeds.check(&order, booked) {
                    return Err(TestCaseError::fail(format!("{e}: {deeds:?} of {words:?}")));
                }
            }
            let foreign = words.iter().filter(|(_, w)| matches!(w, Word::Foreign(_))).count();
            prop_assert_eq!(desk.counts.foreign_orders, foreign as u64);
            let over = all.iter().filter(|d| d.fate == Fate::Overfilled).count() as u64;
            let c = desk.counts;
            if over == 0 {
                prop_assert_eq!((c.contradictions, c.overfills), (0, 0), "{:?}", words);
                let endings = c.filled + c.canceled + c.expired + c.rejected;
                prop_assert_eq!(endings, all.len() as u64);
            }
            prop_assert!(c.overfills >= over && desk.open() == 0);
        }
    }
}
