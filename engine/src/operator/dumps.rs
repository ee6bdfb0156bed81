//! Dumps of the latency histograms that somebody asked for and the telemetry lane has not written
//! yet. Nobody waits here: the helper has a halt to raise before anything else.

use std::os::unix::net::UnixStream;

use bot4_telemetry::{DumpLine, Dumped};
use bot4_types::Nanos;
use crossbeam_channel::Receiver;
use serde_json::{Value, json};

/// A lane that has not answered by then hangs; the client waits a little longer.
const ANSWER_WITHIN: Nanos = Nanos::from_millis(700);

/// Who waits for a dump.
pub struct Dumps {
    line: DumpLine,
    waiting: Vec<Waiting>,
}

struct Waiting {
    /// A client; none where a signal asked.
    client: Option<UnixStream>,
    answer: Receiver<Dumped>,
    until: Nanos,
}

/// A dump that came to something: who asked, and the dump or why there is none.
pub type Told = (Option<UnixStream>, Result<Value, String>);

impl Dumps {
    /// Nobody waits.
    pub const fn new(line: DumpLine) -> Self {
        Self { line, waiting: Vec::new() }
    }

    /// Asks on behalf of `client`, or of a signal. What is given back could not be asked.
    pub fn ask(&mut self, client: Option<UnixStream>, now: Nanos) -> Option<Told> {
        let Some(answer) = self.line.ask() else {
            let told = "too many ask for a dump at once: ask again".to_owned();
            return Some((client, Err(told)));
        };
        self.waiting.push(Waiting { client, answer, until: now + ANSWER_WITHIN });
        None
    }

    /// Those that came to something since the last look.
    pub fn look(&mut self, now: Nanos) -> Vec<Told> {
        let mut told = Vec::new();
        let mut at = 0;
        while at < self.waiting.len() {
            let one = &self.waiting[at];
            let answer = match one.answer.try_recv() {
                Ok(dumped) => Some(sentence(&dumped)),
                Err(_) if now >= one.until => Some(Err("the telemetry lane did not answer: \
                    it hangs, or the run is ending"
                    .to_owned())),
                Err(_) => None,
            };
            match answer {
                Some(answer) => told.push((self.waiting.remove(at).client, answer)),
                None => at += 1,
            }
        }
        told
    }
}

fn sentence(dumped: &Dumped) -> Result<Value, String> {
    let Some(file) = &dumped.file else {
        return Err("this run writes no latency histograms".to_owned());
    };
    if !dumped.written {
        let file = file.display();
        return Err(format!("{file} cannot be written now; nothing is lost, the next dump has it"));
    }
    Ok(json!({ "file": file, "lines": dumped.lines }))
}
