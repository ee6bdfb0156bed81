//! Dumps of the latency histograms that somebody asked for and the telemetry lane has not written
//! yet. Nobody waits here: the helper has a halt to raise before anything else.

use bot4_telemetry::{DumpLine, Dumped};
use bot4_types::Nanos;
use crossbeam_channel::Receiver;
use serde_json::{Value, json};

use super::clients::Client;
use super::refusal::{Refused, Why};

/// A lane that has not answered by then hangs; the client waits a little longer.
const ANSWER_WITHIN: Nanos = Nanos::from_millis(700);

/// Who waits for a dump.
pub struct Dumps {
    line: DumpLine,
    waiting: Vec<Waiting>,
}

struct Waiting {
    /// A client; none where a signal asked.
    client: Option<Client>,
    answer: Receiver<Dumped>,
    until: Nanos,
}

/// A dump that came to something: who asked, and the dump or why there is none.
pub type Told = (Option<Client>, Result<Value, Refused>);

impl Dumps {
    /// Nobody waits.
    pub const fn new(line: DumpLine) -> Self {
        Self { line, waiting: Vec::new() }
    }

    /// Asks on behalf of `client`, or of a signal. What is given back could not be asked.
    pub fn ask(&mut self, client: Option<Client>, now: Nanos) -> Option<Told> {
        let Some(answer) = self.line.ask() else {
            let told = "too many ask for a dump at once: ask again";
            return Some((client, Err(Refused::new(Why::TooMany, told))));
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
                Err(_) if now >= one.until => {
                    let told = "the telemetry lane did not answer: it hangs, or the run is ending";
                    Some(Err(Refused::new(Why::Ending, told)))
                }
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

fn sentence(dumped: &Dumped) -> Result<Value, Refused> {
    let Some(file) = &dumped.file else {
        let told = "this run writes no latency histograms";
        return Err(Refused::new(Why::NotHere, told));
    };
    if !dumped.written {
        let file = file.display();
        let told = format!("{file} cannot be written now; nothing is lost, the next dump has it");
        return Err(Refused::new(Why::NotHere, told));
    }
    Ok(json!({ "file": file, "lines": dumped.lines }))
}
