//! Plain HTTP requests: questions anybody may ask, and, where a venue has it so, orders. Faults of
//! the account touch the latter: an answer that is lost leaves its connection waiting.

use crate::dialect::{Ask, Page, Reply};
use crate::pulse::Fate;
use crate::venue::{ConnId, Out, Venue};

impl Venue {
    /// A plain GET request arrived; its answer.
    pub fn get(&mut self, path_and_query: &str, now_ns: u64) -> Page {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        self.ask(&Ask { method: "GET", path, query, headers: &[], body: "" }, now_ns)
    }

    /// A plain request arrived; its answer, which may leave when the account's records are stored.
    pub fn ask(&mut self, ask: &Ask<'_>, now_ns: u64) -> Page {
        self.advance(now_ns);
        if self.pulse.is_down() {
            return Page { status: 503, body: String::new() };
        }
        let page = self.speak(|dialect, desk| dialect.ask(desk, ask));
        self.settle_requests();
        page.unwrap_or(Page { status: 404, body: String::new() })
    }

    /// As [`Venue::ask`], on this connection: `None` where the answer comes later, or never, by
    /// [`Out::Reply`].
    pub fn ask_on(&mut self, conn: ConnId, ask: &Ask<'_>, now_ns: u64) -> Option<Reply> {
        let mut page = self.ask(ask, now_ns);
        let headers = self.dialect.headers();
        let Some(is_order) = self.dialect.is_order(ask) else {
            return Some(Reply { page, headers });
        };
        self.askers.insert(conn);
        match self.pulse.fate(is_order) {
            Fate::Lost => return None,
            Fate::Failed => page = Page { status: 503, body: String::new() },
            Fate::Sent => {}
        }
        let reply = Out::Reply(Box::new(Reply { page, headers }));
        match self.hold_answer(conn, reply, is_order) {
            Some(Out::Reply(reply)) => Some(*reply),
            _ => None,
        }
    }
}
