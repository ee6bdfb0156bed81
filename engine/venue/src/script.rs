//! Timed faults: one a line, `<time from the start> <fault> [argument]`, `#` starts a comment.
//!
//! ```text
//! 5s   drop-connections        cut every connection without a word
//! 8s   silent 3s               market connections stay open, nothing moves on them
//! 10s  lose-depth BTCUSDT      the next depth event is not sent
//! 11s  repeat-depth BTCUSDT    the next depth event is sent twice
//! 12s  shutdown-notice         serverShutdown on every connection
//! 14s  exit                    the venue ends at once
//! 16s  delay-acks 500ms        answers come that much later from now on; 0ms ends it
//! 18s  lose-ack                the next order answer is not sent (the order stands)
//! 19s  fail-ack                the next order answer is a 500 (the order stands)
//! 20s  lose-report             the next executionReport is not sent
//! 21s  repeat-report           the next executionReport is sent twice
//! 22s  clock-jump 5s           the venue's clock goes ahead by that much
//! ```

use std::fmt;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// All connections are cut.
    DropConnections,
    /// Market connections are silent for this many ns.
    Silent(u64),
    /// The next depth event of a market is lost.
    LoseDepth(String),
    /// The next depth event of a market is sent twice.
    RepeatDepth(String),
    /// `serverShutdown` everywhere.
    ShutdownNotice,
    /// The process ends.
    Exit,
    /// Answers are this many ns late from now on.
    DelayAcks(u64),
    /// The next answer to an order or cancel is lost.
    LoseAck,
    /// The next answer to an order or cancel says 500.
    FailAck,
    /// The next report is lost.
    LoseReport,
    /// The next report is sent twice.
    RepeatReport,
    /// The venue's clock goes ahead, ns.
    ClockJump(u64),
}

/// A fault and when it strikes, ns after the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timed {
    /// Ns after the start.
    pub at_ns: u64,
    /// What.
    pub fault: Fault,
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong and what would be right.
    pub what: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "script line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for ScriptError {}

/// Reads a script; the faults come back in order of time.
///
/// # Errors
/// The first line that cannot be read.
pub fn parse(text: &str) -> Result<Vec<Timed>, ScriptError> {
    let mut faults = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        if !words.is_empty() {
            faults.push(timed(&words).map_err(|what| ScriptError { line: n + 1, what })?);
        }
    }
    faults.sort_by_key(|f| f.at_ns);
    Ok(faults)
}

/// A duration such as `500ms`, `5s`, `2m`, in ns.
#[must_use]
pub fn duration_ns(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let unit_ns = match unit {
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit_ns)
}

const KNOWN: &str = "drop-connections, silent D, lose-depth SYMBOL, repeat-depth SYMBOL, \
                     shutdown-notice, exit, delay-acks D, lose-ack, fail-ack, lose-report, \
                     repeat-report, clock-jump D";

fn timed(words: &[&str]) -> Result<Timed, String> {
    let at_ns = duration_ns(words[0])
        .ok_or_else(|| format!("`{}` is not a time such as 5s or 500ms", words[0]))?;
    let name = *words.get(1).ok_or_else(|| format!("no fault after the time; one of: {KNOWN}"))?;
    let argument = words.get(2).copied();
    let duration = || {
        argument
            .and_then(duration_ns)
            .ok_or_else(|| format!("`{name}` needs a duration, for example `{name} 3s`"))
    };
    let symbol = || {
        argument
            .map(str::to_uppercase)
            .ok_or_else(|| format!("`{name}` needs a symbol, for example `{name} BTCUSDT`"))
    };
    let (fault, words_expected) = match name {
        "drop-connections" => (Fault::DropConnections, 2),
        "silent" => (Fault::Silent(duration()?), 3),
        "lose-depth" => (Fault::LoseDepth(symbol()?), 3),
        "repeat-depth" => (Fault::RepeatDepth(symbol()?), 3),
        "shutdown-notice" => (Fault::ShutdownNotice, 2),
        "exit" => (Fault::Exit, 2),
        "delay-acks" => (Fault::DelayAcks(duration()?), 3),
        "lose-ack" => (Fault::LoseAck, 2),
        "fail-ack" => (Fault::FailAck, 2),
        "lose-report" => (Fault::LoseReport, 2),
        "repeat-report" => (Fault::RepeatReport, 2),
        "clock-jump" => (Fault::ClockJump(duration()?), 3),
        _ => return Err(format!("unknown fault `{name}`; one of: {KNOWN}")),
    };
    if words.len() > words_expected {
        return Err(format!("`{}` is too much after `{name}`", words[words_expected]));
    }
    Ok(Timed { at_ns, fault })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_fault_of_the_description() {
        let text: String = include_str!("script.rs")
            .lines()
            .filter_map(|l| l.strip_prefix("//! "))
            .filter(|l| l.starts_with(|c: char| c.is_ascii_digit()))
            .map(|l| l.split("  ").filter(|p| !p.is_empty()).take(2).collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
            .join("\n");
        let faults = parse(&text).unwrap();
        assert_eq!(faults.len(), 12);
        assert_eq!(faults[1].fault, Fault::Silent(3_000_000_000));
        assert!(faults.is_sorted_by_key(|f| f.at_ns));
    }

    #[test]
    fn errors_name_the_line() {
        let error = |text| parse(text).unwrap_err().to_string();
        assert_eq!(error("\n5 exit"), "script line 2: `5` is not a time such as 5s or 500ms");
        assert!(error("5s").starts_with("script line 1: no fault after the time; one of: drop"));
        assert!(error("5s explode").contains("unknown fault `explode`"));
        assert!(error("5s silent").contains("needs a duration"));
        assert!(error("5s exit now").contains("`now` is too much"));
        assert_eq!(parse("# nothing\n\n"), Ok(vec![]));
    }
}
