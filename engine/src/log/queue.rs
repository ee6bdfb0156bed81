//! The bounded queue between those who tell and the thread that writes.
//!
//! Invariant: who pushes never waits, whatever the writing side does; a line that finds no room is
//! counted, and the count is written once lines get through again.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait to be written.
const LINES_MAX: usize = 4_096;
/// Between two tries to queue a flush.
const RETRY: Duration = Duration::from_millis(1);

enum Job {
    Line(Box<[u8]>),
    Flush(Sender<()>),
}

/// The writers' end. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    jobs: SyncSender<Job>,
    /// Relaxed: a count that publishes nothing.
    dropped: Arc<AtomicU64>,
}

impl Queue {
    /// Starts the thread `log`, which hands lines to `write`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(write: impl FnMut(&[u8]) + Send + 'static) -> std::io::Result<Self> {
        let (jobs, waiting) = sync_channel(LINES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let lost = dropped.clone();
        let work = move || run(&waiting, &lost, write);
        std::thread::Builder::new().name("log".to_owned()).spawn(work)?;
        Ok(Self { jobs, dropped })
    }

    /// Lines that found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until all that was queued is written, for `patience` at most. False: it is not.
    pub fn flush(&self, patience: Duration) -> bool {
        let (done, heard) = channel();
        let mut job = Job::Flush(done);
        let mut left = patience;
        loop {
            match self.jobs.try_send(job) {
                Ok(()) => return heard.recv_timeout(left).is_ok(),
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(back)) => job = back,
            }
            let Some(less) = left.checked_sub(RETRY) else { return false };
            left = less;
            std::thread::park_timeout(RETRY);
        }
    }
}

fn run(waiting: &Receiver<Job>, dropped: &AtomicU64, mut write: impl FnMut(&[u8])) {
    let mut told = 0;
    while let Ok(job) = waiting.recv() {
        match job {
            Job::Line(line) => write(&line),
            // Whoever waited may be gone.
            Job::Flush(done) => drop(done.send(())),
        }
        let lost = dropped.load(Ordering::Relaxed);
        if lost > told {
            let lines = lost - told;
            write(format!("warning: {lines} lines of the log found no room\n").as_bytes());
            told = lost;
        }
    }
}

/// One event's line on its way.
pub struct Line<'a>(&'a Queue);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.jobs.try_send(Job::Line(bytes.into())).is_err() {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn a_side_that_takes_nothing_holds_nobody_up_and_the_loss_is_told() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let (open, opened) = channel::<()>();
        let (sink, mut shut) = (written.clone(), true);
        let queue = Queue::start(move |line| {
            if shut {
                // As standard error into a pipe that nobody reads.
                opened.recv().expect("opened");
                shut = false;
            }
            sink.lock().expect("alive").push(String::from_utf8_lossy(line).into_owned());
        })
        .expect("a thread");
        let more = 100;
        for n in 0..LINES_MAX + 1 + more {
            let line = format!("line {n}\n");
            queue.make_writer().write_all(line.as_bytes()).expect("never fails");
        }
        // The thread holds one or none by then.
        let lost = queue.dropped();
        assert!((more as u64..=more as u64 + 1).contains(&lost), "{lost}");
        assert!(!queue.flush(Duration::from_millis(20)), "nothing gets through");
        open.send(()).expect("it waits");
        assert!(queue.flush(Duration::from_secs(5)));
        let written = written.lock().expect("alive");
        assert_eq!(written.len() as u64, LINES_MAX as u64 + 1 + more as u64 - lost + 1);
        let told = written.iter().find(|l| l.contains("found no room")).expect("told");
        assert!(told.contains(&format!("{lost} lines")), "{told}");
        assert_eq!(written[0], "line 0\n");
    }
}
