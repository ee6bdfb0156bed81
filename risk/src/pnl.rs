//! Profit and fees in the reporting asset, worked out when asked for. Sums saturate: a venue's
//! absurd number must not stop the ledger.

use bot4_types::AssetId;
use bot4_types::instrument::Amount;

use crate::ledger::Ledger;
use crate::money::quote_amount;
use crate::valuation::{Valuation, mark_price};

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

impl Pnl {
    /// What `ledger` has earned, by the marks of `valuation`.
    #[must_use]
    pub fn of(ledger: &Ledger, valuation: &Valuation) -> Self {
        let mut pnl = Self::default();
        for instrument in ledger.table().all() {
            let Some(exposure) = ledger.total(instrument.id) else { continue };
            let position = exposure.position;
            let realized = quote_amount(instrument, position.realized);
            pnl.realized =
                pnl.realized.saturating_add(pnl.value(valuation, instrument.quote, realized));
            if position.qty == 0 {
                continue;
            }
            let Some(price) = valuation.mark(instrument.id).and_then(mark_price) else {
                pnl.unvalued += 1;
                continue;
            };
            let open = quote_amount(instrument, position.unrealized(price));
            pnl.unrealized =
                pnl.unrealized.saturating_add(pnl.value(valuation, instrument.quote, open));
        }
        for asset in (0..ledger.table().assets_len()).map(|a| AssetId(a as u8)) {
            let fees = pnl.value(valuation, asset, ledger.fees(asset));
            pnl.fees = pnl.fees.saturating_add(fees);
        }
        pnl
    }

    /// `amount` of `asset` in the reporting asset; what cannot be valued is counted.
    fn value(&mut self, valuation: &Valuation, asset: AssetId, amount: Amount) -> Amount {
        if amount == 0 {
            return 0;
        }
        valuation.value(asset, amount).unwrap_or_else(|| {
            self.unvalued += 1;
            0
        })
    }
}
