//! The risk lane's agent: ports around a [`RiskCore`].
//!
//! A turn drains reports first, then commands and marks, then judges intents, and draws a point of
//! the equity curve once a second; each input is taken only when every output it may need has
//! room. What the log holds is exactly what the core was fed, in order: the turn's time, phase
//! changes, reports, commands, the marks a decision used, intents, decisions, points of the curve.
//!
//! Marks are conflated here: the newest waits outside the core and is handed in (and recorded)
//! only when a decision is about to use it. Cost of an approval: four records, one of them the
//! write-ahead record whose sequence the order carries. No allocation in `work` except in the
//! text of a fault.

use bot4_lanes::{Agent, Block, Control, Counters, Fault, LogTx, Metrics, Phase, Probe, Rx, Tx};
use bot4_types::instrument::Amount;
use bot4_types::log::{Body, EquityRecord, Refusal, Writer};
use bot4_types::{
    AccountReport, ApprovedOrder, AssetId, DoneReason, ExecMsg, InstrumentId, LogEntry, LogKind,
    Mark, Nanos, OrderAction, OrderIntent, Qty, RefuseReason, ReportKind, RiskCommand, Stage,
    StrategyId,
};

use crate::comparison::{DIFFERENCES, DIFFERENCES_WORDS};
use crate::config::{ConfigError, RiskConfig};
use crate::counters::{
    CHECKED, COMMANDS, FILTERED, FIXED, LOG_USED, MARKS, MODE, NAMES, REFUSED, REPORTS, approved_of,
};
use crate::gate::Approval;
use crate::headrooms_due::HeadroomsDue;
use crate::pnl::Pnl;
use crate::replay::phase_raw;
use crate::risk_core::{Decision, RiskCore};
use crate::stall::Stall;
use crate::statistics::Upkeep;

mod publish;
pub mod shown;
mod stalls;

use shown::Shown;
use stalls::LOG_STALL_NS_MAX;

/// Messages of a link handled in a turn.
const BATCH: usize = 64;
/// Records an intent may need: turn, control, mark, intent, decision.
const INTENT_RECORDS: usize = 5;
/// Records a report or command may need: turn, itself; and control stays possible behind it.
const REPORT_RECORDS: usize = 3;
/// Records that work on the statistics needs beside its marks: turn and work.
const UPKEEP_RECORDS: usize = 2;
/// Records that a point of the equity curve needs beside its marks: turn and point.
const POINT_RECORDS: usize = 2;
/// Account reports that headroom leaves room for: it can wait, they cannot.
const HEADROOM_ROOM: usize = 16;
/// The links of the risk lane.
#[derive(Debug)]
pub struct RiskPorts {
    /// From each book.
    pub marks: Vec<Rx<Mark>>,
    /// From the order entry of each venue; drained first, always.
    pub reports: Vec<Rx<ExecMsg>>,
    /// From the control lane.
    pub commands: Rx<RiskCommand>,
    /// From the router.
    pub intents: Rx<OrderIntent>,
    /// To the order entry of each venue.
    pub approved: Vec<Tx<ApprovedOrder>>,
    /// To the router.
    pub account: Tx<AccountReport>,
    /// To the journal.
    pub log: LogTx,
    /// The kill word.
    pub control: Control,
}

/// The agent. See the module's text.
#[derive(Debug)]
pub struct RiskAgent {
    core: RiskCore,
    ports: RiskPorts,
    newest: Box<[Mark]>,
    fresh: Box<[bool]>,
    /// The instrument whose mark the next sample needs next.
    sampled: usize,
    phase: Phase,
    turn_recorded: bool,
    told: u64,
    headrooms: HeadroomsDue,
    /// By venue: what was pushed to its order entry, and whether that stands still.
    approved_stalls: Box<[(u64, Stall)]>,
    account_stall: Stall,
    log_stall: Stall,
    log_stall_ns_max: u64,
    measures_max: [u64; 5],
    counters: Counters,
    differences: Block,
    shown: Shown,
}

impl RiskAgent {
    /// The agent over its links. Allocates everything it will ever need.
    ///
    /// # Errors
    /// See [`RiskConfig::validate`].
    pub fn new(
        config: RiskConfig,
        ports: RiskPorts,
        metrics: &Metrics,
    ) -> Result<Self, ConfigError> {
        let instruments = config.table.all().len();
        let counters = metrics.counters("risk", &NAMES);
        counters.set(MODE, config.mode as u64);
        Ok(Self {
            core: RiskCore::new(&config)?,
            approved_stalls: vec![(0, Stall::default()); ports.approved.len()].into_boxed_slice(),
            ports,
            newest: vec![Mark::default(); instruments].into_boxed_slice(),
            fresh: vec![false; instruments].into_boxed_slice(),
            sampled: 0,
            phase: Phase::Run,
            turn_recorded: false,
            told: 0,
            headrooms: HeadroomsDue::new(instruments),
            account_stall: Stall::default(),
            log_stall: Stall::default(),
            log_stall_ns_max: LOG_STALL_NS_MAX,
            measures_max: [0; 5],
            counters,
            differences: metrics.block("risk", DIFFERENCES, DIFFERENCES_WORDS),
            shown: Shown::new(&config.table, metrics),
        })
    }

    /// The log may be full for `ns_max` before the engine halts: as long as its writer may wait for
    /// the disk.
    #[must_use]
    pub const fn with_log_stall(mut self, ns_max: u64) -> Self {
        self.log_stall_ns_max = ns_max;
        self
    }

    /// The decisions and the ledger.
    #[must_use]
    pub const fn core(&self) -> &RiskCore {
        &self.core
    }

    /// Intents judged, cancels included: approved plus refused.
    #[must_use]
    pub const fn checked(&self) -> u64 {
        self.core.checked()
    }

    /// Intents approved, amends and cancels included.
    #[must_use]
    pub const fn approved(&self) -> u64 {
        self.core.placed() + self.core.amended() + self.core.canceled()
    }

    /// Every reason with its number of refusals, in the order of [`RefuseReason::ALL`].
    pub fn refused(&self) -> impl Iterator<Item = (RefuseReason, u64)> + '_ {
        RefuseReason::ALL.iter().map(|reason| (*reason, self.core.refused(*reason)))
    }

    /// Fills booked.
    #[must_use]
    pub const fn fills_applied(&self) -> u64 {
        self.core.ledger().counts().fills
    }

    /// Fills dropped because they were booked before.
    #[must_use]
    pub const fn duplicates_dropped(&self) -> u64 {
        self.core.ledger().counts().duplicates
    }

    /// Net position of the account in `instrument`, by fills.
    #[must_use]
    pub fn position(&self, instrument: InstrumentId) -> Qty {
        let total = self.core.ledger().total(instrument);
        total.map_or(Qty(0), |e| crate::ledger::clamped(e.position.qty))
    }

    /// Net position of `strategy` in `instrument`, by fills.
    #[must_use]
    pub fn strategy_position(&self, strategy: StrategyId, instrument: InstrumentId) -> Qty {
        self.core.ledger().position(strategy, instrument)
    }

    /// Start + fills - fees, to be compared with what the venue holds.
    #[must_use]
    pub fn expected_balance(&self, asset: AssetId) -> Amount {
        self.core.ledger().expected_balance(asset)
    }

    /// Profit and fees in the reporting asset; after [`Agent::close`] by the newest marks.
    #[must_use]
    pub fn pnl(&self) -> Pnl {
        self.core.pnl()
    }

    /// Orders that are not ended, the unknown ones among them.
    #[must_use]
    pub const fn open_orders(&self) -> usize {
        self.core.ledger().open_orders()
    }

    /// Orders of unknown fate.
    #[must_use]
    pub const fn unknown_orders(&self) -> usize {
        self.core.ledger().unknown_orders()
    }

    /// Hash over all decisions, for replay.
    #[must_use]
    pub const fn decision_hash(&self) -> u64 {
        self.core.decision_hash()
    }

    /// Every venue's reports, a batch each: a busy one delays the others by no more than that.
    fn drain_reports(&mut self, now: Nanos) -> Result<usize, Fault> {
        let mut done = 0;
        for venue in 0..self.ports.reports.len() {
            done += self.drain_reports_of(venue, now)?;
        }
        Ok(done)
    }

    fn drain_reports_of(&mut self, venue: usize, now: Nanos) -> Result<usize, Fault> {
        for done in 0..BATCH {
            if self.ports.log.room() < REPORT_RECORDS || self.ports.account.room() == 0 {
                return Ok(done);
            }
            let Some(msg) = self.ports.reports[venue].pop() else { return Ok(done) };
            self.open_turn(now)?;
            self.record(LogKind::Report, now, |w| msg.write(w))?;
            self.counters.add(REPORTS, 1);
            self.counters.add(FILTERED, u64::from(is_filtered(&msg)));
            if let ExecMsg::Order(report) = &msg
                && report.kind == ReportKind::Fill
            {
                self.headrooms.want(report.instrument);
            }
            if let Some(report) = self.core.on_report(&msg) {
                self.tell(report)?;
            }
        }
        Ok(BATCH)
    }

    /// Takes what the control lane says: rare, but never behind a decision that it concerns.
    fn drain_commands(&mut self, now: Nanos) -> Result<usize, Fault> {
        let mut done = 0;
        while self.ports.log.room() >= REPORT_RECORDS
            && self.ports.account.room() > 0
            && let Some(command) = self.ports.commands.pop()
        {
            self.open_turn(now)?;
            self.record(LogKind::Command, now, |w| command.write(w))?;
            self.core.on_command(&command);
            self.counters.add(COMMANDS, 1);
            match command {
                RiskCommand::Parent(command) => self.tell(AccountReport::Parent(command))?,
                RiskCommand::Work(work) => self.tell(AccountReport::Work(work))?,
                _ => {}
            }
            done += 1;
        }
        Ok(done)
    }

    /// Tells signal where instruments stand, as far as there is room: the newest word counts.
    fn tell_news(&mut self) -> Result<usize, Fault> {
        let mut done = 0;
        while let Some(news) = self.core.news()
            && self.ports.account.room() > 0
        {
            self.tell(AccountReport::Instrument(news))?;
            self.core.heard(news.rules.instrument);
            done += 1;
        }
        Ok(done)
    }

    /// Keeps the newest mark of each instrument. No output is needed, so no room is asked for.
    fn drain_marks(&mut self) -> usize {
        let mut done = 0;
        for link in &mut self.ports.marks {
            for _ in 0..BATCH {
                let Some(mark) = link.pop() else { break };
                done += 1;
                if let Some(newest) = self.newest.get_mut(mark.instrument.index()) {
                    *newest = mark;
                    self.fresh[mark.instrument.index()] = true;
                }
            }
        }
        self.counters.add(MARKS, done as u64);
        done
    }

    fn judge_intents(&mut self, now: Nanos, probe: &Probe) -> Result<usize, Fault> {
        self.read_phase(now)?;
        for done in 0..BATCH {
            let Some(intent) = self.ports.intents.peek() else { return Ok(done) };
            let room = self.record_room(intent);
            let outputs = self.ports.approved[self.venue_of(intent)].room();
            let outputs = outputs.min(self.ports.account.room());
            if room < INTENT_RECORDS || outputs == 0 {
                return Ok(done);
            }
            let Some(intent) = self.ports.intents.pop() else { return Ok(done) };
            self.judge(&intent, now, probe)?;
        }
        Ok(BATCH)
    }

    fn judge(&mut self, intent: &OrderIntent, now: Nanos, probe: &Probe) -> Result<(), Fault> {
        self.read_phase(now)?;
        self.open_turn(now)?;
        if intent.action != OrderAction::Cancel {
            self.hand_in(intent.instrument, now)?;
            self.hand_in_valuation(now)?;
        }
        self.record(LogKind::Intent, now, |w| intent.write(w))?;
        self.counters.add(CHECKED, 1);
        match self.core.on_intent(intent, self.phase) {
            Decision::Approved(approval) => self.approve(approval, now, probe),
            Decision::Refused(reason) => self.refuse(intent, reason, now),
        }
    }

    fn approve(&mut self, approval: Approval, now: Nanos, probe: &Probe) -> Result<(), Fault> {
        let mut trail = approval.intent().trail;
        trail.mark(Stage::Risk, probe.stamp());
        let approval = approval.stamped(trail);
        let record = self.record(LogKind::Approved, now, |w| approval.intent().write(w))?;
        self.counters.add(approved_of(approval.intent().action), 1);
        let venue = self.venue_of(approval.intent());
        self.approved_stalls[venue].0 += 1;
        let pushed = self.ports.approved[venue].push(approval.seal(record));
        pushed.map_err(|_| fault("the approved link was full although it had room"))
    }

    fn refuse(
        &mut self,
        intent: &OrderIntent,
        reason: RefuseReason,
        now: Nanos,
    ) -> Result<(), Fault> {
        let refusal = Refusal { order: intent.order, reason };
        self.record(LogKind::Refused, now, |w| refusal.write(w))?;
        self.counters.add(REFUSED, 1);
        self.counters.add(FIXED.len() + reason as usize, 1);
        self.tell(AccountReport::Refused {
            order: intent.order,
            action: intent.action,
            instrument: intent.instrument,
            strategy: intent.strategy,
            reason,
        })
    }

    /// Hands the newest mark of `instrument` to the core, recorded, unless it has it.
    fn hand_in(&mut self, instrument: InstrumentId, now: Nanos) -> Result<(), Fault> {
        let index = instrument.index();
        if !self.fresh.get(index).copied().unwrap_or(false) {
            return Ok(());
        }
        let mark = self.newest[index];
        self.record(LogKind::Mark, now, |w| mark.write(w))?;
        self.fresh[index] = false;
        self.core.on_mark(&mark);
        Ok(())
    }

    /// When equity is due, hands in the marks behind it, as far as the log has room for them
    /// beside the records of the intent at hand.
    fn hand_in_valuation(&mut self, now: Nanos) -> Result<(), Fault> {
        if !self.core.equity_is_due(now) {
            return Ok(());
        }
        for i in 0..self.core.valued_by().len() {
            if self.ports.log.room_ordinary() <= INTENT_RECORDS {
                break;
            }
            let instrument = self.core.valued_by()[i];
            self.hand_in(instrument, now)?;
        }
        Ok(())
    }

    /// Tells the strategies what is left for sizing, where that is due and the link has room to
    /// spare.
    fn tell_headrooms(&mut self, now: Nanos) -> Result<usize, Fault> {
        let mut done = self.headrooms.look(now);
        while self.ports.account.room() > HEADROOM_ROOM
            && done < BATCH
            && let Some(instrument) = self.headrooms.next()
        {
            done += 1;
            if let Some(headroom) = self.core.headroom(instrument) {
                self.tell(AccountReport::Headroom(headroom))?;
            }
        }
        Ok(done)
    }

    /// Does the work on the statistics that is due, recorded; waits while the log has no room.
    fn maintain(&mut self, now: Nanos) -> Result<usize, Fault> {
        let intents_wait = self.ports.intents.peek().is_some();
        let Some(upkeep) = self.core.upkeep_due(now, intents_wait) else { return Ok(0) };
        if upkeep == Upkeep::Sample && !self.hand_in_sample(now)? {
            return Ok(1);
        }
        if self.ports.log.room_ordinary() < UPKEEP_RECORDS {
            return Ok(0);
        }
        self.open_turn(now)?;
        self.record(LogKind::Statistics, now, |w| w.u8(upkeep as u8))?;
        self.core.on_upkeep(upkeep);
        self.sampled = 0;
        Ok(1)
    }

    /// Hands in the marks of a sample, some in a turn; true when all are in. Those that the turns
    /// before handed in may be older than this turn, by less than a mark may be.
    fn hand_in_sample(&mut self, now: Nanos) -> Result<bool, Fault> {
        let end = self.fresh.len().min(self.sampled + BATCH);
        while self.sampled < end {
            if self.ports.log.room_ordinary() <= UPKEEP_RECORDS {
                return Ok(false);
            }
            if self.fresh[self.sampled] {
                self.open_turn(now)?;
                self.hand_in(InstrumentId(self.sampled as u16), now)?;
            }
            self.sampled += 1;
        }
        Ok(self.sampled == self.fresh.len())
    }

    /// Draws a point of the equity curve once a second, intents or not: a fall must be seen while
    /// nobody trades. Waits while the log has no room for it.
    fn sample_equity(&mut self, now: Nanos) -> Result<usize, Fault> {
        let records = self.core.valued_by().len() + POINT_RECORDS;
        if !self.core.curve().is_due(now) || self.ports.log.room_ordinary() < records {
            return Ok(0);
        }
        self.open_turn(now)?;
        for i in 0..self.core.valued_by().len() {
            let instrument = self.core.valued_by()[i];
            self.hand_in(instrument, now)?;
        }
        self.core.on_sample();
        let point = equity_record(&self.core);
        self.record(LogKind::Equity, now, |w| point.write(w))?;
        self.publish_equity();
        Ok(1)
    }

    /// Reads the control word and records a change, when the log has room for it.
    fn read_phase(&mut self, now: Nanos) -> Result<(), Fault> {
        let phase = self.ports.control.phase();
        if phase == self.phase || self.ports.log.room() < 2 {
            return Ok(());
        }
        self.open_turn(now)?;
        self.record(LogKind::Control, now, |w| w.u8(phase_raw(phase)))?;
        self.core.on_phase(phase);
        self.phase = phase;
        Ok(())
    }

    /// Records the turn's time before its first input, and the hashes of all decisions and inputs
    /// so far, so that a replay finds the turn in which it parts from the run.
    fn open_turn(&mut self, now: Nanos) -> Result<(), Fault> {
        if self.turn_recorded {
            return Ok(());
        }
        let (decisions, inputs) = (self.core.decision_hash(), self.core.input_hash());
        self.record(LogKind::Turn, now, |w| {
            w.u64(now.0);
            w.u64(decisions);
            w.u64(inputs);
        })?;
        self.turn_recorded = true;
        self.core.on_turn(now);
        Ok(())
    }

    fn record(
        &mut self,
        kind: LogKind,
        now: Nanos,
        fill: impl FnOnce(&mut Writer<'_>),
    ) -> Result<u64, Fault> {
        let pushed = self.ports.log.push(LogEntry::new(kind, now, fill));
        pushed.map_err(|_| fault("the log was full although it had room"))
    }

    fn tell(&mut self, report: AccountReport) -> Result<(), Fault> {
        let pushed = self.ports.account.push(report);
        self.told += 1;
        pushed.map_err(|_| fault("the account link was full although it had room"))
    }

    /// Whose order entry takes `intent`: the first one's where the instrument is unknown, which the
    /// gate refuses.
    fn venue_of(&self, intent: &OrderIntent) -> usize {
        let instrument = self.core.ledger().table().get(intent.instrument);
        let venue = instrument.map_or(0, |i| i.venue.index());
        if venue < self.ports.approved.len() { venue } else { 0 }
    }

    /// Records that may be written for `intent`: cancels may use the reserve.
    fn record_room(&self, intent: &OrderIntent) -> usize {
        match intent.action {
            OrderAction::Place | OrderAction::Amend => self.ports.log.room_ordinary(),
            OrderAction::Cancel => self.ports.log.room(),
        }
    }
}

/// The newest point of the curve of `core` as its record.
pub(crate) fn equity_record(core: &RiskCore) -> EquityRecord {
    let p = core.equity_curve();
    let (peak, day_open, day) = (p.peak, p.day_open, p.day);
    EquityRecord { equity: p.equity.unwrap_or(0), peak, day_open, day }
}

/// The venue refused an order by one of its filters: they may not be what we think.
const fn is_filtered(msg: &ExecMsg) -> bool {
    let ExecMsg::Order(report) = msg else { return false };
    matches!((report.kind, report.reason), (ReportKind::Done, DoneReason::Filter))
}

#[cold]
fn fault(what: &str) -> Fault {
    Fault { role: "risk", what: what.to_owned() }
}

impl Agent for RiskAgent {
    fn role(&self) -> &'static str {
        "risk"
    }

    fn work(&mut self, now: Nanos, probe: &mut Probe) -> Result<usize, Fault> {
        self.turn_recorded = false;
        let news = self.tell_news()?;
        let reports = self.drain_reports(now)?;
        let commands = self.drain_commands(now)?;
        let marks = self.drain_marks();
        let intents = self.judge_intents(now, probe)?;
        let upkeep = self.maintain(now)?;
        let sampled = self.sample_equity(now)?;
        if news + reports + commands + intents + sampled > 0 {
            self.publish();
        }
        self.counters.set(LOG_USED, self.ports.log.used_pct());
        self.watch(now)?;
        let told = self.tell_headrooms(now)?;
        let done = news + reports + commands + marks + intents + upkeep + sampled + told;
        self.shown.look(&self.core, now, done == 0);
        Ok(done)
    }

    /// Hands in the newest marks, so that the final report is valued by them.
    fn close(&mut self, _now: Nanos) {
        self.drain_marks();
        for (mark, fresh) in self.newest.iter().zip(&mut self.fresh) {
            if core::mem::take(fresh) {
                self.core.on_mark(mark);
            }
        }
    }
}
