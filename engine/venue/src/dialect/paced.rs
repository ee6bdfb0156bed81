//! One book at one depth that is told at a pace, and who listens to it.
//!
//! Nothing is due while nothing changed; a change is told at the next multiple of the pace.

use crate::matching::Book;
use crate::venue::ConnId;

use super::window::{Changed, Moves, Window};

/// See the module.
#[derive(Debug)]
pub struct Paced {
    /// What listeners hold.
    pub window: Window,
    /// Who listens.
    pub conns: Vec<ConnId>,
    /// When the next message is due, ns.
    pub due_ns: Option<u64>,
    pace_ns: u64,
    changed: Changed,
}

impl Paced {
    /// A book as it is now, not yet heard.
    pub fn new(book: &Book, depth: usize, pace_ns: u64) -> Self {
        let (window, changed) = (Window::new(book, depth), Changed::default());
        Self { window, conns: Vec::new(), due_ns: None, pace_ns, changed }
    }

    /// Prices of its market changed.
    pub fn note(&mut self, changed: &Changed, now_ns: u64) {
        for (mine, more) in self.changed.iter_mut().zip(changed) {
            mine.extend(more);
        }
        // Exactly on a border it is too late for that border: its message has left.
        self.due_ns.get_or_insert((now_ns / self.pace_ns + 1) * self.pace_ns);
    }

    /// What happened since the last time.
    pub fn flush(&mut self, book: &Book) -> Moves {
        self.due_ns = None;
        self.window.follow(book, &std::mem::take(&mut self.changed))
    }
}

/// Takes a connection off a list; true if nobody is left.
pub fn leave(conns: &mut Vec<ConnId>, conn: ConnId) -> bool {
    conns.retain(|&c| c != conn);
    conns.is_empty()
}

/// Puts a connection on a list once.
pub fn join(conns: &mut Vec<ConnId>, conn: ConnId) {
    if !conns.contains(&conn) {
        conns.push(conn);
    }
}
