//! The account's balances: free and locked, moved only by lock, unlock and settle.
//!
//! Invariants: no balance is ever negative; lock and unlock keep an asset's sum; a settlement
//! moves exactly what it names. Fees leave the account, nothing else does.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::decimal::{fee_floor, push_wide, value_floor};
use crate::matching::Side;

/// What an account holds of one asset, in 10^-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// At disposal.
    pub free: i128,
    /// Reserved by open orders.
    pub locked: i128,
}

/// Fee rates in 10^-8: 100 000 is 0.1 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fees {
    /// Rate of a resting order.
    pub maker_e8: i64,
    /// Rate of an incoming order.
    pub taker_e8: i64,
}

/// What a buyer of this value must have; with fees beside it where they are taken in the quote
/// asset. Fees of parts are rounded down each, so that together they are never above this.
#[must_use]
pub fn reserved(value: i128, beside: Option<Fees>) -> i128 {
    beside.map_or(value, |fees| value + fee_floor(value, fees.maker_e8.max(fees.taker_e8)) + 1)
}

/// The money side of one fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Value of the fill in the quote asset, rounded down.
    pub quote: i128,
    /// Fee, in the asset received: base for a buyer, quote for a seller (venues that take fees in
    /// quote units reckon as for a seller). Rounded down.
    pub commission: i128,
}

impl Settlement {
    /// Value and fee of `qty` at `price` for a fill on `side`.
    #[must_use]
    pub fn new(side: Side, price: i64, qty: i64, rate_e8: i64) -> Self {
        let quote = value_floor(price, qty);
        let received = if side == Side::Buy { i128::from(qty) } else { quote };
        Self { quote, commission: fee_floor(received, rate_e8) }
    }
}

/// All balances, and which of them changed since the last look.
#[derive(Debug, Default)]
pub struct Account {
    assets: BTreeMap<String, Balance>,
    touched: BTreeSet<String>,
    updated_ms: u64,
}

impl Account {
    /// An account with these free balances.
    #[must_use]
    pub fn new(start: &[(String, i128)]) -> Self {
        let funded =
            |(asset, free): &(String, i128)| (asset.clone(), Balance { free: *free, locked: 0 });
        Self { assets: start.iter().map(funded).collect(), ..Self::default() }
    }

    /// Puts a balance as it was stored.
    pub fn restore(&mut self, asset: &str, balance: Balance) {
        self.assets.insert(asset.to_owned(), balance);
    }

    /// All assets by name.
    #[must_use]
    pub fn assets(&self) -> &BTreeMap<String, Balance> {
        &self.assets
    }

    /// When a balance last changed, Unix ms.
    #[must_use]
    pub fn updated_ms(&self) -> u64 {
        self.updated_ms
    }

    /// Moves `amount` from free to locked; false (and nothing changed) if there is too little.
    pub fn lock(&mut self, asset: &str, amount: i128) -> bool {
        let Some(balance) = self.assets.get_mut(asset) else { return amount == 0 };
        if balance.free < amount {
            return false;
        }
        balance.free -= amount;
        balance.locked += amount;
        self.touched.insert(asset.to_owned());
        true
    }

    /// Moves `amount` from locked to free.
    pub fn unlock(&mut self, asset: &str, amount: i128) {
        if amount == 0 {
            return;
        }
        let balance = self.balance_mut(asset);
        debug_assert!(balance.locked >= amount, "more unlocked than was locked");
        balance.locked -= amount;
        balance.free += amount;
    }

    /// Pays `paid` out of `released` locked units; what is left of them is free again.
    pub fn pay(&mut self, asset: &str, released: i128, paid: i128) {
        let balance = self.balance_mut(asset);
        debug_assert!(balance.locked >= released && released >= paid, "reservation too small");
        balance.locked -= released;
        balance.free += released - paid;
    }

    /// Credits `amount`.
    pub fn receive(&mut self, asset: &str, amount: i128) {
        self.balance_mut(asset).free += amount;
    }

    /// Assets that changed since the last call, with their balances.
    pub fn drain_touched(&mut self, now_ms: u64) -> Vec<(String, Balance)> {
        if !self.touched.is_empty() {
            self.updated_ms = now_ms;
        }
        let touched = std::mem::take(&mut self.touched);
        let balance = |asset: String| {
            let balance = self.assets.get(&asset).copied().unwrap_or_default();
            (asset, balance)
        };
        touched.into_iter().map(balance).collect()
    }

    fn balance_mut(&mut self, asset: &str) -> &mut Balance {
        self.touched.insert(asset.to_owned());
        self.assets.entry(asset.to_owned()).or_default()
    }
}

/// The event `outboundAccountPosition`; `time` prints a time in the unit of the connection.
#[must_use]
pub fn position_event(changed: &[(String, Balance)], event: u64, updated: u64) -> String {
    let mut out = format!(r#"{{"e":"outboundAccountPosition","E":{event},"u":{updated},"B":["#);
    for (n, (asset, balance)) in changed.iter().enumerate() {
        out.push_str(if n == 0 { r#"{"a":""# } else { r#",{"a":""# });
        out.push_str(asset);
        out.push_str(r#"","f":""#);
        push_wide(&mut out, balance.free);
        out.push_str(r#"","l":""#);
        push_wide(&mut out, balance.locked);
        out.push_str("\"}");
    }
    out.push_str("]}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decimal::ONE;

    #[test]
    fn locks_only_what_is_there() {
        let mut account = Account::new(&[("BTC".to_owned(), 10)]);
        assert!(account.lock("BTC", 10));
        assert!(!account.lock("BTC", 1));
        assert!(!account.lock("DOGE", 1));
        account.unlock("BTC", 4);
        assert_eq!(account.assets()["BTC"], Balance { free: 4, locked: 6 });
        account.pay("BTC", 6, 5);
        assert_eq!(account.assets()["BTC"], Balance { free: 5, locked: 0 });
        assert_eq!(account.drain_touched(9).len(), 1);
        assert!(account.drain_touched(10).is_empty());
        assert_eq!(account.updated_ms(), 9);
    }

    #[test]
    fn fee_is_in_the_asset_received_and_rounded_down() {
        let buy = Settlement::new(Side::Buy, 60_000 * ONE, 1999, 100_000);
        assert_eq!(buy, Settlement { quote: 119_940_000, commission: 1 });
        let sell = Settlement::new(Side::Sell, 60_000 * ONE, 1999, 100_000);
        assert_eq!(sell, Settlement { quote: 119_940_000, commission: 119_940 });
    }
}
