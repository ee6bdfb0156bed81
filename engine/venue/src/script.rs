//! Timed faults: one a line, `<time from the start> <fault> [argument]`, `#` starts a comment.
//!
//! ```text
//! 5s   drop-connections        cut every connection without a word
//! 5s   drop-private 1          cut the oldest connection of the account; without a number all
//! 8s   silent 3s               market connections stay open, nothing moves on them
//! 10s  lose-depth BTCUSDT      the next depth event is not sent
//! 11s  repeat-depth BTCUSDT    the next depth event is sent twice
//! 12s  shutdown-notice         serverShutdown on every connection
//! 14s  exit                    the venue ends at once
//! 16s  delay-acks 500ms        answers come that much later from now on; 0ms ends it
//! 18s  lose-ack                the next order answer is not sent (the order stands)
//! 18s  late-ack 60s            the next order answer comes that late, those behind it do not
//! 18s  ack-after-fill 1s       so does that of the next order that fills at once: its fill is told
//! 18s  fill-after-cancel 3s    the next part of an order that fills is told behind the order's end
//! 19s  fail-ack                the next order answer is a 500 (the order stands)
//! 20s  lose-report             the next executionReport is not sent
//! 21s  repeat-report           the next executionReport is sent twice
//! 21s  late-report 2s          the next report comes that much later than those behind it
//! 21s  replay-reports          the last reports, up to sixteen, are told again
//! 21s  deaf 3s                 for so long no event of the account is told; answers are
//! 21s  mute 3s                 for so long no request is answered; events are told
//! 21s  silent-cancel           the oldest open order is gone, and nobody is told
//! 21s  foreign-trade BTCUSDT   another program on the account buys
//! 21s  foreign-order BTCUSDT   another program on the account lets an order rest
//! 21s  deposit USDT 100        money comes to the account, and its balances are told
//! 21s  withdraw BTC 0.5        money goes, as far as it is free
//! 21s  ban 5s                  418 for everything, connections end
//! 22s  clock-jump 5s           the venue's clock goes ahead by that much
//! 22s  clock-back 5s           or back
//! 24s  fin 1                   market connection 1 (the oldest) ends without a close frame
//! 25s  reset                   market connections are reset; whatever was under way is lost
//! 26s  freeze 2                market connection 2 stays open, but is dead
//! 27s  stall                   half a TLS record on market connections, then nothing
//! 28s  close 1011              a close frame with this code on market connections
//! 30s  retire 10s              the notice now, every connection of now closed that much later
//! 45s  down 3s                 new connections are refused
//! 50s  outage 3s               every connection is cut, and new ones are refused
//! 55s  lag 5ms 2               market connection 2 hears everything that late; 0ms ends it
//! 60s  restart-feed            sequences begin anew, in the venue's way
//! 61s  swap-depth BTCUSDT      the next depth message comes after the one that follows it
//! 62s  damage-depth BTCUSDT 1  a wrong quantity in the next depth message of connection 1
//! 63s  wrong-checksum BTCUSDT  the next depth message has a wrong checksum
//! 64s  cross-depth BTCUSDT     the next depth message holds a bid above every ask
//! 65s  broken-json BTCUSDT     the next depth message lacks its second half
//! 66s  filters BTCUSDT tick=0.05 lot=0.001   other filters from now on, see [`crate::change`]
//! 67s  list BTCUSDT halted     no new orders; `unlisted`: not in the list; `trading`: as before
//! ```
//!
//! The depth faults, `fin`, `reset`, `freeze`, `stall` and `close` take the number of a market
//! connection, the oldest being 1; without it they strike all. Symbols are as the venue writes
//! them; `*` is any. The same words without the time are commands of [`crate::control`].

use std::fmt;

use crate::change::{FilterChange, Listing};
use crate::decimal;
use crate::dialect::tamper::DepthFault;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// All connections are cut.
    DropConnections,
    /// Cuts a connection of the account, the nth oldest, or all of them.
    DropPrivate(Option<usize>),
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
    /// The next answer to an order or cancel is this many ns late, and those behind it are not.
    LateAck(u64),
    /// The next answer to an order that fills at once is this many ns late.
    AckAfterFill(u64),
    /// The next fill of a part is told behind the end of its order, or this many ns late.
    FillAfterCancel(u64),
    /// The next answer to an order or cancel says 500.
    FailAck,
    /// The next report is lost.
    LoseReport,
    /// The next report is sent twice.
    RepeatReport,
    /// The next report is this many ns late, and those behind it are not.
    LateReport(u64),
    /// The last reports are told again.
    ReplayReports,
    /// No event of the account is told for this many ns.
    Deaf(u64),
    /// No request is answered for this many ns.
    Mute(u64),
    /// The oldest open order is gone without a word.
    SilentCancel,
    /// Another program on the account trades.
    ForeignTrade(String),
    /// Another program on the account lets an order rest.
    ForeignOrder(String),
    /// Money comes, or goes (negative): an asset and 10^-8 of it.
    Transfer(String, i64),
    /// The address is banned for this many ns.
    Ban(u64),
    /// The venue's clock goes ahead, or back (negative), ns.
    ClockJump(i64),
    /// Market connections end: all, or the nth oldest, counted from 1.
    Cut(Cut, Option<usize>),
    /// Something is wrong with a market's next depth message, for all or the nth connection.
    Depth(DepthFault, String, Option<usize>),
    /// The shutdown notice now, the end of every present connection this many ns later.
    Retire(u64),
    /// New connections are refused for this many ns.
    Down(u64),
    /// Every connection is cut, and new ones are refused for this many ns.
    Outage(u64),
    /// Everything for the nth market connection is this many ns late.
    Lag(u64, usize),
    /// The venue's data service restarts.
    RestartFeed,
    /// A market has other filters.
    Filters(String, FilterChange),
    /// A market is halted, taken from the list, or back.
    List(String, Listing),
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The stream ends without a close frame.
    Fin,
    /// The stream is reset.
    Reset,
    /// It stays open, but nothing is read or sent any more.
    Freeze,
    /// Half a TLS record, then nothing any more.
    Stall,
    /// A close frame with this code.
    Close(u16),
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

impl Fault {
    /// The market whose rules it changes.
    #[must_use]
    pub fn market(&self) -> Option<&str> {
        match self {
            Self::Filters(symbol, _) | Self::List(symbol, _) => Some(symbol),
            _ => None,
        }
    }
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

const KNOWN: &str = "drop-connections, drop-private [N], silent D, lose-depth SYMBOL [N], \
                     repeat-depth SYMBOL [N], shutdown-notice, exit, delay-acks D, lose-ack, \
                     late-ack D, ack-after-fill D, \
                     fill-after-cancel D, fail-ack, lose-report, repeat-report, late-report D, \
                     replay-reports, deaf D, mute D, silent-cancel, foreign-trade SYMBOL, \
                     foreign-order SYMBOL, deposit ASSET AMOUNT, withdraw ASSET AMOUNT, \
                     ban D, clock-jump D, clock-back D, fin [N], reset [N], freeze [N], stall [N], \
                     close CODE [N], retire D, down D, outage D, lag D N, restart-feed, \
                     swap-depth SYMBOL [N], damage-depth SYMBOL [N], \
                     wrong-checksum SYMBOL [N], cross-depth SYMBOL [N], \
                     broken-json SYMBOL [N], filters SYMBOL NAME=VALUE..., \
                     list SYMBOL trading|halted|unlisted";

fn timed(words: &[&str]) -> Result<Timed, String> {
    let at_ns = duration_ns(words[0])
        .ok_or_else(|| format!("`{}` is not a time such as 5s or 500ms", words[0]))?;
    if words.len() < 2 {
        return Err(format!("no fault after the time; one of: {KNOWN}"));
    }
    Ok(Timed { at_ns, fault: Words(words[1], &words[2..]).fault()? })
}

/// Reads a fault without a time: a command of [`crate::control`].
///
/// # Errors
/// What is wrong and what would be right.
pub fn fault(text: &str) -> Result<Fault, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.split_first() {
        Some((name, arguments)) => Words(name, arguments).fault(),
        None => Err(format!("no fault; one of: {KNOWN}")),
    }
}

/// A fault's name and its arguments.
struct Words<'a>(&'a str, &'a [&'a str]);

impl Words<'_> {
    fn fault(&self) -> Result<Fault, String> {
        let (fault, words_most) = match self.0 {
            "drop-connections" => (Fault::DropConnections, 0),
            "drop-private" => (Fault::DropPrivate(self.line(0)?), 1),
            "silent" => (Fault::Silent(self.duration()?), 1),
            "lose-depth" => (self.depth(DepthFault::Lose)?, 2),
            "repeat-depth" => (self.depth(DepthFault::Repeat)?, 2),
            "swap-depth" => (self.depth(DepthFault::Swap)?, 2),
            "damage-depth" => (self.depth(DepthFault::Damage)?, 2),
            "wrong-checksum" => (self.depth(DepthFault::Checksum)?, 2),
            "cross-depth" => (self.depth(DepthFault::Cross)?, 2),
            "broken-json" => (self.depth(DepthFault::Broken)?, 2),
            "shutdown-notice" => (Fault::ShutdownNotice, 0),
            "exit" => (Fault::Exit, 0),
            "delay-acks" => (Fault::DelayAcks(self.duration()?), 1),
            "lose-ack" => (Fault::LoseAck, 0),
            "late-ack" => (Fault::LateAck(self.duration()?), 1),
            "ack-after-fill" => (Fault::AckAfterFill(self.duration()?), 1),
            "fill-after-cancel" => (Fault::FillAfterCancel(self.duration()?), 1),
            "fail-ack" => (Fault::FailAck, 0),
            "lose-report" => (Fault::LoseReport, 0),
            "repeat-report" => (Fault::RepeatReport, 0),
            "late-report" => (Fault::LateReport(self.duration()?), 1),
            "replay-reports" => (Fault::ReplayReports, 0),
            "deaf" => (Fault::Deaf(self.duration()?), 1),
            "mute" => (Fault::Mute(self.duration()?), 1),
            "silent-cancel" => (Fault::SilentCancel, 0),
            "foreign-trade" => (Fault::ForeignTrade(self.symbol()?), 1),
            "foreign-order" => (Fault::ForeignOrder(self.symbol()?), 1),
            "deposit" => (self.transfer(1)?, 2),
            "withdraw" => (self.transfer(-1)?, 2),
            "ban" => (Fault::Ban(self.duration()?), 1),
            "clock-jump" => (Fault::ClockJump(self.step()?), 1),
            "clock-back" => (Fault::ClockJump(-self.step()?), 1),
            "fin" => (Fault::Cut(Cut::Fin, self.line(0)?), 1),
            "reset" => (Fault::Cut(Cut::Reset, self.line(0)?), 1),
            "freeze" => (Fault::Cut(Cut::Freeze, self.line(0)?), 1),
            "stall" => (Fault::Cut(Cut::Stall, self.line(0)?), 1),
            "close" => (Fault::Cut(Cut::Close(self.code()?), self.line(1)?), 2),
            "retire" => (Fault::Retire(self.duration()?), 1),
            "down" => (Fault::Down(self.duration()?), 1),
            "outage" => (Fault::Outage(self.duration()?), 1),
            "lag" => {
                let line =
                    self.line(1)?.ok_or("`lag` needs a connection, for example `lag 5ms 2`")?;
                (Fault::Lag(self.duration()?, line), 2)
            }
            "restart-feed" => (Fault::RestartFeed, 0),
            "filters" => {
                let change = FilterChange::parse(self.1.get(1..).unwrap_or_default())?;
                (Fault::Filters(self.symbol()?, change), usize::MAX)
            }
            "list" => {
                let listing = self.1.get(1).copied().and_then(Listing::from_name);
                let listing = listing.ok_or("`list` needs trading, halted or unlisted")?;
                (Fault::List(self.symbol()?, listing), 2)
            }
            name => return Err(format!("unknown fault `{name}`; one of: {KNOWN}")),
        };
        match self.1.get(words_most) {
            Some(word) => Err(format!("`{word}` is too much after `{}`", self.0)),
            None => Ok(fault),
        }
    }

    fn duration(&self) -> Result<u64, String> {
        let name = self.0;
        let ns = self.1.first().copied().and_then(duration_ns);
        ns.ok_or_else(|| format!("`{name}` needs a duration, for example `{name} 3s`"))
    }

    /// How far a clock goes, at most some centuries.
    fn step(&self) -> Result<i64, String> {
        Ok(i64::try_from(self.duration()?).unwrap_or(i64::MAX))
    }

    fn transfer(&self, sign: i64) -> Result<Fault, String> {
        let name = self.0;
        let amount = self.1.get(1).and_then(|amount| decimal::parse(amount).ok());
        match (self.1.first(), amount) {
            (Some(asset), Some(amount)) => Ok(Fault::Transfer(asset.to_uppercase(), sign * amount)),
            _ => {
                Err(format!("`{name}` needs an asset and an amount, for example `{name} USDT 100`"))
            }
        }
    }

    fn depth(&self, fault: DepthFault) -> Result<Fault, String> {
        let symbol = self.symbol()?;
        Ok(match (fault, self.line(1)?) {
            (DepthFault::Lose, None) => Fault::LoseDepth(symbol),
            (DepthFault::Repeat, None) => Fault::RepeatDepth(symbol),
            (fault, line) => Fault::Depth(fault, symbol, line),
        })
    }

    fn symbol(&self) -> Result<String, String> {
        let name = self.0;
        let symbol = self.1.first().map(|symbol| symbol.to_uppercase());
        symbol.ok_or_else(|| format!("`{name}` needs a symbol, for example `{name} BTCUSDT`"))
    }

    /// The number of a connection, if there is one at this place.
    fn line(&self, at: usize) -> Result<Option<usize>, String> {
        let Some(word) = self.1.get(at) else { return Ok(None) };
        match word.parse() {
            Ok(n) if n > 0 => Ok(Some(n)),
            _ => Err(format!("`{word}` is not the number of a connection (1, 2, ...)")),
        }
    }

    fn code(&self) -> Result<u16, String> {
        let code = self.1.first().and_then(|word| word.parse().ok());
        let legal = code.filter(|code| (1000..5000).contains(code));
        legal.ok_or_else(|| "`close` needs a code, for example `close 1011`".to_owned())
    }
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
        assert_eq!(faults.len(), 44);
        assert_eq!(faults[2].fault, Fault::Silent(3_000_000_000));
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
        assert!(error("5s fin x").contains("not the number of a connection"));
        assert!(error("5s close 99").contains("needs a code"));
        assert!(error("5s list BTCUSDT open").contains("needs trading, halted"));
        assert!(error("5s deposit USDT").contains("needs an asset and an amount"));
        assert!(error("5s filters").contains("needs"));
        assert!(error("5s lag 5ms").contains("needs a connection"));
        assert_eq!(parse("# nothing\n\n"), Ok(vec![]));
    }
}
