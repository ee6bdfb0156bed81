//! The end of a run: what is not at rest yet, and what differs from the venue when all is.

use bot4_execution::ExecutionAgent;
use bot4_risk::RiskAgent;
use bot4_risk::latch::LatchKind;
use bot4_types::{AssetId, Instrument, ParentState};

use super::super::check::{OTHERS, ParentLine};
use super::super::venue_agent::VenueAgent;
use super::Run;

impl Run {
    /// Instruments whose position differs from the venue's trades, as sentences.
    pub(super) fn differing(&self) -> Vec<String> {
        let (Some(risk), Some(venue)) =
            (self.floor.agent::<RiskAgent>("risk"), self.floor.agent::<VenueAgent>("venue"))
        else {
            return Vec::new();
        };
        // The venue's trades are not ours alone.
        if self.checks.others {
            return Vec::new();
        }
        let exchange = venue.exchange();
        let differs = |instrument: &Instrument| {
            let market = exchange.market(instrument.symbol.as_str())?;
            let trades = exchange.orders.trades(market);
            let theirs: i64 = trades.map(|t| if t.buyer { t.qty } else { -t.qty }).sum();
            let ours = risk.position(instrument.id).0;
            let symbol = instrument.symbol;
            (ours != theirs)
                .then(|| format!("position of {symbol}: ours {ours}, the venue's {theirs}"))
        };
        self.opening.info.table.all().iter().filter_map(differs).collect()
    }

    /// What is not at rest yet.
    pub(super) fn unrest(&mut self) -> Option<String> {
        let execution = self.floor.agent_mut::<ExecutionAgent>("execution")?;
        let (open, unknown) = execution.open_and_unknown();
        let risk = self.floor.agent::<RiskAgent>("risk")?;
        let venue = self.floor.agent::<VenueAgent>("venue")?.exchange();
        let ids = venue.orders.open(None).map(|order| order.client_id.as_str());
        let theirs: Vec<&str> = ids.filter(|id| !id.starts_with(OTHERS)).collect();
        let ledger = risk.core().ledger();
        let assets = (0..self.opening.info.table.assets_len()).map(|a| AssetId(a as u8));
        let reserved = assets.filter(|a| ledger.reserved(*a) != 0).count();
        let (booked, settling) = (ledger.open_orders(), ledger.settling_orders());
        // The router hears last of what ended.
        let alive = |line: &ParentLine| line.report.state != ParentState::Ended;
        let parents: Vec<_> =
            self.parents().into_iter().filter(alive).map(|line| line.report).collect();
        let rest = open + unknown + theirs.len() + booked + settling + reserved + parents.len();
        (rest > 0 || !self.taps.is_empty()).then(|| {
            format!(
                "execution has {open} open ({unknown} unknown), the venue {theirs:?}, risk \
                 {booked} open and {settling} settling, reservations in {reserved} assets, of \
                 parents {parents:?}"
            )
        })
    }

    /// Positions and balances, ours and the venue's.
    pub(super) fn compare(&mut self) {
        let (Some(risk), Some(venue)) =
            (self.floor.agent::<RiskAgent>("risk"), self.floor.agent::<VenueAgent>("venue"))
        else {
            return;
        };
        let table = &self.opening.info.table;
        let findings = &mut self.end.unsafe_findings;
        let audit = std::mem::take(&mut self.auditor).judge(venue.exchange(), table);
        findings.extend(audit.findings.iter().map(|what| format!("audit: {what}")));
        self.end.audit = audit;
        if self.checks.others {
            let (core, heard) = (risk.core(), risk.core().foreign());
            let stopped = core.latches().is_standing(LatchKind::Drift);
            // An order that rests and of which the venue told nothing is not known here.
            if heard.orders + heard.fills > 0 && !stopped && !self.declared {
                findings.push("another program acted on the account, and trading went on".into());
            }
            // After an outage a declared program's fill may come without its name.
            if stopped && self.declared && heard.orders + heard.fills == 0 {
                findings.push("trading stopped, and nobody acted who is not declared".into());
            }
            return;
        }
        for (name, theirs) in venue.balances() {
            let Some(asset) = table.find_asset(name.as_bytes()) else { continue };
            let ours = risk.expected_balance(asset);
            if ours != theirs {
                findings.push(format!("balance of {name}: ours {ours}, the venue's {theirs}"));
            }
        }
        let drift = risk.core().drift();
        if drift > 0 || risk.core().drifted() > 0 {
            let difference = risk.core().differences().any;
            findings.push(format!("{drift} things that a person must explain {difference:?}"));
        }
        let differing = self.differing();
        self.end.unsafe_findings.extend(differing);
        let parents = self.parents();
        self.end.unsafe_findings.extend(self.checks.differing_parents(&parents));
    }
}
