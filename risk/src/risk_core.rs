//! The decisions of the risk lane without its ports: a pure function of what is fed in.
//!
//! The agent feeds it live, [`crate::replay`] from a journal; the same inputs in the same order
//! give the same decisions and the same [`RiskCore::decision_hash`]. Nothing here reads a clock,
//! a ring or a trail.

use bot4_lanes::Phase;
use bot4_types::command::LIMITS_PART;
use bot4_types::instrument::Amount;
use bot4_types::{
    AccountReport, AssetId, ControlMode, ExecMsg, Headroom, InstrumentId, InstrumentNews,
    InstrumentRules, Mark, Nanos, OrderAction, OrderId, OrderIntent, OrderReport, RefuseReason,
    ReportKind, RiskCommand, StrategyId,
};
use serde::{Deserialize, Serialize};

use crate::aggregate::Aggregate;
use crate::breaker::{Booked, Breakers};
use crate::caps::Caps;
use crate::changes::Changes;
use crate::checks::{CheckInput, GateState};
use crate::comparison::Statement;
use crate::config::{ConfigError, RiskConfig};
use crate::digest::{self, mixed};
use crate::equity::{EquityCurve, EquityPoint};
use crate::gate::{self, Approval};
use crate::headroom;
use crate::latch::{LatchKind, Latches};
use crate::ledger::Ledger;
use crate::money::quote_amount;
use crate::pnl::Pnl;
use crate::rate::Rates;
use crate::reload::Staging;
use crate::scopes::LimitBook;
use crate::sessions::Sessions;
use crate::statistics::{Statistics, Upkeep};
use crate::valuation::Valuation;
use truth::Truth;

mod limits;
mod recovered;
mod truth;
mod worth;

/// Number of refuse reasons.
pub const REASONS: usize = RefuseReason::ALL.len();

/// What became of an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It passed every check; its reservation is made.
    Approved(Approval),
    /// It did not, and why.
    Refused(RefuseReason),
}

/// The core. See the module's text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RiskCore {
    book: LimitBook,
    mode: ControlMode,
    /// What the configuration said of it last, while the run went on.
    mode_configured: Option<ControlMode>,
    caps: Caps,
    staging: Staging,
    limit_changes: u64,
    limit_changes_refused: u64,
    ledger: Ledger,
    aggregate: Aggregate,
    valuation: Valuation,
    changes: Changes,
    truth: Truth,
    rates: Rates,
    breakers: Breakers,
    statistics: Statistics,
    latches: Latches,
    phase: Phase,
    valued_by: Box<[InstrumentId]>,
    assets: usize,
    curve: EquityCurve,
    quote: AssetId,
    now: Nanos,
    sessions: Sessions,
    order_last: OrderId,
    hash: u64,
    inputs: u64,
    checked: u64,
    placed: u64,
    amended: u64,
    canceled: u64,
    #[serde(with = "crate::wide")]
    refused: [u64; REASONS],
}

impl RiskCore {
    /// A core in its first state. Allocates everything it will ever need.
    ///
    /// # Errors
    /// See [`RiskConfig::validate`].
    pub fn new(config: &RiskConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let table = &config.table;
        let valuation = Valuation::new(table, config.quote);
        let assets = table.assets_len();
        let mut valued_by: Vec<InstrumentId> =
            (0..assets).flat_map(|a| valuation.instruments_of(AssetId(a as u8))).collect();
        valued_by.sort_unstable();
        valued_by.dedup();
        let book = config.limit_book();
        let venues: Vec<_> = table.all().iter().map(|i| i.venue).collect();
        let mut core = Self {
            mode: config.mode,
            mode_configured: None,
            caps: Caps::new(&book, table, config.mode),
            aggregate: Aggregate::new(table, config.strategies, config.quote),
            rates: Rates::new(&book),
            staging: Staging::new(&book),
            limit_changes: 0,
            limit_changes_refused: 0,
            book,
            ledger: Ledger::new(table, config.strategies, &config.balances, &config.limits),
            valuation,
            breakers: Breakers::new(&config.breakers, config.strategies, &venues)
                .without(usize::from(config.operator)),
            statistics: Statistics::new(table, &config.limits.statistics),
            changes: Changes::new(table.all().len()),
            truth: Truth::new(std::iter::empty()),
            latches: Latches::new(config.strategies),
            phase: Phase::Run,
            valued_by: valued_by.into_boxed_slice(),
            assets,
            curve: EquityCurve::new(config.equity.clone()),
            quote: config.quote,
            now: Nanos::ZERO,
            sessions: Sessions::default(),
            order_last: OrderId(0),
            hash: 0,
            inputs: 0,
            checked: 0,
            placed: 0,
            amended: 0,
            canceled: 0,
            refused: [0; REASONS],
        };
        core.spread_margins();
        core.begin(config);
        Ok(core)
    }

    /// The reporting asset.
    #[must_use]
    pub const fn quote(&self) -> AssetId {
        self.quote
    }

    /// A turn that consumes inputs begins at `now`.
    pub fn on_turn(&mut self, now: Nanos) {
        self.now = now;
        self.breakers.on_turn(now);
    }

    /// The control word changed. From kill to run: a person has ended the stop, and with it what
    /// latched here; the highest equity counts anew from there.
    pub fn on_phase(&mut self, phase: Phase) {
        if self.phase.is_stopped() && phase == Phase::Run {
            if self.latches.is_standing(LatchKind::Drawdown) {
                self.curve.accept();
                self.caps.on_equity(self.curve.point());
            }
            self.accept_balances();
            self.latches.end(self.drift());
        }
        self.phase = phase;
    }

    /// Books a message of execution; returns what the strategies should hear of it.
    pub fn on_report(&mut self, msg: &ExecMsg) -> Option<AccountReport> {
        self.inputs = digest::of_report(self.inputs, msg);
        let told = self.book_report(msg);
        self.follow_balances(msg);
        if let ExecMsg::Order(report) = msg {
            self.finish_change(report.instrument);
        }
        self.heal();
        told
    }

    fn book_report(&mut self, msg: &ExecMsg) -> Option<AccountReport> {
        match *msg {
            ExecMsg::Order(report) => self.book_order(&report),
            ExecMsg::Balance { asset, free, locked, .. } => {
                self.ledger.on_balance(asset, free, locked);
                None
            }
            ExecMsg::Funding { id, instrument, asset, amount, .. } => {
                self.ledger.on_funding(instrument, id, asset, amount);
                None
            }
            ExecMsg::Session { venue, ready, .. } => {
                self.on_session(venue, ready);
                Some(AccountReport::Session { venue, ready })
            }
            ExecMsg::Foreign { venue_order, trade_id, declared, .. } => {
                self.on_foreign(venue_order, trade_id, declared);
                None
            }
        }
    }

    /// Obeys a command of the control lane. One about an instrument that is not there, or rules
    /// that do not fit it, change nothing: control knows the same table.
    pub fn on_command(&mut self, command: &RiskCommand) {
        self.inputs = digest::of_command(self.inputs, command);
        let known = command.instrument().and_then(|i| self.ledger.table().get(i));
        match command {
            RiskCommand::Rules { rules, resync } if known.is_some_and(|i| rules.fit(i)) => {
                self.changes.begin(rules, *resync);
                self.finish_change(rules.instrument);
            }
            RiskCommand::Rules { .. } => {}
            RiskCommand::Pause { instrument, why } => self.changes.pause(*instrument, Some(*why)),
            RiskCommand::Resume { instrument } => self.changes.pause(*instrument, None),
            RiskCommand::BreakerReset { scope } => self.breakers.reset(*scope),
            RiskCommand::Mode(mode) => {
                self.mode_configured = Some(*mode);
                self.set_mode(*mode);
            }
            RiskCommand::OperatorMode(mode) => self.set_mode(*mode),
            // For the router: its children are judged when they come.
            RiskCommand::Parent(_) | RiskCommand::Work(_) => {}
            RiskCommand::LimitsPart { at, len, bytes } => {
                self.staging.part(*at, &bytes[..usize::from(*len).min(LIMITS_PART)]);
            }
            RiskCommand::LimitsCommit { len, sum } => self.commit_limits(*len, *sum),
            RiskCommand::VenueBalance { asset, total, asked, patience, follow } => {
                let (asset, total, asked) = (*asset, *total, *asked);
                let (patience, follow) = (*patience, *follow);
                self.compare(&Statement { asset, total, asked, patience, follow });
            }
            RiskCommand::AcceptBalance { instrument } => self.accept_balance(*instrument),
            RiskCommand::Shed { instrument, on } => self.changes.set_shed(*instrument, *on),
        }
    }

    /// The next instrument of which the stages before risk must hear; ask until there is none.
    /// [`heard`](Self::heard) says that it was passed on.
    #[must_use]
    pub fn news(&self) -> Option<InstrumentNews> {
        let id = self.changes.first_untold()?;
        let (pending, shed) = (self.changes.pending(id).copied(), self.changes.is_shed(id));
        let now = InstrumentRules::of(self.ledger.table().get(id)?);
        Some(InstrumentNews {
            rules: pending.unwrap_or(now),
            change: self.changes.count(id),
            open: self.changes.check(id).is_ok() && !shed,
            paused: self.changes.paused(id).is_some() || shed,
            shed,
        })
    }

    /// What [`news`](Self::news) said of `instrument` is on its way.
    pub fn heard(&mut self, instrument: InstrumentId) {
        self.changes.told(instrument);
    }

    /// Binds the rules that wait, once no order of `instrument` can trade any more.
    fn finish_change(&mut self, instrument: InstrumentId) {
        if self.changes.pending(instrument).is_some()
            && (!self.changes.is_closed(instrument) || self.ledger.is_at_rest(instrument))
            && let Some(rules) = self.changes.take_pending(instrument)
        {
            self.ledger.bind(&rules);
        }
    }

    /// Takes in a mark that decisions may use from now on.
    pub fn on_mark(&mut self, mark: &Mark) {
        self.inputs = digest::of_mark(self.inputs, mark);
        self.valuation.on_mark(mark);
        self.statistics.on_mark(mark, &self.valuation);
        self.aggregate.on_mark(mark.instrument, &self.ledger, &self.valuation);
    }

    /// Work on the statistics that is due at `now`; `intents_wait` when some do.
    #[must_use]
    pub fn upkeep_due(&self, now: Nanos, intents_wait: bool) -> Option<Upkeep> {
        self.statistics.due(now, intents_wait)
    }

    /// Does work on the statistics, at the time of the turn. For a sample, the newest marks should
    /// have been handed in.
    pub fn on_upkeep(&mut self, upkeep: Upkeep) {
        self.inputs = mixed(self.inputs, 1 << 8 | upkeep as u64);
        self.statistics.maintain(upkeep, self.now, &self.ledger, &self.valuation);
    }

    /// Draws a point of the equity curve from the marks handed in, for the grid of a second.
    /// What it came to is part of the decision hash.
    pub fn on_sample(&mut self) {
        self.refresh_equity();
        self.curve.sample(self.now);
        let p = *self.curve.point();
        for amount in [p.equity.unwrap_or(-1), p.peak, p.day_open] {
            self.mix(amount as u64);
            self.mix((amount >> 64) as u64);
        }
    }

    /// Decides on `intent` and, when it is approved, makes its reservation.
    pub fn on_intent(&mut self, intent: &OrderIntent, phase: Phase) -> Decision {
        self.on_phase(phase);
        let place = intent.action == OrderAction::Place;
        let asks = intent.action != OrderAction::Cancel;
        if asks {
            if self.equity_is_due(self.now) {
                self.refresh_equity();
            }
            self.latches.on_place(intent.strategy, self.now, &self.book.account);
        }
        let phase = self.phase_to_judge();
        let input = CheckInput::new(&self.gate_state(phase), intent);
        let (verdict, trims) = (gate::judge(&input), input.trims());
        if asks {
            let told = verdict.map(|_| ());
            self.latches.on_verdict(intent.strategy, told, &self.book.account);
        }
        self.checked += 1;
        let decision = match verdict {
            Ok(approval) if self.commit(intent, trims) => Decision::Approved(approval),
            Ok(_) => Decision::Refused(RefuseReason::OpenOrders),
            Err(reason) => Decision::Refused(reason),
        };
        if place {
            self.order_last = self.order_last.max(intent.order);
        }
        if let Decision::Refused(reason) = decision {
            self.refused[reason as usize] += 1;
        }
        self.hash = digest::of_decision(self.hash, intent, &decision);
        decision
    }

    /// A latch kills from the decision that finds it on; the control word follows. What is held may
    /// be closed all the same where a person wishes it, but not on a ledger that contradicts the
    /// venue.
    const fn phase_to_judge(&self) -> Phase {
        let latches = &self.latches;
        match self.phase {
            Phase::Flatten if !latches.is_standing(LatchKind::Drift) => Phase::Flatten,
            _ if latches.stands() => Phase::Kill,
            Phase::Flatten => Phase::Kill,
            phase => phase,
        }
    }

    /// The equity behind the position limit is older than it may be at `now`: before the next
    /// intent the marks of [`Self::valued_by`] should be handed in.
    #[must_use]
    pub fn equity_is_due(&self, now: Nanos) -> bool {
        let age_ns = now.since(self.curve.at()).0;
        self.equity().is_none() || age_ns >= self.book.account.equity_age_ns_max
    }

    /// The instruments by whose marks assets are valued.
    #[must_use]
    pub fn valued_by(&self) -> &[InstrumentId] {
        &self.valued_by
    }

    /// A hash over all decisions so far: order, outcome and the order's terms, no stamps.
    #[must_use]
    pub const fn decision_hash(&self) -> u64 {
        self.hash
    }

    /// A hash over all marks and messages taken in so far: it tells a replay that the core was
    /// fed something else even where no decision changed.
    #[must_use]
    pub const fn input_hash(&self) -> u64 {
        self.inputs
    }

    /// What stops all trading.
    #[must_use]
    pub const fn latches(&self) -> &Latches {
        &self.latches
    }

    /// What the book can lose.
    #[must_use]
    pub const fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// What is left for sizing in `instrument`; `None` while equity or its value is not known.
    #[must_use]
    pub fn headroom(&self, instrument: InstrumentId) -> Option<Headroom> {
        headroom::of(&self.gate_state(Phase::Run), self.curve.point(), instrument)
    }

    /// The ledger.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Intents judged, cancels included. Equals approved plus refused.
    #[must_use]
    pub const fn checked(&self) -> u64 {
        self.checked
    }

    /// New orders approved.
    #[must_use]
    pub const fn placed(&self) -> u64 {
        self.placed
    }

    /// Amends approved.
    #[must_use]
    pub const fn amended(&self) -> u64 {
        self.amended
    }

    /// Cancels approved.
    #[must_use]
    pub const fn canceled(&self) -> u64 {
        self.canceled
    }

    /// Refusals for `reason`.
    #[must_use]
    pub const fn refused(&self, reason: RefuseReason) -> u64 {
        self.refused[reason as usize]
    }

    /// Value of all balances in the reporting asset when last told; `None` until every held
    /// asset that can be valued had a mark.
    #[must_use]
    pub const fn equity(&self) -> Option<Amount> {
        self.curve.point().equity
    }

    /// Exposure summed over instruments.
    #[must_use]
    pub const fn aggregate(&self) -> &Aggregate {
        &self.aggregate
    }

    /// The newest point of the equity curve: peak, day, drawdown, loss of the day.
    #[must_use]
    pub const fn equity_curve(&self) -> &EquityPoint {
        self.curve.point()
    }

    /// The whole curve.
    #[must_use]
    pub const fn curve(&self) -> &EquityCurve {
        &self.curve
    }

    /// Assets that are held and that no path of instruments values: they count nothing.
    pub fn unvalued(&self) -> impl Iterator<Item = AssetId> + '_ {
        (0..self.assets).map(|a| AssetId(a as u8)).filter(|asset| {
            self.ledger.expected_balance(*asset) != 0 && !self.valuation.has_route(*asset)
        })
    }

    /// The circuit breakers.
    #[must_use]
    pub const fn breakers(&self) -> &Breakers {
        &self.breakers
    }

    /// The order-entry session of every venue is ready.
    #[must_use]
    pub fn session_ready(&self) -> bool {
        self.sessions.are_ready(self.ledger.table().venues_len())
    }

    /// Profit and fees by the newest marks handed in.
    #[must_use]
    pub fn pnl(&self) -> Pnl {
        Pnl::of(&self.ledger, &self.valuation)
    }

    /// What the gate decides by.
    #[must_use]
    #[inline]
    pub const fn gate_state(&self, phase: Phase) -> GateState<'_> {
        GateState {
            now: self.now,
            phase,
            mode: self.mode,
            limits: &self.book.account,
            caps: &self.caps,
            ledger: &self.ledger,
            aggregate: &self.aggregate,
            valuation: &self.valuation,
            changes: &self.changes,
            rates: &self.rates,
            breakers: &self.breakers,
            statistics: &self.statistics,
            sessions: self.sessions,
            order_last: self.order_last,
        }
    }

    /// Books a report of an order; what is new is told to strategies and breakers.
    fn book_order(&mut self, report: &OrderReport) -> Option<AccountReport> {
        // Our own record says whose order it is; the report decides only for strangers.
        let own = self.ledger.order(report.order).map(|o| (o.strategy, o.instrument));
        let (strategy, at) = own.unwrap_or((report.strategy, report.instrument));
        let realized = self.realized(strategy, at);
        let news = self.ledger.on_report(report);
        self.latches.on_drift(self.drift());
        self.statistics.follow(&self.ledger, at);
        self.aggregate.on_exposure(strategy, at, &self.ledger, &self.valuation);
        if !news {
            return None;
        }
        let booked = match report.kind {
            ReportKind::Fill => {
                self.booked(report, self.realized(strategy, at).saturating_sub(realized))
            }
            _ => Booked::default(),
        };
        self.breakers.on_report(report, strategy, booked);
        let position = self.ledger.position(strategy, report.instrument);
        Some(AccountReport::Order { report: *report, position })
    }

    /// What a fill that realised `closed`, a notional, moved in the reporting asset; what cannot
    /// be valued counts nothing.
    fn booked(&self, report: &OrderReport, closed: i128) -> Booked {
        let value = |asset, amount| self.valuation.value(asset, amount).unwrap_or(0);
        let instrument = self.ledger.table().get(report.instrument);
        let realized = instrument.map_or(0, |i| value(i.quote, quote_amount(i, closed)));
        Booked { realized, fee: value(report.fee_asset, report.fee) }
    }

    /// Profit realised so far by `strategy` in `instrument`, as a notional.
    fn realized(&self, strategy: StrategyId, instrument: InstrumentId) -> i128 {
        self.ledger.exposure(strategy, instrument).map_or(0, |e| e.position.realized)
    }

    /// Makes the reservation of an approved order or amend and counts it; `trims` is an amend that
    /// only takes quantity away.
    fn commit(&mut self, intent: &OrderIntent, trims: bool) -> bool {
        match intent.action {
            OrderAction::Place => {
                if !self.ledger.approve(intent) {
                    return false;
                }
                let (strategy, id) = (intent.strategy, intent.instrument);
                self.aggregate.on_exposure(strategy, id, &self.ledger, &self.valuation);
                self.statistics.follow(&self.ledger, id);
                self.rates.take_order(strategy, id, self.now);
                self.breakers.admit(intent);
                self.placed += 1;
            }
            OrderAction::Amend => {
                if !self.ledger.amend(intent) {
                    return false;
                }
                let (strategy, id) = (intent.strategy, intent.instrument);
                self.aggregate.on_exposure(strategy, id, &self.ledger, &self.valuation);
                self.statistics.follow(&self.ledger, id);
                match trims {
                    true => self.rates.take_cancel(self.now),
                    false => self.rates.take_order(strategy, id, self.now),
                }
                self.amended += 1;
            }
            OrderAction::Cancel => {
                self.rates.take_cancel(self.now);
                self.canceled += 1;
            }
        }
        true
    }

    const fn mix(&mut self, word: u64) {
        self.hash = mixed(self.hash, word);
    }
}
