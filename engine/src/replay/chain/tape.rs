//! The journal, lane by lane: turns of each agent, and what risk wrote and was told.
//!
//! The lanes lie interleaved in the file; what is read past on the way to one lane's next record
//! waits here. A turn of every agent is recorded at least once a second, so that is little.

use std::collections::VecDeque;

use bot4_journal::Reader;
use bot4_types::log::{self, Body as _};
use bot4_types::{ExecMsg, InstrumentTable, LogEntry, LogKind, RiskCommand, TurnRecord};

use crate::topology as t;

/// See the module.
pub struct Tape {
    reader: Reader,
    turns: [VecDeque<TurnRecord>; t::CHAIN.len()],
    risk: VecDeque<LogEntry>,
    /// By venue.
    reports: Vec<VecDeque<ExecMsg>>,
    commands: VecDeque<RiskCommand>,
    /// Says which venue a message is from.
    table: InstrumentTable,
    over: bool,
}

impl Tape {
    /// A tape over a journal that is known to be sound, of a run of the instruments of `table`.
    #[must_use]
    pub fn new(reader: Reader, table: InstrumentTable) -> Self {
        Self {
            reports: vec![VecDeque::new(); table.venues_len()],
            table,
            reader,
            turns: Default::default(),
            risk: VecDeque::new(),
            commands: VecDeque::new(),
            over: false,
        }
    }

    /// The next turn on log lane `lane`; `None` at the journal's end.
    pub fn next_turn(&mut self, lane: u8) -> Option<TurnRecord> {
        let i = usize::from(lane.checked_sub(t::LOG_TURNS)?);
        loop {
            if let Some(record) = self.turns.get_mut(i)?.pop_front() {
                return Some(record);
            }
            if !self.read_on() {
                return None;
            }
        }
    }

    /// The next record that risk wrote.
    pub fn next_of_risk(&mut self) -> Option<LogEntry> {
        while self.risk.is_empty() && self.read_on() {}
        self.risk.pop_front()
    }

    /// The next message that risk took from the order entry of venue `v`. To be asked only when a
    /// turn saw one, for where there is none the whole journal is read on.
    pub fn next_report(&mut self, v: usize) -> Option<ExecMsg> {
        while self.reports.get(v)?.is_empty() && self.read_on() {}
        self.reports.get_mut(v)?.pop_front()
    }

    /// The next command that risk obeyed. To be asked only when a turn saw one, as above.
    pub fn next_command(&mut self) -> Option<RiskCommand> {
        while self.commands.is_empty() && self.read_on() {}
        self.commands.pop_front()
    }

    /// A message with the others of its venue; one about nothing known came by the first's link.
    fn keep(&mut self, message: Option<ExecMsg>) {
        let Some(message) = message else { return };
        let v = message.venue(&self.table).unwrap_or_default().index();
        let at = if v < self.reports.len() { v } else { 0 };
        self.reports[at].push_back(message);
    }

    /// Reads a record into its lane. False at the end, or where records are damaged.
    fn read_on(&mut self) -> bool {
        if self.over {
            return false;
        }
        let Some(Ok(record)) = self.reader.next() else {
            self.over = true;
            return false;
        };
        let entry = record.entry;
        let mut body = log::Reader::over(entry.body());
        match entry.lane {
            t::LOG_RISK => {
                match LogKind::from_raw(entry.kind) {
                    Some(LogKind::Report) => self.keep(ExecMsg::read(&mut body)),
                    Some(LogKind::Command) => self.commands.extend(RiskCommand::read(&mut body)),
                    _ => {}
                }
                self.risk.push_back(entry);
            }
            lane if entry.kind == LogKind::Turns as u8 => {
                let i = usize::from(lane.saturating_sub(t::LOG_TURNS));
                if let Some(turns) = self.turns.get_mut(i) {
                    while let Some(record) = TurnRecord::read(&mut body) {
                        turns.push_back(record);
                    }
                }
            }
            _ => {}
        }
        true
    }
}
