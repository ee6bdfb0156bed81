//! No order is priced off a book that is not live: the mark that risk used says live and is
//! young, and the book's own state, once risk had the chance to hear of it, allowed it. A wish
//! that brings what is held nearer to zero and that no market data caused needs no book.

use bot4_types::log::{Body, Reader};
use bot4_types::{
    BookState, Cause, ExecMsg, LogEntry, LogKind, Mark, Nanos, OrderAction, OrderIntent, ReportKind,
};

use super::{Checker, View, body};

/// Rounds of book and risk after which risk must have heard that a book is not live: the ring
/// may be full once, and marks of other instruments may go first.
const ROUNDS: u32 = 8;

/// What risk was told and could know.
pub struct Stale {
    mark_age_max: Nanos,
    marks: Vec<Mark>,
    dead: Vec<Dead>,
    /// What is held, by fills.
    net: Vec<i64>,
}

/// A book that is not live, and how long risk could know it.
#[derive(Clone, Copy, Default)]
struct Dead {
    rounds: u32,
    told: bool,
    /// Risk must know since then.
    known_since: Option<Nanos>,
}

impl Stale {
    /// For so many instruments.
    #[must_use]
    pub fn new(instruments: usize, mark_age_max: Nanos) -> Self {
        let (marks, dead) =
            (vec![Mark::default(); instruments], vec![Dead::default(); instruments]);
        Self { mark_age_max, marks, dead, net: vec![0; instruments] }
    }

    fn count_rounds(&mut self, view: &View<'_>) {
        for (at, dead) in self.dead.iter_mut().enumerate() {
            if view.books.get(at) == Some(&BookState::Live) {
                *dead = Dead::default();
                continue;
            }
            let book = view.role.strip_prefix("book.").and_then(|n| n.parse::<usize>().ok());
            if book.is_some_and(|n| at % crate::topology::BOOKS == n) {
                dead.told = true;
            } else if view.role == "risk" && std::mem::take(&mut dead.told) {
                dead.rounds += 1;
                if dead.rounds == ROUNDS {
                    dead.known_since = Some(view.now);
                }
            }
        }
    }

    fn approved(&self, intent: &OrderIntent, at: Nanos) -> Result<(), String> {
        let index = intent.instrument.index();
        let closes = -intent.side.sign() * self.net.get(index).copied().unwrap_or(0);
        if intent.cause != Cause::Market && intent.qty.0 <= closes {
            return Ok(());
        }
        let mark = self.marks.get(index).copied().unwrap_or_default();
        if mark.state != BookState::Live {
            return Err(format!("approved on a mark that says {:?}: {intent:?}", mark.state));
        }
        if at.since(mark.at) > self.mark_age_max {
            return Err(format!("approved on a mark of {} at {}", mark.at.0, at.0));
        }
        match self.dead.get(index).and_then(|d| d.known_since) {
            Some(since) if at > since => Err(format!(
                "approved at {} although its book is not live and risk could know since {}: \
                 {intent:?}",
                at.0, since.0
            )),
            _ => Ok(()),
        }
    }

    fn log(&mut self, entry: &LogEntry) -> Result<(), String> {
        if let Some(mark) = body::<Mark>(entry, LogKind::Mark)
            && let Some(held) = self.marks.get_mut(mark.instrument.index())
        {
            *held = mark;
        }
        if let Some(ExecMsg::Order(report)) = body::<ExecMsg>(entry, LogKind::Report)
            && report.kind == ReportKind::Fill
            && let Some(net) = self.net.get_mut(report.instrument.index())
        {
            *net += report.side.sign() * report.last_qty.0;
        }
        if entry.kind != LogKind::Approved as u8 {
            return Ok(());
        }
        match OrderIntent::read(&mut Reader::over(entry.body())) {
            Some(i) if i.action == OrderAction::Place => self.approved(&i, entry.at),
            _ => Ok(()),
        }
    }
}

impl Checker for Stale {
    fn name(&self) -> &'static str {
        "stale"
    }

    fn look(&mut self, view: &View<'_>) -> Result<(), String> {
        self.count_rounds(view);
        view.seen.risk_log.iter().try_for_each(|entry| self.log(entry))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, intent};
    use super::*;

    fn mark(fixture: &mut Fixture, state: BookState, at: Nanos) {
        let mark = Mark { state, at, bid: 1, ask: 2, ..Mark::default() };
        fixture.risk(LogKind::Mark, |w| mark.write(w));
    }

    fn approve(fixture: &mut Fixture) {
        fixture.risk(LogKind::Approved, |w| intent(1).write(w));
    }

    #[test]
    fn dead_and_old_marks_are_found() {
        let (mut fixture, mut stale) = (Fixture::new(), Stale::new(1, Nanos(100)));
        fixture.now = Nanos(1_000);
        mark(&mut fixture, BookState::Live, Nanos(900));
        approve(&mut fixture);
        assert_eq!(fixture.look(&mut stale), Ok(()));
        mark(&mut fixture, BookState::Live, Nanos(899));
        approve(&mut fixture);
        assert!(fixture.look(&mut stale).is_err(), "too old");
        mark(&mut fixture, BookState::Stale, Nanos(1_000));
        approve(&mut fixture);
        assert!(fixture.look(&mut stale).is_err(), "stale");
    }

    #[test]
    fn closing_without_a_book_is_allowed_where_no_market_data_caused_it() {
        use super::super::fixture::report;
        use bot4_types::{OrderState, Qty, Side};
        let (mut fixture, mut stale) = (Fixture::new(), Stale::new(1, Nanos(100)));
        let fill = report(1, ReportKind::Fill, OrderState::Filled, 5);
        let fill = ExecMsg::Order(bot4_types::OrderReport { last_qty: Qty(5), ..fill });
        fixture.risk(LogKind::Report, |w| fill.write(w));
        mark(&mut fixture, BookState::Stale, Nanos(1_000));
        let mut approved = |cause, side, qty| {
            let intent = OrderIntent { cause, side, qty: Qty(qty), ..intent(2) };
            fixture.risk(LogKind::Approved, |w| intent.write(w));
            fixture.look(&mut stale).is_ok()
        };
        assert!(approved(Cause::Report, Side::Sell, 5));
        assert!(!approved(Cause::Report, Side::Sell, 6), "beyond what is held");
        assert!(!approved(Cause::Report, Side::Buy, 1), "more of it");
        assert!(!approved(Cause::Market, Side::Sell, 5), "priced off the book");
    }

    #[test]
    fn a_dead_book_whose_marks_say_live_is_found() {
        let (mut fixture, mut stale) = (Fixture::new(), Stale::new(1, Nanos(1_000_000)));
        mark(&mut fixture, BookState::Live, Nanos(1));
        assert_eq!(fixture.look(&mut stale), Ok(()));
        fixture.books = vec![BookState::Stale];
        for round in 0..ROUNDS {
            fixture.now = Nanos(u64::from(round) + 2);
            approve(&mut fixture);
            fixture.role = "book.0";
            assert_eq!(fixture.look(&mut stale), Ok(()), "risk may not know yet");
            fixture.role = "risk";
            assert_eq!(fixture.look(&mut stale), Ok(()));
        }
        fixture.now = Nanos(1_000);
        approve(&mut fixture);
        assert!(fixture.look(&mut stale).is_err_and(|e| e.contains("could know")));
    }
}
