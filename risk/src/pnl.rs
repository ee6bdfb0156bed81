//! Profit and fees in the reporting asset, worked out when asked for. Sums saturate: a venue's
//! absurd number must not stop the ledger. Profit rounds down, fees round up.

use bot4_types::AssetId;
use bot4_types::instrument::Amount;

use crate::ledger::Ledger;
use crate::money::quote_amount;
use crate::valuation::{Valuation, mark_price};

/// Profit at one kind of cost, in the reporting asset, before fees and funding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gain {
    /// Realised by closing.
    pub realized: Amount,
    /// Of what is held, by the newest marks handed in.
    pub unrealized: Amount,
}

/// Profit and fees in the reporting asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pnl {
    /// Realised by closing, at average cost, before fees.
    pub realized: Amount,
    /// Of what is held, by the newest marks handed in.
    pub unrealized: Amount,
    /// The same first-in-first-out.
    pub fifo: Gain,
    /// Fees paid, each converted by mark; a rebate counts negative.
    pub fees: Amount,
    /// Funding received; what was paid counts negative.
    pub funding: Amount,
    /// Parts left out because their asset has no path or no mark.
    pub unvalued: u32,
}

impl Pnl {
    /// What `ledger` has earned, by the marks of `valuation`.
    #[must_use]
    pub fn of(ledger: &Ledger, valuation: &Valuation) -> Self {
        let mut pnl = Self::default();
        for instrument in ledger.table().all() {
            let (Some(exposure), Some(fifo)) =
                (ledger.total(instrument.id), ledger.fifo(instrument.id))
            else {
                continue;
            };
            let position = exposure.position;
            let mut worth = |notional| {
                let amount = quote_amount(instrument, notional);
                pnl.value(valuation, instrument.quote, amount)
            };
            let (realized, fifo_realized) = (worth(position.realized), worth(fifo.realized));
            pnl.realized = pnl.realized.saturating_add(realized);
            pnl.fifo.realized = pnl.fifo.realized.saturating_add(fifo_realized);
            if position.qty == 0 {
                continue;
            }
            let Some(price) = valuation.mark(instrument.id).and_then(mark_price) else {
                pnl.unvalued += 1;
                continue;
            };
            let mut worth = |notional| {
                let amount = quote_amount(instrument, notional);
                pnl.value(valuation, instrument.quote, amount)
            };
            let open = [position.unrealized(price), fifo.unrealized(price)].map(&mut worth);
            pnl.unrealized = pnl.unrealized.saturating_add(open[0]);
            pnl.fifo.unrealized = pnl.fifo.unrealized.saturating_add(open[1]);
        }
        for asset in (0..ledger.table().assets_len()).map(|a| AssetId(a as u8)) {
            // A fee rounds up: what is owed, negated, rounds down.
            let fees = pnl.value(valuation, asset, ledger.fees(asset).saturating_neg());
            pnl.fees = pnl.fees.saturating_sub(fees);
            let funding = pnl.value(valuation, asset, ledger.funding(asset));
            pnl.funding = pnl.funding.saturating_add(funding);
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
