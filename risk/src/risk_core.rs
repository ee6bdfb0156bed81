//! The decisions of the risk lane without its ports: a pure function of what is fed in.
//!
//! The agent feeds it live, [`crate::replay`] from a journal; the same inputs in the same order
//! give the same decisions and the same [`RiskCore::decision_hash`]. Nothing here reads a clock,
//! a ring or a trail.

use core::fmt;

use bot4_lanes::Phase;
use bot4_types::instrument::Amount;
use bot4_types::limits::STRATEGIES_MAX;
use bot4_types::{
    AccountReport, AssetId, ExecMsg, InstrumentId, InstrumentTable, Mark, Nanos, OrderAction,
    OrderId, OrderIntent, RefuseReason,
};

use crate::checks::CheckInput;
use crate::gate::{self, Approval};
use crate::ledger::Ledger;
use crate::limits::{LimitError, RiskLimits};
use crate::money::quote_amount;
use crate::rate::Rates;
use crate::valuation::{Valuation, mark_price};

/// Number of refuse reasons.
pub const REASONS: usize = RefuseReason::ALL.len();

/// Everything the risk lane starts from.
#[derive(Clone, Debug)]
pub struct RiskConfig {
    /// The limits.
    pub limits: RiskLimits,
    /// The instruments and assets of the run.
    pub table: InstrumentTable,
    /// What is held at start, per asset.
    pub balances: Vec<(AssetId, Amount)>,
    /// The reporting asset: equity, limits and profit are told in it.
    pub quote: AssetId,
    /// Number of strategies.
    pub strategies: usize,
}

/// Why a configuration is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// A limit that cannot be meant.
    Limit(LimitError),
    /// The reporting asset, a balance's asset or an instrument's base or quote is not in the
    /// table.
    UnknownAsset(AssetId),
    /// A start balance is negative.
    NegativeBalance(AssetId),
    /// No strategy, or more than [`STRATEGIES_MAX`].
    Strategies(usize),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit(error) => write!(f, "risk limit: {error}"),
            Self::UnknownAsset(a) => write!(f, "asset {} is not in the asset table", a.0),
            Self::NegativeBalance(a) => write!(f, "start balance of asset {} is negative", a.0),
            Self::Strategies(n) => {
                write!(f, "{n} strategies: between 1 and {STRATEGIES_MAX} are possible")
            }
        }
    }
}

impl std::error::Error for ConfigError {}

impl RiskConfig {
    /// Checks limits, assets, balances and the number of strategies.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.limits.validate().map_err(ConfigError::Limit)?;
        let pairs = self.table.all().iter().flat_map(|i| [i.base, i.quote]);
        let held = self.balances.iter().map(|(asset, _)| *asset);
        for asset in pairs.chain(held).chain([self.quote]) {
            if usize::from(asset.0) >= self.table.assets_len() {
                return Err(ConfigError::UnknownAsset(asset));
            }
        }
        if let Some((asset, _)) = self.balances.iter().find(|(_, amount)| *amount < 0) {
            return Err(ConfigError::NegativeBalance(*asset));
        }
        if !(1..=STRATEGIES_MAX).contains(&self.strategies) {
            return Err(ConfigError::Strategies(self.strategies));
        }
        Ok(())
    }
}

/// What became of an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It passed every check; its reservation is made.
    Approved(Approval),
    /// It did not, and why.
    Refused(RefuseReason),
}

/// Profit and fees in the reporting asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pnl {
    /// Realised by closing, at average cost, before fees.
    pub realized: Amount,
    /// Of what is held, by the newest marks handed in.
    pub unrealized: Amount,
    /// Fees paid, each converted by mark; a rebate counts negative.
    pub fees: Amount,
    /// Parts left out because their asset has no route or no mark.
    pub unvalued: u32,
}

/// The core. See the module's text.
#[derive(Clone, Debug)]
pub struct RiskCore {
    limits: RiskLimits,
    strategies: usize,
    ledger: Ledger,
    valuation: Valuation,
    rates: Rates,
    valued_by: Box<[InstrumentId]>,
    assets: usize,
    equity: Option<Amount>,
    equity_at: Nanos,
    now: Nanos,
    session_ready: bool,
    order_last: OrderId,
    hash: u64,
    checked: u64,
    placed: u64,
    canceled: u64,
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
            (0..assets).filter_map(|a| valuation.instrument_of(AssetId(a as u8))).collect();
        valued_by.sort_unstable();
        valued_by.dedup();
        Ok(Self {
            limits: config.limits,
            strategies: config.strategies,
            ledger: Ledger::new(table, config.strategies, &config.balances, &config.limits),
            valuation,
            rates: Rates::new(&config.limits, config.strategies),
            valued_by: valued_by.into_boxed_slice(),
            assets,
            equity: None,
            equity_at: Nanos::ZERO,
            now: Nanos::ZERO,
            session_ready: false,
            order_last: OrderId(0),
            hash: 0,
            checked: 0,
            placed: 0,
            canceled: 0,
            refused: [0; REASONS],
        })
    }

    /// A turn that consumes inputs begins at `now`.
    pub fn on_turn(&mut self, now: Nanos) {
        self.now = now;
    }

    /// Books a message of execution; returns what the strategies should hear of it.
    pub fn on_report(&mut self, msg: &ExecMsg) -> Option<AccountReport> {
        match *msg {
            ExecMsg::Order(report) => self.ledger.on_report(&report).then(|| {
                // Our own record says whose order it is; the report decides only for strangers.
                let own = self.ledger.order(report.order).map(|o| o.strategy);
                let strategy = own.unwrap_or(report.strategy);
                let position = self.ledger.position(strategy, report.instrument);
                AccountReport::Order { report, position }
            }),
            ExecMsg::Balance { asset, free, locked, .. } => {
                self.ledger.on_balance(asset, free, locked);
                None
            }
            ExecMsg::Session { ready, .. } => {
                self.session_ready = ready;
                Some(AccountReport::Session { ready })
            }
        }
    }

    /// Takes in a mark that decisions may use from now on.
    pub fn on_mark(&mut self, mark: &Mark) {
        self.valuation.on_mark(mark);
    }

    /// Decides on `intent` and, when it is approved, makes its reservation.
    pub fn on_intent(&mut self, intent: &OrderIntent, phase: Phase) -> Decision {
        let place = intent.action == OrderAction::Place;
        if place && self.equity_is_due(self.now) {
            self.refresh_equity();
        }
        let verdict = gate::judge(&self.input(intent, phase));
        self.checked += 1;
        let decision = match verdict {
            Ok(approval) if self.commit(intent) => Decision::Approved(approval),
            Ok(_) => Decision::Refused(RefuseReason::OpenOrders),
            Err(reason) => Decision::Refused(reason),
        };
        if place {
            self.order_last = self.order_last.max(intent.order);
        }
        if let Decision::Refused(reason) = decision {
            self.refused[reason as usize] += 1;
        }
        self.fold(intent, &decision);
        decision
    }

    /// The equity behind the position limit is older than it may be at `now`: before the next
    /// intent the marks of [`Self::valued_by`] should be handed in.
    #[must_use]
    pub fn equity_is_due(&self, now: Nanos) -> bool {
        self.equity.is_none() || now.since(self.equity_at).0 >= self.limits.equity_age_ns_max
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
        self.equity
    }

    /// The order-entry session is ready.
    #[must_use]
    pub const fn session_ready(&self) -> bool {
        self.session_ready
    }

    /// Profit and fees by the newest marks handed in.
    #[must_use]
    pub fn pnl(&self) -> Pnl {
        let mut pnl = Pnl::default();
        for instrument in self.ledger.table().all() {
            let Some(exposure) = self.ledger.total(instrument.id) else { continue };
            let position = exposure.position;
            let realized = quote_amount(instrument, position.realized);
            self.add_value(&mut pnl, instrument.quote, realized, |p| &mut p.realized);
            if position.qty == 0 {
                continue;
            }
            let Some(price) = self.valuation.mark(instrument.id).and_then(mark_price) else {
                pnl.unvalued += 1;
                continue;
            };
            let open = quote_amount(instrument, position.unrealized(price));
            self.add_value(&mut pnl, instrument.quote, open, |p| &mut p.unrealized);
        }
        for asset in (0..self.assets).map(|a| AssetId(a as u8)) {
            self.add_value(&mut pnl, asset, self.ledger.fees(asset), |p| &mut p.fees);
        }
        pnl
    }

    fn add_value(
        &self,
        pnl: &mut Pnl,
        asset: AssetId,
        amount: Amount,
        field: fn(&mut Pnl) -> &mut Amount,
    ) {
        if amount == 0 {
            return;
        }
        match self.valuation.value(asset, amount) {
            Some(value) => {
                let sum = field(pnl);
                *sum = sum.saturating_add(value);
            }
            None => pnl.unvalued += 1,
        }
    }

    fn input<'a>(&'a self, intent: &'a OrderIntent, phase: Phase) -> CheckInput<'a> {
        CheckInput {
            now: self.now,
            phase,
            intent,
            limits: &self.limits,
            ledger: &self.ledger,
            valuation: &self.valuation,
            rates: &self.rates,
            strategies: self.strategies,
            session_ready: self.session_ready,
            equity: self.equity,
            order_last: self.order_last,
        }
    }

    /// Makes the reservation of an approved order and counts it.
    fn commit(&mut self, intent: &OrderIntent) -> bool {
        match intent.action {
            OrderAction::Place => {
                if !self.ledger.approve(intent) {
                    return false;
                }
                self.rates.take_order(intent.strategy, self.now);
                self.placed += 1;
            }
            OrderAction::Cancel => {
                self.rates.take_cancel(self.now);
                self.canceled += 1;
            }
        }
        true
    }

    /// Values all balances. An asset without any route counts nothing, which only tightens the
    /// limit; one whose mark is missing leaves the equity as it was.
    fn refresh_equity(&mut self) {
        let mut sum: Amount = 0;
        for asset in (0..self.assets).map(|a| AssetId(a as u8)) {
            let balance = self.ledger.expected_balance(asset);
            if balance == 0 || !self.valuation.has_route(asset) {
                continue;
            }
            let Some(value) = self.valuation.value(asset, balance) else { return };
            sum = sum.saturating_add(value);
        }
        self.equity = Some(sum);
        self.equity_at = self.now;
    }

    fn fold(&mut self, intent: &OrderIntent, decision: &Decision) {
        self.mix(intent.order.0);
        match decision {
            Decision::Refused(reason) => self.mix(1 << 32 | *reason as u64),
            Decision::Approved(_) => {
                self.mix(2 << 32 | intent.action as u64);
                self.mix(intent.price.0 as u64);
                self.mix(intent.qty.0 as u64);
                self.mix(u64::from(intent.stop_ticks as u32));
                self.mix(intent.expires.0);
                let terms = [
                    intent.strategy.0,
                    intent.cause as u8,
                    intent.kind as u8,
                    intent.tif as u8,
                    intent.side as u8,
                ];
                let instrument = u64::from(intent.instrument.0);
                self.mix(terms.iter().fold(instrument, |w, t| w << 8 | u64::from(*t)));
            }
        }
    }

    /// One word into the hash: rotate, xor, multiply by an odd constant (2^64 / pi).
    const fn mix(&mut self, word: u64) {
        self.hash = (self.hash.rotate_left(5) ^ word).wrapping_mul(0x517C_C1B7_2722_0A95);
    }
}
