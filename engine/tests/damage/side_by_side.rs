//! One recording through two pumps, one of which is lied to.

use bot4::offline::{Message, Pump, Recording, SourceError, What};
use bot4_types::{BookState, InstrumentId, Side};
use bot4_venues::registry::Venue;

use crate::common::recorded::Recorded;
use crate::words;

/// What happens to a message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It is lost.
    Drop,
    /// It comes twice.
    Double,
    /// It comes behind the next one of its book.
    Swap,
    /// It ends early.
    Break,
    /// One digit is another.
    Digit,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Messages damaged.
    pub damaged: u64,
    /// Their book stopped being live by the next message of it.
    pub noticed: u64,
    /// Their book stayed live and equal, as far as its venue vouches for it.
    pub harmless: u64,
    /// A live book differed from the undamaged one.
    pub wrong: u64,
    /// Their book was noticed to be wrong later: what was changed came under the checksum.
    pub later: u64,
    /// Books that a snapshot did not mend.
    pub lost: u64,
}

/// An owned message.
struct Owned {
    recv_ns: i64,
    what: OwnedWhat,
    text: Vec<u8>,
    /// The instrument whose book it changes.
    changes: Option<InstrumentId>,
}

enum OwnedWhat {
    Market,
    Snapshot(Option<String>),
    Other,
}

/// Runs a recording.
pub fn run(recorded: &Recorded, damage: Damage, every: usize, levels_max: usize) -> Outcome {
    let venue = recorded.venue;
    let (recording, messages) = load(recorded);
    let (whole, hurt) =
        (Pump::new(&recording, 0).expect("a pump"), Pump::new(&recording, 0).expect("a pump"));
    let mut pair =
        Pair { venue, damage, levels_max, whole, hurt, outcome: Outcome::default(), quiet: 0 };
    let mut counts = vec![0; recording.table().all().len()];
    let mut at = 0;
    while at < messages.len() {
        let message = &messages[at];
        let due = message.changes.is_some_and(|id| {
            counts[id.index()] += 1;
            pair.is_live(id) && counts[id.index()] % every == every / 2
        });
        at += 1;
        if due {
            pair.damage(message, &messages[at..], &mut at);
        } else {
            pair.both(message, &messages[at..]);
        }
    }
    pair.outcome
}

fn load(recorded: &Recorded) -> (Recording, Vec<Owned>) {
    let (venue, snapshots) = (recorded.venue, recorded.snapshots.as_deref());
    let recording = Recording::read(venue, &recorded.files, snapshots, None).expect("readable");
    let table = recording.table().clone();
    let mut messages = Vec::new();
    recording
        .play(|message: &Message<'_>| {
            let text = String::from_utf8_lossy(message.text);
            let what = match message.what {
                What::Market => OwnedWhat::Market,
                What::Snapshot(name) => OwnedWhat::Snapshot(name.map(str::to_owned)),
                _ => OwnedWhat::Other,
            };
            let name = words::change_of(venue, &text);
            let changes = name.and_then(|name| table.find(name.as_bytes())).map(|i| i.id);
            let text = message.text.to_vec();
            messages.push(Owned { recv_ns: message.recv_ns, what, text, changes });
            Ok::<(), SourceError>(())
        })
        .expect("readable");
    (recording, messages)
}

/// After a damage so many messages are followed by a comparison of the whole books, then one in
/// so many.
const CLOSE_LOOK: usize = 100;
const LOOK_EVERY: usize = 16;

struct Pair {
    venue: Venue,
    damage: Damage,
    levels_max: usize,
    whole: Pump,
    hurt: Pump,
    outcome: Outcome,
    /// Messages since the last damage.
    quiet: usize,
}

impl Pair {
    fn is_live(&self, id: InstrumentId) -> bool {
        let live = |pump: &Pump| pump.books().state(id) == Some(BookState::Live);
        live(&self.whole) && live(&self.hurt)
    }

    fn both(&mut self, message: &Owned, rest: &[Owned]) {
        let was_live = message.changes.is_some_and(|id| self.is_live(id));
        feed(&mut self.whole, message, &message.text);
        feed(&mut self.hurt, message, &message.text);
        self.quiet += 1;
        if was_live && message.changes.is_some_and(|id| self.has_stopped(id)) {
            self.outcome.later += 1;
            self.mend(message, rest);
        }
        if let Some(id) = message.changes
            && (self.quiet < CLOSE_LOOK || self.quiet.is_multiple_of(LOOK_EVERY))
        {
            self.compare(id);
        }
    }

    /// Damages `message`, plays on to the next one of its book, and judges.
    fn damage(&mut self, message: &Owned, rest: &[Owned], at: &mut usize) {
        let Some(id) = message.changes else { return };
        let Some(next) = rest.iter().position(|m| m.changes == Some(id)) else {
            return self.both(message, rest);
        };
        let Some(given) = self.given(message) else { return self.both(message, rest) };
        let before = self.whole.books().update_id(id);
        feed(&mut self.whole, message, &message.text);
        if self.venue.rules().is_mergeable() && self.whole.books().update_id(id) == before {
            // Older than the snapshot: nobody needs it.
            return feed(&mut self.hurt, message, &message.text);
        }
        self.outcome.damaged += 1;
        self.quiet = 0;
        for text in given {
            feed(&mut self.hurt, message, &text);
        }
        let mut noticed = self.has_stopped(id);
        for other in &rest[..=next] {
            feed(&mut self.whole, other, &other.text);
            feed(&mut self.hurt, other, &other.text);
            noticed |= self.has_stopped(id);
        }
        if self.damage == Damage::Swap {
            feed(&mut self.hurt, message, &message.text);
            noticed |= self.has_stopped(id);
        }
        *at += next + 1;
        if noticed {
            self.outcome.noticed += 1;
            self.mend(&rest[next], &rest[next + 1..]);
        } else {
            self.outcome.harmless += u64::from(self.agree(id));
            self.compare(id);
        }
    }

    /// What the lied-to pump gets at once in place of `message`.
    fn given(&self, message: &Owned) -> Option<Vec<Vec<u8>>> {
        let text = &message.text;
        Some(match self.damage {
            Damage::Drop | Damage::Swap => Vec::new(),
            Damage::Double => vec![text.clone(), text.clone()],
            Damage::Break => vec![text[..text.len() * 2 / 3].to_vec()],
            Damage::Digit => {
                vec![words::bent(self.venue, std::str::from_utf8(text).ok()?)?.into_bytes()]
            }
        })
    }

    fn has_stopped(&mut self, id: InstrumentId) -> bool {
        self.hurt.settle().expect("no fault");
        self.hurt.books().state(id) != Some(BookState::Live)
    }

    /// Offers every book that is not live a snapshot of the other pump's.
    fn mend(&mut self, after: &Owned, rest: &[Owned]) {
        let table = self.whole.table().clone();
        if self.venue == Venue::Coinbase {
            // Its numbers are the connection's: a new connection counts afresh.
            for kind in [bot4_types::FrameKind::LineDown, bot4_types::FrameKind::LineUp] {
                feed_as(&mut self.hurt, after.recv_ns, What::Line(kind), b"");
            }
        }
        let number = |m: &Owned| words::sequence_of(std::str::from_utf8(&m.text).ok()?);
        let next = rest.iter().find_map(number).unwrap_or(u64::MAX);
        let hurt: Vec<_> = table
            .all()
            .iter()
            .filter(|i| self.whole.books().state(i.id) == Some(BookState::Live))
            .filter(|i| self.hurt.books().state(i.id) != Some(BookState::Live))
            .collect();
        let first = next.saturating_sub(hurt.len() as u64);
        for (n, instrument) in hurt.iter().enumerate() {
            let books = self.whole.books();
            let ladder = books.ladder(instrument.id).expect("a book");
            let last = books.update_id(instrument.id).unwrap_or(0);
            let time = std::str::from_utf8(&after.text).ok().and_then(words::time_of);
            let time = time.unwrap_or("2020-01-01T00:00:00Z");
            let number = first + n as u64;
            let text = words::snapshot(self.venue, instrument, ladder, last, number, time);
            let what = match self.venue {
                Venue::Binance | Venue::BinanceUsdm => {
                    What::Snapshot(Some(instrument.symbol.as_str()))
                }
                _ => What::Market,
            };
            feed_as(&mut self.hurt, after.recv_ns, what, text.as_bytes());
            let live = self.hurt.books().state(instrument.id) == Some(BookState::Live);
            self.outcome.lost += u64::from(!live || !self.agree(instrument.id));
        }
    }

    /// A live book that differs is the one thing that must not be.
    fn compare(&mut self, id: InstrumentId) {
        if self.is_live(id) && !self.agree(id) {
            self.outcome.wrong += 1;
        }
    }

    fn agree(&self, id: InstrumentId) -> bool {
        let side = |pump: &Pump, side| -> Vec<_> {
            let ladder = pump.books().ladder(id).expect("a book");
            ladder.iter(side).take(self.levels_max).collect()
        };
        [Side::Buy, Side::Sell].iter().all(|s| side(&self.whole, *s) == side(&self.hurt, *s))
    }
}

fn feed(pump: &mut Pump, message: &Owned, text: &[u8]) {
    let what = match &message.what {
        OwnedWhat::Market => What::Market,
        OwnedWhat::Snapshot(name) => What::Snapshot(name.as_deref()),
        OwnedWhat::Other => return,
    };
    feed_as(pump, message.recv_ns, what, text);
}

fn feed_as(pump: &mut Pump, recv_ns: i64, what: What<'_>, text: &[u8]) {
    let conn = bot4_types::ConnId(0);
    pump.feed(&Message { recv_ns, conn, what, text }).expect("no fault");
    pump.settle().expect("no fault");
}
