//! Carries order entry's questions over HTTPS: helper threads that wait, so that the lane does
//! not. A few of them, because one silent answer must not hold up the others.

use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bot4_execution::courier::{Answer, Courier};

use super::access::Access;
use super::cold::ColdError;
use super::rest::RestClient;

/// Requests that may wait; recovery asks for each open order.
const WAITING_MAX: usize = 4_096;
/// Longest wait for one answer: that of the session that asked.
const PATIENCE: Duration = Duration::from_secs(3);

struct Job {
    id: u64,
    request: Vec<u8>,
}

/// The courier.
pub struct RestCourier {
    jobs: SyncSender<Job>,
    answers: Receiver<Answer>,
}

impl RestCourier {
    /// Requests that are carried at a time, where a venue does not want them one by one.
    pub const HELPERS: usize = 4;

    /// A courier of so many `helpers` to the REST host of `access`. Its threads end when it is
    /// dropped.
    ///
    /// # Errors
    /// When there is no such host, or a thread cannot be started.
    pub fn start(access: &Access, helpers: usize) -> Result<Self, ColdError> {
        let (jobs, waiting) = sync_channel::<Job>(WAITING_MAX);
        let (done, answers) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for n in 0..helpers {
            let rest = RestClient::with_patience(access, PATIENCE)?;
            let (waiting, done) = (Arc::clone(&waiting), done.clone());
            std::thread::Builder::new()
                .name(format!("courier.{n}"))
                .spawn(move || carry_all(&rest, &waiting, &done))
                .map_err(ColdError::Resolver)?;
        }
        Ok(Self { jobs, answers })
    }
}

impl Courier for RestCourier {
    fn send(&mut self, id: u64, request: &[u8]) -> bool {
        let sent = self.jobs.try_send(Job { id, request: request.to_vec() });
        !matches!(sent, Err(TrySendError::Full(_) | TrySendError::Disconnected(_)))
    }

    fn take(&mut self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }
}

/// Until nobody can send any more.
fn carry_all(rest: &RestClient, waiting: &Mutex<Receiver<Job>>, done: &Sender<Answer>) {
    loop {
        // A helper that panicked while it held the lock held nothing else.
        let next = waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv();
        let Ok(Job { id, request }) = next else { return };
        let answer = match rest.carry(&request) {
            Ok((status, body)) => Answer { id, status, body, ..Answer::default() },
            Err(_) => Answer { id, ..Answer::default() },
        };
        if done.send(answer).is_err() {
            return;
        }
    }
}
