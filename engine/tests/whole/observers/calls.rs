//! System calls of an engine's hot lanes, by kind, over a span, and what of them observers cost.
//!
//! `perf trace` counts them thread by thread; its own workload, a shell that waits for a line, says
//! when counting has begun and ends it, so that calls and messages are of the same span.
//!
//! A lane's calls are of two sorts. It *looks* once a turn at each socket and yields or parks after
//! a turn without work: such calls belong to turns, and how many turns a message has is the
//! scheduler's doing. Everything else *works*: it belongs to messages. So what is compared is work
//! a message, looks a turn, and the kinds of calls that there are.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::Killed;

/// A kind of call: how often, and how often the kernel had nothing for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub calls: u64,
    pub errors: u64,
}

/// Calls of a thread by kind.
pub type Calls = BTreeMap<String, Count>;

/// A counting that runs.
pub struct Tracer {
    perf: Killed,
    out: PathBuf,
}

impl Tracer {
    /// Counts the calls of the threads `tids` from now on; none where perf is missing or may not.
    pub fn start(tids: &[u32], out: PathBuf) -> Option<Self> {
        let list: Vec<_> = tids.iter().map(u32::to_string).collect();
        let mut command = Command::new("perf");
        command.args(["trace", "-s", "-m", "4096", "-t", &list.join(","), "-o"]).arg(&out);
        command.args(["--", "sh", "-c", "echo began; read -r end"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut perf = Killed(command.spawn().ok()?);
        let mut line = String::new();
        BufReader::new(perf.0.stdout.as_mut()?).read_line(&mut line).ok()?;
        (line == "began\n").then_some(Self { perf, out })
    }

    /// Ends it; calls by thread id.
    pub fn end(mut self) -> BTreeMap<u32, Calls> {
        let mut stdin = self.perf.0.stdin.take().expect("piped");
        stdin.write_all(b"end\n").expect("the shell waits");
        assert!(self.perf.0.wait().expect("it ends").success(), "perf trace");
        read(&self.out)
    }
}

fn read(out: &Path) -> BTreeMap<u32, Calls> {
    let text = std::fs::read_to_string(out).expect("its summary");
    assert!(!text.contains("LOST"), "perf lost calls: {text}");
    parse(&text)
}

/// The summary of `perf trace -s`: a line for each thread, then one for each kind.
fn parse(text: &str) -> BTreeMap<u32, Calls> {
    let (mut all, mut thread) = (BTreeMap::new(), 0);
    for line in text.lines() {
        if let Some((head, _)) = line.split_once(" events, ") {
            let tid = head.rsplit_once('(').and_then(|(_, rest)| rest.split(')').next());
            thread = tid.and_then(|t| t.parse().ok()).unwrap_or_else(|| panic!("a thread: {line}"));
            all.insert(thread, Calls::new());
            continue;
        }
        let mut words = line.split_whitespace();
        let (Some(kind), Some(calls), Some(errors)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        if let (Ok(calls), Ok(errors)) = (calls.parse(), errors.parse()) {
            let of = all.entry(thread).or_default();
            of.insert(kind.to_owned(), Count { calls, errors });
        }
    }
    all
}

/// What one hot lane did in a span.
#[derive(Clone, Debug, Default)]
pub struct Span {
    pub messages: u64,
    pub turns: u64,
    /// None where they were not counted.
    pub calls: Option<Calls>,
    /// Allocations of wire and execution after warm-up; those of hot agents are zero always.
    pub io_allocations: u64,
}

impl Span {
    /// Calls that only look or wait, a turn.
    pub fn looks(&self) -> f64 {
        let calls = self.calls.iter().flatten();
        calls.map(|(kind, n)| looking(kind, *n)).sum::<u64>() as f64 / self.turns.max(1) as f64
    }

    /// All other calls, a message.
    pub fn work(&self) -> f64 {
        let calls = self.calls.iter().flatten();
        let work = calls.map(|(kind, n)| n.calls - looking(kind, *n)).sum::<u64>();
        work as f64 / self.messages.max(1) as f64
    }

    fn allocations(&self) -> f64 {
        self.io_allocations as f64 / self.messages.max(1) as f64
    }
}

/// How many of these calls found nothing or only waited.
fn looking(kind: &str, count: Count) -> u64 {
    match kind {
        "sched_yield" => count.calls,
        // A socket without a byte; a park that ran out.
        "recvmsg" | "futex" => count.errors,
        _ => 0,
    }
}

/// Of a figure, this much more is noise: the edges of a span, and what a batch happened to hold.
const MORE: f64 = 1.25;
/// Calls a message or a turn that are always allowed beside.
const BESIDE: f64 = 0.05;

/// A figure of a span, and its name.
type Figure = (&'static str, fn(&Span) -> f64);

/// What lanes paid in spans `with` observers that they do not pay `without`: nothing, or a
/// sentence for each.
pub fn dearer(without: &[Span], with: &[Span]) -> Vec<String> {
    let mut found = Vec::new();
    let figures: [Figure; 3] = [
        ("calls that work, a message", Span::work),
        ("calls that look, a turn", Span::looks),
        ("allocations, a message", Span::allocations),
    ];
    for (what, of) in figures {
        let most = without.iter().map(of).fold(0.0, f64::max);
        let over = with.iter().map(of).filter(|f| *f > most * MORE + BESIDE);
        found.extend(over.map(|f| format!("{what}: {f:.3}, without observers {most:.3} at most")));
    }
    let kinds = |spans: &[Span]| -> Vec<String> {
        spans.iter().filter_map(|s| s.calls.as_ref()).flat_map(|c| c.keys().cloned()).collect()
    };
    let known = kinds(without);
    // A lane may happen not to park in a short span, and does in the next.
    let strange = |kind: &String| !known.contains(kind) && !USUAL.contains(&kind.as_str());
    found.extend(kinds(with).into_iter().filter(strange).map(|kind| format!("a new call: {kind}")));
    found
}

/// What every hot lane's loop is made of.
const USUAL: [&str; 4] = ["sched_yield", "futex", "recvmsg", "sendto"];

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str = "\n Summary of events:\n\n wire.0+executio (32577), 8807 events, 78.9%\n\n   \
        syscall            calls  errors  total       min       avg       max       stddev\n   \
                                        (msec)    (msec)    (msec)    (msec)        (%)\n   \
        --------------- --------  ------ -------- --------- --------- ---------     ------\n   \
        sched_yield          138      0   175.243     0.000     1.270    30.059     23.92%\n   \
        recvmsg             4083   3610    59.346     0.011     0.015     0.073      0.66%\n\n\n \
        bot4 (32130), 2 events, 12.0%\n\n   \
        futex                376    376   886.395     0.000     2.357    10.900      4.10%\n";

    /// A made-up span of 1,000 messages in 2,000 turns, three sockets.
    fn span(change: impl FnOnce(&mut Calls)) -> Span {
        let count = |calls, errors| Count { calls, errors };
        let kinds = [
            ("recvmsg", count(7_000, 6_000)),
            ("sendto", count(300, 0)),
            ("sched_yield", count(1_000, 0)),
        ];
        let mut calls = kinds.map(|(kind, n)| (kind.to_owned(), n)).into();
        change(&mut calls);
        Span { messages: 1_000, turns: 2_000, calls: Some(calls), io_allocations: 10 }
    }

    #[test]
    fn a_summary_is_read() {
        let all = parse(SUMMARY);
        assert_eq!(all.keys().copied().collect::<Vec<_>>(), [32130, 32577]);
        assert_eq!(all[&32577]["recvmsg"], Count { calls: 4_083, errors: 3_610 });
        assert_eq!((all[&32577].len(), all[&32130].len()), (2, 1));
    }

    /// Every violation that observers could cause is found, and a lane that is only late is none.
    #[test]
    fn what_observers_cost_is_found() {
        let base = [span(|_| {}), span(|_| {})];
        let found = |with: Span| dearer(&base, &[span(|_| {}), with]);
        assert!(found(span(|_| {})).is_empty());
        let add = |kind: &'static str, calls, errors| {
            span(|all: &mut Calls| {
                let of = all.entry(kind.to_owned()).or_default();
                (of.calls, of.errors) = (of.calls + calls, of.errors + errors);
            })
        };
        for (with, said) in [
            (add("write", 1, 0), "a new call: write"),
            (add("sendto", 500, 0), "calls that work, a message"),
            (add("futex", 500, 0), "calls that work, a message"),
            (add("recvmsg", 2_000, 2_000), "calls that look, a turn"),
            (Span { io_allocations: 90, ..span(|_| {}) }, "allocations, a message"),
        ] {
            let told = found(with);
            assert!(told.len() == 1 && told[0].starts_with(said), "{said} in {told:?}");
        }
        // Fewer turns, fuller batches: cheaper.
        let late = Span { turns: 1_000, ..add("recvmsg", 0, 0) };
        let late = Span {
            calls: late.calls.map(|mut all| {
                all.insert("recvmsg".to_owned(), Count { calls: 3_500, errors: 3_000 });
                all.insert("sched_yield".to_owned(), Count { calls: 200, errors: 0 });
                all
            }),
            ..late
        };
        assert!(found(late).is_empty());
    }
}
