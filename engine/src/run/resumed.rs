//! A stop that a person ended while no engine ran: the next start accepts what an engine that runs
//! accepts at once.

use bot4_risk::latch::LatchKind;
use bot4_types::{AssetId, InstrumentTable};

use super::account_state::Past;
use crate::operator::latch::{Resumed, name_of};

/// Lets a run over `table` begin from `past` as the person said: after a fall the peak counts anew;
/// balances that no fill explains are followed, but for the base assets of instruments, which stand
/// still alone and are accepted one by one.
pub fn take_up(resumed: &Resumed, past: &mut Past, table: &InstrumentTable) {
    let latch = &resumed.latch;
    let said = format!(
        "the stop of run {} (by {}: {}) was ended while no engine ran: {}",
        latch.run,
        name_of(latch.by),
        latch.reason,
        resumed.reason
    );
    past.notes.push(said.clone());
    past.resumed = Some(said);
    let latched = |kind: LatchKind| latch.latched.iter().any(|name| name == kind.name());
    if latched(LatchKind::Drawdown) {
        past.equity.peak = 0;
        past.notes.push("the peak of equity counts anew from today's".to_owned());
    }
    if latched(LatchKind::Drift) {
        let alone = |asset: AssetId| {
            let all = table.all();
            all.iter().any(|i| i.base == asset) && !all.iter().any(|i| i.quote == asset)
        };
        let doubts = std::mem::take(&mut past.recovered.doubts);
        let (stay, accepted) = doubts.into_iter().partition(|(asset, _)| alone(*asset));
        past.recovered.doubts = stay;
        past.equity.flows.extend::<Vec<_>>(accepted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::latch::{By, LatchRecord};
    use bot4_types::{Instrument, InstrumentId, Symbol};

    fn resumed(latched: &[&str]) -> Resumed {
        let latched = latched.iter().map(|name| (*name).to_owned()).collect();
        let (reason, run) = ("risk latched".to_owned(), "1-2".to_owned());
        let latch = LatchRecord { by: By::Risk, reason, at_ms: 5, run, latched };
        Resumed { reason: "looked at it".to_owned(), at_ms: 9, latch }
    }

    #[test]
    fn what_was_latched_is_accepted_and_nothing_else() {
        let mut table = InstrumentTable::new();
        let name = |s: &str| Symbol::new(s).expect("short");
        let [base, quote] = ["BTC", "USDT"].map(|a| table.asset(name(a)).expect("room"));
        let bare = Instrument::bare(InstrumentId(0), name("BTCUSDT"), 8);
        table.push(Instrument { base, quote, ..bare }).expect("room");
        let past_after = |latched: &[&str]| {
            let mut past = Past::default();
            past.equity.peak = 100;
            past.recovered.doubts = vec![(base, 1), (quote, -2)];
            take_up(&resumed(latched), &mut past, &table);
            let said = past.resumed.as_ref().expect("kept");
            assert!(said.contains("looked at it") && said.contains("run 1-2"), "{said}");
            (past.equity.peak, past.recovered.doubts, past.equity.flows)
        };
        let all = vec![(base, 1), (quote, -2)];
        assert_eq!(past_after(&["runaway"]), (100, all.clone(), Vec::new()));
        assert_eq!(past_after(&["drawdown"]), (0, all, Vec::new()));
        let followed = (100, vec![(base, 1)], vec![(quote, -2)]);
        assert_eq!(past_after(&["drift"]), followed, "a base asset is accepted by its instrument");
    }
}
