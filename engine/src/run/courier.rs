//! Carries order entry's requests over HTTPS: helper threads that wait, so that the lane does not.
//! A few of them, because one silent answer must not hold up the others; and where there are
//! several, one of them takes no questions, so that a cancel or the dead-man switch's feed finds it
//! free even while all questions hang.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bot4_execution::courier::{Answer, Courier, Granted};

use super::access::Access;
use super::cold::ColdError;
use super::rest::{Carried, RestClient};

/// Requests that may wait; recovery asks for each open order.
const WAITING_MAX: usize = 4_096;
/// Longest wait for one answer: that of the session that asked.
const PATIENCE: Duration = Duration::from_secs(3);

struct Job {
    id: u64,
    request: Vec<u8>,
}

/// What waits to be carried.
#[derive(Default)]
struct Waiting {
    urgent: VecDeque<Job>,
    questions: VecDeque<Job>,
    /// Nobody sends any more.
    over: bool,
}

/// The queue between the lane and its helpers.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

impl Queue {
    /// A helper that panicked while it held the lock held nothing else.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job, urgent ones first; with `urgent_only` no other. `None` when it is over.
    fn next(&self, urgent_only: bool) -> Option<Job> {
        let mut waiting = self.lock();
        loop {
            if waiting.over {
                return None;
            }
            let job = waiting.urgent.pop_front();
            let question = |w: &mut Waiting| w.questions.pop_front().filter(|_| !urgent_only);
            let job = match job {
                None if !urgent_only => question(&mut waiting),
                job => job,
            };
            if job.is_some() {
                return job;
            }
            waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The courier.
pub struct RestCourier {
    queue: Arc<Queue>,
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
        let (done, answers) = channel();
        let queue = Arc::new(Queue::default());
        for n in 0..helpers {
            let rest = RestClient::with_patience(access, PATIENCE)?;
            let (queue, done) = (Arc::clone(&queue), done.clone());
            let urgent_only = n == 0 && helpers > 1;
            std::thread::Builder::new()
                .name(format!("courier.{n}"))
                .spawn(move || carry_all(&rest, &queue, urgent_only, &done))
                .map_err(ColdError::Resolver)?;
        }
        Ok(Self { queue, answers })
    }
}

impl Drop for RestCourier {
    fn drop(&mut self) {
        self.queue.lock().over = true;
        self.queue.more.notify_all();
    }
}

impl Courier for RestCourier {
    fn send(&mut self, id: u64, request: &[u8], urgent: bool) -> bool {
        let mut waiting = self.queue.lock();
        let queue = if urgent { &mut waiting.urgent } else { &mut waiting.questions };
        if queue.len() >= WAITING_MAX {
            return false;
        }
        queue.push_back(Job { id, request: request.to_vec() });
        drop(waiting);
        // The one that is free may be the one that takes no questions.
        self.queue.more.notify_all();
        true
    }

    fn take(&mut self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }
}

/// Until nobody can send any more.
fn carry_all(rest: &RestClient, queue: &Queue, urgent_only: bool, done: &Sender<Answer>) {
    while let Some(Job { id, request }) = queue.next(urgent_only) {
        let answer = match rest.carry(&request) {
            Ok(Carried { status, wait_s, body }) => {
                Answer { id, status, body, granted: Granted { wait_s, ..Granted::default() } }
            }
            Err(_) => Answer { id, ..Answer::default() },
        };
        if done.send(answer).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::access::Net;
    use crate::run::guard::Guards;
    use bot4_wire::TlsRoots;

    fn queue(jobs: &[(u64, bool)]) -> Queue {
        let queue = Queue::default();
        for (id, urgent) in jobs {
            let mut waiting = queue.lock();
            let list = if *urgent { &mut waiting.urgent } else { &mut waiting.questions };
            list.push_back(Job { id: *id, request: Vec::new() });
        }
        queue
    }

    #[test]
    fn what_cannot_wait_passes_questions_and_finds_a_helper_of_its_own() {
        let queue = queue(&[(1, false), (2, true), (3, false), (4, true)]);
        let ids: Vec<u64> = (0..4).filter_map(|_| queue.next(false)).map(|job| job.id).collect();
        assert_eq!(ids, [2, 4, 1, 3]);
        let queue = self::queue(&[(1, false), (2, true)]);
        assert_eq!(queue.next(true).map(|job| job.id), Some(2));
        // Only a question is left: the helper waits until it is over.
        queue.lock().over = true;
        assert!(queue.next(true).is_none() && queue.lock().questions.len() == 1);
    }

    /// A host that takes connections and says nothing; how many came within a while.
    struct Silent(std::net::TcpListener, Vec<std::net::TcpStream>);

    impl Silent {
        #[expect(clippy::disallowed_methods, reason = "a host that speaks no protocol")]
        fn start() -> (Self, String) {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            listener.set_nonblocking(true).expect("set");
            let host = format!("https://{}", listener.local_addr().expect("bound"));
            (Self(listener, Vec::new()), host)
        }

        fn until(&mut self, connections: usize) -> bool {
            for _ in 0..1_000 {
                while let Ok((stream, _)) = self.0.accept() {
                    self.1.push(stream);
                }
                if self.1.len() >= connections {
                    return true;
                }
                std::thread::park_timeout(Duration::from_millis(1));
            }
            false
        }
    }

    /// All questions hang: the lane hands over thousands without waiting, and what cannot wait
    /// leaves at once all the same.
    #[test]
    fn questions_that_hang_hold_up_neither_the_lane_nor_what_is_urgent() {
        let (mut silent, host) = Silent::start();
        let access = Access {
            market: String::new(),
            api: None,
            rest: Some(host),
            keys: None,
            net: Net::tcp(TlsRoots::Public).expect("a resolver"),
            guards: Guards::default(),
            hurried: false,
        };
        let mut courier = RestCourier::start(&access, RestCourier::HELPERS).expect("helpers");
        let clock = bot4_lanes::Clock::monotonic();
        let request = b"GET /orders\nkey: value\n\n";
        let (mut longest, begun) = (bot4_types::Nanos::ZERO, clock.now());
        for id in 0..WAITING_MAX as u64 {
            let at = clock.now();
            assert!(courier.send(id, request, false), "question {id}");
            assert!(courier.take().is_none());
            longest = longest.max(clock.now().since(at));
        }
        let all = clock.now().since(begun);
        assert!(silent.until(RestCourier::HELPERS - 1), "the questions hang");
        let at = clock.now();
        assert!(courier.send(u64::MAX, request, true));
        longest = longest.max(clock.now().since(at));
        assert!(silent.until(RestCourier::HELPERS), "a helper was free for it");
        // An answer takes three seconds to be given up; a handing over is nothing beside that,
        // however busy the machine is.
        assert!(all.millis() < PATIENCE.as_millis() as u64 / 2, "{} ms for all", all.millis());
        assert!(longest.millis() < 500, "the lane waited {} ms", longest.millis());
    }
}
