//! Hashes over what the core decided and took in: they tell a replay that it decided otherwise, or
//! was fed something else, even where no decision changed. Order counts.

use bot4_types::log::{BODY_MAX, Body as _, Writer};
use bot4_types::{ExecMsg, Mark, Nanos, OrderIntent, RiskCommand};

use crate::risk_core::Decision;

/// One word into a hash: rotate, xor, multiply by an odd constant (2^64 / pi).
pub(crate) const fn mixed(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(0x517C_C1B7_2722_0A95)
}

/// What became of `intent` into `hash`: order, outcome and the order's terms, no stamps.
pub(crate) fn of_decision(hash: u64, intent: &OrderIntent, decision: &Decision) -> u64 {
    let hash = mixed(hash, intent.order.0);
    if let Decision::Refused(reason) = decision {
        return mixed(hash, 1 << 32 | *reason as u64);
    }
    let terms = [
        intent.strategy.0,
        intent.cause as u8,
        intent.kind as u8,
        intent.tif as u8,
        intent.side as u8,
    ];
    let words = [
        2 << 32 | intent.action as u64,
        intent.price.0 as u64,
        intent.qty.0 as u64,
        u64::from(intent.stop_ticks as u32),
        intent.expires.0,
        terms.iter().fold(u64::from(intent.instrument.0), |w, t| w << 8 | u64::from(*t)),
    ];
    let hash = words.into_iter().fold(hash, mixed);
    // Nothing where it says nothing: decisions of before keep their hash.
    if intent.trigger.0 == 0 && intent.until == Nanos::MAX && !intent.reduce_only {
        return hash;
    }
    let more = [intent.trigger.0 as u64, intent.until.0, u64::from(intent.reduce_only)];
    more.into_iter().fold(hash, mixed)
}

/// A mark into `hash`.
pub(crate) fn of_mark(hash: u64, mark: &Mark) -> u64 {
    let whose = u64::from(mark.instrument.0) << 8 | mark.state as u64;
    let prices = [mark.bid, mark.ask, mark.micro, mark.last_trade].map(|p| p as u64);
    prices.into_iter().chain([mark.at.0, whose]).fold(hash, mixed)
}

/// A message of execution into `hash`.
pub(crate) fn of_report(hash: u64, msg: &ExecMsg) -> u64 {
    let words = match *msg {
        ExecMsg::Order(r) => [
            r.order.0,
            u64::from(r.seq) << 16 | (r.kind as u64) << 8 | r.state as u64,
            r.cum_qty.0 as u64,
            r.last_qty.0 as u64,
            r.last_price.0 as u64,
            r.trade_id ^ r.fee as u64,
        ],
        ExecMsg::Balance { at, asset, free, locked } => {
            [at.0, asset.0.into(), free as u64, (free >> 64) as u64, locked as u64, 1]
        }
        ExecMsg::Session { at, venue, ready } => {
            [at.0, u64::from(ready) | u64::from(venue.0) << 1, 0, 0, 0, 2]
        }
        ExecMsg::Funding { at, id, instrument, asset, amount } => {
            let whose = u64::from(instrument.0) << 8 | u64::from(asset.0);
            [at.0, id, whose, amount as u64, (amount >> 64) as u64, 3]
        }
        ExecMsg::Foreign { at, venue, venue_order, trade_id, declared } => {
            [at.0, venue_order, trade_id, declared.into(), venue.0.into(), 4]
        }
    };
    words.into_iter().fold(hash, mixed)
}

/// A command of the control lane into `hash`.
pub(crate) fn of_command(hash: u64, command: &RiskCommand) -> u64 {
    let mut bytes = [0; BODY_MAX];
    let mut writer = Writer::over(&mut bytes);
    command.write(&mut writer);
    let words = writer.written().div_ceil(8);
    let words = bytes.as_chunks::<8>().0.iter().take(words);
    words.map(|w| u64::from_le_bytes(*w)).fold(hash, mixed)
}
