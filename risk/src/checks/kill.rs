//! The control word: a kill, a drain or a pause refuses every new order.

use bot4_lanes::Phase;
use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::Killed`] or [`RefuseReason::Draining`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    match input.phase {
        Phase::Run => Ok(()),
        Phase::Drain | Phase::Pause => Err(RefuseReason::Draining),
        Phase::Kill => Err(RefuseReason::Killed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::Fixture;

    #[test]
    fn only_a_running_engine_places_orders() {
        let at = |phase| Fixture::with(|f| f.phase = phase).run(check);
        assert_eq!(at(Phase::Run), Ok(()));
        assert_eq!(at(Phase::Drain), Err(RefuseReason::Draining));
        assert_eq!(at(Phase::Pause), Err(RefuseReason::Draining));
        assert_eq!(at(Phase::Kill), Err(RefuseReason::Killed));
    }
}
