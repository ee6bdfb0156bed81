//! Everything of the venue that happens by time: the crowd, the 100 ms border, pings, replayed
//! lines, delayed answers, scripted faults.
//!
//! Invariant: what happens does not depend on how often the venue is asked to advance, only on
//! the times of its inputs; due things happen in order of their times.

use std::collections::VecDeque;
use std::io;

use crate::exchange::{CrowdOrder, Exchange};
use crate::feed::DepthFault;
use crate::generator::{Act, Generator};
use crate::matching::Side;
use crate::recorded::{Entries, Entry, RecordedBook, Recording};
use crate::script::{Fault, Timed};
use crate::store::Record;
use crate::venue::{ConnId, Out, Role, Venue};

/// The border at which depth events are sent.
const GRID_NS: u64 = 100_000_000;
/// A crowd that lags further behind than this (the process was stopped) starts anew.
const LAG_MAX_NS: u64 = 2_000_000_000;

/// A recording in play.
pub(crate) struct Replay {
    entries: Entries,
    next: Option<Entry>,
    trade: bool,
    speed_milli: u64,
    first_ns: u64,
    started_ns: Option<u64>,
    books: Vec<RecordedBook>,
}

impl Replay {
    pub fn new(
        recording: Recording,
        trade: bool,
        speed_milli: u64,
        exchange: &mut Exchange,
    ) -> io::Result<Self> {
        let mut entries = recording.entries()?;
        let next = entries.next().transpose()?;
        let first_ns = recording.first_ns();
        let books = recording.books;
        if trade {
            for (n, book) in books.iter().enumerate() {
                for (&price, &qty) in book.bids.iter().rev() {
                    exchange.crowd_level(n, Side::Buy, price, qty, 0);
                }
                for (&price, &qty) in &book.asks {
                    exchange.crowd_level(n, Side::Sell, price, qty, 0);
                }
            }
        }
        let speed_milli = speed_milli.max(1);
        Ok(Self { entries, next, trade, speed_milli, first_ns, started_ns: None, books })
    }

    fn due_ns(&self) -> Option<u64> {
        let (entry, started) = (self.next.as_ref()?, self.started_ns?);
        let offset = u128::from(entry.at_ns - self.first_ns) * 1000 / u128::from(self.speed_milli);
        Some(started.saturating_add(u64::try_from(offset).unwrap_or(u64::MAX)))
    }

    fn take(&mut self) -> Option<Entry> {
        // A file that turns unreadable in the middle ends there; it was readable at the start.
        let following = self.entries.next().and_then(Result::ok);
        std::mem::replace(&mut self.next, following)
    }
}

enum Source {
    Generated(Vec<Generator>),
    Recorded(Box<Replay>),
}

/// Timed state of the venue.
pub(crate) struct Pulse {
    source: Source,
    script: VecDeque<Timed>,
    started_ns: Option<u64>,
    now_ns: u64,
    skew_ns: u64,
    grid_ns: u64,
    silent_until_ns: u64,
    delay_ns: u64,
    delayed: VecDeque<(u64, ConnId, Out)>,
    depth_faults: Vec<(String, DepthFault)>,
    lose_answer: bool,
    fail_answer: bool,
    lose_report: bool,
    repeat_report: bool,
    pub exit: bool,
}

/// What is due next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Fault,
    Delayed,
    Crowd(usize),
    Line,
    Grid,
    Conn(ConnId),
}

impl Pulse {
    pub fn generated(crowds: Vec<Generator>, script: Vec<Timed>) -> Self {
        Self::new(Source::Generated(crowds), script)
    }

    pub fn recorded(replay: Replay, script: Vec<Timed>) -> Self {
        Self::new(Source::Recorded(Box::new(replay)), script)
    }

    fn new(source: Source, script: Vec<Timed>) -> Self {
        Self {
            source,
            script: script.into(),
            started_ns: None,
            now_ns: 0,
            skew_ns: 0,
            grid_ns: 0,
            silent_until_ns: 0,
            delay_ns: 0,
            delayed: VecDeque::new(),
            depth_faults: Vec::new(),
            lose_answer: false,
            fail_answer: false,
            lose_report: false,
            repeat_report: false,
            exit: false,
        }
    }

    /// Books of a recording that is replayed without trading.
    pub fn closed_books(&self) -> Option<&[RecordedBook]> {
        match &self.source {
            Source::Recorded(replay) if !replay.trade => Some(&replay.books),
            _ => None,
        }
    }

    /// A market connection exists: a recording starts to play.
    pub fn start_replay(&mut self, now_ns: u64) {
        if let Source::Recorded(replay) = &mut self.source {
            replay.started_ns.get_or_insert(now_ns);
        }
    }

    pub fn is_silent(&self) -> bool {
        self.now_ns < self.silent_until_ns
    }

    /// An answer after faults: lost, made a 500, or as it is.
    pub fn filter_answer(&mut self, text: String, is_trade: bool) -> Option<String> {
        if !is_trade {
            return Some(text);
        }
        if std::mem::take(&mut self.lose_answer) {
            return None;
        }
        if std::mem::take(&mut self.fail_answer) {
            let id = text.strip_prefix(r#"{"id":"#).and_then(|t| t.split(r#","status""#).next());
            let id = id.unwrap_or("null");
            return Some(format!(
                concat!(
                    r#"{{"id":{},"status":500,"error":{{"code":-1007,"msg":"Timeout waiting for "#,
                    r#"response from backend server. Send status unknown; execution status "#,
                    r#"unknown."}},"rateLimits":[]}}"#
                ),
                id
            ));
        }
        Some(text)
    }

    /// How often the next report is sent.
    pub fn times_of_report(&mut self) -> usize {
        if std::mem::take(&mut self.lose_report) {
            0
        } else if std::mem::take(&mut self.repeat_report) {
            2
        } else {
            1
        }
    }

    pub fn answer_delay_ns(&self) -> u64 {
        self.delay_ns
    }

    pub fn delay(&mut self, due_ns: u64, conn: ConnId, out: Out) {
        // Answers keep their order also where the delay was shortened in between.
        let due_ns = self.delayed.back().map_or(due_ns, |last| last.0.max(due_ns));
        self.delayed.push_back((due_ns, conn, out));
    }

    /// The clock goes ahead; what was planned stays as far away as it was.
    fn jump(&mut self, ns: u64) {
        self.skew_ns += ns;
        self.now_ns += ns;
        self.started_ns = self.started_ns.map(|at| at + ns);
        self.grid_ns = (self.now_ns / GRID_NS + 1) * GRID_NS;
        for (due_ns, ..) in &mut self.delayed {
            *due_ns += ns;
        }
        match &mut self.source {
            Source::Generated(crowds) => crowds.iter_mut().for_each(|c| c.plan(self.now_ns)),
            Source::Recorded(replay) => replay.started_ns = replay.started_ns.map(|at| at + ns),
        }
    }

    fn start(&mut self, now_ns: u64) {
        self.started_ns = Some(now_ns);
        self.grid_ns = (now_ns / GRID_NS + 1) * GRID_NS;
        if let Source::Generated(crowds) = &mut self.source {
            for crowd in crowds {
                crowd.plan(now_ns);
            }
        }
    }

    /// The earliest due thing of the market and the script.
    fn next(&self) -> (u64, Due) {
        let mut next = (self.grid_ns, Due::Grid);
        let mut consider = |at_ns: u64, due| {
            if at_ns < next.0 {
                next = (at_ns, due);
            }
        };
        if let (Some(fault), Some(start)) = (self.script.front(), self.started_ns) {
            consider(start.saturating_add(fault.at_ns), Due::Fault);
        }
        if let Some((at_ns, ..)) = self.delayed.front() {
            consider(*at_ns, Due::Delayed);
        }
        match &self.source {
            Source::Generated(crowds) => {
                for (n, crowd) in crowds.iter().enumerate() {
                    consider(crowd.next_ns(), Due::Crowd(n));
                }
            }
            Source::Recorded(replay) => {
                if let Some(at_ns) = replay.due_ns() {
                    consider(at_ns, Due::Line);
                }
            }
        }
        next
    }
}

impl Venue {
    /// When [`Venue::tick`] must be called next, Unix ns; `None` before the first input or tick.
    #[must_use]
    pub fn next_timeout(&self) -> Option<u64> {
        self.pulse.started_ns?;
        let (at_ns, _) = self.next_due();
        Some(at_ns.saturating_sub(self.pulse.skew_ns))
    }

    /// Does everything due until `now_ns` and returns the venue's own time.
    pub(crate) fn advance(&mut self, now_ns: u64) -> u64 {
        let now_ns = (now_ns + self.pulse.skew_ns).max(self.pulse.now_ns);
        if self.pulse.started_ns.is_none() {
            self.pulse.start(now_ns);
        }
        let mut present_ns = now_ns;
        loop {
            let (at_ns, due) = self.next_due();
            if at_ns > present_ns {
                break;
            }
            self.pulse.now_ns = at_ns.max(self.pulse.now_ns);
            let skew_ns = self.pulse.skew_ns;
            self.perform(due, present_ns);
            present_ns += self.pulse.skew_ns - skew_ns;
        }
        self.pulse.now_ns = present_ns.max(self.pulse.now_ns);
        self.pulse.now_ns
    }

    fn next_due(&self) -> (u64, Due) {
        let mut next = self.pulse.next();
        for (&conn, at) in &self.conns {
            let pong = at.pong_due_ns.unwrap_or(u64::MAX);
            let due = at.next_ping_ns.min(pong).min(at.opened_ns + self.life_ns);
            if due < next.0 {
                next = (due, Due::Conn(conn));
            }
        }
        next
    }

    fn perform(&mut self, due: Due, until_ns: u64) {
        match due {
            Due::Fault => self.strike(),
            Due::Delayed => {
                if let Some((_, conn, out)) = self.pulse.delayed.pop_front() {
                    self.out.push_back((conn, out));
                }
            }
            Due::Crowd(n) => self.step_crowd(n, until_ns),
            Due::Line => self.play_line(),
            Due::Grid => self.border(until_ns),
            Due::Conn(conn) => self.look_after(conn),
        }
    }

    fn step_crowd(&mut self, n: usize, until_ns: u64) {
        let now_ns = self.pulse.now_ns;
        let Source::Generated(crowds) = &mut self.pulse.source else { return };
        let market = &self.exchange.markets[n];
        let act = crowds[n].act(&market.spec, &market.book);
        let late = until_ns.saturating_sub(now_ns) > LAG_MAX_NS;
        crowds[n].plan(if late { until_ns } else { now_ns });
        match act {
            Some(Act::Order(order)) => self.exchange.crowd(n, order, now_ns / 1_000_000),
            Some(Act::Cancel(side, price)) => {
                self.exchange.markets[n].book.cancel_crowd(side, price);
            }
            None => {}
        }
        self.settle();
    }

    /// After something happened: record, private events, public messages.
    fn settle(&mut self) {
        self.commit();
        self.tell_events();
        self.tell_markets(self.pulse.now_ns / 1_000_000);
    }

    /// The 100 ms border.
    fn border(&mut self, until_ns: u64) {
        let now_ns = self.pulse.now_ns;
        self.pulse.grid_ns += GRID_NS;
        if until_ns.saturating_sub(now_ns) > LAG_MAX_NS {
            self.pulse.grid_ns = (until_ns / GRID_NS + 1) * GRID_NS;
        }
        let second = now_ns % 1_000_000_000 < GRID_NS;
        let silent = self.pulse.is_silent();
        let mut unheard = VecDeque::new();
        for (feed, market) in self.feeds.iter_mut().zip(&mut self.exchange.markets) {
            let faults = &mut self.pulse.depth_faults;
            let mut fault = None;
            if market.book.has_changed()
                && let Some(at) = faults.iter().position(|(name, _)| *name == market.spec.name)
            {
                fault = Some(faults.remove(at).1);
            }
            let out = if silent { &mut unheard } else { &mut self.out };
            feed.tell_depth(market, (now_ns / 1_000_000, second), fault, &self.streams, out);
        }
        if second && matches!(self.pulse.source, Source::Generated(_)) {
            self.records.push_back(Record::of_marks(&self.exchange).line());
        }
    }

    /// Ping, missing pong, or the end of a connection's life.
    fn look_after(&mut self, conn: ConnId) {
        let now_ns = self.pulse.now_ns;
        let (ping_every, timeout, life) = (self.ping_every_ns, self.pong_timeout_ns, self.life_ns);
        let silenced = self.is_silenced(conn);
        let Some(at) = self.conns.get_mut(&conn) else { return };
        if at.opened_ns + life <= now_ns || at.pong_due_ns.is_some_and(|due| due <= now_ns) {
            self.out.push_back((conn, Out::Close(1000, "")));
            self.disconnect(conn);
            return;
        }
        at.next_ping_ns = now_ns + ping_every;
        if !silenced {
            at.pong_due_ns.get_or_insert(now_ns + timeout);
            self.out.push_back((conn, Out::Ping((now_ns / 1_000_000).to_string())));
        }
    }

    fn strike(&mut self) {
        let Some(timed) = self.pulse.script.pop_front() else { return };
        let now_ns = self.pulse.now_ns;
        match timed.fault {
            Fault::DropConnections => {
                let all: Vec<ConnId> = self.conns.keys().copied().collect();
                for conn in all {
                    self.out.push_back((conn, Out::Drop));
                    self.disconnect(conn);
                }
            }
            Fault::Silent(ns) => self.pulse.silent_until_ns = now_ns + ns,
            Fault::LoseDepth(symbol) => self.pulse.depth_faults.push((symbol, DepthFault::Lose)),
            Fault::RepeatDepth(symbol) => {
                self.pulse.depth_faults.push((symbol, DepthFault::Repeat));
            }
            Fault::ShutdownNotice => self.announce_shutdown(now_ns / 1_000_000),
            Fault::Exit => self.pulse.exit = true,
            Fault::DelayAcks(ns) => self.pulse.delay_ns = ns,
            Fault::LoseAck => self.pulse.lose_answer = true,
            Fault::FailAck => self.pulse.fail_answer = true,
            Fault::LoseReport => self.pulse.lose_report = true,
            Fault::RepeatReport => self.pulse.repeat_report = true,
            Fault::ClockJump(ns) => {
                self.pulse.jump(ns);
                // The jump itself must not look like a stall to connections.
                for conn in self.conns.values_mut() {
                    conn.opened_ns += ns;
                    conn.next_ping_ns += ns;
                    conn.pong_due_ns = conn.pong_due_ns.map(|due| due + ns);
                }
            }
        }
    }

    fn announce_shutdown(&mut self, now_ms: u64) {
        for (&conn, at) in &self.conns {
            let text = match &at.role {
                Role::Market(listener) => {
                    let time = now_ms * if listener.micro { 1000 } else { 1 };
                    let event = format!(r#"{{"e":"serverShutdown","E":{time}}}"#);
                    if listener.combined {
                        format!(r#"{{"stream":"!serverShutdown","data":{event}}}"#)
                    } else {
                        event
                    }
                }
                Role::Api(session) => {
                    let time = now_ms * session.scale;
                    format!(r#"{{"event":{{"e":"serverShutdown","E":{time}}}}}"#)
                }
            };
            self.out.push_back((conn, Out::Text(text.into())));
        }
    }

    /// One line of the recording.
    fn play_line(&mut self) {
        let now_ms = self.pulse.now_ns / 1_000_000;
        let silent = self.pulse.is_silent();
        let Source::Recorded(replay) = &mut self.pulse.source else { return };
        let Some(entry) = replay.take() else { return };
        if entry.stream.is_empty() {
            return;
        }
        let value: serde_json::Value = serde_json::from_str(&entry.data).unwrap_or_default();
        let market = value["s"].as_str().and_then(|name| self.exchange.market(name));
        let is_diff = value["e"] == "depthUpdate";
        let mut changes = Vec::new();
        if let (Some(n), true) = (market, is_diff) {
            changes = replay.books[n].apply(&value);
        }
        if !replay.trade {
            if !silent {
                self.streams.publish_named(&entry.stream, &entry.data, &mut self.out);
            }
            return;
        }
        let Some(n) = market else { return };
        // Removals first: a level must not be matched against one that is gone as well.
        changes.sort_by_key(|&(_, _, qty)| qty != 0);
        for (bid, price, qty) in changes {
            let side = if bid { Side::Buy } else { Side::Sell };
            self.exchange.crowd_level(n, side, price, qty, now_ms);
        }
        if value["e"] == "trade" {
            self.replay_trade(n, &value, now_ms);
        }
        self.settle();
    }

    /// A recorded trade arrives as an order that takes at its price or better.
    fn replay_trade(&mut self, market: usize, value: &serde_json::Value, now_ms: u64) {
        let number = |key: &str| crate::decimal::parse(value[key].as_str().unwrap_or("")).ok();
        let (Some(price), Some(qty)) = (number("p"), number("q")) else { return };
        let side = if value["m"] == true { Side::Sell } else { Side::Buy };
        let order = CrowdOrder { side, price: Some(price), qty, rests: false };
        self.exchange.crowd(market, order, now_ms);
    }
}
