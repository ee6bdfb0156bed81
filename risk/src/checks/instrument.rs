//! The instrument is in the table, not closed, and the venue accepts orders for it. An intent of a
//! strategy outside the roster has no row in the ledger and is refused as an unknown instrument,
//! too.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::UnknownInstrument`], [`RefuseReason::InstrumentChanging`],
/// [`RefuseReason::InstrumentPaused`] or [`RefuseReason::NotTradable`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let instrument = input.instrument()?;
    if input.own.is_none() {
        return Err(RefuseReason::UnknownInstrument);
    }
    input.changes.check(instrument.id)?;
    if instrument.tradable { Ok(()) } else { Err(RefuseReason::NotTradable) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::Fixture;
    use bot4_types::{InstrumentId, StrategyId};

    #[test]
    fn it_must_be_known_and_tradable() {
        assert_eq!(Fixture::default().run(check), Ok(()));
        let unknown = Fixture::with(|f| f.intent.instrument = InstrumentId(1));
        assert_eq!(unknown.run(check), Err(RefuseReason::UnknownInstrument));
        let stranger = Fixture::with(|f| f.intent.strategy = StrategyId(2));
        assert_eq!(stranger.run(check), Err(RefuseReason::UnknownInstrument));
        let halted = Fixture::with(|f| f.instrument.tradable = false);
        assert_eq!(halted.run(check), Err(RefuseReason::NotTradable));
        let changing = Fixture::with(|f| f.changing = true);
        assert_eq!(changing.run(check), Err(RefuseReason::InstrumentChanging));
        let paused = Fixture::with(|f| f.paused = true);
        assert_eq!(paused.run(check), Err(RefuseReason::InstrumentPaused));
    }
}
