//! Everything of the venue that happens by time: the crowd, the 100 ms border, pings, replayed
//! lines, delayed answers, scripted faults.
//!
//! Invariant: what happens does not depend on how often the venue is asked to advance, only on
//! the times of its inputs; due things happen in order of their times.

use std::collections::{BTreeMap, VecDeque};

use crate::exchange::{CrowdOrder, Private};
use crate::generator::{Act, Generator};
use crate::matching::Side;
use crate::mishap::Mishaps;
use crate::player::{Player, Replay};
use crate::recorded::RecordedBook;
use crate::report::Event;
use crate::script::Timed;
use crate::store::Record;
use crate::venue::{ConnId, Out, Venue};

/// The border at which depth events are sent.
const GRID_NS: u64 = 100_000_000;
/// A crowd that lags further behind than this (the process was stopped) starts anew.
const LAG_MAX_NS: u64 = 2_000_000_000;

enum Source {
    Generated(Vec<Generator>),
    Recorded(Box<Replay>),
    Taped(Box<Player>),
}

/// What happens when a fault is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Whoever controls the venue is told that this fault is over.
    Back(&'static str),
    /// These connections end.
    Cut(Vec<ConnId>),
}

/// Timed state of the venue.
pub(crate) struct Pulse {
    source: Source,
    script: VecDeque<Timed>,
    started_ns: Option<u64>,
    now_ns: u64,
    skew_ns: i64,
    grid_ns: u64,
    pub silent_until_ns: u64,
    pub down_until_ns: u64,
    /// Faults that end by themselves: when, and their names.
    pub endings: BTreeMap<(u64, u64), Ending>,
    endings_made: u64,
    pub delay_ns: u64,
    /// The next answer that trades is late by so much, alone.
    pub late_answer_ns: Option<u64>,
    /// So is the next answer to an order that fills at once.
    pub late_taker_ns: Option<u64>,
    /// The request at hand has filled something.
    pub filled: bool,
    delayed: VecDeque<(u64, ConnId, Out)>,
    lagging: BTreeMap<(u64, u64), (ConnId, Out)>,
    lagged: u64,
    pub lose_answer: bool,
    pub fail_answer: bool,
    pub lose_report: bool,
    pub repeat_report: bool,
    pub mishaps: Mishaps,
    pub exit: bool,
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It leaves.
    Sent,
    /// It never leaves.
    Lost,
    /// Instead of it leaves that nothing is known.
    Failed,
}

/// What is due next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Fault,
    Ending,
    Delayed,
    Held,
    Lagging,
    Crowd(usize),
    Line,
    Dialect,
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

    pub fn taped(player: Player, script: Vec<Timed>) -> Self {
        Self::new(Source::Taped(Box::new(player)), script)
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
            down_until_ns: 0,
            endings: BTreeMap::new(),
            endings_made: 0,
            delay_ns: 0,
            late_answer_ns: None,
            late_taker_ns: None,
            filled: false,
            delayed: VecDeque::new(),
            lagging: BTreeMap::new(),
            lagged: 0,
            lose_answer: false,
            fail_answer: false,
            lose_report: false,
            repeat_report: false,
            mishaps: Mishaps::default(),
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

    /// Somebody listens: a recording starts to play.
    pub fn start_tape(&mut self) {
        match &mut self.source {
            Source::Recorded(replay) => replay.start(self.now_ns),
            Source::Taped(player) => player.start(self.now_ns),
            Source::Generated(_) => {}
        }
    }

    /// The venue's time.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    pub fn is_silent(&self) -> bool {
        self.now_ns < self.silent_until_ns
    }

    pub fn is_down(&self) -> bool {
        self.now_ns < self.down_until_ns
    }

    /// Plans the end of a fault.
    pub fn end_at(&mut self, at_ns: u64, ending: Ending) {
        self.endings_made += 1;
        self.endings.insert((at_ns, self.endings_made), ending);
    }

    /// Holds a message back for a lagging connection.
    pub fn lag_until(&mut self, due_ns: u64, conn: ConnId, out: Out) {
        self.lagged += 1;
        self.lagging.insert((due_ns, self.lagged), (conn, out));
    }

    /// What the faults do to an answer, to one that trades or another.
    pub fn fate(&mut self, is_trade: bool) -> Fate {
        if self.now_ns < self.mishaps.mute_until_ns {
            return Fate::Lost;
        }
        if !is_trade {
            Fate::Sent
        } else if std::mem::take(&mut self.lose_answer) {
            Fate::Lost
        } else if std::mem::take(&mut self.fail_answer) {
            Fate::Failed
        } else {
            Fate::Sent
        }
    }

    /// An answer after faults: lost, made a 500, or as it is.
    pub fn filter_answer(&mut self, text: String, is_trade: bool) -> Option<String> {
        let fate = self.fate(is_trade);
        if fate == Fate::Lost {
            return None;
        }
        if fate == Fate::Failed {
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

    fn delay(&mut self, due_ns: u64, conn: ConnId, out: Out) {
        // Answers keep their order also where the delay was shortened in between.
        let due_ns = self.delayed.back().map_or(due_ns, |last| last.0.max(due_ns));
        self.delayed.push_back((due_ns, conn, out));
    }

    /// The clock goes ahead, or back; what was planned stays as far away as it was.
    pub fn jump(&mut self, ns: i64) {
        let moved = |at: u64| at.saturating_add_signed(ns);
        let moved_key = |(at, n): (u64, u64)| (moved(at), n);
        self.skew_ns = self.skew_ns.saturating_add(ns);
        self.now_ns = moved(self.now_ns);
        self.started_ns = self.started_ns.map(moved);
        self.grid_ns = (self.now_ns / GRID_NS + 1) * GRID_NS;
        (self.silent_until_ns, self.down_until_ns) =
            (moved(self.silent_until_ns), moved(self.down_until_ns));
        for (due_ns, ..) in &mut self.delayed {
            *due_ns = moved(*due_ns);
        }
        let endings = std::mem::take(&mut self.endings);
        self.endings = endings.into_iter().map(|(at, e)| (moved_key(at), e)).collect();
        let lagging = std::mem::take(&mut self.lagging);
        self.lagging = lagging.into_iter().map(|(at, out)| (moved_key(at), out)).collect();
        self.mishaps.shift(ns);
        match &mut self.source {
            Source::Generated(crowds) => crowds.iter_mut().for_each(|c| c.plan(self.now_ns)),
            Source::Recorded(replay) => replay.pace.jump(ns),
            Source::Taped(player) => player.pace.jump(ns),
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
        if let Some((&(at_ns, _), _)) = self.endings.first_key_value() {
            consider(at_ns, Due::Ending);
        }
        if let Some((&(at_ns, _), _)) = self.lagging.first_key_value() {
            consider(at_ns, Due::Lagging);
        }
        if let Some((at_ns, ..)) = self.delayed.front() {
            consider(*at_ns, Due::Delayed);
        }
        consider(self.mishaps.due_ns(), Due::Held);
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
            Source::Taped(player) => {
                if let Some(at_ns) = player.due_ns() {
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
        Some(at_ns.saturating_add_signed(self.pulse.skew_ns.saturating_neg()))
    }

    /// Does everything due until `now_ns` and returns the venue's own time.
    pub(crate) fn advance(&mut self, now_ns: u64) -> u64 {
        let now_ns = now_ns.saturating_add_signed(self.pulse.skew_ns).max(self.pulse.now_ns);
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
            present_ns = present_ns.saturating_add_signed(self.pulse.skew_ns - skew_ns);
        }
        self.pulse.now_ns = present_ns.max(self.pulse.now_ns);
        self.pulse.now_ns
    }

    fn next_due(&self) -> (u64, Due) {
        let mut next = self.pulse.next();
        let dialect_ns = self.dialect.next_ns();
        if dialect_ns < next.0 {
            next = (dialect_ns, Due::Dialect);
        }
        for (&conn, at) in &self.conns {
            let pong = at.pong_due_ns.unwrap_or(u64::MAX);
            let due = at.next_ping_ns.min(pong).min(at.end_ns(self.life_ns));
            if due < next.0 {
                next = (due, Due::Conn(conn));
            }
        }
        next
    }

    fn perform(&mut self, due: Due, until_ns: u64) {
        match due {
            Due::Fault => {
                if let Some(timed) = self.pulse.script.pop_front() {
                    self.strike(timed.fault);
                }
            }
            Due::Ending => {
                if let Some((_, ending)) = self.pulse.endings.pop_first() {
                    self.end_fault(ending);
                }
            }
            Due::Lagging => {
                if let Some((_, (conn, out))) = self.pulse.lagging.pop_first() {
                    self.out.push_back((conn, out));
                }
            }
            Due::Dialect => {
                self.speak(|dialect, desk| dialect.tick(desk));
                self.settle_requests();
            }
            Due::Held => {
                if let Some(event) = self.pulse.mishaps.take_due() {
                    self.tell_event(&event, 1);
                }
            }
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
        let open = market.spec.is_open();
        let act = if open { crowds[n].act(&market.spec, &market.book) } else { None };
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

    /// An answer leaves: now, late as all answers are, or late alone.
    pub(crate) fn answer(&mut self, conn: ConnId, text: String, is_trade: bool) {
        if let Some(out) = self.hold_answer(conn, Out::Text(text.into()), is_trade) {
            self.out.push_back((conn, out));
        }
    }

    /// Holds an answer that comes late; gives it back where it leaves now.
    pub(crate) fn hold_answer(&mut self, conn: ConnId, out: Out, is_trade: bool) -> Option<Out> {
        let now_ns = self.pulse.now_ns;
        let filled = std::mem::take(&mut self.pulse.filled);
        let alone = match (is_trade, filled) {
            (false, _) => None,
            (true, true) if self.pulse.late_taker_ns.is_some() => self.pulse.late_taker_ns.take(),
            (true, _) => self.pulse.late_answer_ns.take(),
        };
        match (alone, self.pulse.delay_ns) {
            (Some(late), _) => self.pulse.lag_until(now_ns + late, conn, out),
            (None, 0) => return Some(out),
            (None, delay) => self.pulse.delay(now_ns + delay, conn, out),
        }
        None
    }

    /// Whether the request at hand has filled something, before its events are told.
    pub(crate) fn note_fills(&mut self) {
        let fills = |event: &Private| match event {
            Private::Report(report) => matches!(report.event, Event::Trade(_)),
            Private::Position(..) => false,
        };
        self.pulse.filled = self.exchange.events.iter().any(fills);
    }

    /// After something happened: record, private events, public messages.
    pub(crate) fn settle(&mut self) {
        self.commit();
        self.tell_events();
        self.tell_markets();
    }

    /// The 100 ms border.
    fn border(&mut self, until_ns: u64) {
        let now_ns = self.pulse.now_ns;
        self.pulse.grid_ns += GRID_NS;
        if until_ns.saturating_sub(now_ns) > LAG_MAX_NS {
            self.pulse.grid_ns = (until_ns / GRID_NS + 1) * GRID_NS;
        }
        let second = now_ns % 1_000_000_000 < GRID_NS;
        self.speak(|dialect, desk| dialect.border(desk, second));
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
        if at.end_ns(life) <= now_ns || at.pong_due_ns.is_some_and(|due| due <= now_ns) {
            self.out.push_back((conn, Out::Close(1000, "")));
            self.disconnect(conn);
            return;
        }
        at.next_ping_ns = now_ns.saturating_add(ping_every);
        if !silenced {
            at.pong_due_ns.get_or_insert(now_ns + timeout);
            self.out.push_back((conn, Out::Ping((now_ns / 1_000_000).to_string())));
        }
    }

    /// One line of the recording.
    fn play_line(&mut self) {
        if let Source::Taped(player) = &mut self.pulse.source {
            if let Some(line) = player.take() {
                self.speak(|dialect, desk| dialect.play(desk, &line));
            }
            return;
        }
        let now_ms = self.pulse.now_ns / 1_000_000;
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
            self.speak(|dialect, desk| dialect.play_entry(desk, &entry));
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
