//! Order types and times in force.

use crate::price::Side;

raw_enum! {
    /// Order types.
    OrderKind {
        /// Rests at its price, takes what is better.
        Limit = 0 => "limit",
        /// Takes at any price.
        Market = 1 => "market",
        /// Rests or is rejected: never takes (post-only).
        LimitMaker = 2 => "limit_maker",
        /// Waits until the market went against its owner to its trigger, then is a market order.
        StopLoss = 3 => "stop_loss",
        /// The same, then is a limit order.
        StopLossLimit = 4 => "stop_loss_limit",
        /// Waits until the market went its owner's way to its trigger, then is a market order.
        TakeProfit = 5 => "take_profit",
        /// The same, then is a limit order.
        TakeProfitLimit = 6 => "take_profit_limit",
    }
}

impl OrderKind {
    /// It trades at any price, at once or when it is triggered.
    #[must_use]
    pub const fn is_market(self) -> bool {
        matches!(self, Self::Market | Self::StopLoss | Self::TakeProfit)
    }

    /// It is in no book before the market reaches its trigger.
    #[must_use]
    pub const fn is_triggered(self) -> bool {
        (self as u8) >= (Self::StopLoss as u8)
    }

    /// An order of this kind on `side` is triggered by a rise to its trigger, else by a fall. Only
    /// of kinds that [wait for one](Self::is_triggered).
    #[must_use]
    pub const fn fires_above(self, side: Side) -> bool {
        let stop = matches!(self, Self::StopLoss | Self::StopLossLimit);
        matches!(side, Side::Buy) == stop
    }
}

raw_enum! {
    /// Time in force.
    Tif {
        /// Until cancelled.
        Gtc = 0 => "gtc",
        /// What matches at once, the rest expires.
        Ioc = 1 => "ioc",
        /// All at once or nothing.
        Fok = 2 => "fok",
        /// Until cancelled, at its date at the latest: the router withdraws it then, whatever the
        /// venue knows of dates.
        Gtd = 3 => "gtd",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_fires_against_its_owner_and_a_target_the_other_way() {
        for (kind, buy_above) in [(OrderKind::StopLoss, true), (OrderKind::TakeProfitLimit, false)]
        {
            assert_eq!(kind.fires_above(Side::Buy), buy_above);
            assert_eq!(kind.fires_above(Side::Sell), !buy_above);
        }
        let waiting: Vec<_> = OrderKind::ALL.iter().filter(|k| k.is_triggered()).collect();
        assert_eq!(waiting.len(), 4);
        let market = OrderKind::ALL.iter().filter(|k| k.is_market()).count();
        assert_eq!(market, 3);
    }
}
