//! Looking up host names beside the lanes: the system's resolver blocks, so a helper thread asks
//! it, and lanes exchange questions and answers with the helper by bounded channels without
//! waiting. A question that finds no room is dropped; the next connect asks again.
//!
//! Declared exception to "only rings", and only while connecting: at most one question and a few
//! answers for each attempt.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Questions and answers under way at most.
const QUEUE: usize = 16;

/// Looks a host up: name, port, addresses.
pub type Lookup = Box<dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send>;

struct Question {
    host: String,
    port: u16,
    answers: SyncSender<Answer>,
}

/// A host's addresses; at least one.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) addresses: Vec<SocketAddr>,
}

/// A handle to the helper, which ends with the last handle. Cheap to clone.
#[derive(Clone)]
pub struct Resolver {
    questions: SyncSender<Question>,
}

impl Resolver {
    /// A helper that asks the system.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start() -> io::Result<Self> {
        Self::with(Box::new(|host, port| Ok((host, port).to_socket_addrs()?.collect())))
    }

    /// A helper that asks `lookup`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn with(lookup: Lookup) -> io::Result<Self> {
        let (questions, asked) = sync_channel::<Question>(QUEUE);
        let work = move || {
            for question in asked {
                let Question { host, port, answers } = question;
                // No answer is no news: the last known addresses stay.
                let Ok(addresses) = lookup(&host, port) else { continue };
                if !addresses.is_empty() {
                    let _ = answers.try_send(Answer { host, port, addresses });
                }
            }
        };
        std::thread::Builder::new().name("resolver".to_owned()).spawn(work)?;
        Ok(Self { questions })
    }

    /// A line of one's own to the helper.
    pub(super) fn line(&self) -> ResolverLine {
        let (back, answers) = sync_channel(QUEUE);
        ResolverLine { questions: self.questions.clone(), back, answers }
    }
}

/// One connector's line to the helper.
pub(super) struct ResolverLine {
    questions: SyncSender<Question>,
    back: SyncSender<Answer>,
    answers: Receiver<Answer>,
}

impl ResolverLine {
    /// Asks without waiting.
    pub(super) fn ask(&self, host: &str, port: u16) {
        let question = Question { host: host.to_owned(), port, answers: self.back.clone() };
        let _ = self.questions.try_send(question);
    }

    /// The next answer, if one is there.
    pub(super) fn answer(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }
}
