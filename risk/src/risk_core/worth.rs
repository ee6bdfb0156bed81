//! What the account is worth by the marks handed in.

use bot4_types::AssetId;
use bot4_types::instrument::Amount;

use super::RiskCore;

impl RiskCore {
    /// Values all balances. One whose mark is missing leaves the equity as it was.
    pub(super) fn refresh_equity(&mut self) {
        let held = |asset| (asset, self.ledger.expected_balance(asset));
        let assets = (0..self.assets).map(|a| held(AssetId(a as u8)));
        let (equity, flows) = (self.worth(assets), self.worth(self.curve.flows().iter().copied()));
        if let (Some(equity), Some(flows)) = (equity, flows) {
            self.curve.rebase(flows);
            self.curve.take(self.now, equity);
            self.statistics.on_equity(Some(equity));
            self.caps.on_equity(self.curve.point());
            self.latches.on_equity(self.caps.drawdown_is_over);
        }
    }

    /// What `amounts` are worth together, rounded down. An asset without any path counts nothing,
    /// which only tightens limits; `None` while the mark of another is missing.
    pub(super) fn worth(&self, amounts: impl Iterator<Item = (AssetId, Amount)>) -> Option<Amount> {
        let mut sum: Amount = 0;
        for (asset, amount) in amounts {
            if amount != 0 && self.valuation.has_route(asset) {
                sum = sum.saturating_add(self.valuation.value(asset, amount)?);
            }
        }
        Some(sum)
    }
}
